"""Fixed phrases in both languages, and numbers as readers see them."""

from __future__ import annotations

import math
import re
import string
import tomllib
from functools import cache
from importlib.resources import files

from cobench.errors import CobenchError

FILES = ("wording.toml", "pages.toml", "communities.toml")
LANGUAGES = ("zh", "en")
MINUS = "\u2212"


@cache
def wording() -> dict[str, dict[str, str]]:
    """All phrases: ``{"section.key": {"zh": ..., "en": ...}}``."""
    folder = files("cobench.show")
    return {
        f"{section}.{key}": phrase
        for name in FILES
        for section, phrases in tomllib.loads(folder.joinpath(name).read_text(encoding="utf-8")).items()
        for key, phrase in phrases.items()
    }


def has(key: str) -> bool:
    """Whether ``wording.toml`` has the phrase ``key``."""
    return key in wording()


def slots(phrase: str) -> frozenset[str]:
    """Names of the slots of a phrase."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(phrase) if name)


def say(key: str, language: str, **values: object) -> str:
    """The phrase ``key`` in ``language`` with its slots filled.

    Raises
    ------
    CobenchError
        If the phrase or language is unknown, or the slots given aren't exactly those of the phrase.
    """
    phrase = wording().get(key)
    if phrase is None or language not in phrase:
        raise CobenchError(
            en=f"wording.toml has no phrase {key!r} in language {language!r}",
            zh=f"wording.toml 中没有短语 {key!r}（语言 {language!r}）",
        )
    wanted = slots(phrase[language])
    if wanted != values.keys():
        raise CobenchError(
            en=f"phrase {key!r} has the slots {sorted(wanted)}, not {sorted(values)}",
            zh=f"短语 {key!r} 的空位是 {sorted(wanted)}，而不是 {sorted(values)}",
        )
    return phrase[language].format(**values)


@cache
def phrases() -> frozenset[str]:
    """The literal parts of all Chinese phrases: words that are nobody's name (for the identifier scan)."""
    parts: set[str] = set()
    for phrase in wording().values():
        literal = (part for part, _, _, _ in string.Formatter().parse(phrase["zh"]))
        parts.update(run for text in literal for run in re.findall("[\u4e00-\u9fff]{2,}", text))
    return frozenset(parts)


def number(value: float, digits: int = 2, *, signed: bool = False) -> str:
    """``value`` with a true minus sign and ``digits`` decimals; never ``-0.00``."""
    if not math.isfinite(value):
        return "–"
    return typeset(f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}")


def typeset(text: str) -> str:
    """A formatted number with a true minus sign, and none before a zero."""
    if not text.strip("+-0.,"):
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def decimals(std_error: float) -> int:
    """Decimals that suit an estimate with this standard error: two, fewer or more at the extremes."""
    if not math.isfinite(std_error) or std_error <= 0:
        return 2
    return 3 if std_error < 0.01 else (2 if std_error < 10 else 1)


def p_text(p: float) -> str:
    """A p-value for a sentence or cell: ``< 0.001`` or three decimals."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def sentence_case(text: str) -> str:
    """``text`` with its first letter in upper case (Chinese stays as it is)."""
    for i, character in enumerate(text):
        if character.isalpha():
            return text[:i] + character.upper() + text[i + 1 :] if i <= 1 else text
    return text
