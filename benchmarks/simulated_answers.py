"""Simulated districts in which answers are missing, presence depends on exposure, or visits have a dose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from simulated_districts import WORLDS, World, draw_district

# A district of the tables of missing answers: 600 students, selection on need and on schools.
DISTRICT = replace(WORLDS["schools"], schools=24, classes=1, students=25, school_policy=1.5)
ABSENCE = {
    "mcar": (DISTRICT, "A third of the outcomes missing by chance, and a tenth of the prior scores"),
    "mar": (DISTRICT, "Unvisited students who do badly in the mid-term quiz miss the exam"),
    "mar_school": (DISTRICT, "The same, and in weaker schools more are absent"),
    "mar_few": (replace(DISTRICT, schools=10, students=60), "The same in 10 schools"),
    "mnar": (DISTRICT, "Unvisited students who would do badly miss the exam; the quiz doesn't tell"),
}
TERMS, LEVEL_SPREAD = 4, 0.35


def draw_absence(name: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A district whole, and as it is known; ``quiz`` is a mid-term score that only imputation may use."""
    world, _ = ABSENCE[name]
    seeds = [sorted(ABSENCE).index(name), seed]
    whole = draw_district(world, seeds)
    draw = np.random.default_rng([*seeds, 1])
    n = len(whole)
    score = (whole["score"] - whole["score"].mean()) / whole["score"].std()
    level = whole.groupby("school")["score"].transform("mean") - whole["score"].mean()
    quiz = score + draw.normal(0, 0.6, n)
    unvisited = 1 - whole["visit"]
    logit = {
        "mcar": np.full(n, -0.7),
        "mar": -1.0 - 1.2 * quiz * unvisited,
        "mar_school": -1.0 - 1.2 * quiz * unvisited - 1.5 * level,
        "mar_few": -1.0 - 1.2 * quiz * unvisited - 1.5 * level,
        "mnar": -1.0 - 1.2 * score * unvisited,
    }[name]
    absent = draw.random(n) < 1 / (1 + np.exp(-logit))
    # Prior scores are missing by chance, or where the quiz was bad.
    lost = draw.random(n) < (0.1 if name == "mcar" else 0.05 + 0.15 * (quiz < -0.5))
    whole = whole.assign(quiz=quiz)
    known = whole.assign(score=whole["score"].mask(absent), lagged=whole["lagged"].mask(lost))
    return whole, known.drop(columns=["gain", "score_2", "score_3", "score_4"])


def draw_presence(seed: int, edge: bool) -> tuple[pd.DataFrame, float]:
    """Whole schools by lot; treatment keeps some in school who would have left. Truth: gain of the always present.

    ``edge``: those it keeps are the weakest of all, so that the truth is the upper bound; else half of it is so.
    """
    draw = np.random.default_rng([7 + edge, seed])
    schools, size = 40, 20
    school = np.repeat(np.arange(schools), size)
    treated = draw.permutation(np.arange(schools) % 2)[school]
    flag = draw.random(schools * size) < 0.4
    level = draw.normal(0, 0.15, schools)[school]
    always = draw.random(schools * size) < 0.75 - 0.1 * flag
    kept = ~always & (draw.random(schools * size) < 0.4)
    score = 0.5 * flag + level + draw.normal(0, 0.8, schools * size) - (3.0 if edge else 0.5) * kept
    gain = 0.2 + 0.1 * flag
    present = always | (kept & (treated == 1))
    frame = pd.DataFrame(
        {
            "school": [f"S{code:02d}" for code in school],
            "visit": treated,
            "flag": flag,
            "score": np.where(present, score + gain * treated, np.nan),
        }
    )
    return frame, float(gain[always].mean())


def effect_of_visits(count: np.ndarray) -> np.ndarray:
    """What a number of visits adds: much at first, then less."""
    return 0.2 * np.sqrt(count)


def effect_of_minutes(minutes: np.ndarray) -> np.ndarray:
    """What minutes add."""
    return 0.4 * (1 - np.exp(-minutes / 60))


def draw_doses(seed: int, schools: int = 30) -> pd.DataFrame:
    """Visits by need and school; ``score`` has the effect of visits, ``score_by_minutes`` that of minutes."""
    draw = np.random.default_rng([11, seed])
    school = np.repeat(np.arange(schools), 25)
    n = len(school)
    level = draw.normal(0, LEVEL_SPREAD, schools)
    lagged = 0.8 * level[school] + draw.normal(0, 1, n)
    rate = np.exp(-0.2 - 0.35 * lagged - 1.0 * level[school] + draw.normal(0, 0.3, schools)[school])
    visits = np.minimum(draw.poisson(rate), 8)
    minutes = np.where(visits > 0, np.round(visits * draw.gamma(4, 8, n)), 0)
    phone = draw.poisson(0.6, n)
    # Schools differ in how much a visit does, so that rows of a school aren't independent given its level.
    own = draw.normal(0, 0.08, schools)[school]
    rest = 0.6 * lagged + level[school] + draw.normal(0, 0.6, n)
    return pd.DataFrame(
        {
            "school": [f"S{code:02d}" for code in school],
            "lagged": lagged,
            "visits": visits.astype(float),
            "phone": phone.astype(float),
            "minutes": minutes.astype(float),
            "score": rest + effect_of_visits(visits) + own * visits + 0.05 * phone,
            "score_by_minutes": rest + effect_of_minutes(minutes),
        }
    )


def draw_terms(seed: int, carry_over: float) -> pd.DataFrame:
    """Students over four terms; visits begin in different terms and follow a lasting trouble that nobody measured."""
    draw = np.random.default_rng([13, seed])
    schools, size = 24, 15
    n = schools * size
    school = np.repeat(np.arange(schools), size)
    trouble = draw.normal(0, 0.6, n) + draw.normal(0, 0.3, schools)[school]
    start = draw.integers(0, TERMS + 1, n)
    before = np.zeros(n)
    parts = []
    for term in range(TERMS):
        visits = np.where(term >= start, draw.poisson(np.exp(0.2 + 0.4 * trouble)), 0)
        visits = np.minimum(visits, 6).astype(float)
        shock = draw.normal(0, 0.15, schools)[school] + 0.1 * term
        score = -0.7 * trouble + shock + effect_of_visits(visits) + carry_over * effect_of_visits(before)
        parts.append(
            pd.DataFrame(
                {
                    "student": np.arange(n).astype(str),
                    "school": [f"S{code:02d}" for code in school],
                    "term": f"t{term}",
                    "visits": visits,
                    "score": score + draw.normal(0, 0.5, n),
                }
            )
        )
        before = visits
    return pd.concat(parts, ignore_index=True)


__all__ = ["ABSENCE", "World", "draw_absence", "draw_doses", "draw_presence", "draw_terms"]
