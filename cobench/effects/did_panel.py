"""Long rows of students and terms as arrays: students by terms, in an order set by their content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cobench.effects.reasons import not_estimable
from cobench.effects.sample import (
    FLOW,
    add_step,
    as_level,
    as_number,
    code_covariates,
    coded,
    is_categorical,
    require_columns,
)

MOST_MOVERS = 0.10


@dataclass(frozen=True)
class StudentTerms:
    """Outcome and exposure of N students in T terms.

    Attributes
    ----------
    y, d : ndarray, (N, T)
        Outcome, and exposure (0, 1); NaN where missing, or where the student was at another level.
    present : ndarray of bool, (N, T)
        Whether there is a row at all.
    first : ndarray of int, (N,)
        Position of the first term with a known exposure to the level; T for those without.
    row : ndarray of int, (N, T)
        Row of ``x``; -1 where the student has no row or a covariate is missing.
    x : ndarray, (rows, k)
        Coded covariates.
    cluster : ndarray of int, (N,), or None
    terms : tuple of str
        Labels in their order.
    times : ndarray, (T,)
        The terms' numbers, or their positions where they aren't numbers.
    flow : DataFrame
        :data:`cobench.effects.sample.FLOW`, in students.
    """

    y: np.ndarray
    d: np.ndarray
    present: np.ndarray
    first: np.ndarray
    row: np.ndarray
    x: np.ndarray
    cluster: np.ndarray | None
    terms: tuple[str, ...]
    times: np.ndarray
    flow: pd.DataFrame
    names: dict[str, str]

    def take(self, keep: np.ndarray, step: str, column: str = "") -> StudentTerms:
        """The students of a mask; the others are counted under ``step``."""
        return replace(
            self,
            y=self.y[keep], d=self.d[keep], present=self.present[keep], first=self.first[keep], row=self.row[keep],
            cluster=None if self.cluster is None else self.cluster[keep],
            flow=add_step(self.flow, step, int(keep.sum()), column),
        )  # fmt: skip


def read_terms(
    frame: pd.DataFrame,
    *,
    outcome: str,
    treatment: str,
    student: str,
    term: str,
    level: str,
    reference: str,
    covariates: Sequence[str] = (),
    cluster: str | None = None,
) -> StudentTerms:
    """Arrays of the comparison of ``level`` with ``reference``.

    Students who change their group of ``cluster`` are left out and counted, since no error can obey both groups.

    Raises
    ------
    MissingColumnError
    NotEstimableError
        For two rows of a student and term, text or infinite values, one term, or a group that does not survive:
        more than a tenth of the students change it.
    """
    require_columns(frame, [outcome, treatment, student, term, *covariates, *filter(None, [cluster])])
    rows = frame[frame[student].notna() & frame[term].notna()]
    if rows.empty or rows[outcome].isna().all():
        raise not_estimable("no_rows", treatment=treatment, outcome=outcome)
    if rows.duplicated([student, term]).any():
        raise not_estimable("repeated_rows", student=student, term=term)
    terms, times, column = _terms(rows[term])
    if len(terms) < 2:
        raise not_estimable("one_term", term=term)
    code, labels = coded(as_level(rows[student]))
    shape = (len(labels), len(terms))
    y = _placed(_numbers(rows[outcome]), code, column, shape)
    if np.nanmax(y) - np.nanmin(y) <= 1e-12 * max(1.0, np.nanmax(np.abs(y))):
        raise not_estimable("constant_outcome", outcome=outcome)
    exposure = as_level(rows[treatment])
    at_either = exposure.isin([level, reference]).to_numpy(dtype=bool)
    d = _placed(np.where(at_either, exposure == level, np.nan), code, column, shape)
    whole, x = _covariates(rows, covariates)
    row = np.full(shape, -1)
    row[code[whole], column[whole]] = np.arange(len(whole))
    present = np.zeros(shape, dtype=bool)
    present[code, column] = True
    exposed = d == 1
    panel = StudentTerms(
        y, d, present, np.where(exposed.any(axis=1), exposed.argmax(axis=1), shape[1]), row, x, None, terms, times,
        add_step(pd.DataFrame(columns=FLOW), "students_given", shape[0]),
        {"outcome": outcome, "treatment": treatment, "term": term, "cluster": cluster or "", "level": level,
         "reference": reference},
    )  # fmt: skip
    if cluster:
        panel = _with_cluster(panel, rows[cluster], code)
    return _in_content_order(panel)


def absorbing(panel: StudentTerms, whole_history: bool) -> StudentTerms:
    """The students whose first exposure is known, exposed after their first term or not at all.

    ``whole_history``: an exposure holds for ever (what comes later is not looked at); otherwise a student who is
    unexposed after an exposure contradicts the declaration.

    Raises
    ------
    NotEstimableError
    """
    n, periods = panel.d.shape
    later = np.arange(periods)[None, :] > panel.first[:, None]
    if not whole_history and ((panel.d == 0) & later).any():
        raise not_estimable("not_absorbing", treatment=panel.names["treatment"])
    before = np.arange(periods)[None, :] < panel.first[:, None]
    unknown = before & np.isnan(panel.d)
    # A missing exposure before a known "not yet" was "not yet" too, unless a visit may have passed unseen.
    known_later = np.cumsum((panel.d == 0)[:, ::-1], axis=1)[:, ::-1] > 0
    places, entered = np.arange(periods)[None, :], panel.present.argmax(axis=1)[:, None]
    started = (panel.first < periods)[:, None] | (whole_history & known_later)
    absent_between = ~panel.present & (places > entered) & started
    open_gap = unknown & (whole_history | ~known_later) & (panel.present | absent_between)
    panel = panel.take(~open_gap.any(axis=1), "exposure_unknown")
    return panel.take(panel.first > panel.present.argmax(axis=1), "exposed_at_start")


def at_two_terms(panel: StudentTerms) -> StudentTerms:
    """The students whose outcome is known in two terms."""
    return panel.take(np.isfinite(panel.y).sum(axis=1) > 1, "one_term")


def complete_students(panel: StudentTerms) -> StudentTerms:
    """The students whose outcome and covariates are known in all terms."""
    return panel.take((np.isfinite(panel.y) & (panel.row >= 0)).all(axis=1), "not_in_all_terms")


def _terms(values: pd.Series) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Labels in order, their numbers, and the position of each row's term."""
    if isinstance(values.dtype, pd.CategoricalDtype) and values.cat.ordered:
        order = [each for each in values.cat.categories if (values == each).any()]
    else:
        order = sorted(values.unique())
    numeric = not is_categorical(values)
    times = np.array(order, dtype="float64") if numeric else np.arange(len(order), dtype="float64")
    labels = tuple(as_level(pd.Series(order)))
    places = pd.Series(np.arange(len(order)), index=pd.Index(order))
    return labels, times, places.reindex(values.astype("object")).to_numpy(dtype=int)


