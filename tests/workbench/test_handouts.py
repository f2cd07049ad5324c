"""What goes back to schools: reminders, correction lists, pages of counts. No value of any cell is in them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "ingest"))

from small_study import (
    JUNIOR,
    KEY,
    PRIMARY,
    STUDY,
    TERM,
    lay_out,
    log_rows,
    raw,
    write_csv,
    write_log,
    write_scores,
)

from cobench import store
from cobench.errors import ParameterError, StageMissingError
from cobench.ingest.ingest import ingest_term
from cobench.ingest.quarantine import listed, row_ranges
from cobench.ingest.receive import receive
from cobench.ingest.report import read_quarantine
from cobench.run.school_quality import hand_out, list_quarantine, school_page
from cobench.study import ReleaseRules, load_study
from cobench.workbench import school_quality
from cobench.workbench.desk import Desk
from cobench.workbench.handouts import write_corrections, write_reminders

WHERE = "四(1)班"
CANARIES = ["赵一", "钱二宝", "查无此人甲", "13800138000", "谈学习"]


@pytest.fixture
def root(tmp_path):
    return lay_out(tmp_path / "tiny")


def cells(path: Path) -> list[tuple]:
    book = openpyxl.load_workbook(path)
    return [row for sheet in book for row in sheet.iter_rows(values_only=True)]


def spoil(root) -> None:
    """Three broken rows in the primary school's log: a day, a child, a class."""
    rows = [
        ["2025-02-30", "赵一", WHERE, "入户", "常规", "", "", "谈学习"],
        ["2025-10-10", "查无此人甲", WHERE, "入户", "常规", "", "", "13800138000"],
        ["2025-10-11", "钱二宝", "九(9)班", "入户", "常规", "", "", ""],
    ]
    write_log(root, TERM, [*log_rows(), *rows])


def ingest(root):
    return ingest_term(load_study(root), TERM, key=KEY)


# ---- reminders --------------------------------------------------------------------------------------


def test_the_reminder_list_names_school_material_and_place(root):
    study = load_study(root)
    path = write_reminders(study, receive(study, TERM), "zh")
    rows = cells(path)
    assert path.relative_to(root).as_posix() == f"private/催报名单_{TERM}.xlsx"
    assert rows[0] == ("学校代码", "学校", "材料", "状态", "文件", "原因", "应命名并放在")
    assert ("S02", "示例初中", "成绩册", "缺", None, "未收到", f"data/raw/{TERM}/{JUNIOR}/成绩册.xlsx") in [
        tuple(value or None for value in row) for row in rows
    ]
    assert not any(row[0] == "S01" for row in rows[1:])


def test_a_school_that_never_sent_its_reading_check_ins_stands_on_the_reminder_list(root):
    source = (
        '\n[[sources]]\ntable = "checkins"\nfiles = "data/raw/{term}/亲子共读打卡*"\nexpected = "school"\n'
        'columns = {school = ["学校"], student_name = ["姓名"], class = ["班级"], date = ["打卡日期"], minutes = ["分钟"]}\n'
    )
    (root / "study.toml").write_text(STUDY + source, encoding="utf-8")
    heads = ["学校", "姓名", "班级", "打卡日期", "分钟"]
    write_csv(raw(root, "亲子共读打卡.csv"), [heads, ["S01", "赵一", WHERE, "2025-09-20", "25"]])
    study = load_study(root)
    rows = [row for row in cells(write_reminders(study, receive(study, TERM), "zh")) if "亲子共读打卡" in row]
    assert [(row[0], row[3], row[5]) for row in rows] == [("S02", "缺", "未收到")]


def test_a_declared_day_stands_on_the_reminder_list(root):
    text = STUDY.replace('baseline = "2024-2025-2"', 'baseline = "2024-2025-2"\nfiles_due = 2026-01-20')
    (root / "study.toml").write_text(text, encoding="utf-8")
    study = load_study(root)
    rows = cells(write_reminders(study, receive(study, TERM), "en"))
    assert rows[0][-1] == "due" and rows[1][-1] == "2026-01-20"


