"""Text columns as codes into their distinct values: what is done to a value is done once, however often it stands.

A column is a Series of pandas categories (objects). Codes are -1 where a value is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cobench.ingest.text import clean_text, name_key

# Chinese characters only, or printable ASCII without outer blanks: nothing in it needs cleaning.
_CLEAN = "^(?:[\u4e00-\u9fa5]+|[!-~](?:[ -~]*[!-~])?)?$"
_CHINESE = "^[\u4e00-\u9fa5]+$"


def factor(texts: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Code of each row and the distinct values (objects); -1 where missing."""
    if isinstance(texts.dtype, pd.CategoricalDtype):
        codes = texts.cat.codes.to_numpy()
        codes = codes if codes.itemsize >= 4 else codes.astype(np.int32)
        return codes, texts.cat.categories.to_numpy(dtype=object)
    codes, distinct = pd.factorize(texts.astype("object"))
    return codes, np.asarray(distinct, dtype=object)


def column(codes: np.ndarray, values: Sequence, index: pd.Index) -> pd.Series:
    """The column that has ``values[code]`` in each row; equal values share one code, None is missing."""
    held = np.empty(len(values), dtype=object)
    held[:] = values
    merged, distinct = pd.factorize(held)
    lookup = np.append(merged, -1)
    return coded(lookup[codes], pd.Index(distinct, dtype=object), index)


def coded(codes: np.ndarray, distinct: pd.Index, index: pd.Index) -> pd.Series:
    """The column of ``codes`` into ``distinct`` values, which the caller knows to be distinct."""
    # The public constructor would hash all values again to see that they are distinct.
    dtype = pd.CategoricalDtype._from_fastpath(distinct)
    return pd.Series(pd.Categorical.from_codes(codes, dtype=dtype, validate=False), index=index)


def recode(texts: pd.Series, convert: Callable[[object], object]) -> pd.Series:
    """Apply ``convert`` once to each distinct value; None is missing."""
    codes, distinct = factor(texts)
    return column(codes, [convert(each) for each in distinct], texts.index)


def constant(value: object, index: pd.Index) -> pd.Series:
    """A column of one value."""
    return column(np.zeros(len(index), dtype=np.int8), [value], index)


def missing(index: pd.Index) -> pd.Series:
    """A column without values."""
    return column(np.full(len(index), -1, dtype=np.int8), [], index)


def where(mask: pd.Series | np.ndarray, value: str, index: pd.Index | None = None) -> pd.Series:
    """``value`` where ``mask`` is true, missing elsewhere."""
    flags = np.asarray(mask, dtype=bool)
    return column(np.where(flags, 0, -1).astype(np.int8), [value], mask.index if index is None else index)


def or_else(texts: pd.Series, value: object) -> pd.Series:
    """The column with ``value`` where it is missing."""
    codes, distinct = factor(texts)
    return column(np.where(codes < 0, len(distinct), codes), [*distinct, value], texts.index)


def is_value(texts: pd.Series, chosen: Callable[[object], bool]) -> np.ndarray:
    """Rows of which ``chosen`` is true, asked once a distinct value; False where missing."""
    codes, distinct = factor(texts)
    return np.array([*(bool(chosen(each)) for each in distinct), False], dtype=bool)[codes]


def is_one_of(texts: pd.Series, values: Iterable[str]) -> np.ndarray:
    """Rows that hold one of a few ``values``."""
    codes, distinct = factor(texts)
    found = np.zeros(len(distinct) + 1, dtype=bool)
    for value in values:
        found[:-1] |= distinct == value
    return found[codes] if found.any() else np.zeros(len(codes), dtype=bool)


def name_keys(texts: pd.Series) -> pd.Series:
    """:func:`cobench.ingest.text.name_key` of a column."""
    codes, names = factor(texts)
    keys = keys_of(names)
    return texts if keys is names else column(codes, keys, texts.index)


def keys_of(names: Iterable[str]) -> np.ndarray:
    """:func:`cobench.ingest.text.name_key` of each name (objects); the array itself where nothing changes."""
    names = names if isinstance(names, np.ndarray) else np.array([*names, None], dtype=object)[:-1]
    odd = np.flatnonzero(~is_chinese(names))
    if len(odd) == 0:
        return names
    keys = names.copy()
    keys[odd] = [name_key(each) for each in names[odd]]
    return keys


