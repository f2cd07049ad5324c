"""Claims about two-level multiple imputation."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from statsmodels.imputation.mice import MICE, MICEData

from cobench import effects
from cobench.effects.imputation import impute, r_hat
from cobench.effects.pooling import pooled_fit
from cobench.errors import MissingColumnError, NotEstimableError, ParameterError


def students(seed=1, schools=12, size=25, spread=0.6):
    draw = np.random.default_rng(seed)
    school = np.repeat(np.arange(schools), size)
    n = len(school)
    level = draw.normal(0, spread, schools)[school]
    x = draw.normal(0, 1, n) + 0.3 * level
    y = 0.5 * x + level + draw.normal(0, 0.7, n)
    return pd.DataFrame(
        {
            "student": [f"p{i:04d}" for i in draw.permutation(n)],
            "school": [f"S{s:02d}" for s in school],
            "x": x,
            "y": y,
            "flag": (draw.random(n) < 1 / (1 + np.exp(-x - level))).astype(int),
            "band": np.where(x > 0.6, "high", np.where(x > -0.4, "middle", "low")),
            "steps": np.clip(np.round(3 + x + draw.normal(0, 0.5, n)), 1, 5),
            "size": np.repeat(draw.integers(400, 900, schools), size).astype(float),
        }
    )


def with_gaps(frame, seed=2, share=0.25, columns=("y", "x", "flag", "band", "steps")):
    draw = np.random.default_rng(seed)
    return frame.assign(**{name: frame[name].mask(draw.random(len(frame)) < share) for name in columns})


WHOLE = students()
KNOWN = with_gaps(WHOLE)
COLUMNS = ["y", "x", "flag", "band", "steps"]


@pytest.fixture(scope="module")
def imputed():
    return impute(KNOWN, COLUMNS, cluster="school", n_imputations=4, n_iterations=4)


def test_completed_frames_hold_no_gaps_and_leave_known_values_alone(imputed):
    for frame in imputed:
        assert frame[COLUMNS].notna().all().all()
        for name in COLUMNS:
            known = imputed.frame[name].notna()
            assert (frame.loc[known, name] == imputed.frame.loc[known, name]).all()
    assert len(imputed) == 4 and imputed.frame[COLUMNS].isna().any().all()


def test_kinds_follow_from_the_values_and_imputed_ones_are_of_their_kind(imputed):
    kinds = imputed.diagnostics.set_index("column")["kind"].to_dict()
    assert kinds == {
        "y": "numeric",
        "x": "numeric",
        "flag": "binary",
        "band": "categorical",
        "steps": "scale",
    }
    for frame in imputed:
        assert set(frame["flag"]) == {0, 1} and set(frame["band"]) == {"low", "middle", "high"}
        assert set(frame["steps"]) <= set(KNOWN["steps"].dropna())


def test_flags_and_ordered_categories_keep_their_type():
    order = pd.CategoricalDtype(["low", "middle", "high"], ordered=True)
    frame = KNOWN.assign(band=KNOWN["band"].astype(order), flag=KNOWN["flag"].map({0: False, 1: True}))
    found = impute(frame, ["band", "flag", "y"], cluster="school", n_imputations=2, n_iterations=2)
    completed = found.completed(1)
    assert completed["band"].dtype == order and completed["flag"].dtype == bool
    assert found.diagnostics.set_index("column")["kind"].to_dict() == {
        "band": "scale",
        "flag": "binary",
        "y": "numeric",
    }


def test_neither_row_order_nor_pseudonyms_matter(imputed):
    shuffled = KNOWN.sample(frac=1, random_state=9)
    shuffled = shuffled.assign(student=shuffled["student"].to_numpy()[::-1])
    again = impute(shuffled, COLUMNS, cluster="school", n_imputations=4, n_iterations=4)
    for name in COLUMNS:
        assert np.array_equal(again.values[name], imputed.values[name])
        assert np.array_equal(
            again.completed(2).drop(columns="student").loc[:, name].to_numpy(),
            imputed.completed(2).drop(columns="student").loc[:, name].to_numpy(),
        )


def test_an_imputation_is_the_same_however_many_there_are(imputed):
    fewer = impute(KNOWN, COLUMNS, cluster="school", n_imputations=2, n_iterations=4)
    other = impute(KNOWN, COLUMNS, cluster="school", n_imputations=2, n_iterations=4, seed=5)
    for name in ("y", "x"):
        # Sums over more chains at once may round differently.
        assert np.allclose(fewer.values[name], imputed.values[name][:2], atol=1e-9)
        assert not np.allclose(other.values[name], fewer.values[name])


def test_exempt_students_are_never_imputed_and_leave_counted():
    frame = KNOWN.copy()
    missing = frame.loc[frame["y"].isna(), "student"]
    long = pd.DataFrame({"student": missing, "column": "y", "reason": "absent"})
    long.iloc[:7, 2] = "exempt"
    found = impute(frame, ["y", "x"], cluster="school", reasons=long, n_imputations=2, n_iterations=1)
    assert not set(long["student"].iloc[:7]) & set(found.frame["student"])
    assert len(found.frame) == len(frame) - 7
    assert found.flow["dropped"].sum() == 7 and found.flow["step"].iloc[1] == "no_value_due:y"
    assert set(found.reasons["y"]) == {"absent"} and set(found.reasons["x"]) == {""}
    wide = pd.DataFrame({"y": long.set_index(missing.index)["reason"]}).reindex(frame.index)
    again = impute(frame, ["y", "x"], cluster="school", reasons=wide, n_imputations=2, n_iterations=1)
    assert np.array_equal(again.values["y"], found.values["y"])


def test_an_exempt_mark_on_a_known_value_changes_nothing():
    mark = pd.DataFrame(
        {"student": KNOWN.loc[KNOWN["y"].notna(), "student"], "column": "y", "reason": "exempt"}
    )
    found = impute(KNOWN, ["y", "x"], cluster="school", reasons=mark, n_imputations=2, n_iterations=1)
    assert len(found.frame) == len(KNOWN)


def test_rows_without_what_is_given_or_without_a_group_leave_counted():
    frame = KNOWN.assign(school=KNOWN["school"].where(KNOWN.index > 3))
    found = impute(frame, ["y"], given=["flag"], cluster="school", n_imputations=2, n_iterations=1)
    assert found.frame[["flag", "school"]].notna().all().all()
    assert len(found.frame) == (frame["flag"].notna() & frame["school"].notna()).sum()
    assert found.flow["step"].tolist() == ["given", "place_missing:school", "covariate_missing:flag"]


def test_a_column_of_schools_is_imputed_once_a_school():
    frame = WHOLE.assign(size=WHOLE["size"].where(~WHOLE["school"].isin(["S02", "S07"])))
    kinds = {"size": "numeric"}
    found = impute(frame, ["size", "y"], cluster="school", kinds=kinds, n_imputations=5, n_iterations=2)
    for each in found:
        assert (each.groupby("school")["size"].nunique() == 1).all()
    drawn = {each.loc[each["school"] == "S02", "size"].iloc[0] for each in found}
    assert len(drawn) == 5


def test_a_school_value_that_some_of_its_students_lack_is_taken_from_the_others():
    frame = WHOLE.assign(size=WHOLE["size"].mask(np.arange(len(WHOLE)) % 3 == 0))
    found = impute(frame, ["size", "y"], cluster="school", n_imputations=2, n_iterations=1)
    whole = WHOLE.set_index("student")["size"]
    completed = found.completed(0).set_index("student")["size"]
    assert (completed == whole[completed.index]).all()


def test_bounds_hold():
    found = impute(
        KNOWN, ["y", "x"], cluster="school", bounds={"y": (-1.0, 1.0)}, n_imputations=3, n_iterations=2
    )
    assert found.values["y"].min() >= -1 and found.values["y"].max() <= 1
    assert found.values["x"].max() > 1


def test_imputing_the_outcome_alone_gives_back_the_complete_cases():
    # With only the outcome missing there is no information in incomplete rows: over many imputations the pooled
    # coefficient is that of complete cases, and so is its error (Little 1992).
    frame = with_gaps(WHOLE, share=0.3, columns=["y"])
    found = impute(frame, ["y"], given=["x", "flag"], n_imputations=80, n_iterations=1)
    fit = pooled_fit(found, lambda each: effects.regress(each, "y", "flag", ["x"], se_type="classic"))
    complete = effects.regress(frame, "y", "flag", ["x"], se_type="classic").iloc[0]
    row, information = fit.estimates.iloc[0], fit.information.iloc[0]
    assert abs(row["estimate"] - complete["estimate"]) < 4 * information["simulation_error"]
    assert information["simulation_error"] < 0.1 * complete["std_error"]
    # The variance between 80 draws is known to a sixth, the total to a fifteenth.
    assert row["std_error"] == pytest.approx(complete["std_error"], rel=0.1)


def test_statsmodels_agrees_on_data_of_one_level():
    # Predictive mean matching there, a normal model here, both right for normal data; limits are the simulation
    # errors of both, three of them.
    frame = with_gaps(students(spread=0.0, schools=30, seed=4), columns=["y", "x"])[
        ["y", "x", "flag", "size"]
    ]
    found = impute(frame, ["y", "x"], given=["flag"], n_imputations=30, n_iterations=5)
    fit = pooled_fit(found, lambda each: effects.regress(each, "y", "flag", ["x"], se_type="classic"))
    np.random.seed(1)
    theirs = MICE("y ~ flag + x", sm.OLS, MICEData(frame)).fit(5, 20)
    ours, information = fit.estimates.iloc[0], fit.information.iloc[0]
    apart = information["simulation_error"] * np.sqrt(1 + 30 / 20)
    assert abs(ours["estimate"] - theirs.params[1]) < 3 * apart
    assert ours["std_error"] == pytest.approx(theirs.bse[1], rel=0.15)


def test_values_of_a_school_stay_in_its_place():
    # Nine in ten answers of one school missing: its own few answers and its level must carry over.
    whole = students(schools=20, size=30, spread=1.5, seed=5)
    lost = whole["school"].eq("S03") & (np.arange(len(whole)) % 10 > 0)
    lost |= np.random.default_rng(1).random(len(whole)) < 0.2
    frame = whole.assign(y=whole["y"].mask(lost))
    gaps = {}
    for cluster in ("school", None):
        found = impute(frame, ["y"], given=["x"], cluster=cluster, n_imputations=10, n_iterations=3)
        own = found.frame["school"].iloc[found.rows["y"]].eq("S03").to_numpy()
        truth = whole.set_index("student")["y"][found.frame["student"].iloc[found.rows["y"][own]]].mean()
        gaps[cluster] = abs(found.values["y"][:, own].mean() - truth)
    assert gaps["school"] < 0.5 < gaps[None]


def test_the_share_between_schools_survives():
    whole = students(schools=40, size=20, spread=0.7, seed=6)
    frame = with_gaps(whole, share=0.5, columns=["y"])

    def between(values):
        return float(values.groupby(values.index).mean().var())

    found = impute(frame, ["y"], given=["x"], cluster="school", n_imputations=8, n_iterations=3)
    shares = [between(each.set_index("school")["y"]) for each in found]
    flat = impute(frame, ["y"], given=["x"], n_imputations=8, n_iterations=3)
    ignoring = [between(each.set_index("school")["y"]) for each in flat]
    truth = between(whole.set_index("school")["y"])
    assert np.mean(shares) == pytest.approx(truth, rel=0.2)
    assert np.mean(ignoring) < 0.7 * truth


def test_a_flag_missing_by_a_known_number_is_found_again():
    # Unknown where x is high, and x drives the flag: those seen are too few ones.
    whole = students(schools=30, size=40, seed=7)
    draw = np.random.default_rng(3)
    lost = draw.random(len(whole)) < 1 / (1 + np.exp(-2 * whole["x"]))
    found = impute(whole.assign(flag=whole["flag"].mask(lost)), ["flag"], given=["x", "y"], cluster="school", n_imputations=10, n_iterations=4)  # fmt: skip
    truth, seen = whole["flag"].mean(), whole.loc[~lost, "flag"].mean()
    filled = np.mean([each["flag"].mean() for each in found])
    assert truth - seen > 0.1
    assert filled == pytest.approx(truth, abs=0.03)


def test_products_let_effects_differ():
    draw = np.random.default_rng(8)
    frame = students(schools=30, size=30, seed=8)
    y = frame["y"] + 1.0 * frame["flag"] * frame["x"]
    frame = frame.assign(y=y.mask(draw.random(len(frame)) < 0.5))

    def slope(products):
        found = impute(frame, ["y"], given=["x", "flag"], cluster="school", products=products, n_imputations=6, n_iterations=2)  # fmt: skip
        fits = [smf.ols("y ~ x * flag + C(school)", each).fit().params["x:flag"] for each in found]
        return np.mean(fits)

    assert slope([("flag", "x")]) == pytest.approx(1.0, abs=0.12)
    assert slope([]) < 0.8


def test_r_hat_by_hand_and_of_chains_that_disagree():
    # Later half (1, 3), (2, 4), length 2: W = 2, means 2 and 3, B = 2 x 0.5; ((1/2) 2 + 1/2) / 2.
    trace = np.array([[9.0, 9.0], [9.0, 9.0], [1.0, 2.0], [3.0, 4.0]])
    assert r_hat(trace) == pytest.approx(np.sqrt((1 + 0.5) / 2), rel=1e-14)
    draw = np.random.default_rng(1)
    apart = draw.normal(size=(40, 5)) + np.arange(5) * 4
    assert r_hat(apart) > 2 and r_hat(draw.normal(size=(200, 5))) < 1.1
    assert np.isnan(r_hat(np.ones((1, 3))))


def test_chains_have_settled_after_the_default_number_of_rounds():
    found = impute(KNOWN, COLUMNS, cluster="school", n_imputations=10)
    assert found.diagnostics[["r_hat_mean", "r_hat_sd"]].max().max() < 1.3


@pytest.mark.parametrize(
    "change, key",
    [
        ({"y": np.nan}, "no value"),
        ({"y": KNOWN["y"].where(KNOWN.index > 5, np.inf)}, "infinite"),
        ({"y": KNOWN["y"] * 0}, "same value"),
    ],
)
def test_a_column_without_information_ends_in_a_reason(change, key):
    with pytest.raises(NotEstimableError, match=key):
        impute(KNOWN.assign(**change), ["y", "x"], cluster="school", n_imputations=2, n_iterations=1)


def test_what_is_asked_wrongly_stops():
    with pytest.raises(MissingColumnError):
        impute(KNOWN, ["nowhere"])
    with pytest.raises(ParameterError, match="once"):
        impute(KNOWN, ["y"], given=["y"])
    with pytest.raises(ParameterError, match="at least 2"):
        impute(KNOWN, ["y"], n_imputations=1)
    with pytest.raises(ParameterError, match="levels"):
        impute(KNOWN.assign(band=KNOWN["student"].where(KNOWN["band"].notna())), ["band"])
    with pytest.raises(ParameterError):
        impute(KNOWN, ["y"], kinds={"y": "poisson"})
    twice = pd.concat([KNOWN, KNOWN], ignore_index=True)
    reasons = pd.DataFrame({"student": KNOWN["student"], "column": "y", "reason": "absent"})
    with pytest.raises(ParameterError, match="one row"):
        impute(twice, ["y"], reasons=reasons)


def test_one_school_or_collinear_columns_still_give_numbers():
    frame = KNOWN.assign(school="S", twice=KNOWN["x"] * 2, same=1.0)
    found = impute(
        frame, ["y", "x", "twice"], given=["same"], cluster="school", n_imputations=2, n_iterations=2
    )
    assert np.isfinite(found.values["y"]).all() and np.isfinite(found.values["twice"]).all()


def test_classes_within_schools_both_keep_their_level():
    draw = np.random.default_rng(9)
    frame = students(schools=16, size=30, seed=9)
    frame = frame.assign(group=frame["school"] + (np.arange(len(frame)) % 2).astype(str))
    shock = frame["group"].map(dict(zip(frame["group"].unique(), draw.normal(0, 0.8, 32), strict=True)))
    whole = frame["y"] + shock
    frame = frame.assign(y=whole.mask(draw.random(len(frame)) < 0.5))
    truth = whole.groupby(frame["group"]).mean()

    def error(cluster):
        found = impute(frame, ["y"], given=["x"], cluster=cluster, n_imputations=5, n_iterations=3)
        means = np.mean([each.groupby("group")["y"].mean().loc[truth.index] for each in found], axis=0)
        return float(np.sqrt(np.mean((means - truth) ** 2)))

    assert error(["school", "group"]) < 0.8 * error("school")


def test_few_students_carry_the_doubt_of_the_coefficients():
    # With 16 known outcomes and five predictors the variance of imputed means is far above that of residuals alone:
    # complete-case theory gives the error of the coefficient, as above.
    draw = np.random.default_rng(12)
    frame = pd.DataFrame(draw.normal(size=(40, 5)), columns=list("abcde"))
    y = frame.sum(axis=1) * 0.3 + draw.normal(size=40)
    frame = frame.assign(y=y.where(np.arange(40) < 16), z=(frame["a"] > 0).astype(int))
    found = impute(frame, ["y"], given=[*"abcde", "z"], n_imputations=80, n_iterations=1)
    middles = np.array([each["y"].iloc[found.rows["y"]].mean() for each in found])
    x = np.column_stack([np.ones(40), frame[[*"abcde", "z"]]])
    known, lost = x[:16], x[16:]
    fit = np.linalg.lstsq(known, frame["y"].iloc[:16], rcond=None)[0]
    sigma2 = np.sum((frame["y"].iloc[:16] - known @ fit) ** 2) / (16 - 7)
    point = lost.mean(axis=0)
    doubt = sigma2 * point @ np.linalg.inv(known.T @ known) @ point
    noise = sigma2 / 24
    assert doubt > noise
    assert 0.5 * (doubt + noise) < middles.var() < 2.5 * (doubt + noise)
