"""Claims about whole designs: rows, roles, evidence, checks, flow, and endings in a reason."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from reference_data import confounded_ihdp, ihdp, star, thinking_healthy
from simulated import COVARIATES, WITHIN, district, school_selection

from cobench.effects import COLUMNS, Assignment, Design, estimate_effect
from cobench.effects.balance import BALANCE, OVERLAP
from cobench.effects.estimate import not_estimable_result
from cobench.effects.reasons import reason_in
from cobench.effects.sample import FLOW
from cobench.errors import MissingColumnError

FRAME, TRUTH = district(11, schools=8)
FRAME = FRAME.assign(**{"visit:history": FRAME["history"]})
DESIGN = Design(
    study="demo",
    term="2025-2026-1",
    treatment="visit",
    outcome="score",
    levels=("at_home",),
    role="confirmatory",
    primary="aipw",
    methods=("difference", "regress", "aipw"),
    covariates=(*(name for name in COVARIATES if name != "history"), "visit:history"),
    within=tuple(WITHIN),
    cluster="class_id",
    subgroups=("sex", "left_behind"),
    smallest_of_interest=0.3,
)
TRIAL = Assignment("randomised", "student", ("site", "bwg"), "IHDP 1990")


@pytest.fixture(scope="module")
def result():
    return estimate_effect(FRAME, DESIGN)


def checks_of(result):
    return {check.name: check for check in result.checks}


def test_only_the_primary_method_on_everybody_is_confirmatory(result):
    rows = result.estimates
    assert tuple(rows.columns) == COLUMNS
    everybody = rows[rows["subgroup"] == ""].set_index("method")["role"]
    assert everybody.to_dict() == {
        "aipw": "confirmatory",
        "difference": "robustness",
        "regress": "robustness",
    }
    parts = rows[rows["subgroup"] != ""]
    assert parts["subgroup"].tolist() == ["sex=f", "sex=m", "left_behind=false", "left_behind=true"]
    assert set(parts["role"]) == {"exploratory"} and set(parts["method"]) == {"aipw"}


def test_each_row_says_what_it_estimates_and_what_may_be_claimed(result):
    rows = result.estimates.query("subgroup == ''").set_index("method")
    assert rows["estimand"].to_dict() == {
        "aipw": "ATT",
        "difference": "mean_difference",
        "regress": "variance_weighted",
    }
    assert rows["evidence"].to_dict() == {
        "aipw": "adjusted_association",
        "difference": "descriptive",
        "regress": "adjusted_association",
    }
    assert rows["se_type"].to_dict() == {"aipw": "IF-cluster", "difference": "CR2", "regress": "CR2"}
    assert rows.loc["aipw", "conf_low"] < TRUTH < rows.loc["aipw", "conf_high"]


def test_subgroups_add_up_and_standardised_size_is_the_estimate_over_the_spread(result):
    rows = result.estimates.query("method == 'aipw'").set_index("subgroup")
    assert rows.loc["sex=f", "n_obs"] + rows.loc["sex=m", "n_obs"] == rows.loc["", "n_obs"]
    arms = [FRAME.loc[FRAME["visit"] == level, "score"] for level in ("at_home", "none")]
    pooled = np.sqrt(sum((len(arm) - 1) * arm.var() for arm in arms) / (len(FRAME) - 2))
    factor = 1 - 3 / (4 * len(FRAME) - 9)
    row = rows.loc[""]
    assert row["effect_size"] == pytest.approx(row["estimate"] / pooled * factor, rel=1e-9)


def test_every_check_has_an_ending_and_both_languages(result):
    checks = checks_of(result)
    assert set(checks) == {
        "estimable", "evidence", "assignment", "attrition", "overlap", "balance", "adjustment", "cluster_level",
        "few_clusters", "history", "minimum_detectable", "interaction",
    }  # fmt: skip
    for check in checks.values():
        assert check.text["zh"] and check.text["en"] and check.text["zh"] != check.text["en"]
    passed = {"estimable", "overlap", "balance", "adjustment", "cluster_level", "few_clusters", "history"}
    assert {name for name, check in checks.items() if check.status == "passed"} >= passed
    assert "cell means" in checks["adjustment"].text["en"]


def test_frames_beside_the_estimates_hold_counts_and_no_student(result):
    assert tuple(result.balance.columns) == ("contrast", *BALANCE)
    assert tuple(result.overlap.columns) == ("contrast", *OVERLAP)
    assert tuple(result.flow.columns) == ("contrast", *FLOW)
    assert result.overlap["n"].sum() == result.flow["n"].iloc[-1]
    assert (result.balance["smd_after"].abs() <= result.balance["smd_before"].abs().max()).all()
    assert result.flow["step"].tolist()[0] == "given" and result.flow["step"].tolist()[-1] == "analysed"


def test_the_same_rows_in_another_order_give_the_same_frame(result):
    again = estimate_effect(FRAME.sample(frac=1, random_state=5), DESIGN)
    pd.testing.assert_frame_equal(again.estimates, result.estimates, rtol=1e-9)


def test_history_left_out_is_said():
    without = replace(DESIGN, covariates=("lagged",), methods=(), primary="regress", subgroups=())
    assert checks_of(estimate_effect(FRAME, without))["history"].status == "failed"


def test_missing_values_are_dropped_and_counted_by_reason():
    holes = FRAME.assign(
        lagged=FRAME["lagged"].mask(FRAME.index < 40),
        visit=FRAME["visit"].mask(FRAME.index >= len(FRAME) - 25),
    )
    design = replace(DESIGN, subgroups=(), methods=(), primary="regress")
    result = estimate_effect(holes, design)
    dropped = result.flow.set_index("step")["dropped"]
    assert (dropped["exposure_unknown"], dropped["covariate_missing:lagged"]) == (25, 40)
    assert result.estimates.loc[0, "n_obs"] == len(FRAME) - 65


def test_several_levels_have_a_row_each_and_never_share_controls_with_one_another():
    levels = np.where(FRAME["visit"] == "none", "none", np.where(FRAME.index % 3, "at_home", "remote"))
    design = replace(
        DESIGN, levels=("at_home", "remote"), subgroups=(), methods=("regress",), primary="regress"
    )
    rows = estimate_effect(FRAME.assign(visit=levels), design).estimates.set_index("contrast")
    alone = estimate_effect(
        FRAME.assign(visit=levels)[levels != "remote"], replace(design, levels=("at_home",))
    ).estimates
    assert rows.loc["at_home", "estimate"] == pytest.approx(alone.loc[0, "estimate"], rel=1e-12)
    assert (rows["n_treated"] < (FRAME["visit"] != "none").sum()).all()


# ---- evidence needs a declared draw -----------------------------------------------------------------------


def test_the_ihdp_trial_carries_the_badge_and_its_published_effects():
    design = Design(
        "visited", "iq", ("true",), reference="false", estimand="ATE", role="confirmatory", primary="difference",
        subgroups=("heavier",), assignment=TRIAL,
    )  # fmt: skip
    rows = estimate_effect(ihdp(), design).estimates.set_index("subgroup")
    assert set(rows["evidence"]) == {"randomised"}
    assert rows["estimand"].unique().tolist() == ["ATE"]
    found = rows.loc[["", "heavier=true", "heavier=false"]]
    assert found["estimate"].tolist() == pytest.approx([8.98, 13.25, 6.57], abs=0.005)
    assert found["n_obs"].tolist() == [908, 328, 580]


def test_the_confounded_trial_recovers_the_truth_for_the_treated_and_refuses_the_rest():
    design = Design(
        "visited", "iq", ("true",), reference="false", primary="aipw", methods=("difference", "regress"),
        covariates=("white_mother", "bw", "site"),
    )  # fmt: skip
    result = estimate_effect(confounded_ihdp(), design)
    rows = result.estimates.set_index("method")
    assert rows.loc["difference", "estimate"] == pytest.approx(19.27, abs=0.005)
    assert rows.loc["aipw", "conf_low"] < 6.21 < rows.loc["aipw", "conf_high"] < 19.27
    assert rows.loc["aipw", "evidence"] == "adjusted_association"
    dropped = result.flow.set_index("step")["dropped"]
    assert dropped["no_exposed_counterpart"] == 351  # 690 - 339: reported, not extrapolated to
    assert "351" in checks_of(result)["overlap"].text["zh"]
    everyone = estimate_effect(confounded_ihdp(), replace(design, estimand="ATE"))
    row = everyone.estimates.set_index("method").loc["aipw"]
    assert row["status"] == "not_estimable" and np.isnan(row["estimate"])
    assert everyone.reasons[row["reason"]] == reason_in(row["reason"], "zh") != row["reason"]


def test_star_within_schools_is_randomised_and_without_the_strata_is_not():
    drawn = Assignment("randomised", "student", ("schoolidk",), "STAR")
    design = Design(
        "stark", "scorek", ("small", "regular+aide"), reference="regular", estimand="ATE", primary="regress",
        within=("schoolidk",), cluster="schoolidk", se_type="CR1S", assignment=drawn,
    )  # fmt: skip
    row = estimate_effect(star(), design).estimates.set_index("contrast").loc["small"]
    assert (row["estimate"], row["std_error"]) == pytest.approx((16.02, 4.117), abs=0.005)
    assert row["evidence"] == "randomised"
    plain = replace(design, within=(), cluster=None, se_type="HC1")
    result = estimate_effect(star(), plain)
    row = result.estimates.set_index("contrast").loc["small"]
    assert (row["estimate"], row["evidence"]) == (pytest.approx(13.90, abs=0.005), "descriptive")
    assert checks_of(result)["assignment"].status == "failed"


THP = Design(
    "treat", "depressed", ("1",), reference="0", estimand="ATE", role="confirmatory", primary="difference",
    cluster="uc", assignment=Assignment("randomised", "uc", (), "Baranov et al. 2020"),
)  # fmt: skip


def test_thinking_healthy_attrition_passes_the_optimistic_boundary_only():
    mothers = thinking_healthy().query("THP_sample == 1")
    result = estimate_effect(mothers, THP)
    table = checks_of(result)["attrition"].table.iloc[0]
    assert (table["overall"], table["differential"]) == pytest.approx((35.2, 4.9), abs=0.05)
    assert (bool(table["cautious"]), bool(table["optimistic"])) == (False, True)
    row = result.estimates.iloc[0]
    assert (row["n_obs"], row["n_clusters"], row["evidence"]) == (585, 40, "randomised")
    assert row["estimate"] == pytest.approx(-0.0653, abs=0.00005)


def test_a_replication_reproduces_the_number_and_carries_no_badge():
    covariates = ("month_int", "month_int_sq", "doi0", "doi0Xtreat", *(f"intervr_{i}" for i in range(1, 10)))
    design = replace(THP, primary="regress", covariates=covariates, replication_only=True)
    result = estimate_effect(thinking_healthy().query("attrit == 0"), design)
    row = result.estimates.iloc[0]
    assert (row["estimate"], row["std_error"]) == pytest.approx((-0.063, 0.028), abs=0.0005)
    assert row["evidence"] == "descriptive"
    assert "withheld" in checks_of(result)["evidence"].text["en"]


def test_a_draw_of_whole_groups_needs_their_cluster():
    result = estimate_effect(thinking_healthy().query("attrit == 0"), replace(THP, cluster=None))
    assert checks_of(result)["assignment"].status == "failed"
    assert result.estimates.loc[0, "evidence"] == "descriptive"


def test_exposure_decided_for_whole_classes_is_said():
    whole = FRAME.assign(visit=np.where(FRAME["class_id"].str[-1] == "0", "at_home", "none"))
    result = estimate_effect(whole, replace(DESIGN, subgroups=(), methods=(), primary="regress"))
    check = checks_of(result)["cluster_level"]
    assert check.status == "failed" and "whole classes" in check.text["en"]


def test_one_exposed_class_can_not_be_compared_with_the_others():
    single = FRAME.assign(visit=np.where(FRAME["class_id"] == FRAME["class_id"].iloc[0], "at_home", "none"))
    design = replace(
        DESIGN, within=(), subgroups=(), methods=("regress", "aipw", "ipw"), covariates=("lagged",)
    )
    rows = estimate_effect(single, design).estimates
    assert set(rows["status"]) == {"not_estimable"}
    assert rows["reason"].str.contains("one side has a single group").all()


def test_five_classes_are_few_clusters_and_three_are_refused():
    design = replace(DESIGN, within=(), subgroups=(), methods=(), primary="regress", covariates=("lagged",))
    five, three = (FRAME[FRAME["class_id"].isin(FRAME["class_id"].unique()[:n])] for n in (5, 3))
    check = checks_of(estimate_effect(five, design))["few_clusters"]
    found = check.table.loc[0]
    assert check.status == "failed" and found["df"] < 5 and found["effective_clusters"] <= 5
    assert 0 < found["wild_p"] <= 1 and found["wild_low"] < found["wild_high"]
    assert "webb, 7776 draws, all" in found["wild"] and "wild cluster bootstrap" in check.text["zh"]
    row = estimate_effect(three, design).estimates.iloc[0]
    assert row["status"] == "not_estimable" and "fewer than 4 groups of class_id" in row["reason"]
    row = estimate_effect(three, replace(design, least_clusters=3)).estimates.iloc[0]
    assert row["status"] == "ok"


def test_every_method_stands_side_by_side_from_one_design():
    invited = np.random.default_rng(1).random(len(FRAME)) < np.where(FRAME["visit"] == "none", 0.3, 0.8)
    methods = ("difference", "regress", "ipw", "entropy_balance", "matching", "aipw", "iv")
    design = replace(DESIGN, methods=methods, subgroups=("sex",), instrument="invited")
    result = estimate_effect(FRAME.assign(invited=invited), design)
    rows = result.estimates.query("subgroup == ''").set_index("method")
    assert set(rows.index) == set(methods) and set(rows["status"]) == {"ok"}
    adjusted = rows.loc[["regress", "ipw", "entropy_balance", "matching", "aipw"]]
    assert adjusted["estimate"].between(0.15, 0.40).all()
    assert set(adjusted["evidence"]) == {"adjusted_association"}
    assert rows.loc["iv", "estimand"] == "LATE" and rows["n_clusters"].nunique() <= 3
    weighted = result.balance_by_method.groupby("method")
    assert set(weighted.groups) == {"ipw", "entropy_balance", "matching", "aipw"}
    assert (weighted["ess"].first() < rows["n_obs"].max()).all()
    worst = weighted["smd_after"].agg(lambda smd: smd.abs().max())
    assert worst["entropy_balance"] < 1e-7 < worst["ipw"] < 0.1
    assert {"instrument", "exclusion", "monotonicity", "interaction"} <= set(checks_of(result))
    scores = result.scores.groupby("estimate_id")["score"].apply(lambda s: np.sqrt((s**2).sum()))
    confirmatory = rows.loc["aipw"]
    assert scores[confirmatory["estimate_id"]] == pytest.approx(confirmatory["std_error"], rel=1e-9)


def test_without_declared_cells_schools_that_visit_more_do_not_pass_for_an_effect():
    frame = school_selection(1).assign(visit=lambda f: np.where(f["visit"], "at_home", "none"))
    design = Design(
        "visit", "y", ("at_home",), primary="aipw", methods=("regress", "ipw", "entropy_balance", "matching"),
        covariates=("x",), cluster="school",
    )  # fmt: skip
    rows = estimate_effect(frame, design).estimates
    assert rows["estimate"].between(0.12, 0.28).all()  # ignoring schools gives 0.35 and more


def test_where_whole_classes_were_exposed_classes_are_compared_and_the_rows_say_so():
    whole = FRAME.assign(visit=np.where(FRAME["class_id"].str[-1] == "0", "at_home", "none"))
    design = replace(
        DESIGN, within=(), subgroups=(), methods=("regress",), primary="aipw", covariates=("lagged",)
    )
    rows = estimate_effect(whole, design).estimates
    assert set(rows["estimand"]) == {"between_clusters"} and set(rows["evidence"]) == {"descriptive"}
    classes = {arm: whole.loc[whole["visit"] == arm, "class_id"].unique() for arm in ("none", "at_home")}
    few = whole[whole["class_id"].isin([*classes["none"][:3], *classes["at_home"][:9]])]
    rows = estimate_effect(few, design).estimates
    assert set(rows["status"]) == {"not_estimable"} and rows["reason"].str.contains("fewer than 4").all()


# ---- bad data end in a reason -------------------------------------------------------------------------------

BAD = {
    "constant outcome": FRAME.assign(score=1.0),
    "no outcome": FRAME.assign(score=np.nan),
    "one cluster": FRAME.assign(class_id="S01-1"),
    "all exposed": FRAME.assign(visit="at_home"),
    "nobody exposed": FRAME.assign(visit="none"),
    "exposure unknown": FRAME.assign(visit=pd.Series([None] * len(FRAME), dtype="str")),
    "infinite covariate": FRAME.assign(lagged=np.where(FRAME.index == 3, np.inf, FRAME["lagged"])),
    "text for scores": FRAME.assign(score="1O3"),
    "no rows": FRAME.head(0),
    "one row": FRAME.head(1),
    "exposed are other children": FRAME.assign(lagged=FRAME["visit"].eq("none") * 10 + FRAME["lagged"]),
    "kinds apart": FRAME.assign(sex=np.where(FRAME["visit"] == "none", "f", "m")),
    "outcome is the exposure": FRAME.assign(score=FRAME["visit"].eq("none").astype(float)),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_end_in_a_reason_in_both_languages(case):
    result = estimate_effect(BAD[case], replace(DESIGN, methods=("regress", "aipw", "ipw")))
    row = result.estimates.query("role == 'confirmatory'").iloc[0]
    assert (row["status"], row["evidence"]) == ("not_estimable", "not_estimable")
    assert np.isnan(row["estimate"]) and row["reason"]
    assert result.reasons[row["reason"]] == reason_in(row["reason"], "zh")
    estimable = checks_of(result)["estimable"]
    assert estimable.status == "failed" and row["reason"] in estimable.text["en"]


@pytest.mark.parametrize(
    "frame",
    [
        FRAME.assign(poor=FRAME["left_behind"]),
        FRAME.assign(poor=True),
        FRAME.assign(class_id=FRAME["school"]),
        FRAME.assign(lagged=FRAME["lagged"] * 1e9),
    ],
    ids=["collinear", "constant", "classes are schools", "large numbers"],
)
def test_awkward_data_are_still_estimated(frame):
    rows = estimate_effect(frame, replace(DESIGN, subgroups=())).estimates
    assert set(rows["status"]) == {"ok"}
    assert np.isfinite(rows[["estimate", "std_error", "df"]].to_numpy()).all()


def test_exposed_students_without_counterpart_are_left_out_and_the_population_renamed():
    kind = np.where((FRAME["visit"] == "at_home") & (FRAME.index % 40 == 0), "rare", "usual")
    result = estimate_effect(FRAME.assign(sex=kind), replace(DESIGN, subgroups=(), methods=()))
    row = result.estimates.iloc[0]
    assert (row["status"], row["population"]) == ("ok", "all:on_support")
    assert result.flow.set_index("step").loc["no_unexposed_counterpart", "dropped"] > 0


def test_an_absent_column_is_the_one_thing_that_raises():
    with pytest.raises(MissingColumnError, match="lagged"):
        estimate_effect(FRAME.drop(columns="lagged"), DESIGN)


def test_a_design_refused_beforehand_keeps_its_rows_and_the_reason():
    result = not_estimable_result(DESIGN, "the outcome was measured too early", "结果测量过早")
    assert len(result.estimates) == 3
    assert set(result.estimates["reason"]) == {"the outcome was measured too early"}
    assert result.reasons == {"the outcome was measured too early": "结果测量过早"}
    assert result.checks[0].status == "failed" and "结果测量过早" in result.checks[0].text["zh"]
