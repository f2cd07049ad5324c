from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_study import number

from cobench.ingest import parse
from cobench.ingest.numbers import checksum_fits
from cobench.ingest.parse import Parsed, Window

AUTUMN = Window(date(2025, 7, 5), date(2026, 3, 1))
LONG = Window(date(2024, 9, 1), date(2026, 3, 1))


@pytest.mark.parametrize(
    "text",
    [
        "2025-09-15",
        "2025/9/15",
        "2025.9.15",
        "20250915",
        "2025年9月15日",
        "9月15日",
        "9.15",
        "９．１５",
        "2025-09-15 20:15:00",
    ],
)
def test_the_spellings_of_a_date_mean_one_day(text):
    assert parse.parse_date(text, AUTUMN) == Parsed(date(2025, 9, 15))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("2025-02-30", "impossible_date"),
        ("2.30", "impossible_date"),
        ("13.1", "impossible_date"),
        ("上周三", "unreadable_date"),
        ("", "blank_required"),
        ("4月15日", "date_outside_term"),
    ],
)
def test_a_date_that_is_none_says_why(text, rule):
    assert parse.parse_date(text, AUTUMN) == Parsed(rule=rule)


def test_a_date_without_a_year_counts_only_where_the_window_makes_it_unique():
    assert parse.parse_date("10.1", LONG).rule == "ambiguous_date"
    assert parse.parse_date("5.1", LONG) == Parsed(date(2025, 5, 1))


def test_a_spreadsheet_number_may_have_lost_the_zero_of_a_day():
    assert parse.parse_date("9.1", AUTUMN, numeric=True).rule == "ambiguous_date"
    assert parse.parse_date("9.1", AUTUMN) == Parsed(date(2025, 9, 1))
    assert parse.parse_date("9.15", AUTUMN, numeric=True) == Parsed(date(2025, 9, 15))


@pytest.mark.parametrize(
    ("text", "stage", "expected"),
    [
        ("三(2)班", "primary", (3, 2023, 2)),
        ("三（２）班", "primary", (3, 2023, 2)),
        ("三年级2班", "primary", (3, 2023, 2)),
        ("三年级（2）班", "primary", (3, 2023, 2)),
        ("三2班", "primary", (3, 2023, 2)),
        ("3年级2班", "primary", (3, 2023, 2)),
        ("302", "primary", (3, 2023, 2)),
        ("三(12)班", "primary", (3, 2023, 12)),
        ("三年级十二班", "primary", (3, 2023, 12)),
        ("2023级2班", "primary", (3, 2023, 2)),
        ("初一(3)班", "junior", (7, 2025, 3)),
        ("七年级3班", "junior", (7, 2025, 3)),
        ("一(3)班", "junior", (7, 2025, 3)),
        ("703", "junior", (7, 2025, 3)),
        ("小一班", "kindergarten", (-2, 2025, 1)),
        ("小(1)班", "kindergarten", (-2, 2025, 1)),
        ("大班2班", "kindergarten", (0, 2023, 2)),
    ],
)
def test_class_names_of_sixty_habits(text, stage, expected):
    assert parse.parse_class(text, stage, 2025).value == expected


def test_one_class_keeps_its_entry_year_and_number_over_promotion():
    before, after = (
        parse.parse_class("三(2)班", "primary", 2024),
        parse.parse_class("四(2)班", "primary", 2025),
    )
    assert before.value[1:] == after.value[1:] == (2022, 2)


@pytest.mark.parametrize(
    ("text", "stage", "rule"),
    [
        ("12班", "primary", "unreadable_class"),
        ("三班", "primary", "unreadable_class"),
        ("全校", "primary", "unreadable_class"),
        ("七(1)班", "primary", "unknown_class"),
        ("初一(1)班", "primary", "unknown_class"),
        ("九年级9班", "kindergarten", "unknown_class"),
        ("小一班", "primary", "unknown_class"),
        ("", "primary", "blank_required"),
    ],
)
def test_a_class_that_could_be_two_or_none_is_not_guessed(text, stage, rule):
    assert parse.parse_class(text, stage, 2025) == Parsed(rule=rule)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("40分钟", 40), ("４０分钟", 40), ("40", 40), ("约40分钟", 40), ("1小时", 60), ("半小时", 30), ("半个小时", 30),
        ("1.5小时", 90), ("一个半小时", 90), ("1小时半", 90), ("两小时", 120), ("1小时20分", 80), ("三十五分钟", 35), ("一刻钟", 15),
    ],
)  # fmt: skip
def test_durations_in_words_are_minutes(text, minutes):
    assert parse.parse_minutes(text).value == minutes


