"""Growth percentiles: uniform given the priors, the true percentile recovered, medians by school, refusals."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cobench.errors import NotEstimableError
from cobench.monitor.growth import GROWTH, growth_by_group, growth_percentiles

TESTS = {"common": ["score", "prior"]}


def district(seed=1, *, schools=20, size=60, gain=0.0):
    """A curved relation whose spread grows with the prior; the true percentile of every student is known."""
    draw = np.random.default_rng(seed)
    school = np.repeat(np.arange(schools), size)
    prior = draw.normal(size=len(school)) + draw.normal(0, 0.5, schools)[school]
    luck = draw.normal(size=len(school)) + np.where(school == 0, gain, 0)
    score = prior + 0.2 * prior**2 + np.exp(0.3 * prior) * luck
    frame = pd.DataFrame({"score": score, "prior": prior, "school": school})
    return frame, 100 * stats.norm.cdf(luck)


def test_percentiles_are_the_true_ones_though_relation_and_spread_are_curved():
    frame, truth = district()
    found = growth_percentiles(frame, "score", ["prior"])
    # 1,200 students over seven coefficients leave a fitted percentile about 3 points of error.
    assert np.abs(found - truth).mean() < 3.5
    # By construction of quantile regression a share tau lies below each fit, up to one row a coefficient.
    assert found.mean() == pytest.approx(50, abs=1)
    assert abs(np.corrcoef(found, frame["prior"])[0, 1]) < 0.05


def test_where_priors_are_few_values_a_percentile_is_a_rank_among_those_alike():
    # Ten students at each of 40 points of a straight line: 1, ..., 10 above it; the fits are the line plus a step.
    prior, above = np.repeat(np.arange(40.0), 10), np.tile(np.arange(1.0, 11), 40)
    frame = pd.DataFrame({"score": prior + above, "prior": prior})
    found = growth_percentiles(frame, "score", ["prior"]).groupby(above).agg(["min", "max"])
    expected = 10 * np.arange(1, 11) - 5
    # A fit at a tie may be any value between two steps, hence a tenth of the percentiles either way.
    assert np.abs(found["min"] - expected).max() <= 6 and np.abs(found["max"] - expected).max() <= 6


def test_a_school_that_gains_stands_out_and_intervals_hold_50_for_most_others():
    frame, _ = district(2, gain=1.0)
    rows = growth_by_group(frame, "score", ["prior"], **TESTS).set_index("school")
    assert list(rows.columns) == GROWTH and set(rows["status"]) == {"ok"}
    # One SD of gain puts the median at the 84th percentile.
    assert rows.loc[0, "conf_low"] < 84.1 < rows.loc[0, "conf_high"] and rows.loc[0, "conf_low"] > 60
    others = rows.drop(0)
    assert ((others["conf_low"] <= 50) & (others["conf_high"] >= 50)).sum() >= 16


def test_the_interval_is_that_of_order_statistics():
    frame, _ = district(3)
    rows = growth_by_group(frame, "score", ["prior"], **TESTS)
    own = np.sort(growth_percentiles(frame, "score", ["prior"])[frame["school"] == 0])
    # Of 60 draws between 22 and 39 lie below the median with 95 %: P(Binomial(60, 0.5) <= 21) = 0.0137 and <= 22: 0.0259.
    assert rows.loc[0, "conf_low"] == own[21] and rows.loc[0, "conf_high"] == own[38]


def test_missing_and_small_are_counted_and_said():
    frame, _ = district(4)
    frame["prior"] = frame["prior"].where((frame["school"] != 3) | (np.arange(len(frame)) % 60 < 5))
    found = growth_percentiles(frame, "score", ["prior"])
    assert found.isna().sum() == 55
    row = growth_by_group(frame, "score", ["prior"], **TESTS).set_index("school").loc[3]
    assert (row["n_students"], row["n_left_out"], row["status"]) == (5, 55, "not_estimable")
    assert np.isnan(row["median"]) and "fewer than 10" in row["reason_en"]


@pytest.mark.parametrize(
    ("change", "given", "words"),
    [
        ({}, {"common": ["prior"]}, "score is not a test"),
        ({}, {"common": ["score"]}, "no earlier result from"),
        ({"prior": 1.0}, TESTS, "same value"),
        ({"school": lambda f: f["school"] % 4}, TESTS, "fewer than 5"),
        ({"score": lambda f: f["score"].where(f.index % 10 == 0)}, TESTS, "fewer than"),
    ],
)
def test_what_cannot_be_compared_says_why(change, given, words):
    frame, _ = district(5)
    rows = growth_by_group(frame.assign(**change), "score", ["prior"], **given)
    assert set(rows["status"]) == {"not_estimable"} and rows["median"].isna().all()
    assert rows["reason_en"].str.contains(words).all()
    if change and "prior" in change:
        with pytest.raises(NotEstimableError):
            growth_percentiles(frame.assign(**change), "score", ["prior"])
