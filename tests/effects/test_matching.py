"""Claims about matching."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from reference_data import lalonde, supported_work
from simulated import district, school_selection

from cobench.effects import matching
from cobench.effects.matching import _adjustment, fit_matching, match
from cobench.effects.sample import levels_of, take_sample

NAMES = ["age", "educ", "race", "married", "nodegree", "re74", "re75"]
ONE_CELL = np.zeros(6, int)


def test_neighbours_and_ties_by_hand():
    values, d = np.array([1.0, 5.0, 0.9, 1.1, 4.0, 9.0]), np.array([1, 1, 0, 0, 0, 0.0])
    found = match(values, d, ONE_CELL, np.inf)
    pairs = sorted(zip(found.exposed.tolist(), found.unexposed.tolist(), found.share.tolist(), strict=True))
    assert pairs == [(0, 2, 0.5), (0, 3, 0.5), (1, 4, 1.0)]  # 0.9 and 1.1 are as near: they share
    assert match(values, d, ONE_CELL, 0.5).matched_share == 0.5
    once = match(np.array([1.0, 1.2, 1.1, 3.0, 9.0, 9.0]), d, ONE_CELL, np.inf, replace=False)
    assert dict(zip(once.exposed.tolist(), once.unexposed.tolist(), strict=True)) == {1: 2, 0: 3}
    two = match(values, d, ONE_CELL, np.inf, n_matches=2)
    assert np.bincount(two.exposed, weights=two.share).tolist() == [1.0, 1.0]


def test_the_own_school_comes_first_and_others_only_for_who_finds_nobody():
    values = np.array([1.0, 2.0, 1.4, 1.0, 2.1, 7.0])
    d, cell = np.array([1, 1, 0, 0, 0, 0.0]), np.array([0, 1, 0, 1, 0, 1])
    found = match(values, d, cell, 0.5)
    matched = dict(zip(found.exposed.tolist(), found.unexposed.tolist(), strict=True))
    assert matched == {0: 2, 1: 4}  # 0 passes over the nearer student of another school; 1 has nobody at home
    assert (found.within_share, found.matched_share) == (0.5, 1.0)
    assert match(values, d, cell, 0.5, between=False).matched_share == 0.5


def test_nobody_is_used_twice_without_replacement():
    draw = np.random.default_rng(0)
    values, d = draw.normal(size=400), (np.arange(400) < 120).astype(float)
    found = match(values, d, np.zeros(400, int), np.inf, replace=False)
    assert len(np.unique(found.unexposed)) == len(found.unexposed) == 120
    free = set(np.flatnonzero(d == 0))
    for row in np.argsort(-values[:120], kind="stable"):  # each takes the nearest that is left
        taken = found.unexposed[found.exposed == row][0]
        assert abs(values[taken] - values[row]) == pytest.approx(
            min(abs(values[f] - values[row]) for f in free)
        )
        free.remove(taken)


def test_supported_work_is_the_brute_force_match_on_another_packages_scores():
    trial = supported_work()[0].drop(columns="data_id").astype("float64")
    frame = trial.assign(
        **{f"{name}_squared": trial[name] ** 2 for name in ("age", "educ", "re74", "re75")},
        u74=(trial["re74"] == 0).astype(float),
        u75=(trial["re75"] == 0).astype(float),
    )
    names = [name for name in frame if name not in ("treat", "re78")]
    z = (frame[names] - frame[names].mean()) / frame[names].std()
    score = sm.Logit(frame["treat"], sm.add_constant(z)).fit(disp=0, tol=1e-14).predict()
    t, y = frame["treat"].to_numpy() == 1, frame["re78"].to_numpy()
    apart = np.abs(score[t][:, None] - score[~t][None, :])
    nearest = apart <= apart.min(axis=1, keepdims=True) + 1e-9
    gaps = y[t] - (nearest / nearest.sum(axis=1, keepdims=True)) @ y[~t]
    row = matching(frame, "re78", "treat", names, caliper=None, score="propensity", adjust=False).iloc[0]
    assert row["estimate"] == pytest.approx(gaps.mean(), abs=1e-6)
    assert (row["se_type"], row["n_treated"], row["population"]) == ("AI", 185, "all")


def test_lalonde_without_replacement_matches_every_exposed_once():
    row = matching(lalonde(), "re78", "treat", NAMES, replace=False, caliper=None).iloc[0]
    assert (row["n_obs"], row["n_treated"], row["ess"]) == (370, 185, 185)
    close = matching(lalonde(), "re78", "treat", NAMES, replace=False).iloc[0]
    assert (close["population"], close["n_treated"]) == ("all:matched", 117)


def test_differences_that_matching_leaves_are_taken_out_along_the_covariates():
    # y = 3 x and gains of 1, 2, 3, 2, 2; the nearest neighbours are off by .4 on average, which is 1.2 in y.
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 0.6, 1.6, 2.6, 3.6, 4.6, 5.5])
    d = np.r_[np.ones(5), np.zeros(6)]
    frame = pd.DataFrame({"x": x, "visit": d, "y": 3 * x + np.r_[1, 2, 3, 2, 2, np.zeros(6)]})
    call = {"outcome": "y", "treatment": "visit", "covariates": ["x"], "caliper": None}
    rough = matching(frame, **call, adjust=False).iloc[0]
    assert rough["estimate"] - 2 == pytest.approx(3 * np.mean(_nearest_gaps(x[:5], x[5:])), rel=1e-6)
    assert abs(rough["estimate"] - 2) > 0.5
    assert matching(frame, **call).iloc[0]["estimate"] == pytest.approx(2, abs=1e-9)


def _nearest_gaps(exposed, unexposed):
    return [each - unexposed[np.argmin(abs(unexposed - each))] for each in exposed]


def test_the_error_of_abadie_and_imbens_by_hand():
    # Gaps 1 and 3 against one student used twice: tau 2, s^2 = mean((gap - 2)^2 / 2) = 1/2;
    # V = ((1 + 1) + (2^2 - 2) / 2) / 4 = 3/4.
    from cobench.effects.matching import Matches, _abadie_imbens

    found = Matches(np.array([0, 1]), np.array([2, 2]), np.ones(2), np.ones(2, bool), 2)
    assert _abadie_imbens(found, np.array([1.0, 3.0]), np.array([1.0, 1.0, 2.0])).std_error == pytest.approx(
        np.sqrt(0.75)
    )


def test_the_error_with_clusters_carries_what_learning_the_adjustment_costs():
    from test_inference import dense_cr2

    frame = school_selection(4, schools=12)
    [level], base = levels_of(frame, "visit", None)
    arms = {"treatment": "visit", "level": level, "reference": base}
    sample = take_sample(frame, outcome="y", covariates=["x"], cluster="school", **arms)
    answer = fit_matching(sample)
    kept, w = answer.sample, answer.balance_weights
    x = kept.covariates.x - kept.covariates.x[kept.d == 1].mean(axis=0)
    slope = sm.WLS(kept.y, sm.add_constant(x), weights=w * (kept.d == 0)).fit().params[1]
    y, root = kept.y - x[:, 0] * slope, np.sqrt(w)
    design = np.column_stack([np.ones(len(y)), kept.d, (1 - kept.d) * x[:, 0]])
    error, _ = dense_cr2(y * root, design * root[:, None], kept.cluster, 1)
    assert answer.precision.std_error == pytest.approx(error, rel=1e-9)
    assert answer.estimate == pytest.approx(sm.WLS(y, design, weights=w).fit().params[1], rel=1e-9)
    known, _ = dense_cr2(y * root, design[:, :2] * root[:, None], kept.cluster, 1)
    assert known != pytest.approx(error, rel=1e-3)  # as if the slope had not been learnt


def test_cell_means_enter_only_where_three_cells_a_column_carry_them():
    for schools, columns in ((8, 3), (9, 6)):
        frame = school_selection(1, schools=schools)
        frame = frame.assign(z=frame["x"] ** 2, u=np.cos(7 * frame["x"]))
        [level], base = levels_of(frame, "visit", None)
        sample = take_sample(
            frame, outcome="y", treatment="visit", level=level, reference=base, covariates=["x", "z", "u"],
            within=["school"],
        )  # fmt: skip
        assert _adjustment(sample, np.ones(len(sample.y)))[0].shape[1] == columns


def test_schools_that_visit_more_do_not_pass_for_an_effect():
    errors = []
    for seed in range(6):
        frame = school_selection(seed)
        row = matching(frame, "y", "visit", ["x"], cluster="school").iloc[0]
        errors.append((row["estimate"] - 0.20) / row["std_error"])
    assert abs(np.mean(errors)) < 1.2  # six draws of standard deviation one: 3 / sqrt(6)
    blind = matching(school_selection(0), "y", "visit", ["x"], within=[], cluster="school").iloc[0]
    assert blind["estimate"] > 0.30


def test_row_order_changes_nothing_and_half_unmatched_is_refused():
    frame, _ = district(3, schools=4)
    a, b = (
        matching(each, "score", "visit", ["lagged", "left_behind"], ["school"], "class_id").iloc[0]
        for each in (frame, frame.sample(frac=1, random_state=1))
    )
    assert (a["estimate"], a["std_error"]) == pytest.approx((b["estimate"], b["std_error"]), rel=1e-9)
    draw = np.random.default_rng(0)
    apart = pd.DataFrame(
        {"t": np.repeat([1, 0], 40), "x": np.r_[draw.normal(2.5, 1, 40), draw.normal(-1, 1, 40)]}
    )
    row = matching(apart.assign(y=draw.normal(size=80)), "y", "t", ["x"], caliper=0.001).iloc[0]
    assert row["status"] == "not_estimable"
