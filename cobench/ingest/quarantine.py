"""What happens to every row: accepted, quarantined under a rule, or recognised as no data. Counted, asserted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from cobench.declared import Text
from cobench.errors import ConservationError
from cobench.ingest.columns import factor, is_one_of

FAULT = ["rid", "column", "rule"]
QUARANTINE = [
    "term", "school", "file", "sheet", "row", "status", "column", "rule", "hint_zh", "hint_en", "values",
]  # fmt: skip
LISTED = ["school", "file", "status", "column", "rule", "n", "rows", "hint_zh", "hint_en"]
CONSENT_WITHDRAWN = "consent_withdrawn"

# Rows put aside until the school has mended them; the text is the hint that goes back to the school.
QUARANTINE_RULES: dict[str, Text] = {
    "blank_required": Text("必填单元格为空，请补填", "a required cell is blank; fill it in"),
    "impossible_date": Text("日期不存在（如2月30日），请改正", "no such day (like 30 February); correct it"),
    "unreadable_date": Text("日期无法识别，请写成 2026-03-15", "the date can't be read; write 2026-03-15"),
    "ambiguous_date": Text(
        "日期可能有两种解释，请写全年月日", "the date may mean two days; write year, month and day"
    ),
    "date_outside_term": Text(
        "日期不在本学期内，请核对年份，或随相应学期报送",
        "the date lies outside the term; check the year, or send the row with its own term",
    ),
    "unknown_school": Text(
        "学校不在学校名录中，请核对", "the school is not in the list of schools; check it"
    ),
    "unknown_unit": Text(
        "教共体名单中没有这个编号，请核对编号，或先补报教共体名单",
        "the list of school communities has no such code; check it, or send the list first",
    ),
    "unreadable_class": Text("班级写法无法识别，请写成 三(2)班", "the class can't be read; write 三(2)班"),
    "unknown_class": Text("名册中没有这个班级，请核对", "the roster has no such class; check it"),
    "destroyed_number": Text(
        "学籍号被表格软件当作数字，末几位已丢失；请设为文本格式后重新录入",
        "the student number was held as a number and has lost its last digits; enter it again as text",
    ),
    "malformed_number": Text(
        "学籍号应为 G、J 或 L 加18位，请核对", "a student number is G, J or L and 18 characters; check it"
    ),
    "wrong_checksum": Text(
        "学籍号校验码不符，请核对", "the student number's check character doesn't fit; check it"
    ),
    "not_a_number": Text(
        "应填数字，或 缺考、免修、缓考", "write a number, or 缺考, 免修, 缓考 (absent, exempt, deferred)"
    ),
    "not_a_level": Text(
        "该年级应填等级（如优良中差），请核对", "this grade is given in levels (优良中差); check it"
    ),
    "unknown_student": Text(
        "该班名册中没有这名学生，请核对姓名和班级", "the class roster has no such child; check name and class"
    ),
    "ambiguous_student": Text(
        "该班有同名学生，请加填学籍号", "two children of the class share this name; add the student number"
    ),
    "student_in_quarantine": Text(
        "该生在名册中的记录尚待更正，更正后本行自动恢复",
        "this child's roster row is in quarantine; once it is mended this row comes back",
    ),
    "contradicting_rows": Text(
        "同一名学生有相互矛盾的两行，请保留正确的一行",
        "two rows of one child contradict each other; keep the right one",
    ),
    "unlisted_label": Text(
        "类别或选项不在清单中，请按模板中的选项填写（或由数据员在 study.toml 中补充）",
        "a kind or option that isn't listed; use one of the template's (or the clerk adds it to study.toml)",
    ),
    "not_a_count": Text("应填数字，如 12", "write a number, like 12"),
    "not_a_code": Text(
        "编号应为字母开头的短代码，如 JGT01", "a code begins with a letter and is short, like JGT01"
    ),
    "unreadable_grade": Text("年级写法无法识别，请写成 三年级", "the grade can't be read; write 三年级"),
    "unlisted_event": Text(
        "场次无法识别，请写成 2026-03-20 主题", "the event can't be read; write 2026-03-20 topic"
    ),
}

# Rows that hold no data of their own, by design.
NON_DATA_RULES: dict[str, Text] = {
    "title": Text("标题行", "title"),
    "header": Text("表头", "header"),
    "repeated_header": Text("重复的表头", "repeated header"),
    "blank": Text("空行", "blank row"),
    "footer": Text("合计、平均分、制表人等", "totals, averages, signatures"),
    "nil_return": Text("零报告（无）", "nil return"),
    "duplicate": Text("与已有记录相同的行", "row that repeats a record already held"),
    "no_entry": Text("没有填写任何内容的行", "row in which nothing is entered"),
    "identical_file": Text("内容相同的重复文件", "file sent twice with the same content"),
    "superseded": Text("已被另一份报送文件替代", "file sent again; another one was chosen"),
    "hidden_sheet": Text("隐藏的工作表", "hidden sheet"),
    "notes_sheet": Text("说明页", "sheet of notes"),
    "test_entry": Text("平台的预览或测试答卷", "preview or test entry of the platform"),
    "repeat_group": Text("重复组的工作表，未读取", "sheet of a repeat group, not read"),
    CONSENT_WITHDRAWN: Text("监护人已撤回同意，不再读入", "consent was withdrawn; left out"),
    "filtered": Text("按研究的筛选条件不纳入", "left out by the study's filter"),
}

# Cells of an accepted row that could not be read and are missing in the tables.
CELL_RULES: dict[str, Text] = {
    "unreadable_minutes": Text("时长无法识别，请写成 40分钟", "the duration can't be read; write 40分钟"),
    "unreadable_time": Text(
        "录入时间无法识别，请写成 2026-03-15 20:30", "the time can't be read; write 2026-03-15 20:30"
    ),
    "unreadable_month": Text(
        "出生年月无法识别，请写成 2014-03", "the month of birth can't be read; write 2014-03"
    ),
    "impossible_time": Text("录入时间不存在，请改正", "no such time; correct it"),
    "unlinked": Text(
        "答卷未能对应到名册中的学生", "the questionnaire can't be linked to a child of the roster"
    ),
    "unreadable_follow_up": Text(
        "回访日期无法识别，请写成 2026-03-15", "the date of the follow-up can't be read; write 2026-03-15"
    ),
    "redacted": Text("文字中含姓名或号码，已隐去", "the text held a name or number, which was taken out"),
}


def hint(rule: str) -> Text:
    """What to do about a rule, in both languages."""
    for rules in (QUARANTINE_RULES, CELL_RULES, NON_DATA_RULES):
        if rule in rules:
            return rules[rule]
    raise KeyError(rule)


@dataclass(frozen=True)
class Conservation:
    """Rows of one file: every one read is accepted, quarantined or recognised as no data."""

    file: str
    rows_in: int
    accepted: int
    quarantined: int
    non_data: int

    def check(self) -> Conservation:
        """Return itself.

        Raises
        ------
        ConservationError
            When the three don't add up to the rows read.
        """
        if self.accepted + self.quarantined + self.non_data != self.rows_in:
            parts = f"{self.accepted} + {self.quarantined} + {self.non_data} != {self.rows_in}"
            raise ConservationError(
                en=f"{self.file}: accepted + quarantined + non-data is not the rows read ({parts}); "
                "nothing was stored; please report this file's layout",
                zh=f"{self.file}：采用 + 搁置 + 非数据 与读入行数不符（{parts}）；未写入任何内容；请反馈该文件的版式",
            )
        return self


def faults(rows: Iterable[tuple[int, str, str]] = ()) -> pd.DataFrame:
    """A frame of faults: ``rid`` (row), ``column`` (canonical) and ``rule``."""
    return pd.DataFrame(list(rows), columns=FAULT).astype({"rid": "int64", "column": "str", "rule": "str"})


def first_faults(index: pd.Index, checks: Iterable[tuple[str, pd.Series]]) -> pd.DataFrame:
    """The first fault of each row; ``checks`` are (column, rule of each row or missing) in order.

    A row of a withdrawn child has no other fault: what else is wrong with it is nobody's business any more.
    """
    column = np.full(len(index), None, dtype=object)
    rule = np.full(len(index), None, dtype=object)
    open_rows = np.ones(len(index), dtype=bool)
    for name, rules in checks:
        codes, distinct = factor(rules if rules.index.equals(index) else rules.reindex(index))
        new = np.flatnonzero(open_rows & (codes >= 0))
        column[new], rule[new], open_rows[new] = name, distinct[codes[new]], False
        gone = np.flatnonzero(
            is_one_of(rules if rules.index.equals(index) else rules.reindex(index), [CONSENT_WITHDRAWN])
        )
        column[gone], rule[gone] = name, CONSENT_WITHDRAWN
    broken = ~open_rows
    return faults(zip(index[broken], column[broken], rule[broken], strict=True))


def set_aside(
    children: pd.DataFrame, broken: pd.DataFrame, table: str, term: pd.Series, measures: Iterable[str] = ("",)
) -> pd.DataFrame:
    """Table ``set_aside``: children who are known to stand in a quarantined row, so that they don't count as zero.

    Parameters
    ----------
    children : DataFrame
        ``rid, student``; rows without a child are left out.
    term : Series
        Term of each row, indexed by rid.
    measures : what the row would have given.
    """
    rule = broken.drop_duplicates("rid").set_index("rid")["rule"]
    held = children[children["rid"].isin(rule.index) & children["student"].notna()].astype(
        {"student": "object"}
    )
    about = held[["rid", "student"]].assign(
        rule=rule.reindex(held["rid"]).to_numpy(),
        term=term.astype("object").reindex(held["rid"]).to_numpy(),
        table=table,
    )
    parts = [about.assign(measure=measure) for measure in measures]
    columns = ["student", "term", "table", "measure", "rule"]
    return pd.concat(parts, ignore_index=True)[columns].drop_duplicates().reset_index(drop=True)


@dataclass(frozen=True)
class Tidy:
    """What became of the rows of one source.

    Attributes
    ----------
    tables : dict of DataFrame
        Canonical rows, each with ``rid``, the row of the file that it comes from.
    quarantined : DataFrame
        Columns ``rid, column, rule``, one a row.
    non_data : DataFrame
        Columns ``rid, column, rule``, one a row.
    cells : DataFrame
        Columns ``rid, column, rule``: cells of accepted rows that are missing in the tables.
    links : DataFrame
        How rows were linked to children; see :func:`cobench.ingest.linkage.match_report`.
    traits : DataFrame
        How linked rows compare with others; see :func:`cobench.ingest.linkage.match_traits`.
    """

    tables: dict[str, pd.DataFrame]
    quarantined: pd.DataFrame = field(default_factory=faults)
    non_data: pd.DataFrame = field(default_factory=faults)
    cells: pd.DataFrame = field(default_factory=faults)
    links: pd.DataFrame = field(default_factory=pd.DataFrame)
    traits: pd.DataFrame = field(default_factory=pd.DataFrame)


def settled(tidy: Tidy) -> Tidy:
    """Rows of withdrawn children as rows of no data: they are put aside nowhere."""
    gone = tidy.quarantined["rule"] == CONSENT_WITHDRAWN
    if not gone.any():
        return tidy
    return replace(
        tidy,
        quarantined=tidy.quarantined[~gone].reset_index(drop=True),
        non_data=pd.concat([tidy.non_data, tidy.quarantined[gone]], ignore_index=True),
    )


# ---- what has been put aside --------------------------------------------------------------------------


def listed(frame: pd.DataFrame, school: str | None = None, rule: str | None = None) -> pd.DataFrame:
    """What is put aside by file and rule, most rows first; columns :data:`LISTED`, no values."""
    own = frame[(frame["school"] == school) | (school is None)]
    own = own[(own["rule"] == rule) | (rule is None)].sort_values("row", kind="stable")
    keys = [name for name in LISTED if name not in ("n", "rows")]
    counted = own.groupby(keys, sort=True)["row"].agg(n="size", rows=row_ranges).reset_index()
    return counted.sort_values(["n", "file"], ascending=[False, True], kind="stable").reset_index(drop=True)[
        LISTED
    ]


def row_ranges(rows: Iterable[int], most: int = 6) -> str:
    """Row numbers as ``3, 8-12``, the first ones where there are many."""
    spans: list[list[int]] = []
    for row in sorted(set(map(int, rows))):
        if spans and row == spans[-1][1] + 1:
            spans[-1][1] = row
        else:
            spans.append([row, row])
    shown = [f"{first}" if first == last else f"{first}-{last}" for first, last in spans[:most]]
    return ", ".join([*shown, *(["…"] if len(spans) > most else [])])
