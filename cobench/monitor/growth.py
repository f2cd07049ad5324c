"""Student growth percentiles: where a result stands among students with the same earlier results, and schools' means of them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.preprocessing import SplineTransformer
from statsmodels.regression.quantile_regression import QuantReg
from statsmodels.tools.sm_exceptions import IterationLimitWarning

from cobench.declared import Text
from cobench.effects.sample import require_columns
from cobench.errors import NotEstimableError

LEAST_STUDENTS, LEAST_GROUPS = 10, 5
LEAST_ALL = 200
LEVELS = np.arange(0.025, 0.9751, 0.025)
KNOTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
SCHOOL_COLUMNS = [
    "n_students", "mean_percentile", "std_error", "conf_low", "conf_high", "status", "reason_en", "reason_zh",
]  # fmt: skip
OK, NOT_ESTIMABLE = "ok", "not_estimable"

NOT_COMMON = Text(
    en="growth percentiles need a result and an earlier result of tests that all schools sat: {columns} are not",
    zh="成长百分位要求本次和以往成绩均来自各校共同参加的考试：{columns} 不是",
)
TOO_FEW = Text(
    en="only {n} students have complete results; {least} are needed",
    zh="成绩完整的学生只有 {n} 人，至少需要 {least} 人",
)
FEW_GROUPS = Text(
    en="fewer than {least} of the groups of {cluster} have {students} students with complete results",
    zh="成绩完整学生达到 {students} 人的 {cluster} 不足 {least} 个",
)
FEW_STUDENTS = Text(
    en="fewer than {least} students have complete results here", zh="此处成绩完整的学生不足 {least} 人"
)


def growth_percentiles(
    frame: pd.DataFrame, outcome: str, priors: Sequence[str], *, common: Collection[str]
) -> pd.Series:
    """Growth percentile of each student, 0 to 100; missing where a result is missing.

    Quantile regressions of the outcome on cubic B-splines of every prior (Betebenner 2009), at levels 0.025 apart, put in
    order where they cross (Chernozhukov, Fernandez-Val and Galichon 2010); between levels a percentile is interpolated, so
    it is known to about one point in the middle and no closer than 1.25 below the lowest and above the highest level.
    Priors are taken as they were measured: with unreliable ones, schools of strong intake gain a little. Value added
    (which corrects for that) carries the verdicts; percentiles describe.

    Parameters
    ----------
    frame : DataFrame
        One row a student.
    common : collection of str
        The columns that are tests which all schools sat.

    Raises
    ------
    NotEstimableError
        Where a column isn't from a common test, or fewer than 200 students have complete results.
    MissingColumnError
    """
    require_columns(frame, [outcome, *priors])
    own_tests = [each for each in [outcome, *priors] if each not in common]
    if own_tests or not priors:
        columns = ", ".join(own_tests) or "-"
        raise NotEstimableError(
            en=NOT_COMMON.en.format(columns=columns), zh=NOT_COMMON.zh.format(columns=columns)
        )
    complete = frame[[outcome, *priors]].notna().all(axis=1)
    y = frame.loc[complete, outcome].to_numpy(dtype=float)
    if len(y) < LEAST_ALL:
        slots = {"n": len(y), "least": LEAST_ALL}
        raise NotEstimableError(en=TOO_FEW.en.format(**slots), zh=TOO_FEW.zh.format(**slots))
    fitted = _conditional_quantiles(y, frame.loc[complete, list(priors)].to_numpy(dtype=float))
    found = pd.Series(np.nan, index=frame.index, name="growth_percentile")
    found[complete] = _ranks(y, fitted)
    return found


def growth_by_school(
    frame: pd.DataFrame,
    outcome: str,
    priors: Sequence[str],
    *,
    common: Collection[str],
    cluster: str = "school",
    classes: str | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Mean growth percentile of each school with bounds that hold for all schools at once.

    Parameters
    ----------
    classes : str, optional
        Class of each student: differences between classes then count as chance of their school's mean.

    Returns
    -------
    DataFrame
        ``cluster`` and :data:`SCHOOL_COLUMNS`; the average student has 50. Schools are in the order of their names, never of
        their means. Rows without numbers are ``not_estimable`` and say why.

    Raises
    ------
    MissingColumnError
    """
    require_columns(frame, [outcome, *priors, cluster, *([classes] if classes else [])])
    known = frame[frame[cluster].notna()]
    schools = pd.Index(np.sort(known[cluster].unique()), name=cluster)
    complete = known[[outcome, *priors, *([classes] if classes else [])]].notna().all(axis=1)
    sizes = known.loc[complete, cluster].value_counts().reindex(schools, fill_value=0)
    rows = pd.DataFrame(index=schools, columns=SCHOOL_COLUMNS, dtype=object).assign(n_students=sizes)
    told = sizes.index[sizes >= LEAST_STUDENTS]
    try:
        percentiles = growth_percentiles(known[complete], outcome, priors, common=common)
        if len(told) < LEAST_GROUPS:
            slots = {"cluster": cluster, "least": LEAST_GROUPS, "students": LEAST_STUDENTS}
            raise NotEstimableError(en=FEW_GROUPS.en.format(**slots), zh=FEW_GROUPS.zh.format(**slots))
        analysed = known[complete].assign(percentile=percentiles)
        numbers = _means(analysed[analysed[cluster].isin(told)], cluster, classes, level)
    except NotEstimableError as error:
        return _typed(rows.assign(status=NOT_ESTIMABLE, reason_en=error.en, reason_zh=error.zh))
    small = {
        language: getattr(FEW_STUDENTS, language).format(least=LEAST_STUDENTS) for language in ("en", "zh")
    }
    rows = rows.assign(status=NOT_ESTIMABLE, reason_en=small["en"], reason_zh=small["zh"])
    rows.loc[told, numbers.columns] = numbers
    rows.loc[told, ["status", "reason_en", "reason_zh"]] = OK, "", ""
    return _typed(rows)


