"""Parquet behind one manifest, queried by DuckDB.

``data/processed/<table>/term=<term>/<content hash>.parquet`` holds rows of one term from one part of a delivery;
``data/processed/manifest.json`` names the files that count, what they were made from, and their private files. It is
replaced last, so a reader sees the old tables or the new ones. Private files wait in ``private/.staged`` until the
manifest names them and are put in place by whoever comes next. The next writer removes what no manifest names; there
is one at a time (:mod:`cobench.lock`).
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cobench import reads, tables
from cobench.delivered import Delivery, Part, processed_dir, read_deliveries, write_deliveries
from cobench.errors import ConservationError, StageMissingError
from cobench.files import file_hash, write_json
from cobench.lock import storing, writing
from cobench.study import Study

NO_TERM = "all"
_STAGED = ".staged"


def private_dir(study: Study, *parts: str) -> Path:
    """A folder below ``private/``, made if absent and open to its owner only."""
    folder = study.root / "private"
    for part in ("", *parts):
        folder = folder / part if part else folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    return folder


def write_tables(study: Study, delivery: str, frames: Mapping[str, pd.DataFrame]) -> None:
    """Store ``frames`` as all that ``delivery`` holds, replacing what it held before, atomically.

    Raises
    ------
    ConservationError
        See :func:`write_part`; nothing is replaced then.
    StudyLockedError, StorageError
    """
    with writing(study.root):
        parts = {"all": Part("", write_part(study, frames))} if frames else {}
        commit(study, {delivery: Delivery(parts=parts)})


def write_part(study: Study, frames: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, dict]]:
    """Write ``frames`` as files that count once they are committed; table to term to ``{"file", "rows"}``.

    :func:`cobench.tables.to_arrow` checks canonical tables; a frame with a column ``term`` is split by it.

    Raises
    ------
    ConservationError
        If a key is not unique or a row has no term (it would belong to no file).
    StorageError
    """
    written: dict[str, dict[str, dict]] = {}
    for name, frame in frames.items():
        if name in tables.TABLES:
            table = tables.to_arrow(name, frame)
        else:
            table = pa.Table.from_pandas(frame.reset_index(drop=True), preserve_index=False)
        for term, rows in _by_term(name, table):
            path = write_parquet(study, f"{name}/term={term}", rows)
            written.setdefault(name, {})[term] = {"file": path, "rows": rows.num_rows}
    return written


def commit(study: Study, made: Mapping[str, Delivery], *, waiting: Collection[Delivery] = ()) -> None:
    """Make deliveries count, each in place of what it held before, and remove what no longer counts.

    What ``waiting`` deliveries hold stays to be taken over, though it doesn't count yet. Call it inside
    :func:`cobench.lock.writing`.
    """
    held = {**read_deliveries(study), **made}
    held = {name: each for name, each in held.items() if each.parts}
    write_deliveries(study, held)
    finish_private(study)
    _collect(study, [*held.values(), *waiting])


def stage_private(study: Study, place: str, table: pa.Table) -> str:
    """Write a private file that goes to ``private/<place>`` once a manifest names it; returns its staged name."""
    folder = private_dir(study, _STAGED)
    with storing():
        handle, temporary = tempfile.mkstemp(prefix=".part-", dir=folder)
        os.close(handle)
        try:
            pq.write_table(table, temporary)
            os.chmod(temporary, 0o600)
            name = f"{place.replace('/', '-')}-{file_hash(Path(temporary))[:16]}"
            os.replace(temporary, folder / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    return name


def private_path(study: Study, place: str, staged: str) -> Path:
    """Where a private file lies: in its place once it counts, among the staged ones before."""
    path = study.root / "private" / _STAGED / staged
    return path if path.exists() else study.root / "private" / place


def finish_private(study: Study) -> None:
    """Put private files in place that the manifest names and that a killed writer left waiting."""
    waiting = study.root / "private" / _STAGED
    if not waiting.is_dir():
        return
    for delivery in read_deliveries(study).values():
        for place, name in delivery.private.items():
            if (waiting / name).exists():
                target = study.root / "private" / place
                private_dir(study, *Path(place).parts[:-1])
                # A reader and the writer may both come by; the second finds it done.
                with suppress(FileNotFoundError):
                    os.replace(waiting / name, target)


def table_names(study: Study) -> tuple[str, ...]:
    """Tables that hold anything."""
    held = read_deliveries(study).values()
    return tuple(sorted({name for each in held for part in each.parts.values() for name in part.tables}))


def deliveries(study: Study) -> tuple[str, ...]:
    """Deliveries that have been ingested."""
    return tuple(sorted(read_deliveries(study)))


def read_table(
    study: Study,
    name: str,
    terms: Iterable[str] | None = None,
    *,
    deliveries: Collection[str] | None = None,
    parts: Collection[str] | None = None,
    columns: Collection[str] | None = None,
) -> pd.DataFrame:
    """Rows of table ``name`` of the given terms (all, when None); empty when nothing is stored.

    ``deliveries``, ``parts`` and ``columns`` narrow it further.
    """
    return _read(study, name, relation(study, name, terms, deliveries, parts), columns)


def read_part(study: Study, part: Part, name: str) -> pd.DataFrame:
    """Rows of table ``name`` that one part holds, committed or not."""
    files = [str(processed_dir(study) / each["file"]) for each in part.tables.get(name, {}).values()]
    return _read(study, name, _relation(sorted(files)), None)


def _read(study: Study, name: str, rows: str | None, columns: Collection[str] | None) -> pd.DataFrame:
    if rows is None:
        frame = tables.empty(name) if name in tables.TABLES else pd.DataFrame()
        return frame if columns is None or frame.empty and not len(frame.columns) else frame[list(columns)]
    with reads.quiet(), connect(study, views=False) as connection:
        wanted = "*" if columns is None else ", ".join(f'"{each}"' for each in columns)
        frame = connection.sql(f"select {wanted} from {rows}").df()
    return tables.conform(name, frame, columns) if name in tables.TABLES else frame


def read_codes(
    study: Study, name: str, terms: Iterable[str], *, columns: Collection[str] | None = None
) -> pa.Table:
    """Rows of a canonical table as Arrow, texts but for pseudonyms as codes: quick and small for large tables."""
    kinds = tables.TABLES[name].columns
    wanted = [each for each in kinds if columns is None or each in columns]
    texts = [each for each in wanted if kinds[each] == "text" and each != "student"]
    files = _files(study, name, terms)
    if not files:
        nothing = tables.empty(name).astype(dict.fromkeys(texts, "category"))
        return tables.to_arrow(name, nothing).select(wanted)
    read = partial(pq.read_table, columns=wanted, read_dictionary=texts, partitioning=None, pre_buffer=False)
    with reads.quiet():
        return pa.concat_tables(map(read, files))


@contextmanager
def connect(study: Study, *, views: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection in memory with one view a stored table."""
    connection = duckdb.connect(":memory:")
    try:
        for name in table_names(study) if views else ():
            connection.execute(f'create view "{name}" as select * from {relation(study, name)}')
        yield connection
    finally:
        connection.close()


