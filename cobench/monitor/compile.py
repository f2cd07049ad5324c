"""A standard as one DuckDB query: numerator and denominator of every body that it is about."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import duckdb

from cobench.errors import StudyFileError
from cobench.monitor.periods import Slot, Span, term_slots
from cobench.monitor.units import LINKS, body_kind, unit_sql
from cobench.standard import Rows, Standard
from cobench.study import Term

# Events arrive in registers: a class's notes, a community's log, and the school's own. Who sent a register but no row
# of a kind did nothing of that kind; who didn't send it said nothing.
CLASS_REGISTER = ("bulletin", "theme_discussion", "call_round", "communication_review", "year_summary")
_CHILDREN = ("student", "key_student")
# Threads add up in another order each time, which moves the last digits of a sum: never over a threshold.
DIGITS = 6
_WITH_DATES = ("events", "contacts", "records", "checkins")


def count_sql(standard: Standard, span: Span, term: Term, as_of: date) -> str:
    """A query of ``body, n_all, n_units, n_met, n_unknown, n_beside, total``.

    ``n_all`` counts units (or rows) whether due yet or not, ``n_units`` those due, times the slots that are over.
    """
    slots = _slots(span, term, as_of)
    if standard.good:
        return _of_rows(standard, span).format_map(slots)
    return _of_units(standard, span).format_map(slots | {"unit": unit_sql(standard.unit, slots)})


def heard_sql(standard: Standard, span: Span, term: Term, as_of: date) -> str:
    """A query of the bodies that sent what the standard needs, nil returns included."""
    rows = standard.heard or standard.counts
    kind = body_kind(standard.unit)
    body = {"school": "r.school", "community": "r.unit", "district": "'district'"}[kind]
    if rows.table == "contacts":
        query = f"select distinct {body} as body from logs r where r.\"table\" = 'contacts' and r.term in ({{terms}})"
    else:
        where = rows.where if standard.heard else "true"
        narrowed = _register(rows, kind) if rows.table == "events" and not standard.heard else _kinds(rows)
        table = "sent" if rows.table == "records" and not standard.heard else rows.table
        query = (
            f"select distinct {body} as body from {table} r "
            f"where r.term in ({{terms}}) and {narrowed} and ({where})"
        )
    return query.format_map(_slots(span, term, as_of))


def unlogged_sql(standard: Standard, span: Span, term: Term, as_of: date) -> str:
    """A query of ``body, n``: units whose class's visit log never came in the period."""
    slots = _slots(span, term, as_of)
    logged = "select class_id from logs where \"table\" = 'contacts' and term in ({terms})"
    return (
        f"select u.body, count(*) as n from ({unit_sql(standard.unit, slots)}) u "
        f"anti join ({logged}) l using (class_id) where {standard.only} group by u.body"
    ).format_map(slots)


def check_sql(connection: duckdb.DuckDBPyConnection, standard: Standard, query: str, path: str) -> None:
    """Raise :class:`StudyFileError` where DuckDB can't make sense of an expression of ``standard``."""
    try:
        connection.execute(f"explain {query}")
    except duckdb.Error as error:
        said = str(error).splitlines()[0]
        raise StudyFileError(
            en=f"{path} {standard.id} can't be counted: {said}; check where, value, good and only",
            zh=f"{path} {standard.id} 无法计算：{said}；请检查 where、value、good、only",
        ) from None


def _of_units(standard: Standard, span: Span) -> str:
    slotted = bool(standard.every)
    matched, day = _matched(standard), "join slots s on s.day = r.date"
    if standard.every == "milestone":
        day = "cross join slots s"
    elif not (span.dated and standard.counts.table in _WITH_DATES):
        day = ""
    day, lists = (day, f", slots as ({_slot_rows(standard, span)})") if day else ("", "")
    groups = "u.body, u.id" + (", s.slot, s.bar" if slotted else "")
    bar = "s.bar" if standard.every == "milestone" else repr(float(standard.threshold))
    beside = f"bool_or({standard.beside})" if standard.beside else "false"
    total = standard.total or "count(*)"
    zero = {">=": standard.threshold <= 0, "<=": standard.threshold >= 0, "==": standard.threshold == 0}
    return f"""
with u as (select *, ({standard.ripe}) as ripe from ({{unit}}) u where {standard.only}){lists},
asked as (select body, count(*) as n_all, count(*) filter (ripe) * {len(span.slots)} as n_units from u group by body),
v as (
  select u.body, round(coalesce(({standard.value})::double, 0), {DIGITS}) {standard.op.replace("==", "=")} {bar} as met,
    {beside} as beside, ({total})::double as total
  from u join ({_rows(standard.counts, standard.unit)}) r on {matched} {day}
  where u.ripe and ({standard.counts.where}) group by {groups}
),
n as (
  select body, count(*) as n, count(*) filter (met) as met, count(*) filter (beside) as beside, round(sum(total), {DIGITS}) as total
  from v group by body
)
select a.body, a.n_all, a.n_units,
  coalesce(n.met, 0) + (a.n_units - coalesce(n.n, 0)) * {int(zero[standard.op])} as n_met,
  0 as n_unknown, coalesce(n.beside, 0) as n_beside, coalesce(n.total, 0) as total
from asked a left join n using (body)"""


