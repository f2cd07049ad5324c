"""Counts behind a frame of estimates: arms, subgroups within everybody, one method's sample within another's."""

from __future__ import annotations

import math
from itertools import combinations

import pandas as pd

from cobench.release.structure import Key, Registered, Shown, Sum

QUESTION = ("term", "treatment", "contrast", "at", "outcome", "estimand", "method", "spec_id")
SAMPLE = (
    "estimand",
    "method",
    "spec_id",
    "population",
)  # what may differ between nested samples of one question
COUNT_COLUMNS = ("n_obs", "n_treated", "n_compared")
DECLARED = 4.0  # the size behind a declared effect is hidden after those of its robustness checks
SIZES = ("n_obs", "n_treated", "ess", "df")


def column(frame: pd.DataFrame, name: str, default: object) -> pd.Series:
    """A column, or ``default`` where the frame has none."""
    return frame[name] if name in frame else pd.Series(default, index=frame.index)


def families(estimates: pd.DataFrame) -> pd.Series:
    """Name of the subgroup family of each row (``sex`` of ``sex=f``), missing for everybody."""
    return _subgroups(estimates).str.extract(r"^(.*?)\s*(?:=|==)[^=]*$")[0]


def beside(estimates: pd.DataFrame, small: pd.Series) -> pd.Series:
    """Rows to hide because exactly one other level of their subgroup family is hidden.

    The estimate of everybody is nearly a weighted mean of its levels, so the last one would follow.
    """
    found = pd.Series(False, index=estimates.index)
    n_obs = pd.to_numeric(estimates["n_obs"]).astype("float64")
    keys = [column(estimates, name, "").astype(str).fillna("") for name in QUESTION]
    grouped = estimates.index.to_series().groupby([families(estimates), _base(estimates), *keys], dropna=True)
    for rows in grouped.groups.values():
        sized = rows[n_obs[rows].notna() & ~small[rows]]
        if small[rows].sum() == 1 and len(sized):
            found[n_obs[sized].idxmin()] = True
    return found


def registered(estimates: pd.DataFrame, known: pd.Series, min_cell: int, title: str) -> Registered:
    """The counts of a frame of estimates.

    Parameters
    ----------
    known : bool Series
        Rows whose counts are printed.
    """
    counts: dict[Key, Shown] = {}
    sums: list[Sum] = []
    cells = _cells(estimates)
    n_obs, n_treated = (pd.to_numeric(estimates[c]).astype("float64") for c in ("n_obs", "n_treated"))
    declared = column(estimates, "role", "").ne("robustness")
    samples: dict[tuple, list[int]] = {}
    for i, cell in cells.items():
        if n_obs[i] != n_obs[i]:
            continue
        arms = {"n_obs": n_obs[i], "n_treated": n_treated[i], "n_compared": n_obs[i] - n_treated[i]}
        for name, value in arms.items():
            if value == value:
                key = ("estimates", name, cell)
                counts[key] = _shown(key, value, bool(known[i]), min_cell, DECLARED if declared[i] else 1.0)
        if n_treated[i] == n_treated[i]:
            parts = (("estimates", "n_treated", cell), ("estimates", "n_compared", cell))
            sums.append(Sum(("estimates", "n_obs", cell), parts, "other arms", all_of_it=True))
        samples.setdefault(tuple(pair for pair in cell if pair[0] not in SAMPLE), []).append(i)
    for rows in samples.values():
        sums += _nested(rows, cells, counts)
    return Registered(title, tuple(counts.values()), tuple(sums))


def _shown(key: Key, value: float, known: bool, min_cell: int, weight: float) -> Shown:
    return Shown(key, round(value), known, 0.0, math.inf, round(value) < min_cell, weight)


def _nested(rows: list[int], cells: dict[int, tuple], counts: dict[Key, Shown]) -> list[Sum]:
    """One method's sample lies within another's: their difference is a count of children."""
    found = []
    for name in COUNT_COLUMNS:
        keys = [key for i in rows if (key := ("estimates", name, cells[i])) in counts]
        ordered = sorted(keys, key=lambda key: -counts[key].value)
        found += [
            Sum(larger, (smaller,), f"not in {dict(smaller[2])['method']}", all_of_it=True)
            for larger, smaller in combinations(ordered, 2)
        ]
    return found


def _cells(estimates: pd.DataFrame) -> dict[int, tuple[tuple[str, str], ...]]:
    """The cell of each row: its question, and the level of its subgroup family."""
    subgroup, family = _subgroups(estimates), families(estimates)
    population = column(estimates, "population", "all").fillna("all").astype(str)
    records = {name: column(estimates, name, "").fillna("").astype(str) for name in QUESTION}
    cells = {}
    for i in estimates.index:
        named = {name: values[i] for name, values in records.items()} | {
            "population": population[i].split(":")[0]
        }
        if isinstance(family[i], str):
            named[f"subgroup {family[i]}"] = subgroup[i]
        elif subgroup[i] not in ("", "all"):
            named["subgroup"] = subgroup[i]
        cells[i] = tuple(sorted(named.items()))
    return cells


def rows_of(estimates: pd.DataFrame, keys: tuple[Key, ...]) -> pd.Series:
    """Rows whose counts are among ``keys``."""
    hidden = {key[2] for key in keys if key[0] == "estimates"}
    cells = _cells(estimates)
    return pd.Series([cells[i] in hidden for i in estimates.index], index=estimates.index, dtype=bool)


def _subgroups(estimates: pd.DataFrame) -> pd.Series:
    return column(estimates, "subgroup", "").fillna("").astype(str)


def _base(estimates: pd.DataFrame) -> pd.Series:
    return column(estimates, "population", "all").fillna("all").astype(str).str.split(":").str[0]
