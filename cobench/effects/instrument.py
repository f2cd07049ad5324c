"""Effect on compliers: an invitation as instrument for attendance, by two-stage least squares.

With one instrument the interval of Anderson and Rubin (1949) holds however weak the instrument is; it is a quadratic
inequality in the effect, because cluster scores are linear in the residuals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

from cobench.effects.adjust import Errors, check_se_type, effect_columns, fit_design
from cobench.effects.answers import Answer, check_clusters, checked, observational_rows
from cobench.effects.checks import Check
from cobench.effects.inference import OlsFit, Precision, fit_ols, precision
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import (
    Sample,
    as_level,
    as_number,
    check_known,
    levels_of,
    require_columns,
    take_sample,
)

STRONG = 104.7
WEAK = 23.1
LEAST = 20
CRITICAL = 1.96
INTERVALS = ("auto", "wald", "anderson_rubin")
UNIT = "+1"
DOSE, LEVER = "\0dose", "\0instrument"


@dataclass(frozen=True)
class ComplierFit:
    """Two-stage least squares with one instrument.

    Attributes
    ----------
    answer : Answer
        Estimate with its error and interval.
    first_stage, first_stage_error : float
        What the instrument does to the exposure.
    effective_f : float
        Montiel Olea and Pflueger's (2013); with one instrument the robust F of the first stage.
    reduced_form : float
        What it does to the outcome.
    ar_low, ar_high, ar_p : float
        Anderson and Rubin's interval (infinite where it isn't bounded) and test of no effect.
    """

    answer: Answer
    first_stage: float
    first_stage_error: float
    effective_f: float
    reduced_form: float
    ar_low: float
    ar_high: float
    ar_p: float


def complier_effect(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    instrument: str,
    covariates: Sequence[str] = (),
    fixed_effects: Sequence[str] = (),
    cluster: str | None = None,
    weights: str | None = None,
    se_type: str | None = None,
    reference: object = None,
    interval: str = "auto",
    least_clusters: int = 2,
) -> pd.DataFrame:
    """Effect of attendance on those whom the invitation moves (LATE; Wald's ratio without covariates).

    Parameters
    ----------
    treatment : str
        Two levels, or a number with more values (years, hours): then the effect is that of one more
        (``contrast`` is ``+1``).
    instrument : str
        Flag or number that moves the exposure and, given the covariates, nothing else.
    se_type : optional
        As in :func:`cobench.effects.regress`; CR2 with a cluster and HC2 without by default.
    interval : {"auto", "wald", "anderson_rubin"}
        ``auto``: Anderson-Rubin unless the effective F is above 104.7, where the t interval is right to 5 %
        (Lee, McCrary, Moreira and Porter 2022). ``se_type`` says which.

    Returns
    -------
    DataFrame
        :data:`cobench.effects.estimates.COLUMNS`, ``method = "iv"``. An interval without end is infinite.
        :func:`complier_checks` judges strength, exclusion and monotonicity.
    """
    check_known("interval", interval, INTERVALS)
    check_se_type(se_type, cluster, wild=False)
    frame, cells, dummies = effect_columns(frame, fixed_effects)
    level = _level(frame, treatment, reference)

    def fit() -> Answer:
        sample = take_complier_sample(
            frame, outcome=outcome, treatment=treatment, instrument=instrument, level=level, reference=reference,
            covariates=[*covariates, *dummies], within=cells, cluster=cluster, weights=weights,
        )  # fmt: skip
        return fit_complier(sample, Errors(se_type, least_clusters), interval).answer

    fits = [(level, fit)]
    return observational_rows(fits, treatment=treatment, outcome=outcome, estimand="LATE", method="iv")


def complier_checks(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    instrument: str,
    covariates: Sequence[str] = (),
    fixed_effects: Sequence[str] = (),
    cluster: str | None = None,
    weights: str | None = None,
    se_type: str | None = None,
    reference: object = None,
) -> tuple[Check, ...]:
    """``instrument`` (strength), ``exclusion`` and ``monotonicity`` of :func:`complier_effect`.

    Raises
    ------
    NotEstimableError
        Where the effect itself can't be estimated.
    """
    check_se_type(se_type, cluster, wild=False)
    frame, cells, dummies = effect_columns(frame, fixed_effects)
    level = _level(frame, treatment, reference)
    sample = take_complier_sample(
        frame, outcome=outcome, treatment=treatment, instrument=instrument, level=level, reference=reference,
        covariates=[*covariates, *dummies], within=cells, cluster=cluster, weights=weights,
    )  # fmt: skip
    return checks_of(fit_complier(sample, Errors(se_type)), level)


def fit_complier(sample: Sample, errors: Errors, interval: str = "auto") -> ComplierFit:
    """Two-stage least squares on one sample of :func:`take_complier_sample`.

    Raises
    ------
    NotEstimableError
        When the instrument doesn't move the exposure.
    """
    check_clusters(sample, errors.least_clusters)
    dose, lever = sample.extra.T
    reduced, place = fit_design(replace(sample, arms=lever[:, None]))
    first = _refit(reduced, dose)
    column, moved = int(reduced.kept[place]), float(first.coefficients[place])
    if abs(moved) * np.linalg.norm(reduced.centred[:, place]) <= 1e-9 * np.linalg.norm(dose - dose.mean()):
        raise not_estimable("no_first_stage", instrument="the instrument", treatment=sample.treatment)
    of = partial(precision, cluster=sample.cluster, se_type=errors.se_type)
    second = _second_stage(sample, reduced, first, place, dose)
    error, first_error = of(second, int(second.kept[-1])), of(first, column)
    if first_error.std_error <= 1e-9 * abs(moved):
        effective = float("inf")
    else:
        effective = (moved / first_error.std_error) ** 2
    low, high, p = anderson_rubin(reduced, first, place, of)
    answer = Answer(sample, float(reduced.coefficients[place]) / moved, error, "LATE")
    if interval == "anderson_rubin" or (interval == "auto" and effective < STRONG):
        label = replace(error, se_type=f"{error.se_type}, Anderson-Rubin interval")
        answer = replace(answer, precision=label, p_value=p, conf_low=low, conf_high=high)
    return ComplierFit(
        checked(answer), moved, first_error.std_error, effective, float(reduced.coefficients[place]), low, high, p
    )  # fmt: skip


def anderson_rubin(
    reduced: OlsFit, first: OlsFit, place: int, of: Callable[[OlsFit, int], Precision]
) -> tuple[float, float, float]:
    """Interval for the ratio of the two coefficients at 95 %, and the p-value of no effect.

    The set of ``r`` with ``(b - r a)^2 <= t^2 Var(b - r a)``; where it is unbounded (an instrument that isn't
    significant at 5 %) the limits are infinite.
    """
    column = int(reduced.kept[place])
    b, a = float(reduced.coefficients[place]), float(first.coefficients[place])
    vb, va = of(reduced, column), of(first, column)
    both = of(replace(reduced, residuals=reduced.residuals + first.residuals), column)
    cross = (both.std_error**2 - vb.std_error**2 - va.std_error**2) / 2
    t2 = float(stats.t.ppf(0.975, vb.df)) ** 2
    square, line, free = a**2 - t2 * va.std_error**2, a * b - t2 * cross, b**2 - t2 * vb.std_error**2
    p = float(2 * stats.t.sf(abs(b) / vb.std_error, vb.df))
    if square <= 0:
        return -np.inf, np.inf, p
    width = np.sqrt(max(line**2 - square * free, 0.0))
    return float((line - width) / square), float((line + width) / square), p


def checks_of(fit: ComplierFit, level: str) -> tuple[Check, ...]:
    """Strength, exclusion and monotonicity of one fit."""
    return (_strength(fit, level), _exclusion(level), _monotonicity(fit, level))


def _level(frame: pd.DataFrame, treatment: str, reference: object) -> str:
    """The level that is compared, or ``+1`` for a number with more than two values."""
    levels, _ = levels_of(frame, treatment, reference)
    return UNIT if len(levels) > 1 and reference is None and _is_number(frame[treatment]) else levels[0]


def take_complier_sample(
    frame: pd.DataFrame,
    *,
    outcome: str,
    treatment: str,
    instrument: str,
    level: str,
    reference: object = None,
    covariates: Sequence[str] = (),
    within: Sequence[str] = (),
    cluster: str | None = None,
    weights: str | None = None,
) -> Sample:
    """Complete rows with exposure and instrument as the two columns of ``extra``.

    Raises
    ------
    NotEstimableError
        When exposure or instrument has one value, or text with more than two.
    """
    require_columns(frame, [treatment, instrument])
    levels, base = levels_of(frame, treatment, reference)
    if level != UNIT and len(levels) > 1:
        raise not_estimable("two_levels", column=treatment)
    known = as_level(frame[treatment])
    if level == UNIT:
        dose = _finite(frame[treatment])
        known = pd.Series(np.where(dose > dose.median(), UNIT, base), index=frame.index).where(dose.notna())
    else:
        dose = (known == level).astype("float64").where(known.isin([level, base]))
    lever = _lever(frame[instrument])
    for name, values in ((treatment, dose), (instrument, lever)):
        if values.nunique() < 2:
            raise not_estimable("one_level", column=name)
    work = frame.assign(**{treatment: known, DOSE: dose, LEVER: lever})
    return take_sample(
        work, outcome=outcome, treatment=treatment, level=level, reference=base, covariates=covariates,
        within=within, cluster=cluster, weights=weights, extra=[DOSE, LEVER],
    )  # fmt: skip


def _lever(values: pd.Series) -> pd.Series:
    """An instrument as a number; of two words the later in sorted order is one."""
    if _is_number(values):
        return _finite(values)
    label = as_level(values)
    words = sorted(label.dropna().unique())
    if len(words) > 2:
        raise not_estimable("two_levels", column=values.name)
    return (
        (label == words[-1]).astype("float64").where(label.notna())
        if words
        else pd.Series(np.nan, values.index)
    )


def _finite(values: pd.Series) -> pd.Series:
    return pd.Series(as_number(values.fillna(0)), index=values.index).where(values.notna())


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _refit(fit: OlsFit, y: np.ndarray) -> OlsFit:
    """The same design with another left-hand side."""
    weighted = y * fit.root
    means = np.bincount(fit.cell, weights=weighted * fit.root) / fit.mass
    swept = weighted - means[fit.cell] * fit.root
    coefficients = fit.bread @ (fit.centred.T @ swept)
    return replace(fit, coefficients=coefficients, residuals=swept - fit.centred @ coefficients)


def _second_stage(sample: Sample, reduced: OlsFit, first: OlsFit, place: int, dose: np.ndarray) -> OlsFit:
    """The design with the exposure as the first stage predicts it, and the structural residuals.

    The variance is that of clubSandwich for two-stage least squares: projected columns, residuals at the actual
    exposure.
    """
    predicted = dose - first.residuals / first.root
    z = np.column_stack([np.delete(reduced.z, place, axis=1) / reduced.root[:, None], predicted])
    fit = fit_ols(sample.y, z, reduced.cell, reduced.root**2)
    estimate = float(reduced.coefficients[place] / first.coefficients[place])
    return replace(fit, residuals=reduced.residuals - estimate * first.residuals)


def _strength(fit: ComplierFit, level: str) -> Check:
    """Montiel Olea and Pflueger's effective F against 23.1 (bias of at most a tenth of the worst case)."""
    table = pd.DataFrame(
        {
            "first_stage": [fit.first_stage],
            "std_error": [fit.first_stage_error],
            "effective_f": [fit.effective_f],
            "weak_below": [WEAK],
        }
    )
    weak = fit.effective_f < WEAK
    zh = f"邀请使参加的比例（或次数）改变 {fit.first_stage:.3g}；有效 F 为 {fit.effective_f:.1f}"
    en = f"The invitation moves attendance by {fit.first_stage:.3g}; effective F {fit.effective_f:.1f}"
    if weak:
        zh += f"，低于 {WEAK}：工具变量偏弱，只看 Anderson-Rubin 区间。"
        en += f", below {WEAK}: a weak instrument, so only the Anderson-Rubin interval holds."
    else:
        zh, en = zh + "。", en + "."
    return Check("instrument", "failed" if weak else "passed", table, {"zh": zh, "en": en}, level)


def _exclusion(level: str) -> Check:
    """It can't be tested; the sentence says what has to be believed."""
    text = {
        "zh": "无法用数据检验：须假定邀请只通过参加起作用（例如收到邀请本身不改变家长的做法），且邀请与结果没有共同原因。",
        "en": "No data can test it: the invitation must work through attendance alone (being invited changes nothing "
        "by itself) and share no cause with the outcome.",
    }
    return Check("exclusion", "not_applicable", text=text, contrast=level)


def _monotonicity(fit: ComplierFit, level: str) -> Check:
    """Whether the invitation moves attendance the same way in every category of the covariates."""
    sample, dose, lever = fit.answer.sample, *fit.answer.sample.extra.T
    rows = []
    for name, (codes, labels) in sample.covariates.levels.items():
        for code, label in enumerate(labels):
            inside = codes == code
            if inside.sum() < LEAST or np.ptp(lever[inside]) == 0:
                continue
            moved, error = _simple_slope(dose[inside], lever[inside])
            rows.append((f"{name}={label}", moved, error))
    table = pd.DataFrame(rows, columns=["group", "first_stage", "std_error"])
    if table.empty:
        text = {
            "zh": "没有可用来检查的分组；须假定没有人因受邀反而不参加。",
            "en": "There is no category to check it in; nobody may stay away because of being invited.",
        }
        return Check("monotonicity", "not_applicable", table, text, level)
    against = np.sign(fit.first_stage) * table["first_stage"] + CRITICAL * table["std_error"] < 0
    if against.any():
        names = ", ".join(table.loc[against, "group"])
        text = {
            "zh": f"在 {names} 中，邀请使参加减少：单调性不成立，不能解读为受邀而参加者的效应。",
            "en": f"In {names} the invitation lowers attendance: monotonicity fails, and this is nobody's effect.",
        }
        return Check("monotonicity", "failed", table, text, level)
    text = {
        "zh": f"在 {len(table)} 个分组中，邀请都没有使参加减少；个人层面的单调性仍须假定。",
        "en": f"In none of {len(table)} categories does the invitation lower attendance; person by person it is assumed.",
    }
    return Check("monotonicity", "passed", table, text, level)


def _simple_slope(y: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    x, y = x - x.mean(), y - y.mean()
    slope = float(x @ y / (x @ x))
    return slope, float(np.sqrt(np.sum((x * (y - slope * x)) ** 2)) / (x @ x))
