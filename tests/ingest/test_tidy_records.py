"""Registers of what was done and what is on file, read by what ``study.toml`` says of their columns."""

from __future__ import annotations

import pandas as pd
import pytest
from small_study import JUNIOR, KEY, PRIMARY, STUDY, TERM, lay_out, raw, write_csv, write_xlsx

from cobench import store
from cobench.delivered import read_deliveries
from cobench.ingest.ingest import ingest_term
from cobench.ingest.report import read_quarantine
from cobench.study import load_study

SOURCES = """
[[sources]]
table = "records"
files = "data/raw/{term}/*/协同台账*"
school = "folder"
expected = "none"
columns = {kind = "类别", class = "班级", grade = "年级", item = "项目", value = "数量", holds = "有无", date = "日期", due = "期限", done = "完成日期", level = "途径", teacher = "教师", student_name = "学生姓名"}
optional = ["grade", "due", "done", "level", "teacher", "student_name", "class"]
levels.kind = {"制度机构" = "flag", "家委会" = "committee", "家长意见" = "opinion", "一生一案" = "plan"}
levels.item = {"家长会制度" = "meeting_rule", "会长" = "head", "食堂" = "canteen"}
levels.holds = {"有" = true, "无" = false}
levels.level = {"意见箱" = "mailbox"}
[[sources]]
table = "records"
files = "data/raw/{term}/*/学生台账*.csv"
school = "folder"
expected = "none"
columns = {student_name = "姓名", class = "班级"}
levels.holds = {"√" = true, "×" = false}
measures = {"health_record" = "健康档案", "contact_card.month_9" = "9月联系卡", "growth.term_summary" = "学期小结"}
[[sources]]
table = "checkins"
files = "data/raw/{term}/阅读打卡*.csv"
columns = {school = "学校", student_name = "姓名", class = "班级", date = "日期", minutes = "分钟"}
expected = "none"
[[sources]]
table = "teaching"
files = "data/raw/{term}/任课表*.csv"
columns = {school = "学校", class = "班级", teacher = "教师", subject = "学科", role = "职务"}
levels.role = {"班主任" = "class_teacher", "科任" = "subject_teacher", "校领导" = "leader"}
levels.subject = {"数学" = "math"}
expected = "none"
"""
LEDGER = [
    "类别",
    "班级",
    "年级",
    "项目",
    "数量",
    "有无",
    "日期",
    "期限",
    "完成日期",
    "途径",
    "教师",
    "学生姓名",
]
BEFORE = "2024-2025-2"
TEACHER = "慕容燕燕"


@pytest.fixture
def folder(tmp_path):
    lay_out(tmp_path)
    (tmp_path / "study.toml").write_text(STUDY + SOURCES, encoding="utf-8")
    return tmp_path


def ledger(folder, rows, school=PRIMARY):
    lines = [["协同育人台账"], LEDGER, *([*row, *[""] * (len(LEDGER) - len(row))] for row in rows)]
    write_xlsx(raw(folder, f"{school}/协同台账.xlsx"), {"台账": lines})


def ingested(folder):
    study = load_study(folder)
    return study, ingest_term(study, TERM, key=KEY)


def test_a_ledger_gives_one_record_a_row_with_the_meaning_that_its_columns_declare(folder):
    ledger(
        folder,
        [
            ["制度机构", "", "", "家长会制度", "", "有"],
            ["家委会", "四(1)班", "", "会长", "1人", ""],
            ["家委会", "", "四年级", "会长", "2", ""],
            [
                "家长意见",
                "四(1)班",
                "",
                "食堂",
                "",
                "无",
                "2025-10-09",
                "",
                "2025/10/11",
                "意见箱",
                f"{TEACHER}老师",
            ],
            ["一生一案", "四(1)班", "", "", "", "有", "2025-09-20", "", "", "", f"{TEACHER}、王五", "钱二宝"],
        ],
    )
    study, result = ingested(folder)
    records = store.read_table(study, "records").sort_values("record").reset_index(drop=True)
    assert records["kind"].tolist() == ["flag", "committee", "committee", "opinion", "plan"]
    assert records["item"].tolist()[:4] == ["meeting_rule", "head", "head", "canteen"]
    assert records["holds"].tolist()[0] is True and records["holds"].tolist()[3] is False
    assert records["value"].tolist()[1:3] == [1.0, 2.0]
    assert records["grade"].tolist()[2] == 4 and records["class_id"].isna().tolist()[2]
    assert records["class_id"].tolist()[1] == "S01-2022-1" and set(records["school"]) == {"S01"}
    assert (records["done"][3] - records["date"][3]).days == 2 and records["level"][3] == "mailbox"
    # The first of two teachers, with or without a title, is one person; a name is never stored.
    assert records["teacher"][3] == records["teacher"][4] and records["teacher"][3].startswith("t_")
    roster = store.read_table(study, "students", terms=[TERM])
    assert records["student"][4] in set(roster["student"])
    assert records["record"].is_unique and set(records["term"]) == {TERM}


