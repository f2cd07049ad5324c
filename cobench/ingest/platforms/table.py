"""A plain table with one header row, such as the rows of an SQL query: only where the study file says so."""

from __future__ import annotations

from cobench.ingest.platforms.layout import BLANK, SKIPPED, Layout, field_of
from cobench.ingest.readers import Sheet

LABEL = "table"
SIGNATURE = ()


def modes(sheet: Sheet, file_name: str) -> tuple[str, ...]:
    """Option texts, or whatever ``codes`` of the code book translates."""
    return ("text",)


def lay_out(sheet: Sheet, mode: str) -> Layout:
    """Every column is a question; the time is the one that ``identify.submitted`` names."""
    first = next((row for row in range(sheet.n_rows) if (sheet.text[row] != "").any()), 0)
    fields = tuple(
        field_of(index, cell) for index, cell in enumerate(sheet.text[first] if sheet.n_rows else ()) if cell
    )
    return Layout("table", mode, first, first, fields, missing={"(空)": BLANK, "(跳过)": SKIPPED})
