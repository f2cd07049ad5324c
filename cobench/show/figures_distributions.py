"""Figures of binned distributions: overlap of two groups, and scores of a scale."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cobench.errors import ReleaseError
from cobench.release.released import Released
from cobench.show.figure import Figure, draw, joined, require_groups, title_of
from cobench.show.fonts import ACCENT, CONTRAST, FAINT, INK, MUTED
from cobench.show.labels import Labels
from cobench.show.lines import wrap
from cobench.show.spots import Mark, Spots
from cobench.show.wording import number, say

STYLES = ((ACCENT, "-"), (CONTRAST, (0, (5, 2))), (MUTED, (0, (1, 1.2))))


def overlap_plot(
    released: Released,
    *,
    language: str,
    labels: Labels | None = None,
    by: str = "arm",
    title: str | None = None,
    axis: str | None = None,
    note: str | None = None,
) -> Figure:
    """Densities of propensity scores in two groups, from :func:`cobench.release.release_bins`.

    The overlap is the area under the lower of the two densities (Weitzman's coefficient).
    """
    labels = labels or Labels()
    groups = _groups(released, by)
    if len(groups) != 2:
        raise ReleaseError(
            en=f"an overlap plot compares two released groups; column {by} holds {len(groups)}",
            zh=f"重叠图比较两个已发布的组；列 {by} 中有 {len(groups)} 个",
        )
    percent = number(100 * overlap(*groups.values()), 0)
    title = title_of(title, released, say("figure.overlap_title", language, percent=percent))
    names = {group: labels.text(by, group, language) for group in groups}

    def paint(fig, ax) -> Spots:
        for (group, bins), (colour, line) in zip(_treated_first(groups), STYLES, strict=False):
            label = f"{names[group]} (n = {number(bins['n'].sum(), 0)})"
            _steps(ax, bins, colour, line, label)
        ax.set_xlabel(axis or say("figure.overlap_axis", language))
        ax.set_ylabel(say("figure.density_axis", language))
        ax.set_ylim(0, None)
        ax.margins(x=0.02)
        ax.legend(frameon=False, fontsize=9)
        return Spots("p", 60, _marks(released, by, dict.fromkeys(groups, ax)))

    png, spots = draw(paint, height=2.9, title=title, note=released.note if note is None else note)
    parts = joined([_group_alt(names[g], bins, language) for g, bins in groups.items()], language)
    alt = say("figure.overlap_alt", language, percent=percent, groups=parts)
    return Figure(png, alt, title, released, language, labels, spots=spots)


def scale_distribution(
    released: Released,
    *,
    language: str,
    labels: Labels | None = None,
    by: str | None = None,
    unit: str | None = None,
    title: str | None = None,
    note: str | None = None,
) -> Figure:
    """Distribution of scores, a panel a group of ``by``, each with its median marked."""
    labels = labels or Labels()
    groups = _groups(released, by)
    names = {g: labels.text(by, g, language) if by else "" for g in groups}
    medians = {g: number(median(bins), 1) for g, bins in groups.items()}
    if by:
        parts = [say("figure.scale_group", language, group=names[g], median=medians[g]) for g in groups]
        finding = say("figure.scale_title_groups", language, groups=joined(parts, language))
    else:
        finding = say("figure.scale_title", language, median=next(iter(medians.values()), "–"))
    title = title_of(title, released, finding)

    def paint(fig, axes) -> Spots:
        axes = np.atleast_1d(axes)
        top = 1.15 * max((bins["density"].max() for bins in groups.values()), default=1.0)
        for ax, (group, bins) in zip(axes, groups.items(), strict=False):
            _steps(ax, bins, ACCENT, "-", None)
            ax.axvline(median(bins), color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
            ax.text(median(bins), top, f" {medians[group]}", fontsize=8.5, va="top")
            ax.set_ylim(0, top)
            ax.set_yticks([])
            ax.spines["left"].set_visible(False)
            if not by:
                continue
            label = f"{names[group]}\nn = {number(bins['n'].sum(), 0)}"
            ax.set_ylabel("\n".join(line for part in label.split("\n") for line in wrap(part, 22)),
                          rotation=0, ha="right", va="center", color=INK, fontsize=9)  # fmt: skip
        axis = say("figure.scale_axis_unit", language, unit=unit) if unit else None
        axes[-1].set_xlabel(axis or say("figure.scale_axis", language))
        return Spots("p", 60, _marks(released, by, dict(zip(groups, axes, strict=False))))

    shape = (max(len(groups), 1), 1)
    height = (2.3 if len(groups) < 2 else 0.85 * len(groups)) + 0.4
    notes = [released.note if note is None else note]
    if not by:
        notes += [say("figure.n_single", language, n=number(bins["n"].sum(), 0)) for bins in groups.values()]
    note = "  ".join(filter(None, notes))
    png, spots = draw(paint, height=height, title=title, note=note, shape=shape, sharex=True)
    parts = joined([_group_alt(names[g], bins, language) for g, bins in groups.items()], language)
    alt = say("figure.scale_alt", language, groups=parts)
    return Figure(png, alt, title, released, language, labels, spots=spots)


def overlap(first: pd.DataFrame, second: pd.DataFrame) -> float:
    """Area under the lower of two stepped densities, between 0 and 1."""
    edges = np.unique(np.concatenate([b[c] for b in (first, second) for c in ("low", "high")]).astype(float))
    middles, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    return float((np.minimum(_density(first, middles), _density(second, middles)) * widths).sum())


def median(bins: pd.DataFrame) -> float:
    """Median of a binned distribution, interpolated within its bin."""
    n = bins["n"].astype(float).to_numpy()
    half, below = n.sum() / 2, np.cumsum(n) - n
    i = int(np.searchsorted(np.cumsum(n), half))
    low, high = float(bins["low"].iloc[i]), float(bins["high"].iloc[i])
    return low + (half - below[i]) / n[i] * (high - low)


def _groups(released: Released, by: str | None) -> dict[str, pd.DataFrame]:
    frame = require_groups(released, "n").frame
    frame = frame[frame["density"].notna() & frame["n"].notna()]
    if by is None:
        return {"": frame} if len(frame) else {}
    return {str(group): part for group, part in frame.groupby(by, sort=False)}


def _marks(released: Released, by: str | None, axes: dict) -> list[Mark]:
    """The top of each bin, drawn or hidden, in the axes of its group."""
    frame = released.frame
    groups = frame[by].astype(str) if by else pd.Series("", index=frame.index)
    columns = (frame[each].astype("float64") for each in ("low", "high", "density"))
    return [
        Mark(axes[group], (low + high) / 2, density, row)
        for row, (group, low, high, density) in enumerate(zip(groups, *columns, strict=True))
        if group in axes and low < high
    ]


def _treated_first(groups: dict[str, pd.DataFrame]) -> list[tuple[str, pd.DataFrame]]:
    return sorted(groups.items(), key=lambda item: item[0] not in ("treated", "1", "True"))


def _density(bins: pd.DataFrame, at: np.ndarray) -> np.ndarray:
    density = np.zeros(len(at))
    for low, high, value in bins[["low", "high", "density"]].astype(float).itertuples(index=False):
        density[(at > low) & (at < high)] = value
    return density


def _steps(ax, bins: pd.DataFrame, colour: str, line, label: str | None) -> None:
    """Stepped outline that drops to zero across gaps between bins."""
    x, y = [], []
    for low, high, value in bins[["low", "high", "density"]].astype(float).itertuples(index=False):
        if x and low > x[-1]:
            x += [x[-1], low]
            y += [0.0, 0.0]
        elif not x:
            x, y = [low], [0.0]
        x += [low, high]
        y += [value, value]
    if x:
        x.append(x[-1])
        y.append(0.0)
    ax.fill_between(x, y, color=colour, alpha=0.14, linewidth=0)
    ax.plot(x, y, color=colour, linestyle=line, linewidth=1.7, label=label)
    ax.axhline(0, color=FAINT, linewidth=0.8)


def _group_alt(name: str, bins: pd.DataFrame, language: str) -> str:
    return say(
        "figure.group_alt",
        language,
        group=name or say("figure.everybody", language),
        n=number(bins["n"].sum(), 0),
        median=number(median(bins), 2),
        low=number(float(bins["low"].min()), 2),
        high=number(float(bins["high"].max()), 2),
    )
