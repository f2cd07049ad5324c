"""Which estimators survive what? Simulated districts with a planted truth, every public estimator, used as its
defaults advise: bias, coverage of 95 % intervals, and size of tests.

``python bench_truth.py [SEEDS] [--settings a,b] [--first SEED] [--table FILE] [--rows FILE]``. Which estimator's
assumptions hold in which setting is declared in :data:`BROKEN`, before anything is drawn; ``--table`` rewrites the
measured part of ``docs/operating-characteristics.md``; with ``--rows`` a run that was cut short goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from operating_table import write_tables
from scipy import stats
from simulated_districts import COVARIATES, FAMILY, WORLDS, draw_district
from threadpoolctl import threadpool_limits

from cobench import effects
from cobench.effects.adjust import Errors, fit_regress
from cobench.effects.multiplicity import cluster_contributions, multiplier_draws, romano_wolf
from cobench.effects.sample import take_sample
from cobench.effects.support import restrict_to_support
from cobench.errors import NotEstimableError

SEEDS, PROCESSES, CHUNK = 500, 2, 10
WILD_DRAWS = 999
ROWS = [
    "setting", "estimator", "seed", "status", "estimate", "std_error", "conf_low", "conf_high", "p_value", "truth",
    "att",
]  # fmt: skip

# Setting: the world and the column that clusters, and the cells to compare within, are declared by.
SETTINGS = {name: (name, "school") for name in WORLDS} | {
    "classes": ("classes", "class_id"),
    "classes_by_school": ("classes", "school"),
}
OBSERVED = [
    "students", "schools", "classes", "classes_by_school", "twelve", "six", "overlap", "curve", "null", "null_twelve",
    "unmeasured",
]  # fmt: skip
BY_LOT = ["lot", "lot_twelve"]
INVITED = ["invitation", "weak_invitation", "invitation_acts"]
NULL = ["null", "null_twelve"]

REGRESSIONS = ["regress", "regress_cr1", "regress_wild", "regress_rows", "regress_across"]
MODELLED = ["ipw", "entropy_balance", "matching", "aipw", "aipw_classes", "aipw_across"]
TESTS = ["interactions", "romano_wolf"]


def estimators_of(setting: str) -> list[str]:
    """What is tried in a setting: not what would be the same as another there, nor errors where bias decides."""
    if setting in INVITED:
        return ["complier_effect", "complier_wald", "regress"]
    if setting in BY_LOT:
        return [
            "difference",
            "difference_permutation",
            *REGRESSIONS[:-1],
            "ipw",
            "entropy_balance",
            "matching",
            "aipw",
        ]
    if setting in ("curve", "overlap", "unmeasured", "classes_by_school"):
        return ["difference", "regress", "regress_across", *MODELLED]
    modelled = [each for each in MODELLED if not (each == "aipw_classes" and setting == "classes")]
    return ["difference", *REGRESSIONS, *modelled, *(TESTS if setting in NULL else [])]


def _broken() -> dict[tuple[str, str], str]:
    """Assumption that fails, by setting and estimator; what isn't here is claimed to hold.

    Declared before measuring. Keys of the reasons are worded in ``operating_table.py``.
    """
    broken = {(setting, "difference"): "selection" for setting in OBSERVED}
    broken |= {(setting, "regress_rows"): "clusters" for setting in OBSERVED + BY_LOT if setting != "classes"}
    few = ("twelve", "null_twelve", "six", "lot_twelve")
    broken |= {(setting, "regress_cr1"): "few" for setting in few}
    for setting in ("six", "lot_twelve"):
        broken |= {(setting, each): "few" for each in MODELLED if each != "aipw_classes"}
    broken |= {("overlap", each): "overlap" for each in ("ipw", "matching")}
    broken |= {("curve", each): "form" for each in REGRESSIONS}
    for setting in ("schools", "null", "classes"):
        broken |= {(setting, each): "across" for each in ("regress_across", "aipw_across")}
    broken |= {("classes_by_school", each): "within" for each in REGRESSIONS + MODELLED}
    broken |= {("unmeasured", each): "unmeasured" for each in REGRESSIONS + MODELLED}
    broken |= {(setting, "regress"): "unmeasured" for setting in INVITED}
    broken |= {("weak_invitation", "complier_wald"): "weak"}
    broken |= {("invitation_acts", each): "exclusion" for each in ("complier_effect", "complier_wald")}
    return broken


BROKEN = _broken()


def one_district(setting: str, seed: int, estimators: Sequence[str] | None = None) -> list[dict]:
    """Rows (columns :data:`ROWS`) of one district, of every estimator unless ``estimators`` are given."""
    world, place = SETTINGS[setting]
    frame = draw_district(WORLDS[world], [sorted(WORLDS).index(world), seed])
    found, on_support = [], cache(partial(_on_support, frame))
    for estimator in estimators or estimators_of(setting):
        row = {"setting": setting, "estimator": estimator, "seed": seed}
        if estimator in TESTS:
            found.append(row | {"status": "ok", "p_value": FAMILY_TESTS[estimator](frame, place)})
            continue
        cells = _cells(estimator, setting, place)
        answer = fit(estimator, frame, place, cells).iloc[0]
        kept = answer[["status", "estimate", "std_error", "conf_low", "conf_high", "p_value"]].to_dict()
        found.append(row | kept | truths(estimator, frame, cells, on_support))
    return found


def _cells(estimator: str, setting: str, place: str) -> list[str]:
    """What the estimator compares within."""
    across = estimator.startswith("difference") or estimator.endswith("_across") or setting in BY_LOT
    return [] if across else ["school"] if estimator == "aipw_classes" else [place]


def fit(estimator: str, frame: pd.DataFrame, place: str, cells: list[str]) -> pd.DataFrame:
    """The estimator as a user calls it; ``within`` is left to the default where that is the estimator's way."""
    of = partial(_call, frame=frame, outcome="score", treatment="visit")
    regress = partial(of, effects.regress, covariates=COVARIATES, fixed_effects=cells)
    complier = partial(
        of, effects.complier_effect, instrument="invited", covariates=COVARIATES, fixed_effects=cells, cluster=place
    )  # fmt: skip
    aipw = partial(of, effects.aipw, covariates=COVARIATES)
    calls: dict[str, Callable[[], pd.DataFrame]] = {
        "difference": partial(of, effects.difference, cluster=place),
        "difference_permutation": partial(
            of, effects.difference, cluster=place, se_type="permutation", n_draws=WILD_DRAWS
        ),
        "regress": partial(regress, cluster=place),
        "regress_cr1": partial(regress, cluster=place, se_type="CR1"),
        "regress_wild": partial(regress, cluster=place, se_type="wild", n_draws=WILD_DRAWS),
        "regress_rows": regress,
        "regress_across": partial(regress, cluster=place),
        "ipw": partial(of, effects.ipw, covariates=COVARIATES, cluster=place),
        "entropy_balance": partial(of, effects.entropy_balance, covariates=COVARIATES, cluster=place),
        "matching": partial(of, effects.matching, covariates=COVARIATES, cluster=place),
        "aipw": partial(aipw, cluster=place),
        "aipw_classes": partial(aipw, within=cells, cluster="class_id"),
        "aipw_across": partial(aipw, within=(), cluster=place),
        "complier_effect": complier,
        "complier_wald": partial(complier, interval="wald"),
    }
    return calls[estimator]()


