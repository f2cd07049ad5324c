"""A school's contact log as csv in GB18030, with what goes wrong in such logs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cobench.demo import habits
from cobench.demo.calendar import TERMS, stream
from cobench.demo.raw_school import folder
from cobench.demo.sheets import RawFile, Sheet, sheet
from cobench.demo.world import TermRecord, World

MODE_WORDS = np.array(["入户", "电话", "微信", "视频", "到校"], dtype=object)
TRIGGER_WORDS = np.array(["常规", "重点", "紧急"], dtype=object)
ROLE_WORDS = np.array(["班主任", "科任教师", "学校领导"], dtype=object)
COLUMNS = (
    "日期", "学生姓名", "班级", "家访方式", "类型", "教师", "教师角色", "时长", "家访内容", "家长反馈", "后续跟进", "录入时间",
    "约定回访日期", "回访完成日期", "登记表", "照片",
)  # fmt: skip
CUMULATIVE_SCHOOL = 1
_FEEDBACK = ("表示感谢", "会配合老师", "希望多关注", "工作忙，由老人照看", "")
_FOLLOW_UP = ("两周后回访", "每周电话反馈", "无", "")


def log_file(world: World, term: int, school: int) -> RawFile:
    """The contact log of one school in one term; one school's spring export starts with the autumn."""
    body, rule = log_lines(world, term, school)
    if school == CUMULATIVE_SCHOOL and term == len(TERMS) - 1:
        earlier, earlier_rule = log_lines(world, term - 1, school)
        usual = np.isin(earlier_rule, ("", "two_children"))
        body = pd.concat([earlier[usual], body], ignore_index=True)
        rule = np.concatenate([np.full(usual.sum(), "repeated_row", dtype=object), rule])
    when = TERMS[term].id
    made: Sheet = sheet("", body, rule, footers=((f"共{len(body)}条记录",),) if school % 4 == 2 else ())
    return RawFile(
        f"{when}/{folder(world.records[term].district, school)}/家访记录.csv", when, (made,), "gb18030"
    )


def log_lines(world: World, term: int, school: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Lines of one school's log and what is planted in each."""
    record = world.records[term]
    contacts = record.contacts
    places = record.district.classes["school_index"].to_numpy()
    own = contacts[
        (places[contacts["class_index"].to_numpy()] == school) & ~contacts["class_index"].isin(record.silent)
    ]
    second = (own["pair"] >= 0) & own.duplicated("pair")
    names = record.district.names
    partner = own[second].set_index("pair")["person"]
    lines = own[~second]
    named = habits.with_dot(names[lines["person"].to_numpy()], school)
    has_two = (lines["pair"] >= 0).to_numpy()
    others = partner.reindex(lines.loc[has_two, "pair"]).to_numpy(dtype=int)
    named[has_two] = named[has_two] + "、" + habits.with_dot(names[others], school)
    body = _as_written(world, record, term, school, lines, named)
    rule = np.where(has_two, "two_children", "").astype(object)
    extra, extra_rule = _stray_lines(world, record, term, school, body)
    return pd.concat([body, extra], ignore_index=True), np.concatenate([rule, extra_rule])


def _as_written(
    world: World, record: TermRecord, term: int, school: int, lines: pd.DataFrame, named: np.ndarray
) -> pd.DataFrame:
    rng = stream(world.seed, "log", term, school)
    n = len(lines)
    place = lines["class_index"].to_numpy()
    texts = habits.class_texts(record.district, TERMS[term].school_year, habits.log_habit(school))
    role = lines["teacher_role"].to_numpy()
    columns = (
        habits.date_texts(lines["date"].to_numpy(), habits.date_habit(school)),
        named,
        texts[place],
        MODE_WORDS[lines["mode"].to_numpy()],
        TRIGGER_WORDS[lines["trigger"].to_numpy()],
        lines["visitor"].to_numpy(),
        ROLE_WORDS[role],
        np.array([habits.minutes_text(each) for each in lines["minutes"]], dtype=object),
        lines["note"].to_numpy(),
        rng.choice(np.array(_FEEDBACK, dtype=object), n),
        rng.choice(np.array(_FOLLOW_UP, dtype=object), n),
        habits.stamp_texts(lines["entered_at"].to_numpy()),
        _days(lines["follow_up_due"]),
        _days(lines["follow_up_done"]),
        _ticks(lines["has_form"]),
        _ticks(lines["has_photo"]),
    )
    body = pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
    if school % 5 == 2:
        wide = {
            name: habits.full_width(body[name].to_numpy(dtype=object)) for name in ("日期", "班级", "时长")
        }
        body = body.assign(**wide)
    return body


def _days(dates: pd.Series) -> np.ndarray:
    return dates.dt.strftime("%Y-%m-%d").astype("object").fillna("").to_numpy(dtype=object)


def _ticks(flags: pd.Series) -> np.ndarray:
    return flags.map({True: "有", False: "无"}).astype("object").fillna("").to_numpy(dtype=object)


def _line(**cells: str) -> list:
    return [cells.get(name) for name in COLUMNS]


def _stray_lines(
    world: World, record: TermRecord, term: int, school: int, body: pd.DataFrame
) -> tuple[pd.DataFrame, np.ndarray]:
    """Nil returns of quiet classes and the term's planted bad lines, each in a school drawn for it."""
    district, when = record.district, TERMS[term]
    rng = stream(world.seed, "stray lines", term)
    sending = np.unique(
        district.school_of(term)[record.contacts["person"]][
            ~record.contacts["class_index"].isin(record.silent)
        ]
    )
    drawn = rng.choice(sending, 3)
    chosen = dict(zip(("unknown_class", "impossible_date", "blank_name"), drawn, strict=True))
    texts = habits.class_texts(district, when.school_year, habits.log_habit(school))
    place = district.class_of[term]
    inside = district.active(term) & (district.school_of(term) == school)
    rows, rules = [], []
    sent = np.setdiff1d(np.unique(place[inside]), record.silent)
    busy = record.contacts["class_index"].unique()
    closing = str(
        habits.date_texts(np.array([np.datetime64(when.exposure_end)]), habits.date_habit(school))[0]
    )
    for each in np.setdiff1d(sent, busy):
        rows.append(_line(日期=closing, 学生姓名="无", 班级=texts[each]))
        rules.append("nil_return")
    if len(body):
        first = body.iloc[0].to_dict()
        bad = {
            "unknown_class": first | {"班级": habits.class_text(9 if first["班级"][0] != "九" else 8, 9, 1)},
            "impossible_date": first | {"日期": f"{when.start.year}-02-30"},
            "blank_name": first | {"学生姓名": None},
        }
        for rule, line in bad.items():
            if chosen[rule] == school:
                rows.append([line[name] for name in COLUMNS])
                rules.append(rule)
    for each in np.intersect1d(sent, place[district.ambiguous]):
        twin = district.names[district.ambiguous & (place == each)][0]
        rows.append(
            _line(
                日期=closing, 学生姓名=twin, 班级=texts[each], 家访方式="电话", 类型="常规", 教师角色="班主任"
            )
        )
        rules.append("ambiguous_student")
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype="object"), np.array(rules, dtype=object)
