"""Records that look unusual beside those of other schools: a reason to ask, never an accusation.

Of each sign a school has so many of so many entries. What other schools have says what is usual, and how much schools
differ anyhow: a beta-binomial distribution fitted without the school and without the highest of the others. Tail
probabilities are corrected over all schools and signs (Holm 1979), so that in a district where everybody is honest, one
school or more is named in about 5 % of terms (``benchmarks/bench_gaming.py`` measures it).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd
from scipy.special import betaln, gammaln

from cobench.study import Term

SIGNS = ("late", "heaped", "copied", "route", "relabelled", "no_form")
COLUMNS = ["school", "sign", "n", "n_of", "share", "usual", "p_value", "p_adjusted", "unusual"]
LATE_DAYS = 7
HEAP_DAYS = 3
SHORT_MINUTES = 10
TRAVEL_MINUTES = 10
EVENING_MINUTES, DAY_MINUTES = 300, 600
LEAST_ENTRIES, LEAST_SCHOOLS, LEAST_FOUND = 20, 6, 8
_TIMES_USUAL = 2.0
_LEFT_OUT = 2  # highest of the other schools, which may have their own reasons to be asked
# What leaving the two highest of 19 exponential shares out takes from their mean and variance.
_MEAN_BACK, _SPREAD_BACK = 1.3, 3.0
_LEAST_SPREAD = 0.02  # correlation of entries within a school that is always allowed for
_LEVEL = 0.05


def marked(contacts: pd.DataFrame, term: Term, school_days: Sequence[date]) -> pd.DataFrame:
    """Entries of ``term`` with a column for each of :data:`SIGNS`: True, False, or missing where it can't be told.

    ``late``: entered more than 7 days after its date. ``heaped``: that, and in the 3 days up to a deadline of the term
    (exam, end, day on which files were due). ``copied``: a home visit whose words another home visit of the school has
    as well. ``route``: home visits of one teacher and day that together, with 10 minutes of way between families, need
    more than 5 hours on a school day or 10 on another. ``relabelled``: a home visit shorter than 10
    minutes without a form. ``no_form``: a home visit of which no form is on file.
    """
    rows = contacts[contacts["term"] == term.id].reset_index(drop=True)
    day, entered = rows["date"].dt.normalize(), rows["entered_at"].dt.normalize()
    at_home = (rows["mode"] == "at_home").to_numpy()
    deadlines = {each for each in (term.exam, term.end, term.files_due) if each}
    near = np.zeros(len(rows), dtype=bool)
    for deadline in sorted(deadlines):
        before = (pd.Timestamp(deadline) - entered).dt.days
        near |= before.between(0, HEAP_DAYS).to_numpy()
    known = entered.notna().to_numpy()
    words = rows["note_key"]
    short = rows["minutes"].lt(SHORT_MINUTES) & rows["minutes"].notna()
    no_form = rows["has_form"].eq(False).fillna(False).astype(bool)
    told = rows["minutes"].notna() & rows["has_form"].notna()
    late = (entered - day).dt.days.gt(LATE_DAYS).to_numpy()
    flags = {
        "late": (late, known),
        "heaped": (near & late, known),
        "copied": (_repeated(rows, at_home), at_home & words.notna().to_numpy()),
        "route": (_too_much(rows, at_home, school_days), at_home & rows["teacher"].notna().to_numpy()),
        "relabelled": ((short & no_form).to_numpy(), at_home & told.to_numpy()),
        "no_form": (no_form.to_numpy(), at_home & rows["has_form"].notna().to_numpy()),
    }
    return rows.assign(
        **{sign: pd.Series(flag, dtype="boolean").where(can_tell) for sign, (flag, can_tell) in flags.items()}
    )


def _repeated(rows: pd.DataFrame, at_home: np.ndarray) -> np.ndarray:
    """Home visits whose words another one of the same school has; two children on one line share theirs."""
    visits = rows[at_home & rows["note_key"].notna()]
    once = visits.drop_duplicates(["school", "teacher", "date", "note_key"])
    times = once.groupby(["school", "note_key"]).size()
    often = times[times > 1].index
    keys = pd.MultiIndex.from_frame(rows[["school", "note_key"]])
    return np.asarray(keys.isin(often)) & at_home


def _too_much(rows: pd.DataFrame, at_home: np.ndarray, school_days: Sequence[date]) -> np.ndarray:
    visits = rows[at_home & rows["teacher"].notna()]
    held = visits.groupby(["teacher", "date"]).agg(minutes=("minutes", "sum"), n=("date", "size"))
    needed = held["minutes"] + TRAVEL_MINUTES * (held["n"] - 1)
    open_ = {pd.Timestamp(day) for day in school_days}
    at_most = np.where(held.index.get_level_values("date").isin(open_), EVENING_MINUTES, DAY_MINUTES)
    impossible = held.index[(needed > at_most).to_numpy()]
    return np.asarray(pd.MultiIndex.from_frame(rows[["teacher", "date"]]).isin(impossible)) & at_home


def unusual_records(contacts: pd.DataFrame, term: Term, school_days: Sequence[date]) -> pd.DataFrame:
    """What is unusual in each school's visit log of ``term``.

    Returns
    -------
    DataFrame
        Columns :data:`COLUMNS`, a row a school and sign that can be told: ``n`` of ``n_of`` entries, the ``usual`` share of
        the other schools, p-values (missing where fewer than six schools can be compared) and whether it looks
        ``unusual``: at least eight entries, at least twice the usual share, and an adjusted p below 0.05.
    """
    entries = marked(contacts, term, school_days)
    counted = [_counted(entries, sign) for sign in SIGNS]
    rows = pd.concat(counted, ignore_index=True) if len(entries) else pd.DataFrame(columns=COLUMNS)
    if not len(rows):
        return pd.DataFrame(columns=COLUMNS)
    tested = rows["p_value"].notna()
    adjusted = pd.Series(np.nan, index=rows.index)
    if tested.any():
        adjusted[tested] = _holm(rows.loc[tested, "p_value"].to_numpy())
    found = (adjusted < _LEVEL) & (rows["n"] >= LEAST_FOUND) & (rows["share"] >= _TIMES_USUAL * rows["usual"])
    return rows.assign(p_adjusted=adjusted, unusual=found)[COLUMNS]


def _counted(entries: pd.DataFrame, sign: str) -> pd.DataFrame:
    told = entries[entries[sign].notna()]
    by_school = (
        told.groupby("school", sort=True)[sign].agg(n="sum", n_of="size").astype("int64").reset_index()
    )
    k, n = by_school["n"].to_numpy(), by_school["n_of"].to_numpy()
    enough = n >= LEAST_ENTRIES
    usual, p = np.full(len(n), np.nan), np.full(len(n), np.nan)
    for i in np.flatnonzero(enough) if enough.sum() >= LEAST_SCHOOLS else ():
        others = enough.copy()
        others[i] = False
        mean, spread = _fitted(k[others], n[others])
        usual[i] = mean
        p[i] = _tail(int(k[i]), int(n[i]), mean / spread, (1 - mean) / spread)
    return by_school.assign(sign=sign, share=k / n, usual=usual, p_value=p)


def _fitted(k: np.ndarray, n: np.ndarray) -> tuple[float, float]:
    """Mean share of schools and how much they differ (1 / (a + b) of the beta distribution), by moments.

    The two highest are left out of both, and what that takes away is given back.
    """
    kept = np.argsort(k / n, kind="stable")[: max(4, len(n) - _LEFT_OUT)]
    k, n = k[kept], n[kept]
    mean = (k.sum() + 0.5) / (n.sum() + 1)
    excess = np.mean((k / n - mean) ** 2) - np.mean(mean * (1 - mean) / n)
    correlation = min(max(_SPREAD_BACK * excess / (mean * (1 - mean)), _LEAST_SPREAD), 0.9)
    mean = min(_MEAN_BACK * mean, 0.95)
    return float(mean), float(correlation / (1 - correlation))


def _tail(k: int, n: int, a: float, b: float) -> float:
    """Probability of ``k`` or more of ``n`` where shares are beta(a, b) distributed."""
    at_least = np.arange(k, n + 1)
    ways = gammaln(n + 1) - gammaln(at_least + 1) - gammaln(n - at_least + 1)
    logs = ways + betaln(at_least + a, n - at_least + b) - betaln(a, b)
    return float(min(1.0, np.exp(logs).sum()))


def _holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values. (statsmodels' collect garbage at every call, which takes longer than all the rest.)"""
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * (len(p_values) - np.arange(len(p_values))))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted
