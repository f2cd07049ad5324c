"""Over a figure the page shows the row of the table behind it, as that table prints it, and nothing else."""

import re

import pandas as pd
import pytest
from browser import chromium, needs_browser, sideways, violations
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from test_render import report
from throwaway import page_context

from cobench.release import release_table
from cobench.run.render import render_report
from cobench.show import Labels
from cobench.show.figures_standards import standards_panels
from cobench.show.figures_value_added import caterpillar_plot

NAMES = {f"s{i}": {"zh": f"第{i}小学", "en": f"School {i}"} for i in range(1, 6)}
LABELS = Labels({"school": NAMES})


def value_added(language):
    frame = pd.DataFrame(
        {
            "school": ["s1", "s2", "s3", "s4", "s5"], "n_students": [40, 50, 60, 4, 70],
            "estimate": [0.3, -0.2, 0.05, 0.2, 0.11], "conf_low": [0.1, -0.4, -0.15, 0.1, 0.01],
            "conf_high": [0.5, 0.0, 0.25, 0.3, 0.2], "difference_low": [0.05, -0.6, -0.3, 0.1, -0.1],
            "difference_high": [0.7, 0.1, 0.4, 0.3, 0.3],
            "verdict": ["above", "not_distinguishable", "not_distinguishable", "above", "not_distinguishable"],
        }
    )  # fmt: skip
    return caterpillar_plot(release_table(frame, counts="n_students"), language=language, labels=LABELS)


def standards(language):
    rows = [
        (f"s{i}", standard, "met" if i > k else "not_met", 20 + i, 40 + k if i < 5 else 7)
        for i in range(1, 6)
        for k, standard in enumerate(["P1", "P2", "Q1"])
    ]
    frame = pd.DataFrame(rows, columns=["school", "standard", "verdict", "n_met", "n_units"])
    released = release_table(frame, counts=["n_units", "n_met"])
    profiles = {"P1": "plan", "P2": "plan", "Q1": "county"}
    return standards_panels(released, profiles, language=language, labels=LABELS)


def shown(figure):
    data, metadata = figure._repr_mimebundle_()
    return new_output("display_data", data=data, metadata=metadata)


def written(folder, language, *figures):
    cells = [
        new_markdown_cell("## Figures"),
        *(new_code_cell("", outputs=[shown(figure)]) for figure in figures),
    ]
    path = folder / f"page.{language}.html"
    page = render_report(new_notebook(cells=cells), report(language), context=page_context())
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=["zh", "en"])
def made(request, tmp_path_factory):
    language = request.param
    figures = (value_added(language), standards(language))
    return written(tmp_path_factory.mktemp("hover"), language, *figures), figures


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


STILL = {"reduced_motion": "reduce"}  # scrolling takes no time
WINDOWS = pytest.mark.parametrize(
    "options",
    [{"width": 1280}, {"width": 390, "has_touch": True}, {"width": 640, "height": 350, "dark": True}],
    ids=["desktop", "phone", "window at 200 per cent"],
)


def point(page, figure, x, y, *, tap=False):
    """Move the mouse to (or tap on) thousandths of the picture's width; where that is in the window."""
    image = page.locator("img[data-spots]").nth(figure)
    image.scroll_into_view_if_needed()
    image.evaluate(
        """(e, [x, y]) => { e.parentElement.scrollLeft = x / 1000 * e.clientWidth - innerWidth / 2;
        scrollTo(0, scrollY + e.getBoundingClientRect().top + y / 1000 * e.clientWidth - innerHeight / 2); }""",
        [x, y],
    )
    frames(page)
    box = image.bounding_box()
    pad = float(image.evaluate("e => parseFloat(getComputedStyle(e).paddingLeft)"))
    scale = (box["width"] - 2 * pad) / 1000
    place = (box["x"] + pad + x * scale, box["y"] + pad + y * scale)
    if tap:
        page.touchscreen.tap(*place)
    else:
        # A mouse that stays where it was, over a page that moved below it, moves no further.
        page.mouse.move(place[0] + 3, place[1] + 3)
        page.mouse.move(*place)
    frames(page)
    return place


def frames(page):
    """Wait until the browser has told the page of what was done to it; scrolling, too, hides the tip."""
    page.evaluate(
        "new Promise(done => { let n = 4; const next = () => n-- ? requestAnimationFrame(next) : done(); next(); })"
    )


def tip(page):
    """The tip's lines; None where there is none."""
    if not page.locator(".tip").is_visible():
        return None
    return page.locator(".tip > *").all_text_contents()


def table(page, figure):
    """Heads and rows of the table behind, as the page prints them."""
    inside = page.locator(".data-behind table").nth(figure)
    heads = inside.locator("thead th").all_text_contents()
    rows = [each.locator("th,td").all_text_contents() for each in inside.locator("tbody tr").all()]
    return heads, rows


def spots(figure):
    return [tuple(map(int, part.split(","))) for part in figure.spots.split(" ")[1:]]


def inside(page):
    """Does the tip lie within the window, whole."""
    return page.evaluate(
        """() => { const e = document.querySelector('.tip'), b = e.getBoundingClientRect();
        return b.left >= 0 && b.top >= 0 && b.right <= document.documentElement.clientWidth
            && b.bottom <= innerHeight && e.scrollHeight <= e.clientHeight + 1 && e.scrollWidth <= e.clientWidth + 1; }"""
    )


