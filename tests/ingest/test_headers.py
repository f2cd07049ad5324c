from __future__ import annotations

import numpy as np
import pytest

from cobench.errors import MissingColumnError
from cobench.ingest.headers import Wanted, column_letter, is_notes, locate, shown_sheet
from cobench.ingest.readers import EMPTY, TEXT, Sheet

WANTED = Wanted(
    {"student_name": ("姓名", "学生姓名"), "class": ("班级",), "math": ("数学",)}, frozenset({"minutes"})
)


def sheet(rows: list[list[str]], merged=()) -> Sheet:
    width = max(len(row) for row in rows)
    text = np.array([[*row, *[""] * (width - len(row))] for row in rows], dtype=object)
    kind = np.where(text == "", EMPTY, TEXT).astype(np.uint8)
    return Sheet("三年级", text, kind, merged)


def test_a_title_above_the_header_is_no_data():
    found = locate(sheet([["成绩册"], ["姓名", "班级", "数学"], ["赵一", "三(1)班", "85"]]), WANTED, "a.xlsx")
    assert found.cells[["student_name", "class", "math", "row"]].values.tolist() == [
        ["赵一", "三(1)班", "85", 3]
    ]
    assert found.non_data[["row", "rule"]].values.tolist() == [[1, "title"], [2, "header"]]


def test_a_header_of_two_merged_rows_is_read_by_its_lower_cells():
    rows = [["姓名", "班级", "期末成绩", ""], ["", "", "语文", "数学"], ["赵一", "三(1)班", "80", "85"]]
    merged = ((0, 0, 1, 0), (0, 1, 1, 1), (0, 2, 0, 3))
    found = locate(sheet(rows, merged), WANTED, "a.xlsx")
    assert found.cells["math"].tolist() == ["85"]
    assert found.headers["math"] == "数学"


def test_an_unmerged_two_row_header_is_joined():
    rows = [["姓名", "班级", "期末成绩", ""], ["", "", "语文", "数学"], ["赵一", "三(1)班", "80", "85"]]
    found = locate(sheet(rows), WANTED, "a.xlsx")
    assert found.cells[["student_name", "math"]].values.tolist() == [["赵一", "85"]]
    assert found.non_data["rule"].tolist() == ["header", "header"]


def test_the_upper_cell_tells_two_columns_of_one_name_apart():
    rows = [
        ["姓名", "班级", "期中", "期末"],
        ["姓名", "班级", "数学", "数学"],
        ["赵一", "三(1)班", "80", "85"],
    ]
    with pytest.raises(MissingColumnError, match="columns C, D both fit math"):
        locate(sheet(rows), WANTED, "a.xlsx")
    wanted = Wanted({**WANTED.aliases, "math": ("期末/数学",)})
    assert locate(sheet(rows), wanted, "a.xlsx").cells["math"].tolist() == ["85"]


def test_headers_fit_in_other_spellings():
    found = locate(sheet([["学生 姓名*", "班级", "数学(分)"], ["赵一", "三(1)班", "85"]]), WANTED, "a.xlsx")
    assert found.cells["math"].tolist() == ["85"]


def test_a_missing_column_is_named_with_file_sheet_aliases_and_headers_found():
    with pytest.raises(MissingColumnError) as caught:
        locate(sheet([["姓名", "班", "数学"], ["赵一", "三(1)班", "85"]]), WANTED, "S01/成绩册.xlsx")
    for part in ("S01/成绩册.xlsx", "三年级", "class: 班级", "headers found: 姓名, 班, 数学"):
        assert part in caught.value.en
    assert "缺少列 class" in caught.value.zh


def test_headers_that_may_be_people_are_not_repeated_in_the_message():
    row = ["姓名", "班", "数学", "张开来", "联系人李四", "备注(王五)"]
    with pytest.raises(MissingColumnError, match="headers found: 姓名, 班, 数学, …, …, 备注;") as caught:
        locate(sheet([row, ["赵一", "三(1)班", "85", "", "", ""]]), WANTED, "a.xlsx")
    assert not [name for name in ("张开来", "李四", "王五") if name in caught.value.en + caught.value.zh]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("三年级", "三年级"), ("Sheet1", "Sheet1"), ("10月20日", "10月20日"), ("学籍名册（2）", "学籍名册(2)"),
     ("王小明", "…"), ("三年级王小明", "…"), ("13800001111", "…")],
)  # fmt: skip
def test_a_sheet_is_named_only_in_words_that_sheets_are_called_by(name, shown):
    assert shown_sheet(name) == shown


def test_without_a_header_no_cell_is_repeated_in_the_message():
    with pytest.raises(MissingColumnError) as caught:
        locate(sheet([["赵一", "三(1)班", "85"], ["钱二", "三(1)班", "80"]]), WANTED, "a.xlsx")
    assert "no header row" in caught.value.en
    assert "赵一" not in caught.value.en + caught.value.zh


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (["平均分", "", "82.5"], "footer"),
        (["合 计", "", "900"], "footer"),
        (["", "制表：教务处", ""], "footer"),
        (["共45条记录", "", ""], "footer"),
        (["", "", ""], "blank"),
        (["姓名", "班级", "数学"], "repeated_header"),
    ],
)
def test_rows_of_no_data_are_recognised(row, rule):
    found = locate(sheet([["姓名", "班级", "数学"], ["赵一", "三(1)班", "85"], row]), WANTED, "a.xlsx")
    assert found.non_data[["row", "rule"]].values.tolist() == [[1, "header"], [3, rule]]


def test_a_row_without_a_name_is_data():
    found = locate(sheet([["姓名", "班级", "数学"], ["", "三(1)班", "85"]]), WANTED, "a.xlsx")
    assert len(found.cells) == 1


def test_a_class_merged_beside_its_children_holds_for_all_of_them():
    rows = [["班级", "姓名", "数学"], ["三(1)班", "赵一", "85"], ["", "钱二", "80"]]
    found = locate(sheet(rows, ((1, 0, 2, 0),)), WANTED, "a.xlsx")
    assert found.cells["class"].tolist() == ["三(1)班", "三(1)班"]


def test_every_row_of_a_sheet_is_either_data_or_not():
    rows = [
        ["成绩"],
        ["姓名", "班级", "数学"],
        [""],
        ["赵一", "三(1)班", "85"],
        ["平均分", "", "85"],
        ["x", "", ""],
    ]
    found = locate(sheet(rows), WANTED, "a.xlsx")
    assert sorted([*found.cells["row"], *found.non_data["row"]]) == [1, 2, 3, 4, 5, 6]


def test_an_absent_optional_column_is_blank_and_said():
    wanted = Wanted({**WANTED.aliases, "minutes": ("时长",)}, frozenset({"minutes"}))
    found = locate(sheet([["姓名", "班级", "数学"], ["赵一", "三(1)班", "85"]]), wanted, "a.xlsx")
    assert found.cells["minutes"].tolist() == [""]
    assert "without minutes" in found.how


def test_a_sheet_of_notes_is_told_from_a_table_with_wrong_headers():
    assert is_notes(sheet([["填写说明"], ["一、请如实填写", ""]]), WANTED)
    assert not is_notes(sheet([["学生", "所在班", "成绩"], ["赵一", "三(1)班", "85"]]), WANTED)
    assert not is_notes(sheet([["姓名", "班级"]]), WANTED)


@pytest.mark.parametrize(("index", "letters"), [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA")])
def test_columns_are_lettered_as_a_spreadsheet_does(index, letters):
    assert column_letter(index) == letters
