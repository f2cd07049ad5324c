"""What one column of a register says, by the name and type of the canonical column that it fills."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from cobench.ingest.batches import Batch, decode_levels
from cobench.ingest.columns import column, factor, is_value, joint, recode, where
from cobench.ingest.context import Context, distinct_rows, no_values, parse_dates, resolve_schools
from cobench.ingest.identities import keyed
from cobench.ingest.parse import Parsed, parse_code, parse_column, parse_count, parse_grade, parse_minutes
from cobench.ingest.text import clean_text, name_key, split_children
from cobench.tables import TABLES

_SCHOOLS = ("from_school", "to_school")
_NUMBERS = ("int", "float")
# Shorter notes are phrases that everybody writes; that two of them are the same says nothing.
MIN_NOTE = 8
_PUNCTUATION = re.compile(r"[\W_]+")
_TITLE = re.compile("(?<=..)(?:老师|教师|校长|主任)$")


def read_field(batch: Batch, ctx: Context, name: str, school: pd.Series) -> pd.DataFrame:
    """Column ``name`` of a batch as ``value`` and ``rule``, both missing where the source doesn't name it.

    A text is decoded by ``levels`` where the source declares them, and is a short code otherwise: other words never
    enter a table. Blank cells are missing.

    Parameters
    ----------
    school : Series
        School of each row, part of who a teacher is.
    """
    index = batch.cells.index
    if name not in batch.cells:
        return _nothing(index)
    texts, kind = batch.cells[name], TABLES[batch.source.table].columns[name]
    if name == "teacher":
        return _sound(teachers(ctx, texts, school))
    if name in _SCHOOLS:
        return _schools(ctx, texts)
    if name == "grade":
        return _grades(ctx, texts, school)
    if name == "unit" and batch.source.table != "communities":
        return _units(ctx, texts)
    if name in batch.source.levels:
        return _labels(batch, name)
    if kind == "date":
        found = parse_dates(ctx, texts, batch.kinds[name])
        return found.assign(rule=found["rule"].mask(texts == ""))
    if name == "minutes":
        return parse_column(texts, parse_minutes)
    return parse_column(texts, parse_count if kind in _NUMBERS else parse_code)


def teachers(ctx: Context, texts: pd.Series, school: pd.Series) -> pd.Series:
    """Pseudonyms of the teachers named first: a name is a person within one school."""
    rows, codes = distinct_rows(school, texts)
    named = [f"{place or ''}|{_person(text)}" if _person(text) else None for place, text in rows]
    return keyed(ctx.key, ctx.study.id, "teacher", column(codes, named, texts.index))


def speakers(ctx: Context, texts: pd.Series) -> pd.Series:
    """Pseudonyms of speakers, who may speak at several schools."""
    return keyed(ctx.key, ctx.study.id, "speaker", recode(texts, lambda text: _person(text) or None))


def note_keys(ctx: Context, texts: pd.Series) -> pd.Series:
    """Keyed hashes of free texts without blanks and punctuation; missing below :data:`MIN_NOTE` characters."""
    return keyed(ctx.key, ctx.study.id, "note", recode(texts, plain_note))


def plain_note(text: str) -> str | None:
    """The words of a note, as two notes are compared; None where they are too few to say anything."""
    bare = _PUNCTUATION.sub("", clean_text(text)).casefold()
    return bare if len(bare) >= MIN_NOTE else None


def soft_labels(batch: Batch, name: str) -> pd.DataFrame:
    """A labelled column of which an unlisted label leaves the cell empty; ``value`` and ``rule``."""
    return _labels(batch, name) if name in batch.cells else _nothing(batch.cells.index)


def _person(text: str) -> str:
    named = split_children(text)
    return _TITLE.sub("", name_key(named[0])) if named else ""


def _schools(ctx: Context, texts: pd.Series) -> pd.DataFrame:
    found = resolve_schools(texts, ctx.school_codes)
    return found.assign(rule=found["rule"].mask(texts == ""))


def _units(ctx: Context, texts: pd.Series) -> pd.DataFrame:
    """Codes of school communities, which have to be on the list of these."""
    codes, distinct = factor(texts)
    named = {parse_code(text).value for text in distinct[np.unique(codes[codes >= 0])]}
    unlisted = ctx.unlisted_units(named - {None})

    def parse(text: str) -> Parsed:
        found = parse_code(text)
        return Parsed(None, "unknown_unit") if found.value in unlisted else found

    return parse_column(texts, parse)


def _grades(ctx: Context, texts: pd.Series, school: pd.Series) -> pd.DataFrame:
    rows, codes = distinct_rows(school, texts)
    parsed = [parse_grade(text, ctx.stages.get(place)) for place, text in rows]
    return pd.DataFrame(
        {
            "value": column(codes, [each.value for each in parsed], texts.index),
            "rule": column(codes, [each.rule for each in parsed], texts.index),
        }
    )


def _labels(batch: Batch, name: str) -> pd.DataFrame:
    known = {clean_text(label) for label in batch.source.levels[name]} | {""}
    texts = batch.cells[name]
    unlisted = ~is_value(texts, known.__contains__)
    return pd.DataFrame(
        {"value": decode_levels(batch, name), "rule": where(unlisted, "unlisted_label", texts.index)}
    )


def _sound(values: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({"value": values, "rule": no_values(values.index)})


def _nothing(index: pd.Index) -> pd.DataFrame:
    return pd.DataFrame({"value": no_values(index), "rule": no_values(index)})


def same_rows(frame: pd.DataFrame, names: list[str]) -> pd.Series:
    """Rows that say the same as an earlier one in columns ``names``."""
    return pd.Series(joint(frame[name] for name in names), index=frame.index).duplicated()
