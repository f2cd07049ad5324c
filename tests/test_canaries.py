"""Promise 5: names, numbers, phones and addresses planted in every column of every raw file of a term, in good rows and
bad, beside headers, in the names of sheets and files and in document properties, reach nothing outside ``data/raw`` and
``private/``: no output, log, traceback, page, notebook, table or metadata.
"""

from __future__ import annotations

import csv
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import openpyxl
import pandas as pd
import pytest
from district import TERM, cobench, lay_out_small_district

from cobench import store
from cobench.ingest.numbers import checksum_fits
from cobench.run.page_data import unpacked
from cobench.study import load_study

# Nobody: invented names that the demo never draws, numbers of the region 999901 that no place has.
CHILD = "慕容金丝雀"
PARENT = "司徒知更鸟"
IDENTITY = next(f"99990120150307077{c}" for c in "0123456789X" if checksum_fits(f"99990120150307077{c}"))
PARENT_IDENTITY = next(
    f"99990119850709088{c}" for c in "0123456789X" if checksum_fits(f"99990119850709088{c}")
)
PHONE, LANDLINE, IP, OPENID = "19912345678", "0999-87654321", "203.0.113.77", "oCanaryCanaryCanaryCanary123"
CANARIES = (CHILD, PARENT, IDENTITY, PARENT_IDENTITY, PHONE, LANDLINE, IP, OPENID)
WIDE = PHONE.translate(str.maketrans("0123456789", "０１２３４５６７８９"))
SPACED = f"{PHONE[:3]} {PHONE[3:7]} {PHONE[7:]}"
EVERYTHING = f"{CHILD}家长{PARENT} 身份证{PARENT_IDENTITY} 电话{PHONE}、{LANDLINE} {IP} {OPENID}"
# What a row of free text may hold that is stored cleaned: who is on the roster, and numbers however typed.
STORED = f"看望{CHILD}，电话{WIDE}或{SPACED}，学籍号G{IDENTITY}"
ANSWER = f'<script>alert("{CHILD}")</script>=HYPERLINK("http://{IP}","{PARENT_IDENTITY}"){PHONE}'
TEXTS = ("主题", "依据", "场次")
REPORTS = ("00_summary", "01_data_quality", "90_broken")
BROKEN = f"""
from pathlib import Path
import pandas as pd
known = pd.concat(map(pd.read_parquet, Path(desk.study.root, "private", "identities").glob("*.parquet")))
name = ", ".join(known.loc[known["name"] == "{CHILD[:2]}" + "{CHILD[2:]}", "name"])
print(name)
raise ValueError(name)
"""


# ---- planting -----------------------------------------------------------------------------------------


def plant(folder: Path) -> None:
    """Canaries in every raw file of the newest term."""
    raw = folder / "data" / "raw" / TERM
    for path in sorted(raw.rglob("*")):
        if path.suffix == ".csv" and path.name != "学校名录.csv":
            plant_csv(path)
        elif path.suffix == ".xlsx":
            plant_workbook(path, lists_child=path.parent.name.startswith("S01"))
    for path in sorted(raw.glob("*/*")):
        if path.stem.startswith(("家访记录", "学籍名册", "成绩册")):
            path.rename(path.with_name(f"{path.stem}_{CHILD}_{PHONE}{path.suffix}"))


def planted_rows(header: list[str], good: list) -> list[list]:
    """The rows to add below a table: a good one with canaries in what isn't read, bad ones with them everywhere."""
    read = (
        "班级",
        "日期",
        "时间",
        "方式",
        "类型",
        "角色",
        "状态",
        "级",
        "时长",
        "代码",
        "类别",
        "住宿",
        "性别",
        "出生",
        "场次",
        "学校",
        "编号",
    )
    marks = ("语文", "数学", "英语", "出勤", "缺勤", "分")
    named = [
        CHILD
        if name in ("姓名", "学生姓名")
        else f"G{IDENTITY}"
        if name == "学籍号"
        else STORED
        if name in ("主题", "依据")
        else value
        if any(word in name for word in (*read, *marks))
        else EVERYTHING
        for name, value in zip(header, good, strict=True)
    ]
    stranger = [
        EVERYTHING if name in ("姓名", "学生姓名", "学籍号") else value
        for name, value in zip(header, named, strict=True)
    ]
    levelled = ("方式", "类型", "角色", "状态", "类别", "住宿", "性别", "年级")
    spoilt = [
        value if any(word in name for word in levelled) else EVERYTHING
        for name, value in zip(header, named, strict=True)
    ]
    return [named, stranger, spoilt]


