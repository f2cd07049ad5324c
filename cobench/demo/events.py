"""Lectures, guidance activities and parent meetings, and who came to the lectures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cobench.demo.calendar import TERMS, after, open_days, stream
from cobench.demo.district import District
from cobench.demo.exposure import Observed, filled

LECTURE_TOPICS = ("亲子沟通", "习惯养成", "手机与屏幕", "情绪与压力", "阅读陪伴", "升学衔接", "家庭规则")
GUIDANCE_TOPICS = ("家庭教育咨询", "隔代教养交流", "新手家长课堂", "家长读书会", "亲子运动")
MEETING_TOPICS = ("学期初家长会", "期中家长会")


def draw_events(seed: int, district: District, term: int) -> pd.DataFrame:
    """Events of a term.

    Returns
    -------
    DataFrame
        Columns of canonical table ``events`` plus ``school_index``, ``class_index`` (-1: whole school) and
        ``invited`` (how many classes, in order, a lecture invites; -1: all).
    """
    rng = stream(seed, "events", term)
    when = TERMS[term]
    window = open_days(when, after(when.landmark), when.exposure_end, weekdays=True)
    rows = []
    for index, school in enumerate(district.schools["school"]):
        n_lectures = rng.choice([1, 2, 3], p=[0.3, 0.5, 0.2])
        n_guidance = 1 if index in (4, 9) else rng.choice([2, 3], p=[0.7, 0.3])
        topics = [
            *rng.permutation(LECTURE_TOPICS)[:n_lectures],
            *rng.permutation(GUIDANCE_TOPICS)[:n_guidance],
        ]
        dates = np.sort(rng.choice(window, n_lectures + n_guidance, replace=False))
        for position, topic in enumerate(topics):
            lecture = position < n_lectures
            invited = 3 if lecture and index == 3 else -1
            kind = "lecture" if lecture else "guidance"
            rows.append((school, index, -1, dates[position], kind, topic, invited))
    meetings = _meetings(rng, district, term)
    events = pd.DataFrame(
        rows + meetings, columns=["school", "school_index", "class_index", "date", "kind", "topic", "invited"]
    )
    class_id = district.classes["class_id"].to_numpy(dtype=object)[events["class_index"].to_numpy()]
    class_id = np.where(events["class_index"] < 0, None, class_id)
    day = pd.to_datetime(events["date"])
    place = np.where(events["class_index"] < 0, "all", class_id).astype(str)
    name = events["school"] + "-" + day.dt.strftime("%Y%m%d") + "-" + events["kind"] + "-" + place
    return events.assign(event=name, term=when.id, date=day.astype("datetime64[s]"), class_id=class_id)


def _meetings(rng: np.random.Generator, district: District, term: int) -> list[tuple]:
    when = TERMS[term]
    start = open_days(when, when.start, when.landmark, weekdays=True)
    middle = open_days(when, after(when.landmark), when.exposure_end, weekdays=True)
    middle = middle[len(middle) // 2 : len(middle) // 2 + 15]
    schools = district.schools["school"].to_numpy()
    rows = []
    for place in np.unique(district.class_of[term][district.active(term)]):
        index = int(district.classes["school_index"].iloc[place])
        held = rng.choice([0, 1, 2], p=[0.01, 0.08, 0.91])
        for days, topic in list(zip((start, middle), MEETING_TOPICS, strict=True))[:held]:
            rows.append((schools[index], index, place, rng.choice(days), "parent_meeting", topic, -1))
    return rows


def draw_attendance(
    seed: int, district: District, term: int, events: pd.DataFrame, observed: Observed
) -> pd.DataFrame:
    """Every invited family and whether it came: ``event, person, class_index, present, signed_at``.

    Coming depends on what the last questionnaire said about involvement, on categories, boarding and school.
    """
    rng = stream(seed, "attendance", term)
    place = district.class_of[term]
    school = district.school_of(term)
    family = (
        rng.normal(0, 0.3, len(district.schools))[school]
        + 0.45 * filled(observed.involvement)
        + 0.15 * filled(observed.relation)
        - 0.3 * district.people["boarding"].to_numpy()
        + district.categories @ np.array([-0.4, -0.2, -0.3, 0.1, 0.0])
        - 0.8
    )
    blocks = []
    lectures = events[events["kind"] == "lecture"]
    for event in lectures.itertuples():
        inside = np.flatnonzero(district.active(term) & (school == event.school_index))
        if event.invited > 0:
            inside = inside[np.isin(place[inside], np.unique(place[inside])[: event.invited])]
        inside = inside[np.argsort(place[inside], kind="stable")]
        present = rng.random(len(inside)) < 1 / (1 + np.exp(-family[inside]))
        minute = 19 * 60 + rng.integers(-25, 12, len(inside))
        signed = np.datetime64(event.date, "s") + (minute * 60).astype("timedelta64[s]")
        blocks.append(
            pd.DataFrame(
                {
                    "event": event.event,
                    "person": inside,
                    "class_index": place[inside],
                    "present": present,
                    "signed_at": np.where(present, signed, np.datetime64("NaT")),
                }
            )
        )
    return pd.concat(blocks, ignore_index=True)


def canonical_attendance(district: District, term: int, attendance: pd.DataFrame) -> pd.DataFrame:
    """Attendance of the families that can be told apart, in the columns of canonical table ``attendance``."""
    person = attendance["person"].to_numpy()
    kept = attendance[~district.ambiguous[person] & ~district.lost[term][person]]
    place = kept["class_index"].to_numpy()
    return pd.DataFrame(
        {
            "event": kept["event"].to_numpy(),
            "term": TERMS[term].id,
            "student": district.people["student"].to_numpy()[kept["person"].to_numpy()],
            "school": district.schools["school"].to_numpy()[
                district.classes["school_index"].to_numpy()[place]
            ],
            "class_id": district.classes["class_id"].to_numpy()[place],
            "invited": True,
            "present": kept["present"].to_numpy(),
            "minutes": np.nan,
        }
    )
