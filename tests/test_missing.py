"""Every missing value of a panel has its reason; a row put aside is never a zero."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent / "ingest"))

from small_study import EARLIER, KEY, STUDY, TERM, lay_out, log_rows, number, write_log, write_scores

from cobench import stage, store
from cobench.ingest.identities import pseudonym
from cobench.ingest.ingest import ingest_term
from cobench.missing import MISSING, REASONS, missing_reasons, without_set_aside
from cobench.panel_store import read_panel
from cobench.show.wording import has
from cobench.study import load_study

WHERE = "四(1)班"
DECLARED = """
[treatments.visit]
label = "visit"
from = "contacts"
levels = [{id = "any", where = "mode is not null"}]
[scales.heard]
label = "heard"
instrument = "parents"
items = ["p1", "p2"]
[outcomes.math]
label = "math"
measure = "math"
test = "common"
[outcomes.heard]
label = "heard"
scale = "heard"
"""


def who(serial: int) -> str:
    return pseudonym(KEY, "tiny", "student", number(serial))


@pytest.fixture
def root(tmp_path):
    folder = lay_out(tmp_path / "tiny")
    (folder / "study.toml").write_text(STUDY + DECLARED, encoding="utf-8")
    return folder


def panel_and_reasons(root):
    study = load_study(root)
    for term in (EARLIER, TERM):
        ingest_term(study, term, key=KEY)
    term = study.term(TERM)
    frames = stage.read_frames(study, term)
    scores = stage.scale_frames(study, frames)["scores"]
    panel = read_panel(study, term, scores)
    panel = without_set_aside(study, panel, frames["set_aside"])
    found = missing_reasons(study, panel, {**frames, "scores": scores})
    return panel, found.set_index(["column", "student"])["reason"]


def test_each_missing_value_has_one_reason_and_no_value_has_any(root):
    panel, reasons = panel_and_reasons(root)
    assert reasons.index.is_unique and set(reasons) <= set(REASONS)
    for column in ["visit", "visit:history", "math", "heard", "math@baseline", "heard@baseline", "boarding"]:
        missing = panel.frame.loc[panel.frame[column].isna(), "student"]
        held = reasons.index.get_level_values("student")[reasons.index.get_level_values("column") == column]
        assert sorted(held) == sorted(missing), column


def test_results_keep_what_the_score_book_says(root):
    lines = [["赵一", WHERE, 85, "缺考"], ["钱二宝", WHERE, 70, "免修"], ["孙三", WHERE, 80, "九十x"]]
    write_scores(root, lines)
    _, reasons = panel_and_reasons(root)
    said = {serial: reasons[("math", who(serial))] for serial in (1, 2, 3, 4, 11)}
    assert said == {1: "absent", 2: "exempt", 3: "quarantined", 4: "not_listed", 11: "not_measured"}


def test_a_scale_says_why_it_has_no_score(root):
    _, reasons = panel_and_reasons(root)
    # 赵一 answered; 孙三's questionnaire names a class that isn't listed and can't be linked.
    assert ("heard", who(1)) not in reasons.index
    assert reasons[("heard", who(3))] == "not_answered"
    assert reasons[("heard", who(11))] == "not_measured"


def test_baselines_of_entering_grades_are_told_from_others(root):
    _, reasons = panel_and_reasons(root)
    assert reasons[("math@baseline", who(11))] == "entry_grade"
    assert reasons[("math@baseline", who(1))] == "not_measured"


def test_a_child_whose_only_visit_was_put_aside_is_unknown_not_unvisited(root):
    plain, before = panel_and_reasons(root)
    level = plain.frame.set_index("student")["visit"]
    assert level[who(4)] == "any" and ("visit", who(4)) not in before.index
    lines = log_rows()
    lines[2] = ["2025-02-30", *lines[2][1:]]
    write_log(root, TERM, lines)
    panel, reasons = panel_and_reasons(root)
    level = panel.frame.set_index("student")
    assert pd.isna(level.loc[who(4), "visit"]) and pd.isna(level.loc[who(4), "visit:count"])
    assert reasons[("visit", who(4))] == "quarantined"
    assert level.loc[who(1), "visit"] == "any"


def test_a_second_sound_visit_is_known_whatever_was_put_aside(root):
    lines = log_rows()
    write_log(root, TERM, [*lines, ["2025-02-30", *lines[0][1:]]])
    panel, _ = panel_and_reasons(root)
    assert panel.frame.set_index("student").loc[who(1), "visit"] == "any"


def test_rows_put_aside_are_stored_by_child_without_their_values(root):
    lines = log_rows()
    lines[2] = ["2025-02-30", *lines[2][1:]]
    write_log(root, TERM, lines)
    panel_and_reasons(root)
    held = store.read_table(load_study(root), "set_aside", [TERM])
    assert held.to_numpy().tolist() == [[who(4), TERM, "contacts", "", "impossible_date"]]


def test_a_log_that_did_not_arrive_leaves_its_class_unknown(root):
    folder = root / "data" / "raw" / TERM / "S02_示例初中"
    (folder / "家访记录.csv").unlink()
    panel, reasons = panel_and_reasons(root)
    assert reasons[("visit", who(11))] == "no_log"
    assert panel.frame.set_index("student")["visit"].isna().sum() == 2


def test_a_study_of_one_table_has_blanks(root):
    panel, _ = panel_and_reasons(root)
    found = missing_reasons(load_study(root), panel, {})
    assert list(found.columns) == MISSING and set(found["reason"]) == {"blank"}


def test_every_reason_has_a_phrase():
    assert all(has(f"missing.{reason}") for reason in ("measured", *REASONS))
