"""Missing answers, absence that depends on exposure, and doses: what imputation, Lee's bounds and curves survive.

``python bench_answers.py [SEEDS] [--settings a,b] [--first SEED] [--table FILE] [--rows FILE]``. Which assumptions hold
where is declared in :data:`BROKEN`, before anything is drawn; ``--table`` rewrites the measured part of
``docs/operating-characteristics-answers.md``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from bench_truth import arguments, truths
from operating_table import BEGIN, END
from scipy import stats
from simulated_answers import (
    ABSENCE,
    draw_absence,
    draw_doses,
    draw_presence,
    draw_terms,
    effect_of_minutes,
    effect_of_visits,
)
from simulated_districts import COVARIATES
from threadpoolctl import threadpool_limits

from cobench import effects
from cobench.effects.adjust import Errors, fit_regress
from cobench.effects.aipw import answer_aipw
from cobench.effects.answers import Answer, row_of
from cobench.effects.bounds import lee_bounds
from cobench.effects.dose import DoseFit, fit_dose
from cobench.effects.imputation import Imputed, impute
from cobench.effects.pooling import Pooled, pooled_fit
from cobench.effects.sample import Sample, take_sample
from cobench.effects.support import restrict_to_support
from cobench.errors import NotEstimableError

SEEDS, IMPUTATIONS, ITERATIONS, DRAWS = 500, 20, 5, 1999
ROWS = ["setting", "estimator", "seed", "status", "estimate", "std_error", "truth", "covered", "width"]
OTHERS = {
    "lee": "Lee's bounds, whole schools by lot: the truth lies between the bounds",
    "lee_edge": "Lee's bounds where the truth is the upper bound itself",
    "dose": "Visits and minutes by need and by school, 30 schools",
    "dose_terms": "Four terms, visits from different terms on, a lasting cause that nobody measured",
    "dose_carry": "The same, and visits last into the next term",
}
SETTINGS = {name: title for name, (_, title) in ABSENCE.items()} | OTHERS
OF_REGRESS = ["whole_regress", "complete_regress", "mi_regress"]
TRIED = {
    "mcar": OF_REGRESS,
    "mar": OF_REGRESS,
    "mar_school": [
        *OF_REGRESS, "single_level_regress", "whole_aipw", "complete_aipw", "mi_aipw", "single_level_aipw",
    ],
    "mar_few": [*OF_REGRESS, "mi_regress_df"],
    "mnar": OF_REGRESS,
    "lee": ["difference", "lee", "lee_cells"],
    "lee_edge": ["difference", "lee", "lee_cells"],
    "dose": [
        "bins_point", "bins_band", "line_point", "spline_band", "bins_no_schools", "bins_rows", "kinds_point",
    ],
    "dose_terms": ["terms_band", "terms_point", "terms_no_students"],
    "dose_carry": ["terms_point"],
}  # fmt: skip
NAMES = {
    "whole_regress": "`regress`, had nothing been missing",
    "whole_aipw": "`aipw`, had nothing been missing",
    "mi_regress_df": "`regress`, imputed with schools, df as if nothing were missing",
    "complete_regress": "`regress`, complete cases",
    "mi_regress": "`regress`, imputed with schools",
    "single_level_regress": "`regress`, imputed without schools",
    "complete_aipw": "`aipw`, complete cases",
    "mi_aipw": "`aipw`, imputed with schools",
    "single_level_aipw": "`aipw`, imputed without schools",
    "difference": "`difference` of those present",
    "lee": "`lee_bounds`",
    "lee_cells": "`lee_bounds`, tightened by cells",
    "bins_point": "`dose_response`, steps: 2 visits",
    "bins_band": "`dose_response`, steps: whole band",
    "line_point": "`dose_response`, line: 2 visits",
    "spline_band": "`dose_response`, spline of minutes: whole band",
    "bins_no_schools": "`dose_response`, steps, no school effects: 2 visits",
    "bins_rows": "`dose_response`, steps, no cluster declared: 2 visits",
    "kinds_point": "`dose_response`, visits and calls together: 2 visits",
    "terms_band": "`dose_response`, student and term effects: whole band",
    "terms_point": "`dose_response`, student and term effects: 2 visits",
    "terms_no_students": "`dose_response`, term effects only: 2 visits",
}
BROKEN = {
    **{
        (name, each): "absence"
        for name in ("mar", "mar_school", "mar_few")
        for each in TRIED[name]
        if each.startswith("complete")
    },
    **{("mar_school", each): "level" for each in TRIED["mar_school"] if each.startswith("single")},
    **{("mnar", each): "itself" for each in TRIED["mnar"] if not each.startswith("whole")},
    **{(name, "difference"): "presence" for name in ("lee", "lee_edge")},
    ("dose", "line_point"): "form",
    ("dose", "bins_no_schools"): "across",
    ("dose", "bins_rows"): "clusters",
    ("dose_terms", "terms_no_students"): "across",
    ("dose_carry", "terms_point"): "carry",
}  # fmt: skip
REASONS = {
    "absence": "absence depends on what the analysis doesn't hold",
    "level": "imputation that doesn't know schools",
    "itself": "absence depends on the outcome itself",
    "presence": "exposure decides who is present",
    "form": "the curve isn't a line",
    "across": "schools (students) that are visited more and differ in the outcome",
    "clusters": "schoolmates share how much visits do",
    "carry": "visits last into the next term",
}
# An interval for a truth between two bounds covers it too often; that is what it is for. Barnard and Rubin's degrees of
# freedom lose clusters where rows are missing, although none is lost: with 10 schools they halve 8 to 4.
CONSERVATIVE = (("lee", "lee"), ("lee", "lee_cells"), ("mar_few", "mi_regress"))


def one_district(setting: str, seed: int, estimators: list[str] | None = None) -> list[dict]:
    """Rows (columns :data:`ROWS`) of one district."""
    makers: dict[str, Callable[[int], dict[str, Callable[[], dict]]]] = {
        **{name: partial(_absence, name) for name in ABSENCE},
        "lee": partial(_presence, False),
        "lee_edge": partial(_presence, True),
        "dose": _doses,
        "dose_terms": partial(_terms, 0.0),
        "dose_carry": partial(_terms, 0.8),
    }
    tried = makers[setting](seed)
    start = {"setting": setting, "seed": seed}
    return [start | {"estimator": each} | tried[each]() for each in estimators or TRIED[setting]]


def _absence(name: str, seed: int) -> dict[str, Callable[[], dict]]:
    whole, known = draw_absence(name, seed)
    truth = {"regress": _truth_of(whole, "regress"), "aipw": _truth_of(whole, "aipw")}

    @cache
    def imputed(two_level: bool) -> Imputed:
        return impute(
            known, ["score", "lagged", "quiz"], given=["visit", "left_behind", "poor", "engagement", "sex"],
            cluster="school" if two_level else None, products=[("visit", "lagged"), ("visit", "quiz")],
            n_imputations=IMPUTATIONS, n_iterations=ITERATIONS, seed=seed,
        )  # fmt: skip

    @cache
    def pooled(two_level: bool, estimator: Callable[[pd.DataFrame], pd.DataFrame]) -> Pooled:
        return pooled_fit(imputed(two_level), estimator)

    tried = {}
    for label, estimator in (("regress", _regress), ("aipw", _aipw)):
        tried[f"whole_{label}"] = lambda e=estimator, t=truth[label]: _row(e(whole), t)
        tried[f"complete_{label}"] = lambda e=estimator, t=truth[label]: _row(e(known), t)
        for two_level, start in ((True, "mi"), (False, "single_level")):
            tried[f"{start}_{label}"] = lambda e=estimator, t=truth[label], two=two_level: _row(
                pooled(two, e).estimates, t
            )
    tried["mi_regress_df"] = lambda: _row(_with_complete_df(pooled(True, _regress)), truth["regress"])
    return tried


def _with_complete_df(found: Pooled) -> pd.DataFrame:
    """Pooled rows with the df of complete data, to tell what Barnard and Rubin's do to intervals."""
    rows = found.estimates
    half = stats.t.ppf(0.975, found.information["df_complete"].to_numpy()) * rows["std_error"]
    return rows.assign(conf_low=rows["estimate"] - half, conf_high=rows["estimate"] + half)


