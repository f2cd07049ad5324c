"""Claims about the house: imports point up the flow, modules stay short, no machine path leaks, notebooks are thin.

Every checker is shown a planted violation as well, so that none of them can pass by seeing nothing.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "cobench"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# A room may import rooms of its own rank or below.
RANKS = {
    "errors": 0,
    "declared": 0,
    "tables": 0,
    "reads": 0,
    "sources": 0,
    "effect_keys": 0,
    "standard": 0,
    "study": 1,
    "study_rules": 1,
    "lock": 1,
    "delivered": 2,
    "side_by_side": 1,
    "files": 1,
    "store": 2,
    "own_rows": 3,
    "ingest": 3,
    "demo": 4,
    "measures": 4,
    "roll": 4,
    "panel_frames": 4,
    "exposure": 4,
    "panel": 5,
    "panel_store": 6,
    "missing": 5,
    "time_order": 5,
    "effects": 6,
    "designs": 7,
    "over_terms": 8,
    "imputed": 8,
    "lost": 8,
    "for_whom": 8,
    "monitor": 7,
    "release": 8,
    "show": 9,
    "stage": 10,
    "workbench": 10,
    "new_study": 11,
    "run": 11,
    "cli": 12,
}
ONLY = {"demo": {"errors", "declared", "study", "tables"}}
MAX_LINES = 449
MAX_CELL_LINES = 15


# ---- imports ------------------------------------------------------------------------------------------


def _module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(source: str, module: str, is_package: bool) -> Iterator[tuple[str, int]]:
    """Dotted names that ``source`` imports anywhere, also lazily and by :func:`import_module`, with their line."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [node.module])])
            for name in node.names:
                yield f"{base}.{name.name}", node.lineno
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value, node.lineno


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def import_violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """Imports of ``source``, the text of ``module``, that point down the flow."""
    room = module.split(".")[1] if "." in module else None
    wrong = []
    for name, line in _imported(source, module, is_package):
        parts = name.split(".")
        if parts[0] != "cobench" or len(parts) < 2 or parts[1] == "__version__":
            continue
        other = parts[1]
        if other not in RANKS:
            wrong.append(f"{module}:{line} imports {name}, which is no room")
        elif other == "cli" and room != "cli":
            wrong.append(f"{module}:{line} imports cli")
        elif room is not None and other != room:
            above = RANKS[other] > RANKS[room]
            if above or other not in ONLY.get(room, RANKS):
                wrong.append(f"{module}:{line} imports {name}")
    return wrong


def test_every_module_belongs_to_a_room_with_a_rank():
    rooms = {_module_name(path).split(".")[1] for path in MODULES if "." in _module_name(path)}
    assert rooms <= set(RANKS), "give each new room a rank in RANKS"


