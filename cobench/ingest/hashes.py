"""Content hashes of raw files; a file that looks untouched since it was hashed is not read again."""

from __future__ import annotations

import hashlib
import json
import time
from functools import cache
from pathlib import Path

import cobench
from cobench.files import file_hash, write_text
from cobench.store import private_dir
from cobench.study import Study

_SETTLED_NS = 2_000_000_000


class FileHashes:
    """sha256 of files below the study folder, remembered in ``private/hashes.json``.

    A remembered hash counts while size, times and inode are the same, and only if the file was two seconds old
    when it was hashed: a change within the clock's grain would not show.
    """

    def __init__(self, study: Study) -> None:
        self._root = study.root
        self._study = study
        path = study.root / "private" / "hashes.json"
        try:
            self._known: dict[str, list] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._known = {}
        self._new = False

    def of(self, path: Path) -> str:
        """sha256 of a file in hexadecimal."""
        name = path.relative_to(self._root).as_posix()
        now, signs = time.time_ns(), self.signs(path)
        known = self._known.get(name)
        if known and known[:-1] == signs:
            return known[-1]
        found = file_hash(path)
        if now - max(signs[1:3]) > _SETTLED_NS and self.signs(path) == signs:
            self._known[name], self._new = [*signs, found], True
        return found

    @staticmethod
    def signs(path: Path) -> list[int]:
        """Size, times of change and inode."""
        stat = path.stat()
        return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]

    def save(self) -> None:
        """Remember what was hashed."""
        if self._new:
            kept = {name: each for name, each in self._known.items() if (self._root / name).exists()}
            write_text(private_dir(self._study) / "hashes.json", json.dumps(kept, ensure_ascii=False))
            self._new = False


def digest(*parts: object) -> str:
    """Hash of what the parts hold, in 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).hexdigest()[:16]


@cache
def ingest_code() -> str:
    """Hash of the code that makes tables out of files."""
    root = Path(cobench.__file__).parent
    paths = [
        *sorted((root / "ingest").rglob("*.py")),
        root / "tables.py",
        root / "delivered.py",
        root / "store.py",
        root / "study.py",
        root / "sources.py",
    ]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
