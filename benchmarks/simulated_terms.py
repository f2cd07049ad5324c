"""Simulated districts over terms with a planted truth: who is visited when, in a declared way, and what it adds.

A :class:`TermWorld` is a set of parameters, :func:`draw_terms` one district of it. ``gain`` is what all exposures so far
add to a student's outcome in a term, so every effect is known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

STUDENT_SPREAD, SCHOOL_TERM_SPREAD, NOISE = 0.7, 0.10, 0.5
NEVER = 99


@dataclass(frozen=True)
class TermWorld:
    """How one kind of district comes about; spreads are in units of the outcome.

    Attributes
    ----------
    title : str
    schools, students, terms : int
        Schools, students a school, terms.
    pattern : str
        ``staggered``: a start by lot after the first term, for ever, some never. ``duty``: everybody has started by the
        last term. ``whole_schools``: schools start as a whole. ``reversible``: in every term anew, some students more
        often. ``dip``: in every term anew, after a bad term.
    effect : float
        Of an exposure in its own term.
    growth : float
        Added a term since the start, for exposures that last.
    later : float
        Taken off a term that a student starts later: effects differ between groups.
    carries : float
        Of a visit one term after its own.
    trend : float
        Slope a term of those who start (parallel trends fail).
    by_need : float
        Slope a term and SD of a recorded covariate that also decides who starts early (parallel given it).
    leaving : float
        Share of students who leave for good before each term after the second.
    shock : float
        Spread of what a school shares in a term.
    """

    title: str
    schools: int = 24
    students: int = 16
    terms: int = 6
    pattern: str = "staggered"
    effect: float = 0.2
    growth: float = 0.0
    later: float = 0.0
    carries: float = 0.0
    trend: float = 0.0
    by_need: float = 0.0
    leaving: float = 0.0
    shock: float = SCHOOL_TERM_SPREAD


TERM_WORLDS = {
    "staggered": TermWorld("Starts by lot, effects that grow and differ between groups", effect=0.4, growth=0.15, later=0.06),
    "conditional": TermWorld("Trends and starts both depend on a recorded need", growth=0.05, by_need=0.12),
    "trends": TermWorld("Those who start were improving anyway", growth=0.05, trend=0.06),
    "duty": TermWorld("A duty: everybody is visited sooner or later", pattern="duty", growth=0.05),
    "dropout": TermWorld("One student in eleven leaves before each term", effect=0.4, growth=0.15, later=0.06, leaving=0.09),
    "whole_schools": TermWorld(
        "Whole schools start, 15 schools", schools=15, students=20, pattern="whole_schools", growth=0.05, shock=0.2,
    ),
    "reversible": TermWorld("Visits come and go, and matter in their own term only", pattern="reversible"),
    "carry_over": TermWorld("Visits come and go, and matter for one more term", pattern="reversible", carries=0.15),
    "dip": TermWorld("Visits follow a bad term", pattern="dip", effect=0.1),
}  # fmt: skip


def draw_terms(world: TermWorld, seed: int) -> pd.DataFrame:
    """One district.

    Returns
    -------
    DataFrame
        One row a student and term: ``student``, ``school``, ``term`` (0, 1, ...), ``visit`` (0, 1), ``need`` (recorded,
        doesn't change), ``score``, ``gain``, and ``last`` (the score of the term before).
    """
    draw = np.random.default_rng(seed)
    n, periods = world.schools * world.students, world.terms
    school = np.repeat(np.arange(world.schools), world.students)
    need = draw.normal(0, 1, n)
    level = draw.normal(0, 0.3, world.schools)[school] + draw.normal(0, STUDENT_SPREAD, n)
    shared = 0.1 * np.arange(periods) + draw.normal(0, world.shock, (world.schools, periods))[school]
    noise = draw.normal(0, NOISE, (n, periods))
    if world.pattern == "dip":
        visit, gain, score = _after_bad_terms(draw, world, shared, noise)
    else:
        visit = (
            _reversible(draw, world, need)
            if world.pattern == "reversible"
            else _lasting(draw, world, school, need)
        )
        gain = _gain(world, visit)
        slope = world.by_need * need + world.trend * (visit[:, -1] > 0)
        score = level[:, None] + shared + slope[:, None] * np.arange(periods) + noise + gain
    frame = pd.DataFrame(
        {
            "student": np.repeat(np.arange(n), periods), "school": np.repeat(school, periods),
            "term": np.tile(np.arange(periods), n), "visit": visit.ravel(), "need": np.repeat(need, periods),
            "score": score.ravel(), "gain": gain.ravel(),
            "last": np.column_stack([np.full(n, np.nan), score[:, :-1]]).ravel(),
        }
    )  # fmt: skip
    if world.leaving:
        leaves = 2 + draw.geometric(world.leaving, n)
        frame = frame[frame["term"] < leaves[frame["student"]]]
    return frame.reset_index(drop=True)


def _lasting(draw: np.random.Generator, world: TermWorld, school: np.ndarray, need: np.ndarray) -> np.ndarray:
    """Exposure (n, T) of those who have started; nobody starts in the first term."""
    n, periods = len(school), world.terms
    if world.pattern == "whole_schools":
        starts = np.resize([2, 4, NEVER], world.schools)
        first = draw.permutation(starts)[school]
    elif world.pattern == "duty":
        first = draw.integers(1, periods, n)
    else:
        eager = draw.normal(0, 0.5, world.schools)[school]
        keen = 1 / (1 + np.exp(-(0.4 + eager + (0.8 * need if world.by_need else 0.0))))
        first = np.where(draw.random(n) < keen, draw.integers(1, periods, n), NEVER)
    return (np.arange(periods)[None, :] >= first[:, None]).astype(float)


def _reversible(draw: np.random.Generator, world: TermWorld, need: np.ndarray) -> np.ndarray:
    often = np.where(need > 0.5, 0.5, 0.15)
    return (draw.random((len(need), world.terms)) < often[:, None]).astype(float)


def _gain(world: TermWorld, visit: np.ndarray) -> np.ndarray:
    if world.pattern == "reversible":
        return world.effect * visit + world.carries * np.column_stack([np.zeros(len(visit)), visit[:, :-1]])
    first = np.where(visit.any(axis=1), visit.argmax(axis=1), NEVER)
    since = np.arange(visit.shape[1])[None, :] - first[:, None]
    return visit * (world.effect + world.growth * since - world.later * (first[:, None] - 1))


def _after_bad_terms(
    draw: np.random.Generator, world: TermWorld, shared: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Visits follow a low score of the term before (Ashenfelter's dip); scores return to the mean by themselves."""
    n, periods = noise.shape
    visit, score = np.zeros((n, periods)), np.zeros((n, periods))
    state = draw.normal(0, 0.8, n)
    for term in range(periods):
        if term:
            bad = (score[:, term - 1] - score[:, term - 1].mean()) / score[:, term - 1].std()
            visit[:, term] = draw.random(n) < 1 / (1 + np.exp(1.2 + 1.2 * bad))
        state = 0.55 * state + 1.3 * noise[:, term]
        score[:, term] = state + shared[:, term] + world.effect * visit[:, term]
    return visit, world.effect * visit, score
