"""Released tables as workbooks."""

import openpyxl
import pandas as pd
import pytest

from cobench.errors import ReleaseError
from cobench.release import release_aggregate, release_table, write_workbook

DICTIONARY = {
    "school": {"zh": "学校", "en": "school", "unit": ""},
    "n": {"zh": "在读人数", "en": "enrolled students", "unit": "人"},
    "share": {"zh": "覆盖率", "en": "coverage", "unit": "0—1"},
}


def coverage():
    frame = pd.DataFrame({"school": ["=cmd|'x'!A1", "白塔小学"], "n": [120, 6], "share": [1.0, 0.5]})
    return release_table(frame, counts="n", values=[], shares={"share": (None, "n")})


def test_a_workbook_holds_numbers_marks_and_a_dictionary(tmp_path):
    path = write_workbook(tmp_path / "a.xlsx", {"覆盖": coverage()}, DICTIONARY)
    book = openpyxl.load_workbook(path)
    rows = list(book["覆盖"].iter_rows(values_only=True))
    assert rows[0] == ("school", "n", "share")
    assert rows[1] == ("'=cmd|'x'!A1", 120, "≥0.925")
    assert rows[2] == ("白塔小学", "<10", "n<10")
    assert "<10" in rows[-1][0]
    assert ("覆盖", "n", "在读人数", "enrolled students", "人") in list(
        book["数据字典"].iter_rows(values_only=True)
    )


def test_no_cell_is_a_formula(tmp_path):
    path = write_workbook(tmp_path / "a.xlsx", {"a": coverage()}, DICTIONARY, language="en")
    cells = [cell for sheet in openpyxl.load_workbook(path) for row in sheet.iter_rows() for cell in row]
    assert not any(cell.data_type == "f" for cell in cells)


def test_only_released_tables_are_written(tmp_path):
    with pytest.raises(ReleaseError, match="not released"):
        write_workbook(tmp_path / "a.xlsx", {"a": pd.DataFrame({"n": [1]})}, DICTIONARY)
    assert not (tmp_path / "a.xlsx").exists()


def test_a_column_without_a_meaning_is_refused(tmp_path):
    table = release_aggregate(pd.DataFrame({"rows": [1]}), about="files")
    with pytest.raises(ReleaseError, match="dictionary entry for column rows"):
        write_workbook(tmp_path / "a.xlsx", {"a": table}, DICTIONARY)


def test_the_same_tables_give_the_same_bytes(tmp_path):
    first = write_workbook(tmp_path / "a.xlsx", {"a": coverage()}, DICTIONARY).read_bytes()
    assert write_workbook(tmp_path / "b.xlsx", {"a": coverage()}, DICTIONARY).read_bytes() == first