def plant_csv(path: Path) -> None:
    rows = list(csv.reader(io.StringIO(path.read_bytes().decode("gb18030"))))
    at = next(n for n, row in enumerate(rows) if {"班级", "学校", "编号"} & set(row))
    header, good = rows[at], rows[at + 1]
    extra = [f"备注（{PARENT}{PHONE}）", f"联系人{PARENT}"]
    body = [*rows[at + 1 :], *planted_rows(header, good)]
    lines = [[EVERYTHING], [*header, *extra], *([*row, EVERYTHING, EVERYTHING] for row in body)]
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(lines)
    path.write_bytes(buffer.getvalue().encode("gb18030"))


def plant_workbook(path: Path, *, lists_child: bool) -> None:
    book = openpyxl.load_workbook(path)
    for name in ("creator", "lastModifiedBy", "title", "subject", "description", "keywords"):
        setattr(book.properties, name, EVERYTHING)
    survey = "问卷" in path.name
    for number, sheet in enumerate(book.worksheets):
        rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
        at = next(
            (
                n
                for n, row in enumerate(rows)
                if any(h in row for h in ("姓名", "学生姓名", "场次", "日期", "序号"))
            ),
            None,
        )
        if at is None:
            continue
        if survey:
            plant_answers(sheet, rows[at])
            continue
        width, last = len(rows[at]), next(n for n in range(at + 1, len(rows)) if rows[n][0] not in (None, ""))
        header = [str(value or "") for value in rows[at]]
        if "姓名" in header and "语文" not in header and any("语文" in str(value) for value in rows[at + 1]):
            header = [h or str(value or "") for h, value in zip(header, rows[at + 1], strict=True)]
            last = at + 2
        # One child has one number, so only one school's roster may list it.
        first = 1 if "学籍号" in header and not lists_child else 0
        for row in planted_rows(header, rows[last])[first:]:
            sheet.append([*row, EVERYTHING])
        sheet.cell(at + 1, width + 1, f"联系人{PARENT}{PHONE}")
        sheet.title = f"{CHILD}{number}"
    hidden = book.create_sheet(f"藏{PARENT}")
    hidden.append([EVERYTHING])
    hidden.sheet_state = "hidden"
    book.save(path)


def plant_answers(sheet, header: list) -> None:
    """Canaries in leading columns and open answers of existing questionnaires, and questionnaires of nobody."""
    names = [str(value) for value in header]
    first = [cell.value for cell in sheet[2]]
    place = {name: index + 1 for index, name in enumerate(names)}
    own = {"来自IP": f"{IP}(示例)", "来源详情": OPENID, "来源": EVERYTHING}
    open_answers = [name for name in names if "还有什么" in name or "想说" in name or "建议" in name]
    for row in range(2, min(sheet.max_row, 40) + 1):
        for name, value in own.items():
            if name in place:
                sheet.cell(row, place[name], value)
        for name in open_answers:
            sheet.cell(row, place[name], ANSWER if row % 2 else f"={ANSWER}")
    child = [value if "姓名" not in name else CHILD for name, value in zip(names, first, strict=True)]
    nobody = [value if "姓名" not in name else EVERYTHING for name, value in zip(names, first, strict=True)]
    for row in (child, nobody):
        sheet.append(row)


# ---- searching ----------------------------------------------------------------------------------------


def texts_of(path: Path) -> list[str]:
    """Everything that can be read in a file: bytes in two encodings, entities and escapes, cells, parts of archives."""
    data = path.read_bytes()
    found = [path.name, data.decode("utf-8", errors="ignore"), data.decode("gb18030", errors="ignore")]
    if path.suffix in (".html", ".ipynb", ".json", ".xml", ".txt", ".log"):
        text = unpacked(found[1])
        found += [html.unescape(text), re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), text)]
        found.append(re.sub(r"<[^<>]*>", "", html.unescape(text)))
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
        found.append(
            "\n".join(str(value) for name in frame for value in (name, *frame[name].dropna().unique()))
        )
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                found.append(name + html.unescape(archive.read(name).decode("utf-8", errors="ignore")))
    return found


