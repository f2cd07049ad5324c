"""Tasks in processes of their own where several are allowed, and at once, in this one, where not."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any


class AtOnce(Executor):
    """An executor whose tasks are done when they have been submitted."""

    def submit(self, task: Callable[..., Any], /, *of: Any, **options: Any) -> Future:
        """The result of ``task``, or what it raised, as a future that is done."""
        future: Future = Future()
        try:
            future.set_result(task(*of, **options))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def side_by_side(jobs: int) -> Iterator[Executor]:
    """Up to ``jobs`` processes, started as they are needed; an error outside them leaves what hasn't begun undone."""
    if jobs == 1:
        yield AtOnce()
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
