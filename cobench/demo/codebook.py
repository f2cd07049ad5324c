"""The two questionnaires of the demo district, read from the code books that ship with the package."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

INSTRUMENTS = ("parents_v1", "students_v1")

# Scale, its items, and which of them are worded the other way round.
PARENT_SCALES = {
    "trust": (("p01", "p02", "p03", "p04", "p05"), ("p05",)),
    "efficacy": (("p06", "p07", "p08", "p09"), ("p09",)),
    "involvement": (("p10", "p11", "p12", "p13", "p14", "p15"), ()),
    "relation": (("p16", "p17", "p18", "p19"), ("p19",)),
    "satisfaction": (("p20", "p21", "p22", "p23"), ()),
}
STUDENT_SCALES = {
    "motivation": (("s01", "s02", "s03", "s04", "s05"), ("s05",)),
    "habits": (("s06", "s07", "s08", "s09"), ("s09",)),
    "distress": (("s10", "s11", "s12", "s13"), ("s13",)),
    "belonging": (("s14", "s15", "s16"), ()),
    "peers": (("s17", "s18", "s19"), ()),
    "support": (("s20", "s21", "s22"), ()),
}


@dataclass(frozen=True)
class Item:
    """One question: its column header in the export, its option texts and their values."""

    id: str
    header: str
    texts: tuple[str, ...]
    values: tuple[float, ...]
    is_text: bool


@dataclass(frozen=True)
class Codebook:
    """A questionnaire in the order of its columns."""

    instrument: str
    version: str
    respondent: str
    items: tuple[Item, ...]

    @property
    def coded(self) -> tuple[Item, ...]:
        """Items with options (open questions are never stored)."""
        return tuple(item for item in self.items if not item.is_text)

    def column(self, item: str) -> int:
        """Position of ``item`` among the coded ones."""
        return [each.id for each in self.coded].index(item)

    def values(self) -> np.ndarray:
        """Option values by coded item and option, shape (items, most options), NaN where there is none."""
        most = max(len(item.values) for item in self.coded)
        return np.array([[*item.values, *[np.nan] * (most - len(item.values))] for item in self.coded])


def codebook_text(instrument: str) -> str:
    """The code book's TOML as shipped."""
    return (files("cobench.demo") / "codebooks" / f"{instrument}.toml").read_text(encoding="utf-8")


@cache
def codebook(instrument: str) -> Codebook:
    """The parsed code book of ``instrument``."""
    data = tomllib.loads(codebook_text(instrument))
    items = tuple(
        Item(
            each["id"],
            each["header"],
            tuple(data["options"].get(each.get("options"), {})),
            tuple(float(value) for value in data["options"].get(each.get("options"), {}).values()),
            each.get("kind") == "text",
        )
        for each in data["items"]
    )
    return Codebook(data["instrument"], data["version"], data["respondent"], items)
