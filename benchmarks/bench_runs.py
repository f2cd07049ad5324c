"""How many reports a minute, how long with nothing changed, and how much memory with many schools?

How many reports a minute? School reports of a demo district by cobench with two workers, against the loop that
people write: ``papermill`` and then ``jupyter nbconvert``, one report after the other, on the same notebook.

``python bench_runs.py``: cobench makes every school's report in both languages, start-up included, with warm kernels
and, fewer of them, with ordinary ones. The district is made and computed beforehand in a temporary folder.
``--looped`` says how many reports the loop makes (its pace is steady). ``cached_rerun_seconds`` is the whole command
``cobench run`` on a term of ``--cached`` schools (60) that has been run just before, from the start of Python to its end.

``python bench_runs.py --schools 1000``: instead, a term of so many schools by the same way, with a light notebook;
the memory of the driver and of its workers is sampled while it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import psutil

from cobench import store
from cobench.declared import Text
from cobench.run import term_run
from cobench.run.evaluate import plan
from cobench.run.execute import execute
from cobench.run.kernels import kernel_environment, write_kernelspec
from cobench.study import load_study
from cobench.workbench.desk import Desk

ROOT = Path(__file__).resolve().parent.parent
LOOPED, ORDINARY, WORKERS, CACHED = 3, 6, 2, 60
MANY_TERM = "2025-2026-2"
MANY_STUDY = f"""
[study]
id = "many"
label = {{zh = "千校", en = "a thousand schools"}}
languages = ["zh"]
simulated = true
[[terms]]
id = "{MANY_TERM}"
start = 2026-03-02
end = 2026-07-10
[[sources]]
table = "schools"
files = "data/raw/{{term}}/schools.csv"
columns = {{school = ["code"], name = ["name"]}}
"""
BIN = Path(sys.executable).parent


def demo_district(folder: Path) -> Path:
    """A study with the demo's raw files, its newest term read and computed."""
    study = folder / "study"
    study.mkdir()
    for name in ("study.toml", "notebooks", "codebooks"):
        source = ROOT / name
        shutil.copytree(source, study / name) if source.is_dir() else shutil.copy(source, study / name)
    for command in (["key"], ["demo"], ["prepare"]):
        subprocess.run(
            [str(BIN / "cobench"), *command, "--study", str(study)], check=True, stdout=subprocess.DEVNULL
        )
    return study


def looped(reports: list, study: Path, work: Path) -> float:
    """Seconds a report of ``papermill`` then ``jupyter nbconvert``."""
    write_kernelspec(work / "jupyter")
    environment = os.environ | kernel_environment(work) | {"COBENCH_LEDGER": str(work / "ledger.jsonl")}
    began = time.perf_counter()
    for number, report in enumerate(reports):
        out = work / f"{number}.ipynb"
        given = [word for item in report.parameters.items() for word in ("-p", item[0], str(item[1]))]
        _quietly(
            [BIN / "papermill", report.notebook, out, "-k", "python3", "--cwd", study, *given], environment
        )
        _quietly([BIN / "jupyter", "nbconvert", "--to", "html", out], environment)
    return (time.perf_counter() - began) / len(reports)


def _quietly(command: list, environment: dict[str, str]) -> None:
    subprocess.run([str(word) for word in command], check=True, env=environment, capture_output=True)


def ours(reports: list, root: Path, work: Path, kernels: str) -> float:
    """Seconds a report of :func:`cobench.run.execute.execute` with two workers, from nothing to pages."""
    study = load_study(root)
    context = term_run._context(study, study.newest_term().id, reports, [], {}, datetime.now())
    began = time.perf_counter()
    outcomes = execute(
        reports, jobs=WORKERS, work_dir=work, study_root=root, context=context, kernels=kernels
    )
    seconds = time.perf_counter() - began
    assert [each.state for each in outcomes] == ["ok"] * len(reports)
    return seconds / len(reports)


def cached(folder: Path, n_schools: int) -> dict[str, float]:
    """Seconds of ``cobench run`` for a whole term, and of the same command again with nothing changed."""
    sys.path.insert(0, str(ROOT / "tests"))
    from district import lay_out_small_district

    study = folder / "cached"
    lay_out_small_district(study, seed=3, n_schools=n_schools, n_students=60 * n_schools)
    environment = os.environ | {"COBENCH_KEY": "5a" * 32, "LC_ALL": "C.UTF-8"}
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        command = [BIN / "python", "-m", "cobench.cli", "run", "--study", study, "--jobs", WORKERS]
        done = subprocess.run(
            [str(word) for word in command], env=environment, capture_output=True, text=True
        )
        seconds.append(time.perf_counter() - began)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "kept as they are" in done.stdout
    return {"first_run_seconds": seconds[0], "cached_rerun_seconds": seconds[1]}


