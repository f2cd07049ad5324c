"""Claims about dose-response curves."""

from functools import partial

import numpy as np
import pandas as pd
import patsy
import pytest
from scipy import stats

from cobench import effects
from cobench.effects.dose import dose_response, fit_dose
from cobench.effects.dose_shapes import restricted_spline
from cobench.effects.inference import fit_ols, precision
from cobench.effects.joint import absorbed, as_normal, combine, joint_test, multiplier_draws, simultaneous
from cobench.effects.reasons import reason_in
from cobench.errors import MissingColumnError, ParameterError


def district(seed=1, schools=16, size=25):
    draw = np.random.default_rng(seed)
    school = np.repeat(np.arange(schools), size)
    n = len(school)
    level = draw.normal(0, 0.4, schools)[school]
    x = draw.normal(size=n)
    visits = draw.poisson(np.exp(-0.2 - 0.3 * x - 0.4 * level)).astype(float)
    minutes = np.where(visits > 0, np.round(visits * draw.gamma(4, 8, n)), 0.0)
    score = 0.5 * x + level + 0.2 * np.sqrt(visits) + draw.normal(0, 0.6, n)
    return pd.DataFrame(
        {
            "school": [f"S{s:02d}" for s in school],
            "class_id": [f"C{s:02d}-{i % 2}" for i, s in enumerate(school)],
            "x": x,
            "visits": visits,
            "minutes": minutes,
            "phone": draw.poisson(0.5, n).astype(float),
            "score": score,
        }
    )


FRAME = district()
FIT = partial(
    fit_dose, FRAME, "score", covariates=["x"], fixed_effects=["school"], cluster="school", n_draws=499
)


def dense(y, x, groups, directions):
    """Estimates, CR2 errors and Satterthwaite df of combinations, with whole matrices (Bell and McCaffrey 2002)."""
    bread = np.linalg.pinv(x.T @ x)
    hat = x @ bread @ x.T
    residual = y - hat @ y
    rows = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    found = []
    for direction in directions.T:
        pulls = []
        for own in rows:
            values, vectors = np.linalg.eigh(np.eye(len(own)) - hat[np.ix_(own, own)])
            root = (
                vectors @ np.diag(np.where(values > 1e-10, np.maximum(values, 1e-10) ** -0.5, 0)) @ vectors.T
            )
            pull = np.zeros(len(y))
            pull[own] = root @ x[own] @ bread @ direction
            pulls.append(pull)
        a = np.array(pulls)
        p = a @ (np.eye(len(y)) - hat) @ a.T
        found.append(
            (
                direction @ bread @ x.T @ y,
                np.sqrt(np.sum((a @ residual) ** 2)),
                np.trace(p) ** 2 / np.sum(p**2),
            )
        )
    return np.array(found).T


def test_steps_without_anything_else_are_differences_of_means():
    rows = dose_response(FRAME, "score", "visits", edges=[1, 2])
    means = FRAME["score"].groupby(np.minimum(FRAME["visits"], 2)).agg(["mean", "var", "size"])
    answered = rows[rows["contrast"].str.endswith("vs 0")]
    assert answered["estimate"].tolist() == pytest.approx(
        (means["mean"] - means.loc[0, "mean"])[1:].tolist(), rel=1e-12
    )
    # HC2 of a saturated model is the sum of the variances of the means.
    errors = np.sqrt(means["var"] / means["size"] + means.loc[0, "var"] / means.loc[0, "size"])[1:]
    assert answered["std_error"].tolist() == pytest.approx(errors.tolist(), rel=1e-10)
    assert rows.iloc[2]["estimate"] == pytest.approx(means["mean"][2] - means["mean"][1], rel=1e-12)
    assert set(rows["se_type"]) == {"HC2"} and rows["n_treated"].tolist() == [(FRAME["visits"] > 0).sum()] * 3


