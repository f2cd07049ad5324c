"""Claims about breaking off: whenever an ingest is killed or the disk refuses, the old tables or the new ones are there."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from small_study import EARLIER, KEY, LOG, TERM, child, grade, lay_out, log_rows, raw, write_log, write_roster
from test_delivery import everything, fresh, ingest

from cobench import store
from cobench.errors import CobenchError, StorageError
from cobench.files import file_hash
from cobench.ingest.ingest import ingest_term
from cobench.study import load_study

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork to keep 50 starts quick")
N_KILLS = 50


def _one_way(root: Path) -> None:
    write_log(root, TERM, log_rows())
    write_log(root, EARLIER, [["2025-03-10", "赵一", grade(EARLIER), "入户", "常规", "", "", ""]])
    write_roster(root, [child(1, "赵一", grade(TERM)), child(2, "钱二宝", grade(TERM))])


def _other_way(root: Path) -> None:
    write_log(root, TERM, log_rows()[1:])
    write_log(root, EARLIER, [])
    write_roster(root, [child(1, "赵一", grade(TERM)), child(3, "孙三", grade(TERM))])


def _put(files: dict[Path, bytes]) -> None:
    for path, data in files.items():
        if path.read_bytes() != data:
            path.write_bytes(data)


def _in_child(work) -> int:
    """Run ``work`` in a forked process; its id."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return process


def _left_behind(root: Path) -> list[str]:
    found = [
        *root.rglob(".part-*"),
        *root.rglob(".manifest.json-*"),
        *(root / "private" / ".staged").iterdir(),
    ]
    return [path.relative_to(root).as_posix() for path in found]


@needs_fork
def test_killed_at_fifty_random_moments_nothing_is_lost_or_mixed(tmp_path):
    root, choose = lay_out(tmp_path / "tiny"), random.Random(20)
    states, ways = [], []
    for number, way in enumerate((_one_way, _other_way)):
        way(root)
        # Workbooks bear the moment they were written, so both sets of files are kept as bytes.
        ways.append({path: path.read_bytes() for path in raw(root, "").parent.rglob("*.*") if path.is_file()})
        fresh(root, tmp_path / f"fresh{number}")
        states.append({term: _state(tmp_path / f"fresh{number}", term) for term in (EARLIER, TERM)})
    _put(ways[0])
    began = time.monotonic()
    ingest(root)
    whole = time.monotonic() - began
    now, broken, between = 0, 0, set()
    for _ in range(N_KILLS):
        target = 1 - now
        _put(ways[target])
        process = _in_child(lambda: ingest(root))
        time.sleep(choose.uniform(0, 1.2 * whole))
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        broken += os.WIFSIGNALED(status)
        # Two deliveries are committed one after the other: each of them is wholly old or wholly new.
        found = [[_state(root, term) == state[term] for state in states] for term in (EARLIER, TERM)]
        assert all(map(any, found))
        between.add(str(found))
        if found[0][target] and found[1][target]:
            now = target
    assert broken >= N_KILLS // 4
    assert len(between) >= 2
    ingest(root)
    assert {term: _state(root, term) for term in (EARLIER, TERM)} == states[target]
    assert _left_behind(root) == []


def _state(root: Path, term: str) -> set[tuple]:
    """What one delivery holds: its tables by the hash of their bytes, and its private files."""
    study = load_study(root)
    store.finish_private(study)
    held = set(store.contents(study, [term]))
    for *_, file in held:
        assert file_hash(store.processed_dir(study) / file)[:16] == Path(file).stem
    for kind in ("identities", "quarantine"):
        held.add((kind, file_hash(root / "private" / kind / f"{term}.parquet")))
    return held


def test_a_private_file_that_waits_is_put_in_place_by_the_next_reader(held, monkeypatch):
    write_log(held, TERM, [["2025-10-09", "查无此人", grade(TERM), "入户", "常规", "", "", ""]])
    monkeypatch.setattr(store, "finish_private", _power_cut)
    with pytest.raises(KeyboardInterrupt):
        ingest_term(load_study(held), TERM, key=KEY)
    monkeypatch.undo()
    assert list((held / "private" / ".staged").iterdir())
    assert everything(held) == fresh(held, held.parent / "fresh")
    assert list((held / "private" / ".staged").iterdir()) == []


def _power_cut(study) -> None:
    if (study.root / "private" / ".staged").is_dir() and list((study.root / "private" / ".staged").iterdir()):
        raise KeyboardInterrupt


# ---- a disk that refuses ----------------------------------------------------------------------------


def _refusal(root: Path) -> CobenchError:
    before = everything(root)
    write_log(root, TERM, log_rows()[:1])
    with pytest.raises(StorageError) as caught:
        ingest_term(load_study(root), TERM, key=KEY)
    assert everything(root) == before
    return caught.value


@pytest.mark.parametrize("place", ["contacts", "ingest_files"])
def test_a_table_that_cannot_be_written_is_said_and_the_old_tables_stay(held, place):
    folder = held / "data" / "processed" / place / f"term={TERM}"
    aside = folder.with_name("aside")
    folder.rename(aside)
    # A file where a folder is wanted refuses even root, whom permission bits do not stop.
    shutil.copyfile(next(aside.iterdir()), folder)
    write_log(held, TERM, log_rows()[:1])
    with pytest.raises(StorageError) as caught:
        ingest_term(load_study(held), TERM, key=KEY)
    folder.unlink()
    aside.rename(folder)
    assert "can't write to" in caught.value.en and "无法写入" in caught.value.zh
    assert store.read_table(load_study(held), "contacts", [TERM]).shape[0] == 5
    ingest(held)
    assert store.read_table(load_study(held), "contacts", [TERM]).shape[0] == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of file size for a process")
def test_a_full_disk_is_said_and_the_old_tables_stay(held):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, hard))
        error = _refusal(held)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert "disk is full" in error.en and "磁盘已满" in error.zh
    ingest(held)
    assert everything(held) == fresh(held, held.parent / "fresh")
    assert _left_behind(held) == []


@pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0,
    reason="root is not stopped by permission bits; see the test above",
)
def test_a_read_only_store_is_said_and_the_old_tables_stay(held):
    folder = held / "data" / "processed"
    folder.chmod(0o500)
    try:
        error = _refusal(held)
    finally:
        folder.chmod(0o700)
    assert "read-only" in error.en and "只读" in error.zh


def test_raw_files_survive_whatever_breaks(held):
    data = raw(held, LOG).read_bytes()
    (held / "private" / "cells" / "x.cells").write_bytes(b"no cells at all")
    ingest(held)
    assert raw(held, LOG).read_bytes() == data
