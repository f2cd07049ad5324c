"""What a file is and how it would be read, found out without a code book; keeps no value of a person."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cobench.ingest.headers import split_rows
from cobench.ingest.options import CLOSE, OPEN
from cobench.ingest.personal import asks_for_words, may_be_people, names_people
from cobench.ingest.platforms import candidates, find_layout
from cobench.ingest.platforms.layout import BLANK, SKIPPED, Field, Layout, question_number, split_header
from cobench.ingest.readers import DATE, MISSING, Sheet, read_cells
from cobench.ingest.text import clean_text, header_key

MAX_OPTIONS = 15
_TICKS = frozenset({"0", "1", "TRUE", "FALSE", "Checked", "Unchecked", "True", "False"})
_FILL_IN = re.compile(f"{OPEN}.*{CLOSE}", re.DOTALL)
_SHOWN_LENGTH = 60
_TIME = re.compile(r"\d{4}[-/年.]\d{1,2}[-/月.]\d{1,2}")


@dataclass(frozen=True)
class Question:
    """One question as it looks.

    Attributes
    ----------
    columns : tuple of int
        Zero-based columns: several where each option has its own.
    header : str
        As a code book names it.
    kind : {"choice", "multiple", "ranking", "text", "person", "number", "time", "empty"}
        ``text`` and ``person`` have no options: what they hold is never shown.
    options : tuple of (option, answers, code)
        ``code`` is "" where the file doesn't number its options.
    n_blank, n_skipped : int
    missing : tuple of str
        Labels that the file itself declares missing.
    label : str
        Wording of the question where the header isn't it.
    """

    columns: tuple[int, ...]
    header: str
    kind: str
    options: tuple[tuple[str, int, str], ...] = ()
    n_blank: int = 0
    n_skipped: int = 0
    missing: tuple[str, ...] = ()
    label: str = ""


@dataclass(frozen=True)
class Reading:
    """How one sheet would be read; without a layout it is a table of no questionnaire platform."""

    sheet: Sheet
    layout: Layout | None
    n_data: int
    n_other: int
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Inspection:
    """A file: its readings, and how many of its sheets are hidden or empty."""

    label: str
    readings: tuple[Reading, ...]
    n_left_out: int


def inspect_file(
    path: Path, *, platform: str | None = None, mode: str | None = None, encoding: str | None = None
) -> Inspection:
    """Look at a file.

    Raises
    ------
    UnreadableFileError
        When it can't be read, or several platforms or modes fit: names the candidates.
    """
    sheets = read_cells(path, path.name, encoding)
    shown = [sheet for sheet in sheets if not sheet.hidden and sheet.n_rows and sheet.text.shape[1]]
    readings = tuple(_reading(sheet, path.name, platform, mode) for sheet in shown)
    return Inspection(path.name, readings, len(sheets) - len(shown))


def _reading(sheet: Sheet, label: str, platform: str | None, mode: str | None) -> Reading:
    if platform is None and not candidates(sheet):
        return Reading(sheet, None, sheet.n_rows, 0, ())
    layout = find_layout(sheet, label, platform=platform, mode=mode)
    columns = {str(field.index): field.index for field in layout.fields} or {"0": 0}
    split = split_rows(sheet, columns, layout.first, layout.last, tuple(columns))
    tests = {row + sheet.first_row for row in layout.other_rows}
    cells = split.cells[~split.cells["row"].isin(tests)]
    kinds = split.kinds.loc[cells.index]
    taken: set[int] = set()
    questions = []
    for field in layout.fields:
        if field.index in taken:
            continue
        group = _option_group(field, layout, cells)
        taken.update(each.index for each, _ in group)
        if group:
            # Beside a column that holds all ticks of the question, the columns of its options say nothing new.
            if not any(_question_of(group) in each.keys for each in layout.fields):
                questions.append(_grouped(group, layout, cells))
        else:
            column = str(field.index)
            questions.append(_single(sheet, field, layout, cells[column].tolist(), kinds[column].to_numpy()))
    return Reading(sheet, layout, len(cells), sheet.n_rows - len(cells), tuple(questions))


# ---- questions with a column an option ------------------------------------------------------------------


def _option_group(field: Field, layout: Layout, cells) -> list[tuple[Field, str]]:
    """Fields that look like the options of one question, with the option of each; empty where they don't."""
    for question, _ in sorted(field.parts, key=_readability):
        group = [(each, part) for each in layout.fields for other, part in each.parts if other == question]
        group = list({each.index: (each, part) for each, part in group}.values())
        # A dash stands before the rows of a matrix, never before options.
        matrix = any(f"{question}—" in key for key in field.keys)
        if (
            len(group) > 1
            and not matrix
            and group[0][0].index == field.index
            and _looks_ticked(group, layout, cells)
        ):
            return group
    return []


