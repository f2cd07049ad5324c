"""Difference in differences over terms: published numbers, an independent implementation, cases worked by hand."""

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from reference_data import minimum_wages
from scipy import stats
from simulated_panels import panel, staggered

from cobench import effects
from cobench.effects.did_averages import Average, joint_test, simultaneous_level
from cobench.effects.did_fit import doubly_robust
from cobench.errors import ParameterError

COUNTIES = {"outcome": "lemp", "treatment": "d", "student": "countyreal", "term": "year"}
# R's did prints four decimals.
PRINTED = 5.1e-5


def fit(frame, **options):
    given = {"outcome": "y", "treatment": "d", "student": "s", "term": "t", **options}
    return effects.fit_did(frame, **given)[0]


def one(estimates, estimand, **where):
    rows = estimates[estimates["estimand"] == estimand]
    for column, value in where.items():
        rows = rows[rows[column].isna() if value is None else rows[column] == value]
    assert len(rows) == 1
    return rows.iloc[0]


# ---- worked by hand -----------------------------------------------------------------------------------

HAND = panel({0: [1, 2, 5], 1: [3, 3, 8], 2: [0, 1, 2], 3: [2, 4, 3], 4: [5, 7, 9]}, {0: 2, 1: 2})


def test_a_group_by_hand():
    # Changes from term 1 to 2: exposed 3 and 5, others 1, -1, 2. Influence: deviations over the number of a side.
    row = one(fit(HAND).estimates, "group_time", term="2")
    assert row["estimate"] == pytest.approx(4 - 2 / 3, abs=1e-12)
    others = np.array([1, -1, 2]) - 2 / 3
    assert row["std_error"] == pytest.approx(np.sqrt(2 / 4 + np.sum(others**2) / 9), abs=1e-12)
    assert (row["n_obs"], row["n_treated"], row["se_type"]) == (5, 2, "IF")
    # Before: changes from term 0 to 1 are 1 and 0 against 1, 2 and 2.
    assert one(fit(HAND).estimates, "group_time", term="1")["estimate"] == pytest.approx(
        0.5 - 5 / 3, abs=1e-12
    )


def test_a_visit_is_compared_with_the_same_history_by_hand():
    # Exposure by term; in term 2 students 0 and 1 start after (0, 0), students 2 and 3 stay unexposed after (0, 0).
    # Student 4 starts after (1, 0) and has no companion of its history; students 5 and 6 were exposed in term 1.
    visits = {0: "0011", 1: "0010", 2: "0000", 3: "0001", 4: "1010", 5: "0100", 6: "0110"}
    scores = {0: "1358", 1: "2264", 2: "1223", 3: "3344", 4: "1471", 5: "0123", 6: "0321"}
    frame = pd.DataFrame(
        [(s, t, int(visits[s][t]), float(scores[s][t])) for s in visits for t in range(4)],
        columns=["s", "t", "d", "y"],
    )
    found = fit(frame, exposure="reversible", carry_over=1)
    row = one(found.estimates, "group_time", term="2", at=0.0, subgroup="start=2;before=00")
    # Changes from term 1 to 2: 2 and 4 against 0 and 1.
    assert row["estimate"] == pytest.approx(3 - 0.5, abs=1e-12)
    alone = one(found.estimates, "group_time", term="2", at=0.0, subgroup="start=2;before=10")
    assert (alone["status"], np.isnan(alone["estimate"])) == ("not_estimable", True)
    # Student 6 goes on, which is no start, though student 5 shares its history.
    assert not found.cells["before"].str.endswith("1").any()
    # One term later only student 1 is unexposed again, against student 2.
    later = found.cells[(found.cells["group"] == "2") & (found.cells["at"] == 1)]
    assert "fewer than 2" in later["reason"].iloc[0]


