"""Pages in headless Chromium through Playwright, with the network blocked and axe at hand."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LACKING = (
    "no Chromium on this machine"
    if CHROMIUM is None
    else "axe-playwright-python is not installed"
    if find_spec("axe_playwright_python") is None
    else ""
)
needs_browser = pytest.mark.skipif(bool(LACKING), reason=f"{LACKING}: pages were not looked at in a browser")


class Browser:
    """A running Chromium; ``requests`` are all addresses that pages asked for beyond themselves."""

    def __init__(self, chromium):
        self._chromium = chromium
        self.requests: list[str] = []

    @contextmanager
    def page(self, path: Path, *, width: int = 1280, height: int = 900, dark: bool = False, **options):
        """``path`` in a window of its own, offline."""
        context = self._chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            offline=True,
            **options,
        )
        page = context.new_page()
        page.on("request", self._note)
        page.goto(path.as_uri())
        try:
            yield page
        finally:
            context.close()

    def _note(self, request) -> None:
        if not request.url.startswith(("data:", "blob:")) and not request.is_navigation_request():
            self.requests.append(request.url)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium for the tests of a module."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"],
        )
        yield Browser(running)
        running.close()


def violations(page) -> list[tuple[str, int, str]]:
    """What axe finds wrong on an open page (opened with ``bypass_csp=True``): rule, how often, an example."""
    import axe_playwright_python

    script = Path(axe_playwright_python.__file__).parent / "axe.min.js"
    page.evaluate(script.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [(each["id"], len(each["nodes"]), each["nodes"][0]["html"][:200]) for each in found]


def sideways(page) -> int:
    """How many pixels a page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
