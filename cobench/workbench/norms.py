"""Parts of pages about written standards: verdicts by profile with numerator and denominator, maps, conflicts."""

from __future__ import annotations

import pandas as pd

from cobench.monitor.standards import COUNTED, VERDICTS, chosen_standards, conflicts
from cobench.release import Released, release_aggregate, release_table
from cobench.release.stacking import stacked
from cobench.show import Displayed, Figure, bullets, paragraph, table
from cobench.show.figures_standards import standards_panels
from cobench.standard import Standard
from cobench.workbench.desk import Desk, together

COLUMNS = ["school", "standard", "unit", "n_met", "n_units", "share", "verdict"]
_CHILDREN = ("student", "key_student", "respondent")


def released(desk: Desk, school: str | None = None) -> Released:
    """Every school and standard that is judged: verdict, numerator and denominator.

    Counts of classes and activities are about things; counts of students pass the threshold.
    """

    def release() -> Released:
        judged = _judged(desk)
        judged = judged[judged["school"].notna() & judged["kind"].isin(["rule", "target"])]
        if school is not None:
            judged = judged[judged["school"] == school]
        return _by_subject(desk, judged, ["school", "standard"], COLUMNS)

    return desk.once(("standards", school), release)


def _judged(desk: Desk) -> pd.DataFrame:
    frame = desk.derived("standards")
    return frame.assign(share=frame["n_met"] / frame["n_units"].where(frame["n_units"] > 0))


def _by_subject(desk: Desk, rows: pd.DataFrame, keys: list[str], columns: list[str]) -> Released:
    """Rows on things as they are, rows on children through the threshold: children counted once, and child-months."""
    whose = rows["standard"].map(_subjects(desk))
    things = release_aggregate(rows.loc[whose == "things", columns].reset_index(drop=True), about="events")
    at_school = tuple(key for key in keys if key == "school")
    inside = {"n_units": ("reach", "n_students", at_school)}
    parts = [things]
    for subject, within in (("children", inside), ("child days", {})):
        own = rows.loc[whose == subject, columns].reset_index(drop=True)
        parts.append(
            release_table(
                own,
                counts="n_units",
                values=[],
                shares={"share": ("n_met", "n_units")},
                counted=desk.counted(f"standards {subject}", keys, within=within),
                min_cell=desk.min_cell,
            )
        )
    return stacked(*parts)


def _subjects(desk: Desk) -> dict[str, str]:
    return {each.id: _subject(each) for each in chosen_standards(desk.study.standards)}


def _subject(standard: Standard) -> str:
    """Whom a standard counts: children, their days or months, or things."""
    if standard.good:
        table_of = standard.counts.table if standard.counts else ""
        return "child days" if table_of == "checkins" or standard.weight != "1" else "things"
    if standard.unit not in _CHILDREN:
        return "things"
    return "child days" if standard.every else "children"


def summary(desk: Desk) -> Displayed:
    """For each profile the schools by verdict, with numerator and denominator over the district."""
    rows = _judged(desk)
    rows = rows[rows["kind"].isin(["rule", "target"])]
    if not len(rows):
        return paragraph(desk.say("page.no_standards"))
    parts = []
    for body in ("school", "community", "district"):
        own = rows[_body(rows) == body]
        for profile, held in own.groupby("profile", sort=False):
            parts.append(_summary_table(desk, held, body, str(profile)))
    return together(parts)


def _body(rows: pd.DataFrame) -> pd.Series:
    body = pd.Series("district", index=rows.index)
    return body.mask(rows["community"].notna(), "community").mask(rows["school"].notna(), "school")


def _summary_table(desk: Desk, rows: pd.DataFrame, body: str, profile: str) -> Displayed:
    counted = rows.groupby(["standard", "verdict"], sort=False).size().unstack(fill_value=0)
    counted = counted.reindex(columns=list(VERDICTS), fill_value=0)
    sums = rows[rows["verdict"] != "no_data"].groupby("standard")[["n_met", "n_units"]].sum()
    counted = counted.join(sums).assign(
        n_judged=counted[["met", "not_met"]].sum(axis=1),
        share=lambda frame: frame["n_met"] / frame["n_units"].where(frame["n_units"] > 0),
    )
    counted = counted.reindex(rows["standard"].drop_duplicates()).reset_index()
    shown = ["standard", "met", "n_judged", "not_met", "not_yet_due", "no_data", "n_met", "n_units", "share"]
    counted = counted.assign(**{name: counted[name].astype("float64") for name in ("n_met", "n_units")})
    return table(
        _by_subject(desk, counted, ["standard"], shown),
        language=desk.language,
        labels=_numbered(desk),
        caption=desk.say(
            f"page.standards_{body}", profile=desk.labels.text("profile", profile, desk.language)
        ),
        columns=shown,
        formats=dict.fromkeys(["met", "n_judged", "not_met", "not_yet_due", "no_data"], "count"),
        note=desk.say("page.standards_note"),
    )