def test_clusters_count_as_wholes_by_hand():
    # Two schools a side, of two students each: sums of deviations over the side, times (1 - 1/2)^-1/2.
    frame = panel({i: [0, y] for i, y in enumerate([4, 5, 6, 9, 0, 2, 1, 1])}, dict.fromkeys(range(4), 1))
    frame = frame.assign(school=frame["s"] // 2)
    rows = fit(frame, cluster="school").estimates
    first, second = (4 + 5 - 12) / 4, (0 + 2 - 2) / 4
    assert rows["estimate"].iloc[0] == pytest.approx(6 - 1)
    assert rows["std_error"].iloc[0] == pytest.approx(np.sqrt(2 * 2 * (first**2 + second**2)), abs=1e-12)
    assert rows["se_type"].iloc[0] == "IF-CR2"
    raw = fit(frame, cluster="school", se_type="IF").estimates
    assert raw["std_error"].iloc[0] == pytest.approx(np.sqrt(2 * (first**2 + second**2)), abs=1e-12)


def test_one_comparison_has_the_error_of_the_regression_of_the_change():
    """With two terms it is that regression: CR2 and, without clusters, nearly Welch's degrees of freedom."""
    frame = staggered(3, schools=8, terms=2)
    wide = frame[frame["t"] == 1].assign(change=frame["y"].diff())
    expected = effects.difference(wide, "change", "d", cluster="school")
    found = fit(frame, cluster="school").estimates.iloc[0]
    assert found["estimate"] == pytest.approx(expected["estimate"].iloc[0], abs=1e-12)
    assert found["std_error"] == pytest.approx(expected["std_error"].iloc[0], rel=1e-10)
    alone = fit(frame).estimates.iloc[0]
    welch = effects.difference(wide, "change", "d").iloc[0]
    assert alone["df"] == pytest.approx(welch["df"], rel=0.02)  # Welch divides by n - 1, influence by n


# ---- published ----------------------------------------------------------------------------------------


def test_minimum_wages_as_published_without_covariates():
    found = fit(minimum_wages(), **COUNTIES, controls="never")
    rows = found.estimates
    for event, expected in zip(range(4), (-0.0199, -0.0510, -0.1373, -0.1008), strict=True):
        assert one(rows, "dynamic", at=float(event))["estimate"] == pytest.approx(expected, abs=PRINTED)
    assert one(rows, "simple")["estimate"] == pytest.approx(-0.0400, abs=PRINTED)
    assert one(rows, "dynamic", at=None)["estimate"] == pytest.approx(-0.0772, abs=PRINTED)
    group = one(rows, "group", subgroup="")
    assert group["estimate"] == pytest.approx(-0.0310, abs=PRINTED)
    # 0.0126 was drawn by a bootstrap of 1,000, whose own error is 2 %.
    assert group["std_error"] == pytest.approx(0.0126, rel=0.03)
    # The vignette's "P-value for pre-test of parallel trends assumption".
    trend = found.check("pre_trend").table.set_index("of")
    assert trend.loc["group_time", "p_wald"] == pytest.approx(0.16812, abs=5e-6)


def test_every_average_of_minimum_wages_as_published():
    """Tables of the did vignettes and README: groups, calendar years, terms before, with and without population."""
    plain = fit(minimum_wages(), **COUNTIES, controls="never").estimates
    for year, expected in {"2004": -0.0105, "2005": -0.0704, "2006": -0.0488, "2007": -0.0371}.items():
        assert one(plain, "calendar", term=year)["estimate"] == pytest.approx(expected, abs=PRINTED)
    assert one(plain, "calendar", term="")["estimate"] == pytest.approx(-0.0417, abs=PRINTED)
    for year, expected in {"2004": -0.0797, "2006": -0.0229, "2007": -0.0261}.items():
        row = one(plain, "group", subgroup=f"first={year}")
        assert row["estimate"] == pytest.approx(expected, abs=PRINTED)
    for event, expected in {-3: 0.0305, -2: -0.0006, -1: -0.0245}.items():
        assert one(plain, "dynamic", at=float(event))["estimate"] == pytest.approx(expected, abs=PRINTED)
    # Printed from a bootstrap of 1,000, whose own error is 2 %.
    assert one(plain, "dynamic", at=None)["std_error"] == pytest.approx(0.0200, rel=0.03)
    given = fit(minimum_wages(), **COUNTIES, controls="never", covariates=["lpop"]).estimates
    events = {-3: 0.0267, -2: -0.0036, -1: -0.0232, 0: -0.0211, 1: -0.0530, 2: -0.1404, 3: -0.1069}
    for event, expected in events.items():
        assert one(given, "dynamic", at=float(event))["estimate"] == pytest.approx(expected, abs=PRINTED)
    assert one(given, "dynamic", at=None)["estimate"] == pytest.approx(-0.0804, abs=PRINTED)
    assert one(given, "group", subgroup="")["estimate"] == pytest.approx(-0.0328, abs=PRINTED)


def test_minimum_wages_as_published_given_population():
    found = fit(minimum_wages(), **COUNTIES, controls="never", covariates=["lpop"])
    expected = {
        ("2004", "2004"): -0.0145, ("2004", "2005"): -0.0764, ("2004", "2006"): -0.1404, ("2004", "2007"): -0.1069,
        ("2006", "2004"): -0.0005, ("2006", "2005"): -0.0062, ("2006", "2006"): 0.0010, ("2006", "2007"): -0.0413,
        ("2007", "2004"): 0.0267, ("2007", "2005"): -0.0046, ("2007", "2006"): -0.0284, ("2007", "2007"): -0.0288,
    }  # fmt: skip
    for (group, year), value in expected.items():
        row = one(found.estimates, "group_time", subgroup=f"first={group}", term=year)
        assert row["estimate"] == pytest.approx(value, abs=PRINTED)
    trend = found.check("pre_trend").table.set_index("of")
    assert trend.loc["group_time", "p_wald"] == pytest.approx(0.23267, abs=5e-6)


# ---- an independent implementation ----------------------------------------------------------------------


def other(frame, covariates=None, controls="never_treated", base="varying", anticipation=0, cluster=None):
    diff_diff = pytest.importorskip("diff_diff")
    first = frame[frame["d"] == 1].groupby("s")["t"].min()
    frame = frame.assign(first=frame["s"].map(first).fillna(0).astype(int))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = diff_diff.CallawaySantAnna(
            control_group=controls, estimation_method="dr", n_bootstrap=0, base_period=base, anticipation=anticipation,
            cluster=cluster,
        )  # fmt: skip
        return estimator.fit(
            frame,
            outcome="y",
            unit="s",
            time="t",
            first_treat="first",
            covariates=covariates,
            aggregate="all",
        )


@pytest.mark.parametrize("controls", ["never", "not_yet"])
@pytest.mark.parametrize("base", ["varying", "universal"])
@pytest.mark.parametrize("anticipation", [0, 1])
def test_cells_and_averages_are_those_of_diff_diff(controls, base, anticipation):
    frame = staggered(5).assign(t=lambda f: f["t"] + 2001)
    ours = fit(frame, controls=controls, base=base, anticipation=anticipation).estimates
    theirs = other(
        frame, controls={"never": "never_treated", "not_yet": "not_yet_treated"}[controls], base=base,
        anticipation=anticipation,
    )  # fmt: skip
    compared = 0
    for row in ours[ours["estimand"] == "group_time"].itertuples():
        cell = theirs.group_time_effects[(int(row.subgroup.removeprefix("first=")), int(row.term))]
        # Both are closed forms, so they agree up to rounding.
        assert row.estimate == pytest.approx(cell["effect"], abs=1e-10)
        assert row.std_error == pytest.approx(cell["se"], rel=1e-8)
        compared += 1
    assert compared >= 12
    if anticipation == 0:  # theirs averages terms of anticipation too; R's did doesn't
        assert one(ours, "simple")["estimate"] == pytest.approx(theirs.overall_att, abs=1e-10)
        assert one(ours, "simple")["std_error"] == pytest.approx(theirs.overall_se, rel=1e-8)
    for event in (0, 1, 2):
        row = one(ours, "dynamic", at=float(event))
        assert row["estimate"] == pytest.approx(theirs.event_study_effects[event]["effect"], abs=1e-10)
        assert row["std_error"] == pytest.approx(theirs.event_study_effects[event]["se"], rel=1e-8)


def test_doubly_robust_cells_are_those_of_two_models_fitted_elsewhere():
    frame = staggered(6)
    frame = frame.assign(t=frame["t"] + 2001)
    ours = fit(frame, controls="never", covariates=["x", "z"]).estimates
    theirs = other(frame, covariates=["x", "z"])
    wide = frame.pivot(index="s", columns="t", values="y")
    first = frame[frame["d"] == 1].groupby("s")["t"].min().reindex(wide.index)
    columns = sm.add_constant(frame.groupby("s")[["x", "z"]].first())
    for group, term in [(2002, 2002), (2002, 2004), (2003, 2003), (2003, 2005), (2004, 2002)]:
        used = (first == group) | first.isna()
        exposed, z = first[used] == group, columns[used]
        change = (wide[term] - wide[group - 1 if term >= group else term - 1])[used]
        p = sm.Logit(exposed.astype(float), z).fit(disp=0, tol=1e-14).predict(z)
        rest = change - sm.OLS(change[~exposed], z[~exposed]).fit().predict(z)
        expected = rest[exposed].mean() - np.average(rest[~exposed], weights=(p / (1 - p))[~exposed])
        row = one(ours, "group_time", subgroup=f"first={group}", term=str(term))
        assert row["estimate"] == pytest.approx(expected, abs=1e-9)
        # diff-diff's logistic fit stops early (its estimates differ in the fourth digit): its errors do up to 1 %.
        assert row["std_error"] == pytest.approx(theirs.group_time_effects[(group, term)]["se"], rel=0.01)


def test_doubly_robust_errors_are_those_of_students_drawn_again():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 2))
    d = (draw.random(400) < 1 / (1 + np.exp(0.5 - 0.8 * x[:, 0]))).astype(float)
    change = 0.3 * d + x @ [0.5, 0.2] + 0.3 * x[:, 0] ** 2 + draw.normal(size=400)
    (_, parts), _, _ = doubly_robust(change, d, x)
    rows = [draw.integers(400, size=400) for _ in range(2000)]
    drawn = [doubly_robust(change[each], d[each], x[each])[0][0] for each in rows]
    # 2,000 draws know a spread to 1.6 %; both models are off in the curvature, so that every part of the formula counts.
    assert np.sqrt(np.sum(parts**2)) == pytest.approx(np.std(drawn), rel=0.05)


