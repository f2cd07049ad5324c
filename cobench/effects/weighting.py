"""Propensity weights, normalised within cells, and the weighted contrast that both weighting and AIPW end in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from cobench.effects.answers import Answer, check_clusters, checked, observational_rows
from cobench.effects.exposure import default_within
from cobench.effects.folds import cell_means
from cobench.effects.inference import (
    Precision,
    cluster_scores,
    dense_codes,
    fit_ols,
    independent_columns,
    row_scores,
)
from cobench.effects.learners import Logistic
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import Sample, check_arms, check_known, levels_of, take_sample
from cobench.effects.support import restrict_to_support

CLIP = 0.01
LEAST_PENALTY = 1e-8
SMALLEST = 1e-300


@dataclass(frozen=True)
class Contrast:
    """A weighted difference between arms within cells.

    Attributes
    ----------
    estimate : float
    scores : ndarray, (G,)
        CR2-adjusted (HC2 without clusters) contribution of each cluster, sorted codes; the sum of squares is
        the variance.
    df : float
        Satterthwaite, at most groups less one.
    """

    estimate: float
    scores: np.ndarray
    df: float


def ipw(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    covariates: Sequence[str],
    within: Sequence[str] | None = None,
    cluster: str | None = None,
    estimand: str = "ATT",
    reference: object = None,
    penalty: float = 0.0,
    clip: float = 1e-6,
    se_type: str | None = None,
    trim: float | None = None,
    least_clusters: int = 2,
) -> pd.DataFrame:
    """Inverse-probability weighting with normalised weights from a logistic model of the exposure.

    Within cells the means are corrected for the bias of a ratio (:func:`without_ratio_bias`).

    Parameters
    ----------
    within : sequence of str, optional
        Enters the model by cell means (Mundlak 1978), and the arms are compared within its cells. Default:
        the clusters, unless whole clusters were exposed; ``()`` compares across everything.
    se_type : {"M", "CR2", "HC2"}, optional
        ``M``: the estimated model of exposure is part of the error (stacked estimating equations), summed by
        cluster. ``CR2``/``HC2``: the weights count as known, which errs on the safe side for the ATE
        (Lunceford and Davidian 2004), often far, and may err on either for the ATT. Default: ``M``; for the ATE
        without clusters ``HC2``, as it is usually published.
    trim : float, optional
        Students whose propensity is outside [trim, 1 - trim] are left out and the model is fitted again; the
        population of the row says so (Crump, Hotz, Imbens and Mitnik 2009 use 0.1).
    least_clusters : int
        Fewer clusters are refused.

    Returns
    -------
    DataFrame
        :data:`cobench.effects.estimates.COLUMNS`; ``ess`` is the effective number of comparison students
        (ATT) or of all students (ATE).
    """
    check_known("se_type", se_type, (None, "M", "CR2" if cluster else "HC2"))
    levels, base = levels_of(frame, treatment, reference)

    def fit(level: str) -> Answer:
        cells = default_within(frame, treatment, level, base, cluster) if within is None else within
        sample = take_sample(
            frame, outcome=outcome, treatment=treatment, level=level, reference=base, covariates=covariates,
            within=cells, cluster=cluster,
        )  # fmt: skip
        check_clusters(sample, least_clusters)
        return fit_ipw(sample, estimand, penalty=penalty, clip=clip, se_type=se_type, trim=trim)

    fits = [(level, partial(fit, level)) for level in levels]
    return observational_rows(fits, treatment=treatment, outcome=outcome, estimand=estimand, method="ipw")


def fit_ipw(
    sample: Sample,
    estimand: str,
    *,
    penalty: float = 0.0,
    clip: float = CLIP,
    se_type: str | None = None,
    trim: float | None = None,
) -> Answer:
    """Weighting on one sample.

    Raises
    ------
    NotEstimableError
        Without common support.
    """
    sample, trimmed = restrict_to_support(sample, estimand)
    support = "on_support" if trimmed else ""
    check_arms(sample, least=5)
    x, raw = propensity_model(sample, penalty)
    if trim is not None:
        inside = (raw >= trim) & (raw <= 1 - trim)
        sample = sample.take(inside, "propensity_extreme")
        check_arms(sample, least=5)
        sample, _ = restrict_to_support(sample, estimand)
        check_arms(sample, least=5)
        support = f"propensity in [{trim:g}, {1 - trim:g}]"
        x, raw = propensity_model(sample, penalty)
    check_clusters(sample)
    propensity, n_clipped = clipped(raw, sample.d, clip)
    weights = without_ratio_bias(
        arm_weights(propensity, sample.d, sample.cell, estimand), sample.d, sample.cell, estimand
    )
    contrast = weighted_contrast(sample.y, sample.d, weights, sample.cell, sample.cluster)
    scores = contrast.scores
    usual = estimand == "ATE" and sample.cluster is None
    known = usual if se_type is None else se_type != "M"
    if not known:
        spread = _from_propensity(sample, x, raw, weights, max(penalty, LEAST_PENALTY), estimand)
        scores = scores + by_cluster(spread, sample.cluster)
    names = ("HC2", "CR2") if known else ("M", "M-cluster")
    answer = Answer(
        sample, contrast.estimate, weighted_precision(scores, contrast.df, names, sample), estimand, weights,
        propensity, effective_n(weights, sample.d, estimand), support, {"n_clipped": n_clipped, "clip": clip},
    )  # fmt: skip
    return checked(answer)


def propensity_model(sample: Sample, penalty: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the logistic model of exposure (independent ones, standardised), and its probabilities (n,)."""
    x = exposure_columns(sample.covariates.x, sample.d, sample.cell)
    centred = x - x.mean(axis=0)
    kept = independent_columns(centred, np.sqrt(np.einsum("ij,ij->j", x, x)))
    x = centred[:, kept] / centred[:, kept].std(axis=0)
    return x, Logistic(max(penalty, LEAST_PENALTY)).fit(x, sample.d).predict_proba(x)[:, 1]


