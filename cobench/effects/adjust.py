"""Difference of means and regression: one row a level against the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from cobench.effects.answers import Answer, check_clusters, checked, observational_rows
from cobench.effects.inference import fit_ols, precision, welch
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import Sample, levels_of, take_sample
from cobench.errors import ParameterError


def difference(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    cluster: str | None = None,
    reference: object = None,
    se_type: str | None = None,
) -> pd.DataFrame:
    """Difference of means of each level from the reference, from the rows of those two levels.

    Parameters
    ----------
    frame : DataFrame
        One row a student; rows with a missing outcome, exposure or cluster are left out.
    cluster : str, optional
        Column of the groups that the standard error obeys (CR2, Satterthwaite df). Without it: unequal
        variances with Welch's df (``HC2``), or ``classic`` (pooled) or ``HC1`` on request.
    reference : optional
        Level compared with; ``none`` or the lower value of a flag by default.

    Returns
    -------
    DataFrame
        :data:`cobench.effects.estimates.COLUMNS`; observational, so evidence is ``descriptive``.
    """
    levels, base = levels_of(frame, treatment, reference)
    take = partial(take_sample, frame, outcome=outcome, treatment=treatment, reference=base, cluster=cluster)
    fits = [
        (level, lambda level=level: fit_difference(take(level=level), se_type, "mean_difference"))
        for level in levels
    ]
    return observational_rows(
        fits, treatment=treatment, outcome=outcome, estimand="mean_difference", method="difference"
    )


def regress(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    covariates: Sequence[str] = (),
    fixed_effects: Sequence[str] = (),
    cluster: str | None = None,
    weights: str | None = None,
    se_type: str | None = None,
    reference: object = None,
    joint: bool = False,
) -> pd.DataFrame:
    """Least squares of the outcome on the exposure, covariates and fixed effects.

    Parameters
    ----------
    fixed_effects : sequence of str
        Columns whose combinations get an intercept each; variances are those of the full design.
    weights : str, optional
        Column of non-negative weights.
    se_type : {"classic", "HC1", "HC2", "CR1", "CR1S", "CR2"}, optional
        CR2 with a cluster and HC2 without by default.
    joint : bool
        One model for all levels (as trials of several arms publish it). By default each level has its own
        model on its own rows and the reference's, because a joint model without interactions mixes the
        effects of the arms (Goldsmith-Pinkham, Hull, Kolesár 2024).

    Returns
    -------
    DataFrame
        :data:`cobench.effects.estimates.COLUMNS`; ``estimand`` is ``variance_weighted`` where covariates or
        fixed effects are in the model. Covariates and fixed effects that depend on others are dropped.
    """
    levels, base = levels_of(frame, treatment, reference)
    _check_se_type(se_type, cluster)
    estimand = "variance_weighted" if covariates or fixed_effects else "mean_difference"

    def fit(level: str) -> Answer:
        sample = take_sample(
            frame, outcome=outcome, treatment=treatment, level=level, reference=base, covariates=covariates,
            within=fixed_effects, cluster=cluster, weights=weights, levels=levels if joint else (),
        )  # fmt: skip
        return fit_regress(sample, se_type, estimand)

    fits = [(level, partial(fit, level)) for level in levels]
    return observational_rows(fits, treatment=treatment, outcome=outcome, estimand=estimand, method="regress")


def fit_difference(sample: Sample, se_type: str | None, estimand: str) -> Answer:
    """Difference of means of one sample.

    Raises
    ------
    NotEstimableError
    """
    if sample.cluster is None and se_type in (None, "HC2"):
        estimate, error = welch(sample.y, sample.d)
        return checked(Answer(sample, estimate, error, estimand))
    bare = replace(sample, covariates=sample.covariates.without_columns(), cell=None, arms=sample.d[:, None])
    return fit_regress(bare, se_type, estimand)


def fit_regress(sample: Sample, se_type: str | None, estimand: str) -> Answer:
    """Regression on one sample; the exposure columns stand last, so that what they share is dropped from them.

    Raises
    ------
    NotEstimableError
        When the exposure doesn't vary given the rest, or whole clusters were exposed and one side has one.
    """
    check_clusters(sample)
    z = np.column_stack([standardised(sample.covariates.x), sample.arms])
    fit = fit_ols(sample.y, z, sample.cell, sample.weights)
    column = z.shape[1] - sample.arms.shape[1]
    place = fit.position(column)
    if place is None:
        raise not_estimable(
            "no_variation_within", within=sample.names["within"] or "the sample", treatment=sample.treatment
        )
    if fit.dof_resid < 1:
        raise not_estimable("perfect_fit", outcome=sample.outcome)
    error = precision(fit, column, cluster=sample.cluster, se_type=se_type)
    dropped = z.shape[1] - len(fit.kept)
    answer = Answer(
        sample, float(fit.coefficients[place]), error, estimand, notes={"n_dropped_columns": dropped}
    )
    return checked(answer)


def standardised(x: np.ndarray) -> np.ndarray:
    """Columns centred and scaled, which changes no other coefficient and keeps the fit well conditioned."""
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def _check_se_type(se_type: str | None, cluster: str | None) -> None:
    if se_type in ("CR1", "CR1S", "CR2") and cluster is None:
        raise ParameterError(
            en=f"se_type {se_type} needs a cluster column", zh=f"se_type {se_type} 需要给出 cluster 列"
        )
    if se_type not in (None, "CR1", "CR1S", "CR2") and cluster is not None:
        raise ParameterError(
            en=f"se_type {se_type} ignores the cluster {cluster!r}; use CR2, CR1 or CR1S",
            zh=f"se_type {se_type} 会忽略 cluster {cluster!r}；请用 CR2、CR1 或 CR1S",
        )
