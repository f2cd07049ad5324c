"""Claims about columns of codes: whatever is done to codes is what would have been done to each text."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cobench.ingest import columns
from cobench.ingest.text import clean_text, name_key

VALUES = st.lists(
    st.one_of(st.none(), st.sampled_from(["", "赵一", "张 三", "张三", "a"]), st.text(max_size=3)),
    max_size=12,
)
TEXTS = st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6), max_size=12)


def coded(values: list) -> pd.Series:
    return columns.recode(pd.Series(values, dtype="object"), lambda value: value)


def plain(column: pd.Series) -> list:
    return [None if pd.isna(value) else value for value in column.astype("object")]


@given(VALUES)
def test_a_recoded_column_holds_each_value_converted(values):
    upper = columns.recode(coded(values), lambda text: text.upper() or None)
    assert plain(upper) == [(value.upper() or None) if value is not None else None for value in values]


@given(VALUES, VALUES)
def test_columns_below_each_other_keep_their_values(first, second):
    index = pd.RangeIndex(len(first) + len(second))
    assert plain(columns.stacked([coded(first), coded(second)], index)) == [*first, *second]


@given(VALUES, st.lists(st.sampled_from([1, 2, None]), min_size=12, max_size=12))
def test_rows_have_one_joint_number_exactly_where_all_columns_agree(values, others):
    pairs = list(zip(values, others, strict=False))
    keys = columns.joint([coded(values), coded(others[: len(values)])]) if values else []
    for one, key in zip(pairs, keys, strict=True):
        assert [each == one for each in pairs] == (keys == key).tolist()


@given(TEXTS)
def test_many_texts_are_cleaned_as_one_is(texts):
    distinct = list(dict.fromkeys(texts))
    found = columns.cleaned(pa.array(distinct, pa.string()))
    assert list(found) == [clean_text(text) for text in distinct]


@given(TEXTS)
def test_many_names_are_compared_as_one_is(names):
    column = columns.recode(pd.Series(names, dtype="object"), lambda name: name)
    assert plain(columns.name_keys(column)) == [name_key(name) for name in names]


def test_a_missing_value_is_filled_and_told_apart_from_a_blank_one():
    column = coded(["a", None, ""])
    assert plain(columns.or_else(column, "z")) == ["a", "z", ""]
    assert columns.is_one_of(column, [""]).tolist() == [False, False, True]
    assert columns.is_value(column, lambda text: text == "a").tolist() == [True, False, False]


def test_more_than_127_values_get_codes_that_can_be_counted_on():
    column = columns.column(np.arange(100, dtype=np.int8), [str(n) for n in range(100)], pd.RangeIndex(100))
    assert plain(columns.or_else(column, "x")) == [str(n) for n in range(100)]
    codes, _ = columns.factor(column)
    assert codes.itemsize >= 4


def test_frames_below_each_other_keep_numbers_and_fill_absent_columns():
    one = pd.DataFrame({"name": coded(["a", "b"]), "n": [1, 2]})
    other = pd.DataFrame({"name": coded(["b"]), "n": [3], "more": coded(["x"])})
    stacked = columns.stack_frames([one, other])
    assert plain(stacked["name"]) == ["a", "b", "b"] and stacked["n"].tolist() == [1, 2, 3]
    assert plain(stacked["more"]) == [None, None, "x"]
