"""Difference of means and regression: one row a level against the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from cobench.effects.answers import Answer, check_clusters, checked, observational_rows
from cobench.effects.bootstrap import DRAWS, SEED, WildBootstrap, effective_clusters, wild_bootstrap
from cobench.effects.inference import CLUSTERED, UNCLUSTERED, OlsFit, fit_ols, precision, welch
from cobench.effects.permutation import Permutation, permutation_test
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import Sample, as_level, check_known, levels_of, require_columns, take_sample
from cobench.errors import ParameterError

MOST_DUMMIES = 200_000_000


@dataclass(frozen=True)
class Errors:
    """How uncertainty is computed: ``se_type`` (None: CR2 or HC2), and what the bootstrap needs."""

    se_type: str | None = None
    least_clusters: int = 2
    wild_weights: str | None = None
    n_draws: int = DRAWS
    seed: int = SEED


def difference(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    cluster: str | None = None,
    reference: object = None,
    se_type: str | None = None,
    least_clusters: int = 2,
    strata: Sequence[str] = (),
    n_draws: int = DRAWS,
    seed: int = SEED,
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
        Level compared with; by default the first category, ``none``, or the lowest value.
    se_type : optional
        As in :func:`regress`. ``permutation``, for whom lots decided: the error of the default with the p-value and
        the interval of :func:`cobench.effects.permutation.permutation_test`, which draws whole clusters again.
    strata : sequence of str
        Columns within which it was drawn, for ``permutation``.
    n_draws, seed
        Of bootstrap and permutation; ``se_type`` of the row names them.
    least_clusters : int
        Fewer clusters are refused.

    Returns
    -------
    DataFrame
        :data:`cobench.effects.estimates.COLUMNS`; observational, so evidence is ``descriptive``.
    """
    levels, base = levels_of(frame, treatment, reference)
    if se_type != "permutation":
        check_se_type(se_type, cluster)
    errors = Errors(se_type, least_clusters, n_draws=n_draws, seed=seed)
    take = partial(
        take_sample,
        frame,
        outcome=outcome,
        treatment=treatment,
        reference=base,
        cluster=cluster,
        within=strata,
    )
    fits = [(level, lambda level=level: fit_difference(take(level=level), errors)) for level in levels]
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
    least_clusters: int = 2,
    wild_weights: str | None = None,
    n_draws: int = DRAWS,
    seed: int = SEED,
) -> pd.DataFrame:
    """Least squares of the outcome on the exposure, covariates and fixed effects.

    Parameters
    ----------
    fixed_effects : sequence of str, or of tuples of str
        Each gets a set of intercepts, one a value (one a combination of values for a tuple of columns).
        Variances are those of the full design, so nothing hangs on whether clusters nest them.
    weights : str, optional
        Column of weights; rows of weight zero are left out and counted.
    se_type : {"classic", "HC1", "HC2", "HC3", "CR1", "CR1S", "CR2", "CR3", "wild"}, optional
        CR2 with a cluster and HC2 without by default. ``CR1``: G/(G-1); ``CR1S``: also (N-1)/(N-K), as
        Stata; ``CR3``: the cluster jackknife. ``wild``: error of CR1 with the p-value and the interval of
        the null-imposed wild cluster bootstrap.
    wild_weights, n_draws, seed
        Of the bootstrap (:func:`cobench.effects.bootstrap.wild_bootstrap`); ``se_type`` of the row names them.
    least_clusters : int
        Fewer clusters are refused.
    joint : bool
        One model for all levels (as trials of several arms publish it). By default each level has its own
        model on its own rows and the reference's, because a joint model without interactions mixes the
        effects of the arms (Goldsmith-Pinkham, Hull, Kolesár 2024).

    Returns
    -------
    DataFrame
        :data:`cobench.effects.estimates.COLUMNS`; ``estimand`` is ``variance_weighted`` where covariates or
        fixed effects are in the model, and ``between_clusters`` where exposure was decided for whole
        clusters. Covariates and fixed effects that depend on others are dropped.
    """
    frame, cells, dummies = effect_columns(frame, fixed_effects)
    errors = Errors(se_type, least_clusters, wild_weights, n_draws, seed)
    levels, base = levels_of(frame, treatment, reference)
    check_se_type(se_type, cluster)
    estimand = "variance_weighted" if covariates or fixed_effects else "mean_difference"

    def fit(level: str) -> Answer:
        sample = take_sample(
            frame, outcome=outcome, treatment=treatment, level=level, reference=base, covariates=[*covariates, *dummies],
            within=cells, cluster=cluster, weights=weights, levels=levels if joint else (),
        )  # fmt: skip
        return fit_regress(sample, errors, estimand)

    fits = [(level, partial(fit, level)) for level in levels]
    return observational_rows(fits, treatment=treatment, outcome=outcome, estimand=estimand, method="regress")


def fit_difference(sample: Sample, errors: Errors, estimand: str = "mean_difference") -> Answer:
    """Difference of means of one sample.

    Raises
    ------
    NotEstimableError
    """
    if errors.se_type == "permutation":
        found = permutation_test(
            sample.y, sample.d, sample.cluster, sample.cell, n_draws=errors.n_draws, seed=errors.seed
        )
        answer = fit_difference(sample, replace(errors, se_type=None), estimand)
        return _with_test(answer, found)
    if sample.cluster is None and errors.se_type in (None, "HC2"):
        estimate, error = welch(sample.y, sample.d)
        return checked(Answer(sample, estimate, error, estimand))
    bare = replace(sample, covariates=sample.covariates.without_columns(), cell=None, arms=sample.d[:, None])
    return fit_regress(bare, errors, estimand)


