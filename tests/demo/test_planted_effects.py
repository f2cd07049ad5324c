"""The planted truth can be found by adjusting for what was observed, and only so."""

import numpy as np
import pandas as pd
import pytest

from cobench.demo import build_world
from cobench.demo.calendar import TERMS
from cobench.demo.codebook import codebook
from cobench.demo.surveys import scale_score

SEEDS = range(500, 506)
CATEGORIES = ("left_behind", "poverty", "single_parent", "learning", "mental")


@pytest.fixture(scope="module")
def fits():
    """One row a seed, term and contrast: naive difference, adjusted estimate and SE, realised ATT."""
    rows = []
    for seed in SEEDS:
        world = build_world(seed, n_schools=14, n_students=4200)
        for term in range(1, len(TERMS)):
            rows.extend(_fit(world, term, contrast) for contrast in ("targeted", "remote"))
    return pd.DataFrame(rows)


def _fit(world, term, contrast):
    frame = _sample(world, term, contrast)
    treated = frame["treated"].to_numpy()
    y = frame["y"].to_numpy()
    design = [
        frame[name] for name in ("treated", "y0", "belonging0", "girl", "boarding", "history", *CATEGORIES)
    ]
    cells = pd.get_dummies(frame["cell"]).to_numpy(dtype=float)
    estimate, std_error = _least_squares(y, np.column_stack([*design, cells]), frame["class_id"])
    unadjusted, _ = _least_squares(y, np.column_stack([treated, cells]), frame["class_id"])
    return {
        "contrast": contrast,
        "naive": y[treated == 1].mean() - y[treated == 0].mean(),
        "within_cells": unadjusted,
        "estimate": estimate,
        "std_error": std_error,
        "att": frame.loc[treated == 1, "effect"].mean(),
    }


def _sample(world, term, contrast):
    """Children with a level of ``contrast`` or none, from the canonical tables (complete cases)."""
    tables, now, before = world.tables, TERMS[term].id, TERMS[term - 1].id
    roster = tables["enrolments"].query("term == @now and status in ['enrolled', 'transferred_in']")
    frame = roster.drop_duplicates("student").set_index("student")
    z = _z_scores(tables, now), _z_scores(tables, before)
    held = tables["memberships"].query("term == @now")
    held = held[held["valid_from"] <= pd.Timestamp(TERMS[term].landmark)]
    flags = {each: frame.index.isin(held.loc[held["category"] == each, "student"]) for each in CATEGORIES}
    contacts = tables["contacts"]
    earlier = contacts[contacts["date"] <= pd.Timestamp(TERMS[term].landmark)]
    truth = world.truth.query("term == @now and outcome == 'math' and treatment == 'home_visit'")
    truth = truth.set_index("student")
    arrived = tables["logs"].query("table == 'contacts' and term == @now")["class_id"]
    frame = frame.assign(
        y=z[0],
        y0=z[1],
        belonging0=_belonging(world, term - 1),
        girl=tables["students"].query("term == @now").set_index("student")["sex"].eq("f"),
        history=earlier.groupby("student").size().reindex(frame.index, fill_value=0),
        level=truth["level"].reindex(frame.index).fillna("none"),
        effect=truth["effect_realised"] / truth["unit_sd"],
        cell=frame["school"] + "/" + frame["grade"].astype(str),
        **flags,
    )
    frame = frame[frame["class_id"].isin(arrived) & frame["level"].isin([contrast, "none"])]
    frame = frame.assign(treated=(frame["level"] == contrast).astype(float))
    return frame.dropna(subset=["y", "y0", "belonging0"]).astype(
        dict.fromkeys(("girl", "boarding", "history", *CATEGORIES), float)
    )


def _z_scores(tables, term):
    marks = tables["outcomes"].query("term == @term and measure == 'math'").set_index("student")["value"]
    roster = tables["enrolments"].query("term == @term and status in ['enrolled', 'transferred_in']")
    cell = roster.drop_duplicates("student").set_index("student")[["school", "grade"]].loc[marks.index]
    grouped = marks.groupby([cell["school"], cell["grade"]])
    return (marks - grouped.transform("mean")) / grouped.transform("std")