def _regress(frame: pd.DataFrame) -> pd.DataFrame:
    sample = _sample(frame)
    return _estimates(fit_regress(sample, Errors(), "variance_weighted"), "regress")


def _aipw(frame: pd.DataFrame) -> pd.DataFrame:
    return _estimates(answer_aipw(_sample(frame), "ATT", n_repeats=1), "aipw")


def _sample(frame: pd.DataFrame) -> Sample:
    return take_sample(
        frame, outcome="score", treatment="visit", level="1", reference="0", covariates=COVARIATES, within=["school"],
        cluster="school",
    )  # fmt: skip


def _estimates(answer: Answer, method: str) -> pd.DataFrame:
    """What ``effects.regress`` and ``effects.aipw`` return, without the checks that take most of their time."""
    half = stats.t.ppf(0.975, answer.precision.df) * answer.precision.std_error
    row = row_of(answer, method) | {
        "conf_low": answer.estimate - half, "conf_high": answer.estimate + half, "conf_level": 0.95,
        "population": "all", "role": "exploratory", "evidence": "adjusted_association",
    }  # fmt: skip
    texts = dict.fromkeys(("study", "term", "subgroup", "spec_id"), "")
    return pd.DataFrame([texts | row]).reindex(columns=list(effects.COLUMNS))


