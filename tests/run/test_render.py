import base64
import hashlib
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from throwaway import page_context

from cobench.declared import Text
from cobench.run.body import PageError
from cobench.run.plan import Report
from cobench.run.render import render_placeholder, render_report, short_hash

PNG = "iVBORw0KGgo="
LOADING = ("src", "srcset", "poster", "background", "data", "action")


def report(language: str = "en", title: Text | None = None) -> Report:
    return Report(
        id="04_effect-home_visit",
        notebook=Path("notebooks/04_effect.ipynb"),
        parameters={"study": ".", "term": "2025-2026-2", "language": language, "treatment": "home_visit"},
        language=language,
        title=title or Text("家访的成效", "Effect of home visits"),
        path=f"04_effect-home_visit.{language}.html",
    )


def html_output(html: str):
    return new_output("display_data", data={"text/html": html})


def figure(alt: object = "points rise", **metadata):
    return new_output(
        "display_data", data={"image/png": PNG}, metadata={"image/png": {"alt": alt}} | metadata
    )


def rendered(*cells, language: str = "en", title: Text | None = None, **context) -> BeautifulSoup:
    page = render_report(
        new_notebook(cells=list(cells)), report(language, title), context=page_context(**context)
    )
    return BeautifulSoup(page, "html.parser")


def shown(*outputs, **metadata):
    return new_code_cell("code()", outputs=list(outputs), metadata=metadata)


# ---- claims about whole pages, on those of the finished run --------------------------------------------


@pytest.fixture(
    params=["00_good.zh", "00_good.en", "70_school-S01.zh", "10_fails.en", "40_leaks.en", "index"]
)
def page(request, finished):
    return request.param, BeautifulSoup(finished.page(request.param), "html.parser")


def test_a_page_declares_its_language_and_title_and_has_one_h1(page):
    name, soup = page
    assert soup.html["lang"] == ("en" if name.endswith(".en") else "zh-CN")
    assert len(soup.find_all("h1")) == 1 and soup.h1.get_text(strip=True)
    assert len(soup.find_all("title")) == 1 and soup.title.get_text(strip=True)
    assert soup.find("main")["id"] == "content"


def test_a_page_loads_nothing_from_a_network(page):
    _, soup = page
    for tag in soup.find_all(True):
        for name in LOADING:
            assert tag.get(name, "data:").startswith("data:"), tag
    assert not soup.find_all(["link", "iframe", "object", "embed", "base", "form"])
    css = " ".join(tag.get_text() for tag in soup.find_all("style")) + " ".join(
        tag["style"] for tag in soup.find_all(style=True)
    )
    assert "@import" not in css
    assert all(target.strip("'\" ").startswith("data:") for target in re.findall(r"url\(([^)]*)\)", css))
    assert "http:" not in str(soup) and "https:" not in str(soup)


