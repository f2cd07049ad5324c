"""Claims about the permutation test: the draw is repeated as it was made."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cobench.effects import Assignment, Design, difference, estimate_effect
from cobench.effects.permutation import permutation_test
from cobench.errors import NotEstimableError, ParameterError


def t_of(a, b, axis=-1):
    """Difference of means over the root of sums of squares about the means over n^2, by arm."""
    spread = sum(
        ((each - each.mean(axis=axis, keepdims=True)) ** 2).sum(axis=axis) / each.shape[axis] ** 2
        for each in (a, b)
    )
    return (a.mean(axis=axis) - b.mean(axis=axis)) / np.sqrt(spread)


def lot(seed=0, clusters=10, size=6, gain=0.0):
    """Whole classes drawn by lot, half of each of two strata."""
    draw = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(clusters), size)
    stratum = np.arange(clusters) % 2
    drawn = np.zeros(clusters)
    for each in (0, 1):
        drawn[draw.permutation(np.flatnonzero(stratum == each))[: clusters // 4]] = 1
    y = draw.normal(size=clusters)[cluster] + 0.5 * draw.normal(size=len(cluster)) + gain * drawn[cluster]
    return pd.DataFrame({"y": y, "drawn": drawn[cluster], "class_id": cluster, "year": stratum[cluster]})


def test_three_against_three_by_hand():
    # 20 draws. Only {4, 5, 6} and {1, 2, 3} separate the arms as much as the draw that was made: p = 2/20.
    found = permutation_test(np.array([1.0, 2, 3, 4, 5, 6]), np.array([0.0, 0, 0, 1, 1, 1]))
    assert (found.p_value, found.n_draws, found.enumerated) == (0.1, 20, True)
    assert (found.conf_low, found.conf_high) == (-np.inf, np.inf)  # nothing can be rejected at 5 %


def test_enumerated_test_is_that_of_scipy():
    draw = np.random.default_rng(1)
    y, d = draw.normal(size=10), np.repeat([1.0, 0.0], 5)
    theirs = stats.permutation_test((y[:5], y[5:]), t_of, vectorized=True, n_resamples=np.inf)
    # scipy doubles the smaller tail; the statistic is symmetric here because the arms are equally large.
    assert permutation_test(y, d).p_value == pytest.approx(theirs.pvalue, abs=1e-12)


def test_interval_holds_what_the_test_does_not_reject():
    draw = np.random.default_rng(2)
    d = np.repeat([1.0, 0.0], [6, 8])
    y = draw.normal(size=14) + d
    found = permutation_test(y, d)
    for edge, inwards in ((found.conf_low, 1e-6), (found.conf_high, -1e-6)):
        inside, outside = (permutation_test(y - (edge + step) * d, d).p_value for step in (inwards, -inwards))
        assert outside < 0.05 <= inside


def test_clusters_of_one_size_are_the_test_of_their_means():
    frame = lot(3)
    means = frame.groupby("class_id").mean()
    whole = permutation_test(frame["y"].to_numpy(), frame["drawn"].to_numpy(), frame["class_id"].to_numpy())
    of_means = permutation_test(means["y"].to_numpy(), means["drawn"].to_numpy())
    rows = permutation_test(frame["y"].to_numpy(), frame["drawn"].to_numpy())
    assert whole.p_value == of_means.p_value
    assert whole.conf_low == pytest.approx(of_means.conf_low)
    assert rows.p_value < whole.p_value / 2  # what forgetting the cluster would have claimed


def test_draws_stay_within_strata():
    frame = lot(4)
    arrays = [frame[name].to_numpy() for name in ("y", "drawn", "class_id", "year")]
    assert permutation_test(*arrays).n_draws == 10 * 10  # two of five in each of two strata, not 210 of ten
    assert permutation_test(*arrays[:3]).n_draws == 210
    sampled = permutation_test(*arrays, n_draws=50, seed=7)
    assert (sampled.n_draws, sampled.enumerated) == (50, False)
    assert sampled == permutation_test(*arrays, n_draws=50, seed=7)


def test_sampled_p_values_come_near_the_enumerated_ones():
    frame = lot(5, clusters=16)
    arrays = [frame[name].to_numpy() for name in ("y", "drawn", "class_id")]
    exact, sampled = permutation_test(*arrays, n_draws=12870), permutation_test(*arrays, n_draws=1000)
    assert exact.enumerated and not sampled.enumerated
    assert sampled.p_value == pytest.approx(exact.p_value, abs=4 * np.sqrt(0.25 / 1000))


def test_size_and_coverage_with_ten_clusters():
    found = [
        difference(
            lot(seed, gain=0.4), "y", "drawn", "class_id", se_type="permutation", strata=["year"]
        ).iloc[0]
        for seed in range(200)
    ]
    covered = np.mean([row["conf_low"] <= 0.4 <= row["conf_high"] for row in found])
    assert covered >= 0.95 - 3 * 0.0154  # exact from below; with 100 draws p-values come in steps of .01
    null = [
        difference(lot(seed), "y", "drawn", "class_id", se_type="permutation", strata=["year"]).loc[
            0, "p_value"
        ]
        for seed in range(200)
    ]
    assert np.mean(np.array(null) <= 0.05) <= 0.05 + 3 * 0.0154


def test_row_names_how_it_was_drawn_and_keeps_the_estimate():
    frame = lot(6)
    row = difference(frame, "y", "drawn", "class_id", se_type="permutation", strata=["year"]).iloc[0]
    plain = difference(frame, "y", "drawn", "class_id").iloc[0]
    assert row["se_type"] == "permutation (100 draws, all)"
    assert (row["estimate"], row["std_error"]) == (plain["estimate"], plain["std_error"])
    assert row["conf_low"] < row["estimate"] < row["conf_high"]


def test_a_declared_draw_is_repeated_as_declared():
    frame = lot(7, clusters=12, gain=1.0).assign(arm=lambda rows: rows["drawn"].map({1: "visit", 0: "none"}))
    design = Design(
        treatment="arm", outcome="y", levels=("visit",), primary="difference", methods=("regress",), cluster="class_id",
        assignment=Assignment("randomised", "class_id", ("year",), "minutes"), se_type="permutation", estimand="ATE",
    )  # fmt: skip
    rows = estimate_effect(frame, design).estimates.set_index("method")
    public = difference(frame, "y", "arm", "class_id", se_type="permutation", strata=["year"]).iloc[0]
    assert rows.loc["difference", "p_value"] == public["p_value"]
    assert rows.loc["difference", "evidence"] == "randomised"
    assert rows.loc["regress", "se_type"] == "CR2"


def test_without_a_declared_draw_there_is_nothing_to_repeat():
    with pytest.raises(ParameterError, match="assignment"):
        Design(treatment="arm", outcome="y", levels=("visit",), primary="difference", se_type="permutation")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda frame: frame.assign(drawn=np.arange(len(frame)) % 2), "differs within groups"),
        (lambda frame: frame.assign(year=np.arange(len(frame)) % 2), "several strata"),
        (lambda frame: frame.assign(year=frame["drawn"]), "no other draw"),
        (lambda frame: frame.assign(y=1.0), "same value"),
        (lambda frame: frame.assign(y=np.inf), "infinite"),
        (lambda frame: frame.assign(drawn=1), "compare with"),
    ],
)
def test_what_was_not_drawn_so_gets_a_reason_and_no_number(change, reason):
    row = difference(change(lot(8)), "y", "drawn", "class_id", se_type="permutation", strata=["year"]).iloc[0]
    assert row["status"] == "not_estimable"
    assert reason in row["reason"]
    assert np.isnan(row["estimate"])


def test_a_unit_in_both_arms_is_an_error_of_the_arrays_too():
    with pytest.raises(NotEstimableError):
        permutation_test(np.arange(4.0), np.array([0.0, 1, 0, 1]), np.array([0, 0, 1, 1]))
