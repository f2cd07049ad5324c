"""Figures of estimates: forest plot, love plot, effects over time or dose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from cobench.release.released import Released, require_released
from cobench.show.figure import Figure, draw, joined, require_groups, title_of
from cobench.show.fonts import ACCENT, FAINT, INK, MUTED, PAPER
from cobench.show.labels import Labels
from cobench.show.lines import stacked_parts, wrap
from cobench.show.paragraphs import holds
from cobench.show.sentences import detected, interval_limits, unit_word, with_unit
from cobench.show.spots import Spots, spots_of
from cobench.show.wording import MINUS, number, say

# Shape carries the evidence, its name stands beside it; filled where a cause may be claimed.
MARKERS = {
    "randomised": ("o", True),
    "quasi_experimental": ("s", True),
    "adjusted_association": ("o", False),
    "descriptive": ("D", False),
}
BEHIND = (
    "treatment", "contrast", "outcome", "subgroup", "population", "method", "at", "estimate", "std_error",
    "conf_low", "conf_high", "band_low", "band_high", "p_value", "p_adjusted", "effect_size", "n_obs", "n_treated", "evidence",
)  # fmt: skip
OTHER_MARKERS = ("^", "s", "x", "+")
VARYING = ("term", "contrast", "outcome", "subgroup", "population", "method")


def forest_plot(
    released: Released, *, language: str, labels: Labels, title: str | None = None, note: str | None = None
) -> Figure:
    """Estimates with their intervals, one a row, each with its evidence.

    Rows are named by what varies among them. Outcomes in different units are drawn as effect sizes where
    every row has one; the text beside each row keeps its own unit.

    Parameters
    ----------
    released : Released
        Rows of the frame of estimates, in the order in which they shall stand.
    """
    frame = require_groups(released, "n_obs").frame.reset_index(drop=True)
    parts = row_parts(frame, labels, language)
    rows = [
        _ForestRow(row, " · ".join(name), labels, language)
        for row, name in zip(_records(frame), parts, strict=True)
    ]
    scales, axis = _common_scale(rows, labels, language)
    shown = [row for row in rows if row.known]
    found = sum(holds(row.row) for row in shown)
    key = "figure.forest_title" if found else "figure.forest_title_none"
    slots = {"total": len(shown), **({"detected": found} if found else {})}
    title = title_of(title, released, say(key, language, **slots))
    wrapped = [stacked_parts(name, 34) for name in parts]
    heights = [
        0.23 + 0.16 * max(len(lines), 2 if row.known else 1) for lines, row in zip(wrapped, rows, strict=True)
    ]

    def paint(fig, ax) -> Spots:
        ax.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
        at = 0.0
        centres = []
        for row, scale, height in zip(rows, scales, heights, strict=True):
            centres.append(at + height / 2)
            row.paint(ax, at + height / 2, scale)
            at += height
            ax.axhline(at, color=FAINT, linewidth=0.6, zorder=0)
        ax.set_yticks(centres, ["\n".join(lines) for lines in wrapped], linespacing=1.25)
        ax.set_ylim(at, 0)
        ax.set_xlabel(axis)
        ax.spines["left"].set_visible(False)
        ax.margins(x=0.08)
        ax.xaxis.set_major_locator(_locator(6))
        values = (
            row.estimate * scale if row.known else None for row, scale in zip(rows, scales, strict=True)
        )
        return spots_of(ax, "y", zip(values, centres, range(len(rows)), strict=True))

    png, spots = draw(
        paint, height=sum(heights) + 0.55, title=title, note=_note(note, released, frame, language)
    )
    told = joined([row.alt() for row in rows], language)
    alt = say("figure.forest_alt", language, title=title, total=len(rows), rows=told)
    return Figure(png, alt, title, behind_estimates(released), language, labels, spots=spots)


def love_plot(
    released: Released,
    *,
    language: str,
    labels: Labels | None = None,
    covariate: str = "covariate",
    before: str = "smd_before",
    after: str = "smd_after",
    others: Sequence[str] = (),
    after_name: str | None = None,
    title: str | None = None,
    note: str | None = None,
) -> Figure:
    """Absolute standardised differences of covariates before and after adjustment, largest first.

    Parameters
    ----------
    others : sequence of str
        Columns of differences under further weightings, ``smd_by_<method>``; drawn small.
    after_name : str, optional
        What the weighting of ``after`` is called.
    """
    labels = labels or Labels()
    frame = require_released(released).frame
    frame = frame.assign(_b=frame[before].abs(), _a=frame[after].abs(), _row=range(len(frame)))
    frame = frame.sort_values("_b", ascending=False)
    names = [labels.text("covariate", each, language) for each in frame[covariate]]
    most = {key: number(frame[key].max(), 2) for key in ("_b", "_a")}
    finding = say("figure.love_title", language, before=most["_b"], after=most["_a"])
    title = title_of(title, released, finding)

    def paint(fig, ax) -> Spots:
        y = range(len(frame))
        for limit in (0.05, 0.25):
            ax.axvline(limit, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        ax.hlines(y, frame["_a"], frame["_b"], color=FAINT, linewidth=1.6, zorder=1)
        style = {"linestyle": "none", "markersize": 6.5, "zorder": 3, "clip_on": False}
        ax.plot(frame["_b"], y, marker="o", markerfacecolor=PAPER, markeredgecolor=MUTED,
                label=say("figure.before", language), **style)  # fmt: skip
        ax.plot(
            frame["_a"],
            y,
            marker="D",
            color=ACCENT,
            label=after_name or say("figure.after", language),
            **style,
        )
        for k, (column, marker) in enumerate(zip(others, OTHER_MARKERS, strict=False)):
            name = labels.text("method", column.removeprefix("smd_by_"), language)
            below = [place + 0.16 * (k + 1) for place in y]
            ax.plot(frame[column].abs(), below, label=name, marker=marker, color=INK, linestyle="none", markersize=3.6,
                    zorder=4, clip_on=False)  # fmt: skip
        ax.set_yticks(list(y), ["\n".join(wrap(name, 34)) for name in names])
        ax.tick_params(axis="y", pad=8)
        ax.set_ylim(len(frame) - 0.4, -0.6)
        ax.set_xlim(0, max(0.3, 1.08 * frame[["_a", "_b", *others]].abs().max().max()))
        ax.set_xlabel(f"{say('figure.love_axis', language)} · {say('figure.love_limits', language)}")
        ax.spines["left"].set_visible(False)
        ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, frameon=False, fontsize=8.5,
                  handletextpad=0.1, columnspacing=1.2)  # fmt: skip
        return spots_of(ax, "y", zip(frame["_a"], y, frame["_row"], strict=True))

    png, spots = draw(
        paint,
        height=(0.27 + 0.06 * len(others)) * len(frame) + 0.95 + 0.11 * len(others),
        title=title,
        note=_note(note, released, None, language),
    )
    alt = say(
        "figure.love_alt",
        language,
        total=len(frame),
        before=most["_b"],
        after=most["_a"],
        worst=names[0] if names else "",
        worst_after=names[int(frame["_a"].to_numpy().argmax())] if names else "",
        within=int((frame["_a"] <= 0.05).sum()),
    )
    return Figure(png, alt, title, released, language, labels, spots=spots)


def effects_over(
    released: Released,
    *,
    language: str,
    labels: Labels,
    at: str = "at",
    axis: str | None = None,
    ticks: Mapping[float, str] | None = None,
    title: str | None = None,
    note: str | None = None,
) -> Figure:
    """Estimates against event time or dose; the start is marked where there are negative times.

    ``ticks`` are words for values of ``at``, which is written as a number otherwise. Simultaneous bands (``band_low``, ``band_high``) stand pale behind the intervals.
    """
    frame = require_groups(released, "n_obs").frame
    frame = frame.assign(_at=pd.to_numeric(frame[at]), _row=range(len(frame)))
    frame = frame.sort_values("_at").dropna(subset=["_at"])
    named = {at: f"{at:g}".replace("-", MINUS) for at in frame["_at"]} | dict(ticks or {})
    rows = [_ForestRow(row, named[row["_at"]], labels, language) for row in _records(frame)]
    shown = [row for row in rows if row.known]
    found = sum(detected(row.row) for row in shown)
    finding = say("figure.over_title", language, total=len(shown), detected=found)
    title = title_of(title, released, finding)
    _, value_axis = _common_scale(rows, labels, language)
    axis = axis or say("figure.over_axis", language)
    starts = any(row.row["_at"] < 0 for row in rows)
    banded = [row.row for row in shown if math.isfinite(_float(row.row, "band_low"))]

    def paint(fig, ax) -> Spots:
        ax.axhline(0, color=MUTED, linewidth=0.9, zorder=1)
        for row in banded:  # all of them hold together
            ax.vlines(
                row["_at"],
                _float(row, "band_low"),
                _float(row, "band_high"),
                color=FAINT,
                linewidth=7,
                zorder=1,
            )
        if starts:
            ax.axvline(-0.5, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        for row in shown:
            ax.vlines(row.row["_at"], row.low, row.high, color=row.colour, linewidth=1.6, zorder=2)
            ax.plot(row.row["_at"], row.estimate, **row.marker())
        places = sorted(named)
        ax.set_xticks(places, [named[at] for at in places])
        ax.set_xlabel(axis)
        ax.set_ylabel("\n".join(wrap(value_axis, 32)))
        ax.margins(x=0.08, y=0.12)
        return spots_of(
            ax, "x", [(row.row["_at"], row.estimate if row.known else None, row.row["_row"]) for row in rows]
        )

    png, spots = draw(paint, height=2.9, title=title, note=_note(note, released, frame, language))
    alt = say(
        "figure.over_alt_start" if starts else "figure.over_alt",
        language,
        title=title,
        axis=axis,
        rows=joined([row.alt() for row in rows], language),
    )
    return Figure(png, alt, title, behind_estimates(released), language, labels, spots=spots)


def row_parts(frame: pd.DataFrame, labels: Labels, language: str) -> list[list[str]]:
    """Name each row of estimates, in parts, by what varies among the rows."""
    varying = [c for c in VARYING if c in frame and frame[c].astype(str).nunique() > 1]
    if "treatment" in frame and frame["treatment"].nunique() > 1 and "contrast" not in varying:
        varying = ["contrast", *varying]
    varying = varying or [c for c in ("contrast", "outcome") if c in frame]
    return [_parts(row, varying, labels, language) for row in _records(frame)]


def _parts(row: pd.Series, columns: list[str], labels: Labels, language: str) -> list[str]:
    parts = []
    for column in columns:
        if column == "contrast":
            text = labels.contrast(str(row.get("treatment", "")), row["contrast"], language)
        elif column == "subgroup":
            text = labels.subgroup(row["subgroup"], language) or say("figure.everybody", language)
        elif column == "population":
            text = labels.population(row["population"], language)
            if not text and len(columns) > 1:
                continue
            text = text or say("figure.everybody", language)
        else:
            text = labels.text(column, row[column], language)
        if column == "outcome" and labels.text("higher_is", row[column], language) == "worse":
            text += say("figure.lower_is_better", language)
        parts.append(text)
    return parts


def behind_estimates(released: Released, *first: str) -> Released:
    """The columns of estimates that a reader of the figure may want; those that say nothing left out."""
    frame = released.frame
    told = [
        c
        for c in (*first, *BEHIND)
        if c in frame and not frame[c].astype(str).isin(["", "nan", "all", "None"]).all()
    ]
    return released.pick(told)


class _ForestRow:
    """One estimate on its way into a figure."""

    def __init__(self, row: pd.Series, name: str, labels: Labels, language: str):
        self.row, self.name, self.labels, self.language = row, name, labels, language
        self.estimate, self.low, self.high = (_float(row, c) for c in ("estimate", "conf_low", "conf_high"))
        self.known = math.isfinite(self.estimate)
        self.evidence = str(row.get("evidence") or "descriptive")
        if row.get("status") == "not_estimable":
            self.evidence, self.known = "not_estimable", False
        self.colour = MUTED if self.evidence == "descriptive" else ACCENT

    @property
    def size_factor(self) -> float:
        """What turns the estimate into an effect size."""
        size = _float(self.row, "effect_size")
        return size / self.estimate if self.known and self.estimate else math.nan

    def evidence_text(self) -> str:
        if not self.known and self.evidence != "not_estimable":
            return say("figure.row_hidden", self.language)
        return say(f"evidence.{self.evidence}", self.language)

    def value_text(self) -> str:
        low, high = interval_limits(self.row)
        value = with_unit(self.estimate, self.row, self.labels, self.language, signed=True)
        return f"{value} [{low}, {high}]"

    def marker(self) -> dict:
        shape, filled = MARKERS.get(self.evidence, ("D", False))
        face = self.colour if filled else PAPER
        return {"marker": shape, "markersize": 7, "markerfacecolor": face, "markeredgecolor": self.colour,
                "markeredgewidth": 1.6, "linestyle": "none", "zorder": 3}  # fmt: skip

    def paint(self, ax, y: float, scale: float) -> None:
        beside = {"transform": ax.get_yaxis_transform(), "fontsize": 8.5}
        if not self.known:
            ax.text(1.03, y, f"× {self.evidence_text()}", color=MUTED, va="center", **beside)
            return
        ax.hlines(y, self.low * scale, self.high * scale, color=self.colour, linewidth=1.8, zorder=2)
        ax.plot(self.estimate * scale, y, **self.marker())
        ax.text(1.03, y - 0.085, self.value_text(), color=INK, va="center", **beside)
        shape = {**self.marker(), "markersize": 4.5, "markeredgewidth": 1.1, "clip_on": False}
        ax.plot(1.045, y + 0.095, transform=ax.get_yaxis_transform(), **shape)
        ax.text(1.075, y + 0.085, self.evidence_text(), color=MUTED, va="center", **{**beside, "fontsize": 8})

    def alt(self) -> str:
        if not self.known:
            return say("figure.forest_row_none", self.language, row=self.name, evidence=self.evidence_text())
        low, high = interval_limits(self.row)
        return say(
            "figure.forest_row_alt",
            self.language,
            row=self.name,
            estimate=with_unit(self.estimate, self.row, self.labels, self.language),
            low=low,
            high=high,
            evidence=self.evidence_text(),
        )


def _common_scale(rows: list[_ForestRow], labels: Labels, language: str) -> tuple[list[float], str]:
    """Factors that put all rows on one axis, and the axis label."""
    shown = [row for row in rows if row.known]
    units = {unit_word(row.row, labels, language) for row in shown}
    level = next((_float(row.row, "conf_level") for row in shown if "conf_level" in row.row), 0.95)
    percent = f"{100 * level:.0f}"
    if len(units) <= 1:
        unit = next(iter(units), "")
        unit = unit or say("figure.own_unit", language)
        return [1.0] * len(rows), say("figure.forest_axis", language, level=percent, unit=unit)
    if all(math.isfinite(row.size_factor) for row in shown):
        scales = [row.size_factor if row.known else 1.0 for row in rows]
        return scales, say("figure.forest_axis_size", language, level=percent)
    return [1.0] * len(rows), say("figure.forest_axis_mixed", language, level=percent)


def _note(note: str | None, released: Released, frame: pd.DataFrame | None, language: str) -> str:
    parts = [released.note if note is None else note]
    if frame is not None and "n_obs" in frame:
        n = pd.to_numeric(frame["n_obs"]).dropna()
        if len(n) and n.min() == n.max():
            parts.append(say("figure.n_single", language, n=number(n.min(), 0)))
        elif len(n):
            parts.append(say("figure.n_range", language, low=number(n.min(), 0), high=number(n.max(), 0)))
    return ("  ").join(part for part in parts if part)


def _records(frame: pd.DataFrame) -> list[pd.Series]:
    return [frame.loc[i] for i in frame.index]


def _float(row: pd.Series, column: str) -> float:
    value = row.get(column)
    return math.nan if value is None or value is pd.NA else float(value)


def _locator(n: int):
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(n, steps=[1, 2, 2.5, 5, 10])
