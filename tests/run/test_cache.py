"""Claims about the cache: what is planted as changed is made anew, with its reason, and nothing else."""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import pytest
from throwaway import PARAMETERS, TERM, make_study, markdown, notebook, planned, run

from cobench import store
from cobench.files import write_json
from cobench.run import inputs
from cobench.run import manifest as manifests
from cobench.run.cache import Cache
from cobench.run.term_run import _context, _now
from cobench.study import load_study
from cobench.workbench import term_release

OPEN = "from cobench import open_study\ndesk = open_study(study, term, language)"
DISTRICT = "print('pupils', int(desk.derived('reach')['n_students'].sum()), len(desk.planned))"
SCHOOL = "print('own', desk.own('panel', school)['x'].sum(), desk.derived('reach')['n_students'].median())"
LISTED = "import pandas as pd\nprint(len(pd.read_csv('data/extra/list.csv')), len(desk.schools))"
SCHOOL_PARAMETERS = PARAMETERS + 'school: str = "S01"\n'
HIDDEN = [markdown("seen nowhere", "hide"), "import sys; print('told ' + 'nobody', file=sys.stderr)"]
ALL = ["00_district", "10_list", "20_bare", "30_clock", "70_school-S01", "70_school-S02"]
CACHED = ["00_district", "10_list", "70_school-S01", "70_school-S02"]


def frames(s02: float = 3.0, n_students: int = 40) -> dict[str, pd.DataFrame]:
    return {
        "panel": pd.DataFrame(
            {"student": ["a", "b", "c"], "school": ["S01", "S01", "S02"], "x": [1.0, 2.0, s02]}
        ),
        "reach": pd.DataFrame({"school": ["S01", "S02"], "n_students": [50, n_students]}),
    }


def schools(name: str = "晨光小学") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "term": [TERM] * 2, "school": ["S01", "S02"], "name": [name, "育才小学"], "short_name": ["a", "b"],
            "stage": ["primary"] * 2,
        }
    )  # fmt: skip


