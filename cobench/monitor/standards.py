"""Standards as data: count over the tidy tables, compare, and say met, not met, not yet due or no data."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
import pandas as pd

from cobench.declared import Text, build, not_allowed
from cobench.study import Standards, Study, Term

VERDICTS = ("met", "not_met", "not_yet_due", "no_data")
COLUMNS = [
    "standard",
    "profile",
    "school",
    "term",
    "period",
    "unit",
    "threshold",
    "n_units",
    "n_met",
    "total",
    "verdict",
]


@dataclass(frozen=True)
class Counts:
    """What a standard counts."""

    table: Literal["events", "contacts"]
    kind: str | None = None
    mode: str | None = None
    teacher_role: str | None = None


@dataclass(frozen=True)
class Standard:
    """One written standard."""

    id: str
    profile: str
    kind: Literal["rule", "target"]
    label: Text
    unit: Literal["school", "class", "student"]
    period: Literal["term", "school_year"]
    threshold: int
    counts: Counts
    required_share: float = 1.0
    implies: tuple[str, ...] = ()


@dataclass(frozen=True)
class _File:
    standards: tuple[Standard, ...] = field(default=())


@cache
def bundled_standards() -> tuple[Standard, ...]:
    """The standards that cobench ships."""
    text = resources.files("cobench.monitor").joinpath("standards.toml").read_text(encoding="utf-8")
    return build(_File, tomllib.loads(text), "").standards


def chosen_standards(chosen: Standards) -> tuple[Standard, ...]:
    """Standards of the chosen profiles and ids.

    Raises
    ------
    StudyFileError
        For a profile or id that cobench doesn't ship.
    """
    shipped = {standard.id: standard for standard in bundled_standards()}
    profiles = sorted({standard.profile for standard in shipped.values()})
    for name in chosen.profiles:
        if name not in profiles:
            raise not_allowed("standards.profiles", name, profiles)
    for name in (*chosen.also, *chosen.leave_out):
        if name not in shipped:
            raise not_allowed("standards.also/leave_out", name, list(shipped))
    return tuple(
        standard
        for standard in shipped.values()
        if (standard.profile in chosen.profiles or standard.id in chosen.also)
        and standard.id not in chosen.leave_out
    )


def judge(study: Study, term: Term, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Judge every chosen standard for every school of ``term``.

    Parameters
    ----------
    frames : mapping
        Canonical tables ``schools, enrolments, events, contacts, logs`` of the school year so far.

    Returns
    -------
    DataFrame
        Columns :data:`COLUMNS`; ``n_met`` of ``n_units`` is numerator and denominator, ``total`` the count
        of events or contacts. A school that sent nothing of that kind has verdict ``no_data``.
    """
    rows = [_judge_one(standard, study, term, frames) for standard in chosen_standards(study.standards)]
    return pd.concat(rows, ignore_index=True)[COLUMNS] if rows else pd.DataFrame(columns=COLUMNS)


def conflicts(standards: tuple[Standard, ...]) -> list[tuple[str, str]]:
    """Pairs of chosen standards that speak of the same thing: (stricter, looser)."""
    ids = {standard.id for standard in standards}
    return [(standard.id, looser) for standard in standards for looser in standard.implies if looser in ids]


def _judge_one(
    standard: Standard, study: Study, term: Term, frames: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    terms = [term] if standard.period == "term" else list(study.school_year_terms(term.id))
    ids = [each.id for each in terms]
    units = _units(standard, term, frames)
    counted = _counted(standard, ids, frames)
    per_unit = units.join(counted.rename("total"), on="unit", validate="m:1").fillna({"total": 0})
    per_unit = per_unit.assign(met=per_unit["total"] >= standard.threshold)
    judged = per_unit.groupby("school", sort=True).agg(
        n_units=("unit", "size"), n_met=("met", "sum"), total=("total", "sum")
    )
    schools = sorted(frames["schools"].loc[frames["schools"]["term"] == term.id, "school"])
    judged = judged.reindex(schools)
    passed = judged["n_met"] >= standard.required_share * judged["n_units"]
    due = standard.period == "term" or not _year_goes_on(study, term)
    verdict = np.where(passed, "met", "not_met" if due else "not_yet_due")
    silent = ~judged.index.isin(_schools_that_sent(standard, ids, frames)) | judged["n_units"].isna()
    return (
        judged.assign(
            standard=standard.id,
            profile=standard.profile,
            term=term.id,
            period=standard.period,
            unit=standard.unit,
            threshold=standard.threshold,
            verdict=np.where(silent, "no_data", verdict),
        )
        .rename_axis("school")
        .reset_index()
    )


def _units(standard: Standard, term: Term, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    enrolments = frames["enrolments"]
    now = enrolments[
        (enrolments["term"] == term.id) & enrolments["status"].isin(["enrolled", "transferred_in"])
    ]
    column = {"school": "school", "class": "class_id", "student": "student"}[standard.unit]
    return now[["school", column]].set_axis(["school", "unit"], axis=1).drop_duplicates()


def _counted(standard: Standard, terms: list[str], frames: Mapping[str, pd.DataFrame]) -> pd.Series:
    counts = standard.counts
    rows = frames[counts.table]
    rows = rows[rows["term"].isin(terms)]
    for column in ("kind", "mode", "teacher_role"):
        wanted = getattr(counts, column)
        if wanted is not None:
            rows = rows[rows[column] == wanted]
    if standard.unit == "class" and counts.table == "events":
        return _events_per_class(rows, frames["enrolments"], terms)
    column = {"school": "school", "class": "class_id", "student": "student"}[standard.unit]
    return rows.groupby(column).size()


def _events_per_class(events: pd.DataFrame, enrolments: pd.DataFrame, terms: list[str]) -> pd.Series:
    """A whole-school event counts for each of its classes."""
    classes = enrolments.loc[enrolments["term"].isin(terms), ["school", "class_id"]].drop_duplicates()
    whole = events[events["class_id"].isna()][["event", "school"]].merge(classes, on="school", validate="m:m")
    own = events[events["class_id"].notna()][["event", "class_id"]]
    return pd.concat([own, whole[["event", "class_id"]]]).groupby("class_id").size()


def _schools_that_sent(standard: Standard, terms: list[str], frames: Mapping[str, pd.DataFrame]) -> set[str]:
    if standard.counts.table == "contacts":
        logs = frames["logs"]
        return set(logs.loc[(logs["table"] == "contacts") & logs["term"].isin(terms), "school"])
    return set(frames["events"].loc[frames["events"]["term"].isin(terms), "school"])


def _year_goes_on(study: Study, term: Term) -> bool:
    """Whether the school year of ``term`` has a later term; the second of two ends it even if not declared."""
    declared = [each for each in study.terms if each.school_year == term.school_year]
    return term.start.month >= 8 or any(each.start > term.start for each in declared)
