"""Schools by standards as small multiples: a panel a profile, one order of schools, signs that colour only repeats."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import pandas as pd

from cobench.release.released import Released, require_released
from cobench.show.figure import Figure, draw, joined
from cobench.show.figures_coverage import SIGNS
from cobench.show.fonts import INK, MUTED, PAPER
from cobench.show.labels import Labels
from cobench.show.lines import wrap
from cobench.show.spots import Grid, Panel
from cobench.show.tables import crossed
from cobench.show.wording import say

MOST_SCHOOLS, MOST_COLUMNS, SIGN_POINTS = 30, 26, 7.5
HALF_WIDTHS = 2.6  # of a panel's name, a column
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
        Which panel a standard stands in; a profile of more than 26 goes on in another panel, narrow panels stand side by
        side, and beyond 30 schools the worst are shown.
    """
    labels = labels or Labels()
    frame = require_released(released).frame
    verdicts = {(row.school, row.standard): row.verdict for row in frame.itertuples()}
    unmet = frame.assign(_bad=frame["verdict"] == "not_met").groupby("school")["_bad"].sum()
    order = sorted(unmet.index, key=lambda school: (-unmet[school], school))
    rows = order[:MOST_SCHOOLS]
    drawn = set(frame["standard"])
    bands = _bands(_panels([each for each in profiles if each in drawn], profiles))
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
    heads = [
        [
            wrap(labels.text("profile", profile, language), int(HALF_WIDTHS * len(columns)))
            for profile, columns in band
        ]
        for band in bands
    ]
    heights = [len(rows) + 3 + max(map(len, head)) for head in heads]

    def paint(fig, axes) -> Grid:
        for ax, band, head in zip(axes.flat, bands, heads, strict=True):
            _band(ax, band, head, rows, verdicts)
            ax.set_yticks(range(len(rows)), [wrap(name, 24)[0] for name in names], fontsize=7.5)
        return _grid(axes.flat, bands, len(rows))

    notes = [say("figure.standards_key", language)]
    if len(order) > len(rows):
        notes.append(say("figure.standards_worst", language, shown=len(rows), total=len(order)))
    png, spots = draw(
        paint,
        height=sum(heights) * 0.155,
        title=title,
        note=" ".join(notes),
        shape=(len(bands), 1),
        squeeze=False,
        gridspec_kw={"height_ratios": heights},
    )
    worst = [f"{name} {int(unmet[school])}" for school, name in list(zip(rows, names, strict=True))[:5]]
    alt = say(
        "figure.standards_alt",
        language,
        title=title,
        panels=sum(map(len, bands)),
        worst=joined(worst, language),
        missed=joined(_most_missed(frame, labels, language), language),
    )
    inner = crossed(
        released.where(frame["school"].isin(rows)),
        rows=("standard", [each for band in bands for _, columns in band for each in columns]),
        columns=("school", rows),
        cell=_in_words,
        language=language,
        labels=_numbered(labels, drawn),
        note=say("figure.standards_cells", language),
    )
    return Figure(png, alt, title, released, language, labels, inner, spots)


def _in_words(row: Mapping[str, object]) -> str:
    """``✗ 35/40``: the verdict's sign, units that met the standard, units that had to."""
    sign = SIGNS[str(row["verdict"])]
    known = row.get("n_units") not in (None, 0) and row.get("n_met") is not None
    return f"{sign} {_count(row['n_met'])}/{_count(row['n_units'])}" if known else sign


def _count(value: object) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _numbered(labels: Labels, standards: Iterable[str]) -> Labels:
    named = {
        each: {language: f"{each} {labels.text('standard', each, language)}" for language in ("zh", "en")}
        for each in standards
    }
    return labels.add("standard", named)


def _most_missed(frame: pd.DataFrame, labels: Labels, language: str) -> list[str]:
    """The three standards that most schools missed, each with how many of those judged."""
    judged = frame[frame["verdict"].isin(["met", "not_met"])]
    missed = (judged["verdict"] == "not_met").groupby(judged["standard"]).agg(["sum", "size"])
    most = missed[missed["sum"] > 0].sort_values("sum", ascending=False, kind="stable").head(3)
    return [
        f"{each} {labels.text('standard', each, language)} {row['sum']}/{row['size']}"
        for each, row in most.iterrows()
    ]


Columns = tuple[str, list[str]]


def _panels(standards: list[str], profiles: Mapping[str, str]) -> list[Columns]:
    held: dict[str, list[str]] = {}
    for standard in standards:
        held.setdefault(profiles.get(standard, ""), []).append(standard)
    return [
        (profile, names[start : start + MOST_COLUMNS])
        for profile, names in held.items()
        for start in range(0, max(1, math.ceil(len(names) / MOST_COLUMNS)) * MOST_COLUMNS, MOST_COLUMNS)
    ]


def _bands(panels: list[Columns]) -> list[list[Columns]]:
    """Panels side by side with a free column between them; each goes where it is the first to fit, widest first."""
    bands: list[list[Columns]] = []
    for panel in sorted(panels, key=lambda each: -len(each[1])):
        free = (band for band in bands if _width(band) + 1 + len(panel[1]) <= MOST_COLUMNS)
        place = next(free, None)
        if place is None:
            bands.append([panel])
        else:
            place.append(panel)
    return bands


def _width(band: list[Columns]) -> int:
    return sum(len(columns) for _, columns in band) + len(band) - 1


def _grid(axes: Iterable, bands: list[list[Columns]], down: int) -> Grid:
    """Where each panel lies; the table behind has its standards as rows, in the same order."""
    panels, first = [], 0
    for ax, band in zip(axes, bands, strict=True):
        left = -0.5
        for _, columns in band:
            panels.append(Panel(ax, left, -0.5, left + len(columns), down - 0.5, len(columns), down, first))
            left += len(columns) + 1
            first += len(columns)
    return Grid(panels)


def _band(ax, band: list[Columns], heads: list[list[str]], rows: list[str], verdicts: Mapping) -> None:
    """One row of panels, which share their list of schools."""
    places: dict[int, str] = {}
    start = 0
    for (_, columns), head in zip(band, heads, strict=True):
        places |= dict(enumerate(columns, start=start))
        ax.annotate(
            "\n".join(head),
            (start - 0.46, 1),
            xytext=(0, 30),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=9,
            color=INK,
            va="bottom",
        )
        start += len(columns) + 1
    cells = {
        (j, i): verdicts[school, standard]
        for i, school in enumerate(rows)
        for j, standard in places.items()
        if (school, standard) in verdicts
    }
    _cells(ax, cells)
    ax.set_xlim(-0.5, MOST_COLUMNS - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xticks(list(places), list(places.values()), rotation=90, fontsize=7.5)
    ax.xaxis.tick_top()
    ax.tick_params(colors=INK, length=0, pad=2)
    for spine in ax.spines.values():
        spine.set_visible(False)


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
