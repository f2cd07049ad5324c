"""Claims about the panel, worked by hand on small frames: who is exposed, since when, compared with whom."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cobench.errors import StudyFileError, TimeOrderError
from cobench.measures.scales import SCORES
from cobench.panel import (
    Panel,
    build_panel,
    covariate_columns,
    in_content_order,
    panel_column,
    panel_from_source,
)
from cobench.study import Study, study_from
from cobench.tables import TABLES, conform
from cobench.time_order import check_time_order

STUDY_FILE = """
[study]
id = "small"
label = "small"
[[terms]]
id = "t1"
start = 2024-09-02
landmark = 2024-09-16
exposure_end = 2024-12-20
exam = 2025-01-10
end = 2025-01-17
[[terms]]
id = "t2"
start = 2025-02-17
landmark = 2025-03-03
exposure_end = 2025-05-30
exam = 2025-06-25
end = 2025-07-04
baseline = "t1"
[[terms]]
id = "t3"
start = 2025-09-01
landmark = 2025-09-15
exposure_end = 2025-12-19
exam = 2026-01-16
end = 2026-01-23
baseline = "t2"
[[sources]]
table = "outcomes"
files = "data/raw/{term}/marks.xlsx"
measures = {math = ["数学"], absences = ["缺勤天数"]}
[[categories]]
id = "left_behind"
label = "left behind"
source = "list"
[[categories]]
id = "poverty"
label = "poverty"
source = "list"
[treatments.home_visit]
label = "home visit"
from = "contacts"
levels = [
  {id = "urgent", where = "trigger = 'urgent'", use = "exclude"},
  {id = "targeted", where = "mode = 'at_home' and trigger = 'targeted'"},
  {id = "at_home", where = "mode = 'at_home'"},
  {id = "remote", where = "true"},
]
[treatments.lecture]
label = "lecture"
from = "attendance"
levels = [{id = "attended", where = "present and kind = 'lecture'"}]
[instruments.pupils]
codebook = "codebooks/pupils.toml"
linkage = "student"
respondent = "student"
[scales.belonging]
label = "belonging"
instrument = "pupils"
items = ["s1", "s2"]
[scales.trust]
label = "trust"
instrument = "pupils"
items = ["s3", "s4"]
[outcomes.math]
label = "maths"
measure = "math"
test = "school"
standardise = ["school", "grade", "term"]
[outcomes.absences]
label = "days absent"
measure = "absences"
[outcomes.belonging]
label = "belonging"
scale = "belonging"
[[effects]]
treatment = "home_visit"
outcome = "math"
role = "confirmatory"
primary = "aipw"
adjust = ["math@baseline", "trust@baseline", "category:*", "sex", "boarding", "home_visit:history"]
within = ["school", "grade"]
cluster = "class"
history = "required"
"""
CLASS = {"S1": "S1-2022-1", "S2": "S2-2022-1"}
EXAM = {"t1": "2025-01-10", "t2": "2025-06-25", "t3": "2026-01-16"}


def _study() -> Study:
    return study_from(tomllib.loads(STUDY_FILE), Path("small"))


def _rows(columns: str, *rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=columns.split())


def _enrolled(*students: str, term: str = "t2", school: str = "S1", grade: int = 3, **other) -> pd.DataFrame:
    row = {"term": term, "school": school, "class_id": CLASS[school], "grade": grade, "boarding": False}
    row |= {"status": "enrolled"} | other
    return pd.DataFrame([{"student": student} | row for student in students])


def _contact(student: str, date: str, mode: str = "at_home", trigger: str = "routine", **other) -> dict:
    return {"student": student, "date": date, "mode": mode, "trigger": trigger, "term": "t2"} | other


def _mark(student: str, value: float | None, term: str = "t2", measure: str = "math", **other) -> dict:
    return {
        "student": student,
        "term": term,
        "measure": measure,
        "value": value,
        "measured_on": EXAM[term],
    } | other


def _log(*classes: str, table: str = "contacts", term: str = "t2") -> pd.DataFrame:
    return pd.DataFrame(
        [{"table": table, "class_id": each, "term": term, "school": "S1"} for each in classes]
    )


def _frames(**given) -> dict[str, pd.DataFrame]:
    """Canonical tables; students are made up from the enrolments, what isn't given is empty."""
    given = {
        name: pd.DataFrame(rows) if isinstance(rows, list) else rows
        for name, rows in given.items()
        if not (isinstance(rows, list) and not rows)
    }
    if "students" not in given:
        given["students"] = given["enrolments"][["student", "term"]].drop_duplicates().assign(sex="f")
    frames = {name: conform(name, given.get(name, pd.DataFrame())) for name in TABLES}
    scores = given.get("scores", pd.DataFrame(columns=SCORES))
    scores = scores.reindex(columns=SCORES)
    return frames | {
        "scores": scores.assign(measured_on=pd.to_datetime(scores["measured_on"]).astype("datetime64[s]"))
    }


def _panel(term: str = "t2", study: Study | None = None, **given) -> Panel:
    study = study or _study()
    return build_panel(study, study.term(term), _frames(**given))


def _by_student(panel: Panel, column: str) -> dict[str, object]:
    values = panel.frame.set_index("student")[column]
    return {key: None if pd.isna(value) else value for key, value in values.items()}


