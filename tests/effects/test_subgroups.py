"""Claims about subgroups and the joint test of their difference."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulated import district

from cobench.effects import interactions, regress, subgroups

FRAME, _ = district(5, schools=6)
MODEL = {"covariates": ["lagged", "history"], "cluster": "class_id"}


def interacted(frame, by, level):
    """One regression with everything interacted: the contrast of ``level`` with the rest, in a single coefficient."""
    flag = (frame[by] == level).astype(float)
    d = (frame["visit"] == "at_home").astype(float)
    return frame.assign(
        flag=flag, d_lagged=flag * frame["lagged"], d_history=flag * frame["history"], d=d, both=flag * d
    )


def test_a_row_a_level_each_as_if_alone():
    rows = subgroups(FRAME, "score", "visit", "sex", **MODEL).set_index("subgroup")
    assert rows.index.tolist() == ["sex=f", "sex=m"]
    alone = regress(FRAME[FRAME["sex"] == "f"], "score", "visit", **MODEL).iloc[0]
    for column in ("estimate", "std_error", "df", "p_value"):
        assert rows.loc["sex=f", column] == pytest.approx(alone[column], rel=1e-12)
    assert rows["estimate_id"].nunique() == 2 and set(rows["role"]) == {"exploratory"}


def test_two_groups_are_tested_as_the_interaction_in_one_model():
    test = interactions(FRAME, "score", "visit", "sex", **MODEL).iloc[0]
    frame = interacted(FRAME, "sex", "m")
    joint = regress(
        frame,
        "score",
        "both",
        ["lagged", "history", "flag", "d_lagged", "d_history", "d"],
        cluster="class_id",
    ).set_index("contrast")
    row = joint.loc["1"]  # the difference of the two effects, CR2 of the one model that holds both
    assert test["statistic"] == pytest.approx((row["estimate"] / row["std_error"]) ** 2, rel=1e-9)
    assert test["df_num"] == 1 and test["df_denom"] <= FRAME["class_id"].nunique() - 1


def test_with_independent_rows_two_groups_give_welchs_test_of_the_difference():
    draw = np.random.default_rng(2)
    frame = pd.DataFrame(
        {"g": np.repeat(["a", "b"], 40), "t": np.tile([0, 1], 40), "y": draw.normal(size=80)}
    )
    rows = subgroups(frame, "y", "t", "g", method="difference").set_index("subgroup")
    test = interactions(frame, "y", "t", "g", method="difference").iloc[0]
    gap = rows.loc["g=b", "estimate"] - rows.loc["g=a", "estimate"]
    variance = (rows["std_error"] ** 2).sum()
    df = variance**2 / (rows["std_error"] ** 4 / rows["df"]).sum()
    assert (test["statistic"], test["df_denom"]) == pytest.approx((gap**2 / variance, df), rel=1e-9)
    assert test["p_value"] == pytest.approx(2 * stats.t.sf(abs(gap) / np.sqrt(variance), df), rel=1e-9)


def test_the_denominator_for_three_groups_by_hand():
    # Equal groups with variance v and df f each, contrasts b - a and c - a: by symmetry the whitened variances are
    # d_st with sum of variances 2/f * sum_l (sum_s D_sl^2)^2 v^2 = 2/f * 3 * (2/3)^2 = 8/(3 f); eta = 6 * 3 f / 8.
    draw = np.random.default_rng(3)
    y = np.tile(draw.normal(size=40), 3)
    frame = pd.DataFrame({"g": np.repeat(["a", "b", "c"], 40), "t": np.tile([0, 1], 60), "y": y})
    frame = frame.assign(y=frame["y"] + frame["g"].map({"a": 0.0, "b": 0.4, "c": 0.0}) * frame["t"])
    rows = subgroups(frame, "y", "t", "g", method="difference")
    test = interactions(frame, "y", "t", "g", method="difference").iloc[0]
    assert test["df_denom"] == pytest.approx(6 * 3 * rows.loc[0, "df"] / 8 - 1, rel=1e-9)
    assert (test["groups"], test["df_num"]) == ("a, b, c", 2)


def test_the_joint_test_keeps_its_size_with_eight_schools():
    draw = np.random.default_rng(0)
    school, group = np.repeat(np.arange(8), 15), np.tile(np.arange(3), 40)
    rejected = []
    for _ in range(80):
        d = draw.random(120) < 0.5
        slope = draw.normal(0, 0.8, (8, 3))[school, group]
        frame = pd.DataFrame({"school": school, "g": group, "t": d, "y": slope * d + draw.normal(size=120)})
        test = interactions(frame, "y", "t", "g", cluster="school").iloc[0]
        rejected.append(test["p_value"] < 0.05)
    # 80 draws at 5 %: more than 11 rejections has probability 0.001.
    assert sum(rejected) <= 11


def test_a_difference_that_is_there_is_found_by_every_method():
    frame, _ = district(1, schools=12, effect=0.0)
    stronger = (frame["sex"] == "f") & (frame["visit"] == "at_home")
    frame = frame.assign(score=frame["score"] + 0.8 * stronger)
    for method in ("difference", "regress", "ipw", "entropy_balance", "matching", "aipw"):
        test = interactions(
            frame, "score", "visit", "sex", ["lagged", "history"], ["school"], "class_id", method=method
        ).iloc[0]
        assert test["p_value"] < 0.01, method


def test_a_level_without_exposed_students_leaves_the_test_and_says_why():
    frame = FRAME.assign(
        kind=np.where((FRAME.index % 3 == 0) & (FRAME["visit"] == "none"), "c", FRAME["sex"])
    )
    rows = subgroups(frame, "score", "visit", "kind", **MODEL).set_index("subgroup")
    assert rows.loc["kind=c", "status"] == "not_estimable" and "at_home" in rows.loc["kind=c", "reason"]
    assert interactions(frame, "score", "visit", "kind", **MODEL).loc[0, "groups"] == "f, m"


def test_groups_that_share_their_schools_bring_no_new_degrees_of_freedom():
    draw = np.random.default_rng(5)
    size = np.repeat([4, 40], [16, 4])  # a few large schools carry the estimate, so df is far below 19
    school = np.repeat(np.arange(20), size * 2)
    frame = pd.DataFrame({"school": school, "sex": np.where(np.arange(len(school)) % 2, "f", "m")})
    frame["visit"] = np.arange(len(frame)) // 2 % 2
    frame["y"] = draw.normal(size=len(frame))
    call = {"outcome": "y", "treatment": "visit", "by": "sex", "within": ["school"], "cluster": "school"}
    apart = frame.assign(school=frame["school"].astype(str) + frame["sex"])
    df = subgroups(frame, **call)["df"]
    assert df.max() < 8
    # With equal variances eta is the df of one group where all schools are shared, and twice that where none is.
    assert interactions(frame, **call).loc[0, "df_denom"] == pytest.approx(df.mean(), rel=0.05)
    assert interactions(apart, **call).loc[0, "df_denom"] == pytest.approx(2 * df.mean(), rel=0.05)