def _belonging(world, term):
    survey = world.records[term].student_survey
    score = scale_score(survey.codes, codebook("students_v1"), "belonging")
    return pd.Series(score, index=world.people["student"].to_numpy()[survey.person])[survey.linked]


def _least_squares(y, x, clusters):
    """First coefficient and its CR1 standard error."""
    bread = np.linalg.pinv(x.T @ x)
    residual = y - x @ (bread @ (x.T @ y))
    position, names = pd.factorize(clusters)
    scores = np.zeros((len(names), x.shape[1]))
    np.add.at(scores, position, x * residual[:, None])
    n, k, g = len(y), np.linalg.matrix_rank(x), len(names)
    variance = bread @ scores.T @ scores @ bread * g / (g - 1) * (n - 1) / (n - k)
    return (bread @ (x.T @ y))[0], np.sqrt(variance[0, 0])


def test_the_naive_comparison_makes_targeted_visits_look_harmful(fits):
    naive = fits.loc[fits["contrast"] == "targeted", "naive"]
    assert (naive < -0.25).all()


def test_school_and_grade_alone_do_not_mend_it(fits):
    own = fits[fits["contrast"] == "targeted"]
    assert (own["within_cells"] < own["att"] - 5 * own["std_error"]).all()


def test_the_truth_is_positive_for_targeted_visits_and_zero_for_remote_contact(fits):
    att = fits.groupby("contrast")["att"].agg(["min", "max"])
    assert 0.09 < att.loc["targeted", "min"] <= att.loc["targeted", "max"] < 0.14
    assert tuple(att.loc["remote"]) == (0, 0)


@pytest.mark.parametrize("contrast", ["targeted", "remote"])
def test_adjusting_for_what_was_observed_recovers_the_realised_att(fits, contrast):
    """18 fits: their mean error has a standard error of 0.24 SE, so 0.6 is two and a half of them."""
    own = fits[fits["contrast"] == contrast]
    error = (own["estimate"] - own["att"]) / own["std_error"]
    assert abs(error.mean()) < 0.6
    assert 0.6 < error.std() < 1.4
    assert (error.abs() < 1.96).sum() >= 15  # 18 at 95 % fall below 15 once in 90


def test_visits_do_more_for_children_left_behind(district):
    truth = district.truth.query("treatment == 'home_visit' and outcome == 'math' and level == 'targeted'")
    effect = truth["effect"] / truth["unit_sd"]
    position = pd.Index(district.people["student"]).get_indexer(truth["student"])
    left_behind = district.records[0].district.categories[position, 0]
    assert effect[left_behind].mean() > effect[~left_behind].mean() + 0.07


def test_lectures_improve_the_relation_and_leave_maths_alone(district):
    truth = district.truth.query("treatment == 'parent_lecture'").groupby("outcome")["effect_realised"]
    assert truth.mean()["relation"] == pytest.approx(0.115, abs=0.02)
    assert (truth.get_group("math") == 0).all()


def test_a_targeted_visit_removes_15_percent_of_absences(district):
    """Realised over 4 terms: about 3,000 children and 5,000 days, so the share has an SE of half a point."""
    kept = expected = 0.0
    for record in district.records:
        days, untreated, _ = record.absences
        visited = (record.level == 3) & ~np.isnan(days)
        kept, expected = kept + days[visited].sum(), expected + untreated[visited].sum()
    assert kept / expected == pytest.approx(0.85, abs=0.02)


def test_realised_differences_average_to_the_planted_effects(district):
    """Marks are rounded to whole or half marks and clipped at 100: a twentieth of a mark is left to that."""
    marks = district.truth.query("outcome in ['math', 'chinese'] and treatment == 'home_visit'")
    mean = marks.groupby(["outcome", "level"])[["effect", "effect_realised"]].mean()
    assert (mean["effect"] - mean["effect_realised"]).abs().max() < 0.05
