"""Specification curve: every declared way to estimate an effect, above what each of them chooses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from cobench.release.released import Released
from cobench.show.figure import Figure, draw, joined, require_groups, title_of
from cobench.show.figures_effects import MARKERS, behind_estimates
from cobench.show.fonts import ACCENT, FAINT, INK, MUTED, PAPER
from cobench.show.labels import Labels
from cobench.show.lines import wrap
from cobench.show.sentences import interval_text, unit_word, with_unit
from cobench.show.spots import Mark, Spots
from cobench.show.wording import say

MATRIX_ROW = 0.17
PANEL = 1.15
NAME_WIDTH = 32


@dataclass(frozen=True)
class Spec:
    """One declared specification: the rows it has among the estimates, and its choice in every group of choices."""

    spec_id: str
    method: str
    choices: Mapping[str, str] = field(default_factory=dict)
    primary: bool = False


def spec_curve(
    released: Released,
    specs: Sequence[Spec],
    *,
    language: str,
    labels: Labels,
    outcome: str = "",
    title: str | None = None,
    note: str | None = None,
) -> Figure:
    """Points with intervals, a panel a contrast, above a matrix of the choices that are on.

    Parameters
    ----------
    released : Released
        Rows of the frame of estimates of one outcome; those of no specification in ``specs`` are left out.
    specs : sequence of Spec
        In the order in which they shall stand; groups in which all choose the same have no rows in the matrix.
    """
    keys = [(spec.spec_id, spec.method) for spec in specs]
    released = released.where(lambda frame: pd.Series([key in keys for key in _keys(frame)], frame.index))
    frame = require_groups(released, "n_obs").frame
    frame = frame.assign(_row=range(len(frame)))
    panels = [(contrast, _placed(rows, keys)) for contrast, rows in frame.groupby("contrast", sort=False)]
    primary = next((place for place, spec in enumerate(specs) if spec.primary), 0)
    matrix = _matrix(specs)
    found = _finding(panels, primary, language)
    title = title_of(
        title, released, f"{outcome}{'：' if language == 'zh' else ': '}{found}" if outcome else found
    )
    names = [labels.contrast(str(frame["treatment"].iloc[0]), contrast, language) for contrast, _ in panels]

    def paint(fig, axes) -> Spots:
        *tops, bottom = axes
        for ax, name, (_, rows) in zip(tops, names, panels, strict=True):
            _paint_panel(ax, rows, primary)
            ax.set_title(name, fontsize=9, pad=3)
            ax.set_ylabel(unit_word(frame.iloc[0], labels, language), fontsize=8.5)
        _paint_matrix(bottom, matrix, len(specs), primary)
        for ax in axes:
            ax.axvspan(primary - 0.42, primary + 0.42, color=ACCENT, alpha=0.09, linewidth=0, zorder=0)
            ax.set_xlim(-0.6, len(specs) - 0.4)
        bottom.set_xticks([primary], [say("figure.curve_primary", language)], color=ACCENT)
        return Spots(
            "p", 60, [mark for ax, (_, rows) in zip(tops, panels, strict=True) for mark in _marks(ax, rows)]
        )

    lines = sum(1 + sum(len(wrap(each, NAME_WIDTH)) for each in choices) for choices in matrix.values())
    heights = [*(PANEL for _ in panels), MATRIX_ROW * lines]
    note = " ".join(filter(None, [say("figure.curve_note", language, total=len(specs)), note]))
    png, spots = draw(
        paint, height=sum(heights) + 0.25 * len(panels) + 0.3, title=title, note=note, shape=(len(heights), 1),
        sharex=True, gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    told = [
        _panel_alt(n, rows, primary, labels, language) for n, (_, rows) in zip(names, panels, strict=True)
    ]
    groups = [
        say("figure.curve_group_alt", language, group=group, choices=joined(list(choices), language))
        for group, choices in matrix.items()
    ]
    alt = say(
        "figure.curve_alt",
        language,
        title=title,
        total=len(specs),
        panels=" ".join(told),
        groups=joined(groups, language),
    )
    return Figure(
        png,
        alt,
        title,
        behind_estimates(released.rename({"spec_id": "specification"}), "specification"),
        language,
        labels,
        spots=spots,
    )


def _keys(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(frame["spec_id"], frame["method"], strict=True))


def _placed(rows: pd.DataFrame, keys: list[tuple[str, str]]) -> list[pd.Series | None]:
    """The row of each specification, None where there is none."""
    found = {key: rows.iloc[i] for i, key in enumerate(_keys(rows))}
    return [found.get(key) for key in keys]


def _matrix(specs: Sequence[Spec]) -> dict[str, dict[str, list[int]]]:
    """Places at which each choice is on, by group; groups without a choice left out."""
    groups: dict[str, dict[str, list[int]]] = {}
    for place, spec in enumerate(specs):
        for group, choice in spec.choices.items():
            groups.setdefault(group, {}).setdefault(choice, []).append(place)
    return {group: choices for group, choices in groups.items() if len(choices) > 1}


def _known(row: pd.Series | None) -> bool:
    return row is not None and math.isfinite(_value(row, "estimate"))


def _value(row: pd.Series, column: str) -> float:
    value = row.get(column)
    return math.nan if value is None or value is pd.NA else float(value)


def _finding(panels: list, primary: int, language: str) -> str:
    """How many estimates of the other specifications lie within the interval of the primary one."""
    total = inside = 0
    for _, rows in panels:
        main = rows[primary]
        others = [row for place, row in enumerate(rows) if place != primary and _known(row)]
        if not _known(main):
            continue
        low, high = _value(main, "conf_low"), _value(main, "conf_high")
        total += len(others)
        inside += sum(low <= _value(row, "estimate") <= high for row in others)
    if not total:
        return say("figure.curve_title_none", language)
    return say("figure.curve_title", language, total=total, inside=inside)


def _paint_panel(ax, rows: list, primary: int) -> None:
    ax.axhline(0, color=MUTED, linewidth=0.9, zorder=1)
    main = rows[primary]
    if _known(main):
        ax.axhspan(_value(main, "conf_low"), _value(main, "conf_high"), color=ACCENT, alpha=0.07, linewidth=0)
    for place, row in enumerate(rows):
        if not _known(row):
            ax.plot(place, 0, marker="x", color=MUTED, markersize=5, zorder=3)
            continue
        colour = ACCENT if place == primary else INK
        shape, filled = MARKERS.get(str(row.get("evidence")), ("D", False))
        ax.vlines(
            place, _value(row, "conf_low"), _value(row, "conf_high"), color=colour, linewidth=1.5, zorder=2
        )
        ax.plot(
            place, _value(row, "estimate"), marker=shape, markersize=7 if place == primary else 5.5, zorder=3,
            markerfacecolor=colour if filled else PAPER, markeredgecolor=colour, markeredgewidth=1.4,
        )  # fmt: skip
    ax.tick_params(axis="y", labelsize=8, colors=MUTED)
    ax.margins(y=0.12)


def _marks(ax, rows: list) -> list[Mark]:
    return [
        Mark(ax, place, _value(row, "estimate") if _known(row) else 0, row["_row"])
        for place, row in enumerate(rows)
        if row is not None
    ]


def _paint_matrix(ax, matrix: dict, total: int, primary: int) -> None:
    ticks, texts, heads, y = [], [], [], 0
    for group, choices in matrix.items():
        heads.append(y)
        ticks.append(y)
        texts.append(group)
        for choice, on in choices.items():
            lines = wrap(choice, NAME_WIDTH)
            y += 1 + (len(lines) - 1) / 2
            ticks.append(y)
            texts.append("\n".join(lines))
            ax.plot(
                range(total), [y] * total, linestyle="none", marker="o", markersize=3, color=FAINT, zorder=1
            )
            for place in on:
                ax.plot(
                    place, y, marker="o", markersize=5.5, zorder=3, color=ACCENT if place == primary else INK
                )
            y += (len(lines) - 1) / 2
        y += 1
    ax.set_yticks(ticks, texts, fontsize=8)
    for tick, place in zip(ax.get_yticklabels(), ticks, strict=True):
        tick.set_color(INK if place in heads else MUTED)
    ax.set_ylim(y - 0.5, -0.6)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)


def _panel_alt(name: str, rows: list, primary: int, labels: Labels, language: str) -> str:
    main = rows[primary]
    others = [row for place, row in enumerate(rows) if place != primary and _known(row)]
    unknown = sum(not _known(row) for row in rows)
    text = say("figure.curve_panel_none", language, contrast=name)
    if _known(main) and others:
        by_size = sorted(others, key=lambda row: _value(row, "estimate"))
        low, high = (
            with_unit(_value(row, "estimate"), row, labels, language) for row in (by_size[0], by_size[-1])
        )
        estimate = with_unit(_value(main, "estimate"), main, labels, language)
        text = say(
            "figure.curve_panel_alt", language, contrast=name, estimate=estimate,
            interval=interval_text(main, language), low=low, high=high,
            lowest=labels.text("method", by_size[0]["method"], language),
            highest=labels.text("method", by_size[-1]["method"], language),
        )  # fmt: skip
    if unknown:
        text += say("figure.curve_unknown_alt", language, n=unknown)
    return text
