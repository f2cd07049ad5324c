"""Released tables as workbooks."""

import re
import unicodedata

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobench.errors import ReleaseError
from cobench.release import release_aggregate, release_table, safe_cell, write_workbook

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


FORMULAS = [
    "=1+1",
    "＝1",
    " \u200b=A1",
    "+86 1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "　＋1",
    "{=1}",
    "-5",
    "1e3",
    "0123",
    "https://x",
]


def as_read(text):
    """A spreadsheet program decodes ``_x000D_``; XML holds no unpaired or unprintable characters."""
    decoded = re.sub("_x([0-9A-F]{4})_", lambda match: chr(int(match[1], 16)), text)
    return "".join(c for c in decoded if c in "\t\n\r" or (ord(c) >= 32 and c not in "\ufffe\uffff"))


def as_written(text):
    return "".join(c for c in text if c in "\t\n\r" or (ord(c) >= 32 and c not in "\ufffe\uffff"))


@settings(deadline=None, max_examples=60)
@given(
    texts=st.lists(st.text(max_size=30) | st.sampled_from(FORMULAS), min_size=1, max_size=4),
    number=st.floats(-1e12, 1e12) | st.integers(-(10**9), 10**9),
)
def test_reopened_elsewhere_no_cell_or_head_is_a_formula_and_texts_come_back(tmp_path_factory, texts, number):
    path = tmp_path_factory.mktemp("book") / "a.xlsx"
    frame = pd.DataFrame({texts[0]: texts, "n": number})
    meaning = dict.fromkeys(frame.columns, {"zh": texts[0], "en": texts[-1], "unit": "="})
    book = openpyxl.load_workbook(
        write_workbook(path, {"a": release_aggregate(frame, about="rules")}, meaning)
    )
    for sheet in book:
        for cell in (cell for row in sheet.iter_rows() for cell in row if cell.value is not None):
            assert cell.data_type in ("s", "n"), cell.coordinate
            if cell.data_type == "s":
                start = unicodedata.normalize("NFKC", cell.value.strip(" \u3000\u200b\ufeff\u00a0"))[:1]
                assert start not in tuple("=@") or cell.value.startswith("'")
    column = [row[0] for row in book["a"].iter_rows(min_row=2, max_row=len(texts) + 1, values_only=True)]
    assert [as_read(value or "") for value in column] == [as_written(str(safe_cell(text))) for text in texts]
    assert book["a"].cell(2, 2).value == pytest.approx(number, rel=1e-12)
