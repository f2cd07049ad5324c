"""Claims about one writer at a time: the second is told who writes, and a killed writer stands in nobody's way."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cobench.errors import StudyLockedError
from cobench.lock import writing

HOLD = "import sys; from cobench.lock import writing\nwith writing(sys.argv[1]):\n print('held', flush=True)\n sys.stdin.read()"


@pytest.fixture
def writer(tmp_path):
    """Another process that writes the study in ``tmp_path``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().strip() == "held"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_second_writer_is_told_who_writes_and_what_to_do(tmp_path, writer):
    with pytest.raises(StudyLockedError) as caught, writing(tmp_path):
        pytest.fail("two writers at once")
    for text in (caught.value.en, caught.value.zh):
        assert str(writer.pid) in text and socket.gethostname() in text and "20" in text
    assert "run again" in caught.value.en and "重新运行" in caught.value.zh


def test_a_killed_writer_leaves_no_lock(tmp_path, writer):
    writer.kill()
    writer.wait()
    with writing(tmp_path):
        pass


def test_a_writer_that_ends_lets_the_next_one_in(tmp_path, writer):
    writer.stdin.close()
    writer.wait()
    with writing(tmp_path):
        pass


def test_one_process_may_ask_again_inside(tmp_path):
    with writing(tmp_path):
        with writing(tmp_path):
            pass
        assert _others_get_in(tmp_path) is False
    assert _others_get_in(tmp_path) is True


def test_an_error_inside_gives_the_lock_back(tmp_path):
    with pytest.raises(ZeroDivisionError), writing(tmp_path):
        _ = 1 / 0
    assert _others_get_in(tmp_path) is True


def _others_get_in(root: Path) -> bool:
    code = "import sys; from cobench.lock import writing\nwith writing(sys.argv[1]): pass"
    done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True)
    return done.returncode == 0


@pytest.mark.parametrize("command", ["ingest", "prepare", "run"])
def test_every_command_that_writes_says_so_and_changes_nothing(tmp_path, writer, command):
    (tmp_path / "study.toml").write_text(
        '[study]\nid = "s"\nlabel = "s"\n[[terms]]\nid = "t1"\nstart = 2025-02-17\nend = 2025-07-04\n'
        '[[sources]]\ntable = "schools"\nfiles = "data/raw/{term}/a.csv"\n'
        'columns = {school = "a", name = "b", stage = "c"}\nlevels.stage = {"p" = "primary"}\n',
        encoding="utf-8",
    )
    (tmp_path / "data" / "raw" / "t1").mkdir(parents=True)
    (tmp_path / "data" / "raw" / "t1" / "a.csv").write_text("a,b,c\nS1,x,p\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "cobench.cli", command, "t1"],
        cwd=tmp_path,
        env={
            **os.environ,
            "COBENCH_KEY": "5a" * 32,
            "LC_ALL": "C.UTF-8",
            "LANG": "C.UTF-8",
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 2 and str(writer.pid) in done.stderr, done.stderr
    assert not (tmp_path / "data" / "processed" / "manifest.json").exists()
    assert not (tmp_path / "reports").exists()
