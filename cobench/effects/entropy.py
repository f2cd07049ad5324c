"""Entropy balancing: weights that match covariate moments exactly and are otherwise as even as they can be.

Hainmueller (2012). The dual is solved by Newton's method; weights are normalised within cells, whose multipliers
are profiled out, so that thousands of cells cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from cobench.effects.answers import Answer, check_clusters, checked, observational_rows
from cobench.effects.exposure import default_within
from cobench.effects.inference import dense_codes, fit_ols, independent_columns
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import Sample, check_arms, check_known, levels_of, take_sample
from cobench.effects.support import restrict_to_support
from cobench.effects.weighting import by_cluster, effective_n, weighted_contrast, weighted_precision

STEPS = 200
EXACT = 1e-9
FARTHEST = 500.0
HIGHEST_LEVERAGE = 0.9


@dataclass(frozen=True)
class Balanced:
    """Weights of one arm that reproduce target moments.

    Attributes
    ----------
    weights : ndarray, (n,)
        Summing to each cell's target total.
    worst : float
        Largest difference left between weighted and target means, in SD of the covariate.
    steps : int
    """

    weights: np.ndarray
    worst: float
    steps: int


def entropy_balance(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    covariates: Sequence[str],
    within: Sequence[str] | None = None,
    cluster: str | None = None,
    estimand: str = "ATT",
    reference: object = None,
    moments: int = 1,
    se_type: str | None = None,
    least_clusters: int = 2,
) -> pd.DataFrame:
    """Difference of means after entropy balancing.

    Parameters
    ----------
    within : sequence of str, optional
        Cells whose totals are balanced too, so that the arms are compared within them. Default: the clusters,
        unless whole clusters were exposed.
    estimand : {"ATT", "ATE"}
        ATT: unexposed students take the means of the exposed. ATE: both arms take those of everybody.
    moments : {1, 2, 3}
        Up to which power numeric covariates are matched (flags and categories: their shares).
    se_type : {"M", "CR2", "HC2"}, optional
        ``M`` (default): that the weights are estimated is part of the error, summed by cluster.
        ``CR2``/``HC2``: the weights count as known, which is far too wide where covariates predict the outcome.

    Returns
    -------
    DataFrame
        :data:`cobench.effects.estimates.COLUMNS`. Where no weights can match the moments the row is
        ``not_estimable``; nothing is matched approximately.
    """
    check_known("se_type", se_type, (None, "M", "CR2" if cluster else "HC2"))
    check_known("moments", moments, (1, 2, 3))
    levels, base = levels_of(frame, treatment, reference)

    def fit(level: str) -> Answer:
        cells = default_within(frame, treatment, level, base, cluster) if within is None else within
        sample = take_sample(
            frame, outcome=outcome, treatment=treatment, level=level, reference=base, covariates=covariates,
            within=cells, cluster=cluster,
        )  # fmt: skip
        check_clusters(sample, least_clusters)
        return fit_entropy(sample, estimand, moments=moments, known=se_type in ("CR2", "HC2"))

    fits = [(level, partial(fit, level)) for level in levels]
    return observational_rows(
        fits, treatment=treatment, outcome=outcome, estimand=estimand, method="entropy_balance"
    )


def fit_entropy(sample: Sample, estimand: str, *, moments: int = 1, known: bool = False) -> Answer:
    """Entropy balancing on one sample.

    Raises
    ------
    NotEstimableError
        Where the target means lie outside what weights can reach.
    """
    sample, trimmed = restrict_to_support(sample, estimand)
    check_arms(sample, least=5)
    check_clusters(sample)
    x, d = moment_columns(sample.covariates.x, moments), sample.d
    cell = np.zeros(len(d), dtype=int) if sample.cell is None else dense_codes(sample.cell)
    weights, worst = np.ones(len(d)), 0.0
    for arm in (0.0,) if estimand == "ATT" else (0.0, 1.0):
        inside = d == arm
        aim = d == 1 if estimand == "ATT" else np.ones(len(d), dtype=bool)
        total = np.bincount(cell[aim], minlength=cell.max() + 1).astype("float64")
        found = balance_weights(x[inside], cell[inside], total, x[aim].sum(axis=0))
        weights[inside], worst = found.weights, max(worst, found.worst)
    contrast = weighted_contrast(sample.y, d, weights, sample.cell, sample.cluster)
    scores, names = contrast.scores, ("HC2", "CR2")
    if not known:
        scores, names = _scores(sample, x, cell, weights, estimand), ("M", "M-cluster")
    answer = Answer(
        sample, contrast.estimate, weighted_precision(scores, contrast.df, names, sample), estimand, weights,
        ess=effective_n(weights, d, estimand), support="on_support" if trimmed else "",
        notes={"worst_imbalance": worst, "moments": moments},
    )  # fmt: skip
    return checked(answer)


def balance_weights(x: np.ndarray, cell: np.ndarray, total: np.ndarray, sums: np.ndarray) -> Balanced:
    """Weights of the rows of one arm, closest to even within cells, that reach totals and sums exactly.

    Minimises ``sum_c T_c log sum_{i in c} exp(x_i'l) - l's`` over ``l`` (its gradient is what is left to match).

    Parameters
    ----------
    x : ndarray, (n, p)
    cell : ndarray of int, (n,)
        Codes into ``total``.
    total : ndarray, (C,)
        Sum of weights wanted in each cell.
    sums : ndarray, (p,)
        Weighted sums of the columns wanted.

    Raises
    ------
    NotEstimableError
        When no positive weights reach them.
    """
    used = total[cell] > 0
    everywhere = np.bincount(cell[used], minlength=len(total)) > 0
    if (total[~everywhere] > 0).any():
        raise not_estimable("moments_apart")
    weight = np.zeros(len(x))
    x, cell = x[used], cell[used]
    centre, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-300)
    z, aim = (x - centre) / scale, (sums - total.sum() * centre) / scale
    kept = _free_columns(z, cell, len(total))
    solved, steps = _newton(z[:, kept], cell, total, aim[kept])
    worst = float(np.abs(solved @ z - aim).max(initial=0.0) / total.sum())
    if worst > 1e-6:
        raise not_estimable("moments_apart")
    weight[used] = solved
    return Balanced(weight, worst, steps)


def moment_columns(x: np.ndarray, moments: int) -> np.ndarray:
    """Columns, and powers of those with more than two values (centred and scaled first)."""
    blocks = [x]
    many = np.array([len(np.unique(column)) > 2 for column in x.T], dtype=bool)
    if many.any():
        z = (x[:, many] - x[:, many].mean(axis=0)) / x[:, many].std(axis=0)
        blocks += [z**power for power in range(2, moments + 1)]
    return np.column_stack(blocks)


def _free_columns(z: np.ndarray, cell: np.ndarray, cells: int) -> np.ndarray:
    """Columns that vary within cells and aren't combinations of others there."""
    counts = np.maximum(np.bincount(cell, minlength=cells), 1)
    means = [np.bincount(cell, weights=column, minlength=cells) / counts for column in z.T]
    if not means:
        return np.array([], dtype=int)
    return independent_columns(z - np.column_stack(means)[cell], np.sqrt(np.einsum("ij,ij->j", z, z)))


def _newton(z: np.ndarray, cell: np.ndarray, total: np.ndarray, aim: np.ndarray) -> tuple[np.ndarray, int]:
    """Weights at the minimum of the dual, and steps taken."""
    value = np.zeros(z.shape[1])
    weights, loss = _dual(z, cell, total, aim, value)
    for step in range(STEPS):
        gradient = weights @ z - aim
        if np.abs(gradient).max(initial=0.0) <= EXACT * total.sum():
            return weights, step
        means = np.column_stack(
            [np.bincount(cell, weights=weights * column, minlength=len(total)) for column in z.T]
        ) / np.maximum(total, 1e-300)[:, None]  # fmt: skip
        curvature = (z * weights[:, None]).T @ z - (means * total[:, None]).T @ means
        curvature += 1e-12 * total.sum() * np.eye(len(value))
        move = np.linalg.solve(curvature, gradient)
        size = 1.0
        for _ in range(40):
            new_weights, new_loss = _dual(z, cell, total, aim, value - size * move)
            if new_loss <= loss + 1e-13 * abs(loss):
                break
            size /= 2
        value = value - size * move
        weights, loss = new_weights, new_loss
        if np.abs(value).max() > FARTHEST:
            raise not_estimable("moments_apart")
    return weights, STEPS


def _dual(
    z: np.ndarray, cell: np.ndarray, total: np.ndarray, aim: np.ndarray, value: np.ndarray
) -> tuple[np.ndarray, float]:
    index = z @ value
    top = np.full(len(total), -np.inf)
    np.maximum.at(top, cell, index)
    raised = np.exp(index - top[cell])
    mass = np.bincount(cell, weights=raised, minlength=len(total))
    weights = raised * (total / np.where(mass > 0, mass, 1.0))[cell]
    there = total > 0
    return weights, float(np.sum(total[there] * (np.log(mass[there]) + top[there])) - value @ aim)


def _scores(
    sample: Sample, x: np.ndarray, cell: np.ndarray, weights: np.ndarray, estimand: str
) -> np.ndarray:
    """Contributions by cluster that know the weights were estimated.

    As moments match exactly, the estimate is also that of residuals from a weighted regression in each
    reweighted arm, and its influence is that of those residuals (Zhao and Percival 2017). Residuals are
    divided by ``sqrt(1 - leverage)`` for having been fitted.
    """
    d, y = sample.d, sample.y
    slopes, residual = {}, y.copy()
    for arm in (0.0,) if estimand == "ATT" else (0.0, 1.0):
        inside = np.flatnonzero((d == arm) & (weights > 0))
        fit = fit_ols(y[inside], x[inside], cell[inside], weights[inside])
        slope = np.zeros(x.shape[1])
        slope[fit.kept] = fit.coefficients
        slopes[arm] = slope
        pull = np.einsum("ij,ij->i", fit.centred @ fit.bread, fit.centred)
        fitted = y[inside] - fit.residuals / fit.root
        level = fitted - x[inside] @ slope
        stretched = fit.residuals / fit.root / np.sqrt(1 - np.minimum(pull, HIGHEST_LEVERAGE))
        residual[inside] = level + stretched
    if estimand == "ATT":
        residual[d == 1] = (y - x @ slopes[0.0])[d == 1]
    scores = weighted_contrast(residual, d, weights, sample.cell, sample.cluster).scores
    if estimand == "ATE":
        gain = x @ (slopes[1.0] - slopes[0.0])
        scores = scores + by_cluster((gain - gain.mean()) / len(d), sample.cluster)
    return scores
