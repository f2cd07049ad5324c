"""A written standard as data: what is counted, for whom, in which period, and what is enough."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from cobench.declared import Text

Unit = Literal[
    "school", "tier", "grade", "class", "student", "key_student", "stage", "leader", "guard_post", "respondent",
    "jury_entry", "resident_day", "community", "lead", "member", "posted_teacher", "pair_subject", "district_stage", "district_school",
]  # fmt: skip
# Campaigns that standards of cobench belong to; a study dates them.
CAMPAIGNS = ("visits", "reading")
Period = Literal["term", "school_year", "year", "campaign", "agreement", "now"]


@dataclass(frozen=True)
class Rows:
    """Rows of a canonical table: those of ``kinds`` (of events and records) that ``where`` holds for.

    ``where`` is an SQL expression over the row ``r``; where units are counted it may name the unit ``u`` and its
    slot ``s`` as well.
    """

    table: Literal[
        "events", "contacts", "records", "checkins", "teaching", "communities", "postings", "tasks",
        "responses", "outcomes",
    ]  # fmt: skip
    kinds: tuple[str, ...] = ()
    where: str = "true"


@dataclass(frozen=True)
class Standard:
    """One written standard.

    Attributes
    ----------
    kind : str
        ``rule`` (met or not), ``target`` (aimed at), ``unquantified`` (counted, never judged), ``reported``
        (somebody's figure: background, never counted).
    unit : str
        Who or what meets it. Units belong to a body (school, school community, district) that gets the verdict: it
        meets the standard when at least ``required_share`` of its units do.
    period, every : str
        When rows count, and the slots of it (weeks, months, ...) each of which a unit has to fill. ``now`` is how
        things stand in the term; ``year`` is the calendar year of the term's start; ``agreement`` all terms so far.
    window : str
        ``publicity_week`` (the week of 15 May) or ``MM-DD/MM-DD`` of the year: only rows of these days count.
    due : str
        ``MM-DD`` of the year, where it is due before its period ends.
    campaign : str
        Which of ``[standards.campaigns]`` gives the days.
    counts : Rows
        What is counted for a unit; ``value`` (SQL aggregate over ``r``) is compared with ``threshold`` by ``op``.
    good : str
        For standards on rows themselves: a row of ``counts`` is good where this holds, unknown where it is null.
        ``weight`` is what a row weighs.
    on, only, ripe : str
        How a row belongs to its unit, which units are asked, and which of them (or rows) are due by now, where that
        isn't what the unit says.
    communities : tuple of str
        Kinds of school communities that it is about.
    beside : str
        Rows whose units are counted apart (face to face beside any mode).
    total : str
        SQL aggregate printed instead of the number of rows.
    heard : Rows
        Rows by which a body has sent what is needed; by default anything of the same register.
    asked : str
        ``student``: those who answer are some of the enrolled, so bounds under nonresponse are given.
    implies : tuple of str
        Looser standards on the same thing: who meets this one meets them.
    """

    id: str
    profile: str
    kind: Literal["rule", "target", "unquantified", "reported"]
    label: Text
    level: Literal["city", "district", "county", "community", "school", "grade", "class"] = "school"
    plan: int | None = None
    unit: Unit = "school"
    period: Period = "term"
    every: Literal["", "day", "week", "tuesday", "month", "milestone"] = ""
    window: str = ""
    due: str = ""
    campaign: str = ""
    counts: Rows | None = None
    value: str = "count(*)"
    op: Literal[">=", "<=", "=="] = ">="
    threshold: float = 1.0
    required_share: float = 1.0
    good: str = ""
    weight: str = "1"
    on: str = ""
    only: str = "true"
    communities: tuple[str, ...] = ()
    ripe: str = "true"
    beside: str = ""
    total: str = ""
    heard: Rows | None = None
    asked: Literal["", "student"] = ""
    implies: tuple[str, ...] = ()
    note: Text | None = None

    @property
    def judged(self) -> bool:
        """Whether it gets a verdict."""
        return self.kind in ("rule", "target")


@dataclass(frozen=True)
class Standards:
    """Which standards a study checks: of cobench's profiles, single ones, and its own.

    ``as_of`` is the day up to which a term is judged, its end if absent; ``campaigns`` are dated by the study.
    """

    profiles: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    own: tuple[Standard, ...] = ()
    as_of: date | None = None
    campaigns: dict[str, tuple[date, date]] = field(default_factory=dict)
