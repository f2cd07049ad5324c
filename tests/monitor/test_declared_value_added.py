"""Value added as a study file declares it: a grade at a time, specifications side by side, only common tests."""

import tomllib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from district import ROOT

from cobench.errors import StudyFileError
from cobench.monitor.declared_value_added import KEYS, value_added_frames
from cobench.monitor.value_added import COLUMNS, value_added
from cobench.study import load_study, study_from

DECLARED = {"outcome": "math_common", "priors": ["math_common"], "reliability": {"math_common": 0.8}}


def declared(**changes):
    data = tomllib.loads((ROOT / "study.toml").read_text(encoding="utf-8"))
    return study_from(data | {"value_added": [DECLARED | changes]}, ROOT)


@pytest.fixture(scope="module")
def panel():
    draw = np.random.default_rng(1)
    parts = []
    for grade in (4, 5):
        school = np.repeat(np.arange(8), 40)
        true = draw.normal(size=320) + draw.normal(0, 0.5, 8)[school]
        score = 0.7 * true + draw.normal(0, 0.3, 8)[school] + draw.normal(0, 0.6, 320)
        prior = true + draw.normal(0, 0.5, 320)
        parts.append(
            pd.DataFrame(
                {"grade": grade, "school": [f"s{i}" for i in school], "math_common": score, "prior": prior}
            )
        )
    frame = pd.concat([*parts, parts[0].assign(grade=6, math_common=np.nan)], ignore_index=True)
    frame["class_id"] = frame["school"] + "-" + (frame.index % 2).astype(str)
    for name in ("math", "math_common"):
        frame[f"{name}@baseline"] = frame["prior"]
    return SimpleNamespace(frame=frame.assign(math=frame["math_common"]))


def test_each_grade_that_sat_is_compared_by_itself_and_specifications_stand_side_by_side(panel):
    frames = value_added_frames(declared(), panel)
    rows = frames["value_added"]
    assert list(rows.columns) == [*KEYS, *COLUMNS] and set(rows["status"]) == {"ok"}
    assert rows.groupby(["grade", "specification"]).size().to_dict() == {
        (grade, name): 8 for grade in (4, 5) for name in ("composition", "declared", "uncorrected")
    }
    own = panel.frame[panel.frame["grade"] == 5]
    name = "math_common@baseline"
    given = {"common": ["math_common", name], "seed": declared().seed}
    alone = value_added(own, "math_common", [name], **given, reliability={name: 0.8})
    found = rows[(rows["grade"] == 5) & (rows["specification"] == "declared")]
    assert found["estimate"].to_numpy() == pytest.approx(alone["estimate"].to_numpy())
    plain = rows[(rows["grade"] == 5) & (rows["specification"] == "uncorrected")]
    assert not np.allclose(plain["estimate"], alone["estimate"])
    assert len(frames["growth"]) == 16 and set(frames["growth"]["status"]) == {"ok"}


def test_a_school_paper_is_neither_outcome_nor_prior(panel):
    for changes, words in (
        ({"outcome": "math"}, "math is not a test"),
        ({"priors": ["math"], "reliability": {}}, "no earlier result from"),
    ):
        frames = value_added_frames(declared(**changes), panel)
        for frame in frames.values():
            assert set(frame["status"]) == {"not_estimable"} and frame["reason_en"].str.contains(words).all()


def test_what_is_standardised_within_schools_is_not_comparable(panel):
    study = declared()
    outcome = replace(study.outcomes["math_common"], standardise=("school", "grade", "term"))
    study = replace(study, outcomes=study.outcomes | {"math_common": outcome})
    assert set(value_added_frames(study, panel)["value_added"]["status"]) == {"not_estimable"}


def test_classes_are_rows_of_their_own(panel):
    rows = value_added_frames(declared(level="class"), panel)["value_added"]
    assert rows["class_id"].nunique() == 16 and set(rows["specification"]) == {"declared", "uncorrected"}


def test_a_study_that_declares_none_has_empty_frames(panel):
    frames = value_added_frames(replace(load_study(ROOT), value_added=()), panel)
    assert {name: len(frame) for name, frame in frames.items()} == {"value_added": 0, "growth": 0}


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"outcome": "reading"}, "value_added[0].outcome"),
        ({"priors": ["reading"]}, "value_added[0].priors"),
        ({"reliability": {"math": 0.8}}, "value_added[0].reliability"),
        ({"reliability": {"math_common": 1.2}}, "value_added[0].reliability.math_common"),
        ({"covariates": ["shoe_size"]}, "value_added[0].covariates"),
        ({"level": "town"}, "value_added[0].level"),
    ],
)
def test_a_wrong_declaration_names_its_key(changes, path):
    with pytest.raises(StudyFileError) as caught:
        declared(**changes)
    assert path in caught.value.en
