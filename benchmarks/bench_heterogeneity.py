"""Forests that say for whom: how often they find differences where there are none, and where there are some.

``python bench_heterogeneity.py [SEEDS] [DIVISIONS]``. Districts of 30 schools that visit their weaker students and that
differ in level; ``equal``: the same effect for everybody; ``curved``: the same, and the outcome is curved in the prior
score, which the ridge of the first step can't know; ``unequal``: the effect grows with engagement and is larger for
those left behind. A share of tests at 5 %.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

import pandas as pd
from simulated_districts import COVARIATES, WORLDS, draw_district
from threadpoolctl import threadpool_limits

from cobench.effects import fit_heterogeneity

SEEDS, DIVISIONS = 200, 3
WORLD = replace(WORLDS["schools"], schools=30, classes=2, students=16)
KINDS = {"equal": 0.0, "curved": 0.3, "unequal": 0.0}


def district(kind: str, seed: int) -> pd.DataFrame:
    frame = draw_district(replace(WORLD, curve=KINDS[kind]), [9, seed])
    without = frame["score"] - frame["gain"] * frame["visit"]
    gain = 0.2
    if kind == "unequal":
        gain = 0.2 + 0.5 * (frame["left_behind"] - 0.2) + 0.25 * frame["engagement"]
    return frame.assign(score=without + gain * frame["visit"])


def p_values(kind: str, seed: int, divisions: int) -> dict[str, float]:
    """Of the tests over divisions, and of the first division alone (``..._once``)."""
    fit = fit_heterogeneity(
        district(kind, seed), "score", "visit", COVARIATES, ["school"], "school", level="1", reference="0",
        n_divisions=divisions, seed=seed,
    )  # fmt: skip
    first = fit.divisions[fit.divisions["division"] == 0].set_index("test")["p_value"]
    found = fit.tests.set_index("test")["p_value"]
    return found.to_dict() | {f"{name}_once": first[name] for name in found.index}


def main() -> None:
    given = [int(each) for each in sys.argv[1:3]]
    seeds, divisions = [*given, *(SEEDS, DIVISIONS)[len(given) :]]
    started, found = time.perf_counter(), {}
    with threadpool_limits(1):
        for kind in KINDS:
            rows = pd.DataFrame([p_values(kind, seed, divisions) for seed in range(seeds)])
            found[kind] = (rows < 0.05).mean().round(3).to_dict()
            print(kind, found[kind], file=sys.stderr, flush=True)
    once = [value for kind in ("equal", "curved") for value in found[kind].values()]
    print(
        json.dumps(
            {
                "districts": seeds, "divisions": divisions, "rejected": found, "largest_size": max(once),
                "seconds": round(time.perf_counter() - started, 1),
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