def _truth_of(whole: pd.DataFrame, estimator: str) -> float:
    def on_support(*cells: str) -> float:
        try:
            sample = take_sample(
                whole, outcome="score", treatment="visit", level="1", reference="0", covariates=COVARIATES,
                within=cells, extra=["gain"],
            )  # fmt: skip
            kept, _ = restrict_to_support(sample, "ATT")
        except NotEstimableError:
            return float("nan")
        return float(kept.extra[kept.d == 1, 0].mean())

    return truths(estimator, whole, ["school"], on_support)["truth"]


def _presence(edge: bool, seed: int) -> dict[str, Callable[[], dict]]:
    frame, truth = draw_presence(seed, edge)
    bounds = partial(lee_bounds, frame, "score", "visit", cluster="school")
    return {
        "difference": lambda: _row(effects.difference(frame, "score", "visit", cluster="school"), truth),
        "lee": lambda: _row(bounds().iloc[[1]], truth),
        "lee_cells": lambda: _row(bounds(covariates=["flag"]).iloc[[1]], truth),
    }


def _doses(seed: int) -> dict[str, Callable[[], dict]]:
    frame = draw_doses(seed)
    of = partial(
        fit_dose,
        frame,
        "score",
        covariates=["lagged"],
        fixed_effects=["school"],
        cluster="school",
        n_draws=DRAWS,
    )
    return {
        "bins_point": lambda: _point(of("visits"), frame),
        "bins_band": lambda: _band(of("visits"), frame, "visits", effect_of_visits),
        "line_point": lambda: _point(of("visits", shape="linear", at=[2]), frame),
        "spline_band": lambda: _band(
            fit_dose(frame, "score_by_minutes", "minutes", ["lagged"], ["school"], "school", n_draws=DRAWS),
            frame, "minutes", effect_of_minutes,
        ),
        "bins_no_schools": lambda: _point(
            fit_dose(frame, "score", "visits", ["lagged"], cluster="school", n_draws=DRAWS), frame
        ),
        "bins_rows": lambda: _point(
            fit_dose(frame, "score", "visits", ["lagged"], ["school"], n_draws=DRAWS), frame
        ),
        "kinds_point": lambda: _point(of(["visits", "phone"]), frame),
    }  # fmt: skip


