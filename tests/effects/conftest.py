"""Makes the helpers of this folder importable whichever way pytest imports test modules, and runs slices of benchmarks."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pandas as pd
import pytest
from district import ROOT
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def bench(request):
    """The module of ``benchmarks/`` that the test module names as ``BENCH``."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield importlib.import_module(request.module.BENCH)
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def rows(request, bench):
    """Estimates of the districts that the test module names as ``SLICE``: setting, how many, estimators."""
    with threadpool_limits(1):
        found = [
            row
            for setting, districts, estimators in request.module.SLICE
            for seed in range(1, districts + 1)
            for row in bench.one_district(setting, seed, estimators)
        ]
    return pd.DataFrame(found)


@pytest.fixture(scope="module")
def table(bench, rows):
    """What the benchmark makes of them, by setting and estimator."""
    columns = getattr(bench, "ROWS", list(rows.columns))
    return bench.summarise(rows.reindex(columns=columns)).set_index(["setting", "estimator"])
