"""Text is data: it never becomes HTML mark-up, a spreadsheet formula or a control sequence."""

from __future__ import annotations

import csv
import html
import io
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cobench.release.released import Released

# C0 and C1 controls (but tab and line feeds), lone surrogates, and marks that reorder the text around them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?%?")
_FORMULA_STARTS = "=+-@\t\r\n|"
_BLANKS = re.compile("[\\s\u00ad\u061c\u180e\u200b-\u200f\u2028\u2029\u2060-\u2064\ufeff]*")


def clean(text: object) -> str:
    """``text`` without control characters, lone surrogates and direction overrides."""
    return _UNPRINTABLE.sub("", str(text))


def escape_html(text: object) -> str:
    """``text`` as HTML character data, safe between tags and inside quoted attributes."""
    return html.escape(clean(text), quote=True)


def safe_cell(value: object) -> object:
    """A spreadsheet or csv cell that no program takes for a formula.

    Text that begins with ``= + - @ |``, tab or a line break, in half or full width and after any blanks,
    gets a leading apostrophe. Numbers, and texts that are plain numbers (``-0.25``), stay as they are.
    """
    if not isinstance(value, str):
        return value
    text = clean(value)
    if _PLAIN_NUMBER.fullmatch(text):
        return text
    return f"'{text}" if _starts_formula(text) else text


def _starts_formula(text: str) -> bool:
    if text[:1] in ("\t", "\r", "\n"):
        return True
    rest = text[_BLANKS.match(text).end() :]
    return bool(rest) and unicodedata.normalize("NFKC", rest[0]).lstrip()[:1] in tuple(_FORMULA_STARTS)


def csv_text(released: Released) -> str:
    """A released table as csv text, hidden cells as their marks; every cell safe against formulas."""
    from cobench.release.released import require_released

    require_released(released)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow([safe_cell(str(column)) for column in released.frame.columns])
    writer.writerows([[safe_cell(cell) for cell in row] for row in released.cells()])
    return stream.getvalue()
