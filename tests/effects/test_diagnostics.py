"""Claims about checks: four endings, no small count in a sentence, verdicts by hand."""

import numpy as np
import pandas as pd
import pytest

from cobench.effects.balance import balance_of
from cobench.effects.checks import Check, people
from cobench.effects.design import Assignment, Design
from cobench.effects.diagnostics import between_share, check_attrition, check_balance, check_overlap
from cobench.effects.sample import code_covariates, take_sample
from cobench.effects.weighting import fit_ipw
from cobench.errors import ParameterError

CLUSTER = np.repeat(np.arange(20), 30)
CELL = np.repeat(np.arange(5), 120)


def test_exposure_of_whole_classes_lies_between_and_of_students_within():
    draw = np.random.default_rng(0)
    assert between_share((CLUSTER % 2).astype(float), CLUSTER, None) == pytest.approx(1.0)
    assert between_share((draw.random(600) < 0.5).astype(float), CLUSTER, None) < 0.05


def test_differences_between_schools_are_no_differences_between_their_classes():
    draw = np.random.default_rng(0)
    d = (draw.random(600) < np.array([0.05, 0.2, 0.5, 0.8, 0.95])[CELL]).astype(float)
    assert between_share(d, CLUSTER, None) > 0.3
    assert between_share(d, CLUSTER, CELL) < 0.05


def balance(x_treated, x_control):
    x = pd.DataFrame({"x": [*x_treated, *x_control]})
    d = np.r_[np.ones(len(x_treated)), np.zeros(len(x_control))]
    return balance_of(code_covariates(x, ["x"]), d, None, "ATT")


def test_a_quarter_of_a_standard_deviation_apart_fails():
    base = np.arange(101) / 29.3  # SD 1
    assert check_balance(balance(base + 0.26, base), False, "a").status == "failed"
    assert check_balance(balance(base + 0.24, base), False, "a").status == "passed"


def test_a_rare_flag_five_points_apart_does_not_fail_though_its_index_is_large():
    rare = balance([1] * 4 + [0] * 96, [1] * 1 + [0] * 99)
    assert rare.loc[0, "wwc_before"] == "fails"
    assert check_balance(rare, False, "a").status == "passed"
    common = balance([1] * 20 + [0] * 80, [1] * 10 + [0] * 90)
    assert check_balance(common, False, "a").status == "failed"


def test_no_covariate_is_not_a_pass():
    assert check_balance(balance([1, 1], [1, 1]), False, "a").status == "not_applicable"


@pytest.mark.parametrize(
    ("n", "en"), [(0, "no"), (3, "fewer than 10"), (9, "fewer than 10"), (1234, "1,234")]
)
def test_small_counts_of_people_are_never_spelt_out(n, en):
    assert people(n)["en"] == en
    assert "3" not in people(3)["zh"]


def test_a_check_needs_a_known_ending_and_both_languages():
    with pytest.raises(ParameterError):
        Check("overlap", "fine")
    with pytest.raises(ParameterError):
        Check("overlap", "passed", text={"en": "only English"})


def test_support_looked_for_twice_is_counted_once_a_student():
    # After trimming, cells of five lose their last counterparts and support is looked for again.
    draw = np.random.default_rng(2)
    x, cell = draw.normal(size=240), np.repeat(np.arange(48), 5)
    frame = pd.DataFrame({"x": x, "cell": cell, "y": x + draw.normal(size=240)})
    frame["visit"] = (draw.random(240) < 1 / (1 + np.exp(-2.5 * x - 0.05 * (cell - 24)))).astype(int)
    sample = take_sample(
        frame, outcome="y", treatment="visit", level="1", reference="0", covariates=["x"], within=["cell"]
    )
    answer = fit_ipw(sample, "ATT", trim=0.1)
    steps = answer.sample.flow["step"]
    assert steps.duplicated().any()
    lost = answer.sample.flow.loc[steps == "no_unexposed_counterpart", "dropped"].sum()
    table = check_overlap(answer, "1").table.set_index("quantity")["value"]
    treated = answer.sample.d.sum()
    assert table["share_without_counterpart"] == pytest.approx(lost / (lost + treated))


@pytest.mark.parametrize(("lost", "told"), [(4, False), (9, False), (10, True), (0, True)])
def test_shares_without_an_outcome_are_told_only_where_they_do_not_give_a_handful_away(lost, told):
    frame = pd.DataFrame({"arm": ["t"] * 40 + ["c"] * 40, "score": 1.0})
    frame.loc[: lost - 1, "score"] = np.nan
    design = Design(
        "arm", "score", ("t",), reference="c", assignment=Assignment("randomised", "student", (), "lot")
    )
    check = check_attrition(frame, design, "t")
    for text in check.text.values():
        assert ("%" in text) is told
    assert check.table["overall"].item() == pytest.approx(100 * lost / 80)