@pytest.mark.parametrize("path", MODULES, ids=_module_name)
def test_imports_point_up_the_flow_only(path):
    source = path.read_text(encoding="utf-8")
    assert import_violations(source, _module_name(path), path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("cobench.effects.adjust", "from cobench.show.tables import table"),
        ("cobench.effects.adjust", "import cobench.show"),
        ("cobench.effects.adjust", "import numpy, cobench.show as shown"),
        ("cobench.effects.adjust", "from cobench import show"),
        ("cobench.effects.adjust", "from cobench import errors, show"),
        ("cobench.effects.adjust", "def lazily():\n    from cobench.release import disclosure"),
        ("cobench.effects.adjust", "from ..show import tables"),
        ("cobench.effects.adjust", "from .. import show"),
        (
            "cobench.effects.adjust",
            "from importlib import import_module\nimport_module('cobench.show.tables')",
        ),
        ("cobench.effects.adjust", "__import__('cobench.show')"),
        ("cobench.effects.adjust", "from cobench import open_study"),
        ("cobench.study", "from cobench.store import read_table"),
        ("cobench.store", "from cobench.ingest.ingest import ingest_term"),
        ("cobench.panel", "from cobench.effects.design import Design"),
        ("cobench.run.plan", "from cobench.cli import app"),
        ("cobench.show.tables", "from cobench import cli"),
        ("cobench", "from cobench.cli import main"),
        ("cobench.demo.people", "from cobench.store import write_tables"),
        ("cobench.demo.people", "from cobench.ingest.text import tidy"),
        ("cobench.demo.people", "from cobench.study_rules import check_names"),
        ("cobench.effects.adjust", "from cobench.nowhere import x"),
    ],
)
def test_a_planted_import_down_the_flow_is_found(module, source):
    assert len(import_violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("cobench.effects.adjust", "from cobench.effects.design import Design\nfrom . import design"),
        ("cobench.effects.adjust", "from cobench.panel import Panel\nfrom cobench import __version__, store"),
        ("cobench.study", "from cobench.study_rules import check_names\nfrom cobench.declared import build"),
        ("cobench.run.plan", "from cobench.show import wording\nimport showcase.cobench.cli"),
        ("cobench.demo.people", "from cobench.demo.names import draw\nfrom cobench.study import Study"),
        ("cobench.cli", "from cobench.run import plan"),
        ("cobench.effects.adjust", "# from cobench.show import tables\ntext = 'import cobench.show'"),
    ],
)
def test_an_import_up_the_flow_is_no_violation(module, source):
    assert import_violations(source, module) == []


def test_a_relative_import_in_a_package_is_resolved_from_the_package_itself():
    assert import_violations("from ..show import tables", "cobench.effects", is_package=True) == [
        "cobench.effects:1 imports cobench.show.tables"
    ]
    assert import_violations("from .design import Design", "cobench.effects", is_package=True) == []


# ---- length -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=_module_name)
def test_no_module_has_grown_beyond_reading(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


# ---- machine paths ------------------------------------------------------------------------------------

MACHINE_PATH = re.compile(r"(?<![\w:/.<>\]])(/(home|Users|root|opt|work|mnt|srv|tmp)/\w|[A-Za-z]:\\\\?\w)")
SAYING = {"print", "echo", "secho", "warn", "info", "warning", "error", "write_text", "rule", "Text"}
ABSOLUTE = {"resolve", "absolute", "cwd", "home", "expanduser", "realpath", "abspath", "getcwd"}


def path_violations(source: str) -> list[str]:
    """Places where ``source`` holds an absolute path of a machine or says one to somebody."""
    tree = ast.parse(source)
    literals = [
        f"{node.lineno}: the literal {node.value[:40]!r}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and MACHINE_PATH.search(node.value)
    ]
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    said = [
        f"{part.lineno}: says {ast.unparse(part)}"
        for call in calls
        if _called(call) in SAYING or _called(call).endswith("Error")
        for argument in (*call.args, *(keyword.value for keyword in call.keywords))
        for part in ast.walk(argument)
        if _is_machine_path(part)
    ]
    return literals + said


def _is_machine_path(node: ast.AST) -> bool:
    if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Attribute):
        return node.value.attr == "root"
    if isinstance(node, ast.Name):
        return node.id == "__file__"
    return isinstance(node, ast.Call) and _called(node) in ABSOLUTE


@pytest.mark.parametrize("path", MODULES, ids=_module_name)
def test_no_module_prints_a_machine_path(path):
    assert path_violations(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        'FONT = "/home/somebody/fonts/a.ttf"',
        'text = f"see /opt/cobench/{name}"',
        r'FONT = "C:\\Users\\somebody"',
        "print(Path(name).resolve())",
        'print(f"wrote {study.root}")',
        'console.print("in", Path.cwd())',
        'raise StudyFileError(en=f"no study in {Path(name).absolute()}", zh="x")',
        'raise StudyFileError(en=f"no study in {study.root}", zh="x")',
        "print(__file__)",
        'logger.warning("%s", os.path.abspath(name))',
    ],
)
def test_a_planted_machine_path_is_found(source):
    assert len(path_violations(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        'print(f"wrote reports/{term}/index.html")',
        'raise StudyFileError(en=f"no study.toml in {root.name}", zh="x")',
        'url = "https://example.org/home/page"',
        'ratio = "a: b / c"',
        "root = Path(name).resolve()",
        'pattern = "</opt>"',
    ],
)
def test_a_relative_path_is_no_machine_path(source):
    assert path_violations(source) == []


