"""Parts of the page on school communities 教共体: counts of schools, postings and events, and scores of formulas."""

from __future__ import annotations

import pandas as pd

from cobench.monitor.communities import DISTRICT
from cobench.release import Released, release_aggregate, release_table
from cobench.show import Displayed, folded, paragraph, table
from cobench.workbench.desk import Desk, together

GROUPS = {
    "n_lessons_held": ("sync_lesson", "online_course"),
    "n_research_held": ("online_research", "offline_research", "research", "homework_workshop"),
    "n_exchange_held": ("student_exchange", "lesson_exchange", "weak_subject", "teaching_contest"),
    "n_meetings_held": ("community_meeting", "quality_meeting"),
}
NAMES = {
    "unit": "community", "kind": "community_kind", "role": "member_role", "share": "share_done",
    "required": "share_required", "status": "milestone", "exempt": "bundling", "own": "own_score",
    "partners": "partners_mean", "score": "final_score", "before": "score_before", "after": "score_after",
    "change": "change_sd", "item": "entry",
}  # fmt: skip


def lede(desk: Desk) -> Displayed:
    """Communities, pairs at the last milestone due, and scores, in one paragraph."""
    units = desk.derived("communities")
    if units.empty:
        return paragraph(desk.say("page.no_communities"))
    return paragraph(
        desk.say(
            "page.communities_lede",
            units=units["unit"].nunique(),
            schools=units["school"].nunique(),
            progress=_last_milestone(desk),
            scores=_scored(desk),
        )
    )


def _last_milestone(desk: Desk) -> str:
    progress = desk.derived("community_progress")
    due = progress[progress["status"] != "not_yet_due"]
    if due.empty:
        return desk.say("page.communities_no_milestone") if len(progress) else ""
    last = due[due["due"] == due["due"].max()]
    return desk.say(
        "page.communities_progress",
        due=last["due"].iloc[0].date().isoformat(),
        required=f"{100 * last['required'].iloc[0]:.0f}%",
        reached=int((last["status"] == "reached").sum()),
        known=len(last),
    )


def _scored(desk: Desk) -> str:
    scores = desk.derived("community_scores")
    if scores.empty:
        return ""
    given = int(scores["score"].notna().sum())
    return desk.say("page.communities_scores", given=given, refused=len(scores) - given)


def members(desk: Desk) -> Displayed:
    """Which schools belong to which community."""
    return _of_things(desk, "communities", "page.community_members", ["unit", "kind", "role", "school"])


def progress(desk: Desk) -> Displayed:
    """Tasks of each pair by milestone."""
    return _of_things(
        desk,
        "community_progress",
        "page.community_progress",
        ["unit", "due", "n_planned", "n_done", "share", "required", "status"],
        note="page.community_progress_note",
    )


def quotas(desk: Desk) -> Displayed:
    """Planned and done by kind of task."""
    columns = ["unit", "activity", "n_planned", "n_done", "share"]
    frame = desk.derived("community_quotas").rename(columns={"kind": "activity"})
    return _table(desk, frame, "page.community_quotas", columns)


def lessons(desk: Desk) -> Displayed:
    """Activities of each community this year by group, and on request every kind."""
    frame = desk.derived("community_lessons")
    if frame.empty:
        return _not_sent(desk, "page.community_lessons")
    of = {kind: group for group, kinds in GROUPS.items() for kind in kinds}
    grouped = frame.assign(group=frame["kind"].map(of).fillna("n_others_held"))
    wide = grouped.pivot_table(index="unit", columns="group", values="n_year", aggfunc="sum", fill_value=0)
    wide = wide.reindex(columns=[*GROUPS, "n_others_held"], fill_value=0).astype(int)
    kinds = desk.derived("communities").drop_duplicates("unit").set_index("unit")["kind"]
    wide = wide.assign(n_year=wide.sum(axis=1), kind=kinds).reset_index()
    columns = ["unit", "kind", *GROUPS, "n_others_held", "n_year"]
    every = frame.rename(columns={"kind": "activity"})
    shown = _table(desk, wide, "page.community_lessons", columns, note="page.community_lessons_note")
    all_kinds = _table(desk, every, "page.community_lessons", ["unit", "activity", "n_term", "n_year"])
    return shown + folded(desk.say("page.community_lessons_all", n=len(every)), all_kinds)


def postings(desk: Desk) -> Displayed:
    """Postings of each community by kind, and who earned a year's credit."""
    frame = desk.derived("community_postings").rename(columns={"kind": "posting"})
    columns = ["unit", "posting", "n_postings", "n_now", "n_credited"]
    return _table(desk, frame, "page.community_postings", columns, note="page.community_postings_note")


