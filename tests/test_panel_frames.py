"""Claims about reading for the panel: fewer rows and columns are read, and the panel is the same."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest
from district import ROOT

from cobench import store
from cobench.demo import build_world, canonical_tables
from cobench.panel import build_panel
from cobench.panel_frames import read_panel_frames
from cobench.stage import read_frames, scale_frames
from cobench.study import load_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panel")
    shutil.copyfile(ROOT / "study.toml", folder / "study.toml")
    shutil.copytree(ROOT / "codebooks", folder / "codebooks")
    opened = load_study(folder)
    store.write_tables(opened, "all", canonical_tables(build_world(5, n_schools=4, n_students=500)))
    return opened


@pytest.mark.parametrize("number", range(4))
def test_the_panel_is_that_of_the_whole_tables(study, number):
    term = study.terms[number]
    frames = read_frames(study, term)
    scores = {"scores": scale_frames(study, frames)["scores"]}
    whole = build_panel(study, term, frames | scores)
    read, names = read_panel_frames(study, term)
    found = build_panel(study, term, read | scores, names)
    pd.testing.assert_frame_equal(found.frame, whole.frame)
    pd.testing.assert_frame_equal(found.measured, whole.measured)
    pd.testing.assert_frame_equal(found.flow, whole.flow)
    assert found.frame["home_visit"].notna().any()


def test_history_is_unknown_where_an_earlier_log_never_came_also_when_little_is_read(study):
    term = study.newest_term()
    frames = {name: store.read_table(study, name) for name in store.table_names(study)}
    scores = {"scores": scale_frames(study, frames)["scores"]}
    logs = frames["logs"]
    kept = logs[~((logs["class_id"] == logs["class_id"].iloc[0]) & (logs["term"] == study.terms[0].id))]
    assert len(kept) < len(logs)
    store.write_tables(study, "all", frames | {"logs": kept})
    read, names = read_panel_frames(study, term)
    found = build_panel(study, term, read | scores, names).frame["home_visit:history"]
    whole = build_panel(study, term, read_frames(study, term) | scores).frame["home_visit:history"]
    store.write_tables(study, "all", frames)
    assert whole.isna().any()
    pd.testing.assert_series_equal(found, whole)
