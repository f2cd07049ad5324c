"""Numbers that identify a person, wherever they stand: identity numbers, student numbers, telephones.

One home for what they look like: the reader of student numbers, the redaction of free text and the scan of finished
pages all look here.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache

GAP = "[ \\-\u00a0\u00ad\u00b7\u2000-\u200d\u202f\u2060\u3000\ufeff]?"
SPACED_18 = re.compile(f"(?<![0-9A-Za-z.])(?=((?:[0-9]{GAP}){{17}}[0-9Xx])(?![0-9A-Za-z]))")
SCHOOL_NUMBER = re.compile(f"(?<![0-9A-Za-z])[GJLgjl]{GAP}(?:[0-9]{GAP}){{17}}[0-9Xx](?![0-9A-Za-z])")
MOBILE = re.compile(
    f"(?<![0-9A-Za-z.])(?:\\+?86{GAP})?"
    f"1[3-9][0-9](?:[0-9]{{8}}|{GAP}[0-9]{{4}}{GAP}[0-9]{{4}}|(?:[ \u3000\u00a0\\-][0-9]){{8}})"
    "(?![0-9A-Za-z]|\\.[0-9])"
    "|(?<![0-9A-Za-z.])1[ \u3000\u00a0][3-9](?:[ \u3000\u00a0][0-9]){9}(?![0-9A-Za-z])"
)
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECK_CHARACTERS = "10X98765432"
_PROVINCES = frozenset(
    [11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54]
    + [61, 62, 63, 64, 65, 71, 81, 82, 83, 91]
)
_FIFTEEN = re.compile(r"(?<![0-9])[0-9]{15}(?![0-9])")
# A spreadsheet keeps 15 significant digits, so a number that went through one ends in zeros.
ROUNDED = "000"


def checksum_fits(number: str) -> bool:
    """Whether the last of 18 characters is the check character (ISO 7064 mod 11-2, GB 11643-1999)."""
    total = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, number[:17], strict=True))
    return CHECK_CHARACTERS[total % 11] == number[17].upper()


def is_identity_number(digits: str) -> bool:
    """Whether 18 characters are an identity number: place, date and check character."""
    return has_birth_date(digits) and checksum_fits(digits)


def has_birth_date(digits: str) -> bool:
    """Whether 18 characters stand as an identity number does: place, then a date of birth."""
    return "11" <= digits[:2] <= "91" and _is_date(digits[6:10], digits[10:12], digits[12:14])


def is_old_identity_number(digits: str) -> bool:
    """Whether 15 digits are an identity number as issued until 1999: a province, then a date of birth in 19xx."""
    return int(digits[:2]) in _PROVINCES and _is_date(f"19{digits[6:8]}", digits[8:10], digits[10:12])


def certain_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of identity numbers, student numbers and mobile phones: what a file's name should not hold.

    Unlike :func:`identifying_numbers` it leaves other runs of digits alone, such as the number of a 问卷星 form.
    """
    digits = ascii_digits(text)
    for pattern in (SCHOOL_NUMBER, MOBILE):
        for match in pattern.finditer(digits):
            yield match.span()
    for match in SPACED_18.finditer(digits):
        if checksum_fits(re.sub("[^0-9Xx]", "", match[1])):
            yield match.span(1)
    for match in _FIFTEEN.finditer(digits):
        if is_old_identity_number(match[0]):
            yield match.span()


def ascii_digits(text: str) -> str:
    """``text`` with every digit as ASCII; one character stays one character, so places do not move."""
    return text.translate(_digit_table())


def _is_date(year: str, month: str, day: str) -> bool:
    return 1900 <= int(year) <= 2099 and 1 <= int(month) <= 12 and 1 <= int(day) <= 31


@cache
def _digit_table() -> dict[int, str]:
    """Every decimal digit of Unicode, and full-width letters, blanks and signs, to their ASCII form."""
    table = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    beyond_ascii = "".join(map(chr, range(0x80, sys.maxunicode + 1)))
    return table | {ord(each): str(unicodedata.digit(each)) for each in re.findall(r"\d", beyond_ascii)}


