"""Every reader, given anything: rows come back as they were, or one of the project's own errors; never another."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
import xlwt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cobench.errors import CobenchError, UnreadableFileError
from cobench.ingest import packages, sources_sql
from cobench.ingest.batches import RawFile, read_file
from cobench.ingest.readers import MISSING, Sheet, read_cells, sheets_of
from cobench.sources import Source

pyreadstat = pytest.importorskip("pyreadstat", reason="pyreadstat is not installed (extra sources)")

RUNS = settings(max_examples=40, suppress_health_check=list(HealthCheck))
# A process for every file: fewer of them.
FEW = settings(max_examples=8, suppress_health_check=list(HealthCheck))
CELL = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Cn", "Co"], exclude_characters="\ufffd"),
    max_size=6,
)
TABLE = st.lists(st.lists(CELL, min_size=1, max_size=5), min_size=1, max_size=6)


# Places as shares of the file: its length may differ from run to run.
PLACE = st.floats(0, 1, exclude_max=True)
DAMAGE = st.one_of(PLACE, st.lists(st.tuples(PLACE, st.integers(0, 255)), min_size=1, max_size=8))


def spoilt(content: bytes, damage: float | list[tuple[float, int]]) -> bytes:
    """A file cut off, or with some bytes changed."""
    if isinstance(damage, float):
        return content[: max(1, int(damage * len(content)))]
    changed = bytearray(content)
    for place, value in damage:
        changed[int(place * len(content))] = value
    return bytes(changed)


def filled(rows: list[list[str]]) -> list[list[str]]:
    width = max(map(len, rows))
    return [[*row, *[""] * (width - len(row))] for row in rows]


def as_csv(rows: list[list[str]], encoding: str = "utf-8-sig") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue().encode(encoding)


def as_xlsx(rows: list[list[str]], merges: list[tuple[int, int, int, int]] = ()) -> bytes:
    """Ragged rows stay ragged: an absent cell is not written at all."""
    data = io.BytesIO()
    with xlsxwriter.Workbook(data, {"strings_to_urls": False, "strings_to_formulas": False}) as book:
        sheet = book.add_worksheet("甲")
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                sheet.write_string(number, column, cell)
        for area in merges:
            sheet.merge_range(*area, "合并")
    return data.getvalue()


def as_xls(rows: list[list[str]]) -> bytes:
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("甲")
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            sheet.write(number, column, cell)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def as_zip(rows: list[list[str]]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("数据.csv", as_csv(rows))
        made.writestr("语法.sps", "VARIABLE LABELS q 'x'.\nVALUE LABELS q 1 'a' 2 'b'.\n")
    return data.getvalue()


def as_snapshot(rows: list[list[str]]) -> bytes:
    data = io.BytesIO()
    columns = list(map(list, zip(*filled(rows), strict=True)))
    schema = pa.schema(
        [(f"c{n}", pa.string()) for n in range(len(columns))], metadata={sources_sql._MARK: b"1"}
    )
    pq.write_table(pa.table(columns, schema=schema), data, write_page_checksum=True)
    return data.getvalue()


WRITERS: dict[str, Callable[[list[list[str]]], bytes]] = {
    ".csv": as_csv,
    ".xlsx": as_xlsx,
    ".xls": as_xls,
    ".zip": as_zip,
    ".parquet": as_snapshot,
}


def looked_at(data: bytes, suffix: str) -> list[Sheet] | None:
    """Sheets, or None where the file is refused in the project's own words."""
    try:
        sheets = sheets_of(data, f"a{suffix}", suffix)
    except CobenchError as error:
        assert error.en and error.zh and f"a{suffix}" in error.en
        return None
    for sheet in sheets:
        assert sheet.text.shape == sheet.kind.shape and sheet.kind.max(initial=0) <= MISSING
        assert len(sheet.row_numbers) == sheet.n_rows
        assert all(isinstance(cell, str) and "\ufffd" not in cell for cell in sheet.text.ravel())
    return sheets


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".zip", ".parquet"])
@RUNS
@given(rows=TABLE)
def test_random_unicode_and_ragged_rows_come_back_as_they_were(suffix, rows):
    sheets = looked_at(WRITERS[suffix](rows), suffix)
    if sheets is None:  # nothing but blanks
        assert not "".join(cell for row in rows for cell in row).strip()
        return
    (sheet,) = sheets
    held = sheet.text[1:] if suffix == ".parquet" else sheet.text
    wanted = filled(rows)
    # A workbook keeps no empty cells at its end.
    found = [[*row, *[""] * (len(wanted[0]) - len(row))] for row in held.tolist()]
    found += [[""] * len(wanted[0])] * (len(wanted) - len(found))
    assert found == wanted


