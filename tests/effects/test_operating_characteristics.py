"""A fast slice of ``make bench ONLY=truth``: what the estimators claim about chance, on simulated districts.

Seeds are fixed, so nothing depends on luck. Limits are what so few districts can show: of 200 intervals that cover
95 %, fewer than 92 % hold the truth in 3 % of such tests; of 40, fewer than 85 % in 1 %.
"""

from __future__ import annotations

import numpy as np
import pytest
from district import ROOT

BENCH = "bench_truth"
SLICE = [
    ("lot_twelve", 200, ["regress"]),
    ("lot_twelve", 20, ["regress_rows"]),
    ("six", 80, ["regress"]),
    ("schools", 40, ["regress", "entropy_balance", "aipw", "aipw_across"]),
    ("weak_invitation", 50, ["complier_effect"]),
    ("null", 40, ["interactions", "romano_wolf"]),
    ("students", 10, ["difference"]),
    ("unmeasured", 10, ["regress", "aipw"]),
]


@pytest.mark.parametrize(
    "setting, estimator, least",
    [
        ("lot_twelve", "regress", 0.92),
        ("six", "regress", 0.88),
        ("schools", "regress", 0.85),
        ("schools", "entropy_balance", 0.85),
        ("schools", "aipw", 0.85),
        ("weak_invitation", "complier_effect", 0.88),
    ],
)
def test_intervals_hold_the_truth_where_the_assumptions_do(bench, table, setting, estimator, least):
    row = table.loc[(setting, estimator)]
    assert (setting, estimator) not in bench.BROKEN
    assert row["answered"] == row["n"]
    assert row["coverage"] >= least


@pytest.mark.parametrize(
    "setting, estimator", [("lot_twelve", "regress"), ("six", "regress"), ("schools", "regress"), ("schools", "aipw")]
)  # fmt: skip
def test_errors_are_as_large_as_standard_errors_say(table, setting, estimator):
    row = table.loc[(setting, estimator)]
    assert 0.8 < row["std_error"] / row["spread"] < 1.3
    assert abs(row["bias"]) < 3 * row["bias_mc"]


@pytest.mark.parametrize(
    "setting, estimator, most",
    [
        ("lot_twelve", "regress_rows", 0.7),
        ("schools", "aipw_across", 0.4),
        ("students", "difference", 0.1),
        ("unmeasured", "regress", 0.2),
        ("unmeasured", "aipw", 0.2),
    ],
)
def test_what_cannot_survive_a_world_does_not(bench, table, setting, estimator, most):
    assert bench.BROKEN[setting, estimator]
    assert table.loc[(setting, estimator), "coverage"] <= most


@pytest.mark.parametrize("test", ["interactions", "romano_wolf"])
def test_tests_of_several_questions_keep_their_level(table, test):
    assert table.loc[("null", test), "size"] <= 0.13


def test_the_realised_effect_of_regression_is_its_coefficient_on_the_gain(bench):
    frame = bench.draw_district(bench.WORLDS["twelve"], 1)
    truth = bench.truths("regress", frame, ["school"], lambda *cells: np.nan)["truth"]
    fitted = bench.effects.regress(
        frame.assign(added=frame["gain"] * frame["visit"]), "added", "visit", bench.COVARIATES, ["school"]
    )
    assert truth == pytest.approx(fitted["estimate"].iloc[0], rel=1e-8)


def test_the_document_holds_a_table_for_every_setting(bench):
    text = (ROOT / "docs" / "operating-characteristics.md").read_text(encoding="utf-8")
    assert [name for name in bench.SETTINGS if f"### `{name}`" not in text] == []
