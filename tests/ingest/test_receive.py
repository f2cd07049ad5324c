"""Who has sent what: each school's files against those expected, without tidying anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_study import (
    JUNIOR,
    LOG,
    LOG_HEADER,
    PRIMARY,
    ROSTER,
    STUDY,
    TERM,
    log_rows,
    raw,
    write_csv,
    write_log,
    write_xlsx,
)

from cobench.errors import IngestError, StudyFileError
from cobench.ingest.receive import place_of, receive
from cobench.study import load_study

LOGS = 'files = "data/raw/{term}/*/家访记录*"\nschool = "folder"\n'


def received(root):
    return receive(load_study(root), TERM)


def state(root, school: str, kind: str) -> str:
    status = received(root).status.set_index(["school", "kind"])
    return status.loc[(school, kind), "state"]


def change_study(root, old: str, new: str) -> None:
    assert old in STUDY
    (root / "study.toml").write_text(STUDY.replace(old, new), encoding="utf-8")


def test_every_school_and_the_district_have_a_state_for_each_kind_they_owe(root):
    status = received(root).status.set_index(["school", "kind"])["state"]
    assert status[("S01", "家访记录")] == status[("S02", "家访记录")] == "received"
    assert status[("S01", "成绩册")] == "received" and status[("S02", "成绩册")] == "missing"
    assert status[("", "学校名录")] == status[("", "家长问卷")] == "received"
    assert ("S01", "家长问卷") not in status.index


def test_what_is_missing_is_named_with_the_place_where_it_belongs(root):
    problems = received(root).problems.set_index(["school", "kind"])
    assert problems.loc[("S02", "成绩册"), "place"] == f"data/raw/{TERM}/{JUNIOR}/成绩册.xlsx"
    assert problems.loc[("S02", "成绩册"), ["why_zh", "why_en"]].tolist() == ["未收到", "has not arrived"]


def test_only_schools_of_the_stages_named_owe_a_file(root):
    change_study(
        root,
        'files = "data/raw/{term}/*/成绩册*.xlsx"',
        'files = "data/raw/{term}/*/成绩册*.xlsx"\nstages = ["primary"]',
    )
    status = received(root).status
    assert status.loc[status["kind"] == "成绩册", "school"].tolist() == ["S01"]


def test_a_stage_that_no_school_can_have_is_refused(root):
    change_study(root, LOGS, LOGS + 'stages = ["university"]\n')
    with pytest.raises(StudyFileError, match=r"sources\[3\]\.stages"):
        load_study(root)


def test_nobody_owes_a_file_of_a_source_expected_from_none(root):
    change_study(root, LOGS, LOGS + 'expected = "none"\n')
    assert "家访记录" not in set(received(root).status["kind"])


def test_an_unreadable_file_is_told_from_a_missing_one_with_its_reason(root):
    raw(root, ROSTER).write_bytes(raw(root, ROSTER).read_bytes()[:300])
    assert state(root, "S01", "学籍名册") == "unreadable"
    row = received(root).problems.set_index(["school", "kind"]).loc[("S01", "学籍名册")]
    assert "WPS" in row["why_en"] and row["file"].endswith(ROSTER)


def test_a_log_without_its_columns_is_unreadable(root):
    write_csv(raw(root, LOG), [["甲", "乙"], ["1", "2"]])
    assert state(root, "S01", "家访记录") == "unreadable"


def test_a_file_of_headers_only_says_nothing_and_is_not_received(root):
    write_log(root, TERM, [])
    assert state(root, "S01", "家访记录") == "unreadable"


def test_two_different_files_are_a_duplicate_and_two_alike_are_one(root):
    raw(root, f"{PRIMARY}/家访记录(1).csv").write_bytes(raw(root, LOG).read_bytes())
    assert state(root, "S01", "家访记录") == "received"
    write_log(root, TERM, log_rows()[1:], f"{PRIMARY}/家访记录(1).csv")
    assert state(root, "S01", "家访记录") == "duplicate"


def test_a_file_under_another_name_is_recognised_by_its_columns(root):
    raw(root, LOG).rename(raw(root, f"{PRIMARY}/走访登记.csv"))
    found = received(root)
    assert state(root, "S01", "家访记录") == "missing"
    assert found.stray["file"].tolist() == [f"data/raw/{TERM}/{PRIMARY}/走访登记.csv"]
    assert f"data/raw/{TERM}/{PRIMARY}/家访记录" in found.stray["why_en"].iloc[0]


def test_a_word_file_in_a_school_folder_is_stray_with_the_reason(root):
    raw(root, f"{PRIMARY}/总结.docx").write_bytes(b"PK\x03\x04 no workbook")
    assert received(root).stray["file"].tolist() == [f"data/raw/{TERM}/{PRIMARY}/总结.docx"]


@pytest.mark.parametrize("folder", ["一小", "S01", "2025年 示例第一小学 材料", "示例实验小学", "示小"])
def test_a_school_is_known_by_code_name_short_name_or_former_name(root, folder):
    rows = [
        ["学校代码", "学校名称", "简称", "曾用名", "学段"],
        ["S01", "示例第一小学", "一小", "示例实验小学、示小", "小学"],
        ["S02", "示例初中", "初中", "", "初中"],
    ]
    write_csv(raw(root, "学校名录.csv"), rows, "utf-8-sig")
    change_study(root, 'short_name = "简称"', 'short_name = "简称", former_names = "曾用名"')
    raw(root, PRIMARY).rename(raw(root, folder))
    assert state(root, "S01", "家访记录") == "received"


def test_a_folder_of_no_listed_school_is_stray(root):
    raw(root, PRIMARY).rename(raw(root, "某某学校"))
    found = received(root)
    assert state(root, "S01", "家访记录") == "missing"
    assert f"data/raw/{TERM}/某某学校/家访记录.csv" in found.stray["file"].tolist()


def test_schools_are_known_from_the_file_name(root):
    change_study(root, LOGS, 'files = "data/raw/{term}/家访记录_*"\nschool = "file"\n')
    write_csv(raw(root, "家访记录_示例初中.csv"), [LOG_HEADER, *log_rows()])
    assert (state(root, "S02", "家访记录"), state(root, "S01", "家访记录")) == ("received", "missing")
    problems = received(root).problems.set_index(["school", "kind"])
    assert problems.loc[("S01", "家访记录"), "place"].startswith(f"data/raw/{TERM}/家访记录_S01_示例第一小学")


def test_schools_are_known_from_the_sheet(root):
    change_study(root, LOGS, 'files = "data/raw/{term}/家访汇总*"\nschool = "sheet"\nexpected = "school"\n')
    write_xlsx(raw(root, "家访汇总.xlsx"), {"一小": [LOG_HEADER, *log_rows()]})
    assert (state(root, "S01", "家访汇总"), state(root, "S02", "家访汇总")) == ("received", "missing")


def test_schools_are_known_from_a_column(root):
    old = 'files = "data/raw/{term}/重点学生名单*.xlsx"\n'
    change_study(root, old, old + 'expected = "school"\n')
    assert (state(root, "S01", "重点学生名单"), state(root, "S02", "重点学生名单")) == ("received", "missing")


READING = """
[[sources]]
table = "checkins"
files = "data/raw/{term}/亲子共读打卡*"
expected = "school"
columns = {school = ["学校"], student_name = ["姓名"], class = ["班级"], date = ["打卡日期"], minutes = ["阅读分钟"]}
"""
READING_ROWS = [
    ["学校", "姓名", "班级", "打卡日期", "阅读分钟"],
    ["示例第一小学", "赵一", "四(1)班", "2025-09-20", "25"],
]


def read_together(root, more: str = "") -> None:
    """A district's list of check-ins, in which only the primary school stands."""
    (root / "study.toml").write_text(STUDY + READING + more, encoding="utf-8")
    write_csv(raw(root, "亲子共读打卡.csv"), READING_ROWS)


