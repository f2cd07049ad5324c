import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
from throwaway import (
    FORBIDDEN,
    SECRET,
    TERM,
    good_cells,
    make_study,
    notebook,
    page_context,
    planned,
    run,
    scan_for_forbidden,
)

from cobench.declared import Text
from cobench.errors import ReleaseError, RunError
from cobench.run import manifest as manifests
from cobench.run import term_run
from cobench.run.execute import work_folder
from cobench.run.term_run import Edition, publish

BAD = ["10_fails", "20_killed", "30_no_alt", "40_leaks", "50_path", "60_kills_worker"]


def test_bad_reports_never_stop_the_others(finished):
    states = finished.states()
    assert {name: state for name, state in states.items() if state == "ok"} == dict.fromkeys(
        ["00_good.zh.html", "00_good.en.html"]
        + [f"70_school-{school}.{language}.html" for school in ("S01", "S02") for language in ("zh", "en")],
        "ok",
    )
    assert {name.split(".")[0] for name, state in states.items() if state == "failed"} == {
        "10_fails", "20_killed", "30_no_alt", "60_kills_worker",
    }  # fmt: skip
    assert {name.split(".")[0] for name, state in states.items() if state == "withheld"} == {
        "40_leaks",
        "50_path",
    }


def test_counts_and_exit_code_tell_of_failures(finished):
    assert finished.result.counts == {"ok": 6, "failed": 5, "withheld": 2}
    assert finished.result.exit_code == 1
    assert finished.result.summary("en").startswith("6 published, 5 failed, 2 withheld")
    assert "6 份已发布" in finished.result.summary("zh")


def test_every_report_has_a_page_and_the_index_links_to_each(finished):
    index = (finished.reports / "index.html").read_text(encoding="utf-8")
    linked = set(re.findall(r'href="([^"#]+\.html)"', index))
    assert linked == set(finished.states())
    assert all((finished.reports / name).is_file() for name in linked)


@pytest.mark.parametrize(
    ("name", "error", "cell", "reason"),
    [
        ("10_fails", "ValueError", 5, "A step of the analysis stopped with an error (cell 5)."),
        ("20_killed", "DeadKernelError", 3, "The computing process ended unexpectedly"),
        ("30_no_alt", "PageError", None, "the figure of cell 4 has no alternative text"),
        ("60_kills_worker", "WorkerDied", None, "The process that ran the report ended unexpectedly."),
        ("40_leaks", None, None, "The release check found 1 item(s)"),
        ("50_path", None, None, "The page holds a file path of the machine"),
    ],
)
def test_a_bad_report_says_why_in_plain_words_and_where(finished, name, error, cell, reason):
    entry = finished.entry(f"{name}.en")
    assert (entry["error"], entry["cell"]) == (error, cell)
    assert reason in entry["reason"]["en"] and entry["reason"]["zh"]
    page = finished.page(f"{name}.en")
    assert reason in page and entry["reason"]["zh"] in page
    assert 'lang="zh-CN"' in page and 'lang="en"' in page


def test_no_traceback_error_or_path_reaches_any_published_file(finished):
    for path in finished.reports.iterdir():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        for forbidden in (
            SECRET,
            "Traceback",
            "SIGKILL'",
            FORBIDDEN,
            str(finished.study.root),
            "papermill-error",
        ):
            assert forbidden not in text, (path.name, forbidden)
        if path.suffix == ".html":
            assert "ValueError" not in text, path.name


def test_partial_notebooks_and_tracebacks_are_kept_in_private_only(finished):
    folder = finished.study.root / "private" / "failed" / TERM
    assert {path.name.split(".")[0] for path in folder.iterdir()} == set(BAD)
    assert SECRET in (folder / "10_fails.zh.txt").read_text(encoding="utf-8")
    partial = json.loads((folder / "10_fails.zh.ipynb").read_text(encoding="utf-8"))
    assert any(
        output["output_type"] == "error" for cell in partial["cells"] for output in cell.get("outputs", [])
    )
    assert (folder / "40_leaks.en.html").is_file()
    elsewhere = [
        p for p in finished.study.root.rglob("*.ipynb") if not {"private", "notebooks"} & set(p.parts)
    ]
    assert elsewhere == []


def test_private_folders_are_closed_to_others_and_scratch_is_gone(finished):
    private = finished.study.root / "private"
    for folder in (private, private / "run", private / "failed", private / "failed" / TERM):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list((private / "run").iterdir()) == []


