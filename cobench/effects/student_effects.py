"""Each student compared with themselves: regression with an effect for every student and every term."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from cobench.effects.adjust import standardised
from cobench.effects.bootstrap import DRAWS, SEED, wild_bootstrap
from cobench.effects.carry_over import ALPHA, CARRIED, carry_over_check, declared_terms
from cobench.effects.checks import Check, p_in_words
from cobench.effects.did_averages import MOST_CLUSTERS_FOR_DF
from cobench.effects.did_checks import lagged_outcome_check
from cobench.effects.did_fit import cluster_codes
from cobench.effects.did_panel import MOST_MOVERS, read_terms
from cobench.effects.did_tables import without_answer
from cobench.effects.estimates import as_estimates, minimum_detectable
from cobench.effects.evidence import Evidence, evidence_of
from cobench.effects.folds import cell_means
from cobench.effects.inference import COLLINEAR, OlsFit, fit_ols, precision
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import (
    FLOW,
    Sample,
    add_step,
    as_level,
    check_arms,
    check_known,
    levels_of,
    require_columns,
    take_sample,
)
from cobench.errors import NotEstimableError

METHOD = "student_fixed_effects"
SE_TYPES = (None, "CR1", "CR1S", "CR2", "CR3", "wild")
WEIGHTING = ["quantity", "value"]


@dataclass(frozen=True)
class StudentEffectsFit:
    """Everything about one comparison of students with themselves.

    Attributes
    ----------
    level : str
    estimates : DataFrame
        As :func:`student_fixed_effects` returns them.
    weighting : DataFrame
        Columns :data:`WEIGHTING`: the share of students whose exposure changes (only they identify the effect), and of
        exposed student-terms that enter with a negative weight, with the sum of these weights (all add up to one):
        where effects differ, those may turn the sign (de Chaisemartin and D'Haultfoeuille 2020).
    checks : tuple of Check
        ``lagged_outcome``, ``strict_exogeneity``, ``carry_over``.
    evidence : Evidence
    flow : DataFrame
        :data:`cobench.effects.sample.FLOW`, in student-terms.
    """

    level: str
    estimates: pd.DataFrame
    weighting: pd.DataFrame
    checks: tuple[Check, ...]
    evidence: Evidence
    flow: pd.DataFrame

    def check(self, name: str) -> Check:
        """The check of this name."""
        return next(each for each in self.checks if each.name == name)


@dataclass(frozen=True)
class _Declared:
    outcome: str
    treatment: str
    student: str
    term: str
    covariates: tuple[str, ...]
    cluster: str | None
    lasting: int
    se_type: str | None
    role: str
    assumption: str
    n_draws: int
    seed: int


def student_fixed_effects(
    frame: pd.DataFrame, outcome: str, treatment: str, student: str, term: str, **options: object
) -> pd.DataFrame:
    """Effects within students over terms; options as in :func:`fit_student_effects`, which tells more.

    Returns
    -------
    DataFrame
        :data:`cobench.effects.estimates.COLUMNS`, counts in student-terms. ``variance_weighted``: a row a term since the
        exposure (``at`` 0 is its own) up to the declared carry-over; ``carry_over``: the one after, which should be
        nothing.
    """
    fits = fit_student_effects(frame, outcome, treatment, student, term, **options)
    return pd.concat([fit.estimates for fit in fits], ignore_index=True)


def fit_student_effects(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    student: str,
    term: str,
    covariates: Sequence[str] = (),
    cluster: str | None = None,
    carry_over: object = None,
    reference: object = None,
    se_type: str | None = None,
    role: str = "exploratory",
    assumption: str = "",
    n_draws: int = DRAWS,
    seed: int = SEED,
) -> tuple[StudentEffectsFit, ...]:
    """Least squares with student and term effects on an unbalanced panel, exactly; one fit a level of the treatment.

    Parameters
    ----------
    covariates : sequence of str
        That change over terms and that the exposure doesn't move.
    cluster : str, optional
        Groups at or above the student; students by default.
    carry_over : {"none", "any"} or int
        Terms after its own in which an exposure still matters: so many lags stand in the model, and the next one is
        tested. ``any`` is refused, because no unexposed term would be free of earlier exposures.
    se_type : {"CR1", "CR1S", "CR2", "CR3", "wild"}, optional
        CR2 by default; CR1 above 500 clusters, where they agree.
    role : {"exploratory", "robustness", "confirmatory"}
        Never confirmatory unless the checks ``lagged_outcome`` and ``strict_exogeneity`` pass.
    assumption : str
        Why nothing else that changes drove exposure; without it evidence is at most ``adjusted_association``.

    Raises
    ------
    ParameterError
        For an unknown word or an undeclared carry-over.
    """
    check_known("se_type", se_type, SE_TYPES)
    check_known("role", role, ("exploratory", "robustness", "confirmatory"))
    lasting = declared_terms(carry_over)
    require_columns(frame, [outcome, treatment, student, term, *covariates, *filter(None, [cluster])])
    levels, lowest = levels_of(frame, treatment, reference)
    found = []
    for level in levels:
        try:
            if lasting is None:
                raise not_estimable("carry_over_any")
            given = _Declared(
                outcome, treatment, student, term, tuple(covariates), cluster, lasting, se_type, role, assumption,
                n_draws, seed,
            )  # fmt: skip
            found.append(_fit_level(frame, given, level, lowest))
        except (NotEstimableError, np.linalg.LinAlgError) as error:
            if isinstance(error, np.linalg.LinAlgError):
                error = not_estimable("numerical", method=METHOD)
            found.append(_refused({"treatment": treatment, "level": level, "outcome": outcome}, error))
    return tuple(found)


def _refused(names: dict[str, str], error: NotEstimableError) -> StudentEffectsFit:
    row = {**without_answer(names, error.en, estimand="variance_weighted"), "method": METHOD}
    check = Check("estimable", "failed", text={"zh": error.zh, "en": error.en}, contrast=names["level"])
    return StudentEffectsFit(
        names["level"], as_estimates([row]), pd.DataFrame(columns=WEIGHTING), (check,),
        evidence_of(METHOD, status="not_estimable"), pd.DataFrame(columns=FLOW),
    )  # fmt: skip


def _fit_level(frame: pd.DataFrame, given: _Declared, level: str, reference: str) -> StudentEffectsFit:
    panel = read_terms(
        frame, outcome=given.outcome, treatment=given.treatment, student=given.student, term=given.term,
        level=level, reference=reference, covariates=given.covariates, cluster=given.cluster,
    )  # fmt: skip
    lagged = _with_lags(frame, given, level, reference, range(-1, given.lasting + 2))
    main = _sample(lagged, given, level, reference, range(1, given.lasting + 1))
    rows, weighting = _effects(main, given)
    tests = {}
    for at in (-1, given.lasting + 1):
        try:
            own = _sample(lagged, given, level, reference, [*range(1, given.lasting + 1), at])
            tests[at] = _one(own, given, -1)
        except NotEstimableError:
            tests[at] = None
    checks = (
        lagged_outcome_check(panel, given.lasting, 0, cluster_codes(panel), level),
        _lead_check(tests[-1], level),
        _lag_check(tests[given.lasting + 1], given.lasting, level),
    )
    evidence = evidence_of(METHOD, checks=checks, assumption=given.assumption)
    if tests[given.lasting + 1] is not None:
        extra = tests[given.lasting + 1]
        rows.append(
            {**extra, "estimand": "carry_over", "at": float(given.lasting + 1), "role": "exploratory"}
        )
    passed = {check.name for check in checks if check.status == "passed"}
    allowed = given.role != "confirmatory" or {"lagged_outcome", "strict_exogeneity"} <= passed
    rows[0]["role"] = given.role if allowed else "exploratory"
    estimates = as_estimates([{**row, "evidence": evidence.evidence} for row in rows])
    return StudentEffectsFit(level, estimates, weighting, checks, evidence, main.flow)


def _with_lags(
    frame: pd.DataFrame, given: _Declared, level: str, reference: str, steps: range
) -> pd.DataFrame:
    """``frame`` with the exposure of other terms in columns ``_lag_-1`` (the next), ``_lag_1`` (the one before)..."""
    rows = frame[frame[given.student].notna() & frame[given.term].notna()]
    order = (
        list(rows[given.term].cat.categories)
        if isinstance(rows[given.term].dtype, pd.CategoricalDtype) and rows[given.term].cat.ordered
        else sorted(rows[given.term].unique())
    )
    place = rows[given.term].astype("object").map({value: at for at, value in enumerate(order)}).astype(int)
    exposure = as_level(rows[given.treatment])
    known = exposure.isin([level, reference])
    d = (exposure == level).astype("float64").where(known)
    by_term = pd.Series(d.to_numpy(), index=pd.MultiIndex.from_arrays([rows[given.student], place]))
    added = {
        f"_lag_{step}": by_term.reindex(
            pd.MultiIndex.from_arrays([rows[given.student], place - step])
        ).to_numpy()
        for step in steps
        if step != 0
    }
    return rows.assign(**added, **{given.term: as_level(rows[given.term])})


def _sample(rows: pd.DataFrame, given: _Declared, level: str, reference: str, lags: Sequence[int]) -> Sample:
    """Complete student-terms of students with two of them, who don't leave their cluster."""
    sample = take_sample(
        rows, outcome=given.outcome, treatment=given.treatment, level=level, reference=reference,
        covariates=[*given.covariates, given.term], within=[given.student], cluster=given.cluster or given.student,
        extra=[f"_lag_{step}" for step in lags],
    )  # fmt: skip
    students = sample.cell.max() + 1
    low, high = np.full(students, np.iinfo(int).max), np.full(students, -1)
    np.minimum.at(low, sample.cell, sample.cluster)
    np.maximum.at(high, sample.cell, sample.cluster)
    moved = (high >= 0) & (low != high)
    if moved.sum() > MOST_MOVERS * (high >= 0).sum():
        raise not_estimable("moving_clusters", cluster=given.cluster)
    if moved.any():
        kept = ~moved[sample.cell]
        flow = add_step(sample.flow, "moved_cluster", int(kept.sum()), given.cluster)
        sample = replace(sample.take(kept), flow=flow)
    twice = np.bincount(sample.cell, minlength=students) > 1
    sample = sample.take(twice[sample.cell], "one_term")
    check_arms(sample)
    return sample


def _design(sample: Sample) -> tuple[OlsFit, int]:
    """Least squares within students; ``z`` ends with the exposure and its lags. The first of these places.

    Students lie within clusters, so taking their means out first changes neither CR2 nor its degrees of freedom
    (Pustejovsky and Tipton 2018, theorem 2).
    """
    lags = sample.extra if sample.extra is not None else np.zeros((len(sample.y), 0))
    z = np.column_stack([standardised(sample.covariates.x), sample.d, lags])
    swept = z - cell_means(z, sample.cell)
    steady = np.sum(swept**2, axis=0) < COLLINEAR * np.sum(z**2, axis=0)
    fit = fit_ols(sample.y - cell_means(sample.y[:, None], sample.cell)[:, 0], np.where(steady, 0.0, swept))
    fit = replace(fit, dof_resid=len(sample.y) - np.count_nonzero(np.bincount(sample.cell)) - len(fit.kept))
    if fit.dof_resid < 1:
        raise not_estimable("perfect_fit", outcome=sample.outcome)
    return fit, sample.covariates.x.shape[1]


def _effects(sample: Sample, given: _Declared) -> tuple[list[dict], pd.DataFrame]:
    fit, start = _design(sample)
    rows = [
        {**_row(fit, start + step, sample, given), "estimand": "variance_weighted", "at": float(step)}
        for step in range(given.lasting + 1)
    ]
    return rows, _weighting(fit, fit.position(start), sample)


def _one(sample: Sample, given: _Declared, last: int) -> dict:
    fit, start = _design(sample)
    return _row(fit, start + sample.extra.shape[1] + 1 + last, sample, replace(given, se_type=None))


def _row(fit: OlsFit, column: int, sample: Sample, given: _Declared) -> dict:
    """Numbers of one coefficient as a mapping with column names of the frame of estimates."""
    place = fit.position(column)
    if place is None:
        raise not_estimable("no_variation_within", within=given.student, treatment=sample.treatment)
    many = len(np.unique(sample.cluster)) > MOST_CLUSTERS_FOR_DF
    wild = given.se_type == "wild"
    se_type = "CR1" if wild or (many and given.se_type is None) else given.se_type or "CR2"
    found = precision(fit, column, cluster=sample.cluster, se_type=se_type)
    if not found.std_error > 1e-10 * float(np.std(sample.y)):
        raise not_estimable("perfect_fit", outcome=sample.outcome)
    estimate = float(fit.coefficients[place])
    spread = float(np.std(sample.y[sample.d == 0], ddof=1))
    row = {
        "treatment": sample.treatment, "contrast": sample.level, "outcome": sample.outcome, "population": "all",
        "method": METHOD, "estimate": estimate, "std_error": found.std_error, "df": found.df,
        "se_type": found.se_type, "effect_size": estimate / spread if spread > 0 else np.nan,
        "es_type": "in SD of the outcome of unexposed student-terms", "n_obs": len(sample.y),
        "n_treated": sample.n_treated, "n_clusters": len(np.unique(sample.cluster)),
        "n_treated_clusters": len(np.unique(sample.cluster[sample.d == 1])), "status": "ok",
    }  # fmt: skip
    if wild:
        drawn = wild_bootstrap(fit, place, sample.cluster, n_draws=given.n_draws, seed=given.seed)
        row |= {"p_value": drawn.p_value, "conf_low": drawn.conf_low, "conf_high": drawn.conf_high}
        row["se_type"] = drawn.label
    return row


def _weighting(fit: OlsFit, place: int, sample: Sample) -> pd.DataFrame:
    """Who identifies the effect: the exposure with everything else swept out is each student-term's weight."""
    others = np.delete(np.arange(fit.centred.shape[1]), place)
    swept = fit.centred[:, place]
    if len(others):
        x = fit.centred[:, others]
        swept = swept - x @ np.linalg.solve(x.T @ x, x.T @ swept)
    students = np.bincount(sample.cell) > 0
    exposed = np.bincount(sample.cell, weights=sample.d)
    switch = (exposed > 0) & (exposed < np.bincount(sample.cell))
    weight = swept[sample.d == 1] / swept[sample.d == 1].sum()
    return pd.DataFrame(
        [
            ("share_of_students_who_switch", switch.sum() / students.sum()),
            ("share_of_exposed_terms_with_negative_weight", float(np.mean(weight < -1e-12))),
            ("sum_of_negative_weights", float(weight[weight < 0].sum())),
        ],
        columns=WEIGHTING,
    )


def _p(row: dict) -> float:
    return float(2 * stats.t.sf(abs(row["estimate"]) / row["std_error"], row["df"]))


def _lead_check(row: dict | None, level: str) -> Check:
    """Whether the next term's exposure goes with this term's outcome, which it can't cause (strict exogeneity)."""
    if row is None:
        text = {
            "zh": "学期太少，无法检验结果是否影响之后的干预。",
            "en": "There are too few terms to test whether outcomes decide later exposure.",
        }
        return Check("strict_exogeneity", "not_applicable", pd.DataFrame(columns=CARRIED), text, level)
    p, smallest = _p(row), minimum_detectable(row["std_error"], row["df"])
    table = pd.DataFrame([(-1.0, row["estimate"], row["std_error"], row["df"], p, smallest)], columns=CARRIED)
    failed = p < ALPHA
    text = {
        "zh": f"下一学期接受干预的学生，本学期结果{'已有' if failed else '没有发现'}差别（{row['estimate']:.3g}，{p_in_words(p)}）；"
        f"{'结果影响之后的干预，估计有偏。' if failed else f'不小于 {smallest:.3g} 的差别有 80% 的可能被发现。'}",
        "en": f"Next term's exposure {'goes' if failed else 'was not found to go'} with this term's outcome "
        f"({row['estimate']:.3g}, {p_in_words(p)}); "
        + (
            "outcomes decide later exposure, so the estimate is off."
            if failed
            else f"a difference of {smallest:.3g} or more would have been found with 80 % probability."
        ),
    }
    return Check("strict_exogeneity", "failed" if failed else "passed", table, text, level)


def _lag_check(row: dict | None, lasting: int, level: str) -> Check:
    if row is None:
        return carry_over_check(lasting, *[np.nan] * 5, level)
    return carry_over_check(
        lasting, lasting + 1.0, row["estimate"], row["std_error"], row["df"], _p(row), level
    )
