"""Raw files as values (cells, and what is planted in which row) and their writing to disk."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xlsxwriter

ACCEPTED = ""
QUARANTINED = (
    "destroyed_number",
    "ambiguous_student",
    "unknown_student",
    "unknown_class",
    "impossible_date",
    "bad_number",
    "blank_name",
)
NON_DATA = ("footer", "nil_return", "blank_row")
UNLINKED = ("unlinked",)
RECOVERED = ("two_children", "repeated_row", "after_landmark")
_WRITTEN_ON = dt.datetime(2026, 7, 12, 9, 0)


@dataclass(frozen=True)
class Sheet:
    """A sheet or a csv file.

    Attributes
    ----------
    header : tuple of rows
        Cells above the first data row.
    merges : tuple of (first row, first column, last row, last column)
        Merged header cells, zero-based.
    body : DataFrame of object
        One row a line; ``None`` and the empty text are empty cells.
    rule : object array of shape (rows,)
        What is planted in each line (one of the rules above), empty where nothing is.
    """

    name: str
    header: tuple[tuple, ...]
    merges: tuple[tuple[int, int, int, int], ...]
    body: pd.DataFrame
    rule: np.ndarray

    @property
    def row_numbers(self) -> np.ndarray:
        """Line numbers as a spreadsheet shows them (the first line is 1)."""
        return np.arange(len(self.body)) + len(self.header) + 1


@dataclass(frozen=True)
class RawFile:
    """A file below ``data/raw``; ``encoding`` is given for csv, absent for xlsx."""

    path: str
    term: str
    sheets: tuple[Sheet, ...]
    encoding: str | None = None


def sheet(
    name: str,
    body: pd.DataFrame,
    rule: np.ndarray | None = None,
    *,
    title: str | None = None,
    footers: tuple[tuple, ...] = (),
) -> Sheet:
    """A sheet with one header row, a merged title above it, and footer lines, as asked for."""
    header = [tuple(body.columns)]
    merges = []
    if title is not None:
        header.insert(0, (title,))
        merges.append((0, 0, 0, len(body.columns) - 1))
    rule = np.full(len(body), ACCEPTED, dtype=object) if rule is None else np.asarray(rule, dtype=object)
    return with_footers(Sheet(name, tuple(header), tuple(merges), _cells(body), rule), footers)


def _cells(body: pd.DataFrame) -> pd.DataFrame:
    """Cells as objects, None where there is none (pandas holds such texts as NaN)."""
    columns = {
        name: pd.Series(
            np.where(body[name].isna(), None, body[name].astype("object")), body.index, dtype="object"
        )
        for name in body
    }
    return pd.DataFrame(columns)


def with_footers(made: Sheet, footers: tuple[tuple, ...]) -> Sheet:
    """The sheet with lines below that hold no child; an empty tuple is an empty line."""
    if not footers:
        return made
    width = len(made.body.columns)
    lines = pd.DataFrame(
        [[*line, *[None] * (width - len(line))] for line in footers],
        columns=made.body.columns,
        dtype="object",
    )
    rule = np.array(["footer" if line else "blank_row" for line in footers], dtype=object)
    body = pd.concat([made.body, lines], ignore_index=True)
    return Sheet(made.name, made.header, made.merges, body, np.concatenate([made.rule, rule]))


def write_file(raw: RawFile, folder: Path) -> Path:
    """Write one file below ``folder``; the same cells give the same bytes."""
    path = folder / raw.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if raw.encoding:
        path.write_bytes(_csv_text(raw.sheets[0]).encode(raw.encoding))
        return path
    options = {
        "constant_memory": False,
        "strings_to_formulas": False,
        "default_date_format": "yyyy-mm-dd",
        "in_memory": True,
    }
    with xlsxwriter.Workbook(path, options) as book:
        book.set_properties({"author": "demo", "created": _WRITTEN_ON})
        bold = book.add_format({"bold": True, "align": "center"})
        for each in raw.sheets:
            _write_sheet(book.add_worksheet(each.name), each, bold)
    return path


def _write_sheet(worksheet, made: Sheet, bold) -> None:
    for first_row, first_column, last_row, last_column in made.merges:
        text = made.header[first_row][first_column]
        worksheet.merge_range(first_row, first_column, last_row, last_column, text, bold)
    merged = {
        (row, column)
        for r1, c1, r2, c2 in made.merges
        for row in range(r1, r2 + 1)
        for column in range(c1, c2 + 1)
    }
    for row, cells in enumerate(made.header):
        for column, text in enumerate(cells):
            if (row, column) not in merged and text is not None:
                worksheet.write_string(row, column, text, bold)
    for row, cells in enumerate(_lines(made), start=len(made.header)):
        for column, value in enumerate(cells):
            if isinstance(value, str):
                if value:
                    worksheet.write_string(row, column, value)
            elif isinstance(value, dt.date):
                worksheet.write_datetime(row, column, value)
            elif value is not None:
                worksheet.write_number(row, column, value)


def _lines(made: Sheet) -> Iterator[tuple]:
    return made.body.itertuples(index=False, name=None)


def _csv_text(made: Sheet) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerows(made.header)
    writer.writerows(_lines(made))
    return buffer.getvalue()
