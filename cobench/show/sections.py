"""Headings, paragraphs, findings and downloads of a report; every text is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cobench.release.escape import escape_html
from cobench.show.carried import carried_rows, citing, linked, unmarked
from cobench.show.displayed import Displayed
from cobench.show.labels import Labels
from cobench.show.sentences import effect_sentence, evidence_badge
from cobench.show.wording import say

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$^])")


def heading(key: str, language: str, *, level: int = 2, **slots: object) -> Displayed:
    """The heading ``key`` of ``wording.toml``, with an anchor."""
    text = say(key, language, **slots)
    anchor = escape_html(key.replace(".", "-"))
    return Displayed(f'<h{level} id="{anchor}">{escape_html(text)}</h{level}>', text)


def paragraph(text: str) -> Displayed:
    """A paragraph of plain text."""
    return Displayed(f"<p>{escape_html(text)}</p>", text)


def bullets(texts: Iterable[str]) -> Displayed:
    """A list of plain texts."""
    texts = list(texts)
    items = "".join(f"<li>{escape_html(text)}</li>" for text in texts)
    return Displayed(f"<ul>{items}</ul>", "\n".join(f"- {text}" for text in texts))


def folded(summary: str, inner: Displayed) -> Displayed:
    """A part of the page that opens on request."""
    html = f'<details class="data-behind"><summary>{escape_html(summary)}</summary>{inner.html}</details>'
    return Displayed(html, inner.text, inner.carried)


def notice(text: str) -> Displayed:
    """A remark set apart from the text."""
    return Displayed(f'<p class="notice" role="note">{escape_html(text)}</p>', text)


def md(text: str) -> str:
    """``text`` with everything escaped that Markdown or HTML would take for mark-up."""
    return escape_html(_MARKDOWN.sub(r"\\\1", text))


def finding(
    row: Mapping, labels: Labels, language: str, *, why: str | None = None, **clauses: str | None
) -> Displayed:
    """One finding: its sentence and the badge of its evidence.

    ``clauses`` (``assumption``, ``sensitivity``, ``remedy``) go to
    :func:`~cobench.show.sentences.effect_sentence`; ``why`` is the badge's reason, from the checks.
    """
    with citing():
        sentence = effect_sentence(row, labels, language, **clauses)
    unanswered = row.get("status") == "not_estimable"
    evidence = "not_estimable" if unanswered else str(row.get("evidence") or "descriptive")
    badge = evidence_badge(evidence, language, why)
    label = say(f"evidence.{evidence}", language)
    html = f'<p class="finding">{linked(sentence)} {badge}</p>'
    carried = carried_rows([row], labels, language)
    return Displayed(html, f"{unmarked(sentence)} [{label}]", tuple(carried))
