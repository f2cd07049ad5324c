"""What could make a comparison over terms wrong: who starts when, trends before, effects that last, terms without controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from cobench.effects.carry_over import ALPHA
from cobench.effects.checks import Check, p_in_words
from cobench.effects.did_averages import MOST_CLUSTERS_FOR_DF, JointTest
from cobench.effects.did_cells import Cell
from cobench.effects.did_panel import StudentTerms
from cobench.effects.inference import Precision, fit_ols, precision

LAGGED = ["quantity", "coefficient", "std_error", "df", "p_value", "n_obs"]
TREND = [
    "of",
    "statistic",
    "df",
    "df_rest",
    "p_value",
    "wald",
    "p_wald",
    "slope_found_with_80_percent",
]


def lagged_outcome_check(
    panel: StudentTerms, lasting: int | None, anticipation: int, clusters: np.ndarray, level: str
) -> Check:
    """Whether the outcome of the term before predicts whose exposure starts, among those who could start.

    Linear probability of starting on the outcome of the base term (in SD) and its covariates, within term and
    history. Ashenfelter's (1978) dip: where a bad term triggers a visit, the recovery would be taken for its effect.
    The second row asks the same of the change up to the base term, which lasting differences don't move.
    """
    found = []
    for quantity, lag in (("last_outcome", 0), ("last_change", 1)):
        rows = _starts(panel, lasting, anticipation, lag)
        tested = None if rows is None else _start_test(panel, *rows, clusters)
        if tested is not None:
            found.append((quantity, *tested))
    table = pd.DataFrame(found, columns=LAGGED)
    if table.empty or table["quantity"].iloc[0] != "last_outcome":
        text = {
            "zh": "无法检验上学期结果是否影响谁开始接受干预，因此不能作为确证性结论。",
            "en": "Whether last term's outcome decides who starts can't be tested, so this is never confirmatory.",
        }
        return Check("lagged_outcome", "not_applicable", table, text, level)
    points, p = 100 * table["coefficient"].iloc[0], table["p_value"].iloc[0]
    moved = f"{abs(points):.1f}"
    if p < ALPHA:
        text = {
            "zh": f"上学期结果每高 1 个标准差，开始接受干预的概率{'低' if points < 0 else '高'} {moved} 个百分点"
            f"（{p_in_words(p)}）：结果的回升会被误认为效应，因此不能作为确证性结论。",
            "en": f"Students one SD higher in the term before were {moved} points {'less' if points < 0 else 'more'} "
            f"likely to start ({p_in_words(p)}): recovery would be taken for an effect, so this is never confirmatory.",
        }
        return Check("lagged_outcome", "failed", table, text, level)
    text = {
        "zh": f"没有发现上学期结果影响谁开始接受干预（每标准差 {points:+.1f} 个百分点，{p_in_words(p)}）。",
        "en": f"Last term's outcome was not found to decide who starts ({points:+.1f} points an SD, {p_in_words(p)}).",
    }
    return Check("lagged_outcome", "passed", table, text, level)


def _starts(
    panel: StudentTerms, lasting: int | None, anticipation: int, lag: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Students, starts (0, 1), outcome or its change, cell and covariate row of those who could start in a term."""
    parts, offset = [], 0
    for term in range(1, len(panel.terms)):
        base = term - 1 - anticipation
        since = base - (lasting or 0)
        if base - lag < 0 or since < 0:
            continue
        at_risk = np.isfinite(panel.d[:, term]) & np.isfinite(panel.y[:, base])
        value = panel.y[:, base] - (panel.y[:, base - lag] if lag else 0)
        if lasting is None:
            at_risk &= panel.first >= term
            history = np.zeros(len(panel.y), dtype=int)
        else:
            path = panel.d[:, since:term]
            at_risk &= (panel.d[:, base:term] == 0).all(axis=1) & np.isfinite(path).all(axis=1)
            history = np.nan_to_num(path) @ (2 ** np.arange(path.shape[1]))
        at_risk &= np.isfinite(value) & ((panel.row[:, base] >= 0) | (panel.x.shape[1] == 0))
        who = np.flatnonzero(at_risk)
        if len(who) == 0:
            continue
        cell = np.unique(history[who], return_inverse=True)[1]
        parts.append(
            (who, (panel.d[who, term] == 1).astype(float), value[who], cell + offset, panel.row[who, base])
        )
        offset += cell.max() + 1
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True)) if parts else None


