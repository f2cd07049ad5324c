"""Claims about remembered hashes: what was not touched is not read, and what was touched is always seen."""

from __future__ import annotations

import os

import pytest

from cobench.files import file_hash
from cobench.ingest import hashes as module
from cobench.ingest.hashes import FileHashes
from cobench.study import load_study


@pytest.fixture
def reads(monkeypatch) -> list:
    """Files whose content is hashed, as they are."""
    seen: list = []

    def counted(path):
        seen.append(path.name)
        return file_hash(path)

    monkeypatch.setattr(module, "file_hash", counted)
    return seen


def _file(root, age: float):
    path = root / "data" / "raw" / "a.csv"
    path.write_bytes(b"one")
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - int(age * 1e9)))
    return path


def test_an_old_file_is_hashed_once(root, reads, monkeypatch):
    monkeypatch.setattr(module, "_SETTLED_NS", -1)
    study, path = load_study(root), _file(root, 10)
    first = FileHashes(study)
    assert first.of(path) == file_hash(path)
    first.save()
    assert FileHashes(study).of(path) == file_hash(path)
    assert reads == ["a.csv"]


def test_a_fresh_file_is_hashed_each_time(root, reads):
    study, path = load_study(root), _file(root, 0)
    first = FileHashes(study)
    first.of(path)
    first.save()
    FileHashes(study).of(path)
    assert reads == ["a.csv"] * 2


def test_a_change_of_the_same_length_and_time_of_writing_is_seen(root, monkeypatch):
    monkeypatch.setattr(module, "_SETTLED_NS", -1)
    study, path = load_study(root), _file(root, 10)
    remembered = FileHashes(study)
    remembered.of(path)
    remembered.save()
    stat = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert FileHashes(study).of(path) == file_hash(path)


def test_a_memory_that_cannot_be_read_is_forgotten(root):
    study, path = load_study(root), _file(root, 10)
    (root / "private").mkdir()
    (root / "private" / "hashes.json").write_text("{", encoding="utf-8")
    assert FileHashes(study).of(path) == file_hash(path)
