"""Are made-up records found, and honest schools left alone? 200 simulated districts of 20 schools, honest and not.

In each district of the second kind five schools make entries up, one in each way: entered weeks later, dates of a whole
term written down in the last days before the exam (heaped), copied words, routes that nobody can walk, calls called
visits. ``python bench_gaming.py [DISTRICTS] [--seed N] [--first I]``; ``--first`` begins at another
district, so that a long run can be made in pieces. The seed was never used to choose anything of ``monitor/gaming.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from simulated_logs import TERM, WAYS, draw, open_days

from cobench.monitor.gaming import SIGNS, unusual_records

SEED = 20261123
MADE_UP = (20, 40, 80, 160)  # beside about 400 honest entries of a school
MOST_ACCUSED = 0.08  # of honest districts, chance included (5 % and twice its error with 200)


def counts(n_districts: int, seed: int, first: int = 0) -> dict[str, object]:
    """How many districts name somebody honest, and how many schools are found, by way and number of entries."""
    days = open_days()
    told: dict[str, object] = {"n_districts": n_districts, "named": 0, "honest_schools_named": 0}
    by_sign = dict.fromkeys(SIGNS, 0)
    found = {n: dict.fromkeys(WAYS, 0) for n in MADE_UP}
    by_its_sign = {n: dict.fromkeys(WAYS, 0) for n in MADE_UP}
    beside = dict.fromkeys(MADE_UP, 0)
    for i in range(first, first + n_districts):
        rng = np.random.default_rng([seed, i])
        honest = unusual_records(draw(rng, {}), TERM, days)
        hit = honest[honest["unusual"]]
        told["named"] += len(hit) > 0
        told["honest_schools_named"] += hit["school"].nunique()
        for sign in hit["sign"].unique():
            by_sign[sign] += 1
        who = rng.choice(np.arange(1, 21), len(WAYS), replace=False)
        dressers = {f"S{school:02}": way for school, way in zip(who, WAYS, strict=True)}
        for n in MADE_UP:
            seen = unusual_records(draw(rng, dressers, n_made_up=n), TERM, days)
            seen = seen[seen["unusual"]]
            for school, way in dressers.items():
                signs = set(seen.loc[seen["school"] == school, "sign"])
                found[n][way] += bool(signs)
                by_its_sign[n][way] += way in signs
            beside[n] += len(set(seen["school"]) - set(dressers)) > 0
    return told | {"by_sign": by_sign, "found": found, "by_its_sign": by_its_sign, "beside": beside}


def added(parts: list[dict]) -> dict:
    """Counts of several pieces together."""
    first, *others = parts
    for other in others:
        first = {
            key: added([value, other[key]]) if isinstance(value, dict) else value + other[key]
            for key, value in first.items()
        }
    return first


def rates(told: dict) -> dict[str, object]:
    """Shares of districts (of made-up schools: of schools), from :func:`counts`."""
    n = told["n_districts"]
    return {
        "n_districts": n,
        "detected": {
            str(k): {way: round(each / n, 3) for way, each in ways.items()}
            for k, ways in told["found"].items()
        },
        "detected_by_its_own_sign": {
            str(k): {way: round(each / n, 3) for way, each in ways.items()}
            for k, ways in told["by_its_sign"].items()
        },
        "honest_districts_with_any_school_named": round(told["named"] / n, 3),
        "of_these_by_sign": told["by_sign"],
        "honest_schools_named": round(told["honest_schools_named"] / n / 20, 5),
        "honest_school_named_beside_dressers": {
            str(k): round(each / n, 3) for k, each in told["beside"].items()
        },
    }


def main() -> int:
    """Print the rates as a table and as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("districts", nargs="?", type=int, default=200)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument(
        "--add", type=Path, nargs="*", default=[], help="counts of other pieces, as --keep left them"
    )
    parser.add_argument("--keep", type=Path, help="write this piece's counts here")
    given = parser.parse_args()
    told = (
        json.loads(json.dumps(counts(given.districts, given.seed, given.first))) if given.districts else None
    )
    parts = [*([told] if told else []), *(json.loads(path.read_text()) for path in given.add)]
    if given.keep:
        given.keep.write_text(json.dumps(told))
    shown = rates(added(parts))
    print(pd.DataFrame(shown["detected"]).rename_axis("found, by entries made up").to_string())
    accused = shown["honest_districts_with_any_school_named"]
    print(f"districts where everybody is honest and somebody is named: {accused:.1%}")
    print(json.dumps(shown))
    return 0 if accused <= MOST_ACCUSED else 1


if __name__ == "__main__":
    sys.exit(main())
