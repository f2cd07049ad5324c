"""What deliveries of earlier terms hold, read only when a part of a delivery asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from cobench import store
from cobench.delivered import read_deliveries
from cobench.ingest.hashes import digest
from cobench.ingest.identities import read_roster
from cobench.study import Study, Term
from cobench.tables import TABLES


class Earlier(Mapping):
    """Tables that deliveries of earlier terms hold, read when asked for; ``asked`` says whether any was."""

    def __init__(self, study: Study, term: Term, key: bytes) -> None:
        self._study, self._key = study, key
        self._terms = [each.id for each in study.terms_until(term.id)[:-1]]
        self.asked = False

    def __getitem__(self, name: str) -> pd.DataFrame:
        self.asked = True
        return store.read_table(self._study, name, deliveries=self._terms)

    def __iter__(self) -> Iterator[str]:
        return iter(TABLES)

    def __len__(self) -> int:
        return len(TABLES)

    def roster(self) -> pd.DataFrame:
        """The roster of earlier terms, as far as it was made with this key."""
        self.asked = True
        return read_roster(self._study, self._terms, self._key)

    def fingerprint(self) -> str:
        """Changes with whatever earlier deliveries hold."""
        held = read_deliveries(self._study)
        private = [held[each].private for each in self._terms if each in held]
        return digest(store.contents(self._study, self._terms), private)
