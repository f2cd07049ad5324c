"""Pages as a browser shows them. Skipped, saying so, where there is no Chromium."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_render import report
from throwaway import page_context

from cobench.declared import Text
from cobench.run.render import render_placeholder

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: pages were not looked at"
)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
]  # fmt: skip


@pytest.fixture
def browse(tmp_path):
    def run(page: Path, *options: str, fragment: str = "") -> str:
        command = [
            CHROMIUM,
            *FLAGS,
            f"--user-data-dir={tmp_path / 'profile'}",
            *options,
            f"{page.as_uri()}{fragment}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60)
        assert done.returncode == 0, done.stderr[-1000:]
        return done.stdout

    return run


def _picture(browse, page: Path, *options: str) -> np.ndarray:
    target = page.with_suffix(".png")
    browse(page, f"--screenshot={target}", "--window-size=900,260", *options)
    return np.asarray(Image.open(target).convert("L"), dtype=int)


def _heading_page(folder: Path, title: str) -> Path:
    page = folder / f"{ord(title[0])}.html"
    html = render_placeholder(
        report("zh", Text(title, title)), "failed", Text("x", "x"), context=page_context()
    )
    page.write_text(html, encoding="utf-8")
    return page


def test_chinese_characters_are_drawn_and_not_boxes(browse, tmp_path):
    # Missing characters all look the same box; real ones of equal width differ.
    first, second = (_picture(browse, _heading_page(tmp_path, title)) for title in ("家家", "访访"))
    assert first.shape == second.shape
    assert (np.abs(first - second) > 100).sum() > 50


def test_a_dark_preference_turns_the_page_dark(browse, tmp_path):
    page = _heading_page(tmp_path, "家访")
    light, dark = _picture(browse, page), _picture(browse, page, "--force-dark-mode")
    assert np.median(light) > 200 and np.median(dark) < 60


def test_the_index_changes_language_in_the_browser(browse, finished):
    index = finished.reports / "index.html"
    chinese, english = browse(index, "--dump-dom"), browse(index, "--dump-dom", fragment="#en")
    assert '<html lang="zh-CN">' in chinese and '<html lang="en">' in english
    assert "<title>Small District &lt;evaluation&gt; · Spring term</title>" in english
    assert "显示 9 / 9" in chinese and "9 of 9 shown" in english


def test_a_report_fits_a_phone_without_sideways_scrolling(browse, finished, tmp_path):
    page = tmp_path / "framed.html"
    inner = (finished.reports / "00_good.zh.html").as_uri()
    page.write_text(
        f"<iframe id=f src='{inner}' width=390 height=800></iframe><p id=w></p><script>"
        "onload=()=>{try{const d=document.getElementById('f').contentDocument.documentElement;"
        "w.textContent=d.scrollWidth+' of '+d.clientWidth}catch(e){w.textContent=e}}</script>",
        encoding="utf-8",
    )
    shown = browse(page, "--dump-dom", "--allow-file-access-from-files", "--disable-web-security")
    assert '<p id="w">390 of 390</p>' in shown, shown[-300:]
