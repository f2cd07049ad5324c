"""Claims about who answered: students on the roll who were asked, once each, and every answer by what became of it."""

from __future__ import annotations

import pandas as pd

from cobench.measures.answered import ANSWERED, ITEMS, answered, items

SCHOOLS = pd.DataFrame({"school": ["P", "J"], "stage": ["primary", "junior"]})
ROLL = pd.DataFrame(
    [
        ("a", "P", 3, "enrolled"),
        ("b", "P", 4, "enrolled"),
        ("b", "P", 4, "transferred_in"),
        ("c", "P", 5, "transferred_in"),
        ("gone", "P", 5, "transferred_out"),
        ("d", "J", 7, "enrolled"),
    ],
    columns=["student", "school", "grade", "status"],
)
ASKED = pd.DataFrame(
    [
        ("parents", "parent", "a", 4.0, None),
        ("parents", "parent", "a", None, "blank"),
        ("parents", "parent", "d", None, "skipped"),
        ("students", "student", "b", 1.0, None),
        ("students", "student", "b", 2.0, None),
        ("students", "student", "gone", 2.0, None),
        ("students", "student", "d", None, "blank"),
    ],
    columns=["instrument", "respondent", "student", "value", "missing_reason"],
)


def test_students_on_the_roll_count_once_and_small_children_are_asked_nothing_themselves():
    found = answered(ROLL, SCHOOLS, ASKED)
    assert list(found.columns) == ANSWERED
    assert found.set_index(["instrument", "stage"]).T.to_dict("list") == {
        ("parents", "junior"): [1, 0],
        ("parents", "primary"): [3, 1],
        ("students", "junior"): [1, 0],
        ("students", "primary"): [2, 1],
    }


def test_every_answer_asked_for_is_given_or_missing_for_one_reason():
    found = items(ASKED)
    assert list(found.columns) == ITEMS and found["n"].sum() == len(ASKED)
    assert found.set_index(["instrument", "missing"])["n"].to_dict() == {
        ("parents", "blank"): 1,
        ("parents", "measured"): 1,
        ("parents", "skipped"): 1,
        ("students", "blank"): 1,
        ("students", "measured"): 3,
    }


def test_without_questionnaires_there_are_no_rows():
    assert list(answered(ROLL, SCHOOLS, ASKED.iloc[:0]).columns) == ANSWERED
    assert items(ASKED.iloc[:0]).empty