# ---- levels of exposure -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contacts", "level"),
    [
        ([], "none"),
        ([("phone", "routine")], "remote"),
        ([("wechat", "targeted")], "remote"),
        ([("at_school", "routine")], "remote"),
        ([("at_home", "routine")], "at_home"),
        ([("at_home", "routine"), ("phone", "targeted")], "at_home"),
        ([("phone", "routine"), ("at_home", "routine")], "at_home"),
        ([("at_home", "routine"), ("at_home", "targeted")], "targeted"),
        ([("at_home", "targeted"), ("at_home", "routine"), ("phone", "routine")], "targeted"),
        ([("at_home", "targeted"), ("phone", "urgent")], "urgent"),
        ([("phone", "urgent"), ("at_home", "routine")], "urgent"),
        ([("at_home", None)], "at_home"),
        ([(None, None)], "remote"),
    ],
)
def test_the_first_level_that_fits_any_contact_is_the_exposure(contacts, level):
    rows = [_contact("a", f"2025-03-{10 + i}", mode, trigger) for i, (mode, trigger) in enumerate(contacts)]
    panel = _panel(enrolments=_enrolled("a"), contacts=rows, logs=_log(CLASS["S1"]))
    assert _by_student(panel, "home_visit") == {"a": level}
    assert _by_student(panel, "home_visit:count") == {"a": len(contacts)}


def test_a_child_without_contact_is_none_only_where_the_log_of_that_class_arrived():
    panel = _panel(
        enrolments=pd.concat([_enrolled("a", "b"), _enrolled("c", "d", school="S2")]),
        contacts=[_contact("a", "2025-03-10"), _contact("c", "2025-03-10", "phone")],
        logs=_log(CLASS["S1"]),
    )
    assert _by_student(panel, "home_visit") == {"a": "at_home", "b": "none", "c": "remote", "d": None}
    assert _by_student(panel, "home_visit:count") == {"a": 1, "b": 0, "c": 1, "d": None}


@pytest.mark.parametrize(
    "log",
    [
        _log(CLASS["S1"], table="attendance"),
        _log(CLASS["S1"], term="t1"),
        _log(CLASS["S2"]),
    ],
)
def test_a_log_of_another_kind_term_or_class_makes_nobody_none(log):
    panel = _panel(enrolments=_enrolled("a"), logs=log)
    assert _by_student(panel, "home_visit") == {"a": None}


@pytest.mark.parametrize(
    ("date", "level", "history"),
    [
        ("2024-10-10", "none", 1),  # an earlier term
        ("2025-01-25", "none", 1),  # the winter holidays
        ("2025-02-20", "none", 1),  # this term, before the landmark
        ("2025-03-03", "none", 1),  # on the landmark
        ("2025-03-04", "at_home", 0),
        ("2025-05-30", "at_home", 0),  # on the last day of exposure
        ("2025-05-31", "none", 0),
        ("2025-07-10", "none", 0),  # the summer holidays
        ("2025-10-01", "none", 0),  # a later term
    ],
)
def test_a_contact_up_to_the_landmark_is_history_and_one_after_the_window_is_nothing(date, level, history):
    panel = _panel(
        enrolments=_enrolled("a"), contacts=[_contact("a", date, minutes=30)], logs=_log(CLASS["S1"])
    )
    assert _by_student(panel, "home_visit") == {"a": level}
    assert _by_student(panel, "home_visit:history") == {"a": history}
    assert _by_student(panel, "home_visit:minutes") == {"a": 30 if level == "at_home" else None}


def test_history_counts_the_contacts_of_all_earlier_terms_of_that_child_only():
    contacts = [
        _contact("a", "2024-10-10", term="t1"),
        _contact("a", "2024-11-10", "phone", term="t1"),
        _contact("a", "2025-06-05"),  # after last term's window, before this landmark
        _contact("a", "2025-09-15", term="t3"),
        _contact("a", "2025-09-16", term="t3"),
        _contact("b", "2025-04-10"),
    ]
    panel = _panel(
        "t3",
        enrolments=_enrolled("a", "b", "c", term="t3"),
        contacts=contacts,
        logs=_log(CLASS["S1"], term="t3"),
    )
    assert _by_student(panel, "home_visit:history") == {"a": 4, "b": 1, "c": 0}
    assert _by_student(panel, "home_visit") == {"a": "at_home", "b": "none", "c": "none"}


def test_dose_counts_contacts_and_adds_minutes_within_the_window_only():
    contacts = [
        _contact("a", "2025-03-01", minutes=100),
        _contact("a", "2025-03-10", minutes=40),
        _contact("a", "2025-04-10", "phone", minutes=5),
        _contact("a", "2025-06-10", minutes=100),
        _contact("b", "2025-04-10"),
    ]
    panel = _panel(enrolments=_enrolled("a", "b", "c"), contacts=contacts, logs=_log(CLASS["S1"]))
    assert _by_student(panel, "home_visit:count") == {"a": 2, "b": 1, "c": 0}
    assert _by_student(panel, "home_visit:minutes") == {"a": 45, "b": None, "c": None}


def test_the_sum_of_minutes_does_not_depend_on_the_order_of_the_rows():
    # In floating point these four give another last digit when added from the other end.
    contacts = [_contact("a", "2025-03-10", minutes=each) for each in (27.4, 55.1, 53.5, 47.8)]
    one, other = (
        _by_student(_panel(enrolments=_enrolled("a"), contacts=rows), "home_visit:minutes")
        for rows in (contacts, contacts[::-1])
    )
    assert one == other


