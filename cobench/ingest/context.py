"""What the rows of a delivery are read against: schools, terms, classes and the roster."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property, partial

import numpy as np
import pandas as pd

from cobench.ingest import free_text, linkage
from cobench.ingest.columns import column, factor, is_value, joint, keys_of, missing, recode, stack_frames
from cobench.ingest.parse import Window, parse_by_kind, parse_class, parse_date, parse_student_numbers
from cobench.ingest.persons import Persons, load_persons
from cobench.ingest.readers import NUMBER
from cobench.ingest.text import clean_text
from cobench.study import Study, Term

_LISTED = re.compile("[、,;/|]")
_WHOLE_SCHOOL = ("", "全校", "全园", "全体", "全校家长", "全体家长", "各班")


@dataclass(frozen=True)
class Context:
    """Reference data of one delivery.

    Attributes
    ----------
    schools : DataFrame
        Canonical table ``schools`` of this delivery.
    roster : DataFrame
        ``term, school, class_id, name, student, student_number`` of this delivery; ``student`` is missing for
        rows in quarantine.
    stored : mapping of table name to DataFrame
        What deliveries of earlier terms hold of ``contacts, events, attendance, logs``; only rows dated before
        the term ask for it.
    earlier_roster : callable, optional
        Gives the roster of earlier deliveries.
    persons : Persons, optional
        Aliases and withdrawn children; read from ``private/`` where absent.
    listed_units : callable, optional
        Gives the codes of this delivery's list of school communities; absent where the study declares no such list.
    """

    study: Study
    term: Term
    key: bytes
    schools: pd.DataFrame
    roster: pd.DataFrame
    stored: Mapping[str, pd.DataFrame]
    earlier_roster: Callable[[], pd.DataFrame] | None = None
    persons: Persons = None  # type: ignore[assignment]
    listed_units: Callable[[], frozenset[str]] | None = None

    def __post_init__(self) -> None:
        if self.persons is None:
            object.__setattr__(self, "persons", load_persons(self.study, self.key))

    @cached_property
    def stages(self) -> dict[str, str]:
        return dict(zip(self.schools["school"], self.schools["stage"], strict=True))

    @cached_property
    def school_codes(self) -> dict[str, str]:
        """School by code, name, short and former names; what two schools share is left out."""
        return school_codes(self.schools)

    def unlisted_units(self, units: Collection[str]) -> frozenset[str]:
        """Those of ``units`` that no list of school communities holds, this delivery's or an earlier one's."""
        if self.listed_units is None:
            return frozenset()
        strange = frozenset(units) - self.listed_units()
        return strange - set(self.stored["communities"]["unit"]) if strange else strange

    @cached_property
    def whole_roster(self) -> pd.DataFrame:
        """The roster of this delivery and of earlier ones."""
        if self.earlier_roster is None:
            return self.roster
        return stack_frames([self.roster, self.earlier_roster()])

    @cached_property
    def index(self) -> linkage.RosterIndex:
        return linkage.roster_index(self.roster)

    @cached_property
    def whole_index(self) -> linkage.RosterIndex:
        return self.index if self.earlier_roster is None else linkage.roster_index(self.whole_roster)

    def is_old(self, days: pd.Series) -> np.ndarray:
        """Rows (dates) before the term: the only ones that an earlier delivery may hold or have a roster for."""
        return is_value(days, lambda day: pd.Timestamp(day).date() < self.term.start)

    def index_of(self, terms: pd.Series) -> linkage.RosterIndex:
        """The index in which rows of ``terms`` are looked up."""
        return self.index if self._is_own(terms) else self.whole_index

    def classes_of(self, terms: pd.Series) -> frozenset[tuple[str, str, str]]:
        """Classes that the rosters of ``terms`` list: (term, school, class)."""
        return self._classes if self._is_own(terms) else self._whole_classes

    def _is_own(self, terms: pd.Series) -> bool:
        codes, distinct = factor(terms)
        return set(distinct[np.unique(codes[codes >= 0])]) <= {self.term.id}

    @cached_property
    def _classes(self) -> frozenset[tuple[str, str, str]]:
        return _classes(self.roster)

    @cached_property
    def _whole_classes(self) -> frozenset[tuple[str, str, str]]:
        return self._classes if self.earlier_roster is None else _classes(self.whole_roster)

    @cached_property
    def _long_names(self) -> free_text.Names:
        """Names of three characters or more of the delivery's roster."""
        names = factor(self.roster["name"])[1]
        return free_text.Names(name for name in names if len(name) > 2)

    @cached_property
    def _short_names(self) -> dict[str, free_text.Names]:
        """Names of two characters, by school."""
        codes, names = factor(self.roster["name"])
        short = np.append([len(each) == 2 for each in keys_of(names)], False)[codes]
        rows = self.roster.loc[short, ["school", "name"]].astype("object").dropna()
        return {
            school: free_text.Names(own) for school, own in rows.groupby("school")["name"].unique().items()
        }

    def redacted(self, text: str, school: str | None) -> tuple[str, bool]:
        """A text of a school (of any, where it is unknown) without names and numbers, and whether it held any."""
        places = [school] if school is not None else list(self._short_names)
        own = [self._short_names[each] for each in places if each in self._short_names]
        return free_text.redact(text, [self._long_names, *own, self.persons.withdrawn])

    @cached_property
    def window(self) -> Window:
        """Days that a date without a year may mean: the school year so far and the breaks around it."""
        first = self.study.school_year_terms(self.term.id)[0]
        before = [term.end for term in self.study.terms if term.end < first.start]
        after = [term.start for term in self.study.terms if term.start > self.term.end]
        opens = max(before) + timedelta(days=1) if before else first.start - timedelta(days=62)
        closes = min(after) - timedelta(days=1) if after else self.term.end + timedelta(days=62)
        return Window(
            max(opens, first.start - timedelta(days=62)), min(closes, self.term.end + timedelta(days=62))
        )


