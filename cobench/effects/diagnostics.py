"""Checks of one comparison: could its answer be wrong, and how."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from cobench.effects.adjust import fit_design
from cobench.effects.answers import Answer, answer_or_error
from cobench.effects.bootstrap import effective_clusters, wild_bootstrap
from cobench.effects.checks import Check, p_in_words, people
from cobench.effects.design import Assignment, Design
from cobench.effects.effect_sizes import attrition
from cobench.effects.estimates import minimum_detectable
from cobench.effects.evidence import Evidence
from cobench.effects.exposure import MOSTLY_BETWEEN, between_share
from cobench.effects.sample import Sample, as_level, group_codes
from cobench.effects.subgroups import equality_test
from cobench.errors import NotEstimableError

LOST_SHARE = 0.10
FEW_LOST = 10
LEAST_ESS = 20
NEGLIGIBLE = 0.05
ALPHA = 0.05
CLUSTERS = {"class_id": ("班级", "classes"), "school": ("学校", "schools"), "grade": ("年级", "grades")}
ADJUSTMENTS = {
    "none": (
        "模型没有学校或年级之类的分组；若分组同时影响干预与结果，估计会有偏。",
        "The models know no cells such as schools; if cells drive both exposure and outcome, the estimate is off.",
    ),
    "effects": (
        "按班级等群组交叉拟合，模型含各组的固定效应，且只在组内比较。",
        "Cross-fitted over clusters within cells, with an effect for every cell; students are compared within cells.",
    ),
    "means": (
        "以整个分组为单位交叉拟合，用组均值（协变量、上期结果与干预比例）代替固定效应，且只在组内比较；"
        "前提是组内的关系在各组相同。",
        "Cross-fitted over whole cells with cell means of covariates, lagged outcome and exposure instead of cell "
        "effects; students are compared within cells. It assumes that relations within cells are alike.",
    ),
}


def check_overlap(answer: Answer, level: str) -> Check:
    """Whether exposed students have comparable unexposed ones: trimmed, clipped, effective sample size."""
    share = (answer.notes or {}).get("matched_share")
    if share is not None:
        return _check_matched(answer, share, level)
    if answer.propensity is None:
        return Check(
            "overlap", "not_applicable", contrast=level,
            text={"zh": "该方法不使用倾向得分。", "en": "This method uses no propensity score."},
        )  # fmt: skip
    sample = answer.sample
    # Support is looked for again after trimming: a step may stand there twice.
    dropped = sample.flow.groupby("step")["dropped"].sum()
    lost = int(dropped.get("no_unexposed_counterpart", 0))
    aside = int(dropped.get("no_exposed_counterpart", 0))
    treated = sample.d == 1
    high = answer.propensity[treated] >= 1 - answer.notes["clip"]
    share = (lost + high.sum()) / (lost + treated.sum())
    table = pd.DataFrame(
        [
            ("share_without_counterpart", lost / (lost + treated.sum())),
            ("share_clipped", answer.notes["n_clipped"] / len(sample.d)),
            ("effective_n", answer.ess),
        ],
        columns=["quantity", "value"],
    )
    good = share <= LOST_SHARE and answer.ess >= LEAST_ESS
    return Check(
        "overlap", "passed" if good else "failed", table, _overlap_text(lost, aside, answer.ess), level
    )


def _check_matched(answer: Answer, share: float, level: str) -> Check:
    """Share of the exposed who were matched, and how many of them in their own cell."""
    inside = answer.notes["within_share"]
    table = pd.DataFrame(
        [("matched_share", share), ("matched_in_own_cell", inside), ("effective_n", answer.ess)],
        columns=["quantity", "value"],
    )
    good = 1 - share <= LOST_SHARE and answer.ess >= LEAST_ESS
    lost = people(round(answer.sample.n_treated * (1 - share) / share))
    zh = f"{lost['zh']}接受者没有找到匹配，不在总体之内；找到匹配的接受者有 {100 * inside:.0f}% 在本校（组）内。"
    en = f"{lost['en'].capitalize()} exposed students found no match and aren't in the population; "
    en += f"{100 * inside:.0f}% of the others were matched in their own school or cell."
    return Check("overlap", "passed" if good else "failed", table, {"zh": zh, "en": en}, level)


def _overlap_text(lost: int, aside: int, ess: float) -> dict[str, str]:
    zh, en = "每一名接受者都有可比的未接受者", "Every exposed student has comparable unexposed ones"
    if lost:
        left = people(lost)
        zh = f"{left['zh']}接受者没有可比的未接受者，已移出总体"
        en = f"{left['en'].capitalize()} exposed students had no comparable unexposed one and were left out"
    if aside:
        out = people(aside)
        zh += f"；{out['zh']}未接受者没有相应的接受者，未用于比较"
        en += f"; {out['en']} unexposed students had no exposed counterpart and weren't used"
    effective = people(ess)
    zh += f"。对照的有效样本量：{effective['zh'].removesuffix('名').strip()}。"
    return {"zh": zh, "en": en + f". Effective number of students compared with: {effective['en']}."}


def check_balance(table: pd.DataFrame, weighted: bool, level: str) -> Check:
    """Baseline equivalence of WWC after weighting (or as found, for methods without weights).

    Cox's index of a rare flag is large for a handful of students, so a flag also has to differ by more than
    five points to count as failing.
    """
    if table.empty:
        return Check(
            "balance", "not_applicable", contrast=level,
            text={"zh": "没有声明协变量。", "en": "No covariate is declared."},
        )  # fmt: skip
    column = "after" if weighted else "before"
    sizes = table[f"g_{column}"].abs().fillna(np.inf)
    apart = (table["mean_treated_after"] - table["mean_control_after"]).abs()
    if not weighted:
        apart = (table["mean_treated"] - table["mean_control"]).abs()
    rare = (table["kind"] == "raw_difference") & (apart <= NEGLIGIBLE)
    bad = (table[f"wwc_{column}"] == "fails") & ~rare
    within = int((table[f"wwc_{column}"] == "satisfied").sum())
    worst = (sizes[bad] if bad.any() else sizes[~rare] if (~rare).any() else sizes).idxmax()
    size = f"{sizes[worst]:.2f}" if np.isfinite(sizes[worst]) else "∞"
    when = ("加权后", "after weighting") if weighted else ("未加权时", "before any weighting")
    return Check(
        "balance", "failed" if bad.any() else "passed", table, contrast=level,
        text={
            "zh": f"{when[0]}，{len(table)} 项基线特征中有 {within} 项的差异不超过 0.05，{int(bad.sum())} 项超过 0.25；"
            f"最大的差异为 {size}。",
            "en": f"Of {len(table)} baseline characteristics, {within} differ by 0.05 or less {when[1]} and "
            f"{int(bad.sum())} by more than 0.25; the largest difference is {size}.",
        },
    )  # fmt: skip


def check_cluster_level(sample: Sample, assignment: Assignment | None, level: str) -> Check:
    """Whether exposure was decided for whole clusters rather than student by student."""
    if sample.cluster is None:
        return Check(
            "cluster_level", "not_applicable", contrast=level,
            text={"zh": "没有声明群组。", "en": "No cluster is declared."},
        )  # fmt: skip
    between = between_share(sample.d, sample.cluster, sample.cell)
    zh_name, en_name = CLUSTERS.get(sample.names["cluster"], ("群组", "groups"))
    drawn = assignment is not None and assignment.unit != "student"
    whole = between > MOSTLY_BETWEEN
    percent = f"{100 * between:.0f}%"
    table = pd.DataFrame({"cluster": [sample.names["cluster"]], "between_share": [between]})
    if whole and not drawn:
        zh = f"干预的差异有 {percent} 在{zh_name}之间：基本上是整体决定的，比较的其实是{zh_name}而不是学生。"
        en = (
            f"{percent} of the variation of exposure lies between {en_name}: it was mostly decided for whole "
        )
        en += f"{en_name}, so {en_name} and not students are compared."
    else:
        zh = f"干预的差异有 {percent} 在{zh_name}之间；标准误以{zh_name}为单位。"
        en = f"{percent} of the variation of exposure lies between {en_name}; standard errors obey {en_name}."
    status = "failed" if whole and not drawn else "passed"
    return Check("cluster_level", status, table, {"zh": zh, "en": en}, level)


def check_few_clusters(answer: Answer, floor: int, level: str) -> Check:
    """Degrees of freedom and effective number of clusters against ``floor``.

    Below it the null-imposed wild cluster bootstrap of the regression with the same columns stands beside.
    """
    if answer.sample.cluster is None:
        return Check(
            "few_clusters", "not_applicable", contrast=level,
            text={"zh": "没有声明群组。", "en": "No cluster is declared."},
        )  # fmt: skip
    df, groups = answer.precision.df, len(np.unique(answer.sample.cluster))
    fitted = answer_or_error(lambda: fit_design(answer.sample), "few_clusters")
    effective, wild = float("nan"), None
    if not isinstance(fitted, NotEstimableError):
        effective = effective_clusters(*fitted, answer.sample.cluster)
    few = min(df, effective) < floor if np.isfinite(effective) else df < floor
    if few and not isinstance(fitted, NotEstimableError):
        wild = wild_bootstrap(*fitted, answer.sample.cluster)
    table = pd.DataFrame({"df": [df], "n_clusters": [groups], "effective_clusters": [effective]})
    zh, en = f"{groups} 个群组，自由度 {df:.1f}", f"{groups} groups, {df:.1f} degrees of freedom"
    if np.isfinite(effective):
        zh, en = zh + f"，有效群组数 {effective:.1f}", en + f", effectively {effective:.1f} groups"
    if few:
        zh, en = zh + f"，低于 {floor}：区间可能不准", en + f", below {floor}: the interval may be off"
    if wild is not None:
        table = table.assign(
            wild_p=wild.p_value, wild_low=wild.conf_low, wild_high=wild.conf_high, wild=wild.label
        )
        interval = f"[{wild.conf_low:.3g}, {wild.conf_high:.3g}]"
        zh += f"；回归的 wild cluster bootstrap：{p_in_words(wild.p_value)}，95% 区间 {interval}"
        en += (
            f"; wild cluster bootstrap of the regression: {p_in_words(wild.p_value)}, 95% interval {interval}"
        )
    zh, en = zh + "。", en + "."
    return Check("few_clusters", "failed" if few else "passed", table, {"zh": zh, "en": en}, level)


def check_interaction(column: str, answers: Sequence[Answer], level: str) -> Check:
    """Whether the effect differs between the levels of a column of subgroups (one joint test)."""
    test = answer_or_error(lambda: equality_test(answers), "interaction")
    if isinstance(test, NotEstimableError):
        text = {"zh": f"{column}：无法检验（{test.zh}）。", "en": f"{column}: can't be tested ({test.en})."}
        return Check("interaction", "not_applicable", text=text, contrast=level)
    table = pd.DataFrame(
        {
            "by": [column],
            "groups": [len(answers)],
            "statistic": [test.statistic],
            "df_num": [test.df_num],
            "df_denom": [test.df_denom],
            "p_value": [test.p_value],
        }
    )
    numbers = f"F({test.df_num:.0f}, {test.df_denom:.1f}) = {test.statistic:.2f}, {p_in_words(test.p_value)}"
    apart = test.p_value < ALPHA
    zh = "各群体的效应不同" if apart else "没有发现各群体的效应不同"
    en = "the effects differ between the groups" if apart else "no difference between the groups was found"
    return Check(
        "interaction", "passed", table, {"zh": f"{column}：{zh}（{numbers}）。", "en": f"{column}: {en} ({numbers})."},
        level,
    )  # fmt: skip


def check_history(frame: pd.DataFrame, design: Design) -> Check:
    """Whether earlier exposure is among the covariates: last term's outcome already carries it."""
    column = f"{design.treatment}:history"
    if design.assignment is not None or column not in frame:
        return Check(
            "history", "not_applicable",
            text={"zh": "随机分配，或没有更早的干预记录。", "en": "Randomised, or no earlier exposure is on record."},
        )  # fmt: skip
    if column in design.covariates:
        text = {"zh": "已调整更早的干预。", "en": "Earlier exposure is adjusted for."}
        return Check("history", "passed", text=text)
    text = {
        "zh": f"没有调整更早的干预（{column}），而上期结果已含有它的影响。",
        "en": f"Earlier exposure ({column}) isn't adjusted for, although last term's outcome carries it.",
    }
    return Check("history", "failed", text=text)


