"""The stored rows that a panel rests on, read so that a whole district's fit into memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cobench import store
from cobench.study import Study, Term
from cobench.tables import DTYPES, TABLES

_CODES = pa.dictionary(pa.int32(), pa.string())


def read_panel_frames(study: Study, term: Term) -> tuple[dict[str, pd.DataFrame], pa.Array]:
    """What :func:`cobench.panel.build_panel` needs of the stored tables (without ``scores``).

    Of earlier terms these are the rows that exposure, history and baselines rest on, no others.

    Returns
    -------
    dict of DataFrame
        By table; texts are categories, students whole numbers.
    pyarrow.Array
        The pseudonym of each number.
    """
    until = [each.id for each in study.terms_until(term.id)]
    measured = [each for each in (term.id, term.baseline) if each is not None]
    held = {
        "students": store.read_codes(study, "students", [term.id]),
        "enrolments": store.read_codes(study, "enrolments", measured),
        "memberships": store.read_codes(study, "memberships", [term.id]),
        "outcomes": store.read_codes(study, "outcomes", measured),
    }
    names = pa.chunked_array(
        [part for table in held.values() for part in _distinct(table)], pa.string()
    ).unique()
    frames = {name: _numbered(name, table, names) for name, table in held.items()}
    del held
    frames["silent"] = _numbered("silent", _silent_seats(study, until[:-1], measured), names)
    for name in ("contacts", "attendance"):
        # A term at a time: nearly all that these tables hold of earlier terms are pseudonyms, soon done with.
        parts = [_numbered(name, store.read_codes(study, name, [each]), names) for each in until]
        frames[name] = _stacked(parts)
    silent = frames.pop("silent")
    if len(silent):
        both = pd.concat(
            [each.astype("object") for each in (frames["enrolments"], silent)], ignore_index=True
        )
        kinds = TABLES["enrolments"].columns
        types = {name: "category" if kinds[name] == "text" else DTYPES[kinds[name]] for name in kinds}
        types["student"] = "int64"
        frames["enrolments"] = both.astype(types)
    for name in ("events", "logs"):
        frames[name] = _frame(name, store.read_codes(study, name, until))
    return frames, names


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


def _codes(students: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    column = students if isinstance(students, pa.ChunkedArray) else pa.chunked_array([students])
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return column if column.type == _CODES else column.cast(_CODES)


def _distinct(table: pa.Table) -> list[pa.Array]:
    """Pseudonyms that a table holds, some of them perhaps more than once."""
    return [
        part.dictionary.take(pc.unique(part.indices.drop_null())) for part in _codes(table["student"]).chunks
    ]


def _numbered(name: str, table: pa.Table, names: pa.Array) -> pd.DataFrame:
    """A table with the number of each student into ``names``, without rows of others."""
    numbers = [
        np.append(pc.index_in(part.dictionary, names).fill_null(-1).to_numpy(), -1)[
            part.indices.fill_null(-1).to_numpy()
        ]
        for part in _codes(table["student"]).chunks
    ]
    student = np.concatenate(numbers).astype(np.int64) if numbers else np.array([], dtype=np.int64)
    kept = student >= 0
    rows = table.drop_columns("student")
    if not kept.all():
        rows, student = rows.filter(pa.array(kept)), student[kept]
    return _frame(name, rows).assign(student=student)


def _stacked(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Frames below each other, categories kept."""
    made = {}
    for column in parts[0]:
        own = [part[column] for part in parts]
        if isinstance(own[0].dtype, pd.CategoricalDtype):
            # A term in which the column is blank throughout has categories of no type, which don't unite.
            made[column] = pd.api.types.union_categoricals(
                [each.cat.rename_categories(each.cat.categories.astype("str")) for each in own]
            )
        else:
            made[column] = pd.concat(own, ignore_index=True)
    return pd.DataFrame(made)


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
