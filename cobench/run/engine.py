"""papermill's engine without its idle time: no quarter of a second of silence before a notebook starts, no file
written that nobody reads.
"""

from __future__ import annotations

import time
from queue import Empty
from typing import Any

from jupyter_client import AsyncKernelClient, AsyncKernelManager
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
from traitlets import Type

ENGINE = "cobench"
SAVE_SECONDS = 1.0
HEARD_SECONDS = 0.02


class PromptClient(AsyncKernelClient):
    """A client that is ready as soon as it has heard the kernel on both channels.

    The usual one waits for silence on IOPub instead, which takes longer and proves less: a status that answers one's
    own request shows that the subscription stands.
    """

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Return once the kernel answers on both channels.

        Raises
        ------
        RuntimeError
            When it has died, or ``timeout`` seconds have passed.
        """
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            asked = self.kernel_info()
            if await self._answered(asked):
                return
            if not await self._async_is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            if time.monotonic() > end:
                raise RuntimeError(f"Kernel didn't respond in {timeout} seconds")

    async def _answered(self, asked: str) -> bool:
        try:
            reply = await self.shell_channel.get_msg(timeout=1)
            while reply["parent_header"].get("msg_id") != asked:
                reply = await self.shell_channel.get_msg(timeout=1)
            # The kernel says so at once, or before the subscription stood: then it has to be asked again.
            told = await self.iopub_channel.get_msg(timeout=HEARD_SECONDS)
            while not _is_idle(told, asked):
                told = await self.iopub_channel.get_msg(timeout=HEARD_SECONDS)
        except Empty:
            return False
        self._handle_kernel_info_reply(reply)
        return True


def _is_idle(message: dict[str, Any], asked: str) -> bool:
    own = message["parent_header"].get("msg_id") == asked
    return own and message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"


class PromptManager(AsyncKernelManager):
    """A kernel manager whose clients are :class:`PromptClient`, and which sees at once that a kernel has ended."""

    client_factory = Type(klass=PromptClient)

    async def _async_wait(self, pollinterval: float = 0.002) -> None:
        await super()._async_wait(pollinterval)


class _ThriftyManager(NotebookExecutionManager):
    """Keeps what has been executed on disk, a second behind at most; whole at the end where something went wrong."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.saved = time.monotonic()

    def save(self, **changed: Any) -> None:
        if changed.get("nb"):
            self.nb = changed["nb"]
        if time.monotonic() - self.saved >= SAVE_SECONDS:
            super().save()
            self.saved = time.monotonic()

    def save_whole(self) -> None:
        self.saved = float("-inf")
        self.save()


class PromptEngine(NBClientEngine):
    """papermill's own engine with the two above."""

    @classmethod
    def execute_notebook(
        cls, nb: Any, kernel_name: str, partial: str, progress_bar: bool = False,
        log_output: bool = False, autosave_cell_every: int = 30, **settings: Any,
    ) -> Any:  # fmt: skip
        """Execute a notebook; see :meth:`papermill.engines.Engine.execute_notebook`.

        What there is of it after a second, and all of one that failed, is kept in the file ``partial``.
        """
        settings.pop("output_path", None)
        manager = _ThriftyManager(
            nb, output_path=partial, progress_bar=progress_bar, log_output=log_output,
            autosave_cell_every=autosave_cell_every,
        )  # fmt: skip
        manager.notebook_start()
        try:
            cls.execute_managed_notebook(
                manager, kernel_name, log_output=log_output, kernel_manager_class=PromptManager, **settings
            )
            failed = bool(manager.nb.metadata.papermill.get("exception"))
        except BaseException:
            failed = True
            raise
        finally:
            manager.cleanup_pbar()
            manager.notebook_complete()
            if failed:
                manager.save_whole()
        return manager.nb


papermill_engines.register(ENGINE, PromptEngine)
