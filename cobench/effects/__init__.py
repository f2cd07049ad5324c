"""Declared designs to one frame of estimates, with the checks that say how far to trust them."""

from cobench.effects.adjust import difference, regress
from cobench.effects.aipw import aipw
from cobench.effects.balance import balance_table, effective_sample_size, overlap_table
from cobench.effects.checks import Check
from cobench.effects.design import Assignment, Design
from cobench.effects.did import DidFit, did, fit_did
from cobench.effects.entropy import entropy_balance
from cobench.effects.estimate import EffectResult, estimate_effect
from cobench.effects.estimates import COLUMNS, adjust_family, as_estimates, minimum_detectable
from cobench.effects.instrument import complier_checks, complier_effect
from cobench.effects.matching import matching
from cobench.effects.mixed_compare import likelihood_ratio
from cobench.effects.multilevel import MultilevelFit, fit_multilevel, multilevel
from cobench.effects.multiplicity import family_adjusted, romano_wolf
from cobench.effects.reasons import reason_in
from cobench.effects.sizes import size_table
from cobench.effects.student_effects import StudentEffectsFit, fit_student_effects, student_fixed_effects
from cobench.effects.subgroups import interactions, subgroups
from cobench.effects.weighting import ipw

__all__ = [
    "COLUMNS",
    "Assignment",
    "Check",
    "Design",
    "DidFit",
    "EffectResult",
    "StudentEffectsFit",
    "MultilevelFit",
    "adjust_family",
    "aipw",
    "as_estimates",
    "balance_table",
    "complier_checks",
    "complier_effect",
    "did",
    "difference",
    "effective_sample_size",
    "entropy_balance",
    "estimate_effect",
    "family_adjusted",
    "fit_did",
    "fit_student_effects",
    "fit_multilevel",
    "interactions",
    "ipw",
    "likelihood_ratio",
    "matching",
    "minimum_detectable",
    "multilevel",
    "overlap_table",
    "reason_in",
    "regress",
    "romano_wolf",
    "size_table",
    "student_fixed_effects",
    "subgroups",
]