def check_attrition(frame: pd.DataFrame, design: Design, level: str) -> Check:
    """Missing outcomes by arm against the boundaries of WWC; only judged after a declared assignment."""
    exposure = as_level(frame[design.treatment])
    has = frame[design.outcome].notna()
    counts = [
        int(each.sum())
        for arm in (level, design.reference)
        for each in (exposure == arm, (exposure == arm) & has)
    ]
    if min(counts[0], counts[2]) == 0 or design.assignment is None:
        text = {
            "zh": "不是随机分配，不按流失界限判断。",
            "en": "Not randomised: attrition isn't judged by the boundaries.",
        }
        return Check("attrition", "not_applicable", text=text, contrast=level)
    found = attrition(*counts)
    table = pd.DataFrame(
        {
            "overall": [found.overall],
            "differential": [found.differential],
            "cautious_limit": [found.cautious_limit],
            "optimistic_limit": [found.optimistic_limit],
            "cautious": [found.cautious],
            "optimistic": [found.optimistic],
        }
    )
    verdict = {
        (True, True): ("在谨慎与乐观界限之内", "within the cautious and the optimistic boundary"),
        (False, True): (
            "超出谨慎界限，在乐观界限之内",
            "beyond the cautious boundary, within the optimistic one",
        ),
        (False, False): ("超出乐观界限", "beyond the optimistic boundary"),
    }[found.cautious, found.optimistic]
    told = {
        "zh": f"结果缺失 {found.overall:.1f}%，两组相差 {found.differential:.1f} 个百分点",
        "en": f"{found.overall:.1f}% have no outcome, {found.differential:.1f} points apart between the arms",
    }
    # From two shares and the sizes of the arms one could work out how many are missing.
    if any(0 < assigned - kept < FEW_LOST for assigned, kept in (counts[:2], counts[2:])):
        told = {
            "zh": f"结果缺失的学生，至少有一组不足 {FEW_LOST} 名",
            "en": f"fewer than {FEW_LOST} students of an arm have no outcome",
        }
    text = {"zh": f"{told['zh']}：{verdict[0]}（WWC）。", "en": f"{told['en']}: {verdict[1]} (WWC)."}
    return Check("attrition", "passed" if found.optimistic else "failed", table, contrast=level, text=text)