def marks_in(text: str) -> set[str]:
    """Canaries in a text, also typed wide or in groups."""
    plain = text.translate(str.maketrans("０１２３４５６７８９Ｘ", "0123456789X"))
    bare = re.sub(r"[\s\-·.]", "", plain)
    names = {each for each in (CHILD, PARENT) if each in re.sub(r"[\s·]", "", plain)}
    numbers = {each for each in (IDENTITY, PARENT_IDENTITY, PHONE, re.sub("-", "", LANDLINE)) if each in bare}
    return names | numbers | {each for each in (IP, OPENID) if each in plain}


def leaks(folder: Path) -> dict[str, set[str]]:
    """Canaries by file, for all files outside data/raw and private/."""
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if (
            path.is_file()
            and inside[0] != "private"
            and inside[:2] != ("data", "raw")
            and inside[0] != "notebooks"
        ):
            marks = set().union(*map(marks_in, texts_of(path)))
            if marks:
                found["/".join(inside)] = marks
    return found


# ---- the term -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def term(tmp_path_factory):
    folder = tmp_path_factory.mktemp("canaries") / "demo"
    lay_out_small_district(folder, n_schools=4, n_students=700)
    plant(folder)
    notebook = nbformat.read(folder / "notebooks" / "00_summary.ipynb", 4)
    notebook.metadata["cobench"] |= {"order": 99, "title": {"zh": "坏报告", "en": "Broken"}}
    notebook.cells.append(nbformat.v4.new_code_cell(BROKEN))
    nbformat.write(notebook, folder / "notebooks" / "90_broken.ipynb")
    read = cobench(folder, "ingest", TERM)
    only = [word for name in REPORTS for word in ("--only", name)]
    run = cobench(folder, "run", TERM, "--jobs", "2", *only)
    return folder, read, run


def test_the_term_was_read_and_reported_with_one_report_failing(term):
    folder, read, run = term
    assert read.returncode == 0, read.stderr[-3000:]
    assert run.returncode == 1, run.stdout[-2000:] + run.stderr[-3000:]
    names = {path.name for path in (folder / "reports" / TERM).glob("*.html")}
    assert {f"{name}.{language}.html" for name in REPORTS for language in ("zh", "en")} <= names


def test_the_canaries_were_read_and_kept_where_only_their_owner_looks(term):
    folder, _, _ = term
    private = "".join(
        text for path in (folder / "private").rglob("*") if path.is_file() for text in texts_of(path)
    )
    assert {CHILD, PARENT, IDENTITY, PHONE} <= marks_in(private)
    failed = list((folder / "private" / "failed" / TERM).glob("90_broken*"))
    assert any(CHILD in text for path in failed for text in texts_of(path))
    children = [
        pd.read_parquet(path) for path in (folder / "data" / "processed" / "students").rglob("*.parquet")
    ]
    identities = pd.read_parquet(folder / "private" / "identities" / f"{TERM}.parquet")
    student = identities.loc[identities["name"] == CHILD, "student"].dropna().iloc[0]
    assert student in set(pd.concat(children)["student"])


def test_no_canary_reaches_anything_but_raw_files_and_private(term):
    folder, _, _ = term
    assert leaks(folder) == {}


def test_no_canary_is_printed(term):
    _, read, run = term
    for said in (read.stdout, read.stderr, run.stdout, run.stderr):
        assert marks_in(said) == set()


def test_texts_that_are_stored_keep_what_is_harmless(term):
    folder, _, _ = term
    events = pd.concat(
        pd.read_parquet(path) for path in (folder / "data" / "processed" / "events").rglob("*.parquet")
    )
    assert any(text.startswith("看望＊") for text in events["topic"].dropna())