def test_a_step_of_one_edge_is_the_regression_on_any_visit():
    found = dose_response(FRAME, "score", "visits", ["x"], ["school"], "school", edges=[1]).iloc[0]
    some = FRAME.assign(some=(FRAME["visits"] > 0).astype(int))
    row = effects.regress(some, "score", "some", ["x"], ["school"], "school").iloc[0]
    for name in ("estimate", "std_error", "df", "conf_low", "p_value", "effect_size", "n_obs", "n_clusters"):
        assert found[name] == pytest.approx(row[name], rel=1e-9), name


@pytest.mark.parametrize("effect", ["school", None])
def test_a_spline_is_patsys_with_a_dense_sandwich(effect):
    # Two bases of the same natural cubic splines, inner knots and the ends: other columns, the same curve.
    top = float(FRAME["minutes"].max())
    inner = (20.0, 50.0)
    at = [10.0, 40.0, 80.0]
    found = fit_dose(
        FRAME, "score", "minutes", ["x"], [effect] if effect else [], "school", shape="spline", knots=[0.0, *inner, top],
        at=at, n_draws=199,
    ).curve  # fmt: skip
    curve = patsy.build_design_matrices
    info = patsy.dmatrix(
        "cr(minutes, knots=(20.0, 50.0), lower_bound=0.0, upper_bound=top) - 1", FRAME, eval_env=0
    ).design_info
    columns = np.asarray(curve([info], {"minutes": FRAME["minutes"], "top": top})[0])
    points = np.asarray(curve([info], {"minutes": np.array([0.0, *at]), "top": top})[0])
    groups = pd.get_dummies(FRAME["school"], dtype=float).to_numpy()[:, 1:]
    parts = [FRAME[["x"]].to_numpy(), columns] + ([groups] if effect else [])
    x = np.column_stack(parts)
    directions = np.zeros((x.shape[1], len(at)))
    directions[1 : 1 + columns.shape[1]] = (points[1:] - points[0]).T
    estimates, errors, df = dense(FRAME["score"].to_numpy(), x, FRAME["school"].to_numpy(), directions)
    assert found["estimate"].to_numpy() == pytest.approx(estimates, rel=1e-6)
    assert found["std_error"].to_numpy() == pytest.approx(errors, rel=1e-6)
    assert found["df"].to_numpy() == pytest.approx(df, rel=1e-5)


def test_the_spline_is_a_line_beyond_its_knots_and_bent_between():
    knots = (1.0, 3.0, 7.0, 9.0)
    low, high = (
        restricted_spline(np.array([-3.0, -1.0, 1.0]), knots),
        restricted_spline(np.array([9.0, 12.0, 15.0]), knots),
    )
    for part in (low, high):
        assert np.allclose(np.diff(part, 2, axis=0), 0, atol=1e-9)
    assert np.abs(np.diff(restricted_spline(np.linspace(2, 8, 7), knots), 2, axis=0)[:, 1:]).max() > 1e-3


def test_fixed_effects_within_clusters_may_be_swept_out_without_changing_errors():
    draw = np.random.default_rng(1)
    cell, n = np.repeat(np.arange(40), 6), 240
    cluster = cell // 5
    x = draw.normal(size=(n, 3))
    fit = fit_ols(x @ [1.0, 0.5, 0.2] + draw.normal(size=8)[cluster] + draw.normal(size=n), x, cell)
    lean = absorbed(fit, cluster)
    assert len(lean.mass) == 1
    whole, swept = (combine(each, np.eye(3), cluster) for each in (fit, lean))
    assert swept.std_errors == pytest.approx(whole.std_errors, rel=1e-9)
    assert swept.df == pytest.approx(whole.df, rel=1e-9)
    assert joint_test(lean, np.eye(3), cluster).df_denom == pytest.approx(joint_test(fit, np.eye(3), cluster).df_denom, rel=1e-9)  # fmt: skip
    across = absorbed(fit, np.arange(n) % 7)
    assert across is fit


def test_the_joint_test_of_one_combination_is_t_squared():
    fit, groups = _regression()
    test = joint_test(fit, np.eye(3)[:, [1]], groups)
    single = precision(fit, int(fit.kept[1]), cluster=groups)
    assert test.statistic == pytest.approx((fit.coefficients[1] / single.std_error) ** 2, rel=1e-9)
    assert test.df_denom == pytest.approx(single.df, rel=1e-9) and test.df_num == 1


