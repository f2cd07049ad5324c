"""Everything else that schools and classes hold: forums, open days, reception days, bulletins, inspections and so on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pandas as pd

from cobench.demo.calendar import TERMS, after, open_days, stream
from cobench.demo.communities import unit_events
from cobench.demo.district import FIRST_GRADE, N_GRADES, District
from cobench.demo.names import invent_names

NUMBERS = ["n_invited", "n_present", "minutes", "has_minutes", "has_feedback", "subject", "speaker"]
NO_CLASS_REGISTER = 8
"""The school (S09) that never sends its classes' register."""
_DIVISIONS = ("general", "guidance", "practice")


def care(seed: int, district: District) -> np.ndarray:
    """How well each school keeps to what is written down, 0.6 to 1; shape (S,)."""
    own = 0.95 + 0.04 * stream(seed, "care").normal(size=len(district.schools))
    return np.where(np.arange(len(own)) % 7 == 6, 0.7, np.clip(own, 0.6, 1.0))


def all_events(
    seed: int, district: District, term: int, events: pd.DataFrame, attendance: pd.DataFrame
) -> pd.DataFrame:
    """``events`` with numbers and speakers, and all others of the term.

    Returns
    -------
    DataFrame
        As :func:`cobench.demo.events.draw_events`, and ``grade``, ``unit``, :data:`NUMBERS` and ``register``: the
        file that an event stands in (``school``, ``class`` or ``unit``).
    """
    size = np.bincount(district.class_of[term][district.active(term)], minlength=len(district.classes))
    known = _with_numbers(seed, district, term, events, attendance, size)
    rows = [*_school_rows(seed, district, term), *_class_rows(seed, district, term)]
    made = pd.DataFrame(rows).reindex(
        columns=[
            "school_index",
            "class_index",
            "grade",
            "unit",
            "date",
            "kind",
            "topic",
            "register",
            *NUMBERS,
        ]
    )
    made = pd.concat([made, unit_events(seed, district, term)], ignore_index=True)
    joined = pd.concat([known.assign(register="school"), _named(district, term, made)], ignore_index=True)
    return joined.astype({"class_index": int, "school_index": int})


def _with_numbers(
    seed: int, district: District, term: int, events: pd.DataFrame, attendance: pd.DataFrame, size: np.ndarray
) -> pd.DataFrame:
    """Who was invited and came; minutes and feedback of meetings, division and speaker of lectures."""
    rng = stream(seed, "numbers of events", term)
    n = len(events)
    place = events["class_index"].to_numpy()
    lecture, meeting = ((events["kind"] == kind).to_numpy() for kind in ("lecture", "parent_meeting"))
    sums = attendance.groupby("event")["present"].agg(["size", "sum"])
    otherwise = np.where(place >= 0, size[place] - 3, 30)
    experts = invent_names(stream(seed, "speakers"), np.arange(12))
    kept = rng.random(n) < care(seed, district)[events["school_index"].to_numpy()]
    return events.assign(
        grade=None,
        unit=None,
        n_invited=events["event"]
        .map(sums["size"])
        .fillna(pd.Series(np.where(place >= 0, size[place], 40), events.index)),
        n_present=events["event"].map(sums["sum"]).fillna(pd.Series(otherwise, events.index)),
        minutes=np.where(lecture, 90.0, 60.0),
        has_minutes=_only(meeting, kept),
        has_feedback=_only(meeting, kept & (rng.random(n) < 0.97)),
        subject=_only(lecture, rng.choice(np.array(_DIVISIONS, dtype=object), n)),
        speaker=_only(lecture, rng.choice(experts, n)),
    )


