"""Claims about several confirmatory questions at once."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulated import COVARIATES, WITHIN, district

from cobench.effects import Design, estimate_effect, family_adjusted, romano_wolf
from cobench.effects.multiplicity import multiplier_draws


def test_step_down_by_hand():
    # Largest |t| 3, then 1: the first is compared with the maximum of both columns, the second with its own.
    draws = np.array([[4.0, 0.0], [0.0, 3.5], [0.0, 2.0], [1.0, 0.0], [0.0, 0.5]])
    p = 2 * stats.norm.sf([3.0, 1.0])
    # max: 4, 3.5, 2, 1, 0.5 -> two of five beyond 3: (1 + 2) / 6; second column beyond 1: 2 -> (1 + 2) / 6.
    assert romano_wolf(p, draws).tolist() == pytest.approx([0.5, 0.5])
    assert romano_wolf(p[::-1], draws[:, ::-1]).tolist() == pytest.approx([0.5, 0.5])


def test_one_question_is_not_adjusted_and_the_same_question_twice_hardly():
    draws = np.random.default_rng(0).normal(size=(20_000, 1))
    assert romano_wolf(np.array([0.03]), draws)[0] == pytest.approx(0.03, abs=0.004)
    same = romano_wolf(np.array([0.03, 0.03]), np.repeat(draws, 2, axis=1))
    assert same == pytest.approx([0.03, 0.03], abs=0.004)  # Bonferroni would say 0.06
    apart = romano_wolf(np.array([0.03, 0.03]), np.random.default_rng(1).normal(size=(20_000, 2)))
    assert apart == pytest.approx([1 - 0.97**2] * 2, abs=0.005)


def test_it_is_monotone_and_never_below_the_raw_p_value():
    draw = np.random.default_rng(2)
    p = draw.uniform(0, 0.2, 8)
    adjusted = romano_wolf(p, draw.normal(size=(999, 8)))
    assert (adjusted >= p).all() and (np.diff(adjusted[np.argsort(p)]) >= 0).all()


def test_draws_respect_the_clusters_that_questions_share():
    labels = [f"c{i}" for i in range(200)]
    scores = np.random.default_rng(3).normal(size=200)
    frames = [
        pd.DataFrame({"estimate_id": "a", "cluster": labels, "score": scores}),
        pd.DataFrame({"estimate_id": "b", "cluster": labels, "score": -scores}),
        pd.DataFrame({"estimate_id": "c", "cluster": [f"other{i}" for i in range(200)], "score": scores}),
    ]
    draws = multiplier_draws(["a", "b", "c", "unclustered"], pd.concat(frames), 4000, seed=1)
    correlation = np.corrcoef(draws.T)
    assert correlation[0, 1] == pytest.approx(-1)
    assert np.abs(correlation[0, 2:]).max() < 0.08 and draws.std(axis=0) == pytest.approx(
        np.ones(4), abs=0.05
    )


def test_the_family_of_a_district_rejects_no_more_than_five_percent_of_true_nulls():
    rejected = []
    for seed in range(20):
        frame, _ = district(seed, schools=3, effect=0.0)
        draw = np.random.default_rng(seed)
        frame = frame.assign(reading=0.7 * frame["score"] + 0.7 * draw.normal(size=len(frame)))
        results = [
            estimate_effect(
                frame,
                Design("visit", outcome, ("at_home",), role="confirmatory", primary="regress",
                       covariates=tuple(COVARIATES), within=tuple(WITHIN), cluster="class_id"),
            )
            for outcome in ("score", "reading")
        ]  # fmt: skip
        estimates, scores = (
            pd.concat([getattr(result, name) for result in results], ignore_index=True)
            for name in ("estimates", "scores")
        )
        family = family_adjusted(estimates, scores, n_draws=499)
        assert (family["p_romano_wolf"] >= family["p_value"]).all() and len(family) == 2
        rejected.append(family["p_romano_wolf"].min() < 0.05)
    assert sum(rejected) <= 4  # of 20 at 5 %: more has probability 0.003
