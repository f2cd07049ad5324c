"""Parts of the page about one treatment that follow it along a line: by dose, and over terms."""

from __future__ import annotations

import pandas as pd

from cobench.over_terms import DOSE, TERMS
from cobench.show import Displayed, Figure, bullets, effects_over, paragraph
from cobench.study import Effect
from cobench.workbench.desk import Desk
from cobench.workbench.effect import effects_of


def by_dose(desk: Desk, treatment: str) -> None:
    """Show what more of the treatment goes with, for every effect that declares a dose."""
    _show(desk, [effect for effect in effects_of(desk, treatment) if effect.doses], DOSE)


def over_terms(desk: Desk, treatment: str) -> None:
    """Show the effects before and after a start, for every effect that is followed over terms."""
    _show(desk, [effect for effect in effects_of(desk, treatment) if effect.over_terms], TERMS)


def curve(desk: Desk, effect: Effect, kind: str) -> Figure | Displayed:
    """The curve of one declared effect; the reason in words where there is none."""
    released = desk.curves().where(lambda frame: (frame["effect"] == effect.id) & (frame["curve"] == kind))
    outcome = desk.labels.short("outcome", effect.outcome, desk.language)
    known = released.frame[released.frame["status"] == "ok"]
    if not len(known):
        reasons = [each for each in released.frame["reason"] if isinstance(each, str) and each]
        reason = reasons[0] if reasons else desk.say("page.no_curve_rows")
        return paragraph(desk.say("page.curve_refused", outcome=outcome, reason=reason))
    dose = desk.say(f"page.dose_{effect.doses}") if kind == DOSE else ""
    return effects_over(
        released.where(lambda frame: frame["status"] == "ok"),
        language=desk.language,
        labels=desk.labels,
        axis=dose if kind == DOSE else None,
        ticks=_doses(known) if kind == DOSE else None,
        title=desk.say(f"page.{kind}_title", outcome=outcome),
        note=desk.say(f"page.{kind}_note"),
    )


def told(desk: Desk, effect: Effect, kind: str) -> Displayed:
    """What tests say of the curve as a whole."""
    frame = desk.derived("curve_checks")
    own = frame[frame["effect"] == f"{effect.id}:{kind}"]
    return bullets(list(own[f"text_{desk.language}"]))


def _doses(rows: pd.DataFrame) -> dict[float, str]:
    """Doses in words: ``3-7`` stands where the mean of a step does."""
    return {
        row["at"]: str(row["contrast"]).split(" vs ")[0].replace("-", "–") for row in rows.to_dict("records")
    }


def _show(desk: Desk, effects: list[Effect], kind: str) -> None:
    from IPython.display import display

    if not effects or not _held(desk):
        display(paragraph(desk.say(f"page.no_{kind}")))
        return
    display(paragraph(desk.say(f"page.{kind}_intro")))
    for effect in effects:
        display(curve(desk, effect, kind))
        display(told(desk, effect, kind))


def _held(desk: Desk) -> bool:
    return desk.has("curves") and bool(len(pd.DataFrame(desk.derived("curves"))))
