"""Claims about loss after a declared draw: who was lost by arm, WWC's boundaries, Lee's bounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cobench.effects import lee_bounds
from cobench.lost import BOUNDS, LOST, _with_cells, lost_rows, stacked
from cobench.panel import Panel
from cobench.study import Assignment, load_study

STUDY = load_study(Path(__file__).resolve().parent.parent)
TERM = STUDY.newest_term()
DRAWN = replace(
    next(each for each in STUDY.effects if each.id == "home_visit-math"),
    adjust=(),
    within=(),
    cluster="class",
    contrasts=("at_home",),
    primary="difference",
    methods=(),
    robustness=(),
    subgroups=(),
    history="none",
    assignment=Assignment("randomised", "class", "rota of 2026"),
)


def drawn(lost_treated=30, lost_compared=10):
    """Two arms of 100 in ten classes each, some without an outcome; by hand 20 % lost, 20 points apart."""
    draw = np.random.default_rng(2)
    math = draw.normal(size=200)
    math[:lost_treated] = np.nan
    math[100 : 100 + lost_compared] = np.nan
    return pd.DataFrame(
        {
            "student": [f"p{i:03}" for i in range(200)],
            "class_id": [f"C{i % 10 + 10 * (i >= 100):02}" for i in range(200)],
            "home_visit": np.where(np.arange(200) < 100, "at_home", "none"),
            "math": math,
        }
    )


def rows_of(frame, effect=DRAWN):
    return lost_rows(STUDY, Panel(TERM, frame, pd.DataFrame(), pd.DataFrame()), frame, effect)


def test_losses_by_hand_and_against_the_boundaries():
    lost, _ = rows_of(drawn())
    assert list(lost.columns) == LOST
    row = lost.iloc[0]
    assert (row["n_assigned"], row["n_kept"]) == (200, 160)
    assert (row["lost_treated"], row["lost_compared"]) == (30, 10)
    assert (row["overall"], row["differential"]) == (pytest.approx(20), pytest.approx(20))
    assert (row["cautious_limit"], row["optimistic_limit"]) == (5.4, 10.0)  # WWC 4.1 at 20 %
    assert not row["cautious"] and not row["optimistic"]
    assert rows_of(drawn(22, 18))[0][["cautious", "optimistic"]].iloc[0].tolist() == [True, True]


def test_bounds_are_those_of_the_drawn_arms():
    frame = drawn()
    _, bounds = rows_of(frame)
    assert list(bounds.columns) == BOUNDS
    own = lee_bounds(frame, "math", "home_visit", cluster="class_id", reference="none")
    assert bounds["estimate"].tolist() == pytest.approx(own["estimate"].tolist())
    assert bounds["estimand"].tolist() == ["lower_bound", "upper_bound"]
    assert bounds["estimate"].iloc[0] < bounds["estimate"].iloc[1]


def test_strata_of_the_draw_are_cells_of_the_bounds():
    frame = drawn().assign(school=lambda rows: np.where(rows.index % 2, "S1", "S2"))
    in_strata = replace(DRAWN, assignment=Assignment("randomised", "class", "rota", strata=("school",)))
    _, bounds = rows_of(frame, in_strata)
    own = lee_bounds(frame, "math", "home_visit", covariates=["school"], cluster="class_id", reference="none")
    assert bounds["estimate"].tolist() == pytest.approx(own["estimate"].tolist())


def test_an_arm_without_students_has_neither():
    lost, bounds = rows_of(drawn().assign(home_visit="none"))
    assert lost.empty and bounds.empty
    assert list(stacked({"a": (lost, bounds)})["attrition"].columns) == LOST


@pytest.mark.parametrize("small, cells", [(40, 2), (99, 1)])
def test_strata_with_an_arm_of_one_are_joined(small, cells):
    """Two strata with one known comparison student each: together they make a cell, or, with one, join the next."""
    frame = drawn()
    place = np.arange(200) % 100
    school = np.where(place < small, "S0", np.where(place < 100 - (small == 40) * 20, "S1", "S2"))
    frame = frame.assign(school=school)
    known = frame["math"].notna() & (frame["home_visit"] == "none") & (frame["school"] != "S2")
    if small == 40:
        keep = known.groupby(frame["school"]).cumsum() <= 1
        frame.loc[known & ~keep, "math"] = np.nan
    in_strata = replace(DRAWN, assignment=Assignment("randomised", "class", "rota", strata=("school",)))
    pair, names = _with_cells(frame, "home_visit", "math", ("school",))
    assert pair[names[0]].nunique() == cells
    _, bounds = rows_of(frame, in_strata)
    own = lee_bounds(pair, "math", "home_visit", covariates=names, cluster="class_id", reference="none")
    assert set(bounds["status"]) == {"ok"}
    assert bounds["estimate"].tolist() == own["estimate"].tolist()