# ---- bands and tests --------------------------------------------------------------------------------------


def averages_of(rows, values):
    none = np.zeros(0)
    errors = np.sqrt(np.sum(rows**2, axis=1))
    return [Average(v, e, len(r) - 1.0, none, none, r) for v, e, r in zip(values, errors, rows, strict=True)]


def test_bands_of_independent_rows_are_those_of_sidak():
    rows = np.kron(np.eye(5), np.ones(40))
    level = simultaneous_level(averages_of(rows, np.zeros(5)), 0.95, 100_000, 1)
    # The Monte-Carlo error of the quantile is about 0.0003.
    assert level == pytest.approx(0.95 ** (1 / 5), abs=0.001)
    same = simultaneous_level(averages_of(np.ones((5, 40)), np.zeros(5)), 0.95, 100_000, 1)
    assert same == pytest.approx(0.95, abs=0.002)


def test_bands_are_wider_than_intervals_and_hold_the_same_estimates():
    found = fit(staggered(7), cluster="school")
    pointwise = found.estimates[
        (found.estimates["estimand"] == "dynamic") & found.estimates["at"].notna()
    ].set_index("at")
    bands = found.bands[found.bands["estimand"] == "dynamic"].set_index("at")
    assert (bands["band_low"] < pointwise["conf_low"]).all() and (
        bands["band_high"] > pointwise["conf_high"]
    ).all()
    assert bands["pointwise_level"].between(0.951, 0.9999).all()