def joint(columns: Iterable[pd.Series]) -> np.ndarray:
    """One whole number a row, equal where all columns are; a missing value equals itself."""
    key, size = None, 1
    for each in columns:
        codes, distinct = factor(each)
        codes, n = codes.astype(np.int64) + 1, len(distinct) + 1
        if key is None:
            key, size = codes, n
            continue
        if size * n >= 2**62:
            key, found = pd.factorize(key)
            size = len(found)
        key, size = key * n + codes, size * n
    return key


def stacked(parts: Sequence[pd.Series], index: pd.Index) -> pd.Series:
    """Columns one below the other."""
    kept = [part if isinstance(part.dtype, pd.CategoricalDtype) else recode(part, _same) for part in parts]
    if not kept:
        return missing(index)
    kept = [part for part in kept if len(part)] or kept[:1]
    if len(kept) == 1:
        return kept[0].set_axis(index)
    filled = [part.cat.categories for part in kept if len(part.cat.categories)]
    if all(each is filled[0] for each in filled):
        # A part without values has codes of -1 only.
        codes = np.concatenate([part.cat.codes.to_numpy() for part in kept])
        return coded(codes, filled[0] if filled else kept[0].cat.categories, index)
    coded_parts = [factor(part) for part in kept]
    if not all(isinstance(value, str) for _, each in coded_parts for value in each[:1]):
        starts = np.cumsum([0, *(len(distinct) for _, distinct in coded_parts)])
        moved = [
            np.where(codes < 0, -1, codes.astype(np.int64) + start)
            for (codes, _), start in zip(coded_parts, starts, strict=False)
        ]
        return column(np.concatenate(moved), np.concatenate([each for _, each in coded_parts]), index)
    unified = pa.chunked_array(
        [
            pa.DictionaryArray.from_arrays(
                pa.array(codes, pa.int32(), mask=codes < 0), pa.array(distinct, pa.string())
            )
            for codes, distinct in coded_parts
        ]
    ).unify_dictionaries()
    codes = np.concatenate([each.indices.fill_null(-1).to_numpy() for each in unified.chunks])
    distinct = unified.chunk(unified.num_chunks - 1).dictionary.to_numpy(zero_copy_only=False)
    return coded(codes, pd.Index(distinct, dtype=object), index)


def stack_frames(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames one below the other, columns of codes kept as such."""
    if len(frames) == 1:
        return frames[0].reset_index(drop=True)
    index = pd.RangeIndex(sum(map(len, frames)))
    made = {}
    for name in dict.fromkeys(name for frame in frames for name in frame):
        parts = [frame[name] if name in frame else missing(frame.index) for frame in frames]
        if any(isinstance(part.dtype, pd.CategoricalDtype) for part in parts):
            made[name] = stacked(parts, index)
        else:
            made[name] = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(made, index=index)


def _same(value: object) -> object:
    return None if value is None or value is pd.NA or value != value else value


# ---- distinct texts, many at a time -----------------------------------------------------------------


def cleaned(texts: pa.Array) -> np.ndarray:
    """:func:`cobench.ingest.text.clean_text` of each distinct text."""
    values = texts.to_numpy(zero_copy_only=False)
    odd = np.flatnonzero(~_matches(texts, _CLEAN))
    if len(odd):
        values = values.copy()
        values[odd] = [clean_text(each) for each in values[odd]]
    return values


def map_names(names: np.ndarray, convert: Callable[[str], object], plain: Callable[[str], object]) -> list:
    """``convert`` of each distinct text, by the shortcut ``plain`` where it is Chinese characters only."""
    if len(names) == 0:
        return []
    simple = is_chinese(names)
    return [plain(each) if easy else convert(each) for each, easy in zip(names, simple.tolist(), strict=True)]


def is_chinese(texts: np.ndarray) -> np.ndarray:
    """Texts of Chinese characters only (of the block that holds nearly all names)."""
    return _matches(pa.array(texts, type=pa.string()), _CHINESE)


def _matches(texts: pa.Array, pattern: str) -> np.ndarray:
    found = pc.match_substring_regex(texts, pattern)
    return found.to_numpy(zero_copy_only=False).astype(bool)
