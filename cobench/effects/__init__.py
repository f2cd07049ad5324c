"""Declared designs to one frame of estimates, with the checks that say how far to trust them."""

from cobench.effects.adjust import difference, regress
from cobench.effects.aipw import aipw
from cobench.effects.balance import balance_table, effective_sample_size, overlap_table
from cobench.effects.checks import Check
from cobench.effects.design import Assignment, Design
from cobench.effects.estimate import EffectResult, estimate_effect
from cobench.effects.estimates import COLUMNS, adjust_family, as_estimates, minimum_detectable
from cobench.effects.reasons import reason_in
from cobench.effects.weighting import ipw

__all__ = [
    "COLUMNS",
    "Assignment",
    "Check",
    "Design",
    "EffectResult",
    "adjust_family",
    "aipw",
    "as_estimates",
    "balance_table",
    "difference",
    "effective_sample_size",
    "estimate_effect",
    "minimum_detectable",
    "overlap_table",
    "reason_in",
    "regress",
    "ipw",
]
