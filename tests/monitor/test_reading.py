"""Claims about shared reading: days in a row are told apart from days in all, and silence is no day."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pandas as pd
import pytest

from cobench.monitor.reading import COLUMNS, reading_by_school
from cobench.monitor.standards import judge
from cobench.monitor.units import of_frames
from cobench.tables import TABLES, conform

from .case_table import SEATS, study

STUDY = study()
TERM = STUDY.term("t1")
FIRST = date(2025, 9, 1)


def _checkins(**days: list[int]) -> list[dict]:
    """Check-ins of each child on days counted from the first of September."""
    at = {student: (school, class_id) for student, school, class_id, _ in SEATS}
    return [
        {"student": student, "term": "t1", "school": at[student][0], "class_id": at[student][1],
         "date": str(FIRST + timedelta(days=day)), "minutes": 20.0}
        for student, given in days.items() for day in given
    ]  # fmt: skip


def _frames(checkins: list[dict]) -> dict[str, pd.DataFrame]:
    seats = [
        {"student": s, "term": "t1", "school": school, "class_id": c, "grade": g, "status": "enrolled"}
        for s, school, c, g in SEATS
    ]
    schools = [{"school": s, "stage": "primary", "term": "t1"} for s in "AB"]
    given = {"schools": schools, "enrolments": seats, "checkins": checkins}
    return {name: conform(name, pd.DataFrame(given.get(name, []))) for name in TABLES}


def _reading(checkins: list[dict], of=STUDY) -> pd.DataFrame:
    with of_frames(of, TERM, _frames(checkins)) as connection:
        return reading_by_school(connection, of, TERM).set_index("school")


def test_21_days_with_a_gap_are_21_in_all_and_not_in_a_row():
    gap = [*range(10), *range(11, 22)]
    found = _reading(_checkins(a1=gap, a2=list(range(21)))).loc["A"]
    # A1 has two children and checks in; A2 doesn't, so its child isn't asked.
    assert found[["n_units", "n_any", "n_met", "n_run"]].tolist() == [2, 2, 2, 1]
    assert (found["median_checkins"], found["median_run"]) == (21, 16)


def test_a_child_of_a_class_that_reads_but_without_a_check_in_counts_with_no_day():
    found = _reading(_checkins(a1=list(range(4)))).loc["A"]
    assert found[["n_units", "n_any", "n_met", "n_run"]].tolist() == [2, 1, 0, 0]
    assert (found["median_checkins"], found["median_run"]) == (2, 2)


def test_days_outside_the_campaign_lengthen_no_run():
    before = _checkins(b1=list(range(-7, 21)))
    found = _reading(before).loc["B"]
    assert (found["median_run"], found["n_run"]) == (21, 1)


@pytest.mark.parametrize("campaigns", [{}, {"reading": (date(2026, 3, 1), date(2026, 5, 31))}])
def test_without_a_campaign_in_the_term_nothing_is_said(campaigns):
    other = replace(STUDY, standards=replace(STUDY.standards, campaigns=campaigns))
    assert _reading(_checkins(a1=list(range(21))), other).empty
    with of_frames(other, TERM, _frames([])) as connection:
        assert list(reading_by_school(connection, other, TERM)) == COLUMNS


def test_the_total_is_numerator_and_denominator_of_the_standard():
    rows = _checkins(a1=[*range(10), *range(11, 22)], a2=list(range(20)), a3=list(range(30)), b1=[3])
    chosen = replace(STUDY, standards=replace(STUDY.standards, also=("E06",)))
    with of_frames(chosen, TERM, _frames(rows)) as connection:
        verdicts = judge(connection, chosen, TERM).set_index("school")
        found = reading_by_school(connection, chosen, TERM).set_index("school")
    for school in "AB":
        assert (
            found.loc[school, ["n_met", "n_units"]].tolist()
            == verdicts.loc[school, ["n_met", "n_units"]].tolist()
        )
