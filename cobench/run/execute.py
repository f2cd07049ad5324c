"""Run reports in worker processes; one that fails, hangs or dies never stops the others.

Processes, not threads: papermill's working directory and port handling are not thread-safe.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal

from cobench.declared import Text
from cobench.errors import RunError, StorageError
from cobench.reads import Read
from cobench.run.kernels import kernel_environment, private_folder, write_kernelspec
from cobench.run.plan import Report
from cobench.run.render import PageContext
from cobench.run.warm import Kernels, can_fork, fork_server
from cobench.run.words import phrase

STOP_SECONDS = 10
# The error of a report that found no room to write: not a fault of the report, so the run ends.
DISK_FULL = "DiskFull"


@dataclass(frozen=True)
class Outcome:
    """What became of one report.

    ``page``, ``ledger`` (what it released) and ``notebook`` (executed: as far as the page shows it, or as far as it came)
    lie in the work folder; ``reads`` is None where it isn't known. ``made`` and ``why`` say what was done anew and why, ``finished``
    when, where that was in an earlier run. ``reason`` is for readers, ``detail`` (a traceback) for analysts only;
    ``cell`` counts the cells of the source notebook from 1.
    """

    report: Report
    state: Literal["ok", "failed", "withheld"]
    seconds: float
    page: Path | None = None
    notebook: Path | None = None
    ledger: Path | None = None
    reads: tuple[Read, ...] | None = None
    made: Literal["run", "rendered", "reused"] = "run"
    why: Text | None = None
    finished: str = ""
    reason: Text | None = None
    ename: str = ""
    cell: int | None = None
    detail: str = field(default="", repr=False)


@dataclass(frozen=True)
class Task:
    """All that a worker needs for one report; where it is ``executed`` already, only its page is made."""

    report: Report
    context: PageContext
    study_root: Path
    notebook: Path
    page: Path
    ledger: Path
    reads: Path
    kept: Path
    executed: Path | None
    cell_timeout: int | None


@dataclass(frozen=True)
class Event:
    """A report has ``started`` or ``finished``; ``outcome`` comes with the latter."""

    kind: Literal["started", "finished"]
    report: Report
    outcome: Outcome | None = None


@dataclass
class Worker:
    """A worker process, the pipe to it and what it works on."""

    process: Any
    connection: Connection
    log: Path
    task: Task | None = None
    started: float = 0.0

    def give(self, task: Task) -> None:
        self.task, self.started = task, time.monotonic()
        self.connection.send(task)


def execute(
    reports: Sequence[Report],
    *,
    jobs: int,
    work_dir: Path,
    study_root: Path,
    context: PageContext,
    on_event: Callable[[Event], None] | None = None,
    cell_timeout: int | None = 1800,
    kernels: Kernels | None = None,
    executed: Mapping[str, Path] | None = None,
    scheduler: str | None = None,
    server: Mapping[str, str] | None = None,
) -> list[Outcome]:
    """Execute and render ``reports``, ``jobs`` at a time, into ``work_dir``.

    Pages go to ``work_dir/pages``, executed notebooks to ``work_dir/notebooks``; neither has been checked for
    release. An interrupt (or any other exception here) ends all workers and kernels before it goes on.

    Parameters
    ----------
    cell_timeout : seconds that one cell may take; ``None`` for no limit.
    kernels : ``warm`` (forked from a process that has imported the libraries) or ``ordinary``; warm where that can
        be had, by default. Reports come out the same.
    executed : executed notebooks by page, of reports that are only to be rendered.
    scheduler : address of a dask scheduler whose workers run the reports, instead of processes of this one.
    server : what :func:`standby` gave, where a fork server has been started already.

    Returns
    -------
    list of Outcome, in the order of ``reports``.
    """
    if not reports:
        return []
    tell = on_event or (lambda event: None)
    tasks = _tasks(reports, work_dir, study_root, context, cell_timeout, executed or {})
    if scheduler:
        forced = None if kernels is None else kernels == "warm"
        return _cluster().run_on_cluster(tasks, scheduler, tell, forked=forced)
    forked = can_fork() if kernels is None else kernels == "warm"
    forked = forked and not all(task.executed for task in tasks)
    write_kernelspec(work_dir / "jupyter", forked=forked)
    environment = kernel_environment(work_dir)
    with fork_server(work_dir, environment) if forked and not server else nullcontext(server or {}) as found:
        return _in_workers(tasks, jobs, work_dir, environment | found, tell)


@contextmanager
def standby(study_root: Path, kernels: Kernels | None, scheduler: str | None) -> Iterator[Mapping[str, str]]:
    """A fork server that imports while something else is done before reports are executed; empty where none is wanted."""
    if scheduler or kernels == "ordinary" or not can_fork():
        yield {}
        return
    folder = work_folder(study_root, "standby")
    try:
        with fork_server(folder, kernel_environment(folder)) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def work_folder(study_root: Path, name: str) -> Path:
    """A new private folder ``private/run/<name>.<process>``; folders of that name of runs that were killed are removed."""
    import psutil

    private_folder(study_root / "private")
    folder = private_folder(study_root / "private" / "run")
    for left in folder.glob(f"{name}.*"):
        if not psutil.pid_exists(int(left.name.rsplit(".", 1)[-1])):
            shutil.rmtree(left, ignore_errors=True)
    return private_folder(folder / f"{name}.{os.getpid()}")


def _cluster():
    """The module that needs the extra ``cluster``."""
    try:
        from cobench.run import cluster
    except ModuleNotFoundError as error:
        if error.name not in ("distributed", "dask"):
            raise
        raise RunError(
            en="running on a cluster needs the extra 'cluster': pip install 'cobench[cluster]'",
            zh="在集群上运行需要安装附加组件 cluster：pip install 'cobench[cluster]'",
        ) from None
    return cluster


def _in_workers(
    tasks: Sequence[Task],
    jobs: int,
    work_dir: Path,
    environment: dict[str, str],
    tell: Callable[[Event], None],
) -> list[Outcome]:
    waiting = list(reversed(tasks))
    outcomes: dict[str, Outcome] = {}
    workers: list[Worker] = []
    try:
        workers += [_start_worker(work_dir, environment) for _ in range(min(jobs, len(tasks)))]
        for worker in workers:
            _next(worker, waiting, tell)
        while any(worker.task for worker in workers):
            for worker in _ready(workers):
                outcome = refuse_full_disk(_collect(worker))
                outcomes[outcome.report.path] = outcome
                tell(Event("finished", outcome.report, outcome))
                if not worker.process.is_alive() and waiting:
                    workers[workers.index(worker)] = worker = _start_worker(work_dir, environment)
                _next(worker, waiting, tell)
        _stop(workers)
    finally:
        for worker in workers:
            end_tree(worker.process)
    return [outcomes[task.report.path] for task in tasks]


def refuse_full_disk(outcome: Outcome) -> Outcome:
    """``outcome``, unless the disk was full.

    Raises
    ------
    StorageError
    """
    if outcome.ename == DISK_FULL:
        raise StorageError(
            en="the disk is full, or a quota is used up: nothing was published, the previous reports are untouched, "
            "and reports that are done are kept; free some space and run again",
            zh="磁盘已满或配额用尽：没有发布任何页面，上一次的报告保持不变，已完成的报告已留存；请腾出空间后重新运行",
        )
    return outcome


def _tasks(
    reports: Sequence[Report],
    work_dir: Path,
    study_root: Path,
    context: PageContext,
    cell_timeout: int | None,
    executed: Mapping[str, Path],
) -> list[Task]:
    for name in ("notebooks", "pages", "ledger", "reads", "kept", "log", "runtime", "ipython"):
        private_folder(work_dir / name)
    return [
        Task(
            report=report,
            context=context,
            study_root=study_root,
            notebook=work_dir / "notebooks" / f"{Path(report.path).stem}.ipynb",
            page=work_dir / "pages" / report.path,
            ledger=work_dir / "ledger" / f"{Path(report.path).stem}.jsonl",
            reads=work_dir / "reads" / f"{Path(report.path).stem}.jsonl",
            kept=work_dir / "kept" / f"{Path(report.path).stem}.ipynb",
            executed=executed.get(report.path),
            cell_timeout=cell_timeout,
        )
        for report in reports
    ]


def _start_worker(work_dir: Path, environment: dict[str, str]) -> Worker:
    from cobench.run.worker import serve

    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    log = work_dir / "log" / f"worker-{time.monotonic_ns()}.txt"
    process = spawn.Process(target=serve, args=(theirs, environment, log), daemon=True)
    process.start()
    theirs.close()
    return Worker(process, ours, log)


def _next(worker: Worker, waiting: list[Task], tell: Callable[[Event], None]) -> None:
    worker.task = None
    if waiting and worker.process.is_alive():
        task = waiting.pop()
        tell(Event("started", task.report))
        worker.give(task)


def _ready(workers: list[Worker]) -> list[Worker]:
    """Busy workers that have answered or died."""
    busy = [worker for worker in workers if worker.task]
    fired = wait([end for worker in busy for end in (worker.connection, worker.process.sentinel)])
    return [worker for worker in busy if worker.connection in fired or worker.process.sentinel in fired]


def _collect(worker: Worker) -> Outcome:
    try:
        return worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join(STOP_SECONDS)
        task = worker.task
        return Outcome(
            report=task.report,
            state="failed",
            seconds=time.monotonic() - worker.started,
            notebook=task.notebook if task.notebook.exists() else None,
            reason=phrase("reason.worker_died"),
            ename="WorkerDied",
            detail=f"exit code {worker.process.exitcode}\n{_tail(worker.log)}",
        )


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-4000:] if log.exists() else ""


def _stop(workers: list[Worker]) -> None:
    for worker in workers:
        if worker.process.is_alive():
            worker.connection.send(None)
    for worker in workers:
        worker.process.join(STOP_SECONDS)


def end_tree(process: Any) -> None:
    """Kill a worker process and its kernels; kernels lead their own session, so signals miss them."""
    import psutil

    try:
        parent = psutil.Process(process.pid)
        family = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.join(STOP_SECONDS)
