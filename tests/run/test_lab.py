"""The start page of JupyterLab names what there is, and the command opens it."""

import shutil
import subprocess
import sys
import time
import urllib.request

import pytest

from cobench.run.lab import lab_command, start_page, write_start


@pytest.mark.parametrize(("language", "ran"), [("zh", "份已发布"), ("en", "published")])
def test_the_start_page_lists_terms_notebooks_and_last_runs(finished, language, ran):
    page = start_page(finished.study, language)
    for term in ("2025-2026-1", "2025-2026-2", "2026-2027-1"):
        assert f"`{term}`" in page
    assert f"{ran}" in page and "](../reports/2025-2026-2/index.html)" in page
    assert "(../notebooks/00_good.ipynb)" in page and "{school}" not in page
    assert page.count("](../reports/") == 1, "terms without a run have no link"
    assert "示例区 &lt;评估&gt;" in page or "Small District &lt;evaluation&gt;" in page


def test_the_start_page_is_private_and_jupyterlab_serves_it_from_the_study(finished, tmp_path):
    root = tmp_path / "study"
    shutil.copytree(finished.study.root, root)
    from cobench.study import load_study

    study = load_study(root)
    start = write_start(study, "zh")
    assert start == root / "private" / "start.md"
    options = ["--no-browser", "--allow-root", "--ServerApp.token=secret", "--ServerApp.port=0"]
    command = lab_command(study, start, options)
    assert command[0] == sys.executable and "private/start.md?factory=Markdown%20Preview" in command[4]
    log = tmp_path / "lab.log"
    with log.open("w") as out:
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        address = _address(log)
        with urllib.request.urlopen(
            f"{address}api/contents/private/start.md?token=secret", timeout=30
        ) as answer:
            assert "2025-2026-2" in answer.read().decode("utf-8")
    finally:
        server.kill()
        server.wait()


def _address(log) -> str:
    import re

    for _ in range(300):
        found = re.search(r"(http://(?:localhost|127\.0\.0\.1):[1-9]\d*/)", log.read_text())
        if found:
            return found[1]
        time.sleep(0.2)
    raise AssertionError(log.read_text()[-2000:])
