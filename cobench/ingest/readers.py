"""Bytes to cells: every sheet of a csv, xlsx or xls file as text, with what kind of cell each was."""

from __future__ import annotations

import csv
import datetime as dt
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import python_calamine as calamine

from cobench.errors import UnreadableFileError
from cobench.ingest.encoding import decode
from cobench.ingest.packages import MAX_CELLS, ErrorCells, look_into, refused, too_large

EMPTY, TEXT, NUMBER, DATE, BOOL, ERROR = range(6)

MAX_BYTES = 200_000_000
CSV_SUFFIXES = (".csv", ".txt", ".tsv")
_DELIMITERS = ",\t;|"
ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


@dataclass(frozen=True)
class Sheet:
    """Cells of one sheet.

    Attributes
    ----------
    text : object array of shape (rows, columns)
        Cells as text, "" where empty; dates as ISO text, numbers without a needless ``.0``.
    kind : uint8 array of shape (rows, columns)
        ``EMPTY, TEXT, NUMBER, DATE, BOOL`` or ``ERROR`` (#REF!): what the file held.
    merged : tuple of (first row, first column, last row, last column)
        Zero-based, ends included.
    how : str
        How it was read (format, encoding, delimiter).
    """

    name: str
    text: np.ndarray
    kind: np.ndarray
    merged: tuple[tuple[int, int, int, int], ...] = ()
    first_row: int = 1
    hidden: bool = False
    how: str = ""

    @property
    def n_rows(self) -> int:
        return self.text.shape[0]

    @property
    def row_numbers(self) -> np.ndarray:
        """Row numbers as a spreadsheet shows them."""
        return np.arange(self.n_rows) + self.first_row


def read_cells(path: Path, label: str | None = None) -> list[Sheet]:
    """All sheets of a file; content decides the format, the extension only where content doesn't tell.

    Parameters
    ----------
    label : str, optional
        How messages name the file (a path relative to the study); by default its name.

    Raises
    ------
    UnreadableFileError
        On an empty, encrypted, cut-off, oversized or undecodable file, naming it and the way out.
    """
    label = label or path.name
    data = read_bytes(path, label)
    suffix = path.suffix.lower()
    if suffix in (".et", ".ett"):
        raise refused(label, "is a WPS .et file", "是 WPS 的 .et 文件")
    if data.startswith(ZIP):
        return _read_workbook(data, label, "xlsx", look_into(data, label))
    if data.startswith(OLE):
        if _ENCRYPTED in data:
            raise refused(label, "is encrypted", "已加密", remove_password=True)
        return _read_workbook(data, label, "xls", {})
    if suffix in CSV_SUFFIXES:
        return [_read_csv(data, label)]
    if suffix in (".xlsx", ".xls", ".xlsm"):
        raise refused(label, "is not a workbook inside, or is damaged", "内容不是工作簿，或已损坏")
    raise refused(
        label, f"is of a kind ({suffix or 'no extension'}) that is not read", f"的格式（{suffix}）不支持"
    )


