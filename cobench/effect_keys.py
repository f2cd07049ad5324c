"""Keys of an effect in ``study.toml`` that ask for more than its specifications; part of :mod:`cobench.study`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cobench.declared import Text


@dataclass(frozen=True)
class OverTerms:
    """How an effect is followed over terms (:func:`cobench.effects.fit_did`).

    ``carry_over`` says whether an exposure matters after its own term: ``none``, or ``any`` for as long as it may.
    ``assumption`` is why trends would have been parallel; without it evidence is at most an adjusted association.
    """

    exposure: Literal["absorbing", "reversible"] = "reversible"
    carry_over: Literal["none", "any"] = "none"
    controls: Literal["not_yet", "never"] = "not_yet"
    cluster: str = "school"
    assumption: Text | None = None


@dataclass(frozen=True)
class Imputation:
    """Missing answers completed many times over, beside the students whose answers are complete.

    ``also``: further columns of the panel that tell of missing values or of whether they are missing. ``seed`` is the
    study's by default.
    """

    imputations: int = 20
    rounds: int = 10
    also: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True)
class ForWhom:
    """A forest asks for whom the effect is larger (:func:`cobench.effects.fit_heterogeneity`); exploratory."""

    divisions: int = 11
    groups: int = 4
    trees: int = 100


@dataclass(frozen=True)
class ValueAddedKeys:
    """Schools (or classes in their school) compared by what they add to prior attainment.

    ``priors``: outcomes whose baselines are the prior attainment; only common tests count, of outcome and priors.
    ``reliability``: of priors, over the students of a grade in this district. ``composition``: compare with schools of like
    intake (:func:`cobench.monitor.value_added.fit_value_added`).
    """

    outcome: str
    priors: tuple[str, ...]
    covariates: tuple[str, ...] = ()
    reliability: dict[str, float] = field(default_factory=dict)
    composition: bool = False
    level: Literal["school", "class"] = "school"