def many_schools(folder: Path, n_schools: int) -> dict[str, float]:
    """A term of many schools to its published index, with the memory that it took."""
    (folder / "notebooks").mkdir(parents=True)
    (folder / "study.toml").write_text(MANY_STUDY, encoding="utf-8")
    nbformat.write(_light_notebook(), folder / "notebooks" / "05_school.ipynb")
    (folder / "data" / "raw" / MANY_TERM).mkdir(parents=True)
    study = load_study(folder)
    rng = np.random.default_rng(1)
    codes = [f"S{number:04d}" for number in range(n_schools)]
    panel = pd.DataFrame({"school": np.repeat(codes, 300), "x": rng.normal(70, 9, 300 * n_schools).round(2)})
    panel.insert(0, "student", [f"s{number}" for number in range(len(panel))])
    reach = panel.groupby("school")["x"].agg(["size", "mean"]).reset_index()
    store.write_stage(study, MANY_TERM, "k", {"panel": panel, "reach": reach})
    schools = {code: Text(code, code) for code in codes}
    reports = plan(study, MANY_TERM, study.languages, schools)
    samples: list[tuple[float, float]] = []
    stop = threading.Event()
    sampler = threading.Thread(target=_sample, args=(samples, stop), daemon=True)
    sampler.start()
    began = time.perf_counter()
    result = term_run.run_term(study, MANY_TERM, reports, scan=lambda html, path: (), jobs=WORKERS)
    seconds = time.perf_counter() - began
    stop.set()
    sampler.join()
    assert result.exit_code == 0 and len(result.outcomes) == n_schools
    driver, family = (np.array(each) / 2**20 for each in zip(*samples, strict=True))
    early, late = slice(len(driver) // 10, len(driver) // 5), slice(-max(len(driver) // 10, 1), None)
    return {
        "schools": n_schools,
        "seconds": seconds,
        "driver_mb_early": np.median(driver[early]),
        "driver_mb_late": np.median(driver[late]),
        "driver_mb_most": driver.max(),
        "others_mb_early": np.median(family[early]),
        "others_mb_late": np.median(family[late]),
        "others_mb_most": family.max(),
    }


def _sample(samples: list[tuple[float, float]], stop: threading.Event) -> None:
    """Resident memory of this process, and what its workers and kernels hold for themselves."""
    driver = psutil.Process()
    while not stop.wait(1.0):
        total = 0.0
        for child in driver.children(recursive=True):
            try:
                total += child.memory_full_info().uss
            except psutil.Error:
                continue
        samples.append((driver.memory_info().rss, total))


def _light_notebook() -> nbformat.NotebookNode:
    from nbformat.v4 import new_code_cell, new_notebook

    parameters = 'study: str = "."\nterm: str = ""\nlanguage: str = "zh"\nschool: str = ""'
    cells = [
        "from cobench import open_study\ndesk = open_study(study, term, language)",
        "own = desk.own('panel', school)['x']\nprint(len(own), *own.describe().round(3), desk.derived('reach')['mean'].median())",
    ]
    title = {"zh": "学校 {school}", "en": "School {school}"}
    return new_notebook(
        cells=[new_code_cell(parameters, metadata={"tags": ["parameters"]}), *map(new_code_cell, cells)],
        metadata={"cobench": {"report": True, "each": "school", "title": title, "order": 0}},
    )


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--looped", type=int, default=LOOPED)
    asked.add_argument("--cached", type=int, default=CACHED)
    asked.add_argument("--schools", type=int, default=0)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-runs-") as name:
        folder = Path(name)
        if given.schools:
            figures = many_schools(folder / "many", given.schools)
        else:
            figures = {**throughput(folder, given.looped), **cached(folder, given.cached)}
    print(json.dumps({name: round(float(value), 2) for name, value in figures.items()}))


def throughput(folder: Path, n_looped: int) -> dict[str, float]:
    """Reports a minute, and how many times those of the loop."""
    root = demo_district(folder)
    study = load_study(root)
    desk = Desk(study, study.newest_term(), "zh")
    schools = {code: Text(label, label) for code, label in desk.schools.items()}
    reports = [
        each
        for each in plan(study, study.newest_term().id, study.languages, schools)
        if each.each == "school"
    ]
    by_loop = looped(reports[:n_looped], root, folder)
    warm = ours(reports, root, folder / "warm", "warm")
    ordinary = ours(reports[:ORDINARY], root, folder / "ordinary", "ordinary")
    return {
        "reports_per_minute_over_loop": by_loop / warm,
        "ordinary_over_loop": by_loop / ordinary,
        "reports_per_minute": 60 / warm,
        "loop_per_minute": 60 / by_loop,
        "reports": len(reports),
        "workers": WORKERS,
    }


if __name__ == "__main__":
    main()