def read_bytes(path: Path, label: str) -> bytes:
    """All bytes of a file.

    Raises
    ------
    UnreadableFileError
        When it can't be opened, is empty or larger than :data:`MAX_BYTES`.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise too_large(label)
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or "unknown reason"
        raise UnreadableFileError(
            en=f"{label}: can't be opened ({reason}); close it in other programs and check its permissions",
            zh=f"{label}：无法打开（{reason}）；请在其他程序中关闭该文件并检查权限",
        ) from None
    if not data.strip():
        raise UnreadableFileError(
            en=f"{label}: the file is empty; ask the school to send it again",
            zh=f"{label}：文件为空；请学校重新报送",
        )
    return data


def _read_csv(data: bytes, label: str) -> Sheet:
    text, encoding = decode(data, label)
    delimiter = delimiter_of(text, label)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = []
    try:
        for row in reader:
            rows.append(row)
    except csv.Error:
        raise UnreadableFileError(
            en=f"{label}, line {reader.line_num}: a quoted cell is broken or never closed; "
            "open it in WPS, mend the line and save as csv or xlsx",
            zh=f"{label} 第 {reader.line_num} 行：引号不成对；请在 WPS 中修正该行后另存为 csv 或 xlsx",
        ) from None
    width = max((len(row) for row in rows), default=0)
    if len(rows) * width > MAX_CELLS:
        raise too_large(label)
    cells = np.full((len(rows), width), "", dtype=object)
    for index, row in enumerate(rows):
        cells[index, : len(row)] = row
    kind = np.where(cells == "", EMPTY, TEXT).astype(np.uint8)
    return Sheet("", cells, kind, how=csv_form(encoding, delimiter))


def csv_form(encoding: str, delimiter: str) -> str:
    """How a csv file was read, in words."""
    shown = {"\t": "tab"}.get(delimiter, delimiter)
    return f"csv, {encoding}, delimiter {shown}"


def delimiter_of(text: str, label: str) -> str:
    """The delimiter that gives most of the first lines one common width of two columns or more.

    Raises
    ------
    UnreadableFileError
        When two delimiters do so equally well.
    """
    head = text[:20_000].splitlines()[:30]
    scores = {}
    for delimiter in _DELIMITERS:
        try:
            widths = [len(row) for row in csv.reader(head, delimiter=delimiter) if row]
        except csv.Error:
            continue
        common = max(set(widths), key=widths.count, default=0)
        if common > 1:
            scores[delimiter] = (widths.count(common), common)
    if not scores:
        return ","
    best = max(scores.values())
    winners = [delimiter for delimiter, score in scores.items() if score == best]
    if len(winners) > 1:
        raise UnreadableFileError(
            en=f"{label}: the delimiter is ambiguous ({' '.join(map(repr, winners))}); save as xlsx in WPS",
            zh=f"{label}：分隔符无法确定（{' '.join(map(repr, winners))}）；请在 WPS 中另存为 xlsx",
        )
    return winners[0]


def _read_workbook(data: bytes, label: str, form: str, errors: ErrorCells) -> list[Sheet]:
    try:
        with calamine.CalamineWorkbook.from_filelike(io.BytesIO(data)) as book:
            return [
                _with_errors(
                    _sheet(
                        book.get_sheet_by_name(meta.name),
                        meta.visible != calamine.SheetVisibleEnum.Visible,
                        label,
                        form,
                    ),
                    errors.get(meta.name, []),
                )
                for meta in book.sheets_metadata
                if meta.typ == calamine.SheetTypeEnum.WorkSheet
            ]
    except calamine.PasswordError:
        raise refused(label, "is encrypted", "已加密", remove_password=True) from None
    except (calamine.CalamineError, ValueError, OverflowError):
        raise refused(label, "is cut off or damaged", "不完整或已损坏") from None
    except BaseException as error:
        # A panic inside calamine derives from BaseException; anything else is not ours to catch.
        if type(error).__name__ != "PanicException":
            raise
        raise refused(label, "is damaged", "已损坏") from None


def _sheet(sheet: calamine.CalamineSheet, hidden: bool, label: str, form: str) -> Sheet:
    if sheet.total_height * sheet.total_width > MAX_CELLS:
        raise too_large(label)
    rows = sheet.to_python(skip_empty_area=False)
    width = max((len(row) for row in rows), default=0)
    cells = np.full((len(rows), width), "", dtype=object)
    kind = np.zeros((len(rows), width), dtype=np.uint8)
    for index, row in enumerate(rows):
        texts, kinds = zip(*map(_cell, row), strict=True) if row else ((), ())
        cells[index, : len(row)] = texts
        kind[index, : len(row)] = kinds
    merged = tuple(
        (top, left, min(bottom, len(rows) - 1), min(right, width - 1))
        for (top, left), (bottom, right) in sheet.merged_cell_ranges or ()
        if top < len(rows) and left < width
    )
    return Sheet(sheet.name, cells, kind, merged, hidden=hidden, how=form)


def _with_errors(sheet: Sheet, cells: list[tuple[int, int, str]]) -> Sheet:
    """Put error cells back; where one lies outside the area read, the area grows."""
    if not cells:
        return sheet
    n_rows = max(sheet.text.shape[0], *(row + 1 for row, _, _ in cells))
    n_columns = max(sheet.text.shape[1], *(column + 1 for _, column, _ in cells))
    text = np.full((n_rows, n_columns), "", dtype=object)
    kind = np.zeros((n_rows, n_columns), dtype=np.uint8)
    text[: sheet.text.shape[0], : sheet.text.shape[1]] = sheet.text
    kind[: sheet.text.shape[0], : sheet.text.shape[1]] = sheet.kind
    for row, column, shown in cells:
        text[row, column], kind[row, column] = shown, ERROR
    return replace(sheet, text=text, kind=kind)


def _cell(value: object) -> tuple[str, int]:
    if isinstance(value, str):
        return (value, TEXT) if value else ("", EMPTY)
    if isinstance(value, bool):
        return ("TRUE" if value else "FALSE"), BOOL
    if isinstance(value, int | float):
        return number_text(value), NUMBER
    if isinstance(value, dt.datetime):
        midnight = (value.hour, value.minute, value.second) == (0, 0, 0)
        return (f"{value:%Y-%m-%d}" if midnight else f"{value:%Y-%m-%d %H:%M:%S}"), DATE
    return (value.isoformat() if hasattr(value, "isoformat") else str(value)), DATE


def number_text(value: float) -> str:
    """A number as a spreadsheet shows it: 85 for 85.0, all digits of a long one."""
    if isinstance(value, float) and not value.is_integer():
        return repr(value)
    return str(int(value))
