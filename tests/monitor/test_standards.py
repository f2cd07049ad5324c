"""Claims about written standards: what counts, for whom, when it is due, and what silence means."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from cobench.declared import Text
from cobench.errors import StudyFileError
from cobench.monitor import standards
from cobench.monitor.standards import COLUMNS, VERDICTS, chosen_standards, conflicts, judge
from cobench.monitor.units import of_frames
from cobench.standard import CAMPAIGNS, Rows, Standard, Standards
from cobench.study import Study, study_from
from cobench.tables import TABLES, conform

STUDY_FILE = """
[study]
id = "small"
label = "small"
[[terms]]
id = "autumn"
start = 2024-09-02
end = 2025-01-17
[[terms]]
id = "spring"
start = 2025-02-17
end = 2025-07-04
[[terms]]
id = "next"
start = 2025-09-01
end = 2026-01-23
[standards]
also = ["D01", "D02", "C04", "F1705"]
"""
CLASSES = {"A": ("A-1", "A-2"), "B": ("B-1",), "C": ("C-1",)}


def _study() -> Study:
    return study_from(tomllib.loads(STUDY_FILE), Path("small"))


def _enrolments() -> pd.DataFrame:
    """Two children a class, three schools, all terms; one more child who left A-1."""
    rows = [
        {
            "student": f"{class_id}-{n}",
            "term": term,
            "school": school,
            "class_id": class_id,
            "status": "enrolled",
        }
        for term in ("autumn", "spring", "next")
        for school, classes in CLASSES.items()
        for class_id in classes
        for n in (1, 2)
    ]
    gone = {
        "student": "gone",
        "term": "spring",
        "school": "A",
        "class_id": "A-1",
        "status": "transferred_out",
    }
    return pd.DataFrame([*rows, gone]).assign(grade=3)


def _events(*rows: tuple) -> pd.DataFrame:
    """Rows of (term, school, class or None, kind)."""
    frame = pd.DataFrame(list(rows), columns=["term", "school", "class_id", "kind"])
    return frame.assign(event=[f"e{i}" for i in range(len(frame))])


def _visits(*rows: tuple) -> pd.DataFrame:
    """Rows of (student, term, mode, teacher role)."""
    return pd.DataFrame(list(rows), columns=["student", "term", "mode", "teacher_role"]).assign(
        school=lambda frame: frame["student"].str[0]
    )


def _logs(*rows: tuple) -> pd.DataFrame:
    """Rows of (class, term)."""
    frame = pd.DataFrame(list(rows), columns=["class_id", "term"])
    return frame.assign(table="contacts", school=frame["class_id"].str[0])


def _judge(term: str, *, study: Study | None = None, **given) -> pd.DataFrame:
    study = study or _study()
    schools = pd.DataFrame(
        [(school, each) for each in ("autumn", "spring", "next") for school in CLASSES],
        columns=["school", "term"],
    )
    given = {"enrolments": _enrolments(), "schools": schools} | given
    frames = {name: conform(name, given.get(name, pd.DataFrame())) for name in TABLES}
    with of_frames(study, study.term(term), frames) as connection:
        return judge(connection, study, study.term(term)).set_index(["standard", "school"])


def _verdicts(judged: pd.DataFrame, standard: str) -> dict[str, str]:
    return judged.loc[standard, "verdict"].to_dict()


def _counts(judged: pd.DataFrame, standard: str, school: str) -> tuple[int, int, int]:
    row = judged.loc[(standard, school)]
    return int(row["n_met"]), int(row["n_units"]), int(row["total"])


# ---- D01: two guidance activities a school and term ---------------------------------------------------


def test_d01_counts_guidance_activities_of_the_school_in_the_term():
    events = _events(
        ("spring", "A", None, "guidance"),
        ("spring", "A", "A-1", "guidance"),
        ("spring", "B", None, "guidance"),
        ("spring", "B", None, "lecture"),
        ("spring", "B", None, "parent_meeting"),
        ("autumn", "B", None, "guidance"),
    )
    judged = _judge("spring", events=events)
    assert _verdicts(judged, "D01") == {"A": "met", "B": "not_met", "C": "no_data"}
    assert _counts(judged, "D01", "A") == (1, 1, 2)
    assert _counts(judged, "D01", "B") == (0, 1, 1)


def test_d01_of_a_school_that_sent_other_activities_only_is_not_met():
    judged = _judge("spring", events=_events(("spring", "A", None, "lecture")))
    assert _verdicts(judged, "D01") == {"A": "not_met", "B": "no_data", "C": "no_data"}
    assert _counts(judged, "D01", "A") == (0, 1, 0)


# ---- D02: every child visited at home by the class teacher once a school year -------------------------

ALL_LOGS = _logs(*((c, term) for term in ("autumn", "spring") for c in ("A-1", "A-2", "B-1")))


def test_d02_adds_up_the_school_year_and_names_how_many_children_were_visited():
    visits = _visits(
        ("A-1-1", "autumn", "at_home", "class_teacher"),
        ("A-1-1", "spring", "at_home", "class_teacher"),
        ("A-1-2", "autumn", "at_home", "class_teacher"),
        ("A-2-1", "spring", "at_home", "class_teacher"),
        ("A-2-2", "spring", "at_home", "class_teacher"),
        ("B-1-1", "spring", "at_home", "class_teacher"),
    )
    judged = _judge("spring", contacts=visits, logs=ALL_LOGS)
    assert _verdicts(judged, "D02") == {"A": "met", "B": "not_met", "C": "no_data"}
    assert _counts(judged, "D02", "A") == (4, 4, 5)
    assert _counts(judged, "D02", "B") == (1, 2, 1)


def test_d02_is_not_yet_due_in_autumn_and_no_data_stays_no_data():
    visits = _visits(("A-1-1", "autumn", "at_home", "class_teacher"))
    judged = _judge("autumn", contacts=visits, logs=ALL_LOGS)
    assert _verdicts(judged, "D02") == {"A": "not_yet_due", "B": "not_yet_due", "C": "no_data"}
    assert _counts(judged, "D02", "A") == (1, 4, 1)


def test_d02_met_early_is_met_although_it_is_not_due():
    visits = _visits(*((f"B-1-{n}", "autumn", "at_home", "class_teacher") for n in (1, 2)))
    assert _verdicts(_judge("autumn", contacts=visits, logs=ALL_LOGS), "D02")["B"] == "met"


def test_d02_of_a_new_school_year_forgets_the_last_one():
    visits = _visits(*((f"B-1-{n}", "spring", "at_home", "class_teacher") for n in (1, 2)))
    judged = _judge("next", contacts=visits, logs=_logs(("B-1", "next")))
    assert _verdicts(judged, "D02")["B"] == "not_yet_due"
    assert _counts(judged, "D02", "B") == (0, 2, 0)


@pytest.mark.parametrize(
    ("mode", "role"),
    [
        ("phone", "class_teacher"),
        ("wechat", "class_teacher"),
        ("video", "class_teacher"),
        ("at_school", "class_teacher"),
        ("at_home", "subject_teacher"),
        ("at_home", "leader"),
        ("at_home", None),
        (None, "class_teacher"),
    ],
)
def test_d02_a_call_is_no_home_visit_and_another_teacher_is_not_the_class_teacher(mode, role):
    visits = _visits(("B-1-1", "spring", "at_home", "class_teacher"), ("B-1-2", "spring", mode, role))
    judged = _judge("spring", contacts=visits, logs=ALL_LOGS)
    assert _verdicts(judged, "D02")["B"] == "not_met"
    assert _counts(judged, "D02", "B") == (1, 2, 1)


def test_d02_a_school_that_logged_no_visit_at_all_missed_it_and_one_without_logs_said_nothing():
    judged = _judge("spring", logs=ALL_LOGS)
    assert _verdicts(judged, "D02") == {"A": "not_met", "B": "not_met", "C": "no_data"}
    assert _counts(judged, "D02", "A") == (0, 4, 0)


def test_d02_counts_a_child_once_however_often_visited_and_never_one_who_left():
    visits = _visits(
        *[("B-1-1", "spring", "at_home", "class_teacher")] * 5,
        ("gone", "spring", "at_home", "class_teacher"),
        *((f"A-{c}-{n}", "spring", "at_home", "class_teacher") for c in (1, 2) for n in (1, 2)),
    )
    judged = _judge("spring", contacts=visits, logs=ALL_LOGS)
    assert _counts(judged, "D02", "B") == (1, 2, 5)
    assert _counts(judged, "D02", "A") == (4, 4, 4)


# ---- C04 and F1705: parent meetings -------------------------------------------------------------------


def test_c04_a_meeting_of_the_whole_school_counts_for_each_of_its_classes():
    events = _events(
        ("spring", "A", None, "parent_meeting"),
        ("spring", "A", None, "parent_meeting"),
        ("spring", "B", None, "parent_meeting"),
        ("spring", "B", "B-1", "parent_meeting"),
        ("spring", "C", "C-1", "parent_meeting"),
    )
    judged = _judge("spring", events=events)
    assert _verdicts(judged, "C04") == {"A": "met", "B": "met", "C": "not_met"}
    assert _counts(judged, "C04", "A") == (2, 2, 4)
    assert _counts(judged, "C04", "C") == (0, 1, 1)


def test_c04_is_not_met_while_one_class_lacks_a_meeting():
    events = _events(
        ("spring", "A", None, "parent_meeting"),
        ("spring", "A", "A-1", "parent_meeting"),
        ("autumn", "A", "A-2", "parent_meeting"),
        ("spring", "A", "A-2", "lecture"),
    )
    judged = _judge("spring", events=events)
    assert _verdicts(judged, "C04")["A"] == "not_met"
    assert _counts(judged, "C04", "A") == (1, 2, 3)


def test_f1705_asks_one_meeting_of_a_school_where_c04_asks_two_of_each_class():
    events = _events(
        ("spring", "A", None, "parent_meeting"),
        ("spring", "B", None, "guidance"),
        ("autumn", "C", None, "parent_meeting"),
    )
    judged = _judge("spring", events=events)
    assert _verdicts(judged, "F1705") == {"A": "met", "B": "not_met", "C": "no_data"}
    assert _verdicts(judged, "C04") == {"A": "not_met", "B": "not_met", "C": "no_data"}
    assert _counts(judged, "F1705", "A") == (1, 1, 1)


# ---- two in one term: enough for the year, not for the other term -------------------------------------


def _lectures(standard_id: str, period: str, threshold: int) -> Standard:
    return Standard(
        id=standard_id,
        profile="mine",
        kind="rule",
        label=Text("讲座", "lectures"),
        unit="school",
        period=period,
        threshold=threshold,
        counts=Rows(table="events", kinds=("lecture",)),
    )


@pytest.fixture
def two_a_year_and_one_a_term() -> Study:
    mine = (_lectures("YEAR", "school_year", 2), _lectures("TERM", "term", 1))
    return replace(_study(), standards=Standards(own=mine))


def test_two_lectures_in_one_term_satisfy_two_a_year_and_fail_one_a_term(two_a_year_and_one_a_term):
    events = _events(
        ("autumn", "A", None, "lecture"),
        ("autumn", "A", None, "lecture"),
        ("autumn", "B", None, "lecture"),
        ("spring", "B", None, "lecture"),
        ("spring", "C", None, "lecture"),
        ("spring", "A", None, "guidance"),
    )
    autumn = _judge("autumn", study=two_a_year_and_one_a_term, events=events)
    spring = _judge("spring", study=two_a_year_and_one_a_term, events=events)
    assert _verdicts(autumn, "YEAR") == {"A": "met", "B": "not_yet_due", "C": "no_data"}
    assert _verdicts(autumn, "TERM") == {"A": "met", "B": "met", "C": "no_data"}
    assert _verdicts(spring, "YEAR") == {"A": "met", "B": "met", "C": "not_met"}
    assert _verdicts(spring, "TERM") == {"A": "not_met", "B": "met", "C": "met"}
    assert _counts(spring, "YEAR", "A") == (1, 1, 2)
    assert _counts(spring, "TERM", "A") == (0, 1, 0)


def test_a_required_share_below_one_forgives_some_units():
    half = Standard(
        id="HALF",
        profile="mine",
        kind="target",
        label=Text("半数", "half"),
        unit="student",
        period="term",
        threshold=1,
        counts=Rows(table="contacts"),
        required_share=0.5,
    )
    study = replace(_study(), standards=Standards(own=(half,)))
    visits = _visits(
        ("A-1-1", "spring", "phone", None),
        ("A-2-1", "spring", "phone", None),
        ("B-1-1", "autumn", "phone", None),
    )
    judged = _judge("spring", study=study, contacts=visits, logs=ALL_LOGS)
    assert _verdicts(judged, "HALF") == {"A": "met", "B": "not_met", "C": "no_data"}


def test_the_last_digits_of_a_sum_carry_it_over_no_threshold():
    """0.1 + 0.2 is a little more than 0.3, 0.3 - 0.2 - 0.1 a little less than nothing, in whatever order threads add."""
    share = "case r.mode when 'phone' then 0.1::double when 'home' then 0.2::double else -0.3::double end"
    asked = {"at most": ("<=", 0.3), "at least": (">=", 0.3), "nothing": ("==", 0.0)}
    own = tuple(
        Standard(
            id=id_,
            profile="mine",
            kind="rule",
            label=Text("合计", "sum"),
            unit="school",
            period="term",
            threshold=threshold,
            op=op,
            counts=Rows(table="contacts"),
            value=f"sum({share})",
            total=f"sum({share})",
        )
        for id_, (op, threshold) in asked.items()
    )
    study = replace(_study(), standards=Standards(own=own))
    rows = [("A-1-1", "spring", "phone", None), ("A-2-1", "spring", "home", None)]
    judged = _judge("spring", study=study, contacts=_visits(*rows), logs=ALL_LOGS)
    assert _verdicts(judged, "at most")["A"] == _verdicts(judged, "at least")["A"] == "met"
    assert judged.loc[("at least", "A"), "total"] == 0.3
    rows.append(("A-2-2", "spring", "wechat", None))
    judged = _judge("spring", study=study, contacts=_visits(*rows), logs=ALL_LOGS)
    assert _verdicts(judged, "nothing")["A"] == "met"


# ---- the frame and the choice -------------------------------------------------------------------------


def test_every_chosen_standard_judges_every_school_of_the_register_once():
    judged = _judge("spring").reset_index()
    assert list(judged[COLUMNS].columns) == COLUMNS
    assert len(judged) == 4 * 3
    assert not judged.duplicated(["standard", "school"]).any()
    assert set(judged["verdict"]) == {"no_data"}
    assert set(judged["verdict"]) <= set(VERDICTS)


def test_a_school_without_children_this_term_has_no_data():
    enrolments = _enrolments()
    enrolments = enrolments[enrolments["school"] != "C"]
    judged = _judge("spring", enrolments=enrolments, events=_events(("spring", "C", None, "guidance")))
    assert _verdicts(judged, "D01")["C"] == "no_data"


def test_no_chosen_standard_gives_an_empty_frame():
    judged = _judge("spring", study=replace(_study(), standards=Standards()))
    assert len(judged) == 0


def test_profiles_and_single_standards_add_up_and_leave_out_wins():
    def ids(**chosen) -> list[str]:
        return [each.id for each in chosen_standards(Standards(**chosen))]

    district = [f"D{n:02}" for n in range(1, 18)]
    assert ids(profiles=("district_plan",)) == district
    assert ids(profiles=("district_plan",), also=("C04",)) == [*district, "C04"]
    assert ids(profiles=("district_plan",), also=("D01", "C04"), leave_out=("D01",)) == [*district[1:], "C04"]


@pytest.mark.parametrize(
    ("chosen", "path", "hint"),
    [
        ({"profiles": ("district_pln",)}, "standards.profiles", "district_plan"),
        ({"also": ("D17x",)}, "standards.also", "D17"),
        ({"leave_out": ("C004",)}, "standards.also/leave_out", "C04"),
    ],
)
def test_an_unknown_standard_is_named_with_the_nearest_in_both_languages(chosen, path, hint):
    with pytest.raises(StudyFileError) as caught:
        chosen_standards(Standards(**chosen))
    assert path in caught.value.en
    assert path in caught.value.zh
    assert f"did you mean {hint}?" in caught.value.en


def test_two_chosen_standards_about_the_same_thing_are_reported_stricter_first():
    both = chosen_standards(Standards(also=("C04", "F1705", "D01")))
    assert conflicts(both) == [("C04", "F1705")]
    assert conflicts(chosen_standards(Standards(also=("C04", "D01")))) == []
    assert conflicts(chosen_standards(Standards(also=("F1705",)))) == []


def test_what_meets_the_stricter_of_two_standards_meets_the_looser():
    for shared in (0, 1, 2):
        events = _events(
            *[("spring", "A", None, "parent_meeting")] * shared, ("spring", "A", None, "lecture")
        )
        judged = _judge("spring", events=events)
        if _verdicts(judged, "C04")["A"] == "met":
            assert _verdicts(judged, "F1705")["A"] == "met"
        assert (_verdicts(judged, "C04")["A"] == "met") == (shared == 2)


def test_the_shipped_standards_have_labels_in_both_languages_and_point_to_each_other():
    shipped = {each.id: each for each in standards.bundled_standards()}
    assert {"D01", "D02", "C04", "F1705"} <= set(shipped)
    for each in shipped.values():
        assert each.label.zh and each.label.en and each.label.zh != each.label.en
        assert set(each.implies) <= set(shipped)
        assert each.judged or each.op == ">="
        assert (each.counts is None) == (each.kind == "reported")
        assert 0 < each.required_share <= 1


def test_a_study_can_date_the_campaigns_that_standards_belong_to_and_no_others():
    assert {each.campaign for each in standards.bundled_standards()} - {""} == set(CAMPAIGNS)


def test_a_campaign_that_begins_after_the_term_is_not_asked_about_in_it():
    later = {
        "visits": (date(2027, 3, 1), date(2027, 6, 30)),
        "reading": (date(2027, 3, 1), date(2027, 6, 30)),
    }
    study = _study()
    study = replace(study, standards=replace(study.standards, profiles=("county_campaign",), campaigns=later))
    judged = _judge("autumn", study=study)
    assert len(judged) and "E01" not in judged.index.get_level_values("standard")
    assert standards.check_standards(study, study.term("autumn"))
