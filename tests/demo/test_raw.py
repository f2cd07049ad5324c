"""Raw files: readable, conserved, with every trap on record."""

import csv
import hashlib
import io

import numpy as np
import pandas as pd
import pytest
from python_calamine import CalamineWorkbook

from cobench.demo import build_world, write_raw
from cobench.demo.calendar import TERMS
from cobench.demo.codebook import INSTRUMENTS, codebook
from cobench.demo.names import number_is_valid
from cobench.errors import CobenchError

NEWEST = TERMS[-1].id


@pytest.fixture(scope="module")
def delivery(small_world, tmp_path_factory):
    """The small world on disk: its folder and the files written."""
    root = tmp_path_factory.mktemp("study")
    return root, write_raw(small_world, root)


@pytest.fixture(scope="module")
def lines(delivery):
    """All lines of every file as read back: {(file, sheet): list of rows}."""
    root, paths = delivery
    read = {}
    for path in paths:
        name = path.relative_to(root / "data" / "raw").as_posix()
        if path.suffix == ".csv":
            encoding = "utf-8-sig" if "学校名录" in name else "gb18030"
            text = path.read_bytes().decode(encoding, errors="strict")
            read[name, ""] = list(csv.reader(io.StringIO(text)))
        else:
            book = CalamineWorkbook.from_path(path)
            for sheet in book.sheet_names:
                read[name, sheet] = book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    return read


def test_every_file_reads_back_with_the_lines_of_the_manifest(small_world, lines):
    manifest = small_world.manifest
    assert set(zip(manifest["file"], manifest["sheet"], strict=True)) == set(lines)
    for row in manifest.itertuples():
        assert len(lines[row.file, row.sheet]) == row.n_header + row.n_rows, (row.file, row.sheet)


def test_manifest_conserves_rows(small_world):
    manifest = small_world.manifest
    parts = manifest[["n_accepted", "n_quarantined", "n_non_data"]].sum(axis=1)
    assert (parts == manifest["n_rows"]).all()
    quarantined = small_world.traps.query("expected == 'quarantined'").groupby(["file", "sheet"]).size()
    counted = manifest[manifest["n_quarantined"] > 0].set_index(["file", "sheet"])["n_quarantined"]
    assert quarantined.to_dict() == counted.to_dict()


def _accepted(world, word):
    own = world.manifest[world.manifest["file"].str.contains(word)]
    return int(own["n_accepted"].sum())


def test_accepted_lines_are_the_rows_of_the_canonical_tables(small_world):
    world, tables, rules = small_world, small_world.tables, small_world.traps["rule"]
    assert _accepted(world, "学籍名册") == len(tables["enrolments"])
    assert _accepted(world, "重点学生名单") == len(tables["memberships"])
    assert _accepted(world, "家长学校签到") == len(tables["attendance"])
    assert sum(_accepted(world, word) for word in ("活动记录", "班级台账", "教共体活动")) == len(
        tables["events"]
    )
    for name, word in {"checkins": "亲子共读", "teaching": "任课表", "communities": "教共体名单"}.items():
        assert _accepted(world, word) == len(tables[name])
    for name, word in {"postings": "交流教师", "tasks": "教共体任务"}.items():
        assert _accepted(world, word) == len(tables[name])
    kinds = tables["records"]["kind"].value_counts()
    assert _accepted(world, "护学岗") == kinds["guard_slot"] / 2
    assert _accepted(world, "一生一案") == kinds["plan"] == kinds["archive"]
    assert _accepted(world, "学校名录") == len(tables["schools"])
    outcomes = tables["outcomes"]["measure"].value_counts()
    assert _accepted(world, "考勤汇总") == outcomes["absences"]
    assert _accepted(world, "质量监测") == outcomes["math_common"]
    assert _accepted(world, "成绩册") == outcomes["math"] + outcomes["math_level"]
    assert _accepted(world, "成绩册") == outcomes["chinese"] + outcomes["chinese_level"]
    for word, instrument in zip(("家长问卷", "学生问卷"), INSTRUMENTS, strict=True):
        answers = (tables["responses"]["instrument"] == instrument).sum()
        assert _accepted(world, word) * len(codebook(instrument).coded) == answers
    logged = _accepted(world, "家访记录") - (rules == "repeated_row").sum() + (rules == "two_children").sum()
    assert logged == len(tables["contacts"])


