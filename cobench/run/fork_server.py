"""A process that has paid for the imports once and forks a kernel for each report. Linux only.

``python -m cobench.run.fork_server FD`` answers on a listening Unix socket that it inherits. A request is a line of JSON (``argv``, ``cwd``,
``env``); the answer says the kernel's ``pid`` or why there is none (``refused``), and later its ``exit`` code. Closing
the connection kills the kernel, and the end of standard input ends the server with all its kernels, so that neither
outlives a driver or worker that was killed.

The server lives as long as one run. It has imported cobench too, and refuses to fork as soon as a file of cobench is no
longer the one it imported: kernels run the code that is there when they start.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import importlib.util
import json
import os
import pkgutil
import random
import selectors
import signal
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PRELOADED = (
    "numpy", "scipy.stats", "pyarrow.parquet", "pandas", "matplotlib.pyplot", "matplotlib.font_manager", "seaborn",
    "statsmodels.api", "sklearn.linear_model", "duckdb", "bs4", "jinja2", "filelock", "tomllib", "sqlite3",
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "ipykernel.debugger", "tornado.platform.asyncio",
    "tornado.queues", "IPython.core.completerlib", "IPython.extensions.storemagic", "pylopdf_fonts_zh_cn",
    "pandas.core.arrays.arrow.extension_types", "pyarrow.dataset", "pyarrow.pandas_compat",
    "pandas.core.methods.to_dict", "importlib.resources.readers",
)  # fmt: skip
ROOM = "cobench.workbench"
# What imported libraries have taken from the environment already: a kernel that needs other values can't be forked.
KEYED = (
    "MPLBACKEND", "PYTHONHASHSEED", "PYTHONPATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS", "LANG", "LC_ALL", "TZ",
)  # fmt: skip
LAUNCHER = ["-m", "ipykernel_launcher"]
LONGEST = 16_000_000


@dataclass
class Kernel:
    """A connection, what has been read from it, and the kernel that was forked for it."""

    connection: socket.socket
    read: bytes = b""
    pid: int | None = None


@dataclass
class ForkServer:
    """Forks kernels on request until standard input ends."""

    listener: socket.socket
    kernels: dict[int, Kernel] = field(default_factory=dict)

    def serve(self) -> None:
        """Import, then answer; requests wait meanwhile."""
        try:
            self._serve()
        finally:
            for kernel in self.kernels.values():
                _kill(kernel)
            # Whoever made the socket's folder may have been killed.
            address = Path(self.listener.getsockname())
            with suppress(OSError):
                address.unlink(missing_ok=True)
                address.parent.rmdir()

    def _serve(self) -> None:
        self.selector = selectors.DefaultSelector()
        preload()
        self.code = code_files()
        self.woken, self.wakes = os.pipe()
        for end in (self.woken, self.wakes):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self.wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(self.listener, selectors.EVENT_READ, self._accept)
        self.selector.register(self.woken, selectors.EVENT_READ, self._reap)
        self.selector.register(sys.stdin.fileno(), selectors.EVENT_READ, self._ended)
        while True:
            for key, _ in self.selector.select():
                key.data()

    def _ended(self) -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            raise SystemExit

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid != os.getuid():
            connection.close()
            return
        kernel = self.kernels[connection.fileno()] = Kernel(connection)
        self.selector.register(connection, selectors.EVENT_READ, lambda: self._heard(kernel))

    def _heard(self, kernel: Kernel) -> None:
        """More of the request, or the end of the connection."""
        try:
            more = kernel.connection.recv(1 << 16)
        except OSError:
            more = b""
        if not more or len(kernel.read) > LONGEST:
            _kill(kernel)
            self._forget(kernel)
            return
        kernel.read += more
        if kernel.pid is None and kernel.read.endswith(b"\n"):
            self._answer(kernel, json.loads(kernel.read))

    def _answer(self, kernel: Kernel, request: dict) -> None:
        reason = _refusal(request) or ("" if self.code == code_files() else "cobench changed")
        if reason:
            _tell(kernel, {"refused": reason})
            self._forget(kernel)
            return
        kernel.pid = os.fork()
        if kernel.pid == 0:
            self._become_kernel(request)
        _tell(kernel, {"pid": kernel.pid})

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.woken, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for kernel in [each for each in self.kernels.values() if each.pid == pid]:
                _tell(kernel, {"exit": os.waitstatus_to_exitcode(status)})
                kernel.pid = None
                self._forget(kernel)

    def _forget(self, kernel: Kernel) -> None:
        self.selector.unregister(kernel.connection)
        del self.kernels[kernel.connection.fileno()]
        kernel.connection.close()

    def _become_kernel(self, request: dict) -> None:
        """What ``python -m ipykernel_launcher`` does, in a process that has the libraries already. Never returns."""
        code = 1
        try:
            # The kernel looks every second whether its parent is still this server, and ends with it.
            watch = f"--IPKernelApp.parent_handle={os.getppid()}"
            os.setsid()
            self._let_go()
            os.environ.clear()
            os.environ.update(request["env"])
            os.chdir(request["cwd"])
            sys.argv = [importlib.util.find_spec(LAUNCHER[1]).origin, *request["argv"]]
            # A generator that nobody seeds must differ between kernels, as it does where each process starts anew.
            random.seed()
            sys.modules["numpy"].random.seed()
            from ipykernel.kernelapp import launch_new_instance

            code = launch_new_instance(argv=[*request["argv"], watch]) or 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _let_go(self) -> None:
        """Give up what belongs to the server."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.selector.close()
        self.listener.close()
        for end in (self.woken, self.wakes):
            os.close(end)
        for kernel in self.kernels.values():
            kernel.connection.close()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, sys.stdin.fileno())
        os.close(nothing)