def relation(study: Study, name: str, *of: Collection[str] | None) -> str | None:
    """Stored rows of a table (of some terms, deliveries, parts) as DuckDB names them; None without any."""
    return _relation(_files(study, name, *(of or [None])))


def _relation(files: list[str]) -> str | None:
    listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    return f"read_parquet([{listed}], union_by_name=true, hive_partitioning=false)" if files else None


def inputs_key(study: Study, extra: str = "") -> str:
    """Hash of everything that a term stage depends on: stored tables, ``study.toml``, ``extra``."""
    digest = hashlib.sha256()
    digest.update(json.dumps(contents(study)).encode())
    path = study.root / "study.toml"
    digest.update(path.read_bytes() if path.exists() else b"")
    digest.update(extra.encode())
    return digest.hexdigest()[:16]


def n_rows(study: Study) -> int:
    """Rows of all tables that are stored."""
    parts = [part for each in read_deliveries(study).values() for part in each.parts.values()]
    tables_of = [by_term for part in parts for by_term in part.tables.values()]
    return sum(entry["rows"] for by_term in tables_of for entry in by_term.values())


def contents(study: Study, deliveries: Collection[str] | None = None) -> list[tuple[str, ...]]:
    """Delivery, part, table, term and file (named by its content) of all that is stored, in order."""
    return sorted(
        (name, part, table, term, entry["file"])
        for name, each in read_deliveries(study).items()
        if deliveries is None or name in deliveries
        for part, of in each.parts.items()
        for table, by_term in of.tables.items()
        for term, entry in by_term.items()
    )


def write_stage(study: Study, term: str, key: str, frames: dict[str, pd.DataFrame]) -> None:
    """Store the derived frames of ``term``; what was current stays so until all are written."""
    folder = processed_dir(study) / "derived" / term
    with writing(study.root), storing():
        folder.mkdir(parents=True, exist_ok=True)
        target = Path(tempfile.mkdtemp(prefix=f"{key}-", dir=folder))
        for name, frame in frames.items():
            frame.reset_index(drop=True).to_parquet(target / f"{name}.parquet", index=False)
        write_json(folder / "current.json", {"key": key, "folder": target.name, "frames": sorted(frames)})
        for old in folder.iterdir():
            if old.is_dir() and old != target:
                for file in old.iterdir():
                    file.unlink()
                old.rmdir()
        for left in folder.glob(".current.json-*"):
            left.unlink()


