"""The draft of a code book from an inspected file: every guess marked, no value and no direction guessed."""

from __future__ import annotations

import json

from cobench.errors import UnreadableFileError
from cobench.ingest.codebook import UNCONFIRMED
from cobench.ingest.inspection import MAX_OPTIONS, Inspection, Question, Reading, matrix_of, number_of
from cobench.ingest.text import clean_text

MARK = "# confirm"
_IDENTIFY = {
    "school": ("学校", "school"),
    "class": ("班级", "class"),
    "name": ("姓名", "name"),
    "student_number": ("学籍号",),
}
_MISSING = {
    "不知道": "dont_know",
    "不清楚": "dont_know",
    "拒答": "refused",
    "不愿回答": "refused",
    "不适用": "not_applicable",
}
_HEAD = """# Draft of a code book, made by `cobench inspect`. cobench refuses it until it is confirmed:
#   1. check every line marked "confirm" against the questionnaire as it was asked, then delete the mark;
#   2. put the options into the order of the questionnaire and write the value of each in place of "?";
#   3. say in [directions] whether the values of a list go up or down, or have no order. Nobody guesses this for you.
# 编码表草稿，由 `cobench inspect` 生成。核对之前 cobench 不会使用：
#   1. 逐条对照原问卷核对标有 confirm 的行，核对后删除标记；
#   2. 按问卷中的顺序排列选项，并将 "?" 改为该选项的取值；
#   3. 在 [directions] 中写明取值是升序（ascending）、降序（descending）还是无序（unordered）；程序不会代为猜测。
"""


def draft_codebook(found: Inspection, instrument: str = "") -> str:
    """TOML text of a draft; :func:`cobench.ingest.codebook.load_codebook` refuses it until it is confirmed.

    Raises
    ------
    UnreadableFileError
        When the file holds no questionnaire.
    """
    readings = [reading for reading in found.readings if reading.layout is not None]
    if not readings:
        raise UnreadableFileError(
            en=f"{found.label}: no questionnaire, so there is no code book to draft; "
            "name the platform (--platform table for a plain table)",
            zh=f"{found.label}：不是问卷，无法生成编码表；请指明平台（普通表格用 --platform table）",
        )
    reading = readings[0]
    identify, items = identifying(reading), []
    taken = set(identify.values())
    for question in reading.questions:
        if question.header not in taken and question.kind != "empty":
            items.append(question)
    lists = _option_lists(items)
    parts = [
        _HEAD,
        f"instrument = {_text(instrument or UNCONFIRMED)}  {MARK}: a short name",
        f'version = "1"  {MARK}',
        f'respondent = "{UNCONFIRMED}"  {MARK}: parent, student or teacher',
    ]
    given = ", ".join(f"{name} = {_text(value)}" for name, value in identify.items())
    parts += [f"identify = {{{given}}}  {MARK}"] if given else []
    ignored = [question.header for question in reading.questions if question.kind == "empty"]
    parts += [f"ignore = [{', '.join(map(_text, ignored))}]  {MARK}: empty in this file"] if ignored else []
    parts += _missing(items)
    for name, questions in lists.items():
        parts += _options(name, questions, reading)
    parts += ["", "[directions]"] if lists else []
    parts += [f'{name} = "{UNCONFIRMED}"  {MARK}: ascending, descending or unordered' for name in lists]
    for name, questions in lists.items():
        parts += _codes(name, questions)
    names = {id(question): name for name, questions in lists.items() for question in questions}
    for number, question in enumerate(items, 1):
        parts += _item(number, question, names.get(id(question)))
    return "\n".join(parts) + "\n"


def identifying(reading: Reading) -> dict[str, str]:
    found = {}
    for name, words in _IDENTIFY.items():
        fitting = [
            question
            for question in reading.questions
            if len(question.columns) == 1
            and len(question.header) <= 20
            and any(word in question.header.lower() for word in words)
            and matrix_of(question) == ""
        ]
        if len(fitting) == 1 and fitting[0].header not in found.values():
            found[name] = fitting[0].header
    times = [question.header for question in reading.questions if question.kind == "time"]
    return found | ({"submitted": times[0]} if len(times) == 1 and reading.layout.submitted is None else {})


def _option_lists(items: list[Question]) -> dict[str, list[Question]]:
    """Questions by option list: rows of one matrix share one, and so do questions with the same options."""
    groups: dict[object, list[Question]] = {}
    for question in items:
        if question.options:
            same = frozenset((option, code) for option, _, code in question.options)
            groups.setdefault((question.kind == "choice", matrix_of(question) or same), []).append(question)
    return {f"list{number}": questions for number, questions in enumerate(groups.values(), 1)}


def _options(name: str, questions: list[Question], reading: Reading) -> list[str]:
    counts: dict[str, int] = {}
    for question in questions:
        for option, n, _ in question.options:
            if clean_text(option) not in _MISSING:
                counts[option] = counts.get(option, 0) + n
    by_number = reading.layout.mode == "number" and reading.layout.positional
    numbered = by_number and all(option.isdecimal() for option in counts)
    if numbered:
        # Numbers are places, so an option that nobody chose still takes one.
        listed = {*map(int, counts), *range(1, min(max(map(int, counts)), MAX_OPTIONS))}
        counts = {str(number): counts.get(str(number), 0) for number in sorted(listed)}
    hint = "write the text of each option in place of its number" if numbered else "order and values"
    lines = ["", f"[options.{name}]  {MARK}: {hint}"]
    for option, n in counts.items():
        lines.append(f'{_text(option)} = "{UNCONFIRMED}"  # {n}')
    return lines


def _codes(name: str, questions: list[Question]) -> list[str]:
    codes = {code: option for question in questions for option, _, code in question.options if code}
    if not codes:
        return []
    return [
        "",
        f"[codes.{name}]  {MARK}",
        *(f"{_text(code)} = {_text(option)}" for code, option in codes.items()),
    ]


def _missing(items: list[Question]) -> list[str]:
    found = {label: _MISSING.get(clean_text(label)) for question in items for label in question.missing}
    for question in items:
        found |= {o: _MISSING[clean_text(o)] for o, _, _ in question.options if clean_text(o) in _MISSING}
    listed = ", ".join(f"{_text(label)} = {_text(reason or UNCONFIRMED)}" for label, reason in found.items())
    return [f"missing = {{{listed}}}  {MARK}"] if listed else []


def _item(number: int, question: Question, options: str | None) -> list[str]:
    kind = question.kind if options else "text"
    wording = question.label or question.header
    lines = ["", "[[items]]", f'id = "q{number:02d}"  {MARK}', f"header = {_text(question.header)}"]
    lines.append(f'kind = "{kind}"  {MARK}')
    lines += [f'options = "{options}"'] if options else []
    asked = number_of(question) if not question.label else ""
    label = wording.partition(asked)[2].lstrip("、.:") if asked else wording
    return [*lines, f'label = {{zh = {_text(label or wording)}, en = "{UNCONFIRMED}"}}  {MARK}']


def _text(value: str) -> str:
    """A TOML string."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
