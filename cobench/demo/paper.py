"""What is on file of a visit: who made it, the words, the form, the photo and what was agreed; and what was made up.

Two schools dress their records up for the appraisal. Their extra entries lie after the last term's exposure window, so that
no planted effect moves.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from cobench.demo import teachers
from cobench.demo.calendar import TERMS, stream
from cobench.demo.district import District
from cobench.demo.exposure import reachable

COPIES, DRESSES = 5, 14
"""Schools (S06, S15) whose records are made up: copied and late; calls called visits, and routes nobody can walk."""
_HONEST_LATE, _HONEST_BUSY = 7, 10
_APPRAISAL = date(2026, 6, 30)

_SEEN = (
    "了解孩子在家学习与作息", "看望孩子并了解家庭近况", "交流近期课堂表现", "沟通作业完成情况", "谈亲子相处与情绪",
    "说明本学期安排", "了解周末时间怎样过", "一起看了近期练习本", "谈同伴交往", "了解手机使用情况",
)  # fmt: skip
_SAID = (
    "家长反映晚上写作业拖拉", "家长说孩子爱读书但粗心", "老人照看为主", "父母外出务工每周视频", "家长希望多提醒",
    "家里有安静的书桌", "孩子愿意帮做家务", "家长担心数学", "家长说近来爱发脾气", "家长感谢学校",
)  # fmt: skip
_AGREED = (
    "约定每晚阅读", "约定每周反馈", "约定先完成作业再玩", "约定周末户外活动", "约定手机由家长保管", "约定每天跳绳",
    "约定错题重做", "约定按时睡觉", "约定一起做家务", "约定下次带成长册",
)  # fmt: skip
_COPIED = (
    "走访入户，宣传家庭教育理念，与家长就孩子的学习习惯和安全问题进行深入交流，家长表示满意。",
    "实地了解学生家庭情况，指导家长科学育儿，家长对学校工作给予充分肯定。",
    "与家长面对面沟通学生在校表现，共同商定教育措施，效果良好。",
)


def made_up(
    seed: int, district: District, term: int, contacts: pd.DataFrame, silent: np.ndarray
) -> pd.DataFrame:
    """Contacts with the entries that schools add before the appraisal (``kind``), in the newest term only.

    Two schools make them up; two others were honestly late, or honestly busy on a Saturday.
    """
    if term != len(TERMS) - 1:
        return contacts
    rng = stream(seed, "made up")
    open_to = reachable(seed, district, term) & ~np.isin(district.class_of[term], silent)
    school, place = district.school_of(term), district.class_of[term]
    blocks = []

    def add(people, days, minutes, entered, kind) -> None:
        blocks.append(
            pd.DataFrame(
                {
                    "person": people,
                    "class_index": place[people],
                    "date": np.asarray(days, dtype="datetime64[D]").astype("datetime64[s]"),
                    "mode": 0,
                    "trigger": 0,
                    "teacher_role": 0,
                    "minutes": np.asarray(minutes, dtype=float),
                    "entered_at": entered,
                    "kind": kind,
                    "pair": -1,
                }
            )
        )

    def evening(days, delay) -> np.ndarray:
        minute = rng.integers(17 * 60, 21 * 60, len(days))
        return (np.asarray(days) + delay).astype("datetime64[s]") + (minute * 60).astype("timedelta64[s]")

    june = np.arange(np.datetime64("2026-06-08"), np.datetime64("2026-06-21"))
    pupils = {each: np.flatnonzero(open_to & (school == each)) for each in np.unique(school[open_to])}
    if COPIES in pupils:
        who = rng.choice(pupils[COPIES], min(40, len(pupils[COPIES])), replace=False)
        days = rng.choice(june, len(who))
        last = np.full(len(who), np.datetime64(_APPRAISAL)) - rng.integers(0, 2, len(who))
        add(who, days, rng.choice([30, 40, 45], len(who)), evening(last, 0), "copied")
    if DRESSES in pupils:
        own = pupils[DRESSES]
        calls = rng.choice(own, min(40, len(own)), replace=False)
        days = rng.choice(june, len(calls))
        add(
            calls,
            days,
            rng.integers(3, 9, len(calls)),
            evening(days, rng.integers(0, 3, len(calls))),
            "relabelled",
        )
        for index, each in enumerate(np.unique(place[own])[:2]):
            class_mates = own[place[own] == each][:16]
            day = np.full(len(class_mates), np.datetime64("2026-06-23") + index)
            minutes = rng.choice([40, 45, 60], len(class_mates))
            add(class_mates, day, minutes, evening(day, 0), "route")
    if _HONEST_LATE in pupils:
        who = rng.choice(pupils[_HONEST_LATE], min(12, len(pupils[_HONEST_LATE])), replace=False)
        days = rng.choice(june[:8], len(who))
        add(
            who,
            days,
            rng.choice([30, 40, 60], len(who)),
            evening(days, rng.integers(9, 16, len(who))),
            "late_entry",
        )
    if _HONEST_BUSY in pupils:
        own = pupils[_HONEST_BUSY]
        who = own[place[own] == place[own][0]][:6]
        day = np.full(len(who), np.datetime64("2026-06-13"))
        add(who, day, np.full(len(who), 30), evening(day, 1), "busy_saturday")
    if not blocks:
        return contacts
    joined = pd.concat([contacts, pd.concat(blocks, ignore_index=True).astype(contacts.dtypes.to_dict())])
    joined = joined[~joined.duplicated(["person", "date"])]
    return joined.sort_values(["class_index", "date", "person"], kind="stable").reset_index(drop=True)


def with_paper(seed: int, district: District, term: int, contacts: pd.DataFrame) -> pd.DataFrame:
    """Add ``visitor`` (name), ``note``, ``follow_up_due``, ``follow_up_done``, ``has_form`` and ``has_photo``.

    Two children on one line share all of it. Flags are True, False or None.
    """
    rng = stream(seed, "paper", term)
    n = len(contacts)
    place, mode = contacts["class_index"].to_numpy(), contacts["mode"].to_numpy()
    school = district.classes["school_index"].to_numpy()[place]
    face = np.isin(mode, (0, 4))
    kind = contacts["kind"].to_numpy()
    made = np.isin(kind, ("copied", "relabelled", "route"))
    dressed = (school == DRESSES) & (mode == 0) & ((rng.random(n) < 0.5) | made)
    form = _flags(face, (rng.random(n) < 0.95) & ~dressed)
    photo = _flags((mode == 0) & (school % 6 != 4), (rng.random(n) < 0.9) & ~dressed)
    due, done = _follow_ups(rng, contacts)
    columns = {
        "note": _notes(rng, school, kind, face),
        "follow_up_due": due,
        "follow_up_done": done,
        "has_form": form,
        "has_photo": photo,
    }
    second = (contacts["pair"] >= 0).to_numpy() & contacts.duplicated("pair").to_numpy()
    first = contacts[~second].reset_index()
    leader = first[first["pair"] >= 0].set_index("pair")["index"]
    at = np.arange(n)
    at[second] = leader.loc[contacts["pair"].to_numpy()[second]].to_numpy()
    return contacts.assign(
        visitor=teachers.visitors(seed, district, place, contacts["teacher_role"].to_numpy()),
        **{name: values[at] for name, values in columns.items()},
    )


def _flags(asked: np.ndarray, holds: np.ndarray) -> np.ndarray:
    flags = np.full(len(asked), None, dtype=object)
    flags[asked] = holds[asked]
    return flags


def _notes(rng: np.random.Generator, school: np.ndarray, kind: np.ndarray, face: np.ndarray) -> np.ndarray:
    """What a teacher writes down: own words mostly, a short phrase of many calls, one text again and again where copied."""
    n = len(school)
    parts = [np.array(each, dtype=object)[rng.integers(0, len(each), n)] for each in (_SEEN, _SAID, _AGREED)]
    length = rng.integers(10, 60, n).astype(str).astype(object)
    day = rng.integers(1, 29, n).astype(str).astype(object)
    own = parts[0] + "；" + parts[1] + "，" + parts[2] + length + "分钟，" + day + "日再看。"
    own[~face & (rng.random(n) < 0.4)] = "电话沟通"
    own[rng.random(n) < 0.03] = ""
    copied = (school == COPIES) & ((rng.random(n) < 0.6) | (kind == "copied"))
    own[copied] = np.array(_COPIED, dtype=object)[rng.integers(0, len(_COPIED), int(copied.sum()))]
    return own


def _follow_ups(rng: np.random.Generator, contacts: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Days agreed on and days kept; some are kept late, some are still open."""
    n = len(contacts)
    day = contacts["date"].to_numpy().astype("datetime64[D]")
    chance = np.where(contacts["trigger"].to_numpy() > 0, 0.8, 0.15)
    due = day + rng.integers(7, 22, n)
    due = np.where(rng.random(n) < chance, due, np.datetime64("NaT"))
    done = due + rng.integers(-3, 6, n)
    done = np.where(rng.random(n) < 0.85, np.maximum(done, day + 1), np.datetime64("NaT"))
    return due.astype("datetime64[s]"), np.where(np.isnat(due), due, done).astype("datetime64[s]")


