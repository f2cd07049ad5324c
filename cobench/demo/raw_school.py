"""The files that each school sends: roster, score book, attendance register, sign-in list and activities."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from cobench.demo import habits, words
from cobench.demo.calendar import TERMS, after, open_days, stream
from cobench.demo.district import ABSENT, District
from cobench.demo.outcomes import grade_words
from cobench.demo.sheets import ACCEPTED, RawFile, Sheet, sheet, with_footers
from cobench.demo.world import TermRecord, World
from cobench.demo.written import numbers, words_of
from cobench.demo.written import texts as texts_of

STATUS_WORDS = np.array(["", "在读", "转入", "转出", "休学"], dtype=object)
_TICKS = {True: "有", False: "无"}
REASON_WORDS = {"absent": "缺考", "exempt": "免修", "deferred": "缓考", "blank": ""}
_SUBJECTS = {"chinese": "语文", "math": "数学"}


def folder(district: District, school: int) -> str:
    """Folder of a school: code and name."""
    row = district.schools.iloc[school]
    return f"{row['school']}_{row['name']}"


def term_title(term: int) -> str:
    """The term as schools write it in titles."""
    year, half = TERMS[term].school_year, "一" if term % 2 == 0 else "二"
    return f"{year}—{year + 1}学年第{half}学期"


def link_rule(record: TermRecord, term: int, person: np.ndarray) -> np.ndarray:
    """Rule for lines that name ``person``: namesakes and children missing from the roster can't be linked."""
    district = record.district
    return np.select(
        [district.ambiguous[person], district.lost[term][person]],
        ["ambiguous_student", "unknown_student"],
        ACCEPTED,
    ).astype(object)


def school_files(world: World, term: int, school: int) -> Iterator[RawFile]:
    """Every workbook of one school in one term (the contact log is in :mod:`cobench.demo.raw_log`)."""
    record = world.records[term]
    place = folder(record.district, school)
    when = TERMS[term].id
    yield RawFile(f"{when}/{place}/学籍名册.xlsx", when, (_roster(record, term, school),))
    if record.district.schools["stage"].iloc[school] != "kindergarten":
        yield RawFile(f"{when}/{place}/成绩册.xlsx", when, tuple(_score_book(world, term, school)))
    yield RawFile(f"{when}/{place}/考勤汇总.xlsx", when, (_register(record, term, school),))
    yield RawFile(f"{when}/{place}/家长学校签到.xlsx", when, tuple(_sign_in(record, term, school)))
    yield RawFile(f"{when}/{place}/活动记录.xlsx", when, (_activities(record, term, school),))


def _in_class_order(record: TermRecord, term: int, chosen: np.ndarray) -> np.ndarray:
    return chosen[np.argsort(record.district.class_of[term][chosen], kind="stable")]


def _pupils(record: TermRecord, term: int, school: int) -> np.ndarray:
    """Children attending a school, by class."""
    district = record.district
    here = np.flatnonzero(district.active(term) & (district.school_of(term) == school))
    return _in_class_order(record, term, here)


