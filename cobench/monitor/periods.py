"""When rows count for a standard: its terms and days, the slots it has to fill, the day it is due."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

from cobench.errors import StudyFileError
from cobench.standard import Standard
from cobench.study import Study, Term

MONTH_AT_LEAST = 5  # school days that make a month of the term a month
MILESTONES = ((3, 31, 0.4), (6, 30, 0.6), (9, 30, 0.8), (10, 31, 1.0))
_TUESDAY, _SATURDAY = 1, 5
_YEAR_STARTS = (9, 1)
_BREAK = timedelta(days=75)  # holidays before a first term hide nothing
_YEAR_ENDS = (7, 31)  # of a school year whose last term isn't declared yet


@dataclass(frozen=True)
class Slot:
    """A part of a period: its days, its first school day, and what has to be reached by its end."""

    start: date
    stop: date
    first: date
    bar: float | None = None


@dataclass(frozen=True)
class Span:
    """The period of a standard in a term.

    ``slots`` are those that are over; ``dated`` says that a row counts by its day and not by its term alone; ``whole``
    that the study's terms reach back to its beginning: of what was done before them nobody sent anything.
    """

    terms: tuple[str, ...]
    start: date
    stop: date
    due: date
    slots: tuple[Slot, ...]
    dated: bool
    whole: bool = True


def school_days(term: Term) -> list[date]:
    """Days of ``term`` on which children are taught: weekdays, without holidays, with make-up days 调休."""
    days = (term.start + timedelta(days=i) for i in range((term.end - term.start).days + 1))
    off = {first + timedelta(days=i) for first, last in term.holidays for i in range((last - first).days + 1)}
    return [day for day in days if day in term.makeup_days or (day.weekday() < _SATURDAY and day not in off)]


def term_slots(term: Term, every: str) -> tuple[Slot, ...]:
    """Days, Tuesdays, teaching weeks or months of a term.

    A Tuesday in the holidays is none, and a make-up day keeps its own name; a week or month holds all its days, so
    that what was done on its Sunday counts. The first ``teaching_weeks`` weeks with a school day are teaching weeks;
    a month needs five school days of the term.
    """
    days = school_days(term)
    if every in ("day", "tuesday"):
        return tuple(Slot(day, day, day) for day in days if every == "day" or day.weekday() == _TUESDAY)
    groups: dict[date, list[date]] = {}
    for day in days:
        start = day - timedelta(days=day.weekday()) if every == "week" else day.replace(day=1)
        groups.setdefault(start, []).append(day)
    if every == "week":
        kept = list(groups.items())[: term.teaching_weeks]
        return tuple(Slot(start, start + timedelta(days=6), held[0]) for start, held in kept)
    return tuple(
        Slot(max(start, term.start), min(_month_end(start), term.end), held[0])
        for start, held in groups.items()
        if len(held) >= MONTH_AT_LEAST
    )


def span_of(standard: Standard, study: Study, term: Term, as_of: date) -> Span:
    """The period of ``standard`` as seen at the end of day ``as_of`` of ``term``.

    Raises
    ------
    StudyFileError
        Where the study doesn't date the campaign that the standard belongs to.
    """
    span = _period(standard, study, term)
    if standard.window:
        start, stop = _window(standard, study, term)
        span = replace(span, start=start, stop=stop, slots=(Slot(start, stop, start),), dated=True)
    if standard.due:
        span = replace(span, due=_day_of(standard, standard.due, term))
    if standard.every:
        slots = _milestones(term) if standard.every == "milestone" else term_slots(term, standard.every)
        slots = tuple(slot for slot in slots if slot.stop <= as_of)
        span = replace(span, slots=slots, dated=standard.every != "milestone")
    return replace(span, whole=_is_whole(standard, study, term, span))


def _is_whole(standard: Standard, study: Study, term: Term, span: Span) -> bool:
    if standard.period not in ("year", "school_year", "campaign"):
        return True
    start = span.start
    if standard.period == "school_year" and not standard.window:
        start = date(term.school_year, *_YEAR_STARTS)
    return min(each.start for each in study.terms) - start <= _BREAK


def _period(standard: Standard, study: Study, term: Term) -> Span:
    until = study.terms_until(term.id)
    year = term.start.year
    if standard.period == "year":
        start, stop = date(year, 1, 1), date(year, 12, 31)
    elif standard.period == "campaign":
        start, stop = _campaign(standard, study)
    elif standard.period == "school_year":
        start, stop = study.school_year_terms(term.id)[0].start, year_end(study, term)
    else:
        start, stop = (until[0].start if standard.period == "agreement" else term.start), term.end
    if standard.period == "school_year":
        terms = study.school_year_terms(term.id)
    elif standard.period in ("term", "now"):
        terms = (term,)
    else:
        terms = tuple(each for each in until if each.end >= start)
    dated = standard.period in ("year", "campaign")
    return Span(tuple(each.id for each in terms), start, stop, stop, (Slot(start, stop, start),), dated)


def year_end(study: Study, term: Term) -> date:
    """Last day of the school year of ``term``; a second term ends it even if it was declared alone."""
    declared = [each for each in study.terms if each.school_year == term.school_year]
    last = max(declared, key=lambda each: each.end)
    return last.end if last.start.month < 8 else date(term.school_year + 1, *_YEAR_ENDS)


def _campaign(standard: Standard, study: Study) -> tuple[date, date]:
    dated = study.standards.campaigns
    if standard.campaign not in dated:
        raise StudyFileError(
            en=f"standards.campaigns.{standard.campaign} is missing: {standard.id} counts between two days, such as "
            f"{standard.campaign} = [2025-09-01, 2025-12-31]; or leave {standard.id} out",
            zh=f"缺少 standards.campaigns.{standard.campaign}：{standard.id} 在两个日期之间计数，如 "
            f"{standard.campaign} = [2025-09-01, 2025-12-31]；或用 leave_out 不选 {standard.id}",
        )
    return dated[standard.campaign]


def _window(standard: Standard, study: Study, term: Term) -> tuple[date, date]:
    if standard.window == "publicity_week":
        day = date(term.school_year + 1, 5, 15)
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=6)
    first, last = standard.window.split("/")
    return _day_of(standard, first, term), _day_of(standard, last, term)


def _day_of(standard: Standard, text: str, term: Term) -> date:
    """``MM-DD`` in the calendar year, or in the school year, that ``standard`` is about."""
    month, day = (int(part) for part in text.split("-"))
    if standard.period == "school_year":
        return date(term.school_year + (month < 8), month, day)
    return date(term.start.year, month, day)


def _milestones(term: Term) -> tuple[Slot, ...]:
    year = term.start.year
    return tuple(
        Slot(date(year, 1, 1), date(year, month, day), date(year, 1, 1), bar)
        for month, day, bar in MILESTONES
    )


def _month_end(first: date) -> date:
    following = (first + timedelta(days=31)).replace(day=1)
    return following - timedelta(days=1)
