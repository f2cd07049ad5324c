"""Warm kernels for a run: the life of its fork server, and whether there can be one here."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Literal

from cobench.run.kernels import FORK_SERVER, PROVISIONER, private_folder

Kernels = Literal["warm", "ordinary"]
GROUP = "jupyter_client.kernel_provisioners"
STOP_SECONDS = 10
# Arrow's allocator would start a thread, and a process with two can't be forked safely.
ALONE = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}


def can_fork() -> bool:
    """Whether kernels can be forked here: Linux, and this environment knows the provisioner."""
    return sys.platform == "linux" and PROVISIONER in metadata.entry_points(group=GROUP).names


@contextmanager
def fork_server(work_dir: Path, environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """A fork server while the block runs; what kernels' environment must say to find it.

    Its output goes to ``work_dir/log``. It ends with this process, however that ends.
    """
    # The path of a socket has at most 107 bytes, which a study's folder may exceed.
    folder = private_folder(Path(tempfile.mkdtemp(prefix="cobench-")))
    address = str(folder / "fork")
    log = private_folder(work_dir / "log") / "fork-server.txt"
    with log.open("ab") as output, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # It listens from now on: who asks while the server still imports waits, and is refused if it breaks.
        listener.bind(address)
        listener.listen(64)
        process = subprocess.Popen(
            [sys.executable, "-m", "cobench.run.fork_server", str(listener.fileno())],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=os.environ | environment | ALONE,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    try:
        yield {FORK_SERVER: address}
    finally:
        process.stdin.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)
