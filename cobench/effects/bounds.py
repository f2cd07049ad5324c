"""Lee's bounds: the effect on those whose outcome would be known either way, when absence depends on exposure.

Lee (2009). Assumed is that exposure moves everybody's presence in one direction only (monotonicity), in each cell of
``covariates`` one direction (Semenova 2025), and that exposure is as good as drawn, within cells. The arm with the
larger share of known outcomes then holds the same students as the other and some more; those could be the best or the
worst, so that share is trimmed from either end. Cells tighten the bounds.

Errors are sums of influence contributions by cluster; without a cluster the variance is Lee's Proposition 3. The
interval covers the effect and not the bounds (Imbens and Manski 2004).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy import optimize, stats

from cobench.effects.answers import row_without_answer
from cobench.effects.effect_sizes import hedges_correction, pooled_sd
from cobench.effects.estimates import as_estimates
from cobench.effects.evidence import evidence_of
from cobench.effects.inference import dense_codes
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import as_level, as_number, coded, group_codes, levels_of, require_columns
from cobench.errors import NotEstimableError

LEVEL = 0.95
LEAST = 2
LOWER, UPPER = "lower_bound", "upper_bound"
CELLS = ["cell", "n", "presence_treated", "presence_reference", "trimmed_arm", "trimmed_share", "weight"]


@dataclass(frozen=True)
class LeeFit:
    """Bounds of one contrast.

    Attributes
    ----------
    lower, upper : float
    lower_error, upper_error, df : float
    conf_low, conf_high : float
        Of the effect on the always present.
    p_value : float
        Largest level at which that interval leaves out zero; 1 where the bounds hold zero.
    cells : DataFrame
        Columns :data:`CELLS`: by cell, the share present by arm, which arm was trimmed and by how much, and the cell's
        share of the always present.
    n_obs, n_treated, n_clusters, n_treated_clusters : int
        Students with a known outcome.
    """

    lower: float
    upper: float
    lower_error: float
    upper_error: float
    df: float
    conf_low: float
    conf_high: float
    p_value: float
    cells: pd.DataFrame
    n_obs: int
    n_treated: int
    n_clusters: int | None
    n_treated_clusters: int | None
    spread: float


@dataclass(frozen=True)
class _Arm:
    """One arm of one cell: rows (n,), presence (n,), outcomes of those present."""

    rows: np.ndarray
    present: np.ndarray
    y: np.ndarray

    @property
    def share(self) -> float:
        return float(self.present.mean())


def lee_bounds(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    observed: str | None = None,
    covariates: Sequence[str] = (),
    cluster: str | None = None,
    reference: object = None,
    level: float = LEVEL,
) -> pd.DataFrame:
    """Lower and upper bound of the effect of each level on students whose outcome would be known either way.

    Parameters
    ----------
    frame : DataFrame
        One row a student assigned or exposed, those without an outcome included.
    observed : str, optional
        Flag column: whether the outcome counts as known. By default, where it isn't missing.
    covariates : sequence of str
        Columns whose combinations are the cells: categories, or numbers cut beforehand.
    cluster : str, optional
        Groups that the error obeys.

    Returns
    -------
    DataFrame
        :data:`cobench.effects.estimates.COLUMNS`, two rows a level with estimand ``lower_bound`` and ``upper_bound``,
        each with its own error. ``conf_low``, ``conf_high`` and ``p_value`` are those of the effect, the same in both.
        Evidence is ``descriptive`` unless a draw is declared elsewhere.
    """
    levels, base = levels_of(frame, treatment, reference)
    rows = []
    for each in levels:
        fit = partial(
            lee_fit, frame, outcome, treatment, each, base, observed=observed, covariates=covariates, cluster=cluster,
            level=level,
        )  # fmt: skip
        rows += _rows_of(fit, treatment, each, outcome, cluster, level)
    return as_estimates(rows)


def _rows_of(
    fit: Callable[[], LeeFit], treatment: str, contrast: str, outcome: str, cluster: str | None, level: float
) -> list[dict]:
    try:
        found = fit()
    except NotEstimableError as error:
        return [
            row_without_answer(
                error,
                treatment=treatment,
                level=contrast,
                outcome=outcome,
                estimand=side,
                method="lee_bounds",
            )
            for side in (LOWER, UPPER)
        ]
    shared = {
        "treatment": treatment, "contrast": contrast, "outcome": outcome, "method": "lee_bounds",
        "population": "all:always_present", "df": found.df, "conf_level": level, "conf_low": found.conf_low,
        "conf_high": found.conf_high, "p_value": found.p_value, "n_obs": found.n_obs, "n_treated": found.n_treated,
        "n_clusters": found.n_clusters, "n_treated_clusters": found.n_treated_clusters,
        "se_type": ("Lee-cluster" if cluster else "Lee") + ", Imbens-Manski interval",
        "es_type": "hedges_g (pooled SD of the two arms)", "evidence": evidence_of("lee_bounds").evidence,
    }  # fmt: skip
    factor = hedges_correction(found.n_obs) / found.spread
    return [
        shared | {"estimand": side, "estimate": value, "std_error": error, "effect_size": value * factor}
        for side, value, error in (
            (LOWER, found.lower, found.lower_error),
            (UPPER, found.upper, found.upper_error),
        )
    ]


def lee_fit(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    contrast: str,
    reference: str,
    *,
    observed: str | None = None,
    covariates: Sequence[str] = (),
    cluster: str | None = None,
    level: float = LEVEL,
) -> LeeFit:
    """Bounds of one contrast.

    Raises
    ------
    NotEstimableError
        Where an arm of a cell has fewer than two students with a known outcome, the outcome is constant, or there are
        too few clusters.
    """
    flags = [observed] if observed else []
    require_columns(frame, [outcome, treatment, *covariates, *filter(None, [cluster]), *flags])
    exposure = as_level(frame[treatment])
    keep = exposure.isin([contrast, reference]).to_numpy(dtype=bool, copy=True)
    for name in [*covariates, *filter(None, [cluster]), *flags]:
        keep &= frame[name].notna().to_numpy(dtype=bool)
    rows = frame[keep]
    d = (exposure[keep] == contrast).to_numpy()
    present = rows[outcome].notna().to_numpy(dtype=bool)
    if observed:
        present = present & rows[observed].astype("bool").to_numpy()
    y = np.full(len(rows), np.nan)
    y[present] = as_number(rows.loc[present, outcome])
    _check(y, d, present, treatment, contrast, reference, outcome)
    groups = coded(as_level(rows[cluster]))[0] if cluster else None
    if groups is not None:
        _check_clusters(groups, d, present, cluster)
    codes = group_codes(rows, list(covariates))
    labels = as_labels(rows, covariates)
    cell = np.zeros(len(rows), dtype=int) if codes is None else codes
    sides = [_bound(y, d, present, cell, top) for top in (True, False)]
    return _fit(y, d, present, groups, sides, cell, labels, level)


def as_labels(rows: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Text of the combination of ``columns`` of each row, (n,); empty without columns."""
    parts = [name + " = " + as_level(rows[name]).astype("str") for name in columns]
    found = parts[0] if parts else pd.Series("", index=rows.index)
    for part in parts[1:]:
        found = found + ", " + part
    return found.to_numpy(dtype="object")


