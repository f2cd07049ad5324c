"""金数据: questions first, the platform's own columns after them; ticked options in one cell with commas."""

from __future__ import annotations

from cobench.ingest.platforms.layout import Layout, column_of, field_of, header_cells, rows_with
from cobench.ingest.readers import Sheet
from cobench.ingest.text import header_key

LABEL = "金数据"
SUBMITTED = "提交时间"
SIGNATURE = (SUBMITTED,)
_TELLING = tuple(map(header_key, ("填写设备", "提交人", "修改时间", "填写ID", "浏览器", "操作系统")))
_OWN = {
    header_key(name)
    for name in (
        *(
            "序号",
            "编号",
            "提交人",
            SUBMITTED,
            "修改时间",
            "更新时间",
            "填写设备",
            "操作系统",
            "浏览器",
            "IP",
            "填写IP",
        ),
        *(
            "填写时长",
            "填写ID",
            "填写省市",
            "填写地区",
            "微信昵称",
            "微信头像",
            "微信OpenID",
            "微信性别",
            "微信地区",
        ),
        *("OpenID", "来源", "渠道", "扩展属性", "总分", "昵称"),
    )
}


def seen(sheet: Sheet) -> bool:
    """Whether the sheet has the time of submission and at least two more of the platform's columns."""
    row = rows_with(sheet, SIGNATURE)
    return row is not None and len(set(_TELLING) & set(header_cells(sheet, row))) >= 2


def modes(sheet: Sheet, file_name: str) -> tuple[str, ...]:
    """Always by text."""
    return ("text",)


def lay_out(sheet: Sheet, mode: str) -> Layout:
    """Questions by header."""
    row = rows_with(sheet, SIGNATURE)
    keys = header_cells(sheet, row)
    fields = tuple(field_of(index, key) for index, key in enumerate(keys) if key and key not in _OWN)
    return Layout(
        "jinshuju",
        mode,
        row,
        row,
        fields,
        submitted=column_of(keys, SUBMITTED),
        separators=(",", "、", ";", "\n"),
    )
