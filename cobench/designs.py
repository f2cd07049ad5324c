"""Declared effects of ``study.toml`` as statistical designs: each one's specifications, and nothing beyond them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cobench.effects.design import Assignment, Design
from cobench.panel import covariate_columns, panel_column
from cobench.study import Effect, Study, Variant


@dataclass(frozen=True)
class Specification:
    """One declared way to estimate an effect; its rows of estimates have its ``spec_id`` and ``method``.

    Attributes
    ----------
    variant : Variant or None
        None for the declared ``methods``, which share the effect's design.
    """

    design: Design
    method: str
    primary: bool
    variant: Variant | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What its rows of the frame of estimates hold as ``spec_id`` and ``method``."""
        return self.design.spec_id, self.method


def specifications(study: Study, term_id: str, effect: Effect) -> tuple[Specification, ...]:
    """Every declared specification of ``effect``: the primary one, its other methods, then ``robustness``."""
    design = design_of(study, term_id, effect)
    declared = [Specification(design, method, method == effect.primary) for method in effect.all_methods]
    for variant in effect.robustness:
        varied = effect.varied(variant)
        own = replace(design_of(study, term_id, varied), subgroups=(), trim=variant.trim)
        declared.append(Specification(own, varied.primary, False, variant))
    return tuple(declared)


def design_of(study: Study, term_id: str, effect: Effect) -> Design:
    """The statistical design of a declared effect, in panel columns."""
    treatment = study.treatments[effect.treatment]
    levels = effect.contrasts or tuple(level.id for level in treatment.levels if level.use == "contrast")
    given = effect.assignment
    assignment = None
    if given is not None:
        assignment = Assignment(
            given.mechanism, panel_column(given.unit), tuple(map(panel_column, given.strata)), given.source
        )
    return Design(
        study=study.id,
        term=term_id,
        effect=effect.id,
        treatment=effect.treatment,
        outcome=effect.outcome,
        levels=levels,
        reference=treatment.reference,
        estimand=effect.estimand,
        role=effect.role,
        primary=effect.primary,
        methods=effect.all_methods,
        covariates=covariate_columns(study, effect),
        within=tuple(panel_column(name) for name in effect.within),
        cluster=panel_column(effect.cluster) if effect.cluster else None,
        se_type=effect.se_type,
        assignment=assignment,
        subgroups=(*map(panel_column, effect.subgroups), *never_before(effect)),
        population=effect.population.en if effect.population else "all",
        instrument=panel_column(effect.instrument) if effect.instrument else None,
        least_clusters=effect.least_clusters,
        smallest_of_interest=effect.smallest_of_interest,
        replication_only=effect.replication_only,
        seed=study.seed,
    )


def never_before(effect: Effect) -> tuple[str, ...]:
    """Column that splits students by whether they had the treatment before; last term's outcome carries it."""
    return (f"{effect.treatment}:never_before",) if effect.history == "required" else ()
