"""The measured part of ``docs/operating-characteristics-terms.md``, written from the summary of ``bench_terms.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from operating_table import BEGIN, END, HIGH, LOW
from simulated_terms import TERM_WORLDS

NAMES = {
    "did_not_yet": "`did`, not-yet-exposed controls",
    "did_never": '`did`, `controls="never"`',
    "did_covariates": "`did`, doubly robust on the recorded need",
    "did_all_terms": '`did`, `students="all_terms"`',
    "did_uncorrected": '`did`, `se_type="IF"` (no correction for few clusters)',
    "did_none": '`did`, reversible, `carry_over="none"`',
    "did_one": "`did`, reversible, `carry_over=1`",
    "did_any": '`did`, reversible, `carry_over="any"`',
    "two_way": "two-way fixed effects (one coefficient)",
    "student_none": '`student_fixed_effects`, `carry_over="none"`',
    "student_one": "`student_fixed_effects`, `carry_over=1`",
    "lagged_adjustment": "`regress` on last term's score",
}
WHY = {
    "heterogeneity": "effects grow: those exposed earlier serve as controls",
    "trends_by_need": "trends depend on need, which is left out",
    "trends": "those who start were improving anyway",
    "no_controls": "nobody stays unexposed",
    "few": "few clusters: its error needs many",
    "carried": "a visit matters longer than declared",
    "dip": "last term's outcome decides who is visited",
}


def write_terms_tables(path: Path, table: pd.DataFrame) -> None:
    """Put the tables between the two marks of the document."""
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    parts = [_setting(setting, table[table["setting"] == setting]) for setting in TERM_WORLDS]
    measured = "\n\n".join(["", *(part for part in parts if part), ""])
    path.write_text(f"{before}{BEGIN}{measured}{END}{after}", encoding="utf-8")


def _setting(setting: str, own: pd.DataFrame) -> str:
    if own.empty:
        return ""
    lines = [
        f"### `{setting}`: {TERM_WORLDS[setting].title}",
        "",
        f"{own['n'].max()} districts.",
        "",
        "| estimator | assumption that fails | answered, % | truth | bias | spread of errors | mean SE | coverage, % "
        "| event study, pointwise, % | event study, bands, % | pre-trend test goes off, % (slope it finds) "
        "| lagged-outcome test, % | carry-over test, % | lead test, % |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_line(row) for row in own.to_dict("records"))])


def _line(row: dict) -> str:
    sound = row["broken"] == ""
    outside = sound and not np.isnan(row["coverage"]) and not LOW <= row["coverage"] <= HIGH
    slope = "" if np.isnan(row["slope"]) else f" ({row['slope']:.3f})"
    error = "" if np.isnan(row["bias_mc"]) else f" ± {row['bias_mc']:.3f}"
    cells = [
        NAMES[row["estimator"]], WHY.get(row["broken"], "none"), _percent(row["answered"] / row["n"]),
        _number(row["truth"]), _number(row["bias"]) + error, _number(row["spread"]), _number(row["std_error"]),
        _percent(row["coverage"]) + (" (!)" if outside else ""), _percent(row["pointwise"]),
        _percent(row["simultaneous"]), _percent(row["rejects_pre_trend"]) + slope,
        _percent(row["rejects_lagged_outcome"]), _percent(row["rejects_carry_over"]),
        _percent(row["rejects_strict_exogeneity"]),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.1f}"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}".replace("-0.000", "0.000")
