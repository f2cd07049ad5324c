"""Small districts with known school effects, for the multilevel models: a row a student, or a student and term."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

EFFECT = 0.2
COVARIATES = ["lagged", "poor"]


@dataclass(frozen=True)
class World:
    """How a district comes about.

    ``by_lot``: whole schools are visited, half of them. ``pull``: how strongly schools with better results visit more.
    ``slope_sd``: how much the effect differs between schools. ``unequal``: results of visited students scatter more,
    by this factor. ``terms``: students stay, classes are mixed anew each term.
    """

    title: str
    schools: int
    least: int
    most: int
    school_sd: float = 0.35
    by_lot: bool = False
    pull: float = 0.0
    slope_sd: float = 0.0
    unequal: float = 1.0
    terms: int = 1


WORLDS = {
    "schools": World("30 schools of 5 to 45 students; students in need are visited", 30, 5, 45),
    "few": World("8 schools of 15 to 35 students, 4 of them drawn by lot", 8, 15, 35, by_lot=True),
    "crossed": World("150 students over 3 terms in 18 classes mixed anew each term", 18, 25, 25, terms=3),
    "selected": World("as `schools`, but schools with better results visit more", 30, 5, 45, pull=1.0),
    "slopes": World("as `schools`, but the effect differs between schools (SD 0.3)", 30, 5, 45, slope_sd=0.3),
    "unequal": World("as `schools`, but visited students scatter 2.5 times as much", 30, 5, 45, unequal=2.5),
}


def draw_district(world: World, seed: list[int]) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """A district, and the true effect of each group by factor and label."""
    draw = np.random.default_rng(seed)
    if world.terms > 1:
        return _terms(world, draw)
    size = draw.integers(world.least, world.most + 1, world.schools)
    school = np.repeat(np.arange(world.schools), size)
    effect = draw.normal(0, world.school_sd, world.schools)
    lagged, poor = draw.normal(size=len(school)), (draw.random(len(school)) < 0.3).astype(int)
    if world.by_lot:
        drawn = np.isin(np.arange(world.schools), draw.permutation(world.schools)[: world.schools // 2])
        visit = drawn[school].astype(int)
    else:
        logit = -0.6 - 0.5 * lagged + 0.8 * poor + world.pull * effect[school] / world.school_sd
        visit = (draw.random(len(school)) < 1 / (1 + np.exp(-logit))).astype(int)
    gain = EFFECT + draw.normal(0, world.slope_sd, world.schools)[school]
    noise = draw.normal(0, 0.8, len(school)) * np.where(visit == 1, world.unequal, 1.0)
    score = 0.5 * lagged - 0.2 * poor + gain * visit + effect[school] + noise
    frame = pd.DataFrame({"score": score, "visit": visit, "lagged": lagged, "poor": poor, "school": school})
    return frame, {"school": effect}


def _terms(world: World, draw: np.random.Generator) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    a_term = world.schools // world.terms
    n = a_term * world.least
    own, shared = draw.normal(0, 0.6, n), draw.normal(0, world.school_sd, world.schools)
    trait, poor = draw.normal(size=n), (draw.random(n) < 0.3).astype(int)
    parts = []
    for term in range(world.terms):
        group = term * a_term + draw.permutation(np.arange(n) % a_term)
        visit = (draw.random(n) < 1 / (1 + np.exp(0.6 + 0.5 * trait - 0.8 * poor))).astype(int)
        score = 0.5 * trait - 0.2 * poor + EFFECT * visit + own + shared[group] + draw.normal(0, 0.6, n)
        parts.append(
            {
                "score": score,
                "visit": visit,
                "lagged": trait,
                "poor": poor,
                "student": np.arange(n),
                "school": group,
            }
        )
    return pd.concat([pd.DataFrame(each) for each in parts], ignore_index=True), {"school": shared}
