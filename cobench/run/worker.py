"""What a worker process does: execute one notebook after another with papermill and render its page."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
import traceback
from itertools import count
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

from cobench.lock import is_full
from cobench.reads import VARIABLE as READS
from cobench.reads import noted
from cobench.release.ledger import VARIABLE as LEDGER
from cobench.run.execute import DISK_FULL, Outcome, Task
from cobench.run.kernels import KERNEL
from cobench.run.render import source_cells
from cobench.run.words import phrase

if TYPE_CHECKING:
    from nbformat import NotebookNode


def serve(connection: Connection, environment: dict[str, str], log: Path) -> None:
    """Answer each :class:`Task` on ``connection`` with an :class:`Outcome` until ``None`` arrives."""
    prepare(environment, log)
    for done in count():
        if (task := connection.recv()) is None:
            return
        connection.send(run_report(task))
        if done == 0:
            # What was imported for the first report stays; the collector needn't look through it at every later one.
            gc.collect()
            gc.freeze()


def prepare(environment: dict[str, str], log: Path) -> None:
    """Set up this process: interrupts are the parent's to handle, output goes to ``log``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.environ.update(environment)
    # nbformat's jsonschema would otherwise build a grammar of URLs at import, which costs two seconds.
    sys.modules.setdefault("rfc3987_syntax", None)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A driver that was killed can't end its kernels; its workers do so when it is gone."""
    import psutil

    wait([multiprocessing.parent_process().sentinel])
    for child in psutil.Process().children(recursive=True):
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    os._exit(1)


def run_report(task: Task) -> Outcome:
    """Execute the notebook of ``task`` and render its page; a failure is an outcome, not an exception."""
    import nbformat

    from cobench.run.render import PageError, render_report

    started = time.monotonic()
    os.environ[LEDGER], os.environ[READS] = str(task.ledger), str(task.reads)  # the kernel inherits them
    try:
        notebook = _execute(task) if task.executed is None else _executed(task)
        page = render_report(notebook, task.report, context=task.context)
        task.page.write_text(page, encoding="utf-8")
        if task.executed is None:
            kept = plain_notebook(notebook, task.report.language)
            task.kept.write_text(nbformat.writes(kept), encoding="utf-8")
    except PageError as error:
        task.notebook.write_text(nbformat.writes(notebook), encoding="utf-8")
        reason = phrase("reason.page_error", what=error.text)
        return _failed(task, started, reason, error, cell=None)
    except Exception as error:  # whatever a notebook raises is that report's failure
        full = isinstance(error, OSError) and is_full(error.errno)
        return _failed(task, started, *_explain(error, task), full=full)
    return Outcome(
        report=task.report,
        state="ok",
        seconds=time.monotonic() - started,
        page=task.page,
        notebook=task.kept,
        ledger=task.ledger,
        reads=noted(task.reads),
    )


def _executed(task: Task):
    import nbformat

    return nbformat.read(task.executed, 4)


def plain_notebook(notebook: NotebookNode, language: str) -> NotebookNode:
    """An executed notebook with no output that its page in ``language`` doesn't show; a new one."""
    others = {"zh", "en", "hide"} - {language}
    kept = copy.copy(notebook)
    kept.cells = [_shown(cell, others) for cell in notebook.cells]
    return kept


def _shown(cell: NotebookNode, others: set[str]) -> NotebookNode:
    if not cell.get("outputs"):
        return cell
    shown = copy.copy(cell)
    hidden = bool(others & set(cell.metadata.get("tags", [])))
    shown.outputs = [
        output
        for output in cell.outputs
        if not hidden and output.output_type != "error" and output.get("name") != "stderr"
    ]
    return shown


def _execute(task: Task):
    try:
        return _papermill(task)
    except RuntimeError as error:
        # Two kernels may have drawn the same port; nothing has run yet, so trying again is safe.
        if "Kernel died before replying to kernel_info" not in str(error):
            raise
        task.ledger.unlink(missing_ok=True)
        task.reads.unlink(missing_ok=True)
        return _papermill(task)


def _papermill(task: Task):
    import papermill

    from cobench.run.engine import ENGINE

    return papermill.execute_notebook(
        task.report.notebook,
        None,
        parameters=dict(task.report.parameters),
        engine_name=ENGINE,
        partial=str(task.notebook),
        kernel_name=KERNEL,
        language="python",
        cwd=task.study_root,
        progress_bar=False,
        log_output=False,
        execution_timeout=task.cell_timeout,
        shutdown_kernel="immediate",
    )


def _explain(error: Exception, task: Task):
    """Reason for readers, the error itself and the source cell it belongs to."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    cell = _failed_cell(task)
    if isinstance(error, PapermillExecutionError):
        return phrase("reason.notebook_error", cell=cell or "?"), error, cell
    if isinstance(error, DeadKernelError):
        return phrase("reason.kernel_died"), error, cell
    if isinstance(error, CellTimeoutError):
        return phrase("reason.timeout"), error, cell
    return phrase("reason.run_error"), error, None if isinstance(error, OSError) else cell


def _failed_cell(task: Task) -> int | None:
    """Number (from 1) of the last code cell that began, counted as in the source notebook."""
    from cobench.run.parameters import read_notebook

    if not task.notebook.exists():
        return None
    begun = [
        number
        for number, cell in enumerate(source_cells(read_notebook(task.notebook)["cells"]), start=1)
        if cell["cell_type"] == "code" and cell["metadata"].get("papermill", {}).get("start_time")
    ]
    return begun[-1] if begun else None


def _failed(
    task: Task, started: float, reason, error: Exception, cell: int | None, *, full: bool = False
) -> Outcome:
    told = re.match(r"\[Errno (\d+)\]", str(getattr(error, "evalue", "")))
    full = full or getattr(error, "ename", "") == "StorageError" or bool(told and is_full(int(told[1])))
    return Outcome(
        report=task.report,
        state="failed",
        seconds=time.monotonic() - started,
        notebook=task.notebook if task.notebook.exists() else None,
        reason=reason,
        ename=DISK_FULL if full else getattr(error, "ename", type(error).__name__),
        cell=cell,
        detail="".join(traceback.format_exception(error)),
    )
