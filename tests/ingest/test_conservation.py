"""Whatever a school types: every row of a file is accepted, put aside or recognised as no data, exactly once."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_study import EARLIER, KEY, LOG, PRIMARY, ROSTER, TERM, number, raw, write_csv, write_xlsx

from cobench import store
from cobench.errors import CobenchError
from cobench.ingest import batches
from cobench.ingest.context import Context
from cobench.ingest.identities import read_identities
from cobench.ingest.tidy_contacts import tidy_contacts
from cobench.ingest.tidy_events import tidy_attendance, tidy_events
from cobench.ingest.tidy_people import tidy_memberships, tidy_roster
from cobench.ingest.tidy_results import tidy_outcomes
from cobench.study import load_study

RUNS = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
ANYTHING = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8)
DATES = ["2025-10-09", "10月12日", "11.20", "2025-02-30", "2031-01-01", "", "3.1"]
NAMES = ["赵一", "赵一、钱二宝", "孙 三", "李四", "查无此人", "赵一 孙三", "无", "", "平均分"]
CLASSES = ["四(1)班", "401", "四年级1班", "四(7)班", "全校", ""]

LABELLED = ("家访方式", "类型", "性别", "住宿", "状态", "类别", "活动类型")
KINDS = {
    "contacts": (
        LOG,
        ["日期", "学生姓名", "班级", "家访方式", "类型", "时长", "录入时间"],
        [
            DATES,
            NAMES,
            CLASSES,
            ["入户", "电话", ""],
            ["常规", "重点", ""],
            ["半小时", "很久", ""],
            ["2025-10-09 20:15", ""],
        ],
    ),
    "students": (
        ROSTER,
        ["姓名", "学籍号", "性别", "出生年月", "班级", "住宿", "状态"],
        [
            NAMES,
            [*map(number, range(1, 9)), "3.7E+17", ""],
            ["男", ""],
            ["2015-03", "?"],
            CLASSES,
            ["是", ""],
            ["在读", "转出", ""],
        ],
    ),
    "memberships": (
        "重点学生名单.xlsx",
        ["学校代码", "姓名", "班级", "类别", "认定日期", "依据"],
        [["S01", "一小", "S77", ""], NAMES, CLASSES, ["留守", ""], DATES, ["摸排", "赵一家", ""]],
    ),
    "events": (
        f"{PRIMARY}/活动记录.xlsx",
        ["日期", "活动类型", "班级", "主题"],
        [DATES, ["家长讲座", "家长会", ""], CLASSES, ["亲子沟通", "阅读", ""]],
    ),
    "attendance": (
        f"{PRIMARY}/家长学校签到.xlsx",
        ["姓名", "孩子班级", "场次", "状态"],
        [NAMES, CLASSES, ["2025-10-20 亲子沟通", "10月20日 阅读", "亲子沟通", ""], ["已签到", "未到", ""]],
    ),
    "outcomes": (
        f"{PRIMARY}/成绩册.xlsx",
        ["姓名", "班级", "语文", "数学"],
        [NAMES, CLASSES, ["85", "９０", "缺考", "优", "1O3", ""], ["85", "优", "良", "免修", ""]],
    ),
}


@pytest.fixture(scope="module")
def ctx(ingested):
    """The later term of the small study, with its roster and what the other delivery holds."""
    study = load_study(ingested[0])
    schools = store.read_table(study, "schools", [TERM])
    roster = read_identities(study).astype("object")
    stored = {
        name: store.read_table(study, name, deliveries=[EARLIER])
        for name in ("contacts", "events", "attendance", "logs")
    }
    return Context(study, study.term(TERM), KEY, schools, roster.where(roster.notna(), None), stored)


def _tidy(table: str, batch: batches.Batch, ctx: Context):
    if table == "students":
        return tidy_roster(batch, ctx.term, ctx.persons, ctx.schools, ctx.school_codes)
    if table == "attendance":
        return tidy_attendance(batch, ctx, ctx.stored["events"])
    by_table = {
        "contacts": tidy_contacts,
        "memberships": tidy_memberships,
        "events": tidy_events,
        "outcomes": tidy_outcomes,
    }
    return by_table[table](batch, ctx)


@pytest.mark.parametrize("table", list(KINDS))
@RUNS
@given(data=st.data())
def test_rows_in_are_rows_accepted_put_aside_or_no_data(ctx, tmp_path_factory, table, data):
    name, header, pools = KINDS[table]
    cells = (
        # An unlisted label stops the ingest, so labels are drawn from the listed ones.
        st.sampled_from(pool) if column in LABELLED else st.one_of(st.sampled_from(pool), ANYTHING)
        for column, pool in zip(header, pools, strict=True)
    )
    line = st.tuples(*cells)
    rows = [list(row) for row in data.draw(st.lists(line, max_size=8))]
    path = raw(tmp_path_factory.getbasetemp() / table, name)
    write = write_csv if name.endswith(".csv") else lambda to, lines: write_xlsx(to, {"a": lines})
    try:
        write(path, [header, *rows])
    except ValueError:
        return  # openpyxl refuses some control characters
    source = next(each for each in ctx.study.sources if each.table == table)
    try:
        read = batches.read_file(batches.RawFile(path, name, source, ""), None)
        batch = batches.put_together(source, [read], {name: "S01"}, 100, None)
        assert batches.unknown_levels(batch) == []
        tidy = _tidy(table, batch, ctx)
    except CobenchError:
        return
    assert read.rows_in == len(batch.cells) + len(read.non_data)
    frames = [
        frame["rid"] for key, frame in tidy.tables.items() if key not in ("roster", "logs") and "rid" in frame
    ]
    accepted = set(pd.concat(frames)) if frames else set()
    put_aside, no_data = tidy.quarantined["rid"].tolist(), tidy.non_data["rid"].tolist()
    assert len(put_aside) == len(set(put_aside)) and len(no_data) == len(set(no_data))
    assert len(accepted) + len(put_aside) + len(no_data) == len(batch.cells)
    assert accepted | set(put_aside) | set(no_data) == set(batch.cells.index)
    assert set(tidy.cells["rid"]) <= accepted