def weighted_precision(scores: np.ndarray, df: float, names: tuple[str, str], sample: Sample) -> Precision:
    """Error of a weighted contrast; ``names`` without and with clusters."""
    clustered = sample.cluster is not None
    return Precision(float(np.sqrt(np.sum(scores**2))), df, names[clustered], scores if clustered else None)


def by_cluster(rows: np.ndarray, cluster: np.ndarray | None) -> np.ndarray:
    """Sums of row contributions by cluster, in the order of sorted codes; the rows themselves without."""
    return rows if cluster is None else np.bincount(dense_codes(cluster), weights=rows)


def _from_propensity(
    sample: Sample, x: np.ndarray, p: np.ndarray, weights: np.ndarray, penalty: float, estimand: str
) -> np.ndarray:
    """What estimating the model of exposure adds to each row's contribution, (n,) (Lunceford and Davidian 2004).

    ``(d theta / d gamma)' A^-1 psi_i`` with logistic scores ``psi_i = (d_i - p_i) x_i``; weights normalised in
    cells move by ``p`` (unexposed) or ``-(1 - p)`` (exposed, ATE) a unit of the linear predictor.
    """
    d, z = sample.d, np.column_stack([np.ones(len(x)), x])
    arm_and_cell = d.astype(int) if sample.cell is None else 2 * sample.cell + d.astype(int)
    means = np.bincount(arm_and_cell, weights=weights * sample.y)
    means = (means / np.maximum(np.bincount(arm_and_cell, weights=weights), 1e-300))[arm_and_cell]
    if estimand == "ATT":
        total, pace = float(d.sum()), np.where(d == 1, 0.0, 1.0)
    else:
        total, pace = float(len(d)), np.where(d == 1, 1 - p, p)
    slope = -z.T @ (weights * pace * (sample.y - means)) / total
    ridge = np.r_[0.0, np.full(x.shape[1], penalty)]
    curvature = (z * (p * (1 - p))[:, None]).T @ z + np.diag(ridge)
    return (d - p) * (z @ np.linalg.solve(curvature, slope))


def exposure_columns(x: np.ndarray, d: np.ndarray, cell: np.ndarray | None) -> np.ndarray:
    """Columns of a model of exposure: covariates, their cell means, and the log odds of exposure in the cell.

    Cell means instead of dummies keep the model small and known for cells that are held out (Mundlak 1978).
    """
    if cell is None:
        return x
    _, places, counts = np.unique(cell, return_inverse=True, return_counts=True)
    shrunk = (np.bincount(places, weights=d) + 0.5) / (counts + 1)
    means = cell_means(x, cell) if x.shape[1] else x
    return np.column_stack([x, means, np.log(shrunk / (1 - shrunk))[places]])