def _readability(reading: tuple[str, str]) -> tuple[bool, bool]:
    """Words before codes, clean cuts (way, 1) before ragged ones (way_, _1)."""
    question, part = reading
    return part.lstrip("_").isdecimal(), part.startswith("_") or question.endswith("_")


def _looks_ticked(group: list[tuple[Field, str]], layout: Layout, cells) -> bool:
    columns = [_plain(cells[str(field.index)].tolist(), layout) for field, _ in group]
    values = {value for column in columns for value in column if value}
    if not values:
        return False
    by_name = all(set(column) <= {"", part} for column, (_, part) in zip(columns, group, strict=True))
    return values <= _TICKS or by_name or _looks_ranked(columns)


def _looks_ranked(columns: list[list[str]]) -> bool:
    allowed = {"", *map(str, range(1, len(columns) + 1))}
    rows = list(zip(*columns, strict=True))
    if any(value not in allowed for row in rows for value in row):
        return False
    given = [[value for value in row if value] for row in rows]
    return all(len(set(row)) == len(row) for row in given) and any(len(row) > 1 for row in given)


def _grouped(group: list[tuple[Field, str]], layout: Layout, cells) -> Question:
    columns = [_plain(cells[str(field.index)].tolist(), layout) for field, _ in group]
    values = {value for column in columns for value in column if value}
    kind = "multiple" if values <= _TICKS or not _looks_ranked(columns) else "ranking"
    no = {"", "0", "FALSE", "Unchecked", "False"}
    counts = [sum(value not in no for value in column) for column in columns]
    first = [layout.missing.get(cell, cell) for cell in cells[str(group[0][0].index)]]
    question = _question_of(group)
    header = question if not question.isdecimal() else group[0][0].keys[0]
    options = tuple((part, n, "") for (_, part), n in zip(group, counts, strict=True))
    return Question(
        tuple(field.index for field, _ in group),
        header,
        kind,
        options,
        sum(all(not column[row] for column in columns) for row in range(len(first))) - first.count(SKIPPED),
        first.count(SKIPPED),
    )


def _question_of(group: list[tuple[Field, str]]) -> str:
    """What the headers of a group share."""
    return min(
        set.intersection(*({other for other, part in field.parts if part == own} for field, own in group)),
        key=len,
    )


def _plain(cells: list[str], layout: Layout) -> list[str]:
    """Cells without fill-ins, "" where missing."""
    found = [_FILL_IN.sub("", cell) if cell != "〖跳过〗" else cell for cell in cells]
    return ["" if layout.missing.get(cell, cell) in ("", BLANK, SKIPPED) else cell for cell in found]


# ---- questions in one column ----------------------------------------------------------------------------


