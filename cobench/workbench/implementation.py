"""Parts of the implementation page: standards, coverage by mode, families not reached, lectures."""

from __future__ import annotations

import math

import pandas as pd

from cobench.monitor.coverage import MODES
from cobench.release import Released, release_table
from cobench.show import Displayed, Figure, coverage_dots, paragraph, table
from cobench.workbench import quality
from cobench.workbench.desk import Desk


def lede(desk: Desk) -> Displayed:
    """What was done this term, in one paragraph."""
    reach, lectures = district_released(desk), district_lectures(desk)
    n = reach.frame["n_students"].iloc[0]
    return paragraph(
        desk.say(
            "page.implementation_lede",
            students=desk.say("page.few", n=desk.min_cell) if pd.isna(n) else f"{int(n):,}",
            at_home=_percent(reach, "share_at_home"),
            any_mode=_percent(reach, "share_any"),
            lectures=len(desk.derived("lectures")),
            present=_percent(lectures, "share"),
        )
    )


def district_released(desk: Desk) -> Released:
    """Reach of the whole district, one row."""
    return reach_released(desk, desk.derived("reach").sum(numeric_only=True).to_frame().T)


def district_lectures(desk: Desk) -> Released:
    """Lecture attendance of the whole district, one row."""
    return _lectures_released(
        desk, desk.derived("lectures")[["n_invited", "n_present"]].sum().to_frame().T, ()
    )


def reach_released(desk: Desk, frame: pd.DataFrame, *keys: str) -> Released:
    """Students reached, by mode, a row a cell of ``keys`` (none: the district, ``school``, ``school, class_id``).

    Shares are of students whose class's log arrived.
    """
    named = [name for name in (*keys, "class_name") if name in frame]
    reached = ["n_with_log", "n_at_home", "n_any", "n_never"]  # unknown, not zero, where no log arrived
    frame = frame.assign(**{name: frame[name].where(frame["n_with_log"] > 0) for name in reached})
    frame = frame.assign(
        share_at_home=frame["n_at_home"] / frame["n_with_log"], share_any=frame["n_any"] / frame["n_with_log"]
    )
    # By class the two shares often differ by a few children only; holding that difference too hid most classes
    # and left no consistent choice over the term (known limit, ARCHITECTURE.md).
    within = [] if "class_id" in keys else [("n_at_home", "n_any")]
    return release_table(
        frame[
            [
                *named,
                "n_students",
                "n_with_log",
                "n_at_home",
                "n_any",
                "n_never",
                "share_at_home",
                "share_any",
            ]
        ],
        counts=["n_students", "n_with_log"],
        values=[],
        shares={"share_at_home": ("n_at_home", "n_with_log"), "share_any": ("n_any", "n_with_log")},
        adds_up={"n_with_log": ["n_any", "n_never"]},
        nested=[("n_with_log", "n_students"), *within],
        counted=desk.counted("reach", keys),
        min_cell=desk.min_cell,
    )


def reach_of_schools(desk: Desk) -> Released:
    """Students reached of each school."""
    return desk.once("reach of schools", lambda: reach_released(desk, desk.derived("reach"), "school"))


def reach_by_school(desk: Desk) -> Displayed:
    """Coverage of each school: face to face apart from any mode, and families never reached."""
    return table(
        reach_of_schools(desk),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.reach"),
        columns=["school", "n_students", "n_with_log", "share_at_home", "share_any", "n_never"],
        formats={"share_at_home": "percent", "share_any": "percent"},
        note=desk.say("page.reach_note"),
    )


def reach_by_mode(desk: Desk) -> Figure:
    """Share of the district's students reached by each mode."""
    return coverage_dots(modes_released(desk), language=desk.language, labels=desk.labels, group="mode")


def modes_released(desk: Desk) -> Released:
    """The district's students reached by each mode."""
    totals = desk.derived("reach").sum(numeric_only=True)
    rows = pd.DataFrame(
        {
            "mode": [*MODES, "any"],
            "reached": [totals[f"n_{mode}"] for mode in (*MODES, "any")],
            "n": totals["n_with_log"],
        }
    )
    rows = rows.assign(share=rows["reached"] / rows["n"])
    return release_table(
        rows,
        counts="n",
        values=[],
        shares={"share": ("reached", "n")},
        counted=desk.counted("reach by mode", ["mode"], within={"n": ("reach", "n_with_log", ())}),
        min_cell=desk.min_cell,
    )


def weeks(desk: Desk) -> Displayed:
    """How coverage grew over the weeks of the term (every fourth week and the last)."""
    return table(
        weeks_released(desk),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.weeks"),
        columns=["week", "share_at_home", "share_any", "n_students"],
        formats={"share_at_home": "percent", "share_any": "percent"},
    )


