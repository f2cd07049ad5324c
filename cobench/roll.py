"""Students numbered by pseudonym, fast enough for a district's rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

# Bytes of a keyed pseudonym, and where three words of eight bytes cover it.
_LENGTH, _WORDS = 22, (0, 8, 14)
_SPREAD = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)


@dataclass(frozen=True)
class _Keys:
    """Texts of one length as whole numbers: three words that are the text, and one number mixed from them."""

    words: tuple[np.ndarray, ...]
    mixed: np.ndarray

    def agree(self, places: np.ndarray, others: _Keys) -> np.ndarray:
        """Entries whose text is that of ``others`` at ``places``."""
        alike = np.ones(len(places), dtype=bool)
        for own, their in zip(self.words, others.words, strict=True):
            alike &= own == their[places]
        return alike


class Roll:
    """Every student named in a column has a number, in order of first appearance.

    Texts as long as a keyed pseudonym are looked up as numbers and then compared word for word; others as texts.

    Attributes
    ----------
    names : pyarrow.Array
        The pseudonym of each number.
    """

    def __init__(self, students: pa.ChunkedArray) -> None:
        whole = _text(students).drop_null()
        keys = _keys(whole)
        self._index: pd.Index | None = None
        if keys is not None:
            codes, mixed = pd.factorize(keys.mixed)
            first = np.zeros(len(mixed), dtype=np.int64)
            first[codes[::-1]] = np.arange(len(codes))[::-1]
            self._listed = _Keys(tuple(word[first] for word in keys.words), mixed)
            if keys.agree(codes, self._listed).all():
                self._index, self.names = pd.Index(mixed), whole.take(pa.array(first))
        if self._index is None:
            self.names = pc.unique(whole)

    def numbers(self, students: pa.ChunkedArray) -> np.ndarray:
        """Number of each entry (int64), -1 for who is missing or not on the roll."""
        whole = _text(students)
        if whole.null_count:
            known = whole.is_valid().to_numpy(zero_copy_only=False)
            found = np.full(len(whole), -1, dtype=np.int64)
            found[known] = self._numbers(whole.drop_null())
            return found
        return self._numbers(whole)

    def _numbers(self, whole: pa.Array) -> np.ndarray:
        keys = None if self._index is None else _keys(whole)
        if keys is None or len(self.names) == 0:
            return pc.index_in(whole, value_set=self.names).fill_null(-1).to_numpy().astype(np.int64)
        found = self._index.get_indexer(keys.mixed).astype(np.int64)
        return np.where(keys.agree(found, self._listed), found, -1)


def _text(students: pa.ChunkedArray) -> pa.Array:
    joined = students.cast(pa.string()).combine_chunks()
    return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined


def _keys(whole: pa.Array) -> _Keys | None:
    """Texts as numbers; None where one is shorter or longer."""
    n = len(whole)
    if n == 0:
        nothing = np.array([], dtype=np.uint64)
        return _Keys((nothing,) * len(_WORDS), nothing)
    _, offsets, data = whole.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[whole.offset : whole.offset + n + 1]
    if (np.diff(ends) != _LENGTH).any():
        return None
    at = [int(ends[0]) + word for word in _WORDS]
    words = tuple(
        np.ndarray((n,), dtype=np.uint64, buffer=data, offset=start, strides=(_LENGTH,)).copy()
        for start in at
    )
    mixed = words[0] * _SPREAD[0]
    for word, spread in zip(words[1:], _SPREAD[1:], strict=True):
        mixed ^= word * spread
    return _Keys(words, mixed)
