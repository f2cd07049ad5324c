"""Link rows to children of the roster: by student number, by another number of the child, else school, class and name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cobench.ingest.columns import coded, column, factor, joint, name_keys, recode

MATCH_REPORT = [
    "term",
    "school",
    "table",
    "role",
    "n_rows",
    "n_linked",
    "n_by_number",
    "n_by_alias",
    "n_by_name",
    "n_unlinked",
]
MATCH_TRAITS = ["term", "table", "role", "trait", "level", "n_linked", "n_unlinked"]
_PLACE = ("term", "school", "class_id", "name_key")
_FAILURES = ["unknown_student", "ambiguous_student", "student_in_quarantine"]


@dataclass(frozen=True)
class RosterIndex:
    """Who answers to a name in each class.

    Attributes
    ----------
    values : tuple of Index
        Distinct terms, schools, classes and name keys of the roster.
    keys : int64 array, sorted
        One number for each term, school, class and name that stand together.
    student : int array
        Code of the child into ``students`` by key, -1 for one in quarantine.
    n : int array
        How many children answer to the name.
    """

    values: tuple[pd.Index, ...]
    keys: np.ndarray
    student: np.ndarray
    n: np.ndarray
    students: pd.Index

    def find(self, rows: pd.DataFrame) -> np.ndarray:
        """Position in ``keys`` of each row (``term, school, class_id, name_key``), -1 where there is none."""
        key = np.zeros(len(rows), dtype=np.int64)
        known = np.ones(len(rows), dtype=bool)
        for name, values in zip(_PLACE, self.values, strict=True):
            codes, distinct = factor(rows[name])
            places = np.append(values.get_indexer(pd.Index(distinct, dtype=object)), -1)[codes]
            known &= places >= 0
            key = key * max(len(values), 1) + places
        if len(self.keys) == 0:
            return np.full(len(rows), -1)
        found = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        return np.where(known & (self.keys[found] == key), found, -1)


def roster_index(roster: pd.DataFrame) -> RosterIndex:
    """Who answers to a name in each class.

    Parameters
    ----------
    roster : DataFrame
        ``term, school, class_id, name, student``; ``student`` is missing for rows in quarantine, which keep
        their name taken: a namesake of theirs must not be picked as the only one.
    """
    rows = roster[roster["class_id"].notna()]
    keyed = rows.assign(name_key=name_keys(rows["name"]))
    student, students = factor(rows["student"])
    key, values = np.zeros(len(rows), dtype=np.int64), []
    for name in _PLACE:
        codes, distinct = factor(keyed[name])
        values.append(pd.Index(distinct, dtype=object))
        key = key * max(len(distinct), 1) + codes
    order = np.argsort(key, kind="stable")
    key, student = key[order], student[order].astype(np.int64)
    first = np.flatnonzero(np.append(True, key[1:] != key[:-1])) if len(key) else np.array([], dtype=np.int64)
    n_rows = np.diff(np.append(first, len(key)))
    found, n = student[first], n_rows.copy()
    for group in np.flatnonzero(n_rows > 1):
        own = student[first[group] : first[group] + n_rows[group]]
        listed = own[own >= 0]
        n[group] = len(np.unique(listed)) + int((own < 0).sum())
        found[group] = listed[0] if len(listed) else -1
    return RosterIndex(tuple(values), key[first], found, n, pd.Index(students, dtype=object))


def link(
    rows: pd.DataFrame,
    index: RosterIndex,
    numbers: pd.Series | None = None,
    aliased: np.ndarray | None = None,
) -> pd.DataFrame:
    """Find the child of each row.

    Parameters
    ----------
    rows : DataFrame
        ``term, school, class_id, name_key``.
    index : RosterIndex
    numbers : Series, optional
        Pseudonyms of children of the roster found by student number, missing elsewhere; they come first.
    aliased : bool array, optional
        Rows whose number is another one of the child's than the roster's.

    Returns
    -------
    DataFrame
        ``student``, ``rule`` (missing where linked) and ``by`` (``number``, ``alias`` or ``name``) on the index of ``rows``.
    """
    places = index.find(rows)
    hit = places >= 0
    n = np.append(index.n, 0)[places]
    who = np.append(index.student, -1)[places]
    linked = hit & (n == 1) & (who >= 0)
    failure = np.where(linked, -1, np.where(~hit, 0, np.where(n == 1, 2, 1))).astype(np.int8)
    by = np.where(linked, 0, -1).astype(np.int8)
    student = coded(np.where(linked, who, -1), index.students, rows.index)
    if numbers is not None:
        listed = numbers.notna().to_numpy()
        codes, distinct = factor(numbers)
        moved = np.where(codes < 0, -1, codes.astype(np.int64) + len(index.students))
        named, _ = factor(student)
        student = column(np.where(listed, moved, named), [*index.students, *distinct], rows.index)
        way = np.ones(len(rows), dtype=np.int8) if aliased is None else np.where(aliased, 2, 1)
        by, failure = np.where(listed, way, by), np.where(listed, -1, failure)
    return pd.DataFrame(
        {
            "student": student,
            "rule": coded(failure, pd.Index(_FAILURES, dtype=object), rows.index),
            "by": coded(by, pd.Index(["name", "number", "alias"], dtype=object), rows.index),
        }
    )


def match_report(rows: pd.DataFrame, table: str, role: str) -> pd.DataFrame:
    """Rows linked and not, by term and school; columns :data:`MATCH_REPORT`.

    Parameters
    ----------
    rows : DataFrame
        ``term, school, by`` (missing where not linked).
    """
    (terms, term_names), (schools, school_names) = factor(rows["term"]), factor(rows["school"])
    by, ways = factor(rows["by"])
    placed = (terms >= 0) & (schools >= 0)
    cell = terms[placed].astype(np.int64) * max(len(school_names), 1) + schools[placed]
    size = len(term_names) * len(school_names)
    way = {name: code for code, name in enumerate(ways)}
    counted = {
        "n_rows": np.bincount(cell, minlength=size),
        "n_by_number": np.bincount(cell[by[placed] == way.get("number", -2)], minlength=size),
        "n_by_alias": np.bincount(cell[by[placed] == way.get("alias", -2)], minlength=size),
        "n_by_name": np.bincount(cell[by[placed] == way.get("name", -2)], minlength=size),
        "n_unlinked": np.bincount(cell[by[placed] == -1], minlength=size),
    }
    cells = pd.MultiIndex.from_product([term_names, school_names], names=["term", "school"])
    frame = pd.DataFrame(counted, index=cells).reset_index().assign(table=table, role=role)
    frame = frame.assign(n_linked=frame["n_rows"] - frame["n_unlinked"])
    return frame[frame["n_rows"] > 0].sort_values(["term", "school"])[MATCH_REPORT].reset_index(drop=True)


def match_traits(rows: pd.DataFrame, table: str, role: str, traits: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Rows linked and not, by traits that both have (grade, month, mode ...); columns :data:`MATCH_TRAITS`.

    Parameters
    ----------
    rows : DataFrame
        ``term, by`` (missing where not linked).
    traits : mapping of name to Series
        Level of each row, missing where the row doesn't tell.
    """
    term, linked = rows["term"], rows["by"].notna().to_numpy()
    counted = []
    for trait, levels in traits.items():
        codes, cells = pd.factorize(joint([term, levels]))
        first = np.full(len(cells), -1, dtype=np.int64)
        first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
        frame = pd.DataFrame(
            {
                "term": term.iloc[first].astype("object").to_numpy(),
                "level": levels.iloc[first].astype("object").to_numpy(),
                "n_linked": np.bincount(codes[linked], minlength=len(cells)),
                "n_unlinked": np.bincount(codes[~linked], minlength=len(cells)),
            }
        )
        counted.append(frame.assign(trait=trait, table=table, role=role))
    joined = pd.concat(counted, ignore_index=True).dropna(subset=["term"])
    level = [None if each is None or each != each else str(each) for each in joined["level"]]
    return joined.assign(level=pd.Series(level, index=joined.index, dtype="object").fillna(""))[MATCH_TRAITS]


def months(days: pd.Series) -> pd.Series:
    """Month of each date, as "2026-03"; missing where the date is."""
    return recode(days, lambda day: pd.Timestamp(day).strftime("%Y-%m"))
