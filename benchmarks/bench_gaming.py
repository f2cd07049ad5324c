"""Are made-up records found, and honest schools left alone? 200 simulated districts of 20 schools, honest and not.

In each district of the second kind four schools make 40 entries up, one in each way: entered weeks later just before the
exam, copied words, routes that nobody can walk, calls called visits. ``python bench_gaming.py [DISTRICTS]``.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
from simulated_logs import TERM, WAYS, draw, open_days

from cobench.monitor.gaming import SIGNS, unusual_records

MOST_ACCUSED = 0.08  # of honest districts, chance included (5 % and twice its error with 200)


def rates(n_districts: int, seed: int = 20260705) -> dict[str, object]:
    """Detection by way, and how often somebody honest is named."""
    days, named, found, bystanders = open_days(), 0, dict.fromkeys(WAYS, 0), 0
    by_sign = dict.fromkeys(SIGNS, 0)
    for i in range(n_districts):
        rng = np.random.default_rng([seed, i])
        honest = unusual_records(draw(rng, {}), TERM, days)
        hit = honest[honest["unusual"]]
        named += len(hit) > 0
        for sign in hit["sign"].unique():
            by_sign[sign] += 1
        who = rng.choice(np.arange(1, 21), len(WAYS), replace=False)
        dressers = {f"S{school:02}": way for school, way in zip(who, WAYS, strict=True)}
        seen = unusual_records(draw(rng, dressers), TERM, days)
        seen = seen[seen["unusual"]]
        for school, way in dressers.items():
            signs = ["late", "heaped"] if way == "late" else [way]
            found[way] += bool(((seen["school"] == school) & seen["sign"].isin(signs)).any())
        bystanders += len(set(seen["school"]) - set(dressers)) > 0
    return {
        "n_districts": n_districts,
        "detected": {way: round(n / n_districts, 3) for way, n in found.items()},
        "honest_districts_with_any_school_named": round(named / n_districts, 3),
        "of_these_by_sign": by_sign,
        "honest_school_named_beside_dressers": round(bystanders / n_districts, 3),
    }


def main() -> int:
    """Print the rates as a table and as one line of JSON."""
    told = rates(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
    print(pd.Series(told["detected"], name="found").to_string())
    print(
        f"districts where everybody is honest and somebody is named: {told['honest_districts_with_any_school_named']:.1%}"
    )
    print(json.dumps(told))
    return 0 if told["honest_districts_with_any_school_named"] <= MOST_ACCUSED else 1


if __name__ == "__main__":
    sys.exit(main())
