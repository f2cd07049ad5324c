"""What changed between two terms: data revised, specification changed, or the world."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cobench.declared import Text
from cobench.run.verify import published
from cobench.run.words import phrase
from cobench.study import Study

QUESTION = ["treatment", "contrast", "outcome", "population", "subgroup", "at", "estimand", "method"]
CAUSES = ("specification", "data", "world", "none", "unknown")


@dataclass(frozen=True)
class Difference:
    """Two terms side by side.

    ``rows`` has one row a declared effect of either term with ``estimate_1``, ``estimate_2``, ``change`` with its
    interval, and ``cause``: ``specification``, ``data``, ``world``, ``none`` (too small to tell from chance) or
    ``unknown`` (in one term only). ``notes`` say what went into the runs.
    """

    rows: pd.DataFrame
    notes: tuple[Text, ...]


def diff_terms(study: Study, first: str, second: str) -> Difference:
    """Compare the published estimates of two terms.

    Raises
    ------
    RunError
        When either has no published reports.
    """
    folders = [study.root / "reports" / term for term in (first, second)]
    runs = [published(folder, term) for folder, term in zip(folders, (first, second), strict=True)]
    frames = [pd.read_parquet(folder / "estimates.parquet") for folder in folders]
    revised = revised_files(*runs)
    notes = []
    if revised:
        notes.append(phrase("diff.revised", n=len(revised), names=", ".join(revised[:5])))
    if runs[0]["settings"] != runs[1]["settings"]:
        names = sorted(
            name
            for name in {*runs[0]["settings"], *runs[1]["settings"]}
            if runs[0]["settings"].get(name) != runs[1]["settings"].get(name)
        )
        notes.append(phrase("diff.settings", names=", ".join(names)))
    if runs[0]["versions"] != runs[1]["versions"]:
        notes.append(phrase("diff.software"))
    return Difference(compare_terms(*frames, revised=bool(revised)), tuple(notes))


def revised_files(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Raw files that the earlier run used and the later one has with other content, or not at all."""
    then, now = first["raw_files"], second["raw_files"]
    return sorted(name for name in then if now.get(name) != then[name])


def compare_terms(first: pd.DataFrame, second: pd.DataFrame, *, revised: bool) -> pd.DataFrame:
    """Rows of two terms that answer the same declared question, and why they differ.

    The change of two estimates has the error sqrt(SE1² + SE2²), which takes the terms for independent; where the same
    children are in both it is too wide or too narrow by their correlation, so it is a guide and no test. Among many
    changes some pass for real by chance: a cause is named where Holm's correction over all of them leaves it.
    """
    kept = []
    for frame in (first, second):
        own = frame[frame["role"] != "robustness"].assign(
            **{name: frame[name].astype(str) for name in QUESTION if name in frame}
        )
        kept.append(own.drop_duplicates(QUESTION)[[*QUESTION, "estimate", "std_error", "spec_id"]])
    both = kept[0].merge(
        kept[1], on=QUESTION, how="outer", suffixes=("_1", "_2"), validate="1:1", indicator=True
    )
    change = both["estimate_2"] - both["estimate_1"]
    error = np.sqrt(both["std_error_1"] ** 2 + both["std_error_2"] ** 2)
    low, high = change - 1.96 * error, change + 1.96 * error
    answered = change.notna()
    moved = _told_from_chance(change / error)
    cause = np.select(
        [
            ~answered,
            (both["spec_id_1"] != both["spec_id_2"]),
            ~moved,
            pd.Series(revised, index=both.index),
        ],
        ["unknown", "specification", "none", "data"],
        "world",
    )
    return both.assign(change=change, conf_low=low, conf_high=high, cause=cause).drop(columns="_merge")


def _told_from_chance(ratio: pd.Series) -> pd.Series:
    """Which changes, in errors, are not chance at 5 % over all of them (Holm)."""
    from scipy import stats

    p = pd.Series(2 * stats.norm.sf(ratio.abs()), index=ratio.index).dropna().sort_values()
    levels = 0.05 / np.arange(len(p), 0, -1)
    passed = (p.to_numpy() <= levels).cumprod().astype(bool)
    return pd.Series(passed, index=p.index).reindex(ratio.index, fill_value=False)


def told(difference: Difference, language: str) -> list[str]:
    """Lines for a terminal."""
    lines = [note[language] for note in difference.notes]
    for cause in CAUSES:
        rows = difference.rows[difference.rows["cause"] == cause]
        if not len(rows):
            continue
        lines.append(phrase(f"diff.{cause}", n=len(rows))[language])
        for row in rows.itertuples():
            whose = [
                each for each in (row.subgroup, row.population) if each not in ("", "all", "None", "nan")
            ]
            name = " · ".join([row.treatment, row.contrast, row.outcome, *whose, row.method])
            lines.append(f"  {name}: {_shown(row.estimate_1)} → {_shown(row.estimate_2)}{_interval(row)}")
    return lines


def _shown(value: float) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def _interval(row: Any) -> str:
    if math.isnan(row.change):
        return ""
    return f"  ({row.change:+.3f}, {row.conf_low:+.3f} … {row.conf_high:+.3f})"
