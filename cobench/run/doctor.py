"""Can this machine run a study: font, kernel, key, files, disk."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from cobench.declared import Text
from cobench.errors import CobenchError
from cobench.run.kernels import KERNEL, kernel_environment, write_kernelspec
from cobench.run.words import phrase
from cobench.study import Study

Check = tuple[Text, bool, Text]


def checks(study: Study, *, key: Callable[[Study], object] | None = None) -> list[Check]:
    """Name, verdict and message of each check of ``cobench doctor``.

    Parameters
    ----------
    key : loads the pseudonym key and raises a :class:`~cobench.errors.CobenchError` when it can't; the check
        is left out without it (studies that link nobody need no key).
    """
    found = [
        ("font", *check_font()),
        ("kernel", *check_kernel()),
        *([("key", *check_key(study, key))] if key else []),
        ("raw", *check_raw_files(study)),
        ("disk", *check_disk(study.root)),
    ]
    return [(phrase(f"doctor.{name}"), fine, message) for name, fine, message in found]


def check_font() -> tuple[bool, Text]:
    """Does a figure with Chinese text draw characters and not boxes."""
    try:
        import pylopdf_fonts_zh_cn
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.font_manager import FontProperties

        font = FontProperties(fname=pylopdf_fonts_zh_cn.sans_path())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            figure = Figure(figsize=(1, 1))
            figure.text(0.1, 0.5, "家访成效", fontproperties=font)
            FigureCanvasAgg(figure).draw()
        missing = any("missing from" in str(warning.message) for warning in caught)
    except (ImportError, OSError, RuntimeError):
        missing = True
    return not missing, phrase("doctor.font_bad" if missing else "doctor.font_ok")


def check_kernel() -> tuple[bool, Text]:
    """Does a kernel of this interpreter start, answer and stop."""
    from jupyter_client import KernelManager
    from jupyter_client.kernelspec import KernelSpecManager

    with tempfile.TemporaryDirectory(prefix="cobench-") as scratch:
        folder = Path(scratch)
        write_kernelspec(folder / "jupyter")
        specs = KernelSpecManager(kernel_dirs=[str(folder / "jupyter" / "kernels")])
        manager = KernelManager(kernel_name=KERNEL, kernel_spec_manager=specs)
        manager.connection_file = str(folder / "kernel.json")
        try:
            manager.start_kernel(env=os.environ | kernel_environment(folder))
            client = manager.client()
            client.start_channels()
            client.wait_for_ready(timeout=60)
            client.stop_channels()
        except Exception as error:  # anything that stops a kernel from starting is the finding
            return False, phrase("doctor.kernel_bad", what=type(error).__name__)
        finally:
            manager.shutdown_kernel(now=True)
    return True, phrase("doctor.kernel_ok", version=platform.python_version())


def check_key(study: Study, key: Callable[[Study], object]) -> tuple[bool, Text]:
    """Can the pseudonym key be loaded."""
    try:
        key(study)
    except CobenchError as error:
        return False, phrase("doctor.key_bad", what=Text(error.zh, error.en))
    return True, phrase("doctor.key_ok")


def check_raw_files(study: Study) -> tuple[bool, Text]:
    """Has every declared source at least one file for the newest term."""
    term = study.newest_term().id
    files = {source.pattern(term): list(study.root.glob(source.pattern(term))) for source in study.sources}
    missing = [Path(pattern).name for pattern, paths in files.items() if not paths]
    if missing:
        return False, phrase("doctor.raw_bad", term=term, missing=", ".join(missing))
    return True, phrase("doctor.raw_ok", term=term, count=sum(len(paths) for paths in files.values()))


def check_disk(root: Path) -> tuple[bool, Text]:
    """Can files be written in the study's folder."""
    try:
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"cobench")
        free = shutil.disk_usage(root).free / 1e9
    except OSError as error:
        return False, phrase("doctor.disk_bad", what=error.strerror)
    return True, phrase("doctor.disk_ok", free=f"{free:.0f}")