def test_the_joint_test_is_hotellings_with_whole_matrices():
    fit, groups = _regression()
    n = len(groups)
    x = np.column_stack([np.ones(n), fit.z])
    y = x @ np.r_[fit.means[0] @ -fit.coefficients, fit.coefficients] + fit.residuals
    bread = np.linalg.inv(x.T @ x)
    hat = x @ bread @ x.T
    c = np.zeros((3, 4))
    c[:, 1:] = np.eye(3)
    middle = c @ bread @ c.T
    values, vectors = np.linalg.eigh(middle)
    g_half = vectors @ np.diag(values**-0.5) @ vectors.T
    blocks = []
    for g in np.unique(groups):
        own = np.flatnonzero(groups == g)
        v, w = np.linalg.eigh(np.eye(len(own)) - hat[np.ix_(own, own)])
        pull = np.zeros((3, n))
        pull[:, own] = (w @ np.diag(v**-0.5) @ w.T @ x[own] @ bread @ c.T @ g_half).T
        blocks.append(pull)
    rest = np.eye(n) - hat
    variance = 0.0
    for s in range(3):
        for t in range(3):
            for a in blocks:
                for b in blocks:
                    variance += (a[s] @ rest @ b[s]) * (a[t] @ rest @ b[t]) + (a[s] @ rest @ b[t]) * (
                        a[t] @ rest @ b[s]
                    )
    eta = 3 * 4 / variance
    residual = rest @ y
    scores = np.array([each @ residual for each in blocks])
    gap = g_half @ c @ bread @ x.T @ y
    q = gap @ np.linalg.solve(scores.T @ scores, gap)
    test = joint_test(fit, np.eye(3), groups)
    assert test.df_denom == pytest.approx(eta - 2, rel=1e-8)
    assert test.statistic == pytest.approx((eta - 2) / (eta * 3) * q, rel=1e-8)
    assert test.p_value == pytest.approx(stats.f.sf(test.statistic, 3, eta - 2), rel=1e-8)


def _regression():
    draw = np.random.default_rng(4)
    groups = np.repeat(np.arange(9), [6, 9, 12, 5, 8, 10, 7, 11, 9])
    x = draw.normal(size=(len(groups), 3)) + draw.normal(size=(9, 3))[groups]
    y = x @ [0.3, 0.0, -0.2] + draw.normal(size=9)[groups] + draw.normal(size=len(groups))
    return fit_ols(y, x), groups


def test_a_band_of_one_dose_is_its_interval_and_of_several_wider():
    fit, groups = _regression()
    one = combine(fit, np.eye(3)[:, [0]], groups)
    assert simultaneous(one, 0.95, 20000) == pytest.approx(stats.t.ppf(0.975, one.df), rel=0.02)
    three = combine(fit, np.eye(3), groups)
    factor, sidak = simultaneous(three, 0.95, 20000), stats.t.ppf(1 - (1 - 0.95 ** (1 / 3)) / 2, three.df)
    assert np.all(factor > stats.t.ppf(0.975, three.df)) and np.all(factor < 1.02 * sidak)
    draws = multiplier_draws(three, 20000)
    assert draws.std(axis=0) == pytest.approx(np.ones(3), rel=0.03)


def test_statistics_turn_normal_with_the_same_p_value():
    fit, groups = _regression()
    found = combine(fit, np.eye(3), groups)
    t = found.estimates / found.std_errors
    z = as_normal(found)
    assert 2 * stats.norm.sf(np.abs(z)) == pytest.approx(2 * stats.t.sf(np.abs(t), found.df), rel=1e-9)
    assert np.array_equal(np.sign(z), np.sign(t))


def test_bands_hold_the_points_and_the_curve_ends_where_students_do():
    fit = FIT("minutes")
    curve = fit.curve
    assert (curve["band_low"] < curve["conf_low"]).all() and (curve["conf_high"] < curve["band_high"]).all()
    some = FRAME.loc[FRAME["minutes"] > 0, "minutes"]
    assert curve["at"].max() == fit.support["highest_supported"].iloc[0]
    assert (some >= curve["at"].max()).mean() >= 0.05 > (some > curve["at"].max()).mean()


