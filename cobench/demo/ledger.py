"""What schools have on file: the ledger of a school, the register of its pupils, key students' plans, guards and reading."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from cobench.demo import communities, teachers
from cobench.demo.calendar import TERMS, days, open_days, stream
from cobench.demo.district import CATEGORIES, FIRST_GRADE, N_GRADES, District
from cobench.demo.more_events import care, months
from cobench.demo.words import FLAGS

RECORD = [
    "school_index", "class_index", "grade", "person", "teacher", "unit", "kind", "item", "subject", "date", "due",
    "done", "value", "level", "holds",
]  # fmt: skip
NO_PUPIL_REGISTER, NO_PLANS, NO_GUARDS = 16, 11, 12
"""Schools (S17, S12, S13) that never send a pupils' register, key students' plans, or their guards' rota."""
READING = (date(2025, 4, 7), date(2025, 5, 4)), (date(2026, 4, 6), date(2026, 5, 3))
_CHANNELS = ("mailbox", "visit", "survey")


@dataclass(frozen=True)
class Ledgers:
    """What is on file in a term.

    Attributes
    ----------
    school : DataFrame
        Rows of schools' ledgers, columns :data:`RECORD`.
    pupils : DataFrame
        ``person`` and a column ``kind[.item][.month_N]`` for each thing ticked (True, False, None).
    plans : DataFrame
        ``person, level`` (category), ``date``, ``plan, archive``.
    guards : DataFrame
        ``school_index, date, arrival, departure``: parents on duty.
    reading : DataFrame
        ``person, date, minutes``.
    teaching, postings, tasks, mentors, units : DataFrame
        Duties, and what school communities send; teachers by name.
    """

    school: pd.DataFrame
    pupils: pd.DataFrame
    plans: pd.DataFrame
    guards: pd.DataFrame
    reading: pd.DataFrame
    teaching: pd.DataFrame
    postings: pd.DataFrame
    tasks: pd.DataFrame
    mentors: pd.DataFrame
    units: pd.DataFrame


def draw_ledgers(
    seed: int, district: District, term: int, since: np.ndarray, events: pd.DataFrame
) -> Ledgers:
    """Draw all of a term; ``since`` (P, categories) says who is a key student from when."""
    listed = district.active(term) & ~district.ambiguous & ~district.lost[term]
    return Ledgers(
        school=_school_rows(seed, district, term, events),
        pupils=_pupils(seed, district, term, np.flatnonzero(listed)),
        plans=_plans(seed, district, term, since, listed),
        guards=_guards(seed, district, term),
        reading=_reading(seed, district, term, listed),
        teaching=_teaching(seed, district, term),
        postings=communities.posting_rows(seed, district, term),
        tasks=communities.task_rows(seed, district, term),
        mentors=communities.mentor_pairs(seed, district),
        units=communities.unit_records(seed, district, term),
    )


# ---- a school's ledger ---------------------------------------------------------------------------------


def _school_rows(seed: int, district: District, term: int, events: pd.DataFrame) -> pd.DataFrame:
    effort = care(seed, district)
    here = np.unique(district.class_of[term][district.active(term)])
    school = district.classes["school_index"].to_numpy()
    rows = []
    for index, stage in enumerate(district.schools["stage"]):
        rng = stream(seed, "ledger", term, index)
        own = here[school[here] == index]
        grades = range(FIRST_GRADE[stage], FIRST_GRADE[stage] + N_GRADES[stage])
        kept = float(effort[index])
        if term % 2 == 0:
            rows += [{"school_index": index, **row} for row in _standing(rng, kept, own, grades, stage)]
        rows += [{"school_index": index, **row} for row in _of_term(rng, term, kept, own)]
        if term % 2 == 1:
            rows += [{"school_index": index, **row} for row in _judged(seed, rng, district, own, grades)]
    rows += _represented(seed, events)
    return pd.DataFrame(rows).reindex(columns=RECORD)


def _standing(
    rng: np.random.Generator, kept: float, own: np.ndarray, grades: range, stage: str
) -> Iterator[dict]:
    """What is set up in September: rules and bodies, committees at three levels, groups, volunteers."""
    for item in FLAGS:
        yield {"kind": "flag", "item": item, "holds": bool(rng.random() < kept + 0.03)}
    for item in ("place", "sign", "rules", "charter"):
        yield {"kind": "committee_flag", "item": item, "holds": bool(rng.random() < kept + 0.02)}
    yield from _committee(rng, kept, {"level": "school"}, (3, 3), (5, 7))
    for grade in grades:
        if rng.random() < kept + 0.05:
            yield from _committee(rng, kept, {"level": "grade", "grade": grade}, (2, 3), (2, 5))
    for place in own:
        about = {"level": "class", "class_index": int(place)}
        yield from _committee(rng, kept, about, (2, 2), (2, 4))
        if rng.random() < kept + 0.03:
            yield {"kind": "committee", **about, "item": "representative", "value": 1.0}
    for item in ("canteen", "dormitory", "teaching"):
        if stage == "junior" or item != "dormitory":
            short = rng.random() > kept
            yield {
                "kind": "supervision_group",
                "item": item,
                "value": 2.0 if short else 3.0,
                "level": "2" if short else "3",
            }
    yield {"kind": "volunteers", "value": float(rng.integers(15, 80)) if rng.random() < kept + 0.05 else 0.0}


