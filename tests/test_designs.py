"""Claims about declared specifications: each one of study.toml, once, and none beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cobench.designs import specifications
from cobench.effects import Design, estimate_effect
from cobench.effects.estimate import estimate_variant
from cobench.panel import MEASURED, Panel
from cobench.stage import estimate_declared
from cobench.study import load_study

STUDY = load_study(Path(__file__).resolve().parent.parent)
TERM = "2025-2026-2"


@pytest.mark.parametrize("effect", STUDY.effects, ids=lambda effect: effect.id)
def test_every_declared_specification_stands_once(effect):
    declared = specifications(STUDY, TERM, effect)
    assert len(declared) == len(effect.all_methods) + len(effect.robustness)
    assert len({each.key for each in declared}) == len(declared)
    assert [each.method for each in declared if each.primary] == [effect.primary]
    varied = [each.variant for each in declared if each.variant is not None]
    assert varied == list(effect.robustness)


def test_a_variant_changes_what_it_names_and_nothing_else():
    main, *_, trimmed = specifications(STUDY, TERM, STUDY.effects[0])
    assert (trimmed.design.trim, trimmed.method) == (0.1, "ipw")
    for name in ("covariates", "within", "cluster", "levels", "estimand", "population"):
        assert getattr(trimmed.design, name) == getattr(main.design, name)


def test_variants_use_the_rows_of_their_effect_and_are_robustness():
    generator = np.random.default_rng(3)
    n = 400
    frame = pd.DataFrame(
        {
            "home_visit": generator.choice(["none", "at_home"], n),
            "x": generator.normal(size=n),
            "z": np.where(generator.random(n) < 0.2, np.nan, generator.normal(size=n)),
            "class_id": generator.integers(0, 20, n).astype(str),
        }
    )
    frame["y"] = 0.3 * frame["x"] + generator.normal(size=n)
    shared = {"primary": "regress", "cluster": "class_id"}
    main = Design("home_visit", "y", ("at_home",), covariates=("x", "z"), role="confirmatory", **shared)
    fewer = Design("home_visit", "y", ("at_home",), covariates=("x",), **shared)
    row = estimate_variant(frame, fewer, main).iloc[0]
    whole = estimate_effect(frame, main).estimates.iloc[0]
    assert row["n_obs"] == whole["n_obs"] == frame["z"].notna().sum()
    assert (row["role"], whole["role"]) == ("robustness", "confirmatory")
    assert row["estimate"] != whole["estimate"]


def test_an_invitation_in_the_panel_is_the_instrument_that_study_toml_names():
    declared = next(each for each in STUDY.effects if each.id == "parent_lecture-relation")
    effect = replace(
        declared, adjust=("sex",), within=("school",), cluster="class", history="none", primary="regress",
        methods=("iv",), instrument="parent_lecture:invited", doses=None, over_terms=None,
    )  # fmt: skip
    draw = np.random.default_rng(8)
    n = 2400
    zeal, invited = draw.normal(size=n), draw.random(n) < 0.5
    came = invited & (zeal + draw.normal(size=n) > 0)  # the keen come, and their children do better anyway
    day = pd.Timestamp(STUDY.term(TERM).landmark)
    frame = pd.DataFrame(
        {
            "student": [f"p{i}" for i in range(n)], "school": [f"S{i % 8}" for i in range(n)],
            "class_id": [f"C{i % 80}" for i in range(n)], "grade": 4, "sex": np.where(np.arange(n) % 3, "f", "m"),
            "parent_lecture": np.where(came, "attended", "none"), "parent_lecture:invited": invited.astype(float),
            "relation": 0.3 * came + 0.8 * zeal + draw.normal(size=n),
        }
    )  # fmt: skip
    dates = [
        (name, at, at, n) for name, at in (("sex", day), ("relation", pd.Timestamp(STUDY.term(TERM).exam)))
    ]
    panel = Panel(STUDY.term(TERM), frame, pd.DataFrame(dates, columns=MEASURED), pd.DataFrame())
    rows = estimate_declared(STUDY, panel, effect).estimates.set_index("method")
    assert rows.loc["iv", "estimand"] == "LATE"
    assert rows.loc["iv", "conf_low"] < 0.3 < rows.loc["iv", "conf_high"] < rows.loc["regress", "conf_low"]
    alike = replace(panel, frame=frame.assign(**{"parent_lecture:invited": 1.0}))
    refused = estimate_declared(STUDY, alike, effect).estimates.set_index("method").loc["iv"]
    assert refused["status"] == "not_estimable" and np.isnan(refused["estimate"])
