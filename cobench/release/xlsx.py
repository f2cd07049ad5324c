"""Released tables as a workbook with a data dictionary."""

from __future__ import annotations

import datetime as dt
import math
import numbers
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cobench.errors import ReleaseError
from cobench.release.escape import safe_cell
from cobench.release.released import Released, require_released

_DICTIONARY = {
    "zh": ("数据字典", ("工作表", "列", "含义（中文）", "含义（英文）", "单位")),
    "en": ("dictionary", ("sheet", "column", "meaning (zh)", "meaning (en)", "unit")),
}
_HIDDEN = {
    "zh": "<{n}：人数少于 {n}，不予公布；n<{n}：所依据的人数少于 {n}；*：为防止推算而隐去；≥、≤：只公布界限",
    "en": "<{n}: fewer than {n} people, not shown; n<{n}: rests on fewer than {n}; *: hidden so that another "
    "cell can't be worked out; ≥, ≤: only a bound is shown",
}
_TOO_LONG = 31  # Excel's limit for a sheet name


def write_workbook(
    path: Path | str,
    tables: Mapping[str, Released],
    dictionary: Mapping[str, Mapping[str, str]],
    *,
    language: str = "zh",
) -> Path:
    """Write released tables, one a sheet, and a dictionary of their columns; same input, same bytes.

    Parameters
    ----------
    tables : ``{sheet: Released}``
    dictionary : ``{column: {"zh": ..., "en": ..., "unit": ...}}``
        Meaning of each column; every column of every table must have one.

    Raises
    ------
    ReleaseError
        If a table isn't released, or a column has no entry in the dictionary.
    """
    import xlsxwriter

    path = Path(path)
    for sheet, released in tables.items():
        _check(sheet, require_released(released), dictionary)
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(str(path), options) as book:
        book.set_properties({"created": dt.datetime(2000, 1, 1), "author": "", "title": ""})
        head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        for sheet, released in tables.items():
            _write_table(book.add_worksheet(sheet[:_TOO_LONG]), released, head, language)
        _write_dictionary(book, tables, dictionary, head, language)
    return path


def _check(sheet: str, released: Released, dictionary: Mapping) -> None:
    missing = [str(column) for column in released.frame if column not in dictionary]
    if missing:
        raise ReleaseError(
            en=f"sheet {sheet}: no dictionary entry for column {', '.join(missing)}",
            zh=f"工作表 {sheet}：数据字典缺少列 {'、'.join(missing)} 的说明",
        )


def _write_table(sheet, released: Released, head, language: str) -> None:
    columns = [str(column) for column in released.frame.columns]
    widths = [len(column) for column in columns]
    for j, column in enumerate(columns):
        sheet.write_string(0, j, str(safe_cell(column)), head)
    rows = released.cells()
    for i, row in enumerate(rows, start=1):
        for j, value in enumerate(row):
            _write_cell(sheet, i, j, value)
            widths[j] = max(widths[j], _width(value))
    for j, width in enumerate(widths):
        sheet.set_column(j, j, min(max(width + 2, 8), 48))
    sheet.freeze_panes(1, 0)
    notes = [released.note] if released.note else []
    if released.n_hidden:
        notes.append(_HIDDEN[language].format(n=released.rules.min_cell))
    for i, note in enumerate(notes):
        sheet.write_string(len(rows) + 2 + i, 0, str(safe_cell(note)))


def _write_cell(sheet, i: int, j: int, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or hasattr(value, "dtype") and value.dtype == bool:
        sheet.write_boolean(i, j, bool(value))
    elif isinstance(value, numbers.Number):
        if math.isfinite(float(value)):
            sheet.write_number(i, j, float(value))
    elif isinstance(value, dt.date | pd.Timestamp):
        sheet.write_string(i, j, value.isoformat()[:10])
    else:
        sheet.write_string(i, j, str(safe_cell(str(value))))


def _width(value: object) -> int:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return sum(2 if ord(character) > 0x2E7F else 1 for character in text)


def _write_dictionary(book, tables: Mapping, dictionary: Mapping, head, language: str) -> None:
    name, header = _DICTIONARY[language]
    sheet = book.add_worksheet(name)
    for j, title in enumerate(header):
        sheet.write_string(0, j, title, head)
    i = 1
    for table, released in tables.items():
        for column in released.frame.columns:
            entry = dictionary[column]
            cells = (table, str(column), entry["zh"], entry["en"], entry.get("unit", ""))
            for j, cell in enumerate(cells):
                sheet.write_string(i, j, str(safe_cell(str(cell))))
            i += 1
    for j, width in enumerate((18, 22, 40, 48, 14)):
        sheet.set_column(j, j, width)
    sheet.freeze_panes(1, 0)
