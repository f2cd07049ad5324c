"""Claims about notebooks: checked tables are really compared, and a reader's own notebook runs as the README says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from district import ROOT, TERM, cobench, lay_out_small_district

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHECKED = "nbval-check-output"


def _checked_cells(notebook) -> list:
    return [cell for cell in notebook.cells if CHECKED in cell.metadata.get("tags", [])]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_has_a_checked_table_with_stored_output(path):
    # A tagged cell without stored output passes nbval silently.
    cells = _checked_cells(nbformat.read(path, 4))
    assert cells
    for cell in cells:
        texts = ["".join(output["data"]["text/plain"]) for output in cell.outputs]
        assert texts and any(character.isdigit() for character in texts[0])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped_except_the_checked_ones(path):
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        if cell.cell_type == "code" and CHECKED not in cell.metadata.get("tags", []):
            assert not cell.outputs and cell.execution_count is None


def _run_nbval(path: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-p", "no:cacheprovider", "-q", path.name]
    return subprocess.run(command, cwd=path.parent, capture_output=True, text=True, encoding="utf-8")


def test_a_wrong_digit_in_a_stored_table_turns_nbval_red(tmp_path):
    if not (ROOT / "data" / "processed" / "manifest.json").exists():
        pytest.skip("the demo district has not been prepared: run `cobench demo` and `cobench prepare` first")
    source = ROOT / "notebooks" / "02_implementation.ipynb"
    text = source.read_text(encoding="utf-8").replace(
        'study: str = \\".\\"', f'study: str = \\"{ROOT.as_posix()}\\"'
    )
    assert ROOT.as_posix() in text
    right, wrong = tmp_path / "right.ipynb", tmp_path / "wrong.ipynb"
    right.write_text(text, encoding="utf-8")
    done = _run_nbval(right)
    assert done.returncode == 0, done.stdout[-3000:]
    notebook = json.loads(text)
    cell = next(cell for cell in notebook["cells"] if CHECKED in cell["metadata"].get("tags", []))
    for kind, lines in cell["outputs"][0]["data"].items():
        if kind not in ("text/plain", "text/html"):  # what people read
            continue
        joined = "".join(lines)
        digit = re.search(r"(?<![\w#&-])\d(?=[^<]*(?:</td>|\n|$))", joined)
        planted = str((int(digit.group()) + 1) % 10)
        cell["outputs"][0]["data"][kind] = [joined[: digit.start()] + planted + joined[digit.end() :]]
    wrong.write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf-8")
    assert _run_nbval(wrong).returncode == 1


def test_the_own_notebook_of_the_readme_runs_as_written(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## How to add my own notebook")[1].split("\n## ")[0]
    metadata = json.loads(re.search(r"```json\n(.*?)```", section, re.DOTALL).group(1))
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL).group(1)
    folder = tmp_path / "demo"
    lay_out_small_district(folder)
    own = nbformat.v4.new_notebook(metadata=metadata)
    own.cells = [
        nbformat.v4.new_markdown_cell("# 我的分析 · My analysis"),
        nbformat.v4.new_code_cell(
            'study: str = "."\nterm: str = "newest"\nlanguage: str = "zh"', metadata={"tags": ["parameters"]}
        ),
        nbformat.v4.new_code_cell(code),
    ]
    nbformat.write(own, folder / "notebooks" / "my_notebook.ipynb")
    done = cobench(folder, "run", "--only", "my_notebook", "--language", "en")
    assert done.returncode == 0, done.stdout + done.stderr
    page = (folder / "reports" / TERM / "my_notebook.en.html").read_text(encoding="utf-8")
    assert "My analysis" in page and "<table" in page