def _committee(
    rng, kept: float, about: dict, deputies: tuple[int, int], members: tuple[int, int]
) -> Iterator[dict]:
    short = rng.random() > kept
    sizes = {
        "head": 1,
        "deputy": int(rng.integers(deputies[0], deputies[1] + 1)) - short,
        "member": int(rng.integers(members[0], members[1] + 1)),
    }
    for item, size in sizes.items():
        yield {"kind": "committee", **about, "item": item, "value": float(size)}


def _of_term(rng: np.random.Generator, term: int, kept: float, own: np.ndarray) -> Iterator[dict]:
    """What every term brings: plans and volunteers of classes, money, opinions with their replies, breaches."""
    when = TERMS[term]
    span = open_days(when, when.landmark, when.exposure_end, weekdays=True)
    n_months = len(months(term))
    for place in own:
        yield {
            "kind": "plan_month",
            "class_index": int(place),
            "value": float(n_months if rng.random() < kept else n_months - 2),
        }
        yield {
            "kind": "class_volunteers",
            "class_index": int(place),
            "holds": bool(rng.random() < kept + 0.02),
        }
    yield {
        "kind": "budget",
        "value": float(rng.choice([2600, 3000, 4000]) if rng.random() < kept else 1200),
        "date": when.end,
    }
    n = int(rng.integers(0, 8))
    for nth in range(n):
        day = rng.choice(span).astype(object)
        prompt = rng.random() < kept
        replied = day + timedelta(days=int(rng.integers(0, 4) if prompt else rng.integers(4, 15)))
        yield {
            "kind": "opinion", "class_index": int(rng.choice(own)), "item": str(rng.choice(["canteen", "homework", "safety", "traffic"])),
            "level": str(rng.choice(_CHANNELS)), "date": day, "done": replied if nth % 6 != 5 or prompt else None,
            "holds": bool(rng.random() < 0.2),
        }  # fmt: skip
    if n == 0:
        yield {"kind": "opinion", "value": 0.0}
    yield {"kind": "fee_violation", "value": float(rng.random() < 0.01), "date": when.end}
    if rng.random() < 0.04:
        yield {
            "kind": "score_breach",
            "class_index": int(rng.choice(own)),
            "value": 1.0,
            "date": rng.choice(span).astype(object),
        }
    else:
        yield {"kind": "score_breach", "value": 0.0}
    for item in ("tour", "lesson", "talk", "lunch", "suggestion"):
        yield {
            "kind": "resident_day",
            "item": item,
            "date": span[len(span) // 2].astype(object),
            "holds": bool(rng.random() < kept + 0.02),
        }


def _judged(seed: int, rng, district: District, own: np.ndarray, grades: range) -> Iterator[dict]:
    """In spring the grades are marked by four criteria, and seven teachers judge three entries."""
    for grade in grades:
        for item in ("attendance", "activity", "volunteering", "feedback"):
            yield {
                "kind": "grade_criterion",
                "grade": grade,
                "item": item,
                "level": str(rng.choice(["A", "B", "C"], p=[0.6, 0.3, 0.1])),
            }
    staff = teachers.of_classes(seed, district)[own].ravel()
    judges = list(dict.fromkeys(staff))[:7]
    for item in ("entry_1", "entry_2", "entry_3"):
        for judge in judges:
            yield {
                "kind": "jury",
                "item": item,
                "teacher": judge,
                "value": float(rng.integers(780, 990)) / 10,
            }


def _represented(seed: int, events: pd.DataFrame) -> list[dict]:
    """Who came to a class meeting in a family's name."""
    rng = stream(seed, "represented", *events["term"].unique()[:1])
    rows = []
    meetings = events[(events["kind"] == "parent_meeting") & (events["topic"] == "期中家长会")]
    for each in meetings.itertuples():
        total = int(each.n_present)
        old, other = int(rng.binomial(total, 0.18)), int(rng.binomial(total, 0.02))
        for item, value in (("parent", total - old - other), ("grandparent", old), ("other", other)):
            rows.append(
                {
                    "school_index": each.school_index,
                    "class_index": each.class_index,
                    "kind": "represented",
                    "item": item,
                    "value": float(value),
                    "date": each.date,
                }  # fmt: skip
            )
    return rows


# ---- registers of pupils and families ------------------------------------------------------------------


def _pupils(seed: int, district: District, term: int, listed: np.ndarray) -> pd.DataFrame:
    """One row a child; what a school doesn't ask for has no entries."""
    rng = stream(seed, "pupils", term)
    school = district.school_of(term)[listed]
    place = district.class_of[term][listed]
    effort = care(seed, district)[school]
    sends = school != NO_PUPIL_REGISTER
    keen = (rng.random(len(district.classes)) < 0.8)[place]
    first_class = district.classes["number"].to_numpy()[place] == 1

    def ticks(asked: np.ndarray, chance) -> np.ndarray:
        made = np.full(len(listed), None, dtype=object)
        made[asked & sends] = (rng.random(len(listed)) < chance)[asked & sends]
        return made

    everybody = np.full(len(listed), True)
    almost = np.where(keen, 1.0, effort)
    columns: dict[str, np.ndarray] = {"person": listed}
    if term % 2 == 0:
        columns["health_record"] = ticks(everybody, np.where(effort > 0.9, 1.0, effort))
        for item in ("study", "behaviour", "morals"):
            columns[f"study_plan.{item}"] = ticks(school % 2 == 0, almost)
    columns["awareness"] = ticks(everybody, np.minimum(almost, 0.995))
    columns["growth.term_summary"] = ticks(everybody, almost)
    for month in (int(each[0].astype(object).month) for each in months(term)):
        columns[f"contact_card.month_{month}"] = ticks(school % 4 <= 1, np.minimum(almost, 0.97))
        columns[f"growth.monthly_note.month_{month}"] = ticks(first_class & (school % 3 == 1), almost)
    made = pd.DataFrame(columns)
    return made[made.drop(columns="person").notna().any(axis=1)].reset_index(drop=True)


def _plans(seed: int, district: District, term: int, since: np.ndarray, listed: np.ndarray) -> pd.DataFrame:
    """Plan and archive of each key student and category; two in a hundred are missing where care is usual."""
    rng = stream(seed, "plans", term)
    person, category = np.nonzero(~np.isnat(since) & listed[:, None])
    school = district.school_of(term)[person]
    keep = school != NO_PLANS
    person, category, school = person[keep], category[keep], school[keep]
    effort = care(seed, district)[school]
    when = TERMS[term]
    day = np.datetime64(when.landmark) + rng.integers(0, 28, len(person))
    return pd.DataFrame(
        {
            "person": person,
            "level": np.array(CATEGORIES, dtype=object)[category],
            "date": day,
            "plan": rng.random(len(person)) < np.where(effort > 0.93, 1.0, effort),
            "archive": rng.random(len(person)) < np.where(effort > 0.97, 1.0, effort),
        }
    )


def _guards(seed: int, district: District, term: int) -> pd.DataFrame:
    rng = stream(seed, "guards", term)
    when = TERMS[term]
    span = open_days(when, when.start, when.end, weekdays=True)
    asked = np.flatnonzero(
        (district.schools["stage"] == "primary").to_numpy() & (np.arange(len(district.schools)) != NO_GUARDS)
    )
    school, day = (each.ravel() for each in np.meshgrid(asked, span, indexing="ij"))
    empty = 1 - np.where(care(seed, district)[school] > 0.9, 0.995, 0.9)
    size = rng.integers(2, 6, (len(day), 2)) * (rng.random((len(day), 2)) > empty[:, None])
    return pd.DataFrame({"school_index": school, "date": day, "arrival": size[:, 0], "departure": size[:, 1]})


def _reading(seed: int, district: District, term: int, listed: np.ndarray) -> pd.DataFrame:
    """The spring's four weeks of reading together, grades 1 to 3: who joined, and the days and minutes told."""
    if term % 2 == 0:
        return pd.DataFrame(
            {
                "person": np.array([], dtype=int),
                "date": np.array([], "datetime64[D]"),
                "minutes": np.array([]),
            }
        )
    rng = stream(seed, "reading", term)
    grade = district.grade(term)
    who = np.flatnonzero(listed & (grade >= 1) & (grade <= 3) & (rng.random(len(listed)) < 0.6))
    span = days(*READING[term // 2])
    faith = 1 / (1 + np.exp(-1.4 - 0.8 * district.people["engagement"].to_numpy()[who]))
    told = rng.random((len(who), len(span))) < faith[:, None]
    row, day = np.nonzero(told)
    minutes = rng.choice([10.0, 15.0, 20.0, 25.0, 30.0, 40.0], len(row), p=[0.05, 0.1, 0.4, 0.2, 0.2, 0.05])
    return pd.DataFrame({"person": who[row], "date": span[day], "minutes": minutes})


def _teaching(seed: int, district: District, term: int) -> pd.DataFrame:
    """``teacher`` (name), ``school_index, class_index, subject, role``: class teachers, subject teachers and leaders."""
    here = np.unique(district.class_of[term][district.active(term)])
    staff = teachers.of_classes(seed, district)[here]
    school = district.classes["school_index"].to_numpy()[here]
    blocks = [
        pd.DataFrame(
            {
                "teacher": staff[:, 0],
                "school_index": school,
                "class_index": here,
                "subject": None,
                "role": "class_teacher",
            }
        )
    ]
    for nth, subject in enumerate(teachers.SUBJECTS):
        about = {"teacher": staff[:, nth], "school_index": school, "class_index": here, "subject": subject}
        blocks.append(pd.DataFrame({**about, "role": "subject_teacher"}))
    for index in np.unique(school):
        about = {
            "teacher": teachers.leaders(seed, index),
            "school_index": index,
            "class_index": -1,
            "subject": None,
        }
        blocks.append(pd.DataFrame({**about, "role": "leader"}))
    return pd.concat(blocks, ignore_index=True).drop_duplicates()
