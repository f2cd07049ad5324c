"""The demo's made-up records are found where they were planted, and nobody honest is named."""

from __future__ import annotations

import pytest

from cobench.demo.world import build_world, canonical_tables
from cobench.monitor.gaming import unusual_records
from cobench.monitor.periods import school_days
from cobench.study import load_study

from .case_table import HERE

SIGN_OF = {
    "late_entry": "late", "heaped": "heaped", "copied": "copied", "route": "route", "relabelled": "relabelled"
}  # fmt: skip


@pytest.fixture(scope="module")
def found():
    study = load_study(HERE.parents[1])
    world = build_world(study.seed)
    contacts = canonical_tables(world)["contacts"]
    rows = {term.id: unusual_records(contacts, term, school_days(term)) for term in study.terms}
    return world.gaming, {term: each[each["unusual"]] for term, each in rows.items()}


def test_no_honest_school_is_named_in_any_term(found):
    gaming, unusual = found
    for term, named in unusual.items():
        planted = gaming[(gaming["term"] == term) & gaming["planted"]]
        assert set(named["school"]) <= set(planted["school"]), term


def test_schools_that_dressed_their_records_up_are_found_and_no_other_school_is_named(found):
    gaming, unusual = found
    newest = gaming[gaming["term"] == "2025-2026-2"]
    liars = set(newest.loc[newest["planted"], "school"])
    assert liars
    assert set(unusual["2025-2026-2"]["school"]) == liars


def test_each_way_of_dressing_records_up_is_named_by_its_sign(found):
    gaming, unusual = found
    pairs = set(zip(unusual["2025-2026-2"]["school"], unusual["2025-2026-2"]["sign"], strict=True))
    for planted_as, sign in SIGN_OF.items():
        planted = gaming[
            (gaming["term"] == "2025-2026-2") & gaming["planted"] & (gaming["sign"] == planted_as)
        ]
        assert len(planted)
        assert {(school, sign) for school in planted["school"]} <= pairs
