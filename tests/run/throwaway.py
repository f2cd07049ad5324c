"""Notebooks that behave well or badly, and a study that holds them."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from rich.console import Console

from cobench.declared import Text
from cobench.run.plan import plan_term
from cobench.run.render import PageContext
from cobench.run.term_run import Download, RunResult, run_term
from cobench.study import Study, load_study

TERM = "2025-2026-2"
FORBIDDEN = "F0RB1DDEN"
SECRET = "secret of the traceback"
PARAMETERS = 'study: str = ".."\nterm: str = "2025-2026-2"\nlanguage: str = "zh"\n'
SCHOOLS = {"S01": Text("晨光小学", "晨光小学"), "S02": Text("育才小学", "育才小学")}

STUDY = """
[study]
id = "small"
label = {zh = "示例区 <评估>", en = "Small District <evaluation>"}
languages = ["zh", "en"]
simulated = true
[[terms]]
id = "2025-2026-1"
start = 2025-09-01
end = 2026-01-23
[[terms]]
id = "2025-2026-2"
label = {zh = "第二学期", en = "Spring term"}
start = 2026-03-02
end = 2026-07-10
[[terms]]
id = "2026-2027-1"
start = 2026-09-01
end = 2027-01-23
[[sources]]
table = "schools"
files = "data/raw/{term}/schools.csv"
columns = {school = ["code"], name = ["name"]}
"""

FIGURE = """
import base64, io
from IPython.display import display, HTML
from matplotlib.figure import Figure
zh = language == "zh"
def draw(metadata):
    out = io.BytesIO()
    figure = Figure(figsize=(2, 1), dpi=40)
    figure.subplots().plot([1, 2])
    figure.savefig(out, format="png")
    display({"image/png": base64.b64encode(out.getvalue()).decode()}, raw=True, metadata=metadata)
"""

TABLE = """
wide = "".join(f"<th>a wide column {number}</th>" for number in range(12))
display(HTML(f"<table><caption>Visits</caption><tr>{wide}</tr><tr><td onclick='alert(1)'>1</td></tr></table>"
             "<script>alert('injected')</script>"))
