"""Claims about coverage: whom the work reached, by what, and what silence may not be taken for."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pandas as pd
import pytest

from cobench.monitor.coverage import (
    REACH,
    coverage_by_week,
    key_papers,
    key_students,
    lectures,
    opinions,
    reach,
)
from cobench.study import Study, study_from
from cobench.tables import TABLES, conform

STUDY_FILE = """
[study]
id = "small"
label = "small"
[[terms]]
id = "t1"
start = 2025-02-17
end = 2025-03-16
[[categories]]
id = "left_behind"
label = "left behind"
source = "list"
[[categories]]
id = "poverty"
label = "poverty"
source = "list"
"""


def _study() -> Study:
    return study_from(tomllib.loads(STUDY_FILE), Path("small"))


def _enrolments() -> pd.DataFrame:
    """School A: a, b in a class with a log, c in one without, x gone; school B: d."""
    rows = [
        ("a", "A", "A-1", "enrolled"),
        ("b", "A", "A-1", "transferred_in"),
        ("c", "A", "A-2", "enrolled"),
        ("x", "A", "A-1", "transferred_out"),
        ("y", "A", "A-1", "suspended"),
        ("d", "B", "B-1", "enrolled"),
    ]
    return pd.DataFrame(rows, columns=["student", "school", "class_id", "status"]).assign(term="t1")


def _logs() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("contacts", "A-1", "t1"),
            ("contacts", "A-2", "t0"),
            ("attendance", "A-2", "t1"),
            ("contacts", "B-1", "t1"),
        ],
        columns=["table", "class_id", "term"],
    )


def _contacts(*rows: tuple) -> pd.DataFrame:
    """Rows of (student, mode, date)."""
    return pd.DataFrame(list(rows), columns=["student", "mode", "date"]).assign(term="t1")


def _frames(**given) -> dict[str, pd.DataFrame]:
    given = {"enrolments": _enrolments(), "logs": _logs()} | given
    return {name: conform(name, given.get(name, pd.DataFrame())) for name in TABLES}


def _reach(contacts: pd.DataFrame, by: tuple[str, ...] = ("school",)) -> pd.DataFrame:
    return reach(_study().terms[0], _frames(contacts=contacts), by)


# ---- reach --------------------------------------------------------------------------------------------


def test_children_are_counted_once_for_each_mode_and_a_call_is_no_home_visit():
    contacts = _contacts(
        ("a", "at_home", "2025-02-20"),
        ("a", "at_home", "2025-03-01"),
        ("a", "phone", "2025-03-02"),
        ("b", "phone", "2025-03-03"),
        ("c", "wechat", "2025-03-03"),
    )
    table = _reach(contacts).set_index("school")
    assert list(table.columns) == REACH
    wanted = {"n_students": 3, "n_with_log": 2, "n_at_home": 1, "n_phone": 2, "n_wechat": 1, "n_video": 0}
    assert table.loc["A", list(wanted)].to_dict() == wanted
    assert table.loc["A", ["n_at_school", "n_any", "n_never"]].tolist() == [0, 3, 0]
    assert table.loc["B", ["n_students", "n_any", "n_never"]].tolist() == [1, 0, 1]


def test_never_reached_counts_only_children_whose_class_sent_its_log():
    table = _reach(_contacts(("a", "phone", "2025-03-01"))).set_index("school")
    # b is never reached; c may have been, nobody knows.
    assert table.loc["A", ["n_students", "n_with_log", "n_any", "n_never"]].tolist() == [3, 2, 1, 1]


def test_without_any_log_nobody_was_never_reached():
    frames = _frames(logs=pd.DataFrame())
    table = reach(_study().terms[0], frames).set_index("school")
    assert table["n_never"].tolist() == [0, 0]
    assert table["n_students"].tolist() == [3, 1]


def test_leavers_other_terms_and_unknown_children_reach_nobody():
    contacts = pd.concat(
        [
            _contacts(
                ("x", "at_home", "2025-03-01"), ("y", "at_home", "2025-03-01"), ("z", "phone", "2025-03-01")
            ),
            _contacts(("a", "at_home", "2024-11-01")).assign(term="t0"),
            _contacts((None, "at_home", "2025-03-01")),
        ]
    )
    table = _reach(contacts)
    assert table["n_any"].sum() == 0
    assert table["n_at_home"].sum() == 0


def test_reach_can_be_told_by_class_and_adds_up_to_the_school():
    contacts = _contacts(("a", "at_home", "2025-02-20"), ("c", "phone", "2025-03-01"))
    classes = _reach(contacts, ("school", "class_id"))
    assert classes[["school", "class_id", "n_any"]].values.tolist() == [
        ["A", "A-1", 1],
        ["A", "A-2", 1],
        ["B", "B-1", 0],
    ]
    pd.testing.assert_frame_equal(
        classes.groupby("school")[REACH].sum(), _reach(contacts).set_index("school")
    )


# ---- over the weeks -----------------------------------------------------------------------------------


def test_coverage_by_week_counts_each_child_from_its_first_contact_on():
    contacts = _contacts(
        ("a", "phone", "2025-02-17"),  # Monday of week 1
        ("a", "at_home", "2025-02-24"),  # Monday of week 2
        ("a", "at_home", "2025-03-11"),
        ("b", "at_home", "2025-03-09"),  # Sunday of week 3
        ("c", "at_home", "2025-02-18"),  # no log of that class
    )
    table = coverage_by_week(_study().terms[0], _frames(contacts=contacts))
    assert table.groupby("mode")["n_reached"].agg(list).to_dict() == {
        "any": [1, 1, 2, 2],
        "at_home": [0, 1, 2, 2],
    }
    assert table["week"].tolist() == [1, 2, 3, 4] * 2
    assert set(table["n_students"]) == {3}


def test_a_contact_in_the_holidays_before_the_term_counts_in_week_one():
    contacts = _contacts(("a", "at_home", "2025-02-10"), ("d", "at_home", "2025-02-23"))
    table = coverage_by_week(_study().terms[0], _frames(contacts=contacts))
    assert table.groupby("mode")["n_reached"].agg(list)["at_home"] == [2, 2, 2, 2]


# ---- lectures -----------------------------------------------------------------------------------------


def _lecture_frames() -> dict[str, pd.DataFrame]:
    events = pd.DataFrame(
        [
            ("e1", "t1", "A", "2025-03-10", "lecture", "screens"),
            ("e2", "t1", "A", "2025-03-01", "lecture", "sleep"),
            ("e3", "t1", "A", "2025-03-02", "parent_meeting", None),
            ("e4", "t0", "A", "2024-11-02", "lecture", "sleep"),
            ("e5", "t1", "B", "2025-03-02", "lecture", "sleep"),
        ],
        columns=["event", "term", "school", "date", "kind", "topic"],
    )
    attendance = pd.DataFrame(
        [
            ("e1", "t1", "a", True, True),
            ("e1", "t1", "b", True, False),
            ("e1", "t1", "c", True, None),
            ("e1", "t1", "d", False, True),
            ("e1", "t1", "y", False, False),
            ("e2", "t1", "a", True, False),
            ("e3", "t1", "a", True, True),
            ("e4", "t0", "a", True, True),
        ],
        columns=["event", "term", "student", "invited", "present"],
    )
    return _frames(events=events, attendance=attendance)


def test_lecture_attendance_is_present_of_invited():
    table = lectures(_study().terms[0], _lecture_frames())
    assert table[["school", "topic", "n_invited", "n_present"]].values.tolist() == [
        ["A", "sleep", 1, 0],
        ["A", "screens", 3, 1],
    ]


def test_a_family_that_came_uninvited_never_lifts_attendance_above_the_invited():
    table = lectures(_study().terms[0], _lecture_frames())
    assert (table["n_present"] <= table["n_invited"]).all()


def test_a_term_without_lectures_has_an_empty_table():
    table = lectures(_study().terms[0], _frames())
    assert table.empty and {"school", "event", "n_invited", "n_present"} <= set(table.columns)


def test_lectures_stand_in_the_order_of_school_and_date():
    assert lectures(_study().terms[0], _lecture_frames())["event"].tolist() == ["e2", "e1"]


# ---- key students -------------------------------------------------------------------------------------


def test_key_students_are_counted_by_category_and_once_in_their_union():
    memberships = pd.DataFrame(
        [
            ("a", "left_behind"),
            ("a", "poverty"),
            ("b", "poverty"),
            ("c", "poverty"),
            ("x", "poverty"),
            ("d", "other"),
        ],
        columns=["student", "category"],
    ).assign(term="t1")
    contacts = _contacts(
        ("a", "at_home", "2025-03-01"), ("b", "phone", "2025-03-01"), ("c", "at_home", "2025-03-01")
    )
    table = key_students(_study(), _study().terms[0], _frames(memberships=memberships, contacts=contacts))
    assert table.values.tolist() == [
        ["left_behind", 1, 1, 1],
        ["poverty", 2, 1, 2],
        ["any", 2, 1, 2],
    ]


@pytest.mark.parametrize("term", ["t0", None])
def test_a_list_of_another_term_makes_no_key_student(term):
    memberships = pd.DataFrame({"student": ["a"], "category": ["poverty"], "term": [term]})
    table = key_students(_study(), _study().terms[0], _frames(memberships=memberships))
    assert table["n_students"].tolist() == [0, 0, 0]


def _papers(
    records: list[dict], contacts: list[dict], memberships: list[dict], term: str = "t1"
) -> pd.DataFrame:
    rows = [{"record": f"r{i}", "term": "t1", **row} for i, row in enumerate(records)]
    visits = [{"term": "t1", "date": "2025-03-01", "mode": "at_home", **row} for row in contacts]
    held = [{"term": "t1", "category": "poverty", **row} for row in memberships]
    given = {"records": rows, "contacts": visits, "memberships": held}
    frames = _frames(**{name: pd.DataFrame(each) for name, each in given.items() if each})
    return key_papers(_study(), _study().term(term), frames).set_index("category")


def test_a_plan_an_archive_a_visit_and_a_follow_up_are_counted_each_for_itself():
    found = _papers(
        [
            {"kind": "plan", "student": "a"},
            {"kind": "plan", "student": "b", "holds": False},  # entered as lacking
            {"kind": "archive", "student": "b", "holds": True},
            {"kind": "plan", "student": "d"},  # no key student
            {"kind": "growth", "student": "b"},
        ],
        [
            {"student": "a", "mode": "phone", "follow_up_due": "2025-03-05"},  # agreed and not done
            {"student": "b", "follow_up_due": "2025-03-05", "follow_up_done": "2025-03-04"},
        ],
        [{"student": "a"}, {"student": "b"}, {"student": "c"}, {"student": "a", "category": "left_behind"}],
    )
    counts = ["n_students", "n_plan", "n_archive", "n_at_home", "n_followed"]
    assert found.loc["poverty", counts].tolist() == [3, 1, 1, 1, 1]
    assert found.loc["left_behind", counts].tolist() == [1, 1, 0, 0, 0]
    # Who stands in two categories is one child of the union, and keeps one plan.
    assert found.loc["any", counts].tolist() == [3, 1, 1, 1, 1]


def test_papers_of_leavers_and_of_an_earlier_school_year_do_not_count():
    found = _papers(
        [{"kind": "plan", "student": "x"}, {"kind": "plan", "student": "a", "term": "t0"}],
        [],
        [{"student": "x"}, {"student": "a"}],
    )
    assert found.loc["poverty", ["n_students", "n_plan"]].tolist() == [1, 0]


# ---- opinions -----------------------------------------------------------------------------------------


def _opinions(*rows: dict) -> pd.DataFrame:
    base = {"kind": "opinion", "school": "A", "term": "t1", "date": "2025-03-03"}
    given = pd.DataFrame([{"record": f"r{i}", **base, **row} for i, row in enumerate(rows)])
    return opinions(_study().terms[0], conform("records", given)).set_index("school")


def test_an_opinion_is_answered_at_once_in_three_days_later_or_not_at_all():
    found = _opinions(
        {"holds": True, "done": "2025-03-03"},
        {"done": "2025-03-03"},
        {"done": "2025-03-06"},
        {"done": "2025-03-07"},
        {},
        {"term": "t0", "done": "2025-03-04"},
        {"kind": "report", "done": "2025-03-04"},
    ).loc["A"]
    counts = ["n_opinions", "n_at_once", "n_in_time", "n_later", "n_unanswered"]
    assert found[counts].tolist() == [5, 1, 2, 1, 1]
    # Days of the three that were answered, but not at once: 0, 3 and 4.
    assert found["median_days"] == 3


def test_a_nil_return_is_a_school_without_opinions_and_silence_is_no_row():
    found = _opinions({"value": 0.0}, {"school": "B", "done": "2025-03-20"})
    assert found.loc["A", ["n_opinions", "n_unanswered"]].tolist() == [0, 0]
    assert pd.isna(found.loc["A", "median_days"])
    assert found.loc["B", ["n_opinions", "n_later"]].tolist() == [1, 1] and "C" not in found.index


def test_a_reply_dated_before_the_opinion_is_no_reply_in_time():
    found = _opinions({"done": "2025-03-01"}).loc["A"]
    assert found[["n_opinions", "n_in_time", "n_later"]].tolist() == [1, 0, 0] and pd.isna(
        found["median_days"]
    )