def test_traps_stand_where_they_are_recorded(small_world, lines):
    shows = {
        "blank_name": lambda cells: "" in cells[:2],
        "bad_number": lambda cells: "1O3" in cells,
        "impossible_date": lambda cells: "02-30" in cells[0],
        "footer": lambda cells: cells[0] and not any(cells[4:]),
        "blank_row": lambda cells: not any(cells),
        "nil_return": lambda cells: cells[1] == "无",
        "two_children": lambda cells: "、" in cells[1],
        "destroyed_number": lambda cells: isinstance(cells[2], float),
        "unknown_class": lambda cells: cells[2] in ("九年级9班", "八年级9班"),
    }
    seen = set()
    for trap in small_world.traps.itertuples():
        if trap.rule in shows:
            assert shows[trap.rule](lines[trap.file, trap.sheet][trap.row - 1]), trap
            seen.add(trap.rule)
    assert seen == set(shows)


def test_every_term_has_its_handful_of_quarantined_lines(small_world):
    bad = small_world.traps.query("expected == 'quarantined'").groupby("term")["rule"]
    for term in TERMS:
        counts = bad.get_group(term.id).value_counts()
        assert set(counts.index) == {
            "destroyed_number", "ambiguous_student", "unknown_student", "unknown_class", "impossible_date",
            "bad_number", "blank_name",
        }  # fmt: skip
        assert counts.sum() < 50


def test_student_numbers_are_valid_text_but_for_the_destroyed_ones(lines):
    numbers = [
        row[2]
        for (file, _), rows in lines.items()
        if file.endswith("学籍名册.xlsx")
        for row in rows[2:]
        if row[2] != ""
    ]
    destroyed = [number for number in numbers if not isinstance(number, str)]
    assert len(destroyed) == len(TERMS)
    assert all(number_is_valid(number) for number in numbers if isinstance(number, str))
    assert all(number == float(f"{number:.14e}") for number in destroyed)  # 15 digits survive in Excel


def test_score_books_have_merged_titles_and_two_row_headers(delivery):
    root, _ = delivery
    for path in (root / "data" / "raw" / NEWEST).glob("*/成绩册.xlsx"):
        book = CalamineWorkbook.from_path(path)
        for name in book.sheet_names:
            sheet = book.get_sheet_by_name(name)
            assert ((1, 2), (1, 3)) in sheet.merged_cell_ranges
            assert ((0, 0), (0, 3)) in sheet.merged_cell_ranges
            rows = sheet.to_python(skip_empty_area=False)
            assert rows[1][2] == "期末成绩" and rows[2][2:] == ["语文", "数学"]
            assert rows[-1][0] == "平均分"


def test_the_cumulative_export_repeats_the_autumn(small_world, lines):
    repeated = small_world.traps.query("rule == 'repeated_row'")
    assert set(repeated["term"]) == {NEWEST}
    (file,) = set(repeated["file"])
    now = [lines[file, ""][row - 1] for row in repeated["row"]]
    earlier = lines[file.replace(NEWEST, TERMS[-2].id), ""]
    assert all(line in earlier for line in now)


def test_questionnaire_exports_have_the_columns_of_the_code_book(lines):
    for word, instrument in zip(("家长问卷", "学生问卷"), INSTRUMENTS, strict=True):
        (rows,) = [rows for (file, _), rows in lines.items() if word in file and file.startswith(NEWEST)]
        assert rows[0][9:] == [item.header for item in codebook(instrument).items]
        assert {"(空)", "不知道"} <= {cell for row in rows[1:] for cell in row}


def test_the_raw_folder_never_holds_the_truth_or_a_number_beside_the_roster(small_world, delivery, lines):
    root, paths = delivery
    assert (root / "data" / "demo_truth.parquet").is_file()
    assert not list((root / "data" / "raw").rglob("*truth*"))
    numbers = set(small_world.people["student_number"])
    for (file, _), rows in lines.items():
        if not file.endswith("学籍名册.xlsx"):
            assert not numbers & {cell for row in rows for cell in row if isinstance(cell, str)}


def test_truth_is_written_as_built(small_world, delivery):
    root, _ = delivery
    written = pd.read_parquet(root / "data" / "demo_truth.parquet")
    assert len(written) == len(small_world.truth)
    assert np.allclose(written["effect"], small_world.truth["effect"])


@pytest.fixture(scope="module")
def tiny_delivery(tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny")
    return root, write_raw(build_world(5, n_schools=2, n_students=160), root)


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_same_world_gives_the_same_bytes(tiny_delivery, tmp_path, jobs):
    again = write_raw(build_world(5, n_schools=2, n_students=160), tmp_path, jobs=jobs)
    for one, other in zip(tiny_delivery[1], again, strict=True):
        assert one.name == other.name
        assert hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(other.read_bytes()).digest()


def test_an_earlier_delivery_is_written_over_only_by_force(tiny_delivery):
    root, _ = tiny_delivery
    other = build_world(6, n_schools=2, n_students=160)
    with pytest.raises(CobenchError, match="--force"):
        write_raw(other, root)
    paths = write_raw(other, root, force=True)
    held = {path for path in (root / "data" / "raw").rglob("*") if path.is_file()}
    assert held == set(paths)
