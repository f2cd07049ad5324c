"""``run.json``: what went into a run and what came out of it, without a trace of the machine it ran on."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import cobench
from cobench.ingest.free_text import Names, in_file_name, masked_labels
from cobench.ingest.identities import load_names
from cobench.run.execute import Outcome
from cobench.run.plan import Report
from cobench.study import Study

SCHEMA = 1
SHOWN_PACKAGES = ("pandas", "numpy", "statsmodels", "scikit-learn", "pyfixest", "duckdb")
_ALSO_RECORDED = (
    "ipykernel",
    "jinja2",
    "matplotlib",
    "nbconvert",
    "papermill",
    "pyarrow",
    "python-calamine",
    "scipy",
    "seaborn",
)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def combined_hash(hashes: Mapping[str, str]) -> str:
    """One SHA-256 over names and hashes, whatever their order."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(hashes.items()))
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def raw_files(study: Study, term_id: str) -> list[Path]:
    """Raw files of all declared sources for ``term_id`` and the terms before it, sorted."""
    terms = [term.id for term in study.terms_until(term_id)]
    patterns = {source.pattern(term) for source in study.sources for term in terms}
    return sorted({path for pattern in patterns for path in study.root.glob(pattern) if path.is_file()})


def input_hashes(study: Study, term_id: str) -> dict[str, str]:
    """SHA-256 of every raw file used, by its path in the study without names and numbers of persons."""
    paths, names = raw_files(study, term_id), Names(load_names(study))
    shown = masked_labels(in_file_name(relative(path, study.root), names) for path in paths)
    return {name: file_hash(path) for name, path in zip(shown, paths, strict=True)}


def settings_hashes(study: Study) -> dict[str, str]:
    """SHA-256 of ``study.toml`` and of the code books of its questionnaires."""
    names = [
        "study.toml",
        *(name for instrument in study.instruments.values() for name in instrument.codebooks),
    ]
    return {name: file_hash(study.root / name) for name in names if (study.root / name).is_file()}


def software_versions(packages: Iterable[str] = SHOWN_PACKAGES + _ALSO_RECORDED) -> dict[str, str]:
    """Versions of cobench, Python and the installed ones of ``packages``."""
    versions = {"cobench": cobench.__version__, "Python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def relative(path: Path, root: Path) -> str:
    """``path`` as seen from the study's root; only its name where it lies elsewhere."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def describe_outcome(outcome: Outcome, page: str, study: Study, finished: datetime) -> dict[str, Any]:
    """The manifest's entry for one report, whose published page has the text ``page``."""
    report = outcome.report
    return {
        "id": report.id,
        "language": report.language,
        "title": {"zh": report.title.zh, "en": report.title.en},
        "about": {"zh": report.about.zh, "en": report.about.en} if report.about else None,
        "each": report.each,
        "member": report.member,
        "order": report.order,
        "notebook": relative(report.notebook, study.root),
        "notebook_sha256": file_hash(report.notebook),
        "parameters": _parameters(report, study),
        "state": outcome.state,
        "reason": {"zh": outcome.reason.zh, "en": outcome.reason.en} if outcome.reason else None,
        "error": outcome.ename or None,
        "cell": outcome.cell,
        "seconds": round(outcome.seconds, 2),
        "made": outcome.made,
        "why": {"zh": outcome.why.zh, "en": outcome.why.en} if outcome.why else None,
        "finished": outcome.finished or finished.isoformat(timespec="seconds"),
        "page": report.path,
        "page_sha256": hashlib.sha256(page.encode("utf-8")).hexdigest(),
    }


def _parameters(report: Report, study: Study) -> dict[str, Any]:
    root = str(study.root)
    return {
        name: (value.replace(root, ".") if isinstance(value, str) else value)
        for name, value in report.parameters.items()
    }


def build_manifest(
    study: Study,
    term_id: str,
    entries: list[dict[str, Any]],
    *,
    raw: Mapping[str, str],
    files: Mapping[str, str],
    started: datetime,
    finished: datetime,
) -> dict[str, Any]:
    """``run.json`` as a dictionary; ``files`` are the hashes of other files published beside the pages."""
    states = [entry["state"] for entry in entries]
    return {
        "schema": SCHEMA,
        "study": study.id,
        "term": term_id,
        "simulated": study.simulated,
        "started": started.isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
        "versions": software_versions(),
        "settings": settings_hashes(study),
        "raw_files": dict(raw),
        "raw_files_sha256": combined_hash(raw),
        "counts": {state: states.count(state) for state in ("ok", "failed", "withheld")},
        "reports": entries,
        "files": dict(files),
    }


def to_json(manifest: Mapping[str, Any]) -> str:
    """``run.json`` as text."""
    return json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"


def read_manifest(path: Path) -> dict[str, Any] | None:
    """An earlier ``run.json``; ``None`` where there is none or it is of another schema."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and manifest.get("schema") == SCHEMA else None


def write_atomically(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Write a file so that a reader finds the old one or the new one, whole; ``durable`` after a power cut too."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
