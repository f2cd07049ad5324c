"""Standards as data: count over the tidy tables, compare, and say met, not met, not yet due or no data."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache, lru_cache
from importlib import resources

import duckdb
import pandas as pd

from cobench.declared import build, not_allowed
from cobench.errors import StudyFileError
from cobench.monitor.compile import check_sql, count_sql, heard_sql, unlogged_sql
from cobench.monitor.periods import Span, span_of
from cobench.monitor.units import DISTRICT, body_kind, of_frames
from cobench.standard import Standard, Standards
from cobench.study import Study, Term

VERDICTS = ("met", "not_met", "not_yet_due", "no_data")
COUNTED = "counted"
FILES = (
    "district_plan",
    "county_campaign",
    "class_plan",
    "parent_school",
    "plan_collection",
    "plan_collection_communities",
)
COLUMNS = [
    "standard",
    "profile",
    "kind",
    "body",
    "school",
    "community",
    "term",
    "period",
    "unit",
    "threshold",
    "n_units",
    "n_met",
    "n_unknown",
    "n_beside",
    "n_asked",
    "total",
    "due",
    "verdict",
]
# Units that are there whether or not anything was sent: a school without them isn't asked.
_STRUCTURAL = ("school", "tier", "grade", "class", "student", "key_student", "stage", "guard_post")
_CHILDREN = ("student", "key_student")
_HAPPENED = ("events", "contacts", "checkins", "tasks")  # rather than on file
_CLOSE = 1e-9


@dataclass(frozen=True)
class _File:
    standards: tuple[Standard, ...] = field(default=())


@cache
def bundled_standards() -> tuple[Standard, ...]:
    """The standards that cobench ships."""
    folder = resources.files("cobench.monitor").joinpath("profiles")
    texts = [folder.joinpath(f"{name}.toml").read_text(encoding="utf-8") for name in FILES]
    return tuple(each for text in texts for each in build(_File, tomllib.loads(text), "").standards)


def known_standards(chosen: Standards) -> tuple[Standard, ...]:
    """The standards that cobench ships and the study's own.

    Raises
    ------
    StudyFileError
        Where an id is declared twice, ``implies`` names nothing, or a standard counts nothing.
    """
    known: dict[str, Standard] = {each.id: each for each in bundled_standards()}
    for index, own in enumerate(chosen.own):
        path = f"standards.own[{index}]"
        if own.id in known:
            raise StudyFileError(
                en=f"{path}.id = {own.id!r} is taken; give it an id that no other standard has",
                zh=f"{path}.id = {own.id!r} 已被占用；请换一个编号",
            )
        if own.counts is None and own.kind != "reported":
            raise StudyFileError(
                en=f"{path}.counts is missing: what {own.id} counts; only kind = 'reported' counts nothing",
                zh=f"缺少 {path}.counts：{own.id} 数的是什么；只有 kind = 'reported' 不计数",
            )
        if own.campaign and own.campaign not in chosen.campaigns:
            raise not_allowed(f"{path}.campaign", own.campaign, list(chosen.campaigns))
        known[own.id] = own
    for each in known.values():
        for name in each.implies:
            if name not in known:
                raise not_allowed(f"standards.own {each.id}.implies", name, list(known))
    return tuple(known.values())


def chosen_standards(chosen: Standards) -> tuple[Standard, ...]:
    """Standards of the chosen profiles and ids, and all of the study's own.

    Raises
    ------
    StudyFileError
        For a profile or id that nobody declares; see also :func:`known_standards`.
    """
    known = {standard.id: standard for standard in known_standards(chosen)}
    profiles = sorted({standard.profile for standard in known.values()})
    for name in chosen.profiles:
        if name not in profiles:
            raise not_allowed("standards.profiles", name, profiles)
    for name in (*chosen.also, *chosen.leave_out):
        if name not in known:
            raise not_allowed("standards.also/leave_out", name, list(known))
    own = {each.id for each in chosen.own}
    return tuple(
        standard
        for standard in known.values()
        if (standard.profile in chosen.profiles or standard.id in chosen.also or standard.id in own)
        and standard.id not in chosen.leave_out
    )


def conflicts(standards: tuple[Standard, ...]) -> list[tuple[str, str]]:
    """Pairs of chosen standards that speak of the same thing: (stricter, looser)."""
    ids = {standard.id for standard in standards}
    return [(standard.id, looser) for standard in standards for looser in standard.implies if looser in ids]


def check_standards(study: Study, term: Term) -> tuple[Standard, ...]:
    """The chosen standards, each of which can be counted.

    Raises
    ------
    StudyFileError
        Where an expression of a standard makes no sense to DuckDB, or a campaign has no dates.
    """
    chosen = chosen_standards(study.standards)
    with of_frames(study, term, {}) as connection:
        for standard in chosen:
            if standard.counts is not None:
                span = span_of(standard, study, term, term.end)
                check_sql(connection, standard, count_sql(standard, span, term, term.end), "standards")
                check_sql(connection, standard, heard_sql(standard, span, term, term.end), "standards")
    return chosen


def judge(connection: duckdb.DuckDBPyConnection, study: Study, term: Term) -> pd.DataFrame:
    """Judge every chosen standard for every school, community or the district that it is about.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Tables as :func:`cobench.monitor.units.stored` or :func:`~cobench.monitor.units.of_frames` lay them out.

    Returns
    -------
    DataFrame
        Columns :data:`COLUMNS`, a row a standard and body. ``n_met`` of ``n_units`` is numerator and denominator,
        ``n_unknown`` how many of the rest nothing was sent about, ``n_beside`` the units counted apart, ``n_asked``
        who might have answered, ``total`` the rows (or the standard's own total). A body that sent nothing of that
        kind is ``no_data``; ``counted`` stands where no number is set. What is ``reported`` has no row.
    """
    as_of = min(study.standards.as_of or term.end, term.end)
    bodies = _bodies(connection, term)
    heard = lru_cache(maxsize=None)(
        lambda query: frozenset(r[0] for r in connection.execute(query).fetchall())
    )
    rows = []
    for standard in chosen_standards(study.standards):
        if standard.counts is None:
            continue
        span = span_of(standard, study, term, as_of)
        if not span.terms:  # a campaign that began after the term
            continue
        counted = _counted(connection, standard, span, term, as_of)
        sent = heard(heard_sql(standard, span, term, as_of))
        rows += [
            _row(standard, span, as_of, body, counted.get(body, _Count()), body in sent, bodies)
            for body in _asked(standard, bodies, counted)
        ]
    return pd.DataFrame(rows, columns=["due_on", *COLUMNS[:-2], "verdict"]).pipe(_typed)


@dataclass(frozen=True)
class _Bodies:
    """Schools and whether children are there, communities and their kind, children by school."""

    taught: dict[str, bool]
    communities: dict[str, str]
    n_students: dict[str, int]


@dataclass(frozen=True)
class _Count:
    n_all: float = 0
    n_units: float = 0
    n_met: float = 0
    n_unknown: float = 0
    n_beside: float = 0
    total: float = 0


def _bodies(connection: duckdb.DuckDBPyConnection, term: Term) -> _Bodies:
    def listed(query: str, *given: str) -> dict:
        return dict(connection.execute(query, list(given)).fetchall())

    return _Bodies(
        listed("select school, taught from now_schools order by school"),
        listed(
            "select unit, any_value(kind) from communities where term = ? group by unit order by unit",
            term.id,
        ),
        listed("select school, count(*) from roster group by school"),
    )


def _counted(
    connection: duckdb.DuckDBPyConnection, standard: Standard, span: Span, term: Term, as_of: date
) -> dict[str, _Count]:
    found = connection.execute(count_sql(standard, span, term, as_of)).fetchall()
    counted = {body: _Count(*(value or 0 for value in numbers)) for body, *numbers in found}
    if standard.counts.table == "contacts" and standard.unit in _CHILDREN:
        unlogged = connection.execute(unlogged_sql(standard, span, term, as_of)).fetchall()
        for body, n in unlogged:
            count = counted[body]
            counted[body] = replace(count, n_unknown=min(n, count.n_units - count.n_met))
    return counted


def _asked(standard: Standard, bodies: _Bodies, counted: Mapping[str, _Count]) -> list[str]:
    """Who gets a verdict: a school without such a grade or such children isn't asked, nor a community of another kind."""
    kind = body_kind(standard.unit)
    if kind == DISTRICT:
        return [DISTRICT]
    if kind == "community":
        if not standard.communities:
            return [each for each in bodies.communities if each in counted]
        return [each for each, of in bodies.communities.items() if of in standard.communities]
    structural = standard.unit in _STRUCTURAL and not standard.good
    return [each for each, taught in bodies.taught.items() if each in counted or not (structural and taught)]


def _row(
    standard: Standard, span: Span, as_of: date, body: str, count: _Count, sent: bool, bodies: _Bodies
) -> tuple:
    kind = body_kind(standard.unit)
    return (
        span.due,
        standard.id,
        standard.profile,
        standard.kind,
        body,
        body if kind == "school" else None,
        body if kind == "community" else None,
        span.terms[-1],
        standard.period,
        standard.unit,
        standard.threshold,
        count.n_units,
        count.n_met,
        count.n_unknown,
        count.n_beside,
        bodies.n_students.get(body) if standard.asked else None,
        count.total,
        _as_far_as_seen(standard, span, _verdict(standard, as_of >= span.due, count, sent)),
    )


def _as_far_as_seen(standard: Standard, span: Span, verdict: str) -> str:
    """Of a period that began before the study's first term only that is known which what is missing can't undo."""
    rows = standard.counts.table
    if span.whole or not (rows in _HAPPENED or (rows == "records" and standard.period == "year")):
        return verdict
    if verdict == "met" and (standard.good or standard.op != ">="):
        return "no_data"
    if verdict == "not_met" and not (standard.good or standard.op == "<="):
        return "no_data"
    return verdict


def _verdict(standard: Standard, over: bool, count: _Count, sent: bool) -> str:
    """What only grows (counts of a whole period) is met as soon as enough was counted and missed when it is due; what
    can only get worse (rows that must all be good, slots that have passed, upper limits) is missed at once and met when
    the period is over.
    """
    if not sent or not count.n_all:
        return "no_data"
    if not standard.judged:
        return COUNTED
    if not count.n_units:
        return "not_yet_due"
    need = standard.required_share * count.n_units - _CLOSE
    passed, failed = count.n_met >= need, count.n_met + count.n_unknown < need
    if not over:
        if standard.op == "==" or (standard.good and standard.required_share < 1):
            return "not_yet_due"
        if standard.good or standard.every or standard.op == "<=":
            return "not_met" if failed else "not_yet_due"
        return "met" if passed else "not_yet_due"
    return "met" if passed else "not_met" if failed else "no_data"


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    floats = ["threshold", "n_units", "n_met", "n_unknown", "n_beside", "n_asked", "total"]
    typed = rows.assign(due=pd.to_datetime(rows["due_on"]))[COLUMNS]
    return typed.astype(dict.fromkeys(floats, "float64") | {"school": "str", "community": "str"})
