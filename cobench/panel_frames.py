"""The stored rows that a panel rests on, read so that a whole district's fit into memory."""

from __future__ import annotations

import re
from collections.abc import Mapping

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cobench import store
from cobench.errors import StudyFileError
from cobench.roll import Roll
from cobench.study import Study, Term
from cobench.tables import DTYPES, TABLES

_CODES = pa.dictionary(pa.int32(), pa.string())


def read_panel_frames(study: Study, term: Term) -> tuple[dict[str, pd.DataFrame], pa.Array]:
    """What :func:`cobench.panel.build_panel` needs of the stored tables (without ``scores``).

    Of earlier terms these are the rows that baselines rest on, and ``history``: ``treatment, student, n`` rows up to
    the landmark that some level of the treatment fits.

    Returns
    -------
    dict of DataFrame
        By table; texts are categories, students whole numbers.
    pyarrow.Array
        The pseudonym of each number.
    """
    until = [each.id for each in study.terms_until(term.id)]
    measured = [each for each in (term.id, term.baseline) if each is not None]
    counted = _counted(study, term, until)
    held = {
        "students": store.read_codes(study, "students", [term.id]),
        "enrolments": store.read_codes(study, "enrolments", measured),
        "memberships": store.read_codes(study, "memberships", [term.id]),
        "outcomes": store.read_codes(study, "outcomes", measured),
    }
    roll, numbers = _roll(held)
    frames = {name: _numbered(name, held.pop(name), numbers.pop(name)) for name in list(held)}
    seats = _silent_seats(study, until[:-1], measured)
    frames["silent"] = _numbered("silent", seats, roll.numbers(seats["student"]))
    for name in ("contacts", "attendance"):
        rows = store.read_codes(study, name, [term.id], columns=_asked_of(study, name))
        frames[name] = _numbered(name, rows, roll.numbers(rows["student"]))
    for name in ("events", "logs"):
        frames[name] = _frame(name, store.read_codes(study, name, until))
    frames["history"] = _history(counted, roll)
    silent = frames.pop("silent")
    if len(silent):
        both = pd.concat(
            [each.astype("object") for each in (frames["enrolments"], silent)], ignore_index=True
        )
        kinds = TABLES["enrolments"].columns
        types = {name: "category" if kinds[name] == "text" else DTYPES[kinds[name]] for name in kinds}
        types["student"] = "int64"
        frames["enrolments"] = both.astype(types)
    return frames, roll.names


def with_codes(
    frames: Mapping[str, pd.DataFrame], names: pa.Array | None
) -> tuple[dict[str, pd.DataFrame], pa.Array]:
    """Frames with whole numbers for students, the same for the same child, and the pseudonym of each number.

    Rows without a child are left out: nothing of the panel rests on them. Frames whose students are numbers into
    ``names`` already stay as they are.
    """
    open_frames = {
        name: frame[frame["student"].notna()]
        for name, frame in frames.items()
        if "student" in frame
        and not (names is not None and pd.api.types.is_integer_dtype(frame["student"].dtype))
    }
    known = [] if names is None else [pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), names)]
    parts = [*known, *(_whole(frame["student"]) for frame in open_frames.values())]
    unified = pa.chunked_array(parts, _CODES).unify_dictionaries()
    numbered = {
        name: frame.assign(student=chunk.indices.to_numpy().astype(np.int64))
        for (name, frame), chunk in zip(open_frames.items(), unified.chunks[len(known) :], strict=True)
    }
    return {**frames, **numbered}, unified.chunk(0).dictionary


def _whole(students: pd.Series) -> pa.DictionaryArray:
    array = pa.array(students.astype("str").to_numpy(dtype=object), pa.string())
    return array.dictionary_encode()


def _roll(held: Mapping[str, pa.Table]) -> tuple[Roll, dict[str, np.ndarray]]:
    """Everybody whom the tables name, and the numbers of each table's rows.

    As a rule all are enrolled, which spares looking for new names in the larger tables.
    """
    columns = {name: table["student"] for name, table in held.items()}
    for first in (["students", "enrolments"], list(columns)):
        roll = Roll(pa.chunked_array([part for name in first for part in columns[name].chunks], pa.string()))
        numbers = {name: roll.numbers(each) for name, each in columns.items()}
        known = all(
            (numbers[name] >= 0).sum() == len(each) - each.null_count for name, each in columns.items()
        )
        if known:
            break
    return roll, numbers


