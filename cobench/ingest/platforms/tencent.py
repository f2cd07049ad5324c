"""腾讯问卷: its own columns on times, place and user; a zip holds a csv and the SPSS syntax that labels it."""

from __future__ import annotations

from cobench.ingest.platforms.layout import (
    BLANK,
    SKIPPED,
    Layout,
    column_of,
    field_of,
    header_cells,
    rows_with,
)
from cobench.ingest.readers import Sheet
from cobench.ingest.text import header_key

LABEL = "腾讯问卷"
SIGNATURE = ("开始答题时间", "结束答题时间")
_OWN = {
    header_key(name)
    for name in (
        *("编号", "序号", *SIGNATURE, "答题时长", "语言", "清洗数据结果", "智能清洗数据无效概率", "地理位置"),
        *(
            "地理位置国家和地区",
            "地理位置国家",
            "地理位置省",
            "地理位置市",
            "用户类型",
            "用户标识",
            "昵称",
            "自定义字段",
        ),
        *(
            "来源",
            "渠道",
            "UA",
            "Referrer",
            "IP",
            "中文浏览器环境",
            "浏览器",
            "操作系统",
            "总分",
            "头像",
            "openid",
        ),
    )
}


def seen(sheet: Sheet) -> bool:
    """Whether the sheet has the platform's two times."""
    return rows_with(sheet, SIGNATURE) is not None


def modes(sheet: Sheet, file_name: str) -> tuple[str, ...]:
    """Always by text: labels of a zip's SPSS syntax have been put in, other files hold option texts."""
    return ("text",)


def lay_out(sheet: Sheet, mode: str) -> Layout:
    """Questions by header or, in a zip, by variable and label; the time is that of the end."""
    row = rows_with(sheet, SIGNATURE)
    keys = header_cells(sheet, row)
    fields = tuple(
        field_of(index, *sheet.names(row, index)) for index, key in enumerate(keys) if key and key not in _OWN
    )
    return Layout(
        "tencent",
        mode,
        row,
        row,
        fields,
        submitted=column_of(keys, "结束答题时间"),
        missing={"-3": SKIPPED, "-2": BLANK, "(跳过)": SKIPPED, "(空)": BLANK},
        separators=("┋", "\n", ";", ","),
    )
