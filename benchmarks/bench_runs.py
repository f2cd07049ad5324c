"""How many reports a minute? School reports of a demo district by cobench with two workers, against the loop that
people write: ``papermill`` and then ``jupyter nbconvert``, one report after the other, on the same notebook.

``python bench_runs.py [LOOPED]``: reports that the loop makes (its pace is steady); cobench makes every school's report
in both languages, start-up included, with warm kernels and, fewer of them, with ordinary ones. The district is made and
computed beforehand in a temporary folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from cobench.declared import Text
from cobench.run import term_run
from cobench.run.evaluate import plan
from cobench.run.execute import execute
from cobench.run.kernels import kernel_environment, write_kernelspec
from cobench.study import load_study
from cobench.workbench.desk import Desk

ROOT = Path(__file__).resolve().parent.parent
LOOPED, ORDINARY, WORKERS = 3, 6, 2
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


def main() -> None:
    n_looped = int(sys.argv[1]) if len(sys.argv) > 1 else LOOPED
    with tempfile.TemporaryDirectory(prefix="bench-runs-") as name:
        folder = Path(name)
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
    figures = {
        "reports_per_minute_over_loop": by_loop / warm,
        "ordinary_over_loop": by_loop / ordinary,
        "reports_per_minute": 60 / warm,
        "loop_per_minute": 60 / by_loop,
        "reports": len(reports),
        "workers": WORKERS,
    }
    print(json.dumps({name: round(float(value), 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
