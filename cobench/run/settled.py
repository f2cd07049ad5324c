"""Is a published term exactly what a run would publish again? Then nothing is audited, scanned or written anew.

The answer rests on one hash over all that a run looks at beside its reports: stored tables, derived frames, what is
hidden, earlier editions, names of people, settings, code, packages. The published files have to be those of that run,
and every report has to be one that the cache would leave as it is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from cobench import store
from cobench.files import write_json
from cobench.run import inputs, term_run
from cobench.run.cache import Cache
from cobench.run.execute import Outcome
from cobench.run.manifest import file_hash, input_hashes, read_manifest, settings_hashes
from cobench.run.plan import Report
from cobench.study import Study
from cobench.workbench import term_release


def unchanged(
    study: Study, term_id: str, reports: Sequence[Report], names: Collection[str]
) -> list[Outcome] | None:
    """Outcomes of the last run, where a run of ``reports`` would publish the same again; else None."""
    folder = study.root / "reports" / term_id
    manifest = read_manifest(folder / "run.json")
    if manifest is None or _stored(study, term_id) != _told(study, term_id, reports, names):
        return None
    listed = {entry["page"]: entry["page_sha256"] for entry in manifest["reports"]} | manifest["files"]
    if not all((folder / name).is_file() and file_hash(folder / name) == sha for name, sha in listed.items()):
        return None
    raw = input_hashes(study, term_id)
    context = term_run._context(study, term_id, reports, [], raw, term_run._now())
    states = {entry["page"]: entry["state"] for entry in manifest["reports"]}
    cache = Cache(study, term_id, context, states)
    judged = [cache.judge(report) for report in reports]
    if any(each.action != "reuse" for each in judged):
        return None
    return [cache.finished(each, None) for each in judged]


def note(study: Study, term_id: str, reports: Sequence[Report], names: Collection[str]) -> None:
    """Note that the term has just been published as a whole, without a report missing."""
    write_json(_place(study, term_id), _told(study, term_id, reports, names))


def _told(study: Study, term_id: str, reports: Sequence[Report], names: Collection[str]) -> dict[str, str]:
    folder = study.root / "reports"
    terms = [term.id for term in study.terms_until(term_id)]
    looked_at = [
        *(path for term in terms for path in _stage_files(study, term)),
        *term_release.files(study, term_id),
        *(folder / term / "index.html" for term in terms),
        folder / term_id / "run.json",
    ]
    told = {
        "files": {
            path.relative_to(study.root).as_posix(): file_hash(path) for path in looked_at if path.exists()
        },
        "tables": store.contents(study),
        "names": sorted(names),
        "settings": settings_hashes(study),
        "code": [inputs.execution_code(), inputs.rendering_code(), inputs.environment_hash()],
        "reports": [repr(report).replace(str(study.root), ".") for report in reports],
    }
    return {"key": inputs.canonical(told)}


def _stage_files(study: Study, term: str) -> list[Path]:
    folder = store.processed_dir(study) / "derived" / term
    current = folder / "current.json"
    if not current.exists():
        return []
    return sorted((folder / json.loads(current.read_text(encoding="utf-8"))["folder"]).glob("*.parquet"))


def _stored(study: Study, term_id: str) -> dict[str, str] | None:
    try:
        return json.loads(_place(study, term_id).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _place(study: Study, term_id: str) -> Path:
    return study.root / "private" / "cache" / term_id / "settled.json"
