"""Visit logs of invented districts: schools that differ honestly, and schools that dress their records up."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from cobench.monitor.periods import school_days
from cobench.study import Term

TERM = Term("2025-2026-2", date(2026, 3, 2), date(2026, 7, 10), exam=date(2026, 7, 1))
WAYS = ("late", "heaped", "copied", "route", "relabelled")
_DAYS = np.array(
    [np.datetime64(TERM.start + timedelta(days=i)) for i in range((TERM.end - TERM.start).days - 14)]
)


def draw(
    rng: np.random.Generator, dressers: dict[str, str], *, n_schools: int = 20, n_made_up: int = 40
) -> pd.DataFrame:
    """Contacts of a district; ``dressers`` names schools and their way of making ``n_made_up`` records up.

    Honest schools differ: beta-distributed rates of late entry (mean 5 %), missing forms (6 %), short visits and repeated
    words, some of them busy at the end of term, two visits an evening now and then.
    """
    parts = [
        _school(rng, f"S{i:02}", dressers.get(f"S{i:02}", ""), n_made_up) for i in range(1, n_schools + 1)
    ]
    return pd.concat(parts, ignore_index=True)


def _school(rng: np.random.Generator, school: str, way: str, n_made_up: int) -> pd.DataFrame:
    n = int(rng.integers(120, 700))
    teacher = rng.integers(0, max(4, n // 30), n)
    day = rng.choice(_DAYS, n)
    if rng.random() < 0.2:  # an honest school that visits at the end of term
        day = np.where(rng.random(n) < 0.3, rng.choice(_DAYS[-20:], n), day)
    at_home = rng.random(n) < rng.beta(6, 6)
    late, no_form, short, same = rng.beta(1, 19), rng.beta(1, 15), rng.beta(1, 60), rng.beta(1, 40)
    delay = np.where(rng.random(n) < late, rng.integers(8, 25, n), rng.integers(0, 5, n))
    rows = pd.DataFrame(
        {
            "school": school,
            "teacher": [f"{school}-T{each}" for each in teacher],
            "date": day,
            "mode": np.where(at_home, "at_home", "phone"),
            "minutes": np.where(
                rng.random(n) < short, rng.integers(5, 10, n), rng.choice([20, 30, 40, 60], n)
            ).astype(float),
            "has_form": rng.random(n) >= no_form,
            "note_key": [f"{school}-{i}" for i in range(n)],
            "entered": day + delay,
        }
    )
    rows.loc[rng.random(n) < same, "note_key"] = f"{school}-usual"
    rows = pd.concat([rows, _dressed(rng, school, way, n_made_up)], ignore_index=True)
    return rows.assign(
        term=TERM.id,
        date=rows["date"].astype("datetime64[s]"),
        entered_at=rows["entered"].astype("datetime64[s]"),
        has_form=rows["has_form"].astype("boolean"),
    ).drop(columns="entered")


def _dressed(rng: np.random.Generator, school: str, way: str, n: int) -> pd.DataFrame:
    if not way:
        return pd.DataFrame()
    day = rng.choice(_DAYS, n)
    rows = pd.DataFrame(
        {
            "school": school,
            "teacher": [f"{school}-T{each}" for each in rng.integers(0, 4, n)],
            "date": day,
            "mode": "at_home",
            "minutes": 30.0,
            "has_form": True,
            "note_key": [f"{school}-d{i}" for i in range(n)],
            "entered": day + 1,
        }
    )
    if way == "late":  # two weeks to two months later, on any day
        return rows.assign(entered=rows["date"] + rng.integers(14, 60, n).astype("timedelta64[D]"))
    if way == "heaped":  # dates spread over the term, all written down in the last days before the exam
        entered = np.datetime64(TERM.exam) - rng.integers(0, 3, n).astype("timedelta64[D]")
        return rows.assign(date=rng.choice(_DAYS[:90], n), entered=entered)
    if way == "copied":
        return rows.assign(note_key=f"{school}-copied")
    if way == "relabelled":
        return rows.assign(minutes=rng.integers(3, 9, n).astype(float), has_form=False)
    first = np.datetime64("2026-06-16")
    return rows.assign(
        teacher=f"{school}-T0", date=first + (np.arange(n) // 20), entered=first + 3, minutes=30.0
    )


def open_days() -> list[date]:
    """School days of the simulated term."""
    return school_days(TERM)
