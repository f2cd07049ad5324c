"""Run reports on a cluster of ``dask.distributed``: the same tasks and outcomes as in worker processes of one's own.

Every node sees the study's folder at the same path. A worker runs one report at a time in its own kernels; what a worker
that dies was working on goes to another.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

from distributed import Client, Future, KilledWorker, WorkerPlugin, as_completed

from cobench.errors import RunError
from cobench.run.execute import Event, Outcome, Task, refuse_full_disk
from cobench.run.inputs import execution_code
from cobench.run.kernels import kernel_environment, write_kernelspec
from cobench.run.warm import can_fork, fork_server
from cobench.run.words import phrase

PATIENCE = "60s"
NAME = "cobench-kernels"


class KernelsOfWorker(WorkerPlugin):
    """A worker's plugin: the environment of its kernels and their fork server, as long as a run lasts."""

    name = NAME

    def __init__(self, *, forked: bool | None = None) -> None:
        self.forked = forked

    def setup(self, worker: Any) -> None:
        """Prepare the process of ``worker``; called by distributed, also for workers that join later."""
        self.before = dict(os.environ)
        self.folder = Path(tempfile.mkdtemp(prefix="cobench-node-"))
        forked = can_fork() if self.forked is None else self.forked
        write_kernelspec(self.folder / "jupyter", forked=forked)
        environment = kernel_environment(self.folder)
        self.stack = ExitStack()
        found = self.stack.enter_context(fork_server(self.folder, environment)) if forked else {}
        os.environ.update(environment | found)

    def teardown(self, worker: Any) -> None:
        """End the fork server, and with it whatever still runs."""
        self.stack.close()
        os.environ.clear()
        os.environ.update(self.before)
        shutil.rmtree(self.folder, ignore_errors=True)


def run_on_cluster(
    tasks: Sequence[Task], scheduler: str, tell: Callable[[Event], None], *, forked: bool | None = None
) -> list[Outcome]:
    """Outcomes of ``tasks``, in their order, from the workers of the scheduler at ``scheduler``.

    Raises
    ------
    RunError
        When the scheduler doesn't answer, or a worker has several threads, another
        cobench, or doesn't see the study.
    StorageError
        When a disk is full.
    """
    client = _connect(scheduler)
    futures: list[Future] = []
    try:
        _check_workers(client, tasks[0])
        client.register_plugin(KernelsOfWorker(forked=forked), name=NAME)
        try:
            return _gather(client, tasks, futures, tell)
        finally:
            client.cancel(futures, force=True)
            client.unregister_worker_plugin(NAME)
    finally:
        client.close()


def _gather(
    client: Client, tasks: Sequence[Task], futures: list[Future], tell: Callable[[Event], None]
) -> list[Outcome]:
    run = uuid4().hex
    for task in tasks:
        futures.append(client.submit(run_there, task, key=f"{run}-{task.report.path}", pure=False))
    given = {future.key: task for future, task in zip(futures, tasks, strict=True)}
    outcomes: dict[str, Outcome] = {}
    for future in as_completed(futures, loop=client.loop):
        task = given[future.key]
        outcome = refuse_full_disk(_outcome(future, task))
        outcomes[task.report.path] = outcome
        tell(Event("started", task.report))
        tell(Event("finished", task.report, outcome))
    return [outcomes[task.report.path] for task in tasks]


def run_there(task: Task) -> Outcome:
    """What a worker does with a task."""
    from cobench.run.worker import run_report

    # A worker that was killed may have left half a report behind.
    for left in (task.ledger, task.reads):
        left.unlink(missing_ok=True)
    return run_report(task)


def describe_worker(root: str) -> dict[str, Any]:
    """What a worker says of itself: its cobench, and whether it sees the study."""
    return {"code": execution_code(), "sees": (Path(root) / "study.toml").is_file()}


def _outcome(future: Future, task: Task) -> Outcome:
    began = time.monotonic()
    try:
        return future.result()
    except KilledWorker as error:
        reason, detail = phrase("reason.worker_died"), str(error)
        return Outcome(
            task.report, "failed", time.monotonic() - began, reason=reason, ename="WorkerDied", detail=detail
        )


def _connect(scheduler: str) -> Client:
    try:
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
        client.wait_for_workers(1, timeout=PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise RunError(
            en=f"no scheduler with workers answers at {scheduler} ({type(error).__name__}); start `dask scheduler` "
            "and, on every node, `dask worker ADDRESS --nthreads 1 --nworkers N`",
            zh=f"{scheduler} 没有可用的调度器和工作进程（{type(error).__name__}）；请启动 dask scheduler，"
            "并在各节点运行 dask worker 地址 --nthreads 1 --nworkers 进程数",
        ) from None
    return client


def _check_workers(client: Client, task: Task) -> None:
    """Refuse workers that would spoil reports: several threads, another cobench, another disk."""
    threads = client.nthreads()
    told = client.run(describe_worker, str(task.study_root))
    problems = {
        "threads": [name for name, count in threads.items() if count != 1],
        "code": [name for name, each in told.items() if each["code"] != execution_code()],
        "sees": [name for name, each in told.items() if not each["sees"]],
    }
    for key, (en, zh) in _PROBLEMS.items():
        if problems[key]:
            listed = ", ".join(sorted(problems[key]))
            raise RunError(en=en.format(workers=listed), zh=zh.format(workers=listed))


_PROBLEMS = {
    "threads": (
        "workers need --nthreads 1, as notebooks share the working directory of their process: {workers}",
        "工作进程须以 --nthreads 1 启动，因为笔记本共用所在进程的工作目录：{workers}",
    ),
    "code": (
        "workers have another cobench than this one: {workers}",
        "以下工作进程的 cobench 与本机不同：{workers}",
    ),
    "sees": (
        "workers don't see the study's folder at this path; share it between nodes: {workers}",
        "以下工作进程在相同路径下看不到研究文件夹，请在各节点间共享：{workers}",
    ),
}
