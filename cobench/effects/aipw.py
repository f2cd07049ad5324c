"""Augmented inverse-probability weighting, cross-fitted by cluster, comparing students within cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from cobench.effects.answers import Answer, check_clusters, checked, observational_rows
from cobench.effects.exposure import default_within
from cobench.effects.folds import cell_means, choose_adjustment, make_folds
from cobench.effects.learners import Logistic, Ridge
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import (
    Sample,
    check_arms,
    group_codes,
    levels_of,
    require_columns,
    take_sample,
)
from cobench.effects.support import restrict_to_support
from cobench.effects.weighting import (
    CLIP,
    arm_weights,
    clipped,
    effective_n,
    exposure_columns,
    weighted_contrast,
    weighted_precision,
)

LEAST = 5
REPEATS = 3
SEED = 20240901


@dataclass(frozen=True)
class AipwFit:
    """A cross-fitted doubly robust fit.

    Attributes
    ----------
    estimate, std_error, df : float
    scores : ndarray, (G,)
        Contribution of each cluster (row without clusters) to the estimate, in the order of sorted codes.
    propensity : ndarray, (n,)
        Clipped to [clip, 1 - clip].
    expected_control, expected_treated : ndarray, (n,)
        Predicted outcome without and with exposure; the latter is NaN for the ATT.
    weights : ndarray, (n,)
        Of :func:`cobench.effects.weighting.arm_weights`.
    folds : ndarray of int, (n, n_repeats)
    adjustment : {"none", "effects", "means"}
        How cells entered the models (:func:`cobench.effects.folds.choose_adjustment`).
    n_clipped : int
    """

    estimate: float
    std_error: float
    df: float
    scores: np.ndarray
    propensity: np.ndarray
    expected_control: np.ndarray
    expected_treated: np.ndarray
    weights: np.ndarray
    folds: np.ndarray
    adjustment: str
    n_clipped: int


def aipw(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    covariates: Sequence[str],
    within: Sequence[str] | None = None,
    cluster: str | None = None,
    estimand: str = "ATT",
    learners: Mapping[str, object] | None = None,
    n_folds: int = 5,
    seed: int = SEED,
    adjustment: str | None = None,
    reference: object = None,
    n_repeats: int = REPEATS,
    least_clusters: int = 2,
    fold_by: str | None = None,
) -> pd.DataFrame:
    """Doubly robust effect of each level against the reference, from the rows of those two levels.

    Parameters
    ----------
    within : sequence of str, optional
        Cells within which students are compared. Cell levels of the outcome and of the odds of exposure
        cancel out of the ATT. Default: the clusters, unless whole clusters were exposed; ``()`` compares
        across everything.
    cluster : str, optional
        Groups that are never split by the folds and that the standard error obeys.
    learners : mapping, optional
        ``outcome`` (``fit``, ``predict``) and ``propensity`` (``fit``, ``predict_proba``); ridge and
        ridge-logistic by default.
    adjustment : {"effects", "means"}, optional
        How the models know the cells; chosen from the data by default
        (:func:`cobench.effects.folds.choose_adjustment`).
    n_folds : int
        1 fits the models on everybody, as was usual before cross-fitting: sound with learners as simple as the
        default ones only.
    n_repeats : int
        Divisions into folds over which predictions are averaged.
    least_clusters : int
        Fewer clusters are refused.
    fold_by : str, optional
        Without a cluster: column, such as the student, on whose values the folds hang. They are then the same in every
        completed data set, whatever was imputed; by default they hang on what rows hold. No student is in two folds.

    Returns
    -------
    DataFrame
        :data:`cobench.effects.estimates.COLUMNS`. ``se_type`` is ``IF-cluster`` (``IF`` without a cluster):
        influence contributions summed by cluster, CR2-corrected for the cell means, Satterthwaite df.
    """
    levels, base = levels_of(frame, treatment, reference)
    extra = []
    if fold_by is not None and cluster is None:
        require_columns(frame, [fold_by])
        extra = ["\0fold"]
        frame = frame.assign(**{extra[0]: group_codes(frame, [fold_by]).astype("float64")})

    def fit(level: str) -> Answer:
        cells = default_within(frame, treatment, level, base, cluster) if within is None else within
        sample = take_sample(
            frame, outcome=outcome, treatment=treatment, level=level, reference=base, covariates=covariates,
            within=cells, cluster=cluster, extra=extra,
        )  # fmt: skip
        check_clusters(sample, least_clusters)
        return answer_aipw(
            sample, estimand, learners=learners, n_folds=n_folds, seed=seed, adjustment=adjustment,
            n_repeats=n_repeats, held_together=bool(extra),
        )  # fmt: skip

    fits = [(level, partial(fit, level)) for level in levels]
    return observational_rows(fits, treatment=treatment, outcome=outcome, estimand=estimand, method="aipw")


def answer_aipw(
    sample: Sample,
    estimand: str,
    *,
    learners: Mapping[str, object] | None = None,
    n_folds: int = 5,
    seed: int = SEED,
    adjustment: str | None = None,
    n_repeats: int = REPEATS,
    held_together: bool = False,
) -> Answer:
    """AIPW on one sample, on its common support.

    ``held_together``: the first column of ``extra`` says which rows share a fold.

    Raises
    ------
    NotEstimableError
    """
    sample, trimmed = restrict_to_support(sample, estimand)
    check_arms(sample, LEAST)
    check_clusters(sample)
    fit = fit_aipw(
        y=sample.y, d=sample.d, x=sample.covariates.x, cell=sample.cell, cluster=sample.cluster,
        estimand=estimand, learners=learners, n_folds=n_folds, seed=seed, adjustment=adjustment,
        n_repeats=n_repeats, together=sample.extra[:, 0].astype(int) if held_together else None,
    )  # fmt: skip
    answer = Answer(
        sample=sample,
        estimate=fit.estimate,
        precision=weighted_precision(fit.scores, fit.df, ("IF", "IF-cluster"), sample),
        estimand=estimand,
        balance_weights=fit.weights,
        propensity=fit.propensity,
        ess=effective_n(fit.weights, sample.d, estimand),
        support="on_support" if trimmed else "",
        notes={
            "adjustment": fit.adjustment,
            "n_folds": len(np.unique(fit.folds)),
            "n_repeats": fit.folds.shape[1],
            "n_clipped": fit.n_clipped,
            "clip": CLIP,
        },
    )
    return checked(answer)


def fit_aipw(
    *,
    y: np.ndarray,
    d: np.ndarray,
    x: np.ndarray,
    cell: np.ndarray | None = None,
    cluster: np.ndarray | None = None,
    estimand: str = "ATT",
    learners: Mapping[str, object] | None = None,
    n_folds: int = 5,
    n_repeats: int = REPEATS,
    seed: int = SEED,
    adjustment: str | None = None,
    together: np.ndarray | None = None,
) -> AipwFit:
    """Cross-fitted AIPW on arrays (Robins, Rotnitzky and Zhao 1994; Chernozhukov et al. 2018).

    ``theta = weighted contrast of y - m(x) [+ mean of m1 - m0 for the ATE]`` with weights normalised in each
    cell, so that a cell's common level, which no model can know for a held-out cell, cancels. Variance: sum
    of squared cluster contributions, CR2-corrected.

    Parameters
    ----------
    y, d : ndarray, (n,)
    x : ndarray, (n, p)
    cell, cluster : ndarray of int, (n,), optional
    n_repeats : int
        Divisions into folds over which the out-of-fold predictions are averaged, so that little hangs on one.
    together : ndarray of int, (n,), optional
        Rows that share a fold, where there is no cluster.
    """
    groups = np.arange(len(y)) if cluster is None else cluster
    adjustment = choose_adjustment(cell, groups, d, estimand, adjustment)
    divisions = range(1 if n_folds == 1 else n_repeats)
    held = groups if together is None else together
    folds = [make_folds(cell, held, d, adjustment, n_folds, (seed, each)) for each in divisions]
    drawn = [_nuisance(y, d, x, cell, fold, adjustment, estimand, learners or {}) for fold in folds]
    raw, m0, m1 = (np.mean(each, axis=0) for each in zip(*drawn, strict=True))
    propensity, n_clipped = clipped(raw, d, CLIP)
    weights = arm_weights(propensity, d, cell, estimand)
    residual = y - m0 if estimand == "ATT" else y - np.where(d == 1, m1, m0)
    contrast = weighted_contrast(residual, d, weights, cell, cluster)
    estimate, scores = contrast.estimate, contrast.scores
    if estimand == "ATE":
        gain = m1 - m0
        places = np.unique(groups, return_inverse=True)[1]
        estimate += gain.mean()
        scores = scores + np.bincount(places, weights=gain - gain.mean()) / len(y)
    return AipwFit(
        estimate=float(estimate),
        std_error=float(np.sqrt(np.sum(scores**2))),
        df=contrast.df,
        scores=scores,
        propensity=propensity,
        expected_control=m0,
        expected_treated=m1,
        weights=weights,
        folds=np.column_stack(folds),
        adjustment=adjustment,
        n_clipped=n_clipped,
    )


def _nuisance(
    y: np.ndarray,
    d: np.ndarray,
    x: np.ndarray,
    cell: np.ndarray | None,
    fold: np.ndarray,
    adjustment: str,
    estimand: str,
    learners: Mapping[str, object],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Out-of-fold propensity and expected outcomes, each (n,); of the whole where nothing is held out."""
    outcome = learners.get("outcome") or Ridge()
    exposure = learners.get("propensity") or Logistic()
    for_outcome, for_exposure = _outcome_columns(x, d, cell, adjustment), exposure_columns(x, d, cell)
    propensity, m0, m1 = (np.full(len(y), np.nan) for _ in range(3))
    whole = not fold.any()
    for held_out in np.unique(fold):
        test, train = fold == held_out, whole | (fold != held_out)
        if min(np.sum(d[train] == 0), np.sum(d[train] == 1)) < 2:
            raise not_estimable("few_folds")
        model = deepcopy(exposure).fit(for_exposure[train], d[train])
        propensity[test] = model.predict_proba(for_exposure[test])[:, 1]
        known_cell = cell if adjustment == "effects" else None
        m0[test] = _expected(outcome, y, for_outcome, known_cell, train & (d == 0), test)
        if estimand == "ATE":
            m1[test] = _expected(outcome, y, for_outcome, known_cell, train & (d == 1), test)
    return propensity, m0, m1


