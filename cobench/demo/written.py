"""Values as cells: words, numbers and days, None where there is nothing to write."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

_WORDLESS = re.compile(r"[\W_]+")
_SHORTEST_NOTE = 8


def plain_note(text: str) -> str | None:
    """The words of a note without blanks and punctuation, None for a phrase of less than eight characters."""
    bare = _WORDLESS.sub("", text)
    return bare if len(bare) >= _SHORTEST_NOTE else None


def given(rows: pd.DataFrame, name: str) -> pd.Series:
    """A column, without values where the rows don't have it."""
    return rows[name] if name in rows else pd.Series(None, index=rows.index, dtype="object")


def words_of(values: pd.Series, known: dict) -> np.ndarray:
    """Each value in the words of ``known``; others, missing ones too, are blank."""
    return np.array([known.get(each) for each in values.astype("object")], dtype=object)


def texts(values: pd.Series) -> np.ndarray:
    """Texts, blank where missing."""
    return np.array([None if pd.isna(each) else str(each) for each in values], dtype=object)


def numbers(values: pd.Series) -> np.ndarray:
    """Numbers without a decimal point where there is nothing behind it."""
    return np.array(
        [None if pd.isna(each) else int(each) if each == int(each) else float(each) for each in values],
        dtype=object,
    )


def days(values: pd.Series) -> np.ndarray:
    """Days as 2026-03-15."""
    written = pd.to_datetime(values).dt.strftime("%Y-%m-%d").astype("object")
    return np.array([None if pd.isna(each) else each for each in written], dtype=object)
