"""A class page holds names: it is written below private only, and neither the gate nor the page scan lets it out."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pandas as pd
import pytest

from cobench import store
from cobench.delivered import Delivery, Part
from cobench.errors import IdentifierFoundError, ReleaseError
from cobench.ingest.identities import stage_identities
from cobench.release import release_aggregate, release_counts, release_text
from cobench.release.identifiers import Roster, scan_html
from cobench.run.execute import Outcome
from cobench.run.gate import check_page
from cobench.study import load_study
from cobench.workbench.class_page import write_class_pages

STUDY = """
[study]
id = "small"
label = "small"
[[terms]]
id = "t1"
start = 2025-09-01
end = 2026-01-23
[[categories]]
id = "poverty"
label = {zh = "家庭经济困难", en = "poor family"}
source = "list"
"""
NAMES = {"s_" + "a" * 20: "欧阳示例", "s_" + "b" * 20: "测试员甲"}


@pytest.fixture
def study(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    opened = load_study(tmp_path)
    a, b = NAMES
    frames = {
        "enrolments": [
            {"student": each, "term": "t1", "school": "S01", "class_id": "S01-2024-1", "status": "enrolled"} for each in (a, b)
        ],
        "contacts": [
            {"student": a, "term": "t1", "school": "S01", "date": "2025-10-10", "mode": "at_home",
             "follow_up_due": "2025-10-20"}
        ],
        "memberships": [{"student": b, "term": "t1", "category": "poverty"}],
    }  # fmt: skip
    roster = pd.DataFrame(
        {"student": list(NAMES), "name": list(NAMES.values()), "student_number": ["G1", "G2"], "term": "t1",
         "school": "S01", "class_id": "S01-2024-1"}
    )  # fmt: skip
    with store.writing(opened.root):
        parts = {
            "all": Part(
                "", store.write_part(opened, {name: pd.DataFrame(rows) for name, rows in frames.items()})
            )
        }
        staged = stage_identities(opened, "t1", roster, bytes(range(32)))
        store.commit(opened, {"t1": Delivery(parts=parts, private={"identities/t1.parquet": staged})})
    return opened


def test_the_page_names_the_children_in_order_below_private_and_for_its_owner_only(study):
    (path,) = write_class_pages(study, study.term("t1"), "zh")
    assert path.relative_to(study.root).parts[:2] == ("private", "classes")
    html = path.read_text(encoding="utf-8")
    assert html.index("欧阳示例") < html.index("测试员甲")  # an overdue agreement comes before a key student
    assert "约定的回访已逾期" in html and "家庭经济困难" in html and "2025-10-20" in html
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0


def test_an_unknown_class_is_named_with_the_way_out(study):
    with pytest.raises(ReleaseError, match="S01-2022-2"):
        write_class_pages(study, study.term("t1"), "en", of="S09-2024-1")


def test_the_page_scan_withholds_a_class_page(study):
    (path,) = write_class_pages(study, study.term("t1"), "zh")
    html = path.read_text(encoding="utf-8")
    for name in NAMES.values():
        assert [each.kind for each in scan_html(html, names=[name])] == ["name"]
    assert scan_html(html.replace("欧阳示例", "").replace("测试员甲", ""), names=NAMES.values()) == []
    roster = Roster(NAMES.values())
    outcome = Outcome(SimpleNamespace(path="class_page"), "ok", 0.0, page=path)
    judged = check_page(outcome, lambda text, _: scan_html(text, names=roster), study)
    assert judged.state == "withheld"


def test_the_release_gate_refuses_the_rows_behind_a_class_page_and_its_text(study):
    (path,) = write_class_pages(study, study.term("t1"), "zh")
    rows = pd.DataFrame({"student_name": list(NAMES.values()), "n": [1, 1]})
    with pytest.raises(IdentifierFoundError):
        release_aggregate(rows, about="events")
    with pytest.raises(IdentifierFoundError):
        release_counts(pd.DataFrame({"student": list(NAMES), "n": [20, 20]}), counts="n")
    with pytest.raises(IdentifierFoundError):
        release_text(path.read_text(encoding="utf-8"), names=NAMES.values())