def school_codes(schools: pd.DataFrame) -> dict[str, str]:
    """School by code, name, short and former names (several divided by 、); what two schools share is left out."""
    found: dict[str, str | None] = {}
    for kind in ("school", "name", "short_name", "former_names"):
        for text, school in zip(schools[kind], schools["school"], strict=True):
            cleaned = clean_text(text) if isinstance(text, str) else ""
            for key in [cleaned] if kind in ("school", "name") else _LISTED.split(cleaned):
                if key.strip():
                    found[key.strip()] = school if found.get(key.strip(), school) == school else None
    return {key: school for key, school in found.items() if school is not None}


def _classes(roster: pd.DataFrame) -> frozenset[tuple[str, str, str]]:
    listed = roster[["term", "school", "class_id"]]
    first = listed[~pd.Series(joint(listed[name] for name in listed)).duplicated().to_numpy()].dropna()
    return frozenset(zip(first["term"], first["school"], first["class_id"], strict=True))


def resolve_schools(texts: pd.Series, codes: dict[str, str]) -> pd.DataFrame:
    """School of each text: ``value`` and ``rule``."""

    def rule(text: str) -> str | None:
        if text == "":
            return "blank_required"
        return None if clean_text(text) in codes else "unknown_school"

    return pd.DataFrame(
        {"value": recode(texts, lambda text: codes.get(clean_text(text))), "rule": recode(texts, rule)}
    )


def class_ids(school: pd.Series, texts: pd.Series, years: pd.Series, stages: dict[str, str]) -> pd.DataFrame:
    """Class of each row: ``value`` ("S01-2022-2"), ``grade`` and ``rule``.

    Parameters
    ----------
    years : Series of int
        School year of each row.
    """
    distinct, codes = distinct_rows(school, texts, years)
    parse = cache(parse_class)
    values, grades, rules = [], [], []
    for place, text, year in distinct:
        parsed = parse(text, stages[place], int(year)) if place in stages else None
        if parsed is None or parsed.value is None:
            values.append(None), grades.append(None)
            rules.append("unknown_school" if parsed is None else parsed.rule)
            continue
        grade, entry, number = parsed.value
        values.append(f"{place}-{entry}-{number}"), grades.append(grade), rules.append(None)
    return pd.DataFrame(
        {
            name: column(codes, held, texts.index)
            for name, held in (("value", values), ("grade", grades), ("rule", rules))
        }
    )


def listed_classes(ctx: Context, terms: pd.Series, school: pd.Series, texts: pd.Series) -> pd.DataFrame:
    """As :func:`class_ids`, for classes that the roster of the row's term must list; others: ``unknown_class``."""
    year_of = {term.id: term.school_year for term in ctx.study.terms}
    found = class_ids(school, texts, recode(terms, year_of.get), ctx.stages)
    listed = ctx.classes_of(terms)
    distinct, codes = distinct_rows(terms, school, found["value"], found["rule"])
    known = [value is None or (term, place, value) in listed for term, place, value, _ in distinct]
    values = [value if fits else None for (_, _, value, _), fits in zip(distinct, known, strict=True)]
    rules = [rule if fits else "unknown_class" for (_, _, _, rule), fits in zip(distinct, known, strict=True)]
    index = texts.index
    return found.assign(value=column(codes, values, index), rule=column(codes, rules, index))