def check_assignment(frame: pd.DataFrame, design: Design, level: str, conditioned: Sequence[str]) -> Check:
    """Whether the method follows the declared draw: its strata, and its unit.

    Strata may be left out only where the share exposed doesn't differ between them (chi-square, 5 %).
    """
    assignment = design.assignment
    if assignment is None:
        text = {"zh": "没有声明随机分配。", "en": "No random assignment is declared."}
        return Check("assignment", "not_applicable", text=text, contrast=level)
    problems = _unit_problem(frame, design) + _strata_problem(frame, design, level, conditioned)
    if problems:
        zh, en = ("；".join(each[0] for each in problems), "; ".join(each[1] for each in problems))
        return Check("assignment", "failed", text={"zh": zh + "。", "en": en + "."}, contrast=level)
    source = assignment.source
    text = {
        "zh": f"已声明随机分配（{source}），方法与之一致。",
        "en": f"Random assignment is declared ({source}) and the method follows it.",
    }
    return Check("assignment", "passed", text=text, contrast=level)


def check_minimum_detectable(answer: Answer, design: Design, level: str) -> Check:
    """The smallest effect found with 80 % probability against the smallest effect of interest."""
    smallest = minimum_detectable(answer.precision.std_error, answer.precision.df)
    table = pd.DataFrame(
        {"minimum_detectable": [smallest], "smallest_of_interest": [design.smallest_of_interest]}
    )
    zh = f"真实效应达到 {smallest:.3g} 或更大时，有 80% 的把握能被发现"
    en = f"Effects of {smallest:.3g} or more would have been detected with 80% probability"
    if design.smallest_of_interest is None:
        return Check("minimum_detectable", "not_applicable", table, {"zh": zh + "。", "en": en + "."}, level)
    fine = smallest <= design.smallest_of_interest
    zh += f"；事先声明值得关注的最小效应为 {design.smallest_of_interest:g}。"
    en += f"; the smallest effect of interest declared is {design.smallest_of_interest:g}."
    return Check("minimum_detectable", "passed" if fine else "failed", table, {"zh": zh, "en": en}, level)