def _outcome_columns(x: np.ndarray, d: np.ndarray, cell: np.ndarray | None, adjustment: str) -> np.ndarray:
    """Covariates, and for ``means`` their cell means and the cell's share of exposed students."""
    if adjustment != "means":
        return x
    means = cell_means(x, cell) if x.shape[1] else x
    return np.column_stack([x, means, cell_means(d[:, None], cell)])


def _expected(
    learner: object,
    y: np.ndarray,
    x: np.ndarray,
    cell: np.ndarray | None,
    train: np.ndarray,
    test: np.ndarray,
) -> np.ndarray:
    """Predictions for ``test``; with cells, the cell effects are those of the cell's training rows."""
    if cell is None:
        return deepcopy(learner).fit(x[train], y[train]).predict(x[test])
    places = np.unique(cell, return_inverse=True)[1]
    counts = np.bincount(places[train], minlength=places.max() + 1)[:, None]
    columns = np.column_stack([y, x])
    sums = np.column_stack(
        [np.bincount(places[train], weights=column[train], minlength=len(counts)) for column in columns.T]
    )
    centred = columns - (sums / np.maximum(counts, 1))[places]
    model = deepcopy(learner).fit(centred[train, 1:], centred[train, 0])
    level = (y - centred[:, 0])[test]
    return level + model.predict(centred[test, 1:])