def test_the_security_policy_allows_only_the_pages_own_script(page):
    _, soup = page
    policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    scripts = [each for each in soup.find_all("script") if each.get("type") != "application/json"]
    assert len(scripts) == 1 and not scripts[0].has_attr("src")
    digest = base64.b64encode(hashlib.sha256(scripts[0].string.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'") and f"script-src 'sha256-{digest}'" in policy


def test_a_simulated_study_is_stamped_in_both_languages_on_screen_and_in_print(page):
    _, soup = page
    stamp = soup.find(class_="stamp").get_text(" ", strip=True)
    assert "模拟数据" in stamp and "Simulated data" in stamp
    css = soup.find("style").get_text()
    assert '@bottom-center{content:"模拟数据 · Simulated data"' in css
    print_rules = css[css.index("@media print") :]
    assert not re.search(r"\.stamp[^{]*\{[^}]*display:\s*none", print_rules)


def test_a_page_is_small_without_its_figures(page):
    _, soup = page
    for image in soup.find_all("img"):
        image.decompose()
    assert len(str(soup).encode()) < 350_000


def test_a_page_has_print_and_dark_styles_and_a_footer_with_provenance(page):
    _, soup = page
    css = soup.find("style").get_text()
    assert "@media print" in css and "prefers-color-scheme:dark" in css
    footer = soup.footer.get_text(" ", strip=True)
    assert "cobench 0." in footer and "pandas" in footer and "run.json" in footer
    assert re.search(r"[0-9a-f]{4}( [0-9a-f]{4}){3}", footer)


def test_the_report_pages_of_both_languages_point_to_each_other_and_to_the_index(finished):
    chinese = BeautifulSoup(finished.page("00_good.zh"), "html.parser")
    links = [link["href"] for link in chinese.header.find_all("a")]
    assert links == ["index.html#zh", "00_good.en.html"]


def test_a_real_figure_table_and_print_reach_the_page_safely(finished):
    text = finished.page("00_good.en")
    soup = BeautifulSoup(text, "html.parser")
    assert soup.find("figure").img["alt"] == 'Visited "more" & higher'
    assert soup.find("pre", string=re.compile(r"<script>alert\('printed'\)</script> <b>bold</b>"))
    assert "alert('injected')" not in str(soup.main.find(class_="output"))
    assert not soup.find("td").has_attr("onclick")
    assert "a warning about x" not in text


# ---- claims about content ------------------------------------------------------------------------------


def test_cells_of_the_other_language_and_hidden_cells_are_left_out():
    cells = [
        new_markdown_cell("只有中文", metadata={"tags": ["zh"]}),
        new_markdown_cell("English only", metadata={"tags": ["en"]}),
        new_markdown_cell("nowhere", metadata={"tags": ["hide"]}),
        new_markdown_cell("everywhere"),
    ]
    for language, there, absent in [("zh", "只有中文", "English only"), ("en", "English only", "只有中文")]:
        text = rendered(*cells, language=language).main.get_text()
        assert there in text and "everywhere" in text
        assert absent not in text and "nowhere" not in text


def test_headings_make_the_contents_and_every_link_arrives():
    soup = rendered(
        new_markdown_cell("## First\n\ntext\n\n### Part"), shown(html_output("<h2>Second <b>& last</b></h2>"))
    )
    links = soup.find(class_="contents").find_all("a")
    assert [link.get_text() for link in links] == ["First", "Part", "Second & last"]
    assert all(soup.find(id=link["href"][1:]) for link in links)
    assert soup.find(class_="contents")["aria-label"] == "Contents"


def test_a_section_that_opens_the_page_bears_no_rule_above_it():
    assert rendered(shown(), new_markdown_cell("## First")).find("h2")["class"] == ["opening"]
    assert not rendered(new_markdown_cell("text\n\n## First")).find("h2").has_attr("class")
    assert not rendered(shown(figure()), new_markdown_cell("## First")).find("h2").has_attr("class")


def test_a_page_with_one_section_has_no_contents():
    assert rendered(new_markdown_cell("## Only")).find(class_="contents") is None


def test_the_declared_title_stands_unless_an_output_shows_one():
    typed = new_markdown_cell("# 家访 / Home visits\n\n## Part")
    soup = rendered(typed)
    assert soup.h1.get_text() == "Effect of home visits" and "家访" not in soup.main.get_text()
    soup = rendered(typed, shown(html_output("<h1>Visits at S01</h1>")), new_markdown_cell("# Another"))
    assert soup.h1.get_text() == "Visits at S01" and len(soup.find_all("h1")) == 1
    assert soup.title.get_text() == "Visits at S01 · Spring term · Small District"
    assert [h.get_text() for h in soup.main.find_all("h2")] == ["Part", "Another"]


def test_titles_and_labels_are_escaped():
    title = Text("<script>x</script>", "<script>x</script> & co")
    soup = rendered(title=title, study=Text("<b>", "<b>District</b>"))
    assert soup.h1.get_text() == "<script>x</script> & co"
    assert soup.header.find("b") is None and len(soup.find_all("script", type=False)) == 1


@pytest.mark.parametrize("alt", ["", "  ", None])
def test_a_figure_without_alternative_text_fails_the_page(alt):
    with pytest.raises(PageError, match="the figure of cell 2 has no alternative text"):
        rendered(new_markdown_cell("x"), shown(figure(alt)))


def test_alternative_text_may_stand_with_the_cell_and_in_both_languages():
    both = {"zh": "点上升", "en": "points rise"}
    for language in ("zh", "en"):
        image = rendered(shown(figure(None), alt=both), language=language).img
        assert image["alt"] == both[language]
    assert rendered(shown(figure(both)), language="zh").img["alt"] == "点上升"


@pytest.mark.parametrize(
    "html",
    [
        f'<img src="data:image/png;base64,{PNG}">',
        f'<img alt="" src="data:image/png;base64,{PNG}">',
        "<svg><g/></svg>",
    ],
)
def test_an_image_inside_html_without_alternative_text_fails_the_page(html):
    with pytest.raises(PageError, match="an image has no alternative text"):
        rendered(shown(html_output(html)))


@pytest.mark.parametrize(
    "html",
    [
        '<img alt="x" src="https://example.org/a.png">',
        '<img alt="x" src="//example.org/a.png">',
        '<img alt="x" src="a.png">',
        f'<img alt="x" src="data:image/png;base64,{PNG}" srcset="https://example.org/a.png 2x">',
        '<p style="background:url(https://example.org/a.png)">x</p>',
        "<style>@import 'https://example.org/a.css';</style>",
        "<style>@font-face{src:url('//example.org/a.woff')}</style>",
        '<video poster="https://example.org/a.png"></video>',
        '<svg aria-label="x"><image href="https://example.org/a.png"/></svg>',
        '<table background="https://example.org/a.png"></table>',
    ],
)
def test_what_would_be_loaded_from_elsewhere_fails_the_page(html):
    with pytest.raises(PageError, match="would load something from a network"):
        rendered(shown(html_output(html)))


@pytest.mark.parametrize(
    "html",
    [
        "<script>bad()</script>",
        "<iframe srcdoc='bad()'></iframe>",
        "<p onclick='bad()'>x</p>",
        "<p ONMOUSEOVER='bad()'>x</p>",
        "<a href=' JavaScript:bad()'>x</a>",
        "<form action='#'><input onfocus='bad()'></form>",
        "<meta http-equiv='refresh' content='0;bad()'>",
        "<svg aria-label='x'><script>bad()</script></svg>",
    ],
)
def test_active_content_is_removed(html):
    assert "bad()" not in str(rendered(shown(html_output(html))).main)


@pytest.mark.filterwarnings("ignore:Your element with mimetype")
def test_errors_warnings_widgets_and_scripts_are_never_rendered():
    soup = rendered(
        shown(
            new_output("error", ename="ValueError", evalue="hidden", traceback=["hidden line"]),
            new_output("stream", name="stderr", text="hidden warning"),
            new_output("display_data", data={"application/javascript": "hidden()", "text/plain": "plain"}),
            new_output("display_data", data={"application/vnd.jupyter.widget-view+json": {"hidden": 1}}),
        )
    )
    assert "hidden" not in str(soup.main) and "plain" in soup.main.get_text()


def test_code_is_there_but_hidden_until_asked_for():
    soup = rendered(shown(new_output("stream", name="stdout", text="out")))
    assert "code" in soup.main.find(class_="code").get_text()
    css = soup.find("style").get_text()
    assert ".code{display:none}" in css and "#show-code:checked" in css
    assert soup.find("input", id="show-code").find_parent("label").get_text(strip=True) == "Show code"


def test_tables_scroll_in_a_box_that_the_keyboard_reaches():
    soup = rendered(shown(html_output("<table><caption>Visits</caption><tr><td>1</td></tr></table>")))
    box = soup.find("table").parent
    assert box["class"] == ["table-scroll"] and box["tabindex"] == "0" and box["aria-label"] == "Visits"


def test_a_study_that_is_not_simulated_bears_no_stamp():
    assert "模拟数据" not in str(rendered(simulated=False))


def test_the_same_notebook_gives_the_same_page_byte_for_byte():
    cells = [new_markdown_cell("## 家访"), shown(figure())]
    assert str(rendered(*cells, language="zh")) == str(rendered(*cells, language="zh"))


def test_the_notebook_handed_in_is_left_as_it_is():
    notebook = new_notebook(cells=[shown(figure({"zh": "点", "en": "points"}))])
    before = str(notebook)
    render_report(notebook, report("zh"), context=page_context())
    assert str(notebook) == before


def test_a_placeholder_says_the_reason_in_both_languages_and_nothing_else():
    reason = Text("原因 <一>", "reason <one>")
    for state, heading in [
        ("failed", "This report is missing for now"),
        ("withheld", "This report is withheld"),
    ]:
        page = render_placeholder(report("zh"), state, reason, context=page_context())
        soup = BeautifulSoup(page, "html.parser")
        sections = soup.main.find_all("section")
        assert [section["lang"] for section in sections] == ["zh-CN", "en"]
        assert heading in soup.get_text()
        assert "原因 <一>" in sections[0].get_text() and "reason <one>" in sections[1].get_text()
        assert soup.h1.get_text() == "家访的成效"


def test_no_run_of_digits_in_a_shown_hash_can_pass_for_an_identity_number():
    assert short_hash("1234567890123456" * 4) == "1234 5678 9012 3456"