def test_lecture_exposure_follows_the_date_of_the_lecture_and_who_was_there():
    events = _rows(
        "event term school class_id date kind",
        ("e0", "t2", "S1", None, "2025-03-03", "lecture"),
        ("e1", "t2", "S1", None, "2025-03-20", "lecture"),
        ("e2", "t2", "S1", None, "2025-04-20", "parent_meeting"),
    )
    attendance = _rows(
        "event term student invited present",
        ("e0", "t2", "a", True, True),
        ("e1", "t2", "b", True, True),
        ("e1", "t2", "c", True, False),
        ("e2", "t2", "d", True, True),
        ("e1", "t2", "f", True, True),
    )
    panel = _panel(
        enrolments=pd.concat([_enrolled("a", "b", "c", "d"), _enrolled("f", "g", school="S2")]),
        events=events,
        attendance=attendance,
        logs=_log(CLASS["S1"], table="attendance"),
    )
    assert _by_student(panel, "lecture") == {
        "a": "none",
        "b": "attended",
        "c": "none",
        "d": "none",
        "f": "attended",
        "g": None,
    }
    # An invitation counts where coming would have counted: not before the landmark, not to a meeting.
    assert _by_student(panel, "lecture:invited") == {"a": 0, "b": 1, "c": 1, "d": 0, "f": 1, "g": None}
    assert _by_student(panel, "lecture:history") == {"a": 1, "b": 0, "c": 0, "d": 0, "f": 0, "g": 0}


def test_an_expression_that_can_not_be_evaluated_is_the_study_files_error():
    text = STUDY_FILE.replace("mode = 'at_home' and", "mood = 'at_home' and")
    with pytest.raises(StudyFileError) as caught:
        _panel(
            study=study_from(tomllib.loads(text), Path("small")),
            enrolments=_enrolled("a"),
            contacts=[_contact("a", "2025-03-10")],
        )
    assert "mood" in caught.value.en
    assert "mood" in caught.value.zh


# ---- the roster ---------------------------------------------------------------------------------------


def test_the_panel_holds_who_is_enrolled_on_the_landmark():
    enrolments = pd.concat(
        [
            _enrolled("stays"),
            _enrolled("came", status="transferred_in", valid_from="2025-03-03"),
            _enrolled("came_late", status="transferred_in", valid_from="2025-03-04"),
            _enrolled("ended_on_it", valid_to="2025-03-03"),
            _enrolled("ended_before", valid_to="2025-03-02"),
            _enrolled("gone", status="transferred_out"),
            _enrolled("suspended", status="suspended"),
            _enrolled("other_term", term="t1"),
        ]
    )
    panel = _panel(enrolments=enrolments)
    assert set(panel.frame["student"]) == {"stays", "came", "ended_on_it"}
    assert panel.flow.values.tolist() == [
        ["on_roster", 7],
        ["at_landmark", 3],
        ["in_one_class", 3],
    ]


def test_of_two_spells_the_one_on_the_landmark_gives_the_class():
    enrolments = pd.concat(
        [
            _enrolled("a", valid_from="2025-02-17", valid_to="2025-02-28"),
            _enrolled("a", school="S2", grade=4, valid_from="2025-03-01"),
            _enrolled("b", valid_from="2025-02-17", valid_to="2025-04-30"),
            _enrolled("b", school="S2", valid_from="2025-05-01"),
        ]
    )
    panel = _panel(enrolments=enrolments)
    assert _by_student(panel, "school") == {"a": "S2", "b": "S1"}
    assert _by_student(panel, "grade") == {"a": 4, "b": 3}


def test_a_child_in_two_classes_on_the_landmark_is_left_out_and_counted():
    panel = _panel(enrolments=pd.concat([_enrolled("a", "b"), _enrolled("a", school="S2")]))
    assert panel.frame["student"].tolist() == ["b"]
    assert panel.flow["n_students"].tolist() == [2, 2, 1]


def test_one_row_a_student_with_the_documented_columns():
    panel = _panel(enrolments=_enrolled("a", "b"), contacts=[_contact("a", "2025-03-10")] * 3)
    assert panel.frame["student"].is_unique
    assert set(panel.frame.columns) == {
        "student", "term", "school", "class_id", "grade", "sex", "birth_month", "boarding",
        "category:left_behind", "category:poverty",
        "home_visit", "home_visit:count", "home_visit:minutes", "home_visit:history",
        "lecture", "lecture:count", "lecture:minutes", "lecture:history", "lecture:invited",
        "math", "math@baseline", "math@baseline:reason",
        "absences", "absences@baseline", "absences@baseline:reason",
        "belonging", "belonging@baseline", "belonging@baseline:reason", "trust@baseline",
    }  # fmt: skip
    assert set(panel.frame["term"]) == {"t2"}


def test_build_panel_leaves_its_inputs_alone():
    frames = _frames(
        enrolments=_enrolled("a", "b"),
        contacts=[_contact("a", "2025-03-10")],
        logs=_log(CLASS["S1"]),
        outcomes=[_mark("a", 90.0), _mark("b", 80.0)],
    )
    before = {name: frame.copy() for name, frame in frames.items()}
    study = _study()
    build_panel(study, study.term("t2"), frames)
    for name, frame in frames.items():
        pd.testing.assert_frame_equal(frame, before[name])


# ---- categories ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("valid_from", "valid_to", "term", "held"),
    [
        ("2024-09-01", None, "t2", True),
        ("2025-03-03", None, "t2", True),
        ("2025-03-04", None, "t2", False),  # found out after the landmark, perhaps by a visit
        ("2024-09-01", "2025-03-02", "t2", False),
        ("2024-09-01", "2025-03-03", "t2", True),
        ("2024-09-01", None, "t1", False),  # the list of another term
    ],
)
def test_a_category_counts_if_it_was_held_on_the_landmark(valid_from, valid_to, term, held):
    memberships = [
        {
            "student": "a",
            "term": term,
            "category": "left_behind",
            "valid_from": valid_from,
            "valid_to": valid_to,
        }
    ]
    panel = _panel(enrolments=_enrolled("a", "b"), memberships=memberships)
    assert _by_student(panel, "category:left_behind") == {"a": held, "b": False}
    assert _by_student(panel, "category:poverty") == {"a": False, "b": False}


