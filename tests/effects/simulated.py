"""Small invented districts with a planted effect."""

from __future__ import annotations

import numpy as np
import pandas as pd

COVARIATES = ["lagged", "left_behind", "poor", "sex", "history"]
WITHIN = ["school", "grade"]


def district(seed: int, schools: int = 10, effect: float = 0.25) -> tuple[pd.DataFrame, float]:
    """Students of 1-3 classes a grade whose visits are selected, and the realised ATT in units of the outcome.

    Visits depend on the observed lagged score, categories and a propensity of the school that also moves the
    outcome; the outcome and the lagged score are z scores within school and grade, as school papers are.
    """
    draw = np.random.default_rng(seed)
    parts = []
    for school in range(schools):
        level, eagerness = draw.normal(0, 0.5), draw.normal(-1.2, 0.8)
        for grade in range(3, 7):
            for group in range(draw.integers(1, 4)):
                n = draw.integers(26, 42)
                parts.append(
                    pd.DataFrame(
                        {
                            "school": f"S{school:02d}",
                            "grade": grade,
                            "class_id": f"S{school:02d}-{grade}-{group}",
                            "raw": draw.normal(level, 1, n),
                            "left_behind": draw.random(n) < 0.15,
                            "poor": draw.random(n) < 0.10,
                            "sex": np.where(draw.random(n) < 0.5, "f", "m"),
                            "history": draw.poisson(0.5, n),
                            "logit": eagerness + 0.6 * level,
                            "shock": level + draw.normal(0, 0.2),
                        }
                    )
                )
    frame = pd.concat(parts, ignore_index=True)
    n = len(frame)
    frame = frame.assign(lagged=z_scores(frame, frame["raw"]))
    logit = frame["logit"] - 0.6 * frame["lagged"] + frame["left_behind"] + 0.3 * frame["history"]
    visited = draw.random(n) < 1 / (1 + np.exp(-logit))
    without = (
        0.7 * frame["raw"] - 0.3 * frame["left_behind"] - 0.2 * frame["poor"] - 0.05 * frame["history"]
        + frame["shock"] + draw.normal(0, 0.7, n)
    )  # fmt: skip
    score = without + effect * visited
    spread = score.groupby([frame["school"], frame["grade"]]).transform("std")
    frame = frame.assign(visit=np.where(visited, "at_home", "none"), score=z_scores(frame, score))
    return frame.drop(columns=["raw", "logit", "shock"]), float((effect / spread)[visited].mean())


def z_scores(frame: pd.DataFrame, values: pd.Series) -> pd.Series:
    """z scores within school and grade."""
    cells = values.groupby([frame["school"], frame["grade"]])
    return (values - cells.transform("mean")) / cells.transform("std")


def school_selection(seed: int, schools: int = 60, classes: int = 3, size: int = 25) -> pd.DataFrame:
    """A school factor drives visits and outcome alike; the true effect is 0.20."""
    draw = np.random.default_rng(seed)
    factor = draw.normal(0, 0.5, schools)
    school = np.repeat(np.arange(schools), classes * size)
    group = np.repeat(np.arange(schools * classes), size)
    x = draw.normal(0, 1, len(school)) + 0.3 * factor[school]
    visit = draw.random(len(school)) < 1 / (1 + np.exp(0.8 - factor[school] - 0.5 * x))
    y = (
        0.5 * x + factor[school] + draw.normal(0, 0.2, schools * classes)[group]
        + draw.normal(0, 0.6, len(school)) + 0.20 * visit
    )  # fmt: skip
    return pd.DataFrame(
        {
            "school": [f"S{i:03d}" for i in school],
            "class_id": [f"C{i:03d}" for i in group],
            "x": x,
            "visit": visit,
            "y": y,
        }
    )
