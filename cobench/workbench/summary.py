"""Parts of the summary: what was done, what it did, how sure, what next."""

from __future__ import annotations

import pandas as pd

from cobench import show
from cobench.release import Released, release_aggregate
from cobench.show import (
    Displayed,
    Figure,
    bullets,
    detected,
    effect_sentence,
    evidence_badge,
    forest_plot,
    holds,
    paragraph,
    table,
)
from cobench.workbench import implementation, norms
from cobench.workbench.desk import Desk, together


def primary_effects(desk: Desk, treatment: str | None = None) -> Released:
    """Each declared effect by its primary method, on everybody: confirmatory first."""
    released = desk.effects(treatment).where(lambda frame: everybody(frame) & (frame["role"] != "robustness"))
    return released.sorted(["role"])


def everybody(frame: pd.DataFrame) -> pd.Series:
    """Rows that are not about a subgroup."""
    return frame["subgroup"].fillna("").isin(["", "all"])


def confirmatory(desk: Desk, treatment: str | None = None) -> Released:
    """The effects that were declared as confirmatory."""
    return primary_effects(desk, treatment).where(lambda frame: frame["role"] == "confirmatory")


def lede(desk: Desk) -> Displayed:
    """The page in a few sentences."""
    rows = [row for _, row in confirmatory(desk).frame.iterrows()]
    estimated = [row for row in rows if row["status"] == "ok"]
    found = [row for row in estimated if holds(row)]
    parts = [] if not desk.has("reach") else [implementation.lede(desk).text]
    parts.append(
        desk.say(
            "page.summary_counts", total=len(rows), detected=len(found), unanswered=len(rows) - len(estimated)
        )
    )
    weakest = {row["evidence"] for row in estimated}
    if weakest & {"adjusted_association", "descriptive"}:
        parts.append(desk.say("page.summary_caution"))
    return paragraph(" ".join(parts) if desk.language == "en" else "".join(parts))


def findings(desk: Desk) -> Displayed:
    """One paragraph a treatment on its confirmatory effects."""
    released = confirmatory(desk)
    if not len(released):
        return paragraph(desk.say("page.no_confirmatory"))
    treatments = released.frame["treatment"].unique()
    return together(
        answer(desk, released.where(lambda frame, each=each: frame["treatment"] == each))
        for each in treatments
    )


def answer(desk: Desk, released: Released) -> Displayed:
    """What declared effects of one treatment say together, with their evidence."""
    rows = [row for _, row in released.frame.iterrows()]
    asked = {(row["treatment"], row["outcome"]) for row in rows}
    effects = [
        each for each in desk.study.effects_in(desk.term.id) if (each.treatment, each.outcome) in asked
    ]
    within = [
        name for name in (effects[0].within if effects else ()) if all(name in e.within for e in effects)
    ]
    context = show.Context(
        within=tuple(within),
        family=int(desk.effects().frame["p_adjusted"].notna().sum()),
        interest={e.outcome: e.smallest_of_interest for e in effects if e.smallest_of_interest is not None},
        others={(row["contrast"], row["outcome"]): _agreeing(desk, row) for row in rows},
    )
    return show.answer(rows, desk.labels, desk.language, context)


def _agreeing(desk: Desk, row: pd.Series) -> tuple[int, int]:
    """How many of the other declared adjustments of an effect find the same difference, and how many there are."""
    frame = desk.effects(row["treatment"]).frame
    same = (frame["outcome"] == row["outcome"]) & (frame["contrast"] == row["contrast"]) & everybody(frame)
    others = frame[same & (frame["role"] == "robustness") & frame["estimate"].notna()]
    others = others[others["evidence"] != "descriptive"]
    agree = [detected(other) and other["estimate"] * row["estimate"] > 0 for _, other in others.iterrows()]
    return sum(agree), len(agree)


def forest(desk: Desk, treatment: str | None = None) -> Figure:
    """All declared effects, primary method, with their evidence."""
    return forest_plot(primary_effects(desk, treatment), language=desk.language, labels=desk.labels)


def since_last_term(desk: Desk) -> Displayed:
    """Primary estimates of this term beside those of the last, and what changed between them."""
    before = desk.last_term_effects()
    if before is None or not len(before):
        return paragraph(desk.say("page.no_last_term"))
    keys = ["treatment", "contrast", "outcome", "population", "method"]
    now = primary_effects(desk).frame[[*keys, "estimate"]]
    then = before.frame
    then = then[everybody(then) & (then["role"] != "robustness")][[*keys, "estimate"]]
    both = now.merge(then, on=keys, how="inner", suffixes=("", "_before"), validate="1:1")
    both = both.assign(change=both["estimate"] - both["estimate_before"])
    columns = ["treatment", "contrast", "outcome", "estimate_before", "estimate", "change"]
    return table(
        release_aggregate(both[columns], about="design"),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.since_last_term"),
        note=desk.say("page.since_last_term_note"),
    )


def unanswered(desk: Desk) -> Displayed:
    """What can't be answered this term, with the reason."""
    rows = primary_effects(desk).where(lambda frame: frame["status"] == "not_estimable").frame
    if not len(rows):
        return paragraph(desk.say("page.all_answered"))
    return bullets(effect_sentence(row, desk.labels, desk.language) for _, row in rows.iterrows())


def evidence_key(desk: Desk) -> Displayed:
    """What each badge means."""
    kinds = ("randomised", "quasi_experimental", "adjusted_association", "descriptive", "not_estimable")
    rows = [(evidence_badge(kind, desk.language), desk.say(f"evidence_why.{kind}")) for kind in kinds]
    html = "".join(f"<dt>{badge}</dt><dd>{why}</dd>" for badge, why in rows)
    text = "\n".join(
        f"{desk.say(f'evidence.{kind}')}: {why}" for kind, (_, why) in zip(kinds, rows, strict=True)
    )
    return Displayed(f'<dl class="evidence-key">{html}</dl>', text)


def school_overview(desk: Desk) -> pd.DataFrame | None:
    """Released headline figures of each school for the index; None for a study without schools."""
    if not desk.has("reach"):
        return None
    reach = implementation.reach_of_schools(desk).frame
    lectures = implementation.lectures_by_school(desk).frame
    judged = norms.released(desk).frame
    settled = judged[judged["verdict"].isin(["met", "not_met"])]
    counted = settled.groupby("school")["verdict"].agg(
        standards_met=lambda verdict: (verdict == "met").sum(), standards_judged="size"
    )
    frame = reach[["school", "share_at_home"]].rename(columns={"share_at_home": "visit_coverage"})
    frame = frame.merge(lectures[["school", "share"]], on="school", how="left", validate="1:1")
    frame = frame.rename(columns={"share": "lecture_attendance"}).join(counted, on="school")
    return frame.assign(name=frame["school"].map(desk.schools))


def standards(desk: Desk) -> Displayed | Figure:
    """Schools by standards, worst first; a study without schools has none."""
    if not desk.has("standards"):
        return paragraph(desk.say("page.no_records"))
    return norms.panels(desk)


def key_students(desk: Desk) -> Displayed:
    """Key students: how many, visited at home, reached by anything."""
    if not desk.has("key_students"):
        return paragraph(desk.say("page.no_records"))
    return implementation.key_students(desk)
