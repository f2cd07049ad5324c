"""Claims about the stored panel: it is that of the whole tables, and only what changed is made again."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pandas as pd
import pytest

from cobench import panel_store, store
from cobench.panel import build_panel
from cobench.panel_store import read_panel
from cobench.stage import read_frames, scale_frames
from cobench.study import load_study
from cobench.tables import TABLES


@pytest.fixture
def study(district_study, tmp_path):
    """A copy without questionnaires, which no kept part rests on."""
    folder = tmp_path / "study"
    shutil.copytree(district_study.root, folder, ignore=shutil.ignore_patterns("responses", "derived"))
    opened = load_study(folder)
    frames = {name: store.read_table(district_study, name) for name in TABLES if name != "responses"}
    store.write_tables(opened, "all", {name: frame for name, frame in frames.items() if len(frame)})
    measures = {id_: each for id_, each in opened.outcomes.items() if each.measure}
    return replace(opened, scales={}, outcomes=measures)


@pytest.fixture
def made(monkeypatch):
    """Parts that were made and not taken over."""
    names = []
    write = panel_store._write
    monkeypatch.setattr(
        panel_store,
        "_write",
        lambda path, table: names.append(path.name.rsplit("-", 1)[0]) or write(path, table),
    )
    return names


@pytest.mark.parametrize("number", range(4))
def test_the_panel_is_that_of_the_whole_tables_made_and_taken_over(district_study, number, made):
    study = district_study
    term = study.terms[number]
    frames = read_frames(study, term)
    scores = scale_frames(study, frames)["scores"]
    whole = build_panel(study, term, {**frames, "scores": scores})
    assert whole.frame["home_visit"].notna().any()
    _same(read_panel(study, term, scores), whole)
    assert {"earlier-", "exposure-home_visit", "outcome-math", "baseline-math"} <= set(made)
    made.clear()
    _same(read_panel(study, term, scores), whole)
    assert made == []


# What is edited, and the parts of the newest panel that have to be made again.
EDITS = {
    "contacts": ({"mode": "phone"}, {"exposure-home_visit"}),
    "attendance": ({"present": False}, {"exposure-parent_lecture"}),
    "outcomes": ({"value": 1.0}, {"outcome-math", "outcome-math_common", "outcome-absences"}),
    "memberships": ({"category": "mental"}, set()),
    "students": ({"sex": "m"}, set()),
    "enrolments": ({"boarding": True}, set()),
}


@pytest.mark.parametrize("table", EDITS)
def test_only_parts_that_rest_on_a_changed_table_are_made_again(study, table, made):
    change, expected = EDITS[table]
    term = study.newest_term()
    before = read_panel(study, term)
    made.clear()
    _edit(study, table, term.id, change)
    after = read_panel(study, term)
    assert set(made) == expected
    _same(after, _whole(study, term))
    assert not after.frame.equals(before.frame)


def test_an_earlier_term_that_changed_changes_history_and_baselines(study, made):
    term, earlier = study.newest_term(), study.terms[-2]
    read_panel(study, term)
    for table, change, expected in (
        ("contacts", {"mode": "phone"}, {"earlier-", "exposure-home_visit", "exposure-parent_lecture"}),
        ("outcomes", {"value": 1.0}, {"baseline-math", "baseline-math_common", "baseline-absences"}),
    ):
        made.clear()
        _edit(study, table, earlier.id, change)
        found = read_panel(study, term)
        assert set(made) == expected
        _same(found, _whole(study, term))


@pytest.mark.parametrize("column", ["class_id", "grade"])
def test_a_child_that_sits_elsewhere_changes_everything(study, made, column):
    term = study.newest_term()
    read_panel(study, term)
    made.clear()
    held = store.read_table(study, "enrolments", [term.id])
    other = held[column].iloc[-1]
    assert other != held[column].iloc[0]
    _edit(study, "enrolments", term.id, {column: other})
    found = read_panel(study, term)
    assert {"earlier-", "exposure-home_visit", "outcome-math", "baseline-math"} <= set(made)
    _same(found, _whole(study, term))


def test_another_landmark_or_level_is_another_exposure(study, made):
    term = study.newest_term()
    read_panel(study, term)
    made.clear()
    visit = study.treatments["home_visit"]
    fewer = replace(
        study, treatments={**study.treatments, "home_visit": replace(visit, levels=visit.levels[1:])}
    )
    _same(read_panel(fewer, term), _whole(fewer, term))
    assert "exposure-home_visit" in made
    assert "outcome-math" not in made
    made.clear()
    later = replace(term, landmark=term.landmark.replace(day=term.landmark.day + 3))
    moved = replace(study, terms=(*study.terms[:-1], later))
    _same(read_panel(moved, later), _whole(moved, later))
    assert "exposure-home_visit" in made


def test_other_code_takes_nothing_over(study, made, monkeypatch):
    term = study.newest_term()
    read_panel(study, term)
    made.clear()
    monkeypatch.setattr(panel_store, "_code_key", lambda: "another version")
    read_panel(study, term)
    assert "outcome-math" in made


@pytest.mark.parametrize("damage", [b"", b"ARROW1\0\0 cut short"])
def test_a_damaged_part_is_made_again(study, made, damage):
    term = study.newest_term()
    whole = read_panel(study, term)
    made.clear()
    part = next((study.root / "data/processed/derived/parts" / term.id).glob("outcome-math-*"))
    part.write_bytes(damage)
    _same(read_panel(study, term), whole)
    assert made == ["outcome-math"]


def test_parts_of_no_use_are_removed_and_hold_no_pseudonym(study):
    term = study.newest_term()
    read_panel(study, term)
    folder = study.root / "data/processed/derived/parts" / term.id
    first = {path.name for path in folder.iterdir()}
    _edit(study, "contacts", term.id, {"mode": "phone"})
    read_panel(study, term)
    second = {path.name for path in folder.iterdir()}
    assert len(second) == len(first)
    assert len(second - first) == 1
    pseudonym = store.read_table(study, "students", [term.id])["student"].iloc[0].encode()
    assert not any(pseudonym in path.read_bytes() for path in folder.iterdir())


def _edit(study, table, term_id, change):
    """Change the first row of a term that the change changes."""
    frames = {name: store.read_table(study, name) for name in TABLES}
    rows = frames[table]
    ((column, value),) = change.items()
    mine = (rows["term"] == term_id) & (rows[column] != value).fillna(True)
    if table == "contacts":
        day = study.term(term_id)
        mine &= (rows["date"] > pd.Timestamp(day.landmark)) & (rows["mode"] == "at_home")
    if table == "outcomes":
        mine &= rows["measure"] == "math"
    rows = rows.copy()
    rows.loc[mine.to_numpy().nonzero()[0][:40], column] = value
    store.write_tables(
        study, "all", {name: frame for name, frame in ({**frames, table: rows}).items() if len(frame)}
    )


def _whole(study, term):
    until = [each.id for each in study.terms_until(term.id)]
    return build_panel(study, term, {name: store.read_table(study, name, until) for name in TABLES})


def _same(found, wanted):
    pd.testing.assert_frame_equal(found.frame, wanted.frame)
    pd.testing.assert_frame_equal(found.measured, wanted.measured)
    pd.testing.assert_frame_equal(found.flow, wanted.flow)
