"""问卷星 exports by option text: columns by question, answers by code book; free text is never kept."""

from __future__ import annotations

import re

import pandas as pd

from cobench.errors import CobenchError, MissingColumnError, UnknownLevelError, UnreadableFileError
from cobench.ingest.codebook import Codebook, Item
from cobench.ingest.columns import is_value
from cobench.ingest.headers import Located, column_letter, place, split_rows
from cobench.ingest.readers import Sheet
from cobench.ingest.text import clean_text, header_key, map_unique

# What the platform puts before the questions. Only the time of submission is read; the rest is never stored.
SUBMITTED = "提交答卷时间"
LEADING = ("序号", SUBMITTED, "所用时间", "来源", "来源详情", "来自IP")
LEADING_OPTIONAL = (
    "总分",
    "昵称",
    "微信昵称",
    "openid",
    "用户ID",
    "自定义字段",
    "答题时长",
    "填写者",
    "状态",
)

MISSING = {"": "blank", "(空)": "blank", "(跳过)": "skipped", "〖跳过〗": "skipped"}
RAW_OF_REASON = {"blank": "(空)", "skipped": "(跳过)"}
_NUMBERED = re.compile(r"(\d+)[、.](.*)")
_OTHER_MATRIX = re.compile(r"第(\d+)题\((.*)\)")
_SEARCHED_ROWS = 5


def check_mode(label: str, file_name: str) -> None:
    """Refuse exports by option number: the file name says how the platform wrote it.

    Raises
    ------
    UnreadableFileError
    """
    if "按序号" in file_name or "按分数" in file_name:
        raise UnreadableFileError(
            en=f"{label}: exported by option number; export it again from 问卷星 by option text (按选项文本)",
            zh=f"{label}：该文件是按序号导出的；请在问卷星中重新选择“按选项文本下载”",
        )


def locate(sheet: Sheet, codebook: Codebook, label: str) -> Located:
    """Columns ``submitted, school, class, student_name`` and one for each coded item.

    Raises
    ------
    UnreadableFileError
        On an export by number, or one without the platform's leading columns.
    MissingColumnError
        On a question of the code book that is absent or there twice.
    UnknownLevelError
        On a question that the code book doesn't list.
    """
    check_mode(label, label.rsplit("/", 1)[-1])
    row = _header_row(sheet, label)
    keys = [header_key(cell) for cell in sheet.text[row]]
    columns, unknown = _places(keys, codebook)
    en, zh = place(label, sheet.name)
    if unknown:
        letters = ", ".join(map(column_letter, unknown))
        raise UnknownLevelError(
            en=f"{en}, column {letters}: a question that the code book {codebook.instrument} doesn't list; "
            "the questionnaire has changed: write a new version of the code book",
            zh=f"{zh} 列 {letters}：编码表 {codebook.instrument} 中没有此题；问卷已改动，请编写新版编码表",
        )
    twice = [name for name, places in columns.items() if len(places) > 1]
    wanted = [*_identifying(codebook), *(item.id for item in codebook.coded)]
    missing = [name for name in wanted if name not in columns]
    if missing or twice:
        shown = ", ".join(_wording(codebook, name) for name in (missing or twice)[:10])
        which_en, which_zh = ("is missing", "缺少") if missing else ("is there twice", "重复出现")
        raise MissingColumnError(
            en=f"{en}: {shown} {which_en}; export all questions, or mend the headers in code book {codebook.instrument}",
            zh=f"{zh}：{which_zh} {shown}；请导出全部题目，或修正编码表 {codebook.instrument} 的 header",
        )
    found = {name: places[0] for name, places in columns.items()}
    located = split_rows(sheet, found, row, row, tuple(found))
    how = f"问卷星 by text, {located.how}, {len(codebook.coded)} items"
    return Located(located.cells, located.kinds, located.non_data, located.headers, how)