def _roster(record: TermRecord, term: int, school: int) -> Sheet:
    district = record.district
    people = district.people
    listed = np.flatnonzero((district.status[term] != ABSENT) & (district.school_of(term) == school))
    moved = district.movers[district.movers["term"] == term]
    places = district.classes["school_index"].to_numpy()
    away = moved[places[moved["old_class"].to_numpy()] == school]
    person = np.concatenate([listed, away["person"].to_numpy(dtype=int)])
    place = np.concatenate([district.class_of[term][listed], away["old_class"].to_numpy(dtype=int)])
    status = np.concatenate(
        [STATUS_WORDS[district.status[term][listed]], np.full(len(away), "转出", dtype=object)]
    )
    order = np.argsort(place, kind="stable")
    person, place, status = person[order], place[order], status[order]
    numbers = people["student_number"].to_numpy(dtype=object)[person]
    lost = district.lost[term][person]
    for row in np.flatnonzero(lost):
        # Excel keeps 15 digits: typed as a number, the identity number has lost its end.
        numbers[row] = float(numbers[row][1:18] + "0")
    texts = habits.class_texts(district, TERMS[term].school_year, habits.roster_habit(school))
    body = pd.DataFrame(
        {
            "序号": [str(each) for each in range(1, len(person) + 1)],
            "姓名": habits.with_dot(district.names[person], 0),
            "学籍号": numbers,
            "性别": np.where((people["sex"] == "m").to_numpy()[person], "男", "女"),
            "出生年月": habits.birth_texts(people["birth_month"].to_numpy(dtype=object)[person], school),
            "班级": texts[place],
            "住宿": np.where(people["boarding"].to_numpy()[person], "是", "否"),
            "状态": status,
        }
    )
    title = f"{district.schools['name'].iloc[school]}{term_title(term)}学籍名册"
    footers = ((), (f"合计：{len(person)}人",)) if school % 3 == 1 else ()
    rule = np.where(lost, "destroyed_number", ACCEPTED)
    return sheet("学籍名册", body, rule, title=title, footers=footers)


def _score_book(world: World, term: int, school: int) -> Iterator[Sheet]:
    """A sheet a grade with a title, a header of two merged rows, and lines of averages."""
    record = world.records[term]
    district = record.district
    pupils = _pupils(record, term, school)
    grade = district.grade(term)[pupils]
    stray = _stray_school(world, term)
    for each in np.unique(grade):
        own = pupils[grade == each]
        body, rule = _score_lines(record, term, school, own, int(each))
        if school == stray and each == grade.max():
            nameless = body.iloc[[0]].assign(姓名=None)
            body = pd.concat([body, nameless], ignore_index=True)
            rule = np.append(rule, "blank_name")
        year = (
            habits.class_text(int(each), 1, 1)[:-2] if each < 7 else habits.class_text(int(each), 1, 5)[:-2]
        )
        title = f"{district.schools['name'].iloc[school]}{term_title(term)}期末成绩（{year}）"
        header = ((title,), ("姓名", "班级", "期末成绩", None), ("姓名", "班级", "语文", "数学"))
        merges = ((0, 0, 0, 3), (1, 0, 2, 0), (1, 1, 2, 1), (1, 2, 1, 3))
        made = Sheet(year, header, merges, body.astype("object"), rule)
        yield with_footers(made, (_averages(body, each),))


def _stray_school(world: World, term: int) -> int:
    """The school in whose score book a line without a name stands this term."""
    stage = world.records[term].district.schools["stage"].to_numpy()
    return int(stream(world.seed, "stray", term).choice(np.flatnonzero(stage != "kindergarten")))


def _score_lines(
    record: TermRecord, term: int, school: int, own: np.ndarray, grade: int
) -> tuple[pd.DataFrame, np.ndarray]:
    district = record.district
    names = habits.with_dot(district.names[own], school)
    texts = habits.class_texts(district, TERMS[term].school_year, habits.roster_habit(school))
    columns = {
        "姓名": habits.spaced(names) if school % 6 == 2 else names,
        "班级": texts[district.class_of[term][own]],
    }
    for subject, word in _SUBJECTS.items():
        columns[word] = _marks_as_written(record, subject, own, grade, typed_wide=school % 5 == 4)
    rule = link_rule(record, term, own)
    mistyped = np.flatnonzero(record.mistyped[own])
    columns["数学"][mistyped] = "1O3"
    rule[mistyped] = "bad_number"
    return pd.DataFrame(columns), rule


