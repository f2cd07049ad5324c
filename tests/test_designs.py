"""Claims about declared specifications: each one of study.toml, once, and none beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cobench.designs import specifications
from cobench.effects import Design, estimate_effect
from cobench.effects.estimate import estimate_variant
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