@needs_browser
@WINDOWS
def test_the_tip_over_a_mark_is_its_row_as_the_table_behind_prints_it(browser, made, options):
    path, figures = made
    by_name = dict(zip([NAMES[f"s{i}"][path.suffixes[0][1:]] for i in range(1, 6)], range(5), strict=True))
    with browser.page(path, **STILL, **options) as page:
        heads, rows = table(page, 0)
        for x, y, row in spots(figures[0]):
            ring = point(page, 0, x, y, tap=options.get("has_touch", False))
            name, *cells = tip(page)
            assert by_name[name] == row and rows[row][0] == name
            told = dict(zip(cells[::2], cells[1::2], strict=True))
            assert told and all(rows[row][heads.index(head)] == value for head, value in told.items())
            assert len(told) == len(heads) - 1
            assert inside(page) and sideways(page) <= 0
            box = page.locator(".ring").bounding_box()
            assert abs(box["x"] + box["width"] / 2 - ring[0]) < 1.5
            assert abs(box["y"] + box["height"] / 2 - ring[1]) < 1.5


@needs_browser
def test_a_hidden_row_shows_its_hidden_sign_and_no_number(browser, made):
    path, figures = made
    hidden = next(spot for spot in spots(figures[0]) if spot[2] == 3)
    with browser.page(path, **STILL) as page:
        point(page, 0, *hidden[:2])
        values = tip(page)[2::2]
        assert set(values[:-1]) == {"<10", "n<10"} and values[:-1] == table(page, 0)[1][3][1:-1]
        assert "0.20" not in " ".join(tip(page))


@needs_browser
@WINDOWS
def test_the_tip_over_a_cell_is_that_school_and_standard(browser, made, options):
    path, figures = made
    with browser.page(path, **STILL, **options) as page:
        heads, rows = table(page, 1)
        seen = []
        for left, top, right, bottom, across, down, first in spots(figures[1]):
            for i, j in ((0, 0), (across - 1, down - 1), (0, down // 2)):
                place = (left + (i + 0.7) * (right - left) / across, top + (j + 0.3) * (bottom - top) / down)
                point(page, 1, *place, tap=options.get("has_touch", False))
                assert tip(page) == [heads[j + 1], rows[first + i][0], rows[first + i][j + 1]]
                assert inside(page)
                seen.append(tip(page)[2])
        assert any("/<10" in each for each in seen)


@needs_browser
def test_a_sorted_table_gives_the_same_tip(browser, made):
    path, figures = made
    x, y, row = spots(figures[0])[0]
    with browser.page(path, **STILL) as page:
        point(page, 0, x, y)
        before = tip(page)
        page.locator("details.data-behind").first.evaluate("e => e.open = true")
        _, rows = table(page, 0)
        page.locator(".data-behind table").first.locator("thead th .sort").nth(2).click()
        _, now = table(page, 0)
        assert now != rows and sorted(now) == sorted(rows)
        point(page, 0, x, y)
        assert tip(page) == before


@needs_browser
def test_the_tip_goes_with_the_mouse_escape_a_tap_elsewhere_and_scrolling(browser, made):
    path, figures = made
    x, y, _ = spots(figures[0])[2]
    with browser.page(path, **STILL, has_touch=True) as page:
        gone = {
            "mouse": lambda: page.mouse.move(2, 2),
            "escape": lambda: page.keyboard.press("Escape"),
            "scroll": lambda: (page.evaluate("scrollBy(0, 40)"), page.wait_for_timeout(100)),
        }
        for name, leave in gone.items():
            point(page, 0, x, y)
            assert tip(page), name
            leave()
            assert tip(page) is None, name
        point(page, 0, x, y, tap=True)
        assert tip(page)
        page.touchscreen.tap(20, 20)
        assert tip(page) is None


@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_has_nothing_against_an_open_tip_and_print_has_none(browser, made, dark):
    path, figures = made
    browser.requests.clear()
    with browser.page(path, **STILL, dark=dark, bypass_csp=True) as page:
        point(page, 0, *spots(figures[0])[0][:2])
        assert tip(page) and violations(page) == []
        assert page.locator(".tip").get_attribute("aria-hidden") == "true"
        page.emulate_media(media="print")
        assert tip(page) is None and not page.locator(".ring").is_visible()
    assert browser.requests == []


def test_spots_that_are_not_well_formed_and_pictures_without_any_leave_no_trace(tmp_path):
    figure = value_added("en")
    whole = written(tmp_path, "en", figure).read_text(encoding="utf-8")
    assert re.search(f'<img[^>]* data-spots="{figure.spots}"', whole)
    for spots_ in ('y30 1,2,3" onload="x', "0.2134", ""):
        data, metadata = figure._repr_mimebundle_()
        metadata["image/png"]["spots"] = spots_
        cell = new_code_cell("", outputs=[new_output("display_data", data=data, metadata=metadata)])
        page = render_report(new_notebook(cells=[cell]), report("en"), context=page_context())
        assert "data-spots=" not in page and "onload" not in page
