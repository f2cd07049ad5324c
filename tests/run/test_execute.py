import time

import psutil
import pytest
from throwaway import make_study, notebook, page_context, planned

from cobench.run.execute import execute

SLOW = """
import os, time
from pathlib import Path
Path("kernel.tmp").write_text(str(os.getpid()))
os.replace("kernel.tmp", "kernel.pid")
time.sleep(60)
"""


def _execute(study, tmp_path, **choices):
    settings = {"jobs": 2, "work_dir": tmp_path / "work", "study_root": study.root, "context": page_context()}
    return execute(planned(study, languages=("en",)), **settings | choices)


def test_an_exception_in_the_driver_ends_every_kernel_at_once(tmp_path):
    study = make_study(tmp_path)
    seen = study.root / "kernel.pid"
    wait = "import time\nfrom pathlib import Path\nwhile not Path('kernel.pid').exists(): time.sleep(0.05)"
    notebook(study.root / "notebooks" / "00_waits.ipynb", wait)
    notebook(study.root / "notebooks" / "10_slow.ipynb", SLOW)

    def stop(event):
        if event.kind == "finished":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _execute(study, tmp_path, on_event=stop)
    kernel = int(seen.read_text())
    end = time.monotonic() + 20
    while psutil.pid_exists(kernel) and psutil.Process(kernel).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end, "the kernel outlived its run"
        time.sleep(0.05)
    assert not [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def test_a_cell_that_takes_too_long_is_stopped_and_told_so(tmp_path):
    study = make_study(tmp_path)
    notebook(study.root / "notebooks" / "10_slow.ipynb", SLOW)
    [outcome] = _execute(study, tmp_path, cell_timeout=3)
    assert outcome.state == "failed" and outcome.ename == "CellTimeoutError" and outcome.cell == 3
    assert outcome.reason.en == "A step took longer than the time limit."
    assert outcome.page is None and outcome.notebook.is_file()


def test_outcomes_come_in_the_order_of_the_reports_whatever_finishes_first(tmp_path):
    study = make_study(tmp_path)
    notebook(study.root / "notebooks" / "00_long.ipynb", "import time; time.sleep(6)")
    notebook(study.root / "notebooks" / "10_short.ipynb", "1")
    finished = []
    outcomes = _execute(
        study, tmp_path, on_event=lambda e: e.kind == "finished" and finished.append(e.report.id)
    )
    assert [outcome.report.id for outcome in outcomes] == ["00_long", "10_short"]
    assert finished == ["10_short", "00_long"]
    assert all("<h1>" in outcome.page.read_text(encoding="utf-8") for outcome in outcomes)
