"""A fast slice of ``make bench ONLY=answers``: imputation, Lee's bounds and dose curves on simulated districts.

Seeds are fixed, so nothing depends on luck. Limits are what so few districts can show: of 40 intervals that cover 95 %,
fewer than 85 % hold the truth in 1 % of such tests, of 8 fewer than 70 %.
"""

from __future__ import annotations

import pytest
from district import ROOT

BENCH = "bench_answers"
SLICE = [
    ("mar_school", 8, ["complete_regress", "mi_regress"]),
    ("lee_edge", 40, ["lee", "difference"]),
    ("dose", 20, ["bins_point", "bins_no_schools"]),
    ("dose_terms", 12, ["terms_point", "terms_no_students"]),
]


@pytest.mark.parametrize(
    "setting, estimator, least",
    [
        ("mar_school", "mi_regress", 0.7),
        ("lee_edge", "lee", 0.85),
        ("dose", "bins_point", 0.8),
        ("dose_terms", "terms_point", 0.75),
    ],
)
def test_intervals_hold_the_truth_where_the_assumptions_do(bench, table, setting, estimator, least):
    row = table.loc[(setting, estimator)]
    assert (setting, estimator) not in bench.BROKEN
    assert row["answered"] == row["n"]
    assert row["coverage"] >= least
    assert abs(row["bias"]) < 3 * row["bias_mc"]


@pytest.mark.parametrize(
    "setting, estimator",
    [
        ("mar_school", "complete_regress"),
        ("lee_edge", "difference"),
        ("dose", "bins_no_schools"),
        ("dose_terms", "terms_no_students"),
    ],
)
def test_what_cannot_survive_a_world_does_not(bench, table, setting, estimator):
    row = table.loc[(setting, estimator)]
    assert bench.BROKEN[setting, estimator]
    assert abs(row["bias"]) > 3 * row["bias_mc"]


def test_every_pair_that_is_tried_is_declared_and_named(bench):
    assert set(bench.BROKEN) <= {(setting, each) for setting, tried in bench.TRIED.items() for each in tried}
    assert set(bench.BROKEN.values()) <= set(bench.REASONS)
    assert {each for tried in bench.TRIED.values() for each in tried} <= set(bench.NAMES)


def test_the_document_holds_a_table_for_every_setting(bench):
    text = (ROOT / "docs" / "operating-characteristics-answers.md").read_text(encoding="utf-8")
    assert [name for name in bench.SETTINGS if f"### `{name}`" not in text] == []
