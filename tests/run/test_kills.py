"""Claims about SIGKILL in the middle of a run, of whatever kernel, worker or publisher: one report may fail, no more.

The index then links whole pages only, no process is left, and a later run makes what is missing and nothing else.
Kills of the driver, of the fork server and of a cluster's worker stand with their own modules.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from throwaway import TERM, make_study, notebook, planned, run

# Says who it is, and then waits where it is to be killed; a later run goes on.
VICTIM = """
import os, time
from pathlib import Path
if not Path("killed").exists():
    Path("pid.tmp").write_text(f"{os.getpid()} {os.environ['JPY_PARENT_PID']}")
    os.replace("pid.tmp", "pid")
    time.sleep(60)
print("a late report")
"""


def descendants() -> set[int]:
    """Processes of this one, without the tracker that multiprocessing keeps for its whole life."""
    found = psutil.Process().children(recursive=True)
    return {each.pid for each in found if "resource_tracker" not in " ".join(each.cmdline())}


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def linked(reports: Path) -> list[str]:
    """Pages that the index links to, each of them whole."""
    names = re.findall(r'href="([^"#]+\.html)"', (reports / "index.html").read_text(encoding="utf-8"))
    for name in names:
        page = (reports / name).read_text(encoding="utf-8")
        assert page.startswith("<!") and page.rstrip().endswith("</html>"), name
    return names


def states(reports: Path) -> dict[str, str]:
    manifest = json.loads((reports / "run.json").read_text(encoding="utf-8"))
    return {entry["id"]: entry["state"] for entry in manifest["reports"]}


# A worker with a forked kernel is killed in test_warm.
@pytest.mark.parametrize(
    ("victim", "kernels"), [("kernel", "warm"), ("kernel", "ordinary"), ("worker", "ordinary")]
)
def test_a_kill_costs_one_report_leaves_no_process_and_is_made_up_for(tmp_path, kernels, victim):
    study = make_study(tmp_path)
    notebook(study.root / "notebooks" / "00_victim.ipynb", VICTIM)
    notebook(study.root / "notebooks" / "10_after.ipynb", "print('after the kill')")
    told, before, killed = study.root / "pid", descendants(), []

    def kill():
        while not told.exists():
            time.sleep(0.02)
        kernel, parent = map(int, told.read_text().split())
        killed.append(kernel if victim == "kernel" else parent)
        (study.root / "killed").touch()
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    result, _ = run(study, planned(study, languages=("en",)), jobs=1, kernels=kernels)
    killer.join(10)
    reports = study.root / "reports" / TERM
    assert states(reports) == {"00_victim": "failed", "10_after": "ok"} and result.exit_code == 1
    assert result.outcomes[0].ename == {"kernel": "DeadKernelError", "worker": "WorkerDied"}[victim]
    assert set(linked(reports)) == {"00_victim.en.html", "10_after.en.html"}
    assert "a late report" not in (reports / "00_victim.en.html").read_text(encoding="utf-8")
    assert len(killed) == 1 and not any(map(alive, map(int, told.read_text().split())))
    assert descendants() <= before and list((study.root / "private" / "run").iterdir()) == []
    again, _ = run(study, planned(study, languages=("en",)), jobs=1, kernels="ordinary", redo="failed")
    assert [outcome.report.id for outcome in again.outcomes] == ["00_victim"] and again.exit_code == 0
    assert states(reports) == {"00_victim": "ok", "10_after": "ok"}
    assert "a late report" in (reports / "00_victim.en.html").read_text(encoding="utf-8") and linked(reports)


# ---- publication --------------------------------------------------------------------------------------

PUBLISHER = """
import json, os, signal, sys
from pathlib import Path
sys.path[:0] = {path!r}
from cobench.run.term_run import publish
from test_term_run import _edition

target, replace, found = Path({target!r}), os.replace, []
old = _edition("old", ["a.html", "b.html", "gone.html"])
publish(target, old, None)
for step in range(1, 6):
    steps = iter(range(1, 100))
    def die_before(source, to):
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, to)
    if not (child := os.fork()):
        os.replace = die_before
        publish(target, _edition(f"new{{step}}", ["a.html", "b.html", "c.html"]), old.manifest)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    found.append([status, {{each.name: each.read_text() for each in target.iterdir()}}])
publish(target, _edition("last", ["a.html", "b.html", "c.html"]), old.manifest)
print(json.dumps(found))
"""


def test_a_publisher_killed_at_any_step_leaves_whole_pages_and_the_next_removes_its_scraps(tmp_path):
    here = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    target = tmp_path / "reports"
    script = PUBLISHER.format(path=here, target=str(target))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (
        len(found) == 5 and len([name for _, files in found for name in files if name.endswith(".tmp")]) == 5
    )
    for status, files in found:
        assert status == signal.SIGKILL, "killed before it had replaced the index"
        links = re.findall(r'href="([^"]+)"', files["index.html"])
        assert links == ["a.html", "b.html", "gone.html"], "the index is the old one"
        for name in links:
            assert re.fullmatch(rf"<html>(old|new\d) {name}</html>", files[name])
    names = {"a.html", "b.html", "c.html", "run.json", "index.html"}
    assert {path.name for path in target.iterdir()} == names and "last" in (target / "index.html").read_text()
