"""Figures of coverage: schools by standards as a heat map, and shares as dots."""

from __future__ import annotations

import math

import pandas as pd

from cobench.release.released import Released, require_released
from cobench.show.figure import Figure, draw, joined, require_groups, title_of
from cobench.show.fonts import ACCENT, FAINT, INK, MUTED, PAPER
from cobench.show.labels import Labels
from cobench.show.lines import wrap
from cobench.show.spots import Spots, spots_of
from cobench.show.wording import number, say

SIGNS = {"met": "✓", "not_met": "✗", "not_yet_due": "…", "no_data": "–"}
GOOD_SHARE = 0.9


def coverage_map(
    released: Released,
    *,
    language: str,
    labels: Labels | None = None,
    row: str = "school",
    column: str = "standard",
    value: str = "share",
    verdict: str | None = None,
    title: str | None = None,
    note: str | None = None,
) -> Figure:
    """Shares of schools by standards, worst school first; cells below the threshold are hatched.

    Every cell prints its percentage (and ``✓`` or ``✗`` where ``verdict`` names a column of met / not_met),
    so that colour only repeats what the text says.
    """
    labels = labels or Labels()
    require_released(released)
    cells = _cells(released, row, column, value, verdict)
    rows = _worst_first(cells)
    columns = list(dict.fromkeys(column_id for _, column_id in cells))
    names = [labels.text(row, each, language) for each in rows]
    heads = [labels.text(column, each, language) for each in columns]
    title = title_of(title, released, _map_title(cells, rows, verdict, language))
    hidden = sum(cell.mark in ("n", "<", "x") for cell in cells.values())
    missing = sum((r, c) not in cells or cells[r, c].empty for r in rows for c in columns)
    notes = [released.note if note is None else note, say("figure.map_axis", language)]
    notes += [say("figure.map_hidden", language, n=released.rules.min_cell)] if hidden else []
    notes += [say("figure.map_missing", language)] if missing else []
    width = max(8, 84 // max(len(columns), 1) - 2)
    wrapped = [wrap(head, width) for head in heads]

    def paint(fig, ax) -> Spots:
        for i, row_id in enumerate(rows):
            for j, column_id in enumerate(columns):
                _paint_cell(ax, j, i, cells.get((row_id, column_id), _Cell()))
        ax.set_xlim(-0.5, len(columns) - 0.5)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_xticks(range(len(columns)), ["\n".join(lines) for lines in wrapped], linespacing=1.25)
        ax.set_yticks(range(len(rows)), ["\n".join(wrap(name, 34)) for name in names])
        ax.xaxis.tick_top()
        ax.tick_params(axis="x", colors=INK, pad=3)
        for spine in ax.spines.values():
            spine.set_visible(False)
        places = (
            (columns.index(c), rows.index(r), k) for k, (r, c) in enumerate(_places(released, row, column))
        )
        return spots_of(ax, "p", places, reach=120)

    height = 0.255 * len(rows) + 0.16 * max(map(len, wrapped), default=1) + 0.3
    png, spots = draw(paint, height=height, title=title, note=" · ".join(part for part in notes if part))
    alt = _map_alt(cells, rows, columns, heads, hidden, language)
    return Figure(png, alt, title, released, language, labels, spots=spots)


def coverage_dots(
    released: Released,
    *,
    language: str,
    labels: Labels | None = None,
    group: str = "mode",
    value: str = "share",
    low: str | None = None,
    high: str | None = None,
    count: str | None = "n",
    axis: str | None = None,
    title: str | None = None,
    note: str | None = None,
) -> Figure:
    """Shares as dots, highest first, with intervals where ``low`` and ``high`` name columns."""
    labels = labels or Labels()
    frame = (require_groups(released, count) if count else require_released(released)).frame
    order = frame.assign(_v=[_shown(released, i, value) for i in range(len(frame))], _row=range(len(frame)))
    order = order.sort_values("_v", ascending=False, kind="stable")
    names = [labels.text(group, each, language) for each in order[group]]
    texts = [_value_text(released, i, value) for i in order.index]
    known = [(name, v) for name, v in zip(names, order["_v"], strict=True) if math.isfinite(v)]
    title = title_of(title, released, _dots_title(known, language))
    sizes = set(order[count].dropna()) if count and count in order else set()
    several = len(sizes) > 1

    def paint(fig, ax) -> Spots:
        for y, (i, row) in enumerate(order.iterrows()):
            share = row["_v"]
            ax.hlines(y, 0, 100, color=FAINT, linewidth=0.8, zorder=0)
            if math.isfinite(share):
                if low and high and pd.notna(row[low]) and pd.notna(row[high]):
                    ax.hlines(y, 100 * row[low], 100 * row[high], color=ACCENT, linewidth=2, zorder=2)
                bound = bool(released.marks[value].loc[i])
                ax.plot(100 * share, y, marker="o", markersize=8, color=ACCENT, zorder=3,
                        markerfacecolor=PAPER if bound else ACCENT)  # fmt: skip
            ax.text(111, y, texts[y], va="center", ha="right", fontsize=8.5, color=INK)
            if several and pd.notna(row[count]):
                ax.text(114, y, f"n = {number(row[count], 0)}", va="center", fontsize=8.5, color=MUTED)
        ax.set_yticks(range(len(order)), ["\n".join(wrap(name, 34)) for name in names])
        ax.set_ylim(len(order) - 0.4, -0.6)
        ax.set_xlim(-2, 102)
        key = "figure.dots_axis_interval" if low and high else "figure.dots_axis"
        ax.set_xlabel(axis or say(key, language, **({"level": "95"} if low and high else {})))
        ax.spines["left"].set_visible(False)
        return spots_of(ax, "y", zip(100 * order["_v"], range(len(order)), order["_row"], strict=True))

    notes = [released.note if note is None else note]
    if len(sizes) == 1:
        notes.append(say("figure.n_single", language, n=number(sizes.pop(), 0)))
    png, spots = draw(paint, height=0.3 * len(order) + 0.6, title=title, note=" ".join(filter(None, notes)))
    rows = [
        say("figure.dots_row_alt", language, row=name, value=text)
        for name, text in zip(names, texts, strict=True)
    ]
    alt = say("figure.dots_alt", language, total=len(order), rows=joined(rows, language))
    return Figure(png, alt, title, released, language, labels, spots=spots)


class _Cell:
    """One cell of the heat map: its share (or the bound that may be known), mark and verdict."""

    def __init__(self, share: float = math.nan, mark: str = "", verdict: str = ""):
        self.share, self.mark, self.verdict = share, mark, verdict

    @property
    def hidden(self) -> bool:
        return self.mark in ("n", "<", "x")

    @property
    def empty(self) -> bool:
        return not self.hidden and not math.isfinite(self.share)

    def text(self) -> str:
        if self.hidden:
            return ""
        if self.empty:
            return SIGNS.get(self.verdict, "·")
        sign = self.mark[0] if self.mark else ""
        value = 100 * self.share
        digits = math.floor(value) if sign == "≥" else math.ceil(value) if sign == "≤" else round(value)
        return f"{sign}{digits} {SIGNS.get(self.verdict, '')}".strip()


def _cells(
    released: Released, row: str, column: str, value: str, verdict: str | None
) -> dict[tuple[str, str], _Cell]:
    frame = released.frame
    verdicts = frame[verdict].astype(str) if verdict else pd.Series("", index=frame.index)
    cells = (
        _Cell(_shown(released, i, value), released.marks[value].loc[i], verdicts.loc[i]) for i in frame.index
    )
    return dict(zip(_places(released, row, column), cells, strict=True))


def _places(released: Released, row: str, column: str) -> list[tuple[str, str]]:
    return list(zip(*(released.frame[each].astype(str) for each in (row, column)), strict=True))


def _shown(released: Released, i: int, value: str) -> float:
    """The share that may be shown: itself, or the bound of its mark."""
    mark = released.marks[value].loc[i]
    if mark[:1] in ("≥", "≤"):
        return float(mark[1:])
    share = released.frame[value].loc[i]
    return math.nan if pd.isna(share) else float(share)


def _value_text(released: Released, i: int, value: str) -> str:
    mark = released.marks[value].loc[i]
    if mark and mark[0] not in "≥≤":
        return f"<{released.rules.min_cell}"
    text = _Cell(_shown(released, i, value), mark).text()
    return text if text == "·" else f"{text}%"


def _worst_first(cells: dict[tuple[str, str], _Cell]) -> list[str]:
    def badness(row_id: str) -> tuple[float, float]:
        mine = [cell for (r, _), cell in cells.items() if r == row_id]
        shares = [cell.share for cell in mine if math.isfinite(cell.share)]
        unmet = sum(cell.verdict == "not_met" for cell in mine)
        return (-unmet, sum(shares) / len(shares) if shares else math.inf)

    return sorted(dict.fromkeys(row_id for row_id, _ in cells), key=badness)


def _map_title(cells: dict, rows: list[str], verdict: str | None, language: str) -> str:
    by_row = {r: [cell for (row_id, _), cell in cells.items() if row_id == r] for r in rows}
    if verdict:
        complete = sum(
            all(c.verdict != "not_met" for c in mine) and any(c.verdict == "met" for c in mine)
            for mine in by_row.values()
        )
        if not complete:
            return say("figure.map_title_none", language, units=len(rows))
        return say("figure.map_title_verdict", language, units=len(rows), complete=complete)
    known = {r: [c.share for c in mine if math.isfinite(c.share)] for r, mine in by_row.items()}
    complete = sum(bool(shares) and min(shares) >= GOOD_SHARE for shares in known.values())
    cut = f"{100 * GOOD_SHARE:.0f}"
    return say("figure.map_title", language, units=len(rows), complete=complete, cut=cut)


def _map_alt(
    cells: dict, rows: list[str], columns: list[str], heads: list[str], hidden: int, language: str
) -> str:
    parts = []
    for column_id, head in zip(columns, heads, strict=True):
        shares = [
            cell.share for (_, c), cell in cells.items() if c == column_id and math.isfinite(cell.share)
        ]
        if shares:
            low, high = number(100 * min(shares), 0), number(100 * max(shares), 0)
            parts.append(say("figure.map_alt_part", language, column=head, low=low, high=high))
    return say(
        "figure.map_alt",
        language,
        units=len(rows),
        columns=len(columns),
        parts=joined(parts, language),
        hidden=hidden,
    )


def _paint_cell(ax, x: int, y: int, cell: _Cell) -> None:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    shades = LinearSegmentedColormap.from_list("coverage", ["#f6f8fa", "#b9d6e4", "#4f9dc0"])
    box = {"xy": (x - 0.48, y - 0.46), "width": 0.96, "height": 0.92}
    if cell.hidden:
        ax.add_patch(Rectangle(**box, facecolor=PAPER, edgecolor=MUTED, hatch="////", linewidth=0))
        return
    if cell.empty:
        ax.text(x, y, cell.text(), ha="center", va="center", color=MUTED, fontsize=9)
        return
    shade = shades(round(min(max(cell.share, 0), 1), 1))  # eleven shades: few colours keep the file small
    ax.add_patch(Rectangle(**box, facecolor=shade, linewidth=0))
    colour = max((PAPER, INK), key=lambda ink: _contrast(shade, ink))
    ax.text(x, y, cell.text(), ha="center", va="center", fontsize=8.5, color=colour)


def _contrast(one, other) -> float:
    """Contrast ratio of two colours (WCAG 2)."""
    from matplotlib.colors import to_rgb

    lights = []
    for colour in (one, other):
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        lights.append(0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def _dots_title(known: list[tuple[str, float]], language: str) -> str:
    if not known:
        return say("figure.row_hidden", language)
    (best, most), (worst, least) = known[0], known[-1]
    if len(known) == 1:
        return say("figure.dots_title_one", language, best=best, high=number(100 * most, 0))
    return say(
        "figure.dots_title",
        language,
        best=best,
        high=number(100 * most, 0),
        worst=worst,
        low=number(100 * least, 0),
    )
