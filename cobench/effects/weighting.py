"""Propensity weights, normalised within cells, and the weighted contrast that both weighting and AIPW end in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from cobench.effects.answers import Answer, check_clusters, checked, observational_rows
from cobench.effects.folds import cell_means
from cobench.effects.inference import Precision, cluster_scores, fit_ols, row_scores
from cobench.effects.learners import Logistic
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import Sample, check_arms, levels_of, take_sample
from cobench.effects.support import restrict_to_support

CLIP = 0.01


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


def weighting(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    covariates: Sequence[str],
    within: Sequence[str] = (),
    cluster: str | None = None,
    estimand: str = "ATT",
    reference: object = None,
    penalty: float = 0.0,
    clip: float = 1e-6,
) -> pd.DataFrame:
    """Inverse-probability weighting with normalised weights from a logistic model of the exposure.

    ``within`` enters the model by cell means (Mundlak 1978) and the arms are compared within its cells. The standard error
    (``HC2`` or ``CR2`` of the weighted contrast) takes the weights as known, which errs on the safe side.

    Returns
    -------
    DataFrame
        :data:`cobench.effects.estimates.COLUMNS`; ``ess`` is the effective number of comparison students
        (ATT) or of all students (ATE).
    """
    levels, base = levels_of(frame, treatment, reference)

    def fit(level: str) -> Answer:
        sample = take_sample(
            frame, outcome=outcome, treatment=treatment, level=level, reference=base, covariates=covariates,
            within=within, cluster=cluster,
        )  # fmt: skip
        return fit_weighting(sample, estimand, penalty=penalty, clip=clip)

    fits = [(level, partial(fit, level)) for level in levels]
    return observational_rows(
        fits, treatment=treatment, outcome=outcome, estimand=estimand, method="weighting"
    )


def fit_weighting(sample: Sample, estimand: str, *, penalty: float = 0.0, clip: float = CLIP) -> Answer:
    """Weighting on one sample.

    Raises
    ------
    NotEstimableError
        Without common support.
    """
    sample, trimmed = restrict_to_support(sample, estimand)
    check_arms(sample, least=5)
    check_clusters(sample)
    x = exposure_columns(sample.covariates.x, sample.d, sample.cell)
    raw = Logistic(max(penalty, 1e-8)).fit(x, sample.d).predict_proba(x)[:, 1]
    propensity, n_clipped = clipped(raw, sample.d, clip)
    weights = arm_weights(propensity, sample.d, sample.cell, estimand)
    contrast = weighted_contrast(sample.y, sample.d, weights, sample.cell, sample.cluster)
    error = float(np.sqrt(np.sum(contrast.scores**2)))
    se_type = "HC2" if sample.cluster is None else "CR2"
    answer = Answer(
        sample, contrast.estimate, Precision(error, contrast.df, se_type), estimand, weights,
        propensity, effective_n(weights, sample.d, estimand), "on_support" if trimmed else "",
        {"n_clipped": n_clipped, "clip": clip},
    )  # fmt: skip
    return checked(answer)


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
