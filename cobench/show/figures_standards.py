"""Schools by standards as small multiples: a panel a profile, one order of schools, signs that colour only repeats."""

from __future__ import annotations

import math
from collections.abc import Mapping

from cobench.release.released import Released, require_released
from cobench.show.figure import Figure, draw
from cobench.show.figures_coverage import SIGNS
from cobench.show.fonts import INK, MUTED, PAPER
from cobench.show.labels import Labels
from cobench.show.lines import wrap
from cobench.show.wording import say

MOST_SCHOOLS, MOST_COLUMNS, SIGN_POINTS = 30, 26, 7.5
_FILL = {"met": "#dcebf2", "not_met": "#c25b4e", "not_yet_due": PAPER, "no_data": PAPER}
_INK = {"met": INK, "not_met": PAPER}


def standards_panels(
    released: Released, profiles: Mapping[str, str], *, language: str, labels: Labels | None = None
) -> Figure:
    """Verdicts of schools by standards: ``✓ ✗ … –`` under each standard's number, worst school first.

    Parameters
    ----------
    released : Released
        ``school, standard, verdict`` and what stands behind them.
    profiles : mapping of standard to profile
        Which panel a standard stands in, in order; beyond 26 it goes on in another, and beyond 30 schools the worst are shown.
    """
    labels = labels or Labels()
    frame = require_released(released).frame
    verdicts = {(row.school, row.standard): row.verdict for row in frame.itertuples()}
    unmet = frame.assign(_bad=frame["verdict"] == "not_met").groupby("school")["_bad"].sum()
    order = sorted(unmet.index, key=lambda school: (-unmet[school], school))
    rows = order[:MOST_SCHOOLS]
    drawn = set(frame["standard"])
    panels = _panels([each for each in profiles if each in drawn], profiles)
    names = [labels.text("school", each, language) for each in rows]
    judged = frame["verdict"].isin(["met", "not_met"]).sum()
    title = say(
        "figure.standards_title",
        language,
        met=int((frame["verdict"] == "met").sum()),
        judged=int(judged),
        schools=len(order),
        standards=frame["standard"].nunique(),
    )
    heights = [len(rows) + 3] * len(panels)

    def paint(fig, axes) -> None:
        for ax, (profile, columns) in zip(axes.flat, panels, strict=True):
            _cells(
                ax,
                {
                    (j, i): verdicts[school, standard]
                    for i, school in enumerate(rows)
                    for j, standard in enumerate(columns)
                    if (school, standard) in verdicts
                },
            )
            ax.set_xlim(-0.5, MOST_COLUMNS - 0.5)
            ax.set_ylim(len(rows) - 0.5, -0.5)
            ax.set_xticks(range(len(columns)), columns, rotation=90, fontsize=7.5)
            ax.set_yticks(range(len(rows)), [wrap(name, 24)[0] for name in names], fontsize=7.5)
            ax.xaxis.tick_top()
            ax.tick_params(colors=INK, length=0, pad=2)
            ax.set_title(labels.text("profile", profile, language), loc="left", fontsize=9.5, pad=4)
            for spine in ax.spines.values():
                spine.set_visible(False)

    notes = [say("figure.standards_key", language)]
    if len(order) > len(rows):
        notes.append(say("figure.standards_worst", language, shown=len(rows), total=len(order)))
    png = draw(
        paint,
        height=sum(heights) * 0.155,
        title=title,
        note=" ".join(notes),
        shape=(len(panels), 1),
        squeeze=False,
        gridspec_kw={"height_ratios": heights},
    )
    worst = ", ".join(
        f"{name} {int(unmet[school])}" for school, name in list(zip(rows, names, strict=True))[:5]
    )
    alt = say("figure.standards_alt", language, title=title, panels=len(panels), worst=worst)
    return Figure(png, alt, title, released, language, labels)


def _panels(standards: list[str], profiles: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    held: dict[str, list[str]] = {}
    for standard in standards:
        held.setdefault(profiles.get(standard, ""), []).append(standard)
    return [
        (profile, names[start : start + MOST_COLUMNS])
        for profile, names in held.items()
        for start in range(0, max(1, math.ceil(len(names) / MOST_COLUMNS)) * MOST_COLUMNS, MOST_COLUMNS)
    ]


def _cells(ax, verdicts: Mapping[tuple[int, int], str]) -> None:
    """The verdict at each (column, row): a few collections, for thousands of patches and texts take seconds."""
    for verdict, fill in _FILL.items():
        at = [place for place, each in verdicts.items() if each == verdict]
        if at:
            _boxes(ax, at, fill)
            _signs(ax, at, SIGNS[verdict], _INK.get(verdict, MUTED))


def _boxes(ax, at: list[tuple[int, int]], fill: str) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    boxes = [Rectangle((x - 0.46, y - 0.44), 0.92, 0.88) for x, y in at]
    held = ax.add_collection(PatchCollection(boxes, facecolor=fill, linewidth=0), autolim=False)
    held.set_in_layout(False)


def _signs(ax, at: list[tuple[int, int]], sign: str, colour: str) -> None:
    """A sign at each place, drawn as a marker of its own outline."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    outline = TextPath((0, 0), sign, size=SIGN_POINTS, prop=FontProperties(family="DejaVu Sans"))
    box = outline.get_extents()
    outline = outline.transformed(Affine2D().translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2))
    # A marker is scaled to one point across; its size in points is twice its reach from the centre.
    size = (2 * abs(outline.vertices).max()) ** 2
    ax.scatter(*zip(*at, strict=True), s=size, marker=outline, color=colour, linewidth=0).set_in_layout(False)
