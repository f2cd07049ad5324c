"""The table of hand-worked cases (cases.toml) as frames: a small district and the rows of a case."""

from __future__ import annotations

import itertools
import re
import tomllib
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import duckdb
import pandas as pd

from cobench.monitor.standards import judge
from cobench.monitor.units import lay_out, list_units
from cobench.study import Study, study_from
from cobench.tables import TABLES

HERE = Path(__file__).resolve().parent
STUDY_FILE = """
[study]
id = "small"
label = "small"
[[terms]]
id = "old"
start = 2025-02-17
end = 2025-07-04
[[terms]]
id = "t1"
start = 2025-09-01
end = 2026-01-23
holidays = [[2025-10-01, 2025-10-08], [2026-01-01, 2026-01-03]]
makeup_days = [2025-09-28, 2025-10-11]
[[terms]]
id = "t2"
start = 2026-03-02
end = 2026-07-10
[[sources]]
table = "outcomes"
files = "*.xlsx"
school = "column"
columns = {school = "s", student_name = "n"}
measures = {common = "m"}
[outcomes.common]
label = "common"
measure = "common"
test = "common"
[standards]
campaigns = {visits = [2025-09-01, 2025-12-31], reading = [2025-09-01, 2025-12-31]}
"""
SEATS = [("a1", "A", "A1", 1), ("a2", "A", "A1", 1), ("a3", "A", "A2", 2), ("b1", "B", "B1", 7)]
SQL = {
    "text": "varchar",
    "int": "bigint",
    "float": "double",
    "bool": "boolean",
    "date": "date",
    "time": "timestamp",
}
DATED = ("events", "contacts", "checkins")
FIRST, MONTHLY = date(2025, 9, 1), [date(2025, m, 15) for m in (9, 10, 11, 12)] + [date(2026, 1, 15)]


@dataclass(frozen=True)
class Case:
    """A hand-worked case: what is judged when, the rows, and what must come out."""

    standard: str
    verdict: str
    term: str
    as_of: date | None
    counts: str
    rows: str


def cases() -> list[Case]:
    """All cases of the table."""
    table = tomllib.loads((HERE / "cases.toml").read_text(encoding="utf-8"))
    return [_case(name, verdict, text) for name, each in table.items() for verdict, text in each.items()]


def _case(standard: str, verdict: str, text: str) -> Case:
    head, _, rows = text.partition(":")
    *when, counts = head.split()
    days = [date.fromisoformat(each) for each in when if "-" in each]
    terms = [each for each in when if "-" not in each]
    return Case(standard, verdict, (terms or ["t1"])[0], (days or [None])[0], counts, rows.strip())


@cache
def study() -> Study:
    """A study of three terms that dates its campaigns and sits a common test."""
    return study_from(tomllib.loads(STUDY_FILE), Path("small"))


class District:
    """A database that is laid out once and then filled for one case after the other."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(":memory:")
        for name, table in TABLES.items():
            columns = ", ".join(f'"{column}" {SQL[kind]}' for column, kind in table.columns.items())
            self.connection.execute(f"create table raw_{name} ({columns})")
        lay_out(self.connection, study(), study().term("t1"))
        self.filled: list[str] = []

    def judged(self, case: Case) -> pd.DataFrame:
        """What the standard of ``case`` says on its rows, by standard and body."""
        chosen = replace(study().standards, also=(case.standard,), as_of=case.as_of)
        return self.verdicts(replace(study(), standards=chosen), case.term, case.rows)

    def verdicts(self, of: Study, term: str, rows: str) -> pd.DataFrame:
        """Verdicts of the study's standards on rows as cases write them."""
        held = {name: given for name, given in written(rows, of.term(term)).items() if given}
        for name in self.filled:
            self.connection.execute(f"delete from raw_{name}")
        for name, given in held.items():
            columns = list(dict.fromkeys(column for row in given for column in row))
            marks = ", ".join(f"({', '.join('?' * len(columns))})" for _ in given)
            values = [row.get(column) for row in given for column in columns]
            named = ", ".join(f'"{column}"' for column in columns)
            self.connection.execute(f"insert into raw_{name} ({named}) values {marks}", values)
        self.filled = list(held)
        list_units(self.connection, of.term(term))
        return judge(self.connection, of, of.term(term)).set_index(["standard", "body"])