def check_adjustment(answer: Answer, level: str) -> Check:
    """How cells entered the models of the doubly robust fit, and what that assumes."""
    how = (answer.notes or {}).get("adjustment")
    if how is None:
        text = {"zh": "该方法不作交叉拟合。", "en": "This method isn't cross-fitted."}
        return Check("adjustment", "not_applicable", text=text, contrast=level)
    zh, en = ADJUSTMENTS[how]
    table = pd.DataFrame({"adjustment": [how], "n_folds": [answer.notes.get("n_folds")]})
    return Check("adjustment", "passed", table, {"zh": zh, "en": en}, level)


def check_evidence(evidence: Evidence, level: str) -> Check:
    """Why the primary row carries the evidence it carries."""
    table = pd.DataFrame({"evidence": [evidence.evidence]})
    return Check("evidence", "passed", table, evidence.why, level)


def _unit_problem(frame: pd.DataFrame, design: Design) -> list[tuple[str, str]]:
    unit = {"class": "class_id"}.get(design.assignment.unit, design.assignment.unit)
    if unit == "student" or unit == design.cluster:
        return []
    if unit in frame and design.cluster is not None:
        pairs = frame[[unit, design.cluster]].dropna().drop_duplicates()
        if not pairs[unit].duplicated().any():
            return []
    zh = f"分配以 {unit} 为单位，但没有以它或更大的群组作为 cluster"
    return [(zh, f"whole groups of {unit} were drawn, but the cluster is neither that nor coarser")]


def _strata_problem(
    frame: pd.DataFrame, design: Design, level: str, conditioned: Sequence[str]
) -> list[tuple[str, str]]:
    left_out = [name for name in design.assignment.strata if name not in conditioned]
    exposure = as_level(frame[design.treatment])
    rows = exposure.isin([level, design.reference]) & frame[left_out].notna().all(axis=1)
    if not left_out or not rows.any():
        return []
    counts = pd.crosstab(group_codes(frame[rows], left_out), exposure[rows].to_numpy())
    if min(counts.shape) < 2 or stats.chi2_contingency(counts).pvalue >= ALPHA:
        return []
    names = ", ".join(left_out)
    zh = f"各 {names} 的分配比例不同，但方法没有按其分层"
    return [(zh, f"the share drawn differs by {names}, which the method leaves out")]
