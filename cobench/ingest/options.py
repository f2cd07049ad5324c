"""Answers as platforms write them into one cell: several options, ranks, and what is filled in beside one."""

from __future__ import annotations

from collections.abc import Iterable

OPEN, CLOSE = "〖", "〗"
_MAX_LENGTH = 4_000


def split_options(
    text: str, options: Iterable[str], separators: tuple[str, ...]
) -> list[tuple[str, str]] | None:
    """Options of a cell in order, each with what is filled in beside it; None where the cell isn't made of them.

    An option may hold a separator itself and a fill-in anything at all, so the cell is matched against the
    listed options rather than cut.

    Examples
    --------
    >>> split_options("电话┋其他〖托人带话〗", ["电话", "其他"], ("┋",))
    [('电话', ''), ('其他', '托人带话')]
    """
    if len(text) > _MAX_LENGTH:
        return None
    listed = sorted({option for option in options if option}, key=len, reverse=True)
    dead: set[int] = set()
    found: list[tuple[str, str]] = []

    def match(start: int) -> bool:
        start = _skip_blanks(text, start)
        if start in dead:
            return False
        for option in listed:
            if not text.startswith(option, start):
                continue
            for end, filled in _ends(text, start + len(option)):
                found.append((option, filled))
                if _skip_blanks(text, end) == len(text):
                    return True
                if any(match(after) for after in _after_separator(text, end, separators)):
                    return True
                found.pop()
        dead.add(start)
        return False

    return found if text and len(listed) and _depth_fits(text, separators) and match(0) else None


def _depth_fits(text: str, separators: tuple[str, ...]) -> bool:
    """A cell of more parts than any question has options would only exhaust the stack."""
    return sum(text.count(each) for each in separators) <= 300


def _ends(text: str, start: int) -> Iterable[tuple[int, str]]:
    """Where an option that begins before ``start`` may end, with its fill-in; the shortest first."""
    yield start, ""
    opened = _skip_blanks(text, start)
    if not text.startswith(OPEN, opened):
        return
    end = text.find(CLOSE, opened)
    while end != -1:
        yield end + 1, text[opened + 1 : end]
        end = text.find(CLOSE, end + 1)


def _after_separator(text: str, end: int, separators: tuple[str, ...]) -> list[int]:
    place = _skip_blanks(text, end)
    after = [place + len(each) for each in separators if each != " " and text.startswith(each, place)]
    return after or ([place] if " " in separators and place > end else [])


def _skip_blanks(text: str, start: int) -> int:
    while start < len(text) and text[start].isspace() and text[start] != "\n":
        start += 1
    return start