# ---- percentiles ---------------------------------------------------------------------------------------


def _conditional_quantiles(y: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Quantiles (n, levels) of ``y`` given ``priors`` (n, k), in order within each row."""
    blocks = [_splines(column) for column in priors.T]
    x = np.column_stack([np.ones(len(y)), *blocks])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IterationLimitWarning)
        model = QuantReg(y, x)
        fitted = [x @ model.fit(q=each, p_tol=1e-4).params for each in LEVELS]
    return np.sort(np.column_stack(fitted), axis=1)


def _splines(column: np.ndarray) -> np.ndarray:
    """Cubic B-splines with knots at the fifths of the data, less one that the constant stands for; a line if values are few."""
    knots = np.unique(np.quantile(column, KNOTS))
    if len(knots) < 4:
        return column[:, None]
    basis = SplineTransformer(degree=3, knots=knots[:, None], include_bias=False)
    return basis.fit_transform(column[:, None])


def _ranks(y: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Percentile of each ``y`` among its own fitted quantiles; ties take the middle of the levels they tie with."""
    below = (fitted < y[:, None]).sum(axis=1)
    tied = (fitted == y[:, None]).sum(axis=1)
    step = LEVELS[1] - LEVELS[0]
    low = np.take_along_axis(fitted, np.clip(below - 1, 0, None)[:, None], axis=1)[:, 0]
    high = np.take_along_axis(fitted, np.clip(below, None, len(LEVELS) - 1)[:, None], axis=1)[:, 0]
    inside = (below > 0) & (below < len(LEVELS)) & (high > low)
    share = np.where(inside, (y - low) / np.where(inside, high - low, 1.0), 0.5)
    exact = below + (tied + 1) / 2
    return 100 * step * np.where(tied > 0, exact, below + share)


# ---- schools -------------------------------------------------------------------------------------------


def _means(frame: pd.DataFrame, cluster: str, classes: str | None, level: float) -> pd.DataFrame:
    grouped = frame.groupby(cluster, observed=True)["percentile"]
    mean, size = grouped.mean(), grouped.size()
    own = frame["percentile"] - frame[cluster].map(mean)
    variance, df = (own**2).sum() / (len(frame) - len(mean)), len(frame) - len(mean)
    squared = variance / size
    if classes:
        squared, df = _with_classes(frame, cluster, classes, size)
    error = np.sqrt(squared)
    critical = stats.t.ppf((1 + level ** (1 / len(mean))) / 2, df)
    low, high = (mean - critical * error).clip(lower=0), (mean + critical * error).clip(upper=100)
    return pd.DataFrame({"mean_percentile": mean, "std_error": error, "conf_low": low, "conf_high": high})


def _with_classes(frame: pd.DataFrame, cluster: str, classes: str, size: pd.Series) -> tuple[pd.Series, int]:
    """Squared errors of school means where classes differ: moments of the nested layout (Searle et al. 1992, 3.6)."""
    by_class = frame.groupby([cluster, classes], observed=True)["percentile"]
    mean, count = by_class.mean(), by_class.size()
    within = by_class.var().mul(count - 1).sum() / (len(frame) - len(mean))
    of_school = mean.index.get_level_values(0)
    school_mean = frame.groupby(cluster, observed=True)["percentile"].mean().reindex(of_school).to_numpy()
    df = len(mean) - len(size)
    squares = (count**2).groupby(level=0).sum()
    if df < 1:
        raise NotEstimableError(
            en="every school has one class only: leave the class out", zh="每所学校只有一个班：请不要给出班级"
        )
    usual = (len(frame) - (squares / size).sum()) / df
    between = max(0.0, (float((count * (mean - school_mean) ** 2).sum()) / df - within) / usual)
    return within / size + between * squares / size**2, df


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    numbers = {each: float for each in SCHOOL_COLUMNS[1:5]}
    return rows.astype(numbers).reset_index()[[rows.index.name, *SCHOOL_COLUMNS]]