def _numbers(values: pd.Series) -> np.ndarray:
    numbers = np.full(len(values), np.nan)
    known = values.notna().to_numpy(dtype=bool)
    numbers[known] = as_number(values[known])
    return numbers


def _placed(values: np.ndarray, code: np.ndarray, column: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    found = np.full(shape, np.nan)
    found[code, column] = values
    return found


def _covariates(rows: pd.DataFrame, columns: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rows without a missing covariate, and their coded covariates."""
    keep = np.ones(len(rows), dtype=bool)
    for name in columns:
        keep &= rows[name].notna().to_numpy(dtype=bool)
    return np.flatnonzero(keep), code_covariates(rows[keep], columns).x


def _with_cluster(panel: StudentTerms, values: pd.Series, code: np.ndarray) -> StudentTerms:
    known = values.notna().to_numpy(dtype=bool)
    groups, _ = coded(as_level(values[known]))
    low, high = np.full(len(panel.y), np.iinfo(int).max), np.full(len(panel.y), -1)
    np.minimum.at(low, code[known], groups)
    np.maximum.at(high, code[known], groups)
    panel = replace(panel, cluster=high)
    moved = (high >= 0) & (low != high)
    if moved.sum() > MOST_MOVERS * max((high >= 0).sum(), 1):
        raise not_estimable("moving_clusters", cluster=panel.names["cluster"])
    panel = panel.take(~moved, "moved_cluster", panel.names["cluster"])
    panel = panel.take(panel.cluster >= 0, "place_missing", panel.names["cluster"])
    if len(np.unique(panel.cluster)) < 2:
        raise not_estimable("one_cluster", cluster=panel.names["cluster"])
    return panel


def _in_content_order(panel: StudentTerms) -> StudentTerms:
    """Students sorted by what they hold, never by their names."""
    keys = [panel.cluster] if panel.cluster is not None else []
    order = np.lexsort([*keys, *np.nan_to_num(panel.d, nan=-1.0).T, *np.nan_to_num(panel.y, nan=-np.inf).T])
    return replace(
        panel, y=panel.y[order], d=panel.d[order], present=panel.present[order], first=panel.first[order],
        row=panel.row[order], cluster=None if panel.cluster is None else panel.cluster[order],
    )  # fmt: skip
