"""Marks, grades, the common test and absences, each with what would have happened without the activity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cobench.demo.calendar import TERMS, stream
from cobench.demo.district import District
from cobench.demo.exposure import Observed, filled
from cobench.demo.planted import TARGETED, TARGETED_KEEPS_ABSENCES, visit_effect

CARRY = 0.72
NOISE = 0.62
MATH_BY_CATEGORY = np.array([-0.04, -0.05, -0.03, -0.08, -0.08])
ABSENCES_BY_CATEGORY = np.array([0.10, 0.05, 0.10, 0.05, 0.20])
LEVEL_WORDS = ("差", "中", "良", "优")
_LEVEL_CUTS = np.array([-1.4, -0.5, 0.5])
PROGRESS_SD, STRONG_PROGRESS = 0.1, 0.45


@dataclass(frozen=True)
class Marks:
    """Results of one subject in one term; arrays of shape (P,), NaN outside the subject's grades.

    ``process`` is the latent standing in SDs; ``mark`` what the paper shows; ``untreated`` what it would
    have shown without the home visits; ``planted`` the effect in SDs of the process, ``effect`` in marks
    before rounding.
    """

    process: np.ndarray
    mark: np.ndarray
    untreated: np.ndarray
    planted: np.ndarray
    effect: np.ndarray


def cells(district: District, term: int) -> np.ndarray:
    """Number of each person's school-grade cell; shape (P,)."""
    return district.school_of(term) * 20 + district.grade(term) + 3