def _start_test(
    panel: StudentTerms,
    who: np.ndarray,
    start: np.ndarray,
    value: np.ndarray,
    cell: np.ndarray,
    row: np.ndarray,
    clusters: np.ndarray,
) -> tuple[float, float, float, float, int] | None:
    x = panel.x[row] if panel.x.shape[1] else np.zeros((len(who), 0))
    spread = value.std()
    if spread == 0 or np.ptp(start) == 0 or len(np.unique(clusters[who])) < 2:
        return None
    fit = fit_ols(start, np.column_stack([x, value / spread]), cell)
    place = fit.position(x.shape[1])
    if place is None or fit.dof_resid < 1:
        return None
    found = clustered_precision(fit, x.shape[1], clusters[who])
    if not found.std_error > 1e-12:
        return None
    coefficient = float(fit.coefficients[place])
    return coefficient, found.std_error, found.df, two_sided(coefficient, found), len(who)


def clustered_precision(fit: object, column: int, clusters: np.ndarray) -> Precision:
    """CR2 with Satterthwaite's df, or CR1 where there are so many clusters that they agree and CR2 is slow."""
    many = len(np.unique(clusters)) > MOST_CLUSTERS_FOR_DF
    return precision(fit, column, cluster=clusters, se_type="CR1" if many else "CR2")


def two_sided(estimate: float, found: Precision) -> float:
    """p-value of Student's t."""
    return float(2 * stats.t.sf(abs(estimate) / found.std_error, found.df))


def pre_trend_check(tests: Mapping[str, JointTest | None], level: str) -> Check:
    """Whether the two sides moved alike before, and the smallest straight divergence that would have been found.

    ``tests`` by estimand; that of the event study (``dynamic``) decides.
    """
    rows = [
        (each, test.statistic, test.df, test.df_rest, test.p_value, test.wald, test.p_wald, test.slope)
        for each, test in tests.items() if test is not None
    ]  # fmt: skip
    table, test = pd.DataFrame(rows, columns=TREND), tests["dynamic"]
    if test is None:
        text = {
            "zh": "没有足够的前期学期（或群组太少），无法检验趋势是否平行。",
            "en": "There are too few terms before (or too few groups) to test whether trends were parallel.",
        }
        return Check("pre_trend", "not_applicable", table, text, level)
    failed = test.p_value < ALPHA
    verdict = {
        "zh": "前期趋势不平行" if failed else "没有发现前期趋势不平行",
        "en": "Trends before were not parallel" if failed else "Trends before were not found to differ",
    }
    text = {
        "zh": f"{verdict['zh']}（{p_in_words(test.p_value)}）。每学期 {test.slope:.3g} 或更大的直线偏离有 80% 的可能被发现；"
        "更小的偏离可能未被察觉，并会以同样的速度进入估计。",
        "en": f"{verdict['en']} ({p_in_words(test.p_value)}). A straight divergence of {test.slope:.3g} a term or more would "
        "have been found with 80 % probability; a smaller one may have gone unseen and enters the estimates at that pace.",
    }  # fmt: skip
    return Check("pre_trend", "failed" if failed else "passed", table, text, level)


def controls_check(
    terms: tuple[str, ...], without: Sequence[str], having: Sequence[str], level: str
) -> Check:
    """Terms in which students started or had started, by whether anybody was left to compare with."""
    table = pd.DataFrame(
        [(each, each in having) for each in terms if each in without or each in having],
        columns=["term", "controls"],
    )
    if without:
        text = {
            "zh": f"在 {'、'.join(without)} 没有未接受的学生可供比较；有可比学生的学期：{'、'.join(having) or '无'}。",
            "en": f"In {', '.join(without)} nobody was left unexposed to compare with; there were unexposed students in "
            f"{', '.join(having) or 'no term'}.",
        }
        return Check("controls", "failed", table, text, level)
    text = {
        "zh": "每个学期都有可比的未接受者。",
        "en": "There were unexposed students to compare with in every term.",
    }
    return Check("controls", "passed" if having else "not_applicable", table, text, level)


def terms_of_controls(panel: StudentTerms, cells: Sequence[Cell]) -> tuple[list[str], list[str]]:
    """Terms in which an effect was asked for: those without and those with unexposed students measured then."""
    without, having = [], []
    for place, label in enumerate(panel.terms):
        own = [cell for cell in cells if cell.term == place and cell.kind == "effect"]
        if own:
            measured = np.isfinite(panel.y[:, place])
            some = any((cell.unexposed & measured).any() for cell in own)
            (having if some else without).append(label)
    return without, having
