"""Small invented panels of students and terms."""

from __future__ import annotations

import numpy as np
import pandas as pd

NEVER = 99


def panel(scores: dict[int, list[float]], starts: dict[int, int]) -> pd.DataFrame:
    """Scores by student and term, exposed from a student's start on."""
    return pd.DataFrame(
        [
            (student, term, int(term >= starts.get(student, NEVER)), float(score))
            for student, row in scores.items()
            for term, score in enumerate(row)
        ],
        columns=["s", "t", "d", "y"],
    )


def staggered(
    seed: int, schools: int = 12, size: int = 15, terms: int = 5, never: float = 0.35
) -> pd.DataFrame:
    """Starts by lot in later terms, an effect of 0.3 a term since the start; a numeric and a categorical covariate."""
    draw = np.random.default_rng(seed)
    n = schools * size
    first = np.where(draw.random(n) < never, NEVER, draw.integers(1, terms, n))
    return _long(
        draw, schools, size, np.arange(terms)[None, :] >= first[:, None], lambda d: 0.3 * d.cumsum(axis=1)
    )


def come_and_go(
    seed: int, schools: int = 12, size: int = 25, terms: int = 6, carries: float = 0.0, share: float = 0.3
) -> pd.DataFrame:
    """Visits by lot in every term: 0.3 in their own term and ``carries`` in the next."""
    draw = np.random.default_rng(seed)
    visits = draw.random((schools * size, terms)) < share
    return _long(
        draw, schools, size, visits,
        lambda d: 0.3 * d + carries * np.column_stack([np.zeros(len(d)), d[:, :-1]]),
    )  # fmt: skip


def after_bad_terms(seed: int, schools: int = 25, size: int = 25, terms: int = 6) -> pd.DataFrame:
    """Visits follow a bad term; each adds 0.10. ``last`` is the score of the term before."""
    draw = np.random.default_rng(seed)
    n = schools * size
    y, d, state = np.zeros((n, terms)), np.zeros((n, terms)), draw.normal(0, 0.8, n)
    for term in range(terms):
        if term:
            d[:, term] = draw.random(n) < 1 / (1 + np.exp(1.2 + 1.2 * y[:, term - 1]))
        state = 0.55 * state + draw.normal(0, 0.65, n)
        y[:, term] = state + 0.10 * d[:, term]
    frame = _frame(schools, size, d, y, draw)
    return frame.assign(last=frame.groupby("s")["y"].shift())


def _long(
    draw: np.random.Generator, schools: int, size: int, exposed: np.ndarray, gain: object
) -> pd.DataFrame:
    n, terms = exposed.shape
    d = exposed.astype(float)
    shared = draw.normal(0, 0.1, (schools, terms))[np.repeat(np.arange(schools), size)]
    y = draw.normal(0, 0.8, n)[:, None] + shared + draw.normal(0, 0.5, (n, terms)) + gain(d)
    return _frame(schools, size, d, y, draw)


def _frame(schools: int, size: int, d: np.ndarray, y: np.ndarray, draw: np.random.Generator) -> pd.DataFrame:
    n, terms = y.shape
    return pd.DataFrame(
        {
            "s": np.repeat(np.arange(n), terms),
            "t": np.tile(np.arange(terms), n),
            "school": np.repeat(np.arange(n) // size, terms),
            "d": d.astype(int).ravel(),
            "y": y.ravel(),
            "x": np.repeat(draw.normal(0, 1, n), terms),
            "z": np.repeat(draw.integers(0, 2, n), terms),
        }
    )
