"""Which effects over terms survive what? Simulated districts with a planted truth: bias, coverage of 95 % intervals and
of simultaneous bands, and how often each test of what is assumed goes off.

``python bench_terms.py [SEEDS] [--settings a,b] [--first SEED] [--table FILE] [--rows FILE]``. Which estimator's
assumptions hold in which setting is declared in :data:`BROKEN`, before anything is drawn; ``--table`` rewrites the
measured part of ``docs/operating-characteristics-terms.md``; with ``--rows`` a run that was cut short goes on.
"""

from __future__ import annotations

import json
import time
from functools import partial

import numpy as np
import pandas as pd
from bench_truth import arguments, districts
from simulated_terms import TERM_WORLDS, draw_terms
from terms_table import write_terms_tables

from cobench import effects

SEEDS = 500
DRAWS = 1999
TESTS = ["pre_trend", "lagged_outcome", "carry_over", "strict_exogeneity"]
ROWS = [
    "setting", "estimator", "seed", "status", "estimate", "std_error", "conf_low", "conf_high", "truth", "pointwise",
    "simultaneous", *(f"p_{test}" for test in TESTS), "slope",
]  # fmt: skip

ESTIMATORS = {
    "staggered": ["did_not_yet", "did_never", "two_way"],
    "conditional": ["did_not_yet", "did_covariates"],
    "trends": ["did_not_yet"],
    "duty": ["did_not_yet", "did_never"],
    "dropout": ["did_not_yet", "did_all_terms"],
    "whole_schools": ["did_not_yet", "did_uncorrected"],
    "reversible": ["did_none", "did_one", "did_any", "student_none"],
    "carry_over": ["did_none", "did_one", "did_any", "student_none", "student_one"],
    "dip": ["did_none", "student_none", "lagged_adjustment"],
}

# Assumption that fails, by setting and estimator; what isn't here is claimed to hold. Declared before measuring.
BROKEN = {
    ("staggered", "two_way"): "heterogeneity",
    ("conditional", "did_not_yet"): "trends_by_need",
    ("trends", "did_not_yet"): "trends",
    ("duty", "did_never"): "no_controls",
    ("whole_schools", "did_uncorrected"): "few",
    ("carry_over", "did_none"): "carried", ("carry_over", "student_none"): "carried",
    ("dip", "did_none"): "dip", ("dip", "student_none"): "dip",
}  # fmt: skip
# Tests whose assumption holds, so that they go off by chance only; elsewhere their power is told.
HOLDS = {
    "pre_trend": ("staggered", "duty", "dropout", "whole_schools", "reversible"),
    "lagged_outcome": ("staggered", "duty", "dropout", "whole_schools", "reversible"),
    "carry_over": ("reversible",),
    "strict_exogeneity": ("reversible",),
}
HOLDS_FOR = {
    ("carry_over", "carry_over"): ("did_one", "student_one"),
    ("carry_over", "strict_exogeneity"): ("student_one",),
    ("carry_over", "pre_trend"): ("did_one", "did_any"),
    ("conditional", "pre_trend"): ("did_covariates",),
}


def one_district(setting: str, seed: int, estimators: list[str] | None = None) -> list[dict]:
    """Rows (columns :data:`ROWS`) of one district, of every estimator unless ``estimators`` are given."""
    world = TERM_WORLDS[setting]
    frame = draw_terms(world, [sorted(TERM_WORLDS).index(setting), seed])
    rows = []
    for estimator in estimators or ESTIMATORS[setting]:
        row = {"setting": setting, "estimator": estimator, "seed": seed}
        rows.append(row | _answer(estimator, setting, frame))
    return rows


def _answer(estimator: str, setting: str, frame: pd.DataFrame) -> dict:
    if estimator == "lagged_adjustment":
        found = effects.regress(
            frame[frame["term"] > 0], "score", "visit", ["last"], ["term"], cluster="school"
        )
        return _numbers(found.iloc[0]) | {"truth": TERM_WORLDS[setting].effect}
    fit = _fit(estimator, frame)
    told = fit.estimates
    main = told[told["estimand"].isin(["simple", "variance_weighted"])].iloc[0]
    row = _numbers(main)
    if main["status"] != "ok":
        return row
    for test in TESTS:
        table = next((check.table for check in fit.checks if check.name == test), pd.DataFrame())
        row[f"p_{test}"] = table["p_value"].iloc[0] if len(table) else np.nan
    if not estimator.startswith("did"):
        return row | {"truth": _truth_of_regression(frame, setting)}
    trend = fit.check("pre_trend").table
    row["slope"] = trend["slope_found_with_80_percent"].iloc[0] if len(trend) else np.nan
    simple, by_event = _truths(estimator, setting, frame, fit)
    pointwise, simultaneous = _dynamic_coverage(fit, by_event)
    return row | {"truth": simple, "pointwise": pointwise, "simultaneous": simultaneous}