def test_a_wide_list_gives_a_record_for_each_cell_that_is_filled_in(folder):
    rows = [
        ["姓名", "班级", "健康档案", "9月联系卡", "学期小结"],
        ["赵一", "四(1)班", "√", "√", ""],
        ["钱二宝", "四(1)班", "×", "", "√"],
        ["孙三", "四(1)班", "", "", ""],
    ]
    write_csv(raw(folder, f"{PRIMARY}/学生台账.csv"), rows)
    study, result = ingested(folder)
    found = store.read_table(study, "records")
    counted = found.groupby(["kind", "holds"]).size().to_dict()
    assert counted == {
        ("contact_card", True): 1, ("growth", True): 1, ("health_record", False): 1, ("health_record", True): 1
    }  # fmt: skip
    card = found[found["kind"] == "contact_card"].iloc[0]
    assert card["date"] == pd.Timestamp("2025-09-30") and pd.isna(card["item"])
    assert found.loc[found["kind"] == "growth", "item"].tolist() == ["term_summary"]
    held = result.files.set_index("file").loc[f"data/raw/{TERM}/{PRIMARY}/学生台账.csv"]
    assert (held["accepted"], held["non_data"], held["rows_in"]) == (
        2,
        2,
        4,
    )  # a header, a row without entries


def test_bad_rows_are_put_aside_each_under_its_rule_with_a_hint_in_both_languages(folder):
    ledger(
        folder,
        [
            ["没有这一类", "", "", "家长会制度", "", "有"],
            ["制度机构", "", "", "没有这一项", "", "有"],
            ["家委会", "四(9)班", "", "会长", "1"],
            ["家委会", "四(1)班", "", "会长", "一个多"],
            ["家委会", "", "四年", "会长", "1"],
            ["家长意见", "四(1)班", "", "食堂", "", "", "2025-02-30"],
            ["家长意见", "四(1)班", "", "食堂", "", "", "2031-10-09"],
            ["一生一案", "四(1)班", "", "", "", "有", "2025-09-20", "", "", "", "", "查无此人"],
            ["", "", "", "会长", "1"],
        ],
    )
    study, result = ingested(folder)
    own = read_quarantine(study, TERM)
    own = own[own["file"].str.contains("协同台账")].sort_values("row")
    assert own["rule"].tolist() == [
        "unlisted_label", "unlisted_label", "unknown_class", "not_a_count", "unreadable_grade",
        "impossible_date", "date_outside_term", "unknown_student", "blank_required",
    ]  # fmt: skip
    assert (own["hint_zh"].str.len() > 3).all() and (own["hint_en"].str.len() > 3).all()
    assert store.read_table(study, "records").empty


def test_a_school_without_the_file_and_a_study_without_the_source_are_no_fault(folder):
    study, _ = ingested(folder)
    assert store.read_table(study, "records").empty and store.read_table(study, "checkins").empty


def test_check_ins_of_one_day_count_once_with_the_longer_time(folder):
    rows = [
        ["学校", "姓名", "班级", "日期", "分钟"],
        ["一小", "赵一", "四(1)班", "2025-10-01", "20"],
        ["一小", "赵一", "四(1)班", "2025-10-01", "25分钟"],
        ["一小", "赵一", "四(1)班", "2025-10-02", "30"],
    ]
    write_csv(raw(folder, "阅读打卡.csv"), rows)
    study, result = ingested(folder)
    found = store.read_table(study, "checkins").sort_values("date")
    assert found["minutes"].tolist() == [25.0, 30.0] and found["class_id"].tolist() == ["S01-2022-1"] * 2


