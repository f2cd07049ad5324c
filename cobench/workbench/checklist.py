"""What a report of an effect should tell, item by item, filled from the run.

The items follow what reporting guidelines of target trials and observational studies ask for, in our own words; what
only people can say is left open and named as such.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from cobench.release import release_aggregate
from cobench.show import Displayed, table

if TYPE_CHECKING:
    from cobench.study import Effect
    from cobench.workbench.desk import Desk


def checklist(desk: Desk, treatment: str) -> Displayed:
    """The reporting checklist of one treatment as a table."""
    effects = [each for each in desk.study.effects_in(desk.term.id) if each.treatment == treatment]
    rows = [
        {"item": desk.say(f"checklist.{key}"), "told": answer or desk.say("checklist.by_hand")}
        for key, answer in _answers(desk, treatment, effects).items()
    ]
    return table(
        release_aggregate(pd.DataFrame(rows), about="design"),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("checklist.caption"),
        note=desk.say("checklist.note"),
    )


def _answers(desk: Desk, treatment: str, effects: list[Effect]) -> dict[str, str]:
    """What the run says to each item; empty where only people can."""
    estimates = desk.effects(treatment).frame
    checks = desk.derived("checks")
    checks = checks[checks["effect"].isin([effect.id for effect in effects])]
    levels = desk.study.treatments[treatment].levels
    term = desk.term
    dates = (getattr(term, name, None) for name in ("landmark", "exposure_end", "exam"))
    landmark, exposure_end, exam = (date.isoformat() if date else "–" for date in dates)
    counts = estimates["status"].value_counts()
    return {
        "question": desk.say(
            "checklist.question_told",
            treatment=_label(desk, "treatment", treatment),
            outcomes=_names(desk, "outcome", (effect.outcome for effect in effects)),
        ),
        "estimand": ", ".join(_used(estimates, "estimand")),
        "registration": desk.say(
            "checklist.registration_told",
            confirmatory=sum(effect.role == "confirmatory" for effect in effects),
            total=len(effects),
        ),
        "timing": desk.say(
            "checklist.timing_told", landmark=landmark, exposure_end=exposure_end, exam=exam
        ),
        "eligibility": desk.say("checklist.see", section=_heading(desk, "flow")),
        "assignment": desk.say(
            "checklist.randomised" if any(effect.assignment for effect in effects) else "checklist.observational"
        ),
        "versions": ", ".join(desk.labels.text("contrast", f"{treatment}:{each.id}", desk.language) for each in levels)
        or _label(desk, "treatment", treatment),
        "confounders": _names(desk, "covariate", (name for effect in effects for name in effect.adjust)),
        "comparison": _names(desk, "column", (name for effect in effects for name in effect.within)) or "–",
        "size": desk.say("checklist.size_told", n=_largest(estimates, "n_obs"), clusters=_largest(estimates, "n_clusters")),
        "missing": desk.say("checklist.see", section=_heading(desk, "missing")),
        "methods": _names(desk, "method", _used(estimates, "method")),
        "errors": ", ".join(_used(estimates, "se_type")),
        "multiplicity": desk.say("checklist.multiplicity_told", n=int(desk.effects().frame["p_adjusted"].notna().sum())),
        "checks": desk.say(
            "checklist.checks_told",
            **{name: int((checks["status"] == name).sum()) for name in ("passed", "failed", "errored")},
        ),
        "results": desk.say(
            "checklist.results_told", ok=int(counts.get("ok", 0)), no=int(counts.get("not_estimable", 0))
        ),
        "evidence": _names(desk, "evidence", _used(estimates, "evidence")),
        "software": desk.say("checklist.software_told"),
        "people": "",
        "ethics": "",
    }  # fmt: skip


def _label(desk: Desk, kind: str, key: str) -> str:
    return desk.labels.text(kind, key, desk.language)


def _names(desk: Desk, kind: str, keys: Iterable[str]) -> str:
    return ("、" if desk.language == "zh" else ", ").join(
        dict.fromkeys(_label(desk, kind, key) for key in keys)
    )


def _used(frame: pd.DataFrame, column: str) -> list[str]:
    return [each for each in dict.fromkeys(frame[column].fillna("").astype(str)) if each]


def _largest(frame: pd.DataFrame, column: str) -> str:
    values = pd.to_numeric(frame[column]).dropna()
    return f"{int(values.max()):,}" if len(values) else "–"


def _heading(desk: Desk, name: str) -> str:
    return desk.say(f"checklist.section_{name}")
