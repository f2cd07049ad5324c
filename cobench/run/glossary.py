"""Statistical words of a page in plain language: linked on first use, explained at its end."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from cobench.release.escape import escape_html
from cobench.run.words import phrase

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, NavigableString

HEADING_ID = "glossary"
_READ = ("p", "li", "dd", "caption", "figcaption", "td")
_LEFT_ALONE = ["a", "button", "code", "pre", "summary", "noscript", "style", "dt", "th"]


@dataclass(frozen=True)
class Entry:
    """A word in one language: its forms, longest first, and what it means."""

    key: str
    name: str
    forms: tuple[str, ...]
    text: str


@cache
def entries(language: str) -> tuple[Entry, ...]:
    """The glossary in one language."""
    source = resources.files("cobench.run").joinpath("glossary.toml").read_text(encoding="utf-8")
    found = [(key, both[language]) for key, both in tomllib.loads(source).items()]
    return tuple(
        Entry(key, each["name"], tuple(sorted(each["find"], key=len, reverse=True)), each["text"])
        for key, each in found
    )


def with_glossary(html: str, language: str) -> tuple[str, bool]:
    """``html`` with the first use of each word linked and a section that explains those used; whether there is one."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(html, "html.parser")
    texts = soup.find_all(string=True)
    used = [entry for entry in entries(language) if _link_first(soup, texts, entry)]
    if not used:
        return html, False
    heading = escape_html(phrase("data.glossary")[language])
    items = "".join(
        f'<dt id="term-{entry.key}">{escape_html(entry.name)}</dt><dd>{escape_html(entry.text)}</dd>'
        for entry in used
    )
    section = f'<section class="glossary"><h2 id="{HEADING_ID}">{heading}</h2><dl>{items}</dl></section>'
    return f"{soup}{section}", True


def _link_first(soup: BeautifulSoup, texts: list[NavigableString], entry: Entry) -> bool:
    """Link the first use of a word among ``texts``, which are kept up to date."""
    from bs4.element import NavigableString

    for place, node in enumerate(texts):
        found = [form for form in entry.forms if form in node]
        if not found or node.find_parent(_READ) is None or node.find_parent(_LEFT_ALONE) or _is_badge(node):
            continue
        form = min(found, key=lambda form: (node.index(form), -len(form)))
        before, _, after = str(node).partition(form)
        blank = form[: len(form) - len(form.lstrip())]
        link = soup.new_tag("a", href=f"#term-{entry.key}", attrs={"class": "term", "title": entry.text})
        link.string = form.lstrip()
        around = [NavigableString(before + blank), NavigableString(after)]
        node.replace_with(around[0], link, around[1])
        texts[place : place + 1] = around
        return True
    return False


def _is_badge(node: NavigableString) -> bool:
    return node.find_parent(class_="badge") is not None or node.find_parent(class_="code") is not None
