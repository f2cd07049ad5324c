"""Find the header rows of a sheet and give its columns their canonical names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from cobench.errors import MissingColumnError
from cobench.ingest.readers import MISSING, Sheet
from cobench.ingest.text import clean_text, header_key, map_unique

HEADER_DEPTH = 15
_FOOTER = re.compile(
    r"(?:平均|合计|总计|小计|总人数|人数|及格率|优秀率|最高分|最低分|制表|填表|填报|审核|备注|说明|统计(?!区间)|以上|负责人|签字|打印"
    r"|导出|数据来源|注[:：]|共\s*\d+|日期[:：])"
)
_BRACKETED = re.compile(r"\([^()]*\)$")
_NUMBERISH = re.compile(r"\d{5,}")
# What sheets are called, and what headers end in; anything else in these places may be somebody's name.
_SHEET_WORDS = re.compile(
    "(?:工作表|汇总|名册|学籍|名单|学生|重点|家访|记录|活动|家长|学校|签到|成绩|考勤|质量监测|问卷|数据|导出|说明|填表|答案|原始|"
    "学年|学期|年级|初中|小学|幼儿园|上册|下册|语文|数学|英语|讲座|会议|第|[一二三四五六七八九十]|[上下]|[初高小中大]|[年月日周]|"
    "[班级表页号]|[0-9]{1,4}|[Ss]heet|[Dd]ata|[Tt]able|[\\W_])*"
)
_HEADER_WORDS = re.compile(
    "^.$|^.{0,6}(?:姓名|名字|名称|学号|籍号|序号|编号|代码|班级|年级|学段|学校|日期|时间|性别|年月|类型|类别|方式|状态|成绩|语文|数学|英语|"
    "备注|内容|反馈|跟进|电话|职务|角色|住宿|场次|主题|依据|时长|次数|人数|教师|意见|说明|简称)$"
    "|^(?:学生|孩子|家长)$"
)


@dataclass(frozen=True)
class Wanted:
    """Columns to find: canonical name to header aliases, and which may be absent."""

    aliases: Mapping[str, tuple[str, ...]]
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Located:
    """One sheet with canonical columns.

    Attributes
    ----------
    cells : DataFrame
        ``sheet, row`` and one text column a canonical column (cleaned); data rows only.
    kinds : DataFrame
        Kind of each cell, the same rows and canonical columns.
    non_data : DataFrame
        ``sheet, row, rule`` of all other rows.
    headers : dict
        Header text of each canonical column found.
    how : str
    recodes : DataFrame
        Of questionnaires: what each answer became, counted; see :data:`cobench.ingest.questionnaires.RECODES`.
    """

    cells: pd.DataFrame
    kinds: pd.DataFrame
    non_data: pd.DataFrame
    headers: dict[str, str]
    how: str
    recodes: pd.DataFrame = field(default_factory=pd.DataFrame)


def locate(sheet: Sheet, wanted: Wanted, label: str) -> Located:
    """Find the header of ``sheet`` and split its rows.

    Raises
    ------
    MissingColumnError
        See :func:`find_columns`.
    """
    columns, first, last = find_columns(sheet, wanted, label)
    return split_rows(sheet, columns, first, last, tuple(wanted.aliases))


def find_columns(sheet: Sheet, wanted: Wanted, label: str) -> tuple[dict[str, int], int, int]:
    """Place of each canonical column and the first and last header row (two with merged cells), zero-based.

    Raises
    ------
    MissingColumnError
        Naming file, sheet, the column missing, the aliases tried and the headers found.
    """
    if (sheet.kind == MISSING).any():
        sheet = replace(sheet, text=np.where(sheet.kind == MISSING, "", sheet.text))
    keys = _keys(sheet)
    first, last, found = _find_header(keys, wanted)
    missing = [name for name in wanted.aliases if name not in found and name not in wanted.optional]
    if missing:
        raise _missing(sheet, wanted, missing, keys[last] if found else None, label)
    twice = [name for name, columns in found.items() if len(columns) > 1]
    if twice:
        raise _ambiguous(sheet, twice[0], found[twice[0]], wanted, label)
    return {name: places[0] for name, places in found.items()}, first, last


def column_letter(index: int) -> str:
    """Spreadsheet letter of a zero-based column."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def place(label: str, sheet: str) -> tuple[str, str]:
    """File and sheet as messages name them, in English and Chinese."""
    if not sheet:
        return label, label
    sheet = shown_sheet(sheet)
    return f"{label}, sheet {sheet}", f"{label} 工作表「{sheet}」"