def _call(function: Callable[..., pd.DataFrame], **arguments: object) -> pd.DataFrame:
    return function(**arguments)


def truths(
    estimator: str, frame: pd.DataFrame, cells: list[str], on_support: Callable[..., float]
) -> dict[str, float]:
    """``truth``, what the estimator says it estimates, and ``att``, the realised mean gain of the exposed.

    Regression's is the realised gain under its own weights; that of weighting and AIPW belongs to the exposed whom
    common support leaves.
    """
    d, gain = frame["visit"].to_numpy(), frame["gain"].to_numpy()
    att = float(gain[d == 1].mean())
    if "regress" in estimator:
        return {"truth": _variance_weighted(frame, cells), "att": att}
    if estimator in ("ipw", "entropy_balance") or estimator.startswith("aipw"):
        return {"truth": on_support(*cells), "att": att}
    return {"truth": att, "att": att}


def _variance_weighted(frame: pd.DataFrame, cells: list[str]) -> float:
    """Coefficient of the exposure when what exposure added is regressed as the outcome is."""
    parts = [frame[COVARIATES].assign(sex=frame["sex"] == "f").astype(float), pd.Series(1.0, frame.index)]
    parts += [pd.get_dummies(frame[cells[0]], drop_first=True, dtype=float)] if cells else []
    x, d = np.column_stack(parts), frame["visit"].to_numpy()
    swept = d - x @ np.linalg.lstsq(x, d, rcond=None)[0]
    return float(swept @ (d * frame["gain"]) / (swept @ d))


