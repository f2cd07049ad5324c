"""Students compared with themselves over terms: exact on unbalanced panels, and what it assumes is tested."""

import numpy as np
import pandas as pd
import pytest
from simulated_panels import after_bad_terms, come_and_go, panel, staggered

from cobench import effects
from cobench.errors import ParameterError

GIVEN = {"outcome": "y", "treatment": "d", "student": "s", "term": "t"}


def fit(frame, **options):
    return effects.fit_student_effects(frame, **{**GIVEN, "carry_over": "none", **options})[0]


def row_at(fit, at, estimand="variance_weighted"):
    rows = fit.estimates
    return rows[(rows["at"] == at) & (rows["estimand"] == estimand)].iloc[0]


def thinned(seed, **options):
    frame = come_and_go(seed, **options)
    return frame.assign(w=np.random.default_rng(seed).normal(size=len(frame)) + frame["d"]).sample(
        frac=0.8, random_state=seed
    )


def test_two_students_by_hand():
    # Student 0 gains 5 when exposed, student 1 gains 2 without: 3.
    frame = panel({0: [1, 6], 1: [4, 6], 2: [0, 3], 3: [1, 2]}, {0: 1, 2: 1})
    # Exposed gained 5 and 3, the others 2 and 1.
    assert row_at(fit(frame), 0.0)["estimate"] == pytest.approx(4 - 1.5, abs=1e-12)


@pytest.mark.parametrize("cluster", [None, "school"])
def test_unbalanced_panels_give_what_pyfixest_gives(cluster):
    pyfixest = pytest.importorskip("pyfixest")
    frame = thinned(1)
    frame = frame[frame.groupby("s")["t"].transform("size") > 1]
    theirs = pyfixest.feols(
        "y ~ d + w | s + t", frame, vcov={"CRV1": cluster or "s"}, ssc=pyfixest.ssc(k_adj=False, G_adj=True),
        fixef_tol=1e-12,
    )  # fmt: skip
    ours = row_at(fit(frame, covariates=["w"], cluster=cluster, se_type="CR1"), 0.0)
    # Theirs demeans until nothing moves by 1e-12; ours is closed.
    assert ours["estimate"] == pytest.approx(theirs.coef()["d"], abs=1e-8)
    assert ours["std_error"] == pytest.approx(theirs.se()["d"], rel=1e-6)


def test_cr2_is_that_of_the_regression_with_a_dummy_for_every_student_and_term():
    frame = thinned(2, schools=6, size=8)
    frame = frame[frame.groupby("s")["t"].transform("size") > 1]
    whole = effects.regress(frame, "y", "d", ["w"], ["s", "t"], cluster="school").iloc[0]
    ours = row_at(fit(frame, covariates=["w"], cluster="school"), 0.0)
    for column in ("estimate", "std_error", "df"):
        assert ours[column] == pytest.approx(whole[column], rel=1e-8)
    assert ours["se_type"] == "CR2"


def test_a_lag_stands_in_the_model_where_visits_carry_over():
    frame = come_and_go(3, carries=0.3)
    found = fit(frame, carry_over=1, cluster="school")
    for at in (0.0, 1.0):
        row = row_at(found, at)
        assert row["estimate"] == pytest.approx(0.3, abs=3 * row["std_error"])
    assert found.check("carry_over").status == "passed"
    # The first term has no known term before it.
    assert row_at(found, 0.0)["n_obs"] == len(frame[frame["t"] > 0])


def test_carry_over_that_was_not_declared_is_found():
    found = fit(come_and_go(4, carries=0.3), cluster="school")
    assert found.check("carry_over").status == "failed"
    row = row_at(found, 1.0, "carry_over")
    assert row["estimate"] == pytest.approx(0.3, abs=3 * row["std_error"])
    assert set(found.estimates["evidence"]) == {"descriptive"}


def test_carry_over_of_any_length_is_refused_and_has_to_be_declared():
    rows = effects.student_fixed_effects(come_and_go(5), **GIVEN, carry_over="any")
    assert set(rows["status"]) == {"not_estimable"} and "use did" in rows["reason"].iloc[0]
    with pytest.raises(ParameterError, match="carry_over"):
        effects.student_fixed_effects(come_and_go(5), **GIVEN)