def _of_rows(standard: Standard, span: Span) -> str:
    body = {"school": "r.school", "community": "r.unit"}[body_kind(standard.unit)]
    dated = span.dated and standard.counts.table in _WITH_DATES
    when = " and r.date between {start} and {stop}" if dated else ""
    rows = standard.counts
    return f"""
with g as (
  select {body} as body, ({standard.weight})::double as weight, ({standard.ripe}) as ripe, ({standard.good}) as good
  from {"facts" if rows.table == "records" else rows.table} r
  where r.term in ({{terms}}) and {_kinds(rows)} and ({rows.where}) and {body} is not null{when}
)
select body, round(sum(weight), {DIGITS}) as n_all, round(coalesce(sum(weight) filter (ripe), 0), {DIGITS}) as n_units,
  round(coalesce(sum(weight) filter (ripe and good), 0), {DIGITS}) as n_met,
  round(coalesce(sum(weight) filter (ripe and good is null), 0), {DIGITS}) as n_unknown, 0 as n_beside, count(*) as total
from g group by body"""


def _rows(rows: Rows, unit: str) -> str:
    """Rows of the kinds and terms; those of a school or grade stand for each of its classes, and a class for its grade."""
    table = "facts" if rows.table == "records" and unit not in _CHILDREN else rows.table
    plain = f"select r.* from {table} r where {_terms(rows)} and {_kinds(rows)}"
    if unit == "tier":
        tier = "case r.level when 'grade' then 'grade ' || r.grade when 'class' then 'class ' || r.class_id else 'school' end"
        return f"select r.*, {tier} as tier from ({plain}) r"
    if unit not in ("class", "grade"):
        return plain
    classes = "(select school, class_id, any_value(grade) as grade from roster group by school, class_id)"
    if unit == "class":
        return (
            f"with p as ({plain}) select p.*, p.class_id as of_class from p where p.class_id is not null "
            f"union all select p.*, c.class_id from p join {classes} c on p.school = c.school and p.grade = c.grade "
            "where p.class_id is null "
            f"union all select p.*, c.class_id from p join {classes} c on p.school = c.school "
            "where p.class_id is null and p.grade is null"
        )
    return (
        f"with p as ({plain}) select p.*, c.grade as of_grade from p join {classes} c on p.class_id = c.class_id "
        "union all select p.*, p.grade from p where p.class_id is null and p.grade is not null "
        "union all select p.*, c.grade from p join (select distinct school, grade from roster) c "
        "on p.school = c.school where p.class_id is null and p.grade is null"
    )


def _matched(standard: Standard) -> str:
    return standard.on or LINKS[standard.unit]


def _terms(rows: Rows) -> str:
    return "true" if rows.table in ("postings", "tasks") else "r.term in ({terms})"


def _kinds(rows: Rows) -> str:
    return f"r.kind in ({_texts(rows.kinds)})" if rows.kinds else "true"


def _register(rows: Rows, body: str) -> str:
    """Whether an event stands in the register in which events of these kinds would stand."""
    if body == "community":
        return "r.unit is not null"
    of_class = f"r.kind in ({_texts(CLASS_REGISTER)})"
    return of_class if set(rows.kinds) & set(CLASS_REGISTER) else f"r.unit is null and not ({of_class})"


def _slot_rows(standard: Standard, span: Span) -> str:
    if standard.every == "milestone":
        held = [
            f"({i}, {_day(s.start)}, {_day(s.stop)}, {_day(s.first)}, {s.bar})"
            for i, s in enumerate(span.slots)
        ]
        listed = ", ".join(held) or "(0, null, null, null, null)"
        empty = "" if held else " where false"
        return f"select * from (values {listed}) s(slot, start, stop, first, bar){empty}"
    parts = [_slot_days(i, slot) for i, slot in enumerate(span.slots)] or [
        _slot_days(0, Slot(date.max, date.max, date.max)) + " where false"
    ]
    return " union all ".join(parts)


def _slot_days(i: int, slot: Slot) -> str:
    return (
        f"select d::date as day, {i} as slot, {_day(slot.start)} as start, {_day(slot.stop)} as stop, "
        f"{_day(slot.first)} as first, null::double as bar "
        f"from generate_series({_day(slot.start)}, {_day(slot.stop)}, interval 1 day) g(d)"
    )


def _slots(span: Span, term: Term, as_of: date) -> dict[str, str]:
    """What ``{...}`` stands for in the expressions of a standard."""
    return {
        "term": _texts([term.id]),
        "terms": _texts(span.terms),
        "as_of": _day(as_of),
        "start": _day(span.start),
        "stop": _day(span.stop),
        "year": str(term.start.year),
        "school_year": str(term.school_year),
        "term_months": str(len(term_slots(term, "month"))),
        "months": str(sum(slot.stop <= as_of for slot in term_slots(term, "month"))),
    }


def _texts(values: Iterable[str]) -> str:
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values) or "null"


def _day(day: date) -> str:
    return f"date '{day.isoformat()}'"