def _on_support(frame: pd.DataFrame, *cells: str) -> float:
    try:
        sample = take_sample(
            frame, outcome="score", treatment="visit", level="1", reference="0", covariates=COVARIATES, within=cells,
            extra=["gain"],
        )  # fmt: skip
        kept, _ = restrict_to_support(sample, "ATT")
    except NotEstimableError:
        return float("nan")
    return float(kept.extra[kept.d == 1, 0].mean())


def interaction_test(frame: pd.DataFrame, place: str) -> float:
    """p-value that the effect is the same in all four categories of two flags; without any effect it is."""
    kind = frame["left_behind"].astype(int).astype(str) + frame["poor"].astype(int).astype(str)
    found = effects.interactions(
        frame.assign(kind=kind), "score", "visit", "kind", ["lagged", "engagement", "sex"], [place], place
    )
    return float(found["p_value"].iloc[0])


def family_test(frame: pd.DataFrame, place: str) -> float:
    """Smallest Romano-Wolf p-value over four outcomes without any effect."""
    answers = [
        fit_regress(
            take_sample(
                frame, outcome=outcome, treatment="visit", level="1", reference="0", covariates=COVARIATES,
                within=[place], cluster=place,
            ),
            Errors(), "variance_weighted",
        )
        for outcome in FAMILY
    ]  # fmt: skip
    scores = pd.concat(
        [cluster_contributions(each, name) for each, name in zip(answers, FAMILY, strict=True)]
    )
    ratios = [abs(each.estimate) / each.precision.std_error for each in answers]
    p = 2 * stats.t.sf(ratios, [each.precision.df for each in answers])
    return float(romano_wolf(p, multiplier_draws(FAMILY, scores, WILD_DRAWS, 1)).min())


FAMILY_TESTS = {"interactions": interaction_test, "romano_wolf": family_test}


def districts(
    settings: list[str],
    seeds: range,
    kept: Path | None = None,
    chunk: Callable[[str, list[int]], list[dict]] | None = None,
    columns: Sequence[str] = ROWS,
    processes: int = PROCESSES,
) -> pd.DataFrame:
    """Rows of all districts; progress on the error stream. What ``kept`` (CSV) holds isn't computed again.

    ``chunk`` makes the rows (``columns``) of some districts of a setting: another benchmark's, in its own processes.
    """
    rows = (
        pd.read_csv(kept, keep_default_na=False, na_values=[""])
        if kept and kept.exists()
        else pd.DataFrame(columns=columns)
    )
    have = set(zip(rows["setting"], rows["seed"], strict=True))
    jobs = [
        (setting, [seed for seed in seeds[at : at + CHUNK] if (setting, seed) not in have])
        for at in range(0, len(seeds), CHUNK)
        for setting in settings
    ]
    jobs, parts, started = [job for job in jobs if job[1]], [rows], time.perf_counter()
    with ProcessPoolExecutor(processes, initializer=threadpool_limits, initargs=(1,)) as pool:
        waiting = [pool.submit(chunk or _chunk, *job) for job in jobs]
        for done, future in enumerate(as_completed(waiting), start=1):
            parts.append(pd.DataFrame(future.result(), columns=columns))
            if kept:
                parts[-1].to_csv(kept, mode="a", header=not kept.exists(), index=False)
            left = (time.perf_counter() - started) / done * (len(jobs) - done)
            print(f"\r{done}/{len(jobs)} batches, about {left / 60:.1f} min left ", end="", file=sys.stderr)
    print(file=sys.stderr)
    rows = pd.concat([part for part in parts if len(part)], ignore_index=True)
    rows = rows[rows["setting"].isin(settings) & rows["seed"].isin(seeds)]
    return rows.sort_values(["setting", "estimator", "seed"], ignore_index=True)


