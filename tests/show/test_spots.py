"""Spots lie where the row of the table behind is drawn: its marker's pixels, its value along the axis, its cell."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageColor

from cobench.release import release_estimates, release_table, scan_text
from cobench.show import (
    Labels,
    Spec,
    coverage_dots,
    coverage_map,
    effects_over,
    forest_plot,
    love_plot,
    overlap_plot,
    scale_distribution,
    spec_curve,
)
from cobench.show.figures_standards import SIGNS, standards_panels
from cobench.show.figures_value_added import caterpillar_plot
from cobench.show.fonts import ACCENT, CONTRAST, INK, MUTED, PAPER
from cobench.show.spots import WELL_FORMED

both = pytest.mark.parametrize("language", ["zh", "en"])


def spots(figure):
    """``{row: (across, down)}`` in pixels of the picture, and the kind."""
    assert WELL_FORMED.match(figure.spots), figure.spots
    kind, *parts = figure.spots.split(" ")
    assert kind[0] in "xyp"
    found = [tuple(map(int, part.split(","))) for part in parts]
    places = {row: (1.26 * x, 1.26 * y) for x, y, row in found}
    assert len(places) == len(found) and set(places) <= set(range(len(figure.data.frame)))
    return kind[0], places


def pixels(figure):
    return np.asarray(Image.open(io.BytesIO(figure.png)).convert("RGB")).astype(int)


def near(figure, place, colour, reach):
    """How many pixels up to ``reach`` from ``place`` have ``colour``."""
    x, y = (round(each) for each in place)
    part = pixels(figure)[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    return int((abs(part - ImageColor.getrgb(colour)).max(axis=2) < 14).sum())


def along(figure, column, axis=0, values=None):
    """Do the places of shown rows follow the values of ``column`` in the table behind, in proportion."""
    _, places = spots(figure)
    frame = figure.data.frame.reset_index(drop=True)
    values = pd.to_numeric(frame[column]).abs() if values is None else values
    rows = [row for row in places if pd.notna(values[row])]
    assert len(rows) > 1
    found = np.polyfit([float(values[row]) for row in rows], [places[row][axis] for row in rows], 1)
    off = np.polyval(found, [float(values[row]) for row in rows]) - [places[row][axis] for row in rows]
    return abs(off).max() < 1.5 and abs(found[0]) > 1


@both
def test_a_row_of_a_forest_plot_is_where_its_marker_is(labels, estimate, language):
    rows = [
        estimate(),
        estimate(contrast="at_home", estimate=-0.1, evidence="randomised"),
        estimate(outcome="absences", estimate=0.4, evidence="randomised", n_treated=6),
        estimate(treatment="lecture", contrast="attended", estimate=0.3, evidence="descriptive"),
    ]
    figure = forest_plot(release_estimates(pd.DataFrame(rows)), language=language, labels=labels)
    kind, places = spots(figure)
    assert kind == "y" and list(places) == [0, 1, 2, 3]
    assert along(figure, "estimate", values=pd.to_numeric(figure.data.frame["estimate"]))
    for row, face, edge in ((0, PAPER, ACCENT), (1, ACCENT, ACCENT), (3, PAPER, MUTED)):
        assert near(figure, places[row], face, 2) == 25 and near(figure, places[row], edge, 9) > 20
    assert not near(figure, places[2], ACCENT, 9)  # hidden: nothing drawn, but a place in its line
    assert places[1][1] < places[2][1] < places[3][1]


@both
def test_a_row_of_a_love_plot_is_where_its_diamond_is_though_drawn_in_another_order(labels, language):
    from cobench.release import release_aggregate

    frame = pd.DataFrame(
        {"covariate": ["sex", "math", "x"], "smd_before": [0.1, -0.62, 0.3], "smd_after": [-0.06, 0.2, 0.12]}
    )
    figure = love_plot(release_aggregate(frame, about="design"), language=language, labels=labels)
    _, places = spots(figure)
    assert along(figure, "smd_after")
    assert places[1][1] < places[2][1] < places[0][1]
    assert all(near(figure, place, ACCENT, 2) == 25 for place in places.values())


@both
def test_a_row_of_a_curve_is_where_its_marker_is_and_a_hidden_one_stands_at_its_time(
    labels, estimate, language
):
    rows = [
        estimate(at=at, estimate=value, evidence="quasi_experimental")
        for at, value in ((1, 0.3), (-2, -0.1), (0, 0.12))
    ]
    rows.append(estimate(at=-1, estimate=0.9, n_treated=4))
    figure = effects_over(release_estimates(pd.DataFrame(rows)), language=language, labels=labels)
    kind, places = spots(figure)
    assert kind == "x" and along(figure, "at", values=figure.data.frame["at"])
    assert along(figure, "estimate", axis=1, values=pd.to_numeric(figure.data.frame["estimate"]))
    assert all(near(figure, places[row], ACCENT, 2) == 25 for row in (0, 1, 2))
    assert not near(figure, places[3], ACCENT, 9) and places[3][1] > max(places[row][1] for row in (0, 1, 2))


@both
def test_a_school_of_value_added_is_where_its_marker_is_though_drawn_in_another_order(language):
    frame = pd.DataFrame(
        {
            "school": ["s1", "s2", "s3", "s4"], "n_students": [40, 40, 40, 4], "estimate": [0.3, -0.2, 0.05, 0.2],
            "conf_low": [0.1, -0.4, -0.15, 0.1], "conf_high": [0.5, 0.0, 0.25, 0.3],
            "difference_low": [0.05, -0.6, -0.3, 0.1], "difference_high": [0.7, 0.1, 0.4, 0.3],
            "verdict": ["above", "not_distinguishable", "not_distinguishable", "above"],
        }
    )  # fmt: skip
    figure = caterpillar_plot(release_table(frame, counts="n_students"), language=language)
    _, places = spots(figure)
    assert along(figure, "estimate", values=pd.to_numeric(figure.data.frame["estimate"]))
    assert near(figure, places[0], ACCENT, 2) == 25
    for row in (1, 2):
        assert near(figure, places[row], PAPER, 2) == 25 and near(figure, places[row], ACCENT, 9) > 20
    assert not near(figure, places[3], ACCENT, 9)
    assert places[3][1] < places[0][1] < places[2][1] < places[1][1]


@both
def test_a_share_is_where_its_dot_is(labels, coverage, language):
    part = coverage.where(coverage.frame["standard"] == "D02")
    figure = coverage_dots(part, group="school", language=language, labels=labels)
    _, places = spots(figure)
    shown = figure.data.frame.reset_index(drop=True)["share"]
    assert along(figure, "share", values=shown) and shown.isna().any()
    for row, place in places.items():
        assert pd.isna(shown[row]) or near(figure, place, ACCENT, 9) > 40


@both
def test_a_cell_of_the_coverage_map_is_where_its_colour_and_its_school_are(labels, coverage, language):
    figure = coverage_map(coverage, verdict="verdict", language=language, labels=labels)
    kind, places = spots(figure)
    frame = figure.data.frame.reset_index(drop=True)
    assert kind == "p" and set(places) == set(range(len(frame)))
    for _, rows in frame.groupby("school"):
        assert len({places[row][1] for row in rows.index}) == 1
    for _, rows in frame.groupby("standard"):
        assert len({places[row][0] for row in rows.index}) == 1
    for row, share in frame["share"].items():
        x, y = (round(each) for each in places[row])
        inside = pixels(figure)[y + 13 : y + 16, x - 30 : x + 30].reshape(-1, 3)
        light = np.median(inside.sum(axis=1))
        if pd.notna(share):
            frame.loc[row, "light"] = light
    told = frame.dropna(subset=["share"]).assign(shade=lambda each: each["share"].round(1))
    by_share = told.groupby("shade")["light"].mean()
    assert by_share.is_monotonic_decreasing and len(by_share) > 3


@both
def test_a_specification_is_where_its_marker_is(labels, estimate, language):
    rows = [
        estimate(spec_id="late", method="ipw", estimate=0.3, evidence="quasi_experimental"),
        estimate(spec_id="main", method="difference", estimate=-0.5, evidence="descriptive"),
        estimate(spec_id="main", method="aipw", evidence="randomised"),
    ]
    specs = [
        Spec("main", "difference", {"Method": "plain"}),
        Spec("main", "aipw", {"Method": "AIPW"}, primary=True),
        Spec("late", "ipw", {"Method": "IPW"}),
    ]
    figure = spec_curve(release_estimates(pd.DataFrame(rows)), specs, language=language, labels=labels)
    _, places = spots(figure)
    assert along(figure, "estimate", axis=1, values=pd.to_numeric(figure.data.frame["estimate"]))
    assert places[1][0] < places[2][0] < places[0][0]
    assert near(figure, places[2], ACCENT, 2) == 25 and near(figure, places[0], INK, 2) == 25
    assert near(figure, places[1], PAPER, 1) == 9 and near(figure, places[1], INK, 9) > 20


@both
def test_a_bin_is_where_its_step_is(labels, propensity, scores, language):
    for figure, of_group in (
        (overlap_plot(propensity, language=language, labels=labels), {"treated": ACCENT, "comparison": CONTRAST}),
        (scale_distribution(scores, by="scale", language=language, labels=labels), {}),
    ):  # fmt: skip
        _, places = spots(figure)
        frame = figure.data.frame.reset_index(drop=True)
        assert along(figure, "middle", values=(frame["low"] + frame["high"]) / 2)
        for row in frame.index[frame["density"].notna()]:
            # a broken line has gaps shorter than this
            assert near(figure, places[row], of_group.get(frame.iloc[row, 0], ACCENT), 8) > 8, row


@both
def test_a_panel_of_standards_lies_around_its_cells(language):
    verdict = {
        ("S1", "P1"): "not_met", ("S1", "P2"): "met", ("S1", "Q1"): "not_met",
        ("S2", "P1"): "met", ("S2", "P2"): "met", ("S2", "Q1"): "not_met",
        ("S3", "P1"): "not_met", ("S3", "P2"): "not_met", ("S3", "Q1"): "not_met",
    }  # fmt: skip
    frame = pd.DataFrame(
        [(*key, value) for key, value in verdict.items()], columns=["school", "standard", "verdict"]
    )
    released = release_table(frame.assign(n_met=20, n_units=40), counts=["n_units", "n_met"])
    figure = standards_panels(
        released, {"P1": "plan", "P2": "plan", "Q1": "county"}, language=language, labels=Labels({})
    )
    assert WELL_FORMED.match(figure.spots)
    lines = [line.split(" | ") for line in figure.behind().text.splitlines()]
    head = next(line for line in lines if line[1:] == ["S3", "S1", "S2"])
    body = lines[lines.index(head) + 1 :]
    seen = 0
    for part in figure.spots.split(" ")[1:]:
        left, top, right, bottom, across, down, first = map(int, part.split(","))
        assert down == 3
        for i in range(across):
            for j in range(down):
                place = (left + (i + 0.15) * (right - left) / across, top + (j + 0.2) * (bottom - top) / down)
                place = tuple(1.26 * each for each in place)
                line = body[first + i]
                told = verdict[head[1 + j], line[0].split(" ")[0]]
                assert line[1 + j].startswith(SIGNS[told])
                assert near(figure, place, {"met": "#dcebf2", "not_met": "#c25b4e"}[told], 0) == 1
                seen += 1
    assert seen == 9


def test_spots_are_metadata_of_the_picture_deterministic_and_no_number_of_a_person(labels, estimates):
    figures = [forest_plot(estimates, language="en", labels=labels) for _ in range(2)]
    assert figures[0].spots == figures[1].spots
    data, told = figures[0]._repr_mimebundle_()
    assert told["image/png"]["spots"] == figures[0].spots and figures[0].spots not in str(data)
    many = "p60 " + " ".join(f"{139 + i % 800},{1380 + i},{1300 + i}" for i in range(2000))
    assert WELL_FORMED.match(many) and not scan_text(f'<img data-spots="{many}">')
    for bad in ("", "y30", 'y30 1,2,3" onload="x', "y30 1,2", "z30 1,2,3", "y30 1,2,3\n"):
        assert not WELL_FORMED.match(bad)
