import getpass
import hashlib
import json
import platform
from datetime import datetime

import pytest
from throwaway import TERM, make_study, notebook, planned

from cobench.run.execute import Outcome
from cobench.run.manifest import (
    combined_hash,
    describe_outcome,
    input_hashes,
    read_manifest,
    relative,
    write_atomically,
)


@pytest.fixture(scope="module")
def manifest(finished):
    return json.loads((finished.reports / "run.json").read_text(encoding="utf-8"))


def test_raw_files_of_this_and_earlier_terms_are_hashed_but_not_of_later_ones(finished, manifest):
    assert set(manifest["raw_files"]) == {"data/raw/2025-2026-1/schools.csv", f"data/raw/{TERM}/schools.csv"}
    for name, digest in manifest["raw_files"].items():
        assert hashlib.sha256((finished.study.root / name).read_bytes()).hexdigest() == digest


def test_every_page_notebook_and_data_file_is_hashed_as_published(finished, manifest):
    assert {path.name for path in finished.reports.glob("*.html")} == {
        "index.html", *(entry["page"] for entry in manifest["reports"]),
    }  # fmt: skip
    for entry in manifest["reports"]:
        page = (finished.reports / entry["page"]).read_bytes()
        assert hashlib.sha256(page).hexdigest() == entry["page_sha256"]
        notebook = (finished.study.root / entry["notebook"]).read_bytes()
        assert hashlib.sha256(notebook).hexdigest() == entry["notebook_sha256"]
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((finished.reports / name).read_bytes()).hexdigest() == digest
    assert set(manifest["files"]) == {"estimates.parquet"}


def test_the_manifest_tells_what_was_run_with_what(finished, manifest):
    assert (manifest["schema"], manifest["study"], manifest["term"]) == (1, "small", TERM)
    assert manifest["simulated"] is True
    assert manifest["started"] <= manifest["finished"]
    assert manifest["counts"] == finished.result.counts
    assert manifest["versions"]["Python"] == platform.python_version()
    assert {"cobench", "pandas", "papermill", "nbconvert"} <= set(manifest["versions"])
    assert "study.toml" in manifest["settings"]
    school = next(entry for entry in manifest["reports"] if entry["page"] == "70_school-S02.en.html")
    assert school["parameters"] == {"study": ".", "term": TERM, "language": "en", "school": "S02"}
    assert school["state"] == "ok" and school["reason"] is None


def test_the_manifest_says_nothing_of_the_machine_or_its_user(finished, manifest):
    text = (finished.reports / "run.json").read_text(encoding="utf-8")
    strings = list(_strings(manifest))
    assert str(finished.study.root) not in text
    assert not [each for each in strings if each.startswith(("/", "~", "\\")) or ":\\" in each]
    words = {word for each in strings for word in each.replace("/", " ").split()}
    assert not {getpass.getuser(), platform.node()} & words


def test_a_study_given_by_its_full_path_is_recorded_as_here(tmp_path):
    study = make_study(tmp_path)
    notebook(tmp_path / "notebooks" / "00_good.ipynb")
    report = planned(study, study_root=tmp_path)[0]
    assert report.parameters["study"] == str(tmp_path)
    entry = describe_outcome(Outcome(report, "ok", 1.0), "<html>", study, datetime.now())
    assert entry["parameters"]["study"] == "." and entry["notebook"] == "notebooks/00_good.ipynb"


def _strings(value):
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, str):
        yield value


def test_the_combined_hash_depends_on_names_and_contents_but_not_on_order():
    one = combined_hash({"a": "1", "b": "2"})
    assert one == combined_hash({"b": "2", "a": "1"})
    assert len({one, combined_hash({"a": "2", "b": "1"}), combined_hash({"a": "1", "c": "2"})}) == 3


def test_a_changed_raw_file_changes_its_hash(tmp_path):
    study = make_study(tmp_path)
    before = input_hashes(study, TERM)
    (tmp_path / "data" / "raw" / TERM / "schools.csv").write_text("code,name\nS01,other\n")
    after = input_hashes(study, TERM)
    assert {name for name in before if before[name] != after[name]} == {f"data/raw/{TERM}/schools.csv"}


def test_a_file_outside_the_study_is_named_without_its_folder(tmp_path):
    assert relative(tmp_path / "elsewhere" / "a.ipynb", tmp_path / "study") == "a.ipynb"
    assert relative(tmp_path / "study" / "notebooks" / "a.ipynb", tmp_path / "study") == "notebooks/a.ipynb"


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"schema": 99}'])
def test_a_missing_broken_or_foreign_manifest_counts_as_none(tmp_path, content):
    path = tmp_path / "run.json"
    if content is not None:
        path.write_text(content)
    assert read_manifest(path) is None


def test_a_write_that_fails_leaves_the_old_file_and_no_scratch(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    write_atomically(path, "old")

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
