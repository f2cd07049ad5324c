"""What of a term is hidden, decided once over all its tables, and what readers of earlier editions hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import cobench
from cobench import reads, store
from cobench.files import write_json, write_text
from cobench.release import ledger
from cobench.release.structure import Key, Registered
from cobench.study import Study


def read(study: Study, term_id: str) -> frozenset[Key]:
    """Counts that were decided to be hidden; none before the decision."""
    reads.note("release", term_id)
    return ledger.plan_keys(_stored(study, term_id).get("hidden", ()))


def is_decided(study: Study, term_id: str) -> bool:
    """Whether the stored decision rests on today's stage, threshold, earlier editions and code."""
    return _stored(study, term_id).get("key") == _key(study, term_id)


def decide(study: Study, term_id: str, tables: Sequence[Registered]) -> None:
    """Decide what to hide so that ``tables`` together protect every small count, and store the decision.

    Where earlier editions leave no room, the audit before publication withholds the reports concerned.
    """
    found = ledger.decide(tables, study.release.min_cell, published(study, term_id))
    stored = {"key": _key(study, term_id), "hidden": ledger.plan_list(found.hide)}
    write_json(_plan(study, term_id), stored)


def published(study: Study, term_id: str) -> dict[Key, tuple[int, ...]]:
    """Counts of the term that readers hold from editions that were not withdrawn."""
    return ledger.read_published(_editions(study, term_id))


def add_edition(study: Study, term_id: str, tables: Iterable[Registered]) -> None:
    """Note what a new edition tells readers.

    The decision that the edition was made by stands: what is printed is known from now on, which can only make hiding
    dearer, and what it hides is hidden still.
    """
    decided = is_decided(study, term_id)
    joined = ledger.with_edition(published(study, term_id), tables)
    store.private_dir(study, "editions")
    write_text(_editions(study, term_id), ledger.published_text(joined))
    if decided:
        write_json(_plan(study, term_id), _stored(study, term_id) | {"key": _key(study, term_id)})


def files(study: Study, term_id: str) -> tuple[Path, Path]:
    """Where the decision and the editions of a term lie."""
    return _plan(study, term_id), _editions(study, term_id)


def withdraw(study: Study, term_id: str) -> int:
    """Forget the editions so far, which nobody holds any more; how many printed counts they had."""
    path = _editions(study, term_id)
    n = len(published(study, term_id))
    path.unlink(missing_ok=True)
    return n


def _plan(study: Study, term_id: str) -> Path:
    return store.processed_dir(study) / "derived" / term_id / "release.json"


def _editions(study: Study, term_id: str) -> Path:
    return study.root / "private" / "editions" / f"{term_id}.json"


def _stored(study: Study, term_id: str) -> dict:
    path = _plan(study, term_id)
    with reads.quiet():
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _key(study: Study, term_id: str) -> str:
    editions = _editions(study, term_id)
    parts = (
        store.stage_key(study, term_id),
        study.release.min_cell,
        editions.read_text(encoding="utf-8") if editions.exists() else "",
        _code(),
    )
    return hashlib.sha256(repr(parts).encode("utf-8")).hexdigest()[:16]


@cache
def _code() -> str:
    root = Path(cobench.__file__).parent
    paths = [path for room in ("release", "workbench") for path in sorted((root / room).glob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
