"""问卷星: six leading columns of its own, then questions; options by text, or by number."""

from __future__ import annotations

import re

from cobench.ingest.platforms.layout import (
    BLANK,
    SKIPPED,
    Layout,
    field_of,
    header_cells,
    question_cells,
    question_number,
    rows_with,
)
from cobench.ingest.readers import Sheet
from cobench.ingest.text import clean_text, header_key

LABEL = "问卷星"
# What the platform puts before and after the questions. Only the time is read; the rest is never stored.
SUBMITTED = "提交答卷时间"
LEADING = ("序号", SUBMITTED, "所用时间", "来源", "来源详情", "来自IP")
OPTIONAL = (
    *(
        "总分",
        "昵称",
        "微信昵称",
        "openid",
        "用户ID",
        "自定义字段",
        "答题时长",
        "填写者",
        "状态",
        "性别(微信)",
    ),
    *(
        "姓名(微信)",
        "头像",
        "unionid",
        "省份",
        "城市",
        "标签",
        "备注",
        "评分",
        "作答时长",
        "IP",
        "开始答题时间",
    ),
)
SIGNATURE = ("序号", SUBMITTED)
_OWN = {header_key(name) for name in (*LEADING, *OPTIONAL)}
_IN_NAME = (("按文本", "text"), ("按选项文本", "text"), ("按序号", "number"), ("按选项序号", "number"))
_BY_SCORE = "按分数"
_TEXT_MARKS = re.compile(r"\((?:空|跳过)\)|〖跳过〗|\D+〖.*〗", re.DOTALL)
_NUMBER_MARKS = re.compile(r"-[23]|\d+〖.*〗", re.DOTALL)
_INTEGER = re.compile(r"-?\d+")


def seen(sheet: Sheet) -> bool:
    """Whether the sheet has the platform's leading columns."""
    return rows_with(sheet, SIGNATURE) is not None


def modes(sheet: Sheet, file_name: str) -> tuple[str, ...]:
    """Modes that fit: what the file name says, else what the cells show; several where they don't tell."""
    for part, mode in _IN_NAME:
        if part in file_name:
            return (mode,)
    if _BY_SCORE in file_name:
        return ()
    layout = lay_out(sheet, "text")
    distinct = {
        clean_text(cell) for cell in question_cells(sheet, layout.last, layout.fields).ravel().tolist()
    }
    distinct.discard("")
    by_text = any(_TEXT_MARKS.fullmatch(text) or re.search("[┋┦→]", text) for text in distinct)
    by_number = any(map(_NUMBER_MARKS.fullmatch, distinct))
    if by_text != by_number:
        return ("text",) if by_text else ("number",)
    return ("text", "number") if by_text or any(map(_INTEGER.fullmatch, distinct)) else ("text",)


def lay_out(sheet: Sheet, mode: str) -> Layout:
    """Questions and the time of submission; the platform's own columns are left out."""
    row = rows_with(sheet, SIGNATURE)
    keys = header_cells(sheet, row)
    own = {index for index, key in enumerate(keys) if not key or key in _OWN}
    # A question "备注" of the school's own carries a number and is no column of the platform.
    fields = tuple(
        field_of(index, key) for index, key in enumerate(keys) if index not in own or question_number(key)
    )
    missing = {"-3": SKIPPED, "-2": BLANK} if mode == "number" else {}
    return Layout(
        "wenjuanxing",
        mode,
        row,
        row,
        fields,
        submitted=keys.index(header_key(SUBMITTED)),
        missing={**missing, "(空)": BLANK, "(跳过)": SKIPPED, "〖跳过〗": SKIPPED},
        separators=("┋", "┦"),
        arrows=("→",),
        positional=True,
    )
