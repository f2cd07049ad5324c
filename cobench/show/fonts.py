"""Type and colour of figures: a Chinese face beside the Latin one, one accent, colour-blind safe."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from functools import cache

from cobench.errors import CobenchError

FAMILY = ["DejaVu Sans", "Noto Sans SC"]
INK, MUTED, FAINT, PAPER = "#1f2428", "#5f6b76", "#d9dee3", "#ffffff"
ACCENT, CONTRAST = (
    "#0b6e99",
    "#c8553d",
)  # blue and vermilion: apart in every common colour blindness, and in grey
PALETTE = (ACCENT, CONTRAST, "#6b7a2a", "#8a5a9e", "#b8860b", "#4a4a4a")


@cache
def _register() -> None:
    """Tell matplotlib about the bundled Chinese font (once a process)."""
    import pylopdf_fonts_zh_cn
    from matplotlib.font_manager import fontManager

    fontManager.addfont(str(pylopdf_fonts_zh_cn.sans_path()))


def theme() -> dict[str, object]:
    """matplotlib settings of every figure."""
    _register()
    return {
        "font.family": FAMILY,
        "font.size": 9.5,
        "axes.unicode_minus": True,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": MUTED,
        "axes.labelsize": 9,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.titlecolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": False,
        "axes.axisbelow": True,
        "grid.color": FAINT,
        "grid.linewidth": 0.7,
        "text.color": INK,
        "xtick.color": MUTED,
        "ytick.color": INK,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 9,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "figure.facecolor": PAPER,
        "axes.facecolor": PAPER,
        "hatch.linewidth": 0.6,
        "hatch.color": MUTED,
        "svg.hashsalt": "cobench",
        "path.simplify": True,
    }


def use_theme(language: str = "zh") -> None:
    """Set up matplotlib and seaborn for figures of one's own; Chinese renders in either language."""
    import matplotlib as mpl
    import seaborn as sns

    if language not in ("zh", "en"):
        raise CobenchError(
            en=f"language is zh or en, not {language!r}", zh=f"语言应为 zh 或 en，而不是 {language!r}"
        )
    sns.set_theme(style="white", palette=list(PALETTE), rc=theme())
    mpl.rcParams["axes.prop_cycle"] = mpl.cycler(color=PALETTE)


@contextmanager
def missing_glyphs_are_errors():
    """Turn matplotlib's warning about a character that no font has into an error."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=r"Glyph \d+ .* missing from font")
        try:
            yield
        except UserWarning as warning:
            raise CobenchError(
                en=f"a figure needs a character that its fonts lack ({warning}); write it otherwise",
                zh=f"图中有字体缺少的字符（{warning}），请换一种写法",
            ) from None
