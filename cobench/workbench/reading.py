"""Parts of pages on shared reading: families with 21 days of check-in in all, and in a row."""

from __future__ import annotations

from cobench.release import Released, release_table
from cobench.show import Displayed, paragraph, table
from cobench.workbench.desk import Desk

STANDARD = "E06"  # whose numerator and denominator these are


def by_school(desk: Desk) -> Displayed:
    """Families of every school that read along: total days apart from the longest run."""
    return _shown(desk, released(desk))


def of_school(desk: Desk, school: str) -> Displayed:
    """The same of one school."""
    return _shown(desk, released(desk).where(lambda frame: frame["school"] == school))


def released(desk: Desk) -> Released:
    """Families with 21 days in all and in a row, by school, small counts hidden."""
    return desk.once("reading", lambda: _released(desk))


def _released(desk: Desk) -> Released:
    frame = desk.derived("reading")
    frame = frame.assign(
        share_days=frame["n_met"] / frame["n_units"], share_run=frame["n_run"] / frame["n_units"]
    )
    columns = [
        "school",
        "n_units",
        "n_met",
        "n_run",
        "share_days",
        "share_run",
        "median_checkins",
        "median_run",
    ]
    return release_table(
        frame[columns].reset_index(drop=True),
        counts="n_units",
        values=["median_checkins", "median_run"],
        shares={"share_days": ("n_met", "n_units"), "share_run": ("n_run", "n_units")},
        nested=[("n_run", "n_met")],
        # The same cells as in the table of standards, so that both hide the same.
        counted=desk.counted(
            "standards children",
            ["school"],
            {"standard": STANDARD},
            within={"n_units": ("reach", "n_students", ("school",))},
        ),
        min_cell=desk.min_cell,
    )


def _shown(desk: Desk, rows: Released) -> Displayed:
    if rows.frame.empty:
        return paragraph(desk.say("page.no_reading"))
    return table(
        rows,
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.reading"),
        columns=["school", "n_units", "share_days", "share_run", "median_checkins", "median_run"],
        formats={
            "share_days": "percent",
            "share_run": "percent",
            "median_checkins": ".0f",
            "median_run": ".0f",
        },
        note=desk.say("page.reading_note"),
    )
