"""Claims about declared curves: the dose and the terms are those that the study file declares, and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cobench import stage
from cobench.effects import did, dose_response
from cobench.errors import StudyFileError
from cobench.over_terms import CURVES, DOSE, TERMS, dose_curve, long_frame, terms_curve
from cobench.panel import Panel
from cobench.study import OverTerms, load_study
from cobench.study_rules import check_names

STUDY = load_study(Path(__file__).resolve().parent.parent)
MATH = next(each for each in STUDY.effects if each.id == "home_visit-math")
PLAIN = replace(
    MATH,
    adjust=("sex",),
    history="none",
    subgroups=(),
    robustness=(),
    methods=(),
    over_terms=OverTerms(),
    doses="count",
)
LEVELS = ("targeted", "at_home", "remote")


def panels(effect=0.4, leavers=0.0, seed=3, students=600):
    """Four terms of students whose visits come and go by lot; each visit adds ``effect`` in its own term."""
    draw = np.random.default_rng(seed)
    school = np.arange(students) % 20
    own = draw.normal(size=students)
    made = []
    for number, term in enumerate(STUDY.terms):
        level = draw.choice(["none", *LEVELS, "urgent"], students, p=[0.5, 0.15, 0.15, 0.15, 0.05])
        visited = np.isin(level, LEVELS)
        count = np.where(level == "none", 0.0, draw.integers(1, 4, students))
        moved = draw.random(students) < leavers
        frame = pd.DataFrame(
            {
                "student": [f"p{i:04}" for i in range(students)],
                "term": term.id,
                "school": [f"S{each:02}" for each in np.where(moved, (school + number) % 20, school)],
                "class_id": [f"C{each:02}" for each in school],
                "grade": 4,
                "sex": np.where(np.arange(students) % 3, "f", "m"),
                "home_visit": level,
                "home_visit:count": count,
                "math": own + 0.1 * number + effect * visited + 0.3 * draw.normal(size=students),
            }
        )
        made.append(Panel(term, frame, pd.DataFrame(), pd.DataFrame()))
    return made


def test_a_dose_curve_is_the_dose_response_of_the_declared_rows_and_covariates():
    last = panels()[-1]
    rows, checks = dose_curve(STUDY, last, last.frame, PLAIN)
    kept = last.frame[last.frame["home_visit"] != "urgent"]
    alone = dose_response(
        kept, "math", "home_visit:count", ["sex"], [("school", "grade")], "class_id", seed=STUDY.seed
    ).drop_duplicates("at")
    assert list(rows.columns) == CURVES
    assert rows["estimate"].tolist() == alone["estimate"].tolist()
    assert rows["at"].tolist() == [1, 2, 3]
    assert set(rows["treatment"]) == {"home_visit"} and set(rows["role"]) == {"exploratory"}
    assert (rows["band_low"] < rows["conf_low"]).all() and (rows["conf_high"] < rows["band_high"]).all()
    assert [each.name for each in checks] == ["dose_any", "dose_linearity"]
    assert "p < 0.001" in checks[0].text["en"]


def test_terms_curve_is_the_event_study_of_who_was_and_was_not_exposed():
    made = panels()
    rows, checks = terms_curve(STUDY, made, PLAIN)
    frame = long_frame(made, PLAIN, LEVELS, "none")
    alone = did(
        frame, "math", "home_visit", "student", "term", cluster="school", exposure="reversible", carry_over="none",
        reference=0, seed=STUDY.seed,
    )  # fmt: skip
    alone = alone[(alone["estimand"] == "dynamic") & alone["at"].notna()]
    assert rows[["at", "estimate"]].to_numpy().tolist() == alone[["at", "estimate"]].to_numpy().tolist()
    start = rows[rows["at"] == 0].iloc[0]
    assert start["conf_low"] < 0.4 < start["conf_high"]
    assert abs(rows.loc[rows["at"] < 0, "estimate"]).max() < 0.15
    assert {each.name for each in checks} == {"lagged_outcome", "pre_trend", "carry_over", "controls"}


def test_long_frame_leaves_out_other_levels_and_keeps_the_latest_school():
    made = panels(leavers=0.5)
    frame = long_frame(made, PLAIN, LEVELS, "none")
    assert len(frame) == sum((each.frame["home_visit"] != "urgent").sum() for each in made)
    assert frame.groupby("student")["school"].nunique().max() == 1
    last = made[-1].frame.set_index("student")["school"]
    assert (frame.set_index("student")["school"] == last.reindex(frame["student"])).all()


def test_with_one_term_or_no_dose_there_is_a_reason_and_no_number():
    made = panels()
    alone, _ = terms_curve(STUDY, made[:1], PLAIN)
    assert alone["status"].tolist() == ["not_estimable"]
    assert "effects over terms need two" in alone.loc[0, "reason"]
    still = [replace(each, frame=each.frame.assign(home_visit="none")) for each in made]
    nobody, _ = terms_curve(STUDY, still, PLAIN)
    assert nobody["status"].tolist() == ["not_estimable"] and "home_visit" in nobody.loc[0, "reason"]
    nobody = made[-1].frame.assign(home_visit="none", **{"home_visit:count": 0.0})
    rows, _ = dose_curve(STUDY, made[-1], nobody, PLAIN)
    assert rows["status"].tolist() == ["not_estimable"] and rows["estimate"].isna().all()


def test_the_stage_draws_what_is_declared_and_nothing_else():
    made = panels()
    without = replace(PLAIN, doses=None, over_terms=None)
    both = replace(STUDY, effects=(PLAIN,))
    found = stage.curves(both, made[-1], made[:-1])
    assert set(found["curves"]["curve"]) == {DOSE, TERMS}
    assert set(found["curve_checks"]["effect"]) == {f"{PLAIN.id}:{DOSE}", f"{PLAIN.id}:{TERMS}"}
    neither = stage.curves(replace(STUDY, effects=(without,)), made[-1], [])
    assert len(neither["curves"]) == 0 and list(neither["curves"].columns) == CURVES


def test_clusters_over_terms_must_survive_re_classing():
    wrong = replace(PLAIN, over_terms=replace(PLAIN.over_terms, cluster="class"))
    with pytest.raises(StudyFileError, match="over_terms.cluster"):
        check_names(replace(STUDY, effects=(wrong,)))