def _counted(study: Study, term: Term, until: list[str]) -> dict[str, pa.Table]:
    """Rows of earlier terms by student and treatment, counted where they lie: they needn't fit into memory."""
    found = {}
    events = store.relation(study, "events", until)
    with store.connect(study, views=False) as connection:
        for treatment in study.treatments.values():
            rows = store.relation(study, treatment.from_, until[:-1])
            if rows is None or (treatment.from_ == "attendance" and events is None):
                continue
            if treatment.from_ == "attendance":
                rows = f"(select a.*, e.date, e.kind, e.topic from {rows} a join {events} e using (event))"
            fits = " or ".join(f"coalesce(({level.where})::boolean, false)" for level in treatment.levels)
            query = (
                f"select student, count(*) as n from {rows} where student is not null "
                f"and date <= date '{term.landmark}' and ({fits}) group by student"
            )
            try:
                found[treatment.id] = connection.sql(query).to_arrow_table()
            except duckdb.Error as error:
                raise condition_error(fits, error) from None
    return found


def _history(counted: dict[str, pa.Table], roll: Roll) -> pd.DataFrame:
    parts = [pd.DataFrame({"treatment": [], "student": [], "n": []}).astype({"student": int, "n": int})]
    for treatment, table in counted.items():
        frame = pd.DataFrame({"student": roll.numbers(table["student"]), "n": table["n"].to_numpy()})
        parts.append(frame[frame["student"] >= 0].assign(treatment=treatment))
    return pd.concat(parts, ignore_index=True)


def condition_error(expression: str, error: duckdb.Error) -> StudyFileError:
    """The study's error: a level's condition that can't be evaluated."""
    told = str(error).splitlines()[0]
    return StudyFileError(
        en=f"the expression {expression!r} can't be evaluated: {told}",
        zh=f"表达式 {expression!r} 无法计算：{told}",
    )


def _asked_of(study: Study, name: str) -> list[str]:
    """Columns of ``name`` that exposure rests on: those always used, and those that a level's condition names."""
    told = " ".join(
        level.where
        for treatment in study.treatments.values()
        if treatment.from_ == name
        for level in treatment.levels
    )
    words = {"student", "date", "event", "minutes", "invited", "present", *re.findall(r"\w+", told.lower())}
    return [each for each in TABLES[name].columns if each in words]


def _numbered(name: str, table: pa.Table, numbers: np.ndarray) -> pd.DataFrame:
    """A table with the numbers of its students, without rows of those who have none."""
    rows = table.drop_columns("student")
    kept = numbers >= 0
    if not kept.all():
        rows, numbers = rows.filter(pa.array(kept)), numbers[kept]
    return _frame(name, rows).assign(student=numbers)


def _frame(name: str, table: pa.Table) -> pd.DataFrame:
    frame = table.unify_dictionaries().to_pandas(split_blocks=True)
    kinds = TABLES["enrolments" if name == "silent" else name].columns
    texts = {each: "category" for each in frame if kinds[each] == "text"}
    others = {each: DTYPES[kinds[each]] for each in frame if kinds[each] not in ("text", "float")}
    return frame.astype(texts | others)


def _silent_seats(study: Study, earlier: list[str], but: list[str]) -> pa.Table:
    """Enrolments of ``earlier`` terms, ``but`` some, in classes of which some treatment's log never came."""
    columns = ["class_id", "term"]
    held = store.read_codes(study, "enrolments", earlier, columns=columns).unify_dictionaries()
    listed = held.group_by(columns).aggregate([])
    listed = pd.MultiIndex.from_frame(listed.to_pandas().astype("object"))
    logs = store.read_codes(study, "logs", earlier).to_pandas().astype("object")
    silent = np.zeros(len(listed), dtype=bool)
    for treatment in study.treatments.values():
        arrived = logs.loc[logs["table"] == treatment.from_, columns]
        silent |= ~listed.isin(pd.MultiIndex.from_frame(arrived))
    classes = pa.array(sorted(set(listed[silent].get_level_values(0))), pa.string())
    if len(classes) == 0:
        return store.read_codes(study, "enrolments", [])
    seats = store.read_codes(study, "enrolments", [each for each in earlier if each not in but])
    return seats.filter(pc.is_in(seats["class_id"].cast(pa.string()), classes))
