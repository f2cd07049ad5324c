"""The panel of the stored tables; what nothing has changed of is taken over from the last time.

A panel is put together from parts, one row a student of the roster and no pseudonym in it: what earlier terms add to
history, exposure by treatment, values and baselines by outcome. A part is stored as ``data/processed/derived/parts/<term>/<part>-<key>.arrow``,
where the key hashes all that it is made from: stored files (named by their content), declarations, the roster and the
code. Corrected visits of one term thus leave its marks alone.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import ipc

from cobench import __version__, store
from cobench.lock import storing
from cobench.panel import Panel, assemble
from cobench.panel_frames import StoredFrames
from cobench.study import Study, Term

_SUFFIX = ".arrow"
# What an enrolment says about where a child sits; boarding changes no part.
_SEATED = ("student", "school", "class_id", "grade", "status", "valid_from", "valid_to")
_CODE = (
    "panel.py",
    "panel_frames.py",
    "panel_store.py",
    "exposure.py",
    "roll.py",
    "store.py",
    "study.py",
    "tables.py",
)


def read_panel(study: Study, term: Term, scores: pd.DataFrame | None = None) -> Panel:
    """The panel of ``term`` from what is stored and from ``scores`` (needed where the study has scales).

    Parts that were kept are read; others are made and kept, and those that are no longer of use are removed.

    Raises
    ------
    StorageError
        If the disk is full or may not be written.
    """
    frames = StoredFrames(study, term, scores)
    parts = _Parts(study, term, frames)
    panel = assemble(study, term, frames, frames.names, parts.kept)
    parts.collect()
    return panel


def _folder(study: Study) -> Path:
    return store.processed_dir(study) / "derived" / "parts"


class _Parts:
    """Parts of the panel of one term, read or made."""

    def __init__(self, study: Study, term: Term, frames: StoredFrames) -> None:
        self._study, self._term, self._frames = study, term, frames
        self._held = _folder(study) / term.id
        self._earlier = [each.id for each in study.terms_until(term.id)[:-1]]
        self._used: set[str] = set()
        self._stored = cache(lambda: store.contents(study))
        self._roster = ""

    def kept(
        self, kind: str, id_: str, roster: pd.DataFrame, make: Callable[[], pd.DataFrame]
    ) -> pd.DataFrame:
        """A part as it was kept, or made and kept."""
        if not self._roster:
            self._roster = _content_key(self._placed(roster))
        key = hashlib.sha256(
            repr((self._roster, _code_key(), *self._rests_on(kind, id_))).encode()
        ).hexdigest()
        path = self._held / f"{kind}-{_plain(id_)}-{key[:24]}{_SUFFIX}"
        self._used.add(path.name)
        found = _read(path)
        if found is not None:
            return found.set_index(roster.index)
        part = make()
        _write(path, pa.Table.from_pandas(part, preserve_index=False))
        return part

    def collect(self) -> None:
        """Remove parts that this panel doesn't use."""
        for path in self._held.glob("*"):
            if path.name not in self._used:
                # Another process may be as far, or (Windows) still read it.
                with suppress(FileNotFoundError, PermissionError):
                    path.unlink()

    def _rests_on(self, kind: str, id_: str) -> Iterator[object]:
        """All that a part is made from, the roster apart."""
        study, term = self._study, self._term
        now = [*self._earlier, term.id]
        yield kind, term
        if kind == "earlier":
            yield study.treatments, self._earlier
            yield self._files(("contacts", "attendance", "events", "logs", "enrolments"), self._earlier)
        elif kind == "exposure":
            treatment = study.treatments[id_]
            yield treatment, self._files((treatment.from_, "logs"), [term.id])
            yield self._files(("events",), now if treatment.from_ == "attendance" else [])
            # What earlier terms add is part of the history.
            yield tuple(self._rests_on("earlier", ""))
        else:
            when = term if kind == "outcome" else term.baseline and study.term(term.baseline)
            yield study.outcomes[id_], when
            if when:
                yield self._files(("outcomes",), [when.id])
                enrolments = self._frames["enrolments"]
                yield _content_key(self._placed(enrolments[enrolments["term"] == when.id]))

    def _files(self, names: tuple[str, ...], terms: list[str]) -> list[tuple[str, ...]]:
        return [each for each in self._stored() if each[2] in names and each[3] in (*terms, store.NO_TERM)]

    def _placed(self, rows: pd.DataFrame) -> Iterator[tuple[str, bytes]]:
        """Who sits where, by pseudonym and in order."""
        yield "names", _names_key(self._frames.names)
        if "student" not in rows:
            rows = rows.rename_axis("student").reset_index()
        for name in _SEATED:
            if name in rows:
                yield name, _bytes(rows[name])


@cache
def _code_key() -> str:
    """Hash of the code that makes parts."""
    digest = hashlib.sha256(__version__.encode())
    for name in _CODE:
        digest.update((Path(__file__).parent / name).read_bytes())
    return digest.hexdigest()


def _names_key(names: pa.Array) -> bytes:
    _, offsets, data = names.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[names.offset : names.offset + len(names) + 1]
    digest = hashlib.sha256((ends - ends[0]).tobytes())
    if data is not None:
        digest.update(memoryview(data)[int(ends[0]) : int(ends[-1])])
    return digest.digest()


def _content_key(columns: Iterator[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, content in columns:
        digest.update(f"{name}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()


def _bytes(column: pd.Series) -> bytes:
    """What a column holds, in its order."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        listed = "\0".join(map(str, column.cat.categories))
        return column.cat.codes.to_numpy().tobytes() + b"\0" + listed.encode()
    missing = column.isna().to_numpy()
    values = column.array[~missing] if missing.any() else column.array
    return np.asarray(values).tobytes() + np.packbits(missing).tobytes()


def _plain(id_: str) -> str:
    """An id of the study file as part of a file's name; the key tells ids apart that look alike here."""
    return "".join(each if each.isalnum() and each.isascii() else "_" for each in id_)[:40]


def _read(path: Path) -> pd.DataFrame | None:
    try:
        with ipc.open_file(path) as file:
            return file.read_all().to_pandas()
    except (FileNotFoundError, pa.ArrowInvalid):
        return None


def _write(path: Path, table: pa.Table) -> None:
    with storing():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".part-", dir=path.parent)
        os.close(handle)
        try:
            with ipc.new_file(
                temporary, table.schema, options=ipc.IpcWriteOptions(compression="lz4")
            ) as file:
                file.write_table(table)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
