"""Claims about standardised sizes."""

import numpy as np
import pandas as pd
import pytest
from simulated import district

from cobench.effects import size_table
from cobench.effects.effect_sizes import cox_index, eef_months, hedges_g, improvement_index
from cobench.effects.sizes import clustered_sizes

FRAME, _ = district(4, schools=5)


def test_an_unclustered_size_is_hedges_g_and_its_readings():
    rows = size_table(FRAME, "score", "visit").set_index("measure")
    arms = [FRAME.loc[FRAME["visit"] == level, "score"] for level in ("at_home", "none")]
    g = hedges_g(*arms)
    assert rows.loc["hedges_g", "value"] == pytest.approx(g)
    assert rows.loc["improvement_index", "value"] == pytest.approx(improvement_index(g))
    assert rows.loc["eef_months", "value"] == eef_months(g)
    assert "4N - 9" in rows.loc["hedges_g", "standardised_by"]


def test_a_flag_has_coxs_index_and_no_other_reading():
    frame = FRAME.assign(passed=(FRAME["score"] > 0).astype(int))
    rows = size_table(frame, "passed", "visit").set_index("measure")
    shares = frame.groupby("visit")["passed"].mean()
    cox = cox_index(shares["at_home"], shares["none"], len(frame))
    assert rows.loc["cox_index", "value"] == pytest.approx(cox)
    assert rows.loc["improvement_index", "value"] == pytest.approx(improvement_index(cox))
    assert "1.65" in rows.loc["eef_months", "standardised_by"]


def test_hedges_2007_by_hand():
    # Four clusters of two: exposed (1, 3), (5, 7); others (0, 2), (2, 4). Mean gap 2. Within: 4 * 2 = 8 on 4 df,
    # so S_W^2 = 2. Between (within arms): 2 * 2 * 4 + 2 * 2 * 1 = 20 on 2 df = 10; tau = (10 - 2) / 2 = 4,
    # rho = 4 / 6. S_T^2 = 28 / 6. d_T = 2 / sqrt(28 / 6) sqrt(1 - 2 * 2/3 / 6) (1 - 3 / 23).
    y = np.array([1.0, 3, 5, 7, 0, 2, 2, 4])
    d, cluster = np.repeat([1, 0], 4), np.repeat(np.arange(4), 2)
    found = clustered_sizes(y, d, cluster)
    assert (found.icc, found.cluster_size) == pytest.approx((2 / 3, 2.0))
    assert found.total == pytest.approx(2 / np.sqrt(28 / 6) * np.sqrt(1 - 4 / 18) * (1 - 3 / 23))
    assert found.within == pytest.approx(2 / np.sqrt(2) * (1 - 3 / 15))
    inner = 0.5 * (1 + 2 / 3) / (1 / 3) + found.within**2 / 8
    assert found.within_error == pytest.approx(np.sqrt(inner))


def test_the_stated_error_is_the_spread_over_trials_of_whole_schools():
    draw, totals, errors = np.random.default_rng(0), [], []
    cluster, d = np.repeat(np.arange(40), 20), np.repeat(np.arange(40) % 2, 20)
    for _ in range(300):
        y = 0.3 * d + np.sqrt(0.2) * draw.normal(size=40)[cluster] + np.sqrt(0.8) * draw.normal(size=800)
        found = clustered_sizes(y, d, cluster)
        totals.append(found.total)
        errors.append(found.total_error)
    assert np.mean(totals) == pytest.approx(0.3, abs=0.03)  # total variance is one; SE of the mean 0.009
    assert np.mean(errors) == pytest.approx(np.std(totals), rel=0.1)


def test_an_adjusted_effect_can_be_standardised_and_every_size_says_by_what():
    rows = size_table(FRAME, "score", "visit", cluster="class_id", estimate=0.5)
    assert set(rows["measure"]) == {"hedges_g", "g_total", "g_within", "improvement_index", "eef_months"}
    plain = size_table(FRAME, "score", "visit", cluster="class_id", estimate=1.0)
    ratio = rows["value"][:3].to_numpy() / plain["value"][:3].to_numpy()
    assert ratio == pytest.approx(np.full(3, 0.5))
    assert rows["standardised_by"].str.len().gt(5).all()
    assert pd.isna(
        size_table(FRAME, "score", "visit", estimate=9.0).set_index("measure").loc["eef_months", "value"]
    )
