"""Workbooks that go back to schools: the reminder list 催报名单 and correction lists 退改清单. No values of cells."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cobench import store
from cobench.ingest.receive import STATES, Received
from cobench.ingest.report import read_quarantine
from cobench.release import safe_cell
from cobench.store import private_dir
from cobench.study import Study

CORRECTION = ["file", "sheet", "row", "column", "status", "rule", "hint"]
# Nothing that a school can mend in a file of its own.
_NOT_FOR_SCHOOLS = ("unlinked", "redacted")
_HEADS = {
    "school": ("学校代码", "school"),
    "name": ("学校", "name"),
    "kind": ("材料", "kind of file"),
    "state": ("状态", "state"),
    "file": ("文件", "file"),
    "why": ("原因", "why"),
    "place": ("应命名并放在", "name it and put it here"),
    "due": ("截止日期", "due"),
    "sheet": ("工作表", "sheet"),
    "row": ("行", "row"),
    "column": ("列", "column"),
    "status": ("处理", "what became of it"),
    "rule": ("规则", "rule"),
    "hint": ("如何更正", "how to mend it"),
}
_STATUS = {"quarantined": ("整行未采用", "row put aside"), "cell": ("该单元格未采用", "cell not used")}
_WIDTHS = {"file": 44, "why": 60, "place": 52, "hint": 52, "name": 24, "kind": 18, "column": 16, "rule": 22}
_MARKED_IN_NAMES = re.compile(r'[\\/:*?"<>|\s]+')


def write_reminders(study: Study, received: Received, language: str) -> Path:
    """``private/催报名单_<term>.xlsx``: for each school what is missing, unreadable or sent twice, and the way out.

    It holds no personal data, but names of schools that are late: it isn't for publication.
    """
    frame = received.problems
    states = {state: text[language] for state, text in STATES.items()}
    due = received.term.files_due
    rows = frame.assign(
        state=frame["state"].map(states), why=frame[f"why_{language}"], due=due.isoformat() if due else ""
    )
    columns = ["school", "name", "kind", "state", "file", "why", "place", *(["due"] if due else [])]
    path = private_dir(study) / f"催报名单_{received.term.id}.xlsx"
    stray = received.stray.assign(why=received.stray[f"why_{language}"])[["file", "why"]]
    other = {"zh": "无法归类的文件", "en": "stray files"}[language]
    sheets = {{"zh": "催报名单", "en": "reminders"}[language]: rows[columns], other: stray}
    _write(path, {name: sheet for name, sheet in sheets.items() if len(sheet) or name != other}, language)
    return path


def corrections_dir(study: Study, term_id: str) -> Path:
    """Folder of a term's correction lists, below ``private/``."""
    return study.root / "private" / "corrections" / term_id


def school_folder(study: Study, term_id: str, school: str, name: str) -> Path:
    """Folder of one school's lists and page; rows whose school can't be told have one of their own."""
    label = f"{school}_{name}" if school else "学校不明"
    return private_dir(study, "corrections", term_id, _MARKED_IN_NAMES.sub("_", label))


def write_corrections(study: Study, term_id: str, language: str = "zh") -> list[Path]:
    """A correction list for each school that has anything to mend: file, sheet, row, column, rule, hint; no values.

    What an earlier ingest left in ``private/corrections/<term>`` goes.
    """
    shutil.rmtree(corrections_dir(study, term_id), ignore_errors=True)
    frame = read_quarantine(study, term_id)
    frame = frame[~frame["rule"].isin(_NOT_FOR_SCHOOLS)]
    schools = store.read_table(study, "schools", [term_id])
    names = dict(zip(schools["school"], schools["name"], strict=True))
    paths = []
    for school, own in frame.groupby("school", sort=True):
        folder = school_folder(study, term_id, str(school), names.get(school, ""))
        path = folder / "退改清单.xlsx"
        _write(path, {{"zh": "退改清单", "en": "corrections"}[language]: _listed(own, language)}, language)
        paths.append(path)
    return paths


def _listed(own: pd.DataFrame, language: str) -> pd.DataFrame:
    index = 0 if language == "zh" else 1
    said = {status: texts[index] for status, texts in _STATUS.items()}
    listed = own.assign(
        file=own["file"].str.rsplit("/", n=1).str[-1],
        status=own["status"].map(said),
        hint=own[f"hint_{language}"],
    )
    return listed.sort_values(["file", "sheet", "row"], kind="stable")[CORRECTION]


def _write(path: Path, sheets: dict[str, pd.DataFrame], language: str) -> None:
    import xlsxwriter

    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(str(path), options) as book:
        book.set_properties({"created": dt.datetime(2000, 1, 1), "author": "", "title": ""})
        head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        body = book.add_format({"text_wrap": True, "valign": "top"})
        for name, frame in sheets.items():
            _write_sheet(book.add_worksheet(name), frame, (head, body), language)
    path.chmod(0o600)


def _write_sheet(sheet, frame: pd.DataFrame, formats: Sequence, language: str) -> None:
    head, body = formats
    index = 0 if language == "zh" else 1
    for j, column in enumerate(frame.columns):
        sheet.write_string(0, j, _HEADS[column][index], head)
        sheet.set_column(j, j, _WIDTHS.get(column, 12))
    for i, row in enumerate(frame.itertuples(index=False, name=None), start=1):
        for j, value in enumerate(row):
            if isinstance(value, str):
                sheet.write_string(i, j, str(safe_cell(value)), body)
            else:
                sheet.write_number(i, j, float(value), body)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, max(len(frame), 1), len(frame.columns) - 1)
