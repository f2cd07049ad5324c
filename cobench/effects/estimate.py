"""One declared design to estimates, checks, balance, overlap and flow; bad data end in a reason, not a traceback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from cobench.effects import diagnostics
from cobench.effects.adjust import Errors, fit_difference, fit_regress
from cobench.effects.aipw import answer_aipw
from cobench.effects.answers import (
    BETWEEN,
    Answer,
    answer_or_error,
    check_clusters,
    row_of,
    row_without_answer,
    switched,
)
from cobench.effects.balance import BALANCE, OVERLAP, balance_of, overlap_table
from cobench.effects.checks import Check
from cobench.effects.design import Design
from cobench.effects.entropy import fit_entropy
from cobench.effects.estimates import as_estimates
from cobench.effects.evidence import Evidence, evidence_of
from cobench.effects.exposure import default_within
from cobench.effects.instrument import checks_of, fit_complier, take_complier_sample
from cobench.effects.matching import fit_matching
from cobench.effects.multiplicity import SCORES, cluster_contributions
from cobench.effects.sample import (
    FLOW,
    Sample,
    add_step,
    as_level,
    require_columns,
    select_rows,
    take_sample,
)
from cobench.effects.weighting import fit_ipw
from cobench.errors import NotEstimableError

BY_METHOD = ["contrast", "method", "ess", *BALANCE]


@dataclass(frozen=True)
class EffectResult:
    """What came of one design.

    Attributes
    ----------
    estimates : DataFrame
        :data:`cobench.effects.estimates.COLUMNS`: every method on everybody, then the primary method in each
        subgroup; one row a level.
    checks : tuple of Check
        Of the primary method on everybody, by level; ``interaction`` of each column of subgroups; strength,
        exclusion and monotonicity of ``iv``.
    balance : DataFrame
        ``contrast`` and :data:`cobench.effects.balance.BALANCE`.
    overlap : DataFrame
        ``contrast`` and :data:`cobench.effects.balance.OVERLAP`: counts only.
    flow : DataFrame
        ``contrast`` and :data:`cobench.effects.sample.FLOW`: rows left and dropped, by reason.
    reasons : dict
        Chinese text of every reason in ``estimates``, by the English one.
    balance_by_method : DataFrame
        ``contrast``, ``method``, ``ess`` and the columns of balance, under the weights of each method that has
        some.
    scores : DataFrame
        :data:`cobench.effects.multiplicity.SCORES` of the confirmatory rows, for the joint adjustment of a
        family.
    """

    estimates: pd.DataFrame
    checks: tuple[Check, ...]
    balance: pd.DataFrame
    overlap: pd.DataFrame
    flow: pd.DataFrame
    reasons: dict[str, str] = field(default_factory=dict)
    balance_by_method: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=BY_METHOD))
    scores: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=SCORES))


def estimate_effect(frame: pd.DataFrame, design: Design) -> EffectResult:
    """Estimate ``design`` on ``frame``, one row a student, with every declared method and subgroup.

    A plain difference without a declared assignment uses the rows that are complete on all covariates, so
    that methods side by side differ by method only; after a declared assignment it uses everybody.

    Raises
    ------
    MissingColumnError
        For a column of the design that ``frame`` hasn't. Whatever else is wrong with the data comes back as
        rows ``not_estimable`` with a reason.
    """
    require_columns(frame, design.columns)
    frame = frame.reset_index(drop=True)
    rows, checks, balances, overlaps, flows, by_method = [], [], [], [], [], []
    reasons, confirmatory = {}, {}
    for level in design.levels:
        outcomes = {method: _attempt(frame, design, level, method) for method in design.methods}
        main = outcomes[design.primary]
        evidence = {}
        for method, found in outcomes.items():
            role = design.role if method == design.primary else "robustness"
            evidence[method] = _evidence(frame, design, level, method, found)
            if role == "confirmatory" and isinstance(found, Answer):
                confirmatory[len(rows)] = found
            rows.append(_row(design, level, method, found, evidence[method], role))
        checks += _checks(frame, design, level, main, evidence[design.primary])
        weighted = [each for each in (main, *outcomes.values()) if isinstance(each, Answer)]
        weighted = [each for each in weighted if each.balance_weights is not None]
        by_method += _balance_by_method(outcomes, design.estimand, level)
        balances.append(_balance(frame, design, level, weighted).assign(contrast=level))
        overlaps += [
            overlap_table(each.propensity, each.sample.d).assign(contrast=level)
            for each in [each for each in weighted if each.propensity is not None][:1]
        ]
        flows.append(_flow(frame, design, level, main).assign(contrast=level))
        by_column: dict[str, list[Answer]] = {}
        for column, label, part in subgroup_frames(frame, design):
            narrow = replace(design, covariates=_varying(part, design.covariates), subgroups=())
            found = _attempt(part, narrow, level, design.primary)
            why = _evidence(part, narrow, level, design.primary, found)
            rows.append({**_row(design, level, design.primary, found, why, "exploratory"), "subgroup": label})
            reasons |= _reason(found)
            if column and isinstance(found, Answer):
                by_column.setdefault(column, []).append(found)
        checks += [diagnostics.check_interaction(column, parts, level) for column, parts in by_column.items()]
        for found in outcomes.values():
            reasons |= _reason(found)
    estimates = as_estimates(rows)
    scores = [
        cluster_contributions(answer, estimates.loc[place, "estimate_id"])
        for place, answer in confirmatory.items()
    ]
    return EffectResult(
        estimates=estimates,
        checks=(*checks, diagnostics.check_history(frame, design)),
        balance=_stack(balances, BALANCE),
        overlap=_stack(overlaps, OVERLAP),
        flow=_stack(flows, FLOW),
        reasons=reasons,
        balance_by_method=pd.concat(by_method, ignore_index=True)
        if by_method
        else pd.DataFrame(columns=BY_METHOD),
        scores=pd.concat(scores, ignore_index=True) if scores else pd.DataFrame(columns=SCORES),
    )


def estimate_variant(frame: pd.DataFrame, design: Design, like: Design) -> pd.DataFrame:
    """One more declared specification of the effect ``like``: its primary method on everybody, as ``robustness``.

    It uses the rows that are complete on all that ``like`` adjusts for, so that specifications side by side
    differ by what they declare and not by whom they leave out. After a declared draw it uses everybody.
    """
    require_columns(frame, design.columns)
    needed = [] if like.assignment is not None else [*like.covariates, *like.within]
    frame = frame[frame[needed].notna().all(axis=1)].reset_index(drop=True)
    rows = []
    for level in design.levels:
        found = _attempt(frame, design, level, design.primary)
        why = _evidence(frame, design, level, design.primary, found)
        rows.append(_row(design, level, design.primary, found, why, "robustness"))
    return as_estimates(rows)


def not_estimable_result(design: Design, en: str, zh: str) -> EffectResult:
    """The result of a design that can't be estimated at all, with the reason in both languages."""
    error = NotEstimableError(en=en, zh=zh)
    rows = [
        _row(
            design,
            level,
            method,
            error,
            evidence_of(method, status="not_estimable"),
            design.role if method == design.primary else "robustness",
        )
        for level in design.levels
        for method in design.methods
    ]
    checks = tuple(_not_estimable_check(error, level) for level in design.levels)
    empty = [_stack([], columns) for columns in (BALANCE, OVERLAP, FLOW)]
    return EffectResult(as_estimates(rows), checks, *empty, reasons={en: zh})


