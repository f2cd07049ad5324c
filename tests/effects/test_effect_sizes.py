"""Claims about standardised effects and published verdicts."""

import numpy as np
import pytest

from cobench.effects.effect_sizes import (
    CAUTIOUS,
    OPTIMISTIC,
    attrition,
    baseline_verdict,
    cox_index,
    eef_months,
    hedges_g,
    improvement_index,
)
from cobench.errors import ParameterError


def test_hedges_g_of_the_baselinr_toy_is_0_80():
    assert hedges_g(np.array([5, 6, 7]), np.array([4, 5, 6])) == pytest.approx(0.80, abs=1e-12)


def test_cox_index_of_the_baselinr_toy_with_and_without_the_small_sample_factor():
    assert cox_index(2 / 3, 1 / 3) == pytest.approx(0.840, abs=5e-4)
    assert cox_index(2 / 3, 1 / 3, n=6) == pytest.approx(0.672, abs=5e-4)


def test_cox_index_of_a_certain_event_is_not_a_number():
    assert np.isnan(cox_index(1.0, 0.5))


def test_improvement_index_of_a_quarter_is_ten_points():
    assert improvement_index(0.25) == pytest.approx(9.87, abs=0.005)


@pytest.mark.parametrize(
    ("g", "months"),
    [(0.01, 0), (0.02, 1), (0.09, 1), (0.10, 2), (0.18, 2), (0.19, 3), (0.26, 3), (0.27, 4), (0.35, 4),
     (0.96, 12), (1.00, 12), (1.01, None), (-0.12, -2)],
)  # fmt: skip
def test_months_of_progress_follow_the_table_of_the_toolkit(g, months):
    assert eef_months(g) == months


@pytest.mark.parametrize(
    ("g", "verdict"),
    [(0.05, "satisfied"), (-0.051, "needs_adjustment"), (0.25, "needs_adjustment"), (0.2501, "fails"),
     (np.nan, "fails")],
)  # fmt: skip
def test_baseline_equivalence_has_the_limits_of_wwc(g, verdict):
    assert baseline_verdict(g) == verdict


@pytest.mark.parametrize(
    ("overall", "cautious", "optimistic"), [(10, 6.3, 10.9), (20, 5.4, 10.0), (30, 4.1, 8.2)]
)
def test_attrition_limits_are_those_of_the_handbook(overall, cautious, optimistic):
    assert (CAUTIOUS[overall], OPTIMISTIC[overall]) == (cautious, optimistic)
    assert len(CAUTIOUS) == len(OPTIMISTIC) == 58


def test_attrition_by_hand():
    found = attrition(100, 75, 100, 85)  # 25 % and 15 % lost: 20 % overall, 10 points apart
    assert (found.overall, found.differential) == pytest.approx((20.0, 10.0))
    assert (found.cautious, found.optimistic) == (False, True)
    assert found.optimistic_limit == pytest.approx(10.0)


def test_more_kept_than_assigned_is_refused():
    with pytest.raises(ParameterError):
        attrition(10, 11, 10, 10)


def test_beyond_the_table_nothing_passes():
    found = attrition(100, 40, 100, 40)
    assert not found.cautious and not found.optimistic
