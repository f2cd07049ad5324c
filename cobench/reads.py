"""What a report reads, noted in a private file while it runs: a later run asks whether all of it is still the same.

The store and the desk note what they read by name. Whatever else is opened below the study's folder (a list of a
notebook's own, a code book, a module) is noted by an audit hook of the interpreter.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import source_from_cache
from pathlib import Path

VARIABLE = "COBENCH_READS"
# A frame of the term stage; the rows of one school in it; a stored table; what is hidden; a file; a folder's names.
KINDS = ("stage", "own", "table", "release", "file", "folder")
# Written or read by the run itself; nothing that a page could rest on.
_OWN = (("reports",), ("private", "run"), ("private", "cache"), ("private", "failed"))
_AUDITED = {"open": "file", "os.listdir": "folder", "os.scandir": "folder"}
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)
_noted: set[tuple[str, ...]] = set()
_watched: set[str] = set()

Read = tuple[str, ...]


def note(kind: str, *parts: str) -> None:
    """Note that something was read, once, in the file that a run names; nothing outside a run."""
    path = os.environ.get(VARIABLE)
    entry = (kind, *parts)
    if not path or (path, *entry) in _noted:
        return
    _noted.add((path, *entry))
    with quiet(), open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")


@contextmanager
def quiet() -> Iterator[None]:
    """Files opened in this block have been noted under another name."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def noted(path: Path) -> tuple[Read, ...] | None:
    """What the file of a report says that it read, sorted; None where it noted nothing at all."""
    if not path.exists():
        return None
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(sorted({tuple(json.loads(line)) for line in lines}))


def watch(root: Path) -> None:
    """Note from now on which files and folders below ``root`` this process opens; nothing outside a run."""
    if not os.environ.get(VARIABLE) or str(root) in _watched:
        return
    _watched.add(str(root))
    base = os.path.join(os.path.realpath(root), "")

    def hook(event: str, arguments: tuple) -> None:
        if event not in _AUDITED or _quiet.get() or not isinstance(arguments[0], (str, os.PathLike)):
            return
        if event == "open" and not _is_read(*arguments[1:3]):
            return
        place = os.path.realpath(arguments[0])
        if not place.startswith(base):
            return
        entry = _entry(_AUDITED[event], place[len(base) :])
        if entry is not None:
            note(*entry)

    sys.addaudithook(hook)


def _is_read(mode: object, flags: object) -> bool:
    if isinstance(mode, str):
        return "r" in mode or "+" in mode
    return not isinstance(flags, int) or flags & os.O_ACCMODE != os.O_WRONLY


def _entry(kind: str, place: str) -> Read | None:
    """What a path of the study stands for; None for what no page can rest on."""
    parts = Path(place).parts
    if any(parts[: len(own)] == own for own in _OWN):
        return None
    if parts[:2] == ("data", "processed"):
        return _stored(parts[2:]) if kind == "file" else None
    if kind == "folder" or parts[-1].startswith("."):
        # The interpreter lists folders of modules; those of caches and the study itself change with every run.
        known = kind == "folder" and parts[0] not in ("private", "data") and "__pycache__" not in parts
        return ("folder", Path(place).as_posix()) if known else None
    if place.endswith(".pyc"):
        place = source_from_cache(place) if "__pycache__" in parts else place
    return ("file", Path(place).as_posix())


def _stored(parts: tuple[str, ...]) -> Read | None:
    """A file of the store that was opened past it."""
    match parts:
        case ("derived", term, "release.json"):
            return ("release", term)
        case ("derived", term, _, name):
            return ("stage", term, name.removesuffix(".parquet"))
        case (table, term, _) if term.startswith("term="):
            return ("table", table, term.removeprefix("term="))
    return None
