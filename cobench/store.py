"""Parquet behind one manifest, queried by DuckDB.

``data/processed/<table>/term=<term>/<content hash>.parquet`` holds the rows of one term from one delivery;
``data/processed/manifest.json`` names the files that count. Files are written first and the manifest is
replaced last, so a reader sees the old tables or the new ones; files that no manifest names are removed
after the replacement.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import pandas as pd

from cobench import tables
from cobench.errors import ConservationError, StageMissingError
from cobench.study import Study

NO_TERM = "all"


def processed_dir(study: Study) -> Path:
    """``data/processed`` of the study."""
    return study.root / "data" / "processed"


def private_dir(study: Study, *parts: str) -> Path:
    """A folder below ``private/``, made if absent and open to its owner only."""
    folder = study.root / "private"
    for part in ("", *parts):
        folder = folder / part if part else folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    return folder


def write_tables(study: Study, delivery: str, frames: dict[str, pd.DataFrame]) -> None:
    """Store ``frames`` as all that ``delivery`` holds, replacing what it held before, atomically.

    Canonical tables are checked by :func:`cobench.tables.conform`; a frame with a column ``term`` is split
    by it.

    Raises
    ------
    ConservationError
        If a key is not unique or a row has no term (it would belong to no file); nothing is replaced then.
    """
    manifest = _read_manifest(study)
    for by_term in manifest.values():
        for term in list(by_term):
            by_term[term].pop(delivery, None)
            if not by_term[term]:
                del by_term[term]
    for name, frame in frames.items():
        tidy = tables.conform(name, frame) if name in tables.TABLES else frame.reset_index(drop=True)
        for term, rows in _by_term(name, tidy):
            path = _write_parquet(study, f"{name}/term={term}", rows)
            manifest.setdefault(name, {}).setdefault(term, {})[delivery] = {"file": path, "rows": len(rows)}
    write_json(processed_dir(study) / "manifest.json", manifest)
    _collect(study, manifest)


def table_names(study: Study) -> tuple[str, ...]:
    """Tables that hold anything."""
    return tuple(sorted(name for name, by_term in _read_manifest(study).items() if by_term))


def deliveries(study: Study) -> tuple[str, ...]:
    """Deliveries that have been ingested."""
    manifest = _read_manifest(study)
    return tuple(sorted({d for by_term in manifest.values() for each in by_term.values() for d in each}))


def read_table(
    study: Study,
    name: str,
    terms: Iterable[str] | None = None,
    *,
    except_delivery: str | None = None,
) -> pd.DataFrame:
    """Rows of table ``name`` of the given terms (all, when None); empty when nothing is stored.

    ``except_delivery`` leaves out what one delivery holds (used while that delivery is read again).
    """
    files = _files(study, name, terms, except_delivery)
    if not files:
        return tables.empty(name) if name in tables.TABLES else pd.DataFrame()
    with connect(study) as connection:
        frame = connection.read_parquet(files, union_by_name=True, hive_partitioning=False).df()
    return tables.conform(name, frame) if name in tables.TABLES else frame


@contextmanager
def connect(study: Study) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection in memory with one view a stored table."""
    connection = duckdb.connect(":memory:")
    try:
        for name in table_names(study):
            files = _files(study, name, None, None)
            listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
            connection.execute(
                f'create view "{name}" as select * from '
                f"read_parquet([{listed}], union_by_name=true, hive_partitioning=false)"
            )
        yield connection
    finally:
        connection.close()


def inputs_key(study: Study, extra: str = "") -> str:
    """Hash of everything that a term stage depends on: stored tables, ``study.toml``, ``extra``."""
    digest = hashlib.sha256()
    for path in (processed_dir(study) / "manifest.json", study.root / "study.toml"):
        digest.update(path.read_bytes() if path.exists() else b"")
    digest.update(extra.encode())
    return digest.hexdigest()[:16]


def write_stage(study: Study, term: str, key: str, frames: dict[str, pd.DataFrame]) -> None:
    """Store the derived frames of ``term``; what was current stays so until all are written."""
    folder = processed_dir(study) / "derived" / term
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


def stage_key(study: Study, term: str) -> str | None:
    """The key under which the current stage of ``term`` was computed, None when there is none."""
    path = processed_dir(study) / "derived" / term / "current.json"
    return json.loads(path.read_text(encoding="utf-8"))["key"] if path.exists() else None


def read_stage(study: Study, term: str, name: str) -> pd.DataFrame:
    """One derived frame of ``term``.

    Raises
    ------
    StageMissingError
        When the term stage hasn't been computed or has no such frame.
    """
    folder = processed_dir(study) / "derived" / term
    current = folder / "current.json"
    if current.exists():
        path = folder / json.loads(current.read_text(encoding="utf-8"))["folder"] / f"{name}.parquet"
        if path.exists():
            return pd.read_parquet(path)
    raise StageMissingError(
        en=f"{name} of term {term} has not been computed; run `cobench run {term}`",
        zh=f"学期 {term} 的 {name} 尚未计算；请运行 `cobench run {term}`",
    )


def write_json(path: Path, data: object) -> None:
    """Replace ``path`` by ``data`` as JSON, atomically."""
    write_text(path, json.dumps(data, ensure_ascii=False, indent=1, sort_keys=True))


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in UTF-8, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def file_hash(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(study: Study) -> dict:
    path = processed_dir(study) / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _by_term(name: str, frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    if "term" not in frame:
        yield NO_TERM, frame
        return
    n_without = int(frame["term"].isna().sum())
    if n_without:
        raise ConservationError(
            en=f"table {name}: {n_without} rows have no term and would be lost; give each row its term",
            zh=f"表 {name}：有 {n_without} 行没有学期，存入后会丢失；请为每行给出学期",
        )
    for term, rows in frame.groupby("term", sort=True):
        yield str(term), rows.reset_index(drop=True)


def _write_parquet(study: Study, folder: str, frame: pd.DataFrame) -> str:
    target = processed_dir(study) / folder
    target.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".part-", dir=target)
    os.close(handle)
    try:
        frame.to_parquet(temporary, index=False)
        name = f"{file_hash(Path(temporary))[:16]}.parquet"
        os.replace(temporary, target / name)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return f"{folder}/{name}"


def _files(study: Study, name: str, terms: Iterable[str] | None, except_delivery: str | None) -> list[str]:
    by_term = _read_manifest(study).get(name, {})
    wanted = None if terms is None else {NO_TERM, *terms}
    return [
        str(processed_dir(study) / entry["file"])
        for term in sorted(by_term)
        if wanted is None or term in wanted
        for delivery, entry in sorted(by_term[term].items())
        if delivery != except_delivery
    ]


def _collect(study: Study, manifest: dict) -> None:
    named = {
        entry["file"] for by_term in manifest.values() for each in by_term.values() for entry in each.values()
    }
    root = processed_dir(study)
    for path in root.glob("*/term=*/*.parquet"):
        if path.relative_to(root).as_posix() not in named:
            # Windows refuses while a reader holds the file open; the next write collects it.
            with suppress(PermissionError):
                path.unlink()
