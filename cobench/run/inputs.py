"""What reports rest on, as hashes: frames and slices of them, files, code, installed packages."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pandas as pd

import cobench
from cobench import store
from cobench.own_rows import school_of_students
from cobench.reads import Read
from cobench.run.manifest import file_hash
from cobench.study import Study
from cobench.workbench import term_release

PACKAGE = Path(cobench.__file__).parent
# Code in run/ that a report's execution passes through; pages are made again, not run, when the rest of it changes.
EXECUTING = ("engine.py", "fork_server.py", "kernels.py", "parameters.py", "provisioner.py", "worker.py")
_NOT_READ = ("cli.py", "demo", "run", "bundled")
_DISTRIBUTION = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)\.(?:dist|egg)-info")
ABSENT = "absent"


@dataclass
class Inputs:
    """Today's hashes of what reports of a study read, each computed when first asked for."""

    study: Study
    _known: dict[Read, str] = field(default_factory=dict, repr=False)
    _slices: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict, repr=False)

    def hash_of(self, read: Read) -> str:
        """Hash of one thing read; ``absent`` where it is not there (any more)."""
        if read not in self._known:
            kind, *parts = read
            self._known[read] = _HASHERS[kind](self, *parts)
        return self._known[read]

    def _stage(self, term: str, name: str) -> str:
        path = store.stage_path(self.study, term, name)
        return file_hash(path) if path else ABSENT

    def _own(self, term: str, name: str, school: str) -> str:
        if (term, name) not in self._slices:
            self._slices[term, name] = self._hash_slices(term, name)
        return self._slices[term, name].get(school, ABSENT)

    def _hash_slices(self, term: str, name: str) -> dict[str, str]:
        """Hash of every school's rows of a derived frame, in their order; all of them in one pass."""
        path = store.stage_path(self.study, term, name)
        if path is None:
            return {}
        frame = pd.read_parquet(path)
        own = frame.get("school")
        if own is None:
            own = frame["student"].map(school_of_students(self.study, term))
        shape = repr([(column, str(kind)) for column, kind in frame.dtypes.items()]).encode()
        rows = pd.util.hash_pandas_object(frame, index=False, categorize=True)
        return {
            str(school): hashlib.sha256(shape + some.to_numpy().tobytes()).hexdigest()
            for school, some in rows.groupby(own.to_numpy(), sort=False)
        }

    def _table(self, name: str, *terms: str) -> str:
        files = store.table_files(self.study, name, set(terms) or None)
        return _digest(Path(file).relative_to(store.processed_dir(self.study)).as_posix() for file in files)

    def _release(self, term: str) -> str:
        return _digest(map(repr, sorted(term_release.read(self.study, term))))

    def _file(self, place: str) -> str:
        path = self.study.root / place
        return file_hash(path) if path.is_file() else ABSENT

    def _folder(self, place: str) -> str:
        path = self.study.root / place
        if not path.is_dir():
            return ABSENT
        return _digest(sorted(each for each in os.listdir(path) if not each.startswith((".", "__pycache__"))))


_HASHERS: dict[str, Callable[..., str]] = {
    "stage": Inputs._stage,
    "own": Inputs._own,
    "table": Inputs._table,
    "release": Inputs._release,
    "file": Inputs._file,
    "folder": Inputs._folder,
}


@cache
def execution_code() -> str:
    """Hash of cobench's code that an executed notebook rests on."""
    rooms = [each for each in sorted(PACKAGE.iterdir()) if each.name not in _NOT_READ]
    files = [path for room in rooms for path in ([room] if room.is_file() else sorted(room.rglob("*.*")))]
    return _code([*files, *(PACKAGE / "run" / name for name in EXECUTING)])


@cache
def rendering_code() -> str:
    """Hash of the code and templates that make a page of an executed notebook."""
    return _code(sorted((PACKAGE / "run").rglob("*.*")))


@cache
def environment() -> dict[str, str]:
    """Version by name of Python, its platform and every installed package, with what fonts are in place."""
    found = {"Python": platform.python_version(), "platform": f"{sys.platform} {platform.machine()}"}
    for folder in sys.path:
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            told = _DISTRIBUTION.fullmatch(name)
            if told and told["name"] != "cobench":
                found.setdefault(told["name"], told["version"])
    return found | {"fonts": _font_hash()}


def environment_hash() -> str:
    """One hash over :func:`environment`."""
    return _digest(f"{name} {version}" for name, version in sorted(environment().items()))


def _font_hash() -> str:
    import pylopdf_fonts_zh_cn as fonts

    return file_hash(Path(str(fonts.sans_path())))[:16]


def _code(paths: Sequence[Path]) -> str:
    kept = [path for path in paths if path.is_file() and path.suffix != ".pyc"]
    return _digest(f"{path.relative_to(PACKAGE).as_posix()} {file_hash(path)}" for path in kept)


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()


def canonical(value: object) -> str:
    """Hash of something that JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8")).hexdigest()
