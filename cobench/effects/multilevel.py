"""Multilevel models: random intercepts and slopes of nested or crossed groups, by REML or ML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import stats

from cobench.declared import Text
from cobench.effects.answers import (
    BETWEEN,
    Answer,
    answer_or_error,
    check_clusters,
    checked,
    row_of,
    row_without_answer,
    switched,
)
from cobench.effects.estimates import as_estimates
from cobench.effects.evidence import evidence_of
from cobench.effects.exposure import default_within
from cobench.effects.inference import Precision
from cobench.effects.mixed_criterion import Criterion, has_zero_columns, minimise, one_thread
from cobench.effects.mixed_inference import Mixed, group_table, infer, satterthwaite, variance_table
from cobench.effects.mixed_profile import profiled
from cobench.effects.mixed_robust import ROBUST, Robust, nested
from cobench.effects.mixed_rows import (
    INTERCEPT,
    Declared,
    Rows,
    assemble,
    cluster_codes,
    declare,
    rows_of,
    rows_without_treatment,
)
from cobench.effects.reasons import REASONS, not_estimable
from cobench.effects.sample import Sample, add_step, check_known, levels_of, require_columns, take_sample
from cobench.errors import NotEstimableError, ParameterError

METHODS = ("REML", "ML")
MODEL = "model"
Group = str | tuple[str, ...]


@dataclass(frozen=True)
class MultilevelFit:
    """One fitted model.

    Attributes
    ----------
    fixed : DataFrame
        ``term, estimate, std_error, df, statistic, p_value, conf_low, conf_high, se_type``.
    criterion : float
        -2 log likelihood (ML) or the REML criterion, as lme4 gives it.
    n_parameters : int
        Coefficients, variances and covariances, the residual's included.
    singular : bool
        Whether a variance is zero or a correlation one in size; ``messages`` says which.
    arms : dict
        Place of each exposure level in ``fixed``; None where it depends on the rest.
    flow : DataFrame
        Rows lost, by reason.
    """

    method: str
    fixed: pd.DataFrame
    criterion: float
    n_parameters: int
    n_obs: int
    n_groups: dict[str, int]
    singular: bool
    messages: tuple[Text, ...]
    arms: dict[str, int | None]
    flow: pd.DataFrame
    conf_level: float
    mixed: Mixed

    @property
    def aic(self) -> float:
        """``criterion + 2 n_parameters``."""
        return self.criterion + 2 * self.n_parameters

    @property
    def log_likelihood(self) -> float:
        """-criterion / 2; restricted for REML."""
        return -self.criterion / 2

    @cached_property
    def variances(self) -> pd.DataFrame:
        """Variances, standard deviations, correlations and intra-class correlations, one row each.

        Columns ``group, effect, other, kind, estimate, std_error, conf_low, conf_high, at_boundary, interval``; ``kind`` is
        ``variance``, ``sd``, ``correlation`` or ``icc`` (the group's share in the variance of an average row); the residual is
        a group too. Intervals are by profile likelihood for intercept-only groups and the residual, which may start at zero.
        """
        with one_thread():
            return profiled(self.mixed, variance_table(self.mixed, self.conf_level), self.conf_level)

    @cached_property
    def groups(self) -> pd.DataFrame:
        """Shrunken effects of every group: :func:`cobench.effects.mixed_inference.group_table`."""
        with one_thread():
            return group_table(self.mixed, self.conf_level)


def multilevel(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    covariates: Sequence[str] = (),
    groups: Sequence[Group] = (),
    slopes: Mapping[Group, Sequence[str]] | None = None,
    method: str = "REML",
    within: Sequence[str] | None = None,
    cluster: str | None = None,
    se_type: str | None = None,
    reference: object = None,
    joint: bool = False,
    contrasts: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Contrasts of an exposure in a linear mixed model, one row a level.

    Parameters
    ----------
    frame : DataFrame
        One row a student, or a student and term; rows with anything missing are left out and counted.
    groups, slopes, method, contrasts
        As in :func:`fit_multilevel`.
    within : sequence of str, optional
        Cells whose means of exposure and covariates are adjusted for (Mundlak 1978), so that students are compared
        within them. By default the cluster, where exposure varies within it: random effects alone take what sets
        schools that visit more apart for an effect. ``()`` leaves the means out, as published models do.
    cluster : str, optional
        Highest level of independence; by default the grouping factor with fewest groups.
    se_type : {"model", "CR0", "CR1", "CR2"}, optional
        ``model`` (errors of REML or ML, Satterthwaite df) where the cluster is one of the groups, else a
        sandwich by cluster: CR2, or CR1 where groups cross clusters.
    joint : bool
        One model for all levels; by default a model a level, on its rows and the reference's.

    Returns
    -------
    DataFrame
        :data:`cobench.effects.estimates.COLUMNS`; evidence is at most ``adjusted_association``. A singular fit is said in
        ``reason`` of a row that is ``ok``.
    """
    check_known("method", method, METHODS)
    check_known("se_type", se_type, (None, MODEL, *ROBUST))
    require_columns(frame, [outcome, treatment])
    declared = declare(frame, groups, slopes, covariates, contrasts, treatment, cluster)
    levels, base = levels_of(frame, treatment, reference)
    how = {"method": method, "within": within, "se_type": se_type, "levels": levels if joint else ()}
    names = {"treatment": treatment, "outcome": outcome, "method": "multilevel"}
    estimand = "variance_weighted" if covariates or within != () else "mean_difference"
    rows = []
    for level in levels:
        found = answer_or_error(
            lambda level=level: switched(_contrast(declared, outcome, level, base, **how)), "multilevel"
        )
        if isinstance(found, NotEstimableError):
            rows.append(row_without_answer(found, level=level, estimand=estimand, **names))
            continue
        evidence = evidence_of(
            "multilevel", between=found.estimand == BETWEEN, adjusted=found.notes["adjusted"]
        ).evidence
        said = {"evidence": evidence, "population": "all", "reason": found.notes["said"]}
        rows.append(row_of(found, "multilevel") | said)
    return as_estimates(rows)


def fit_multilevel(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str | None = None,
    covariates: Sequence[str] = (),
    groups: Sequence[Group] = (),
    slopes: Mapping[Group, Sequence[str]] | None = None,
    method: str = "REML",
    within: Sequence[str] = (),
    cluster: str | None = None,
    se_type: str | None = None,
    reference: object = None,
    contrasts: Mapping[str, str] | None = None,
    conf_level: float = 0.95,
) -> MultilevelFit:
    """One linear mixed model as declared, of all levels of ``treatment`` where one is given.

    Parameters
    ----------
    covariates : sequence of str
        Numbers as they are, categories as dummies without their first level in sorted order.
    groups : sequence of str, or of tuples of str
        Grouping factors, nested or crossed as their labels are. Labels that repeat in other schools (class 1, 2, ...) need
        the combination, ``("school", "class")``, or they count as the same group everywhere.
    slopes : mapping of a group to columns, optional
        Numbers, flags or the treatment, whose slopes vary between its groups; their covariance with each other
        and with the intercept is unstructured.
    method : {"REML", "ML"}
    within : sequence of str
        Cells whose means of exposure and covariates become covariates; none by default.
    cluster, se_type
        As in :func:`multilevel`.
    contrasts : mapping, optional
        ``{column: "polynomial"}`` codes an ordered categorical covariate by orthogonal polynomials. The REML
        criterion depends on such coding, the estimates don't.

    Raises
    ------
    NotEstimableError
        Among others where a grouping factor has one group or one a row, two factors divide the rows alike, the model fits without
        error, or the search for the variances doesn't settle.
    ParameterError, MissingColumnError
    """
    check_known("method", method, METHODS)
    check_known("se_type", se_type, (None, MODEL, *ROBUST))
    declared = declare(frame, groups, slopes, covariates, contrasts, treatment, cluster)
    if treatment is None:
        rows = rows_without_treatment(declared, outcome, within)
    else:
        levels, base = levels_of(frame, treatment, reference)
        sample = _sample(declared, outcome, levels[0], base, within, levels)
        rows = rows_of(sample, [_arm_name(treatment, each) for each in levels], " x ".join(within))
    return _fit(rows, declared, method, se_type, conf_level)


def _sample(
    declared: Declared, outcome: str, level: str, base: str, within: Sequence[str], levels: Sequence[str]
) -> Sample:
    return take_sample(
        declared.frame, outcome=outcome, treatment=declared.treatment, level=level, reference=base,
        covariates=declared.covariates, within=within, cluster=declared.cluster, levels=levels, extra=declared.extra,
    )  # fmt: skip


def _arm_name(treatment: str, level: str) -> str:
    return f"{treatment}={level}"


def _contrast(
    declared: Declared,
    outcome: str,
    level: str,
    base: str,
    *,
    method: str,
    within: Sequence[str] | None,
    se_type: str | None,
    levels: Sequence[str],
) -> Answer:
    """The contrast of one level with the reference.

    Raises
    ------
    NotEstimableError
    """
    treatment = declared.treatment
    if within is None:
        within = default_within(declared.frame, treatment, level, base, declared.cluster)
    sample = _sample(declared, outcome, level, base, within, levels)
    check_clusters(sample)
    arms = [_arm_name(treatment, each) for each in dict.fromkeys([level, *levels])]
    fit = _fit(rows_of(sample, arms, " x ".join(within)), declared, method, se_type, 0.95)
    place = fit.arms[arms[0]]
    if place is None:
        raise not_estimable(
            "no_variation_within", within=" x ".join(within) or "the sample", treatment=treatment
        )
    adjusted = bool(declared.covariates) or len(within) > 0
    row = fit.fixed.iloc[place]
    error = Precision(float(row["std_error"]), float(row["df"]), row["se_type"])
    said = fit.messages[0].en if fit.messages else ""
    estimand = "variance_weighted" if adjusted else "mean_difference"
    return checked(
        Answer(sample, float(row["estimate"]), error, estimand, notes={"said": said, "adjusted": adjusted})
    )


def _fit(
    rows: Rows, declared: Declared, method: str, se_type: str | None, conf_level: float
) -> MultilevelFit:
    groups = ", ".join(declared.groups)
    system, names, places = assemble(rows, declared)
    criterion = Criterion(system, method == "REML")
    try:
        with one_thread():
            minimum = minimise(criterion)
            sigma = np.sqrt(criterion.variance(minimum.found))
            if sigma <= 1e-6 * np.std(rows.y):
                raise not_estimable("perfect_fit", outcome=rows.outcome)
            if not minimum.converged:
                raise not_estimable("variances_unsettled", groups=groups)
            mixed = infer(criterion, minimum)
            fixed = _fixed(mixed, names, declared, rows, method, se_type, conf_level)
    except np.linalg.LinAlgError:
        raise not_estimable("variances_unsettled", groups=groups) from None
    messages = _messages(variance_table(mixed, conf_level))
    return MultilevelFit(
        method=method, fixed=fixed, criterion=minimum.criterion,
        n_parameters=system.p + len(minimum.theta) + 1, n_obs=system.n,
        n_groups={term.name: term.n_levels for term in system.terms},
        singular=has_zero_columns(system, minimum.theta), messages=messages, arms=places,
        flow=add_step(rows.flow, "analysed", system.n), conf_level=conf_level, mixed=mixed,
    )  # fmt: skip


def _fixed(
    mixed: Mixed,
    names: Sequence[str],
    declared: Declared,
    rows: Rows,
    method: str,
    se_type: str | None,
    conf_level: float,
) -> pd.DataFrame:
    """The frame ``fixed`` of :class:`MultilevelFit`."""
    se_type, cluster = se_type or MODEL, cluster_codes(rows, declared)
    if se_type == MODEL and declared.cluster not in declared.groups:
        se_type = "CR2" if nested(mixed.system, cluster) else "CR1"
    if se_type == "CR2" and not nested(mixed.system, cluster):
        raise ParameterError(
            en=f"se_type CR2 needs every group to lie within one {declared.cluster}; use CR1",
            zh=f"se_type CR2 要求每个分组都处于同一个 {declared.cluster} 之内；请改用 CR1",
        )
    robust = None if se_type == MODEL else Robust(mixed, cluster, se_type)
    errors = []
    for contrast in np.eye(len(names)):
        if robust is not None:
            errors.append(robust.precision(contrast))
            continue
        error = float(np.sqrt(contrast @ mixed.covariance @ contrast))
        errors.append(Precision(error, satterthwaite(mixed, contrast), method))
    error, df = (np.array([getattr(each, name) for each in errors]) for name in ("std_error", "df"))
    ratio = mixed.coefficients / error
    half = stats.t.ppf(0.5 + conf_level / 2, df) * error
    return pd.DataFrame(
        {
            "term": names, "estimate": mixed.coefficients, "std_error": error, "df": df, "statistic": ratio,
            "p_value": 2 * stats.t.sf(np.abs(ratio), df), "conf_low": mixed.coefficients - half,
            "conf_high": mixed.coefficients + half, "se_type": [each.se_type for each in errors],
        }
    )  # fmt: skip


def _messages(variances: pd.DataFrame) -> tuple[Text, ...]:
    """What is at a boundary, in words: zero variances first, then perfect correlations of other groups."""
    zero, perfect = [], []
    for group, rows in variances[variances["at_boundary"]].groupby("group", sort=False):
        effects = ", ".join(rows.loc[rows["kind"] == "sd", "effect"])
        if effects:
            zero.append(group if effects == INTERCEPT else f"{group} ({effects})")
        elif (rows["kind"] == "correlation").any():
            perfect.append(group)
    found = {"zero_variance": zero, "perfect_correlation": perfect}
    return tuple(_said(key, ", ".join(names)) for key, names in found.items() if names)


def _said(key: str, groups: str) -> Text:
    return Text(zh=REASONS[key].zh.format(groups=groups), en=REASONS[key].en.format(groups=groups))