# ---- as people type them into free text ---------------------------------------------------------------

# Between two groups of one number: blanks, dashes, dots, brackets; never a comma, which stands between numbers.
_SIGNS = "[\\s\\-\u2010-\u2015\u2212._/()\u00b7\u2022\u30fb\u2027~*#]"
_GROUPS = re.compile(f"[0-9]+(?:{_SIGNS}{{1,3}}[0-9]+)*(?:{_SIGNS}{{0,2}}[Xx](?![A-Za-z]))?")
_GROUP = re.compile("[0-9]+[Xx]?|[Xx]")
_SPOKEN = "零〇○Ｏ一二三四五六七八九幺壹贰叁肆伍陆柒捌玖"
_SPOKEN_DIGITS = str.maketrans(_SPOKEN, "00001234567891123456789")
_SPOKEN_RUN = re.compile(f"[{_SPOKEN}](?:{_SIGNS}?[{_SPOKEN}]){{6,}}")
_LONG = re.compile(r"[0-9]{6,}[Xx]?")
_DATE = re.compile(r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])?")
_LETTER = re.compile(f"[GJLgjl]{_SIGNS}{{0,2}}$")
_ADDRESSES = re.compile(
    r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
    r"|(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9.])"
    r"|(?<![A-Za-z0-9_-])(?:wxid_[A-Za-z0-9_]{6,}|o[A-Za-z0-9_-]{27})(?![A-Za-z0-9_-])"
)
_MAX_GROUPS = 19


def identifying_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of what in a free text may be a number or address of a person; they may overlap.

    Found are identity numbers of 18 characters (with their check character, or as a spreadsheet rounds them) and of
    15 digits, student numbers, mobile and landline telephones, whole or in groups with blanks, dashes, dots and
    brackets between; telephones in Chinese numerals; any run of six digits or more that is not a date (QQ, bank
    cards); e-mail and IP addresses, WeChat ids. More is found than on a finished page: a topic that loses a number
    too many is no harm.

    Parameters
    ----------
    text : str
        Without invisible characters (:func:`cobench.ingest.free_text.plain`).
    """
    digits = ascii_digits(text)
    digits = _SPOKEN_RUN.sub(lambda run: run[0].translate(_SPOKEN_DIGITS), digits)
    for match in _ADDRESSES.finditer(digits):
        yield match.span()
    for run in _GROUPS.finditer(digits):
        yield from _in_run(digits, run)
    for match in _LONG.finditer(digits):
        if not _DATE.fullmatch(match[0]):
            yield match.span()


def _in_run(text: str, run: re.Match) -> Iterator[tuple[int, int]]:
    """Numbers made of neighbouring groups of digits."""
    if sum(map(str.isdigit, run[0])) < 7:
        return
    groups = [
        (each.start() + run.start(), each.end() + run.start(), each[0]) for each in _GROUP.finditer(run[0])
    ]
    for first in range(len(groups)):
        joined = ""
        for _, end, digits in groups[first : first + _MAX_GROUPS]:
            joined += digits
            if len(joined) > 20:
                break
            if _is_number(joined):
                start = groups[first][0]
                letter = _LETTER.search(text, max(0, start - 3), start)
                yield (letter.start() if letter else start), end


def _is_number(digits: str) -> bool:
    n = len(digits)
    if n == 18:
        rounded = digits.endswith(ROUNDED) and has_birth_date(digits)
        return digits[:17].isdigit() and (is_identity_number(digits) or checksum_fits(digits) or rounded)
    if not digits.isdigit():
        return False
    if n == 15 and is_old_identity_number(digits):
        return True
    if (n == 13 and digits.startswith("86")) or (n == 15 and digits.startswith("0086")):
        digits, n = digits[-11:], 11
    mobile = n == 11 and digits[0] == "1" and digits[1] in "3456789"
    landline = 10 <= n <= 12 and digits[0] == "0" and digits[1] != "0"
    service = n == 10 and digits.startswith(("400", "800"))
    return mobile or landline or service
