"""Traps in the wording of standards: each row says what a standard counts, and would count otherwise if it were read loosely."""

from __future__ import annotations

import pytest

from .case_table import Case, District

K = "K"
TRAPS = {
    "a class's weekly note of the week is no activity of family-education week": (
        "D10", "t2", "events bulletin class_id=A1 date=2026-05-13; events forum date=2026-04-01", "A", "0/1"),
    "an exam in that week is none either": ("D10", "t2", "events midterm_exam date=2026-05-13", "A", "0/1"),
    "an open day in that week is one": ("D10", "t2", "events open_day date=2026-05-13", "A", "1/1"),
    "a plan needs an entry for every month of the term, those to come included": (
        "C11", "t1", "records plan_month class_id=A1,A2 value=2", "A", "0/2"),
    "who answered no knowledge item is no respondent": (
        "A06", "t1", "responses student=a1 item=k1,k2 value=1; responses student=a2 item=k1,k2", "A", "1/1"),
    "who answered one of two items right and left the other blank doesn't know": (
        "A06", "t1", "responses student=a1 item=k1 value=1; responses student=a1 item=k2", "A", "0/1"),
    "every family is one respondent, though all of them answered as parents": (
        "A06", "t1", "responses respondent=parent student=a1 item=k1,k2 value=1; "
        "responses respondent=parent student=a2 item=k1,k2 value=0", "A", "1/2"),
    "an answer that no child is known of is nobody's": (
        "A06", "t1", "responses respondent=parent item=k1 value=1", "A", "0/0"),
    "a leader whom a partner posts is none of the lead's": (
        "F302", "t1", "postings leader @K teacher=T1 from_school=B to_school=A valid_from=2025-09-01", K, "0/1"),
    "one whom the lead posts is": (
        "F302", "t1", "postings leader @K teacher=T1 from_school=A to_school=B valid_from=2025-09-01", K, "1/1"),
    "three key teachers count for the lead that sends them, not for the partner": (
        "F303", "t1", "postings backbone @K teacher=T1,T2 from_school=A to_school=B valid_from=2025-09-01; "
        "postings backbone @K teacher=T3 from_school=B to_school=A valid_from=2025-09-01", K, "0/1"),
    "two school years are not one": (
        "F606", "t1", "postings rotation @K teacher=T1 valid_from=2025-09-01 valid_to=2027-07-10", K, "0/1"),
    "a resident day has all five parts or not": (
        "F02", "t1", "records resident_day item=tour,lesson,talk,lunch,suggestion date=2025-10-15; "
        "records resident_day item=tour,lesson,talk,lunch date=2025-11-15; "
        "records resident_day item=suggestion holds=false date=2025-11-15", "A", "1/2"),
    "three appraisals are three, however often the flag is sent": (
        "D06", "t1", "records flag item=visits_in_appraisal_award,visits_in_appraisal_ethics x2", "A", "0/1"),
    "a jury in which one judge gave no score has no mean": (
        "F1402", "t1", "records jury item=e1 value=80,90,95; records jury item=e1", "A", "0/1"),
    "five criteria are not the four of the rule": (
        "F1707", "t1", "records grade_criterion grade=1 item=c1,c2,c3,c4,c5 level=A", "A", "0/2"),
    "an opinion answered before it was given has no known time of reply": (
        "F1302", "t1", "records opinion date=2025-10-15 done=2025-10-10", "A", "0/1"),
}  # fmt: skip


@pytest.fixture(scope="module")
def district() -> District:
    return District()


@pytest.mark.parametrize("why", TRAPS)
def test_a_trap_in_the_wording(why, district):
    standard, term, rows, body, counts = TRAPS[why]
    row = district.judged(Case(standard, "", term, None, "", rows)).loc[(standard, body)]
    met, units = map(float, counts.split("/"))
    assert (row["n_met"], row["n_units"]) == (met, units)


@pytest.mark.parametrize(
    ("standard", "rows", "total"),
    [
        ("D06", "records flag item=visits_in_appraisal_award,visits_in_appraisal_ethics x2", 2),
        ("A14", "events lecture subject=general x3; events lecture subject=practice", 2),
        ("F02", "records resident_day item=tour,lesson date=2025-10-15; records resident_day item=tour date=2025-11-15", 2),
    ],
)  # fmt: skip
def test_a_count_without_a_verdict_is_of_what_its_label_says(standard, rows, total, district):
    row = district.judged(Case(standard, "", "t1", None, "", rows)).loc[(standard, "A")]
    assert (row["total"], row["verdict"]) == (total, "counted")


def test_one_partner_that_rose_exempts_the_lead_though_another_did_not(district):
    rows = (
        "communities community @K school=C role=member term=t1; "
        "records community_score @K item=rank school=B value=12 term=old date=2025-07-01; "
        "records community_score @K item=rank school=B value=7; "
        "records community_score @K item=rank school=C value=3 term=old date=2025-07-01; "
        "records community_score @K item=rank school=C value=5"
    )
    row = district.judged(Case("F609", "", "t1", None, "", rows)).loc[("F609", K)]
    assert (row["n_met"], row["n_units"], row["total"], row["verdict"]) == (1, 1, 5, "met")
