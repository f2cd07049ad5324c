"""Declared imputation of an effect: the same question of everybody whose answer was due, beside complete cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from cobench.designs import design_of
from cobench.effects.design import Design
from cobench.effects.estimate import estimate_variant
from cobench.effects.estimates import COLUMNS, as_estimates
from cobench.effects.imputation import DIAGNOSTICS, Imputed, impute
from cobench.effects.pooling import pooled_fit
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import as_level
from cobench.errors import NotEstimableError
from cobench.panel import Panel, panel_column
from cobench.study import Effect, Study

COMPLETE, IMPUTED = "complete_cases", "imputed"
TOLD = ["version", "share_outcome", "share_imputed", "n_imputations", "share_missing_information"]
ROWS = ["effect", *TOLD, *COLUMNS]
FILLED = ["effect", *DIAGNOSTICS]
# No value is due, or only what happened could give it: such a child is not in the population of any answer.
NEVER = ("exempt", "not_measured", "entry_grade", "no_spread", "no_earlier_log")
MOST_LEVELS = 12


def imputed_rows(
    study: Study, panel: Panel, frame: pd.DataFrame, effect: Effect, reasons: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The primary method of ``effect`` on complete cases and on completed data, as its ``impute`` declares.

    Exposure and its history are never imputed, nor is a value that was never due.

    Parameters
    ----------
    frame : DataFrame
        The panel's rows in the effect's population.
    reasons : DataFrame
        :data:`cobench.missing.MISSING` of the panel.

    Returns
    -------
    DataFrame
        :data:`ROWS`, two rows a contrast: ``version`` is ``complete_cases`` or ``imputed``. ``share_outcome`` and
        ``share_imputed`` are of the students of both arms: whose outcome, or any value, was imputed.
    DataFrame
        :data:`FILLED`, a row a column with imputed values.
    """
    design = design_of(study, panel.term.id, effect)
    design = replace(design, methods=(design.primary,), subgroups=())
    known = frame[effect.treatment].isin([design.reference, *design.levels])
    rows = frame[known.to_numpy(dtype=bool)].reset_index(drop=True)
    try:
        completed = _completed(study, rows, design, effect, reasons)
    except NotEstimableError as error:
        return _refused(design, effect, error.en), pd.DataFrame(columns=FILLED)
    alone = estimate_variant(completed.frame, design, design)
    pooled = pooled_fit(completed, lambda each: estimate_variant(each, design, design), role="robustness")
    told = pooled.information.set_index("estimate_id")["share_missing_information"]
    imputed = pooled.estimates.assign(
        version=IMPUTED,
        n_imputations=float(len(completed)),
        share_missing_information=pooled.estimates["estimate_id"].map(told).astype("float64"),
        **_shares(completed, design, pooled.estimates["contrast"]),
    )
    beside = alone.assign(version=COMPLETE, **dict.fromkeys(TOLD[1:], np.nan))
    both = pd.concat([beside, imputed], ignore_index=True).assign(effect=effect.id)
    order = {level: place for place, level in enumerate(design.levels)}
    both = both.sort_values("contrast", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    return both[ROWS], completed.diagnostics.assign(effect=effect.id)[FILLED]


def stacked(parts: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """Frames ``imputed`` and ``imputed_columns`` of all effects."""
    frames = {}
    for name, place, columns in (("imputed", 0, ROWS), ("imputed_columns", 1, FILLED)):
        filled = [part[place] for part in parts.values() if len(part[place])]
        frames[name] = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)
    return frames


def _completed(
    study: Study, rows: pd.DataFrame, design: Design, effect: Effect, reasons: pd.DataFrame
) -> Imputed:
    """Completed data sets.

    Raises
    ------
    NotEstimableError
        When nothing is missing, or a column has too few values to learn from.
    """
    given = effect.impute
    also = [panel_column(name) for name in given.also]
    used = [
        name
        for name in dict.fromkeys([design.outcome, *design.covariates, *also])
        if name not in (*design.within, design.cluster) and not name.endswith(":history")
    ]
    lacking = [name for name in used if rows[name].isna().any()]
    if not lacking:
        raise not_estimable("nothing_missing")
    clusters, cells = _groups(rows, design)
    history = [name for name in design.covariates if name.endswith(":history")]
    lagged = f"{design.outcome}@baseline"
    return impute(
        rows.assign(**{name: as_level(rows[name]) for name in cells}),
        lacking,
        given=[design.treatment, *(name for name in used if name not in lacking), *history, *cells],
        cluster=clusters,
        products=[(design.treatment, lagged)] if lagged in used else [],
        reasons=reasons[reasons["column"].isin(lacking)],
        never=NEVER,
        n_imputations=given.imputations,
        n_iterations=given.rounds,
        seed=study.seed if given.seed is None else given.seed,
    )


def _groups(rows: pd.DataFrame, design: Design) -> tuple[list[str], list[str]]:
    """Columns with random intercepts, the widest first, and cells that become categories of the model."""
    own = [name for name in design.within if name != design.cluster]
    many = [name for name in own if rows[name].nunique() > MOST_LEVELS or name == "school"]
    clusters = [*many, *([design.cluster] if design.cluster else [])]
    clusters = sorted(dict.fromkeys(clusters), key=lambda name: rows[name].nunique())
    return clusters, [name for name in own if name not in many]


def _shares(completed: Imputed, design: Design, contrasts: pd.Series) -> dict[str, np.ndarray]:
    level = completed.frame[design.treatment].astype("str").to_numpy()
    filled = {name: np.zeros(len(level), dtype=bool) for name in ("share_outcome", "share_imputed")}
    for name, at in completed.rows.items():
        filled["share_imputed"][at] = True
        if name == design.outcome:
            filled["share_outcome"][at] = True
    arms = [np.isin(level, [design.reference, each]) for each in contrasts]
    return {name: np.array([own[arm].mean() for arm in arms]) for name, own in filled.items()}


def _refused(design: Design, effect: Effect, reason: str) -> pd.DataFrame:
    rows = as_estimates(
        {
            "study": design.study, "term": design.term, "population": f"{design.population}:{IMPUTED}",
            "treatment": design.treatment, "contrast": level, "outcome": design.outcome, "estimand": design.estimand,
            "method": design.primary, "spec_id": design.spec_id, "role": "robustness", "status": "not_estimable",
            "reason": reason, "evidence": "not_estimable",
        }
        for level in design.levels
    )  # fmt: skip
    return rows.assign(effect=effect.id, version=IMPUTED, **dict.fromkeys(TOLD[1:], np.nan))[ROWS]