def test_categories_may_overlap():
    memberships = [{"student": "a", "term": "t2", "category": each} for each in ("left_behind", "poverty")]
    panel = _panel(enrolments=_enrolled("a"), memberships=memberships)
    assert _by_student(panel, "category:left_behind") == _by_student(panel, "category:poverty") == {"a": True}


# ---- standardised outcomes ----------------------------------------------------------------------------


def test_marks_are_standardised_within_school_and_grade_and_lone_children_have_none():
    enrolments = pd.concat(
        [
            _enrolled("a", "b", "c"),
            _enrolled("d", "e", school="S2"),
            _enrolled("f", grade=4),
            _enrolled("g", "h", grade=5),
            _enrolled("i"),
        ]
    )
    outcomes = [
        *[_mark(student, value) for student, value in zip("abc", (60.0, 70.0, 80.0), strict=True)],
        *[_mark(student, value) for student, value in zip("de", (90.0, 100.0), strict=True)],
        _mark("f", 55.0),
        *[_mark(student, 77.0) for student in "gh"],
        _mark("i", None, missing_reason="absent"),
    ]
    z = _by_student(_panel(enrolments=enrolments, outcomes=outcomes), "math")
    # a, b, c: mean 70, SD 10 (ddof 1). d, e: mean 95, SD 7.0711.
    assert [z[student] for student in "abc"] == pytest.approx([-1, 0, 1])
    assert [z[student] for student in "de"] == pytest.approx([-0.70711, 0.70711], abs=5e-6)
    assert [z[student] for student in "fghi"] == [None, None, None, None]


