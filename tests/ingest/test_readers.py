from __future__ import annotations

import datetime as dt
import io
import zipfile
from functools import cache

import numpy as np
import openpyxl
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_study import write_csv, write_xlsx

from cobench.errors import CobenchError, UnreadableFileError
from cobench.ingest.readers import BOOL, DATE, EMPTY, ERROR, NUMBER, TEXT, read_cells

SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@cache
def _book() -> bytes:
    """A workbook, made once: xlsxwriter stores the time, so two of them may differ in size."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer) as book:
        sheet = book.add_worksheet("三年级")
        sheet.merge_range("A1:D1", "成绩册")
        sheet.write_row(1, 0, ["姓名", "班级", "语文", "数学"])
        for row in range(2, 40):
            sheet.write_row(row, 0, [f"学生{row}", "三(1)班", row, "缺考"])
    return buffer.getvalue()


def test_every_kind_of_cell_keeps_its_kind_and_reads_as_typed(tmp_path):
    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    book.active.append(
        ["０８", 85, 85.5, dt.date(2026, 3, 15), dt.datetime(2026, 3, 15, 20, 31), True, None, "x"]
    )
    book.save(path)
    sheet = read_cells(path)[0]
    assert sheet.text[0].tolist() == [
        "０８",
        "85",
        "85.5",
        "2026-03-15",
        "2026-03-15 20:31:00",
        "TRUE",
        "",
        "x",
    ]
    assert sheet.kind[0].tolist() == [TEXT, NUMBER, NUMBER, DATE, DATE, BOOL, EMPTY, TEXT]


def test_a_long_number_shows_that_it_was_a_number(tmp_path):
    path = tmp_path / "a.xlsx"
    write_xlsx(path, {"a": [["学籍号"], [370102201403151234]]})
    sheet = read_cells(path)[0]
    assert sheet.kind[1, 0] == NUMBER
    assert sheet.text[1, 0] != "370102201403151234"


def test_rows_keep_the_numbers_that_a_spreadsheet_shows(tmp_path):
    path = tmp_path / "a.xlsx"
    write_xlsx(path, {"a": [[], [], ["姓名"], ["赵一"]]})
    sheet = read_cells(path)[0]
    assert sheet.row_numbers[sheet.text[:, 0] == "赵一"].tolist() == [4]


def test_merged_areas_are_told_zero_based(tmp_path):
    path = tmp_path / "a.xlsx"
    path.write_bytes(_book())
    assert read_cells(path)[0].merged == ((0, 0, 0, 3),)


def test_a_formula_error_is_no_blank_cell(tmp_path):
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("empty")
        sheet = book.add_worksheet("甲 & 乙")
        sheet.write_row(0, 0, ["姓名", "语文"])
        sheet.write_formula(1, 2, "=1/0", None, "#DIV/0!")
    read = {each.name: each for each in read_cells(path)}["甲 & 乙"]
    assert (read.text[1, 2], read.kind[1, 2]) == ("#DIV/0!", ERROR)


def test_hidden_sheets_are_marked(tmp_path):
    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    book.create_sheet("选项").sheet_state = "hidden"
    book.save(path)
    assert [sheet.hidden for sheet in read_cells(path)] == [False, True]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_the_delimiter_is_found(tmp_path, delimiter):
    path = tmp_path / "a.csv"
    path.write_text(
        "\n".join(delimiter.join(row) for row in (["姓名", "班级"], ["赵一", "三(1)班"])), encoding="utf-8"
    )
    assert read_cells(path)[0].text.tolist() == [["姓名", "班级"], ["赵一", "三(1)班"]]


def test_two_delimiters_that_fit_alike_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("姓名,班级;语文\n赵一,三;五\n", encoding="utf-8")
    with pytest.raises(UnreadableFileError, match="delimiter is ambiguous"):
        read_cells(path)


def test_an_unclosed_quote_does_not_swallow_the_rest_of_the_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('姓名,班级\n"赵一,三\n钱二,三\n', encoding="utf-8")
    with pytest.raises(UnreadableFileError, match="quoted cell"):
        read_cells(path)


def test_a_workbook_called_csv_is_read_as_what_it_is(tmp_path):
    path = tmp_path / "家访记录.csv"
    path.write_bytes(_book())
    assert read_cells(path)[0].how == "xlsx"


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.csv", b"", "empty"),
        ("a.xlsx", b"", "empty"),
        ("a.csv", b" \r\n ", "empty"),
        ("a.xlsx", b"<html><table></table></html>", "not a workbook"),
        ("a.et", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, r"\.et"),
        ("a.docx", b"hello", "not read"),
        (
            "a.xlsx",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 512 + "EncryptedPackage".encode("utf-16-le"),
            "encrypted",
        ),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "cut off or damaged"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_way_out(tmp_path, name, data, says):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UnreadableFileError, match=says) as caught:
        read_cells(path, f"data/raw/x/{name}")
    assert f"data/raw/x/{name}" in caught.value.en and f"data/raw/x/{name}" in caught.value.zh
    assert str(tmp_path) not in caught.value.en


def test_a_truncated_workbook_is_refused(tmp_path):
    path = tmp_path / "a.xlsx"
    path.write_bytes(_book()[:2000])
    with pytest.raises(UnreadableFileError, match="cut off or damaged"):
        read_cells(path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 50_000_000)
    with pytest.raises(UnreadableFileError, match="unpacks to far more"):
        read_cells(path)


def test_two_cells_far_apart_do_not_fill_the_memory(tmp_path):
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, 1)
        sheet.write(1_048_575, 16_383, 1)
    with pytest.raises(UnreadableFileError, match="unpacks to far more"):
        read_cells(path)


def test_one_very_wide_line_does_not_fill_the_memory(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" * 100_000 + "," * 100_000 + "\n", encoding="utf-8")
    with pytest.raises(UnreadableFileError, match="unpacks to far more"):
        read_cells(path)


_CELL_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufffd"), max_size=12)


@SLOW
@given(rows=st.lists(st.lists(_CELL_TEXT, min_size=2, max_size=5), min_size=2, max_size=12))
def test_csv_of_any_text_and_width_keeps_every_cell(tmp_path, rows):
    path = tmp_path / "a.csv"
    write_csv(path, [["姓名", "班级", "其他"], *rows], "utf-8-sig")
    try:
        sheet = read_cells(path)[0]
    except UnreadableFileError as error:
        assert "delimiter" in error.en or "quoted" in error.en
        return
    if sheet.how.endswith(","):
        assert sheet.n_rows == len(rows) + 1
        for index, row in enumerate(rows, start=1):
            assert sheet.text[index, : len(row)].tolist() == row
            assert (sheet.text[index, len(row) :] == "").all()


@SLOW
@given(cut=st.integers(1, len(_book()) - 1))
def test_a_workbook_cut_anywhere_raises_only_our_error(tmp_path, cut):
    path = tmp_path / "a.xlsx"
    path.write_bytes(_book()[:cut])
    with pytest.raises(UnreadableFileError):
        read_cells(path)


@SLOW
@given(places=st.lists(st.tuples(st.integers(4, 7000), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_workbook_with_wrong_bytes_is_read_or_refused_by_our_error(tmp_path, places):
    data = bytearray(_book())
    for place, value in places:
        data[place % len(data)] = value
    path = tmp_path / "a.xlsx"
    path.write_bytes(bytes(data))
    try:
        sheets = read_cells(path)
    except CobenchError:
        return
    assert all(sheet.text.shape == sheet.kind.shape for sheet in sheets)


@SLOW
@given(data=st.binary(min_size=1, max_size=300), suffix=st.sampled_from([".csv", ".xlsx", ".xls", ".tsv"]))
def test_random_bytes_raise_only_our_error(tmp_path, data, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    try:
        sheets = read_cells(path)
    except CobenchError:
        return
    assert all(isinstance(sheet.text, np.ndarray) for sheet in sheets)
