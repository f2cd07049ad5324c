"""A kernel provisioner that asks the fork server for a kernel, and starts an ordinary one where that can't be had."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import LocalProvisioner

from cobench.run.kernels import FORK_SERVER

PATIENCE = 120.0


class ForkProvisioner(LocalProvisioner):
    """Kernels forked by :mod:`cobench.run.fork_server`, whose socket the environment names."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        """Launch a kernel with a command, forked where a server is there and able to."""
        forked = fork_kernel(cmd, kwargs.get("cwd"), kwargs.get("env"))
        if forked is None:
            return await super().launch_kernel(cmd, **kwargs)
        self.process, self.pid, self.pgid = forked, forked.pid, forked.pid
        self.cwd = kwargs.get("cwd", Path.cwd())
        return self.connection_info


class ForkedProcess:
    """A kernel that is the server's child, with as much of ``subprocess.Popen`` as a provisioner needs."""

    stdin = stdout = stderr = None

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self.pid, self.returncode = pid, None
        self._connection, self._read = connection, b""

    def poll(self) -> int | None:
        """Exit code, None while it runs."""
        self._hear(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Exit code, when it has ended."""
        self._hear(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("kernel", timeout)
        return self.returncode

    def send_signal(self, signum: int) -> None:
        """Signal the kernel, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def _hear(self, timeout: float | None) -> None:
        """Read until the exit code is there or nothing comes within ``timeout`` seconds."""
        if self.returncode is not None:
            return
        self._connection.settimeout(timeout)
        try:
            while not self._read.endswith(b"\n"):
                more = self._connection.recv(4096)
                if not more:  # the server is gone, and its kernels with it
                    self._end(-signal.SIGKILL)
                    return
                self._read += more
        except (BlockingIOError, TimeoutError):
            return
        except OSError:
            self._end(-signal.SIGKILL)
            return
        self._end(json.loads(self._read)["exit"])

    def _end(self, code: int) -> None:
        self.returncode = code
        self._connection.close()


def fork_kernel(cmd: list[str], cwd: Any, env: dict[str, str] | None) -> ForkedProcess | None:
    """A forked kernel for ``cmd``; None where there is no server, or it refuses."""
    path = os.environ.get(FORK_SERVER)
    if not path:
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(PATIENCE)
    # An ordinary kernel is told whose child it is, too.
    variables = {**(os.environ if env is None else env), "JPY_PARENT_PID": str(os.getpid())}
    request = {"argv": cmd[1:], "cwd": str(cwd or Path.cwd()), "env": variables}
    try:
        connection.connect(path)
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer = b""
        # One byte at a time: what follows the first line is the exit code, which isn't ours to take yet.
        while not answer.endswith(b"\n"):
            more = connection.recv(1)
            if not more:
                raise ConnectionResetError
            answer += more
    except OSError:
        connection.close()
        return None
    told = json.loads(answer)
    if "pid" not in told:
        connection.close()
        return None
    return ForkedProcess(connection, told["pid"])