@RUNS
@given(rows=TABLE)
def test_an_old_workbook_comes_back_as_it_was(rows):
    # The old format stores UTF-16 units; calamine reads those of the basic plane.
    rows = [
        ["".join(character for character in cell if character < "\ud800") for cell in row] for row in rows
    ]
    sheets = looked_at(as_xls(rows), ".xls")
    (sheet,) = sheets
    wanted = filled(rows)
    found = [[*row, *[""] * (len(wanted[0]) - len(row))] for row in sheet.text.tolist()]
    found += [[""] * len(wanted[0])] * (len(wanted) - len(found))
    assert found == wanted


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk"])
@RUNS
@given(
    rows=TABLE,
    other=st.sampled_from(["utf-8", "gb18030", "gbk", "big5", "shift_jis", "utf-16-le", "latin-1"]),
)
def test_a_re_encoded_csv_is_read_as_it_was_or_refused(encoding, rows, other):
    rows = [["姓名", "班级", "老师愿意听我说的话"], *rows]
    text = as_csv(rows).decode("utf-8-sig")
    try:
        written = text.encode(encoding)
        misread = written.decode(other, errors="ignore").encode("utf-8")
    except UnicodeError:
        return
    sheets = looked_at(written, ".csv")
    assert sheets is None or sheets[0].text.tolist() == filled(rows)
    looked_at(misread, ".csv")


@pytest.mark.parametrize("suffix", list(WRITERS))
@RUNS
@given(rows=TABLE, damage=DAMAGE)
def test_a_file_cut_off_or_with_bytes_changed_is_read_or_refused(suffix, rows, damage):
    looked_at(spoilt(WRITERS[suffix]([["序号", "提交答卷时间", "1、老师"], *rows]), damage), suffix)


@pytest.mark.parametrize("suffix", [*WRITERS, ".sav", ".dta", ".et", ".docx", ""])
@FEW
@given(
    data=st.one_of(
        st.binary(min_size=1, max_size=200), st.just(b"PK\x03\x04") | st.just(b"$FL2@(#)") | st.just(b"PAR1")
    )
)
def test_random_bytes_are_refused_or_read(suffix, data):
    looked_at(data, suffix)


@pytest.mark.parametrize("suffix", [".sav", ".dta"])
@FEW
@given(rows=TABLE, damage=DAMAGE)
def test_damaged_statistical_files_are_read_or_refused_even_where_the_library_crashes(
    tmp_path_factory, suffix, rows, damage
):
    path = tmp_path_factory.getbasetemp() / f"fuzz{suffix}"
    frame = pd.DataFrame(filled(rows), columns=[f"v{n}" for n in range(max(map(len, rows)))]).assign(q=1.0)
    write = pyreadstat.write_sav if suffix == ".sav" else pyreadstat.write_dta
    write(
        frame,
        path,
        column_labels=["标签"] * len(frame.columns),
        variable_value_labels={"q": {1: "符合", 2: "不符合"}},
    )
    content = path.read_bytes()
    whole = looked_at(content, suffix)
    assert whole is not None and whole[0].n_rows == len(rows) + 1
    looked_at(spoilt(content, damage), suffix)


AREA = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)).map(
    lambda area: (min(area[0], area[2]), min(area[1], area[3]), max(area[0], area[2]), max(area[1], area[3]))
)


@RUNS
@given(rows=TABLE, area=AREA.filter(lambda area: area[0] != area[2] or area[1] != area[3]))
def test_merged_headers_lose_no_row(tmp_path_factory, rows, area):
    """Whatever cells are merged, each row is a data row or a row of no data, exactly once."""
    path = tmp_path_factory.getbasetemp() / "merged.xlsx"
    path.write_bytes(as_xlsx([["学生成绩"], ["姓名", "班级", "语文"], *rows], [area]))
    source = Source(
        table="outcomes",
        files="*",
        columns={"student_name": ("姓名",), "class": ("班级",)},
        measures={"chinese": ("语文",)},
    )
    try:
        found = read_file(RawFile(path, "merged.xlsx", source, ""), None)
    except CobenchError:
        return
    places = [*found.non_data["row"], *(row for each in found.located for row in each.cells["row"])]
    assert sorted(places) == list(range(1, found.rows_in + 1))


# ---- bombs ----------------------------------------------------------------------------------------------


def bomb(name: str, size: int, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as made:
        made.writestr(name, b"0" * size)
    return data.getvalue()


@pytest.mark.parametrize("name", ["a.csv", "xl/worksheets/sheet1.xml", "[Content_Types].xml", "a.sps"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_bomb_is_refused_before_it_is_unpacked(name, compression, monkeypatch):
    data = bomb(name, packages._SMALL + 1, compression)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("was unpacked"))
    with pytest.raises(UnreadableFileError, match="unpacks to far more"):
        sheets_of(data, "a.zip", ".zip")


def test_a_zip_that_lies_about_its_size_is_refused():
    data = bytearray(bomb("a.csv", 5_000_000))
    # Both the local header and the directory say that the file holds 10 bytes.
    size = (5_000_000).to_bytes(4, "little")
    assert data.count(size) == 2
    assert looked_at(bytes(data.replace(size, (10).to_bytes(4, "little"))), ".zip") is None


def test_a_sheet_of_far_cells_is_refused():
    data = io.BytesIO()
    with xlsxwriter.Workbook(data) as book:
        book.add_worksheet().write(1_048_575, 16_383, "x")
    with pytest.raises(UnreadableFileError, match="unpacks to far more"):
        sheets_of(data.getvalue(), "a.xlsx", ".xlsx")


def test_the_largest_sheet_is_bounded(monkeypatch, tmp_path):
    monkeypatch.setattr("cobench.ingest.readers.MAX_CELLS", 8)
    (tmp_path / "a.csv").write_bytes(as_csv([["a", "b", "c"]] * 3))
    with pytest.raises(UnreadableFileError, match="unpacks to far more"):
        read_cells(tmp_path / "a.csv")
