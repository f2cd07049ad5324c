"""A sample flow as boxes: how many are left at each step, and beside it who was left out and why."""

from __future__ import annotations

import math

import pandas as pd

from cobench.release.released import Released
from cobench.show.figure import Figure, draw, joined, require_groups
from cobench.show.fonts import FAINT, INK, MUTED, PAPER
from cobench.show.labels import Labels
from cobench.show.lines import wrap
from cobench.show.wording import number, say

LEFT, CENTRE, SIDE = 0.0, 3.3, 3.85
LINE, GAP = 0.17, 0.24
STEP_WIDTH, SIDE_WIDTH = 44, 44
FULL = 7.0


def flow_chart(
    released: Released, contrast: str, *, language: str, labels: Labels, title: str, note: str = ""
) -> Figure:
    """Boxes from the first step to the last of one contrast; the table behind holds all of them.

    Parameters
    ----------
    released : Released
        ``contrast, step, n, dropped`` with small steps merged already; ``dropped`` counts those whom a step leaves out.
    """
    frame = require_groups(released, "n").frame
    rows = frame[frame["contrast"] == contrast].reset_index(drop=True)
    first, last = rows.iloc[0], rows.iloc[-1]
    losses = rows[rows["dropped"].astype("float64").fillna(1) > 0]
    boxes = [(_counted(first["step"], first["n"], language), None)]
    boxes += [
        (
            _counted(say("figure.flow_left", language), row["n"], language),
            _counted(row["step"], row["dropped"], language),
        )
        for _, row in losses.iloc[:-1].iterrows()
    ]
    if len(losses):
        row = losses.iloc[-1]
        boxes.append(
            (
                _counted(say("figure.flow_analysed", language), last["n"], language),
                _counted(row["step"], row["dropped"], language),
            )
        )
    sizes = [_height(main, side) for main, side in boxes]
    whole = sum(sizes) + GAP * (len(sizes) - 1)

    def paint(fig, ax) -> None:
        ax.set_xlim(0, FULL)
        ax.set_ylim(whole, 0)
        ax.axis("off")
        top = 0.0
        for place, ((main, side), size) in enumerate(zip(boxes, sizes, strict=True)):
            _box(ax, LEFT, CENTRE, top, size, main, strong=place in (0, len(boxes) - 1))
            if side is not None:
                _box(ax, SIDE, FULL, top, size, side, strong=False, faint=True)
                ax.plot([CENTRE, SIDE], [top + size / 2] * 2, color=MUTED, linewidth=0.8)
            if place:
                ax.annotate(
                    "", (CENTRE / 2, top), (CENTRE / 2, top - GAP),
                    arrowprops={"arrowstyle": "-|>", "color": MUTED, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
                )  # fmt: skip
            top += size + GAP

    between = "：" if language == "zh" else ": "
    told = [side.replace("\n", between) for _, side in boxes if side]
    ends = {name: boxes[at][0].replace("\n", between) for name, at in (("first", 0), ("last", -1))}
    out = joined(told, language) or say("figure.flow_nobody", language)
    alt = say("figure.flow_alt", language, **ends, out=out)
    return Figure(
        draw(paint, height=whole + 0.1, title=title, note=note)[0], alt, title, released, language, labels
    )


def _counted(text: str, n: object, language: str) -> str:
    count = "–" if n is None or pd.isna(n) or math.isnan(float(n)) else number(float(n), 0)
    return say("figure.flow_box", language, text=text, n=count)


def _lines(text: str, width: int) -> list[str]:
    return [line for part in text.split("\n") for line in wrap(part, width)]


def _height(main: str, side: str | None) -> float:
    lines = max(len(_lines(main, STEP_WIDTH)), len(_lines(side, SIDE_WIDTH)) if side else 0)
    return LINE * lines + 0.16


def _box(
    ax, left: float, right: float, top: float, size: float, text: str, *, strong: bool, faint: bool = False
) -> None:
    from matplotlib.patches import Rectangle

    colour = FAINT if faint else INK if strong else MUTED
    ax.add_patch(
        Rectangle(
            (left, top),
            right - left,
            size,
            facecolor=PAPER,
            edgecolor=colour,
            linewidth=1.2 if strong else 0.8,
        )
    )
    lines = _lines(text, SIDE_WIDTH if faint else STEP_WIDTH)
    ax.text(
        left + 0.1, top + size / 2, "\n".join(lines), va="center", ha="left", fontsize=8.5, color=INK,
        linespacing=1.35,
    )  # fmt: skip
