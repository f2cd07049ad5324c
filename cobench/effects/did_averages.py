"""Averages of group-time effects with their errors, simultaneous bands, and tests of several at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from cobench.effects.did_cells import Cell
from cobench.effects.did_fit import CellFit

MOST_CLUSTERS_FOR_DF = 500
POWER = 0.80
ALPHA = 0.05


@dataclass(frozen=True)
class Fitted:
    """Cells that could be estimated, and what their averages need.

    Attributes
    ----------
    cells, fits : tuple
    estimates : ndarray, (K,)
    contributions : ndarray, (K, N)
        Of students.
    by_cluster : ndarray, (K, G)
        Of clusters, adjusted for leverage.
    sizes : ndarray, (K,)
        Students of each cell's cohort.
    clusters, cohort : ndarray of int, (N,)
        Cluster, and term of the first exposure.
    raw : bool
        Errors from the students' contributions as they are, as R's did computes them.
    """

    cells: tuple[Cell, ...]
    fits: tuple[CellFit, ...]
    estimates: np.ndarray
    contributions: np.ndarray
    by_cluster: np.ndarray
    sizes: np.ndarray
    clusters: np.ndarray
    cohort: np.ndarray
    raw: bool


@dataclass(frozen=True)
class Average:
    """A weighted average of cells.

    Attributes
    ----------
    members : ndarray of bool, (K,)
        Cells with weight.
    by_cluster : ndarray, (G,)
        Contributions; the sum of squares is the variance.
    """

    estimate: float
    std_error: float
    df: float
    members: np.ndarray
    contributions: np.ndarray
    by_cluster: np.ndarray


def gather(
    cells: Sequence[Cell], fits: Sequence[CellFit], clusters: np.ndarray, cohort: np.ndarray, raw: bool
) -> Fitted:
    """Cells and their fits as arrays."""
    contributions = np.array([fit.contributions for fit in fits])
    n_clusters = clusters.max() + 1
    by_cluster = (
        np.array([np.bincount(clusters, weights=each, minlength=n_clusters) for each in contributions])
        if raw
        else np.array([fit.by_cluster for fit in fits])
    )
    return Fitted(
        tuple(cells), tuple(fits), np.array([fit.estimate for fit in fits]), contributions, by_cluster,
        np.array([cell.cohort.sum() for cell in cells], dtype="float64"), clusters, cohort, raw,
    )  # fmt: skip


def average(fitted: Fitted, members: np.ndarray, by_size: bool = True) -> Average:
    """Average of the cells of a mask, by their cohorts' sizes (whose chance is part of the error) or evenly."""
    share = (fitted.sizes if by_size else np.ones(len(members))) * members
    weights = share / share.sum()
    estimate = float(weights @ fitted.estimates)
    contributions, by_cluster = weights @ fitted.contributions, weights @ fitted.by_cluster
    if by_size and members.sum() > 1:
        of_sizes = np.zeros(len(fitted.clusters))
        for place in np.flatnonzero(members):
            of_sizes[fitted.cells[place].cohort] += (fitted.estimates[place] - estimate) / share.sum()
        contributions = contributions + of_sizes
        by_cluster = by_cluster + np.bincount(
            fitted.clusters, weights=of_sizes, minlength=fitted.by_cluster.shape[1]
        )
    return _with_error(fitted, estimate, members, contributions, by_cluster)


def combined(fitted: Fitted, parts: Sequence[Average], weights: np.ndarray | None = None) -> Average:
    """Average of averages: evenly, or by ``weights`` (groups' sizes, whose chance is part of the error)."""
    even = weights is None
    share = np.ones(len(parts)) if even else weights
    share = share / share.sum()
    estimates = np.array([part.estimate for part in parts])
    estimate = float(share @ estimates)
    contributions = share @ np.array([part.contributions for part in parts])
    by_cluster = share @ np.array([part.by_cluster for part in parts])
    if not even and len(parts) > 1:
        of_sizes = np.zeros(len(fitted.clusters))
        for part, gap in zip(parts, estimates - estimate, strict=True):
            cohort = fitted.cells[int(np.flatnonzero(part.members)[0])].cohort
            of_sizes[cohort] += gap / weights.sum()
        contributions = contributions + of_sizes
        by_cluster = by_cluster + np.bincount(
            fitted.clusters, weights=of_sizes, minlength=fitted.by_cluster.shape[1]
        )
    members = np.logical_or.reduce([part.members for part in parts])
    return _with_error(fitted, estimate, members, contributions, by_cluster)


def _with_error(
    fitted: Fitted, estimate: float, members: np.ndarray, contributions: np.ndarray, by_cluster: np.ndarray
) -> Average:
    error = float(np.sqrt(by_cluster @ by_cluster))
    df = degrees_of_freedom(contributions, fitted.clusters, fitted.cohort)
    return Average(estimate, error, df, members, contributions, by_cluster)


