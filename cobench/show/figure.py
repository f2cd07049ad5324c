"""The figure object of a report, and what every figure is drawn with."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cobench.errors import ReleaseError
from cobench.release.escape import escape_html
from cobench.release.released import Released, require_released
from cobench.show.displayed import CARRIED_MIME, Displayed
from cobench.show.fonts import MUTED, missing_glyphs_are_errors, theme
from cobench.show.labels import Labels
from cobench.show.lines import wrap
from cobench.show.tables import table
from cobench.show.wording import say

WIDTH = 7.0  # inches; shown at 100 px an inch, drawn finer for sharp Chinese strokes
DPI = 180
COLOURS, EXACT = 64, 24
TABLE_MIME = "application/vnd.cobench.table+html"


@dataclass(frozen=True)
class Figure:
    """A drawn figure: PNG bytes, what it shows in words, and the released table behind it.

    In a notebook it is published as ``image/png`` with the alternative text in the metadata; the folded table
    behind it travels as ``application/vnd.cobench.table+html`` for the page template. ``inner`` is that table where
    it isn't ``data`` as it stands. ``spots`` are where its rows are drawn (:mod:`cobench.show.spots`).
    """

    png: bytes
    alt: str
    title: str
    data: Released
    language: str
    labels: Labels = field(default_factory=Labels, repr=False)
    inner: Displayed | None = field(default=None, repr=False)
    spots: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise ReleaseError(
                en=f"figure {self.title!r} has no alt text", zh=f"图“{self.title}”没有替代文字"
            )

    def behind(self) -> Displayed:
        """The table behind the figure, folded."""
        inner = self.inner or table(self.data, language=self.language, labels=self.labels, caption="")
        summary = escape_html(say("table.data_behind", self.language))
        html = f'<details class="data-behind"><summary>{summary}</summary>{inner.html}</details>'
        return Displayed(html, inner.text, inner.carried)

    def save(self, path) -> None:
        """Write the PNG."""
        with open(path, "wb") as file:
            file.write(self.png)

    def _repr_mimebundle_(self, include=None, exclude=None):
        behind = self.behind()
        data = {
            "image/png": base64.b64encode(self.png).decode("ascii"),
            "text/plain": self.title,
            TABLE_MIME: behind.html,
        }
        data |= {CARRIED_MIME: list(behind.carried)} if behind.carried else {}
        told = {"alt": self.alt, "width": int(WIDTH * 100)}
        return data, {"image/png": told | ({"spots": self.spots} if self.spots else {})}


def draw(
    paint: Callable, *, height: float, title: str, note: str = "", shape: tuple[int, int] = (1, 1), **grid
) -> tuple[bytes, str]:
    """PNG bytes of a figure whose axes ``paint(fig, axes)`` fills, and its spots; the same input gives the same bytes.

    Parameters
    ----------
    paint : function of the matplotlib figure and its axes
        May return the :class:`~cobench.show.spots.Spots` (or ``Grid``) of what it drew.
    height : float
        Inches of the plot without title and note.
    title, note : str
        Above and below, wrapped to the width.
    shape : rows and columns of axes
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    lines = wrap(title, 78)
    notes = wrap(note, 108) if note else []
    full = height + 0.22 * len(lines) + 0.17 * len(notes) + 0.15
    with mpl.rc_context(theme()), missing_glyphs_are_errors():
        fig = Canvas(figsize=(WIDTH, full), dpi=DPI, layout="constrained")
        FigureCanvasAgg(fig)
        fig.get_layout_engine().set(w_pad=0.06, h_pad=0.05)
        axes = fig.subplots(*shape, **grid)
        drawn = paint(fig, axes)
        fig.suptitle("\n".join(lines), x=0.008, ha="left", fontsize=11.5, linespacing=1.35)
        if notes:
            fig.supxlabel("\n".join(notes), x=0.008, ha="left", fontsize=8, color=MUTED, linespacing=1.4)
        fig.canvas.draw()
        return _png(fig), drawn.placed() if drawn else ""


def _png(fig) -> bytes:
    """The drawn canvas with a small palette: a quarter of the bytes, no time stamp, no software name."""
    stream = io.BytesIO()
    _with_palette(np.asarray(fig.canvas.buffer_rgba())).save(stream, "PNG", compress_level=6)
    return stream.getvalue()


def _with_palette(rgba: np.ndarray):
    """An image of at most :data:`COLOURS` colours: the most frequent ones exactly, others as the nearest of a few.

    Pillow's own search looks at every pixel; here runs of one colour are looked at, and colours instead of pixels.
    """
    from PIL import Image

    pixels = np.ascontiguousarray(rgba).reshape(-1, 4).view("<u4")[:, 0]
    starts = np.flatnonzero(np.concatenate([[True], pixels[1:] != pixels[:-1]]))
    lengths = np.diff(np.append(starts, pixels.size))
    found, of_run = np.unique(pixels[starts], return_inverse=True)
    colours = found.view(np.uint8).reshape(-1, 4)[:, :3]
    order = np.argsort(-np.bincount(of_run, weights=lengths), kind="stable")
    palette, others = colours[order[:EXACT]], colours[order[EXACT:]]
    if len(others):
        room, method = COLOURS - EXACT, Image.Quantize.MAXCOVERAGE
        few = Image.fromarray(others[None]).quantize(room, method=method, kmeans=2, dither=Image.Dither.NONE)
        palette = np.concatenate([palette, np.array(few.getpalette(), np.uint8).reshape(-1, 3)[:room]])
    apart = colours[:, None].astype(np.int32) - palette[None]
    nearest = (apart**2).sum(axis=2).argmin(axis=1).astype(np.uint8)
    image = Image.fromarray(np.repeat(nearest[of_run], lengths).reshape(rgba.shape[:2]), "P")
    image.putpalette(palette.ravel().tolist())
    return image


def require_groups(thing: object, count: str) -> Released:
    """``thing`` if it was released as counts of people, and everything in it rests on enough of them.

    A table of things has passed no threshold, so a mark in a figure of it might stand for one child.

    Raises
    ------
    ReleaseError
        Otherwise, with the way out.
    """
    released = require_released(thing)
    least = released.rules.min_cell
    small = least is None or count not in released.frame
    if not small:
        shown = pd.to_numeric(released.frame[count]).astype("float64").dropna()
        small = bool((shown < least).any())
    if small or released.about != "people":
        raise ReleaseError(
            en=f"this figure shows groups of people and needs their number in column {count}, released with a "
            "threshold; use release_table, release_bins or release_estimates",
            zh=f"此图展示人群，需要经阈值检查的人数列 {count}；请用 release_table、release_bins 或 release_estimates",
        )
    return released


def joined(parts: Sequence[str], language: str) -> str:
    """A list within a sentence."""
    return ("；" if language == "zh" else "; ").join(parts)


def title_of(given: str | None, released: Released, found: str) -> str:
    """The title asked for, else the released object's, else the finding."""
    return given if given is not None else (released.title or found)