def unknown_options(cells: pd.DataFrame, codebook: Codebook) -> list[CobenchError]:
    """An error for each file and question with an option that the code book doesn't list."""
    errors = []
    for item in codebook.coded:
        known = {*codebook.wordings(item), *codebook.missing, *MISSING}
        wrong = cells.loc[~is_value(cells[item.id], known.__contains__), ["file", "sheet", "row"]].astype(
            "object"
        )
        for (file, sheet), rows in wrong.groupby(["file", "sheet"], sort=True):
            en, zh = place(file, sheet)
            listed = ", ".join(map(str, rows["row"].head(10))) + (", …" if len(rows) > 10 else "")
            labels = " | ".join([*codebook.values(item), *codebook.missing])
            errors.append(
                UnknownLevelError(
                    en=f"{en}, column {item.header}, row {listed}: an option that code book {codebook.instrument} "
                    f"doesn't list for {item.id}; allowed: {labels}; mend the cell, or add the option to a new version",
                    zh=f"{zh} 列「{item.header}」第 {listed} 行：编码表 {codebook.instrument} 的 {item.id} 没有此选项；"
                    f"可用：{labels}；请修正单元格，或在新版编码表中加入",
                )
            )
    return errors


def answers(texts: pd.Series, item: Item, codebook: Codebook) -> pd.DataFrame:
    """Answers to one item: ``raw`` (option text as in the code book), ``value`` and ``missing_reason``."""
    reasons = {**MISSING, **codebook.missing}
    values, wordings = codebook.values(item), codebook.wordings(item)

    def raw(text: str) -> str:
        return wordings.get(text) or RAW_OF_REASON.get(reasons[text], text)

    return pd.DataFrame(
        {
            "raw": map_unique(texts, raw),
            "value": map_unique(texts, lambda text: values.get(wordings.get(text, ""))).astype("float64"),
            "missing_reason": map_unique(texts, reasons.get),
        }
    )


def _header_row(sheet: Sheet, label: str) -> int:
    for row in range(min(_SEARCHED_ROWS, sheet.n_rows)):
        keys = [header_key(cell) for cell in sheet.text[row]]
        if SUBMITTED in keys and "序号" in keys:
            return row
    en, zh = place(label, sheet.name)
    raise UnreadableFileError(
        en=f"{en}: not recognised as a 问卷星 export (columns {', '.join(LEADING[:2])} are absent); "
        "export it again without changing the columns",
        zh=f"{zh}：无法识别为问卷星导出文件（缺少 {'、'.join(LEADING[:2])} 列）；请重新导出且不要改动列",
    )


def _places(keys: list[str], codebook: Codebook) -> tuple[dict[str, list[int]], list[int]]:
    """Places of each canonical column, and of questions that nobody knows."""
    by_header = {header_key(item.header): item for item in codebook.items}
    by_row = {_number_and_row(key): item for key, item in by_header.items()}
    identifying = {number: name for name, number in _identifying(codebook).items()}
    leading = {header_key(name) for name in (*LEADING, *LEADING_OPTIONAL)}
    columns: dict[str, list[int]] = {}
    unknown = []
    for index, key in enumerate(keys):
        if not key or key in leading:
            if key == SUBMITTED:
                columns.setdefault("submitted", []).append(index)
            continue
        numbered = _NUMBERED.fullmatch(key)
        matrix = _OTHER_MATRIX.fullmatch(key)
        item = by_header.get(key) or (by_row.get((matrix.group(1), matrix.group(2))) if matrix else None)
        if item is not None:
            if item.kind == "choice":
                columns.setdefault(item.id, []).append(index)
        elif numbered and numbered.group(1) in identifying and "—" not in key:
            columns.setdefault(identifying[numbered.group(1)], []).append(index)
        else:
            unknown.append(index)
    return columns, unknown


def _identifying(codebook: Codebook) -> dict[str, str]:
    """Question number of each column that says whose questionnaire it is."""
    given = {
        "school": codebook.identify.school,
        "class": codebook.identify.class_,
        "student_name": codebook.identify.name,
    }
    return {name: number for name, number in given.items() if number is not None}


def _number_and_row(key: str) -> tuple[str, str]:
    numbered = _NUMBERED.fullmatch(key)
    number, rest = numbered.groups() if numbered else ("", key)
    return number, rest.partition("—")[2]


def _wording(codebook: Codebook, name: str) -> str:
    number = _identifying(codebook).get(name)
    if number is not None:
        return f"question {number} ({name})"
    return next((clean_text(item.header) for item in codebook.items if item.id == name), name)