def degrees_of_freedom(contributions: np.ndarray, clusters: np.ndarray, cohort: np.ndarray) -> float:
    """Satterthwaite's for a contrast of cohorts' means.

    Bell and McCaffrey's ``tr(P)^2 / tr(PP)`` with ``P`` the covariance of the clusters' adjusted contributions if
    students were independent, each cohort with the variance that its contributions show. Where every student is a
    cluster this is Welch's.
    """
    groups = clusters.max() + 1
    codes = np.unique(cohort, return_inverse=True)[1]
    sizes = np.bincount(codes)
    spread = np.bincount(codes, weights=contributions**2)
    if groups == len(clusters):
        seen = (sizes > 1) & (spread > 0)
        return float(spread[seen].sum() ** 2 / np.sum(spread[seen] ** 2 / (sizes[seen] - 1)))
    counts = np.zeros((len(sizes), groups))
    np.add.at(counts, (codes, clusters), 1.0)
    share = counts / sizes[:, None]
    diagonal = np.einsum("a,ag->g", spread, np.where(share < 1 - 1e-10, share, 0.0))
    squares = np.sum(diagonal**2)
    if groups <= MOST_CLUSTERS_FOR_DF:
        pulled = np.where(share < 1 - 1e-10, share / np.sqrt(np.maximum(1 - share, 1e-10)), 0.0)
        off = np.einsum("a,ag,ah->gh", spread, pulled, pulled, optimize=True)
        squares += np.sum(off**2) - np.sum(np.diag(off) ** 2)
    return float(max(np.sum(diagonal) ** 2 / squares, 1.0)) if squares > 0 else 1.0


def simultaneous_level(averages: Sequence[Average], level: float, n_draws: int, seed: int) -> float:
    """Level of each interval at which all of them hold together with probability ``level``.

    Clusters' contributions are multiplied by standard normal numbers (the multiplier bootstrap, whose draws then
    have exactly the covariance of the contributions, so they are drawn from it) and the largest absolute t is kept:
    sup-t bands (Montiel Olea and Plagborg-Moller 2019). As a level it carries over to each row's own df.
    """
    if len(averages) < 2:
        return level
    rows = np.array([each.by_cluster / each.std_error for each in averages])
    values, vectors = np.linalg.eigh(rows @ rows.T)
    root = vectors * np.sqrt(np.maximum(values, 0))
    draws = np.random.default_rng(seed).normal(size=(n_draws, len(rows))) @ root.T
    critical = np.quantile(np.abs(draws).max(axis=1), level, method="weibull")
    return float(max(1 - 2 * stats.norm.sf(critical), level))


@dataclass(frozen=True)
class JointTest:
    """Wald test that several averages are zero, with the smallest straight line it would have found.

    Attributes
    ----------
    statistic, p_value, df, df_rest : float
        F with ``df`` and ``df_rest`` degrees of freedom.
    wald, p_wald : float
        As a chi-square with ``df``, for many clusters.
    slope : float
        The change a term of a straight violation that the test finds with 80 % probability (Roth 2022).
    """

    statistic: float
    p_value: float
    df: int
    df_rest: float
    wald: float
    p_wald: float
    slope: float


def joint_test(averages: Sequence[Average], pattern: np.ndarray) -> JointTest | None:
    """Wald test; None where there are no more clusters than averages.

    ``pattern`` (m,): what a violation that changes by one a term would add to each average. With G clusters,
    ``W (G - m) / (m (G - 1))`` against ``F(m, G - m)`` (Hotelling).
    """
    rows = np.array([each.by_cluster for each in averages])
    values = np.array([each.estimate for each in averages])
    rest = min(float(np.mean([each.df for each in averages])), np.count_nonzero(rows.any(axis=0)) - 1.0)
    covariance = rows @ rows.T
    rank = int(np.linalg.matrix_rank(covariance, hermitian=True))
    df_rest = rest + 1 - rank
    if rank == 0 or df_rest < 1:
        return None
    inverse = np.linalg.pinv(covariance, hermitian=True)
    wald = float(values @ inverse @ values)
    statistic = wald * df_rest / (rank * rest)
    unit = float(pattern @ inverse @ pattern)
    slope = np.sqrt(_noncentrality(rank, df_rest) / unit) if unit > 0 else np.nan
    p_value, p_wald = float(stats.f.sf(statistic, rank, df_rest)), float(stats.chi2.sf(wald, rank))
    return JointTest(statistic, p_value, rank, df_rest, wald, p_wald, float(slope))


def _noncentrality(df: int, df_rest: float) -> float:
    """Noncentrality at which F rejects at 5 % with 80 % probability."""
    critical = stats.f.isf(ALPHA, df, df_rest)

    def gap(value: float) -> float:
        return float(stats.ncf.sf(critical, df, df_rest, value)) - POWER

    top = 10.0
    while gap(top) < 0:
        top *= 2
    return float(optimize.brentq(gap, 1e-6, top))
