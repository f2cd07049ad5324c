"""Parts of a school's page: against its own past and the district's middle half, never a ranking."""

from __future__ import annotations

import math

import pandas as pd

from cobench.monitor.standards import chosen_standards
from cobench.release import Released, release_table
from cobench.show import Displayed, bullets, notice, paragraph, table
from cobench.workbench import implementation, norms, quality
from cobench.workbench import value_added as added
from cobench.workbench.desk import Desk, together

NEVER_REACHED_MANY = 0.2


def title(desk: Desk, school: str) -> str:
    """The school's name."""
    return desk.schools.get(school, school)


def lede(desk: Desk, school: str) -> Displayed:
    """The school's term in a few sentences."""
    own = _own_row(implementation.reach_of_schools(desk).frame, school)
    judged = norms.released(desk, school).frame
    settled = judged[judged["verdict"].isin(["met", "not_met"])]
    if own is None:
        return paragraph(desk.say("page.school_no_roster"))
    return paragraph(
        desk.say(
            "page.school_lede",
            students=_count(own["n_students"]),
            at_home=_share(own["share_at_home"], desk),
            never=_count(own["n_never"])
            if pd.notna(own["n_never"])
            else desk.say("page.few", n=desk.min_cell),
            met=int((settled["verdict"] == "met").sum()),
            judged=len(settled),
        )
    )


def against_district(desk: Desk, school: str) -> Displayed:
    """The school's coverage and attendance beside the middle half of the district's schools."""
    reach = implementation.reach_of_schools(desk).frame
    lectures = implementation.lectures_by_school(desk).frame
    rows = []
    for measure, frame, column, base in (
        ("share_at_home", reach, "share_at_home", "n_with_log"),
        ("share_any", reach, "share_any", "n_with_log"),
        ("lecture_attendance", lectures, "share", "n_invited"),
    ):
        own = _own_row(frame, school)
        shares = pd.Series(frame[column].to_numpy("float64", na_value=math.nan))
        quarters = shares.quantile([0.25, 0.5, 0.75])
        rows.append(
            {
                "measure": desk.say(f"column.{measure}"),
                "school_value": math.nan if own is None else float(own[column]),
                "n_base": math.nan if own is None else float(own[base]),
                "district_low": quarters[0.25],
                "district_median": quarters[0.5],
                "district_high": quarters[0.75],
                "n_schools": int(frame[column].notna().sum()),
            }
        )
    # Released figures only: a hidden count or share of either table is missing here and counts as small.
    frame = pd.DataFrame(rows)
    released = release_table(frame, counts="n_base", values=["school_value"], min_cell=desk.min_cell)
    return table(
        released,
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.against_district"),
        columns=[
            "measure",
            "school_value",
            "n_base",
            "district_low",
            "district_median",
            "district_high",
            "n_schools",
        ],  # fmt: skip
        formats=dict.fromkeys(
            ["school_value", "district_low", "district_median", "district_high"], "percent"
        ),
        note=desk.say("page.against_district_note"),
    )


def standards(desk: Desk, school: str) -> Displayed:
    """The school's standards with numerator and denominator."""
    return table(
        norms.released(desk, school),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.school_standards"),
        columns=["standard", "verdict", "n_met", "n_units", "unit"],
    )


def classes(desk: Desk, school: str) -> Displayed:
    """Coverage by class; classes below the threshold are hidden."""
    return table(
        classes_released(desk, school),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.school_classes"),
        columns=["class_name", "n_students", "n_with_log", "share_at_home", "share_any", "n_never"],
        formats={"share_at_home": "percent", "share_any": "percent"},
        note=desk.say("page.reach_note"),
    )


def classes_released(desk: Desk, school: str) -> Released:
    """Coverage of each class of the school."""
    return implementation.reach_released(
        desk, implementation.reach_by_class(desk, school), "school", "class_id"
    )


def lectures(desk: Desk, school: str) -> Displayed:
    """The school's lectures by topic."""
    return implementation.lectures(desk, school)


def missing(desk: Desk, school: str) -> Displayed:
    """The school's students: exposures and outcomes known, and why not for the others."""
    columns = [*desk.study.treatments, *desk.study.outcomes]
    return quality.missing_table(desk, columns, desk.say("page.missing_school"), school=school)


def value_added(desk: Desk, school: str) -> Displayed:
    """The school's value added with its interval and verdict, or why there is none."""
    return added.own(desk, school)


def not_for_parent_meetings(desk: Desk) -> Displayed:
    """Pages of schools may not be shown at parent meetings."""
    return notice(desk.say("notice.not_for_meetings"))


def next_steps(desk: Desk, school: str) -> Displayed:
    """What to do next term, from the standards that were missed and the families not reached."""
    judged = norms.released(desk, school).frame
    name = {each.id: each.label[desk.language] for each in chosen_standards(desk.study.standards)}
    steps = []
    own = _own_row(implementation.reach_of_schools(desk).frame, school)
    if (
        own is not None
        and pd.notna(own["n_never"])
        and own["n_never"] > NEVER_REACHED_MANY * own["n_with_log"]
    ):
        steps.append(desk.say("page.step_never", n=_count(own["n_never"])))
    if own is not None and own["n_students"] - own["n_with_log"] >= desk.min_cell:
        steps.append(desk.say("page.step_logs"))
    parts = [bullets(steps)] if steps else []
    for verdict, key in (("not_met", "page.step_standards"), ("no_data", "page.step_no_data")):
        these = [name[each] for each in judged.loc[judged["verdict"] == verdict, "standard"]]
        if these:
            parts += [paragraph(desk.say(key, n=len(these))), bullets(these)]
    return together(parts or [bullets([desk.say("page.step_none")])])


def _own_row(frame: pd.DataFrame, school: str) -> pd.Series | None:
    own = frame[frame["school"] == school]
    # What is hidden is pandas' NA among whole numbers, which has no truth value; NaN compares as false.
    return own.iloc[0].astype(object).mask(own.iloc[0].isna(), math.nan) if len(own) else None


def _count(value: float) -> str:
    return f"{int(value):,}" if pd.notna(value) else "–"


def _share(value: float, desk: Desk) -> str:
    return f"{100 * value:.0f}%" if pd.notna(value) else desk.say("table.hidden_cell")


def chosen(desk: Desk, school: str) -> str:
    """``school``, or the first one where the notebook is opened without naming one."""
    return school or min(desk.schools)
