"""Claims about periods and traps: real school Tuesdays, weeks and months; what is counted apart; what a study may add."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from cobench.declared import Text
from cobench.errors import StudyFileError
from cobench.monitor.periods import school_days, span_of, term_slots
from cobench.monitor.standards import bundled_standards, check_standards, chosen_standards
from cobench.standard import Rows, Standard, Standards

from .case_table import Case, District, study

TERM = study().term("t1")
SHIPPED = {each.id: each for each in bundled_standards()}
OWN = Standard(
    id="X1",
    profile="ours",
    kind="rule",
    label=Text("自定", "own"),
    counts=Rows("events", ("forum",)),
    threshold=3,
)


def test_a_tuesday_in_the_holidays_is_no_school_day_and_a_make_up_sunday_is_one_but_no_tuesday():
    tuesdays = [slot.start for slot in term_slots(TERM, "tuesday")]
    assert date(2025, 10, 7) not in tuesdays
    assert date(2025, 9, 30) in tuesdays and date(2025, 10, 14) in tuesdays
    assert len(tuesdays) == 20
    assert date(2025, 9, 28) in school_days(TERM)
    assert date(2025, 9, 28) not in tuesdays
    assert date(2025, 9, 27) not in school_days(TERM)


def test_teaching_weeks_end_with_their_number_and_hold_their_sunday():
    weeks = term_slots(TERM, "week")
    assert len(weeks) == 20
    assert (weeks[0].start, weeks[0].stop) == (date(2025, 9, 1), date(2025, 9, 7))
    # The week of the holidays has three school days and stays a week; its first is the Thursday after.
    assert next(week.first for week in weeks if week.start == date(2025, 10, 6)) == date(2025, 10, 9)


def test_a_month_needs_five_school_days_of_the_term():
    assert [slot.start.month for slot in term_slots(TERM, "month")] == [9, 10, 11, 12, 1]
    late = replace(TERM, start=date(2025, 9, 26), makeup_days=())
    assert [slot.start.month for slot in term_slots(late, "month")] == [10, 11, 12, 1]


def test_family_education_week_is_the_week_of_15_may_of_the_school_year():
    span = span_of(SHIPPED["D10"], study(), TERM, TERM.end)
    assert (span.start, span.stop, span.due) == (date(2026, 5, 11), date(2026, 5, 17), date(2026, 5, 31))


def test_full_coverage_by_any_mode_counts_face_to_face_beside_it():
    rows = "logs; contacts student=a1,a2 mode=phone date=2025-09-20; contacts student=a3 mode=at_home date=2025-09-20"
    row = District().judged(Case("E01", "", "t1", None, "", rows)).loc[("E01", "A")]
    assert (row["verdict"], row["n_met"], row["n_beside"]) == ("met", 3, 1)


def test_a_knowledge_rate_is_over_respondents_and_says_how_many_might_have_answered():
    rows = "responses item=k01 respondent=parent student=a1 value=1"
    row = District().judged(Case("A06", "", "t1", None, "", rows)).loc[("A06", "A")]
    assert (row["n_met"], row["n_units"], row["n_asked"]) == (1, 1, 3)


def test_an_unquantified_requirement_is_counted_and_a_reported_figure_has_no_row():
    district = District()
    row = district.judged(Case("D07", "", "t1", None, "", "events exchange_meeting x2")).loc[("D07", "A")]
    assert (row["verdict"], row["total"]) == ("counted", 2)
    assert len(district.judged(Case("A15", "", "t1", None, "", "events exchange_meeting"))) == 0


def test_who_meets_the_stricter_of_two_standards_meets_the_looser():
    district = District()
    chosen = replace(study().standards, also=("F506", "F507"))
    for rows in (
        "events student_exchange @P",
        "events student_exchange @P date=2025-04-01",
        "events sync_lesson @P",
    ):
        found = district.verdicts(replace(study(), standards=chosen), "t1", rows)["verdict"]
        assert found[("F507", "P")] != "met" or found[("F506", "P")] == "met"


def test_a_study_adds_a_standard_of_its_own():
    own = replace(study(), standards=Standards(own=(OWN,)))
    assert [each.id for each in check_standards(own, TERM)] == ["X1"]
    found = District().verdicts(own, "t1", "events forum x3")
    assert found.loc[("X1", "A"), "verdict"] == "met"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"id": "D01"}, "is taken"),
        ({"counts": None}, "counts is missing"),
        ({"implies": ("X9",)}, "implies"),
        ({"campaign": "vists", "period": "campaign"}, "campaign"),
    ],
)
def test_a_standard_of_ones_own_that_can_not_hold_is_refused_in_both_languages(changed, said):
    with pytest.raises(StudyFileError) as caught:
        chosen_standards(Standards(own=(replace(OWN, **changed),)))
    assert said in caught.value.en
    assert caught.value.zh


def test_an_expression_that_makes_no_sense_is_named_with_its_standard():
    wrong = replace(OWN, counts=Rows("events", ("forum",), "r.colour = 'red'"))
    with pytest.raises(StudyFileError, match="X1 can't be counted") as caught:
        check_standards(replace(study(), standards=Standards(own=(wrong,))), TERM)
    assert "X1" in caught.value.zh


def test_a_campaign_without_dates_is_asked_for():
    with pytest.raises(StudyFileError, match="standards.campaigns.visits is missing"):
        check_standards(replace(study(), standards=Standards(also=("E01",))), TERM)


LATE = study().terms[1:]  # a study that begins in the autumn of 2025


@pytest.mark.parametrize(
    ("standard", "rows", "whole", "late"),
    [
        # Two lectures in the calendar year: what was held in spring 2025 isn't known to the late study.
        ("A01", "events lecture", "not_met", "no_data"),
        ("A01", "events lecture x2", "met", "met"),
        # The window of the yearly assessment lies before its first term.
        ("F307", "events sync_lesson @K", "not_met", "no_data"),
        ("F1706", "records budget value=3000", "not_met", "no_data"),
        # Postings tell from when to when they last: nothing is hidden.
        ("F303", "postings backbone @K teacher=T1 valid_from=2025-09-01", "not_met", "not_met"),
        # What a term asks is whole in any study.
        ("D01", "events guidance", "not_met", "not_met"),
    ],
)
def test_what_was_done_before_the_first_term_is_unknown_and_not_missed(standard, rows, whole, late):
    body = "A" if standard in ("A01", "F1706", "D01") else "K"
    district = District()
    for of, verdict in ((study(), whole), (replace(study(), terms=LATE), late)):
        chosen = replace(of, standards=replace(of.standards, also=(standard,)))
        found = district.verdicts(chosen, "t1", rows)
        assert found.loc[(standard, body), "verdict"] == verdict


def test_a_study_that_begins_in_spring_does_not_know_the_years_autumn():
    begun = replace(study(), terms=study().terms[2:])
    chosen = replace(begun, standards=replace(begun.standards, also=("D02", "D03", "D11", "C09")))
    rows = (
        "logs term=t2; contacts student=a1,a2 mode=at_home teacher_role=class_teacher; records plan student=a2; "
        "records fee_violation value=0; events year_summary class_id=A1,A2"
    )
    found = District().verdicts(chosen, "t2", rows)["verdict"]
    assert found[("D02", "A")] == "no_data"
    assert found[("C09", "A")] == "met"
    assert found[("D03", "A")] == "not_met"  # plans are on file, and the file came
