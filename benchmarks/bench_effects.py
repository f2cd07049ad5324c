"""How fast are the estimators, at what accuracy? ``python bench_effects.py [REPEATS]``; the last line is JSON.

``aipw_over_doubleml``: seconds of ``aipw`` over those of DoubleML's interactive regression model with the same
learners, folds of whole schools and one division, median of paired runs on 100,000 students (``_linear``: with
linear and logistic regression, where overhead rather than learners costs). ``*_gap``: how far both are from the
planted effect, and from each other in standard errors. ``fe_*_seconds``: a regression on 1,000,000 rows with
200 clusters after import, the slowest of three placings of the fixed effects (of the clusters, inside them, across
them).
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

from cobench.effects import aipw, regress

STUDENTS, ROWS, CLUSTERS = 100_000, 1_000_000, 200
EFFECT = 0.20


def students(seed: int = 1) -> pd.DataFrame:
    """100,000 students of 200 schools, visits selected on eight covariates, effect 0.20 for everybody."""
    draw = np.random.default_rng(seed)
    school = draw.integers(0, CLUSTERS, STUDENTS)
    x = draw.normal(size=(STUDENTS, 8))
    logit = -0.7 + 0.6 * x[:, 0] - 0.4 * x[:, 1] + 0.3 * (x[:, 2] > 1)
    visit = (draw.random(STUDENTS) < 1 / (1 + np.exp(-logit))).astype(int)
    y = x @ [0.7, -0.3, 0.2, 0.1, 0, 0, 0.1, 0] + 0.3 * (x[:, 2] > 1) + EFFECT * visit
    y += draw.normal(0, 0.1, CLUSTERS)[school] + draw.normal(0, 0.7, STUDENTS)
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(8)]).assign(school=school, visit=visit, y=y)


def many_rows(seed: int = 2) -> pd.DataFrame:
    """A million rows in 200 schools, 5,000 classes and 6 grades."""
    draw = np.random.default_rng(seed)
    school = draw.integers(0, CLUSTERS, ROWS)
    x = draw.normal(size=(ROWS, 4))
    visit = (draw.random(ROWS) < 0.3).astype(int)
    y = x @ [0.5, 0.1, 0, 0.2] + EFFECT * visit + draw.normal(size=CLUSTERS)[school] + draw.normal(size=ROWS)
    places = {
        "school": school,
        "class_id": school * 25 + draw.integers(0, 25, ROWS),
        "grade": draw.integers(1, 7, ROWS),
    }
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(4)]).assign(**places, visit=visit, y=y)


def boosted() -> dict[str, object]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    shape = {
        "max_iter": 30,
        "learning_rate": 0.2,
        "max_leaf_nodes": 15,
        "early_stopping": False,
        "random_state": 0,
    }
    return {
        "outcome": HistGradientBoostingRegressor(**shape),
        "propensity": HistGradientBoostingClassifier(**shape),
    }


def linear() -> dict[str, object]:
    from sklearn.linear_model import LinearRegression, LogisticRegression

    return {"outcome": LinearRegression(), "propensity": LogisticRegression()}


def ours(frame: pd.DataFrame, learners: dict[str, object]) -> tuple[float, float]:
    names = [name for name in frame if name.startswith("x")]
    row = aipw(frame, "y", "visit", names, within=(), cluster="school", learners=learners, n_repeats=1).iloc[
        0
    ]
    return row["estimate"], row["std_error"]


def theirs(frame: pd.DataFrame, learners: dict[str, object]) -> tuple[float, float]:
    import doubleml

    names = [name for name in frame if name.startswith("x")]
    data = doubleml.DoubleMLData(frame, y_col="y", d_cols="visit", x_cols=names, cluster_cols="school")
    model = doubleml.DoubleMLIRM(
        data, learners["outcome"], learners["propensity"], n_folds=5, n_rep=1, score="ATTE"
    )
    model.fit()
    return float(model.coef[0]), float(model.se[0])


def compared(
    frame: pd.DataFrame, learners: Callable[[], dict[str, object]], repeats: int
) -> dict[str, float]:
    """Median ratio of seconds over paired runs, and the estimates' distances."""
    ratios, seconds = [], []
    for _ in range(repeats):
        (mine, error), own = timed(lambda: ours(frame, learners()))
        (other, _), their = timed(lambda: theirs(frame, learners()))
        ratios.append(own / their)
        seconds.append((own, their))
    own, their = np.median(np.array(seconds), axis=0)
    return {
        "ratio": float(np.median(ratios)), "seconds": own, "doubleml_seconds": their, "gap": abs(mine - EFFECT),
        "doubleml_gap": abs(other - EFFECT), "apart_in_se": abs(mine - other) / error,
    }  # fmt: skip


def timed(work: Callable[[], object]) -> tuple[object, float]:
    began = time.perf_counter()
    found = work()
    return found, time.perf_counter() - began


def fixed_effects(frame: pd.DataFrame, se_type: str, repeats: int) -> tuple[float, float]:
    """Seconds of the slowest placing (each the best of ``repeats``), and the largest distance from the effect."""
    slowest, gap = 0.0, 0.0
    for place in ("school", "class_id", "grade"):
        runs = [
            timed(
                lambda place=place: regress(
                    frame, "y", "visit", ["x0", "x1", "x2", "x3"], fixed_effects=[place], cluster="school",
                    se_type=se_type,
                )
            )
            for _ in range(repeats)
        ]  # fmt: skip
        slowest = max(slowest, min(seconds for _, seconds in runs))
        gap = max(gap, abs(runs[0][0].loc[0, "estimate"] - EFFECT))
    return slowest, gap


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    warnings.filterwarnings("ignore")
    frame = students()
    found = {
        name: compared(frame, learners, repeats) for name, learners in (("", boosted), ("_linear", linear))
    }
    print(pd.DataFrame(found).round(4).to_string())
    figures = {
        f"{key}{name}": row[value]
        for name, row in found.items()
        for key, value in (
            ("aipw_over_doubleml", "ratio"), ("aipw_seconds", "seconds"), ("aipw_gap", "gap"),
            ("doubleml_gap", "doubleml_gap"), ("aipw_doubleml_apart_in_se", "apart_in_se"),
        )
    }  # fmt: skip
    rows = many_rows()
    for se_type in ("CR1", "CR2"):
        seconds, gap = fixed_effects(rows, se_type, repeats)
        figures |= {f"fe_{se_type.lower()}_seconds": seconds, f"fe_{se_type.lower()}_gap": gap}
    print(json.dumps({name: round(float(value), 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
