"""A code book drafted from an export: questions and option texts as found; values are never guessed."""

from __future__ import annotations

import json
import re

import pandas as pd

from cobench.ingest.readers import Sheet
from cobench.ingest.text import clean_text, header_key
from cobench.ingest.wenjuanxing import LEADING, MISSING, SUBMITTED

CONFIRM = "# confirm"
MOST_OPTIONS = 12
_IDENTIFYING = {
    "school": re.compile("学校"),
    "class": re.compile("班级"),
    "name": re.compile("姓名"),
}
_OPEN = re.compile("姓名|电话|手机|建议|意见|想说|地址|身份证|学籍号|联系方式|微信号|什么|其他")
_DONT_KNOW = ("不知道", "不清楚", "说不清")
_NUMBERED = re.compile(r"(\d+)[、.](.*)")


def header_row(sheet: Sheet) -> int | None:
    """Row of the platform's header among the first, None where a sheet is no 问卷星 export."""
    for row in range(min(5, sheet.n_rows)):
        keys = [header_key(cell) for cell in sheet.text[row]]
        if SUBMITTED in keys and "序号" in keys:
            return row
    return None


def respondent_of(title: str) -> str:
    """Who answered, from the title: a guess."""
    return "teacher" if "教师" in title or "老师" in title else "student" if "学生" in title else "parent"


def draft_codebook(sheet: Sheet, instrument: str, title: str) -> tuple[str, dict[str, str]]:
    """Text of a code book for an export by option text, and the questions that identify (``school, class, name``).

    Questions with few, short, repeated answers become items whose option texts are listed with the value ``nan``:
    which end is high and which is the better one has to be said by whoever knows the questionnaire. All other
    questions are open ones, whose answers are never read out.
    """
    row = header_row(sheet)
    body = pd.DataFrame(sheet.text[row + 1 :]).map(clean_text)
    identify: dict[str, str] = {}
    items: list[tuple[str, str | None]] = []
    sets: dict[str, list[str]] = {}
    for place, cell in enumerate(sheet.text[row]):
        header = clean_text(cell)
        numbered = _NUMBERED.fullmatch(header_key(cell))
        if not numbered or header_key(cell) in map(header_key, LEADING):
            continue
        known = next(
            (name for name, said in _IDENTIFYING.items() if said.search(header) and name not in identify),
            None,
        )
        if known and "—" not in header_key(cell):
            identify[known] = numbered.group(1)
            continue
        found = _options(body[place])
        key = None
        if found and not _OPEN.search(header):
            key = _list_of(found, sets)
        items.append((header, key))
    return _text(instrument, title, identify, items, sets), identify


def _options(answers: pd.Series) -> list[str]:
    """Option texts in order of appearance; none where the answers look like free text or several choices."""
    given = answers[(answers != "") & ~answers.isin(MISSING)]
    distinct = list(dict.fromkeys(given))
    several = given.str.contains("[┋┦→〖]", regex=True).any()
    if several or not 1 < len(distinct) <= MOST_OPTIONS or len(given) < 2 * len(distinct):
        return []
    return distinct if max(map(len, distinct)) <= 20 else []


def _list_of(found: list[str], sets: dict[str, list[str]]) -> str:
    """Name of the option list that ``found`` belongs to: one that holds it or that it holds, else a new one."""
    for name, held in sets.items():
        if set(found) <= set(held) or set(found) >= set(held):
            held += [each for each in found if each not in held]
            return name
    name = f"options_{len(sets) + 1}"
    sets[name] = list(found)
    return name


def _text(
    instrument: str,
    title: str,
    identify: dict[str, str],
    items: list[tuple[str, str | None]],
    sets: dict[str, list[str]],
) -> str:
    asked = ", ".join(f"{name} = {_quoted(number)}" for name, number in identify.items())
    dont_know = [each for found in sets.values() for each in found if each in _DONT_KNOW]
    missing = ", ".join(f'{_quoted(each)} = "dont_know"' for each in dict.fromkeys(dont_know))
    lines = [
        f"# Drafted by cobench from an export of “{title}”. Every line marked “{CONFIRM[2:]}” is a guess.",
        f"instrument = {_quoted(instrument)}",
        'version = "1"',
        f'respondent = "{respondent_of(title)}"  {CONFIRM}: who answered',
        f"identify = {{{asked}}}  {CONFIRM}: numbers of the questions that say whose questionnaire it is",
        *([f"missing = {{{missing}}}  {CONFIRM}: treated as missing"] if missing else []),
    ]
    for name, found in sets.items():
        lines += ["", f"[options.{name}]"]
        kept = [each for each in found if each not in _DONT_KNOW]
        lines += [
            f"{_quoted(each)} = nan  {CONFIRM}: its value; the order here is that of first answers"
            for each in kept
        ]
    for number, (header, key) in enumerate(items, start=1):
        how = (
            f"options = {_quoted(key)}"
            if key
            else f'kind = "text"  {CONFIRM}: open, several choices, or too varied'
        )
        lines += [
            "",
            "[[items]]",
            f'id = "q{number}"',
            f"header = {_quoted(header)}",
            how,
            f"label = {_quoted(header)}",
        ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