def shown_sheet(name: str) -> str:
    """A sheet's name where it is made of words that sheets are called by; else "…": it may be called after a child."""
    plain = clean_text(name)
    return plain if _SHEET_WORDS.fullmatch(plain) and not _NUMBERISH.search(plain) else "…"


def is_notes(sheet: Sheet, wanted: Wanted) -> bool:
    """Whether a sheet holds no table: none of the headers wanted, and never more than two cells in a row."""
    if sheet.n_rows and int((sheet.text != "").sum(axis=1).max()) > 2:
        return False
    return not _find_header(_keys(sheet), wanted)[2]


def _keys(sheet: Sheet) -> np.ndarray:
    """Header keys of the first rows, merged cells filled; object array of shape (rows, columns)."""
    top = sheet.text[:HEADER_DEPTH].copy()
    for row, column, last_row, last_column in sheet.merged:
        if row < len(top):
            top[row : last_row + 1, column : last_column + 1] = top[row, column]
    return np.array([[header_key(cell) for cell in row] for row in top], dtype=object).reshape(top.shape)


def _find_header(keys: np.ndarray, wanted: Wanted) -> tuple[int, int, dict[str, list[int]]]:
    """First and last header row and the places of each canonical column; the best match, one row before two."""
    aliases = {name: [header_key(alias) for alias in listed] for name, listed in wanted.aliases.items()}
    best: tuple[int, int, dict[str, list[int]]] = (0, 0, {})
    for row in range(len(keys)):
        found = _match([(key,) for key in keys[row]], aliases)
        if len(found) > len(best[2]):
            best = (row, row, found)
    for row in range(len(keys) - 1):
        names = [
            (f"{upper}/{lower}", lower) if upper and lower and upper != lower else (lower or upper,)
            for upper, lower in zip(keys[row], keys[row + 1], strict=True)
        ]
        found = _match(names, aliases)
        if len(found) > len(best[2]):
            best = (row, row + 1, found)
    return best


def _match(names: list[tuple[str, ...]], aliases: dict[str, list[str]]) -> dict[str, list[int]]:
    found = {}
    for name, listed in aliases.items():
        for alias in listed:
            exact = [index for index, keys in enumerate(names) if alias in keys]
            loose = [index for index, keys in enumerate(names) if alias in map(_without_brackets, keys)]
            if exact or loose:
                found[name] = exact or loose
                break
    return found


def _without_brackets(key: str) -> str:
    return _BRACKETED.sub("", key)


def split_rows(
    sheet: Sheet, columns: dict[str, int], first: int, last: int, names: tuple[str, ...]
) -> Located:
    """Rows of ``sheet`` below header rows ``first`` to ``last`` (zero-based), those of no data apart.

    Parameters
    ----------
    columns : dict
        Place of each canonical column found; others of ``names`` come out blank.
    """
    filled = _filled_down(sheet, last)
    body = slice(last + 1, None)
    cells = pd.DataFrame(
        {name: _cleaned(filled[body, place]) for name, place in columns.items()}, dtype="object"
    )
    kinds = pd.DataFrame({name: sheet.kind[body, place] for name, place in columns.items()})
    for name in names:
        if name not in columns:
            cells[name], kinds[name] = "", np.uint8(0)
    rows = sheet.row_numbers[body]
    rule = _rule_of_rows(sheet, filled, columns, last)
    is_data = rule.isna().to_numpy()
    above = ["header" if index >= first else rule_above(sheet, index) for index in range(last + 1)]
    others = pd.DataFrame(
        {
            "row": [*sheet.row_numbers[: last + 1], *rows[~is_data]],
            "rule": [*above, *rule[~is_data]],
        }
    ).assign(sheet=sheet.name)
    absent = [name for name in names if name not in columns]
    how = how_located(sheet, first, last, absent)
    return Located(
        cells[is_data].assign(sheet=sheet.name, row=rows[is_data]).reset_index(drop=True),
        kinds[is_data].reset_index(drop=True),
        others[["sheet", "row", "rule"]],
        {name: shown_header(sheet, place, first, last) for name, place in columns.items()},
        how,
    )


def how_located(sheet: Sheet, first: int, last: int, absent: list[str]) -> str:
    """How a sheet was read, in words: its form, its header rows, and the columns it lacks."""
    numbers = f"{first + sheet.first_row}" + (f"-{last + sheet.first_row}" if last > first else "")
    return f"{sheet.how}, header row {numbers}" + (f", without {' '.join(absent)}" if absent else "")


