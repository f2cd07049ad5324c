"""Figures of school communities, worked by hand on small frames."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cobench.monitor.communities import (
    DISTRICT,
    changed,
    community_frames,
    juried,
    lessons,
    mentoring,
    newest,
    posted,
    progress,
    quotas,
    rated,
    scores,
)
from cobench.study import study_from
from cobench.tables import TABLES, conform, empty

STUDY = """
[study]
id = "small"
label = "small"
[[terms]]
id = "2024-2025-2"
start = 2025-02-17
end = 2025-07-04
[[terms]]
id = "2025-2026-1"
start = 2025-09-01
end = 2026-01-23
[[terms]]
id = "2025-2026-2"
start = 2026-03-02
end = 2026-07-10
[[sources]]
table = "outcomes"
files = "*.xlsx"
school = "column"
columns = {school = "s", student_name = "n"}
measures = {common = "m"}
[outcomes.common]
label = "common"
measure = "common"
test = "common"
"""
OLD, AUTUMN, NOW = "2024-2025-2", "2025-2026-1", "2025-2026-2"
LAST_DAY = date(2026, 7, 10)


@pytest.fixture(scope="module")
def study():
    return study_from(tomllib.loads(STUDY), Path("study.toml"))


def _units() -> pd.DataFrame:
    rows = [
        ("U1", "pair", "A", "lead"), ("U1", "pair", "B", "partner"),
        ("U2", "community", "C", "lead"), ("U2", "community", "D", "member"), ("U2", "community", "E", "member"),
        ("U3", "community", "F", "lead"), ("U3", "community", "G", "member"), ("U3", "community", "H", "member"),
        ("U3", "community", "I", "member"),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["unit", "kind", "school", "role"])


def _tasks(*rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["task", "unit", "kind", "planned", "done", "due", "done_on"])
    return conform("tasks", frame.assign(term=NOW))


def test_progress_is_done_by_the_day_over_planned():
    tasks = _tasks(
        ("1", "U1", "sync_lesson", 1, 1, "2026-03-31", "2026-03-10"),
        ("2", "U1", "sync_lesson", 1, 1, "2026-03-31", "2026-03-31"),
        ("3", "U1", "sync_lesson", 1, 1, "2026-06-30", "2026-07-01"),
        ("4", "U1", "student_exchange", 1, 0, "2026-06-30", None),
        ("5", "U1", "student_exchange", 1, 1, "2026-10-31", "2026-07-09"),
        ("9", "U1", "sync_lesson", 9, 9, "2025-06-30", "2025-06-01"),  # another year's
    )
    found = progress(tasks, _units(), 2026, LAST_DAY)
    assert found["unit"].unique().tolist() == ["U1"]
    assert found["n_done"].tolist() == [2, 2, 4, 4]
    assert found["share"].tolist() == pytest.approx([0.4, 0.4, 0.8, 0.8])
    # Two of five at the end of March is 40 %; two of five at the end of June is behind; autumn is not due yet.
    assert found["status"].tolist() == ["reached", "behind", "not_yet_due", "not_yet_due"]


def test_a_pair_that_lists_no_task_is_no_data_and_never_behind():
    found = progress(empty("tasks"), _units(), 2026, LAST_DAY)
    assert found["status"].tolist() == ["no_data", "no_data", "not_yet_due", "not_yet_due"]
    assert found["share"].isna().all()


def test_quotas_by_kind():
    tasks = _tasks(
        ("1", "U1", "sync_lesson", 10, 6, "2026-10-31", "2026-06-30"),
        ("2", "U1", "online_research", 4, 4, "2026-10-31", "2026-09-30"),  # after the day we look
    )
    found = quotas(tasks, _units(), 2026, LAST_DAY).set_index("kind")
    assert found.loc["sync_lesson", ["n_planned", "n_done", "share"]].tolist() == [10, 6, 0.6]
    assert found.loc["online_research", "n_done"] == 0


def _events(*rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["unit", "kind", "date", "term", "topic"])
    return conform("events", frame.assign(event=[str(i) for i in range(len(frame))]))


def test_lessons_of_the_term_and_of_the_calendar_year(study):
    events = _events(
        ("U1", "sync_lesson", "2026-01-09", AUTUMN, None),
        ("U1", "sync_lesson", "2026-03-09", NOW, None),
        ("U1", "sync_lesson", "2025-11-09", AUTUMN, None),
        ("U1", "mentor_activity", "2026-03-09", NOW, "M1"),
        (None, "lecture", "2026-03-09", NOW, None),
        ("U9", "sync_lesson", "2026-03-09", NOW, None),
    )
    found = lessons(events, _units(), study.term(NOW), LAST_DAY)
    assert found.to_numpy().tolist() == [["U1", "sync_lesson", 1, 2]]


def test_mentoring_counts_pairs_without_any_activity(study):
    pairs = pd.DataFrame(
        {"unit": ["U1"] * 3, "kind": "mentor_pair", "item": ["M1", "M2", "M2"], "term": [OLD, OLD, NOW]}
    )
    pairs = conform("records", pairs.assign(record=["a", "b", "c"]))
    events = _events(*[("U1", "mentor_activity", "2026-03-09", NOW, "M1")] * 5)
    found = mentoring(pairs, events, _units(), study.term(NOW), LAST_DAY)
    assert found.to_numpy().tolist() == [["U1", 2, 1, 5, 0]]


def _postings(*rows) -> pd.DataFrame:
    columns = ["teacher", "unit", "kind", "valid_from", "valid_to", "days", "hours", "n_events", "passed"]
    return conform("postings", pd.DataFrame(rows, columns=columns).assign(term=NOW, to_school="B"))


def test_posted_teachers_and_who_earns_credit():
    year = ("2025-09-01", "2026-07-10")
    none = (None, None, None, None)
    postings = _postings(
        ("t1", "U1", "backbone", *year, 205, *none[1:]),
        ("t2", "U1", "backbone", *year, 150, *none[1:]),
        ("t2", "U1", "backbone", "2024-09-01", "2025-07-04", 50, *none[1:]),  # 200 days over two years
        ("t3", "U1", "backbone", *year, 199, *none[1:]),
        ("t4", "U1", "online", *year, None, 200, None, None),
        ("t5", "U1", "studio", "2024-02-01", "2024-12-01", None, None, 8, True),
        ("t5", "U1", "studio", "2025-02-01", "2025-12-01", None, None, 8, True),
        ("t5", "U1", "studio", "2026-02-01", "2026-12-01", None, None, 9, True),
        ("t6", "U1", "leader", "2025-09-01", None, *none),
    )
    found = posted(postings, _units(), LAST_DAY).set_index("kind")
    assert found["n_postings"].to_dict() == {"backbone": 4, "leader": 1, "online": 1, "studio": 3}
    assert found["n_now"].to_dict() == {"backbone": 3, "leader": 1, "online": 1, "studio": 1}
    assert found["n_credited"].to_dict() == {"backbone": 2, "leader": 0, "online": 0, "studio": 1}


def test_a_posting_listed_in_each_terms_file_counts_once():
    twice = pd.concat(
        [_postings(("t1", "U1", "backbone", "2025-09-01", "2026-07-10", 150, None, None, None))] * 2
    )
    twice = twice.assign(term=[NOW, AUTUMN], days=[150.0, 90.0]).reset_index(drop=True)
    kept = newest(twice, ["teacher", "unit", "to_school", "kind", "valid_from"], [OLD, AUTUMN, NOW])
    assert kept["days"].tolist() == [150.0]


def _records(rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    return conform("records", frame.assign(record=[str(i) for i in range(len(frame))]))


def _score(unit, school, item, value, term=NOW) -> dict:
    return {
        "unit": unit,
        "school": school,
        "kind": "community_score",
        "item": item,
        "value": value,
        "term": term,
    }


def test_bundled_scores_and_the_case_that_the_rule_leaves_open():
    given = [_score("U2", school, "score", value) for school, value in (("C", 90), ("D", 70), ("E", 80))]
    given += [_score("U3", school, "score", 80) for school in "FGHI"]
    given += [_score("U2", school, "rank", 6, term) for school in "DE" for term in (OLD, NOW)]
    found = scores(_records(given), _units(), [AUTUMN, NOW], [OLD]).set_index("unit")
    assert found.loc["U2", ["own", "partners", "score", "exempt"]].tolist() == [90, 75, 87, "bundled"]
    assert np.isnan(found.loc["U3", "score"]) and "3" in found.loc["U3", "reason_zh"]
    risen = [*given, _score("U2", "D", "rank", 1)]
    found = scores(_records(risen), _units(), [AUTUMN, NOW], [OLD]).set_index("unit")
    assert found.loc["U2", ["score", "exempt"]].tolist() == [90, "exempt"]


def test_a_community_without_scores_is_refused_with_a_reason():
    found = scores(empty("records"), _units(), [NOW], [OLD]).set_index("unit")
    assert found["score"].isna().all() and found["reason_en"].notna().all()


def test_ratings_and_juries():
    def rating(school, grade, letters):
        items = "abcd"[: len(letters)]
        return [
            {
                "school": school,
                "grade": grade,
                "kind": "grade_criterion",
                "item": i,
                "level": letter,
                "term": NOW,
            }
            for i, letter in zip(items, letters, strict=True)
        ]

    rows = rating("A", 1, "AABC") + rating("A", 2, "CCCC") + rating("A", 3, "ABC")
    found = rated(_records(rows)).iloc[0]
    assert found[["n_rated", "lowest", "highest"]].tolist() == [2, 400, 900] and "3" in found["reason_zh"]
    jury = [{"school": "A", "kind": "jury", "item": "e1", "value": v, "term": NOW} for v in (90, 80, 60, 95)]
    jury += [{"school": "A", "kind": "jury", "item": "e2", "value": v, "term": NOW} for v in (90, 80)]
    found = juried(_records(jury)).set_index("item")
    assert found.loc["e1", "score"] == 85 and np.isnan(found.loc["e2", "score"])


def _sat(study, rng) -> dict[str, pd.DataFrame]:
    """Two schools of two classes in grade 4 in each spring; B gains 10 points, A none."""
    rows = [
        (
            f"{term}{school}{cls}{i}",
            term,
            school,
            f"{school}{cls}{term}",
            4,
            70 + 10 * rng.standard_normal() + gain,
        )
        for term in (OLD, NOW)
        for school in "AB"
        for gain in [10.0 if (school, term) == ("B", NOW) else 0.0]
        for cls in range(4)
        for i in range(60)
    ]
    seats = pd.DataFrame(rows, columns=["student", "term", "school", "class_id", "grade", "value"])
    return {
        "enrolments": conform("enrolments", seats.assign(valid_from=pd.Timestamp("2025-02-17"))),
        "outcomes": conform("outcomes", seats.assign(measure="common")),
    }


def test_change_of_a_unit_is_shown_beside_the_districts(study):
    found = changed(study, study.term(NOW), _sat(study, np.random.default_rng(3)), _units())
    assert found["school"].tolist() == [DISTRICT, "A", "B"]
    change = found.set_index("school")["change"]
    # 10 points are 1 SD of the first test; its own error there is about 0.09.
    assert change["B"] == pytest.approx(1.0, abs=0.3) and change["A"] == pytest.approx(0, abs=0.3)
    assert change[DISTRICT] == pytest.approx((change["A"] + change["B"]) / 2, abs=0.01)
    assert (found["conf_low"] < found["change"]).all()


def test_one_school_year_alone_gives_no_change(study):
    frames = _sat(study, np.random.default_rng(3))
    frames["outcomes"] = frames["outcomes"][frames["outcomes"]["term"] == NOW]
    assert changed(study, study.term(NOW), frames, _units()).empty


def test_a_study_without_communities_gives_empty_frames(study):
    frames = {name: empty(name) for name in TABLES}
    found = community_frames(study, study.term(NOW), frames)
    assert all(frame.empty for frame in found.values())
