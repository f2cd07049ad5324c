"""Value added on pages: verdicts with intervals, refusals in words, few students hidden, numbers in tens."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cobench.monitor.declared_value_added import value_added_frames
from cobench.panel import Panel
from cobench.release import escape_html
from cobench.show import Figure
from cobench.study import study_from
from cobench.workbench import value_added
from cobench.workbench.desk import Desk

STUDY = """
[study]
id = "small"
label = "small"
[[terms]]
id = "2025-2026-2"
start = 2026-03-02
end = 2026-07-10
[[sources]]
table = "outcomes"
files = "*.xlsx"
school = "column"
columns = {school = "s", student_name = "n"}
measures = {maths = "m", own = "o"}
[outcomes.maths]
label = {zh = "数学监测", en = "maths test"}
measure = "maths"
test = "common"
[outcomes.own]
label = {zh = "校内数学", en = "school paper"}
measure = "own"
test = "school"
standardise = ["school", "grade", "term"]
[[value_added]]
outcome = "maths"
priors = ["maths"]
reliability = {maths = 0.9}
"""
SIZES = {"S01": 47, "S02": 53, "S03": 61, "S04": 58, "S05": 49, "S06": 66, "S07": 6}
TRUE = {"S01": 0.9}


def _panel() -> pd.DataFrame:
    draw = np.random.default_rng(4)
    school = np.repeat(list(SIZES), list(SIZES.values()))
    prior = draw.normal(size=len(school))
    added = pd.Series(school).map(TRUE).fillna(0.0).to_numpy()
    return pd.DataFrame(
        {
            "student": [f"s{i}" for i in range(len(school))],
            "school": school,
            "class_id": [f"{each}-2022-{i % 2 + 1}" for i, each in enumerate(school)],
            "grade": 4,
            "maths": 0.8 * prior + added + 0.5 * draw.normal(size=len(school)),
            "maths@baseline": prior,
            "own": prior,
            "own@baseline": prior,
        }
    )


def _desk(language: str = "zh", panel: pd.DataFrame | None = None, **changed: object) -> Desk:
    declared = tomllib.loads(STUDY)
    declared["value_added"][0] |= changed
    study = study_from(declared, Path("nowhere"))
    term = study.term("2025-2026-2")
    frame = _panel() if panel is None else panel
    desk = Desk(study, term, language, value_added_frames(study, Panel(term, frame, {}, {})))
    schools = {each: {"zh": each, "en": each} for each in SIZES}
    desk.__dict__["labels"] = _plain_labels(study).add("school", schools)
    return desk


def _plain_labels(study):
    from cobench.show import study_labels

    return study_labels(study)


def _school(desk: Desk, school: str) -> str:
    for name in ("value_added", "growth"):
        frame = desk.derived(name)
        desk._frames[f"{name}@{school}"] = frame[frame["school"] == school].reset_index(drop=True)
    return value_added.own(desk, school).text


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_one_school_that_adds_more_is_told_from_the_average_and_the_others_are_not(language):
    desk = _desk(language)
    rows = value_added.released(desk, "maths", 4).frame.set_index("school")
    assert rows.loc["S01", "verdict"] == "above" and (rows.loc["S02":"S06", "verdict"] != "above").all()
    told = _school(desk, "S01")
    assert desk.say("verdict.above") in told
    alike = next(each for each in SIZES if rows.loc[each, "verdict"] == "not_distinguishable")
    assert {"zh": "与平均水平无法区分", "en": "not distinguishable from average"}[language] in _school(
        desk, alike
    )


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_school_with_few_students_has_a_reason_and_no_number(language):
    desk = _desk(language)
    assert "S07" in value_added.left_out(desk).text and "10" in value_added.left_out(desk).text
    told = _school(desk, "S07")
    assert {"zh": "不足 10", "en": "fewer than 10"}[language] in told and "<table" not in told
    row = value_added.released(desk, "maths", 4).frame.set_index("school").loc["S07"]
    assert pd.isna(row["n_students"]) and pd.isna(row["estimate"])


def test_numbers_of_students_are_printed_in_tens_only():
    desk = _desk()
    for released in (
        value_added.released(desk, "maths", 4),
        value_added.specifications_released(desk, "maths", 4),
        value_added.growth_released(desk, "maths", 4),
    ):
        n = pd.to_numeric(released.frame["n_students"]).dropna()
        assert len(n) >= 5 and (n % 10 == 0).all()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_page_says_what_difference_could_have_been_seen_and_how_verdicts_hang_on_the_specification(
    language,
):
    desk = _desk(language)
    rows = desk.derived("value_added")
    rows = rows[(rows["specification"] == "declared") & (rows["status"] == "ok")]
    reach = ((rows["difference_high"] - rows["difference_low"]) / 2).median()
    assert f"{reach:.2f}" in value_added.lede(desk).text
    told = value_added.specifications(desk)
    for each in ("uncorrected", "composition"):
        assert escape_html(desk.say(f"specification.{each}")) in told.html
    figures = list(value_added.caterpillars(desk))
    assert len(figures) == 1 and isinstance(figures[0], Figure) and "S01" in figures[0].alt


@pytest.mark.parametrize("language", ["zh", "en"])
def test_without_a_common_test_there_is_a_reason_in_words_and_nothing_else(language):
    desk = _desk(language, outcome="own", priors=["own"], reliability={})
    reason = {"zh": "校内数学不是各校共同参加的考试", "en": "school paper is not a test that all schools sat"}
    assert reason[language] in value_added.lede(desk).text
    assert reason[language] in _school(desk, "S01")
    assert not list(value_added.caterpillars(desk)) and value_added.specifications(desk).text == ""
    assert value_added.growth(desk).text == ""


def test_too_few_schools_are_named_as_the_reason():
    few = _panel().query("school in ['S01', 'S02', 'S03']")
    assert "成绩完整的学生足够多的学校不足 5 个" in value_added.lede(_desk("zh", few)).text
    assert "fewer than 5 schools" in value_added.lede(_desk("en", few)).text


def test_a_school_whose_students_sat_nothing_is_told_so():
    desk = _desk()
    assert desk.say("page.value_added_not_sat") == _school(desk, "S99")


def test_classes_stand_on_the_page_of_their_school_only():
    desk = _desk(level="class")
    assert not list(value_added.caterpillars(desk))
    told = _school(desk, "S01")
    assert desk.say("page.class_name", entry="2022", number="1") in told


def test_a_study_that_declares_none_is_told_what_it_needs():
    study = study_from({k: v for k, v in tomllib.loads(STUDY).items() if k != "value_added"}, Path("nowhere"))
    desk = Desk(study, study.term("2025-2026-2"), "zh", {"value_added": pd.DataFrame()})
    assert desk.say("page.no_value_added") in value_added.own(desk, "S01").text
