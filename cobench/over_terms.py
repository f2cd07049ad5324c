"""Declared curves of an effect: outcome by dose within a term, and differences in differences over terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cobench.designs import design_of
from cobench.effects import as_estimates, fit_did, fit_dose
from cobench.effects.checks import Check, p_in_words
from cobench.effects.estimates import COLUMNS
from cobench.errors import NotEstimableError
from cobench.panel import Panel
from cobench.study import Effect, Study

BANDS = ["band_low", "band_high"]
CURVES = ["effect", "curve", *BANDS, *COLUMNS]
DOSE, TERMS = "dose", "over_terms"
LEVEL = 0.05


def dose_curve(
    study: Study, panel: Panel, frame: pd.DataFrame, effect: Effect
) -> tuple[pd.DataFrame, tuple[Check, ...]]:
    """Outcome by the declared dose of ``effect``, as declared for its primary method otherwise.

    Parameters
    ----------
    frame : DataFrame
        The panel's rows in the effect's population.

    Returns
    -------
    DataFrame
        :data:`CURVES`, a row a dose against none; limits are pointwise, bands hold together.
    tuple of Check
        What the model says of the curve as a whole.
    """
    design = design_of(study, panel.term.id, effect)
    dose = f"{effect.treatment}:{effect.doses}"
    known = frame[effect.treatment].isin([design.reference, *design.levels])
    rows = frame[known.to_numpy(dtype=bool)]
    # None of the contacts that count is a dose of nothing, whatever was noted of its minutes.
    rows = rows.assign(**{dose: rows[dose].where(rows[effect.treatment] != design.reference, 0.0)})
    declared = {"study": study.id, "term": panel.term.id, "spec_id": design.spec_id, "role": "exploratory"}
    try:
        fit = fit_dose(
            rows, effect.outcome, dose, design.covariates, [tuple(design.within)] if design.within else [],
            design.cluster, seed=design.seed,
        )  # fmt: skip
    except NotEstimableError as error:
        return _refused(effect, DOSE, declared, error.en), ()
    curve = fit.curve.set_index("at")
    points = fit.estimates[fit.estimates["at"].isin(curve.index) & ~fit.estimates["contrast"].duplicated()]
    points = points.drop_duplicates("at").assign(**declared, treatment=effect.treatment)
    for band in BANDS:
        points = points.assign(**{band: points["at"].map(curve[band])})
    return _named(points, effect, DOSE), _dose_checks(fit.tests)


def terms_curve(
    study: Study, panels: Sequence[Panel], effect: Effect
) -> tuple[pd.DataFrame, tuple[Check, ...]]:
    """Differences in differences of ``effect`` over the terms of ``panels``, as its ``over_terms`` declares.

    Exposed is who was at one of the effect's levels, unexposed who was at the reference; others of a term are left out
    of it. Rows are the averages by event time.
    """
    given, last = effect.over_terms, panels[-1].term.id
    design = design_of(study, last, effect)
    frame = long_frame(panels, effect, design.levels, design.reference)
    declared = {"study": study.id, "term": last, "spec_id": design.spec_id, "role": "exploratory"}
    [fit] = fit_did(
        frame, effect.outcome, effect.treatment, "student", "term", cluster=given.cluster, controls=given.controls,
        exposure=given.exposure, carry_over=given.carry_over if given.exposure == "reversible" else None,
        assumption=given.assumption.en if given.assumption else "", reference=0, seed=study.seed,
    )  # fmt: skip
    rows = fit.estimates[fit.estimates["estimand"] == "dynamic"]
    rows = rows[rows["at"].notna()]
    if not len(rows):
        reason = next((each for each in fit.estimates["reason"] if each), "")
        return _refused(effect, TERMS, declared, reason), fit.checks
    bands = fit.bands[fit.bands["estimand"] == "dynamic"].set_index("at") if len(fit.bands) else None
    for band in BANDS:
        told = np.nan if bands is None or band not in bands else rows["at"].map(bands[band])
        rows = rows.assign(**{band: told})
    return _named(
        rows.assign(**declared, treatment=effect.treatment, contrast="exposed"), effect, TERMS
    ), fit.checks


def long_frame(
    panels: Sequence[Panel], effect: Effect, levels: Sequence[str], reference: str
) -> pd.DataFrame:
    """One row a student and term: ``student, term, school``, the treatment (1 or 0) and the outcome.

    ``school`` is the one a student was last seen in: clusters have to survive a move to the next school.
    """
    columns = ["student", "term", "school", effect.treatment, effect.outcome]
    rows = pd.concat([panel.frame[columns] for panel in panels], ignore_index=True)
    exposed = np.select(
        [rows[effect.treatment].isin(levels), rows[effect.treatment] == reference], [1.0, 0.0], default=np.nan
    )
    latest = rows.sort_values("term", kind="stable").groupby("student")["school"].transform("last")
    rows = rows.assign(**{effect.treatment: exposed}, school=latest)
    return rows.dropna(subset=[effect.treatment]).reset_index(drop=True)


def curve_frame(parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """All curves of a term, in the order declared."""
    filled = [part for part in parts.values() if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=CURVES)


def _dose_checks(tests: pd.DataFrame) -> tuple[Check, ...]:
    """Two sentences on the curve as a whole; a test that could not be made says so."""
    return tuple(
        _dose_check(row["test"], row["p_value"])
        for row in tests[tests["test"].isin(["any", "linearity"])].to_dict("records")
    )


def _dose_check(test: str, p: float) -> Check:
    if np.isnan(p):
        text = {"zh": "剂量过少或群组太少，无法检验曲线的形状。",
                "en": "Too few doses or groups to test the shape of the curve."}  # fmt: skip
        return Check(f"dose_{test}", "not_applicable", text=text)
    found, told = p < LEVEL, p_in_words(p)
    if test == "any":
        zh = f"{'有' if found else '没有发现'}某个剂量与“没有接触”不同（{told}）。"
        en = f"{'Some dose differs' if found else 'No dose was found to differ'} from none ({told})."
    else:
        zh = f"{'曲线不是一条直线' if found else '没有发现曲线偏离直线'}（{told}）。"
        en = f"The curve {'is not' if found else 'was not found to differ from'} a straight line ({told})."
    return Check(f"dose_{test}", "passed", text={"zh": zh, "en": en})


def _named(rows: pd.DataFrame, effect: Effect, curve: str) -> pd.DataFrame:
    bands = rows[BANDS].reset_index(drop=True)
    told = as_estimates(rows[[name for name in COLUMNS if name in rows and name != "estimate_id"]])
    return told.assign(effect=effect.id, curve=curve, **{band: bands[band].to_numpy() for band in BANDS})[
        CURVES
    ]


def _refused(effect: Effect, curve: str, declared: Mapping[str, str], reason: str) -> pd.DataFrame:
    row = {
        **declared, "treatment": effect.treatment, "contrast": "exposed", "outcome": effect.outcome,
        "method": "dose" if curve == DOSE else "did", "estimand": "dose_response" if curve == DOSE else "dynamic",
        "status": "not_estimable", "reason": reason, "evidence": "not_estimable",
    }  # fmt: skip
    return _named(pd.DataFrame([row]).assign(**dict.fromkeys(BANDS, np.nan)), effect, curve)