def clipped(propensity: np.ndarray, d: np.ndarray, clip: float) -> tuple[np.ndarray, int]:
    """Propensities within [clip, 1 - clip] and how many were moved.

    Raises
    ------
    NotEstimableError
        When the scores separate the arms completely.
    """
    if propensity[d == 1].min() > propensity[d == 0].max():
        raise not_estimable("no_common_support")
    inside = np.clip(propensity, clip, 1 - clip)
    return inside, int(np.sum(inside != propensity))


def arm_weights(propensity: np.ndarray, d: np.ndarray, cell: np.ndarray | None, estimand: str) -> np.ndarray:
    """Weights of each student, (n,), normalised within cells.

    ATT: exposed 1, unexposed ``e/(1-e)`` summing to the cell's exposed. ATE: ``1/e`` and ``1/(1-e)``, each
    arm summing to the cell's students. Whatever is common to a cell (its level of the outcome, or of the
    odds of exposure for the ATT) then cancels out of the contrast.
    """
    places = np.zeros(len(d), dtype=int) if cell is None else np.unique(cell, return_inverse=True)[1]
    treated = d == 1
    odds = propensity / (1 - propensity)
    if estimand == "ATT":
        raw = np.where(treated, 1.0, odds)
        target = np.bincount(places, weights=d)
    else:
        raw = np.where(treated, 1 / propensity, 1 / (1 - propensity))
        target = np.bincount(places).astype("float64")
    weights = np.zeros(len(d))
    for arm in (treated, ~treated):
        total = np.bincount(places[arm], weights=raw[arm], minlength=len(target))
        weights[arm] = raw[arm] * (target / np.where(total > 0, total, 1.0))[places[arm]]
    return weights


def without_ratio_bias(
    weights: np.ndarray, d: np.ndarray, cell: np.ndarray | None, estimand: str
) -> np.ndarray:
    """Normalised weights, (n,), with the first-order bias of a ratio taken out of each cell's mean.

    A mean with estimated weights ``w`` (summing to one) is pulled towards the many with little weight by about
    ``sum w^2 (y - mean)``: half a standard error where a school gives 35 comparison students. The usual estimate of
    it, over ``1 - sum w^2`` as in Quenouille's (1956) jackknife, is linear in the outcome and so again a weighting;
    it is bounded so that no weight turns negative. Without cells weights stay as they are published.
    """
    if cell is None:
        return weights
    places = np.unique(cell, return_inverse=True)[1]
    corrected = weights.copy()
    for arm in [d == 0] if estimand == "ATT" else [d == 0, d == 1]:
        total = np.bincount(places[arm], weights=weights[arm], minlength=places.max() + 1)
        share = weights[arm] / np.where(total > 0, total, 1.0)[places[arm]]
        squared = np.bincount(places[arm], weights=share**2, minlength=len(total))[places[arm]]
        pace = np.minimum(1 / np.maximum(1 - squared, SMALLEST), 1 / np.maximum(squared, SMALLEST))
        corrected[arm] = weights[arm] * (1 + pace * (share - squared))
    return corrected


def weighted_contrast(
    y: np.ndarray, d: np.ndarray, weights: np.ndarray, cell: np.ndarray | None, cluster: np.ndarray | None
) -> Contrast:
    """Weighted least squares of ``y`` on cell intercepts and ``d``.

    With :func:`arm_weights` the coefficient of ``d`` is exactly the weighted difference of arm means, averaged
    over cells by their target count; its CR2 scores carry the small-sample correction for the cell means.
    """
    fit = fit_ols(y, d[:, None], cell, weights)
    if len(fit.kept) == 0:
        raise not_estimable("no_common_support")
    scores, df = row_scores(fit, 0) if cluster is None else cluster_scores(fit, 0, cluster)
    return Contrast(float(fit.coefficients[0]), scores, min(df, len(scores) - 1.0))


def effective_n(weights: np.ndarray, d: np.ndarray, estimand: str) -> float:
    """Kish's effective number of unexposed students (ATT) or of both arms (ATE)."""
    arms = [weights[d == 0]] if estimand == "ATT" else [weights[d == 0], weights[d == 1]]
    return float(sum(arm.sum() ** 2 / np.sum(arm**2) for arm in arms))
