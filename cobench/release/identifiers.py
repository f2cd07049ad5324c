"""Search finished pages, notebooks, exports and logs for anything that identifies a person.

A finding says what kind of identifier stands where; it never repeats the value.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import struct
import sys
import unicodedata
import zlib
from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache

_GAP = "[ \\-\u00a0\u00ad\u00b7\u2000-\u200d\u202f\u2060\u3000\ufeff]?"
_SPACED_18 = re.compile(f"(?<![0-9A-Za-z.])(?=((?:[0-9]{_GAP}){{17}}[0-9Xx])(?![0-9A-Za-z]))")
_SCHOOL_NUMBER = re.compile(f"(?<![0-9A-Za-z])[GJLgjl]{_GAP}(?:[0-9]{_GAP}){{17}}[0-9Xx](?![0-9A-Za-z])")
_MOBILE = re.compile(
    f"(?<![0-9A-Za-z.])(?:\\+?86{_GAP})?"
    f"1[3-9][0-9](?:[0-9]{{8}}|{_GAP}[0-9]{{4}}{_GAP}[0-9]{{4}}|(?:[ \u3000\u00a0\\-][0-9]){{8}})"
    "(?![0-9A-Za-z]|\\.[0-9])"
    "|(?<![0-9A-Za-z.])1[ \u3000\u00a0][3-9](?:[ \u3000\u00a0][0-9]){9}(?![0-9A-Za-z])"
)
_PSEUDONYM = re.compile("(?<![0-9A-Za-z])[a-z]_[0-9a-f]{20}(?![0-9A-Za-z])")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{60,}(?:\\n|\r?\n)?)+[A-Za-z0-9+/]*={0,2}")
_UNICODE_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_BLOCK_TAG = re.compile(
    r"</?(?:p|div|td|th|tr|table|thead|tbody|caption|li|ul|ol|h[1-6]|section|article|header|footer|main|nav|"
    r"figure|figcaption|details|summary|pre|br|hr|title|meta|script|style|option|button|label|dt|dd)\b[^<>]*>",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[/!a-zA-Z][^<>]*>")
_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_HAN_RUN = re.compile(f"[{_HAN}]{{2,}}")
_NAME_GAP = "[ \u3000\u00a0\u00b7\u2022\u30fb\u200b\u2027]{1,3}"
_GAPPED = re.compile(f"(?<![{_HAN}])[{_HAN}]{{1,4}}(?:{_NAME_GAP}[{_HAN}]{{1,4}}){{1,3}}(?![{_HAN}])")
_BETWEEN = re.compile(_NAME_GAP)
_WORD = re.compile(r"\w+")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"


@dataclass(frozen=True, order=True)
class Finding:
    """An identifier found in a text: its kind and place, never its value.

    ``kind`` is ``identity_number``, ``student_number``, ``mobile_phone``, ``name`` or ``pseudonym``; ``line``
    counts from 1, ``offset`` is the character position; ``where`` is ``text``, or ``embedded`` for data
    packed into the page.
    """

    line: int
    offset: int
    kind: str
    where: str = "text"


def scan_text(
    text: str, *, names: Collection[str] | Roster = (), exclude: Collection[str] = ()
) -> list[Finding]:
    """Find identity numbers, student numbers, mobile phones, pseudonyms and roster names in ``text``.

    Parameters
    ----------
    text : str
        Any text; full-width and spaced digits count as digits. Base64 images are skipped except for the texts
        in their metadata; other base64 payloads are decoded and searched.
    names : collection of str, or Roster
        Names on the roster; prepare a :class:`Roster` once where many texts are searched.
    exclude : collection of str
        Phrases that are no names (fixed wording, labels, school names): a name inside one is not found.

    Returns
    -------
    list of Finding
        In order of place; empty for a clean text.
    """
    plain, payloads = _without_payloads(_digits(text))
    roster = names if isinstance(names, Roster) else Roster(names)
    found = set(_find(plain, roster, exclude, "text"))
    for offset, payload in payloads:
        line = plain.count("\n", 0, offset) + 1
        for inner in _find(payload, roster, exclude, "embedded"):
            found.add(Finding(line, offset, inner.kind, "embedded"))
    return sorted(found)


def scan_html(
    page: str, *, names: Collection[str] | Roster = (), exclude: Collection[str] = ()
) -> list[Finding]:
    """Search a finished page: its text as a reader sees it, and its source (attributes, scripts, comments).

    Entities and ``\\u4e2d``-like escapes are resolved, and inline tags do not break a word. Offsets are those of
    the text without tags where the identifier is visible, lines those of the source.
    """
    names = names if isinstance(names, Roster) else Roster(names)
    source = _UNICODE_ESCAPE.sub(lambda match: chr(int(match[1], 16)), html.unescape(page))
    found = {(each.line, each.kind): each for each in scan_text(source, names=names, exclude=exclude)}
    visible = _TAG.sub(_line_ends_only, _BLOCK_TAG.sub(_break, page))
    for each in scan_text(html.unescape(visible), names=names, exclude=exclude):
        found.setdefault((each.line, each.kind), each)
    return sorted(found.values())


def is_identity_number(digits: str) -> bool:
    """Whether 18 characters are an identity number: place, date and check digit (GB 11643, mod 11-2)."""
    if not _has_birth_date(digits):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=False))
    return _CHECK[total % 11] == digits[17].upper()


def _has_birth_date(digits: str) -> bool:
    year, month, day = int(digits[6:10]), int(digits[10:12]), int(digits[12:14])
    return "11" <= digits[:2] <= "91" and 1900 <= year <= 2099 and 1 <= month <= 12 and 1 <= day <= 31


def _find(text: str, roster: Roster, exclude: Collection[str], where: str) -> Iterator[Finding]:
    starts = _line_starts(text)
    for kind, offset in _numbers(text):
        yield Finding(_line_at(starts, offset), offset, kind, where)
    for offset, length in roster.places(text):
        if not _is_in_phrase(text, offset, length, exclude):
            yield Finding(_line_at(starts, offset), offset, "name", where)


def _numbers(text: str) -> Iterator[tuple[str, int]]:
    for match in _SPACED_18.finditer(text):
        digits = re.sub("[^0-9Xx]", "", match[1])
        contiguous = len(match[1]) == 18
        # a spreadsheet that rounds the number keeps place and birth date, which identify nearly as well
        if is_identity_number(digits) or (contiguous and digits.endswith("000") and _has_birth_date(digits)):
            yield "identity_number", match.start()
    for match in _SCHOOL_NUMBER.finditer(text):
        yield "student_number", match.start()
    for match in _MOBILE.finditer(text):
        yield "mobile_phone", match.start()
    for match in _PSEUDONYM.finditer(text):
        yield "pseudonym", match.start()


class Roster:
    """Names to look for, prepared once: a set a length, so a text is searched in one pass whatever their number."""

    def __init__(self, names: Collection[str]):
        self.by_length: dict[int, set[str]] = {}
        self.other: dict[str, set[str]] = {}
        for name in names:
            bare = _BETWEEN.sub("", str(name).strip())
            if len(bare) < 2:
                continue  # a single character is no name
            if _HAN_RUN.fullmatch(bare):
                self.by_length.setdefault(len(bare), set()).add(bare)
                continue
            spelt = " ".join(str(name).split())
            first = _WORD.search(spelt)
            if first:
                self.other.setdefault(first[0], set()).add(spelt[first.start() :])

    def places(self, text: str) -> Iterator[tuple[int, int]]:
        """Places of names: anywhere in a run of characters, or blank-separated where nothing adjoins."""
        for run in _HAN_RUN.finditer(text) if self.by_length else ():
            characters, start = run[0], run.start()
            for length, members in self.by_length.items():
                for i in range(len(characters) - length + 1):
                    if characters[i : i + length] in members:
                        yield start + i, length
        for gapped in _GAPPED.finditer(text) if self.by_length else ():
            bare = _BETWEEN.sub("", gapped[0])
            if bare in self.by_length.get(len(bare), ()):
                yield gapped.start(), len(gapped[0])
        for word in _WORD.finditer(text) if self.other else ():
            for name in self.other.get(word[0], ()):
                at, end = word.start(), word.start() + len(name)
                if text.startswith(name, at) and not (
                    text[end : end + 1].isalnum() or text[end : end + 1] == "_"
                ):
                    yield at, len(name)


def _is_in_phrase(text: str, offset: int, length: int, phrases: Collection[str]) -> bool:
    """Whether the name at ``offset`` is part of a phrase that stands there and is no name."""
    name = text[offset : offset + length]
    for phrase in phrases:
        inside = phrase.find(name)
        while inside >= 0:
            if text.startswith(phrase, offset - inside) and offset >= inside:
                return True
            inside = phrase.find(name, inside + 1)
    return False


def _without_payloads(text: str) -> tuple[str, list[tuple[int, str]]]:
    """``text`` with long base64 runs blanked, and what could be read inside them."""
    payloads: list[tuple[int, str]] = []

    def replace(match: re.Match) -> str:
        if len(match[0]) < 200:
            return match[0]
        payloads.append((match.start(), _digits(_readable(match[0]))))
        return re.sub(r"[^\n]", "\x00", match[0])

    return _BASE64.sub(replace, text), payloads


def _readable(encoded: str) -> str:
    """The texts inside a base64 payload: all of a text file, the text chunks of a PNG, nothing else."""
    bare = re.sub(r"\\n|\s|=", "", encoded)
    try:
        data = base64.b64decode(bare[: len(bare) // 4 * 4] + _padding(bare))
    except binascii.Error:
        return ""
    if data.startswith(b"\x89PNG"):
        return "\n".join(_png_texts(data))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _padding(bare: str) -> str:
    tail = bare[len(bare) // 4 * 4 :]
    return tail + "=" * (4 - len(tail)) if len(tail) > 1 else ""


def _png_texts(data: bytes) -> Iterator[str]:
    at = 8
    while at + 8 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if kind in (b"tEXt", b"iTXt", b"eXIf"):
            yield body.decode("utf-8", "replace")
        elif kind == b"zTXt":
            yield _inflated(body.partition(b"\x00")[2][1:]).decode("utf-8", "replace")
        at += 12 + length


def _inflated(body: bytes, limit: int = 1_000_000) -> bytes:
    try:
        return zlib.decompressobj().decompress(body, limit)
    except zlib.error:
        return b""


def _break(tag: re.Match) -> str:
    return "\x00" + "\n" * tag[0].count("\n")


def _line_ends_only(tag: re.Match) -> str:
    return "\n" * tag[0].count("\n")


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text))]


def _line_at(starts: list[int], offset: int) -> int:
    return bisect_right(starts, offset)


@cache
def _digit_table() -> dict[int, str]:
    """Every decimal digit of Unicode, and full-width letters, blanks and signs, to their ASCII form."""
    table = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    for code in range(0x80, sys.maxunicode + 1):
        if unicodedata.category(chr(code)) == "Nd":
            table[code] = str(unicodedata.digit(chr(code)))
    return table


def _digits(text: str) -> str:
    """``text`` with every digit as ASCII; one character stays one character, so places do not move."""
    return text.translate(_digit_table())