def test_a_file_name_that_is_a_formula_stays_text(root):
    raw(root, f"{PRIMARY}/=1+1.xlsx").write_bytes(b"no workbook at all")
    study = load_study(root)
    path = write_reminders(study, receive(study, TERM), "zh")
    book = openpyxl.load_workbook(path)
    assert all(cell.data_type != "f" for sheet in book for row in sheet.iter_rows() for cell in row)


# ---- corrections ------------------------------------------------------------------------------------


def test_a_correction_list_names_file_row_column_rule_and_hint_and_no_value(root):
    spoil(root)
    ingest(root)
    (path,) = write_corrections(load_study(root), TERM)
    assert path.parent.name == "S01_示例第一小学"
    rows = cells(path)
    found = {row[2]: row for row in rows[1:]}
    assert found[6][0] == "家访记录.csv" and found[6][3] == "日期" and found[6][5] == "impossible_date"
    assert found[7][3] == "学生姓名" and found[8][3] == "班级" and found[7][6]
    text = "\n".join(str(cell) for row in rows for cell in row)
    assert not [each for each in CANARIES if each in text]


def test_rows_mended_come_in_once_with_the_next_ingest(root):
    ingest(root)
    whole = store.read_table(load_study(root), "contacts", [TERM])
    lines = log_rows()
    lines[0] = ["2025-02-30", *lines[0][1:]]
    write_log(root, TERM, lines)
    ingest(root)
    assert len(store.read_table(load_study(root), "contacts", [TERM])) == len(whole) - 1
    assert len(write_corrections(load_study(root), TERM)) == 1
    write_log(root, TERM, log_rows())
    result = ingest(root)
    again = store.read_table(load_study(root), "contacts", [TERM])
    pd.testing.assert_frame_equal(again, whole)
    assert result.files["quarantined"].sum() == 0
    # The unreadable 时长 of a kept row is all that is left to mend.
    assert [row[5] for row in cells(*write_corrections(load_study(root), TERM))[1:]] == ["unreadable_minutes"]


def test_a_school_with_nothing_to_mend_has_no_list_and_old_lists_go(root):
    spoil(root)
    ingest(root)
    (path,) = write_corrections(load_study(root), TERM)
    lines = log_rows()
    lines[2] = [*lines[2][:5], "40分钟", *lines[2][6:]]
    write_log(root, TERM, lines)
    ingest(root)
    assert write_corrections(load_study(root), TERM) == [] and not path.exists()


# ---- listing ----------------------------------------------------------------------------------------


def test_the_listing_counts_by_file_and_rule_and_holds_no_value(root):
    spoil(root)
    ingest(root)
    frame = listed(read_quarantine(load_study(root), TERM), "S01")
    by_rule = frame.set_index("rule")[["n", "rows"]]
    assert by_rule.loc["impossible_date"].tolist() == [1, "6"]
    assert by_rule.loc["unknown_student"].tolist() == [1, "7"]
    assert not [each for each in CANARIES if each in frame.to_csv()]
    assert len(listed(read_quarantine(load_study(root), TERM), "S01", "unknown_student")) == 1


def test_row_ranges_are_short():
    assert row_ranges([3, 9, 8, 10, 3]) == "3, 8-10"
    assert row_ranges(range(1, 40, 2)) == "1, 3, 5, 7, 9, 11, …"


def test_nothing_can_be_listed_before_an_ingest(root):
    with pytest.raises(StageMissingError, match="cobench ingest"):
        read_quarantine(load_study(root), TERM)


def printed(root, *, terminal: bool, **options) -> str:
    import io

    from rich.console import Console

    console = Console(file=io.StringIO(), force_terminal=terminal, width=200, color_system=None)
    list_quarantine(load_study(root), TERM, console, "zh", **options)
    return console.file.getvalue()


def test_values_are_shown_on_a_terminal_only_and_only_when_asked_for(root):
    spoil(root)
    ingest(root)
    assert not [each for each in CANARIES if each in printed(root, terminal=False)]
    assert not [each for each in CANARIES if each in printed(root, terminal=True)]
    assert "查无此人甲" in printed(root, terminal=True, values=True)
    with pytest.raises(ParameterError, match="terminal"):
        printed(root, terminal=False, values=True)


