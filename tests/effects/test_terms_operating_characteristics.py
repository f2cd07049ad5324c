"""A fast slice of ``make bench ONLY=terms``: what effects over terms claim about chance, on simulated districts.

Seeds are fixed, so nothing depends on luck. Limits are what so few districts can show: of 30 intervals that cover 95 %,
fewer than 83 % hold the truth in 1 % of such tests.
"""

from __future__ import annotations

import numpy as np
import pytest
from district import ROOT

BENCH = "bench_terms"
SLICE = [
    ("staggered", 30, ["did_not_yet"]),
    ("staggered", 5, ["two_way"]),
    ("reversible", 20, ["did_none"]),
    ("carry_over", 12, ["did_none", "did_one"]),
    ("duty", 3, ["did_not_yet", "did_never"]),
    ("dip", 4, ["did_none", "lagged_adjustment"]),
]


@pytest.mark.parametrize("setting, least", [("staggered", 0.83), ("reversible", 0.80)])
def test_intervals_and_bands_hold_the_truth_where_the_assumptions_do(bench, table, setting, least):
    row = table.loc[(setting, "did_not_yet" if setting == "staggered" else "did_none")]
    assert (setting, row.name[1]) not in bench.BROKEN
    assert row["answered"] == row["n"]
    for column in ("coverage", "pointwise", "simultaneous"):
        assert row[column] >= least, column
    assert abs(row["bias"]) < 3 * row["bias_mc"]
    assert 0.75 < row["std_error"] / row["spread"] < 1.35


def test_one_coefficient_for_staggered_starts_fails(bench, table):
    assert bench.BROKEN["staggered", "two_way"]
    row = table.loc[("staggered", "two_way")]
    assert row["coverage"] <= 0.2 and row["bias"] < -0.1


def test_a_duty_is_refused_without_and_answered_with_not_yet_exposed_students(table):
    assert table.loc[("duty", "did_never"), "answered"] == 0
    assert table.loc[("duty", "did_not_yet"), "answered"] == 3


def test_carry_over_is_found_where_it_was_not_declared(table):
    assert table.loc[("carry_over", "did_none"), "rejects_carry_over"] >= 0.5
    assert table.loc[("carry_over", "did_one"), "rejects_carry_over"] <= 0.25


def test_the_dip_is_found_and_only_adjustment_for_it_is_right(table):
    wrong, right = table.loc[("dip", "did_none")], table.loc[("dip", "lagged_adjustment")]
    assert wrong["bias"] > 0.2 and wrong["coverage"] == 0 and wrong["rejects_lagged_outcome"] == 1
    assert abs(right["bias"]) < 4 * right["bias_mc"]


def test_the_truth_of_an_average_is_that_of_its_cells(bench):
    """An outcome that is nothing but the gain gives back the truth."""
    frame = bench.draw_terms(bench.TERM_WORLDS["staggered"], 1)
    noise = 1e-7 * np.random.default_rng(0).normal(size=len(frame))
    fit = bench._fit("did_not_yet", frame.assign(score=frame["gain"] + noise))
    simple, by_event = bench._truths("did_not_yet", "staggered", frame, fit)
    rows = fit.estimates
    found = rows[rows["estimand"] == "simple"]["estimate"].iloc[0]
    assert found == pytest.approx(simple, abs=1e-5)
    events = rows[(rows["estimand"] == "dynamic") & (rows["at"] >= 0)].set_index("at")["estimate"]
    assert events.to_dict() == pytest.approx(by_event, abs=1e-5)


def test_the_document_holds_a_table_for_every_setting(bench):
    text = (ROOT / "docs" / "operating-characteristics-terms.md").read_text(encoding="utf-8")
    assert [name for name in bench.TERM_WORLDS if f"### `{name}`" not in text] == []
