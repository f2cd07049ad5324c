"""School communities 教共体: who belongs to which, who is posted where, what was planned and what was held."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pandas as pd

from cobench.demo import teachers
from cobench.demo.calendar import TERMS, after, open_days, stream
from cobench.demo.district import District
from cobench.demo.names import invent_names

# Kind, and how many schools: 17 of a district's 20.
_UNITS = (("pair", 2), ("pair", 2), ("community", 3), ("community", 4), ("alliance", 4), ("district_pair", 2))
_PER_TERM = {
    "pair": {"sync_lesson": 6, "online_research": 2, "online_course": 1, "student_exchange": 1, "media_report": 1},
    "community": {
        "community_meeting": 2, "lesson_exchange": 1, "weak_subject": 1, "research": 1, "quality_meeting": 2,
        "homework_workshop": 3, "teaching_contest": 1, "sync_lesson": 12, "online_research": 5, "offline_research": 3,
    },
    "alliance": {"community_meeting": 1, "research": 1},
    "district_pair": {"sync_lesson": 3, "community_meeting": 1},
}  # fmt: skip
_TASKS = {
    "sync_lesson": 5,
    "online_research": 2,
    "offline_research": 1,
    "student_exchange": 1,
    "mentor_activity": 1,
}
_MILESTONES = {0: ((9, 30), (10, 31)), 1: ((3, 31), (6, 30))}


def units(district: District) -> pd.DataFrame:
    """Schools of each unit: ``unit, kind, school_index, role, valid_from, valid_to``; each school is in one at most."""
    n = len(district.schools) - int((district.schools["stage"] == "kindergarten").any())
    rows, first = [], 0
    for number, (kind, size) in enumerate(_UNITS, start=1):
        if first + size > n:
            break
        start = date(2023, 9, 1) if number % 2 else date(2024, 3, 1)
        years = 2 if number == 2 else 3
        stop = date(start.year + years, start.month, 1) - timedelta(days=1)
        for place in range(size):
            role = "lead" if place == 0 else "partner" if kind in ("pair", "district_pair") else "member"
            rows.append((f"JGT{number:02d}", kind, first + place, role, start, stop))
        first += size
    return pd.DataFrame(rows, columns=["unit", "kind", "school_index", "role", "valid_from", "valid_to"])


def community_rows(district: District, term: int) -> pd.DataFrame:
    """Canonical table ``communities`` of a term."""
    found = units(district)
    schools = district.schools.iloc[found["school_index"]]
    return found.assign(
        school=schools["school"].to_numpy(), stage=schools["stage"].to_numpy(), term=TERMS[term].id
    )


def unit_events(seed: int, district: District, term: int) -> pd.DataFrame:
    """What units held in a term, columns of :func:`cobench.demo.more_events.all_events`."""
    rows = []
    for unit, own in units(district).groupby("unit"):
        rng = stream(seed, "unit events", term, unit)
        rows += [{"unit": unit, "school_index": -1, **row} for row in _of_unit(rng, term, unit, own)]
    made = pd.DataFrame(
        rows, columns=["unit", "school_index", "kind", "date", "topic", "subject", "n_present"]
    )
    return made.assign(class_index=-1, register="unit").astype({"school_index": int})


def _of_unit(rng: np.random.Generator, term: int, unit: str, own: pd.DataFrame) -> Iterator[dict]:
    when = TERMS[term]
    days = open_days(when, after(when.start), when.exposure_end, weekdays=True)
    kind = own["kind"].iloc[0]
    lazy = unit in ("JGT02", "JGT04")

    def held(what: str, n: int, **more) -> Iterator[dict]:
        for day in rng.choice(days, min(n, len(days)), replace=False):
            yield {"kind": what, "date": day, "topic": "", "n_present": int(rng.integers(10, 45)), **more}

    for what, n in _PER_TERM[kind].items():
        if what == "media_report" and rng.random() < 0.5:
            continue
        yield from held(what, max(n - 1, 0) if lazy else n)
    if kind == "pair" and term % 2 == 1:
        april = days[days.astype("datetime64[M]") == np.datetime64(f"{when.start.year}-04")]
        for position, subject in enumerate(("chinese", "math", "english")):
            if not (lazy and subject == "english"):
                yield {
                    "kind": "offline_research",
                    "date": april[3 * position],
                    "topic": "",
                    "subject": subject,
                }
    for number in range(1, 4) if kind == "pair" else range(1, 3) if kind == "community" else ():
        yield from held(
            "mentor_activity", 3 if not lazy or number == 1 else 2, topic=f"MP{unit[-2:]}{number}"
        )
    if kind == "community":
        for school in own.loc[own["role"] == "member", "school_index"]:
            for row in held("lead_principal", 1 if lazy else 2):
                yield {**row, "school_index": int(school)}
    if kind in ("community", "district_pair") and term % 2 == 1:
        march = days[days.astype("datetime64[M]") == np.datetime64(f"{when.start.year}-03")]
        yield {"kind": "assessment", "date": rng.choice(march), "topic": "", "subject": "annual"}


def posting_rows(seed: int, district: District, term: int) -> pd.DataFrame:
    """Teachers posted within units: columns of table ``postings``, ``teacher`` a name and schools as rows."""
    rows, when = [], TERMS[term]
    year = when.school_year
    whole = (date(year, 9, 1), date(year + 1, 7, 10))
    for unit, own in units(district).groupby("unit"):
        lead = int(own.loc[own["role"] == "lead", "school_index"].iloc[0])
        others = own.loc[own["role"] != "lead", "school_index"].to_list()
        names = invent_names(stream(seed, "posted", unit), np.arange(12))
        kind, few = own["kind"].iloc[0], unit in ("JGT02", "JGT04")
        about = {"unit": unit, "days": np.nan, "hours": np.nan, "n_events": None, "passed": None}
        out, back = (
            {**about, "from_school": lead, "to_school": others[0]},
            {**about, "from_school": others[0], "to_school": lead},
        )
        if kind in ("community", "district_pair"):
            stop = date(year + (1 if few else 2), 8, 31) if not few else date(year + 1, 1, 31)
            rows.append(
                {**out, "teacher": names[0], "kind": "leader", "valid_from": whole[0], "valid_to": stop}
            )
            for nth in range(2 if few else 4):
                to = others[nth % len(others)]
                taught = 150.0 if few else 205.0
                rows.append(
                    {
                        **out,
                        "to_school": to,
                        "teacher": names[1 + nth],
                        "kind": "backbone",
                        "valid_from": whole[0],
                        "valid_to": whole[1],
                        "days": taught,
                    }
                )
            rows.append(
                {
                    **back,
                    "teacher": names[6],
                    "kind": "rotation",
                    "valid_from": whole[0],
                    "valid_to": whole[1],
                }
            )
            rows.append(
                {
                    **out,
                    "teacher": names[7],
                    "kind": "online",
                    "valid_from": when.start,
                    "valid_to": when.end,
                    "hours": 60.0 if few else 110.0,
                }
            )
            rows.append(
                {
                    **out,
                    "teacher": names[8],
                    "kind": "studio",
                    "valid_from": when.start,
                    "valid_to": when.end,
                    "n_events": 9,
                    "passed": True,
                }
            )
        if kind == "pair":
            days = 12.0 if few else 22.0
            start = when.start + timedelta(days=21)
            rows.append(
                {
                    **back,
                    "teacher": names[9],
                    "kind": "trainee",
                    "valid_from": start,
                    "valid_to": start + timedelta(days=13 if few else 30),
                    "days": days,
                }
            )
    columns = [
        "teacher",
        "unit",
        "from_school",
        "to_school",
        "kind",
        "valid_from",
        "valid_to",
        "days",
        "hours",
        "n_events",
        "passed",
    ]
    return pd.DataFrame(rows, columns=columns)


def task_rows(seed: int, district: District, term: int) -> pd.DataFrame:
    """Tasks of pairs that fall due in a term: table ``tasks``, one row a task; a slow pair finishes late, some never."""
    when, rows = TERMS[term], []
    year = when.start.year
    for unit, own in units(district).groupby("unit"):
        if own["kind"].iloc[0] != "pair":
            continue
        rng = stream(seed, "tasks", term, unit)
        slow = unit == "JGT02"
        planned = [kind for kind, n in _TASKS.items() for _ in range(n)]
        half = planned[: len(planned) * 6 // 10] if term % 2 else planned[len(planned) * 6 // 10 :]
        for number, kind in enumerate(half):
            month, day = _MILESTONES[term % 2][0 if number < (4 if term % 2 else 2) else 1]
            due = date(year, month, day)
            done = due + timedelta(days=int(rng.integers(1, 30) if slow else -rng.integers(0, 12)))
            open_still = slow and rng.random() < 0.3
            done = None if open_still else max(done, when.start)
            rows.append(
                (
                    f"{unit}-{year}-{'AB'[term % 2]}{number + 1:02d}",
                    unit,
                    kind,
                    "math" if kind == "offline_research" else None,
                    1.0,
                    float(done is not None),
                    due,
                    done,
                )
            )
    return pd.DataFrame(
        rows, columns=["task", "unit", "kind", "subject", "planned", "done", "due", "done_on"]
    )


def mentor_pairs(seed: int, district: District) -> pd.DataFrame:
    """``unit, item, school_index, teacher`` of each pair of mentor and mentored: the mentor."""
    rows = []
    for unit, own in units(district).groupby("unit"):
        n = {"pair": 3, "community": 2}.get(own["kind"].iloc[0], 0)
        lead = int(own.loc[own["role"] == "lead", "school_index"].iloc[0])
        staff = teachers.of_classes(seed, district)[(district.classes["school_index"] == lead).to_numpy()]
        rows += [(unit, f"MP{unit[-2:]}{nth + 1}", lead, staff[nth % len(staff), 1]) for nth in range(n)]
    return pd.DataFrame(rows, columns=["unit", "item", "school_index", "teacher"])


def unit_records(seed: int, district: District, term: int) -> pd.DataFrame:
    """Agreements, scores, reports, evidence and schools that need help: columns of table ``records``."""
    when, rows = TERMS[term], []
    year = when.school_year
    rng = stream(seed, "unit records", term)
    of_units = units(district)
    for unit, own in of_units.groupby("unit"):
        first = own.iloc[0]
        rows.append(
            {"unit": unit, "kind": "agreement", "date": first["valid_from"], "due": first["valid_to"]}
        )
        judged = own["kind"].iloc[0] in ("community", "district_pair")
        late = unit in ("JGT02", "JGT04")
        if term % 2 == 0:
            for item, due in (("scheme", date(year, 9, 1)), ("party_work", date(year + 1, 1, 31))):
                done = due + timedelta(days=9 if late else -int(rng.integers(1, 8)))
                rows.append({"unit": unit, "kind": "report", "item": item, "due": due, "done": done})
            continue
        due = date(year + 1, 7, 31)
        rows.append(
            {"unit": unit, "kind": "report", "item": "summary", "due": due, "done": due - timedelta(days=25)}
        )
        for place, school in enumerate(own["school_index"] if judged else ()):
            score = 88.0 - 2 * place + round(float(rng.normal(0, 2)), 1)
            about = {"unit": unit, "school_index": school, "kind": "community_score"}
            rows.append({**about, "item": "score", "value": round(score, 1)})
            rank = 2 + 3 * place + (7 if term == 1 and place == 1 and unit == "JGT03" else 0)
            rows.append({**about, "item": "rank", "value": float(rank)})
        if judged:
            rows.append(
                {"unit": unit, "kind": "evidence", "item": "F309", "holds": not late, "done": when.end}
            )
        for subject in ("feature", "teachers", "students"):
            rows.append(
                {
                    "unit": unit,
                    "kind": "evidence",
                    "item": "F1601",
                    "subject": subject,
                    "holds": not late,
                    "done": when.end,
                }
            )
    for index in (1, 3, 5, len(district.schools) - 2):
        if index < len(district.schools):
            rows.append({"school_index": index, "kind": "needs_help", "holds": True})
    return pd.DataFrame(rows).drop_duplicates()
