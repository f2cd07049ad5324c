"""Every public function meets every kind of bad data: a reason, never a number, never a traceback."""

import warnings

import numpy as np
import pandas as pd
import pytest
from simulated import district

from cobench import effects
from cobench.effects.reasons import reason_in

FRAME, _ = district(11, schools=6)
DRAW = np.random.default_rng(0)
FRAME = FRAME.assign(
    w=DRAW.uniform(0.5, 2, len(FRAME)),
    invited=(DRAW.random(len(FRAME)) < np.where(FRAME["visit"] == "none", 0.3, 0.8)).astype(int),
)
GIVEN = {"outcome": "score", "treatment": "visit", "covariates": ["lagged", "poor"], "cluster": "class_id"}
FUNCTIONS = {
    "difference": lambda f: effects.difference(f, "score", "visit", cluster="class_id"),
    "difference, no cluster": lambda f: effects.difference(f, "score", "visit"),
    "regress": lambda f: effects.regress(f, **GIVEN, fixed_effects=["school"], weights="w"),
    "regress, two sets": lambda f: effects.regress(f, **GIVEN, fixed_effects=["school", "grade"]),
    "regress, CR3": lambda f: effects.regress(f, **GIVEN, se_type="CR3"),
    "regress, wild": lambda f: effects.regress(f, **GIVEN, se_type="wild", n_draws=199),
    "ipw": lambda f: effects.ipw(f, **GIVEN),
    "ipw, trimmed ATE": lambda f: effects.ipw(f, **GIVEN, estimand="ATE", trim=0.1, within=["school"]),
    "entropy_balance": lambda f: effects.entropy_balance(f, **GIVEN, within=["school"]),
    "entropy_balance, ATE": lambda f: effects.entropy_balance(f, **GIVEN, estimand="ATE", moments=2, within=[]),
    "matching": lambda f: effects.matching(f, **GIVEN, within=["school"]),
    "matching, once each": lambda f: effects.matching(f, **GIVEN, replace=False),
    "aipw": lambda f: effects.aipw(f, **GIVEN, within=["school"]),
    "aipw, default cells": lambda f: effects.aipw(f, **GIVEN),
    "complier_effect": lambda f: effects.complier_effect(f, **GIVEN, instrument="invited"),
    "multilevel": lambda f: effects.multilevel(f, **GIVEN, groups=["class_id"]),
    "multilevel, slopes, schools": lambda f: effects.multilevel(
        f, **GIVEN, groups=["school", "class_id"], slopes={"class_id": ["lagged"]}, method="ML", within=(), se_type="CR1"
    ),
    "subgroups": lambda f: effects.subgroups(f, **GIVEN, by="sex"),
    "subgroups, aipw": lambda f: effects.subgroups(f, **GIVEN, by="sex", method="aipw", within=["school"]),
    "interactions": lambda f: effects.interactions(f, **GIVEN, by="sex"),
    "size_table": lambda f: effects.size_table(f, "score", "visit", cluster="class_id"),
}  # fmt: skip
BARE = ("difference", "difference, no cluster", "size_table")  # no covariates
UNWEIGHTED = [name for name in FUNCTIONS if name != "regress"]
BREAKS = {
    "constant outcome": FRAME.assign(score=1.0),
    "no outcome": FRAME.assign(score=np.nan),
    "outcome all missing as objects": FRAME.assign(score=pd.Series([None] * len(FRAME), dtype="object")),
    "text for scores": FRAME.assign(score="1O3"),
    "infinite outcome": FRAME.assign(score=FRAME["score"].where(FRAME.index % 5 > 0, np.inf)),
    "infinite covariate": FRAME.assign(lagged=FRAME["lagged"].where(FRAME.index % 5 > 0, -np.inf)),
    "one cluster": FRAME.assign(class_id="S01-1"),
    "cluster unknown": FRAME.assign(class_id=None),
    "all exposed": FRAME.assign(visit="at_home"),
    "nobody exposed": FRAME.assign(visit="none"),
    "exposure unknown": FRAME.assign(visit=pd.Series([None] * len(FRAME), dtype="str")),
    "no rows": FRAME.head(0),
    "one row": FRAME.head(1),
    "two rows": FRAME.groupby("visit").head(1),
    "one exposed student": FRAME[(FRAME["visit"] == "none") | ~FRAME["visit"].duplicated()],
    "one exposed class": FRAME.assign(
        visit=np.where(FRAME["class_id"] == FRAME["class_id"].iloc[0], "at_home", "none")
    ),
    "covariate is the exposure": FRAME.assign(poor=FRAME["visit"] == "at_home"),
    "weights zero": FRAME.assign(w=0.0),
    "weights negative": FRAME.assign(w=-FRAME["w"]),
    "a weight missing everywhere": FRAME.assign(w=np.nan),
}
LEAVES_ALONE = {
    "infinite covariate": BARE,
    "covariate is the exposure": (*BARE, "complier_effect"),
    "one cluster": ("difference, no cluster",),
    "cluster unknown": ("difference, no cluster",),
    "one exposed class": ("difference, no cluster", "complier_effect", "size_table"),
    "weights zero": UNWEIGHTED,
    "weights negative": UNWEIGHTED,
    "a weight missing everywhere": UNWEIGHTED,
}


