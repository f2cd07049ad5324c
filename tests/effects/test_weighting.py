"""Claims about propensity weighting."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from reference_data import ihdp_npci, supported_work
from simulated import school_selection

from cobench.effects import difference, ipw, regress
from cobench.effects.weighting import arm_weights, effective_n, weighted_contrast, without_ratio_bias

DEHEJIA_WAHBA = [
    "age", "age2", "age3", "educ", "educ2", "black", "hisp", "marr", "nodegree", "re74", "re75", "u74", "u75",
    "educ_re74",
]  # fmt: skip


def test_att_weights_by_hand():
    propensity, d = np.array([0.5, 0.2, 0.5, 0.8]), np.array([1.0, 0, 0, 0])
    weights = arm_weights(propensity, d, None, "ATT")  # odds 0.25, 1, 4 scaled to sum to one exposed student
    assert weights.tolist() == pytest.approx([1, 0.25 / 5.25, 1 / 5.25, 4 / 5.25])
    assert effective_n(weights, d, "ATT") == pytest.approx(5.25**2 / (0.0625 + 1 + 16))


def test_weights_sum_to_the_exposed_of_each_cell():
    draw = np.random.default_rng(0)
    d, cell = (draw.random(300) < 0.3).astype(float), draw.integers(0, 5, 300)
    weights = arm_weights(draw.uniform(0.1, 0.9, 300), d, cell, "ATT")
    for code in range(5):
        inside = cell == code
        assert weights[inside & (d == 0)].sum() == pytest.approx(d[inside].sum())


def test_the_contrast_is_the_weighted_difference_averaged_over_the_exposed():
    draw = np.random.default_rng(0)
    d, cell, y = (draw.random(60) < 0.4).astype(float), np.repeat([0, 1, 2], 20), draw.normal(size=60)
    weights = arm_weights(draw.uniform(0.1, 0.9, 60), d, cell, "ATT")
    by_hand = sum(
        y[(cell == c) & (d == 1)].sum() - weights[(cell == c) & (d == 0)] @ y[(cell == c) & (d == 0)]
        for c in range(3)
    )
    found = weighted_contrast(y, d, weights, cell, None)
    assert found.estimate == pytest.approx(by_hand / d.sum(), rel=1e-12)
    shifted = weighted_contrast(y + 100 * cell, d, weights, cell, None)
    assert shifted.estimate == pytest.approx(found.estimate, abs=1e-9)


def test_the_bias_of_a_ratio_is_what_the_jackknife_takes_out():
    draw = np.random.default_rng(3)
    n = 30
    w = draw.uniform(0.8, 1.2, n)
    y = 10 * w + draw.normal(size=n)
    d, cell = np.r_[np.zeros(n), 1.0], np.zeros(n + 1, int)
    plain = arm_weights(np.r_[w / (1 + w), 0.5], d, cell, "ATT")
    corrected = without_ratio_bias(plain, d, cell, "ATT")
    without = [np.delete(w, i) @ np.delete(y, i) / np.delete(w, i).sum() for i in range(n)]
    jackknife = n * (w @ y / w.sum()) - (n - 1) * np.mean(without)
    assert corrected[:n] @ y == pytest.approx(jackknife, abs=5e-4)
    assert abs(plain[:n] @ y - jackknife) > 2e-3
    assert (without_ratio_bias(plain, d, None, "ATT") == plain).all()


def test_corrected_weights_are_never_negative_and_keep_their_sums():
    draw = np.random.default_rng(4)
    d, cell = np.r_[np.ones(5), (draw.random(40) < 0.4)], np.repeat([0, 1, 2, 3, 4], 9)
    for estimand in ("ATT", "ATE"):
        plain = arm_weights(draw.beta(0.3, 0.3, 45).clip(1e-6, 1 - 1e-6), d, cell, estimand)
        corrected = without_ratio_bias(plain, d, cell, estimand)
        assert (corrected >= 0).all()
        key = [cell, d]
        sums = [pd.Series(each).groupby(key).sum().to_numpy() for each in (plain, corrected)]
        assert sums[1] == pytest.approx(sums[0])


def test_small_schools_leave_no_bias():
    # 150 schools of 40: visits follow need x, and so does the outcome; no visit changes anything.
    draw = np.random.default_rng(5)
    x, school = draw.normal(size=6000), np.repeat(np.arange(150), 40)
    d = (draw.random(6000) < 1 / (1 + np.exp(0.8 - 1.2 * x))).astype(int)
    frame = pd.DataFrame({"x": x, "visit": d, "school": school, "y": x + 0.3 * draw.normal(size=6000)})
    row = ipw(frame, "y", "visit", ["x"], ["school"], "school").iloc[0]
    assert abs(row["estimate"]) < 2 * row["std_error"]
    assert row["std_error"] < 0.03


def test_supported_work_with_cps_controls():
    naive = supported_work()[1]
    frame = naive.assign(
        age2=naive["age"] ** 2,
        age3=naive["age"] ** 3,
        educ2=naive["educ"] ** 2,
        u74=naive["re74"] == 0,
        u75=naive["re75"] == 0,
        educ_re74=naive["educ"] * naive["re74"],
    )
    row = ipw(frame, "re78", "treat", DEHEJIA_WAHBA).iloc[0]
    assert row["estimate"] == pytest.approx(1494.6, abs=0.05)  # one decimal is printed
    assert row["ess"] == pytest.approx(243, abs=0.5)


def test_nhefs_weight_gain_after_quitting():
    data = pytest.importorskip("causaldata").nhefs_complete.load_pandas().data
    numbers = ["age", "smokeintensity", "smokeyrs", "wt71"]
    groups = ["sex", "race", "education", "exercise", "active"]
    frame = data[["wt82_71", "qsmk", *numbers]].assign(
        **{f"{name}_squared": data[name].astype(float) ** 2 for name in numbers},
        **{name: data[name].astype(str) for name in groups},
    )
    names = [name for name in frame if name not in ("wt82_71", "qsmk")]
    row = ipw(frame, "wt82_71", "qsmk", names, estimand="ATE").iloc[0]
    assert row["n_obs"] == 1566
    found = row[["estimate", "conf_low", "conf_high"]].tolist()
    assert found == pytest.approx([3.4, 2.4, 4.5], abs=0.05)  # one decimal is printed
    crude = difference(frame, "wt82_71", "qsmk").loc[0, "estimate"]
    assert crude == pytest.approx(2.54, abs=0.005)
    standardised = regress(frame, "wt82_71", "qsmk", names).loc[0, "estimate"]
    assert standardised == pytest.approx(3.5, abs=0.05)


def test_semi_synthetic_ihdp_errors_of_weighting_are_the_reported_ones():
    names = [f"x{i}" for i in range(1, 26)]
    errors = [
        abs(
            ipw(frame, "yf", "t", names, estimand="ATE").loc[0, "estimate"]
            - (frame["mu1"] - frame["mu0"]).mean()
        )
        for frame in ihdp_npci()
    ]
    assert np.mean(errors) == pytest.approx(0.124, abs=0.0005)


def test_weighting_within_schools_sees_through_selection_by_school():
    row = ipw(school_selection(2), "y", "visit", ["x"], within=["school"], cluster="class_id").iloc[0]
    assert row["estimate"] == pytest.approx(0.20, abs=3 * 0.025)
    blind = ipw(school_selection(2), "y", "visit", ["x"], within=[], cluster="class_id").iloc[0]
    assert blind["estimate"] > 0.35


def test_complete_separation_has_no_answer():
    frame = pd.DataFrame(
        {"t": [0] * 20 + [1] * 20, "x": range(40), "y": np.random.default_rng(1).normal(size=40)}
    )
    row = ipw(frame, "y", "t", ["x"]).iloc[0]
    assert row["status"] == "not_estimable"
    assert "separate" in row["reason"]


def test_the_error_of_estimated_weights_is_that_of_stacked_equations():
    # d theta / d gamma by finite differences, and the scores of the logistic model, for the ATT without cells.
    draw = np.random.default_rng(3)
    x = draw.normal(size=(300, 2))
    d = (draw.random(300) < 1 / (1 + np.exp(0.5 - x[:, 0]))).astype(int)
    frame = pd.DataFrame(x, columns=["a", "b"]).assign(d=d, y=x @ [1, 0.5] + 0.3 * d + draw.normal(size=300))
    row = ipw(frame, "y", "d", ["a", "b"]).iloc[0]
    z = np.column_stack([np.ones(300), x])
    gamma = sm.Logit(d, z).fit(disp=0, tol=1e-12).params
    y = frame["y"].to_numpy()

    def estimate(value):
        odds = np.exp(z @ value) * (d == 0)
        return y[d == 1].mean() - odds @ y / odds.sum()

    p = 1 / (1 + np.exp(-z @ gamma))
    slope = np.array([(estimate(gamma + step) - estimate(gamma - step)) / 2e-5 for step in np.eye(3) * 1e-5])
    odds = np.exp(z @ gamma) * (d == 0)
    own = np.where(d == 1, (y - y[d == 1].mean()) / d.sum(), -odds * (y - odds @ y / odds.sum()) / odds.sum())
    curvature = (z * (p * (1 - p))[:, None]).T @ z
    influence = own + ((d - p)[:, None] * z) @ np.linalg.solve(curvature, slope)
    assert row["estimate"] == pytest.approx(estimate(gamma), rel=1e-7)
    assert row["std_error"] == pytest.approx(
        np.sqrt(np.sum(influence**2)), rel=0.01
    )  # HC2 adds half a percent
    known = ipw(frame, "y", "d", ["a", "b"], se_type="HC2").loc[0, "std_error"]
    assert known > 1.15 * row["std_error"]


def test_trimming_is_stated_with_the_population_it_leaves():
    frame = school_selection(3, schools=20)
    row = ipw(frame, "y", "visit", ["x"], within=[], estimand="ATE", trim=0.25).iloc[0]
    assert row["population"] == "all:propensity in [0.25, 0.75]"
    everybody = ipw(frame, "y", "visit", ["x"], within=[], estimand="ATE").iloc[0]
    assert everybody["population"] == "all" and row["n_obs"] < everybody["n_obs"]
