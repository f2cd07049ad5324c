"""Does value added hold what it says? ``python bench_value_added.py [DISTRICTS]``; the last line is JSON.

Simulated districts whose schools' true effects are known (:data:`WORLDS`), with and without true differences, and priors
measured with and without error. ``any_called``: share of districts where some school gets a verdict; ``coverage``: share of
schools whose shrunken interval holds the truth, averaged over districts; ``power``: share of schools, of those whose
effect is at least one SD of schools from zero, that get the right verdict; ``wrong``: share of districts with a verdict
of the wrong sign. Measured figures are written into ``docs/operating-characteristics-value-added.md``.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from cobench.monitor.value_added import value_added

DISTRICTS, CHUNK = 500, 10
FIRST = 1001  # the districts before it were looked at while the rule for verdicts was chosen
PAGE = Path(__file__).resolve().parent.parent / "docs" / "operating-characteristics-value-added.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
LOW, HIGH, MOST_CALLED = 0.93, 0.97, 0.05
SLOPE, INTAKE, SCHOOLS, LEAST, MOST = 0.7, 0.5, 30, 40, 120


@dataclass(frozen=True)
class World:
    """``school_sd`` in SD of the outcome; ``reliability`` of the prior over the district; ``corrected``: is it given?"""

    title: str
    school_sd: float
    reliability: float = 1.0
    corrected: bool = False


WORLDS = {
    "none": World("no true differences, prior without error", 0.0),
    "none_error": World("no true differences, prior of reliability 0.8, corrected", 0.0, 0.8, True),
    "none_uncorrected": World("no true differences, prior of reliability 0.8, not corrected", 0.0, 0.8),
    "small": World("school SD 0.1, prior without error", 0.1),
    "small_error": World("school SD 0.1, prior of reliability 0.8, corrected", 0.1, 0.8, True),
    "small_uncorrected": World("school SD 0.1, prior of reliability 0.8, not corrected", 0.1, 0.8),
    "large_error": World("school SD 0.2, prior of reliability 0.8, corrected", 0.2, 0.8, True),
}
CLAIMED = [name for name in WORLDS if not name.endswith("uncorrected")]


def draw_district(world: World, seed: list[int]) -> tuple[pd.DataFrame, np.ndarray]:
    """A district of 30 schools with 40 to 120 students, a quarter of whose prior lies between schools; true effects."""
    draw = np.random.default_rng(seed)
    school = np.repeat(np.arange(SCHOOLS), draw.integers(LEAST, MOST + 1, SCHOOLS))
    n = len(school)
    true = draw.normal(0, INTAKE, SCHOOLS)[school] + draw.normal(0, np.sqrt(1 - INTAKE**2), n)
    effect = draw.normal(0, world.school_sd, SCHOOLS)
    score = SLOPE * true + effect[school] + draw.normal(0, np.sqrt(1 - SLOPE**2), n)
    noise = draw.normal(0, true.std() * np.sqrt(1 / world.reliability - 1), n)
    frame = pd.DataFrame({"score": score, "prior": true + noise, "school": school})
    return frame, effect / frame["score"].std()


def one_district(name: str, seed: int) -> dict[str, object]:
    """What is claimed of one district, beside its truth."""
    world = WORLDS[name]
    truth_of = name.removesuffix("_uncorrected") + ("_error" if name.endswith("uncorrected") else "")
    frame, truth = draw_district(world, [sorted(WORLDS).index(truth_of), seed])
    given = {"reliability": {"prior": world.reliability}} if world.corrected else {}
    rows = value_added(frame, "score", ["prior"], common=["score", "prior"], **given).set_index("school")
    told = rows["std_error"].notna()
    held = (rows["conf_low"] <= truth) & (rows["conf_high"] >= truth)
    side = rows["verdict"].map({"above": 1, "below": -1, "not_distinguishable": 0}).to_numpy()
    far = np.abs(truth) >= world.school_sd / frame["score"].std()
    right = (side == np.sign(truth)) & (truth != 0)
    return {
        "world": name, "answered": float(told.all()), "coverage": held[told].mean() if told.any() else np.nan,
        "any_called": float((side != 0).any()), "power": right[far].mean() if world.school_sd else np.nan,
        "power_all": right.mean() if world.school_sd else np.nan, "wrong": float(((side != 0) & ~right).any()),
        "error": float(np.sqrt(np.mean((rows["estimate"] - truth) ** 2))),
        "width": float((rows["difference_high"] - rows["difference_low"]).mean() / 2),
    }  # fmt: skip


def _many(task: tuple[str, range]) -> list[dict[str, object]]:
    with threadpool_limits(1):
        return [one_district(task[0], seed) for seed in task[1]]


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Means a world, with ``districts``."""
    found = rows.groupby("world", sort=False).mean(numeric_only=True)
    return found.assign(districts=rows.groupby("world", sort=False).size())


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Put the measured part between the two marks of the page."""
    lines = [
        "",
        f"{int(table['districts'].max())} districts a setting, from number {FIRST:,} on: earlier ones were looked at while the rule "
        "for verdicts was chosen, these were not.",
        "",
        "| setting | interval given, % of districts | coverage over schools, % | any school called different, % of districts "
        "| called, of schools beyond one SD, % | called, of all schools, % | wrong verdict, % of districts "
        "| error of estimates (RMSE) | half width of simultaneous bounds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, row in table.iterrows():
        power = ["–" if np.isnan(row[each]) else f"{100 * row[each]:.1f}" for each in ("power", "power_all")]
        coverage = f"{100 * row['coverage']:.1f}"
        lines.append(
            f"| {WORLDS[name].title} | {100 * row['answered']:.1f} | {coverage} | {100 * row['any_called']:.1f} "
            f"| {power[0]} | {power[1]} | {100 * row['wrong']:.1f} | {row['error']:.3f} | {row['width']:.3f} |"
        )
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    measured = "\n".join([*lines, "", ""])
    path.write_text(f"{before}{BEGIN}\n{measured}{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("districts", nargs="?", type=int, default=DISTRICTS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--no-page", action="store_true")
    given = parser.parse_args()
    began = time.perf_counter()
    tasks = [
        (name, range(first, min(first + CHUNK, FIRST + given.districts)))
        for name in WORLDS
        for first in range(FIRST, FIRST + given.districts, CHUNK)
    ]
    with ProcessPoolExecutor(given.processes) as pool:
        rows = pd.DataFrame([row for part in pool.map(_many, tasks) for row in part])
    table = summarise(rows)
    print(table.round(4).to_string())
    if not given.no_page:
        write_table(PAGE, table)
    claimed = table.loc[CLAIMED]
    with_truth = claimed[[WORLDS[name].school_sd > 0 for name in claimed.index]]
    found = {
        "districts": given.districts,
        "coverage": with_truth["coverage"].to_dict(),
        "any_called_without_differences": table.loc[
            [name for name in table.index if WORLDS[name].school_sd == 0], "any_called"
        ].to_dict(),
        "power_at_0.1": {name: table.loc[name, "power"] for name in ("small", "small_error")},
        "power_at_0.1_all": {name: table.loc[name, "power_all"] for name in ("small", "small_error")},
        "inside": bool(
            with_truth["coverage"].between(LOW, HIGH).all()
            and (claimed.loc[["none", "none_error"], "any_called"] <= MOST_CALLED).all()
        ),
        "seconds": time.perf_counter() - began,
    }
    print(json.dumps(json.loads(json.dumps(found), parse_float=lambda each: round(float(each), 4))))


if __name__ == "__main__":
    main()
