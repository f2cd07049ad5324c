"""Claims about a disk that is full: the run ends, what was published stays whole, the next run goes on.

The limit of a process on the size of a file stands for the disk: the system refuses to write past it in the same way.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from throwaway import TERM, make_study, notebook, planned, run

from cobench.run import manifest as manifests

DRIVER = """
import resource, sys
sys.path[:0] = {path!r}
from pathlib import Path
from throwaway import planned, run
from cobench.run import term_run
from cobench.study import load_study

def full(*_):
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

publish = term_run.publish
def publish_on_a_full_disk(*arguments):
    full()
    publish(*arguments)

if __name__ == "__main__":
    study = load_study(Path({root!r}))
    if {when!r} == "run":
        full()
    else:
        term_run.publish = publish_on_a_full_disk
    run(study, planned(study, languages=("en",)))
"""
SMALL, LARGE = "print('version {n}')", "print('version {n}', 'x' * {size})"


def _write(study, n: int) -> None:
    notebook(study.root / "notebooks" / "00_small.ipynb", SMALL.format(n=n))
    notebook(study.root / "notebooks" / "10_large.ipynb", LARGE.format(n=n, size=300_000 if n > 1 else 10))


def _driver(study, when: str, limit: int) -> subprocess.CompletedProcess:
    here = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    script = study.root / "driver.py"
    script.write_text(DRIVER.format(path=here, root=str(study.root), when=when, limit=limit))
    return subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("when", ["run", "publication"])
def test_a_full_disk_ends_the_run_and_leaves_what_was_published_whole(tmp_path, when):
    study = make_study(tmp_path)
    _write(study, 1)
    run(study, planned(study, languages=("en",)))
    reports = study.root / "reports" / TERM
    index, before = (reports / "index.html").read_text(), manifests.read_manifest(reports / "run.json")
    _write(study, 2)
    done = _driver(study, when, 200_000)
    assert done.returncode != 0 and "StorageError" in done.stderr, done.stderr[-2000:]
    assert (reports / "index.html").read_text() == index
    assert manifests.read_manifest(reports / "run.json") == before
    for name in re.findall(r'href="([^"#]+\.html)"', index):
        page = (reports / name).read_text(encoding="utf-8")
        assert page.rstrip().endswith("</html>") and "version" in page
    assert not [path.name for path in reports.iterdir() if path.name.endswith(".tmp")]
    assert list((study.root / "private" / "run").iterdir()) == []
    result, _ = run(study, planned(study, languages=("en",)))
    assert result.exit_code == 0
    assert "version 2" in (reports / "10_large.en.html").read_text(encoding="utf-8")
