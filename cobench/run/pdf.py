"""Pages as PDF, printed by the Chromium that is there; its print style is that of the page."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cobench.errors import RunError

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
)
# Where installers put it without putting it on the path: below the folders of programs of macOS and Windows.
FOLDERS = ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
PLACES = (
    "Google/Chrome/Application/chrome.exe",
    "Microsoft/Edge/Application/msedge.exe",
    "Google Chrome.app/Contents/MacOS/Google Chrome",
    "Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
SECONDS = 120
_FLAGS = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND", "--no-pdf-header-footer",
)  # fmt: skip


def find_chromium() -> str:
    """The browser that prints.

    Raises
    ------
    RunError
        When there is none.
    """
    found = next(filter(None, map(shutil.which, NAMES)), None)
    folders = [*filter(None, map(os.environ.get, FOLDERS)), str(Path(os.sep, "Applications"))]
    installed = (Path(folder) / place for folder in folders for place in PLACES)
    found = found or next((str(path) for path in installed if path.is_file()), None)
    if found is None:
        raise RunError(
            en="--pdf prints with Chromium, Chrome or Edge, and none was found; install one of them",
            zh="--pdf 需要用 Chromium、Chrome 或 Edge 打印，但没有找到；请安装其中之一",
        )
    return found


def print_page(page: Path, target: Path, chromium: str | None = None) -> Path:
    """Print a page to ``target``; tagged, with its contents as bookmarks.

    Raises
    ------
    RunError
        When the browser made no PDF.
    """
    browser = chromium or find_chromium()
    sandbox = ("--no-sandbox",) if sys.platform == "linux" and os.geteuid() == 0 else ()
    with tempfile.TemporaryDirectory(prefix="cobench-pdf-", ignore_cleanup_errors=True) as profile:
        made = Path(profile) / "page.pdf"
        command = [
            browser,
            *_FLAGS,
            *sandbox,
            f"--user-data-dir={profile}",
            "--generate-pdf-document-outline",
        ]
        command += [f"--print-to-pdf={made}", page.resolve().as_uri()]
        with contextlib.suppress(subprocess.TimeoutExpired):  # told below: there is no file
            subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
        if not made.is_file() or not made.stat().st_size:
            raise RunError(
                en=f"the browser made no PDF of {page.name}", zh=f"浏览器未能生成 {page.name} 的 PDF"
            )
        shutil.copyfile(made, target)
    return target
