"""Bring a term up to date: ingest deliveries whose files have changed, then compute the term stage."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

import cobench
from cobench import stage, store
from cobench.errors import StageMissingError
from cobench.ingest.identities import key_id, load_key
from cobench.ingest.ingest import ingest_term
from cobench.ingest.resent import CHOICES
from cobench.study import Study
from cobench.workbench.handouts import write_corrections


def bring_up_to_date(
    study: Study, term_id: str, *, jobs: int = 1, on_progress: stage.Progress = stage.silent
) -> None:
    """Ingest what changed of all terms up to ``term_id`` and compute its stage if needed.

    Raises
    ------
    StageMissingError
        When the term has no raw files.
    CobenchError
        Whatever ingest or the study file finds wrong; nothing half-read is stored.
    """
    if not raw_files(study, term_id):
        raise StageMissingError(
            en=f"no raw files of term {term_id} in data/raw/{term_id}; put the schools' files there",
            zh=f"data/raw/{term_id} 中没有学期 {term_id} 的原始文件；请将各校文件放入该文件夹",
        )
    key = load_key(study.id, study.root)
    terms = [term.id for term in study.terms_until(term_id) if raw_files(study, term.id)]
    wanted = {each: delivery_key(study, each, key) for each in terms}
    changed = [each for each in terms if _ingested_key(study, each) != wanted[each]]
    for done, each in enumerate(changed):
        on_progress("ingest", done, len(changed))
        ingest_term(study, each, key=key)
        write_corrections(study, each, study.languages[0])
        store.write_json(_receipt(study, each), {"key": wanted[each]})
    stage.prepare(study, term_id, jobs=jobs, on_progress=on_progress)


def raw_files(study: Study, term_id: str) -> dict[str, str]:
    """sha256 of every raw file of a term by path relative to the study."""
    folder = study.root / "data" / "raw" / term_id
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not _hidden(path))
    return {path.relative_to(study.root).as_posix(): store.file_hash(path) for path in paths}


def delivery_key(study: Study, term_id: str, key: bytes) -> str:
    """Hash of all that the tables of one delivery depend on: files, study file, code books, key, code."""
    books = {
        each.codebook: store.file_hash(study.root / each.codebook) for each in study.instruments.values()
    }
    parts = [
        raw_files(study, term_id),
        store.file_hash(study.root / "study.toml"),
        books,
        store.file_hash(study.root / CHOICES) if (study.root / CHOICES).exists() else "",
        key_id(key),
        _ingest_code(),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@cache
def _ingest_code() -> str:
    root = Path(cobench.__file__).parent
    paths = [*sorted((root / "ingest").glob("*.py")), root / "tables.py", root / "store.py"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def _hidden(path: Path) -> bool:
    return path.name.startswith((".", "~$"))


def _receipt(study: Study, term_id: str) -> Path:
    return store.processed_dir(study) / "receipts" / f"{term_id}.json"


def _ingested_key(study: Study, term_id: str) -> str | None:
    path = _receipt(study, term_id)
    return json.loads(path.read_text(encoding="utf-8"))["key"] if path.exists() else None
