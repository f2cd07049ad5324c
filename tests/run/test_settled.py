"""Claims about a term that is published already: a run does nothing only where all that it looks at is the same."""

import shutil

import pytest
from test_cache import OPEN, TERM, frames
from throwaway import make_study, notebook, planned, run

from cobench import store
from cobench.files import write_json
from cobench.run import settled
from cobench.study import load_study
from cobench.workbench import term_release

NAMES = ["甲一", "乙二"]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    study = make_study(tmp_path_factory.mktemp("settled"))
    store.write_stage(study, TERM, "k1", frames())
    notebook(study.root / "notebooks" / "00_report.ipynb", OPEN, "print(len(desk.derived('reach')))")
    reports = planned(study, languages=("en",))
    assert run(study, reports)[0].exit_code == 0
    settled.note(study, TERM, reports, NAMES)
    return study.root


@pytest.fixture
def copy(published, tmp_path):
    shutil.copytree(published, tmp_path / "study")
    return load_study(tmp_path / "study")


def found(study, names=NAMES):
    return settled.unchanged(study, TERM, planned(study, languages=("en",)), names)


def _append(path, text: str = " ") -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


CHANGES = {
    "a page": lambda study: _append(study.root / "reports" / TERM / "00_report.en.html"),
    "the index": lambda study: _append(study.root / "reports" / TERM / "index.html"),
    "the manifest": lambda study: _append(study.root / "reports" / TERM / "run.json"),
    "the notebook": lambda study: _append(study.root / "notebooks" / "00_report.ipynb"),
    "settings": lambda study: _append(study.root / "study.toml", "\n# said"),
    "raw files": lambda study: _append(study.root / "data" / "raw" / TERM / "schools.csv", "S02,x\n"),
    "a derived frame": lambda study: store.write_stage(study, TERM, "k2", frames(s02=9.0)),
    "what is hidden": lambda study: write_json(
        term_release.files(study, TERM)[0], {"key": "", "hidden": [["reach", "n", []]]}
    ),
    "earlier editions": lambda study: term_release.withdraw(study, TERM),
    "a missing note": lambda study: shutil.rmtree(study.root / "private" / "cache" / TERM / "00_report.en"),
}


def test_with_nothing_changed_the_last_run_stands(copy):
    assert [outcome.made for outcome in found(copy)] == ["reused"]


def test_another_name_on_the_roster_has_to_be_looked_for(copy):
    assert found(copy, [*NAMES, "丙三"]) is None


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changed_is_looked_at(copy, change):
    CHANGES[change](copy)
    assert found(load_study(copy.root)) is None
