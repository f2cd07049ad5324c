"""Claims about differences and regressions."""

import numpy as np
import pandas as pd
import pytest
from reference_data import ihdp, star, supported_work, thinking_healthy
from scipy import stats
from simulated import COVARIATES, WITHIN, district, school_selection

from cobench.effects import difference, regress
from cobench.errors import ParameterError

TOY = pd.DataFrame({"visit": [1, 1, 1, 0, 0, 0], "y": [3.0, 5.0, 7.0, 1.0, 2.0, 3.0]})
WORK = ["age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75"]


def test_a_difference_by_hand():
    # Means 5 and 2, variances 4 and 1: SE = sqrt(4/3 + 1/3), Welch's df = (5/3)^2 / ((4/3)^2/2 + (1/3)^2/2).
    row = difference(TOY, "y", "visit").iloc[0]
    assert (row["estimate"], row["std_error"]) == pytest.approx((3.0, np.sqrt(5 / 3)))
    assert row["df"] == pytest.approx(25 / 8.5)
    assert (row["n_obs"], row["n_treated"], row["evidence"]) == (6, 3, "descriptive")
    assert row["estimand"] == "mean_difference"


def test_a_difference_is_the_t_test_of_welch_and_classic_that_of_student():
    frame, _ = district(1, schools=3)
    a, b = (frame.loc[frame["visit"] == level, "score"] for level in ("at_home", "none"))
    for se_type, equal in ((None, False), ("classic", True)):
        row = difference(frame, "score", "visit", se_type=se_type).iloc[0]
        other = stats.ttest_ind(a, b, equal_var=equal)
        assert (row["p_value"], row["df"]) == pytest.approx((other.pvalue, other.df), rel=1e-9)


def test_ihdp_at_birth_weights_above_and_below_2000_grams():
    trial = ihdp()
    for heavy, estimate, welch, pooled, n in ((True, 13.25, 2.13, 2.14, 328), (False, 6.57, 1.67, 1.70, 580)):
        part = trial[trial["heavier"] == heavy]
        row = difference(part, "iq", "visited").iloc[0]
        classic = difference(part, "iq", "visited", se_type="classic").iloc[0]
        found = [row["estimate"], row["std_error"], classic["std_error"]]
        assert found == pytest.approx([estimate, welch, pooled], abs=0.005)  # two decimals are printed
        assert row["n_obs"] == n


def test_supported_work_trial_and_its_naive_copy():
    trial, naive = supported_work()
    row = difference(trial, "re78", "treat", se_type="classic").iloc[0]
    assert (row["estimate"], row["std_error"]) == pytest.approx((1794.34, 632.85), abs=0.005)
    assert difference(trial, "re78", "treat").loc[0, "std_error"] == pytest.approx(671.00, abs=0.005)
    assert difference(naive, "re78", "treat").loc[0, "estimate"] == pytest.approx(-8497.5, abs=0.05)
    squared = naive.assign(age2=naive["age"] ** 2)
    row = regress(squared, "re78", "treat", [*WORK, "age2"]).iloc[0]
    assert row["estimate"] == pytest.approx(700.3, abs=0.05)


def test_thinking_healthy_plain_cluster_contrast_is_the_dense_regression():
    frame = thinking_healthy().query("attrit == 0")
    row = difference(frame, "depressed", "treat", cluster="uc").iloc[0]
    means = frame.groupby("treat")["depressed"].mean()
    assert row["estimate"] == pytest.approx(means[1] - means[0], abs=1e-12)
    assert (row["se_type"], row["n_clusters"], row["n_treated_clusters"]) == ("CR2", 40, 20)


def test_regression_by_hand_with_a_covariate():
    # y = 1 + 2 d + 3 x exactly but for residuals that are orthogonal to d and x: 0.1 * (1, -1, -1, 1) twice.
    d, x = np.array([0, 0, 0, 0, 1, 1, 1, 1.0]), np.array([1, 2, 3, 4, 1, 2, 3, 4.0])
    y = 1 + 2 * d + 3 * x + 0.1 * np.tile([1, -1, -1, 1], 2)
    row = regress(pd.DataFrame({"d": d, "x": x, "y": y}), "y", "d", ["x"], se_type="classic").iloc[0]
    assert row["estimate"] == pytest.approx(2.0)
    assert row["std_error"] == pytest.approx(np.sqrt(0.08 / 5 * (1 / 4 + 1 / 4)))
    assert row["estimand"] == "variance_weighted"