def _numbers(row: pd.Series) -> dict:
    return row[["status", "estimate", "std_error", "conf_low", "conf_high"]].to_dict()


def _fit(estimator: str, frame: pd.DataFrame) -> effects.DidFit | effects.StudentEffectsFit:
    """The estimator as a user calls it."""
    common = {"frame": frame, "outcome": "score", "treatment": "visit", "student": "student", "term": "term"}
    did = partial(effects.fit_did, **common, cluster="school", n_draws=DRAWS)
    reversible = partial(did, exposure="reversible")
    student = partial(effects.fit_student_effects, **common, cluster="school")
    calls = {
        "did_not_yet": did,
        "did_never": partial(did, controls="never"),
        "did_covariates": partial(did, covariates=["need"]),
        "did_all_terms": partial(did, students="all_terms"),
        "did_uncorrected": partial(did, se_type="IF"),
        "did_none": partial(reversible, carry_over="none"),
        "did_one": partial(reversible, carry_over=1),
        "did_any": partial(reversible, carry_over="any"),
        "two_way": partial(student, carry_over="none"),
        "student_none": partial(student, carry_over="none"),
        "student_one": partial(student, carry_over=1),
    }
    return calls[estimator]()[0]


def _truths(
    estimator: str, setting: str, frame: pd.DataFrame, fit: effects.DidFit
) -> tuple[float, dict[float, float]]:
    """What the ``simple`` row and the rows by event should be: the cells' true gains under the estimator's weights."""
    world = TERM_WORLDS[setting]
    if estimator in ("did_none", "did_one"):
        return world.effect, {0.0: world.effect, 1.0: world.carries}
    visited = frame[frame["visit"] == 1].groupby("student")["term"].min()
    frame = frame.assign(first=frame["student"].map(visited))
    seen = frame.groupby("student")["term"].transform("size")
    frame = frame[seen >= (world.terms if estimator == "did_all_terms" else 2)]
    sizes = frame.groupby("first")["student"].nunique()
    gains = frame.groupby(["first", "term"])["gain"].mean()
    cells = fit.cells[(fit.cells["kind"] == "effect") & (fit.cells["reason"] == "")]
    keys = list(zip(cells["group"].astype(float), cells["term"].astype(int), strict=True))
    told = pd.DataFrame(
        {
            "at": cells["at"].to_numpy(),
            "gain": [gains[key] for key in keys],
            "n": [sizes[key[0]] for key in keys],
        }
    )
    by_event = {at: float(np.average(part["gain"], weights=part["n"])) for at, part in told.groupby("at")}
    return float(np.average(told["gain"], weights=told["n"])), by_event


def _dynamic_coverage(fit: effects.DidFit, by_event: dict[float, float]) -> tuple[float, float]:
    """Share of the event study's intervals that hold the truth, and whether its bands all do."""
    truth = lambda rows: rows["at"].map(lambda at: by_event.get(at, 0.0))  # noqa: E731
    rows = fit.estimates[(fit.estimates["estimand"] == "dynamic") & fit.estimates["at"].notna()]
    bands = fit.bands[fit.bands["estimand"] == "dynamic"]
    pointwise = ((rows["conf_low"] <= truth(rows)) & (truth(rows) <= rows["conf_high"])).mean()
    return float(pointwise), float(
        ((bands["band_low"] <= truth(bands)) & (truth(bands) <= bands["band_high"])).all()
    )


def _truth_of_regression(frame: pd.DataFrame, setting: str) -> float:
    """Mean gain of the exposed terms; for visits that come and go, what a visit does in its own term."""
    world = TERM_WORLDS[setting]
    if world.pattern in ("reversible", "dip"):
        return world.effect
    return float(frame.loc[frame["visit"] == 1, "gain"].mean())