def preload() -> None:
    """Import what kernels need, and keep the collector from touching (and so copying) it in every fork."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.modules.setdefault("rfc3987_syntax", None)
    # As the launcher of an ordinary kernel does: the folder it was started in is no place of modules.
    sys.path[:] = sys.path[1:]
    for name in PRELOADED:
        importlib.import_module(name)
    _preload_cobench()
    gc.collect()
    gc.freeze()


def _preload_cobench() -> None:
    """What notebooks call, and tables that it would make once in every kernel."""
    for each in pkgutil.iter_modules(importlib.import_module(ROOM).__path__, f"{ROOM}."):
        importlib.import_module(each.name)
    sys.modules["cobench.ingest.numbers"].ascii_digits("0")
    sys.modules["cobench.show.wording"].phrases()


def code_files() -> dict[str, tuple[int, int]]:
    """Time and size of every file of cobench."""
    root = Path(sys.modules["cobench"].__file__).parent
    return {
        entry.path: (entry.stat().st_mtime_ns, entry.stat().st_size)
        for folder in (root, *(each for each in root.iterdir() if each.is_dir()))
        for entry in os.scandir(folder)
        if entry.is_file()
    }


def threads() -> int:
    """Threads of this process, those of C libraries too."""
    return len(os.listdir("/proc/self/task"))


def _refusal(request: dict) -> str:
    """Why this process can't become the kernel asked for; empty when it can."""
    if request["argv"][: len(LAUNCHER)] == LAUNCHER:
        request["argv"] = request["argv"][len(LAUNCHER) :]
    else:
        return "another launcher"
    other = [name for name in KEYED if request["env"].get(name) != os.environ.get(name)]
    if other:
        return f"other values of {', '.join(other)}"
    return f"{threads()} threads" if threads() > 1 else ""


def _tell(kernel: Kernel, message: dict) -> None:
    # Whoever asked may be gone; the end of the connection is then seen next.
    with suppress(OSError):
        kernel.connection.sendall(json.dumps(message).encode() + b"\n")


def _kill(kernel: Kernel) -> None:
    if kernel.pid:
        with suppress(ProcessLookupError):
            os.killpg(kernel.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(kernel.pid, signal.SIGKILL)


if __name__ == "__main__":
    ForkServer(socket.socket(fileno=int(sys.argv[1]))).serve()
