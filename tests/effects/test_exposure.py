"""Claims about where exposure was decided."""

import numpy as np
import pytest
from simulated import district

from cobench.effects import aipw, difference, entropy_balance, ipw, matching, regress
from cobench.effects.exposure import between_share, default_within

FRAME, _ = district(11, schools=8)
WHOLE = FRAME.assign(visit=np.where(FRAME["class_id"].str[-1] == "0", "at_home", "none"))


def test_the_share_is_one_for_whole_clusters_and_none_for_a_draw_of_students():
    draw = np.random.default_rng(0)
    cluster = np.repeat(np.arange(50), 20)
    assert between_share((cluster % 2).astype(float), cluster, None) == pytest.approx(1)
    assert between_share((draw.random(1000) < 0.4).astype(float), cluster, None) < 0.03
    shares = np.repeat(draw.beta(1, 1, 50), 20)  # share of variance between: 1/3 for a uniform propensity
    found = between_share((draw.random(1000) < shares).astype(float), cluster, None)
    assert found == pytest.approx(1 / 3, abs=0.12)


def test_cells_default_to_the_clusters_unless_those_were_exposed_as_a_whole():
    given = ("visit", "at_home", "none")
    assert default_within(FRAME, *given, "class_id") == ("class_id",)
    assert default_within(WHOLE, *given, "class_id") == ()
    assert default_within(FRAME, *given, None) == ()


@pytest.mark.parametrize("function", [difference, regress, ipw, entropy_balance, matching, aipw])
def test_whole_clusters_are_compared_as_such_and_refused_when_few(function):
    columns = {} if function is difference else {"covariates": ["lagged"]}
    row = function(WHOLE, "score", "visit", **columns, cluster="class_id").iloc[0]
    assert (row["status"], row["estimand"], row["evidence"]) == ("ok", "between_clusters", "descriptive")
    classes = {arm: WHOLE.loc[WHOLE["visit"] == arm, "class_id"].unique() for arm in ("none", "at_home")}
    few = WHOLE[WHOLE["class_id"].isin([*classes["none"][:3], *classes["at_home"][:8]])]
    row = function(few, "score", "visit", **columns, cluster="class_id").iloc[0]
    assert row["status"] == "not_estimable" and "one side has fewer than 4" in row["reason"]


def test_a_declared_floor_of_clusters_is_kept():
    for function in (regress, ipw, entropy_balance, matching, aipw):
        row = function(FRAME, "score", "visit", ["lagged"], cluster="school", least_clusters=9).iloc[0]
        assert row["status"] == "not_estimable" and "fewer than 9 groups of school" in row["reason"]
    assert difference(FRAME, "score", "visit", cluster="school", least_clusters=8).loc[0, "status"] == "ok"
