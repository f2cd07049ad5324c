"""Bring a term up to date: ingest deliveries whose files have changed, then compute the term stage."""

from __future__ import annotations

from pathlib import Path

from cobench import stage, store
from cobench.errors import StageMissingError
from cobench.ingest import sources_sql
from cobench.ingest.ingest import ingest_terms
from cobench.ingest.keys import study_key
from cobench.lock import writing
from cobench.study import Study
from cobench.workbench.handouts import write_corrections


def bring_up_to_date(
    study: Study, term_id: str, *, jobs: int = 1, on_progress: stage.Progress = stage.silent
) -> None:
    """Ingest what changed of all terms up to ``term_id`` and compute its stage if needed.

    Where all is up to date nothing is locked or written, so that any number of readers may ask at once.

    Raises
    ------
    StageMissingError
        When the term has no raw files.
    StudyLockedError
        When there is something to do and another process writes.
    CobenchError
        Whatever ingest or the study file finds wrong; nothing half-read is stored.
    """
    for term in study.terms_until(term_id):
        if term.id == term_id or raw_paths(study, term.id):
            sources_sql.refresh(study, term)
    if not raw_paths(study, term_id):
        raise StageMissingError(
            en=f"no raw files of term {term_id} in data/raw/{term_id}; put the schools' files there",
            zh=f"data/raw/{term_id} 中没有学期 {term_id} 的原始文件；请将各校文件放入该文件夹",
        )
    key = study_key(study)
    terms = [term.id for term in study.terms_until(term_id) if raw_paths(study, term.id)]
    for each in ingest_terms(study, terms, key=key, jobs=jobs, on_progress=on_progress):
        write_corrections(study, each, study.languages[0])
    if store.stage_key(study, term_id) != stage.current_key(study):
        with writing(study.root):
            stage.prepare(study, term_id, jobs=jobs, on_progress=on_progress)


def raw_paths(study: Study, term_id: str) -> list[Path]:
    """Every raw file of a term."""
    folder = study.root / "data" / "raw" / term_id
    return sorted(path for path in folder.rglob("*") if path.is_file() and not _hidden(path))


def _hidden(path: Path) -> bool:
    return path.name.startswith((".", "~$"))