def test_a_school_without_a_row_in_the_districts_register_is_missing_and_reminded_of_its_own_part(root):
    read_together(root)
    assert (state(root, "S01", "亲子共读打卡"), state(root, "S02", "亲子共读打卡")) == ("received", "missing")
    problem = received(root).problems.set_index(["school", "kind"]).loc[("S02", "亲子共读打卡")]
    # A file called like the district's own would pass for the same list sent again.
    assert problem["place"] == f"data/raw/{TERM}/亲子共读打卡_{JUNIOR}.xlsx"


@pytest.mark.parametrize(
    ("table", "columns", "row"),
    [
        ("records", {"kind": "类别", "holds": "有无"}, ["制度机构", "有"]),
        ("teaching", {"class": "班级", "teacher": "教师", "role": "职务"}, ["四(1)班", "周老师", "班主任"]),
        ("events", {"date": "日期", "kind": "活动", "class": "班级"}, ["2025-09-20", "班级动态", "四(1)班"]),
    ],
)
def test_registers_of_every_table_are_asked_of_each_school(root, table, columns, row):
    named = ", ".join(f'{name} = ["{text}"]' for name, text in {"school": "学校", **columns}.items())
    source = (
        f'\n[[sources]]\ntable = "{table}"\nfiles = "data/raw/{{term}}/登记汇总*"\nexpected = "school"\n'
        f"columns = {{{named}}}\n"
    )
    levels = {
        "kind": {"制度机构": "flag", "班级动态": "bulletin"},
        "role": {"班主任": "class_teacher"},
        "holds": {"有": True},
    }
    for name in set(columns) & set(levels):
        listed = ", ".join(f'"{label}" = {json.dumps(value)}' for label, value in levels[name].items())
        source += f"levels.{name} = {{{listed}}}\n"
    (root / "study.toml").write_text(STUDY + source, encoding="utf-8")
    write_csv(raw(root, "登记汇总.csv"), [["学校", *columns.values()], ["示例第一小学", *row]])
    assert (state(root, "S01", "登记汇总"), state(root, "S02", "登记汇总")) == ("received", "missing")


