"""Who was lost after a declared draw: attrition by arm against WWC's boundaries, and Lee's bounds."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cobench.designs import design_of
from cobench.effects.attrition import VERDICTS, attrition_table
from cobench.effects.bounds import lee_bounds
from cobench.effects.estimates import COLUMNS
from cobench.errors import NotEstimableError
from cobench.panel import Panel
from cobench.study import Effect, Study

LOST = ["effect", "n_assigned", "n_kept", "lost_treated", "lost_compared", *VERDICTS]
BOUNDS = ["effect", *COLUMNS]


def lost_rows(
    study: Study, panel: Panel, frame: pd.DataFrame, effect: Effect
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Attrition (:data:`LOST`, a row a contrast) and Lee's bounds (:data:`BOUNDS`, two a contrast) of a drawn effect.

    The arm is the one drawn: the invitation where an ``instrument`` is declared. Strata of the draw are cells of the
    bounds.
    """
    design = design_of(study, panel.term.id, effect)
    assigned = design.instrument or design.treatment
    reference, levels = (None, None) if design.instrument else (design.reference, design.levels)
    rows = frame if levels is None else frame[frame[assigned].isin([reference, *levels]).to_numpy(dtype=bool)]
    try:
        table = attrition_table(rows, assigned, design.outcome, cluster=design.cluster, reference=reference)
    except NotEstimableError:
        return pd.DataFrame(columns=LOST), pd.DataFrame(columns=BOUNDS)
    arms = table.by_arm.set_index("arm")
    verdicts = table.verdicts
    lost = verdicts.assign(
        effect=effect.id,
        n_assigned=arms["n_assigned"].reindex(verdicts["contrast"]).to_numpy()
        + arms["n_assigned"].reindex(verdicts["reference"]).to_numpy(),
        n_kept=arms["n_kept"].reindex(verdicts["contrast"]).to_numpy()
        + arms["n_kept"].reindex(verdicts["reference"]).to_numpy(),
        lost_treated=arms["n_lost"].reindex(verdicts["contrast"]).to_numpy(),
        lost_compared=arms["n_lost"].reindex(verdicts["reference"]).to_numpy(),
    )
    bounds = lee_bounds(
        rows, design.outcome, assigned, covariates=design.assignment.strata, cluster=design.cluster, reference=reference
    ).assign(study=design.study, term=design.term, spec_id=design.spec_id, role="robustness", effect=effect.id)  # fmt: skip
    return lost[LOST], bounds[BOUNDS]


def stacked(parts: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """Frames ``attrition`` and ``bounds`` of all effects."""
    frames = {}
    for name, place, columns in (("attrition", 0, LOST), ("bounds", 1, BOUNDS)):
        filled = [part[place] for part in parts.values() if len(part[place])]
        frames[name] = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)
    return frames
