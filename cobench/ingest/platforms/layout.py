"""What a platform module tells about a sheet: its header rows, its questions, how it writes what is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cobench.ingest.readers import Sheet
from cobench.ingest.text import header_key

BLANK, SKIPPED, NOT_RANKED = "(空)", "(跳过)", "(未排序)"
REASONS = {"": "blank", BLANK: "blank", SKIPPED: "skipped", NOT_RANKED: "not_ranked"}
# Marks of the private use area, which no export holds: a value declared missing in SPSS or Stata, and a cell
# that the code book doesn't know, so that what it held goes no further.
USER_MISSING, UNKNOWN = "\ue000", "\ue001"

_NUMBERED = re.compile(r"[Qq]?(\d+)[、.:](.*)")
_OTHER_NUMBERED = re.compile(r"第(\d+)题(?:\((.*)\))?")
_BRACKET = re.compile(r"(.+?)\((?:choice=)?(.+)\)")
_SEPARATORS = ("—", ":", "/", "-", "_", "___")


@dataclass(frozen=True)
class Field:
    """One question column.

    Attributes
    ----------
    index : int
        Zero-based column.
    keys : tuple of str
        Header keys by which a code book may name it (header, variable name, question text).
    parts : tuple of (question key, part key)
        Readings of the header as one option or row of a question.
    number : str
        Number of the question, "" where it has none.
    """

    index: int
    keys: tuple[str, ...]
    parts: tuple[tuple[str, str], ...] = ()
    number: str = ""


@dataclass(frozen=True)
class Layout:
    """How one sheet of a questionnaire is laid out.

    Attributes
    ----------
    mode : {"text", "number"}
        Whether answers are option texts or option numbers.
    first, last : int
        Zero-based header rows, ends included.
    fields : tuple of Field
        Question columns in order; all other columns are the platform's own and are never read.
    submitted : int or None
        Column of the time of submission.
    missing : mapping of cell text to token
    separators, arrows : tuple of str
        What stands between ticked options, and between ranked ones.
    positional : bool
        Whether an option number is the place of the option in the questionnaire.
    other_rows : mapping of zero-based row to rule
        Rows that are no answers (test entries).
    """

    platform: str
    mode: str
    first: int
    last: int
    fields: tuple[Field, ...]
    submitted: int | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    separators: tuple[str, ...] = (";", ",", "\n")
    arrows: tuple[str, ...] = ("→", ">")
    positional: bool = False
    other_rows: Mapping[int, str] = field(default_factory=dict)


def header_cells(sheet: Sheet, row: int) -> list[str]:
    """Header keys of one row."""
    return [header_key(cell) for cell in sheet.text[row]]


def field_of(index: int, *headers: str) -> Field:
    """A field by its headers, with every reading of them as an option or row of a question."""
    keys = tuple(dict.fromkeys(key for key in map(header_key, headers) if key))
    parts, number = [], ""
    for key in keys:
        parts += split_header(key)
        number = number or question_number(key)
    return Field(index, keys, tuple(dict.fromkeys(parts)), number)


def question_number(key: str) -> str:
    """Number of the question of a header key, "" where it has none."""
    match = _NUMBERED.fullmatch(key) or _OTHER_NUMBERED.fullmatch(key)
    return match.group(1) if match else ""


def split_header(key: str) -> list[tuple[str, str]]:
    """Readings of a header key as (question, part): 4、家校沟通—老师, 3、渠道(电话), 3、渠道:电话, q3/tel, q3___1."""
    readings = []
    other = _OTHER_NUMBERED.fullmatch(key)
    if other and other.group(2):
        readings.append((other.group(1), other.group(2)))
    bracket = _BRACKET.fullmatch(key)
    if bracket:
        readings.append((bracket.group(1), bracket.group(2)))
    for separator in _SEPARATORS:
        place = key.find(separator, 1)
        while 0 < place < len(key) - len(separator):
            readings.append((key[:place], key[place + len(separator) :]))
            place = key.find(separator, place + 1)
    return readings


def rows_with(sheet: Sheet, wanted: tuple[str, ...], searched: int = 6) -> int | None:
    """First of the top rows that holds all ``wanted`` headers."""
    keys = {header_key(each) for each in wanted}
    for row in range(min(searched, sheet.n_rows)):
        if keys <= set(header_cells(sheet, row)):
            return row
    return None


def column_of(keys: list[str], *names: str) -> int | None:
    """Place of the first of ``names`` among header keys."""
    for name in names:
        if header_key(name) in keys:
            return keys.index(header_key(name))
    return None


def question_cells(sheet: Sheet, last: int, fields: tuple[Field, ...]) -> np.ndarray:
    """Cells below the header in the question columns."""
    return sheet.text[last + 1 :, [each.index for each in fields]]
