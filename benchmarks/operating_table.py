"""The measured part of ``docs/operating-characteristics.md``, written from the summary of ``bench_truth.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from simulated_districts import WORLDS

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
LOW, HIGH = 0.93, 0.97

ESTIMATORS = {
    "difference": "`difference`, CR2",
    "difference_permutation": "`difference`, permutation",
    "regress": "`regress`, CR2, school effects",
    "regress_cr1": "`regress`, CR1",
    "regress_wild": "`regress`, wild bootstrap",
    "regress_rows": "`regress`, HC2: no cluster declared",
    "regress_across": "`regress`, CR2, no school effects",
    "ipw": "`ipw`",
    "entropy_balance": "`entropy_balance`",
    "matching": "`matching`",
    "aipw": "`aipw`",
    "aipw_classes": "`aipw`, folds and errors by class within school",
    "aipw_across": "`aipw`, `within=()`",
    "complier_effect": "`complier_effect`",
    "complier_wald": '`complier_effect`, `interval="wald"`',
    "interactions": "`interactions`, 4 groups (test)",
    "romano_wolf": "Romano-Wolf, 4 outcomes (test)",
}
REASONS = {
    "selection": "any selection on students or schools",
    "clusters": "classmates who share a shock, as no cluster is declared",
    "few": "few clusters: its error needs many",
    "overlap": "weak overlap: a few comparison students carry the weight",
    "form": "an outcome that isn't linear in the covariates",
    "across": "schools (classes) that visit more and differ in the outcome",
    "within": "teachers who visit more because of what happens to their class, when schools are compared within",
    "unmeasured": "a cause of visits and outcome that nobody recorded",
    "weak": "a weak instrument",
    "exclusion": "an invitation that works by itself",
}
SETTINGS = {name: world.title for name, world in WORLDS.items()} | {
    "classes": f"{WORLDS['classes'].title}; compared within classes",
    "classes_by_school": f"{WORLDS['classes'].title}; compared within schools",
}


def write_tables(path: Path, table: pd.DataFrame) -> None:
    """Put the tables between the two marks of the document."""
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    measured = "\n\n".join(["", by_estimator(table), *by_setting(table), ""])
    path.write_text(f"{before}{BEGIN}{measured}{END}{after}", encoding="utf-8")


def by_estimator(table: pd.DataFrame) -> str:
    """One row an estimator: what it does where its assumptions hold, and what it can't survive."""
    rows = [
        "| estimator | settings where its assumptions were declared to hold | coverage there, % | largest bias there | size, % "
        "| what it cannot survive (coverage, % / bias measured) |",
        "|---|---|---|---|---|---|",
    ]
    for estimator, name in ESTIMATORS.items():
        own = table[table["estimator"] == estimator]
        if own.empty:
            continue
        held, lost = own[own["broken"] == ""], own[own["broken"] != ""]
        worst = held.loc[held["bias"].abs().idxmax(), "bias"] if held["bias"].notna().any() else np.nan
        rows.append(
            f"| {name} | {', '.join(held['setting']) or 'none'} | {_span(held['coverage'])} | {_number(worst)} "
            f"| {_span(held['size'])} | {_lost(lost)} |"
        )
    return "\n".join(rows)


def by_setting(table: pd.DataFrame) -> list[str]:
    """A heading and a table a setting."""
    parts = []
    for setting, title in SETTINGS.items():
        own = table[table["setting"] == setting].set_index("estimator")
        if own.empty:
            continue
        lines = [
            f"### `{setting}`: {title}",
            "",
            f"{own['n'].max()} districts.",
            "",
            "| estimator | assumption that fails | answered, % | bias | against ATT | spread of errors | mean SE "
            "| coverage, % | size, % |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        lines += [_line(own.loc[each], name) for each, name in ESTIMATORS.items() if each in own.index]
        parts.append("\n".join(lines))
    return parts


def _line(row: pd.Series, name: str) -> str:
    outside = row["broken"] == "" and not np.isnan(row["coverage"]) and not LOW <= row["coverage"] <= HIGH
    mark = " (!)" if outside else ""
    return (
        f"| {name} | {row['broken'] or 'none'} | {_percent(row['answered'] / row['n'])} "
        f"| {_number(row['bias'])}{_error(row['bias_mc'])} | {_number(row['beside_att'])} | {_number(row['spread'])} "
        f"| {_number(row['std_error'])} | {_percent(row['coverage'])}{mark} | {_percent(row['size'])} |"
    )


def _lost(lost: pd.DataFrame) -> str:
    parts = []
    for reason, rows in lost.groupby("broken", sort=False):
        measured = ", ".join(
            f"{row.setting} {_percent(row.coverage)} / {_number(row.bias)}" for row in rows.itertuples()
        )
        parts.append(f"{REASONS[reason]} ({measured})")
    return "; ".join(parts) or "nothing tried here"


def _span(values: pd.Series) -> str:
    values = values.dropna()
    if values.empty:
        return "–"
    low, high = _percent(values.min()), _percent(values.max())
    return low if low == high else f"{low}–{high}"


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.1f}"


def _number(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:.3f}".replace("-0.000", "0.000") if abs(value) < 10 else "beyond 10"


def _error(value: float) -> str:
    return "" if np.isnan(value) or value >= 10 else f" ± {value:.3f}"