def test_the_slope_told_is_found_with_80_percent():
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(3, 40))
    pattern = np.array([1.0, 1.0, 2.0])
    told = joint_test(averages_of(rows, np.zeros(3)), pattern).slope
    covariance = rows @ rows.T
    hits = []
    for _ in range(2000):
        # A covariance estimated from 40 clusters, as the test's F distribution supposes.
        drawn = draw.multivariate_normal(np.zeros(3), covariance / 39, size=39).T
        values = draw.multivariate_normal(told * pattern, covariance)
        hits.append(
            joint_test(averages_of(np.column_stack([drawn, np.zeros(3)]), values), pattern).p_value < 0.05
        )
    # 2,000 draws have an error of 0.9 points; one cluster of 40 is empty, so 38 degrees of freedom for 39.
    assert np.mean(hits) == pytest.approx(0.80, abs=0.035)


def test_trends_that_differ_are_found_and_parallel_ones_pass():
    frame = staggered(8, schools=30)
    slope = frame.groupby("s")["d"].transform("max") * frame["t"] * 0.3
    assert fit(frame, cluster="school", controls="never").check("pre_trend").status == "passed"
    bent = fit(frame.assign(y=frame["y"] + slope), cluster="school", controls="never")
    assert bent.check("pre_trend").status == "failed"
    assert bent.evidence.evidence == "descriptive"
    told = bent.check("pre_trend").table.set_index("of").loc["dynamic", "slope_found_with_80_percent"]
    assert 0.02 < told < 0.3 and f"{told:.3g}" in bent.check("pre_trend").text["zh"]