def _filled_down(sheet: Sheet, last: int) -> np.ndarray:
    """Cells with vertically merged ones filled (a class written once beside its children)."""
    filled = sheet.text.copy()
    for row, column, last_row, last_column in sheet.merged:
        if row > last and column == last_column:
            filled[row : last_row + 1, column] = filled[row, column]
    return filled


def _rule_of_rows(sheet: Sheet, filled: np.ndarray, columns: dict[str, int], last: int) -> pd.Series:
    """Rule of each row below the header that is no data, missing for data rows."""
    body = filled[last + 1 :]
    present = sheet.text[last + 1 :] != ""
    rule = np.full(len(body), None, dtype=object)
    if body.size and not sheet.records:
        first_cell = body[np.arange(len(body)), (body != "").argmax(axis=1)]
        footer = map_unique(pd.Series(first_cell, dtype="object"), is_footer).to_numpy(dtype=bool)
        if "student_name" in columns:
            names = pd.Series(body[:, columns["student_name"]], dtype="object")
            footer |= map_unique(names, is_footer).to_numpy(dtype=bool)
        rule[footer] = "footer"
        places = list(columns.values())
        header = [header_key(cell) for cell in sheet.text[last, places]]
        maybe = np.flatnonzero(body[:, places[0]] == sheet.text[last, places[0]])
        for row in maybe:
            if any(header) and [header_key(cell) for cell in body[row, places]] == header:
                rule[row] = "repeated_header"
    rule[~present.any(axis=1)] = "blank"
    return pd.Series(rule, dtype="object")


def is_footer(text: str) -> bool:
    """Whether a cell begins a row of totals, notes or signatures."""
    return _FOOTER.match(re.sub(r"\s+", "", clean_text(text))) is not None


def rule_above(sheet: Sheet, row: int) -> str:
    """What a row above the header is."""
    return "title" if (sheet.text[row] != "").any() else "blank"


def _cleaned(column: np.ndarray) -> np.ndarray:
    return map_unique(pd.Series(column, dtype="object"), clean_text).to_numpy()


def shown_header(sheet: Sheet, column: int, first: int, last: int) -> str:
    """The header of a column as messages show it."""
    shown = [_without_brackets(clean_text(sheet.text[row, column])) for row in (last, first)]
    return next((text for text in shown if text), column_letter(column))


def _missing(
    sheet: Sheet, wanted: Wanted, missing: list[str], header: np.ndarray | None, label: str
) -> MissingColumnError:
    en, zh = place(label, sheet.name)
    tried = "; ".join(f"{name}: {' | '.join(wanted.aliases[name])}" for name in missing)
    if header is None:
        # Without a header the first rows may hold people, so nothing of them is repeated here.
        return MissingColumnError(
            en=f"{en}: no header row among the first {HEADER_DEPTH}; looked for {tried}; "
            "add the header, or the school's wording to columns in study.toml",
            zh=f"{zh}：前 {HEADER_DEPTH} 行中找不到表头；查找了 {tried}；请补上表头，或将该校的写法加入 study.toml 的 columns",
        )
    known = {header_key(alias) for aliases in wanted.aliases.values() for alias in aliases}
    found = [
        key if key in known or _HEADER_WORDS.search(key) and not _NUMBERISH.search(key) else "…"
        for key in map(_without_brackets, header)
        if key
    ]
    listed = ", ".join(found[:40])
    return MissingColumnError(
        en=f"{en}: missing column {tried}; headers found: {listed}; mend the header, or add the school's "
        "wording to columns in study.toml",
        zh=f"{zh}：缺少列 {tried}；现有表头：{listed}；请修正表头，或将该校的写法加入 study.toml 的 columns",
    )


def _ambiguous(sheet: Sheet, name: str, columns: list[int], wanted: Wanted, label: str) -> MissingColumnError:
    en, zh = place(label, sheet.name)
    letters = ", ".join(map(column_letter, columns))
    tried = " | ".join(wanted.aliases[name])
    return MissingColumnError(
        en=f"{en}: columns {letters} both fit {name} ({tried}); rename one, or write the two-row header "
        "as upper/lower in columns of study.toml",
        zh=f"{zh}：{letters} 列都符合 {name}（{tried}）；请改名其一，或在 study.toml 的 columns 中写成“上层/下层”",
    )
