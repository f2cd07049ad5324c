"""Free text without people: names of the roster and numbers of persons taken out before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import cache
from importlib.resources import files
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from cobench.ingest.columns import keys_of
from cobench.ingest.numbers import certain_numbers, identifying_numbers
from cobench.ingest.text import clean_text

MASK = "＊"
_GAPS = re.compile(r"[\s·•‧・∙⋅⸱.]")
_INVISIBLE = re.compile(
    "[\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u2028-\u202e\u2061-\u206f\ufe00-\ufe0f\x00-\x08\x0e-\x1f\x7f-\x9f]"
)
_PERSON_AFTER = re.compile(
    "(?:小)?(?:同学|朋友|孩子|学生|家长|妈妈|爸爸|母亲|父亲|奶奶|爷爷|外婆|外公|家|的(?:妈|爸|母|父|家|奶|爷))"
)
_PERSON_BEFORE = re.compile("(?:学生|同学|孩子|儿子|女儿|姓名|名叫|叫|是)[:：]?$")
_BOUNDARY = re.compile(r"[^\w]")
_SHORT = 4


class Finder(Protocol):
    """Knows where names stand in a text."""

    def places(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each name."""


class Names:
    """Names to look for, prepared once; a text is searched in one pass whatever their number.

    A name of three characters or more counts wherever it stands, also with dots or blanks inside. One of two
    characters that is also an everyday word (高兴, 周一; the list is ``ordinary_words.txt``) counts only where a
    person is spoken of: before 同学, 妈妈 and the like, after 学生, 叫 and the like, or standing alone.

    Parameters
    ----------
    names : collection of str
        As written on the roster.
    """

    def __init__(self, names: Iterable[str]) -> None:
        keys = keys_of(names)
        lengths = pc.utf8_length(pa.array(keys, pa.string())).to_numpy(zero_copy_only=False)
        by_length = {n: set(keys[lengths == n]) for n in range(2, _SHORT + 1)}
        self._by_length = {n: members for n, members in by_length.items() if members}
        self._long: dict[str, list[str]] = {}
        for key in sorted(set(keys[lengths > _SHORT])):
            self._long.setdefault(key[:_SHORT], []).append(key)
        self._ordinary = self._by_length.get(2, set()) & ordinary_words()

    def __bool__(self) -> bool:
        return bool(self._by_length or self._long)

    def places(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each name in a text without invisible characters."""
        bare, at = _bare(text)
        found = []
        for length, members in self._by_length.items():
            for start in range(len(bare) - length + 1):
                piece = bare[start : start + length]
                if piece in members and (
                    length > 2 or piece not in self._ordinary or _is_person(bare, text, at, start)
                ):
                    found.append((at[start], at[start + length - 1] + 1))
        if self._long:
            for start in range(len(bare) - _SHORT):
                for name in self._long.get(bare[start : start + _SHORT], ()):
                    if bare.startswith(name, start):
                        found.append((at[start], at[start + len(name) - 1] + 1))
        return found


def plain(text: str) -> str:
    """A text as searched: full-width forms and radicals repaired, nothing invisible left."""
    return _INVISIBLE.sub("", clean_text(_INVISIBLE.sub("", text)))


def redact(text: str, names: Collection[Finder] = ()) -> tuple[str, bool]:
    """A text, cleaned, with :data:`MASK` in place of names and of numbers that identify a person; whether any was there."""
    text = plain(text)
    places = list(identifying_numbers(text))
    for each in names:
        places += each.places(text)
    return (_masked(text, places), True) if places else (text, False)


def masked_labels(labels: Iterable[str]) -> list[str]:
    """File names without numbers of persons; those that become alike are told apart by ~2, ~3 ..."""
    masked = [_masked(each, list(certain_numbers(each))) for each in labels]
    seen: dict[str, int] = {}
    told = []
    for each in masked:
        seen[each] = seen.get(each, 0) + 1
        told.append(each if seen[each] == 1 else f"{each}~{seen[each]}")
    return told


def in_file_name(label: str, names: Names) -> str:
    """The path of a file without names of the roster in its last part; folders are schools."""
    folder, slash, name = label.rpartition("/")
    return folder + slash + _masked(name, names.places(name))


@cache
def ordinary_words() -> frozenset[str]:
    """Everyday words of two characters that could be names."""
    text = files("cobench.ingest").joinpath("ordinary_words.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


def _bare(text: str) -> tuple[str, list[int]]:
    """The text without blanks and dots, and where each of its characters stood."""
    if not _GAPS.search(text):
        return text, range(len(text))
    at = [place for place, character in enumerate(text) if not _GAPS.match(character)]
    return "".join(text[place] for place in at), at


def _is_person(bare: str, text: str, at: list[int], start: int) -> bool:
    if _PERSON_AFTER.match(bare, start + 2) or _PERSON_BEFORE.search(bare, max(0, start - 4), start):
        return True
    first, last = at[start], at[start + 1]
    before = first == 0 or bool(_BOUNDARY.match(text[first - 1]))
    after = last + 1 == len(text) or bool(_BOUNDARY.match(text[last + 1]))
    return before and after


def _masked(text: str, places: list[tuple[int, int]]) -> str:
    """The text with one mask for each stretch of overlapping places."""
    parts, done = [], 0
    for start, end in _merged(places):
        parts += [text[done:start], MASK]
        done = end
    return "".join([*parts, text[done:]])


def _merged(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[list[int]] = []
    for start, end in sorted(places):
        if merged and start < merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return [(start, end) for start, end in merged]
