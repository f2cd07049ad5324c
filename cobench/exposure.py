"""What happened to each student between landmark and end of the exposure window, and before the landmark.

Students are whole numbers here (:func:`cobench.panel_frames.with_codes`), so that everything about them is an array.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from cobench.panel_frames import condition_error
from cobench.study import Study, Term, Treatment


def exposure(
    treatment: Treatment,
    frames: Mapping[str, pd.DataFrame],
    roster: pd.DataFrame,
    term: Term,
    earlier: np.ndarray | int = 0,
) -> pd.DataFrame:
    """Level, count, minutes and history of ``treatment``, one row a student of ``roster`` (its index, numbers).

    Parameters
    ----------
    frames : mapping
        ``contacts`` or ``attendance`` with ``events``, and ``logs``.
    roster : DataFrame
        ``class_id`` by student: without a row a student of a class whose log arrived is at the reference level,
        others are missing.
    earlier : array of int, optional
        What is to be added to the history, by student, where ``frames`` hold the rows of this term only.
    """
    rows, arrived = _dated_rows(treatment, frames), frames["logs"]
    arrived = arrived.loc[(arrived["table"] == treatment.from_) & (arrived["term"] == term.id), "class_id"]
    has_log = roster["class_id"].isin(arrived).to_numpy()
    rank = first_rank(treatment, rows)
    date = rows["date"].to_numpy()
    in_time = (date > np.datetime64(term.landmark)) & (date <= np.datetime64(term.exposure_end))
    early = (date <= np.datetime64(term.landmark)) & (rank >= 0)
    during = in_time & (rank >= 0)
    seat = _Seats(rows["student"].to_numpy(), roster.index)
    codes = seat.lowest(rank, during, len(treatment.levels))
    reached = codes >= 0
    codes = np.where(~reached & has_log, len(treatment.levels), codes)
    kinds = [*(each.id for each in treatment.levels), treatment.reference]
    known = has_log | reached
    columns = {
        treatment.id: pd.Categorical.from_codes(codes, kinds),
        f"{treatment.id}:count": np.where(known, seat.count(during), np.nan),
        f"{treatment.id}:minutes": seat.total(
            rows["minutes"].to_numpy(dtype="float64", na_value=np.nan), during
        ),
        f"{treatment.id}:history": seat.count(early) + earlier,
    }
    if treatment.from_ == "attendance":
        listed = seat.count(in_time & _would_count(treatment, rows)) > 0
        columns[f"{treatment.id}:invited"] = np.where(has_log | listed, listed.astype("float64"), np.nan)
    return pd.DataFrame(columns, index=roster.index)


def earlier_terms(
    study: Study,
    frames: Mapping[str, pd.DataFrame],
    roster: pd.DataFrame,
    term: Term,
    attending: Sequence[str],
) -> pd.DataFrame:
    """What earlier terms add to each student's history, one row a student of ``roster`` (its index, numbers).

    Parameters
    ----------
    frames : mapping
        ``seats`` or ``enrolments``, ``logs``, and ``history`` where rows of earlier terms were counted where they lie.
    attending : sequence of str
        Statuses of enrolment of who goes to class.

    Returns
    -------
    DataFrame
        By treatment ``<id>:n`` (counted rows; 0 without ``history``) and ``<id>:silent`` (a log never came).
    """
    seats = frames["seats"] if "seats" in frames else frames["enrolments"]
    earlier = [each.id for each in study.terms_until(term.id)[:-1]]
    silent = without_earlier_log(study, seats[seats["status"].isin(attending)], frames["logs"], earlier)
    columns: dict[str, object] = {}
    for treatment in study.treatments.values():
        columns[f"{treatment.id}:n"] = _counted_earlier(treatment, frames, roster.index)
        columns[f"{treatment.id}:silent"] = roster.index.isin(silent[treatment.id])
    return pd.DataFrame(columns, index=roster.index)


def _counted_earlier(
    treatment: Treatment, frames: Mapping[str, pd.DataFrame], students: pd.Index
) -> np.ndarray | int:
    """Rows of earlier terms by student, where they were counted beforehand."""
    if "history" not in frames:
        return 0
    held = frames["history"]
    held = held[held["treatment"] == treatment.id]
    return (
        _Seats(held["student"].to_numpy(), students)
        .total(held["n"].to_numpy("float64"), slice(None), empty=0)
        .astype("int64")
    )


def without_earlier_log(
    study: Study, seats: pd.DataFrame, logs: pd.DataFrame, earlier: list[str]
) -> dict[str, pd.Index]:
    """By treatment, students who sat in a class whose log of an earlier term never came: their history isn't known.

    ``seats``: enrolments of who attended.
    """
    keys = ["class_id", "term"]
    seats = seats[seats["term"].isin(earlier)]
    place = seats.groupby(keys, observed=True, sort=False).ngroup().to_numpy()
    first = seats[keys][~pd.Series(place).duplicated().to_numpy()]
    classes = pd.MultiIndex.from_frame(first.astype("object"))
    found = {}
    for treatment in study.treatments.values():
        arrived = logs.loc[logs["table"] == treatment.from_, keys].drop_duplicates()
        silent = ~classes.isin(pd.MultiIndex.from_frame(arrived.astype("object")))
        found[treatment.id] = pd.Index(seats["student"].to_numpy()[silent[place]]).unique()
    return found


def first_level(treatment: Treatment, rows: pd.DataFrame) -> pd.Series:
    """The first level that fits each row, missing where none does."""
    names = np.array([*(each.id for each in treatment.levels), np.nan], dtype=object)
    return pd.Series(names[first_rank(treatment, rows)], index=rows.index, dtype="str")


def first_rank(treatment: Treatment, rows: pd.DataFrame) -> np.ndarray:
    """Number of the first level that fits each row, -1 where none does."""
    return first_true([level.where for level in treatment.levels], rows)


def first_true(conditions: Sequence[str], rows: pd.DataFrame) -> np.ndarray:
    """Number of the first SQL condition that is true of each row, -1 where none is.

    Raises
    ------
    StudyFileError
        For a condition that can't be evaluated.
    """
    if rows.empty:
        return np.full(0, -1)
    words = set(re.findall(r"\w+", " ".join(conditions).lower()))
    named = rows[[name for name in rows if str(name).lower() in words] or list(rows)]
    whens = [f"when coalesce(({each})::boolean, false) then {place}" for place, each in enumerate(conditions)]
    with duckdb.connect(":memory:") as connection:
        connection.register("rows", pa.Table.from_pandas(named, preserve_index=False))
        try:
            found = connection.sql(
                f"select case {' '.join(whens)} else -1 end as rank from rows"
            ).fetchnumpy()
        except duckdb.Error as error:
            raise _condition_at_fault(connection, conditions, error) from None
    return np.asarray(found["rank"], dtype=np.int64)


def _condition_at_fault(
    connection: duckdb.DuckDBPyConnection, conditions: Sequence[str], error: duckdb.Error
) -> Exception:
    for each in conditions:
        try:
            connection.sql(f"select ({each})::boolean from rows").fetchnumpy()
        except duckdb.Error as own:
            return condition_error(each, own)
    return condition_error(" | ".join(conditions), error)


def _dated_rows(treatment: Treatment, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    rows = frames[treatment.from_]
    if treatment.from_ == "attendance":
        events = frames["events"]
        codes, names = pd.factorize(rows["event"])
        place = pd.Index(events["event"].astype("object")).get_indexer(pd.Index(names).astype("object"))
        place = np.append(place, -1)[codes]
        rows = rows.assign(
            **{name: events[name].array.take(place, allow_fill=True) for name in ("date", "kind", "topic")}
        )
    return rows[rows["student"].notna() & rows["date"].notna()].reset_index(drop=True)


def _would_count(treatment: Treatment, rows: pd.DataFrame) -> np.ndarray:
    """Invitations to what would have been exposure, had the family come."""
    invited = rows["invited"].fillna(False).to_numpy(dtype=bool)
    fits = np.zeros(len(rows), dtype=bool)
    fits[invited] = first_rank(treatment, rows[invited].assign(present=True)) >= 0
    return fits


class _Seats:
    """Rows of students added up by the students of a roster."""

    def __init__(self, student: np.ndarray, students: pd.Index) -> None:
        self._student, self._students = student.astype(np.int64), students.to_numpy(dtype=np.int64)
        self._size = 1 + max(self._student.max(initial=-1), self._students.max(initial=-1))

    def lowest(self, rank: np.ndarray, rows: np.ndarray, ranks: int) -> np.ndarray:
        """Lowest rank of each student's ``rows`` (mask), -1 without any."""
        best = np.full(self._size, -1)
        for each in reversed(range(ranks)):
            best[self._student[rows & (rank == each)]] = each
        return best[self._students]

    def count(self, rows: np.ndarray) -> np.ndarray:
        """Number of each student's ``rows``."""
        return np.bincount(self._student[rows], minlength=self._size)[self._students]

    def total(self, values: np.ndarray, rows: np.ndarray | slice, *, empty: float = np.nan) -> np.ndarray:
        """Sum of each student's known ``values``, added in their order so that the order of rows doesn't matter."""
        student, values = self._student[rows], values[rows]
        student, values = student[~np.isnan(values)], values[~np.isnan(values)]
        order = np.argsort(values, kind="stable")
        sums = np.bincount(student[order], weights=values[order], minlength=self._size)
        some = np.bincount(student, minlength=self._size) > 0
        return np.where(some, sums, empty)[self._students]
