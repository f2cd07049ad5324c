"""Cells of registers: what is read, and what never enters a table."""

from __future__ import annotations

import random

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from small_study import KEY, PRIMARY, STUDY, TERM, lay_out, raw, write_csv
from test_tidy_records import LEDGER, SOURCES

from cobench import store
from cobench.demo.words import GRADES
from cobench.ingest.fields import MIN_NOTE, plain_note
from cobench.ingest.ingest import ingest_term
from cobench.ingest.parse import parse_code, parse_count, parse_grade
from cobench.study import load_study


@given(st.text(max_size=30))
def test_a_code_is_short_plain_and_holds_no_long_number(text):
    found = parse_code(text).value
    if found is not None:
        assert (
            found.isascii()
            and len(found) <= 24
            and not any(found[i : i + 6].isdigit() for i in range(len(found)))
        )


@given(st.integers(0, 10**8), st.sampled_from(["", "人", "元", " 次", "％"]))
def test_a_count_is_read_with_or_without_its_unit_and_separators(number, unit):
    assert parse_count(f"{number:,}{unit}").value == number


@given(st.text(alphabet="一二三十多名约若干", min_size=1, max_size=6))
def test_a_number_in_words_is_put_aside_rather_than_guessed(text):
    assert parse_count(text).rule == "not_a_count"


def test_every_grade_is_read_as_written_and_in_a_junior_school_counts_from_seven():
    for grade, text in GRADES.items():
        stage = "kindergarten" if grade < 1 else "primary" if grade < 7 else "junior"
        assert parse_grade(text, stage).value == grade
    assert parse_grade("初二", "junior").value == parse_grade("二年级", "junior").value == 8
    assert (
        parse_grade("二", "primary").value == 2
        and parse_grade("十年级", "primary").rule == "unreadable_grade"
    )


@given(st.text(alphabet="约定每晚阅读半小时看望孩子家长", min_size=MIN_NOTE, max_size=40), st.integers(1, 7))
def test_notes_are_compared_by_their_words_only(text, at):
    assert plain_note(text) == plain_note(text[:at] + " ，\n" + text[at:] + "。")
    assert plain_note(text[: MIN_NOTE - 1]) is None


def test_whatever_stands_in_a_ledger_rows_are_conserved_and_no_words_are_stored(tmp_path):
    """300 rows of cells drawn from good, odd and personal texts."""
    lay_out(tmp_path)
    (tmp_path / "study.toml").write_text(STUDY + SOURCES, encoding="utf-8")
    rng = random.Random(7)
    odd = [
        "",
        "慕容金丝雀",
        "19912345678",
        "G999901201503070771",
        "=1+1",
        "<b>x</b>",
        "2025-02-30",
        "许多",
        "无此项",
    ]
    good = {
        "类别": ["制度机构", "家委会", "家长意见", "一生一案"], "项目": ["会长", "食堂"], "数量": ["1", "2人"], "有无": ["有", "无"],
        "班级": ["四(1)班", ""], "年级": ["四年级", ""], "日期": ["2025-10-09"], "期限": ["2025-11-01"], "完成日期": ["2025/10/20"],
        "途径": ["意见箱"], "教师": ["慕容燕燕"], "学生姓名": ["", "赵一"],
    }  # fmt: skip
    rows = [
        [rng.choice(good[name]) if rng.random() < 0.93 else rng.choice(odd) for name in LEDGER]
        for _ in range(300)
    ]
    write_csv(raw(tmp_path, f"{PRIMARY}/协同台账.csv"), [LEDGER, *rows], "utf-8")
    study = load_study(tmp_path)
    files = ingest_term(study, TERM, key=KEY).files.set_index("file")
    held = files.loc[f"data/raw/{TERM}/{PRIMARY}/协同台账.csv"]
    assert held["accepted"] + held["quarantined"] + held["non_data"] == held["rows_in"] == 301
    assert held["accepted"] > 30 and held["quarantined"] > 30
    records = store.read_table(study, "records")
    allowed = {
        "flag",
        "committee",
        "opinion",
        "plan",
        "head",
        "canteen",
        "mailbox",
        "S01",
        TERM,
        "S01-2022-1",
    }
    for name in ("kind", "item", "subject", "level", "unit", "school", "class_id", "term"):
        assert set(records[name].dropna()) <= allowed
    assert not any(text in records.to_csv() for text in odd[1:6] + ["慕容燕燕", "赵一"])
    assert pd.Series(records["record"]).is_unique