def test_marks_of_another_term_never_enter_the_standard():
    outcomes = [_mark("a", 60.0), _mark("b", 80.0), _mark("a", 0.0, "t1"), _mark("b", 1.0, "t1")]
    enrolments = pd.concat([_enrolled("a", "b"), _enrolled("a", "b", term="t1")])
    z = _by_student(_panel(enrolments=enrolments, outcomes=outcomes), "math")
    assert z == pytest.approx({"a": -0.70711, "b": 0.70711}, abs=5e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_mark_is_standardised_with_the_paper_of_the_school_attended_at_the_exam(reverse):
    enrolments = pd.concat(
        [
            _enrolled("a", "b", "c"),
            _enrolled("d", "e", school="S2"),
            _enrolled("m", valid_from="2025-02-17", valid_to="2025-02-28"),
            _enrolled("m", school="S2", status="transferred_in", valid_from="2025-03-01"),
        ]
    )
    outcomes = [
        *[_mark(student, value) for student, value in zip("abc", (60.0, 70.0, 80.0), strict=True)],
        *[_mark(student, value) for student, value in zip("dem", (80.0, 90.0, 100.0), strict=True)],
    ]
    order = slice(None, None, -1 if reverse else 1)
    z = _by_student(_panel(enrolments=enrolments.iloc[order], outcomes=outcomes), "math")
    assert z == pytest.approx({"a": -1, "b": 0, "c": 1, "d": -1, "e": 0, "m": 1})


@pytest.mark.parametrize("left", [None, "2025-03-01", "2025-06-01"])
def test_a_leavers_old_row_does_not_decide_whose_paper_was_sat(left):
    enrolments = pd.concat(
        [
            _enrolled("a", "b", "c"),
            _enrolled("d", "e", school="S2"),
            _enrolled("m", status="transferred_out", valid_from=left),
            _enrolled("m", school="S2", status="transferred_in"),
        ]
    )
    outcomes = [
        _mark(student, float(value)) for student, value in zip("abcdem", range(60, 120, 10), strict=True)
    ]
    panel = _panel(enrolments=enrolments, outcomes=outcomes)
    assert _by_student(panel, "school")["m"] == "S2"
    assert _by_student(panel, "math") == pytest.approx({"a": -1, "b": 0, "c": 1, "d": -1, "e": 0, "m": 1})


def test_outcomes_that_are_not_standardised_keep_their_units():
    outcomes = [_mark("a", 3.0, measure="absences"), _mark("b", 0.0, measure="absences")]
    scores = [{"student": "a", "term": "t2", "scale": "belonging", "score": 4.5, "measured_on": "2025-06-20"}]
    panel = _panel(enrolments=_enrolled("a", "b"), outcomes=outcomes, scores=pd.DataFrame(scores))
    assert _by_student(panel, "absences") == {"a": 3, "b": 0}
    assert _by_student(panel, "belonging") == {"a": 4.5, "b": None}


def test_a_common_test_is_standardised_over_the_whole_district():
    text = STUDY_FILE.replace(
        'test = "school"\nstandardise = ["school", "grade", "term"]', 'standardise = ["term"]'
    )
    panel = _panel(
        study=study_from(tomllib.loads(text), Path("small")),
        enrolments=pd.concat([_enrolled("a", "b"), _enrolled("c", school="S2")]),
        outcomes=[_mark("a", 60.0), _mark("b", 70.0), _mark("c", 80.0)],
    )
    assert _by_student(panel, "math") == pytest.approx({"a": -1, "b": 0, "c": 1})


# ---- baselines ----------------------------------------------------------------------------------------


def test_the_baseline_is_the_term_before_in_its_own_cells_across_promotion_and_a_change_of_school():
    enrolments = pd.concat(
        [
            _enrolled("a", "b", "c", term="t2", grade=3),
            _enrolled("d", "e", term="t2", grade=3, school="S2"),
            _enrolled("a", "b", term="t3", grade=4),
            _enrolled("c", "d", "e", term="t3", grade=4, school="S2"),
        ]
    )
    outcomes = [
        *[_mark(student, value) for student, value in zip("abc", (60.0, 70.0, 80.0), strict=True)],
        *[_mark(student, value) for student, value in zip("de", (10.0, 20.0), strict=True)],
        *[
            _mark(student, value, "t3")
            for student, value in zip("abcde", (1.0, 3.0, 5.0, 6.0, 7.0), strict=True)
        ],
        *[
            _mark(student, value, "t1")
            for student, value in zip("abcde", (9.0, 8.0, 7.0, 6.0, 5.0), strict=True)
        ],
    ]
    panel = _panel("t3", enrolments=enrolments, outcomes=outcomes)
    baseline = _by_student(panel, "math@baseline")
    assert baseline == pytest.approx({"a": -1, "b": 0, "c": 1, "d": -0.70711, "e": 0.70711}, abs=5e-6)
    now = _by_student(panel, "math")
    assert now == pytest.approx({"a": -0.70711, "b": 0.70711, "c": -1, "d": 0, "e": 1}, abs=5e-6)


def test_why_a_baseline_is_missing_is_kept():
    enrolments = pd.concat(
        [
            _enrolled("first", term="t3", grade=1),
            _enrolled("seventh", term="t3", grade=7),
            _enrolled("sick", "freed", "new", "well", "mate", term="t3", grade=4),
            _enrolled("sick", "freed", "well", "mate", term="t2", grade=3),
        ]
    )
    outcomes = [
        _mark("sick", None, missing_reason="absent"),
        _mark("freed", None, missing_reason="exempt"),
        _mark("well", 80.0),
        _mark("mate", 90.0),
    ]
    panel = _panel("t3", enrolments=enrolments, outcomes=outcomes)
    assert _by_student(panel, "math@baseline:reason") == {
        "first": "entry_grade",
        "seventh": "entry_grade",
        "sick": "absent",
        "freed": "exempt",
        "new": "not_measured",
        "well": None,
        "mate": None,
    }
    assert panel.frame.set_index("student")["math@baseline"].notna().sum() == 2


def test_in_spring_grade_one_is_no_entry_grade_and_the_first_term_has_no_baseline():
    spring = _panel("t2", enrolments=_enrolled("a", grade=1))
    assert _by_student(spring, "math@baseline:reason") == {"a": "not_measured"}
    autumn = _panel(
        "t1", enrolments=pd.concat([_enrolled("a", term="t1", grade=1), _enrolled("b", term="t1")])
    )
    assert _by_student(autumn, "math@baseline:reason") == {"a": "entry_grade", "b": "not_measured"}
    assert autumn.frame["math@baseline"].isna().all()


def test_a_scale_that_is_no_outcome_has_a_baseline_all_the_same():
    scores = pd.DataFrame(
        [
            {"student": "a", "term": "t1", "scale": "trust", "score": 4.0, "measured_on": "2025-01-08"},
            {"student": "a", "term": "t2", "scale": "trust", "score": 1.0, "measured_on": "2025-06-20"},
        ]
    )
    panel = _panel(enrolments=_enrolled("a", "b"), scores=scores)
    assert _by_student(panel, "trust@baseline") == {"a": 4.0, "b": None}
    assert "trust" not in panel.frame


# ---- time order ---------------------------------------------------------------------------------------


def _district() -> dict:
    """Two classes with marks in two terms and everything that effect 0 of the study adjusts for."""
    enrolments = pd.concat(
        [_enrolled("a", "b", "c", term=term) for term in ("t1", "t2")]
        + [_enrolled("d", "e", term=term, school="S2") for term in ("t1", "t2")]
    )
    return {
        "enrolments": enrolments,
        "contacts": [_contact("a", "2025-03-10")],
        "logs": _log(*CLASS.values()),
        "outcomes": [_mark(s, float(i), term) for term in ("t1", "t2") for i, s in enumerate("abcde")],
        "scores": pd.DataFrame(
            [
                {"student": s, "term": term, "scale": scale, "score": 3.0, "measured_on": day}
                for s in "abcde"
                for scale in ("trust", "belonging")
                for term, day in (("t1", "2025-01-08"), ("t2", "2025-06-20"))
            ]
        ),
    }


def test_everything_that_a_declared_effect_adjusts_for_has_a_date_on_or_before_the_landmark():
    study = _study()
    panel = _panel(study=study, **_district())
    columns = covariate_columns(study, study.effects[0])
    assert columns == (
        "math@baseline",
        "trust@baseline",
        "category:left_behind",
        "category:poverty",
        "sex",
        "boarding",
        "home_visit:history",
    )
    check_time_order(panel, columns, "math", dates_required=True)
    dates = panel.measured.set_index("column")
    assert dates.loc["math@baseline", "last_on"] == pd.Timestamp("2025-01-10")
    assert dates.loc["math", "first_on"] == pd.Timestamp("2025-06-25")
    assert dates.loc["trust@baseline", "n_measured"] == 5
    assert panel.measured["column"].is_unique


def test_a_covariate_measured_after_the_landmark_is_refused_with_both_dates_named():
    district = _district()
    district["scores"].loc[district["scores"]["term"] == "t1", "measured_on"] = "2025-03-04"
    panel = _panel(**district)
    with pytest.raises(TimeOrderError) as caught:
        check_time_order(panel, ["math@baseline", "trust@baseline"], "math", dates_required=True)
    for text in (caught.value.en, caught.value.zh):
        assert "trust@baseline (2025-03-04)" in text
        assert "2025-03-03" in text
        assert "replication_only" in text
        assert "math@baseline" not in text


def test_one_late_answer_is_enough_to_refuse_a_covariate_and_one_on_the_landmark_is_not():
    district = _district()
    first = district["scores"].index[
        (district["scores"]["scale"] == "trust") & (district["scores"]["term"] == "t1")
    ][0]
    district["scores"].loc[first, "measured_on"] = "2025-03-03"
    check_time_order(_panel(**district), ["trust@baseline"], "math", dates_required=True)
    district["scores"].loc[first, "measured_on"] = "2025-03-04"
    with pytest.raises(TimeOrderError, match="2025-03-04"):
        check_time_order(_panel(**district), ["trust@baseline"], "math", dates_required=True)


def test_an_outcome_of_this_term_is_refused_as_a_covariate():
    with pytest.raises(TimeOrderError, match=r"belonging \(2025-06-20\).*after the landmark 2025-03-03"):
        check_time_order(_panel(**_district()), ["belonging"], "math", dates_required=True)


def test_a_covariate_with_values_but_no_date_is_refused_where_dates_are_required():
    district = _district()
    district["scores"].loc[district["scores"].index[0], "measured_on"] = None
    panel = _panel(**district)
    columns = ["trust@baseline", "math@baseline", "home_visit:count"]
    with pytest.raises(TimeOrderError) as caught:
        check_time_order(panel, columns, "math", dates_required=True)
    for text in (caught.value.en, caught.value.zh):
        assert "trust@baseline, home_visit:count" in text
        assert "2025-03-03" in text
        assert "math@baseline" not in text
    check_time_order(panel, columns, "math", dates_required=False)


@pytest.mark.parametrize(("day", "fine"), [("2025-05-30", False), ("2025-05-31", True)])
def test_an_outcome_measured_within_the_exposure_window_is_refused_with_both_dates_named(day, fine):
    district = _district()
    now = (district["scores"]["term"] == "t2") & (district["scores"]["scale"] == "belonging")
    district["scores"].loc[now, "measured_on"] = day
    panel = _panel(**district)
    if fine:
        check_time_order(panel, ["math@baseline"], "belonging", dates_required=True)
        return
    with pytest.raises(TimeOrderError) as caught:
        check_time_order(panel, ["math@baseline"], "belonging", dates_required=True)
    for text in (caught.value.en, caught.value.zh):
        assert "belonging" in text
        assert "2025-05-30" in text
        assert "exposure_end" in text


def test_a_mark_that_nobody_got_has_no_date():
    district = _district()
    district["outcomes"] = [_mark(student, None, "t1", missing_reason="absent") for student in "abcde"]
    dates = _panel(**district).measured.set_index("column")
    assert dates.loc["math@baseline", "n_measured"] == 0
    assert pd.isna(dates.loc["math@baseline", "last_on"])


# ---- what happens later changes nothing before --------------------------------------------------------


def _random_district(seed: int) -> dict[str, pd.DataFrame]:
    """Four classes of two schools over three terms with everything ragged, from a seed."""
    rng = np.random.default_rng(seed)
    classes = [("S1", "S1-2022-1", 3), ("S1", "S1-2022-2", 3), ("S2", "S2-2022-1", 3), ("S2", "S2-2021-1", 4)]
    students = [f"p{number:02d}" for number in range(24)]
    enrolments, outcomes, contacts, memberships, scores = [], [], [], [], []
    for number, student in enumerate(students):
        for step, term in enumerate(("t1", "t2", "t3")):
            school, class_id, grade = classes[number % 4]
            if rng.random() < 0.1:
                continue
            row = {"student": student, "term": term, "boarding": bool(rng.random() < 0.3)}
            row |= {"grade": grade + (step == 2), "status": rng.choice(["enrolled"] * 9 + ["suspended"])}
            enrolments.append(row | {"school": school, "class_id": class_id})
            if rng.random() < 0.1:
                moved = {"school": "S2", "class_id": "S2-2022-1", "valid_from": "2025-05-01"}
                enrolments.append(row | moved | {"status": "transferred_in"})
            value = None if rng.random() < 0.1 else float(rng.normal(70, 12))
            outcomes.append(_mark(student, value, term))
            outcomes.append(_mark(student, float(rng.poisson(2)), term, "absences"))
            score = {"student": student, "term": term, "scale": "belonging", "score": rng.integers(4, 20) / 4}
            scores.append(score | {"measured_on": EXAM[term]})
            for _ in range(rng.poisson(1.2)):
                day = pd.Timestamp("2024-09-02") + pd.Timedelta(int(rng.integers(0, 500)), "D")
                mode, trigger = (
                    rng.choice(["at_home", "phone"]),
                    rng.choice(["routine", "targeted", "urgent"]),
                )
                minutes = float(rng.normal(40, 10))
                contacts.append(
                    _contact(student, f"{day:%Y-%m-%d}", mode, trigger, term=term, minutes=minutes)
                )
            if rng.random() < 0.3:
                memberships.append({"student": student, "term": term, "category": "poverty"})
    frames = _frames(
        enrolments=pd.DataFrame(enrolments),
        students=pd.DataFrame(
            [
                {
                    "student": each,
                    "term": term,
                    "sex": "f" if i % 2 else "m",
                    "birth_month": f"2014-{i % 12 + 1:02d}",
                }
                for i, each in enumerate(students)
                for term in ("t1", "t2", "t3")
            ]
        ),
        outcomes=outcomes,
        contacts=contacts,
        memberships=memberships,
        logs=pd.concat(
            [_log("S1-2022-1", "S2-2022-1", "S2-2021-1", term=term) for term in ("t1", "t2", "t3")]
        ),
        scores=pd.DataFrame(scores),
    )
    return frames


def _after_renaming(
    frames: Mapping[str, pd.DataFrame], names: Mapping[str, str], seed: int
) -> dict[str, pd.DataFrame]:
    shuffled = {}
    for i, (name, frame) in enumerate(frames.items()):
        mixed = frame.sample(frac=1, random_state=seed + i).reset_index(drop=True)
        shuffled[name] = mixed.assign(student=mixed["student"].map(names)) if "student" in mixed else mixed
    return shuffled


@given(seed=st.integers(0, 2**16), names=st.permutations([f"p{number:02d}" for number in range(24)]))
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a district doesn't shrink to anything smaller
)
def test_other_pseudonyms_and_another_order_of_rows_give_the_same_panel(seed, names):
    study = _study()
    renamed = dict(zip([f"p{number:02d}" for number in range(24)], names, strict=True))
    frames = _random_district(seed)
    one = build_panel(study, study.term("t3"), frames)
    other = build_panel(study, study.term("t3"), _after_renaming(frames, renamed, seed))
    pd.testing.assert_frame_equal(
        one.frame.drop(columns="student"), other.frame.drop(columns="student"), check_exact=True
    )
    assert other.frame["student"].tolist() == [renamed[student] for student in one.frame["student"]]
    pd.testing.assert_frame_equal(one.measured, other.measured)
    pd.testing.assert_frame_equal(one.flow, other.flow)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_recorded_after_the_exposure_window_changes_no_exposure(seed):
    study = _study()
    frames = _random_district(seed)
    term = study.term("t2")
    earlier = frames["contacts"][frames["contacts"]["date"] <= pd.Timestamp(term.exposure_end)]
    assert len(earlier) < len(frames["contacts"])
    one = build_panel(study, term, frames)
    other = build_panel(study, term, frames | {"contacts": earlier.reset_index(drop=True)})
    pd.testing.assert_frame_equal(one.frame, other.frame)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_recorded_after_the_landmark_changes_no_covariate(seed):
    study = _study()
    frames = _random_district(seed)
    term = study.term("t2")
    landmark = pd.Timestamp(term.landmark)
    later = {
        "contacts": frames["contacts"][frames["contacts"]["date"] <= landmark].reset_index(drop=True),
        "outcomes": frames["outcomes"][frames["outcomes"]["measured_on"] <= landmark].reset_index(drop=True),
        "scores": frames["scores"][frames["scores"]["measured_on"] <= landmark].reset_index(drop=True),
    }
    assert all(len(later[name]) < len(frames[name]) for name in later)
    covariates = ["student", *covariate_columns(study, study.effects[0]), "school", "class_id", "grade"]
    one = build_panel(study, term, frames).frame[covariates].sort_values("student", ignore_index=True)
    other = (
        build_panel(study, term, frames | later).frame[covariates].sort_values("student", ignore_index=True)
    )
    pd.testing.assert_frame_equal(one, other)


