"""Claims about heterogeneity found by a forest: who grew it is never asked, clusters stay whole, nothing is found in noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from cobench.effects import heterogeneity
from cobench.effects.heterogeneity import (
    _groups,
    _median,
    _predictions,
    _slope,
    _units,
    fit_heterogeneity,
)
from cobench.effects.sample import take_sample
from cobench.errors import NotEstimableError, ParameterError

COVARIATES = ["lagged", "flag", "noise"]
QUICK = {"n_divisions": 3, "n_trees": 30}


def district(seed=1, spread=0.8, schools=24, size=25, constant=0.2):
    """Schools differ in level and visit their weaker children more; the effect is larger for flagged children."""
    draw = np.random.default_rng(seed)
    school = np.repeat(np.arange(schools), size)
    n = len(school)
    level = draw.normal(0, 0.4, schools)[school]
    lagged = 0.8 * level + draw.normal(size=n)
    flag = (draw.random(n) < 0.4).astype(float)
    visit = (draw.random(n) < 1 / (1 + np.exp(0.3 + 0.5 * lagged + level))).astype(float)
    gain = constant + spread * (flag - 0.4)
    return pd.DataFrame(
        {
            "school": [f"S{each:02}" for each in school],
            "lagged": lagged,
            "flag": flag,
            "noise": draw.normal(size=n),
            "visit": visit,
            "score": level + 0.6 * lagged - 0.2 * flag + gain * visit + 0.6 * draw.normal(size=n),
        }
    )


def fitted(frame, **options):
    return fit_heterogeneity(
        frame,
        "score",
        "visit",
        COVARIATES,
        ["school"],
        "school",
        level="1",
        reference="0",
        **{**QUICK, **options},
    )


def test_planted_heterogeneity_is_found_and_ranked():
    fit = fitted(district())
    tests = fit.tests.set_index("test")
    assert tests.loc["slope", "p_value"] < 0.01 and tests.loc["highest_less_lowest", "conf_low"] > 0
    low, high = fit.estimates["estimate"].iloc[[0, -1]]
    assert low == pytest.approx(0.2 - 0.4 * 0.8, abs=0.25) and high == pytest.approx(
        0.2 + 0.6 * 0.8, abs=0.25
    )
    profile = fit.profile.set_index("covariate")
    assert profile.loc["flag", "mean_lowest"] < 0.1 < 0.9 < profile.loc["flag", "mean_highest"]
    assert set(fit.estimates["role"]) == {"exploratory"}
    assert fit.estimates["subgroup"].tolist() == [f"predicted={each}" for each in (1, 2, 3, 4)]


def test_equal_effects_are_rarely_told_apart():
    """Twelve districts: at a true size of 2.5 % more than two rejections have a chance of 0.3 %."""
    p = [
        fitted(district(seed, 0.0), n_divisions=1).tests.set_index("test")["p_value"]
        for seed in range(20, 32)
    ]
    assert (pd.DataFrame(p) < 0.05).sum().max() <= 2


def test_no_half_has_a_say_in_the_predictions_of_the_other():
    """Outcomes of the half that is asked are changed wildly; its predictions stay the same to the last digit."""
    sample = _sample(district())
    grown = np.isin(_units(sample), np.arange(12))
    first = _predictions(sample, grown, 30, 5)
    y = np.where(grown, sample.y, 100 * np.arange(len(grown)) * sample.d)
    changed = _predictions(_with_outcome(sample, y), grown, 30, 5)
    for one, other in zip(first[:2], changed[:2], strict=True):
        assert np.array_equal(one[~grown], other[~grown])
    touched = _predictions(_with_outcome(sample, np.where(grown, -sample.y, sample.y)), grown, 30, 5)
    assert not np.array_equal(first[0][~grown], touched[0][~grown])


def test_clusters_that_share_a_cell_are_divided_together():
    frame = district().assign(grade=lambda rows: np.arange(len(rows)) % 2)
    own = take_sample(
        frame, outcome="score", treatment="visit", level="1", reference="0", covariates=COVARIATES,
        within=["grade"], cluster="school",
    )  # fmt: skip
    assert _units(own).max() == 0  # two grades over all schools: one piece
    by_school = _sample(frame)
    assert _units(by_school).max() + 1 == 24
    assert pd.Series(_units(by_school)).groupby(by_school.cluster).nunique().max() == 1


def test_slope_and_groups_are_the_regressions_they_say():
    """statsmodels with dummies and the same columns: an independent implementation of the coefficients."""
    draw = np.random.default_rng(3)
    n, cell = 240, np.repeat(np.arange(12), 20)
    x, d, score = draw.normal(size=(n, 2)), draw.normal(size=n), draw.normal(size=n)
    place = np.arange(n) % 3
    y = x[:, 0] + d * (0.3 + 0.5 * score) + draw.normal(size=n)
    data = pd.DataFrame(
        {"y": y, "a": x[:, 0], "b": x[:, 1], "d": d, "s": score - score.mean(), "c": cell, "g": place}
    )
    [(_, slope, _, _, p)] = _slope(y, x, d, score, cell, cell)
    model = smf.ols("y ~ a + b + d + d:s + C(c)", data).fit()
    assert slope == pytest.approx(model.params["d:s"], rel=1e-9)
    assert p < 0.001
    rows = {name: (estimate, p) for name, estimate, _, _, p in _groups(y, x, d, place, 3, cell, cell)}
    model = smf.ols("y ~ a + b + C(g) + d:C(g) + C(c)", data).fit()
    for each in range(3):
        assert rows[f"group {each + 1}"][0] == pytest.approx(model.params[f"d:C(g)[{each}]"], rel=1e-9)
    difference = model.params["d:C(g)[2]"] - model.params["d:C(g)[0]"]
    assert rows["highest_less_lowest"][0] == pytest.approx(difference, rel=1e-9)


def test_medians_by_hand():
    """Errors 1, df infinite: half the error of 5 % leaves 1.25 % at each end, z = 2.2414; p-values .01 .02 .3 give .04."""
    rows = pd.DataFrame(
        {"estimate": [1.0, 2.0, 9.0], "std_error": 1.0, "df": np.inf, "p_value": [0.01, 0.02, 0.3]}
    )
    found = _median(rows, 0.95)
    assert found["estimate"] == 2.0 and found["p_value"] == 0.04
    assert found["conf_low"] == pytest.approx(2 - 2.241403, abs=1e-6)
    assert found["conf_high"] == pytest.approx(2 + 2.241403, abs=1e-6)
    assert _median(rows.assign(p_value=0.9), 0.95)["p_value"] == 1.0


def test_the_answer_does_not_hang_on_the_order_of_rows_and_does_on_the_seed():
    frame = district()
    first = fitted(frame)
    again = fitted(frame.sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(first.estimates, again.estimates)
    pd.testing.assert_frame_equal(first.divisions, again.divisions)
    assert not fitted(frame, seed=7).tests.equals(first.tests)


@pytest.mark.parametrize(
    "frame, options",
    [
        (district(schools=8), {}),
        (district().assign(visit=lambda rows: (rows["school"] < "S12").astype(float)), {}),
        (district().assign(lagged=1.0, flag=1.0, noise=1.0), {}),
        (district().assign(visit=0.0), {}),
    ],
    ids=["few schools", "whole schools visited", "no covariate varies", "nobody visited"],
)
def test_what_can_not_be_answered_is_a_reason(frame, options):
    rows = heterogeneity(frame, "score", "visit", COVARIATES, cluster="school", **QUICK)
    assert set(rows["status"]) == {"not_estimable"} and rows["reason"].str.len().min() > 10
    assert rows["estimate"].isna().all()


def test_nonsense_is_refused():
    with pytest.raises(ParameterError):
        fitted(district(), n_groups=1)
    with pytest.raises(NotEstimableError):
        fitted(district(schools=6))


def _sample(frame):
    return take_sample(
        frame, outcome="score", treatment="visit", level="1", reference="0", covariates=COVARIATES,
        within=["school"], cluster="school",
    )  # fmt: skip


def _with_outcome(sample, y):
    from dataclasses import replace

    return replace(sample, y=y)
