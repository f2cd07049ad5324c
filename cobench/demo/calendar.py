"""The demo district's four terms (a test holds them and the repository's ``study.toml`` together)."""

from __future__ import annotations

import zlib
from datetime import date

import numpy as np

from cobench.study import Term

TERMS: tuple[Term, ...] = (
    Term(
        "2024-2025-1",
        start=date(2024, 9, 2),
        end=date(2025, 1, 17),
        landmark=date(2024, 9, 16),
        exposure_end=date(2024, 12, 20),
        exam=date(2025, 1, 10),
        holidays=((date(2024, 10, 1), date(2024, 10, 7)), (date(2025, 1, 1), date(2025, 1, 1))),
    ),
    Term(
        "2024-2025-2",
        start=date(2025, 2, 17),
        end=date(2025, 7, 4),
        landmark=date(2025, 3, 3),
        exposure_end=date(2025, 5, 30),
        exam=date(2025, 6, 25),
        holidays=((date(2025, 4, 4), date(2025, 4, 6)), (date(2025, 5, 1), date(2025, 5, 5))),
        baseline="2024-2025-1",
    ),
    Term(
        "2025-2026-1",
        start=date(2025, 9, 1),
        end=date(2026, 1, 23),
        landmark=date(2025, 9, 15),
        exposure_end=date(2025, 12, 19),
        exam=date(2026, 1, 16),
        holidays=((date(2025, 10, 1), date(2025, 10, 8)), (date(2026, 1, 1), date(2026, 1, 3))),
        baseline="2024-2025-2",
    ),
    Term(
        "2025-2026-2",
        start=date(2026, 3, 2),
        end=date(2026, 7, 10),
        landmark=date(2026, 3, 16),
        exposure_end=date(2026, 6, 5),
        exam=date(2026, 7, 1),
        teaching_weeks=19,
        holidays=((date(2026, 4, 4), date(2026, 4, 6)), (date(2026, 5, 1), date(2026, 5, 5))),
        baseline="2025-2026-1",
    ),
)

PROMOTION = 2
"""Position in :data:`TERMS` of the first term after the September promotion."""


def days(first: date, last: date) -> np.ndarray:
    """All days from ``first`` to ``last``, both included (``datetime64[D]``)."""
    return np.arange(np.datetime64(first), np.datetime64(last) + 1)


def holiday_days(term: Term) -> np.ndarray:
    """Every holiday of the term (``datetime64[D]``)."""
    return np.concatenate([days(first, last) for first, last in term.holidays])


def open_days(term: Term, first: date, last: date, *, weekdays: bool = False) -> np.ndarray:
    """Days of ``first``..``last`` that are no holiday; with ``weekdays`` no weekend either."""
    span = days(first, last)
    span = span[~np.isin(span, holiday_days(term))]
    return span[np.is_busday(span)] if weekdays else span


def after(day: date) -> date:
    """The next day."""
    return date.fromordinal(day.toordinal() + 1)


def stream(seed: int, *names: object) -> np.random.Generator:
    """An independent random stream for one named part, so that changing one part leaves the others alone."""
    return np.random.default_rng([seed, zlib.crc32("/".join(map(str, names)).encode())])
