"""Twenty demo districts at panel level: visits look harmful, and the declared analysis finds what was planted.

``make bench ONLY=demo`` runs 200. Seeds are fixed, so nothing here depends on luck; the limits are what 20
districts can show: with coverage 95 %, 17 or more of 20 intervals hold the truth in 98 % of such tests, and the
mean error over 20 districts varies by about 0.2 standard errors.
"""

from __future__ import annotations

import importlib.util
import sys

import pytest
from district import ROOT


@pytest.fixture(scope="module")
def table():
    spec = importlib.util.spec_from_file_location("bench_demo", ROOT / "benchmarks" / "bench_demo.py")
    bench = importlib.util.module_from_spec(spec)
    sys.modules["bench_demo"] = bench
    spec.loader.exec_module(bench)
    import pandas as pd

    return bench.summarise(pd.concat([bench.one_seed(seed) for seed in range(1, 21)], ignore_index=True))


def test_the_plain_comparison_shows_visits_as_harmful_in_every_district(table):
    naive = table.loc[("targeted", "difference")]
    assert naive["n"] == 20
    assert naive["negative"] == 1.0
    assert naive["estimate"] < -0.3
    assert naive["coverage"] == 0.0


def test_what_was_planted_is_positive(table):
    assert table.loc[("targeted", "aipw"), "truth"] > 0.08
    assert table.loc[("at_home", "aipw"), "truth"] > 0.03


@pytest.mark.parametrize("method", ["aipw", "regress"])
@pytest.mark.parametrize("contrast", ["targeted", "at_home", "remote"])
def test_adjusted_intervals_hold_the_realised_effect_on_the_treated(table, contrast, method):
    row = table.loc[(contrast, method)]
    assert row["n"] == 20
    assert row["coverage"] >= 17 / 20
    assert abs(row["bias_in_se"]) < 0.5
