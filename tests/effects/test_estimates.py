"""Claims about the frame of estimates: one door, checked."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cobench.effects.estimates import COLUMNS, adjust_family, as_estimates, minimum_detectable
from cobench.errors import ParameterError

ROW = {
    "study": "demo",
    "term": "2025-2026-1",
    "treatment": "home_visit",
    "contrast": "at_home",
    "outcome": "math",
    "estimand": "ATT",
    "method": "aipw",
    "estimate": 0.2,
    "std_error": 0.1,
    "df": 20,
    "evidence": "adjusted_association",
}
REFUSAL = {
    "treatment": "home_visit",
    "outcome": "math",
    "estimand": "ATT",
    "method": "aipw",
    "status": "not_estimable",
    "reason": "no counterpart",
    "evidence": "not_estimable",
}


def test_a_row_gets_every_column_in_the_declared_order():
    frame = as_estimates([ROW, REFUSAL])
    assert tuple(frame.columns) == COLUMNS
    assert frame["role"].tolist() == ["exploratory", "exploratory"]
    assert frame["reason"].tolist() == ["", "no counterpart"]


def test_interval_and_p_value_follow_t_with_the_given_df():
    row = as_estimates([ROW]).iloc[0]
    assert row["conf_low"] == pytest.approx(0.2 - 2.0859634 * 0.1, abs=1e-7)  # t.975 with 20 df, by table
    assert row["p_value"] == pytest.approx(0.05926554, abs=1e-7)


def test_a_missing_df_means_the_normal_distribution():
    row = as_estimates([{**ROW, "df": None}]).iloc[0]
    assert row["conf_high"] == pytest.approx(0.2 + 1.959964 * 0.1, abs=1e-7)


@pytest.mark.parametrize(
    "change",
    [
        {"role": "primary"},
        {"status": "fine"},
        {"evidence": "causal"},
        {"method": "ols"},
        {"estimand": "effect"},
        {"estimate": np.nan},
        {"estimate": np.inf},
        {"std_error": None},
        {"std_error": 0.0},
        {"status": "not_estimable", "reason": "x", "evidence": "not_estimable"},
        {"pvalue": 0.1},
    ],
)
def test_a_row_that_breaks_the_currency_is_refused(change):
    with pytest.raises(ParameterError):
        as_estimates([{**ROW, **change}])


@pytest.mark.parametrize("change", [{"reason": " "}, {"evidence": "descriptive"}, {"estimate": 0.1}])
def test_a_refusal_without_reason_or_with_a_number_is_refused(change):
    with pytest.raises(ParameterError):
        as_estimates([{**REFUSAL, **change}])


def test_estimate_id_names_the_question_not_the_answer():
    first, second, third = (
        as_estimates([row]).loc[0, "estimate_id"]
        for row in (ROW, {**ROW, "estimate": 0.3}, {**ROW, "subgroup": "sex=f"})
    )
    assert first == second != third


def test_checked_estimates_pass_the_door_again_unchanged():
    frame = adjust_family(as_estimates([{**ROW, "role": "confirmatory"}, REFUSAL]))
    pd.testing.assert_frame_equal(as_estimates(frame), frame)


def test_no_rows_give_an_empty_frame_of_the_same_columns():
    assert tuple(as_estimates([]).columns) == COLUMNS


def test_benjamini_hochberg_by_hand_within_the_confirmatory_family():
    p_values = [0.01, 0.04, 0.03]  # by hand: 0.01*3/1 = .03; 0.03*3/2 = .045 -> min(.045, .04) = .04; .04
    rows = [{**ROW, "outcome": f"y{i}", "role": "confirmatory", "p_value": p} for i, p in enumerate(p_values)]
    extra = [{**ROW, "outcome": "z", "p_value": 0.0001}, {**REFUSAL, "role": "confirmatory"}]
    adjusted = adjust_family(as_estimates([*rows, *extra]))["p_adjusted"]
    assert adjusted[:3].tolist() == pytest.approx([0.03, 0.04, 0.04])
    assert adjusted[3:].isna().all()


def test_families_of_two_terms_do_not_mix():
    rows = [{**ROW, "role": "confirmatory", "p_value": 0.03, "term": term} for term in ("a", "b")]
    assert adjust_family(as_estimates(rows))["p_adjusted"].tolist() == pytest.approx([0.03, 0.03])


def test_minimum_detectable_is_2_8_standard_errors_with_many_df():
    assert minimum_detectable(1.0) == pytest.approx(stats.norm.ppf(0.975) + stats.norm.ppf(0.8))
    assert minimum_detectable(0.1, 10) == pytest.approx(0.1 * (2.2281389 + 0.8790578), abs=1e-7)
