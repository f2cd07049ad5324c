"""Where in a picture the rows of the table behind it are drawn, so that a page can show a row where the mouse is.

Only places travel with a picture. What is shown there is taken from the table behind it on the page, which has passed
the release gate.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WHOLE = 1000  # both ways the width of a picture is a thousand
WELL_FORMED = re.compile(r"(?:[xyp]\d{1,4}(?: \d{1,4},\d{1,5},\d{1,4})+|g(?: \d{1,5}(?:,\d{1,5}){6})+)\Z")


@dataclass(frozen=True)
class Mark:
    """A point of ``axes`` that shows ``row`` of the table behind; without an ``x`` or ``y`` it lies at the axis."""

    axes: object
    x: float
    y: float
    row: int


@dataclass(frozen=True)
class Spots:
    """Marks, and which of them a place belongs to: the next one across (``x``), down (``y``) or both ways (``p``).

    ``reach`` is how far off that may be, in thousandths of the width.
    """

    kind: str
    reach: int
    marks: Sequence[Mark]

    def placed(self) -> str:
        """As a page carries them: ``y30 512,87,0 ...``, kind and reach, then across, down and row of each mark."""
        found = [
            f"{x},{y},{int(mark.row)}" for mark in self.marks for x, y in [_place(mark.axes, mark.x, mark.y)]
        ]
        return " ".join([f"{self.kind}{self.reach}", *found]) if found else ""


@dataclass(frozen=True)
class Panel:
    """Cells of one size from ``(left, top)`` to ``(right, bottom)`` of ``axes``, for a table behind that stands the other way.

    Its rows from ``first`` on are drawn from left to right, its columns after the head from top to bottom.
    """

    axes: object
    left: float
    top: float
    right: float
    bottom: float
    across: int
    down: int
    first: int


@dataclass(frozen=True)
class Grid:
    """A picture of cells."""

    panels: Sequence[Panel]

    def placed(self) -> str:
        """As a page carries them: ``g 80,120,400,300,15,10,0 ...``: two corners, cells across and down, first row."""
        found = []
        for panel in self.panels:
            corners = (
                *_place(panel.axes, panel.left, panel.top),
                *_place(panel.axes, panel.right, panel.bottom),
            )
            found.append(",".join(map(str, (*corners, panel.across, panel.down, panel.first))))
        return " ".join(["g", *found]) if found else ""


def spots_of(axes: object, kind: str, points: Iterable[tuple[float, float, int]], reach: int = 40) -> Spots:
    """Spots at ``(x, y, row)`` of one pair of axes."""
    return Spots(kind, reach, [Mark(axes, *point) for point in points])


def _place(axes, x: float, y: float) -> tuple[int, int]:
    """Thousandths of the picture's width from its left and from its top, as the figure was last laid out."""
    x, y = (math.nan if value is None else float(value) for value in (x, y))
    transform = axes.transData
    if not math.isfinite(x):
        x, transform = 0.0, axes.get_yaxis_transform()
    elif not math.isfinite(y):
        y, transform = 0.0, axes.get_xaxis_transform()
    across, up = transform.transform((x, y))
    width, height = axes.figure.bbox.width, axes.figure.bbox.height
    return round(WHOLE * across / width), round(WHOLE * (height - up) / width)