def fit_regress(sample: Sample, errors: Errors, estimand: str) -> Answer:
    """Regression on one sample; the exposure columns stand last, so that what they share is dropped from them.

    Raises
    ------
    NotEstimableError
        When the exposure doesn't vary given the rest, or whole clusters were exposed and one side has one.
    """
    check_clusters(sample, errors.least_clusters)
    fit, place = fit_design(sample)
    column = int(fit.kept[place])
    dropped = sample.covariates.x.shape[1] + sample.arms.shape[1] - len(fit.kept)
    wild = errors.se_type == "wild"
    answer = Answer(
        sample, float(fit.coefficients[place]),
        precision(fit, column, cluster=sample.cluster, se_type="CR1" if wild else errors.se_type),
        estimand, notes={"n_dropped_columns": dropped, "working": float(fit.bread[place, place])}
        | _clusters_that_count(fit, place, sample),
    )  # fmt: skip
    answer = checked(answer)
    return with_bootstrap(answer, fit, place, errors) if wild else answer


def fit_design(sample: Sample) -> tuple[OlsFit, int]:
    """Least squares of one sample, and the place of the exposure among the kept columns.

    Raises
    ------
    NotEstimableError
    """
    z = np.column_stack([standardised(sample.covariates.x), sample.arms])
    fit = fit_ols(sample.y, z, sample.cell, sample.weights)
    place = fit.position(z.shape[1] - sample.arms.shape[1])
    if place is None:
        raise not_estimable(
            "no_variation_within", within=sample.names["within"] or "the sample", treatment=sample.treatment
        )
    if fit.dof_resid < 1:
        raise not_estimable("perfect_fit", outcome=sample.outcome)
    return fit, place


def with_bootstrap(answer: Answer, fit: OlsFit, place: int, errors: Errors) -> Answer:
    """``answer`` with the p-value and interval of the wild cluster bootstrap."""
    found = wild_bootstrap(
        fit, place, answer.sample.cluster, weights=errors.wild_weights, n_draws=errors.n_draws, seed=errors.seed
    )  # fmt: skip
    return _with_test(answer, found)


def _with_test(answer: Answer, found: WildBootstrap | Permutation) -> Answer:
    return replace(
        answer, precision=replace(answer.precision, se_type=found.label), p_value=found.p_value,
        conf_low=found.conf_low, conf_high=found.conf_high,
    )  # fmt: skip


def _clusters_that_count(fit: OlsFit, place: int, sample: Sample) -> dict[str, float]:
    """Effective number of clusters with independent rows and with a common shock a cluster."""
    if sample.cluster is None:
        return {}
    return {
        f"effective_clusters_rho_{rho}": effective_clusters(fit, place, sample.cluster, rho) for rho in (0, 1)
    }


def effect_columns(
    frame: pd.DataFrame, fixed_effects: Sequence[str | tuple[str, ...]]
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Frame with fixed effects as text, the columns that are absorbed and those that become dummies.

    The set with most values is absorbed, which is exact (:mod:`cobench.effects.inference`).
    """
    sets = [[each] if isinstance(each, str) else list(each) for each in fixed_effects]
    if len(sets) < 2:
        return frame, [name for each in sets for name in each], []
    require_columns(frame, [name for each in sets for name in each])
    counts = [frame[each].drop_duplicates().shape[0] for each in sets]
    absorbed = sets[int(np.argmax(counts))]
    rest = [each for each in sets if each is not absorbed]
    size = (sum(counts) - max(counts)) * len(frame)
    if size > MOST_DUMMIES:
        raise ParameterError(
            en=f"fixed effects other than {' x '.join(absorbed)} need {size:,} numbers; combine them into one column",
            zh=f"除 {' x '.join(absorbed)} 以外的固定效应需要 {size:,} 个数；请合并为一列",
        )
    added = {
        " x ".join(each): pd.Series(as_text(frame, each), index=frame.index, dtype="object") for each in rest
    }
    return frame.assign(**added), absorbed, list(added)


def as_text(frame: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Labels of the combinations of ``columns``, (n,); None where one of them is missing."""
    parts = [as_level(frame[column]).astype("object") for column in columns]
    known = np.logical_and.reduce([part.notna().to_numpy(dtype=bool) for part in parts])
    label = parts[0].astype("str")
    for part in parts[1:]:
        label = label + " " + part.astype("str")
    return np.where(known, label.to_numpy(dtype="object"), None)


def standardised(x: np.ndarray) -> np.ndarray:
    """Columns centred and scaled, which changes no other coefficient and keeps the fit well conditioned."""
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def check_se_type(se_type: str | None, cluster: str | None, wild: bool = True) -> None:
    """Raise :class:`ParameterError` for an unknown error, or one that doesn't obey the cluster."""
    check_known("se_type", se_type, (None, *UNCLUSTERED, *CLUSTERED, *(("wild",) if wild else ())))
    if se_type in (*CLUSTERED, "wild") and cluster is None:
        raise ParameterError(
            en=f"se_type {se_type} needs a cluster column", zh=f"se_type {se_type} 需要给出 cluster 列"
        )
    if se_type in UNCLUSTERED and cluster is not None:
        raise ParameterError(
            en=f"se_type {se_type} ignores the cluster {cluster!r}; use {', '.join(CLUSTERED)} or wild",
            zh=f"se_type {se_type} 会忽略 cluster {cluster!r}；请用 {'、'.join(CLUSTERED)} 或 wild",
        )
