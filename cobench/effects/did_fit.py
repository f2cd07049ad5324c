"""One two-by-two comparison: difference in differences, doubly robust with covariates, and what each student adds.

Formulas are those of Sant'Anna and Zhao (2020, section 3.1: traditional doubly robust, panel data) and Callaway and
Sant'Anna (2021). Contributions (influence functions over n) are kept apart by side, so that a cluster's leverage can be
taken into account: in a mean over n students of which a cluster holds the share s, its residual sum is too small by
sqrt(1 - s) (that is CR2 of the regression of the change on the exposure).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cobench.effects.did_cells import Cell
from cobench.effects.did_panel import StudentTerms
from cobench.effects.inference import dense_codes, independent_columns
from cobench.effects.reasons import not_estimable

LEAST_A_SIDE = 2
HIGHEST = 0.995
STEPS = 50


@dataclass(frozen=True)
class CellFit:
    """Estimate of one cell.

    Attributes
    ----------
    estimate : float
    contributions : ndarray, (N,)
        Of each student; the sum of squares is the variance.
    by_cluster : ndarray, (G,)
        Sums by cluster, adjusted for leverage; the students' own without clusters.
    n_exposed, n_unexposed : int
    exposed, unexposed : ndarray of bool, (N,)
        Students used.
    trimmed : int
        Unexposed students left out, as they almost surely would have been exposed.
    """

    estimate: float
    contributions: np.ndarray
    by_cluster: np.ndarray
    n_exposed: int
    n_unexposed: int
    exposed: np.ndarray
    unexposed: np.ndarray
    trimmed: int = 0


def fit_cell(panel: StudentTerms, cell: Cell, covariates: bool, clusters: np.ndarray) -> CellFit:
    """Doubly robust difference in differences of one cell, or the plain one without covariates.

    Parameters
    ----------
    clusters : ndarray of int, (N,)
        Codes 0..G-1; every student's own without a declared cluster.

    Raises
    ------
    NotEstimableError
    """
    usable = np.isfinite(panel.y[:, cell.term]) & np.isfinite(panel.y[:, cell.base])
    if covariates:
        usable &= panel.row[:, cell.base] >= 0
    exposed, unexposed = cell.exposed & usable, cell.unexposed & usable
    _check_sides(panel, exposed, unexposed, clusters)
    used = np.flatnonzero(exposed | unexposed)
    change = panel.y[used, cell.term] - panel.y[used, cell.base]
    d = exposed[used].astype("float64")
    if np.ptp(change) <= 1e-12 * max(1.0, np.abs(change).max()):
        raise not_estimable("perfect_fit", outcome=panel.names["outcome"])
    x = panel.x[panel.row[used, cell.base]] if covariates else np.zeros((len(used), 0))
    x = _independent(x, d)
    if x.shape[1] == 0:
        found, weights, trimmed = _plain(change, d), np.ones(len(d)), 0
    else:
        found, weights, trimmed = doubly_robust(change, d, x)
    estimate, parts = found
    if np.sqrt(parts @ parts) <= 1e-10 * change.std():
        raise not_estimable("perfect_fit", outcome=panel.names["outcome"])
    contributions = np.zeros(len(panel.y))
    contributions[used] = parts
    adjusted = parts * _leverage(weights, d, clusters[used], clusters.max() + 1)
    by_cluster = np.bincount(clusters[used], weights=adjusted, minlength=clusters.max() + 1)
    return CellFit(
        estimate, contributions, by_cluster, int(d.sum()), int((1 - d).sum()), exposed, unexposed, trimmed
    )


def _check_sides(
    panel: StudentTerms, exposed: np.ndarray, unexposed: np.ndarray, clusters: np.ndarray
) -> None:
    names = panel.names
    slots = {
        "treated": {"level": f"{names['treatment']} = {names['level']}"},
        "controls": {"reference": f"{names['treatment']} = {names['reference']}"},
    }
    for side, students in (("treated", exposed), ("controls", unexposed)):
        if not students.any():
            raise not_estimable(f"no_{side}", **slots[side])
        if students.sum() < LEAST_A_SIDE:
            raise not_estimable(f"few_{side}", least=LEAST_A_SIDE, **slots[side])
    if panel.cluster is None:
        return
    if min(len(np.unique(clusters[students])) for students in (exposed, unexposed)) < 2:
        raise not_estimable("side_in_one_cluster", cluster=names["cluster"])


def _plain(change: np.ndarray, d: np.ndarray) -> tuple[float, np.ndarray]:
    sides = d == 1, d == 0
    means = [change[side].mean() for side in sides]
    parts = np.where(d == 1, (change - means[0]) / d.sum(), -(change - means[1]) / (1 - d).sum())
    return float(means[0] - means[1]), parts


def _independent(x: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Columns that vary among the unexposed and aren't combinations of others there, standardised."""
    if x.shape[1] == 0:
        return x
    below = x[d == 0]
    centred = below - below.mean(axis=0)
    kept = independent_columns(centred, np.sqrt(np.einsum("ij,ij->j", below, below)))
    if len(kept) + 1 >= len(below):
        raise not_estimable("more_covariates_than_controls")
    x = x[:, kept]
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def doubly_robust(
    change: np.ndarray, d: np.ndarray, x: np.ndarray
) -> tuple[tuple[float, np.ndarray], np.ndarray, int]:
    """Estimate and contributions (n,), the weights of the students, and how many were trimmed."""
    n, z = len(d), np.column_stack([np.ones(len(d)), x])
    p, curvature = _propensity(z, d)
    kept = (d == 1) | (p < HIGHEST)
    weights = np.where(d == 1, 1.0, np.where(kept, p / (1 - np.minimum(p, HIGHEST)), 0.0))
    below = d == 0
    gram = z[below].T @ z[below]
    slope = np.linalg.solve(gram, z[below].T @ change[below])
    rest = change - z @ slope
    total, compared = d.sum(), weights[below].sum()
    gap_exposed, gap_unexposed = d @ rest / total, weights[below] @ rest[below] / compared
    # What estimating the two models adds to each student's contribution.
    of_outcome = np.linalg.solve(gram, (z * (below * rest)[:, None]).T).T
    of_propensity = np.linalg.solve(curvature, (z * (d - p)[:, None]).T).T
    odds = weights * below
    mean_exposed, mean_unexposed = d @ z / total, odds @ z / compared
    tilt = (odds * (rest - gap_unexposed)) @ z / compared
    first = d * (rest - gap_exposed) / total - of_outcome @ mean_exposed
    second = odds * (rest - gap_unexposed) / compared + of_propensity @ tilt - of_outcome @ mean_unexposed
    return (float(gap_exposed - gap_unexposed), first - second), weights, int(n - kept.sum())


