"""Claims about the page's part on what is missing: nothing from which few children can be counted."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobench.release import release_table
from cobench.show import Labels, flow_chart
from cobench.workbench.absence import _without_counts, coarse


@given(n=st.integers(1, 5000), share=st.floats(0, 1))
def test_a_printed_share_leaves_room_for_five_children(n, share):
    shown = coarse(share, n)
    if math.isnan(shown):
        assert n < 100
        return
    step = 0.01 if n >= 500 else 0.05
    held = [k for k in range(n + 1) if abs(k / n - shown) <= step / 2 + 1e-12]
    assert abs(share - shown) <= step / 2 + 1e-9
    # Half a step at either end of the scale.
    assert max(held) - min(held) >= 2


def test_a_row_of_a_small_arm_keeps_its_question_only():
    row = {
        "contrast": "at_home", "status": "ok", "n_obs": 120, "n_treated": 8, "estimate": 0.3, "conf_low": 0.1,
        "conf_high": 0.5, "share_missing_information": 0.2, "share_imputed": 0.3, "share_outcome": 0.2,
    }  # fmt: skip
    shown = _without_counts(row, 10)
    assert shown["contrast"] == "at_home"
    assert all(math.isnan(shown[name]) for name in row if name.startswith(("estimate", "conf", "share")))
    assert _without_counts(row | {"n_treated": 40}, 10)["estimate"] == 0.3


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_flow_names_every_step_in_its_alternative_text(language):
    rows = [
        ("a", "roster", 500, 0),
        ("a", "no exam", 420, 80),
        ("a", "new here", 400, 20),
        ("a", "done", 400, 0),
    ]
    rows += [("b", "roster", 500, 0), ("b", "done", 500, 0)]
    frame = pd.DataFrame(rows, columns=["contrast", "step", "n", "dropped"])
    released = release_table(frame, counts="n", values=["dropped"])
    drawn = flow_chart(released, "a", language=language, labels=Labels(), title="t")
    assert drawn.png.startswith(b"\x89PNG")
    for told in ("roster", "500", "no exam", "80", "new here", "20", "400"):
        assert told in drawn.alt
    assert len(drawn.data.frame) == len(frame)  # the table behind holds all contrasts
    nobody = flow_chart(released, "b", language=language, labels=Labels(), title="t")
    assert "no exam" not in nobody.alt