def _check(
    y: np.ndarray,
    d: np.ndarray,
    present: np.ndarray,
    treatment: str,
    contrast: str,
    reference: str,
    outcome: str,
) -> None:
    if len(y) == 0 or not present.any():
        raise not_estimable("no_rows", treatment=treatment, outcome=outcome)
    arms = (
        ("treated", d, {"level": f"{treatment} = {contrast}"}),
        ("controls", ~d, {"reference": f"{treatment} = {reference}"}),
    )
    for arm, rows, slot in arms:
        n = int((rows & present).sum())
        if n < LEAST:
            raise not_estimable(f"few_{arm}" if n else f"no_{arm}", least=LEAST, **slot)
    if np.ptp(y[present]) <= 1e-12 * max(1.0, np.abs(y[present]).max()):
        raise not_estimable("constant_outcome", outcome=outcome)


def _check_clusters(groups: np.ndarray, d: np.ndarray, present: np.ndarray, cluster: str) -> None:
    if len(np.unique(groups)) < 2:
        raise not_estimable("one_cluster", cluster=cluster)
    places = dense_codes(groups)
    share = np.bincount(places, weights=d) / np.bincount(places)
    if np.all((share == 0) | (share == 1)) and min((share == 1).sum(), (share == 0).sum()) < 2:
        raise not_estimable("one_cluster_an_arm", cluster=cluster)


@dataclass(frozen=True)
class _Bound:
    value: float
    influence: np.ndarray
    cells: list[tuple]


def _bound(y: np.ndarray, d: np.ndarray, present: np.ndarray, cell: np.ndarray, top: bool) -> _Bound:
    """Bound with its influence contributions (n,), whose mean is zero; ``top``: the best of the extra ones trimmed."""
    n = len(y)
    values, masses, own, share_moves, cells = [], [], [], [], []
    for code in np.unique(cell):
        inside = cell == code
        treated, control = (_arm(y, present, np.flatnonzero(inside & arm)) for arm in (d, ~d))
        if min(treated.present.sum(), control.present.sum()) < LEAST:
            raise not_estimable("few_an_arm_of_a_cell", least=LEAST)
        more, less = (treated, control) if treated.share >= control.share else (control, treated)
        sign = 1.0 if more is treated else -1.0
        p = 1 - less.share / more.share
        # Trimming the best of the treated gives the lower bound, of the unexposed the upper one.
        kept_mean, slope, pull = _trimmed(more, p, (top if more is treated else not top))
        influence = np.zeros(n)
        influence[more.rows] += sign * pull / len(more.rows)
        for arm, change in ((more, less.share / more.share**2), (less, -1 / more.share)):
            influence[arm.rows] += sign * slope * change * (arm.present - arm.share) / len(arm.rows)
        influence[less.rows[less.present]] -= sign * (less.y - less.y.mean()) / less.present.sum()
        move = (inside - inside.mean()) * less.share / n
        move[less.rows] += inside.mean() * (less.present - less.share) / len(less.rows)
        values.append(sign * (kept_mean - less.y.mean()))
        masses.append(inside.mean() * less.share)
        own.append(influence)
        share_moves.append(move)
        arm = "treated" if more is treated else "reference"
        cells.append((code, int(inside.sum()), treated.share, control.share, arm, p))
    mass = np.array(masses)
    weights = mass / mass.sum()
    value = float(weights @ values)
    influence = sum(w * each for w, each in zip(weights, own, strict=True))
    gaps = (np.array(values) - value) / mass.sum()
    influence = influence + sum(g * move for g, move in zip(gaps, share_moves, strict=True))
    return _Bound(value, influence, [(*row, w) for row, w in zip(cells, weights, strict=True)])


