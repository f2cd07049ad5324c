"""Claims about who enters an analysis: nobody leaves unseen."""

import numpy as np
import pandas as pd
import pytest

from cobench.effects.sample import as_level, code_covariates, levels_of, select_rows, take_sample
from cobench.errors import MissingColumnError, NotEstimableError

FRAME = pd.DataFrame(
    {
        "visit": ["none", "at_home", "remote", None, "none", "at_home", "none", "at_home"],
        "score": [1.0, 2.0, 3.0, 4.0, np.nan, 5.0, 6.0, 7.0],
        "lagged": [0.0, 1.0, 2.0, 3.0, 4.0, np.nan, 6.0, 7.0],
        "sex": ["f", "m", "f", "m", "f", "m", "f", "f"],
        "class_id": ["a", "a", "b", "b", "a", "a", "b", None],
    }
)


def take(frame, **options):
    return take_sample(
        frame, outcome="score", treatment="visit", level="at_home", reference="none", **options
    )


def test_every_row_that_leaves_is_counted_by_reason():
    keep, flow = select_rows(
        FRAME, outcome="score", treatment="visit", levels=["none", "at_home"], covariates=["lagged", "sex"],
        groups=["class_id"],
    )  # fmt: skip
    assert np.flatnonzero(keep).tolist() == [0, 1, 6]
    assert dict(zip(flow["step"], flow["dropped"], strict=True)) == {
        "given": 0,
        "exposure_unknown": 1,
        "other_level": 1,
        "outcome_missing": 1,
        "place_missing:class_id": 1,
        "covariate_missing:lagged": 1,
    }
    assert flow["n"].tolist() == [8, 7, 6, 5, 4, 3]
    assert len(FRAME) - flow["dropped"].sum() == keep.sum()


def test_a_remote_contact_is_never_recoded_to_none():
    sample = take(FRAME)
    assert (sample.n_treated, sample.n_reference) == (3, 2)
    assert 3.0 not in sample.y


def test_arrays_do_not_depend_on_the_order_or_index_of_rows():
    shuffled = FRAME.sample(frac=1, random_state=4).set_index(np.arange(100, 108))
    first, second = take(FRAME, covariates=["sex"]), take(shuffled, covariates=["sex"])
    for name in ("y", "d"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert np.array_equal(first.covariates.x, second.covariates.x)


def test_the_frame_given_is_left_as_it_was():
    before = FRAME.copy(deep=True)
    take(FRAME, covariates=["sex"])
    pd.testing.assert_frame_equal(FRAME, before)


def test_categories_become_dummies_without_their_first_level_and_constants_leave():
    rows = pd.DataFrame(
        {"site": ["b", "c", "a"], "flag": [True, False, True], "same": [1, 1, 1], "x": [0.5, 1.5, 2.5]}
    )
    coded = code_covariates(rows, ["site", "flag", "same", "x"])
    assert coded.names == ("site=b", "site=c", "flag", "x")
    assert coded.x.tolist() == [[1, 0, 1, 0.5], [0, 1, 0, 1.5], [0, 0, 1, 2.5]]
    assert set(coded.levels) == {"site", "flag"}


def test_levels_read_alike_from_flags_numbers_and_text():
    assert as_level(pd.Series([True, False])).tolist() == ["true", "false"]
    assert as_level(pd.Series([1.0, 2.5, 1234567.0])).tolist() == ["1", "2.5", "1234567"]
    mixed = as_level(pd.Series(["a", None, True], dtype=object))
    assert mixed.tolist()[::2] == ["a", "true"] and mixed.isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("column", "levels", "reference"),
    [([0, 1], ("1",), "0"), ([True, False], ("true",), "false"), (["none", "x", "y"], ("x", "y"), "none"),
     ([1, 1], ("1",), "0")],
)  # fmt: skip
def test_the_reference_is_none_or_the_lower_flag(column, levels, reference):
    assert levels_of(pd.DataFrame({"t": column}), "t") == (levels, reference)


def test_without_none_the_first_category_or_the_lowest_value_is_the_reference():
    assert levels_of(pd.DataFrame({"t": ["small", "regular"]}), "t") == (("small",), "regular")
    ordered = pd.Categorical(["small", "regular"], categories=["unused", "small", "regular"])
    assert levels_of(pd.DataFrame({"t": ordered}), "t") == (("regular",), "small")
    assert levels_of(pd.DataFrame({"t": [10, 9, 100]}), "t") == (("10", "100"), "9")


def test_an_absent_column_is_named():
    with pytest.raises(MissingColumnError, match="no column income"):
        take(FRAME, covariates=["income"])


def test_infinite_values_are_a_reason_not_a_crash():
    with pytest.raises(NotEstimableError, match="lagged holds infinite values"):
        take(FRAME.assign(lagged=np.inf), covariates=["lagged"])


def test_text_where_a_number_is_needed_is_a_reason_not_a_crash():
    with pytest.raises(NotEstimableError, match="score holds text"):
        take(FRAME.assign(score="1O3"))
