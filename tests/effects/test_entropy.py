"""Claims about entropy balancing."""

import numpy as np
import pandas as pd
import pytest
from reference_data import lalonde, supported_work
from scipy.optimize import minimize
from simulated import school_selection

from cobench.effects import balance_table, entropy_balance
from cobench.effects.entropy import balance_weights, fit_entropy, moment_columns
from cobench.effects.sample import take_sample
from cobench.errors import NotEstimableError

NAMES = ["age", "educ", "race", "married", "nodegree", "re74", "re75"]


def weights_of(frame, covariates, estimand="ATT", moments=1, **given):
    sample = take_sample(
        frame, outcome="re78", treatment="treat", level="1", reference="0", covariates=covariates, **given
    )
    return sample, fit_entropy(sample, estimand, moments=moments)


def test_two_students_by_hand():
    # Scores 0 and 1 must average 0.75: weights 1/4 and 3/4, of two exposed students.
    found = balance_weights(np.array([[0.0], [1.0]]), np.zeros(2, int), np.array([2.0]), np.array([1.5]))
    assert found.weights == pytest.approx([0.5, 1.5])


def test_moments_match_to_the_last_digit_and_so_does_every_smd():
    sample, answer = weights_of(lalonde(), NAMES)
    d, w, x = sample.d, answer.balance_weights, sample.covariates.x
    gap = x[d == 1].mean(axis=0) - np.average(x[d == 0], axis=0, weights=w[d == 0])
    assert np.abs(gap / x.std(axis=0)).max() < 1e-8
    frame = pd.DataFrame(x, columns=list(sample.covariates.names)).assign(t=d, w=w)
    table = balance_table(frame, "t", list(sample.covariates.names), weights="w")
    assert (table["smd_before"].abs() > 0.2).any() and (table["smd_after"].abs() < 1e-7).all()
    assert set(table["wwc_after"]) == {"satisfied"}


def test_weights_are_those_of_a_general_optimiser():
    sample, answer = weights_of(lalonde(), ["age", "educ", "married"], moments=2)
    x = moment_columns(sample.covariates.x, 2)
    z = (x - x[sample.d == 1].mean(axis=0)) / x.std(axis=0)
    unexposed = z[sample.d == 0]
    other = minimize(lambda v: np.log(np.exp(unexposed @ v).sum()), np.zeros(z.shape[1]), tol=1e-12)
    weights = np.exp(unexposed @ other.x)
    own = answer.balance_weights[sample.d == 0]
    assert own / own.sum() == pytest.approx(weights / weights.sum(), abs=1e-6)


def test_the_effective_sample_size_that_weightit_prints_for_lalonde():
    # WeightIt's documentation of method "ebal", same formula: 252.12 effective controls.
    row = entropy_balance(lalonde(), "re78", "treat", ["age", "educ", "married", "nodegree", "re74"]).iloc[0]
    assert row["ess"] == pytest.approx(252.12, abs=0.005)


def test_supported_work_with_cps_controls_comes_near_the_trial():
    trial, naive = supported_work()
    names = ["age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75"]
    row = entropy_balance(naive, "re78", "treat", names, moments=2).iloc[0]
    assert row["conf_low"] < 1794.34 < row["conf_high"]
    assert row["estimate"] == pytest.approx(1345.9, abs=0.05)  # the naive contrast is -8497.5


def test_cells_keep_their_totals_and_the_arms_are_compared_within_them():
    frame = school_selection(2)
    row = entropy_balance(frame, "y", "visit", ["x"], within=["school"], cluster="class_id").iloc[0]
    assert row["estimate"] == pytest.approx(0.20, abs=3 * 0.023)
    blind = entropy_balance(frame, "y", "visit", ["x"], within=[], cluster="class_id").iloc[0]
    assert blind["estimate"] > 0.35
    by_default = entropy_balance(frame, "y", "visit", ["x"], cluster="school").iloc[0]
    assert by_default["estimate"] == pytest.approx(0.20, abs=3 * 0.023)
    shifted = frame.assign(y=frame["y"] + 50 * pd.factorize(frame["school"])[0])
    again = entropy_balance(shifted, "y", "visit", ["x"], within=["school"], cluster="class_id").iloc[0]
    assert (again["estimate"], again["std_error"]) == pytest.approx(
        (row["estimate"], row["std_error"]), rel=1e-6
    )


def test_the_ate_gives_both_arms_the_means_of_everybody():
    sample, answer = weights_of(lalonde(), ["age", "educ"], "ATE")
    for arm in (0, 1):
        inside = sample.d == arm
        means = np.average(sample.covariates.x[inside], axis=0, weights=answer.balance_weights[inside])
        assert means == pytest.approx(sample.covariates.x.mean(axis=0), rel=1e-8)


def test_means_out_of_reach_are_refused_and_not_approached():
    with pytest.raises(NotEstimableError, match="no weights make"):
        balance_weights(np.array([[0.0], [1.0]]), np.zeros(2, int), np.array([1.0]), np.array([1.5]))
    frame = lalonde().assign(age=lambda f: f["age"] + 40 * f["treat"])
    row = entropy_balance(frame, "re78", "treat", ["age"]).iloc[0]
    assert row["status"] == "not_estimable" and "match" in row["reason"]


def clustered(seed, groups=40, size=10):
    """Students whose covariates drive visits and scores; the effect is 0.3 for everybody."""
    draw = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), size)
    shock = draw.normal(0, 0.4, groups)[group]
    x = draw.normal(size=(len(group), 3)) + 0.3 * shock[:, None]
    visit = draw.random(len(group)) < 1 / (1 + np.exp(0.6 - 0.6 * x[:, 0] - 0.3 * x[:, 1]))
    y = x @ [1, 0.5, 0.3] + shock + 0.3 * visit + draw.normal(size=len(group))
    return pd.DataFrame(x, columns=["a", "b", "c"]).assign(group=group, visit=visit, y=y)


@pytest.mark.parametrize("estimand", ["ATT", "ATE"])
def test_the_error_knows_that_weights_are_estimated(estimand):
    found = {"M": [], "CR2": []}
    for seed in range(60):
        for se_type, rows in found.items():
            if se_type == "CR2" and seed > 9:
                continue
            row = entropy_balance(
                clustered(seed), "y", "visit", ["a", "b", "c"], within=[], cluster="group", estimand=estimand,
                se_type=se_type,
            ).iloc[0]  # fmt: skip
            rows.append((row["estimate"] - 0.3, row["std_error"], row["conf_low"] < 0.3 < row["conf_high"]))
    errors, stated, covered = np.array(found["M"]).T
    # 60 draws: the spread has a relative error of 9 %; fewer than 52 covered has probability 0.003 under 95 %.
    assert stated.mean() == pytest.approx(errors.std(), rel=0.25)
    assert covered.sum() >= 52
    known = np.array(found["CR2"])
    assert known[:, 1].mean() > 1.3 * errors.std()  # taking weights as known is far too wide here