# ---- who is used --------------------------------------------------------------------------------------------


def test_results_hang_neither_on_the_order_of_rows_nor_on_names():
    frame = staggered(9)
    shuffled = frame.sample(frac=1, random_state=3).assign(s=lambda f: "k" + (997 - f["s"]).astype(str))
    one_way, other_way = (fit(each, cluster="school", covariates=["x"]) for each in (frame, shuffled))
    pd.testing.assert_frame_equal(one_way.estimates, other_way.estimates)
    pd.testing.assert_frame_equal(one_way.bands, other_way.bands)


def test_students_left_out_are_counted():
    frame = staggered(10)
    frame.loc[frame["s"].eq(0), "d"] = 1
    frame.loc[frame["s"].eq(1), "d"] = np.nan
    frame.loc[frame["s"].eq(2) & frame["t"].gt(1), "school"] = 3
    frame.loc[frame["s"].eq(4) & frame["t"].gt(0), "y"] = np.nan
    flow = fit(frame, cluster="school").flow.set_index("step")["dropped"]
    for step in ("exposed_at_start", "exposure_unknown", "moved_cluster:school", "one_term"):
        assert flow[step] >= 1, step
    assert flow["moved_cluster:school"] == 1


def test_unbalanced_panels_use_each_pair_or_only_those_always_there():
    frame = staggered(11).sample(frac=0.9, random_state=1)
    pairs, whole = fit(frame), fit(frame, students="all_terms")
    assert (
        pairs.cells["n_exposed"].sum() + pairs.cells["n_unexposed"].sum()
        > whole.cells["n_exposed"].sum() + whole.cells["n_unexposed"].sum()
    )
    complete = frame[frame.groupby("s")["t"].transform("size") == frame["t"].nunique()]
    pd.testing.assert_frame_equal(whole.estimates, fit(complete).estimates)


def test_a_gap_before_the_start_makes_the_start_unknown():
    frame = staggered(12)
    starts = frame[frame["d"] == 1].groupby("s")["t"].min()
    student = starts[starts == 3].index[0]
    gap = frame[~(frame["s"].eq(student) & frame["t"].eq(2))]
    assert fit(gap).flow.set_index("step")["dropped"]["exposure_unknown"] == 1
    filled = frame.assign(d=frame["d"].astype(float).where(~(frame["s"].eq(student) & frame["t"].eq(1))))
    # Unexposed in term 2, so in term 1 too: an exposure that lasts can't have passed.
    assert "exposure_unknown" not in set(fit(filled).flow["step"])


# ---- refusals -----------------------------------------------------------------------------------------------


def test_a_duty_that_leaves_no_controls_is_refused_with_the_terms():
    frame = staggered(13, never=0.0)
    found = fit(frame)
    last = str(frame["t"].max())
    refused = found.estimates[found.estimates["status"] == "not_estimable"]
    assert set(refused.loc[refused["at"] >= 0, "term"]) == {last}
    refused = refused[refused["term"] == last]
    assert f"in {last} nobody was left without d" in refused["reason"].iloc[0]
    assert all(each in refused["reason"].iloc[0] for each in ("1", "2", "3"))
    controls = found.check("controls")
    assert (controls.status, controls.table.set_index("term")["controls"][last]) == ("failed", False)
    assert one(found.estimates, "simple")["status"] == "ok"
    never = fit(frame, controls="never").estimates
    assert set(never["status"]) == {"not_estimable"} and "nobody was left" in never["reason"].iloc[0]