def written(rows: str, term) -> dict[str, list[dict]]:
    """Rows of every table: the small district and what ``rows`` adds to it."""
    found: dict[str, list[dict]] = {name: [] for name in TABLES}
    for name in ("old", "t1", "t2"):
        found["schools"] += [
            {"school": s, "stage": g, "term": name} for s, g in (("A", "primary"), ("B", "junior"))
        ]
    found["enrolments"] = [_seat(*seat, each) for each in {"t1", term.id} for seat in SEATS]
    found["memberships"] = [{"student": "a1", "term": each, "category": "c"} for each in ("t1", "t2")]
    parts = [part.split() for part in rows.split(";") if part.strip()]
    if ["bare"] not in parts:
        found["communities"] = [
            {"unit": u, "term": each, "kind": k, "school": s, "role": r, "stage": "primary",
             "valid_from": "2024-09-01", "valid_to": "2027-08-31"}
            for each in ("old", "t1", "t2")
            for u, k, s, r in (("K", "community", "A", "lead"), ("K", "community", "B", "member"),
                               ("P", "pair", "A", "lead"), ("P", "pair", "B", "partner"), ("L", "alliance", "A", "lead"))
        ]  # fmt: skip
    for words in parts:
        if words == ["bare"]:
            continue
        if words[0] == "seats":
            found["enrolments"] += [_seat(*seat, words[1].partition("=")[2]) for seat in SEATS]
        else:
            _add(found, words, term)
    return found


def _seat(student: str, school: str, class_id: str, grade: int, term: str) -> dict:
    return {
        "student": student,
        "term": term,
        "school": school,
        "class_id": class_id,
        "grade": grade,
        "status": "enrolled",
    }


def _add(found: dict, words: list[str], term) -> None:
    table, *rest = words
    given: dict[str, list[str]] = {}
    times = 1
    for word in rest:
        if re.fullmatch(r"x\d+", word):
            times = int(word[1:])
        elif word.startswith("@"):
            given["unit"] = [each.lstrip("@") for each in word.split(",")]
        elif "=" not in word:
            given["kind"] = [word]
        else:
            key, _, value = word.partition("=")
            given[key] = value.split(",")
    start = date.fromisoformat(given["date"][0]) if "date" in given and "weekly" in given else FIRST
    for key, step in (("weekly", 7), ("daily", 1)):
        if key in given:
            given["date"] = [str(start + timedelta(days=step * i)) for i in range(int(given.pop(key)[0]))]
    if "monthly" in given:
        given["date"] = [str(each) for each in MONTHLY[: int(given.pop("monthly")[0])]]
    if table in DATED and "date" not in given:
        given["date"] = ["2026-04-15" if term.id == "t2" else "2025-10-15"]
    if table == "logs":
        given = {"table": ["contacts"], "class_id": ["A1", "A2"], "term": [term.id]} | given
    lists = [each for each in given.values() if len(each) > 1]
    # "x1" after two lists of the same length: they go together, not crossed.
    paired = times == 1 and "x1" in rest and len(lists) > 1
    rows = (
        _paired(given)
        if paired
        else [dict(zip(given, each, strict=True)) for each in itertools.product(*given.values())]
    )
    for row in rows * times:
        number = len(found[table])
        day = row.get("date")
        base = {"school": "A", "term": _term_of(day) if day else term.id}
        base = {key: value for key, value in base.items() if key in TABLES[table].columns}
        if table in ("events", "records", "tasks"):
            base |= {{"events": "event", "records": "record", "tasks": "task"}[table]: f"{table}{number}"}
        if "unit" in row and table in ("events", "records"):
            base["school"] = None
        found[table].append(base | {key: _value(table, key, value) for key, value in row.items()})


def _paired(given: dict[str, list[str]]) -> list[dict]:
    n = max(map(len, given.values()))
    return [{key: each[i % len(each)] for key, each in given.items()} for i in range(n)]


def _term_of(day: str) -> str:
    return "old" if day < "2025-08-01" else "t1" if day < "2026-02-01" else "t2"


def _value(table: str, column: str, text: str) -> object:
    kind = TABLES[table].columns[column]
    if kind == "bool":
        return text == "true"
    return {"int": int, "float": float}.get(kind, str)(text)