PAIRS = [(name, case) for name in FUNCTIONS for case in BREAKS if name not in LEAVES_ALONE.get(case, ())]
EXTRAPOLATE = (
    *BARE,
    *(
        name
        for name in FUNCTIONS
        if name.startswith(("regress", "multilevel", "subgroups", "inter", "compl"))
    ),
)


@pytest.mark.parametrize(("name", "case"), PAIRS)
def test_bad_data_end_in_a_reason(name, case):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        rows = FUNCTIONS[name](BREAKS[case].copy())
    assert len(rows) and set(rows["status"]) == {"not_estimable"}, rows.T.to_string()
    assert (rows["reason"].str.len() > 10).all()
    for column in ("estimate", "std_error", "p_value", "conf_low", "effect_size", "value", "statistic"):
        if column in rows:
            assert rows[column].isna().all()
    for reason in rows["reason"]:
        assert reason_in(reason, "zh") != reason


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in EXTRAPOLATE])
def test_no_overlap_ends_in_a_reason(name):
    apart = FRAME.assign(lagged=FRAME["lagged"] + 20 * FRAME["visit"].eq("none"))
    rows = FUNCTIONS[name](apart)
    assert set(rows["status"]) == {"not_estimable"}, rows.T.to_string()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_awkward_but_usable_data_give_finite_numbers(name):
    awkward = {
        "a covariate twice": FRAME.assign(poor=FRAME["lagged"]),
        "a constant covariate": FRAME.assign(poor=1),
        "a cluster of one student": FRAME.assign(class_id=FRAME["class_id"].where(FRAME.index != 5, "alone")),
        "huge numbers": FRAME.assign(lagged=1e9 * FRAME["lagged"]),
        "some weights zero": FRAME.assign(w=FRAME["w"].where(FRAME.index % 7 > 0, 0.0)),
    }
    for case, frame in awkward.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            rows = FUNCTIONS[name](frame)
        assert set(rows["status"]) == {"ok"}, (case, rows.T.to_string())
        numbers = rows[[c for c in ("estimate", "p_value", "value", "statistic") if c in rows]]
        assert np.isfinite(numbers.to_numpy(dtype="float64")).all(), case


def test_several_levels_have_a_row_each_but_an_instrument_compares_two():
    levels = np.where(FRAME["visit"] == "none", "none", np.where(FRAME.index % 2, "at_home", "remote"))
    frame = FRAME.assign(visit=levels)
    for name, function in FUNCTIONS.items():
        rows = function(frame)
        if name == "complier_effect":
            assert rows["status"].tolist() == ["not_estimable"] and "two" in rows.loc[0, "reason"]
        else:
            assert set(rows["contrast"]) == {"at_home", "remote"}, name
