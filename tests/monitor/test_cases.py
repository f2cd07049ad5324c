"""Every rule and target has a hand-worked case for each verdict; the table is cases.toml."""

from __future__ import annotations

import pytest

from cobench.monitor.standards import VERDICTS, bundled_standards
from cobench.monitor.units import body_kind

from .case_table import Case, District, cases

CASES = cases()
BODY = {"school": "A", "district": "district"}
COMMUNITY = {
    ("community", "district_pair"): "K",
    ("community",): "K",
    ("pair",): "P",
    ("alliance",): "L",
    (): "K",
}
SHIPPED = {each.id: each for each in bundled_standards()}


@pytest.fixture(scope="module")
def district() -> District:
    return District()


def test_every_rule_and_target_has_a_case_for_each_verdict():
    held = {(case.standard, case.verdict) for case in CASES}
    wanted = {(each.id, verdict) for each in SHIPPED.values() if each.judged for verdict in VERDICTS}
    assert wanted - held == set()
    assert held - wanted == set()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.standard}-{case.verdict}")
def test_a_hand_worked_case_comes_out_as_written(case: Case, district: District):
    standard = SHIPPED[case.standard]
    body = BODY.get(body_kind(standard.unit)) or COMMUNITY[standard.communities]
    found = district.judged(case)
    if case.counts == "none":
        assert (case.standard, body) not in found.index
        return
    row = found.loc[(case.standard, body)]
    assert row["verdict"] == case.verdict
    met, units = map(float, case.counts.split("/"))
    assert (row["n_met"], row["n_units"]) == (met, units)