def test_reports_run_on_this_interpreter_in_the_study_with_a_fixed_environment(finished):
    facts = json.loads((finished.study.root / "kernel.json").read_text())
    assert Path(facts["python"]) == Path(sys.executable)
    assert Path(facts["cwd"]) == finished.study.root
    assert facts["COBENCH_RUN"] == "1" and facts["PYTHONHASHSEED"] == "0" and facts["OMP_NUM_THREADS"] == "1"
    assert facts["MPLBACKEND"] == "module://matplotlib_inline.backend_inline"


def test_progress_away_from_a_terminal_is_a_plain_line_a_report(finished):
    lines = [line for line in finished.said.splitlines() if line.startswith("[")]
    assert len(lines) == len(finished.result.outcomes)
    assert re.fullmatch(
        r"\[13/13\] \S+ \((zh|en)\): (done|failed) \(\d+\.\d s; about 0:00 left\) because .+", lines[-1]
    )


def test_no_report_to_run_is_an_error(tmp_path):
    with pytest.raises(RunError):
        run(make_study(tmp_path), [])


def test_a_later_run_of_some_reports_keeps_the_others_and_clears_what_is_settled(tmp_path):
    study = make_study(tmp_path)
    good = notebook(study.root / "notebooks" / "00_good.ipynb", "1", declared={"order": 2})
    bad = notebook(study.root / "notebooks" / "10_bad.ipynb", "1 / 0", declared={"order": 1})
    first, _ = run(study, planned(study, languages=("en",)))
    assert first.exit_code == 1
    reports, failed = study.root / "reports" / TERM, study.root / "private" / "failed" / TERM
    kept = (reports / "00_good.en.html").read_bytes()
    notebook(bad, "1 / 1", declared={"order": 1})
    second, _ = run(study, planned(study, languages=("en",), only=["10_bad"]), partial=True)
    assert second.exit_code == 0 and list(failed.iterdir()) == []
    manifest = manifests.read_manifest(reports / "run.json")
    assert [(e["id"], e.get("carried_over", False)) for e in manifest["reports"]] == [
        ("10_bad", False), ("00_good", True),
    ]  # fmt: skip
    assert (reports / "00_good.en.html").read_bytes() == kept
    index = (reports / "index.html").read_text(encoding="utf-8")
    assert 'href="00_good.en.html"' in index and 'href="10_bad.en.html"' in index

    good.unlink()
    run(study, planned(study, languages=("en",)))
    assert not (reports / "00_good.en.html").exists()
    assert "00_good" not in (reports / "index.html").read_text(encoding="utf-8")


def test_an_index_that_holds_something_forbidden_stops_the_publication(tmp_path):
    study = make_study(tmp_path)
    title = {"zh": FORBIDDEN, "en": FORBIDDEN}
    notebook(study.root / "notebooks" / "00_good.ipynb", "1", declared={"title": title})
    with pytest.raises(ReleaseError, match="Nothing was published"):
        run(study, planned(study, languages=("en",)))
    assert not (study.root / "reports" / TERM).exists()


def test_the_scan_sees_all_text_but_no_embedded_image(tmp_path, monkeypatch):
    study = make_study(tmp_path)
    notebook(study.root / "notebooks" / "00_good.ipynb", *good_cells())
    seen = {}

    def scan(html: str, path: Path) -> list[str]:
        seen[path.name] = html
        return scan_for_forbidden(html, path)

    run(study, planned(study, languages=("zh",)), scan=scan)
    assert set(seen) == {"00_good.zh.html", "index.html", "run.json"}
    page = seen["00_good.zh.html"]
    assert "一段话" in page and "data:image/png;base64," in page
    assert not re.search(r"base64,[A-Za-z0-9+/]{20}", page)


# ---- publication ----------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


def _edition(mark: str, names: list[str]) -> Edition:
    pages = {name: f"<html>{mark} {name}</html>" for name in names}
    entries = [{"page": name, "page_sha256": ""} for name in names]
    links = "".join(f'<a href="{name}">{mark}</a>' for name in names)
    return Edition(pages, {}, {"schema": 1, "mark": mark, "reports": entries}, f"<html>{mark}{links}</html>")