def test_content_order_does_not_depend_on_the_index_or_the_pseudonyms():
    frame = pd.DataFrame(
        {
            "student": ["x", "y", "z"],
            "school": ["S2", "S1", "S1"],
            "class_id": ["c", "b", "a"],
            "v": [1.0, 2.0, None],
        }
    )
    wanted = frame.iloc[[2, 1, 0]].reset_index(drop=True)
    pd.testing.assert_frame_equal(in_content_order(frame), wanted)
    pd.testing.assert_frame_equal(in_content_order(frame.set_axis([9, 0, 4])), wanted)
    alike = frame.assign(school="S1", class_id="a", v=[3.0, 1.0, 2.0])
    for names in (["x", "y", "z"], ["z", "y", "x"], ["y", "z", "x"]):
        assert in_content_order(alike.assign(student=names))["v"].tolist() == [1.0, 2.0, 3.0]


# ---- a study of one table -----------------------------------------------------------------------------

TRIAL = """
[study]
id = "trial"
label = "trial"
[[terms]]
id = "only"
start = 1985-01-01
landmark = 1985-07-01
exposure_end = 1988-06-30
exam = 1988-12-31
end = 1988-12-31
[[sources]]
table = "panel"
files = "data/raw/{term}/all.csv"
key = ["id"]
[sources.measured]
1985-07-01 = ["age", "site"]
1986-01-01 = ["mood"]
1988-12-31 = ["iq"]
[treatments.visits]
label = "visits"
from = "panel"
levels = [{id = "weekly", where = "arm = 'T' and dose > 40"}, {id = "some", where = "arm = 'T'"}]
reference = "usual_care"
reference_where = "arm = 'C'"
[outcomes.score]
label = "score"
column = "iq"
[outcomes.z]
label = "z"
column = "iq"
standardise = ["school", "term"]
"""


