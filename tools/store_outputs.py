"""Run every notebook on the prepared demo district and store the output of the cells that nbval compares.

All other outputs are stripped. Look at the difference before you commit it: a changed number is a finding.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
CHECKED = "nbval-check-output"


def main() -> None:
    names = sys.argv[1:]
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        notebook = nbformat.read(path, 4)
        executed = NotebookClient(
            nbformat.from_dict(notebook), resources={"metadata": {"path": str(path.parent)}}
        ).execute()
        for cell, ran in zip(notebook.cells, executed.cells, strict=True):
            if cell.cell_type != "code":
                continue
            checked = CHECKED in cell.metadata.get("tags", [])
            cell.outputs = ran.outputs if checked else []
            # nbval takes a cell without a count for one that was never run.
            cell.execution_count = 1 if checked else None
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = 1
        nbformat.write(notebook, path)
        print(path.name)


if __name__ == "__main__":
    main()