def test_visits_that_follow_outcomes_fail_strict_exogeneity_and_are_never_confirmatory():
    for seed in range(3):
        found = fit(after_bad_terms(seed), cluster="school", role="confirmatory")
        assert found.check("strict_exogeneity").status == "failed"
        assert found.check("lagged_outcome").status == "failed"
        assert set(found.estimates["role"]) == {"exploratory"}
        assert set(found.estimates["evidence"]) == {"descriptive"}
    sound = fit(
        come_and_go(2), cluster="school", role="confirmatory", assumption="the rota was set in September"
    )
    assert sound.estimates["role"].tolist() == ["confirmatory", "exploratory"]
    assert set(sound.estimates["evidence"]) == {"quasi_experimental"}


def test_growing_effects_of_lasting_exposures_enter_with_negative_weights():
    frame = staggered(6, never=0.1, terms=7)
    found = fit(frame, cluster="school")
    weights = found.weighting.set_index("quantity")["value"]
    assert weights["share_of_exposed_terms_with_negative_weight"] > 0.05
    assert weights["sum_of_negative_weights"] < -0.01
    did = effects.did(frame, **GIVEN, cluster="school")
    right = did[did["estimand"] == "simple"]["estimate"].iloc[0]
    # True mean effect of exposed terms is about 0.9; the regression is far below it.
    assert row_at(found, 0.0)["estimate"] < right - 0.2


def test_weights_add_up_the_coefficient():
    """Sum over exposed student-terms of weight times their effect is the coefficient on a pure effect."""
    frame = staggered(7)
    gain = frame["d"] * (1 + frame["t"])
    noise = 1e-7 * np.random.default_rng(0).normal(size=len(frame))
    found = row_at(fit(frame.assign(y=gain + noise)), 0.0)["estimate"]
    dummies = pd.get_dummies(frame[["s", "t"]].astype(str), drop_first=True, dtype=float).assign(one=1.0)
    swept = frame["d"] - dummies @ np.linalg.lstsq(dummies, frame["d"], rcond=None)[0]
    assert found == pytest.approx(float(swept @ gain / (swept @ frame["d"])), abs=1e-5)


def test_only_students_whose_exposure_changes_count():
    frame = come_and_go(8)
    steady = frame.groupby("s")["d"].transform("nunique") == 1
    found = fit(frame)
    share = found.weighting.set_index("quantity")["value"]["share_of_students_who_switch"]
    assert share == pytest.approx(1 - steady[frame["t"] == 0].mean())


def test_students_with_one_term_and_movers_are_left_out_and_counted():
    frame = come_and_go(9)
    frame = frame[~(frame["s"].eq(0) & frame["t"].gt(0))]
    frame.loc[frame["s"].eq(1) & frame["t"].gt(2), "school"] = 5
    found = fit(frame, cluster="school")
    flow = found.flow.set_index("step")["dropped"]
    assert flow["one_term"] == 1
    assert flow["moved_cluster:school"] == 6


def test_the_bootstrap_tells_its_draws():
    row = row_at(fit(come_and_go(10, schools=6), cluster="school", se_type="wild", n_draws=199), 0.0)
    assert row["se_type"].startswith("wild (webb, 199 draws")
    assert row["conf_low"] < row["estimate"] < row["conf_high"]


def test_many_students_are_their_own_clusters_without_a_matrix_of_all_of_them():
    found = row_at(fit(come_and_go(11, schools=24, size=25)), 0.0)
    assert (found["se_type"], found["n_clusters"]) == ("CR1", 600)


def test_results_hang_neither_on_the_order_of_rows_nor_on_names():
    frame = thinned(12)
    other = frame.sample(frac=1, random_state=5).assign(s=lambda f: "k" + (997 - f["s"]).astype(str))
    first, second = (fit(each, cluster="school", carry_over=1).estimates for each in (frame, other))
    pd.testing.assert_frame_equal(first, second, rtol=1e-9)
