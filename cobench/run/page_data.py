"""The data that a page carries: its estimates, the values behind its tables, and seals of what it says."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cobench.show.displayed import CARRIED_MIME
from cobench.show.wording import number, p_text

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag
    from nbformat import NotebookNode

SCHEMA = 1
BLOCK_ID = "page-data"
# A longer block is compressed, or a page of many estimates passes what a mailbox likes; a shorter one stays readable.
PLAIN = 24_000
_PACKED = re.compile(
    f'(<script type="application/json" id="{BLOCK_ID}">)"deflate:([A-Za-z0-9+/=]+)"(?=</script>)'
)
_BLOCKS = (
    "p",
    "li",
    "dt",
    "dd",
    "h1",
    "h2",
    "h3",
    "h4",
    "figcaption",
    "blockquote",
    "pre",
    "summary",
    "table",
)
_LETTERS = str.maketrans("0123456789", "ghijklmnop")
_CITED = re.compile(r'href="#estimate-([^"]+)"')


@dataclass(frozen=True)
class Carried:
    """Estimates (by id, each with ``what`` it estimates in words) and tables (by id) of one page."""

    estimates: Mapping[str, Mapping[str, Any]]
    tables: Mapping[str, Mapping[str, Any]]


def gather(notebook: NotebookNode) -> Carried:
    """What the outputs of an executed notebook carry."""
    estimates: dict[str, Mapping[str, Any]] = {}
    tables: dict[str, Mapping[str, Any]] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for each in output.get("data", {}).get(CARRIED_MIME, ()):
                if each["kind"] == "estimate":
                    row = {name: value for name, value in each.items() if name != "kind"}
                    estimates[row["estimate_id"]] = {**row, **_known(estimates.get(row["estimate_id"], {}))}
                else:
                    tables[each["id"]] = {name: value for name, value in each.items() if name != "kind"}
    return Carried(estimates, tables)


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def cited_rows(carried: Carried, html: str) -> list[dict[str, str]]:
    """Estimates to which numbers of ``html`` link, as a page prints them."""
    wanted = dict.fromkeys(_CITED.findall(html))
    return [_printed(carried.estimates[name]) for name in wanted if name in carried.estimates]


def _printed(row: Mapping[str, Any]) -> dict[str, str]:
    def shown(name: str, digits: int = 4) -> str:
        value = row.get(name)
        if value is None:
            return "–"
        if isinstance(value, str):
            return value
        return p_text(value) if name.startswith("p_") else number(value, digits)

    counts = ("n_obs", "n_treated", "n_clusters")
    values = ("estimate", "std_error", "conf_low", "conf_high", "p_value", "p_adjusted")
    return (
        {name: shown(name) for name in values}
        | {name: shown(name, 0) for name in counts}
        | {name: str(row.get(name) or "") for name in ("estimate_id", "what", "role", "evidence", "spec_id")}
    )


def block(carried: Carried, facts: Mapping[str, Any], html: str) -> str:
    """The JSON block of a page: ``facts``, estimates, tables, and a seal of every passage of ``html``."""
    content = {
        "schema": SCHEMA,
        **facts,
        "estimates": _by_column(list(carried.estimates.values())),
        "tables": [_table_by_column(table) for table in carried.tables.values()],
        "seals": [seal for seal, _ in passages(_soup(html))],
    }
    return _as_script(content)


def sealed_again(page: str) -> str:
    """A finished page whose content was changed on purpose, with the seals of what it says now."""
    soup = _soup(page)
    content, main = read_block(soup), soup.find("main")
    if content is None or main is None:
        return page
    start = page.index(">", page.index(f'id="{BLOCK_ID}"')) + 1
    end = page.index("</script>", start)
    seals = [seal for seal, _ in passages(main)]
    return page[:start] + _as_script({**content, "seals": seals}) + page[end:]


def _by_column(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows as values by column; a value alone stands for a column in which all rows agree."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, Any] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        same = len(rows) > 1 and all(value == values[0] for value in values)
        columns[name] = values[0] if same else values
    return {"n": len(rows), "columns": columns}


def _table_by_column(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table with its rows as values by column, folded like those of the estimates."""
    rows = [dict(enumerate(row)) for row in table["rows"]]
    folded = _by_column(rows)
    cells = list(folded["columns"].values())
    return {
        **{name: value for name, value in table.items() if name != "rows"},
        "n": len(rows),
        "cells": cells,
    }


def tables_of(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tables of a data block, with ``rows``."""
    found = []
    for table in content["tables"]:
        columns = [each if isinstance(each, list) else [each] * table["n"] for each in table["cells"]]
        found.append({**table, "rows": [list(row) for row in zip(*columns, strict=True)]})
    return found


def estimates_of(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of estimates of a data block."""
    held = content["estimates"]
    columns = {
        name: each if isinstance(each, list) else [each] * held["n"] for name, each in held["columns"].items()
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _as_script(content: Mapping[str, Any]) -> str:
    # "<" escaped, so that nothing inside can end the element that holds it
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    data = text.encode("utf-8")
    if len(data) <= PLAIN:
        return text
    return f'"deflate:{base64.b64encode(zlib.compress(data, 9)).decode("ascii")}"'


def unpacked(page: str) -> str:
    """A page whose data block can be read as text; what looks for names and numbers looks there too."""
    return _PACKED.sub(lambda match: match[1] + _inflated(match[2]), page)


def _inflated(packed: str) -> str:
    return zlib.decompress(base64.b64decode(packed)).decode("utf-8")


def passages(soup: BeautifulSoup | Tag) -> Iterable[tuple[str, str]]:
    """Seal and text of every passage of a page: paragraphs, list items, headings, whole tables."""
    found = []
    for tag in soup.find_all(_BLOCKS):
        if (tag.name != "table" and tag.find(_BLOCKS)) or tag.find_parent("table"):
            continue
        text = " ".join(tag.get_text(" ", strip=True).split())
        if text:
            found.append((seal_of(text), text))
    for image in soup.find_all("img"):
        text = str(image.get("alt", ""))
        found.append((seal_of(text + str(image.get("src", ""))), text))
    return found


def seal_of(text: str) -> str:
    """Twelve letters that change with ``text``; letters, because digits could pass for somebody's number."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12].translate(_LETTERS)


def read_block(soup: BeautifulSoup) -> dict[str, Any] | None:
    """The data block of a page; None where it has none or it can't be read."""
    tag = soup.find("script", id=BLOCK_ID)
    try:
        content = json.loads(tag.string) if tag is not None and tag.string else None
        if isinstance(content, str):
            content = json.loads(_inflated(content.removeprefix("deflate:")))
    except (ValueError, zlib.error):
        return None
    return content if isinstance(content, dict) and content.get("schema") == SCHEMA else None


def _soup(html: str) -> BeautifulSoup:
    from bs4 import BeautifulSoup

    return BeautifulSoup(html, "html.parser")
