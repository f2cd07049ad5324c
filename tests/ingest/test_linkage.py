from __future__ import annotations

import pandas as pd

from cobench.ingest.linkage import link, match_report, roster_index

KEYS = {"term": "t", "school": "S01", "class_id": "S01-2022-1"}


def roster(*children: tuple[str, str | None]) -> pd.DataFrame:
    rows = pd.DataFrame([{**KEYS, "name": name, "student": student} for name, student in children])
    return rows.astype("object").where(rows.notna(), None)


def rows(*names: str, **other: str) -> pd.DataFrame:
    return pd.DataFrame([{**KEYS, **other, "name_key": name} for name in names])


def test_a_name_that_is_unique_in_its_class_is_linked():
    found = link(rows("赵一"), roster_index(roster(("赵一", "s_1"), ("钱二", "s_2"))))
    assert found.loc[0, ["student", "by"]].tolist() == ["s_1", "name"]
    assert found["rule"].isna().all()


def test_namesakes_are_never_picked():
    found = link(rows("赵一"), roster_index(roster(("赵一", "s_1"), ("赵一", "s_2"))))
    assert found.loc[0, "rule"] == "ambiguous_student" and pd.isna(found.loc[0, "student"])


def test_a_name_is_never_found_inside_another():
    found = link(rows("赵", "赵一二", "一"), roster_index(roster(("赵一", "s_1"))))
    assert found["rule"].tolist() == ["unknown_student"] * 3


def test_a_namesake_in_quarantine_keeps_the_name_taken():
    found = link(rows("赵一"), roster_index(roster(("赵一", "s_1"), ("赵一", None))))
    assert found.loc[0, "rule"] == "ambiguous_student"


def test_a_child_in_quarantine_is_said_to_be_there():
    found = link(rows("赵一"), roster_index(roster(("赵一", None), ("钱二", "s_2"))))
    assert found.loc[0, "rule"] == "student_in_quarantine"


def test_class_school_and_term_all_count():
    index = roster_index(roster(("赵一", "s_1")))
    for other in ({"class_id": "S01-2022-2"}, {"school": "S02"}, {"term": "u"}):
        assert link(rows("赵一", **other), index).loc[0, "rule"] == "unknown_student"


def test_a_student_number_comes_before_the_name():
    index = roster_index(roster(("赵一", "s_1"), ("赵一", "s_2")))
    found = link(rows("赵一", "赵一"), index, pd.Series(["s_2", None]))
    assert found["student"].tolist()[0] == "s_2" and found["by"].tolist()[0] == "number"
    assert found.loc[1, "rule"] == "ambiguous_student"


def test_one_child_listed_twice_is_one_child():
    found = link(rows("赵一"), roster_index(roster(("赵一", "s_1"), ("赵·一", "s_1"))))
    assert found.loc[0, "student"] == "s_1"


def test_an_empty_roster_links_nothing():
    index = roster_index(roster(("赵一", "s_1")).iloc[:0])
    assert link(rows("赵一"), index)["rule"].tolist() == ["unknown_student"]


def test_the_match_report_adds_up():
    linked = pd.DataFrame({"term": "t", "school": ["S01", "S01", "S02"], "by": ["name", None, "number"]})
    report = match_report(linked, "responses", "parent").set_index("school")
    assert report.loc["S01", ["n_rows", "n_linked", "n_by_name", "n_unlinked"]].tolist() == [2, 1, 1, 1]
    assert report.loc["S02", ["n_rows", "n_linked", "n_by_number", "n_unlinked"]].tolist() == [1, 1, 1, 0]
