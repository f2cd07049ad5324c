"""Why a value of the panel is missing, value by value. Zero is never a reason, and a reason never a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from cobench.panel import ENTRY_GRADES, Panel
from cobench.study import Outcome, Study

MISSING = ["student", "column", "reason"]
# blank, skipped, dont_know: cells; absent, exempt, deferred: exam states; the others are found here.
REASONS = (
    "blank",
    "skipped",
    "dont_know",
    "too_few_answers",
    "absent",
    "exempt",
    "deferred",
    "entry_grade",
    "no_log",
    "no_earlier_log",
    "quarantined",
    "not_listed",
    "not_answered",
    "not_measured",
    "no_spread",
)


def without_set_aside(study: Study, panel: Panel, set_aside: pd.DataFrame) -> Panel:
    """The panel in which a child with nothing but quarantined contacts is not taken for one without contact.

    Its exposure and count are missing: what the row would have said is not known until the school has mended it.
    """
    frame = panel.frame
    for treatment in study.treatments.values():
        own = set_aside[(set_aside["table"] == treatment.from_) & (set_aside["term"] == panel.term.id)]
        unknown = frame["student"].isin(own["student"]) & (frame[treatment.id] == treatment.reference)
        if unknown.any():
            names = [treatment.id, f"{treatment.id}:count", f"{treatment.id}:invited"]
            names = [name for name in names if name in frame]
            frame = frame.assign(**{name: frame[name].mask(unknown) for name in names})
    return replace(panel, frame=frame)


def missing_reasons(study: Study, panel: Panel, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The reason of every missing exposure, history, outcome, baseline and roster fact.

    Parameters
    ----------
    frames : mapping of table name to DataFrame
        ``outcomes, set_aside, logs`` and ``scores``; empty for a study of one table, whose missing values are
        all ``blank``.

    Returns
    -------
    DataFrame
        Columns :data:`MISSING`, one row a missing value of ``panel.frame``; ``reason`` is one of
        :data:`REASONS`, never missing.
    """
    frame = panel.frame
    names = [name for name in _columns(study) if name in frame]
    who = frame["student"] if "student" in frame else pd.Series(frame.index.astype("str"), index=frame.index)
    parts = []
    for name in names:
        rows = frame[frame[name].isna()]
        if len(rows):
            reason = _reasons(study, panel, name, rows, frames) if frames else "blank"
            parts.append(pd.DataFrame({"student": who[rows.index], "column": name, "reason": reason}))
    if not parts:
        return pd.DataFrame(columns=MISSING, dtype="str")
    return pd.concat(parts, ignore_index=True).astype("str")[MISSING]


def _columns(study: Study) -> list[str]:
    """Panel columns whose missing values are explained."""
    measures = list(dict.fromkeys([*study.outcomes, *study.scales]))
    treatments = [name for each in study.treatments for name in (each, f"{each}:history")]
    return [
        "sex",
        "birth_month",
        "boarding",
        *treatments,
        *measures,
        *(f"{each}@baseline" for each in measures),
    ]


def _reasons(
    study: Study, panel: Panel, name: str, rows: pd.DataFrame, frames: Mapping[str, pd.DataFrame]
) -> pd.Series:
    """Reason of each of ``rows``, in which panel column ``name`` is missing; object Series on their index."""
    base, _, kind = name.partition("@")
    if base in study.treatments:
        return _of_exposure(study, panel, base, rows, frames)
    if name.endswith(":history"):
        return pd.Series("no_earlier_log", index=rows.index, dtype="object")
    if base not in study.outcomes and base not in study.scales:
        return pd.Series("blank", index=rows.index, dtype="object")
    outcome = study.outcomes.get(base) or Outcome(label=study.scales[base].label, scale=base)
    if kind != "baseline":
        return _of_outcome(outcome, panel.term.id, panel.frame, rows, frames)
    entering = rows["grade"].isin(ENTRY_GRADES) & (panel.term.start.month >= 8)
    if panel.term.baseline is None:
        found = pd.Series("not_measured", index=rows.index, dtype="object")
    else:
        found = _of_outcome(outcome, panel.term.baseline, panel.frame, rows, frames)
    return found.mask(entering & found.isin(["not_measured", "not_listed"]), "entry_grade")


def _of_exposure(
    study: Study, panel: Panel, treatment: str, rows: pd.DataFrame, frames: Mapping[str, pd.DataFrame]
) -> pd.Series:
    table = study.treatments[treatment].from_
    logs = frames["logs"]
    arrived = logs.loc[(logs["table"] == table) & (logs["term"] == panel.term.id), "class_id"]
    reason = pd.Series("no_log", index=rows.index, dtype="object")
    return reason.mask(rows["class_id"].isin(arrived), "quarantined")


def _of_outcome(
    outcome: Outcome,
    term: str,
    whole: pd.DataFrame,
    rows: pd.DataFrame,
    frames: Mapping[str, pd.DataFrame],
) -> pd.Series:
    """Why ``rows`` have no value of ``outcome`` in ``term``.

    The record's own reason; ``no_spread`` where there is a value that could not be standardised; ``quarantined``
    where the row was put aside; ``not_listed`` where classmates have a record (of a questionnaire ``not_answered``:
    nobody answered, or it could not be linked to the child); else ``not_measured``.
    """
    if outcome.scale is not None:
        held = frames["scores"]
        held = held[(held["scale"] == outcome.scale) & (held["term"] == term)]
        held = held.rename(columns={"score": "value"})
    else:
        held = frames["outcomes"]
        held = held[(held["measure"] == outcome.measure) & (held["term"] == term)]
    held = held[held["student"].notna()].drop_duplicates("student").set_index("student")
    own = held.reindex(rows["student"])
    aside = frames["set_aside"]
    aside = aside[(aside["term"] == term) & (aside["measure"] == (outcome.measure or ""))]
    table = "responses" if outcome.scale is not None else "outcomes"
    put_aside = rows["student"].isin(aside.loc[aside["table"] == table, "student"])
    listed = set(whole.loc[whole["student"].isin(held.index), "class_id"])
    reason = pd.Series("not_measured", index=rows.index, dtype="object")
    absent = "not_answered" if outcome.scale is not None else "not_listed"
    reason = reason.mask(rows["class_id"].isin(listed), absent).mask(put_aside, "quarantined")
    reason = reason.mask(own["value"].notna().to_numpy(), "no_spread")
    given = own["missing_reason"].astype("object").set_axis(rows.index)
    return reason.mask(given.notna(), given)
