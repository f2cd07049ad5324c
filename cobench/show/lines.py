"""Breaking text into lines: Chinese breaks between characters, English at blanks."""

from __future__ import annotations

import re
from collections.abc import Sequence

_TOKEN = re.compile(r"[A-Za-z0-9\u00c0-\u024f%.,;:!?()\[\]'’“”\"/+\-\u2212]+\s*|\s+|.")
_NO_LINE_END = "（《“‘([{"
_NO_LINE_START = "，。；：、！？）》”’,.;:!?)]}%"


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` half-widths, broken at blanks or between Chinese characters."""
    lines, line, used = [], "", 0
    for token in _TOKEN.findall(text):
        size = breadth(token.rstrip())
        if used + size > width and line.strip() and token[0] not in _NO_LINE_START:
            kept = line.rstrip().rstrip(_NO_LINE_END) or line.rstrip()
            carried = line.rstrip()[len(kept) :]
            lines.append(kept.rstrip())
            line, used = carried, breadth(carried)
            token = token.lstrip()
        line += token
        used += breadth(token)
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def stacked_parts(parts: Sequence[str], width: int) -> list[str]:
    """Lines of a name made of parts: parts share a line while they fit, long ones are wrapped."""
    lines: list[str] = []
    for part in parts:
        together = f"{lines[-1]} · {part}" if lines else part
        if lines and breadth(together) <= width:
            lines[-1] = together
        else:
            lines += wrap(part, width)
    return lines


def breadth(text: str) -> int:
    """Width of ``text`` in half-widths: a Chinese character counts two."""
    return sum(2 if ord(character) > 0x2E7F else 1 for character in text)
