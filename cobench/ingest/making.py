"""A delivery in the making: what is stored of it, what is made new, and what its rows are read against."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from cobench import store
from cobench.delivered import Delivery, Part
from cobench.errors import CobenchError
from cobench.ingest import resent
from cobench.ingest.batches import RawFile
from cobench.ingest.codebook import Codebook, term_codebooks
from cobench.ingest.columns import factor
from cobench.ingest.context import Context, school_codes
from cobench.ingest.earlier import Earlier
from cobench.ingest.free_text import Names
from cobench.ingest.identities import identities_at, identities_place
from cobench.ingest.persons import Persons, load_persons
from cobench.ingest.report import Outcome
from cobench.study import Study, Term
from cobench.tables import empty

Progress = Callable[[str, int, int], None]


@dataclass
class Making:
    """A delivery while it is made.

    Attributes
    ----------
    held : Delivery
        What is stored of it, or was made of it and isn't committed yet.
    parts, frames : dict
        Parts made or taken over, and what the new ones hold.
    """

    study: Study
    term: Term
    key: bytes
    raws: list[RawFile]
    held: Delivery
    on_progress: Progress
    parts: dict[str, Part] = field(default_factory=dict)
    new: dict[str, Outcome] = field(default_factory=dict)
    problems: list[CobenchError] = field(default_factory=list)
    private: dict[str, str] = field(default_factory=dict)
    done: int = 0
    reported: float = 0.0
    _names: Names | None = None

    def report(self) -> None:
        """Say how far the files are, once a second."""
        if time.monotonic() - self.reported >= 1:
            self.on_progress("ingest", self.done, len(self.raws))
            self.reported = time.monotonic()

    @cached_property
    def codebooks(self) -> dict[str, Codebook]:
        return term_codebooks(self.study, self.term.id)

    @cached_property
    def superseded(self) -> dict[str, str]:
        """The file chosen instead, by the label of each file that another one supersedes."""
        return resent.superseded(self.study, self.term.id, self.raws)

    @cached_property
    def earlier(self) -> Earlier:
        return Earlier(self.study, self.term, self.key)

    @cached_property
    def persons(self) -> Persons:
        return load_persons(self.study, self.key)

    @cached_property
    def told(self) -> list:
        """Changes with who is declared to be the same child, and who is withdrawn."""
        return self.persons.fingerprint()

    def names(self, outcome: Outcome | None = None) -> Names:
        """Names of the roster, as far as it is known; ``outcome`` may be the one that makes it."""
        if self._names is None:
            if outcome is not None and outcome.roster is not None:
                self._names = Names(factor(outcome.roster["name"])[1])
            elif "students" in self.parts:
                self._names = Names(factor(self.roster["name"])[1])
        return self._names or Names([])

    @cached_property
    def schools(self) -> pd.DataFrame:
        return self._table("schools", "schools")

    @cached_property
    def codes(self) -> dict[str, str]:
        return school_codes(self.schools)

    @cached_property
    def roster(self) -> pd.DataFrame:
        if "students" in self.new:
            return self.new["students"].roster
        place = identities_place(self.term.id)
        staged = self.private.get(place) or self.held.private.get(place, "")
        return identities_at([store.private_path(self.study, place, staged)], self.key)

    @cached_property
    def context(self) -> Context:
        earlier = self.earlier
        listed = any(source.table == "communities" for source in self.study.sources)
        units = self._units if listed else None
        told = (self.schools, self.roster, earlier, earlier.roster, self.persons, units)
        return Context(self.study, self.term, self.key, *told)

    @property
    def events(self) -> pd.DataFrame:
        return self._table("events", "events")

    def _units(self) -> frozenset[str]:
        """Codes of this delivery's list of school communities."""
        if "communities" not in self.parts:
            return frozenset()
        return frozenset(self._table("communities", "communities")["unit"].astype("object"))

    def _table(self, part: str, name: str) -> pd.DataFrame:
        """A table of one part, new or stored."""
        if part in self.new:
            return self.new[part].tables.get(name, empty(name))
        return store.read_part(self.study, self.parts[part], name) if part in self.parts else empty(name)