def _terms(carry_over: float, seed: int) -> dict[str, Callable[[], dict]]:
    frame = draw_terms(seed, carry_over)
    fit = partial(fit_dose, frame, "score", "visits", cluster="school", n_draws=DRAWS)
    return {
        "terms_band": lambda: _band(
            fit(fixed_effects=["student", "term"]), frame, "visits", effect_of_visits
        ),
        "terms_point": lambda: _point(fit(fixed_effects=["student", "term"]), frame),
        "terms_no_students": lambda: _point(fit(fixed_effects=["term"]), frame),
    }


def _row(estimates: pd.DataFrame, truth: float) -> dict:
    row = estimates.iloc[0]
    covered = row["conf_low"] <= truth <= row["conf_high"] if row["status"] == "ok" else np.nan
    kept = row[["status", "estimate", "std_error"]].to_dict()
    return kept | {"truth": truth, "covered": covered, "width": row["conf_high"] - row["conf_low"]}


def _point(fit: DoseFit, frame: pd.DataFrame, at: float = 2.0) -> dict:
    row = fit.curve[(fit.curve["dose"] == "visits") & (fit.curve["at"] == at)].iloc[0]
    truth = float(effect_of_visits(np.array(at)))
    return {
        "status": "ok", "estimate": row["estimate"], "std_error": row["std_error"], "truth": truth,
        "covered": row["conf_low"] <= truth <= row["conf_high"], "width": row["conf_high"] - row["conf_low"],
    }  # fmt: skip


def _band(fit: DoseFit, frame: pd.DataFrame, name: str, effect: Callable[[np.ndarray], np.ndarray]) -> dict:
    """Whether the whole band holds the curve; the truth of a step is the mean over its students."""
    curve = fit.curve
    dose = frame[name].to_numpy()
    if curve["contrast"].str.contains("-").any() or len(fit.knots[name]) == len(curve):
        edges = np.array([*fit.knots[name], np.inf])
        truth = [
            effect(dose[(dose >= low) & (dose < high)]).mean()
            for low, high in zip(edges[:-1], edges[1:], strict=True)
        ]
    else:
        truth = effect(curve["at"].to_numpy())
    inside = (curve["band_low"] <= truth) & (truth <= curve["band_high"])
    last = curve.iloc[-1]
    return {
        "status": "ok", "estimate": last["estimate"], "std_error": last["std_error"], "truth": float(np.asarray(truth)[-1]),
        "covered": bool(inside.all()), "width": (curve["band_high"] - curve["band_low"]).mean(),
    }  # fmt: skip