@pytest.mark.parametrize("step", range(1, 6))
def test_a_kill_at_any_step_leaves_whole_pages_and_an_index_whose_links_all_exist(
    tmp_path, monkeypatch, step
):
    old = _edition("old", ["a.html", "b.html", "gone.html"])
    publish(tmp_path, old, None)
    replace, steps = os.replace, iter(range(1, 100))

    def dying_replace(source, target):
        if next(steps) == step:
            raise Killed
        replace(source, target)

    monkeypatch.setattr(os, "replace", dying_replace)
    with pytest.raises(Killed):
        publish(tmp_path, _edition("new", ["a.html", "b.html", "c.html"]), old.manifest)
    index = (tmp_path / "index.html").read_text()
    assert index == old.index
    for name in re.findall(r'href="([^"]+)"', index):
        assert (tmp_path / name).read_text() in (f"<html>old {name}</html>", f"<html>new {name}</html>")


def test_publication_replaces_the_index_last_and_then_removes_what_is_gone(tmp_path, monkeypatch):
    old = _edition("old", ["a.html", "gone.html"])
    publish(tmp_path, old, None)
    written, write = [], manifests.write_atomically

    def record(path, content):
        assert (tmp_path / "gone.html").exists()
        written.append(path.name)
        write(path, content)

    monkeypatch.setattr(term_run.manifests, "write_atomically", record)
    publish(tmp_path, _edition("new", ["a.html", "b.html"]), old.manifest)
    assert written == ["a.html", "b.html", "run.json", "index.html"]
    assert {path.name for path in tmp_path.iterdir()} == {"a.html", "b.html", "run.json", "index.html"}


# ---- interrupts -----------------------------------------------------------------------------------------

DRIVER = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from throwaway import planned, run
from cobench.study import load_study
if __name__ == "__main__":
    study = load_study(Path({root!r}))
    run(study, planned(study, languages=("en",)))
"""


@pytest.fixture
def driver(tmp_path):
    """A run in a process of its own, in the middle of a slow notebook; with the kernel's process."""
    study = make_study(tmp_path)
    slow = "import os, time\nfrom pathlib import Path\nPath('kernel.tmp').write_text(str(os.getpid()))\n"
    slow += "os.replace('kernel.tmp', 'kernel.pid')\ntime.sleep(60)"
    notebook(study.root / "notebooks" / "00_slow.ipynb", slow)
    script = tmp_path / "driver.py"
    here = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    script.write_text(DRIVER.format(path=here, root=str(study.root)))
    # A shell without job control starts what is in its background, and so all of this, deaf to Ctrl+C.
    hear = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True, preexec_fn=hear)
    kernel_id = study.root / "kernel.pid"
    _until(kernel_id.exists)
    kernel = psutil.Process(int(kernel_id.read_text()))
    yield study, process, kernel
    for left in (kernel, process):
        if left.pid and psutil.pid_exists(left.pid):
            left.kill()
    process.wait()


def _until(true, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_ended_run_leaves_no_process_and_publishes_nothing(driver, sent):
    study, process, kernel = driver
    family = [kernel, *psutil.Process(process.pid).children(recursive=True)]
    if sent is signal.SIGINT:
        os.killpg(process.pid, sent)  # as a terminal does: every process of the foreground group gets it
    else:
        process.kill()
    process.wait(30)
    assert process.returncode != 0
    _until(lambda: not any(member.is_running() and member.status() != "zombie" for member in family))
    assert not (study.root / "reports").exists()
    if sent is signal.SIGINT:
        assert list((study.root / "private" / "run").iterdir()) == []


def test_scratch_of_a_killed_run_is_removed_by_the_next(tmp_path):
    study = make_study(tmp_path)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = study.root / "private" / "run" / f"{TERM}.{ended.pid}"
    left.mkdir(parents=True)
    (left / "page.html").write_text("not released")
    work_folder(study.root, TERM)
    assert not left.exists()


def test_page_contexts_of_a_run_name_inputs_by_hash(tmp_path):
    study = make_study(tmp_path)
    notebook(study.root / "notebooks" / "00_good.ipynb", "1")
    reports = planned(study)
    context = term_run._context(study, TERM, reports, [], {"data/raw/a": "0" * 64}, term_run._now())
    assert set(context.hashes) == {"raw_files", "study_file", "notebook:00_good.ipynb"}
    assert context.term_label == Text("第二学期", "Spring term")
    assert context.pages == {"00_good.zh.html", "00_good.en.html"}
    assert context.simulated is page_context().simulated