def under_nonresponse(desk: Desk) -> Displayed:
    """Rates over respondents, and between what they would lie had all families answered."""
    rows = _judged(desk)
    chosen = [each for each in chosen_standards(desk.study.standards) if each.asked]
    told = []
    for standard in chosen:
        own = rows[rows["standard"] == standard.id]
        n_asked = own["n_asked"].sum()
        sums = own.loc[own["verdict"] != "no_data", ["standard", "n_met", "n_units"]]
        sums = sums.groupby("standard").sum().reset_index()
        counted = sums.assign(share=sums["n_met"] / sums["n_units"])
        frame = _by_subject(desk, counted, ["standard"], ["standard", "n_met", "n_units", "share"]).frame
        # A family may answer twice, so that there can be more answers than children.
        if frame.empty or frame[["n_met", "n_units"]].isna().any(axis=None) or not n_asked:
            continue
        right, answered = (float(frame[name].iloc[0]) for name in ("n_met", "n_units"))
        n = max(n_asked, answered)
        told.append(
            desk.say(
                "page.under_nonresponse",
                standard=f"{standard.id} {standard.label[desk.language]}",
                answered=f"{answered:,.0f}",
                asked=f"{n:,.0f}",
                low=f"{100 * right / n:.1f}%",
                high=f"{100 * (right + n - answered) / n:.1f}%",
            )
        )
    return bullets(told) if told else paragraph("")


def _numbered(desk: Desk):
    """Labels in which a standard has its number before it."""
    named = {
        each.id: {language: f"{each.id} {each.label[language]}" for language in ("zh", "en")}
        for each in chosen_standards(desk.study.standards)
    }
    return desk.labels.add("standard", named)


def panels(desk: Desk) -> Figure | Displayed:
    """Schools by standards, a panel a profile, worst school first."""
    shown = released(desk)
    if not len(shown):
        return paragraph(desk.say("page.no_standards"))
    profiles = {each.id: each.profile for each in chosen_standards(desk.study.standards)}
    return standards_panels(shown, profiles, language=desk.language, labels=desk.labels)


def of_communities(desk: Desk) -> Displayed:
    """Verdicts of each school community."""
    rows = _judged(desk)
    rows = rows[rows["community"].notna() & rows["kind"].isin(["rule", "target"])]
    if not len(rows):
        return paragraph(desk.say("page.no_communities"))
    shown = ["community", "standard", "n_met", "n_units", "verdict"]
    frame = rows.sort_values(["community", "standard"], kind="stable")[shown].reset_index(drop=True)
    return table(
        release_aggregate(frame, about="events"),
        language=desk.language,
        labels=_numbered(desk),
        caption=desk.say("page.standards_of_communities"),
    )


def counted_only(desk: Desk) -> Displayed:
    """Requirements without a number: what was counted, without a verdict."""
    rows = _judged(desk)
    rows = rows[rows["verdict"] == COUNTED]
    if not len(rows):
        return paragraph(desk.say("page.none_counted"))
    frame = (
        rows.assign(some=(rows["n_met"] > 0).astype(int))
        .groupby("standard", sort=False)
        .agg(n_with_some=("some", "sum"), n_sent=("some", "size"), total=("total", "sum"))
        .reset_index()
    )
    return table(
        release_aggregate(frame, about="events"),
        language=desk.language,
        labels=_numbered(desk),
        caption=desk.say("page.counted_only"),
        formats=dict.fromkeys(["n_with_some", "n_sent", "total"], "count"),
    )


def background(desk: Desk) -> Displayed:
    """Figures that somebody reported: never judged."""
    told = [each for each in chosen_standards(desk.study.standards) if each.kind == "reported"]
    if not told:
        return paragraph(desk.say("page.no_background"))
    return bullets([f"{each.id} {each.label[desk.language]}" for each in told])


def overlapping(desk: Desk) -> Displayed:
    """Chosen standards that speak of the same thing, the stricter first."""
    chosen = chosen_standards(desk.study.standards)
    pairs = conflicts(chosen)
    if not pairs:
        return paragraph(desk.say("page.no_conflicts"))
    name = {each.id: f"{each.id} {each.label[desk.language]}" for each in chosen}
    return bullets(
        [desk.say("page.conflict", stricter=name[first], looser=name[second]) for first, second in pairs]
    )
