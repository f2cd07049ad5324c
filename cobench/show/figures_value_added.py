"""The figure of value added: schools in the order of their estimates, never without intervals."""

from __future__ import annotations

import math

import pandas as pd

from cobench.release.released import Released
from cobench.show.figure import Figure, draw, joined, require_groups, title_of
from cobench.show.fonts import ACCENT, FAINT, MUTED, PAPER
from cobench.show.labels import Labels
from cobench.show.lines import wrap
from cobench.show.spots import Spots, spots_of
from cobench.show.wording import number, say

APART = ("above", "below")


def caterpillar_plot(
    released: Released,
    *,
    language: str,
    labels: Labels | None = None,
    group: str = "school",
    title: str | None = None,
    note: str | None = None,
) -> Figure:
    """Shrunken value added with both intervals and the verdict, one row a school, lowest first.

    Parameters
    ----------
    released : Released
        Rows of :func:`cobench.monitor.value_added.value_added` of one outcome, grade and specification, released by
        ``n_students``. A row whose numbers are hidden or not estimable keeps its name and shows none.
    """
    labels = labels or Labels()
    frame = require_groups(released, "n_students").frame
    rows = frame.assign(_row=range(len(frame))).sort_values("estimate", kind="stable", na_position="last")
    rows = rows.to_dict("records")
    names = [labels.text(group, row[group], language) for row in rows]
    known = [not any(pd.isna(row[each]) for each in ("estimate", "difference_low")) for row in rows]
    called = [told and row["verdict"] in APART for row, told in zip(rows, known, strict=True)]
    found = "figure.value_added_title" if any(called) else "figure.value_added_title_none"
    slots = {"total": sum(known)} | ({"called": sum(called)} if any(called) else {})
    title = title_of(title, released, say(found, language, **slots))

    def paint(fig, ax) -> Spots:
        ax.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
        for y, row in enumerate(rows):
            ax.axhline(y, color=FAINT, linewidth=0.5, zorder=0)
            if known[y]:
                _paint_row(ax, y, row, called[y])
        ax.set_yticks(range(len(rows)), ["\n".join(wrap(name, 34)) for name in names])
        ax.set_ylim(-0.6, len(rows) - 0.4)
        ax.set_xlabel(say("figure.value_added_axis", language))
        ax.spines["left"].set_visible(False)
        values = (row["estimate"] if shown else None for row, shown in zip(rows, known, strict=True))
        return spots_of(ax, "y", ((value, y, rows[y]["_row"]) for y, value in enumerate(values)))

    notes = [released.note if note is None else note, say("figure.value_added_note", language)]
    png, spots = draw(paint, height=0.2 * len(rows) + 0.6, title=title, note=" ".join(filter(None, notes)))
    told = [_told(row, name, language, shown) for row, name, shown in zip(rows, names, known, strict=True)]
    alt = say("figure.value_added_alt", language, total=len(rows), rows=joined(told, language))
    return Figure(png, alt, title, released, language, labels, spots=spots)


def _paint_row(ax, y: int, row: dict, called: bool) -> None:
    ax.hlines(y, row["difference_low"], row["difference_high"], color=MUTED, linewidth=0.8, zorder=2)
    if math.isfinite(row["conf_low"]):
        ax.hlines(y, row["conf_low"], row["conf_high"], color=ACCENT, linewidth=2.4, zorder=3)
    face = ACCENT if called else PAPER
    ax.plot(row["estimate"], y, marker="o", markersize=6, color=ACCENT, markerfacecolor=face, zorder=4)


def _told(row: dict, name: str, language: str, known: bool) -> str:
    value = number(row["estimate"], 2) if known else "–"
    verdict = say(f"figure.value_added_{row['verdict'] if known else 'unknown'}", language)
    return say("figure.value_added_row", language, school=name, value=value, verdict=verdict)