def test_an_unknown_rule_is_refused(root):
    spoil(root)
    ingest(root)
    with pytest.raises(ParameterError, match="impossible_date"):
        printed(root, terminal=False, rule="no_such_rule")


# ---- pages ------------------------------------------------------------------------------------------


@pytest.fixture
def desk(root):
    spoil(root)
    ingest(root)
    return Desk(load_study(root), load_study(root).term(TERM), "zh")


def test_a_page_is_one_file_in_both_languages_without_any_value(desk, root):
    handed = hand_out(load_study(root), TERM)
    assert [path.parent.name for path in handed.pages] == ["S01_示例第一小学", "S02_示例初中"]
    page = handed.pages[0].read_text(encoding="utf-8")
    assert (
        'lang="zh-CN"' in page and "Rows sent, and what became of them" in page and "报送的行及去向" in page
    )
    assert not [each for each in CANARIES if each in page] and str(root) not in page
    assert "http" not in page.split("<body")[1].replace("http-equiv", "")


def test_few_accepted_rows_are_hidden_and_cannot_be_worked_out(desk):
    shown = school_quality.rows(desk, "S01").text.splitlines()
    log = next(line for line in shown if line.startswith("家访记录")).split(" | ")
    assert log[1:] == ["<10", "<10", "3", "1"]
    listed_rows = next(line for line in shown if line.startswith("重点学生名单")).split(" | ")
    assert listed_rows[1:] == ["<10"] * 4


def test_shares_are_hidden_where_they_rest_on_few(desk):
    shown = school_quality.linking(desk, "S01").text
    assert "n<10" in shown and "%" not in "".join(shown.splitlines()[2:])


def test_a_page_that_holds_a_name_is_withheld(root):
    ingest(root)
    study = load_study(root)
    desks = [Desk(study, study.term(TERM), "zh")]
    assert "赵一" not in school_page(desks, "S01")
    frame = store.read_table(study, "ingest_rules", [TERM])
    store_frames = {
        name: store.read_table(study, name, [TERM])
        for name in store.table_names(study)
        if name != "ingest_rules"
    }
    spoilt = frame.assign(hint_zh="请赵一更正", hint_en="ask 赵一")
    store.write_tables(study, TERM, {**store_frames, "ingest_rules": spoilt})
    assert hand_out(study, TERM).withheld == ("S01",)


def test_results_by_reason_stand_beside_their_sum(root):
    lines = [["赵一", WHERE, 85, 90], ["钱二宝", WHERE, "缺考", 77], ["孙三", WHERE, "免修", 60]]
    write_scores(root, lines)
    ingest(root)
    study = load_study(root)
    desk = Desk(replace(study, release=ReleaseRules(0)), study.term(TERM), "en")
    text = school_quality.missing(desk, "S01").text
    line = next(each for each in text.splitlines() if each.startswith("Chinese"))
    assert line.split(" | ")[1:5] == ["3", "1", "1", "1"]


def test_of_many_kinds_the_list_on_screen_keeps_to_what_is_owed(root):
    import io

    from rich.console import Console

    from cobench.run.listings import MANY_KINDS, print_received

    source = '\n[[sources]]\ntable = "checkins"\nfiles = "data/raw/{term}/打卡甲*"\nexpected = "school"\ncolumns = '
    source += '{school = ["学校"], student_name = ["姓名"], class = ["班级"], date = ["日期"], minutes = ["分钟"]}\n'
    more = "".join(source.replace("甲", letter) for letter in "甲乙丙丁戊己庚辛"[:MANY_KINDS])
    (root / "study.toml").write_text(STUDY + more, encoding="utf-8")
    for minutes, letter in enumerate("乙丙丁戊己庚辛", start=20):
        rows = [[school, "赵一", WHERE, "2025-09-20", str(minutes)] for school in ("S01", "S02")]
        write_csv(raw(root, f"打卡{letter}.csv"), [["学校", "姓名", "班级", "日期", "分钟"], *rows])
    shown = io.StringIO()
    print_received(receive(load_study(root), TERM), Console(file=shown, width=100), "zh")
    by_school = shown.getvalue().rsplit("各校材料", 1)[1]
    assert "打卡甲" in by_school and "打卡乙" not in by_school