def _trial(text: str = TRIAL) -> Study:
    return study_from(tomllib.loads(text), Path("trial"))


def _trial_rows() -> pd.DataFrame:
    return _rows(
        "id arm dose iq age site mood school term",
        (1, "T", 50.0, 100, 20.0, "a", 1.0, "S1", "only"),
        (2, "T", 10.0, 90, 21.0, "a", 2.0, "S1", "only"),
        (3, "C", None, 80, 22.0, "b", 3.0, "S1", "only"),
        (4, None, None, 95, 23.0, "b", 4.0, "S2", "only"),
        (5, "C", None, 105, None, "b", 4.0, "S2", "only"),
    )


def _trial_panel(text: str = TRIAL, rows: pd.DataFrame | None = None) -> Panel:
    study = _trial(text)
    return panel_from_source(study, study.terms[0], study.sources[0], _trial_rows() if rows is None else rows)


def test_in_a_study_of_one_table_the_reference_is_what_reference_where_says_and_nobody_else():
    panel = _trial_panel()
    levels = panel.frame.set_index("id")["visits"]
    assert levels.drop(4).to_dict() == {1: "weekly", 2: "some", 3: "usual_care", 5: "usual_care"}
    assert pd.isna(levels[4])
    assert set(panel.frame["term"]) == {"only"}
    assert panel.flow.values.tolist() == [["rows_read", 5]]