def test_everybody_visited_in_one_term_names_it():
    frame = staggered(14)
    frame = frame.assign(d=(frame["t"] == 2).astype(int))
    rows = effects.did(frame, "y", "d", "s", "t", exposure="reversible", carry_over="none")
    assert set(rows["status"]) == {"not_estimable"}
    assert "in 2 nobody was left" in rows["reason"].iloc[0]


def test_a_reversible_exposure_needs_its_carry_over_declared():
    frame = staggered(15)
    with pytest.raises(ParameterError, match="carry_over"):
        fit(frame, exposure="reversible")
    with pytest.raises(ParameterError, match="carry_over"):
        fit(frame, exposure="reversible", carry_over=-1)
    with pytest.raises(ParameterError, match="carry_over"):
        fit(frame, carry_over="none")


def test_a_visit_that_ends_contradicts_an_absorbing_exposure():
    frame = staggered(16)
    frame = frame.assign(d=frame["d"] * (frame["t"] % 2))
    rows = effects.did(frame, "y", "d", "s", "t")
    assert set(rows["status"]) == {"not_estimable"} and "reversible" in rows["reason"].iloc[0]


def test_classes_that_are_drawn_anew_are_refused_as_clusters():
    frame = staggered(17)
    rows = effects.did(frame.assign(school=frame["s"] % 7 + frame["t"]), "y", "d", "s", "t", cluster="school")
    assert set(rows["status"]) == {"not_estimable"} and "survives re-classing" in rows["reason"].iloc[0]


def test_a_side_in_one_cluster_is_refused():
    frame = staggered(18)
    frame = frame.assign(d=((frame["school"] == 0) & (frame["t"] > 1)).astype(int))
    rows = effects.did(frame, "y", "d", "s", "t", cluster="school")
    assert set(rows["status"]) == {"not_estimable"} and "one group of school" in rows["reason"].iloc[0]


def test_covariates_that_separate_the_sides_are_refused():
    frame = staggered(19)
    apart = frame.assign(x=frame["x"] + 50 * frame.groupby("s")["d"].transform("max"))
    found = fit(apart, covariates=["x"], controls="never").estimates
    assert set(found["status"]) == {"not_estimable"}
    assert "separate" in found["reason"].iloc[0]


def test_more_covariates_than_controls_are_refused():
    frame = staggered(22, schools=2, size=8, terms=2, never=0.3)
    draw = np.random.default_rng(0)
    many = frame.assign(**{f"c{i}": draw.normal(size=len(frame)) for i in range(12)})
    found = fit(many, covariates=[f"c{i}" for i in range(12)]).estimates
    assert set(found["status"]) == {"not_estimable"} and "covariates" in found["reason"].iloc[0]


def test_a_level_of_several_is_compared_with_the_reference_alone():
    frame = staggered(20)
    started = frame.groupby("s")["d"].transform("max") == 1
    words = np.where(frame["d"] == 0, "none", np.where(started & (frame["s"] % 2 == 0), "home", "phone"))
    rows = effects.did(frame.assign(d=words), "y", "d", "s", "t")
    assert set(rows["contrast"]) == {"home", "phone"}
    home = rows[rows["contrast"] == "home"].drop(columns=["estimate_id", "contrast"])
    alone = effects.did(frame[(frame["s"] % 2 == 0) | ~started], "y", "d", "s", "t")
    pd.testing.assert_frame_equal(
        home.reset_index(drop=True), alone.drop(columns=["estimate_id", "contrast"])
    )


def test_intervals_follow_from_error_and_degrees_of_freedom():
    row = one(fit(staggered(21), cluster="school").estimates, "simple")
    half = stats.t.ppf(0.975, row["df"]) * row["std_error"]
    assert row["conf_high"] - row["estimate"] == pytest.approx(half)
    assert 1 < row["df"] <= row["n_clusters"]