def subgroup_frames(frame: pd.DataFrame, design: Design) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Column, label and rows of each declared subgroup: ``sex=f``, or a given label where its column is true.

    The column is empty for a subgroup with a given label: it is one of its kind and not compared with others.
    """
    for label, column in design.subgroup_columns:
        values = as_level(frame[column])
        if label:
            yield "", label, frame[values.isin(["true", "1"]).to_numpy(dtype=bool)]
            continue
        for value in sorted(values.dropna().unique()):
            yield column, f"{column}={value}", frame[(values == value).to_numpy(dtype=bool)]


def _attempt(frame: pd.DataFrame, design: Design, level: str, method: str) -> Answer | NotEstimableError:
    def fit() -> Answer:
        sample = _sample(frame, design, level, method)
        check_clusters(sample, design.least_clusters)
        answer = _answer(sample, design, method)
        drawn = design.assignment is not None or design.replication_only
        return answer if drawn else switched(answer)

    return answer_or_error(fit, method)


def _sample(frame: pd.DataFrame, design: Design, level: str, method: str) -> Sample:
    bare = method == "difference" and design.assignment is not None
    covariates = () if bare else design.covariates
    within = () if bare else cells_of(frame, design, level, method)
    cluster = design.cluster
    if bare and design.se_type == "permutation":
        within, cluster = design.assignment.strata, None if design.assignment.unit == "student" else cluster
    if method == "iv":
        pair = as_level(frame[design.treatment]).isin([level, design.reference]).to_numpy(dtype=bool)
        return take_complier_sample(
            frame[pair], outcome=design.outcome, treatment=design.treatment, instrument=design.instrument,
            level=level, reference=design.reference, covariates=covariates, within=within, cluster=design.cluster,
        )  # fmt: skip
    joint = method == "regress" and design.joint
    return take_sample(
        frame,
        outcome=design.outcome,
        treatment=design.treatment,
        level=level,
        reference=design.reference,
        covariates=covariates,
        within=within,
        cluster=cluster,
        levels=design.levels if joint else (),
    )


def cells_of(frame: pd.DataFrame, design: Design, level: str, method: str) -> tuple[str, ...]:
    """Cells to compare within: the declared ones, else (observational) the clusters where exposure varies."""
    declared = design.within or design.assignment is not None or design.replication_only
    if declared or method == "difference":
        return design.within
    return default_within(frame, design.treatment, level, design.reference, design.cluster)


def _answer(sample: Sample, design: Design, method: str) -> Answer:
    drawn_again = design.se_type == "permutation" and method != "difference"
    errors = Errors(None if drawn_again else design.se_type, design.least_clusters, seed=design.seed)
    fits = {
        "difference": lambda: fit_difference(sample, errors, _estimand(design, method)),
        "regress": lambda: fit_regress(sample, errors, _estimand(design, method)),
        "ipw": lambda: fit_ipw(sample, design.estimand, trim=design.trim),
        "entropy_balance": lambda: fit_entropy(sample, design.estimand),
        "matching": lambda: fit_matching(sample),
        "iv": lambda: fit_complier(sample, replace(errors, se_type=_analytic(design.se_type))).answer,
        "aipw": lambda: answer_aipw(
            sample, design.estimand, n_folds=design.n_folds, seed=design.seed, adjustment=design.adjustment
        ),
    }
    return fits[method]()


def _analytic(se_type: str | None) -> str | None:
    """Two-stage least squares has its own interval for weak instruments, and neither bootstrap nor permutation."""
    return None if se_type in ("wild", "permutation") else se_type


def _estimand(design: Design, method: str) -> str:
    """What a method estimates: a plain contrast is the declared estimand only after a random draw."""
    if method == "iv":
        return "LATE"
    if method == "matching":
        return "ATT"
    if method == "regress" and (design.covariates or design.within):
        return "variance_weighted"
    if method in ("difference", "regress") and design.assignment is None:
        return "mean_difference"
    return design.estimand


def _row(
    design: Design,
    level: str,
    method: str,
    found: Answer | NotEstimableError,
    evidence: Evidence,
    role: str,
) -> dict:
    common = {
        "study": design.study,
        "term": design.term,
        "population": design.population,
        "spec_id": design.spec_id,
        "role": role,
    }
    if isinstance(found, NotEstimableError):
        row = row_without_answer(
            found,
            treatment=design.treatment,
            level=level,
            outcome=design.outcome,
            estimand=_estimand(design, method),
            method=method,
        )
        return {**common, **row}
    if found.support:
        common["population"] = f"{design.population}:{found.support}"
    return {**common, **row_of(found, method), "evidence": evidence.evidence}


def _evidence(
    frame: pd.DataFrame, design: Design, level: str, method: str, found: Answer | NotEstimableError
) -> Evidence:
    if isinstance(found, NotEstimableError):
        return evidence_of(method, status="not_estimable")
    conditioned = design.within if method == "regress" else ()
    checks = [
        diagnostics.check_assignment(frame, design, level, conditioned),
        diagnostics.check_attrition(frame, design, level),
    ]
    if found.balance_weights is not None:
        table = balance_of(found.sample.covariates, found.sample.d, found.balance_weights, design.estimand)
        checks.append(diagnostics.check_balance(table, True, level))
    return evidence_of(
        method,
        assignment=design.assignment,
        replication_only=design.replication_only,
        checks=checks,
        adjusted=bool(design.covariates or design.within),
        between=found.estimand == BETWEEN,
    )


def _checks(
    frame: pd.DataFrame,
    design: Design,
    level: str,
    main: Answer | NotEstimableError,
    evidence: Evidence,
) -> list[Check]:
    if isinstance(main, NotEstimableError):
        return [_not_estimable_check(main, level)]
    conditioned = design.within if design.primary == "regress" else ()
    weights = main.balance_weights
    table = _balance(frame, design, level, [main] if weights is not None else [])
    return [
        Check("estimable", "passed", text={"zh": "可以估计。", "en": "It can be estimated."}, contrast=level),
        diagnostics.check_evidence(evidence, level),
        diagnostics.check_assignment(frame, design, level, conditioned),
        diagnostics.check_attrition(frame, design, level),
        diagnostics.check_overlap(main, level),
        diagnostics.check_balance(table, weights is not None, level),
        diagnostics.check_adjustment(main, level),
        diagnostics.check_cluster_level(main.sample, design.assignment, level),
        diagnostics.check_few_clusters(main, design.floor_clusters, level),
        diagnostics.check_minimum_detectable(main, design, level),
        *_instrument_checks(frame, design, level),
    ]


def _instrument_checks(frame: pd.DataFrame, design: Design, level: str) -> list[Check]:
    if "iv" not in design.methods:
        return []
    errors = Errors(_analytic(design.se_type), design.least_clusters)
    fit = answer_or_error(lambda: fit_complier(_sample(frame, design, level, "iv"), errors), "iv")
    return [] if isinstance(fit, NotEstimableError) else list(checks_of(fit, level))


def _balance(frame: pd.DataFrame, design: Design, level: str, weighted: list[Answer]) -> pd.DataFrame:
    """Balance under the first weights there are, else as found among complete rows."""
    if weighted:
        answer = weighted[0]
        return balance_of(answer.sample.covariates, answer.sample.d, answer.balance_weights, design.estimand)
    found = answer_or_error(lambda: _sample(frame, design, level, "aipw"), "balance")
    if isinstance(found, NotEstimableError):
        return pd.DataFrame(columns=BALANCE)
    return balance_of(found.covariates, found.d, None, design.estimand)


def _balance_by_method(
    outcomes: Mapping[str, Answer | NotEstimableError], estimand: str, level: str
) -> list[pd.DataFrame]:
    """Balance under the weights of every method that has some."""
    tables = []
    for method, found in outcomes.items():
        if not isinstance(found, Answer) or found.balance_weights is None:
            continue
        table = balance_of(found.sample.covariates, found.sample.d, found.balance_weights, estimand)
        tables.append(table.assign(contrast=level, method=method, ess=found.ess)[BY_METHOD])
    return tables


def _flow(frame: pd.DataFrame, design: Design, level: str, main: Answer | NotEstimableError) -> pd.DataFrame:
    if isinstance(main, Answer):
        flow, n = main.sample.flow, main.sample.n_treated + main.sample.n_reference
        return add_step(flow, "analysed", n if n < len(main.sample.y) else len(main.sample.y))
    cluster = [design.cluster] if design.cluster else []
    flow = select_rows(
        frame, outcome=design.outcome, treatment=design.treatment, levels=[level, design.reference],
        covariates=design.covariates, groups=[*design.within, *cluster],
    )[1]  # fmt: skip
    return add_step(flow, "analysed", 0)


def _varying(frame: pd.DataFrame, columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in columns if frame[name].nunique() > 1)


def _not_estimable_check(error: NotEstimableError, level: str) -> Check:
    text = {"zh": f"无法估计：{error.zh}。", "en": f"It can't be estimated: {error.en}."}
    return Check("estimable", "failed", text=text, contrast=level)


def _reason(found: Answer | NotEstimableError) -> dict[str, str]:
    return {found.en: found.zh} if isinstance(found, NotEstimableError) else {}


def _stack(frames: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    filled = [each for each in frames if len(each)]
    if not filled:
        return pd.DataFrame(columns=["contrast", *columns])
    return pd.concat(filled, ignore_index=True)[["contrast", *columns]]
