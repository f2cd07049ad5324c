"""The tables that standards count over, and who or what has to meet them, as DuckDB relations."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import duckdb
import pandas as pd

from cobench import store
from cobench.standard import Unit
from cobench.study import Study, Term
from cobench.tables import TABLES

DISTRICT = "district"
_UNITS_OF_COMMUNITIES = ("community", "lead", "member", "posted_teacher", "pair_subject")
_UNITS_OF_DISTRICT = ("district_stage", "district_school")
_USED = (
    "schools", "enrolments", "memberships", "contacts", "logs", "events", "records", "checkins", "teaching",
    "communities", "postings", "tasks", "responses", "outcomes",
)  # fmt: skip
_MEMORY = "1200MB"
_SQL_TYPES = {
    "date": "date", "time": "timestamp", "text": "varchar", "int": "bigint", "float": "double", "bool": "boolean",
}  # fmt: skip

# How a row r of events, records, ... belongs to a unit u. Classes, grades and tiers: see rows_for.
LINKS: dict[str, str] = {
    "school": "r.school = u.school",
    "tier": "r.school = u.school and r.tier = u.tier",
    "grade": "r.school = u.school and r.of_grade = u.grade",
    "class": "r.of_class = u.class_id",
    "student": "r.student = u.student",
    "key_student": "r.student = u.student",
    "stage": "r.school = u.school",
    "leader": "r.teacher = u.teacher",
    "guard_post": "r.school = u.school and r.item = u.item",
    "respondent": "r.student = u.id",
    "jury_entry": "r.school = u.school and r.item = u.item",
    "resident_day": "r.school = u.school and r.date = u.date",
    "community": "r.unit = u.unit",
    "lead": "r.unit = u.unit and r.school = u.school",
    "member": "r.unit = u.unit and r.school = u.school",
    "posted_teacher": "r.unit = u.unit and r.teacher = u.teacher",
    "pair_subject": "r.unit = u.unit and r.subject = u.subject",
    "district_stage": "r.stage = u.stage",
    "district_school": "r.school = u.school",
}

_UNITS: dict[str, str] = {
    "school": "select school as body, school as id, * from now_schools where taught",
    "grade": "select school as body, school || '/' || grade as id, school, grade from roster group by all",
    "class": "select school as body, class_id as id, school, class_id, any_value(grade) as grade "
    "from roster group by school, class_id",
    "student": "select school as body, student as id, * from roster",
    "key_student": "select school as body, student as id, * from roster semi join key_list using (student)",
    "stage": "select school as body, school || '/' || stage as id, school, stage from now_schools where taught",
    "tier": "select school as body, school as id, school, 'school' as tier from now_schools where taught "
    "union all select school, school || '/' || grade, school, 'grade ' || grade from roster group by all "
    "union all select school, class_id, school, 'class ' || class_id from roster group by all",
    "leader": "select school as body, teacher as id, school, teacher from teaching "
    "where term = {term} and role = 'leader' group by all",
    "guard_post": "select school as body, school || item as id, school, item from now_schools "
    "cross join (values ('arrival'), ('departure')) t(item) where taught",
    # Who answered is known by the child: column respondent says whether a parent, student or teacher did.
    "respondent": "select min(school) as body, student as id, min(school) as school from responses "
    "where term = {term} and value is not null and student is not null and regexp_matches(item, '^k[0-9]+$') "
    "group by student",
    "jury_entry": "select school as body, school || item as id, school, item from records "
    "where term in ({terms}) and kind = 'jury' group by all",
    "resident_day": "select school as body, school || date as id, school, date from facts "
    "where term in ({terms}) and kind = 'resident_day' group by all",
    "community": "select unit as body, unit as id, unit, any_value(kind) as kind, max(valid_to) as valid_to "
    "from communities where term = {term} group by unit",
    "lead": "select unit as body, unit || school as id, unit, school, kind, "
    "(select count(*) from communities c where c.unit = l.unit and c.term = {term} and c.role <> 'lead') as n_partners, "
    "(select count(*) from rises g where g.unit = l.unit) as n_ranked, "
    "(select max(g.rise) from rises g where g.unit = l.unit) as rise from communities l where term = {term} and role = 'lead'",
    "member": "select unit as body, unit || school as id, unit, school, kind, role, stage from communities "
    "where term = {term}",
    "posted_teacher": "select unit as body, teacher as id, unit, teacher, list(distinct kind) as kinds, "
    "min(valid_from) as since from postings "
    "group by unit, teacher",
    "pair_subject": "select unit as body, unit || t.subject as id, unit, t.subject, c.kind from tasks t "
    "join (select unit, any_value(kind) as kind from communities where term = {term} group by unit) c using (unit) "
    "where t.kind = 'offline_research' and t.subject is not null group by all",
    "district_stage": "select 'district' as body, stage as id, stage from now_schools where taught and stage is not null "
    "group by all",
    "district_school": "select 'district' as body, school as id, *, school in (select school from records "
    "where kind = 'needs_help' and term in ({terms}) and coalesce(holds, true)) as needs_help from now_schools where taught",
}


def body_kind(unit: Unit) -> str:
    """Whether verdicts on ``unit`` are those of a ``school``, a ``community`` or the ``district``."""
    if unit in _UNITS_OF_DISTRICT:
        return DISTRICT
    return "community" if unit in _UNITS_OF_COMMUNITIES else "school"


def unit_sql(unit: Unit, slots: Mapping[str, str]) -> str:
    """The units as a query: ``body`` (who gets the verdict), ``id`` and what rows are matched by."""
    return _UNITS[unit].format_map(slots)


@contextmanager
def stored(study: Study, term: Term) -> Iterator[duckdb.DuckDBPyConnection]:
    """The study's tables of all terms up to ``term``, where they lie, for :func:`cobench.monitor.standards.judge`."""
    terms = [each.id for each in study.terms_until(term.id)]
    with store.connect(study, views=False) as connection:
        connection.execute(f"set memory_limit = '{_MEMORY}'")
        connection.execute("set preserve_insertion_order = false")
        for name in _USED:
            relation = store.relation(study, name, terms)
            if relation is not None:
                connection.execute(f"create view raw_{name} as select * from {relation}")
        lay_out(connection, study, term)
        yield connection


