"""What a page carries for its reviewers: estimates behind its sentences and figures, values behind its tables.

Numbers of sentences lead to the row of estimates that they come from (:func:`cite`); rows and tables travel beside
the HTML of an output and end in one JSON block of the page.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import pandas as pd

from cobench.release.escape import escape_html
from cobench.release.released import Released
from cobench.show.labels import Labels

ANCHOR = "estimate-"
SIGNIFICANT = 8  # digits, and ten decimals; a longer run of digits could pass for somebody's number
_OPEN, _MIDDLE, _CLOSE = "\ue000", "\ue001", "\ue002"
_CITED = re.compile(f"{_OPEN}([^|]*)\\|([a-z_]+){_MIDDLE}([^{_CLOSE}]*){_CLOSE}")
_citing: ContextVar[bool] = ContextVar("citing", default=False)


@contextmanager
def citing() -> Iterator[None]:
    """While it lasts, :func:`cite` marks numbers; the text is for :func:`linked` and :func:`unmarked`."""
    token = _citing.set(True)
    try:
        yield
    finally:
        _citing.reset(token)


def cite(row: Mapping, field: str, text: str) -> str:
    """``text``, marked as the ``field`` of ``row`` where a sentence with links is being written."""
    identity = row.get("estimate_id")
    if not _citing.get() or not isinstance(identity, str) or not identity:
        return text
    return f"{_OPEN}{identity}|{field}{_MIDDLE}{text}{_CLOSE}"


def linked(text: str) -> str:
    """Escaped HTML of a text in which marked numbers link to their row of estimates on the page."""
    return _CITED.sub(
        lambda match: (
            f'<a class="cited" href="#{ANCHOR}{match[1]}" data-field="{match[2]}">{match[3]}</a>'
            if match[3]
            else ""
        ),
        escape_html(text),
    )


def unmarked(text: str) -> str:
    """The text without marks."""
    return _CITED.sub(lambda match: match[3], text)


def carried_rows(rows: Sequence[Mapping], labels: Labels, language: str) -> list[dict]:
    """Rows of estimates as the page carries them, each with its question in words."""
    return [
        {"kind": "estimate", "what": _what(row, labels, language)}
        | {str(name): plain(value) for name, value in row.items()}
        for row in rows
        if isinstance(row.get("estimate_id"), str)
    ]


def carried_estimates(released: Released, labels: Labels, language: str) -> list[dict]:
    """All rows of a released frame of estimates; nothing for another table."""
    if "estimate_id" not in released.frame or "estimate" not in released.frame:
        return []
    names = [str(name) for name in released.frame.columns]
    return carried_rows([dict(zip(names, row, strict=True)) for row in released.cells()], labels, language)


def carried_table(released: Released, heads: Sequence[str], caption: str, kinds: Sequence[str]) -> dict:
    """A shown table with the values behind its cells; ``kinds`` says how a column's numbers are printed."""
    content = {
        "kind": "table",
        "caption": caption,
        "columns": [str(name) for name in released.frame.columns],
        "heads": list(heads),
        "printed": list(kinds),
        "rows": [[plain(cell) for cell in row] for row in released.cells()],
    }
    return carried_as(content)


def carried_as(content: Mapping) -> dict:
    """A table to be carried under a name that its content gives it."""
    return {**content, "id": _identity(content)}


def plain(value: object) -> object:
    """A value for JSON: numbers to eight significant digits, everything else as text."""
    if value is None or value is pd.NA or value != value:
        return None
    if isinstance(value, bool | str):
        return value
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return round(float(f"{value:.{SIGNIFICANT}g}"), 10) if math.isfinite(value) else str(value)
    return value if isinstance(value, bool | int) else str(value)


def _identity(content: Mapping) -> str:
    """A short name made of letters only, the same for the same content."""
    digest = hashlib.sha256(json.dumps(content, ensure_ascii=False).encode("utf-8")).hexdigest()
    return digest[:12].translate(str.maketrans("0123456789", "ghijklmnop"))


def _what(row: Mapping, labels: Labels, language: str) -> str:
    treatment = str(row.get("treatment") or "")
    group = labels.subgroup(row.get("subgroup"), language) or labels.population(
        row.get("population"), language
    )
    parts = [
        labels.text("treatment", treatment, language),
        labels.contrast(treatment, row.get("contrast"), language),
        labels.text("outcome", row.get("outcome") or "", language),
        group,
        labels.text("method", row.get("method") or "", language),
    ]
    return " · ".join(dict.fromkeys(part for part in parts if part))