print("<script>alert('printed')</script> <b>bold</b>")
import sys
print("a warning about " + "x", file=sys.stderr)
"""

REPORT_KERNEL = """
import json, os, sys
from pathlib import Path
names = ["COBENCH_RUN", "MPLBACKEND", "PYTHONHASHSEED", "OMP_NUM_THREADS"]
facts = {"python": sys.executable, "cwd": os.getcwd()} | {name: os.environ.get(name) for name in names}
Path(study, "kernel.json").write_text(json.dumps(facts))
"""


def notebook(path: Path, *cells, declared: dict | None | bool = True, parameters: str = PARAMETERS) -> Path:
    """Write a notebook; ``declared`` is its ``metadata.cobench`` (``True`` for a plain one, ``None`` for none)."""
    title = {"zh": f"报告{path.stem}", "en": f"Report {path.stem}"}
    plain = {"report": True, "each": None, "title": title, "order": 0}
    metadata = {"cobench": plain | declared if isinstance(declared, dict) else plain} if declared else {}
    metadata["kernelspec"] = {"name": "elsewhere", "display_name": "elsewhere", "language": "python"}
    first = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    made = new_notebook(
        cells=[new_markdown_cell("# Typed title"), first, *map(_cell, cells)], metadata=metadata
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(made, path)
    return path


def markdown(source: str, *tags: str):
    return new_markdown_cell(source, metadata={"tags": list(tags)})


def _cell(cell):
    return new_code_cell(cell) if isinstance(cell, str) else cell


def good_cells() -> list:
    return [
        FIGURE,
        markdown("## 发现\n\n一段话，**重点**。", "zh"),
        markdown("## Findings\n\nA paragraph.", "en"),
        'draw({"image/png": {"alt": "家访多的学校\\"更高\\"" if zh else "Visited \\"more\\" & higher"}})',
        markdown("### 细节", "zh"),
        markdown("### Details", "en"),
        TABLE,
        markdown("## 附录 <i>x</i>\n\n# Second typed H1"),
        markdown("never shown anywhere", "hide"),
    ]


def make_study(folder: Path) -> Study:
    """A study folder with raw files and no notebooks."""
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    for term in ("2025-2026-1", TERM, "2026-2027-1"):
        raw = folder / "data" / "raw" / term / "schools.csv"
        raw.parent.mkdir(parents=True)
        raw.write_text(f"code,name\nS01,{term}\n", encoding="utf-8")
    (folder / "notebooks").mkdir()
    return load_study(folder)


def page_context(**changes) -> PageContext:
    settings = {
        "study": Text("示例区", "Small District"),
        "term": TERM,
        "term_label": Text("第二学期", "Spring term"),
        "run_date": "2026-07-12",
        "simulated": True,
        "versions": {"cobench": "0.1.0"},
        "hashes": {"raw_files": "0123456789abcdef" * 4},
    }
    return PageContext(**settings | changes)


def planned(study: Study, **choices):
    settings = {"languages": ("zh", "en"), "treatments": (), "schools": SCHOOLS} | choices
    return plan_term(study.root / "notebooks", TERM, **settings)


def scan_for_forbidden(html: str, path: Path) -> list[str]:
    return re.findall(FORBIDDEN, html)


def run(study: Study, reports, **choices) -> tuple[RunResult, str]:
    """Run ``reports`` quietly; the result and what the progress line said."""
    said = io.StringIO()
    settings = {
        "scan": scan_for_forbidden,
        "jobs": 2,
        "console": Console(file=said, width=200),
        "language": "en",
    }
    return run_term(study, TERM, reports, **settings | choices), said.getvalue()


@dataclass(frozen=True)
class Finished:
    study: Study
    result: RunResult
    said: str

    @property
    def reports(self) -> Path:
        return self.study.root / "reports" / TERM

    def page(self, name: str) -> str:
        return (self.reports / f"{name}.html").read_text(encoding="utf-8")

    def states(self) -> dict[str, str]:
        return {outcome.report.path: outcome.state for outcome in self.result.outcomes}

    def entry(self, page: str) -> dict:
        entries = json.loads((self.reports / "run.json").read_text(encoding="utf-8"))["reports"]
        return next(entry for entry in entries if entry["page"] == f"{page}.html")


def run_everything(folder: Path) -> Finished:
    """Good and bad notebooks in one run, on a machine whose ``python3`` kernel spec points elsewhere."""
    study = make_study(folder)
    notebooks = study.root / "notebooks"
    fails = f"raise ValueError('{SECRET}')"
    notebook(notebooks / "00_good.ipynb", *good_cells(), REPORT_KERNEL)
    notebook(notebooks / "10_fails.ipynb", "x = 1", markdown("text"), fails, "print('never reached')")
    notebook(notebooks / "20_killed.ipynb", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    notebook(notebooks / "30_no_alt.ipynb", FIGURE, "draw({})")
    notebook(notebooks / "40_leaks.ipynb", "print('F0RB' + '1DDEN')")
    notebook(notebooks / "50_path.ipynb", "import os\nprint(os.getcwd())")
    notebook(
        notebooks / "60_kills_worker.ipynb",
        "import os, signal\nos.kill(int(os.environ['JPY_PARENT_PID']), signal.SIGKILL)",
    )
    notebook(
        notebooks / "70_school.ipynb",
        markdown("## 本校", "zh"),
        declared={"each": "school", "order": 7, "title": {"zh": "学校：{school}", "en": "School: {school}"}},
        parameters=PARAMETERS + 'school: str = "S01"\n',
    )
    figures = pd.DataFrame(
        {
            "school": ["S01", "S02"],
            "name": ["晨光小学", "育才<小学>"],
            "visit_coverage": [0.625, float("nan")],
            "standards_met": [7, 3],
            "standards_judged": [9, 8],
        }
    )
    data = folder / "estimates.parquet"
    data.write_bytes(b"numbers")
    with pytest.MonkeyPatch.context() as patch:
        spec = folder / "elsewhere" / "kernels" / "python3"
        spec.mkdir(parents=True)
        wrong = {"argv": ["no-such-python", "{connection_file}"], "display_name": "x", "language": "python"}
        (spec / "kernel.json").write_text(json.dumps(wrong))
        patch.setenv("JUPYTER_PATH", str(folder / "elsewhere"))
        both = ("00_good", "10_fails", "70_school")
        result, said = run(
            study,
            [report for report in planned(study) if report.language == "en" or report.kind in both],
            schools=figures,
            downloads={"estimates.parquet": Download(data, Text("估计", "estimates"))},
        )
    return Finished(study, result, said)
