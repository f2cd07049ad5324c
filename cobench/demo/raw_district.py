"""Files of the whole district: schools, key students, the two questionnaires and the common test."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from cobench.demo import habits
from cobench.demo.calendar import TERMS, stream
from cobench.demo.codebook import codebook
from cobench.demo.district import CATEGORIES
from cobench.demo.raw_school import link_rule
from cobench.demo.sheets import RawFile, Sheet, sheet
from cobench.demo.surveys import RAW_MISSING, Survey
from cobench.demo.world import EVIDENCE, TermRecord, World

STAGE_WORDS = {"kindergarten": "幼儿园", "primary": "小学", "junior": "初中"}
CATEGORY_WORDS = {
    "left_behind": "留守",
    "poverty": "家庭经济困难",
    "single_parent": "单亲或监护缺失",
    "learning": "学习困难",
    "mental": "心理或行为异常",
}
_SURVEYS = {
    "parents_v1": ("家长问卷", 3100100, ("1、学校", "2、孩子班级", "3、孩子姓名")),
    "students_v1": ("学生问卷", 3100200, ("1、学校", "2、班级", "3、姓名")),
}
_REMARKS = (
    "",
    "谢谢老师",
    "希望多开展亲子活动",
    "作业可以再少一点",
    "没有",
    "老师很负责",
    "希望及时反馈孩子情况",
)


def district_files(world: World, term: int) -> Iterator[RawFile]:
    """Every file of the district in one term."""
    record, when = world.records[term], TERMS[term].id
    yield RawFile(f"{when}/学校名录.csv", when, (_schools(record),), "utf-8-sig")
    yield RawFile(f"{when}/重点学生名单.xlsx", when, (_key_students(record, term),))
    for survey in (record.parent_survey, record.student_survey):
        title, form, _ = _SURVEYS[survey.instrument]
        n = len(survey.person)
        name = f"{form + term}_按文本_{title}_{n}_{n}.xlsx"
        yield RawFile(f"{when}/{name}", when, (_answers(world, record, survey),))
    yield RawFile(f"{when}/质量监测_四年级数学.xlsx", when, (_common_test(record, term),))


def _schools(record: TermRecord) -> Sheet:
    schools = record.district.schools
    columns = {
        "学校代码": schools["school"],
        "学校名称": schools["name"],
        "简称": schools["short_name"],
        "学段": schools["stage"].map(STAGE_WORDS),
    }
    return sheet("", pd.DataFrame(columns))


def _key_students(record: TermRecord, term: int) -> Sheet:
    district, when = record.district, TERMS[term]
    listed = district.active(term) & ~district.ambiguous & ~district.lost[term]
    person, category = np.nonzero(~np.isnat(record.since) & listed[:, None])
    school = district.school_of(term)[person]
    order = np.lexsort((category, person, school))
    person, category, school = person[order], category[order], school[order]
    texts = habits.class_texts(district, when.school_year, 0)
    day = record.since[person, category]
    body = pd.DataFrame(
        {
            "学校代码": district.schools["school"].to_numpy(dtype=object)[school],
            "姓名": district.names[person],
            "班级": texts[district.class_of[term][person]],
            "类别": np.array([CATEGORY_WORDS[each] for each in CATEGORIES], dtype=object)[category],
            "认定日期": habits.date_texts(day, 0),
            "依据": np.array(EVIDENCE, dtype=object)[category],
        }
    )
    rule = np.where(day > np.datetime64(when.landmark), "after_landmark", "")
    return sheet("重点学生", body, rule)


def _common_test(record: TermRecord, term: int) -> Sheet:
    district = record.district
    score = record.common[0]
    person = np.flatnonzero(~np.isnan(score))
    person = person[np.argsort(district.class_of[term][person], kind="stable")]
    texts = habits.class_texts(district, TERMS[term].school_year, 0)
    body = pd.DataFrame(
        {
            "学校": district.schools["name"].to_numpy(dtype=object)[district.school_of(term)[person]],
            "班级": texts[district.class_of[term][person]],
            "姓名": district.names[person],
            "数学": score[person].astype(int),
        }
    )
    return sheet("四年级数学", body, link_rule(record, term, person))


def _answers(world: World, record: TermRecord, survey: Survey) -> Sheet:
    """A 问卷星 export by text: six leading columns, three that identify, the items."""
    rng = stream(world.seed, "export", survey.instrument, survey.term)
    book = codebook(survey.instrument)
    n = len(survey.person)
    order = np.argsort(survey.submitted, kind="stable")
    columns = _leading(rng, survey.submitted[order])
    identify = _SURVEYS[survey.instrument][2]
    columns |= dict(zip(identify, _who(rng, record, survey), strict=True))
    for item in book.items:
        if item.is_text:
            columns[item.header] = rng.choice(np.array(_REMARKS, dtype=object), n)
            continue
        codes = survey.codes[:, book.column(item.id)]
        texts = np.array([*item.texts, *RAW_MISSING.values()], dtype=object)
        position = codes.copy()
        for index, code in enumerate(RAW_MISSING):
            position[codes == code] = len(item.texts) + index
        columns[item.header] = texts[position]
    leading = set(list(columns)[:6])
    body = pd.DataFrame({name: cells if name in leading else cells[order] for name, cells in columns.items()})
    return sheet("Sheet1", body, np.where(survey.linked[order], "", "unlinked"))


def _leading(rng: np.random.Generator, submitted: np.ndarray) -> dict[str, np.ndarray]:
    n = len(submitted)
    seconds = rng.integers(95, 900, n)
    took = [f"{each}秒" if each % 2 else f"{each // 60}分{each % 60}秒" for each in seconds]
    # Addresses from the block set aside for documentation (RFC 5737).
    address = [f"203.0.113.{each}(示例省-示例市)" for each in rng.integers(1, 255, n)]
    return {
        "序号": np.arange(1, n + 1),
        "提交答卷时间": pd.Series(submitted).dt.strftime("%Y/%m/%d %H:%M:%S").to_numpy(dtype=object),
        "所用时间": np.array(took, dtype=object),
        "来源": np.where(rng.random(n) < 0.8, "微信", "链接").astype(object),
        "来源详情": np.full(n, "N/A", dtype=object),
        "来自IP": np.array(address, dtype=object),
    }


def _who(
    rng: np.random.Generator, record: TermRecord, survey: Survey
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """School, class and name as respondents write them."""
    district, when = record.district, TERMS[survey.term]
    person = survey.person
    place, school = district.class_of[survey.term][person], district.school_of(survey.term)[person]
    schools = district.schools
    short = rng.random(len(person)) < 0.4
    school_text = np.where(
        short,
        schools["short_name"].to_numpy(dtype=object)[school],
        schools["name"].to_numpy(dtype=object)[school],
    )
    habit = rng.integers(0, 6, len(person))
    texts = np.array(
        [habits.class_texts(district, when.school_year, each) for each in range(6)], dtype=object
    )
    class_text = texts[habit, place]
    grade = district.grade(survey.term)[person]
    for row in np.flatnonzero(survey.wrong_class):
        class_text[row] = habits.class_text(int(grade[row]), 9, 0)
    names = district.names[person]
    named = np.where(rng.random(len(person)) < 0.5, habits.with_dot(names, 2), habits.with_dot(names, 0))
    for row in np.flatnonzero(survey.wrong_name):
        named[row] = "小" + names[row][-1] + names[row][-1]
    return school_text, class_text, named