def lay_out(folder: Path) -> None:
    study = make_study(folder)
    notebooks = study.root / "notebooks"
    notebook(notebooks / "00_district.ipynb", OPEN, DISTRICT, *HIDDEN)
    notebook(notebooks / "10_list.ipynb", OPEN, LISTED)
    notebook(notebooks / "20_bare.ipynb", "print('reads nothing that is recorded')")
    notebook(notebooks / "30_clock.ipynb", OPEN, "import time; print('clock')", declared={"cache": False})
    title = {"zh": "学校：{school}", "en": "School: {school}"}
    declared = {"each": "school", "title": title}
    notebook(notebooks / "70_school.ipynb", OPEN, SCHOOL, declared=declared, parameters=SCHOOL_PARAMETERS)
    (folder / "data" / "extra").mkdir()
    (folder / "data" / "extra" / "list.csv").write_text("a\n1\n", encoding="utf-8")
    store.write_stage(study, TERM, "k1", frames())
    store.write_tables(study, "first", {"schools": store.tables.conform("schools", schools())})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small study whose reports have been run once; tests change copies of it."""
    folder = tmp_path_factory.mktemp("cache") / "study"
    folder.mkdir()
    lay_out(folder)
    study = load_study(folder)
    result, _ = run(study, planned(study, languages=("en",)))
    assert result.exit_code == 0, [outcome.detail for outcome in result.outcomes]
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "study")
    return load_study(tmp_path / "study")


def judged(study, reports=None, *, force=False, context=None) -> dict:
    reports = planned(study, languages=("en",)) if reports is None else reports
    found = manifests.read_manifest(study.root / "reports" / TERM / "run.json")
    states = {entry["page"]: entry["state"] for entry in found["reports"]}
    raw = manifests.input_hashes(study, TERM)
    context = context or _context(study, TERM, reports, [], raw, _now())
    cache = Cache(study, TERM, context, states, force)
    return {report.id: cache.judge(report) for report in reports}


def redone(study, *arguments, **choices) -> dict[str, str]:
    """Reason by report, of those whose notes count at all."""
    found = judged(study, *arguments, **choices)
    assert {name for name in ALL if found[name].action == "run"} >= {"20_bare", "30_clock"}
    return {name: found[name].why.en for name in CACHED if found[name].action == "run" and found[name].why.zh}


def test_with_nothing_changed_nothing_is_redone_but_what_cannot_be_known(copy):
    found = judged(copy)
    assert {name for name, each in found.items() if each.action == "reuse"} == set(CACHED)
    assert found["20_bare"].why.en == found["30_clock"].why.en == "what it reads is not recorded"


def test_rows_of_another_school_do_not_touch_a_school_and_its_own_do(copy):
    store.write_stage(copy, TERM, "k2", frames(s02=4.0))
    changed = "data that it uses changed (the panel of students)"
    assert redone(copy) == {"70_school-S02": changed}


def test_a_stage_computed_again_to_the_same_numbers_changes_nothing(copy):
    store.write_stage(copy, TERM, "k2", frames())
    assert redone(copy) == {}


def test_another_schools_row_in_a_district_aggregate_redoes_every_page_that_read_it(copy):
    store.write_stage(copy, TERM, "k2", frames(n_students=41))
    changed = "data that it uses changed (coverage by school)"
    assert redone(copy) == dict.fromkeys(["00_district", "70_school-S01", "70_school-S02"], changed)


def test_a_changed_notebook_redoes_its_reports_only(copy):
    path = copy.root / "notebooks" / "70_school.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("'own'", "'theirs'"), encoding="utf-8")
    assert redone(copy) == dict.fromkeys(["70_school-S01", "70_school-S02"], "its notebook changed")


def test_changed_parameters_redo_the_report_and_are_named(copy):
    reports = [
        replace(each, parameters={**each.parameters, "study": "./."}) if each.id == "10_list" else each
        for each in planned(copy, languages=("en",))
    ]
    assert redone(copy, reports) == {"10_list": "its parameters changed (study)"}


def test_a_stored_table_redoes_what_read_it(copy):
    store.write_tables(copy, "first", {"schools": store.tables.conform("schools", schools("晨曦小学"))})
    assert redone(copy) == {"10_list": "data that it uses changed (list of schools)"}


def test_a_file_that_a_notebook_opened_itself_redoes_it(copy):
    (copy.root / "data" / "extra" / "list.csv").write_text("a\n1\n2\n", encoding="utf-8")
    assert redone(copy) == {"10_list": "files that it reads changed (data/extra)"}


def test_what_is_hidden_redoes_what_asked_for_it(copy):
    hidden = {"key": "k", "hidden": [["reach", "n_never", [["school", "S01"]]]]}
    write_json(term_release._plan(copy, TERM), hidden)
    assert redone(copy) == {"00_district": "what has to be hidden changed"}


def test_the_study_file_redoes_everything_that_opened_the_study(copy):
    path = copy.root / "study.toml"
    path.write_text(path.read_text(encoding="utf-8") + "# said\n", encoding="utf-8")
    assert redone(copy) == dict.fromkeys(CACHED, "files that it reads changed (study.toml)")


def test_an_upgraded_package_redoes_everything_and_is_named(copy, monkeypatch):
    upgraded = inputs.environment() | {"pandas": "99.0"}
    monkeypatch.setattr(inputs, "environment", lambda: upgraded)
    assert redone(copy) == dict.fromkeys(CACHED, "the environment changed (pandas)")


def test_changed_code_redoes_everything(copy, monkeypatch):
    monkeypatch.setattr(inputs, "execution_code", lambda: "another")
    assert redone(copy) == dict.fromkeys(CACHED, "cobench changed")


def test_several_reasons_are_named_together_in_both_languages(copy, monkeypatch):
    monkeypatch.setattr(inputs, "execution_code", lambda: "another")
    store.write_stage(copy, TERM, "k2", frames(n_students=41))
    told = judged(copy)["00_district"].why
    assert told.en == "cobench changed; data that it uses changed (coverage by school)"
    assert told.zh == "cobench 程序有更新；所用数据有变（各校家访覆盖）"


def test_force_redoes_everything(copy):
    assert {each.why.en for each in judged(copy, force=True).values()} == {"all were asked for anew"}


def test_a_report_that_failed_last_time_is_tried_again(copy):
    path = copy.root / "reports" / TERM / "run.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for entry, state in zip(manifest["reports"], ("failed", "withheld"), strict=False):
        entry["state"] = state
    path.write_text(manifests.to_json(manifest), encoding="utf-8")
    first, second = (entry["id"] for entry in manifest["reports"][:2])
    assert redone(copy) == {first: "it failed last time", second: "it was withheld last time"}


@pytest.mark.parametrize("name", ["note.json", "notebook.ipynb", "ledger.jsonl"])
def test_a_damaged_note_counts_for_nothing(copy, name):
    (copy.root / "private" / "cache" / TERM / "10_list.en" / name).write_bytes(b"half writ")
    assert redone(copy) == {"10_list": "what was kept of it is damaged"}


def test_a_changed_layout_or_provenance_or_a_lost_page_only_makes_pages_again(copy, monkeypatch):
    (copy.root / "reports" / TERM / "10_list.en.html").write_text("changed by hand", encoding="utf-8")
    found = judged(copy)
    assert {n for n in CACHED if found[n].action == "render"} == {"10_list"}
    monkeypatch.setattr(inputs, "rendering_code", lambda: "another")
    assert {each.action for name, each in judged(copy).items() if name in CACHED} == {"render"}
    monkeypatch.undo()
    (copy.root / "data" / "raw" / TERM / "schools.csv").write_text("code,name\nS01,x\n", encoding="utf-8")
    found = judged(copy)
    assert {found[name].action for name in CACHED} == {"render"}
    assert found["10_list"].why.en.startswith("its layout or provenance changed")


def test_a_page_keeps_its_date_when_only_the_day_is_another(copy):
    reports = planned(copy, languages=("en",))
    raw = manifests.input_hashes(copy, TERM)
    later = replace(_context(copy, TERM, reports, [], raw, _now()), run_date="2031-01-01")
    assert judged(copy, reports, context=later)["10_list"].action == "reuse"


def test_pages_of_the_cache_are_those_of_a_fresh_run_byte_for_byte(copy, tmp_path, monkeypatch):
    fresh = tmp_path / "fresh"
    shutil.copytree(copy.root, fresh, ignore=shutil.ignore_patterns("reports", "private"))
    monkeypatch.setattr(
        inputs, "rendering_code", lambda: "another"
    )  # so that kept notebooks are rendered again
    store.write_stage(copy, TERM, "k2", frames(s02=5.0))
    again, said = run(copy, planned(copy, languages=("en",)))
    store.write_stage(load_study(fresh), TERM, "k2", frames(s02=5.0))
    run(load_study(fresh), planned(load_study(fresh), languages=("en",)))
    made = {outcome.report.id: outcome.made for outcome in again.outcomes}
    assert made == dict.fromkeys(CACHED[:3], "rendered") | dict.fromkeys(
        ["20_bare", "30_clock", "70_school-S02"], "run"
    )
    assert "3 only laid out anew" in said
    assert "70_school-S02 (en): done" in said and "because data that it uses changed" in said
    for report in ALL:
        pages = [root / "reports" / TERM / f"{report}.en.html" for root in (copy.root, fresh)]
        assert pages[0].read_bytes() == pages[1].read_bytes(), report
    entries = manifests.read_manifest(copy.root / "reports" / TERM / "run.json")["reports"]
    assert {entry["id"]: entry["made"] for entry in entries} == made
    told = next(entry["why"] for entry in entries if entry["id"] == "70_school-S02")
    assert set(told) == {"zh", "en"} and "the panel of students" in told["en"]
    third, said = run(copy, planned(copy, languages=("en",)), redo="failed")
    assert third.outcomes == () and "nothing to do" in said


def test_what_is_kept_is_private_and_holds_nothing_that_its_page_does_not_show(finished):
    folder = finished / "private" / "cache" / TERM
    assert folder.stat().st_mode & 0o077 == 0
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {f"{name}.en" for name in CACHED}
    assert "told nobody" not in (folder / "00_district.en" / "notebook.ipynb").read_text(encoding="utf-8")


def test_notes_of_reports_that_are_gone_are_removed(copy):
    (copy.root / "notebooks" / "10_list.ipynb").unlink()
    (copy.root / "notebooks" / "20_bare.ipynb").unlink()
    (copy.root / "notebooks" / "30_clock.ipynb").unlink()
    result, said = run(copy, planned(copy, languages=("en",)))
    assert {outcome.made for outcome in result.outcomes} <= {"reused", "rendered"}
    assert not (copy.root / "private" / "cache" / TERM / "10_list.en").exists()


# ---- runs that are killed ---------------------------------------------------------------------------------

DRIVER = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from throwaway import planned, run
from cobench.study import load_study
if __name__ == "__main__":
    study = load_study(Path({root!r}))
    run(study, planned(study, languages=("en",)), jobs=1)
"""
SLOW = "import time\nfrom pathlib import Path\nif Path('slow').exists(): time.sleep(60)\nprint('at last')"


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    study = make_study(tmp_path)
    store.write_stage(study, TERM, "k1", frames())
    for name in ("00_first", "10_second"):
        notebook(study.root / "notebooks" / f"{name}.ipynb", OPEN, DISTRICT)
    notebook(study.root / "notebooks" / "20_slow.ipynb", OPEN, SLOW)
    (tmp_path / "slow").touch()
    script = tmp_path / "driver.py"
    here = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    script.write_text(DRIVER.format(path=here, root=str(study.root)))
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    notes = study.root / "private" / "cache" / TERM
    end = time.monotonic() + 60
    while len(list(notes.glob("*/note.json"))) < 2:
        assert time.monotonic() < end, "no report was noted"
        time.sleep(0.05)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(family, 20)
    assert not [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]
    assert not (study.root / "reports").exists()
    (tmp_path / "slow").unlink()
    result, said = run(study, planned(study, languages=("en",)))
    made = {outcome.report.id: outcome.made for outcome in result.outcomes}
    assert made == {"00_first": "rendered", "10_second": "rendered", "20_slow": "run"}
    assert "a run that was ended had computed it" in said and result.exit_code == 0
    assert list((study.root / "private" / "run").iterdir()) == []


def test_without_its_note_what_was_kept_counts_for_nothing(copy):
    """The note is written last: a run that is killed before has kept nothing."""
    [report] = [each for each in planned(copy, languages=("en",)) if each.id == "10_list"]
    (copy.root / "private" / "cache" / TERM / "10_list.en" / "note.json").unlink()
    assert judged(copy, [report])["10_list"].action == "run"
