"""Link rows to children of the roster: by student number, else school, class and name; never a guess."""

from __future__ import annotations

import pandas as pd

from cobench.ingest.text import map_unique, name_key

MATCH_REPORT = [
    "term",
    "school",
    "table",
    "role",
    "n_rows",
    "n_linked",
    "n_by_number",
    "n_by_name",
    "n_unlinked",
]


def roster_index(roster: pd.DataFrame) -> pd.DataFrame:
    """Who answers to a name in each class.

    Parameters
    ----------
    roster : DataFrame
        ``term, school, class_id, name, student``; ``student`` is missing for rows in quarantine, which keep
        their name taken: a namesake of theirs must not be picked as the only one.

    Returns
    -------
    DataFrame
        Indexed by ``term, school, class_id, name_key``: ``student`` and ``n`` (how many children).
    """
    keys = ["term", "school", "class_id", "name_key"]
    rows = roster[roster["class_id"].notna()].reset_index(drop=True)
    rows = rows.assign(name_key=map_unique(rows["name"], name_key).astype("str"))
    rows = rows.assign(token=rows["student"].astype("object").where(rows["student"].notna(), rows.index))
    grouped = rows.groupby(keys, sort=False)
    return pd.DataFrame({"student": grouped["student"].first(), "n": grouped["token"].nunique()})


def link(rows: pd.DataFrame, index: pd.DataFrame, numbers: pd.Series | None = None) -> pd.DataFrame:
    """Find the child of each row.

    Parameters
    ----------
    rows : DataFrame
        ``term, school, class_id, name_key``.
    index : DataFrame
        From :func:`roster_index`.
    numbers : Series, optional
        Pseudonyms of children of the roster found by student number, missing elsewhere; they come first.

    Returns
    -------
    DataFrame
        ``student``, ``rule`` (missing where linked) and ``by`` (``number`` or ``name``) on the index of ``rows``.
    """
    keys = pd.MultiIndex.from_frame(rows[["term", "school", "class_id", "name_key"]].astype("object"))
    places = index.index.get_indexer(keys) if len(index) else pd.Series(-1, index=rows.index).to_numpy()
    hit = places >= 0
    student = pd.Series(None, index=rows.index, dtype="object")
    rule = pd.Series("unknown_student", index=rows.index, dtype="object")
    if hit.any():
        found = index.iloc[places[hit]]
        n, who = found["n"].to_numpy(), found["student"].astype("object").to_numpy()
        unique = (n == 1) & pd.notna(who)
        rule[hit] = (
            pd.Series("ambiguous_student", index=rows.index[hit])
            .mask(n == 1, "student_in_quarantine")
            .mask(unique, None)
        )
        student[hit] = pd.Series(who, index=rows.index[hit], dtype="object").where(unique)
    by = pd.Series(None, index=rows.index, dtype="object").mask(student.notna(), "name")
    if numbers is not None:
        listed = numbers.notna()
        student, by = student.mask(listed, numbers), by.mask(listed, "number")
        rule = rule.mask(listed, None)
    return pd.DataFrame({"student": student, "rule": rule, "by": by})


def match_report(rows: pd.DataFrame, table: str, role: str) -> pd.DataFrame:
    """Rows linked and not, by term and school; columns :data:`MATCH_REPORT`.

    Parameters
    ----------
    rows : DataFrame
        ``term, school, by`` (missing where not linked).
    """
    grouped = rows.assign(
        number=rows["by"] == "number", name=rows["by"] == "name", none=rows["by"].isna()
    ).groupby(["term", "school"], sort=True)
    counted = grouped.agg(
        n_rows=("none", "size"),
        n_by_number=("number", "sum"),
        n_by_name=("name", "sum"),
        n_unlinked=("none", "sum"),
    ).reset_index()
    counted = counted.assign(n_linked=counted["n_rows"] - counted["n_unlinked"], table=table, role=role)
    return counted[MATCH_REPORT]