def test_duties_keep_pseudonyms_of_teachers_and_the_same_line_twice_is_one(folder):
    rows = [
        ["学校", "班级", "教师", "学科", "职务"],
        ["一小", "四(1)班", TEACHER, "数学", "班主任"],
        ["一小", "四(1)班", TEACHER, "数学", "班主任"],
        ["一小", "", "司徒雁", "", "校领导"],
        ["初中", "初一(1)班", TEACHER, "数学", "科任"],
    ]
    write_csv(raw(folder, "任课表.csv"), rows)
    study, _ = ingested(folder)
    found = store.read_table(study, "teaching")
    assert len(found) == 3 and found["teacher"].nunique() == 3  # one name at two schools is two people
    assert set(found["role"]) == {"class_teacher", "leader", "subject_teacher"}
    for path in store.processed_dir(study).rglob("*.parquet"):
        assert TEACHER not in pd.read_parquet(path).to_csv()


def test_two_teachers_of_one_name_at_a_school_are_one_until_a_number_tells_them_apart(folder):
    head = ["学校", "班级", "教师", "学科", "职务"]
    for names, people in (((TEACHER, TEACHER), 1), ((f"{TEACHER}1", f"{TEACHER}2老师"), 2)):
        rows = [
            ["一小", "四(1)班", name, "", role] for name, role in zip(names, ("班主任", "科任"), strict=True)
        ]
        write_csv(raw(folder, "任课表.csv"), [head, *rows])
        study, _ = ingested(folder)
        assert store.read_table(study, "teaching")["teacher"].nunique() == people


def test_a_change_of_one_register_leaves_the_other_parts_as_they_stand(folder):
    ledger(folder, [["制度机构", "", "", "家长会制度", "", "有"]])
    study, _ = ingested(folder)
    before = {name: part.key for name, part in read_deliveries(study)[TERM].parts.items()}
    ledger(folder, [["制度机构", "", "", "家长会制度", "", "无"]], JUNIOR)
    ingested(folder)
    after = {name: part.key for name, part in read_deliveries(study)[TERM].parts.items()}
    assert {name for name in after if after[name] != before.get(name)} == {"records"}


NOTED = STUDY.replace(
    '录入时间"}',
    '录入时间", teacher = "教师", note = "家访内容", follow_up_due = "约定回访", follow_up_done = "回访完成", '
    'has_form = "登记表", has_photo = "照片"}',
).replace(
    'optional = ["minutes", "entered_at"]',
    'optional = ["minutes", "entered_at", "teacher", "note", "follow_up_due", "follow_up_done", "has_form", "has_photo"]\n'
    'levels.has_form = {"有" = true, "无" = false}\nlevels.has_photo = {"有" = true, "无" = false}',
)  # fmt: skip
NOTED_HEADER = [
    "日期",
    "学生姓名",
    "班级",
    "家访方式",
    "类型",
    "教师",
    "家访内容",
    "约定回访",
    "回访完成",
    "登记表",
    "照片",
]


def test_a_visit_keeps_who_what_is_on_file_and_what_was_agreed_but_not_its_words(folder):
    (folder / "study.toml").write_text(NOTED, encoding="utf-8")
    rows = [
        ["2025-10-09", "赵一", "四(1)班", "入户", "常规", TEACHER, "约定 每晚阅读半小时。", "2025-10-23", "2025-10-24", "有", "无"],
        ["2025-10-10", "孙三", "四(1)班", "入户", "常规", f"{TEACHER}老师", "约定每晚，阅读半小时", "两周后", "", "不清楚", ""],
        ["2025-10-11", "钱二宝", "四(1)班", "电话", "常规", "王五", "问候", "", "", "", ""],
    ]  # fmt: skip
    write_csv(raw(folder, f"{PRIMARY}/家访记录.csv"), [NOTED_HEADER, *rows])
    study, result = ingested(folder)
    found = store.read_table(study, "contacts", terms=[TERM]).sort_values("date").reset_index(drop=True)
    assert found["teacher"].nunique() == 2 and found["teacher"][0] == found["teacher"][1]
    assert found["note_key"][0] == found["note_key"][1] and pd.isna(found["note_key"][2])
    assert (found["follow_up_done"][0] - found["follow_up_due"][0]).days == 1
    assert found["has_form"][0] is True or found["has_form"][0] == True  # noqa: E712
    assert found[["has_form", "has_photo", "follow_up_due"]].iloc[1].isna().all()
    cells = read_quarantine(study, TERM).query("status == 'cell'")
    assert set(zip(cells["column"], cells["rule"], strict=True)) >= {
        ("约定回访", "unreadable_follow_up"), ("登记表", "unlisted_label")
    }  # fmt: skip
    for path in store.processed_dir(study).rglob("*.parquet"):
        text = pd.read_parquet(path).to_csv()
        assert "阅读半小时" not in text and TEACHER not in text


