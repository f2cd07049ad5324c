"""Claims about canonical tables: exactly the declared columns, types and keys, whatever comes in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cobench.errors import ConservationError
from cobench.tables import TABLES, conform, empty, to_arrow

DTYPES = {
    "text": "str",
    "int": "Int64",
    "float": "float64",
    "bool": "boolean",
    "date": "datetime64[s]",
    "time": "datetime64[s]",
}


@pytest.mark.parametrize("name", TABLES)
def test_an_empty_table_has_the_declared_columns_and_types(name):
    frame = empty(name)
    assert len(frame) == 0
    assert {column: str(dtype) for column, dtype in frame.dtypes.items()} == {
        column: DTYPES[kind] for column, kind in TABLES[name].columns.items()
    }


@pytest.mark.parametrize("name", TABLES)
def test_a_key_consists_of_columns_of_its_table_and_every_table_has_a_term(name):
    assert set(TABLES[name].key) <= set(TABLES[name].columns)
    assert "term" in TABLES[name].columns


def test_values_are_cast_and_missing_ones_stay_missing():
    raw = pd.DataFrame(
        {
            "student": ["a", "b", "c"],
            "term": "t1",
            "class_id": ["S1-2020-1"] * 3,
            "grade": [3.0, np.nan, -2.0],
            "boarding": pd.Series([True, None, False], dtype="object"),
            "status": ["enrolled", None, "suspended"],
            "valid_from": ["2025-02-17", None, pd.Timestamp("2025-02-17 00:00")],
        }
    )
    tidy = conform("enrolments", raw)
    assert tidy["grade"].tolist() == [3, pd.NA, -2]
    assert tidy["boarding"].tolist() == [True, pd.NA, False]
    assert tidy["status"].isna().tolist() == [False, True, False]
    assert tidy["valid_from"].isna().tolist() == [False, True, False]
    assert tidy["valid_to"].isna().all()
    assert tidy["school"].isna().all()
    assert {column: str(dtype) for column, dtype in tidy.dtypes.items()} == {
        column: DTYPES[kind] for column, kind in TABLES["enrolments"].columns.items()
    }


def test_a_missing_text_never_becomes_the_word_nan():
    for missing in (None, np.nan, pd.NA):
        raw = pd.DataFrame({"school": ["S1"], "term": ["t1"], "name": pd.Series([missing], dtype="object")})
        assert conform("schools", raw)["name"].isna().all()


def test_columns_that_the_table_does_not_have_are_dropped_and_the_order_is_the_declared_one():
    raw = pd.DataFrame({"short_name": ["x"], "姓名": ["不存"], "school": ["S1"], "term": ["t1"]}, index=[7])
    tidy = conform("schools", raw)
    assert list(tidy.columns) == list(TABLES["schools"].columns)
    assert tidy.index.tolist() == [0]


def test_conform_leaves_its_input_alone():
    raw = pd.DataFrame({"school": ["S1"], "term": ["t1"], "extra": [1]})
    before = raw.copy()
    conform("schools", raw)
    pd.testing.assert_frame_equal(raw, before)


def test_a_repeated_key_is_refused_with_the_number_of_rows_and_no_value_of_them():
    raw = pd.DataFrame(
        {"student": ["child-a", "child-a", "child-a"], "term": "t1", "measure": ["math", "math", "chinese"]}
    )
    with pytest.raises(ConservationError) as caught:
        conform("outcomes", raw)
    assert "outcomes: 1 rows repeat the key (student, term, measure)" in caught.value.en
    assert "outcomes：有 1 行重复了主键" in caught.value.zh
    assert "child-a" not in caught.value.en + caught.value.zh


def test_a_repeated_key_is_refused_where_part_of_it_is_missing():
    raw = pd.DataFrame({"student": ["a", "a"], "term": "t1", "class_id": "c", "valid_from": [None, None]})
    with pytest.raises(ConservationError):
        conform("enrolments", raw)


def test_rows_of_a_table_without_key_may_be_alike():
    raw = pd.DataFrame({"student": ["a", "a"], "term": "t1", "date": "2025-03-10"})
    assert len(conform("contacts", raw)) == 2


def test_a_date_that_is_none_is_refused_not_lost():
    with pytest.raises(ValueError, match="2月30日"):
        conform("contacts", pd.DataFrame({"student": ["a"], "term": ["t1"], "date": ["2月30日"]}))


def test_a_value_that_no_row_holds_is_not_written_with_the_column():
    held = pd.Series(["a", "b", "c", None], dtype="category")[[0, 2, 3]]
    arrow = to_arrow("events", pd.DataFrame({"event": ["1", "2", "3"], "topic": held.reset_index(drop=True)}))
    topic = arrow["topic"]
    assert topic.to_pylist() == ["a", "c", None]
    assert topic.chunk(0).dictionary.to_pylist() == ["a", "c"]
