"""Parts of pages on how records were kept: what looks unusual, follow-ups, opinions and their answers, papers of key students."""

from __future__ import annotations

from cobench.release import Released, release_aggregate, release_table
from cobench.show import Displayed, paragraph, table
from cobench.workbench.desk import Desk


def unusual(desk: Desk) -> Displayed:
    """Schools whose visit logs look unusual beside the others, sign by sign; never an accusation."""
    rows = desk.derived("unusual")
    compared = rows["p_value"].notna()
    if not compared.any():
        return paragraph(desk.say("page.not_compared"))
    found = rows[rows["unusual"].astype(bool)]
    if not len(found):
        return paragraph(desk.say("page.none_unusual", n=int(compared.sum())))
    columns = ["school", "sign", "n", "n_of", "share", "usual", "p_adjusted"]
    shown = found.sort_values("p_adjusted", kind="stable")[columns].reset_index(drop=True)
    return table(
        release_aggregate(shown, about="events"),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.unusual"),
        formats={"usual": "percent", "n": "count", "n_of": "count"},
        note=desk.say("page.unusual_note"),
    )


def follow_ups(desk: Desk) -> Displayed:
    """Follow-ups agreed, done and overdue, by school."""
    rows = desk.derived("follow_ups")
    if not len(rows):
        return paragraph(desk.say("page.no_follow_ups"))
    return table(
        release_aggregate(rows, about="events"),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.follow_ups"),
    )


def opinions(desk: Desk) -> Displayed:
    """Opinions of parents with times of reply, by school."""
    rows = desk.derived("opinions")
    if not len(rows):
        return paragraph(desk.say("page.no_opinions"))
    return table(
        release_aggregate(rows, about="events"),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.opinions"),
        formats={"median_days": ".1f"},
    )


def key_papers_released(desk: Desk) -> Released:
    """Key students by category with plan, archive, visit and follow-up."""
    frame = desk.derived("key_papers")
    parts = ("plan", "archive", "at_home", "followed")
    frame = frame.assign(**{f"share_{part}": frame[f"n_{part}"] / frame["n_students"] for part in parts})
    return release_table(
        frame,
        counts="n_students",
        values=[],
        shares={f"share_{part}": (f"n_{part}", "n_students") for part in parts},
        counted=desk.counted("key students enrolled", ["category"]),
        min_cell=desk.min_cell,
    )


def key_papers(desk: Desk) -> Displayed:
    """Key students: is there a plan and an archive, was the family visited at home and followed up this school year."""
    return table(
        key_papers_released(desk),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.key_papers"),
        columns=["category", "n_students", "share_plan", "share_archive", "share_at_home", "share_followed"],
        note=desk.say("page.key_students_note"),
    )