def gaming_rows(district: District, term: int, contacts: pd.DataFrame) -> pd.DataFrame:
    """What was made up, and what only looks like it: ``school, term, sign, planted, n``."""
    place = contacts["class_index"].to_numpy()
    school = district.classes["school_index"].to_numpy()[place]
    deadline = np.datetime64(TERMS[term].exam)
    entered = contacts["entered_at"].to_numpy().astype("datetime64[D]")
    delay = (
        (entered - contacts["date"].to_numpy().astype("datetime64[D]")).astype("timedelta64[D]").astype(float)
    )
    liars = np.isin(school, (COPIES, DRESSES))
    no_paper = np.array([flag is False for flag in contacts["has_form"]]) & (school == DRESSES)
    signs = {
        "late_entry": (liars & (delay > 7), True),
        "heaped": (liars & (np.abs((entered - deadline).astype(float)) <= 3), True),
        "copied": ((school == COPIES) & contacts["note"].isin(_COPIED).to_numpy(), True),
        "relabelled": (no_paper, True),
        "route": ((contacts["kind"] == "route").to_numpy(), True),
        "honest_late_entry": ((contacts["kind"] == "late_entry").to_numpy(), False),
        "honest_busy_saturday": ((contacts["kind"] == "busy_saturday").to_numpy(), False),
    }
    codes = district.schools["school"].to_numpy(dtype=object)
    rows = [
        (codes[index], TERMS[term].id, sign, planted, int((hit & (school == index)).sum()))
        for sign, (hit, planted) in signs.items()
        for index in np.unique(school[hit])
    ]
    return pd.DataFrame(rows, columns=["school", "term", "sign", "planted", "n"])