def test_a_joint_model_and_a_model_a_level_differ_under_school_effects():
    joint, single = (
        regress(star(), "scorek", "stark", fixed_effects=["schoolidk"], reference="regular", joint=each)
        for each in (True, False)
    )
    small = [rows.set_index("contrast").loc["small", "estimate"] for rows in (joint, single)]
    assert small == pytest.approx([16.022, 15.998], abs=0.0005)


def test_school_effects_see_through_selection_that_a_plain_regression_does_not():
    frame = school_selection(1)
    ignoring = regress(frame, "y", "visit", ["x"], cluster="school").iloc[0]
    within = regress(frame, "y", "visit", ["x"], fixed_effects=["school"], cluster="class_id").iloc[0]
    assert ignoring["estimate"] > 0.35
    assert within["estimate"] == pytest.approx(0.20, abs=3 * 0.022)  # three standard errors


def test_regression_recovers_the_effect_under_z_scores_within_school_and_grade():
    errors, covered = [], []
    for seed in range(60):
        frame, truth = district(seed, schools=5)
        row = regress(frame, "score", "visit", COVARIATES, fixed_effects=WITHIN, cluster="class_id").iloc[0]
        errors.append((row["estimate"] - truth) / row["std_error"])
        covered.append(row["conf_low"] <= truth <= row["conf_high"])
    # 60 draws: the mean of standardised errors has SE 0.13; fewer than 52 has probability 0.003 under 95 %.
    assert abs(np.mean(errors)) < 0.4
    assert sum(covered) >= 52


def test_a_collinear_covariate_is_dropped_and_changes_nothing():
    frame, _ = district(2, schools=3)
    twice = frame.assign(again=3 * frame["lagged"] + 1)
    one = regress(frame, "score", "visit", ["lagged"]).iloc[0]
    two = regress(twice, "score", "visit", ["lagged", "again"]).iloc[0]
    assert (one["estimate"], one["std_error"]) == pytest.approx((two["estimate"], two["std_error"]), rel=1e-9)


def test_row_order_changes_no_digit_that_matters():
    frame, _ = district(3, schools=3)
    shuffled = frame.sample(frac=1, random_state=1)
    a, b = (regress(f, "score", "visit", COVARIATES, WITHIN, "class_id").iloc[0] for f in (frame, shuffled))
    for name in ("estimate", "std_error", "df"):
        assert a[name] == pytest.approx(b[name], rel=1e-10)


def test_weights_of_two_equal_a_row_twice():
    weighted = regress(TOY.assign(w=[1, 1, 2, 1, 1, 1]), "y", "visit", weights="w").iloc[0]
    doubled = regress(pd.concat([TOY, TOY.iloc[[2]]]), "y", "visit").iloc[0]
    assert weighted["estimate"] == pytest.approx(doubled["estimate"])


def test_exposure_that_a_whole_school_shares_can_not_be_told_from_the_school():
    frame, _ = district(4, schools=4)
    shared = frame.assign(visit=np.where(frame["school"] < "S02", "at_home", "none"))
    row = regress(shared, "score", "visit", ["lagged"], fixed_effects=["school"], cluster="class_id").iloc[0]
    assert row["status"] == "not_estimable"
    assert "same exposure" in row["reason"]


@pytest.mark.parametrize(("se_type", "cluster"), [("CR2", None), ("HC1", "class_id"), ("classic", "school")])
def test_an_error_that_ignores_the_cluster_is_refused(se_type, cluster):
    frame, _ = district(4, schools=2)
    with pytest.raises(ParameterError):
        regress(frame, "score", "visit", cluster=cluster, se_type=se_type)
