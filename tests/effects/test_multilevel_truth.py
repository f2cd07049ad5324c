"""A fast slice of ``bench_levels.py --truth``: what multilevel models claim about chance, on simulated districts.

Seeds are fixed. Of 40 intervals that cover 95 %, fewer than 85 % hold the truth in 1 % of such tests; of 20, fewer than
80 % in 0.3 %.
"""

from __future__ import annotations

import pytest

BENCH = "bench_levels"
SLICE = [
    ("few", 40, ["default", "shrunken"]),
    ("selected", 20, ["default", "random"]),
    ("slopes", 30, ["default", "cr2"]),
    ("crossed", 12, ["shrunken", "shrunken_far"]),
]


@pytest.mark.parametrize(
    "setting, estimator, least",
    [
        ("few", "default", 0.85),
        ("few", "shrunken", 0.90),
        ("selected", "default", 0.80),
        ("slopes", "cr2", 0.83),
        ("crossed", "shrunken", 0.90),
    ],
)
def test_intervals_hold_the_truth_where_the_assumptions_do(bench, table, setting, estimator, least):
    assert (setting, estimator) not in bench.BROKEN
    assert table.loc[(setting, estimator), "coverage"] >= least


def test_random_effects_cannot_take_out_what_moves_schools_and_school_means_can(rows, table):
    selected = rows[rows["setting"] == "selected"].pivot(index="seed", columns="estimator", values="estimate")
    # Both are of the same districts, so that their difference shows with few of them.
    apart = selected["random"] - selected["default"]
    assert apart.mean() > 0.03 and apart.mean() > 5 * apart.std() / len(apart) ** 0.5
    default = table.loc[("selected", "default")]
    assert abs(default["bias"]) < 3 * default["bias_mc"]


def test_what_is_declared_broken_does_break(bench, table):
    assert table.loc[("slopes", "default"), "coverage"] < 0.90
    assert table.loc[("crossed", "shrunken_far"), "coverage"] < table.loc[("crossed", "shrunken"), "coverage"]
    # Schools far above the middle are pulled down, those far below up.
    assert table.loc[("crossed", "shrunken_far"), "bias"] < -0.05
    assert bench.BROKEN[("slopes", "default")] == "slopes"
