"""The stored rows that a panel rests on, read so that a whole district's fit into memory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

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

_LATER = ("memberships", "contacts", "attendance", "events", "logs", "history", "seats")
_CODES = pa.dictionary(pa.int32(), pa.string())


class StoredFrames(Mapping):
    """What :func:`cobench.panel.build_panel` needs of the stored tables, read when it is asked for.

    Texts are categories, students whole numbers. Of earlier terms there are the rows that baselines rest on, ``history``
    (``treatment, student, n`` rows up to the landmark that some level of the treatment fits) and ``seats`` (enrolments,
    with those of earlier terms in classes whose log never came).

    Attributes
    ----------
    names : pyarrow.Array
        The pseudonym of each number.
    """

    def __init__(self, study: Study, term: Term, scores: pd.DataFrame | None = None) -> None:
        self._study, self._term = study, term
        self._until = [each.id for each in study.terms_until(term.id)]
        self._measured = [each for each in (term.id, term.baseline) if each is not None]
        held = {
            "students": store.read_codes(study, "students", [term.id]),
            "enrolments": store.read_codes(study, "enrolments", self._measured),
        }
        listed = [part for each in held.values() for part in each["student"].chunks]
        self._roll = Roll(pa.chunked_array(listed, pa.string()))
        self.names = self._roll.names
        self._read = {name: self._numbered(name, each) for name, each in held.items()}
        self._by_term: dict[tuple[str, str], pd.DataFrame] = {}
        if scores is not None:
            self._read["scores"] = self._with_numbers(scores)

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self:
            raise KeyError(name)
        if name not in self._read:
            self._read[name] = self._asked(name)
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in _LATER or name in self._read

    def __iter__(self) -> Iterator[str]:
        return iter({**self._read, **dict.fromkeys(_LATER)})

    def __len__(self) -> int:
        return len({*self._read, *_LATER})

    def of_term(self, name: str, term_id: str) -> pd.DataFrame:
        """Rows of one term of a table by student; no other term is read."""
        if (name, term_id) not in self._by_term:
            table = store.read_codes(self._study, name, [term_id])
            self._by_term[name, term_id] = self._numbered(name, table)
        return self._by_term[name, term_id]

    def _asked(self, name: str) -> pd.DataFrame:
        if name == "history":
            return _history(_counted(self._study, self._term, self._until), self._roll)
        if name == "seats":
            return self._seats()
        terms = {"events": self._until, "logs": self._until}
        columns = _asked_of(self._study, name) if name in ("contacts", "attendance") else None
        table = store.read_codes(self._study, name, terms.get(name, [self._term.id]), columns=columns)
        return self._numbered(name, table) if "student" in table.column_names else _frame(name, table)

    def _seats(self) -> pd.DataFrame:
        rows = _silent_seats(self._study, self._until[:-1], self._measured)
        if not len(rows):
            return self["enrolments"]
        both = [self["enrolments"], self._numbered("enrolments", rows)]
        kinds = TABLES["enrolments"].columns
        types = {name: "category" if kinds[name] == "text" else DTYPES[kinds[name]] for name in kinds}
        joined = pd.concat([each.astype("object") for each in both], ignore_index=True)
        return joined.astype({**types, "student": "int64"})

    def _numbered(self, name: str, table: pa.Table) -> pd.DataFrame:
        """A table with the numbers of its students, without rows of nobody."""
        rows, students = table.drop_columns("student"), table["student"]
        if students.null_count:
            known = students.is_valid()
            rows, students = rows.filter(known), students.filter(known)
        return _frame(name, rows).assign(student=self._numbers(students))

    def _with_numbers(self, frame: pd.DataFrame) -> pd.DataFrame:
        known = frame[frame["student"].notna()]
        return known.assign(student=self._numbers(pa.chunked_array([_whole(known["student"])])))

    def _numbers(self, students: pa.ChunkedArray) -> np.ndarray:
        """Numbers of students; whom the roster doesn't name has one beyond it, in this table only."""
        numbers = self._roll.numbers(students)
        strange = np.flatnonzero(numbers < 0)
        if len(strange):
            codes, _ = pd.factorize(students.take(pa.array(strange)).to_pandas())
            numbers = numbers.copy()
            numbers[strange] = len(self.names) + codes
        return numbers


def of_term(frames: Mapping[str, pd.DataFrame], name: str, term_id: str) -> pd.DataFrame:
    """Rows of one term of table ``name`` with students as numbers."""
    if isinstance(frames, StoredFrames):
        return frames.of_term(name, term_id)
    return frames[name][frames[name]["term"] == term_id]


def with_codes(frames: Mapping[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], pa.Array]:
    """Frames with whole numbers for students, the same for the same child, and the pseudonym of each number.

    Rows without a child are left out: nothing of the panel rests on them.
    """
    open_frames = {
        name: frame[frame["student"].notna()] for name, frame in frames.items() if "student" in frame
    }
    parts = [_whole(frame["student"]) for frame in open_frames.values()]
    unified = pa.chunked_array(parts, _CODES).unify_dictionaries()
    numbered = {
        name: frame.assign(student=chunk.indices.to_numpy().astype(np.int64))
        for (name, frame), chunk in zip(open_frames.items(), unified.chunks, strict=True)
    }
    return {**frames, **numbered}, unified.chunk(0).dictionary


def _whole(students: pd.Series) -> pa.DictionaryArray:
    array = pa.array(students.astype("str").to_numpy(dtype=object), pa.string())
    return array.dictionary_encode()


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


def _frame(name: str, table: pa.Table) -> pd.DataFrame:
    frame = table.unify_dictionaries().to_pandas(split_blocks=True)
    kinds = TABLES[name].columns
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