def test_doses_that_few_reached_are_a_reason_and_no_number():
    rows = dose_response(FRAME, "score", "minutes", ["x"], cluster="school", at=[30, 60, 5000], n_draws=199)
    beyond = rows[rows["at"] == 5000].iloc[0]
    assert beyond["status"] == "not_estimable" and "extrapolated" in beyond["reason"]
    assert reason_in(beyond["reason"], "zh") != beyond["reason"]
    assert (rows.loc[rows["at"] < 5000, "status"] == "ok").all()
    steps = dose_response(FRAME, "score", "visits", edges=[1, 2, 50], n_draws=199)
    assert steps.set_index("at").loc[50, "status"] == "not_estimable"


def test_what_more_adds_is_the_difference_of_the_curve():
    fit = FIT("visits")
    gains = np.diff(np.r_[0, fit.curve["estimate"]])
    assert fit.steps["estimate"].to_numpy() == pytest.approx(gains, abs=1e-12)
    rows = fit.estimates
    assert rows["estimate_id"].is_unique and (rows["estimand"] == "dose_response").all()
    assert len(rows) == 2 * len(fit.curve) - 1 and set(rows["evidence"]) == {"adjusted_association"}


def test_a_line_has_the_slope_of_least_squares_and_no_curvature():
    fit = FIT("visits", shape="linear", at=[1, 2])
    wide = pd.get_dummies(FRAME["school"], dtype=float).assign(x=FRAME["x"], visits=FRAME["visits"])
    slope = np.linalg.lstsq(wide.to_numpy(), FRAME["score"].to_numpy(), rcond=None)[0][-1]
    assert fit.curve["estimate"].tolist() == pytest.approx([slope, 2 * slope], rel=1e-9)
    assert "linearity" not in set(fit.tests["test"])


def test_tests_tell_a_line_from_a_curve_and_a_rise_from_a_fall():
    rise = district(5, schools=30)
    straight = rise.assign(score=rise["score"] - 0.2 * np.sqrt(rise["visits"]) + 0.2 * rise["visits"])
    hump = rise.assign(score=rise["score"] + 1.2 * (rise["visits"] == 1))
    p = {}
    for name, frame in (
        ("straight", straight),
        ("hump", hump),
        ("fall", straight.assign(score=-straight["score"])),
    ):
        tests = fit_dose(frame, "score", "visits", ["x"], ["school"], "school", n_draws=999).tests
        p[name] = tests.set_index("test")["p_value"]
    assert p["straight"]["linearity"] > 0.05 > p["hump"]["linearity"]
    assert p["straight"]["never_falls"] > 0.05 > p["straight"]["never_rises"]
    assert (
        p["hump"]["never_falls"] < 0.01
        and p["fall"]["never_falls"] < 0.01
        and p["fall"]["never_rises"] > 0.05
    )
    assert all(each["any"] < 0.01 for each in p.values())


def test_kinds_of_exposure_share_a_model():
    frame = district(6, schools=30)
    frame = frame.assign(score=frame["score"] + 0.2 * frame["visits"])
    fit = fit_dose(frame, "score", ["visits", "phone"], ["x"], ["school"], "school", n_draws=499)
    assert set(fit.curve["dose"]) == {"visits", "phone"} and set(fit.estimates["treatment"]) == {
        "visits",
        "phone",
    }
    tests = fit.tests.set_index(["test", "dose"])["p_value"]
    assert tests["any", "all kinds"] < 0.01 and tests["any", "phone"] > 0.05
    assert tests["kinds_equal", "all kinds at 1"] < 0.05
    own = fit.estimates.set_index(["treatment", "contrast"])["n_treated"]
    assert own["phone", "1 vs 0"] == (frame["phone"] > 0).sum()


