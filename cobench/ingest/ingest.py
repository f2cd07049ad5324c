"""Deliveries from raw files to stored tables: all or nothing, counted row by row, repeatable, only what changed."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from cobench import store
from cobench.delivered import Delivery
from cobench.ingest import delivery, sources_sql
from cobench.ingest.delivery import Progress
from cobench.ingest.hashes import FileHashes
from cobench.ingest.identities import check_key
from cobench.ingest.linkage import MATCH_REPORT
from cobench.ingest.report import FILES, RULES
from cobench.lock import writing
from cobench.study import Study, load_study

_WORTH_PROCESSES = 40_000_000
_FRAMES = {"ingest_files": FILES, "ingest_rules": RULES, "ingest_links": MATCH_REPORT}


@dataclass(frozen=True)
class IngestResult:
    """What came in.

    Attributes
    ----------
    files : DataFrame
        ``term, file, kind, how_read, rows_in, accepted, quarantined, non_data, sha256``, one row a file;
        ``kind`` is the canonical table, or ``unrecognised``.
    rules : DataFrame
        ``term, file, status, rule, column, n, hint_zh, hint_en``: rows in quarantine and of no data, and
        cells that could not be read, counted.
    links : DataFrame
        See :data:`cobench.ingest.linkage.MATCH_REPORT`.
    changed : bool
        False when all was stored already and nothing was done.
    """

    files: pd.DataFrame
    rules: pd.DataFrame
    links: pd.DataFrame
    changed: bool = True


def silent(step: str, done: int, total: int) -> None:
    """Progress that nobody reads."""


def ingest_term(study: Study, term_id: str, *, key: bytes, on_progress: Progress = silent) -> IngestResult:
    """Store what the delivery ``data/raw/<term>`` holds, replacing what it held before; only what changed is read.

    Canonical tables and the frames of :class:`IngestResult` (as ``ingest_files``, ``ingest_rules``,
    ``ingest_links``), and what every answer of a questionnaire became (``ingest_recodes``), go through
    :mod:`cobench.store`; rows in quarantine with their values, and the identity map, to ``private/``. The same files
    give the same tables, however often and in whatever steps they are read.

    Raises
    ------
    UnknownTermError
    StudyLockedError, StorageError
    KeyMismatchError
        When the stored tables were made with another key.
    CobenchError
        What is wrong with the files: one problem as its own error, several as one :class:`IngestError`.
        Nothing is written then.
    """
    return _result(study, term_id, _ingest_term(study, term_id, key, on_progress, {}))


def _ingest_term(
    study: Study, term_id: str, key: bytes, on_progress: Progress, waiting: dict[str, Delivery]
) -> bool:
    """Make and commit one delivery, from what ``waiting`` holds of it; whether it changed."""
    term = study.term(term_id)
    with writing(study.root):
        store.finish_private(study)
        check_key(study, key)
        sources_sql.refresh(study, term)
        hashes = FileHashes(study)
        begun = waiting.pop(term_id, None)
        made, making = delivery.make(study, term, key, hashes, on_progress, made=begun)
        changed = begun is not None or made != making.held
        if changed:
            store.commit(study, {term_id: made}, waiting=waiting.values())
        hashes.save()
    return changed


def ingest_terms(
    study: Study, term_ids: Sequence[str], *, key: bytes, jobs: int = 1, on_progress: Progress = silent
) -> list[str]:
    """:func:`ingest_term` of several terms, oldest first, in ``jobs`` processes where that pays; the terms that changed.

    A delivery that looks at earlier ones is made after them.
    """
    check_key(study, key)
    terms = [each for each in study.terms_until(study.newest_term().id) if each.id in term_ids]
    hashes = FileHashes(study)
    stale = [each.id for each in terms if not delivery.is_current(study, each, key, hashes)]
    if not stale:
        return []
    with writing(study.root):
        store.finish_private(study)
        progress = _Overall(study, stale, on_progress)
        waiting: dict[str, Delivery] = {}
        if jobs > 1 and len(stale) > 1 and _weight(study, stale) > _WORTH_PROCESSES:
            waiting = _in_processes(study, stale, key, jobs, progress)
        for each in terms:
            if not delivery.is_current(study, each, key, hashes):
                _ingest_term(study, each.id, key, progress, waiting)
                progress.finish(each.id)
                stale.append(each.id)
        hashes.save()
    return [each.id for each in terms if each.id in stale]


class _Overall:
    """Files done of all terms together, so that the time left can be told."""

    def __init__(self, study: Study, terms: Sequence[str], on_progress: Progress) -> None:
        folder = study.root / "data" / "raw"
        self._files = {each: sum(path.is_file() for path in (folder / each).rglob("*")) for each in terms}
        self._done, self._on_progress = 0, on_progress

    def __call__(self, step: str, done: int, total: int) -> None:
        self._on_progress(step, self._done + done, self._done + max(sum(self._files.values()), total))

    def finish(self, term_id: str) -> None:
        """Count the files of a term as done."""
        self._done += self._files.pop(term_id, 0)
        self._on_progress("ingest", self._done, self._done + sum(self._files.values()))


def _weight(study: Study, terms: list[str]) -> float:
    """Bytes to be read, workbooks as what they unpack to."""
    paths = [
        path for each in terms for path in (study.root / "data" / "raw" / each).rglob("*") if path.is_file()
    ]
    return sum(path.stat().st_size * (10 if path.suffix.lower() == ".xlsx" else 1) for path in paths)


def _in_processes(
    study: Study, terms: list[str], key: bytes, jobs: int, progress: _Overall
) -> dict[str, Delivery]:
    """Make deliveries side by side, one of them in this process, and commit those that looked at no earlier one.

    Gives the others: the parts of theirs that did look are to be made again.
    """
    waiting, made = deque(terms), {}

    def work(make: Callable[..., Delivery]) -> None:
        while True:
            try:
                term_id = waiting.popleft()
            except IndexError:
                return
            made[term_id] = make(study.root, term_id, key)
            progress.finish(term_id)

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs - 1, mp_context=context) as pool, ThreadPoolExecutor(jobs - 1) as threads:
        # A thread waits for each process and gives it its next term.
        beside = [
            threads.submit(work, lambda *of: pool.submit(_make_apart, *of).result()) for _ in range(jobs - 1)
        ]
        try:
            work(_make_apart)
        except BaseException:
            waiting.clear()
            raise
        for each in beside:
            each.result()
    asked = {name: each for name, each in made.items() if any(part.asked for part in each.parts.values())}
    store.commit(study, {name: made[name] for name in terms if name not in asked}, waiting=asked.values())
    return asked


def _make_apart(root: Path, term_id: str, key: bytes) -> Delivery:
    """Runs in a process of its own, while the caller holds the lock."""
    study = load_study(root)
    made, _ = delivery.make(study, study.term(term_id), key, FileHashes(study), silent)
    pa.default_memory_pool().release_unused()
    return made


def _result(study: Study, term_id: str, changed: bool) -> IngestResult:
    frames = {}
    for name, columns in _FRAMES.items():
        found = store.read_table(study, name, deliveries=[term_id])
        frames[name] = found[columns] if len(found) else pd.DataFrame(columns=columns)
    files = frames["ingest_files"].sort_values("file", ignore_index=True)
    return IngestResult(files, frames["ingest_rules"], frames["ingest_links"], changed)