def test_events_have_their_grade_community_numbers_and_speaker(folder):
    text = STUDY.replace(
        'columns = {date = "日期", kind = "活动类型", class = "班级", topic = "主题"}',
        'columns = {date = "日期", kind = "活动类型", class = "班级", topic = "主题", grade = "年级", unit = "共同体", '
        'subject = "学科", speaker = "主讲", n_invited = "应到", n_present = "参加人数", has_minutes = "纪要"}\n'
        'optional = ["class", "grade", "unit", "subject", "speaker", "n_invited", "n_present", "has_minutes"]\n'
        'levels.subject = {"语文" = "chinese", "数学" = "math"}\nlevels.has_minutes = {"有" = true, "无" = false}',
    )
    (folder / "study.toml").write_text(text, encoding="utf-8")
    head = ["日期", "活动类型", "班级", "主题", "年级", "共同体", "学科", "主讲", "应到", "参加人数", "纪要"]
    rows = [
        ["2025-10-20", "家长讲座", "全校", "亲子沟通", "", "", "", TEACHER, 45, "40人", "有"],
        ["2025-10-21", "家长会", "", "期中", "四年级", "", "", "", "", "", "无"],
        ["2025-10-22", "家长讲座", "", "共读", "", "JGT01", "语文", "", "", "", ""],
        ["2025-10-22", "家长讲座", "", "共读", "", "JGT01", "数学", "", "", "许多", "或许"],
        ["2025-10-23", "家长讲座", "", "共读", "五年", "", "", "", "", "", ""],
    ]
    write_xlsx(raw(folder, f"{PRIMARY}/活动记录.xlsx"), {"活动": [head, *rows]})
    study, result = ingested(folder)
    found = (
        store.read_table(study, "events", terms=[TERM])
        .sort_values(["date", "subject"])
        .reset_index(drop=True)
    )
    assert found["event"].tolist()[:2] == ["S01-20251020-lecture-all", "S01-20251021-parent_meeting-g4"]
    assert (found["n_invited"][0], found["n_present"][0], found["has_minutes"][0]) == (45, 40, True)
    assert found["speaker"][0].startswith("p_") and found["grade"][1] == 4
    assert found["unit"].tolist()[2:] == ["JGT01"] * 2 and found["event"].is_unique and len(found) == 4
    aside = read_quarantine(study, TERM)
    own = aside[aside["file"].str.contains("活动记录")]
    assert set(own["rule"]) == {"unreadable_grade", "not_a_count", "unlisted_label"}


COMMUNITIES = """
[[sources]]
table = "communities"
files = "data/raw/{term}/教共体名单*"
columns = {unit = "编号", kind = "形式", school = "学校", role = "角色"}
levels.kind = {"结对学校" = "pair"}
levels.role = {"主体校" = "lead", "结对校" = "partner"}
[[sources]]
table = "postings"
files = "data/raw/{term}/交流教师*"
columns = {unit = "编号", teacher = "教师", from_school = "派出学校", kind = "形式", days = "天数"}
levels.kind = {"骨干支教" = "backbone"}
[[sources]]
table = "tasks"
files = "data/raw/{term}/教共体任务*"
columns = {unit = "编号", kind = "任务", planned = "计划数"}
levels.kind = {"同步课堂" = "sync_lesson"}
[[sources]]
table = "records"
files = "data/raw/{term}/教共体台账*"
columns = {unit = "编号", kind = "类别", holds = "有无"}
levels.kind = {"合作协议" = "agreement"}
levels.holds = {"有" = true}
[[sources]]
table = "events"
files = "data/raw/{term}/教共体活动*"
columns = {unit = "编号", date = "日期", kind = "活动"}
levels.kind = {"同步课堂" = "sync_lesson"}
"""
OF_UNITS = {
    "postings": (
        "交流教师",
        ["编号", "教师", "派出学校", "形式", "天数"],
        [TEACHER, "一小", "骨干支教", "30"],
    ),
    "tasks": ("教共体任务", ["编号", "任务", "计划数"], ["同步课堂", "10"]),
    "records": ("教共体台账", ["编号", "类别", "有无"], ["合作协议", "有"]),
    "events": ("教共体活动", ["编号", "日期", "活动"], ["2025-10-09", "同步课堂"]),
}


