"""Claims about who was lost."""

import numpy as np
import pandas as pd
import pytest
from reference_data import thinking_healthy

from cobench import effects
from cobench.effects.attrition import attrition_table, sample_flow
from cobench.effects.sample import select_rows
from cobench.errors import MissingColumnError, NotEstimableError


def trial():
    draw = np.random.default_rng(2)
    n = 200
    frame = pd.DataFrame(
        {
            "student": [f"p{i}" for i in range(n)],
            "arm": np.where(np.arange(n) % 2, "visited", "none"),
            "school": [f"S{i // 20}" for i in range(n)],
            "score": draw.normal(size=n),
            "lagged": draw.normal(size=n),
        }
    )
    lost = (np.arange(n) % 10 == 1) | (np.arange(n) % 20 == 0)
    frame["score"] = frame["score"].mask(lost)
    frame["lagged"] = frame["lagged"].mask(np.arange(n) % 25 == 3)
    frame.loc[[6, 7], "arm"] = None
    reasons = pd.DataFrame({"student": frame.loc[lost, "student"], "column": "score", "reason": "absent"})
    reasons.iloc[::3, 2] = "exempt"
    return frame, reasons


FRAME, REASONS = trial()


def test_losses_by_arm_by_hand():
    # 100 an arm, one of each without an arm: 20 of 99 visited and 10 of 99 others are lost.
    table = attrition_table(FRAME, "arm", "score")
    assert table.by_arm[["arm", "n_assigned", "n_kept", "n_lost"]].to_numpy().tolist() == [
        ["none", 99, 89, 10],
        ["visited", 99, 79, 20],
        ["all", 198, 168, 30],
    ]
    verdict = table.verdicts.iloc[0]
    assert verdict["overall"] == pytest.approx(100 * 30 / 198, rel=1e-12)
    assert verdict["differential"] == pytest.approx(100 * 10 / 99, rel=1e-12)
    assert not verdict["cautious"] and verdict["optimistic"]


def test_thinking_healthy_fails_the_cautious_boundary_and_passes_the_optimistic_one():
    mothers = thinking_healthy().query("THP_sample == 1")[["treat", "depressed", "uc"]]
    table = attrition_table(mothers, "treat", "depressed", cluster="uc")
    verdict = table.verdicts.iloc[0]
    # Published to one decimal.
    assert (verdict["overall"], verdict["differential"]) == pytest.approx((35.2, 4.9), abs=0.05)
    assert not verdict["cautious"] and verdict["optimistic"]
    assert table.by_arm["n_groups"].tolist() == [20, 20, 40] and table.by_arm["n_groups_lost"].sum() == 0


def test_whole_groups_that_are_lost_are_counted():
    gone = FRAME.assign(score=FRAME["score"].mask(FRAME["school"] == "S3"))
    table = attrition_table(gone, "arm", "score", cluster="school").by_arm.set_index("arm")
    assert table.loc["all", "n_groups_lost"] == 1 and table.loc["all", "percent_groups_lost"] == 10


def test_reasons_add_up_to_the_losses():
    table = attrition_table(FRAME, "arm", "score", reasons=REASONS)
    sums = table.by_reason.groupby("arm")["n_lost"].sum()
    assert sums.to_dict() == {"none": 10, "visited": 20, "all": 30}
    assert set(table.by_reason["reason"]) == {"absent", "exempt"}
    assert set(attrition_table(FRAME, "arm", "score").by_reason["reason"]) == {"not_stated"}


def test_a_flag_may_say_who_was_kept():
    kept = FRAME.assign(kept=FRAME["score"].notna(), score=0.0)
    assert attrition_table(kept, "arm", "score", observed="kept").by_arm["n_lost"].tolist() == [10, 20, 30]


def test_an_arm_without_anybody_is_a_reason():
    with pytest.raises(NotEstimableError):
        attrition_table(FRAME.assign(arm="none"), "arm", "score")
    with pytest.raises(MissingColumnError):
        attrition_table(FRAME, "arm", "nowhere")


def test_the_flow_leads_to_the_rows_that_estimators_analyse():
    flow = sample_flow(FRAME, "score", "arm", ["lagged"], cluster="school", reasons=REASONS)
    keep, steps = select_rows(
        FRAME,
        outcome="score",
        treatment="arm",
        levels=["none", "visited"],
        covariates=["lagged"],
        groups=["school"],
    )
    assert flow.loc[flow["step"] == "analysed", "n"].sum() == keep.sum()
    dropped = flow.groupby("step")["dropped"].sum()
    assert dropped.drop("analysed").to_dict() == steps.set_index("step")["dropped"].to_dict()
    row = effects.regress(FRAME, "score", "arm", ["lagged"], cluster="school").iloc[0]
    assert row["n_obs"] == keep.sum()


def test_every_student_is_in_the_flow_once():
    flow = sample_flow(FRAME, "score", "arm", ["lagged"], cluster="school", reasons=REASONS)
    given = flow.loc[flow["step"] == "given"].groupby("arm")["n"].sum()
    gone = flow.groupby("arm")["dropped"].sum()
    left = flow.loc[flow["step"] == "analysed"].groupby("arm")["n"].sum()
    for arm in ("none", "visited"):
        assert given[arm] == gone[arm] + left[arm]
    assert given[""] == gone[""] == 2
    outcome = flow[flow["step"] == "outcome_missing"]
    assert set(outcome["reason"]) == {"absent", "exempt"} and outcome["dropped"].sum() == 30
    assert set(flow.loc[flow["step"] == "covariate_missing:lagged", "reason"]) == {"not_stated"}