def _only(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    held = np.full(len(rows), None, dtype=object)
    held[rows] = values[rows]
    return held


def _named(district: District, term: int, made: pd.DataFrame) -> pd.DataFrame:
    """Events with ids as ingest gives them; what is held twice at one place and day is left out."""
    school, place = made["school_index"].to_numpy(dtype=int), made["class_index"].to_numpy(dtype=int)
    codes = np.append(district.schools["school"].to_numpy(dtype=object), None)[school]
    class_id = np.append(district.classes["class_id"].to_numpy(dtype=object), None)[place]
    owner = pd.Series(codes, made.index).fillna(made["unit"])
    grade = made["grade"].map(lambda each: None if pd.isna(each) else f"g{int(each)}")
    inside = (
        pd.Series(class_id, made.index).fillna(grade).fillna(made["unit"].where(school >= 0)).fillna("all")
    )
    day = pd.to_datetime(made["date"])
    event = owner + "-" + day.dt.strftime("%Y%m%d") + "-" + made["kind"] + "-" + inside
    named = made.assign(
        event=event,
        school=codes,
        class_id=class_id,
        term=TERMS[term].id,
        date=day.astype("datetime64[s]"),
        invited=-1,
        topic=made["topic"].map(lambda each: each or None),
    )
    return named[~event.duplicated()]


def weeks(term: int) -> list[np.ndarray]:
    """School days of each week of a term."""
    when = TERMS[term]
    days = open_days(when, when.start, when.end, weekdays=True)
    monday = days - (days.astype("datetime64[D]").astype(int) + 3) % 7
    return [days[monday == each] for each in np.unique(monday)]


def months(term: int) -> list[np.ndarray]:
    """School days of each month of a term that has five or more."""
    when = TERMS[term]
    days = open_days(when, when.start, when.end, weekdays=True)
    held = [days[days.astype("datetime64[M]") == each] for each in np.unique(days.astype("datetime64[M]"))]
    return [each for each in held if len(each) >= 5]


def midterm(term: int) -> date:
    """Day of the mid-term exam: the Friday before the mid-term meetings."""
    when = TERMS[term]
    middle = open_days(when, after(when.landmark), when.exposure_end, weekdays=True)
    first = middle[len(middle) // 2].astype(object)
    return first - timedelta(days=(first.weekday() - 4) % 7 or 7)


def _school_rows(seed: int, district: District, term: int) -> Iterator[dict]:
    effort = care(seed, district)
    for index, stage in enumerate(district.schools["stage"]):
        rng = stream(seed, "school events", term, index)
        for row in _of_school(rng, term, index, stage, float(effort[index])):
            yield {"school_index": index, "class_index": -1, "register": "school", **row}


def _of_school(rng: np.random.Generator, term: int, index: int, stage: str, effort: float) -> Iterator[dict]:
    when = TERMS[term]
    days = open_days(when, after(when.landmark), when.exposure_end, weekdays=True)
    spring = term % 2 == 1

    def kept() -> bool:
        return rng.random() < effort

    def once(kind: str, topic: str, **more) -> dict:
        return {"kind": kind, "date": rng.choice(days), "topic": topic, **more}

    for kind, topic, n in (
        ("forum", "家长代表座谈", 30), ("appraisal", "学期评议", 60), ("selection", "优秀家长", None),
        ("resident_day", "走进校园", 5), ("survey", "家长满意度", None),
    ):  # fmt: skip
        if kept():
            yield once(kind, topic, n_present=n and n - int(rng.integers(0, n // 3 + 1)))
    for topic in ("职业体验", "传统手工"):
        if kept():
            yield once("parent_teaching", topic, n_present=2)
    trained = int(rng.integers(18, 40))
    if kept():
        yield once(
            "teacher_training",
            "家校沟通",
            n_invited=trained,
            n_present=trained - int(rng.integers(0, 4)),
            minutes=120.0,
        )
    if kept():
        yield once("inspection", "", subject="self")
    if kept():
        yield once("inspection", "", subject="with_survey")
    if spring:
        if rng.random() < 0.6:
            yield once("inspection", "", subject="bureau")
        if kept():
            yield once("inspection", "", subject="parent_school_check")
        if kept():
            yield once("exchange_meeting", "家访故事")
        if kept():
            week = np.datetime64(f"{when.start.year}-05-15")
            monday = week - (week.astype(int) + 3) % 7
            yield {
                "kind": "publicity_week",
                "date": monday + int(rng.integers(0, 5)),
                "topic": "家庭教育宣传周",
                "n_present": 80,
            }
    if kept():
        yield once("course", "分学段课程", subject=stage, minutes=60.0)
    for each in weeks(term):
        tuesday = each[(each.astype(int) + 3) % 7 == 1]
        if len(tuesday) and (effort > 0.9 or rng.random() < effort):
            yield {
                "kind": "reception_day",
                "date": tuesday[0],
                "topic": "",
                "n_present": int(rng.integers(1, 9)),
            }
    if stage != "kindergarten":
        yield {"kind": "midterm_exam", "date": midterm(term), "topic": ""}
    first = FIRST_GRADE[stage]
    for each in months(term):
        if stage == "primary" and kept():
            yield {
                "kind": "parent_school_activity",
                "grade": 1,
                "date": rng.choice(each),
                "topic": "入学适应",
                "n_present": 35,
            }
        if index % 3 == 0:
            for grade in range(first, first + N_GRADES[stage]):
                if rng.random() < effort + 0.04:
                    day = each[min((grade - first) % 5, len(each) - 1)]
                    yield {
                        "kind": "open_day",
                        "grade": grade,
                        "date": day,
                        "topic": "课堂开放",
                        "n_present": int(rng.integers(10, 60)),
                    }


def _class_rows(seed: int, district: District, term: int) -> Iterator[dict]:
    """Bulletins every week, a discussion, a round of calls and a review every month; summaries in spring; open classes."""
    effort = care(seed, district)
    rng = stream(seed, "class events", term)
    when = TERMS[term]
    here = np.unique(district.class_of[term][district.active(term)])
    school = district.classes["school_index"].to_numpy()
    of_weeks, of_months = weeks(term), months(term)
    for place in here:
        index = int(school[place])
        about = {"school_index": index, "class_index": int(place), "register": "class"}
        keen = 1.0 if rng.random() < effort[index] - 0.1 else 0.8
        drawn = rng.random((len(of_weeks) + 3 * len(of_months) + 1, 2))
        for (chance, at), each in zip(drawn, of_weeks, strict=False):
            if chance < keen and index != NO_CLASS_REGISTER:
                yield {**about, "kind": "bulletin", "date": each[int(at * len(each))], "topic": ""}
        for kind, block in zip(
            ("theme_discussion", "call_round", "communication_review"), range(3), strict=True
        ):
            start = len(of_weeks) + block * len(of_months)
            for (chance, at), each in zip(drawn[start:], of_months, strict=False):
                if chance < keen and index != NO_CLASS_REGISTER:
                    yield {**about, "kind": kind, "date": each[int(at * len(each))], "topic": ""}
        if term % 2 == 1 and drawn[-1, 0] < keen and index != NO_CLASS_REGISTER:
            yield {**about, "kind": "year_summary", "date": np.datetime64(when.end) - 4, "topic": ""}
    for index in np.unique(school[here]):
        own = here[school[here] == index]
        for each in of_months:
            if rng.random() < effort[index]:
                yield {
                    "school_index": int(index), "class_index": int(rng.choice(own)), "register": "school",
                    "kind": "open_class", "date": rng.choice(each), "topic": "", "n_present": int(rng.integers(6, 30)),
                }  # fmt: skip
