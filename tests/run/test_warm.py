"""Claims about warm kernels: same pages as ordinary ones, sooner, and nothing is left behind."""

import json
import os
import re
import signal

import psutil
import pytest
from throwaway import make_study, notebook, page_context, planned

from cobench.run import warm
from cobench.run.execute import execute
from cobench.run.warm import can_fork

pytestmark = pytest.mark.skipif(not can_fork(), reason="kernels are forked on Linux only")
FIGURE = """
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display
plt.plot(np.random.default_rng(1).normal(size=50))
plt.title("a figure")
display(pd.DataFrame({"a": [0.1 + 0.2], "b": ["家访"]}))
print(hash("the same in every kernel"), sum(pd.Series(range(1000)) / 7))
"""
PLACE = """
import json, os, sys
print("FACTS" + json.dumps({
    "path": sys.path, "argv": sys.argv[:1], "cwd": os.getcwd(), "name": __name__,
    "environment": {name: value for name, value in os.environ.items() if not name.startswith(("JPY_", "PYDEVD", "COBENCH_"))},
}, sort_keys=True))
"""
LOT = "import random, numpy\nprint('LOT', random.random(), numpy.random.rand())"
DIE = "import os, signal\nprint('before')\nos.kill(os.getpid(), signal.SIGKILL)"
TELL = """
import os, time
from pathlib import Path
Path("pid.tmp").write_text(f"{os.getpid()} {os.getppid()}")
os.replace("pid.tmp", "pid")
time.sleep(60)
"""


def _run(study, tmp_path, kernels="warm", **choices):
    work = tmp_path / f"work-{kernels}"
    settings = {"jobs": 2, "work_dir": work, "study_root": study.root, "context": page_context()}
    return execute(planned(study, languages=("en",)), kernels=kernels, **settings | choices)


def _printed(outcome):
    cells = json.loads(outcome.notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "".join("".join(output.get("text", "")) for output in outputs), outputs


def test_figures_tables_and_sums_are_those_of_ordinary_kernels_byte_for_byte(tmp_path):
    study = make_study(tmp_path)
    notebook(study.root / "notebooks" / "10_figure.ipynb", FIGURE)
    found = {kernels: _printed(*_run(study, tmp_path, kernels)) for kernels in ("warm", "ordinary")}
    assert found["warm"] == found["ordinary"]
    drawn = [output for output in found["warm"][1] if "image/png" in output.get("data", {})]
    assert len(drawn) == 1, "the figure vanished"


def test_a_kernel_finds_itself_where_an_ordinary_one_would(tmp_path):
    study = make_study(tmp_path)
    notebook(study.root / "notebooks" / "10_place.ipynb", PLACE)
    facts = {}
    for kernels in ("warm", "ordinary"):
        [outcome] = _run(study, tmp_path, kernels)
        text = re.search("FACTS(.*)", _printed(outcome)[0])[1]
        facts[kernels] = json.loads(text.replace(f"work-{kernels}", "work"))
    assert facts["warm"] == facts["ordinary"]


def test_nobodys_seed_is_shared_by_two_reports(tmp_path):
    study = make_study(tmp_path)
    for name in ("10_first", "20_second"):
        notebook(study.root / "notebooks" / f"{name}.ipynb", LOT)
    first, second = (_printed(each)[0] for each in _run(study, tmp_path, jobs=1))
    assert "LOT" in first and first != second


def test_a_kernel_that_dies_is_one_failed_report_with_what_it_had_printed(tmp_path):
    study = make_study(tmp_path)
    notebook(study.root / "notebooks" / "10_dies.ipynb", DIE)
    notebook(study.root / "notebooks" / "20_lives.ipynb", "print('alive')")
    died, alive = _run(study, tmp_path, jobs=1)
    assert (died.state, died.ename) == ("failed", "DeadKernelError")
    assert died.notebook.is_file()
    assert alive.state == "ok"


def test_a_worker_that_is_killed_takes_its_kernel_with_it_and_the_run_goes_on(tmp_path):
    study = make_study(tmp_path)
    notebook(study.root / "notebooks" / "10_tells.ipynb", TELL)
    notebook(study.root / "notebooks" / "20_after.ipynb", "print('after')")
    seen = study.root / "pid"
    killed = []

    def kill_its_worker(event):
        if event.kind == "started" and event.report.id == "10_tells":
            import threading

            threading.Thread(target=_kill_worker, args=(seen, killed), daemon=True).start()

    told, after = _run(study, tmp_path, jobs=1, on_event=kill_its_worker)
    assert (told.state, told.ename, after.state) == ("failed", "WorkerDied", "ok")
    assert killed and not psutil.pid_exists(killed[0])


def test_a_server_that_is_killed_ends_its_kernel_and_others_run_without_it(tmp_path):
    study = make_study(tmp_path)
    kill = "import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(60)"
    notebook(study.root / "notebooks" / "10_kills.ipynb", kill)
    notebook(study.root / "notebooks" / "20_lives.ipynb", "print('alive')")
    died, alive = _run(study, tmp_path, jobs=1)
    assert (died.state, died.ename) == ("failed", "DeadKernelError")
    assert alive.state == "ok"


def _kill_worker(seen, killed):
    import time

    while not seen.exists():
        time.sleep(0.05)
    kernel, server = map(int, seen.read_text().split())
    killed.append(kernel)
    mine = psutil.Process().children()
    [worker] = [each for each in mine if each.pid != server and "spawn_main" in " ".join(each.cmdline())]
    os.kill(worker.pid, signal.SIGKILL)


def test_without_a_server_kernels_are_ordinary_and_reports_come_out(tmp_path, monkeypatch):
    study = make_study(tmp_path)
    notebook(study.root / "notebooks" / "10_lives.ipynb", "print('alive')")
    monkeypatch.setattr(warm.sys, "executable", "/nonexistent/python")
    with pytest.raises(OSError):
        _run(study, tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr("cobench.run.execute.can_fork", lambda: False)
    [outcome] = _run(study, tmp_path, None)
    assert outcome.state == "ok"


def test_a_server_that_breaks_costs_time_but_no_report(tmp_path, monkeypatch):
    study = make_study(tmp_path)
    notebook(study.root / "notebooks" / "10_lives.ipynb", "print('alive')")
    monkeypatch.setattr(warm, "ALONE", {"MPLBACKEND": "no such backend"})
    [outcome] = _run(study, tmp_path)
    assert outcome.state == "ok"


def test_nothing_is_left_after_a_run(tmp_path):
    study = make_study(tmp_path)
    notebook(study.root / "notebooks" / "10_lives.ipynb", "print('alive')")
    before = {each.pid for each in psutil.Process().children(recursive=True)}
    _run(study, tmp_path)
    after = [each for each in psutil.Process().children(recursive=True) if each.pid not in before]
    assert [each for each in after if "resource_tracker" not in " ".join(each.cmdline())] == []
