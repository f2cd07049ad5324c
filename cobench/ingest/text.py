"""Repair of text as typed: full-width forms, look-alike radicals, dots and blanks in names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import pandas as pd

# Radicals that fonts show like the characters but that NFKC leaves alone (CJK Radicals Supplement).
_RADICALS = {
    "⺒": "巳", "⺓": "幺", "⺠": "民", "⺨": "犭", "⺼": "月", "⻁": "虎", "⻄": "西", "⻅": "见", "⻆": "角",
    "⻉": "贝", "⻋": "车", "⻓": "长", "⻔": "门", "⻘": "青", "⻙": "韦", "⻚": "页", "⻛": "风", "⻜": "飞",
    "⻝": "食", "⻢": "马", "⻣": "骨", "⻤": "鬼", "⻥": "鱼", "⻦": "鸟", "⻧": "卤", "⻨": "麦", "⻩": "黄",
    "⻬": "齐", "⻮": "齿", "⻰": "龙", "⻳": "龟",
}  # fmt: skip
_RADICAL_TABLE = str.maketrans(_RADICALS)
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]")
_BLANKS = re.compile(r"\s+")
_DASHES = re.compile("[\u2010-\u2015\u2212\u2500\u2501\ufe58]+")
_DOTS = re.compile("[·•‧・∙⋅⸱]")
_BETWEEN_CHILDREN = re.compile("[、,;/&\n]+")


def clean_text(text: str) -> str:
    """NFKC, look-alike radicals to characters, invisible characters and outer blanks away."""
    if text.isascii():
        return text.strip()
    text = unicodedata.normalize("NFKC", text.translate(_RADICAL_TABLE))
    return _INVISIBLE.sub("", text).strip()


def header_key(text: str) -> str:
    """A header as compared: cleaned, without blanks and asterisks, one kind of dash."""
    return _DASHES.sub("—", _BLANKS.sub("", clean_text(text))).replace("*", "")


def name_key(name: str) -> str:
    """A person's name as compared: cleaned, without blanks and dots (张　三, 阿依•古丽)."""
    return _BLANKS.sub("", _DOTS.sub("", clean_text(name)))


def split_children(names: str) -> tuple[str, ...]:
    """Children named in one cell with a separator between them (张三、李四), as name keys."""
    parts = (name_key(part) for part in _BETWEEN_CHILDREN.split(clean_text(names)))
    return tuple(part for part in parts if part)


def split_at_blanks(names: str) -> tuple[str, ...]:
    """Children of a cell that has only blanks between names, none where a part is too short for a name."""
    parts = tuple(name_key(part) for part in clean_text(names).split())
    return parts if len(parts) > 1 and all(len(part) > 1 for part in parts) else ()


def map_unique(texts: pd.Series, convert: Callable[[str], object]) -> pd.Series:
    """Apply ``convert`` once to each distinct value; object Series on the same index."""
    codes, distinct = pd.factorize(texts, use_na_sentinel=False)
    values = pd.Series([convert(text) for text in distinct], dtype="object")
    return pd.Series(values.to_numpy()[codes] if len(values) else [], index=texts.index, dtype="object")
