"""Claims about the effect page's own steps."""

from __future__ import annotations

import pandas as pd
import pytest

from cobench.workbench.absence import without_small_steps


def _flow(*dropped: int) -> pd.DataFrame:
    left, rows = 500, []
    for i, each in enumerate(dropped):
        left -= each
        rows.append(("targeted", f"step {i}", left, each))
    return pd.DataFrame(rows, columns=["contrast", "text_en", "n", "dropped"])


@pytest.mark.parametrize(
    "dropped",
    [(0, 120, 30), (0, 4, 120), (0, 120, 4), (0, 4, 3, 120, 2, 0), (0, 3, 4, 5, 50), (0, 40, 0, 9, 1)],
)
def test_no_step_of_the_flow_tells_of_fewer_than_ten_left_out(dropped):
    shown = without_small_steps(_flow(*dropped), "text_en", 10)
    assert not shown["dropped"].between(1, 9).any()
    differences = -shown["n"].diff().dropna()
    assert not differences.between(1, 9).any()
    assert shown["dropped"].sum() == sum(dropped)
    assert shown["n"].iloc[-1] == 500 - sum(dropped)


def test_a_flow_without_small_steps_stays_as_it_is():
    shown = without_small_steps(_flow(0, 120, 30), "text_en", 10)
    assert shown["n"].tolist() == [500, 380, 350]
    assert shown["step"].tolist() == ["step 0", "step 1", "step 2"]