def _chunk(setting: str, seeds: list[int]) -> list[dict]:
    return [row for seed in seeds for row in one_district(setting, seed)]


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a setting and estimator.

    Returns
    -------
    DataFrame
        ``n`` districts and ``answered`` of them; ``truth`` (mean); ``bias`` (median for the instrument, which has no
        mean when weak) and its Monte-Carlo error ``bias_mc``; ``beside_att``: bias against the realised ATT;
        ``spread`` of the errors and mean ``std_error``; ``coverage`` and ``coverage_mc``; ``size``, the share of
        p-values below .05 where there is no effect; ``broken``: the assumption that fails, empty where all hold.
    """
    found = [_summary(*key, part) for key, part in rows.groupby(["setting", "estimator"], sort=False)]
    return pd.DataFrame(found)


def _summary(setting: str, estimator: str, part: pd.DataFrame) -> dict:
    ok = part[part["status"] == "ok"]
    n, error = len(ok), ok["estimate"] - ok["truth"]
    middle = pd.Series.median if estimator.startswith("complier") else pd.Series.mean
    covered = ((ok["conf_low"] <= ok["truth"]) & (ok["truth"] <= ok["conf_high"])).mean()
    is_test = estimator in TESTS
    null = setting in NULL
    size = float((ok["p_value"] < 0.05).mean()) if null and n else np.nan
    return {
        "setting": setting, "estimator": estimator, "broken": BROKEN.get((setting, estimator), ""), "n": len(part),
        "answered": n, "truth": ok["truth"].mean(), "bias": middle(error), "bias_mc": error.std() / np.sqrt(max(n, 1)),
        "beside_att": middle(ok["estimate"] - ok["att"]), "spread": error.std(), "std_error": ok["std_error"].mean(),
        "coverage": np.nan if is_test or not n else float(covered),
        "coverage_mc": np.sqrt(0.95 * 0.05 / n) if n else np.nan, "size": size,
    }  # fmt: skip


def headline(table: pd.DataFrame, seconds: float) -> dict:
    """The figures to watch."""
    held = table[(table["broken"] == "") & table["coverage"].notna()]
    outside = held[(held["coverage"] < 0.93) | (held["coverage"] > 0.97)]
    lost = table[(table["setting"] == "unmeasured") & (table["estimator"] != "difference")]["coverage"]
    sizes = table.loc[(table["broken"] == "") & table["size"].notna(), "size"]
    numbers = {
        "worst_coverage_where_assumptions_hold": held["coverage"].min(),
        "highest_coverage_where_assumptions_hold": held["coverage"].max(),
        "mean_coverage_where_assumptions_hold": held["coverage"].mean(),
        "largest_bias_where_assumptions_hold": held["bias"].abs().max(),
        "size_null": sizes.max(), "size_null_lowest": sizes.min(),
        "best_coverage_unmeasured": lost.max(),
    }  # fmt: skip
    rounded = {key: round(float(value), 4) for key, value in numbers.items() if not np.isnan(value)}
    return {
        "districts": int(table["n"].max()), "pairs_held": len(held), "pairs_outside_93_97": len(outside),
        "outside": [f"{r.setting}/{r.estimator} {r.coverage:.3f}" for r in outside.itertuples()],
        **rounded, "seconds": round(seconds, 1),
    }  # fmt: skip


def arguments(doc: str, settings: Iterable[str], seeds: int) -> argparse.ArgumentParser:
    """What every benchmark of simulated districts is asked by."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("seeds", nargs="?", type=int, default=seeds, help="districts of each kind")
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--settings", default=",".join(settings), help="comma-separated")
    parser.add_argument("--table", type=Path, help="document whose measured part is rewritten")
    parser.add_argument("--rows", type=Path, help="CSV of all estimates; a run goes on where it ends")
    return parser


def main() -> None:
    parser = arguments(__doc__, SETTINGS, SEEDS)
    given = parser.parse_args()
    started = time.perf_counter()
    rows = districts(given.settings.split(","), range(given.first, given.first + given.seeds), given.rows)
    table = summarise(rows)
    show = table.drop(columns=["bias_mc", "coverage_mc"])
    print(show.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    if given.table:
        write_tables(given.table, table)
    print(json.dumps(headline(table, time.perf_counter() - started)))


if __name__ == "__main__":
    main()