def test_students_own_changes_remove_a_lasting_cause():
    draw = np.random.default_rng(7)
    n, terms = 300, 4
    trouble, start = draw.normal(size=n), draw.integers(0, 5, n)
    parts = []
    for term in range(terms):
        visits = np.where(term >= start, draw.poisson(np.exp(0.5 * trouble)), 0).astype(float)
        score = -0.8 * trouble + 0.2 * term + 0.3 * np.minimum(visits, 3) + draw.normal(0, 0.4, n)
        parts.append(pd.DataFrame({"student": np.arange(n), "school": np.arange(n) // 15, "term": term, "visits": visits, "score": score}))  # fmt: skip
    frame = pd.concat(parts, ignore_index=True)
    own = dose_response(frame, "score", "visits", fixed_effects=["student", "term"], cluster="school", edges=[1, 2, 3], n_draws=199)  # fmt: skip
    across = dose_response(frame, "score", "visits", fixed_effects=["term"], cluster="school", edges=[1, 2, 3], n_draws=199)  # fmt: skip
    gap = (own["estimate"][:3] - [0.3, 0.6, 0.9]).abs()
    assert (gap < 3 * own["std_error"][:3]).all() and (own["std_error"][:3] < 0.1).all()
    assert (across["estimate"][:3] < [0.25, 0.5, 0.7]).all()


def test_neither_row_order_nor_labels_matter():
    again = dose_response(
        FRAME.sample(frac=1, random_state=2), "score", "visits", ["x"], ["school"], "school", n_draws=199
    )
    first = dose_response(FRAME, "score", "visits", ["x"], ["school"], "school", n_draws=199)
    assert again.equals(first)


BREAKS = {
    "nobody without": {"visits": FRAME["visits"] + 1},
    "nobody with": {"visits": 0.0},
    "negative": {"visits": FRAME["visits"] - 1},
    "text": {"visits": "two"},
    "infinite": {"visits": FRAME["visits"].where(FRAME.index > 3, np.inf)},
    "unknown": {"visits": np.nan},
    "constant outcome": {"score": 1.0},
    "no outcome": {"score": np.nan},
    "infinite outcome": {"score": FRAME["score"].where(FRAME.index > 3, np.inf)},
    "one cluster": {"school": "S"},
    "the same within schools": {"visits": (FRAME["school"] < "S08") * 1.0},
    "one student with": {"visits": (FRAME.index == 5) * 1.0},
    "covariate is the dose": {"x": FRAME["visits"]},
    "no cluster known": {"school": None},
    "a line fits": {"score": FRAME["visits"], "x": 1.0},
}


# Steps can tell a dose from the same dose as a covariate, and a perfect line from a covariate; a line can't.
PAIRS = [(case, "linear") for case in BREAKS]
PAIRS += [(case, shape) for case in list(BREAKS)[:-4] + ["no cluster known"] for shape in ("bins", "spline")]


@pytest.mark.parametrize("case, shape", PAIRS)
def test_bad_data_end_in_a_reason(case, shape):
    frame = FRAME.assign(**BREAKS[case])
    rows = dose_response(frame, "score", "visits", ["x"], ["school"], "school", shape=shape, n_draws=199)
    assert set(rows["status"]) == {"not_estimable"}, rows.T.to_string()
    assert rows[["estimate", "std_error", "p_value", "conf_low"]].isna().all().all()
    assert all(len(each) > 10 and reason_in(each, "zh") != each for each in rows["reason"])


def test_whole_schools_with_visits_are_only_described():
    frame = FRAME.assign(visits=np.where(FRAME["school"] < "S08", 1.0 + (FRAME.index % 2), 0.0))
    rows = dose_response(frame, "score", "visits", ["x"], cluster="school", n_draws=199)
    assert set(rows["evidence"]) == {"descriptive"}
    assert set(dose_response(FRAME, "score", "visits", cluster="school", n_draws=199)["evidence"]) == {
        "descriptive"
    }


def test_what_is_asked_wrongly_stops():
    with pytest.raises(MissingColumnError):
        FIT("nowhere")
    for options in ({"edges": [0, 1]}, {"edges": [2, 1]}, {"shape": "spline", "knots": 2}, {"shape": "spline", "knots": [1, 2]}, {"shape": "wave"}):  # fmt: skip
        with pytest.raises(ParameterError):
            FIT("minutes", **options)