# ---- notebooks ----------------------------------------------------------------------------------------


def notebook_violations(notebook: dict) -> list[str]:
    """What keeps a notebook from being a thin, checked page."""
    wrong = []
    if not notebook["metadata"].get("cobench"):
        wrong.append("metadata.cobench is missing")
    tagged = [tag for cell in notebook["cells"] for tag in cell.get("metadata", {}).get("tags", [])]
    if tagged.count("parameters") != 1:
        wrong.append(f"{tagged.count('parameters')} cells are tagged parameters")
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        if len(source.splitlines()) > MAX_CELL_LINES:
            wrong.append(f"cell {number} has {len(source.splitlines())} lines")
        if re.search(r"^\s*(async\s+)?(def|class)\s|\blambda\b", source, re.MULTILINE):
            wrong.append(f"cell {number} defines a function")
        if "nbval-check-output" in cell.get("metadata", {}).get("tags", []) and not _has_output(cell):
            wrong.append(f"cell {number} is compared with an output that it doesn't hold")
    return wrong


def _has_output(cell: dict) -> bool:
    texts = [
        "".join(output.get("text", "")) + "".join(output.get("data", {}).get("text/plain", ""))
        for output in cell.get("outputs", [])
    ]
    return any(text.strip() for text in texts)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_thin_and_compared_cells_hold_their_output(path):
    assert notebook_violations(json.loads(path.read_text(encoding="utf-8"))) == []


def _cell(source: str, *tags: str, outputs: tuple = ()) -> dict:
    return {
        "cell_type": "code",
        "source": source.splitlines(keepends=True),
        "metadata": {"tags": list(tags)},
        "outputs": list(outputs),
    }


def _notebook(*cells: dict, **metadata) -> dict:
    given = {"cobench": {"audience": "bureau"}} | metadata
    return {"metadata": given, "cells": [_cell('term: str = "newest"', "parameters"), *cells]}


SHOWN = {"output_type": "execute_result", "data": {"text/plain": ["   n\n", "0  3"]}}


def test_a_thin_notebook_is_fine():
    long_text = {"cell_type": "markdown", "source": ["def of words\n"] * 40, "metadata": {}}
    assert (
        notebook_violations(
            _notebook(long_text, _cell("desk.table()", "nbval-check-output", outputs=(SHOWN,)))
        )
        == []
    )


@pytest.mark.parametrize(
    ("notebook", "said"),
    [
        (_notebook(_cell("x = 1\n" * 16)), "cell 1 has 16 lines"),
        (_notebook(_cell("def clean(x):\n    return x")), "cell 1 defines a function"),
        (_notebook(_cell("if True:\n    def clean(x): pass")), "cell 1 defines a function"),
        (_notebook(_cell("f = lambda x: x")), "cell 1 defines a function"),
        (_notebook(cobench={}), "metadata.cobench is missing"),
        (_notebook(_cell("y = 1", "parameters")), "2 cells are tagged parameters"),
        ({"metadata": {"cobench": {"a": 1}}, "cells": []}, "0 cells are tagged parameters"),
        (
            _notebook(_cell("desk.table()", "nbval-check-output")),
            "cell 1 is compared with an output that it doesn't hold",
        ),
        (
            _notebook(_cell("desk.table()", "nbval-check-output", outputs=({"data": {"text/plain": [""]}},))),
            "cell 1 is compared with an output that it doesn't hold",
        ),
    ],
)
def test_a_planted_flaw_of_a_notebook_is_found(notebook, said):
    assert notebook_violations(notebook) == [said]