def _single(sheet: Sheet, field: Field, layout: Layout, cells: list[str], kinds: np.ndarray) -> Question:
    labels = sheet.variables[field.index] if sheet.variables else None
    label = clean_text(sheet.text[1, field.index]) if layout.platform == "qualtrics" else ""
    header = clean_text(sheet.text[0 if label else layout.last, field.index])
    header = clean_text(labels.label) if labels and labels.label else header
    tokens = [layout.missing.get(cell, cell) for cell in cells]
    blank, skipped = sum(each in ("", BLANK) for each in tokens), tokens.count(SKIPPED)
    known = [cell for cell, token in zip(cells, tokens, strict=True) if token not in ("", BLANK, SKIPPED)]
    made = {
        "columns": (field.index,),
        "header": header,
        "label": label,
        "n_blank": blank,
        "n_skipped": skipped,
    }
    if labels and labels.options:
        counts = Counter(known)
        options = tuple(
            (shown, counts[shown], code) for code, shown, missing in labels.options if not missing
        )
        declared = tuple(shown for _, shown, missing in labels.options if missing)
        return Question(**made, kind="choice", options=options, missing=declared)
    known = [cell for cell, kind in zip(cells, kinds, strict=True) if kind != MISSING and cell in set(known)]
    if not known:
        return Question(**made, kind="empty")
    if any(map(names_people, (*field.keys, header, label))):
        return Question(**made, kind="person")
    if (kinds == DATE).any() or all(map(_TIME.match, known)):
        return Question(**made, kind="time")
    if any(map(asks_for_words, (*field.keys, header, label))):
        return Question(**made, kind="text")
    kind, options = _guess(known, layout)
    return Question(**made, kind=kind, options=options)


def _guess(known: list[str], layout: Layout) -> tuple[str, tuple[tuple[str, int, str], ...]]:
    plain = [_FILL_IN.sub("", cell) for cell in known]
    for kind, marks in (
        ("ranking", layout.arrows),
        ("multiple", ("┋", "┦")),
        ("multiple", layout.separators),
    ):
        parts = [_cut(cell, marks) for cell in plain]
        counts = Counter(part for each in parts for part in each)
        explicit = marks[0] in ("→", "┋")
        if _is_cut(parts, explicit) and _are_options(counts, explicit):
            return kind, tuple((option, n, "") for option, n in sorted(counts.items()))
    counts = Counter(plain)
    if _are_options(counts, False):
        return "choice", tuple((option, n, "") for option, n in sorted(counts.items(), key=_in_order))
    return ("number" if all(re.fullmatch(r"-?\d+(\.\d+)?", cell) for cell in plain) else "text"), ()


def _is_cut(parts: list[list[str]], explicit: bool) -> bool:
    """Whether marks stand between options: always, where only a platform writes them; else where parts recur."""
    several = {tuple(each) for each in parts if len(each) > 1}
    if explicit or not several:
        return bool(several)
    holding = Counter(part for each in {tuple(each) for each in parts} for part in set(each))
    return any(holding[part] > 1 for each in several for part in each)


def _cut(cell: str, marks: tuple[str, ...]) -> list[str]:
    for mark in marks:
        cell = cell.replace(mark, marks[0])
    return [part.strip() for part in cell.split(marks[0]) if part.strip()]


def _are_options(counts: Counter, explicit: bool) -> bool:
    """Few, short, and used more than once: what only one person wrote is no option as far as one can see."""
    if len(counts) > MAX_OPTIONS or any(len(option) > _SHOWN_LENGTH for option in counts):
        return False
    often = sum(n > 1 for n in counts.values())
    return len(counts) > 1 and not may_be_people(counts) and (explicit or 2 * often > len(counts))


def _in_order(option: tuple[str, int]) -> tuple[float, str]:
    text = option[0]
    return (float(text) if re.fullmatch(r"-?\d{1,6}", text) else 0.0), text


def matrix_of(question: Question) -> str:
    """What the rows of one matrix share, "" where a question stands alone."""
    key = header_key(question.header)
    readings = [
        other for other, _ in split_header(key) if key.startswith((f"{other}—", f"{other}:", f"{other}/"))
    ]
    return readings[0] if readings and question.kind == "choice" else ""


def number_of(question: Question) -> str:
    """Number of the question, "" where it has none."""
    return question_number(header_key(question.header))
