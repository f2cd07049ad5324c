"""The kernel that reports run in: this interpreter, in a known environment, with no user start-up files."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

KERNEL = "python3"
# Kernels forked by cobench.run.fork_server, whose socket this variable names.
PROVISIONER, FORK_SERVER = "cobench-fork", "COBENCH_FORK_SERVER"


def write_kernelspec(folder: Path, *, forked: bool = False) -> None:
    """Write a kernel spec called ``python3`` under ``folder`` that starts ``sys.executable``, or asks for a fork of it.

    An installed spec of that name may point to another environment; ``JUPYTER_PATH`` has precedence over it.
    """
    spec = folder / "kernels" / KERNEL
    spec.mkdir(parents=True, exist_ok=True)
    content = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3 (cobench)",
        "language": "python",
    }
    if forked:
        content["metadata"] = {"kernel_provisioner": {"provisioner_name": PROVISIONER}}
    (spec / "kernel.json").write_text(json.dumps(content), encoding="utf-8")


def kernel_environment(work_dir: Path) -> dict[str, str]:
    """Environment variables for kernels, whose scratch files all go below ``work_dir``.

    One numeric thread a kernel: reports already run side by side, and sums over a varying number of threads
    differ in their last digits.
    """
    paths = [str(work_dir / "jupyter"), os.environ.get("JUPYTER_PATH", "")]
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        "COBENCH_RUN": "1",
        "IPYTHONDIR": str(work_dir / "ipython"),
        "JUPYTER_PATH": os.pathsep.join(path for path in paths if path),
        "JUPYTER_RUNTIME_DIR": str(work_dir / "runtime"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONHASHSEED": "0",
    } | dict.fromkeys(threads, "1")


def private_folder(folder: Path) -> Path:
    """Make ``folder`` (and its parents) and close it to other users."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder
