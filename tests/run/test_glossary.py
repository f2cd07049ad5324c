"""Statistical words are linked once, on first use, to a plain explanation on the page."""

import pytest
from bs4 import BeautifulSoup

from cobench.run.glossary import entries, with_glossary


@pytest.mark.parametrize(
    ("language", "text", "key"),
    [("en", "The 95% CI 0.1 to 0.2.", "interval"), ("zh", "95% 置信区间 0.1 至 0.2。", "interval")],
)
def test_the_first_use_is_linked_and_the_text_is_the_same(language, text, key):
    html, found = with_glossary(f"<p>{text}</p><p>{text}</p>", language)
    soup = BeautifulSoup(html, "html.parser")
    first, second = soup.find_all("p")
    assert found and first.get_text() == second.get_text() == text
    (link,) = first.find_all("a")
    assert link["href"] == f"#term-{key}" and link["title"] and not second.find("a")
    assert soup.find("dt", id=f"term-{key}").find_next("dd").get_text() == link["title"]


def test_links_badges_headings_and_code_are_left_alone():
    html = '<h2>p-value</h2><p><a href="#x">p-value</a> <span class="badge">p-value</span> <code>p-value</code></p>'
    assert with_glossary(html, "en") == (html, False)


def test_a_page_without_such_words_has_no_glossary():
    assert with_glossary("<p>Nothing here.</p>", "en") == ("<p>Nothing here.</p>", False)


def test_text_with_markup_in_it_stays_text():
    html, _ = with_glossary("<p>&lt;b&gt; p-value &amp; more</p>", "en")
    assert BeautifulSoup(html, "html.parser").p.get_text() == "<b> p-value & more"


def test_both_languages_explain_the_same_words():
    assert [entry.key for entry in entries("zh")] == [entry.key for entry in entries("en")]
    for language in ("zh", "en"):
        for entry in entries(language):
            assert entry.name and entry.text and all(entry.forms)
