"""Why something can't be estimated, in both languages with the same slots.

Reasons are clauses that follow "because ..."; they never hold a count of people, which could be small.
"""

from __future__ import annotations

import re

from cobench.declared import Text
from cobench.errors import NotEstimableError

REASONS: dict[str, Text] = {
    "whole_clusters": Text(
        en="whole groups of {cluster} were exposed, so students can't be compared within them",
        zh="干预以整个 {cluster} 为单位，组内没有可以比较的学生",
    ),
    "no_covariate_varies": Text(
        en="no covariate differs among the students compared",
        zh="所比较的学生在各协变量上没有差别",
    ),
    "nothing_missing": Text(
        en="nothing that could be imputed is missing",
        zh="没有可以插补的缺失值",
    ),
    "no_rows": Text(
        en="no student has both a known exposure to {treatment} and a measured {outcome}",
        zh="没有学生同时具有已知的 {treatment} 与已测量的 {outcome}",
    ),
    "no_treated": Text(
        en="no student with {level} is left for the comparison",
        zh="可供比较的学生中没有 {level} 的学生",
    ),
    "no_controls": Text(
        en="no student with {reference} is left to compare with",
        zh="可供比较的学生中没有 {reference} 的学生",
    ),
    "few_treated": Text(
        en="fewer than {least} students with {level} are left for the comparison",
        zh="可供比较的 {level} 学生不足 {least} 人",
    ),
    "few_controls": Text(
        en="fewer than {least} students with {reference} are left to compare with",
        zh="可供比较的 {reference} 学生不足 {least} 人",
    ),
    "constant_outcome": Text(
        en="{outcome} has the same value for everybody",
        zh="{outcome} 的取值全部相同",
    ),
    "infinite": Text(
        en="column {column} holds infinite values; mend them at the source",
        zh="列 {column} 含有无穷大的值；请在数据来源处修正",
    ),
    "not_numeric": Text(
        en="column {column} holds text where a number is needed",
        zh="列 {column} 应为数字，却含有文字",
    ),
    "one_cluster": Text(
        en="all students are in one group of {cluster}, so chance can't be judged",
        zh="所有学生同属一个 {cluster}，无法判断随机误差",
    ),
    "one_cluster_an_arm": Text(
        en="whole groups of {cluster} were exposed or not, and one side has a single group",
        zh="干预以整个 {cluster} 为单位，而其中一方只有一个",
    ),
    "side_in_one_cluster": Text(
        en="all exposed or all unexposed students compared are in one group of {cluster}, so chance can't be judged",
        zh="所比较的接受者（或未接受者）都在同一个 {cluster} 内，无法判断随机误差",
    ),
    "few_clusters": Text(
        en="fewer than {least} groups of {cluster} are left, so chance can't be judged",
        zh="可用的 {cluster} 不足 {least} 个，无法判断随机误差",
    ),
    "few_clusters_an_arm": Text(
        en="exposure was mostly decided for whole groups of {cluster}, and one side has fewer than {least} of them",
        zh="干预基本上以整个 {cluster} 为单位决定，而其中一方不足 {least} 个",
    ),
    "not_drawn_whole": Text(
        en="exposure differs within groups that are declared to have been drawn as a whole",
        zh="声明为整组抽取的群组，组内的干预并不一致",
    ),
    "unit_in_strata": Text(
        en="some of the groups drawn lie in several strata, so they can't have been drawn within them",
        zh="有的群组跨越多个抽样层，不可能在层内抽取",
    ),
    "nothing_drawn": Text(
        en="within every stratum all or none were exposed, so no other draw was possible",
        zh="每个抽样层内要么全部接受、要么全部未接受，不存在其他抽取结果",
    ),
    "bad_weights": Text(
        en="column {column} holds negative weights or none above zero",
        zh="列 {column} 含有负权重，或没有大于零的权重",
    ),
    "one_group": Text(
        en="fewer than two groups have an effect that can be estimated",
        zh="可估计效应的群体不足两个",
    ),
    "few_df": Text(
        en="there are too few groups of students to test so many differences at once",
        zh="群组太少，无法同时检验这么多差异",
    ),
    "two_levels": Text(
        en="{column} has more than two values, and this method compares two",
        zh="{column} 有两个以上的取值，而该方法只比较两个",
    ),
    "one_level": Text(
        en="{column} has the same value for everybody",
        zh="{column} 的取值全部相同",
    ),
    "moments_apart": Text(
        en="no weights make the unexposed students match the exposed ones on all covariates",
        zh="没有任何权重能使未接受的学生在所有协变量上与接受的学生一致",
    ),
    "no_match": Text(
        en="no exposed student has an unexposed one within the calliper",
        zh="在卡尺范围内没有一名接受者能找到可匹配的未接受者",
    ),
    "mostly_unmatched": Text(
        en="most exposed students have no unexposed one within the calliper",
        zh="多数接受者在卡尺范围内找不到可匹配的未接受者",
    ),
    "no_first_stage": Text(
        en="{instrument} doesn't move {treatment} at all given the covariates",
        zh="给定协变量后，{instrument} 对 {treatment} 没有任何影响",
    ),
    "no_variation_within": Text(
        en="within {within} and given the covariates everybody had the same exposure to {treatment}",
        zh="在同一 {within} 内、给定协变量后，所有学生的 {treatment} 均相同",
    ),
    "perfect_fit": Text(
        en="the model fits {outcome} without any error, so chance can't be judged",
        zh="模型对 {outcome} 的拟合没有任何误差，无法判断随机误差",
    ),
    "no_common_support": Text(
        en="the covariates separate exposed and unexposed students completely: nobody has a counterpart",
        zh="协变量把接受与未接受的学生完全分开，没有可比的学生",
    ),
    "ate_off_support": Text(
        en="where {where} there are no {arm}, so an average over everybody would be extrapolated; "
        "the effect on the exposed (ATT) may be estimable",
        zh="在 {where} 的学生中没有{arm}，对全体的平均效应只能靠外推；接受者的平均效应（ATT）或可估计",
    ),
    "att_mostly_off_support": Text(
        en="most exposed students have no comparable unexposed student where {where}",
        zh="在 {where} 的情况下，多数接受者找不到可比的未接受者",
    ),
    "few_folds": Text(
        en="too few groups are left to fit the models on other groups than they are applied to",
        zh="群组太少，无法用其他群组的数据拟合模型（交叉拟合）",
    ),
    "held_out_effects": Text(
        en="effects of {within} can't be known for groups that are held out; use adjustment = means",
        zh="被留出的 {within} 没有可估计的固定效应；请改用 adjustment = means",
    ),
    "repeated_rows": Text(
        en="a {student} has several rows in one {term}; keep one",
        zh="同一 {student} 在同一 {term} 有多行；请只保留一行",
    ),
    "one_term": Text(
        en="{term} has the same value everywhere, and effects over terms need two",
        zh="{term} 只有一个取值，而跨学期的效应至少需要两个学期",
    ),
    "moving_clusters": Text(
        en="many students change their group of {cluster} between terms; declare one that survives re-classing",
        zh="许多学生在学期之间更换了 {cluster}；请声明在重新编班后仍保持不变的群组",
    ),
    "more_covariates_than_controls": Text(
        en="there are hardly more unexposed students than covariates, so their model can't be fitted",
        zh="未接受者人数与协变量个数相近，无法拟合模型",
    ),
    "not_absorbing": Text(
        en="some students were exposed to {treatment} and later not; declare exposure = reversible and carry_over",
        zh="有学生接受 {treatment} 后又不再接受；请声明 exposure = reversible 与 carry_over",
    ),
    "nobody_starts": Text(
        en="nobody's exposure to {treatment} starts in a term that can be compared with the one before",
        zh="没有学生在可与前一学期比较的学期开始接受 {treatment}",
    ),
    "no_controls_in_terms": Text(
        en="in {terms} nobody was left without {treatment} to compare with; there were such students in {others}",
        zh="在 {terms} 没有未接受 {treatment} 的学生可供比较；有可比学生的学期：{others}",
    ),
    "carry_over_any": Text(
        en="visits that may matter for ever leave no term after them to compare with; declare after how many terms "
        "an exposure no longer matters, or use did",
        zh="若干预的影响可能永远持续，其后便没有可比的学期；请声明几个学期后不再有影响，或改用 did",
    ),
    "no_complete_rows": Text(
        en="no row has a measured {outcome}, a known group and all covariates",
        zh="没有一行数据同时具有已测量的 {outcome}、已知的分组和全部协变量",
    ),
    "same_slopes": Text(
        en="slopes that vary between groups of {group} are of columns that depend on each other",
        zh="{group} 的随机斜率所用的列彼此线性相关",
    ),
    "groups_as_rows": Text(
        en="{group} has as many random effects as there are rows, so they can't be told from chance",
        zh="{group} 的随机效应个数不少于数据行数，无法与随机误差区分",
    ),
    "same_groups": Text(
        en="{group} and {other} divide the rows in the same way, so their variances can't be told apart",
        zh="{group} 与 {other} 对数据的划分完全相同，两者的方差无法区分",
    ),
    "variances_unsettled": Text(
        en="the search for the variances between groups of {groups} did not settle; leave out slopes or a grouping",
        zh="{groups} 的组间方差估计未能收敛；请减少随机斜率或分组",
    ),
    "zero_variance": Text(
        en="the variance between groups of {groups} is estimated as zero (a singular fit), and errors take that as known",
        zh="{groups} 的组间方差估计为零（奇异拟合），标准误把它当作已知",
    ),
    "perfect_correlation": Text(
        en="the random effects of {groups} are estimated to be perfectly correlated (a singular fit), and errors take that as known",
        zh="{groups} 的随机效应估计为完全相关（奇异拟合），标准误把它当作已知",
    ),
    "nothing_observed": Text(
        en="column {column} has no value at all, so none can be imputed",
        zh="列 {column} 没有任何取值，无法插补",
    ),
    "some_imputations": Text(
        en="in some of the completed data sets {method} has no answer: {why}",
        zh="在部分插补后的数据中，{method} 无法给出估计：{why}",
    ),
    "imputations_differ": Text(
        en="the completed data sets don't answer the same question ({what})",
        zh="各插补数据回答的不是同一个问题（{what}）",
    ),
    "no_t_interval": Text(
        en="intervals of {se_type} don't follow from a standard error, so they can't be pooled; ask for another",
        zh="{se_type} 的区间并非由标准误得出，无法合并；请改用其他标准误",
    ),
    "few_an_arm_of_a_cell": Text(
        en="in some cell an arm has fewer than {least} students with a known outcome; use coarser cells",
        zh="有的单元格内某一方结果已知的学生不足 {least} 人；请使用更粗的分组",
    ),
    "dose_negative": Text(
        en="column {column} holds negative doses; mend them at the source",
        zh="列 {column} 含有负的次数或时长；请在数据来源处修正",
    ),
    "dose_beyond_support": Text(
        en="too few students had that much {treatment}: the curve would be extrapolated",
        zh="达到该 {treatment} 量的学生过少，曲线只能靠外推",
    ),
    "dose_one_value": Text(
        en="all students with some {treatment} had the same amount, so there is no curve to see",
        zh="接受过 {treatment} 的学生次数或时长全部相同，看不出剂量关系",
    ),
    "numerical": Text(
        en="the computation did not converge for {method}",
        zh="{method} 的计算未能收敛",
    ),
}  # fmt: skip

ARMS = {"exposed students": "接受的学生", "unexposed students": "未接受的学生"}
ANYTHING = "(.+?)"


def not_estimable(key: str, **slots: object) -> NotEstimableError:
    """The error that says why: reason ``key`` with its slots filled in both languages."""
    zh_slots = {name: ARMS.get(value, value) for name, value in slots.items()}
    return NotEstimableError(en=REASONS[key].en.format(**slots), zh=REASONS[key].zh.format(**zh_slots))


def reason_in(reason: str, language: str) -> str:
    """The ``reason`` column of an estimate (English) in ``language``.

    A reason that isn't one of :data:`REASONS` comes back as it is.
    """
    if language != "zh":
        return reason
    for text in REASONS.values():
        slots = re.findall(r"{(\w+)}", text.en)
        pattern = re.escape(text.en)
        for slot in slots:
            pattern = pattern.replace(re.escape("{" + slot + "}"), ANYTHING, 1)
        found = re.fullmatch(pattern, reason, flags=re.DOTALL)
        if found:
            values = dict(zip(slots, (ARMS.get(value, value) for value in found.groups()), strict=True))
            return text.zh.format(**values)
    return reason