def test_a_register_is_owed_in_the_terms_named_and_in_no_other(root):
    read_together(root, 'terms = ["2024-2025-2"]\n')
    assert "亲子共读打卡" not in set(received(root).status["kind"])
    read_together(root, f'terms = ["{TERM}"]\n')
    assert state(root, "S02", "亲子共读打卡") == "missing"


def test_a_term_that_is_not_declared_is_refused(root):
    read_together(root, 'terms = ["2031-2032-1"]\n')
    with pytest.raises(StudyFileError, match=r"sources\[\d+\]\.terms"):
        load_study(root)


def test_a_register_that_nobody_can_open_is_unreadable_for_all_and_not_missing(root):
    read_together(root)
    raw(root, "亲子共读打卡.csv").write_bytes(b"PK\x03\x04 no workbook")
    raw(root, "亲子共读打卡.csv").rename(raw(root, "亲子共读打卡.xlsx"))
    assert state(root, "S01", "亲子共读打卡") == state(root, "S02", "亲子共读打卡") == "unreadable"
    assert not received(root).stray["file"].str.contains("亲子共读").any()


def test_the_demo_declares_who_owes_each_register():
    study = load_study(Path(__file__).resolve().parents[2])
    owed = {source.title: source for source in study.sources if source.table != "panel"}
    assert {title for title, each in owed.items() if each.expected == "none"} == set()
    reading = owed["亲子共读打卡"]
    assert (reading.expected, reading.stages) == ("school", ("primary",))
    assert set(reading.terms) == {term.id for term in study.terms if term.id.endswith("-2")}


def test_without_a_list_of_schools_nothing_can_be_said(root):
    raw(root, "学校名录.csv").unlink()
    with pytest.raises(IngestError, match="no list of schools"):
        received(root)


def test_raw_files_stay_as_they_are_and_nothing_is_stored(root):
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    received(root)
    assert before == {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_place_fits_its_own_pattern(root):
    study = load_study(root)
    term = study.term(TERM)
    places = [place_of(source, term, "S01", PRIMARY) for source in study.sources]
    assert f"data/raw/{TERM}/学校名录.csv" in places
    assert f"data/raw/{TERM}/{PRIMARY}/家长学校签到.xlsx" in places
