"""Claims about the declared ranking by a forest: what is declared is what is estimated, and refusals say why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cobench.effects import fit_heterogeneity
from cobench.errors import StudyFileError
from cobench.for_whom import FRAMES, for_whom, stacked
from cobench.panel import Panel
from cobench.study import ForWhom, load_study
from cobench.study_rules import check_names

STUDY = load_study(Path(__file__).resolve().parent.parent)
TERM = STUDY.newest_term()
EFFECT = replace(
    next(each for each in STUDY.effects if each.id == "home_visit-math"),
    adjust=("math@baseline", "sex"), within=("school",), cluster="class", contrasts=("at_home", "targeted"), primary="regress",
    methods=(), robustness=(), subgroups=(), history="none", doses=None, over_terms=None, impute=None,
    heterogeneity=ForWhom(divisions=3, groups=3, trees=20),
)  # fmt: skip


def frame(students=640, seed=5):
    draw = np.random.default_rng(seed)
    group = np.arange(students) % 32
    lagged, girl = draw.normal(size=students), draw.random(students) < 0.5
    visited = draw.random(students) < 0.5
    return pd.DataFrame(
        {
            "student": [f"p{each:04}" for each in range(students)],
            "school": [f"S{each // 2:02}" for each in group],
            "class_id": [f"C{each:02}" for each in group],
            "sex": np.where(girl, "f", "m"),
            "home_visit": np.where(visited, "at_home", "none"),
            "math@baseline": lagged,
            "math": 0.6 * lagged + visited * np.where(girl, 0.9, -0.3) + 0.5 * draw.normal(size=students),
        }
    )


def found(effect=EFFECT):
    rows = frame()
    return for_whom(STUDY, Panel(TERM, rows, pd.DataFrame(), pd.DataFrame()), rows, effect)


def test_the_declared_forest_is_the_one_that_is_grown():
    own = fit_heterogeneity(
        frame(), "math", "home_visit", ["math@baseline", "sex"], ["school"], "class_id", level="at_home", reference="none",
        n_divisions=3, n_groups=3, n_trees=20, seed=STUDY.seed,
    )  # fmt: skip
    frames = found()
    assert {name: list(each.columns) for name, each in frames.items()} == FRAMES
    rows = frames["for_whom"][frames["for_whom"]["contrast"] == "at_home"]
    assert rows["estimate"].tolist() == own.estimates["estimate"].tolist()
    assert rows["subgroup"].tolist() == ["predicted=1", "predicted=2", "predicted=3"]
    assert set(rows["role"]) == {"exploratory"} and set(rows["term"]) == {TERM.id}
    assert frames["for_whom_tests"]["p_value"].tolist() == pytest.approx(own.tests["p_value"].tolist())
    assert own.tests.set_index("test").loc["slope", "p_value"] < 0.05


def test_a_contrast_that_can_not_be_ranked_says_why():
    rows = found()["for_whom"]
    refused = rows[rows["contrast"] == "targeted"]
    assert refused["status"].tolist() == ["not_estimable"] and refused["reason"].iloc[0]
    assert "targeted" not in set(found()["for_whom_tests"]["contrast"])


def test_no_effect_that_declares_it_leaves_empty_frames():
    assert {name: list(each.columns) for name, each in stacked({}).items()} == FRAMES


@pytest.mark.parametrize("given", [ForWhom(divisions=0), ForWhom(groups=1), ForWhom(trees=0)])
def test_a_forest_that_can_not_be_is_refused_by_its_path(given):
    effects = tuple(
        replace(each, heterogeneity=given) if each.id == EFFECT.id else each for each in STUDY.effects
    )
    with pytest.raises(StudyFileError, match="heterogeneity"):
        check_names(replace(STUDY, effects=effects))