def test_in_a_study_of_one_table_outcomes_come_from_their_columns_and_are_standardised_as_declared():
    frame = _trial_panel().frame.set_index("id")
    assert frame["score"].to_dict() == {1: 100, 2: 90, 3: 80, 4: 95, 5: 105}
    assert frame["z"].to_dict() == pytest.approx({1: 1, 2: 0, 3: -1, 4: -0.70711, 5: 0.70711}, abs=5e-6)


def test_without_reference_where_a_study_of_one_table_is_refused():
    with pytest.raises(StudyFileError) as caught:
        _trial_panel(TRIAL.replace("reference_where = \"arm = 'C'\"\n", ""))
    for text in (caught.value.en, caught.value.zh):
        assert "treatments.visits.reference_where" in text


def test_an_outcome_column_that_the_table_lacks_is_named_with_those_it_has():
    with pytest.raises(StudyFileError) as caught:
        _trial_panel(rows=_trial_rows().drop(columns="iq"))
    assert "outcomes.score.column = 'iq'" in caught.value.en
    assert "arm, dose" in caught.value.en
    assert "outcomes.score.column" in caught.value.zh


def test_in_a_study_of_one_table_undated_and_late_covariates_are_refused():
    panel = _trial_panel()
    check_time_order(panel, ["age", "site"], "score", dates_required=True)
    with pytest.raises(TimeOrderError, match="without a date of measurement: dose"):
        check_time_order(panel, ["age", "dose"], "score", dates_required=True)
    with pytest.raises(TimeOrderError, match=r"mood \(1986-01-01\) measured after the landmark 1985-07-01"):
        check_time_order(panel, ["age", "mood"], "score", dates_required=True)
    with pytest.raises(TimeOrderError, match="without a date of measurement: no_such_column"):
        check_time_order(panel, ["no_such_column"], "score", dates_required=True)


def test_the_date_of_a_column_is_the_date_of_every_outcome_made_from_it():
    panel = _trial_panel(TRIAL.replace('1988-12-31 = ["iq"]', '1988-06-30 = ["iq"]'))
    for outcome in ("score", "z"):
        with pytest.raises(TimeOrderError, match=f"outcome {outcome} was measured from 1988-06-30"):
            check_time_order(panel, ["age"], outcome, dates_required=True)
        with pytest.raises(TimeOrderError, match="post-treatment"):
            check_time_order(panel, [outcome], "score", dates_required=True)


def test_a_study_of_one_table_is_in_the_same_order_however_its_rows_come():
    one = _trial_panel().frame
    other = _trial_panel(rows=_trial_rows().sample(frac=1, random_state=3)).frame
    pd.testing.assert_frame_equal(one, other)


def test_levels_stay_with_their_rows_in_a_table_larger_than_one_duckdb_vector_group():
    n = 150_000
    arm = np.where(np.random.default_rng(0).random(n) < 0.5, "T", "C")
    rows = pd.DataFrame({"arm": arm, "dose": 0.0, "iq": np.arange(n), "school": "S1"})
    text = TRIAL.replace('[outcomes.z]\nlabel = "z"\ncolumn = "iq"\nstandardise = ["school", "term"]\n', "")
    frame = _trial_panel(text, rows).frame
    assert len(frame) == n
    assert (frame["visits"] == frame["arm"].map({"T": "some", "C": "usual_care"})).all()


# ---- names --------------------------------------------------------------------------------------------


def test_class_is_the_panels_class_id_and_other_names_are_themselves():
    assert panel_column("class") == "class_id"
    assert panel_column("math@baseline") == "math@baseline"


def test_a_covariate_named_twice_is_used_once():
    study = _study()
    effect = replace(study.effects[0], adjust=("category:poverty", "category:*", "sex", "sex"))
    assert covariate_columns(study, effect) == ("category:poverty", "category:left_behind", "sex")


def test_history_is_missing_where_the_log_of_an_earlier_class_never_came():
    panel = _panel(
        enrolments=pd.concat(
            [_enrolled("a", term="t1"), _enrolled("b", term="t1", school="S2"), _enrolled("a", "b", "n")]
        ),
        contacts=[_contact("a", "2024-10-10", term="t1")],
        logs=pd.concat([_log(CLASS["S1"], term="t1"), _log(CLASS["S1"])]),
    )
    assert _by_student(panel, "home_visit:history") == {"a": 1, "b": None, "n": 0}
