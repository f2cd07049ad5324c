"""Which averages of group-time effects are told, and how they become rows of the frame of estimates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from cobench.effects.did_averages import Average, Fitted, average, combined, simultaneous_level
from cobench.effects.did_cells import Cell
from cobench.effects.did_panel import StudentTerms

AVERAGES = ("simple", "dynamic", "group", "calendar")
BANDS = [
    "estimand",
    "subgroup",
    "term",
    "at",
    "estimate",
    "std_error",
    "band_low",
    "band_high",
    "pointwise_level",
]
LEVEL = 0.95


@dataclass(frozen=True)
class Line:
    """One average with the question it answers; ``banded``: part of its family's simultaneous bands."""

    estimand: str
    average: Average
    subgroup: str = ""
    term: str = ""
    at: float = float("nan")
    banded: bool = True


def lines(fitted: Fitted, panel: StudentTerms, lasting: int | None) -> Iterator[Line]:
    """Averages of the cells.

    ``lasting`` None: groups by first exposure, with Callaway and Sant'Anna's four averages (events and terms are averaged
    evenly in their overall rows, groups by size). Otherwise the effect of an exposure in its own term (``simple`` and by
    term), and of one some terms ago (``dynamic``).
    """
    kind = np.array([cell.kind for cell in fitted.cells])
    at = np.array([cell.at for cell in fitted.cells])
    for place, cell in enumerate(fitted.cells):
        only = np.arange(len(kind)) == place
        term = panel.terms[cell.term]
        yield Line("group_time", average(fitted, only), group_label(cell, panel), term, cell.at)
    first = lasting is None
    effect = (kind == "effect") & (first | (at == 0))
    if effect.any():
        yield Line("simple", average(fitted, effect), banded=False)
    told = kind != "carry_over"
    by_event = [(value, average(fitted, told & (at == value))) for value in np.unique(at[told])]
    yield from (Line("dynamic", found, at=value) for value, found in by_event)
    after = [found for value, found in by_event if value >= 0]
    if first and after:
        yield Line("dynamic", combined(fitted, after), banded=False)
    yield from _by(fitted, panel, effect, "calendar")
    if first:
        yield from _by(fitted, panel, effect, "group")
    if (~told).any():
        yield Line("carry_over", average(fitted, ~told), at=float(at[~told][0]), banded=False)


def _by(fitted: Fitted, panel: StudentTerms, effect: np.ndarray, estimand: str) -> Iterator[Line]:
    """One average a group (even over terms) or a term (by size), and the overall one."""
    grouped = estimand == "group"
    key = np.array([cell.group if grouped else cell.term for cell in fitted.cells])
    places = np.unique(key[effect])
    if len(places) == 0:
        return
    found = [average(fitted, effect & (key == place), by_size=not grouped) for place in places]
    for place, each in zip(places, found, strict=True):
        label = panel.terms[place]
        yield Line(estimand, each, f"first={label}" if grouped else "", "" if grouped else label)
    sizes = None
    if grouped:
        sizes = np.array([fitted.sizes[each.members][0] for each in found])
    yield Line(estimand, combined(fitted, found, sizes), banded=False)


def group_label(cell: Cell, panel: StudentTerms) -> str:
    """The group of a cell, as it stands in ``subgroup``."""
    label = f"first={panel.terms[cell.group]}"
    return f"start={panel.terms[cell.group]};before={cell.before}" if cell.before else label


def row_of_line(line: Line, fitted: Fitted, panel: StudentTerms, spread: float) -> dict:
    """Numbers of an average as a mapping with column names of the frame of estimates."""
    members = np.flatnonzero(line.average.members)
    exposed = np.logical_or.reduce([fitted.fits[place].exposed for place in members])
    unexposed = np.logical_or.reduce([fitted.fits[place].unexposed for place in members])
    used = exposed | unexposed
    clustered = panel.cluster is not None
    return {
        "treatment": panel.names["treatment"], "contrast": panel.names["level"], "outcome": panel.names["outcome"],
        "population": "all", "subgroup": line.subgroup, "term": line.term, "at": line.at,
        "estimand": line.estimand, "method": "did", "estimate": line.average.estimate,
        "std_error": line.average.std_error, "df": line.average.df,
        "effect_size": line.average.estimate / spread if spread > 0 else np.nan,
        "es_type": "in SD of the outcome of each student's first term",
        "n_obs": int(used.sum()), "n_treated": int(exposed.sum()),
        "n_clusters": len(np.unique(fitted.clusters[used])) if clustered else None,
        "n_treated_clusters": len(np.unique(fitted.clusters[exposed])) if clustered else None,
        "se_type": "IF" if fitted.raw else "IF-CR2" if clustered else "IF-HC2",
        "status": "ok",
    }  # fmt: skip


def without_answer(panel_names: dict[str, str], reason: str, **label: object) -> dict:
    """The row of a question over terms that can't be answered."""
    return {
        "treatment": panel_names["treatment"], "contrast": panel_names["level"], "outcome": panel_names["outcome"],
        "population": "all", "method": "did", "status": "not_estimable", "reason": reason,
        "evidence": "not_estimable", **label,
    }  # fmt: skip


def bands_of(told: list[Line], n_draws: int, seed: int) -> pd.DataFrame:
    """Simultaneous 95 % bands (:data:`BANDS`) over all rows of an estimand: all hold together 19 times out of 20."""
    rows = []
    for estimand in dict.fromkeys(line.estimand for line in told if line.banded):
        family = [line for line in told if line.estimand == estimand and line.banded]
        level = simultaneous_level([line.average for line in family], LEVEL, n_draws, seed)
        for line in family:
            found = line.average
            half = float(stats.t.isf((1 - level) / 2, found.df)) * found.std_error
            ends = found.estimate - half, found.estimate + half
            label = (estimand, line.subgroup, line.term, line.at)
            rows.append((*label, found.estimate, found.std_error, *ends, level))
    return pd.DataFrame(rows, columns=BANDS)
