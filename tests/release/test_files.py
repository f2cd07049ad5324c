"""The scan reads what a reader of a data file could read."""

import zipfile

import pandas as pd
import pytest

from cobench.release import scan_html
from cobench.release.files import text_of
from cobench.release.identifiers import Roster

NAMES = Roster({"赵小满", "Mary Ann Lee"})
NUMBER = "11010120140307123" + "X"


def kinds(path):
    return {finding.kind for finding in scan_html(text_of(path), names=NAMES)}


def write_xlsx(path, cell):
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(["n", cell])
    book.save(path)


def test_numbers_of_neighbouring_cells_are_no_phone(tmp_path):
    from openpyxl import Workbook

    book = Workbook()
    book.active.append([138, 12345, 678])
    book.save(tmp_path / "a.xlsx")
    assert kinds(tmp_path / "a.xlsx") == set()


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.log", "a.ipynb"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_name_is_found_in_text_files_of_any_encoding(tmp_path, name, encoding):
    path = tmp_path / name
    path.write_bytes("学生,赵小满\n".encode(encoding))
    assert kinds(path) == {"name"}


def test_a_name_and_a_phone_are_found_in_a_workbook(tmp_path):
    write_xlsx(tmp_path / "a.xlsx", "赵小满 13812345678")
    assert kinds(tmp_path / "a.xlsx") == {"name", "mobile_phone"}


def test_a_sheet_name_is_read_too(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as parts:
        parts.writestr("xl/workbook.xml", '<sheet name="赵小满"/>')
    assert kinds(tmp_path / "a.xlsx") == {"name"}


def test_texts_and_long_numbers_are_found_in_parquet_and_measures_are_not(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"who": ["赵小满"], "phone": [13812345678], "x": [0.25]}).to_parquet(path)
    assert kinds(path) == {"name", "mobile_phone"}
    pd.DataFrame({"estimate": [0.13812345678, 138.0], "n": [1200, 3], "ok": [True, False]}).to_parquet(path)
    assert kinds(path) == set()


def test_names_in_other_letters_are_found_as_words(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("said Mary Ann Lee.", encoding="utf-8")
    assert kinds(path) == {"name"}
    path.write_text("said Mary Ann Leeds, Mary Ann", encoding="utf-8")
    assert kinds(path) == set()