def districts(settings: list[str], seeds: range, kept: Path | None = None) -> pd.DataFrame:
    """Rows of all districts; progress on the error stream. What ``kept`` (CSV) holds isn't computed again."""
    rows = pd.read_csv(kept) if kept and kept.exists() else pd.DataFrame(columns=ROWS)
    have = set(zip(rows["setting"], rows["seed"], strict=True))
    jobs = [(setting, seed) for seed in seeds for setting in settings if (setting, seed) not in have]
    parts, started = [rows], time.perf_counter()
    with threadpool_limits(1):
        for done, job in enumerate(jobs, start=1):
            parts.append(pd.DataFrame(one_district(*job), columns=ROWS))
            if kept:
                parts[-1].to_csv(kept, mode="a", header=not kept.exists(), index=False)
            left = (time.perf_counter() - started) / done * (len(jobs) - done)
            print(f"\r{done}/{len(jobs)} districts, about {left / 60:.1f} min left ", end="", file=sys.stderr)
    print(file=sys.stderr)
    rows = pd.concat([part for part in parts if len(part)], ignore_index=True)
    return rows[rows["setting"].isin(settings) & rows["seed"].isin(seeds)]


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a setting and estimator: districts and answers, bias and its error, spread, mean SE, coverage, width."""
    found = []
    for (setting, estimator), part in rows.groupby(["setting", "estimator"], sort=False):
        ok = part[part["status"] == "ok"]
        error = (ok["estimate"] - ok["truth"]).astype("float64")
        found.append(
            {
                "setting": setting, "estimator": estimator, "broken": BROKEN.get((setting, estimator), ""), "n": len(part),
                "answered": len(ok), "bias": error.mean(), "bias_mc": error.std() / np.sqrt(max(len(ok), 1)),
                "spread": error.std(), "std_error": ok["std_error"].mean(),
                "coverage": ok["covered"].astype("float64").mean(), "width": ok["width"].mean(),
            }
        )  # fmt: skip
    return pd.DataFrame(found)


def tables(summary: pd.DataFrame) -> str:
    """Markdown, a heading and a table a setting."""
    parts = []
    for setting, title in SETTINGS.items():
        own = summary[summary["setting"] == setting].set_index("estimator")
        if own.empty:
            continue
        lines = [
            f"### `{setting}`: {title}", "", f"{own['n'].max()} districts.", "",
            "| estimator | assumption that fails | answered, % | bias | spread of errors | mean SE | coverage, % | width |",
            "|---|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        lines += [_line(setting, own.loc[each]) for each in TRIED[setting] if each in own.index]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _line(setting: str, row: pd.Series) -> str:
    is_off = is_outside(setting, row.name, row["broken"], row["coverage"])
    return (
        f"| {NAMES[row.name]} | {REASONS.get(row['broken'], 'none')} | {100 * row['answered'] / row['n']:.1f} "
        f"| {row['bias']:.3f} ± {row['bias_mc']:.3f} | {row['spread']:.3f} | {row['std_error']:.3f} "
        f"| {100 * row['coverage']:.1f}{' (!)' if is_off else ''} | {row['width']:.3f} |"
    )


def is_outside(setting: str, estimator: str, broken: str, coverage: float) -> bool:
    """Whether a coverage is outside 93-97 % although the assumptions were declared to hold."""
    if broken:
        return False
    return coverage < 0.93 or (coverage > 0.97 and (setting, estimator) not in CONSERVATIVE)


def headline(summary: pd.DataFrame, seconds: float) -> dict:
    """The figures to watch."""
    held = summary[summary["broken"] == ""]
    exact = held[[pair not in CONSERVATIVE for pair in zip(held["setting"], held["estimator"], strict=True)]]
    off = [
        row for row in held.itertuples() if is_outside(row.setting, row.estimator, row.broken, row.coverage)
    ]
    imputed = held[held["estimator"].str.startswith("mi_")]
    return {
        "districts": int(summary["n"].max()), "pairs_held": len(held), "pairs_outside_93_97": len(off),
        "outside": [f"{row.setting}/{row.estimator} {row.coverage:.3f}" for row in off],
        "worst_coverage_where_assumptions_hold": round(float(exact["coverage"].min()), 4),
        "highest_coverage_where_assumptions_hold": round(float(exact["coverage"].max()), 4),
        "largest_bias_imputed": round(float(imputed["bias"].abs().max()), 4) if len(imputed) else None,
        "seconds": round(seconds, 1),
    }  # fmt: skip


def main() -> None:
    parser = arguments(__doc__, SETTINGS, SEEDS)
    given = parser.parse_args()
    started = time.perf_counter()
    rows = districts(given.settings.split(","), range(given.first, given.first + given.seeds), given.rows)
    summary = summarise(rows)
    print(summary.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    if given.table:
        text = given.table.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        given.table.write_text(f"{before}{BEGIN}\n\n{tables(summary)}\n\n{END}{after}", encoding="utf-8")
    print(json.dumps(headline(summary, time.perf_counter() - started)))


if __name__ == "__main__":
    main()