def _marks_as_written(
    record: TermRecord, subject: str, own: np.ndarray, grade: int, *, typed_wide: bool
) -> np.ndarray:
    result, reason = record.marks[subject], record.reasons[subject][own]
    if grade <= 2:
        cells = grade_words(result.process[own]).astype(object)
    else:
        cells = np.array(
            [int(mark) if mark == int(mark) else float(mark) for mark in result.mark[own]], dtype=object
        )
        if typed_wide:
            every = slice(None, None, 7)
            cells[every] = habits.full_width(np.array([str(mark) for mark in cells[every]], dtype=object))
    for row in np.flatnonzero(reason != ""):
        cells[row] = REASON_WORDS[reason[row]]
    return cells


def _averages(body: pd.DataFrame, grade: int) -> tuple:
    if grade <= 2:
        return ("平均分", None, "—", "—")
    means = [pd.to_numeric(body[word], errors="coerce").mean() for word in _SUBJECTS.values()]
    return ("平均分", None, *(round(float(mean), 2) for mean in means))


def _register(record: TermRecord, term: int, school: int) -> Sheet:
    """Days absent from the end of the exposure window to the end of term."""
    district, when = record.district, TERMS[term]
    pupils = _pupils(record, term, school)
    texts = habits.class_texts(district, when.school_year, habits.log_habit(school))
    first = after(when.exposure_end)
    body = pd.DataFrame(
        {
            "姓名": habits.with_dot(district.names[pupils], 0),
            "班级": texts[district.class_of[term][pupils]],
            "统计区间": f"{first}至{when.end}",
            "应出勤天数": len(open_days(when, first, when.end, weekdays=True)),
            "缺勤天数": record.absences[0][pupils].astype(int),
        }
    )
    footers = (("制表：教务处",),) if school % 2 == 0 else ()
    return sheet("考勤汇总", body, link_rule(record, term, pupils), footers=footers)


def _sign_in(record: TermRecord, term: int, school: int) -> Iterator[Sheet]:
    """A sheet a lecture with every invited family."""
    district = record.district
    lectures = record.events[(record.events["kind"] == "lecture") & (record.events["school_index"] == school)]
    texts = habits.class_texts(district, TERMS[term].school_year, habits.roster_habit(school))
    names = district.names
    for event in lectures.itertuples():
        own = record.attendance[record.attendance["event"] == event.event]
        person = own["person"].to_numpy()
        body = pd.DataFrame(
            {
                "姓名": habits.with_dot(names[person], 1),
                "孩子班级": texts[own["class_index"].to_numpy()],
                "场次": f"{event.date:%Y-%m-%d} {event.topic}",
                "状态": np.where(own["present"], "已签到", "未到"),
                "签到时间": habits.stamp_texts(own["signed_at"].to_numpy()),
            }
        )
        yield sheet(f"{event.date.month}月{event.date.day}日", body, link_rule(record, term, person))


def _activities(record: TermRecord, term: int, school: int) -> Sheet:
    district, events = record.district, record.events
    own = events[(events["school_index"] == school) & (events["register"] == "school")]
    own = own.sort_values(["date", "kind"], kind="stable")
    texts = habits.class_texts(district, TERMS[term].school_year, habits.roster_habit(school))
    place = own["class_index"].to_numpy()
    dates = habits.date_texts(own["date"].to_numpy(), school % 3)
    if school % 3 == 2:
        dates = np.array([day.date() for day in own["date"]], dtype=object)
    graded = own["grade"].notna().to_numpy()
    body = pd.DataFrame(
        {
            "日期": dates,
            "活动类型": words_of(own["kind"], words.EVENTS),
            "年级": words_of(own["grade"], words.GRADES),
            "班级": np.where(place >= 0, texts[place], np.where(graded, "", "全校")),
            "主题": own["topic"].to_numpy(),
            "类别": words_of(own["subject"], words.EVENT_SUBJECTS),
            "主讲": texts_of(own["speaker"]),
            "应到人数": numbers(own["n_invited"]),
            "参加人数": numbers(own["n_present"]),
            "时长": numbers(own["minutes"]),
            "纪要": words_of(own["has_minutes"], _TICKS),
            "反馈": words_of(own["has_feedback"], _TICKS),
        }
    )
    return sheet("活动记录", body)