def test_a_parents_answer_reaches_no_report_as_script_formula_name_or_number(term):
    folder, _, _ = term
    for path in (folder / "reports").rglob("*"):
        for text in texts_of(path) if path.is_file() else ():
            assert "alert(" not in text and "HYPERLINK" not in text, path.name


@pytest.mark.parametrize("language", ["C.UTF-8", "zh_CN.UTF-8"])
@pytest.mark.parametrize("spoil", ["label", "header", "no header", "not a workbook", "cut", "option"])
def test_errors_about_a_bad_file_repeat_no_canary(term, tmp_path, spoil, language):
    folder = tmp_path / "demo"
    shutil.copytree(term[0], folder, ignore=shutil.ignore_patterns("reports", "processed"))
    spoil_a_file(folder / "data" / "raw" / TERM, spoil)
    done = cobench(folder, "ingest", TERM, language=language)
    assert done.returncode == 2, done.stdout
    assert len(done.stderr) > 40 and "Traceback" not in done.stderr
    assert marks_in(done.stdout + done.stderr) == set()
    assert leaks(folder) == {}


def spoil_a_file(raw: Path, how: str) -> None:
    log = next(raw.glob("*/家访记录*"))
    rows = list(csv.reader(io.StringIO(log.read_bytes().decode("gb18030"))))
    survey = next(raw.glob("*家长问卷*"))
    if how == "label":
        rows[-1][rows[1].index("家访方式")] = EVERYTHING
    elif how == "header":
        rows[1][rows[1].index("班级")] = f"班{PARENT}"
        rows[1][rows[1].index("教师")] = PARENT
    elif how == "no header":
        rows = rows[2:]
    elif how == "option":
        book = openpyxl.load_workbook(survey)
        book.active.cell(3, book.active.max_column - 2, EVERYTHING)
        book.active.title = PARENT
        book.save(survey)
        return
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    data = buffer.getvalue().encode("gb18030")
    target = log.with_name(f"家访记录_{PHONE}.csv")
    log.unlink()
    if how == "not a workbook":
        target = target.with_suffix(".xlsx")
    target.write_bytes(data[: data.index(PARENT.encode("gb18030")) + 1] if how == "cut" else data)


def test_a_new_key_changes_every_pseudonym_and_no_estimate_and_forgetting_prints_nothing(
    term, tmp_path, monkeypatch
):
    folder, other = shutil.copytree(term[0], tmp_path / "demo"), "c3" * 32
    study = load_study(folder)
    before, held = (
        store.read_stage(study, TERM, "estimates"),
        set(store.read_table(study, "students")["student"]),
    )
    monkeypatch.setenv("COBENCH_NEW_KEY", other)
    done = cobench(folder, "key", "--rotate")
    assert done.returncode == 0, done.stderr
    assert not held & set(store.read_table(study, "students")["student"])
    refused = cobench(folder, "ingest", TERM)
    assert refused.returncode == 2 and "--restore" in refused.stderr
    assert cobench(folder, "prepare", TERM, key=other).returncode == 0
    pd.testing.assert_frame_equal(store.read_stage(study, TERM, "estimates"), before, check_exact=True)
    forgotten = subprocess.run(
        [sys.executable, "-m", "cobench.cli", "forget"],
        cwd=folder,
        env={**os.environ, "COBENCH_KEY": other, "LC_ALL": "C.UTF-8"},
        input=f"G{IDENTITY}\n",
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert forgotten.returncode == 0, forgotten.stderr
    assert TERM in forgotten.stdout and marks_in(forgotten.stdout + forgotten.stderr) == set()


def test_a_planted_defect_is_found(term, tmp_path):
    """A table that stores the address of the sender, as a careless reader would, turns the search red."""
    folder = shutil.copytree(term[0] / "data" / "processed", tmp_path / "demo" / "data" / "processed")
    path = next((folder / "responses").rglob("*.parquet"))
    pd.read_parquet(path).assign(raw=IP).to_parquet(path)
    (tmp_path / "demo" / "run.log").write_text(json.dumps({"who": CHILD}))
    found = leaks(tmp_path / "demo")
    assert found["run.log"] == {CHILD} and [
        marks for name, marks in found.items() if "responses" in name
    ] == [{IP}]
