"""Standardised effects and the verdicts of WWC and EEF, with the ingredients in sight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from cobench.errors import ParameterError

COX = 1.65
BASELINE_SATISFIED = 0.05
BASELINE_ADJUSTABLE = 0.25
EEF_MONTHS = (
    (0.02, 1), (0.10, 2), (0.19, 3), (0.27, 4), (0.36, 5), (0.45, 6), (0.53, 7), (0.62, 8), (0.70, 9), (0.79, 10),
    (0.88, 11), (0.96, 12),
)  # fmt: skip
EEF_HIGHEST = 1.00
# WWC Procedures and Standards Handbook, version 4.1: highest differential attrition (percentage points) that
# keeps attrition low, for overall attrition of 0, 1, ..., 57 %.
CAUTIOUS = (
    5.7, 5.8, 5.9, 5.9, 6.0, 6.1, 6.2, 6.3, 6.3, 6.3, 6.3, 6.2, 6.2, 6.1, 6.0, 5.9, 5.9, 5.8, 5.7, 5.5, 5.4, 5.3,
    5.2, 5.1, 4.9, 4.8, 4.7, 4.5, 4.4, 4.3, 4.1, 4.0, 3.8, 3.6, 3.5, 3.3, 3.2, 3.1, 2.9, 2.8, 2.6, 2.5, 2.3, 2.1,
    2.0, 1.8, 1.6, 1.5, 1.3, 1.2, 1.0, 0.9, 0.7, 0.6, 0.4, 0.3, 0.2, 0.0,
)  # fmt: skip
OPTIMISTIC = (
    10.0, 10.1, 10.2, 10.3, 10.4, 10.5, 10.7, 10.8, 10.9, 10.9, 10.9, 10.9, 10.9, 10.8, 10.8, 10.7, 10.6, 10.5,
    10.3, 10.2, 10.0, 9.9, 9.7, 9.5, 9.4, 9.2, 9.0, 8.8, 8.6, 8.4, 8.2, 8.0, 7.8, 7.6, 7.4, 7.2, 7.0, 6.7, 6.5,
    6.3, 6.0, 5.8, 5.6, 5.3, 5.1, 4.9, 4.6, 4.4, 4.2, 3.9, 3.7, 3.5, 3.2, 3.0, 2.8, 2.6, 2.3, 2.1,
)  # fmt: skip


def hedges_correction(n: float) -> float:
    """Small-sample factor ``1 - 3/(4N - 9)`` (Hedges 1981, as in WWC), ``n`` students in both arms."""
    return 1 - 3 / (4 * n - 9)


def pooled_sd(treated: np.ndarray, control: np.ndarray) -> float:
    """SD pooled over the arms with their degrees of freedom; NaN with fewer than two students an arm."""
    n1, n0 = len(treated), len(control)
    if min(n1, n0) < 2:
        return float("nan")
    squares = (n1 - 1) * np.var(treated, ddof=1) + (n0 - 1) * np.var(control, ddof=1)
    return float(np.sqrt(squares / (n1 + n0 - 2)))


def hedges_g(treated: np.ndarray, control: np.ndarray) -> float:
    """Difference of means over the pooled SD, with Hedges' small-sample factor."""
    difference = np.mean(treated) - np.mean(control)
    return float(difference / pooled_sd(treated, control) * hedges_correction(len(treated) + len(control)))


def cox_index(p_treated: float, p_control: float, n: float | None = None) -> float:
    """Difference of logits over 1.65; with ``n`` (both arms) times Hedges' small-sample factor.

    WWC applies the factor; tables of baseline equivalence often leave it out: say which is shown. A
    proportion of zero or one gives NaN.
    """
    if not (0 < p_treated < 1 and 0 < p_control < 1):
        return float("nan")
    index = (np.log(p_treated / (1 - p_treated)) - np.log(p_control / (1 - p_control))) / COX
    return float(index * (1 if n is None else hedges_correction(n)))


def improvement_index(g: float) -> float:
    """Expected change in percentile rank of an average comparison student: ``Phi(g) - 50 %``, in points."""
    return float(100 * stats.norm.cdf(g) - 50)


def eef_months(g: float) -> int | None:
    """Months of additional progress of the EEF toolkit; None above 1.00, where its table ends.

    The effect is rounded to two decimals as the table asks; negative effects give negative months. The
    table is about attainment only and never stands for evidence.
    """
    size = round(abs(g), 2)
    if size > EEF_HIGHEST:
        return None
    months = max((months for start, months in EEF_MONTHS if size >= start), default=0)
    return -months if g < 0 else months


def baseline_verdict(g: float) -> str:
    """WWC baseline equivalence of ``|g|``: ``satisfied``, ``needs_adjustment`` or ``fails``."""
    if not np.isfinite(g):
        return "fails"
    if abs(g) <= BASELINE_SATISFIED:
        return "satisfied"
    return "needs_adjustment" if abs(g) <= BASELINE_ADJUSTABLE else "fails"


@dataclass(frozen=True)
class Attrition:
    """Attrition after assignment against the boundaries of WWC.

    Attributes
    ----------
    overall, differential : float
        Percent and percentage points.
    cautious_limit, optimistic_limit : float
        Highest differential attrition at this overall rate, in points.
    cautious, optimistic : bool
        Whether attrition is low under each set of assumptions.
    """

    overall: float
    differential: float
    cautious_limit: float
    optimistic_limit: float
    cautious: bool
    optimistic: bool


def attrition(
    assigned_treated: int, kept_treated: int, assigned_control: int, kept_control: int
) -> Attrition:
    """Overall and differential attrition, and the verdict under both boundaries.

    Limits between whole percents are interpolated; above 57 % overall nothing passes.

    Raises
    ------
    ParameterError
        When more are kept than were assigned, or an arm is empty.
    """
    arms = ((assigned_treated, kept_treated), (assigned_control, kept_control))
    if any(assigned < 1 or not 0 <= kept <= assigned for assigned, kept in arms):
        raise ParameterError(
            en="attrition: each arm needs at least one assigned student and no more kept than assigned",
            zh="attrition：每组至少有一名被分配的学生，且保留人数不能多于分配人数",
        )
    lost = [100 * (1 - kept / assigned) for assigned, kept in arms]
    total = assigned_treated + assigned_control
    overall = 100 * (1 - (kept_treated + kept_control) / total)
    differential = abs(lost[0] - lost[1])
    percents = np.arange(len(CAUTIOUS))
    cautious, optimistic = (
        float(np.interp(overall, percents, limits, right=-1.0)) for limits in (CAUTIOUS, OPTIMISTIC)
    )
    return Attrition(
        overall, differential, cautious, optimistic, differential <= cautious, differential <= optimistic
    )
