"""The planted truth: what each child's realised exposure did, for tests and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cobench.demo.calendar import TERMS
from cobench.demo.codebook import codebook
from cobench.demo.outcomes import cells, standardise
from cobench.demo.planted import LEVELS, lecture_effect, visit_effect
from cobench.demo.surveys import Survey, scale_score

if TYPE_CHECKING:
    from cobench.demo.world import TermRecord

POINTS_PER_SD = 0.72
"""Points of a 1-5 scale score a unit of its factor moves at the centre: loading 0.75 times the sum of normal
densities at the option cuts."""


def truth_rows(term: int, record: TermRecord) -> pd.DataFrame:
    """Truth of one term.

    Returns
    -------
    DataFrame
        One row for each child with an exposure other than none and each outcome it could show: ``student,
        term, school, class_id, grade, treatment, level, outcome, effect, effect_realised, unit_sd,
        log_arrived``. ``effect`` is the planted individual effect in raw units (marks, days, scale points);
        ``effect_realised`` is the difference of the two potential outcomes as recorded, rounding and all;
        ``unit_sd`` is the SD of marks in the child's school, grade and term (marks only), so that the ATT in
        z units is the mean of ``effect_realised / unit_sd`` over the treated of a sample.
    """
    blocks = []
    level = record.level
    silent = np.isin(record.district.class_of[term], record.silent)
    cell = cells(record.district, term)
    for subject, result in record.marks.items():
        counted = (record.reasons[subject] == "") & ~record.mistyped
        counted &= ~record.district.ambiguous & ~record.district.lost[term]
        _, spread = standardise(np.where(counted, result.mark, np.nan), cell)
        blocks.append(
            _rows(
                term,
                record,
                "home_visit",
                LEVELS,
                level,
                subject,
                result.effect,
                result.mark - result.untreated,
            ).assign(unit_sd=spread[level > 0][~np.isnan(result.effect[level > 0])])
        )
    for name, (with_visits, without, effect) in {
        "absences": record.absences,
        "math_common": record.common,
    }.items():
        blocks.append(_rows(term, record, "home_visit", LEVELS, level, name, effect, with_visits - without))
    realised = _survey_difference(record.student_survey, record.student_untreated, "belonging", len(level))
    planted = POINTS_PER_SD * visit_effect("belonging", level, record.district.categories[:, 0])
    planted = np.where(np.isnan(realised), np.nan, planted)
    blocks.append(_rows(term, record, "home_visit", LEVELS, level, "belonging", planted, realised))
    visits = pd.concat(blocks, ignore_index=True)
    visits = visits.assign(log_arrived=~silent[visits["person"].to_numpy()])
    came = record.attended.astype(int)
    names = ("none", "attended")
    realised = _survey_difference(record.parent_survey, record.parent_untreated, "relation", len(level))
    planted = POINTS_PER_SD * lecture_effect("relation", came)
    planted = np.where(np.isnan(realised), np.nan, planted)
    nothing = np.where(np.isnan(record.marks["math"].mark), np.nan, lecture_effect("math", came))
    lectures = pd.concat(
        [
            _rows(term, record, "parent_lecture", names, came, "relation", planted, realised),
            _rows(term, record, "parent_lecture", names, came, "math", nothing, nothing),
        ],
        ignore_index=True,
    ).assign(log_arrived=True)
    return pd.concat([visits, lectures], ignore_index=True).drop(columns="person")


def _rows(
    term: int,
    record: TermRecord,
    treatment: str,
    names: tuple[str, ...],
    level: np.ndarray,
    outcome: str,
    effect: np.ndarray,
    realised: np.ndarray,
) -> pd.DataFrame:
    district = record.district
    person = np.flatnonzero((level > 0) & ~np.isnan(effect))
    place = district.class_of[term][person]
    return pd.DataFrame(
        {
            "person": person,
            "student": district.people["student"].to_numpy()[person],
            "term": TERMS[term].id,
            "school": district.schools["school"].to_numpy()[
                district.classes["school_index"].to_numpy()[place]
            ],
            "class_id": district.classes["class_id"].to_numpy()[place],
            "grade": district.grade(term)[person],
            "treatment": treatment,
            "level": np.array(names)[level[person]],
            "outcome": outcome,
            "effect": effect[person],
            "effect_realised": realised[person],
            "unit_sd": np.nan,
        }
    )


def _survey_difference(survey: Survey, untreated: np.ndarray, scale: str, n: int) -> np.ndarray:
    """Realised score minus the untreated one, by person; NaN for those who gave no score."""
    difference = np.full(n, np.nan)
    difference[survey.person] = scale_score(survey.codes, codebook(survey.instrument), scale) - untreated
    return difference
