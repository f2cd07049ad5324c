"""Claims about balance and overlap."""

import numpy as np
import pandas as pd
import pytest
from reference_data import lalonde

from cobench.effects import balance_table, effective_sample_size, overlap_table
from cobench.effects.balance import BALANCE, OVERLAP
from cobench.errors import NotEstimableError, ParameterError

TOY = pd.DataFrame({"treat": [1, 1, 1, 0, 0, 0], "pretest": [5, 6, 7, 4, 5, 6], "female": [1, 0, 1, 0, 0, 1]})


def test_balance_of_the_baselinr_toy():
    rows = balance_table(TOY, "treat", ["pretest", "female"]).set_index("covariate")
    assert rows.loc["pretest", "g_before"] == pytest.approx(0.80, abs=1e-12)
    assert rows.loc["female", "g_before"] == pytest.approx(
        0.672, abs=5e-4
    )  # Cox with the small-sample factor
    assert rows["wwc_before"].tolist() == ["fails", "fails"]
    assert tuple(rows.reset_index().columns) == tuple(BALANCE)


def test_lalonde_differences_with_the_sd_of_the_treated_and_raw_for_flags():
    names = ["age", "educ", "re74", "re75", "black", "married", "nodegree"]
    rows = balance_table(lalonde(), "treat", names).set_index("covariate")
    published = [-0.3094, 0.0550, -0.7211, -0.2903, 0.6404, -0.3236, 0.1114]  # four decimals are printed
    assert rows.loc[names, "smd_before"].tolist() == pytest.approx(published, abs=5e-5)
    assert rows.loc[names, "kind"].tolist() == ["smd"] * 4 + ["raw_difference"] * 3


def test_the_ate_divides_by_the_root_mean_variance():
    frame = pd.DataFrame({"t": [1, 1, 0, 0], "x": [0.0, 2.0, 0.0, 4.0]})  # variances 2 and 8, means 1 and 2
    assert balance_table(frame, "t", ["x"], estimand="ATE")["smd_before"][0] == pytest.approx(-1 / np.sqrt(5))
    assert balance_table(frame, "t", ["x"], estimand="ATT")["smd_before"][0] == pytest.approx(-1 / np.sqrt(2))


def test_weights_change_the_means_after_and_never_the_denominator():
    frame = pd.DataFrame({"t": [1, 1, 0, 0], "x": [1.0, 3.0, 2.0, 6.0], "w": [1, 1, 3, 1]})
    row = balance_table(frame, "t", ["x"], weights="w").iloc[0]
    assert row["mean_control_after"] == pytest.approx(3.0)
    assert row["smd_after"] == pytest.approx((2 - 3) / np.sqrt(2))
    assert row["smd_before"] == pytest.approx((2 - 4) / np.sqrt(2))
    by_array = balance_table(frame, "t", ["x"], weights=frame["w"].to_numpy())
    assert by_array.loc[0, "smd_after"] == row["smd_after"]


def test_a_category_has_a_row_a_level_but_the_first():
    frame = TOY.assign(site=list("abcabc"))
    assert balance_table(frame, "treat", ["site"])["covariate"].tolist() == ["site=b", "site=c"]


def test_a_flag_that_is_certain_in_one_arm_fails_although_its_index_is_no_number():
    frame = pd.DataFrame({"t": [1, 1, 1, 0, 0, 0], "white": [1, 1, 1, 1, 0, 0]})
    row = balance_table(frame, "t", ["white"]).iloc[0]
    assert np.isnan(row["g_before"]) and row["wwc_before"] == "fails"


def test_one_arm_has_no_balance_and_an_unknown_estimand_no_denominator():
    with pytest.raises(NotEstimableError):
        balance_table(TOY.assign(treat=1), "treat", ["pretest"])
    with pytest.raises(ParameterError):
        balance_table(TOY, "treat", ["pretest"], estimand="ATX")


def test_overlap_counts_everybody_once_and_holds_no_row_a_student():
    d = np.array([1, 1, 0, 0, 0])
    table = overlap_table(np.array([0.5, 0.97, 0.02, 0.04, 0.5]), d)
    assert tuple(table.columns) == tuple(OVERLAP) and len(table) == 40
    assert table.groupby("arm")["n"].sum().to_dict() == {"treated": 2, "comparison": 3}
    first = table.query("arm == 'comparison'").iloc[0]
    assert (first["n"], first["density"]) == (2, pytest.approx(2 / 3 / 0.05))


def test_effective_sample_size_by_hand():
    assert effective_sample_size(np.array([1, 1, 2])) == pytest.approx(16 / 6)
    assert effective_sample_size(np.ones(7)) == pytest.approx(7)
