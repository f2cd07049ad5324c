"""A page as an editable Word document, its tables as a workbook: what a bureau edits and forwards."""

from __future__ import annotations

import base64
import datetime as dt
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cobench.errors import RunError
from cobench.release.escape import clean, safe_cell
from cobench.run.page_data import read_block, tables_of

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

LATIN, HAN = "Arial", "Microsoft YaHei"
LEFT_OUT = ("code", "page-data", "data-behind", "note-script")
_PICTURE_CM = 16
_SHEET_NAME = 31  # Excel's limit


def write_word(page: Path, target: Path) -> Path:
    """Write the content of a finished page as ``.docx``: headings, paragraphs, lists, tables, figures with their alt text.

    Tables behind figures and the reviewers' data are in the workbook of :func:`write_annex`.

    Raises
    ------
    RunError
        When python-docx isn't installed.
    """
    try:
        import docx
    except ImportError as error:
        raise RunError(
            en="--docx needs python-docx: pip install 'cobench[office]'",
            zh="--docx 需要 python-docx：pip install 'cobench[office]'",
        ) from error
    soup = _soup(page)
    document = docx.Document()
    _set_fonts(document, str(soup.html.get("lang", "zh-CN")))
    if stamp := soup.find(class_="stamp"):
        document.add_paragraph(_text(stamp)).runs[0].bold = True
    document.add_heading(_text(soup.h1), level=0)
    if byline := soup.find(class_="byline"):
        document.add_paragraph(_text(byline))
    for tag in _pieces(soup.find("main")):
        _add(document, tag)
    document.sections[0].footer.paragraphs[0].text = _text(soup.find("footer"))[:500]
    about = document.core_properties
    about.title, about.author, about.created = _text(soup.h1), "cobench", dt.datetime(2000, 1, 1)
    document.save(str(target))
    return target


def write_annex(page: Path, target: Path) -> Path | None:
    """Write every table that a page carries as a sheet of a workbook; None where it carries none."""
    import xlsxwriter

    block = read_block(_soup(page))
    tables = tables_of(block) if block else []
    if not tables:
        return None
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(str(target), options) as book:
        book.set_properties({"created": dt.datetime(2000, 1, 1), "author": "", "title": ""})
        bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
        for number, table in enumerate(tables, start=1):
            sheet = book.add_worksheet(_sheet_name(number, table["caption"]))
            sheet.write_string(0, 0, clean(table["caption"]), bold)
            for at, head in enumerate(table["heads"]):
                sheet.write_string(1, at, clean(head), bold)
            for line, row in enumerate(table["rows"], start=2):
                for at, value in enumerate(row):
                    _write(sheet, line, at, value)
            sheet.freeze_panes(2, 1)
            sheet.set_column(0, 0, 28)
            sheet.set_column(1, max(len(table["heads"]) - 1, 1), 14)
    return target


def _write(sheet, line: int, at: int, value: Any) -> None:
    if isinstance(value, bool) or value is None:
        sheet.write_string(line, at, {True: "✓", False: "✗", None: ""}[value])
    elif isinstance(value, int | float):
        sheet.write_number(line, at, value)
    else:
        sheet.write_string(line, at, str(safe_cell(value)))


def _sheet_name(number: int, caption: str) -> str:
    kept = "".join(character for character in clean(caption) if character not in r"[]:*?/\'")
    return f"{number} {kept}"[:_SHEET_NAME].strip()


def _soup(page: Path) -> BeautifulSoup:
    from bs4 import BeautifulSoup

    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


def _pieces(main: Tag):
    """Headings, paragraphs, list items, tables and pictures in the order of the page."""
    kinds = ["h2", "h3", "h4", "p", "li", "dt", "dd", "table", "img", "figcaption", "pre"]
    for tag in main.find_all(kinds):
        left_out = any(tag.find_parent(class_=name) for name in LEFT_OUT)
        inside = tag.name != "table" and tag.find_parent("table")
        if not left_out and not inside and not (tag.name in ("p",) and tag.find_parent(["li", "dd"])):
            yield tag


def _add(document, tag: Tag) -> None:
    if tag.name in ("h2", "h3", "h4"):
        document.add_heading(_text(tag), level=int(tag.name[1]) - 1)
    elif tag.name == "table":
        _add_table(document, tag)
    elif tag.name == "img":
        _add_picture(document, tag)
    elif text := _text(tag):
        styles = {"li": "List Bullet", "figcaption": "Caption", "dd": "List Continue"}
        paragraph = document.add_paragraph(text, style=styles.get(tag.name))
        if tag.name == "dt":
            paragraph.runs[0].bold = True


def _add_table(document, tag: Tag) -> None:
    from docx.enum.text import WD_ALIGN_PARAGRAPH

    rows = [row.find_all(["th", "td"]) for row in tag.find_all("tr")]
    width = max(map(len, rows), default=0)
    if not width:
        return
    if tag.caption:
        document.add_paragraph(_text(tag.caption), style="Caption")
    table = document.add_table(rows=len(rows), cols=width, style="Light Grid Accent 1")
    for line, row in zip(table.rows, rows, strict=True):
        for cell, source in zip(line.cells, row, strict=False):
            cell.text = _text(source)
            if "num" in source.get("class", []):
                cell.paragraphs[0].alignment = WD_ALIGN_PARAGRAPH.RIGHT
    document.add_paragraph()


def _add_picture(document, tag: Tag) -> None:
    from docx.shared import Cm

    source = str(tag.get("src", ""))
    if ";base64," not in source or "svg" in source[:20]:
        return
    data = base64.b64decode(source.partition(";base64,")[2])
    document.add_picture(io.BytesIO(data), width=Cm(_PICTURE_CM))
    drawn = document.inline_shapes[-1]._inline.docPr
    drawn.set("descr", clean(tag.get("alt", "")))


def _set_fonts(document, language: str) -> None:
    from docx.oxml.ns import qn

    for name in ("Normal", "Title", "Heading 1", "Heading 2", "Heading 3", "Caption"):
        style = document.styles[name]
        style.font.name = LATIN
        style.element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), HAN)
    run = document.styles["Normal"].element.get_or_add_rPr()
    told = run.makeelement(qn("w:lang"), {qn("w:val"): "en-GB", qn("w:eastAsia"): "zh-CN"})
    if language.startswith("en"):
        told.attrib.pop(qn("w:eastAsia"))
    run.append(told)


def _text(tag: Tag | None) -> str:
    """Text in one line; what is marked within a sentence brings no blanks of its own."""
    return "" if tag is None else clean(" ".join(tag.get_text().split()))
