"""Who was lost after a declared draw: attrition by arm against WWC's boundaries, and Lee's bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from cobench.designs import design_of
from cobench.effects.attrition import VERDICTS, attrition_table
from cobench.effects.bounds import lee_bounds
from cobench.effects.estimates import COLUMNS
from cobench.effects.sample import as_level, group_codes
from cobench.errors import NotEstimableError
from cobench.panel import Panel
from cobench.study import Effect, Study

LOST = ["effect", "n_assigned", "n_kept", "lost_treated", "lost_compared", *VERDICTS]
BOUNDS = ["effect", *COLUMNS]
CELL, LEAST = "stratum of the draw", 2


def lost_rows(
    study: Study, panel: Panel, frame: pd.DataFrame, effect: Effect
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Attrition (:data:`LOST`, a row a contrast) and Lee's bounds (:data:`BOUNDS`, two a contrast) of a drawn effect.

    The arm is the one drawn: the invitation where an ``instrument`` is declared. Strata of the draw are cells of the
    bounds, those joined in which an arm has fewer than two known outcomes.
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
    arm = as_level(rows[assigned])
    parts = []
    for level, base in zip(verdicts["contrast"], verdicts["reference"], strict=True):
        pair, cells = _with_cells(
            rows[arm.isin([level, base]).to_numpy(dtype=bool)],
            assigned,
            design.outcome,
            design.assignment.strata,
        )
        parts.append(
            lee_bounds(
                pair, design.outcome, assigned, covariates=cells, cluster=design.cluster, reference=reference
            )
        )
    told = {"study": design.study, "term": design.term, "spec_id": design.spec_id, "role": "robustness"}
    bounds = pd.concat(parts, ignore_index=True).assign(**told, effect=effect.id)
    return lost[LOST], bounds[BOUNDS]


def _with_cells(
    rows: pd.DataFrame, assigned: str, outcome: str, strata: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """``rows`` with a column of cells, and its name; none without strata."""
    if not strata:
        return rows, ()
    arm = as_level(rows[assigned])
    stratum = pd.Series(group_codes(rows, strata), index=rows.index).astype("str")
    known = rows[outcome].notna()
    counts = pd.crosstab(stratum[known], arm[known]).reindex(columns=arm.dropna().unique(), fill_value=0)
    fine = counts.index[(counts >= LEAST).all(axis=1)]
    rest = counts.drop(index=fine).sum()
    if len(fine) and len(fine) < len(counts) and (rest < LEAST).any():
        fine = fine[1:]
    return rows.assign(**{CELL: stratum.where(stratum.isin(fine), "joined")}), (CELL,)


def stacked(parts: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """Frames ``attrition`` and ``bounds`` of all effects."""
    frames = {}
    for name, place, columns in (("attrition", 0, LOST), ("bounds", 1, BOUNDS)):
        filled = [part[place] for part in parts.values() if len(part[place])]
        frames[name] = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)
    return frames
