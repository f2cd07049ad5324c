"""What may be claimed for a row: decided from the declaration and the checks, never from the estimate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cobench.effects.checks import Check
from cobench.effects.design import Assignment

OVER_TERMS = ("did", "student_fixed_effects")
OVER_TERMS_CHECKS = ("lagged_outcome", "pre_trend", "carry_over", "strict_exogeneity")
LADDER = ("not_estimable", "descriptive", "adjusted_association", "quasi_experimental", "randomised")
WEIGHTED = ("aipw", "ipw", "entropy_balance", "matching")
WHY = {
    "randomised": (
        "分配方式已声明为随机，所用方法与之一致。",
        "The assignment is declared as random and the method follows it.",
    ),
    "replication_only": (
        "该估计只用于重现已发表的模型，不授予证据等级。",
        "This reproduces a published model as it was; the evidence badge is withheld.",
    ),
    "assignment_failed": (
        "虽声明为随机分配，但所用方法没有考虑抽签的分层或单位。",
        "Random assignment is declared, but the method leaves out the strata or the unit of the draw.",
    ),
    "attrition_failed": (
        "随机分配后流失过多，两组可能不再可比。",
        "So many were lost after the draw that the arms may no longer be alike.",
    ),
    "adjusted": (
        "不是随机分配；已按声明的协变量调整，未测量的差别可能仍在。",
        "Not randomised; adjusted for the declared covariates, unmeasured differences may remain.",
    ),
    "ceiling": (
        "该方法用模型调整，证据等级最高为“调整后的关联”。",
        "This method adjusts by models, so it is at most an adjusted association.",
    ),
    "imbalanced": (
        "调整后两组在基线上仍相差过大，只能作描述。",
        "After adjustment the groups still differ too much at baseline, so this only describes.",
    ),
    "between_clusters": (
        "干预基本上按整个班级或学校决定，比较的是班级或学校而不是学生，只能作描述。",
        "Exposure was mostly decided for whole classes or schools, so those and not students are compared: "
        "this only describes.",
    ),
    "instrument": (
        "邀请由抽签决定；若邀请只通过参加起作用，且没有人因受邀反而不参加，则可作因果解读。",
        "The invitation was drawn by lot; the reading is causal if it works through attendance alone and puts "
        "nobody off attending.",
    ),
    "trends": (
        "不是随机分配；若没有干预时两组的变化本会平行（已声明的假设），可作因果解读。",
        "Not randomised; the reading is causal if outcomes would have moved in parallel without the exposure, as is "
        "assumed and declared.",
    ),
    "trends_unstated": (
        "不是随机分配；学生之间固定的差别已消去，随时间变化的差别可能仍在（未声明平行趋势假设，或无法检验）。",
        "Not randomised; lasting differences between students are taken out, changing ones may remain (parallel trends "
        "were not declared as an assumption, or could not be tested).",
    ),
    "trends_failed": (
        "检验显示比较的前提不成立（上学期结果影响家访、前期趋势不平行，或影响延续更久），只能作描述。",
        "A test contradicts the comparison (last term's outcome decides who is exposed, trends weren't parallel, or "
        "exposures matter for longer than declared), so this only describes.",
    ),
    "unadjusted": (
        "不是随机分配，也未作调整，只描述两组的差别。",
        "Not randomised and not adjusted: it describes how the groups differ.",
    ),
    "not_estimable": ("现有数据不足以回答。", "The data at hand can't answer this."),
}


@dataclass(frozen=True)
class Evidence:
    """``evidence`` as in the frame of estimates, and a sentence why in both languages."""

    evidence: str
    why: dict[str, str]


def evidence_of(
    method: str,
    *,
    assignment: Assignment | None = None,
    replication_only: bool = False,
    checks: Sequence[Check] = (),
    status: str = "ok",
    adjusted: bool = True,
    between: bool = False,
    assumption: str = "",
) -> Evidence:
    """Evidence of one row.

    Parameters
    ----------
    method : str
    assignment : Assignment, optional
        Absent: observational, so at most ``adjusted_association``.
    checks : sequence of Check
        Of this comparison and method: a failed ``assignment`` or ``attrition`` check withholds
        ``randomised``; a failed ``balance`` check withholds ``adjusted_association``.
    adjusted : bool
        False where a regression holds neither covariates nor cells.
    between : bool
        True where whole clusters were exposed without a declared draw: it then only describes.
    assumption : str
        What is assumed about trends, for methods over terms; without it they are at most adjusted associations.
    """
    failed = {check.name for check in checks if check.status in ("failed", "errored")}
    if status != "ok":
        return _evidence("not_estimable", "not_estimable")
    if replication_only:
        return _evidence("descriptive", "replication_only")
    if between and assignment is None:
        return _evidence("descriptive", "between_clusters")
    if method in OVER_TERMS:
        return _over_terms(checks, failed, assumption)
    if method in WEIGHTED:
        if "balance" in failed:
            return _evidence("descriptive", "imbalanced")
        return _evidence("adjusted_association", "ceiling" if assignment else "adjusted")
    if method == "multilevel":
        if not adjusted or "balance" in failed:
            return _evidence("descriptive", "imbalanced" if adjusted else "unadjusted")
        return _evidence("adjusted_association", "ceiling" if assignment else "adjusted")
    if method == "iv" and assignment is not None and "assignment" not in failed:
        return _evidence("quasi_experimental", "instrument")
    is_adjusted = method in ("regress", "iv", "dose", "forest") and adjusted
    fallback = "adjusted_association" if is_adjusted else "descriptive"
    if assignment is not None:
        for name in ("assignment", "attrition"):
            if name in failed:
                return _evidence(fallback, f"{name}_failed")
        return _evidence("randomised", "randomised")
    if is_adjusted and "balance" in failed:
        return _evidence("descriptive", "imbalanced")
    return _evidence(fallback, "adjusted" if is_adjusted else "unadjusted")


def _over_terms(checks: Sequence[Check], failed: set[str], assumption: str) -> Evidence:
    """Causal under a declared assumption that its tests did not contradict; none of them may be missing."""
    if failed & set(OVER_TERMS_CHECKS):
        return _evidence("descriptive", "trends_failed")
    passed = {check.name for check in checks if check.status == "passed"}
    tested = "lagged_outcome" in passed and bool(passed & {"pre_trend", "strict_exogeneity"})
    if assumption.strip() and tested:
        return _evidence("quasi_experimental", "trends")
    return _evidence("adjusted_association", "trends_unstated")


def weakest(evidence: Iterable[str]) -> str:
    """The lowest of several grades of evidence."""
    return min(evidence, key=LADDER.index)


def _evidence(evidence: str, why: str) -> Evidence:
    zh, en = WHY[why]
    return Evidence(evidence, {"zh": zh, "en": en})