def stage_key(study: Study, term: str) -> str | None:
    """The key under which the current stage of ``term`` was computed, None when there is none."""
    path = processed_dir(study) / "derived" / term / "current.json"
    return json.loads(path.read_text(encoding="utf-8"))["key"] if path.exists() else None


def read_stage(study: Study, term: str, name: str) -> pd.DataFrame:
    """One derived frame of ``term``; the reading is noted (:mod:`cobench.reads`).

    Raises
    ------
    StageMissingError
        When the term stage hasn't been computed or has no such frame.
    """
    reads.note("stage", term, name)
    return stage_frame(study, term, name)


def stage_path(study: Study, term: str, name: str) -> Path | None:
    """The file of a derived frame; None when there is none."""
    folder = processed_dir(study) / "derived" / term
    current = folder / "current.json"
    if not current.exists():
        return None
    path = folder / json.loads(current.read_text(encoding="utf-8"))["folder"] / f"{name}.parquet"
    return path if path.exists() else None


def stage_frame(study: Study, term: str, name: str, columns: list[str] | None = None) -> pd.DataFrame:
    """:func:`read_stage` without a note of it."""
    with reads.quiet():
        path = stage_path(study, term, name)
        if path is not None:
            return pd.read_parquet(path, columns=columns)
    raise StageMissingError(
        en=f"{name} of term {term} has not been computed; run `cobench run {term}`",
        zh=f"学期 {term} 的 {name} 尚未计算；请运行 `cobench run {term}`",
    )


def _by_term(name: str, table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    if "term" not in table.column_names:
        yield NO_TERM, table
        return
    terms = table["term"]
    if terms.null_count:
        raise ConservationError(
            en=f"table {name}: {terms.null_count} rows have no term and would be lost; give each row its term",
            zh=f"表 {name}：有 {terms.null_count} 行没有学期，存入后会丢失；请为每行给出学期",
        )
    found = sorted(pc.unique(terms).to_pylist())
    for term in found:
        yield str(term), table if len(found) == 1 else table.filter(pc.equal(terms, term))


def write_parquet(study: Study, folder: str, table: pa.Table) -> str:
    """Write a table below ``data/processed/<folder>``, named by its content; its path, to count once committed."""
    target = processed_dir(study) / folder
    with storing():
        target.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".part-", dir=target)
        os.close(handle)
        try:
            # Columns of codes are written as such, others (pseudonyms) plainly.
            coded = [each.name for each in table.schema if not pa.types.is_string(each.type)]
            pq.write_table(table, temporary, use_dictionary=coded or False, store_schema=False)
            name = f"{file_hash(Path(temporary))[:16]}.parquet"
            os.replace(temporary, target / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    return f"{folder}/{name}"


def _files(study: Study, name: str, terms: Iterable[str] | None, *of: Collection[str] | None) -> list[str]:
    wanted = None if terms is None else {NO_TERM, *terms}
    reads.note("table", name, *sorted(wanted or ()))
    return table_files(study, name, wanted, *of)


def table_files(
    study: Study,
    name: str,
    wanted: Collection[str] | None = None,
    deliveries: Collection[str] | None = None,
    parts: Collection[str] | None = None,
) -> list[str]:
    """Files of a stored table, of some terms; each is named by its content."""
    found = [
        (term, delivery, part, entry["file"])
        for delivery, each in read_deliveries(study).items()
        if deliveries is None or delivery in deliveries
        for part, of in each.parts.items()
        if parts is None or part in parts
        for term, entry in of.tables.get(name, {}).items()
        if wanted is None or term in wanted
    ]
    return [str(processed_dir(study) / file) for *_, file in sorted(found)]


def _collect(study: Study, held: Collection[Delivery]) -> None:
    """Remove files that none of ``held`` names, and what killed writers left behind."""
    parts = [part for each in held for part in each.parts.values()]
    named = {
        entry["file"] for part in parts for by_term in part.tables.values() for entry in by_term.values()
    }
    root, private = processed_dir(study), study.root / "private"
    cells = {name for part in parts for name in part.cells}
    staged = {name for each in held for name in each.private.values()}
    loose = [
        *(path for path in root.glob("*/term=*/*.parquet") if path.relative_to(root).as_posix() not in named),
        *root.glob("*/term=*/.part-*"),
        *root.glob(".manifest.json-*"),
        *(path for path in (private / _STAGED).glob("*") if path.name not in staged),
        *(path for path in (private / "cells").glob("*") if path.name not in cells),
        *private.glob(".hashes.json-*"),
    ]
    for path in loose:
        # Windows refuses while a reader holds the file open; the next write collects it.
        with suppress(PermissionError):
            path.unlink()
