"""Ledgers and registers as schools and the district send them: long lists as csv, a school's own ledger as a workbook."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from cobench.demo import communities, habits, words
from cobench.demo.calendar import TERMS
from cobench.demo.district import District
from cobench.demo.sheets import RawFile, Sheet, sheet
from cobench.demo.world import TermRecord, World
from cobench.demo.written import days, given, numbers, texts, words_of

_TICKS = {True: "有", False: "无"}
_MARKS = {True: "√", False: "×"}
_PUPIL_COLUMNS = {
    "health_record": "健康档案",
    "study_plan.study": "学习计划",
    "study_plan.behaviour": "行为规范",
    "study_plan.morals": "道德教育计划",
    "awareness": "家长知晓计划",
    "growth.term_summary": "成长记录学期小结",
    "contact_card": "月联系卡",
    "growth.monthly_note": "月成长记录",
}
_ENCODING = "gb18030"


def school_ledger(world: World, term: int, school: int, place: str) -> RawFile:
    """The ledger that a school keeps."""
    when = TERMS[term].id
    made = _ledger(world.records[term], term, school)
    return RawFile(f"{when}/{place}/家校协同台账.xlsx", when, (made,))


def district_ledgers(world: World, term: int) -> Iterator[RawFile]:
    """What the district collects in one file each."""
    record, when = world.records[term], TERMS[term].id
    made = {
        "班级台账汇总": _class_register(record, term),
        "学生台账汇总": _pupils(record, term),
        "一生一案汇总": _plans(record, term),
        "护学岗签到": _guards(record),
        "亲子共读打卡": _reading(record, term),
        "任课表": _teaching(record, term),
        "教共体名单": _units(record),
        "教共体交流教师": _postings(record),
        "教共体任务": _tasks(record),
        "教共体师徒结对": _mentors(record),
        "教共体台账": _unit_records(record),
        "教共体活动": _unit_events(record),
    }
    for name, each in made.items():
        if len(each.body):
            yield RawFile(f"{when}/{name}.csv", when, (each,), _ENCODING)


def _ledger(record: TermRecord, term: int, school: int) -> Sheet:
    district, rows = record.district, record.ledgers.school
    own = rows[rows["school_index"] == school]
    body = pd.DataFrame(
        {
            "类别": words_of(own["kind"], words.RECORDS),
            "层级": words_of(own["level"], words.LEVELS),
            "年级": words_of(own["grade"], words.GRADES),
            "班级": _classes(district, term, own["class_index"], habits.roster_habit(school)),
            "项目": words_of(own["item"], words.ITEMS),
            "数量": numbers(own["value"]),
            "有无": words_of(own["holds"], _TICKS),
            "日期": days(own["date"]),
            "办结日期": days(own["done"]),
            "教师": texts(own["teacher"]),
        }
    )
    title = f"{district.schools['name'].iloc[school]}家校协同育人台账"
    return sheet("台账", body, title=title)


def _class_register(record: TermRecord, term: int) -> Sheet:
    own = record.events[record.events["register"] == "class"]
    columns = {
        "学校": _schools(record.district, own["school_index"]),
        "班级": _classes(record.district, term, own["class_index"], 1),
        "日期": days(own["date"]),
        "类别": words_of(own["kind"], words.CLASS_EVENTS),
    }
    return sheet("", pd.DataFrame(columns))


def _pupils(record: TermRecord, term: int) -> Sheet:
    rows = record.ledgers.pupils
    columns = _children(record, term, rows["person"].to_numpy())
    for name in rows.columns.drop("person"):
        base, _, month = name.partition(".month_")
        columns[f"{month}{_PUPIL_COLUMNS[base]}"] = words_of(rows[name], _MARKS)
    return sheet("", pd.DataFrame(columns))


def _plans(record: TermRecord, term: int) -> Sheet:
    from cobench.demo.raw_district import CATEGORY_WORDS

    rows = record.ledgers.plans
    columns = {
        **_children(record, term, rows["person"].to_numpy()),
        "类别": words_of(rows["level"], CATEGORY_WORDS),
        "建档日期": days(rows["date"]),
        "一人一方案": words_of(rows["plan"], _TICKS),
        "家访档案": words_of(rows["archive"], _TICKS),
    }
    return sheet("", pd.DataFrame(columns))


def _guards(record: TermRecord) -> Sheet:
    rows = record.ledgers.guards
    columns = {
        "学校": _schools(record.district, rows["school_index"]),
        "日期": days(rows["date"]),
        "上学在岗家长": rows["arrival"].to_numpy(),
        "放学在岗家长": rows["departure"].to_numpy(),
    }
    return sheet("", pd.DataFrame(columns))


def _reading(record: TermRecord, term: int) -> Sheet:
    rows = record.ledgers.reading
    columns = {
        **_children(record, term, rows["person"].to_numpy()),
        "打卡日期": days(rows["date"]),
        "阅读分钟": rows["minutes"].astype(int).to_numpy(),
    }
    return sheet("", pd.DataFrame(columns))


def _teaching(record: TermRecord, term: int) -> Sheet:
    rows, when = record.ledgers.teaching, TERMS[term]
    columns = {
        "学校": _schools(record.district, rows["school_index"]),
        "班级": _classes(record.district, term, rows["class_index"], 0),
        "教师": rows["teacher"].to_numpy(),
        "学科": words_of(rows["subject"], words.SUBJECTS),
        "职务": words_of(rows["role"], words.DUTIES),
        "起": str(when.start),
        "止": str(when.end),
    }
    return sheet("", pd.DataFrame(columns))


def _units(record: TermRecord) -> Sheet:
    from cobench.demo.raw_district import STAGE_WORDS

    rows = communities.units(record.district)
    stages = record.district.schools["stage"].iloc[rows["school_index"]]
    columns = {
        "编号": rows["unit"],
        "形式": words_of(rows["kind"], words.COMMUNITIES),
        "学校": _schools(record.district, rows["school_index"]),
        "角色": words_of(rows["role"], words.ROLES),
        "学段": words_of(stages, STAGE_WORDS),
        "协议起": rows["valid_from"].astype("str"),
        "协议止": rows["valid_to"].astype("str"),
    }
    return sheet("", pd.DataFrame(columns))


def _postings(record: TermRecord) -> Sheet:
    rows = record.ledgers.postings
    columns = {
        "编号": rows["unit"],
        "教师": rows["teacher"],
        "派出学校": _schools(record.district, rows["from_school"]),
        "接收学校": _schools(record.district, rows["to_school"]),
        "形式": words_of(rows["kind"], words.POSTINGS),
        "起": rows["valid_from"].astype("str"),
        "止": rows["valid_to"].astype("str"),
        "送教天数": numbers(rows["days"]),
        "课时": numbers(rows["hours"]),
        "现场活动次数": numbers(rows["n_events"]),
        "考核合格": words_of(rows["passed"], {True: "是", False: "否"}),
    }
    return sheet("", pd.DataFrame(columns))


def _tasks(record: TermRecord) -> Sheet:
    rows = record.ledgers.tasks
    columns = {
        "任务编号": rows["task"],
        "编号": rows["unit"],
        "任务": words_of(rows["kind"], words.UNIT_EVENTS),
        "学科": words_of(rows["subject"], words.SUBJECTS),
        "计划数": numbers(rows["planned"]),
        "完成数": numbers(rows["done"]),
        "完成期限": days(rows["due"]),
        "完成日期": days(rows["done_on"]),
    }
    return sheet("", pd.DataFrame(columns))


def _mentors(record: TermRecord) -> Sheet:
    rows = record.ledgers.mentors
    columns = {
        "编号": rows["unit"],
        "结对编号": rows["item"],
        "师傅学校": _schools(record.district, rows["school_index"]),
        "师傅": rows["teacher"],
    }
    return sheet("", pd.DataFrame(columns))


def _unit_records(record: TermRecord) -> Sheet:
    rows = record.ledgers.units
    columns = {
        "编号": given(rows, "unit"),
        "学校": _schools(record.district, rows["school_index"]),
        "类别": words_of(rows["kind"], words.RECORDS),
        "项目": words_of(given(rows, "item"), words.ITEMS),
        "方面": words_of(given(rows, "subject"), words.EVIDENCE_SUBJECTS),
        "数值": numbers(given(rows, "value")),
        "有无": words_of(given(rows, "holds"), _TICKS),
        "日期": days(given(rows, "date")),
        "期限": days(given(rows, "due")),
        "完成日期": days(given(rows, "done")),
    }
    return sheet("", pd.DataFrame(columns))


def _unit_events(record: TermRecord) -> Sheet:
    rows = record.events[record.events["register"] == "unit"]
    columns = {
        "编号": rows["unit"],
        "学校": _schools(record.district, rows["school_index"]),
        "日期": days(rows["date"]),
        "活动类型": words_of(rows["kind"], words.UNIT_EVENTS),
        "主题": texts(rows["topic"]),
        "学科": words_of(rows["subject"], words.EVENT_SUBJECTS),
        "参加人数": numbers(rows["n_present"]),
    }
    return sheet("", pd.DataFrame(columns))


# ---- cells ---------------------------------------------------------------------------------------------


def _children(record: TermRecord, term: int, person: np.ndarray) -> dict[str, np.ndarray]:
    district = record.district
    return {
        "学校": _schools(district, pd.Series(district.school_of(term)[person])),
        "姓名": district.names[person],
        "班级": _classes(district, term, district.class_of[term][person], 0),
    }


def _classes(district: District, term: int, places, habit: int) -> np.ndarray:
    named = np.append(habits.class_texts(district, TERMS[term].school_year, habit), "")
    return named[pd.Series(places).astype("Float64").fillna(-1).to_numpy(dtype=int)]


def _schools(district: District, places: pd.Series) -> np.ndarray:
    names = np.append(district.schools["name"].to_numpy(dtype=object), None)
    return names[pd.Series(places).astype("Float64").fillna(-1).to_numpy(dtype=int)]
