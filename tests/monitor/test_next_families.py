"""Claims about whom a class teacher sees next: agreed things first, then who was never seen, no claim about a child."""

from __future__ import annotations

from datetime import date

import pandas as pd

from cobench.monitor.next_families import follow_ups, next_families
from cobench.tables import TABLES, conform

from .case_table import study

TERM = study().term("t1")


def _frames(contacts: list[dict], key: tuple[str, ...] = ()) -> dict[str, pd.DataFrame]:
    roster = [{"student": s, "term": "t1", "class_id": "A1", "status": "enrolled"} for s in "abcdef"]
    roster.append({"student": "gone", "term": "t1", "class_id": "A1", "status": "transferred_out"})
    rows = {
        "enrolments": roster,
        "contacts": [{"term": "t1", "school": "A", "mode": "at_home"} | row for row in contacts],
        "memberships": [{"student": s, "term": "t1", "category": "poverty"} for s in key],
    }
    return {name: conform(name, pd.DataFrame(rows.get(name, []))) for name in TABLES}


def _order(
    contacts: list[dict], key: tuple[str, ...] = (), as_of: date = date(2025, 12, 1)
) -> list[tuple[str, str]]:
    rows = next_families(study(), TERM, _frames(contacts, key), as_of)
    return list(zip(rows["student"], rows["reason"], strict=True))


def test_overdue_agreements_come_first_then_key_students_then_who_was_never_reached():
    contacts = [
        {"student": "a", "date": "2025-09-10"},
        {"student": "b", "date": "2025-10-10", "mode": "phone"},
        {"student": "c", "date": "2025-10-11", "follow_up_due": "2025-10-20"},
        {"student": "d", "date": "2025-09-20", "follow_up_due": "2025-10-01", "follow_up_done": "2025-10-02"},
        {"student": "e", "date": "2025-10-12", "mode": "phone"},
    ]
    assert _order(contacts, key=("e",)) == [
        ("c", "overdue"),
        ("e", "key_not_visited"),
        ("f", "never_reached"),
        ("b", "remote_only"),
        ("a", "longest_ago"),
        ("d", "longest_ago"),
    ]


def test_the_oldest_agreement_comes_first_and_one_not_due_yet_is_not_overdue():
    contacts = [
        {"student": s, "date": "2025-09-10", "follow_up_due": due}
        for s, due in zip("abc", ("2025-11-20", "2025-11-01", "2025-12-20"), strict=True)
    ]
    order = _order(contacts)
    assert order[:2] == [("b", "overdue"), ("a", "overdue")]
    assert dict(order)["c"] == "longest_ago"


def test_what_happens_after_the_day_of_the_list_is_not_known_yet():
    contacts = [
        {"student": "a", "date": "2025-09-10", "follow_up_due": "2025-10-01", "follow_up_done": "2025-12-24"},
        {"student": "b", "date": "2025-12-20"},
    ]
    found = dict(_order(contacts))
    assert (found["a"], found["b"]) == ("overdue", "never_reached")


def test_a_child_who_left_is_not_on_the_list():
    assert "gone" not in dict(_order([]))


def test_follow_ups_add_up_by_school():
    contacts = [
        {"student": "a", "date": "2025-09-10", "follow_up_due": "2025-10-01", "follow_up_done": "2025-10-01"},
        {"student": "b", "date": "2025-09-10", "follow_up_due": "2025-10-01", "follow_up_done": "2025-10-05"},
        {"student": "c", "date": "2025-09-10", "follow_up_due": "2025-10-01"},
        {"student": "d", "date": "2025-09-10", "follow_up_due": "2025-12-24"},
        {"student": "e", "date": "2025-09-10"},
    ]
    row = follow_ups(TERM, _frames(contacts)["contacts"], date(2025, 12, 1)).iloc[0]
    counts = ("n_agreed", "n_done", "n_done_late", "n_overdue", "n_open")
    assert [int(row[name]) for name in counts] == [4, 2, 1, 1, 1]
