"""Value added by schools, or by classes within their school: results beyond those that prior attainment lets expect."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cobench.declared import Text
from cobench.effects.multilevel import MultilevelFit, fit_multilevel
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import check_known, require_columns
from cobench.errors import NotEstimableError
from cobench.monitor.distinguished import NOT_DISTINGUISHABLE, Differences, differences
from cobench.monitor.prior_error import Calibrated, Reliability, calibrate, known_reliability

SCHOOL, CLASS = "school", "class"
LEAST_STUDENTS, LEAST_GROUPS = 10, 5
COLUMNS = [
    "n_students", "n_left_out", "estimate", "std_error", "conf_low", "conf_high", "reliability", "difference",
    "difference_low", "difference_high", "verdict", "composition", "status", "reason_en", "reason_zh",
]  # fmt: skip
NUMBERS = COLUMNS[2:10]
OK, NOT_ESTIMABLE = "ok", "not_estimable"
CLUSTERS = {SCHOOL: Text(en="schools", zh="学校"), CLASS: Text(en="classes", zh="班级")}

SAID = {
    "not_common": Text(
        en="{outcome} is not a test that all schools sat, so schools can't be compared on it",
        zh="{outcome} 不是各校共同参加的考试，不能用来比较学校",
    ),
    "no_common_prior": Text(
        en="there is no earlier result from a test that all schools sat, so no expectation is the same for all schools",
        zh="没有各校共同参加的前测成绩，无法为各校得出可比的预期",
    ),
    "constant": Text(
        en="{outcome} has the same value for everybody",
        zh="{outcome} 的取值全部相同",
    ),
    "few_groups": Text(
        en="fewer than {least} {cluster} have enough students with complete results",
        zh="成绩完整的学生足够多的{cluster}不足 {least} 个",
    ),
    "few_students": Text(
        en="fewer than {least} students have complete results here",
        zh="此处成绩完整的学生不足 {least} 人",
    ),
    "only_class": Text(
        en="no other class of this school can be compared with it",
        zh="本校没有可与之比较的其他班级",
    ),
    "no_differences": Text(
        en="no differences found: what sets the groups apart is no more than chance would",
        zh="没有发现差异：各组之间的差别不超过随机波动",
    ),
    "few_to_fit": Text(
        en="fewer than {least} students have complete results",
        zh="成绩完整的学生不足 {least} 人",
    ),
    "uncompared": Text(
        en="what the model takes into account leaves nothing to compare this group with",
        zh="在所考虑的因素之下，没有可与之比较的对象",
    ),
}


def because(key: str, **slots: object) -> NotEstimableError:
    """The error that says why: words ``key`` with their slots filled in both languages."""
    if "cluster" in slots:
        named = CLUSTERS.get(
            slots["cluster"], Text(en=f"groups of {slots['cluster']}", zh=f" {slots['cluster']} ")
        )
        return NotEstimableError(
            en=SAID[key].en.format(**slots | {"cluster": named.en}),
            zh=SAID[key].zh.format(**slots | {"cluster": named.zh}),
        )
    return NotEstimableError(en=SAID[key].en.format(**slots), zh=SAID[key].zh.format(**slots))


@dataclass(frozen=True)
class ValueAdded:
    """Value added of every school (or class), and the model behind it.

    Attributes
    ----------
    rows : DataFrame
        As :func:`value_added` returns them.
    model : MultilevelFit, optional
        In units of the outcome, on calibrated priors; None where nothing could be estimated.
    outcome_sd : float
        What ``rows`` are divided by.
    reliabilities : dict
        Of the priors that were corrected.
    priors_left_out : tuple of str
        Not from a common test, or measured for nobody.
    """

    rows: pd.DataFrame
    model: MultilevelFit | None
    outcome_sd: float
    reliabilities: dict[str, float]
    priors_left_out: tuple[str, ...]


@dataclass(frozen=True)
class _Layout:
    """Complete rows as arrays: ``y`` (n,), ``x`` (n, k) calibrated priors and covariates, codes of groups; names."""

    y: np.ndarray
    x: np.ndarray
    names: list[str]
    school: np.ndarray
    unit: np.ndarray
    classes: np.ndarray | None
    excess: np.ndarray


def value_added(frame: pd.DataFrame, outcome: str, priors: Sequence[str], **options: object) -> pd.DataFrame:
    """Value added, one row a school or class; parameters as in :func:`fit_value_added`.

    Returns
    -------
    DataFrame
        The cluster's column (and the class's) and :data:`COLUMNS`, in SD of the outcome among the students analysed.
        ``estimate`` is shrunken; the interval ``conf_low`` to ``conf_high`` holds the truth for 95 % of schools *on average
        over schools*, less often for those far from the middle, and must not be used to pick the best or worst.
        ``difference`` is not shrunken; its bounds hold for all schools at once, and ``verdict`` (``above``, ``below``,
        ``not_distinguishable``) needs them, and the shrunken estimate by 1.96 of its SD at the estimated variances, to leave zero
        out: with no true differences, any school is called different in at most 5 % of districts. A row without numbers is ``not_estimable`` and says why.
    """
    return fit_value_added(frame, outcome, priors, **options).rows


def fit_value_added(
    frame: pd.DataFrame,
    outcome: str,
    priors: Sequence[str],
    *,
    common: Collection[str],
    cluster: str = "school",
    classes: str | None = None,
    level: str = SCHOOL,
    reliability: Reliability | None = None,
    covariates: Sequence[str] = (),
    composition: Sequence[str] = (),
    method: str = "REML",
    least_students: int = LEAST_STUDENTS,
    seed: int = 0,
) -> ValueAdded:
    """A multilevel model of ``outcome`` on prior attainment, and what it says of each school or class.

    Parameters
    ----------
    frame : DataFrame
        One row a student; rows with anything missing are left out and counted.
    common : collection of str
        The columns that are tests which all schools sat; what isn't among them is neither outcome nor prior.
    classes : str, optional
        Class of each student: differences between classes then count as chance of the school's result; the unit of
        ``level="class"``, whose rows compare a class with the others of its school.
    reliability : mapping, optional
        Of priors: a number (the share of the variance over all students analysed here that is true; a test's published
        reliability is another one where the district is more alike or less than the norm group), or the columns of its items, for
        Cronbach's alpha. Priors named are corrected by regression calibration (:func:`cobench.monitor.prior_error.calibrate`);
        without correction schools with a strong intake gain.
    covariates : sequence of str
        Of students or schools; numbers as they are, categories as dummies.
    composition : sequence of str
        Priors or numeric covariates whose school means are adjusted for too: schools are then compared with those of
        like intake, which also takes out what good schools do if strong pupils choose them. ``composition`` of the rows names them.
    least_students : int
        With complete results; smaller schools (classes) are left out and said to be not estimable.

    Raises
    ------
    ParameterError, MissingColumnError
    """
    check_known("level", level, (SCHOOL, CLASS))
    check_known("level", level, (SCHOOL,) if classes is None else (SCHOOL, CLASS))
    used = [*priors, *covariates]
    require_columns(frame, [outcome, *used, *composition, cluster, *([classes] if classes else [])])
    for each in composition:
        check_known("composition", each, used)
    by = [cluster, *([classes] if level == CLASS else [])]
    kept = usable_priors(frame, priors, common)
    left_out = tuple(each for each in priors if each not in kept)
    complete = (
        frame[[outcome, *kept, *covariates, cluster, *([classes] if classes else [])]].notna().all(axis=1)
    )
    counts = _counts(frame, complete, by)
    described = counts.assign(composition=", ".join(each for each in composition if each not in left_out))
    sizes = frame[complete].groupby(by, observed=True)[outcome].transform("size")
    analysed = frame.loc[sizes.index[sizes >= least_students]]
    try:
        if outcome not in common:
            raise because("not_common", outcome=outcome)
        if not kept:
            raise because("no_common_prior")
        if analysed[cluster].nunique() < LEAST_GROUPS:
            raise because("few_groups", cluster=cluster, least=LEAST_GROUPS)
        if analysed[outcome].nunique() == 1:
            raise because("constant", outcome=outcome)
        known = known_reliability(
            frame, kept, {k: v for k, v in (reliability or {}).items() if k not in left_out}
        )
        layout, compared = _layout(analysed, outcome, kept, covariates, cluster, classes, level, known)
        of_groups = [each for each in composition if each not in left_out]
        model = _model(layout, of_groups, method)
    except NotEstimableError as error:
        rows = _without_answer(described, error, described.index)
        return ValueAdded(rows.reset_index()[[*by, *COLUMNS]], None, np.nan, {}, left_out)
    scale = float(analysed[outcome].std())
    found = _answers(layout, model, of_groups, level, seed)
    found.index = compared
    rows = _filled(described, found, scale, least_students)
    return ValueAdded(rows.reset_index()[[*by, *COLUMNS]], model, scale, known, left_out)


def usable_priors(frame: pd.DataFrame, priors: Sequence[str], common: Collection[str]) -> list[str]:
    """The priors from common tests that anybody in ``frame`` has."""
    return [each for each in priors if each in common and frame[each].notna().any()]


# ---- the model -----------------------------------------------------------------------------------------


def _layout(
    frame: pd.DataFrame,
    outcome: str,
    priors: Sequence[str],
    covariates: Sequence[str],
    cluster: str,
    classes: str | None,
    level: str,
    known: dict[str, float],
) -> tuple[_Layout, pd.Index]:
    """The arrays, and what each code of ``unit`` stands for."""
    school, schools = _codes(frame, [cluster])
    own, each_class = (None, None) if classes is None else _codes(frame, [cluster, classes])
    unit, compared = (own, each_class) if level == CLASS else (school, schools)
    _check_numbers(frame, [outcome, *priors])
    columns = pd.get_dummies(frame[[*priors, *covariates]], drop_first=True).astype(float)
    error = np.array([(1 - known.get(each, 1.0)) * columns[each].var() for each in columns])
    calibrated = Calibrated(columns.to_numpy(), np.zeros((school.max() + 1, len(error), len(error))))
    if error.any():
        calibrated = calibrate(columns.to_numpy(), error, school, cluster)
    y = frame[outcome].to_numpy(dtype=float)
    return _Layout(y, calibrated.values, list(columns), school, unit, own, calibrated.excess), compared


def _check_numbers(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    for each in columns:
        if not pd.api.types.is_numeric_dtype(frame[each]):
            raise not_estimable("not_numeric", column=each)
        if not np.isfinite(frame[each].to_numpy(dtype=float)).all():
            raise not_estimable("infinite", column=each)


def _model(layout: _Layout, composition: Sequence[str], method: str) -> MultilevelFit:
    frame = pd.DataFrame(layout.x, columns=layout.names).assign(**{"value added of": layout.y})
    frame[SCHOOL + " code"] = layout.school
    for each in composition:
        frame[f"{each} (mean)"] = frame.groupby(SCHOOL + " code")[each].transform("mean")
    covariates = [*layout.names, *(f"{each} (mean)" for each in composition)]
    groups = [SCHOOL + " code"]
    if layout.classes is not None:
        frame[CLASS + " code"] = layout.classes
        groups.append(CLASS + " code")
    return fit_multilevel(frame, "value added of", covariates=covariates, groups=groups, method=method)


def _codes(frame: pd.DataFrame, by: Sequence[str]) -> tuple[np.ndarray, pd.Index]:
    grouped = frame.groupby(list(by), observed=True, sort=True)
    labels = grouped.size().index
    return grouped.ngroup().to_numpy(), labels


# ---- answers -------------------------------------------------------------------------------------------


def _answers(
    layout: _Layout, model: MultilevelFit, composition: Sequence[str], level: str, seed: int
) -> pd.DataFrame:
    """Numbers of every unit that was analysed, in units of the outcome, by code."""
    table = model.groups[model.groups["group"] == f"{level} code"]
    table = table.set_index(table["level"].astype(float).astype(int)).sort_index()
    found = table[["estimate", "std_error", "conf_low", "conf_high", "reliability"]].copy()
    apart = _apart(layout, model, composition, level, seed)
    none_found = bool(table["std_error"].isna().all())
    found["difference"], found["difference_low"], found["difference_high"] = (
        apart.estimate,
        apart.low,
        apart.high,
    )
    # Where schools hardly differ, one far off is chance more likely than not, which its shrunken interval knows. That of given
    # variances: the other one is wide where schools are few, however far off one is.
    own = (table["cond_low"] > 0) | (table["cond_high"] < 0)
    found["verdict"] = np.where(own, apart.verdicts, NOT_DISTINGUISHABLE)
    found["said"] = "no_differences" if none_found else ""
    alone = np.isnan(apart.std_error)
    found.loc[alone, "said"] = "only_class" if level == CLASS else "uncompared"
    return found


def _apart(
    layout: _Layout, model: MultilevelFit, composition: Sequence[str], level: str, seed: int
) -> Differences:
    """Unshrunken differences with simultaneous bounds: fixed effects of the units, less the average they are compared with."""
    unit, n = layout.unit, len(layout.y)
    size = np.bincount(unit).astype(float)
    means = np.stack([np.bincount(unit, column) for column in layout.x.T], axis=1) / size[:, None]
    mean_y = np.bincount(unit, layout.y) / size
    own, own_y = layout.x - means[unit], layout.y - mean_y[unit]
    varies = own.std(axis=0) > 1e-8 * layout.x.std(axis=0)
    bread = np.linalg.pinv(own[:, varies].T @ own[:, varies], hermitian=True)
    slope = bread @ (own[:, varies].T @ own_y)
    df = n - len(size) - int(np.linalg.matrix_rank(own[:, varies]))
    variance = float(np.sum((own_y - own[:, varies] @ slope) ** 2)) / df
    centred = means[:, varies] - means[:, varies].mean(axis=0)
    covariance = variance * (np.diag(1 / size) + centred @ bread @ centred.T)
    school = np.zeros(len(size), dtype=int)
    school[unit] = layout.school
    if level == CLASS:
        same = school[:, None] == school[None, :]
        contrasts = np.eye(len(size)) - same / same.sum(axis=1, keepdims=True)
    else:
        excess = layout.excess[:, varies][:, :, varies]
        covariance += np.diag(np.einsum("i,jik,k->j", slope, excess, slope))
        if layout.classes is not None:
            of_classes, df = _of_classes(layout, model, df)
            covariance += np.diag(of_classes)
        columns = [~varies, np.isin(layout.names, composition)]
        shared = np.column_stack([np.ones(len(size)), *(means[:, each] for each in columns)])
        contrasts = np.eye(len(size)) - shared @ np.linalg.pinv(shared)
    effects = mean_y - means[:, varies] @ slope
    return differences(effects, covariance, contrasts, df, seed=seed)


def _of_classes(layout: _Layout, model: MultilevelFit, df: float) -> tuple[np.ndarray, float]:
    """What classes that differ add to the variance of each school's mean, and the df left: classes less schools."""
    found = model.variances.set_index(["group", "kind"])["estimate"]
    variance = float(found[f"{CLASS} code", "variance"])
    members = np.bincount(layout.classes).astype(float)
    school = np.zeros(len(members), dtype=int)
    school[layout.classes] = layout.school
    size = np.bincount(layout.school)
    shares = np.bincount(school, members**2) / size**2
    return variance * shares, float(min(df, max(len(members) - len(size), 1)))