def _arm(y: np.ndarray, present: np.ndarray, rows: np.ndarray) -> _Arm:
    known = present[rows]
    return _Arm(rows, known, y[rows][known])


def _trimmed(arm: _Arm, p: float, top: bool) -> tuple[float, float, np.ndarray]:
    """Mean without a share ``p`` of one end, its slope in ``p``, and contributions (rows,) given ``p``.

    The boundary value is trimmed in part, so that ties and small numbers are exact.
    """
    y = -arm.y if top else arm.y
    order = np.argsort(y, kind="stable")
    n = len(y)
    ranked = y[order]
    kept = np.clip(np.arange(1, n + 1) - p * n, 0.0, 1.0)
    mean = float(kept @ ranked / ((1 - p) * n))
    edge = float(ranked[min(int(np.floor(p * n + 1e-9)), n - 1)])
    weight = np.empty(n)
    weight[order] = kept
    pull = np.zeros(len(arm.rows))
    pull[arm.present] = (weight * (y - edge) - (1 - p) * (mean - edge)) / ((1 - p) * arm.share)
    slope = (mean - edge) / (1 - p)
    return (-mean, -slope, -pull) if top else (mean, slope, pull)


def _fit(
    y: np.ndarray,
    d: np.ndarray,
    present: np.ndarray,
    groups: np.ndarray | None,
    sides: Sequence[_Bound],
    cell: np.ndarray,
    labels: np.ndarray,
    level: float,
) -> LeeFit:
    errors, df = zip(*(_error(side.influence, groups) for side in sides), strict=True)
    if min(errors) <= 1e-10 * float(np.std(y[present])):
        raise not_estimable("perfect_fit", outcome="the outcome")
    lower, upper = (side.value for side in sides)
    width = max(upper - lower, 0.0)
    half = _critical(width / max(errors), level, df[0])
    known = None if groups is None else groups[present]
    names = {code: labels[np.flatnonzero(cell == code)[0]] for code in np.unique(cell)}
    cells = pd.DataFrame([(names[row[0]], *row[1:]) for row in sides[0].cells], columns=CELLS)
    return LeeFit(
        lower=lower,
        upper=upper,
        lower_error=errors[0],
        upper_error=errors[1],
        df=df[0],
        conf_low=lower - half * errors[0],
        conf_high=upper + half * errors[1],
        p_value=_p_value(lower, upper, errors, df[0]),
        cells=cells,
        n_obs=int(present.sum()),
        n_treated=int((present & d).sum()),
        n_clusters=None if known is None else len(np.unique(known)),
        n_treated_clusters=None if known is None else len(np.unique(groups[present & d])),
        spread=pooled_sd(y[present & d], y[present & ~d]),
    )


def _error(influence: np.ndarray, groups: np.ndarray | None) -> tuple[float, float]:
    """Error and df: sums by cluster with G/(G - 1), or rows."""
    if groups is None:
        return float(np.sqrt(np.sum(influence**2))), np.inf
    sums = np.bincount(dense_codes(groups), weights=influence)
    g = len(sums)
    return float(np.sqrt(g / (g - 1) * np.sum(sums**2))), g - 1.0


def _critical(width: float, level: float, df: float) -> float:
    """``c`` with ``F(c + width) - F(-c) = level`` (Imbens and Manski 2004), F Student's t."""

    def gap(c: float) -> float:
        return stats.t.cdf(c + width, df) - stats.t.cdf(-c, df) - level

    return float(optimize.brentq(gap, 0.0, stats.t.ppf((1 + level) / 2, df) + 1.0, xtol=1e-12))


def _p_value(lower: float, upper: float, errors: Sequence[float], df: float) -> float:
    if lower <= 0 <= upper:
        return 1.0
    distance = lower / errors[0] if lower > 0 else -upper / errors[1]
    width = (upper - lower) / max(errors)
    return float(1 - (stats.t.cdf(distance + width, df) - stats.t.cdf(-distance, df)))
