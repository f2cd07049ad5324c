"""Declared designs to one frame of estimates, with the checks that say how far to trust them."""

from cobench.effects.adjust import difference, regress
from cobench.effects.aipw import aipw
from cobench.effects.attrition import attrition_table, sample_flow
from cobench.effects.balance import balance_table, effective_sample_size, overlap_table
from cobench.effects.bounds import lee_bounds
from cobench.effects.checks import Check
from cobench.effects.design import Assignment, Design
from cobench.effects.did import DidFit, did, fit_did
from cobench.effects.dose import dose_response, fit_dose
from cobench.effects.entropy import entropy_balance
from cobench.effects.estimate import EffectResult, estimate_effect
from cobench.effects.estimates import COLUMNS, adjust_family, as_estimates, minimum_detectable
from cobench.effects.heterogeneity import HeterogeneityFit, fit_heterogeneity, heterogeneity
from cobench.effects.imputation import impute
from cobench.effects.instrument import complier_checks, complier_effect
from cobench.effects.matching import matching
from cobench.effects.mixed_compare import likelihood_ratio
from cobench.effects.multilevel import MultilevelFit, fit_multilevel, multilevel
from cobench.effects.multiplicity import family_adjusted, romano_wolf
from cobench.effects.pooling import complete_cases_beside, pool, pooled_fit, sensitivity_to_absence
from cobench.effects.reasons import reason_in
from cobench.effects.sizes import size_table
from cobench.effects.student_effects import StudentEffectsFit, fit_student_effects, student_fixed_effects
from cobench.effects.subgroups import interactions, subgroups
from cobench.effects.weighting import ipw

__all__ = [
    "HeterogeneityFit",
    "fit_heterogeneity",
    "heterogeneity",
    "COLUMNS",
    "Assignment",
    "Check",
    "Design",
    "DidFit",
    "EffectResult",
    "MultilevelFit",
    "StudentEffectsFit",
    "adjust_family",
    "aipw",
    "as_estimates",
    "attrition_table",
    "balance_table",
    "complete_cases_beside",
    "complier_checks",
    "complier_effect",
    "did",
    "difference",
    "dose_response",
    "effective_sample_size",
    "entropy_balance",
    "estimate_effect",
    "family_adjusted",
    "fit_did",
    "fit_dose",
    "fit_multilevel",
    "fit_student_effects",
    "impute",
    "interactions",
    "ipw",
    "lee_bounds",
    "likelihood_ratio",
    "matching",
    "minimum_detectable",
    "multilevel",
    "overlap_table",
    "pool",
    "pooled_fit",
    "reason_in",
    "regress",
    "romano_wolf",
    "sample_flow",
    "sensitivity_to_absence",
    "size_table",
    "student_fixed_effects",
    "subgroups",
]