def weeks_released(desk: Desk) -> Released:
    """Share of students reached by the end of a week."""
    frame = desk.derived("weeks")
    wide = frame.pivot(index="week", columns="mode", values="n_reached").reset_index()
    wide = wide.assign(n_students=frame["n_students"].iloc[0])
    wide = wide[(wide["week"] % 4 == 0) | (wide["week"] == wide["week"].max())]
    wide = wide.assign(
        share_at_home=wide["at_home"] / wide["n_students"], share_any=wide["any"] / wide["n_students"]
    )
    return release_table(
        wide.reset_index(drop=True),
        counts="n_students",
        values=[],
        shares={"share_at_home": ("at_home", "n_students"), "share_any": ("any", "n_students")},
        counted=desk.counted("reach by week", ["week"], within={"n_students": ("reach", "n_with_log", ())}),
        min_cell=desk.min_cell,
    )


def lectures(desk: Desk, school: str | None = None) -> Displayed:
    """Lectures by topic with attendance: present of invited."""
    return table(
        lectures_by_topic(desk, school),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.lectures"),
        columns=["topic", "n_lectures", "n_invited", "n_present", "share"],
        formats={"share": "percent"},
    )


def lectures_by_topic(desk: Desk, school: str | None = None) -> Released:
    """Attendance by topic, of the district or of one school."""
    frame = desk.derived("lectures") if school is None else desk.own("lectures", school)
    by_topic = frame.groupby("topic", sort=True)[["n_invited", "n_present"]].sum()
    by_topic = by_topic.assign(n_lectures=frame.groupby("topic").size()).reset_index()
    return _lectures_released(desk, by_topic, ("topic",), {} if school is None else {"school": school})


def _lectures_released(
    desk: Desk, frame: pd.DataFrame, keys: tuple[str, ...], at: dict[str, str] | None = None
) -> Released:
    """Present of invited; families are those on the list of the day, so no difference with a roster is a count."""
    return release_table(
        frame.assign(share=frame["n_present"] / frame["n_invited"]),
        counts="n_invited",
        values=[],
        shares={"share": ("n_present", "n_invited")},
        counted=desk.counted("lectures", keys, at),
        min_cell=desk.min_cell,
    )


def key_students_released(desk: Desk) -> Released:
    """Key students by category: how many, visited at home, reached by anything."""
    frame = desk.derived("key_students")
    frame = frame.assign(
        share_at_home=frame["n_at_home"] / frame["n_students"], share_any=frame["n_any"] / frame["n_students"]
    )
    return release_table(
        frame,
        counts="n_students",
        values=[],
        shares={"share_at_home": ("n_at_home", "n_students"), "share_any": ("n_any", "n_students")},
        nested=[("n_at_home", "n_any")],
        counted=desk.counted("key students", ["category"]),
        min_cell=desk.min_cell,
    )


def key_students(desk: Desk) -> Displayed:
    """Key students by category."""
    return table(
        key_students_released(desk),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.key_students"),
        columns=["category", "n_students", "n_at_home", "share_at_home", "share_any"],
        formats={"share_at_home": "percent", "share_any": "percent"},
        note=desk.say("page.key_students_note"),
    )


def _percent(released: Released, share: str) -> str:
    """The share of a one-row table as a sentence may give it: itself, or the bound that may be known."""
    mark, value = str(released.marks[share].iloc[0]), released.frame[share].iloc[0]
    if mark[:1] in ("≥", "≤"):
        bound = 100 * float(mark[1:])
        return f"{mark[0]}{math.floor(bound) if mark[0] == '≥' else math.ceil(bound)}%"
    return "–" if mark or pd.isna(value) else f"{100 * value:.0f}%"


def exposures(desk: Desk) -> Displayed:
    """Students whose visits and lectures are known, and why not for the others."""
    return quality.exposures(desk)


def lectures_by_school(desk: Desk) -> Released:
    """Lecture attendance of each school: present of invited."""
    by_school = desk.derived("lectures").groupby("school", sort=True)[["n_invited", "n_present"]].sum()
    return _lectures_released(desk, by_school.reset_index(), ("school",))


def reach_by_class(desk: Desk, school: str) -> pd.DataFrame:
    """Reach of each class of a school, with the class's name; not released."""
    own = desk.own("reach_by_class", school)
    return own.assign(class_name=[class_name(each, desk) for each in own["class_id"]])


def class_name(class_id: str, desk: Desk) -> str:
    """``S01-2022-2`` as the class is known: entry year and number."""
    _, entry, number = class_id.rsplit("-", 2)
    return desk.say("page.class_name", entry=entry, number=number)