def standardise(values: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z scores within cells (SD with n - 1) and the SD used; shape (P,), NaN where there is no value or spread."""
    known = ~np.isnan(values)
    cell = np.where(known, cell, 0)
    size = int(cell.max()) + 1
    n = np.bincount(cell[known], minlength=size)
    mean = np.bincount(cell[known], values[known], minlength=size) / np.maximum(n, 1)
    squares = np.bincount(cell[known], (values[known] - mean[cell[known]]) ** 2, minlength=size)
    spread = np.sqrt(squares / np.maximum(n - 1, 1))
    spread = np.where((n > 1) & (spread > 0), spread, np.nan)[cell]
    return np.where(known, (values - mean[cell]) / spread, np.nan), np.where(known, spread, np.nan)


def achievement(
    seed: int,
    district: District,
    term: int,
    observed: Observed,
    latent: dict[str, np.ndarray],
    level: np.ndarray,
) -> dict[str, Marks]:
    """Marks in Chinese and maths of one term.

    The standing is linear in what is observed at the landmark (last term's z, categories, sex, boarding,
    belonging, involvement) plus a class shock, the planted effect, and noise that nothing else shares.

    Parameters
    ----------
    latent : dict of float arrays of shape (P,)
        Last term's standing, used where nothing was observed.
    """
    people, categories = district.people, district.categories
    place = district.class_of[term]
    rng = stream(seed, "achievement", term)
    n = len(people)
    shared = rng.normal(size=n)
    common = (
        categories @ MATH_BY_CATEGORY
        + 0.04 * (people["sex"] == "f").to_numpy()
        + 0.03 * people["boarding"].to_numpy()
        + 0.04 * filled(observed.belonging)
        + 0.05 * filled(observed.involvement)
    )
    marks = {}
    for subject, before in (("chinese", observed.chinese), ("math", observed.math)):
        shock = rng.normal(0, 0.15, len(district.classes))[place]
        noise = NOISE * (0.6 * shared + 0.8 * rng.normal(size=n))
        earlier = np.where(np.isnan(before), latent[subject], before)
        if term == 0:
            earlier = people["ability"].to_numpy()
        planted = visit_effect(subject, level, categories[:, 0])
        untreated = CARRY * earlier + common + shock + noise
        marks[subject] = _paper(stream(seed, "papers", subject, term), district, term, untreated, planted)
    return marks


def _paper(
    rng: np.random.Generator, district: District, term: int, untreated: np.ndarray, planted: np.ndarray
) -> Marks:
    """Put a standing onto a school's own paper: its difficulty, its spread, whole or half marks, 0 to 100."""
    cell = cells(district, term)
    mean = rng.uniform(64, 76, 20 * (len(district.schools) + 1))[cell]
    spread = rng.uniform(7, 11, 20 * (len(district.schools) + 1))[cell]
    grain = np.where(district.school_of(term) % 4 == 1, 0.5, 1.0)
    marked = district.active(term) & (district.grade(term) >= 3)

    def mark(standing: np.ndarray) -> np.ndarray:
        raw = np.clip(mean + spread * standing, 0, 100)
        return np.where(marked, np.rint(raw / grain) * grain, np.nan)

    treated = untreated + planted
    effect = np.where(marked, spread * planted, np.nan)
    return Marks(treated, mark(treated), mark(untreated), planted, effect)


def common_test(
    seed: int, district: District, term: int, math: Marks
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grade 4 maths on one paper for the whole district, every term.

    In a second term schools have added their :func:`school_progress` to what their pupils brought along.

    Returns
    -------
    score, untreated, effect : float arrays of shape (P,)
        NaN for those who don't sit it.
    """
    rng = stream(seed, "common test", term)
    sits = district.active(term) & (district.grade(term) == 4)
    sits &= rng.random(len(sits)) < 0.985
    quality = district.schools["quality"].to_numpy()[district.school_of(term)]
    progress = school_progress(seed, district)[district.school_of(term)] if term % 2 else 0.0
    noise = rng.normal(0, 0.35, len(sits))
    spread = 10.5

    def score(standing: np.ndarray) -> np.ndarray:
        raw = 70 + spread * (0.9 * standing + 0.35 * quality + progress + noise)
        return np.where(sits, np.rint(np.clip(raw, 0, 100)), np.nan)

    effect = np.where(sits, spread * 0.9 * math.planted, np.nan)
    return score(math.process), score(math.process - math.planted), effect


def school_progress(seed: int, district: District) -> np.ndarray:
    """What each school adds to its fourth grade's maths within a school year, in the unit of the standing; (S,).

    One primary school adds much more than the others.
    """
    rng = stream(seed, "school progress")
    progress = rng.normal(0, PROGRESS_SD, len(district.schools))
    progress[rng.choice(np.flatnonzero(district.schools["stage"] == "primary"))] = STRONG_PROGRESS
    return progress


def absences(
    seed: int, district: District, term: int, observed: Observed, latent: np.ndarray, level: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Days absent after the exposure window: a Poisson count, thinned for those with a targeted visit.

    Returns
    -------
    days, untreated, effect : float arrays of shape (P,)
        ``effect`` is the expected effect in days.
    """
    rng = stream(seed, "absences", term)
    people = district.people
    math = np.where(np.isnan(observed.math), latent, observed.math)
    # Linear in what is observed, so that a linear adjustment has the right form.
    part = (
        1
        - 0.2 * np.clip(math, -2.4, 2.4)
        - 0.1 * people["boarding"].to_numpy()
        + district.categories @ ABSENCES_BY_CATEGORY
    )
    shock = rng.normal(0, 0.08, len(district.classes))[district.class_of[term]]
    rate = 1.4 * np.maximum(part, 0.1) * np.exp(0.25 * people["trouble"].to_numpy() + shock)
    untreated = rng.poisson(rate)
    kept = rng.binomial(untreated, TARGETED_KEEPS_ABSENCES)
    visited = level == TARGETED
    days = np.where(visited, kept, untreated).astype(float)
    here = district.active(term)
    effect = np.where(visited, (TARGETED_KEEPS_ABSENCES - 1) * rate, 0.0)
    return (
        np.where(here, days, np.nan),
        np.where(here, untreated, np.nan).astype(float),
        np.where(here, effect, np.nan),
    )


def exam_reasons(seed: int, district: District, term: int) -> tuple[np.ndarray, np.ndarray]:
    """Why a mark is missing, by subject (Chinese, maths): arrays of shape (P,), empty text where it is not."""
    rng = stream(seed, "exam reasons", term)
    n = len(district.people)
    rate = 0.008 + 0.01 * district.categories.any(axis=1)
    shared = rng.choice(np.array(["absent", "deferred"]), n, p=[0.8, 0.2])
    shared = np.where(rng.random(n) < rate, shared, "")
    by_subject = []
    for _ in range(2):
        own = np.where(rng.random(n) < 0.002, "exempt", np.where(rng.random(n) < 0.002, "blank", ""))
        by_subject.append(np.where(shared != "", shared, own))
    return by_subject[0], by_subject[1]


def grade_words(process: np.ndarray) -> np.ndarray:
    """Grades 优良中差 of a standing; text array of the same shape."""
    return np.array(LEVEL_WORDS)[np.searchsorted(_LEVEL_CUTS, process)]


def outcome_rows(
    district: District,
    term: int,
    marks: dict[str, Marks],
    reasons: dict[str, np.ndarray],
    common: np.ndarray,
    days: np.ndarray,
    drop: np.ndarray,
    mistyped: np.ndarray,
) -> pd.DataFrame:
    """Canonical table ``outcomes`` of one term.

    Parameters
    ----------
    drop : bool array of shape (P,)
        Children whose rows can't be linked.
    mistyped : bool array of shape (P,)
        Children whose line in the score book is quarantined.
    """
    when = TERMS[term]
    grade = district.grade(term)
    here = district.active(term) & ~drop
    students = district.people["student"].to_numpy()
    blocks = []

    def add(who: np.ndarray, measure: str, value, level, reason, source: str, day) -> None:
        block = {"student": students[who], "measure": measure, "value": value, "level": level}
        blocks.append(
            pd.DataFrame(
                block | {"missing_reason": reason, "source": source, "measured_on": np.datetime64(day, "s")}
            )
        )

    def missing(reason: np.ndarray) -> pd.Series:
        return pd.Series(reason, dtype="str").mask(reason == "")

    for subject, result in marks.items():
        who = np.flatnonzero(here & ~mistyped & (grade >= 3))
        reason = reasons[subject][who]
        value = np.where(reason == "", result.mark[who], np.nan)
        add(who, subject, value, None, missing(reason), "school paper", when.exam)
        who = np.flatnonzero(here & np.isin(grade, (1, 2)))
        reason = reasons[subject][who]
        word = np.where(reason == "", grade_words(result.process[who]), "")
        value = np.where(reason == "", np.searchsorted(_LEVEL_CUTS, result.process[who]) + 1.0, np.nan)
        add(who, f"{subject}_level", value, missing(word), missing(reason), "school paper", when.exam)
    who = np.flatnonzero(here)
    add(who, "absences", days[who], None, None, "attendance register", when.end)
    who = np.flatnonzero(here & ~np.isnan(common))
    add(who, "math_common", common[who], None, None, "district quality monitoring", when.exam)
    return pd.concat(blocks, ignore_index=True).assign(term=when.id)
