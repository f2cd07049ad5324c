"""Claims about declared imputation: who is completed, who never is, and what stands beside complete cases."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cobench.designs import design_of
from cobench.effects.estimate import estimate_variant
from cobench.effects.pooling import rubin
from cobench.errors import StudyFileError
from cobench.imputed import COMPLETE, FILLED, IMPUTED, ROWS, _completed, imputed_rows
from cobench.missing import MISSING
from cobench.panel import Panel
from cobench.study import Imputation, load_study
from cobench.study_rules import check_names

STUDY = load_study(Path(__file__).resolve().parent.parent)
TERM = STUDY.newest_term()
MATH = next(each for each in STUDY.effects if each.id == "home_visit-math")
EFFECT = replace(
    MATH,
    adjust=("math@baseline", "sex", "home_visit:history"),
    within=("school",),
    cluster="class",
    contrasts=("at_home",),
    primary="regress",
    methods=(),
    robustness=(),
    subgroups=(),
    history="none",
    doses=None,
    over_terms=None,
    impute=Imputation(imputations=8, rounds=4, also=("belonging",)),
)
TRUTH = 0.3


@cache
def district(seed=4, students=800):
    """20 schools; unvisited students with little belonging miss the exam, so complete cases are off by half the truth."""
    draw = np.random.default_rng(seed)
    group = np.arange(students) % 40
    school = group // 2
    lagged = draw.normal(size=students) + 0.3 * draw.normal(size=20)[school]
    visited = draw.random(students) < 1 / (1 + np.exp(0.5 * lagged))
    math = 0.7 * lagged + TRUTH * visited + 0.6 * draw.normal(size=students)
    belonging = 2 * math + draw.normal(size=students)
    absent = draw.random(students) < np.where(visited, 0.05, 1 / (1 + np.exp(0.5 + 1.5 * belonging)))
    frame = pd.DataFrame(
        {
            "student": [f"p{i:04}" for i in range(students)],
            "school": [f"S{each:02}" for each in school],
            "class_id": [f"C{each:02}" for each in group],
            "grade": 4,
            "sex": np.where(draw.random(students) < 0.5, "f", "m"),
            "home_visit": np.where(visited, "at_home", "none"),
            "home_visit:history": draw.integers(0, 3, students).astype(float),
            "math": np.where(absent, np.nan, math),
            "math@baseline": np.where(draw.random(students) < 0.1, np.nan, lagged),
            "belonging": belonging,
        }
    )
    rows = [(s, "math", "absent") for s in frame.loc[frame["math"].isna(), "student"]]
    rows += [(s, "math@baseline", "blank") for s in frame.loc[frame["math@baseline"].isna(), "student"]]
    return frame, pd.DataFrame(rows, columns=MISSING)


def rows_of(effect=EFFECT, frame=None, reasons=None):
    whole, why = district()
    frame = whole if frame is None else frame
    panel = Panel(TERM, frame, pd.DataFrame(), pd.DataFrame())
    return imputed_rows(STUDY, panel, frame, effect, why if reasons is None else reasons)


def test_both_versions_of_the_same_question_stand_side_by_side():
    rows, filled = rows_of()
    assert list(rows.columns) == ROWS and list(filled.columns) == FILLED
    assert rows["version"].tolist() == [COMPLETE, IMPUTED]
    assert rows["population"].tolist() == ["all", "all:imputed"]
    assert rows["spec_id"].nunique() == 1 and set(rows["role"]) == {"robustness"}
    whole, _ = district()
    assert rows["n_obs"].tolist() == [
        int(whole[["math", "math@baseline"]].notna().all(axis=1).sum()),
        len(whole),
    ]
    assert set(filled["column"]) == {"math", "math@baseline"}


def test_imputation_finds_the_truth_that_complete_cases_miss():
    rows, _ = rows_of()
    alone, imputed = rows.iloc[0], rows.iloc[1]
    assert alone["conf_high"] < TRUTH
    assert imputed["conf_low"] <= TRUTH <= imputed["conf_high"]
    without, _ = rows_of(replace(EFFECT, impute=Imputation(8, 4)))  # belonging, which tells, left out
    assert without["estimate"].iloc[1] < imputed["estimate"] - 0.03


def test_complete_cases_are_the_estimate_of_the_page():
    frame, _ = district()
    design = replace(design_of(STUDY, TERM.id, EFFECT), methods=("regress",), subgroups=())
    own = estimate_variant(frame, design, design).iloc[0]
    assert rows_of()[0]["estimate"].iloc[0] == pytest.approx(own["estimate"], rel=1e-12)


def test_the_imputed_row_is_rubins_pool_of_the_completed_sets():
    frame, why = district()
    design = replace(design_of(STUDY, TERM.id, EFFECT), methods=("regress",), subgroups=())
    completed = _completed(STUDY, frame, design, EFFECT, why)
    parts = pd.concat([estimate_variant(each, design, design) for each in completed])
    df = 1 / (1 / parts["df"]).mean()
    expected = rubin(parts["estimate"].to_numpy(), parts["std_error"].to_numpy(), df)
    row = rows_of()[0].iloc[1]
    assert row["estimate"] == pytest.approx(expected.estimate, rel=1e-12)
    assert row["std_error"] == pytest.approx(expected.std_error, rel=1e-12)
    assert row["share_missing_information"] == pytest.approx(expected.share_missing_information, rel=1e-12)
    lost = frame["math"].isna()
    assert row["share_outcome"] == pytest.approx(lost.mean())
    assert row["share_imputed"] == pytest.approx((lost | frame["math@baseline"].isna()).mean())


@pytest.mark.parametrize("reason", ["exempt", "not_measured", "entry_grade"])
def test_a_value_that_was_never_due_is_not_imputed(reason):
    frame, why = district()
    never = why.assign(reason=why["reason"].where(why["column"] != "math", reason))
    rows, filled = rows_of(reasons=never)
    assert rows["n_obs"].iloc[1] == frame["math"].notna().sum()
    assert filled["column"].tolist() == ["math@baseline"]


def test_exposure_and_its_history_are_never_imputed():
    frame, _ = district()
    gaps = frame.assign(
        **{
            "home_visit": frame["home_visit"].where(np.arange(len(frame)) % 10 > 0),
            "home_visit:history": frame["home_visit:history"].where(np.arange(len(frame)) % 7 > 0),
        }
    )
    rows, filled = rows_of(frame=gaps)
    known = gaps["home_visit"].notna() & gaps["home_visit:history"].notna()
    assert rows["n_obs"].iloc[1] == known.sum()
    assert not set(filled["column"]) & {"home_visit", "home_visit:history"}


def test_rows_in_another_order_and_another_seed():
    frame, _ = district()
    first = rows_of()[0]
    again = rows_of(frame=frame.sample(frac=1, random_state=1))[0]
    pd.testing.assert_frame_equal(first, again)
    other = rows_of(replace(EFFECT, impute=replace(EFFECT.impute, seed=7)))[0]
    assert other["estimate"].iloc[0] == first["estimate"].iloc[0]
    assert other["estimate"].iloc[1] != first["estimate"].iloc[1]


def test_nothing_to_impute_is_a_reason_and_not_a_number():
    frame, why = district()
    rows, filled = rows_of(frame=frame.dropna(), reasons=why.iloc[:0])
    assert rows["status"].tolist() == ["not_estimable"] and "missing" in rows["reason"].iloc[0]
    assert rows["estimate"].isna().all() and filled.empty


def test_an_outcome_that_nobody_has_is_a_reason():
    frame, why = district()
    rows, _ = rows_of(frame=frame.assign(math=np.nan), reasons=why.iloc[:0])
    assert set(rows["status"]) == {"not_estimable"}


@pytest.mark.parametrize(
    "given, path",
    [
        (Imputation(imputations=1), "impute.imputations"),
        (Imputation(rounds=0), "impute.rounds"),
        (Imputation(also=("nobody",)), "impute.also"),
    ],
)
def test_a_declaration_that_can_not_be_is_refused_by_its_path(given, path):
    effects = tuple(replace(each, impute=given) if each.id == MATH.id else each for each in STUDY.effects)
    with pytest.raises(StudyFileError, match=path):
        check_names(replace(STUDY, effects=effects))