# ---- rows ----------------------------------------------------------------------------------------------


def _counts(frame: pd.DataFrame, complete: pd.Series, by: Sequence[str]) -> pd.DataFrame:
    """``n_students`` with complete rows and ``n_left_out`` of every unit; students of no known unit aren't counted."""
    known = frame.loc[frame[list(by)].notna().all(axis=1), list(by)].assign(done=complete)
    grouped = known.groupby(list(by), observed=True, sort=True)["done"]
    counts = grouped.agg(["sum", "size"])
    return pd.DataFrame({"n_students": counts["sum"], "n_left_out": counts["size"] - counts["sum"]})


def _without_answer(rows: pd.DataFrame, error: NotEstimableError, which: pd.Index) -> pd.DataFrame:
    """``rows`` of which ``which`` are not estimable because of ``error``."""
    found = rows.reindex(columns=["n_students", "n_left_out", "composition", *NUMBERS]).astype(
        {"composition": "str"}
    )
    blank = {"verdict": "", "status": OK, "reason_en": "", "reason_zh": ""}
    found = found.assign(**blank).astype(dict.fromkeys(NUMBERS, "float64") | dict.fromkeys(blank, "object"))
    words = {"status": NOT_ESTIMABLE, "reason_en": error.en, "reason_zh": error.zh}
    for name, value in words.items():
        found.loc[which, name] = value
    return found


def _filled(rows: pd.DataFrame, found: pd.DataFrame, scale: float, least: int) -> pd.DataFrame:
    """All rows, with what was found of those that were analysed, in SD."""
    small = rows.index.difference(found.index)
    filled = _without_answer(rows, because("few_students", least=least), small)
    told = found.index[~found["said"].isin(["only_class", "uncompared"])]
    numbers = found[[each for each in NUMBERS if each != "reliability"]] / scale
    filled.loc[told, numbers.columns] = numbers.loc[told]
    filled.loc[told, "reliability"] = found.loc[told, "reliability"]
    filled.loc[told, "verdict"] = found.loc[told, "verdict"]
    for key, own in found[found["said"] != ""].groupby("said"):
        filled.loc[own.index, "reason_en"], filled.loc[own.index, "reason_zh"] = SAID[key].en, SAID[key].zh
        if key != "no_differences":
            filled.loc[own.index, "status"] = NOT_ESTIMABLE
    return filled
