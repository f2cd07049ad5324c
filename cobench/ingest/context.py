"""What the rows of a delivery are read against: schools, terms, classes and the roster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, partial

import numpy as np
import pandas as pd

from cobench.ingest import linkage
from cobench.ingest.identities import pseudonym
from cobench.ingest.parse import Window, parse_by_kind, parse_class, parse_date, parse_student_number
from cobench.ingest.readers import NUMBER
from cobench.ingest.text import clean_text, map_unique, name_key
from cobench.study import Study, Term

_LONG_NUMBER = re.compile(r"[GJL]?\d{6,}[0-9Xx]?")
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
        ``term, school, class_id, name, student, student_number`` of this delivery and of terms stored before;
        ``student`` is missing for rows in quarantine.
    stored : dict of DataFrame
        What other deliveries hold of ``contacts, events, attendance, logs``.
    """

    study: Study
    term: Term
    key: bytes
    schools: pd.DataFrame
    roster: pd.DataFrame
    stored: dict[str, pd.DataFrame]

    @cached_property
    def stages(self) -> dict[str, str]:
        return dict(zip(self.schools["school"], self.schools["stage"], strict=True))

    @cached_property
    def school_codes(self) -> dict[str, str]:
        """School by code, name, short and former names; what two schools share is left out."""
        return school_codes(self.schools)

    @cached_property
    def index(self) -> pd.DataFrame:
        return linkage.roster_index(self.roster)

    @cached_property
    def classes(self) -> pd.MultiIndex:
        """Classes that a roster lists, by term and school."""
        listed = self.roster[["term", "school", "class_id"]].dropna().drop_duplicates().astype("object")
        return pd.MultiIndex.from_frame(listed)

    @cached_property
    def names(self) -> frozenset[str]:
        """Name keys of all children of the delivery's roster."""
        own = self.roster.loc[self.roster["term"] == self.term.id, "name"]
        return frozenset(name for name in map(name_key, own.unique()) if len(name) > 1)

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
    for column in ("school", "name", "short_name", "former_names"):
        for text, school in zip(schools[column], schools["school"], strict=True):
            cleaned = clean_text(text) if isinstance(text, str) else ""
            for key in [cleaned] if column in ("school", "name") else _LISTED.split(cleaned):
                if key.strip():
                    found[key.strip()] = school if found.get(key.strip(), school) == school else None
    return {key: school for key, school in found.items() if school is not None}


def resolve_schools(texts: pd.Series, codes: dict[str, str]) -> pd.DataFrame:
    """School of each text: ``value`` and ``rule``."""
    value = map_unique(texts, lambda text: codes.get(clean_text(text)))
    rule = pd.Series(None, index=texts.index, dtype="object")
    rule = rule.mask(value.isna(), "unknown_school").mask(texts == "", "blank_required")
    return pd.DataFrame({"value": value, "rule": rule})


def class_ids(school: pd.Series, texts: pd.Series, years: pd.Series, stages: dict[str, str]) -> pd.DataFrame:
    """Class of each row: ``value`` ("S01-2022-2"), ``grade`` and ``rule``.

    Parameters
    ----------
    years : Series of int
        School year of each row.
    """
    keys = pd.MultiIndex.from_arrays([school.astype("object"), texts.astype("object"), years])
    codes, distinct = pd.factorize(keys)
    values, grades, rules = [], [], []
    for where, text, year in distinct:
        parsed = parse_class(text, stages[where], int(year)) if where in stages else None
        if parsed is None or parsed.value is None:
            (
                values.append(None),
                grades.append(None),
                rules.append("unknown_school" if parsed is None else parsed.rule),
            )
            continue
        grade, entry, number = parsed.value
        values.append(f"{where}-{entry}-{number}"), grades.append(grade), rules.append(None)
    table = pd.DataFrame({"value": values, "grade": grades, "rule": rules}, dtype="object")
    return table.iloc[codes].set_index(texts.index)


def listed_classes(ctx: Context, terms: pd.Series, school: pd.Series, texts: pd.Series) -> pd.DataFrame:
    """As :func:`class_ids`, for classes that the roster of the row's term must list; others: ``unknown_class``."""
    year_of = {term.id: term.school_year for term in ctx.study.terms}
    found = class_ids(school, texts, terms.map(year_of).astype("int64"), ctx.stages)
    keys = pd.MultiIndex.from_arrays([terms.astype("object"), school.astype("object"), found["value"]])
    unlisted = found["value"].notna() & ~pd.Series(keys.isin(ctx.classes), index=texts.index)
    return found.assign(
        value=found["value"].mask(unlisted, None), rule=found["rule"].mask(unlisted, "unknown_class")
    )


def is_whole_school(texts: pd.Series) -> pd.Series:
    """Rows that speak of all classes."""
    return texts.isin(_WHOLE_SCHOOL)


def parse_dates(ctx: Context, texts: pd.Series, kinds: pd.Series) -> pd.DataFrame:
    """Dates of a column as ``value`` (date) and ``rule``; spreadsheet numbers are read with care."""
    return parse_by_kind(texts, kinds == NUMBER, partial(parse_date, window=ctx.window))


def terms_of(ctx: Context, dates: pd.Series) -> pd.DataFrame:
    """Term of each date as ``value`` and ``rule``: a row's term follows its date.

    Days of a break next to the delivery's term count for that term; days of an earlier break count for the
    term after it. Later days than the delivery covers are ``date_outside_term``.

    Parameters
    ----------
    dates : Series of date (object)
    """
    found = map_unique(dates, lambda day: _term_of(ctx, day))
    return pd.DataFrame(found.tolist(), columns=["value", "rule"], index=dates.index, dtype="object")


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


def redact(ctx: Context, texts: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Texts without children's names and long numbers, and which of them held any.

    Free text that is stored (topics, grounds of a category) may name a child.
    """
    lengths = sorted({len(name) for name in ctx.names}, reverse=True)
    cleaned = map_unique(texts, lambda text: _without_names(clean_text(text), ctx.names, lengths))
    return cleaned, cleaned != map_unique(texts, clean_text)


def _without_names(text: str, names: frozenset[str], lengths: list[int]) -> str:
    text = _LONG_NUMBER.sub("＊", text)
    compared = text.replace("·", "")
    for length in lengths:
        for start in range(len(compared) - length + 1):
            if compared[start : start + length] in names:
                return _without_names(compared[:start] + "＊" + compared[start + length :], names, lengths)
    return text


def link_rows(ctx: Context, rows: pd.DataFrame, numbers: pd.Series | None = None) -> pd.DataFrame:
    """Link rows (``term, school, class_id, name_key``) to the roster; see :func:`cobench.ingest.linkage.link`.

    ``numbers`` are student numbers as typed; those of children on the roster come before names.
    """
    if numbers is None:
        return linkage.link(rows, ctx.index)
    listed = set(ctx.roster["student"].dropna())
    known = map_unique(numbers, lambda text: _known_student(ctx, text, listed))
    return linkage.link(rows, ctx.index, known)


def _known_student(ctx: Context, text: str, listed: set[str]) -> str | None:
    number = parse_student_number(text).value
    student = pseudonym(ctx.key, ctx.study.id, "student", number) if number else None
    return student if student in listed else None


def no_values(index: pd.Index) -> pd.Series:
    """An object column of missing values."""
    return pd.Series(np.full(len(index), None, dtype=object), index=index)