def paired(folder, *units, term=TERM):
    rows = [
        [unit, "结对学校", school, role]
        for unit in units
        for school, role in (("一小", "主体校"), ("初中", "结对校"))
    ]
    path = raw(folder, "教共体名单.csv").parents[1] / term / "教共体名单.csv"
    write_csv(path, [["编号", "形式", "学校", "角色"], *rows])


@pytest.fixture
def communities(folder):
    (folder / "study.toml").write_text(STUDY + SOURCES + COMMUNITIES, encoding="utf-8")
    paired(folder, "JGT01")
    for name, head, row in OF_UNITS.values():
        write_csv(raw(folder, f"{name}.csv"), [head, ["JGT01", *row], ["JGT07", *row]])
    return folder


@pytest.mark.parametrize("table", OF_UNITS)
def test_a_row_of_a_community_that_is_on_no_list_is_put_aside_and_counted(communities, table):
    study, result = ingested(communities)
    kept = store.read_table(study, table, terms=[TERM])
    assert kept.loc[kept["unit"].notna(), "unit"].tolist() == ["JGT01"]
    name = OF_UNITS[table][0]
    counted = result.files.set_index("file").loc[f"data/raw/{TERM}/{name}.csv"]
    assert counted[["rows_in", "accepted", "quarantined", "non_data"]].tolist() == [3, 1, 1, 1]
    aside = read_quarantine(study, TERM)
    own = aside[aside["file"].str.contains(name)]
    assert own[["row", "column", "rule"]].values.tolist() == [[3, "编号", "unknown_unit"]]
    assert "教共体名单" in own["hint_zh"].iloc[0] and "list" in own["hint_en"].iloc[0]


def test_rows_of_a_community_come_back_when_the_list_is_mended(communities):
    ingested(communities)
    paired(communities, "JGT01", "JGT07")
    study, _ = ingested(communities)
    for table in OF_UNITS:
        found = store.read_table(study, table, terms=[TERM])
        assert set(found["unit"].dropna()) == {"JGT01", "JGT07"}, table
    assert "unknown_unit" not in set(read_quarantine(study, TERM)["rule"])


def test_without_the_list_every_row_of_a_community_waits_for_it(communities):
    raw(communities, "教共体名单.csv").unlink()
    study, _ = ingested(communities)
    aside = read_quarantine(study, TERM)
    assert (aside["rule"] == "unknown_unit").sum() == 2 * len(OF_UNITS)


def test_a_community_of_an_earlier_list_is_known(communities):
    (communities / "data" / "raw" / BEFORE).mkdir(parents=True, exist_ok=True)
    paired(communities, "JGT07", term=BEFORE)
    schools = raw(communities, "学校名录.csv").read_bytes()
    (communities / "data" / "raw" / BEFORE / "学校名录.csv").write_bytes(schools)
    study = load_study(communities)
    ingest_term(study, BEFORE, key=KEY)
    ingested(communities)
    assert "unknown_unit" not in set(read_quarantine(study, TERM)["rule"])


def test_a_study_that_declares_no_list_of_communities_takes_their_rows_as_they_are(communities):
    text = STUDY + SOURCES + "[[sources]]" + COMMUNITIES.split("[[sources]]", 2)[2]
    (communities / "study.toml").write_text(text, encoding="utf-8")
    study, _ = ingested(communities)
    assert set(store.read_table(study, "tasks")["unit"]) == {"JGT01", "JGT07"}