def _propensity(z: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logistic probabilities (n,) by Newton's method, and the curvature of the likelihood.

    Raises
    ------
    NotEstimableError
        Where the covariates separate the sides.
    """
    beta = np.zeros(z.shape[1])
    beta[0] = np.log(d.mean() / (1 - d.mean()))
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(z @ beta, -500, 500)))
        curvature = (z * (p * (1 - p))[:, None]).T @ z
        if np.linalg.cond(curvature) > 1e12:
            break
        step = np.linalg.solve(curvature, z.T @ (d - p))
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            return p, curvature
    raise not_estimable("no_common_support")


def _leverage(weights: np.ndarray, d: np.ndarray, clusters: np.ndarray, n_clusters: int) -> np.ndarray:
    """``(1 - s)^-1/2``, s the share of the cluster in the weight of a student's side; 0 where it is one."""
    factor = np.zeros(len(d))
    for side in (d == 1, d == 0):
        total = np.bincount(clusters[side], weights=weights[side], minlength=n_clusters)
        share = total / total.sum()
        rest = np.where(share < 1 - 1e-10, 1 - share, np.inf)
        factor[side] = rest[clusters[side]] ** -0.5
    return factor


def cluster_codes(panel: StudentTerms) -> np.ndarray:
    """Codes 0..G-1 of each student's cluster; every student's own without."""
    return np.arange(len(panel.y)) if panel.cluster is None else dense_codes(panel.cluster)