def mentoring(desk: Desk) -> Displayed:
    """Mentoring pairs and how active they are."""
    columns = ["unit", "n_pairs", "n_active", "n_activities", "fewest"]
    return _of_things(desk, "community_mentoring", "page.community_mentoring", columns)


def scores(desk: Desk) -> Displayed:
    """Bundled scores of lead schools, or why the rule gives none."""
    frame = _with_why(desk, desk.derived("community_scores"))
    columns = ["unit", "school", "n_partners", "own", "partners", "score", "exempt", "why_not"]
    return _table(desk, frame, "page.community_scores", columns, note="page.community_scores_note")


def ratings(desk: Desk) -> Displayed:
    """Grade teams' points and jury means of schools, on request."""
    rated = _with_why(desk, desk.derived("community_ratings"))
    juried = _with_why(desk, desk.derived("community_juries"))
    parts = [
        _table(
            desk, rated, "page.community_ratings", ["school", "n_rated", "lowest", "highest", "why_not"],
            formats={"lowest": "count", "highest": "count"},
        ),
        _table(desk, juried, "page.community_juries", ["school", "item", "n_judges", "score", "why_not"]),
    ]  # fmt: skip
    return folded(desk.say("page.formulas_folded", n=len(rated) + len(juried)), together(parts))


def changes(desk: Desk) -> Displayed:
    """Change of each community's schools in each common test, beside the district's."""
    frame = desk.derived("community_changes")
    if frame.empty:
        return paragraph(desk.say("page.no_changes"))
    return together(_changes(desk, measure) for measure in sorted(frame["measure"].unique()))


def _changes(desk: Desk, measure: str) -> Displayed:
    released = changes_released(desk, measure)
    own = desk.derived("community_changes")
    first = own[own["measure"] == measure].iloc[0]
    outcome = next((name for name, each in desk.study.outcomes.items() if each.measure == measure), measure)
    terms = {key: desk.labels.text("term", first[f"{key}_term"], desk.language) for key in ("first", "last")}
    return table(
        released,
        language=desk.language,
        labels=desk.labels.add("school", {DISTRICT: {"zh": "全区", "en": "district"}}),
        caption=desk.say(
            "page.community_changes", measure=desk.labels.text("outcome", outcome, desk.language)
        ),
        columns=[
            "community", "school", "n_before", "n_after", "score_before", "score_after", "change_sd", "conf_low", "conf_high",
            "why_not",
        ],
        formats={"change_sd": "signed"},
        note=desk.say("page.community_changes_note", **terms),
    )  # fmt: skip


def changes_released(desk: Desk, measure: str) -> Released:
    """Children tested before and now, means and change, of the district and of each school of a community."""
    frame = _with_why(desk, desk.derived("community_changes"))
    frame = frame[frame["measure"] == measure].reset_index(drop=True).rename(columns=NAMES)
    columns = ["community", "school", "n_before", "n_after", "score_before", "score_after", "change_sd", "std_error", "conf_low", "conf_high", "why_not"]  # fmt: skip
    return release_table(
        frame[columns],
        counts=["n_before", "n_after"],
        values=["score_before", "score_after", "change_sd", "std_error", "conf_low", "conf_high"],
        counted=desk.counted("common test", ["school"], {"measure": measure}),
        min_cell=desk.min_cell,
    )


def _with_why(desk: Desk, frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(why_not=frame[f"reason_{desk.language}"])


def _of_things(
    desk: Desk, name: str, caption: str, columns: list[str], *, note: str | None = None
) -> Displayed:
    return _table(desk, desk.derived(name), caption, columns, note=note)


def _table(
    desk: Desk,
    frame: pd.DataFrame,
    caption: str,
    columns: list[str],
    *,
    note: str | None = None,
    formats: dict[str, str] | None = None,
) -> Displayed:
    """Counts of things as a table, or a sentence that says that nothing was sent."""
    if frame.empty:
        return _not_sent(desk, caption)
    if "why_not" in columns and frame["why_not"].isna().all():
        columns = [name for name in columns if name != "why_not"]
    named = frame[columns].rename(columns=NAMES)
    return table(
        release_aggregate(named.reset_index(drop=True), about="events"),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say(caption),
        formats=formats,
        note=None if note is None else desk.say(note),
    )


def _not_sent(desk: Desk, caption: str) -> Displayed:
    return paragraph(desk.say("page.not_sent", what=desk.say(caption)))
