"""Declared search for whom an effect is larger: a forest's ranking, tested on students it has never seen."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cobench.designs import design_of
from cobench.effects.estimates import COLUMNS, as_estimates
from cobench.effects.heterogeneity import PROFILE, TESTS, fit_heterogeneity, unanswered
from cobench.errors import NotEstimableError
from cobench.panel import Panel
from cobench.study import Effect, Study

FRAMES = {
    "for_whom": ["effect", *COLUMNS],
    "for_whom_tests": ["effect", "contrast", *TESTS],
    "for_whom_profile": ["effect", "contrast", *PROFILE],
}


def for_whom(study: Study, panel: Panel, frame: pd.DataFrame, effect: Effect) -> dict[str, pd.DataFrame]:
    """Groups by predicted effect, tests and profiles of every contrast of ``effect``; columns :data:`FRAMES`.

    Parameters
    ----------
    frame : DataFrame
        The panel's rows in the effect's population.
    """
    design, given = design_of(study, panel.term.id, effect), effect.heterogeneity
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in FRAMES}
    told = {"study": design.study, "term": design.term, "spec_id": design.spec_id, "role": "exploratory"}
    for level in design.levels:
        try:
            fit = fit_heterogeneity(
                frame, design.outcome, design.treatment, design.covariates, design.within or None, design.cluster,
                level=level, reference=design.reference, n_divisions=given.divisions, n_groups=given.groups,
                n_trees=given.trees, seed=design.seed,
            )  # fmt: skip
        except NotEstimableError as error:
            row = unanswered(design.treatment, level, design.outcome, error.en)
            parts["for_whom"].append(as_estimates([row | told]))
            continue
        parts["for_whom"].append(as_estimates(fit.estimates.drop(columns="estimate_id").assign(**told)))
        parts["for_whom_tests"].append(fit.tests.assign(contrast=level))
        parts["for_whom_profile"].append(fit.profile.assign(contrast=level))
    return {
        name: pd.concat(own, ignore_index=True).assign(effect=effect.id)[FRAMES[name]]
        if own
        else pd.DataFrame(columns=FRAMES[name])
        for name, own in parts.items()
    }


def stacked(parts: Mapping[str, Mapping[str, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """The frames of all effects, by name."""
    frames = {}
    for name, columns in FRAMES.items():
        filled = [part[name] for part in parts.values() if len(part[name])]
        frames[name] = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)
    return frames
