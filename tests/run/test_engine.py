"""Claims about papermill's engine as cobench uses it: no waiting for nothing."""

from __future__ import annotations

import asyncio
import time

from jupyter_client import AsyncKernelManager

from cobench.run.engine import PromptClient, PromptManager


def test_notebooks_get_the_client_that_is_ready_once_it_has_been_answered():
    client = PromptManager().client()
    assert isinstance(client, PromptClient)
    assert PromptClient.wait_for_ready is not AsyncKernelManager().client().__class__.wait_for_ready


def test_a_lost_status_is_asked_for_again_and_a_dead_kernel_is_told(monkeypatch):
    heard = []

    async def answered(self, asked):
        heard.append(asked)
        return len(heard) == 3

    async def alive(self):
        return len(heard) < 5

    monkeypatch.setattr(PromptClient, "_answered", answered)
    monkeypatch.setattr(PromptClient, "_async_is_alive", alive)
    monkeypatch.setattr(PromptClient, "kernel_info", lambda self: f"asked {len(heard)}")
    client = PromptManager().client()
    asyncio.run(client.wait_for_ready(timeout=60))
    assert heard == ["asked 0", "asked 1", "asked 2"]
    try:
        asyncio.run(client.wait_for_ready(timeout=60))
    except RuntimeError as error:
        assert "Kernel died" in str(error) and len(heard) == 5
    else:
        raise AssertionError("a dead kernel was waited for")


def test_the_end_of_a_kernel_is_seen_at_once(monkeypatch):
    """The usual manager looks every tenth of a second, for every report of a run."""
    looks = iter([True, True, True, False])

    async def alive(self):
        return next(looks)

    monkeypatch.setattr(AsyncKernelManager, "_async_is_alive", alive)
    slept = []
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: slept.append(seconds) or sleep(0))
    began = time.monotonic()
    asyncio.run(PromptManager()._async_wait())
    assert len(slept) == 3 and max(slept) <= 0.01 and time.monotonic() - began < 5
