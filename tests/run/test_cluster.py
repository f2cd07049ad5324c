"""Claims about a cluster: a real scheduler, two worker processes, one killed in the middle; nothing missing or twice."""

import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from throwaway import TERM, make_study, notebook, planned, run

from cobench.errors import RunError

ROOT = Path(__file__).resolve().parents[2]
# Says that it started, and with whom; waits until it is told to go on, so that there is something to be killed.
TOLD = """
import os, time
from pathlib import Path
name = "{name}"
Path("started").mkdir(exist_ok=True)
Path("started", name + "." + str(os.getpid())).write_text(os.environ["JPY_PARENT_PID"])
while not Path("go").exists(): time.sleep(0.05)
print("report", name)
"""


@contextmanager
def cluster(folder: Path, threads: tuple[int, ...] = (1, 1)):
    """Address of a scheduler of its own and its worker processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "30s"}
    dask = [sys.executable, "-m", "dask"]
    log = (folder / "cluster.txt").open("ab")
    settings = {"env": environment, "cwd": folder, "stdout": log, "stderr": log}
    port = address.rsplit(":", 1)[1]
    processes = [
        subprocess.Popen(
            [*dask, "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"], **settings
        )
    ]
    processes += [
        subprocess.Popen(
            [*dask, "worker", address, "--nthreads", str(count), "--no-nanny", "--no-dashboard", "--death-timeout", "120"],
            **settings,
        )
        for count in threads
    ]  # fmt: skip
    try:
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()
        log.close()


def _until(true, seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def _both_are_at_work(address: str) -> None:
    from distributed import Client

    with Client(address, timeout="120s", set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)


def test_every_report_is_there_and_none_twice_though_a_worker_is_killed(tmp_path):
    import threading

    study = make_study(tmp_path)
    names = [f"{number}0_report" for number in range(5)]
    for name in names:
        notebook(study.root / "notebooks" / f"{name}.ipynb", TOLD.format(name=name))
    started, killed = study.root / "started", []
    with cluster(tmp_path) as (address, workers):
        _both_are_at_work(address)

        def kill_one():
            _until(lambda: started.is_dir() and len(list(started.iterdir())) >= 2)
            victim = workers[0]
            kernel = next(p for p in started.iterdir() if p.read_text() == str(victim.pid))
            killed.extend([int(kernel.suffix[1:]), kernel.stem])
            victim.kill()
            (study.root / "go").touch()

        killer = threading.Thread(target=kill_one, daemon=True)
        killer.start()
        result, _ = run(study, planned(study, languages=("en",)), scheduler=address)
        killer.join(10)
        assert killed, "nothing was killed"
        _until(lambda: not psutil.pid_exists(killed[0]), 60)
    assert result.exit_code == 0, [outcome.detail for outcome in result.outcomes]
    assert [outcome.report.id for outcome in result.outcomes] == names
    manifest = json.loads((study.root / "reports" / TERM / "run.json").read_text(encoding="utf-8"))
    assert Counter(entry["id"] for entry in manifest["reports"]) == Counter(names)
    runs = Counter(path.stem for path in started.iterdir())
    assert runs == Counter([*names, killed[1]]), "only what the killed worker was at ran again"
    for name in names:
        page = (study.root / "reports" / TERM / f"{name}.en.html").read_text(encoding="utf-8")
        assert page.count(f"report {name}") == 1


def test_workers_with_several_threads_are_refused(tmp_path):
    study = make_study(tmp_path)
    notebook(study.root / "notebooks" / "00_report.ipynb", "1")
    with cluster(tmp_path, threads=(2,)) as (address, _), pytest.raises(RunError, match="--nthreads 1"):
        run(study, planned(study, languages=("en",)), scheduler=address)
    assert not (study.root / "reports" / TERM).exists()