def chunk(setting: str, seeds: list[int]) -> list[dict]:
    """Rows of some districts of a setting."""
    return [row for seed in seeds for row in one_district(setting, seed)]


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a setting and estimator.

    Returns
    -------
    DataFrame
        ``n`` districts and ``answered`` of them; mean ``truth``, ``bias`` with its Monte-Carlo error ``bias_mc``;
        ``spread`` of the errors, mean ``std_error``; ``coverage`` of the main row, ``pointwise`` and ``simultaneous``
        coverage of the event study; share of p-values below .05 of each test (``rejects_*``) and mean ``slope``, the
        straight divergence that the test before would have found; ``broken``: the assumption that fails.
    """
    found = [_summary(*key, part) for key, part in rows.groupby(["setting", "estimator"], sort=False)]
    return pd.DataFrame(found)


def _summary(setting: str, estimator: str, part: pd.DataFrame) -> dict:
    ok = part[part["status"] == "ok"]
    n, error = len(ok), ok["estimate"] - ok["truth"]
    covered = ((ok["conf_low"] <= ok["truth"]) & (ok["truth"] <= ok["conf_high"])).mean()
    row = {
        "setting": setting, "estimator": estimator, "broken": BROKEN.get((setting, estimator), ""), "n": len(part),
        "answered": n, "truth": ok["truth"].mean(), "bias": error.mean(), "bias_mc": error.std() / np.sqrt(max(n, 1)),
        "spread": error.std(), "std_error": ok["std_error"].mean(), "coverage": float(covered) if n else np.nan,
        "pointwise": ok["pointwise"].mean(), "simultaneous": ok["simultaneous"].mean(), "slope": ok["slope"].mean(),
    }  # fmt: skip
    for test in TESTS:
        known = ok[f"p_{test}"].dropna()
        row[f"rejects_{test}"] = float((known < 0.05).mean()) if len(known) else np.nan
    return row


def size_known(setting: str, estimator: str, test: str) -> bool:
    """Whether the test's assumption holds, so that its rejections are false alarms."""
    if (setting, test) in HOLDS_FOR:
        return estimator in HOLDS_FOR[setting, test]
    return setting in HOLDS[test] and BROKEN.get((setting, estimator)) not in (
        "few",
        "clusters",
        "heterogeneity",
    )


def headline(table: pd.DataFrame, seconds: float) -> dict:
    """The figures to watch."""
    held = table[(table["broken"] == "") & table["coverage"].notna()]
    columns = {name: held[name].dropna() for name in ("coverage", "pointwise", "simultaneous")}
    outside = held[(held["coverage"] < 0.93) | (held["coverage"] > 0.97)]
    keyed = table.set_index(["setting", "estimator"])
    sizes = {
        test: [
            row[f"rejects_{test}"]
            for key, row in keyed.iterrows()
            if size_known(*key, test) and not np.isnan(row[f"rejects_{test}"])
        ]
        for test in TESTS
    }
    numbers = {
        **{f"worst_{name}_where_assumptions_hold": values.min() for name, values in columns.items()},
        **{f"highest_{name}_where_assumptions_hold": values.max() for name, values in columns.items()},
        "largest_bias_where_assumptions_hold": held["bias"].abs().max(),
        **{f"size_{test}_highest": max(values) for test, values in sizes.items() if values},
        **{f"size_{test}_lowest": min(values) for test, values in sizes.items() if values},
        "dip_bias": keyed["bias"].get(("dip", "did_none"), np.nan),
        "dip_found": keyed["rejects_lagged_outcome"].get(("dip", "did_none"), np.nan),
        "two_way_bias_staggered": keyed["bias"].get(("staggered", "two_way"), np.nan),
    }
    return {
        "districts": int(table["n"].max()), "pairs_held": len(held), "pairs_outside_93_97": len(outside),
        "outside": [f"{r.setting}/{r.estimator} {r.coverage:.3f}" for r in outside.itertuples()],
        **{key: round(float(value), 4) for key, value in numbers.items() if not np.isnan(value)},
        "seconds": round(seconds, 1),
    }  # fmt: skip


def main() -> None:
    parser = arguments(__doc__, TERM_WORLDS, SEEDS)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    started = time.perf_counter()
    seeds = range(given.first, given.first + given.seeds)
    rows = districts(given.settings.split(","), seeds, given.rows, chunk, ROWS, given.processes)
    table = summarise(rows)
    print(table.drop(columns=["bias_mc"]).to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    if given.table:
        write_terms_tables(given.table, table)
    print(json.dumps(headline(table, time.perf_counter() - started)))


if __name__ == "__main__":
    main()