def distinct_rows(*columns: pd.Series) -> tuple[list[tuple], np.ndarray]:
    """Combinations of values that stand together (None where missing), and the combination of each row."""
    codes, keys = pd.factorize(joint(columns))
    first = np.full(len(keys), -1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    held = []
    for each in columns:
        own, distinct = factor(each)
        held.append(np.append(distinct, [None])[own[first]].tolist())
    return list(zip(*held, strict=True)), codes


def is_whole_school(texts: pd.Series) -> pd.Series:
    """Rows that speak of all classes."""
    return pd.Series(is_value(texts, _WHOLE_SCHOOL.__contains__), index=texts.index)


def parse_dates(ctx: Context, texts: pd.Series, kinds: pd.Series) -> pd.DataFrame:
    """Dates of a column as ``value`` (date) and ``rule``; spreadsheet numbers are read with care."""
    return parse_by_kind(texts, kinds == NUMBER, partial(parse_date, window=ctx.window))


def terms_of(ctx: Context, dates: pd.Series) -> pd.DataFrame:
    """Term of each date as ``value`` and ``rule``: a row's term follows its date.

    Days of a break next to the delivery's term count for that term; days of an earlier break count for the
    term after it. Later days than the delivery covers are ``date_outside_term``.

    Parameters
    ----------
    dates : Series of date
    """
    term_of = cache(partial(_term_of, ctx))
    return pd.DataFrame(
        {
            "value": recode(dates, lambda day: term_of(day)[0]),
            "rule": recode(dates, lambda day: term_of(day)[1]),
        }
    )


def _term_of(ctx: Context, day: date | None) -> tuple[str | None, str | None]:
    if day is None or pd.isna(day):
        return None, None
    terms = ctx.study.terms_until(ctx.term.id)
    for term in terms:
        if term.start <= day <= term.end:
            return term.id, None
    window = ctx.window
    if ctx.term.end < day <= window.last:
        return ctx.term.id, None
    following = [term for term in terms if day < term.start]
    if following and following[0].start - day <= timedelta(days=75):
        return following[0].id, None
    return None, "date_outside_term"


def redact(ctx: Context, texts: pd.Series, school: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Texts without children's names and numbers of persons, and which of them held any.

    Free text that is stored (topics, grounds of a category) may name a child. Names of three characters and more
    are looked for on the rosters of all schools, those of two only on the school's own: of a district's million
    names, one has nearly every pair of characters.
    """
    distinct, codes = distinct_rows(texts, school)
    found = [ctx.redacted(text, place) for text, place in distinct]
    held = np.array([each[1] for each in found], dtype=bool)
    cleaned = column(codes, [each[0] for each in found], texts.index)
    return cleaned, pd.Series(held[codes], index=texts.index)


def link_rows(ctx: Context, rows: pd.DataFrame, numbers: pd.Series | None = None) -> pd.DataFrame:
    """Link rows (``term, school, class_id, name_key``) to the roster; see :func:`cobench.ingest.linkage.link`.

    ``numbers`` are student numbers as typed; those of children on the roster, or another number of one of them,
    come before names. Rows of withdrawn children break ``consent_withdrawn``.
    """
    index = ctx.index_of(rows["term"])
    if numbers is None:
        return ctx.persons.withdrawn.marked(rows, linkage.link(rows, index), None)
    typed = parse_student_numbers(numbers, np.zeros(len(numbers), dtype=bool))["value"]
    students = _listed(ctx, ctx.persons.students(typed))
    found = linkage.link(rows, index, students, _is_alias(ctx, typed))
    return ctx.persons.withdrawn.marked(rows, found, typed)


def _is_alias(ctx: Context, typed: pd.Series) -> np.ndarray | None:
    """Rows whose number the roster doesn't hold, though it may be one of a child on it."""
    if not ctx.persons.first:
        return None
    listed = set(factor(ctx.roster["student_number"])[1])
    return is_value(typed, lambda number: number in ctx.persons.first and number not in listed)


def _listed(ctx: Context, students: pd.Series) -> pd.Series:
    """Children of this delivery's roster, or else of an earlier one; others are missing."""
    _, own = factor(ctx.roster["student"])
    codes, distinct = factor(students)
    held = pd.Index(own).get_indexer(pd.Index(distinct, dtype=object)) >= 0
    if not held.all() and ctx.earlier_roster is not None:
        _, known = factor(ctx.whole_roster["student"])
        held = pd.Index(known).get_indexer(pd.Index(distinct, dtype=object)) >= 0
    return column(
        codes, [each if fits else None for each, fits in zip(distinct, held, strict=True)], students.index
    )


def no_values(index: pd.Index) -> pd.Series:
    """A column of missing values."""
    return missing(index)