@pytest.mark.parametrize("text", ["很久", "30-40分钟", "1个半小时半", "x分钟"])
def test_a_duration_that_is_none_is_not_guessed(text):
    assert parse.parse_minutes(text).rule == "unreadable_minutes"


@pytest.mark.parametrize(
    ("text", "value"),
    [("85", 85.0), ("８５．５", 85.5), ("0", 0.0), ("缺考", "absent"), ("缺 考", "absent"), ("免修", "exempt"), ("缓考", "deferred"), ("", "blank")],
)  # fmt: skip
def test_marks_and_exam_states(text, value):
    assert parse.parse_mark(text).value == value


@pytest.mark.parametrize("text", ["1O3", "-5", "8 5", "85/100", "优", "nan", "1e3", "#REF!"])
def test_a_mark_that_is_none_is_not_cast(text):
    assert parse.parse_mark(text) == Parsed(rule="not_a_number")


@pytest.mark.parametrize(
    "text", ["2014-03", "2014年3月", "201403", "2014.3", "2014-03-05", "20140305", "2014年3月5日"]
)
def test_months_of_birth(text):
    assert parse.parse_month(text) == Parsed("2014-03")


def test_a_month_that_is_none_is_told_from_a_blank_one():
    assert parse.parse_month("2014-13").rule == "unreadable_month"
    assert parse.parse_month("") == parse.BLANK


def test_times_of_entry():
    assert parse.parse_time("2026/3/5 8:05").value == pd.Timestamp("2026-03-05 08:05")
    assert parse.parse_time("2026年3月5日20:31").value == pd.Timestamp("2026-03-05 20:31")
    assert parse.parse_time("2026-03-05").value == pd.Timestamp("2026-03-05")
    assert parse.parse_time("2026-02-30 08:00").rule == "impossible_date"
    assert parse.parse_time("2026-03-05 25:00").rule == "unreadable_time"


def test_a_worked_check_character():
    # GB 11643-1999, annex: 11010519491231002X.
    assert checksum_fits("11010519491231002X")
    assert not checksum_fits("110105194912310021")


@pytest.mark.parametrize(
    "text", [number(1), number(1).lower(), f"'{number(1)}", f" {number(1)[:7]} {number(1)[7:]} "]
)
def test_student_numbers_are_read_through_blanks_and_marks(text):
    assert parse.parse_student_number(text) == Parsed(number(1))


@pytest.mark.parametrize("letter", ["J", "L"])
def test_numbers_without_an_identity_number_need_no_check_character(letter):
    text = letter + "999901201503010017"
    assert parse.parse_student_number(text) == Parsed(text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("3.70102E+17", "destroyed_number"),
        ("G3.70102E+17", "destroyed_number"),
        ("370102201403151000", "destroyed_number"),
        ("370102201403151000.0", "destroyed_number"),
        ("370,102,201,403,151,000", "destroyed_number"),
        ("3.70102201403151Ｅ＋17", "destroyed_number"),
        ("3,70102E17", "destroyed_number"),
        ("70102201403151234", "malformed_number"),
        ("１２３４５６", "malformed_number"),
        (number(1)[:-1] + ("0" if number(1)[-1] != "0" else "1"), "wrong_checksum"),
        (number(1)[:-1], "malformed_number"),
        (number(1)[1:], "malformed_number"),
        ("", "blank_required"),
    ],
)
def test_damaged_student_numbers_are_never_repaired(text, rule):
    assert parse.parse_student_number(text) == Parsed(rule=rule)


def test_a_number_cell_is_destroyed_whatever_it_shows():
    assert parse.parse_student_number(number(1), numeric=True) == Parsed(rule="destroyed_number")


@given(st.text(max_size=20))
def test_no_text_makes_a_parser_fail(text):
    for parsed in (
        parse.parse_date(text, AUTUMN),
        parse.parse_time(text),
        parse.parse_month(text),
        parse.parse_minutes(text),
        parse.parse_mark(text),
        parse.parse_student_number(text),
        *(parse.parse_class(text, stage, 2025) for stage in parse.FIRST_GRADE),
    ):
        assert parsed.value is None or parsed.rule is None


@given(st.integers(1, 9), st.integers(1, 40))
def test_spellings_of_a_class_agree(grade, class_number):
    stage = "primary" if grade <= 6 else "junior"
    numeral = " 一二三四五六七八九"[grade]
    texts = [f"{numeral}({class_number})班", f"{numeral}年级{class_number}班", f"{grade}{class_number:02d}"]
    assert {parse.parse_class(text, stage, 2025).value for text in texts} == {
        (grade, 2025 - grade + (1 if stage == "primary" else 7), class_number)
    }