@contextmanager
def of_frames(
    study: Study, term: Term, frames: Mapping[str, pd.DataFrame]
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Frames of canonical tables as :func:`stored` gives those of a study."""
    with duckdb.connect(":memory:") as connection:
        for name in _USED:
            if name in frames:
                connection.register("given", frames[name])
                connection.execute(f"create table raw_{name} as select * from given")
        lay_out(connection, study, term)
        yield connection


def lay_out(connection: duckdb.DuckDBPyConnection, study: Study, term: Term) -> None:
    """Views of the canonical tables over ``raw_...`` and the lists that units are made of."""
    held = {
        row[0] for row in connection.execute("select table_name from information_schema.tables").fetchall()
    }
    dated = [(each.id, each.start, each.end, each.school_year) for each in study.terms]
    connection.execute("create table terms (term varchar, starts date, stops date, school_year integer)")
    connection.executemany("insert into terms values (?, ?, ?, ?)", dated)
    measures = {each.measure for each in study.outcomes.values() if each.test == "common" and each.measure}
    connection.execute("create table common_measures (measure varchar)")
    if measures:
        connection.executemany(
            "insert into common_measures values (?)", [[each] for each in sorted(measures)]
        )
    for name in _USED:
        columns = set(connection.sql(f"from raw_{name}").columns) if f"raw_{name}" in held else set()
        source = f"from raw_{name}" if columns else "where false"
        connection.execute(f"create view typed_{name} as select {_typed(name, columns)} {source}")
    for name in _USED:
        connection.execute(f"create view {name} as {_view(name)}")
    list_units(connection, term)


def list_units(connection: duckdb.DuckDBPyConnection, term: Term) -> None:
    """Who is enrolled, which schools and key students there are in ``term``."""
    # One seat a child: who is listed twice counts once, in the class that comes first.
    connection.execute(
        "create or replace table roster as select student, min(school) as school, min(class_id) as class_id, "
        "any_value(grade order by class_id) as grade from enrolments "
        "where term = ? and status in ('enrolled', 'transferred_in') group by student",
        [term.id],
    )
    connection.execute(
        "create or replace table now_schools as select school, any_value(stage) as stage, "
        "school in (select school from roster) as taught from schools where term = ? group by school",
        [term.id],
    )
    # Most records are about children; what the rest and the question who sent what need is small.
    connection.execute("create or replace table facts as select * from records where student is null")
    connection.execute(
        "create or replace table sent as select distinct school, unit, kind, term from records"
    )
    # Ranks that a partner rose since last year: the newest of each year, 1 the best.
    connection.execute(
        "create or replace table rises as with ranked as (select unit, school, school_year, arg_max(value, (term, date)) "
        "as place from facts where kind = 'community_score' and item = 'rank' and value is not null group by all) "
        "select n.unit, n.school, b.place - n.place as rise from ranked n join ranked b using (unit, school) "
        "join communities c using (unit, school) where n.school_year = ? and b.school_year = ? - 1 "
        "and c.term = ? and c.role <> 'lead'",
        [term.school_year, term.school_year, term.id],
    )
    connection.execute(
        "create or replace table key_list as select distinct student from memberships where term = ? "
        "and coalesce(valid_from, ?) <= ? and coalesce(valid_to, ?) >= ?",
        [term.id, term.end, term.end, term.end, term.start],
    )


def _view(name: str) -> str:
    if name == "records":
        # A record without a day belongs to the year in which its term began.
        return (
            "select r.* replace (coalesce(r.date, r.done, t.starts) as date), t.school_year "
            "from typed_records r left join terms t using (term)"
        )
    if name in ("postings", "tasks"):
        # Listed again in each term's file: the newest says how things stand.
        key = {"postings": "r.teacher, r.unit, r.to_school, r.kind, r.valid_from", "tasks": "r.task"}[name]
        return (
            f"select r.* from typed_{name} r left join terms t using (term) "
            f"qualify row_number() over (partition by {key} order by t.starts desc) = 1"
        )
    if name == "outcomes":
        # Which schools have results of a common test, in which terms.
        return (
            "select c.unit, e.school, o.term, o.measure, count(*) as n from typed_outcomes o "
            "join common_measures using (measure) join typed_enrolments e using (student, term) "
            "join (select distinct unit, school from typed_communities) c using (school) "
            "where o.value is not null group by all"
        )
    return f"select * from typed_{name}"


def _typed(name: str, held: Collection[str]) -> str:
    """All columns of a table as DuckDB types; those that are stored without come out missing."""
    typed = ((column, _SQL_TYPES[kind]) for column, kind in TABLES[name].columns.items())
    return ", ".join(
        f'"{column}"::{kind} as "{column}"' if column in held else f'null::{kind} as "{column}"'
        for column, kind in typed
    )
