"""Claims about pooling over completed data sets."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.imputation.mice import MICE, MICEData

from cobench import effects
from cobench.effects.aipw import fit_aipw
from cobench.effects.estimates import as_estimates
from cobench.effects.imputation import impute
from cobench.effects.pooling import complete_cases_beside, pool, pooled_fit, rubin, sensitivity_to_absence
from cobench.effects.reasons import reason_in
from cobench.effects.sample import take_sample
from cobench.errors import ParameterError


def district(seed=3, schools=14, size=20):
    draw = np.random.default_rng(seed)
    school = np.repeat(np.arange(schools), size)
    n = len(school)
    level = draw.normal(0, 0.5, schools)[school]
    lagged = level + draw.normal(0, 1, n)
    visit = (draw.random(n) < 1 / (1 + np.exp(0.5 + 0.5 * lagged))).astype(float)
    score = 0.5 * lagged + level + 0.3 * visit + draw.normal(0, 0.6, n)
    frame = pd.DataFrame(
        {"school": [f"S{s:02d}" for s in school], "lagged": lagged, "visit": visit, "score": score}
    )
    frame["student"] = [f"p{i}" for i in draw.permutation(n)]
    absent = draw.random(n) < 0.3
    return frame.assign(score=frame["score"].mask(absent), lagged=frame["lagged"].mask(draw.random(n) < 0.1))


FRAME = district()
REGRESS = partial(
    effects.regress,
    outcome="score",
    treatment="visit",
    covariates=["lagged"],
    fixed_effects=["school"],
    cluster="school",
)


@pytest.fixture(scope="module")
def imputed():
    return impute(
        FRAME, ["score", "lagged"], given=["visit"], cluster="school", n_imputations=6, n_iterations=4
    )


def test_rubin_and_barnard_rubin_by_hand():
    # W = 1, B = 1, T = 1 + 4/3; lambda = (4/3)/(7/3) = 4/7; old df = 2/(4/7)^2 = 6.125;
    # observed df = 11/13 x 10 x 3/7; they add as reciprocals.
    found = rubin(np.array([1.0, 2.0, 3.0]), np.ones(3), 10.0)
    assert (found.estimate, found.within, found.between) == (2.0, 1.0, 1.0)
    assert found.std_error == pytest.approx(np.sqrt(7 / 3), rel=1e-14)
    assert found.relative_increase == pytest.approx(4 / 3, rel=1e-14)
    observed = 11 / 13 * 10 * 3 / 7
    assert found.df == pytest.approx(1 / (1 / 6.125 + 1 / observed), rel=1e-14)
    assert found.share_missing_information == pytest.approx((4 / 3 + 2 / (found.df + 3)) / (7 / 3), rel=1e-14)


def test_with_infinite_data_the_df_are_those_of_rubin_1987():
    assert rubin(np.array([1.0, 2.0, 3.0]), np.ones(3)).df == pytest.approx(6.125, rel=1e-14)


def test_estimates_that_agree_add_nothing():
    found = rubin(np.full(4, 0.2), np.full(4, 0.1), 30.0)
    assert found.std_error == pytest.approx(0.1, rel=1e-14) and found.relative_increase == 0
    assert found.df == pytest.approx(31 / 33 * 30, rel=1e-14)
    assert np.isinf(rubin(np.full(4, 0.2), np.full(4, 0.1)).df)


def test_statsmodels_pools_the_same_completed_data_to_the_same_error(imputed):
    # The same rules on the same numbers: only rounding may differ.
    mice = MICE("score ~ visit + lagged", sm.OLS, MICEData(FRAME[["score", "visit", "lagged"]]))
    mice.exog_names, mice.endog_names = ["Intercept", "visit", "lagged"], "score"
    mice.results_list = [sm.OLS.from_formula("score ~ visit + lagged", each).fit() for each in imputed]
    theirs = mice.combine()
    ours = pool(
        imputed, lambda each: effects.regress(each, "score", "visit", ["lagged"], se_type="classic")
    ).iloc[0]
    place = mice.exog_names.index("visit")
    assert ours["estimate"] == pytest.approx(theirs.params[place], rel=1e-9)
    assert ours["std_error"] == pytest.approx(theirs.bse[place], rel=1e-9)


def test_any_estimator_is_pooled_and_says_so(imputed):
    callers = {
        "regress": REGRESS,
        "difference": partial(effects.difference, outcome="score", treatment="visit", cluster="school"),
        "ipw": partial(effects.ipw, outcome="score", treatment="visit", covariates=["lagged"], cluster="school"),
        "aipw": partial(
            effects.aipw, outcome="score", treatment="visit", covariates=["lagged"], cluster="school", n_repeats=1
        ),
    }  # fmt: skip
    for name, estimator in callers.items():
        own = [estimator(each).iloc[0] for each in imputed]
        row = pool(imputed, estimator, role="robustness").iloc[0]
        assert row["estimate"] == pytest.approx(np.mean([each["estimate"] for each in own]), rel=1e-12)
        assert row["std_error"] > np.sqrt(np.mean([each["std_error"] ** 2 for each in own]))
        assert row["df"] < np.mean([each["df"] for each in own])
        assert row["se_type"] == f"MI(m=6) + {own[0]['se_type']}", name
        assert row["n_obs"] == np.median([each["n_obs"] for each in own]) and row["role"] == "robustness"
        assert row["population"].endswith("imputed") and row["evidence"] == own[0]["evidence"]


def test_information_names_what_is_missing(imputed):
    fit = pooled_fit(imputed, REGRESS)
    row = fit.information.iloc[0]
    assert row["estimate_id"] == fit.estimates["estimate_id"].iloc[0] and row["n_imputations"] == 6
    assert row["total"] == pytest.approx(row["within"] + (1 + 1 / 6) * row["between"], rel=1e-12)
    assert 0.05 < row["share_missing_information"] < 0.8
    assert row["df_complete"] > row["df"]


def test_every_dose_is_pooled_on_its_own_row(imputed):
    frames = [each.assign(dose=each["visit"] * (1 + (each["lagged"] > 0))) for each in imputed]
    rows = pool(frames, partial(effects.dose_response, outcome="score", treatment="dose", cluster="school"))
    single = effects.dose_response(frames[0], "score", "dose", cluster="school")
    assert rows["contrast"].tolist() == single["contrast"].tolist() and (rows["status"] == "ok").all()


def test_one_data_set_without_an_answer_refuses_the_row_unless_fewer_are_asked_for(imputed):
    frames = list(imputed)
    frames[2] = frames[2].assign(score=1.0)
    row = pool(frames, REGRESS).iloc[0]
    assert row["status"] == "not_estimable" and "same value" in row["reason"]
    assert reason_in(row["reason"], "zh") != row["reason"]
    assert pool(frames, REGRESS, least=0.8).iloc[0]["se_type"] == "MI(m=5 of 6) + CR2"


def test_no_answer_anywhere_keeps_its_reason(imputed):
    rows = pool([each.assign(visit=1.0) for each in imputed], REGRESS)
    assert rows["status"].tolist() == ["not_estimable"]
    assert reason_in(rows["reason"].iloc[0], "zh") != rows["reason"].iloc[0]


def test_intervals_that_do_not_follow_from_an_error_are_refused(imputed):
    row = pool(imputed, partial(REGRESS, se_type="wild", n_draws=199)).iloc[0]
    assert row["status"] == "not_estimable" and "wild" in row["reason"]


def test_rows_that_change_between_data_sets_stop(imputed):
    frames = list(imputed)
    frames[1] = frames[1].assign(visit=np.where(frames[1].index % 3, frames[1]["visit"], 2.0))
    with pytest.raises(ParameterError, match="differ"):
        pool(frames, REGRESS)
    with pytest.raises(ParameterError, match="two"):
        pool(frames[:1], REGRESS)


def test_folds_are_the_same_in_all_completed_data_sets(imputed):
    found = []
    for each in imputed:
        sample = take_sample(
            each, outcome="score", treatment="visit", level="1", reference="0", covariates=["lagged"], within=["school"],
            cluster="school",
        )  # fmt: skip
        fit = fit_aipw(
            y=sample.y, d=sample.d, x=sample.covariates.x, cell=sample.cell, cluster=sample.cluster
        )
        found.append(pd.DataFrame(fit.folds).groupby(sample.cluster).agg(["min", "max"]).to_numpy())
    assert all(np.array_equal(each, found[0]) for each in found[1:])
    assert len(np.unique(found[0])) > 2


def test_complete_cases_stand_beside_imputed_ones(imputed):
    rows = complete_cases_beside(imputed, REGRESS)
    assert rows["population"].tolist() == ["all:complete_cases", "all:imputed"]
    assert (rows["role"] == "robustness").all() and rows["estimate_id"].is_unique
    complete = FRAME.dropna()
    assert rows.loc[0, "estimate"] == pytest.approx(REGRESS(complete)["estimate"].iloc[0], rel=1e-12)
    assert rows.loc[0, "n_obs"] == len(complete) and rows.loc[1, "n_obs"] == len(FRAME)


def test_a_shift_of_absent_students_moves_the_estimate_in_a_straight_line(imputed):
    found = sensitivity_to_absence(imputed, REGRESS, "score", [-1.0, 0.0, 1.0], treatment="visit", levels=[1])
    low, middle, high = found.estimates["estimate"]
    assert found.estimates["at"].tolist() == [-1.0, 0.0, 1.0] and found.estimates["estimate_id"].is_unique
    # Least squares is linear in the outcome.
    assert low + high == pytest.approx(2 * middle, abs=1e-10)
    assert middle == pytest.approx(pool(imputed, REGRESS)["estimate"].iloc[0], rel=1e-12)
    share = FRAME.loc[FRAME["visit"] == 1, "score"].isna().mean()
    assert high - middle == pytest.approx(share * found.sd, rel=0.25)


def test_the_tipping_point_is_where_the_interval_meets_zero(imputed):
    wide = sensitivity_to_absence(imputed, REGRESS, "score", treatment="visit", levels=[1])
    point = wide.tipping_points.iloc[0]
    assert bool(point["lost"]) and point["delta"] < 0
    there = sensitivity_to_absence(imputed, REGRESS, "score", [point["delta"]], treatment="visit", levels=[1])
    # Between grid points 0.2 SD apart the limit is nearly a straight line.
    assert there.estimates["conf_low"].iloc[0] == pytest.approx(0, abs=0.01)


def test_only_those_absent_from_the_exam_are_shifted():
    missing = FRAME.loc[FRAME["score"].isna(), "student"]
    reasons = pd.DataFrame({"student": missing, "column": "score", "reason": "blank"})
    reasons.iloc[::2, 2] = "absent"
    some = impute(FRAME, ["score", "lagged"], given=["visit"], cluster="school", reasons=reasons, n_imputations=3, n_iterations=2)  # fmt: skip
    whole = sensitivity_to_absence(some, REGRESS, "score", [1.0], reasons=["absent", "blank"])
    part = sensitivity_to_absence(some, REGRESS, "score", [1.0])
    none = pool(some, REGRESS)["estimate"].iloc[0]
    assert abs(part.estimates["estimate"].iloc[0] - none) > 1e-6
    assert whole.estimates["estimate"].iloc[0] != part.estimates["estimate"].iloc[0]
    with pytest.raises(ParameterError, match="reason"):
        sensitivity_to_absence(some, REGRESS, "score", [1.0], reasons=["deferred"])


def test_a_shift_needs_an_imputed_number(imputed):
    with pytest.raises(ParameterError):
        sensitivity_to_absence(imputed, REGRESS, "visit", [1.0])


def test_a_frame_of_ones_own_is_checked():
    rows = [as_estimates([{"estimate": 1.0, "std_error": 0.1, "method": "regress", "estimand": "ATE", "evidence": "descriptive"}])] * 2  # fmt: skip
    found = pool(
        [0, 1], lambda place: rows[place][["estimate", "std_error", "method", "estimand", "evidence"]]
    )
    assert found["estimate"].tolist() == [1.0] and found["df"].isna().all()
