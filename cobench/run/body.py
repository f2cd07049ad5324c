"""Finish the body of a page: headings and contents, tables that scroll, alt text, nothing from a network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cobench.declared import Text
from cobench.run.words import phrase

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

_DROPPED = ["script", "iframe", "object", "embed", "link", "meta", "base", "form", "frame", "portal"]
_LOADING = ("src", "srcset", "poster", "background", "data", "xlink:href", "action", "formaction", "ping")
_LOCAL = re.compile(r"\s*(data:|#)", re.IGNORECASE)
_CSS_LOAD = re.compile(r"""url\(\s*['"]?(?!data:|#)([^'")\s]*)|@import""", re.IGNORECASE)
# nbconvert gives this to images that have no alternative text.
_NO_ALT = "No description has been provided for this image"
_ACTIVE_LINK = re.compile(r"\s*(javascript|vbscript):", re.IGNORECASE)


class PageError(Exception):
    """A finished page breaks a rule for pages; ``text`` says which, in both languages."""

    def __init__(self, text: Text):
        super().__init__(text.en)
        self.text = text


@dataclass(frozen=True)
class Heading:
    """An entry of the table of contents, with the entries below it."""

    anchor: str
    text: str
    below: tuple[Heading, ...] = ()


@dataclass(frozen=True)
class Body:
    """HTML of a page's content, its table of contents, and a title if the report set one itself."""

    html: str
    contents: tuple[Heading, ...]
    title: str | None = None


def finish_body(html: str, language: str) -> Body:
    """Prepare the HTML of a report's cells for its page.

    Scripts, frames, forms and event handlers are removed. The report's own H1, if an output shows one,
    becomes the page's title; an H1 typed in a Markdown cell gives way to the declared title.

    Raises
    ------
    PageError
        An image without alternative text, or anything that would be loaded from elsewhere.
    """
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(html, "html.parser")
    _disarm(soup)
    _refuse_loading(soup)
    _check_alt(soup)
    title = _take_title(soup)
    contents = _number_headings(soup)
    _box_tables(soup, phrase("page.table")[language])
    return Body(str(soup), contents, title)


def _disarm(soup: BeautifulSoup) -> None:
    from bs4.element import PreformattedString

    for tag in soup.find_all(_DROPPED):
        tag.decompose()
    told = set()
    for style in soup.find_all("style"):  # every table brings the same one
        if style.get_text() in told:
            style.decompose()
        else:
            told.add(style.get_text())
    for node in soup.find_all(string=lambda text: type(text) in PreformattedString.__subclasses__()):
        node.extract()  # comments, doctypes and XML declarations
    for tag in soup.find_all(True):
        for name in [name for name in tag.attrs if name.lower().startswith("on")]:
            del tag.attrs[name]
        if _ACTIVE_LINK.match(str(tag.get("href", ""))):
            del tag.attrs["href"]


def _refuse_loading(soup: BeautifulSoup) -> None:
    for tag in soup.find_all(True):
        for name in _LOADING:
            if name in tag.attrs and not _LOCAL.match(str(tag[name])):
                raise PageError(phrase("rule.network", where=f"<{tag.name} {name}>"))
        if tag.name in ("use", "image", "feimage") and not _LOCAL.match(str(tag.get("href", "#"))):
            raise PageError(phrase("rule.network", where=f"<{tag.name} href>"))
        css = tag.get_text() if tag.name == "style" else str(tag.get("style", ""))
        if _CSS_LOAD.search(css):
            raise PageError(phrase("rule.network", where="CSS"))


def _check_alt(soup: BeautifulSoup) -> None:
    for image in soup.find_all("img"):
        decorative = image.get("role") == "presentation" or image.get("aria-hidden") == "true"
        if not decorative and str(image.get("alt", "")).strip() in ("", _NO_ALT):
            raise PageError(phrase("rule.image_no_alt"))
    for drawing in soup.find_all("svg"):
        inside = drawing.find_parent("svg") or drawing.find_parent("figure", attrs={"aria-label": True})
        named = drawing.get("aria-label") or drawing.get("aria-hidden") == "true" or drawing.find("title")
        if not inside and not named:
            raise PageError(phrase("rule.image_no_alt"))


def _take_title(soup: BeautifulSoup) -> str | None:
    shown = [heading for heading in soup.find_all("h1") if heading.find_parent(class_="output")]
    title = shown[0].get_text(" ", strip=True) if shown else None
    typed = [heading for heading in soup.find_all("h1") if not heading.find_parent(class_="output")]
    for heading in [*shown[:1], *typed[:1]]:
        heading.decompose()
    for heading in soup.find_all("h1"):
        heading.name = "h2"
    return title


def _number_headings(soup: BeautifulSoup) -> tuple[Heading, ...]:
    """Give every H2 and H3 an anchor; return them as a tree."""
    sections: list[tuple[Heading, list[Heading]]] = []
    for tag in soup.find_all(["h2", "h3"]):
        text = tag.get_text(" ", strip=True)
        if not text or tag.find_parent("table"):
            continue
        if tag.name == "h2" or not sections:
            heading = Heading(f"s{len(sections) + 1}", text)
            sections.append((heading, []))
        else:
            heading = Heading(f"{sections[-1][0].anchor}-{len(sections[-1][1]) + 1}", text)
            sections[-1][1].append(heading)
        tag["id"] = heading.anchor
        if len(sections) == 1 and tag.name == "h2" and not _visible_before(tag):
            tag["class"] = [*tag.get("class", []), "opening"]
    return tuple(Heading(heading.anchor, heading.text, tuple(below)) for heading, below in sections)


def _visible_before(tag: Tag) -> bool:
    """Does anything but hidden code stand above ``tag``."""
    texts = tag.find_all_previous(string=lambda text: bool(text.strip()))
    return bool(tag.find_all_previous("img")) or any(not text.find_parent(class_="code") for text in texts)


def _box_tables(soup: BeautifulSoup, label: str) -> None:
    for table in soup.find_all("table"):
        if table.find_parent("table") or table.find_parent(class_="table-scroll"):
            continue
        caption = table.find(["caption", "h4"])
        name = caption.get_text(" ", strip=True) if caption else label
        box: Tag = soup.new_tag("div")
        box.attrs |= {"class": "table-scroll", "role": "region", "tabindex": "0", "aria-label": name}
        table.wrap(box)
    _tell_apart(soup)


def _tell_apart(soup: BeautifulSoup) -> None:
    """Number regions of the same name, so that a screen reader's list of them can be used."""
    seen: dict[str, int] = {}
    for box in soup.find_all(attrs={"role": "region", "aria-label": True}):
        name = str(box["aria-label"])
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            box["aria-label"] = f"{name} {seen[name]}"
