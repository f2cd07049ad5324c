"""The canonical tables as data: columns, types and keys (what ingest writes and everything else reads)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from cobench.errors import ConservationError


@dataclass(frozen=True)
class Table:
    """A canonical table.

    ``columns`` maps each column to ``text``, ``int``, ``float``, ``bool``, ``date`` or ``time``;
    ``key`` names the columns that identify a row; ``by_term`` says whether it is stored a term at a time.
    """

    name: str
    columns: dict[str, str]
    key: tuple[str, ...]
    by_term: bool = True


_TABLES = (
    Table(
        "schools",
        {
            "school": "text",
            "name": "text",
            "short_name": "text",
            "former_names": "text",
            "stage": "text",
            "term": "text",
        },
        ("school", "term"),
    ),
    Table(
        "students",
        {"student": "text", "sex": "text", "birth_month": "text", "term": "text"},
        ("student", "term"),
    ),
    Table(
        "enrolments",
        {
            "student": "text",
            "term": "text",
            "school": "text",
            "class_id": "text",
            "grade": "int",
            "boarding": "bool",
            "status": "text",
            "valid_from": "date",
            "valid_to": "date",
        },
        ("student", "term", "class_id", "valid_from"),
    ),
    Table(
        "memberships",
        {
            "student": "text",
            "term": "text",
            "category": "text",
            "valid_from": "date",
            "valid_to": "date",
            "source": "text",
        },
        ("student", "term", "category", "valid_from"),
    ),
    Table(
        "contacts",
        {
            "student": "text",
            "term": "text",
            "school": "text",
            "class_id": "text",
            "date": "date",
            "mode": "text",
            "trigger": "text",
            "teacher_role": "text",
            "minutes": "float",
            "entered_at": "time",
            "teacher": "text",
            "follow_up_due": "date",
            "follow_up_done": "date",
            "has_form": "bool",
            "has_photo": "bool",
            "note_key": "text",
        },
        (),
    ),
    Table(
        "set_aside",
        {"student": "text", "term": "text", "table": "text", "measure": "text", "rule": "text"},
        (),
    ),
    Table(
        "logs",
        {"table": "text", "school": "text", "class_id": "text", "term": "text"},
        ("table", "class_id", "term"),
    ),
    Table(
        "events",
        {
            "event": "text",
            "term": "text",
            "school": "text",
            "class_id": "text",
            "date": "date",
            "kind": "text",
            "topic": "text",
            "grade": "int",
            "unit": "text",
            "subject": "text",
            "speaker": "text",
            "n_invited": "int",
            "n_present": "int",
            "minutes": "float",
            "has_minutes": "bool",
            "has_feedback": "bool",
        },
        ("event",),
    ),
    Table(
        "records",
        {
            "record": "text",
            "term": "text",
            "school": "text",
            "class_id": "text",
            "grade": "int",
            "student": "text",
            "teacher": "text",
            "unit": "text",
            "kind": "text",
            "item": "text",
            "subject": "text",
            "date": "date",
            "due": "date",
            "done": "date",
            "value": "float",
            "level": "text",
            "holds": "bool",
        },
        ("record",),
    ),
    Table(
        "checkins",
        {
            "student": "text",
            "term": "text",
            "school": "text",
            "class_id": "text",
            "date": "date",
            "minutes": "float",
        },
        ("student", "date"),
    ),
    Table(
        "teaching",
        {
            "teacher": "text",
            "term": "text",
            "school": "text",
            "class_id": "text",
            "subject": "text",
            "role": "text",
            "valid_from": "date",
            "valid_to": "date",
        },
        ("teacher", "term", "school", "class_id", "subject", "role", "valid_from"),
    ),
    Table(
        "communities",
        {
            "unit": "text",
            "term": "text",
            "kind": "text",
            "school": "text",
            "role": "text",
            "stage": "text",
            "valid_from": "date",
            "valid_to": "date",
        },
        ("unit", "term", "school"),
    ),
    Table(
        "postings",
        {
            "teacher": "text",
            "term": "text",
            "unit": "text",
            "from_school": "text",
            "to_school": "text",
            "kind": "text",
            "valid_from": "date",
            "valid_to": "date",
            "days": "float",
            "hours": "float",
            "n_events": "int",
            "passed": "bool",
        },
        ("teacher", "term", "unit", "to_school", "kind", "valid_from"),
    ),
    Table(
        "tasks",
        {
            "task": "text",
            "term": "text",
            "unit": "text",
            "school": "text",
            "kind": "text",
            "subject": "text",
            "planned": "float",
            "done": "float",
            "due": "date",
            "done_on": "date",
        },
        ("task", "term"),
    ),
    Table(
        "attendance",
        {
            "event": "text",
            "term": "text",
            "student": "text",
            "school": "text",
            "class_id": "text",
            "invited": "bool",
            "present": "bool",
            "minutes": "float",
        },
        (),
    ),
    Table(
        "responses",
        {
            "instrument": "text",
            "version": "text",
            "term": "text",
            "respondent": "text",
            "student": "text",
            "school": "text",
            "class_id": "text",
            "item": "text",
            "raw": "text",
            "value": "float",
            "missing_reason": "text",
            "measured_on": "date",
        },
        (),
    ),
    Table(
        "outcomes",
        {
            "student": "text",
            "term": "text",
            "measure": "text",
            "value": "float",
            "level": "text",
            "missing_reason": "text",
            "source": "text",
            "measured_on": "date",
        },
        ("student", "term", "measure"),
    ),
)

TABLES: dict[str, Table] = {table.name: table for table in _TABLES}

DTYPES = {
    "text": "str",
    "int": "Int64",
    "float": "float64",
    "bool": "boolean",
    "date": "datetime64[s]",
    "time": "datetime64[s]",
}


_ARROW = {
    "text": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.timestamp("ms"),
    "time": pa.timestamp("ms"),
}


def conform(name: str, frame: pd.DataFrame, columns: Collection[str] | None = None) -> pd.DataFrame:
    """Return ``frame`` with exactly the columns and types of canonical table ``name``.

    Absent columns become missing; extra columns are dropped. With ``columns`` only these are returned.

    Raises
    ------
    ConservationError
        If the table's key is not unique.
    """
    table = TABLES[name]
    tidy = pd.DataFrame(
        {
            column: _cast(frame[column], kind) if column in frame else _empty(frame.index, kind)
            for column, kind in table.columns.items()
            if columns is None or column in columns
        }
    ).reset_index(drop=True)
    if set(table.key) <= set(tidy.columns):
        _check_key(table, tidy)
    return tidy


def to_arrow(name: str, frame: pd.DataFrame) -> pa.Table:
    """``frame`` as an Arrow table with exactly the columns and types of canonical table ``name``.

    Columns of categories stay codes where that is shorter.

    Raises
    ------
    ConservationError
        If the table's key is not unique.
    """
    table = TABLES[name]
    _check_key(table, frame if set(table.key) <= set(frame.columns) else conform(name, frame))
    return pa.table(
        {
            column: _arrow(frame[column], kind) if column in frame else pa.nulls(len(frame), _ARROW[kind])
            for column, kind in table.columns.items()
        }
    )


def empty(name: str) -> pd.DataFrame:
    """An empty canonical table with its columns and types."""
    return conform(name, pd.DataFrame())


def _check_key(table: Table, frame: pd.DataFrame) -> None:
    if table.key and frame.duplicated(list(table.key)).any():
        n_twice = int(frame.duplicated(list(table.key)).sum())
        keys = ", ".join(table.key)
        raise ConservationError(
            en=f"table {table.name}: {n_twice} rows repeat the key ({keys}); resolve duplicates before storing",
            zh=f"表 {table.name}：有 {n_twice} 行重复了主键（{keys}），入库前须先处理重复",
        )


def _cast(column: pd.Series, kind: str) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype("object")
    if kind in ("date", "time"):
        return pd.to_datetime(column).astype(DTYPES[kind])
    return column.astype(DTYPES[kind])


def _arrow(column: pd.Series, kind: str) -> pa.Array:
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return pa.array(_cast(column, kind), type=_ARROW[kind], from_pandas=True)
    # Values that no row holds (any more) would still be written, and may be names.
    used, codes = _used(column.cat.codes.to_numpy(), len(column.cat.categories))
    values = pd.Series(column.cat.categories.to_numpy(dtype=object)[used])
    distinct = pa.array(_cast(values, kind), type=_ARROW[kind], from_pandas=True)
    indices = pa.array(codes, pa.int32(), mask=codes < 0)
    if kind == "text" and len(distinct) < max(1000, len(column) // 8):
        return pa.DictionaryArray.from_arrays(indices, distinct)
    return distinct.take(indices)


def _used(codes: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes that stand in some row, in order, and the rows' codes into these."""
    held = np.zeros(n + 1, dtype=bool)
    held[codes] = True
    used = np.flatnonzero(held[:-1])
    place = np.full(n + 1, -1, dtype=np.int32)
    place[used] = np.arange(len(used))
    return used, place[codes]


def _empty(index: pd.Index, kind: str) -> pd.Series:
    return pd.Series(None, index=index, dtype=DTYPES[kind])
