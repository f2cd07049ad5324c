"""What ledgers and registers become as canonical tables."""

from __future__ import annotations

import calendar
from datetime import date

import numpy as np
import pandas as pd

from cobench.demo import communities, teachers
from cobench.demo.calendar import TERMS
from cobench.demo.district import District
from cobench.demo.ledger import RECORD, Ledgers
from cobench.study import Term


def ledger_tables(district: District, term: int, held: Ledgers) -> dict[str, pd.DataFrame]:
    """Tables ``records, checkins, teaching, communities, postings`` and ``tasks`` of a term, teachers as school and name."""
    when = TERMS[term]
    parts = [held.school, _melted(held.pupils, when), _plan_records(held.plans), _guard_records(held.guards)]
    parts += [held.mentors.assign(kind="mentor_pair"), held.units]
    records = pd.concat([part.reindex(columns=RECORD) for part in parts if len(part)], ignore_index=True)
    records = _placed(district, term, records)
    records["record"] = [f"{when.id}-{number}" for number in range(len(records))]
    places = district.class_of[term][held.reading["person"].to_numpy()]
    checkins = held.reading.assign(
        class_index=places, school_index=district.school_of(term)[held.reading["person"]]
    )
    duties = _placed(district, term, held.teaching).assign(
        valid_from=np.datetime64(when.start), valid_to=np.datetime64(when.end)
    )
    texts = {
        name: duties[name].astype("object").where(duties[name].notna(), "")
        for name in ("class_id", "subject")
    }
    codes = np.append(district.schools["school"].to_numpy(dtype=object), None)
    posted = held.postings
    ends = {name: codes[posted[name].to_numpy(dtype=int)] for name in ("from_school", "to_school")}
    named = teachers.identity(
        district, posted["from_school"].to_numpy(dtype=int), posted["teacher"].to_numpy()
    )
    return {
        "records": records,
        "checkins": _placed(district, term, checkins),
        "teaching": duties.assign(**texts),
        "communities": communities.community_rows(district, term),
        "postings": posted.assign(term=when.id, teacher=named, **ends),
        "tasks": held.tasks.assign(term=when.id),
    }


def _placed(district: District, term: int, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the ids of their school, class, child and teacher."""
    school, place, person = (
        rows[name].fillna(-1).to_numpy(dtype=int) if name in rows else np.full(len(rows), -1)
        for name in ("school_index", "class_index", "person")
    )
    place = np.where(person >= 0, district.class_of[term][person], place)
    school = np.where(person >= 0, district.school_of(term)[person], school)
    made = rows.assign(
        term=TERMS[term].id,
        school=np.append(district.schools["school"].to_numpy(dtype=object), None)[school],
        class_id=np.append(district.classes["class_id"].to_numpy(dtype=object), None)[place],
        student=np.append(district.people["student"].to_numpy(dtype=object), None)[person],
    )
    if "teacher" not in rows:
        return made
    known = rows["teacher"].notna().to_numpy()
    who = np.full(len(rows), None, dtype=object)
    who[known] = teachers.identity(district, school[known], rows["teacher"].to_numpy()[known])
    return made.assign(teacher=who)


def _melted(pupils: pd.DataFrame, when) -> pd.DataFrame:
    blocks = []
    for name in pupils.columns.drop("person"):
        kind, *parts = name.split(".")
        month = int(parts.pop().removeprefix("month_")) if parts and parts[-1].startswith("month_") else None
        own = pupils.loc[pupils[name].notna(), ["person", name]]
        blocks.append(
            pd.DataFrame(
                {
                    "person": own["person"],
                    "kind": kind,
                    "item": parts[0] if parts else None,
                    "date": _month_end(when, month) if month else None,
                    "holds": own[name],
                }
            )
        )
    return pd.concat(blocks, ignore_index=True) if blocks else pd.DataFrame(columns=RECORD)


def _month_end(when: Term, month: int) -> date:
    year = when.start.year + (month < when.start.month)
    return min(date(year, month, calendar.monthrange(year, month)[1]), when.end)


def _plan_records(plans: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(
        [plans.assign(kind=kind, holds=plans[kind]) for kind in ("plan", "archive")], ignore_index=True
    )


def _guard_records(guards: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(
        [
            guards.assign(kind="guard_slot", item=item, value=guards[item].astype(float))
            for item in ("arrival", "departure")
        ],
        ignore_index=True,
    )
