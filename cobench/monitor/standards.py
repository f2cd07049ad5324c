"""Standards as data: count over the tidy tables, compare, and say met, not met, not yet due or no data."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import cache, lru_cache
from importlib import resources

import duckdb
import numpy as np
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
    as_of = study.standards.as_of or term.end
    bodies = _bodies(connection, term)
    heard = lru_cache(maxsize=None)(
        lambda query: frozenset(r[0] for r in connection.execute(query).fetchall())
    )
    rows = [
        _judge_one(connection, standard, study, term, min(as_of, term.end), bodies, heard)
        for standard in chosen_standards(study.standards)
        if standard.counts is not None
    ]
    return pd.concat(rows, ignore_index=True)[COLUMNS] if rows else pd.DataFrame(columns=COLUMNS)


@dataclass(frozen=True)
class _Bodies:
    """Schools with children and without, communities by kind."""

    taught: dict[str, bool]
    communities: dict[str, str]
    n_students: dict[str, int]


def _bodies(connection: duckdb.DuckDBPyConnection, term: Term) -> _Bodies:
    fetch = lambda query, *given: dict(connection.execute(query, list(given)).fetchall())  # noqa: E731
    return _Bodies(
        fetch("select school, taught from now_schools order by school"),
        fetch(
            "select unit, any_value(kind) from communities where term = ? group by unit order by unit",
            term.id,
        ),
        fetch("select school, count(*) from roster group by school"),
    )


def _judge_one(
    connection: duckdb.DuckDBPyConnection,
    standard: Standard,
    study: Study,
    term: Term,
    as_of: date,
    bodies: _Bodies,
    heard: Callable[[str], frozenset[str]],
) -> pd.DataFrame:
    span = span_of(standard, study, term, as_of)
    counted = connection.execute(count_sql(standard, span, term, as_of)).df().set_index("body")
    kind = body_kind(standard.unit)
    if standard.counts.table == "contacts" and standard.unit in _CHILDREN:
        unlogged = dict(connection.execute(unlogged_sql(standard, span, term, as_of)).fetchall())
        left = counted["n_units"] - counted["n_met"]
        counted["n_unknown"] = np.minimum(
            left, pd.Series(unlogged, dtype="float64").reindex(counted.index).fillna(0)
        )
    sent = heard(heard_sql(standard, span, term, as_of))
    if kind == DISTRICT:
        counted = counted.reindex([DISTRICT])
    elif kind == "community":
        held = [
            each
            for each, of in bodies.communities.items()
            if not standard.communities or of in standard.communities
        ]
        counted = counted.reindex(
            held if standard.communities else [each for each in held if each in counted.index]
        )
    else:
        counted = counted.reindex(list(bodies.taught))
        asked = counted["n_all"].notna() | ~counted.index.map(bodies.taught).astype(bool)
        if standard.unit in _STRUCTURAL and not standard.good:
            counted = counted[asked]
    verdict = _verdicts(standard, span, as_of, counted, counted.index.isin(sent))
    return (
        counted.drop(columns="n_all")
        .assign(
            standard=standard.id,
            profile=standard.profile,
            kind=standard.kind,
            school=counted.index if kind == "school" else None,
            community=counted.index if kind == "community" else None,
            term=term.id,
            period=standard.period,
            unit=standard.unit,
            threshold=standard.threshold,
            n_asked=counted.index.map(bodies.n_students) if standard.asked else None,
            due=pd.Timestamp(span.due),
            verdict=verdict,
        )
        .astype({"school": "str", "community": "str", "n_asked": "float64"})
        .rename_axis("body")
        .reset_index()
    )


def _verdicts(
    standard: Standard, span: Span, as_of: date, counted: pd.DataFrame, sent: np.ndarray
) -> np.ndarray:
    """A verdict a body.

    What only grows (counts of a whole period) is met as soon as enough was counted and missed when it is due; what can
    only get worse (rows that must all be good, slots that have passed, upper limits) is missed at once and met when
    the period is over.
    """
    n, met, unknown = (counted[name].fillna(0) for name in ("n_units", "n_met", "n_unknown"))
    need = standard.required_share * n - _CLOSE
    passed, failed, over = met >= need, met + unknown < need, as_of >= span.due
    if standard.op == "==" or (standard.good and standard.required_share < 1):
        open_ = np.full(len(counted), not over)
    elif standard.good or standard.every or standard.op == "<=":
        open_ = (not over) & ~failed
    else:
        open_ = (not over) & ~passed
    verdict = np.select([open_, passed, failed], ["not_yet_due", "met", "not_met"], "no_data")
    if not standard.judged:
        verdict = np.full(len(counted), COUNTED, dtype=object)
    waiting = (n == 0) & (counted["n_all"].fillna(0) > 0)
    none = ~sent | ((n == 0) & ~waiting)
    return np.select([none, waiting], ["no_data", "not_yet_due"], verdict)
