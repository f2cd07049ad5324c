"""Every figure: released data only, alt text, both languages, no missing glyph, the same bytes twice."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cobench.errors import CobenchError, ReleaseError
from cobench.release import release_bins, release_estimates
from cobench.show import (
    coverage_dots,
    coverage_map,
    effects_over,
    forest_plot,
    love_plot,
    overlap_plot,
    scale_distribution,
    use_theme,
)
from cobench.show.figure import COLOURS, EXACT, _with_palette, draw
from cobench.show.figures_distributions import median, overlap
from cobench.show.lines import breadth, stacked_parts, wrap

KINDS = ("forest", "love", "overlap", "map", "map_verdict", "dots", "scale", "over")


@pytest.fixture
def figure(labels, estimates, estimate, coverage, balance, propensity, scores):
    """A function that draws one kind of figure in one language."""
    over = release_estimates(pd.DataFrame([estimate(at=at, estimate=0.05 * at) for at in (-2, -1, 0, 1)]))

    def make(kind, language):
        options = {"language": language, "labels": labels}
        return {
            "forest": lambda: forest_plot(estimates, **options),
            "love": lambda: love_plot(balance, **options),
            "overlap": lambda: overlap_plot(propensity, **options),
            "map": lambda: coverage_map(coverage, **options),
            "map_verdict": lambda: coverage_map(coverage, verdict="verdict", **options),
            "dots": lambda: coverage_dots(coverage, group="school", **options),
            "scale": lambda: scale_distribution(scores, by="scale", **options),
            "over": lambda: effects_over(over, **options),
        }[kind]()

    return make


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_has_alt_text_a_table_behind_it_and_every_glyph(figure, kind, language):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = figure(kind, language)
    data, metadata = drawn._repr_mimebundle_()
    assert metadata["image/png"]["alt"] == drawn.alt and len(drawn.alt) > 20
    assert "<table " in data["application/vnd.cobench.table+html"]
    assert drawn.title and "{" not in drawn.alt + drawn.title
    assert has_chinese(drawn.alt) == (language == "zh")
    image = Image.open(io.BytesIO(drawn.png))
    assert image.info.keys() <= {"transparency", "gamma"} and len(drawn.png) < 60_000
    assert image.width == 1260


def has_chinese(text):
    return any("\u4e00" <= character <= "\u9fff" for character in text)


def test_the_same_data_give_the_same_bytes(figure):
    assert figure("forest", "zh").png == figure("forest", "zh").png


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_touches_the_border(figure, kind):
    """Cropped labels would run into the edge of the picture."""
    for language in ("zh", "en"):
        pixels = np.asarray(Image.open(io.BytesIO(figure(kind, language).png)).convert("L"))
        for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
            assert edge.min() > 200


def test_unreleased_data_are_refused(labels):
    raw = pd.DataFrame({"estimate": [0.1]})
    for draw_it in (
        forest_plot,
        love_plot,
        overlap_plot,
        coverage_map,
        coverage_dots,
        scale_distribution,
        effects_over,
    ):
        with pytest.raises(ReleaseError):
            draw_it(raw, language="en", labels=labels)


def test_a_character_without_a_glyph_is_an_error():
    with pytest.raises(CobenchError, match="character"):
        draw(lambda fig, ax: ax.set_xlabel("\U00012000"), height=1, title="x")


def test_the_forest_tells_hidden_unanswerable_and_evidence_apart(figure):
    drawn = figure("forest", "en")
    assert "randomised" in drawn.alt and "quasi-experimental" in drawn.alt
    assert "too few people, not shown" in drawn.alt and "not estimable" in drawn.alt
    assert drawn.title == "2 of 3 estimates can be distinguished from zero"


def test_the_map_puts_the_worst_first_and_counts_hidden_cells(figure):
    drawn = figure("map_verdict", "en")
    assert drawn.title == "3 of 6 schools meet every standard"
    assert "1 cells hidden" in drawn.alt


def test_bounds_are_shown_as_bounds(figure):
    assert "School 6 ≥95%" in figure("dots", "en").alt


def test_overlap_of_equal_densities_is_one_and_of_disjoint_ones_zero():
    left = pd.DataFrame({"low": [0.0], "high": [0.5], "n": [10], "density": [2.0]})
    right = left.assign(low=0.5, high=1.0)
    half = left.assign(low=0.25, high=0.75)
    assert overlap(left, left) == pytest.approx(1)
    assert overlap(left, right) == pytest.approx(0)
    assert overlap(left, half) == pytest.approx(0.5)


def test_the_median_of_bins_is_interpolated():
    bins = pd.DataFrame({"low": [0.0, 1.0], "high": [1.0, 2.0], "n": [10, 30], "density": [0.25, 0.75]})
    assert median(bins) == pytest.approx(1 + 10 / 30)


def test_an_overlap_plot_needs_two_groups():
    one = release_bins(pd.Series([0.5] * 20), by=pd.Series(["treated"] * 20, name="arm"), edges=[0, 1])
    with pytest.raises(ReleaseError, match="two released groups"):
        overlap_plot(one, language="en")


def test_lines_are_broken_where_a_reader_would_break_them():
    assert wrap("家庭教育指导活动（每学期两次）", 18) == ["家庭教育指导活动", "（每学期两次）"]
    assert wrap("maths of the school paper", 10) == ["maths of", "the school", "paper"]
    assert all(breadth(line) <= 12 for line in wrap("一二三四五六七八九十，一二三", 12)[:-1])
    assert stacked_parts(["家访", "数学", "很长很长的一个名字"], 14) == [
        "家访 · 数学",
        "很长很长的一个",
        "名字",
    ]


def test_the_theme_keeps_both_faces():
    import matplotlib as mpl

    with mpl.rc_context():
        use_theme("zh")
        assert mpl.rcParams["font.family"] == ["DejaVu Sans", "Noto Sans SC"]
    with pytest.raises(CobenchError):
        use_theme("fr")


def test_the_small_palette_keeps_what_is_frequent_and_is_near_everywhere():
    random = np.random.default_rng(5)
    colours = random.integers(0, 256, (600, 3))
    often = np.repeat(
        np.arange(600), np.r_[np.arange(4000, 4000 - 100 * EXACT, -100), np.full(600 - EXACT, 2)]
    )
    at = np.r_[often, np.zeros(-len(often) % 50, int)].reshape(-1, 50)
    rgba = np.dstack([colours[at], np.full(at.shape, 255)]).astype(np.uint8)
    image = _with_palette(rgba)
    assert image.mode == "P" and len(image.getcolors()) <= COLOURS
    told = np.asarray(image.convert("RGB")).astype(int)
    assert (told[at < EXACT] == colours[at[at < EXACT]]).all()
    # No colour has a nearer one in the palette than the one it got.
    palette = np.unique(told.reshape(-1, 3), axis=0)
    away = ((colours[at][:, :, None] - palette) ** 2).sum(axis=3).min(axis=2)
    assert (((told - colours[at]) ** 2).sum(axis=2) == away).all()
    plain = np.zeros((3, 4, 4), np.uint8)
    assert _with_palette(plain).convert("RGB") == Image.new("RGB", (4, 3))
