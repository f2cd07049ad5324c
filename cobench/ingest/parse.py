"""One small function for each thing that schools write down; each gives a value, or the rule that it breaks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cobench.ingest.columns import coded, column, factor
from cobench.ingest.numbers import CHECK_CHARACTERS, WEIGHTS, checksum_fits
from cobench.ingest.text import clean_text


@dataclass(frozen=True)
class Parsed:
    """A value, or the id of a rule of :mod:`cobench.ingest.quarantine` that the text breaks."""

    value: object = None
    rule: str | None = None


BLANK = Parsed()


def parse_column(texts: pd.Series, parse: Callable[[str], Parsed]) -> pd.DataFrame:
    """Parse each distinct text once; columns ``value`` and ``rule`` (codes) on the same index."""
    codes, distinct = factor(texts)
    return _columns(codes, [parse(text) for text in distinct], texts.index)


def parse_by_kind(texts: pd.Series, numeric: pd.Series, parse: Callable[..., Parsed]) -> pd.DataFrame:
    """As :func:`parse_column`, telling ``parse`` (``numeric=True``) which cells a spreadsheet held as numbers."""
    codes, distinct = factor(texts)
    used = np.unique(codes[codes >= 0])
    place = np.full(len(distinct) + 1, -1, dtype=np.int64)
    place[used] = np.arange(len(used))
    codes, distinct = place[codes], distinct[used]
    parsed = [parse(text) for text in distinct]
    return _columns(*_with_numeric(codes, distinct, parsed, numeric, parse), texts.index)


def _with_numeric(codes, distinct, parsed, numeric, parse):
    """Codes and what they parse to, with cells that a spreadsheet held as numbers parsed as such."""
    rows = np.flatnonzero(np.asarray(numeric, dtype=bool) & (codes >= 0))
    if len(rows) == 0:
        return codes, parsed
    held = np.unique(codes[rows])
    place = np.zeros(len(distinct), dtype=np.int64)
    place[held] = np.arange(len(held)) + len(parsed)
    moved = codes.astype(np.int64)
    moved[rows] = place[moved[rows]]
    return moved, [*parsed, *(parse(text, numeric=True) for text in distinct[held])]


def _columns(codes: np.ndarray, parsed: list[Parsed], index: pd.Index) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "value": column(codes, [each.value for each in parsed], index),
            "rule": column(codes, [each.rule for each in parsed], index),
        }
    )


# ---- numerals --------------------------------------------------------------------------------------

_DIGITS = {
    "零": 0,
    "〇": 0,
    "一": 1,
    "二": 2,
    "两": 2,
    "三": 3,
    "四": 4,
    "五": 5,
    "六": 6,
    "七": 7,
    "八": 8,
    "九": 9,
}
_HAN = "零〇一二两三四五六七八九十"
_NUMBER = rf"(?:\d{{1,3}}|[{_HAN}]{{1,3}})"


def parse_numeral(text: str) -> int | None:
    """A whole number below 100 in Chinese (十二, 二十, 三十五) or Arabic digits, None for anything else."""
    if text.isdecimal():
        return int(text)
    match = re.fullmatch(r"([一二两三四五六七八九])?(十)?([一二三四五六七八九])?", text)
    if not match or not text:
        return _DIGITS.get(text)
    tens, ten, ones = match.groups()
    if ten:
        return (_DIGITS[tens] if tens else 1) * 10 + (_DIGITS[ones] if ones else 0)
    return _DIGITS[tens] if tens and not ones else _DIGITS.get(text)


# ---- dates -----------------------------------------------------------------------------------------

_FULL_DATE = re.compile(
    r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*[日号]?(?:[T\s]+\d{1,2}:\d{2}(?::\d{2})?)?|(\d{4})(\d{2})(\d{2})"
)
_YEARLESS = re.compile(r"(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*[日号]?")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_MONTH = re.compile(r"(\d{4})\s*[-/.年]?\s*(\d{1,2})\s*月?(?:\s*[-/.]?\s*\d{1,2}\s*[日号]?(?:\s+[\d:]+)?)?")


@dataclass(frozen=True)
class Window:
    """Days among which a date without a year must fall: ``first`` to ``last``, both included."""

    first: date
    last: date

    def years_of(self, month: int, day: int) -> list[date]:
        """Dates of the window that fall on this day of the year."""
        found = []
        for year in range(self.first.year, self.last.year + 1):
            each = make_date(year, month, day)
            if each is not None and self.first <= each <= self.last:
                found.append(each)
        return found


def make_date(year: int, month: int, day: int) -> date | None:
    """The date, None where the calendar has none."""
    try:
        return date(year, month, day)
    except ValueError:
        return None


def parse_date(text: str, window: Window, *, numeric: bool = False) -> Parsed:
    """A date: 2026-03-15, 2026/3/15, 2026.3.15, 20260315, 2026年3月15日, 3月15日, 3.15.

    A date without a year counts only where exactly one day of ``window`` fits. A spreadsheet number such as
    9.1 may have been 9.10, so it is refused.
    """
    text = clean_text(text)
    if not text:
        return Parsed(rule="blank_required")
    match = _FULL_DATE.fullmatch(text)
    if match:
        year, month, day = (int(part) for part in match.groups() if part is not None)
        found = make_date(year, month, day)
        return Parsed(found) if found else Parsed(rule="impossible_date")
    match = _YEARLESS.fullmatch(text)
    if not match:
        return Parsed(rule="unreadable_date")
    if numeric and re.fullmatch(r"\d{1,2}\.[123]", text):
        return Parsed(rule="ambiguous_date")
    month, day = int(match.group(1)), int(match.group(2))
    if make_date(2024, month, day) is None:
        return Parsed(rule="impossible_date")
    fitting = window.years_of(month, day)
    if len(fitting) == 1:
        return Parsed(fitting[0])
    return Parsed(rule="ambiguous_date" if fitting else "date_outside_term")


def parse_time(text: str) -> Parsed:
    """A point in time such as 2026-03-15 20:31 or 2026/3/15; missing where blank."""
    text = clean_text(text)
    if not text:
        return BLANK
    day, _, clock = text.replace("T", " ").partition(" ")
    if "日" in text and not clock:
        day, _, clock = text.partition("日")
    match = _FULL_DATE.fullmatch(day)
    time = _TIME.fullmatch(clock.strip())
    if not match or (clock.strip() and not time):
        return Parsed(rule="unreadable_time")
    found = make_date(*(int(part) for part in match.groups() if part is not None))
    if found is None:
        return Parsed(rule="impossible_date")
    hour, minute, second = (int(part or 0) for part in time.groups()) if time else (0, 0, 0)
    if hour > 23 or minute > 59 or second > 59:
        return Parsed(rule="unreadable_time")
    return Parsed(pd.Timestamp(found) + timedelta(hours=hour, minutes=minute, seconds=second))


def parse_month(text: str) -> Parsed:
    """A month of birth, 2014-03, 2014年3月, 201403 or a whole date, as "2014-03"; missing where blank."""
    text = clean_text(text)
    if not text:
        return BLANK
    match = re.fullmatch(r"(\d{4})(\d{2})(?:\d{2})?", text) or _MONTH.fullmatch(text)
    if not match or not (1 <= int(match.group(2)) <= 12 and 1900 < int(match.group(1)) < 2100):
        return Parsed(rule="unreadable_month")
    return Parsed(f"{int(match.group(1)):04d}-{int(match.group(2)):02d}")


# ---- classes ---------------------------------------------------------------------------------------

FIRST_GRADE = {"kindergarten": -2, "primary": 1, "junior": 7}
_LAST_GRADE = {"kindergarten": 0, "primary": 6, "junior": 9}
_KINDERGARTEN = {"小": -2, "中": -1, "大": 0}
_BRACKETS = str.maketrans("[]{}【】〔〕〈〉<>", "()()()()()()")

_BY_ENTRY = re.compile(rf"(\d{{4}})级\(?({_NUMBER})\)?班?")
_BY_KINDERGARTEN = re.compile(rf"([小中大])班?\(?({_NUMBER})\)?班?")
_BY_JUNIOR = re.compile(rf"初([一二三123])(?:年级?)?\(?({_NUMBER})\)?班?")
# 12班 without a separator could be class 12 or grade 1, class 2.
_BY_GRADE = re.compile(rf"([一二三四五六七八九])[(\-.]?({_NUMBER})\)?班?|([1-9])[(\-.]({_NUMBER})\)?班?")
_BY_GRADE_NAMED = re.compile(rf"([一二三四五六七八九1-9])年级?[(\-.]?({_NUMBER})\)?班?")
_BY_DIGITS = re.compile(r"([1-9])(\d{2})班?")


def parse_class(text: str, stage: str, school_year: int) -> Parsed:
    """A class name as (grade, year of entry, number): 三(2)班, 三年级2班, 302, 初一(3)班, 小一班, 2022级2班.

    In a junior school 一(3)班 is 初一(3)班.

    Parameters
    ----------
    stage : {"kindergarten", "primary", "junior"}
    school_year : int
        Year of the September in which the school year began.
    """
    name = re.sub(r"\s+", "", clean_text(text)).translate(_BRACKETS)
    if not name:
        return Parsed(rule="blank_required")
    first = FIRST_GRADE[stage]
    match = _BY_ENTRY.fullmatch(name)
    if match:
        return _class(
            first + school_year - int(match.group(1)), parse_numeral(match.group(2)), stage, school_year
        )
    kindergarten, junior = _BY_KINDERGARTEN.fullmatch(name), _BY_JUNIOR.fullmatch(name)
    by_grade = _BY_DIGITS.fullmatch(name) or _BY_GRADE_NAMED.fullmatch(name) or _BY_GRADE.fullmatch(name)
    match = kindergarten or junior or by_grade
    if match is None:
        return Parsed(rule="unreadable_class")
    year, number = (part for part in match.groups() if part is not None)
    if kindergarten:
        grade = _KINDERGARTEN[year]
    else:
        grade = (parse_numeral(year) or 0) + (6 if junior else 0)
        if stage == "junior" and grade <= 3:
            grade += 6
    return _class(grade, parse_numeral(number), stage, school_year)


_GRADE_ALONE = re.compile(r"(初?)([一二三四五六七八九1-9])(?:年级)?|([小中大])班")


def parse_grade(text: str, stage: str | None) -> Parsed:
    """A grade: 三年级, 三, 3, 初一, 大班; in a junior school 一年级 is 初一. Missing where blank."""
    name = re.sub(r"\s+", "", clean_text(text))
    if not name:
        return BLANK
    match = _GRADE_ALONE.fullmatch(name)
    if match is None:
        return Parsed(rule="unreadable_grade")
    junior, year, kindergarten = match.groups()
    if kindergarten:
        return Parsed(_KINDERGARTEN[kindergarten])
    grade = parse_numeral(year) + (6 if junior else 0)
    return Parsed(grade + 6 if stage == "junior" and grade <= 3 else grade)


_COUNT = re.compile(r"(-?\d{1,9}(?:\.\d{1,4})?)(?:元|人|次|名|分|天|课时|小时|节|个|组|项|户|%)?")


def parse_count(text: str) -> Parsed:
    """A number with or without its unit (12, 5,000元, 3人); missing where blank."""
    text = re.sub(r"[\s,]+", "", clean_text(text))
    if not text:
        return BLANK
    match = _COUNT.fullmatch(text)
    return Parsed(float(match.group(1))) if match else Parsed(rule="not_a_count")


_CODE = re.compile(r"[A-Za-z](?!.*\d{6})[A-Za-z0-9_\-]{0,23}")


def parse_code(text: str) -> Parsed:
    """A short code (JGT01), never a name or a number of a person; missing where blank."""
    text = clean_text(text)
    if not text:
        return BLANK
    return Parsed(text) if _CODE.fullmatch(text) else Parsed(rule="not_a_code")


def _class(grade: int, number: int | None, stage: str, school_year: int) -> Parsed:
    if not number:
        return Parsed(rule="unreadable_class")
    if not FIRST_GRADE[stage] <= grade <= _LAST_GRADE[stage]:
        return Parsed(rule="unknown_class")
    return Parsed((grade, school_year - grade + FIRST_GRADE[stage], number))


# ---- durations, marks ------------------------------------------------------------------------------

_MINUTES = re.compile(
    rf"(?:约|大约)?(\d+(?:\.\d+)?|[{_HAN}]+)(?:分钟|分|min|mins|minutes|')?(?:左右)?", re.IGNORECASE
)
_HOURS = re.compile(
    rf"(?:约|大约)?(\d+(?:\.\d+)?|[{_HAN}]+)个?(半)?(?:小时|钟头|h|hour|hours)(半)?"
    rf"(?:(\d+|[{_HAN}]+)(?:分钟|分|min)?)?(?:左右)?",
    re.IGNORECASE,
)
_SPECIAL_MINUTES = {"半小时": 30.0, "半个小时": 30.0, "半个钟头": 30.0, "一刻钟": 15.0, "三刻钟": 45.0}


def parse_minutes(text: str) -> Parsed:
    """A duration in minutes: 40分钟, 40, 1小时, 1.5小时, 一个半小时, 半小时, 1小时20分; missing where blank."""
    text = re.sub(r"\s+", "", clean_text(text))
    if not text:
        return BLANK
    special = _SPECIAL_MINUTES.get(text.removeprefix("约").removesuffix("左右"))
    if special is not None:
        return Parsed(special)
    match = _HOURS.fullmatch(text)
    if match:
        hours, half, half_after, minutes = match.groups()
        whole = _amount(hours)
        rest = _amount(minutes) if minutes else 0.0
        if whole is None or rest is None or (half and half_after):
            return Parsed(rule="unreadable_minutes")
        return Parsed(60 * whole + (30 if half or half_after else 0) + rest)
    match = _MINUTES.fullmatch(text)
    amount = _amount(match.group(1)) if match else None
    return Parsed(rule="unreadable_minutes") if amount is None else Parsed(amount)


def _amount(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        number = parse_numeral(text)
        return None if number is None else float(number)


EXAM_STATES = {
    "缺考": "absent",
    "免修": "exempt",
    "免考": "exempt",
    "免试": "exempt",
    "缓考": "deferred",
    "": "blank",
}
_MARK = re.compile(r"\d{1,4}(?:\.\d{1,4})?")


def parse_mark(text: str) -> Parsed:
    """A mark, full-width digits included; an exam state (缺考, 免修, 缓考, blank) comes as its reason, a text."""
    text = clean_text(text)
    state = re.sub(r"\s+", "", text)
    if state in EXAM_STATES:
        return Parsed(EXAM_STATES[state])
    match = _MARK.fullmatch(text.removesuffix("分").removesuffix("天"))
    return Parsed(float(match.group())) if match else Parsed(rule="not_a_number")


# ---- student numbers -------------------------------------------------------------------------------

# A spreadsheet keeps 15 significant digits: a text of 18 that ends in three zeros went through one, and so did
# 1.10101E+17, 110101201503010.0 and 110,101,201,503,010,000.
_WAS_A_NUMBER = re.compile(
    r"\d{15}000(?:\.0*)?|\d+\.0*|[GJL]?\d(?:[.,]\d+)?E\+?\d+|\d{1,3}(?:,\d{3}){4,}(?:\.0*)?"
)


def parse_student_number(text: str, *, numeric: bool = False) -> Parsed:
    """A student number 学籍号: G, J or L and 18 characters; those of G carry the identity number's check character.

    A number that a spreadsheet has held as a number has lost its last digits and can't be repaired.
    """
    number = re.sub(r"\s+", "", clean_text(text)).lstrip("'`‘’").upper()
    if not number:
        return Parsed(rule="blank_required")
    if numeric or _WAS_A_NUMBER.fullmatch(number):
        return Parsed(rule="destroyed_number")
    if not re.fullmatch(r"[GJL]\d{17}[0-9X]", number):
        return Parsed(rule="malformed_number")
    if number[0] == "G" and not checksum_fits(number[1:]):
        return Parsed(rule="wrong_checksum")
    return Parsed(number)


def parse_student_numbers(texts: pd.Series, numeric: pd.Series) -> pd.DataFrame:
    """:func:`parse_student_number` of a column, well-formed numbers all at a time; ``value`` and ``rule`` as codes."""
    codes, distinct = factor(texts)
    well_formed, fits = _well_formed(distinct)
    held = np.asarray(numeric, dtype=bool)
    odd = ~well_formed[codes] | held
    fine = (well_formed & fits)[codes] & ~held
    rule = np.where(odd | fine, -1, 0)
    if not odd.any():
        return pd.DataFrame(
            {
                "value": coded(np.where(fine, codes, -1), pd.Index(distinct, dtype=object), texts.index),
                "rule": column(rule, ["wrong_checksum"], texts.index),
            }
        )
    rest = parse_by_kind(
        column(np.where(odd, codes, -1), distinct, texts.index), numeric, parse_student_number
    )
    mended, numbers = factor(rest["value"])
    broken, rules = factor(rest["rule"])
    value = np.where(fine, codes, np.where(mended < 0, -1, mended + len(distinct)))
    rule = np.where(broken >= 0, broken + 1, rule)
    return pd.DataFrame(
        {
            "value": column(value, np.append(distinct, numbers), texts.index),
            "rule": column(rule, ["wrong_checksum", *rules], texts.index),
        }
    )


def _well_formed(texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Texts that are a letter, 17 digits and a check character, and those of them whose check character fits."""
    array = pa.array(texts, type=pa.string())
    well_formed = pc.match_substring_regex(array, "^[GJL][0-9]{17}[0-9X]$").to_numpy(zero_copy_only=False)
    well_formed = well_formed.astype(bool)
    fits = np.zeros(len(texts), dtype=bool)
    if well_formed.any():
        joined = "".join(texts[well_formed]).encode("ascii")
        characters = np.frombuffer(joined, dtype=np.uint8).reshape(-1, 19)
        total = (characters[:, 1:18] - 48).astype(np.int32) @ np.array(WEIGHTS, dtype=np.int32)
        checks = np.frombuffer(CHECK_CHARACTERS.encode("ascii"), dtype=np.uint8)
        fits[well_formed] = (characters[:, 0] != ord("G")) | (checks[total % 11] == characters[:, 18])
    return well_formed, fits
