"""Claims about records that look unusual: what is marked, who is named, and that honest schools are left alone."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cobench.monitor.gaming import LEAST_SCHOOLS, SIGNS, _holm, _tail, marked, unusual_records
from cobench.tables import conform

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
from simulated_logs import TERM, WAYS, draw, open_days  # noqa: E402


def _visits(**columns) -> pd.DataFrame:
    n = max(len(value) for value in columns.values() if isinstance(value, list))
    base = {"student": [f"s{i}" for i in range(n)], "school": "S01", "mode": "at_home", "date": "2026-04-14"}
    return conform("contacts", pd.DataFrame({**base, "term": TERM.id, **columns}))


def _marks(sign: str, **columns) -> list:
    return marked(_visits(**columns), TERM, open_days())[sign].tolist()


def test_an_entry_is_late_after_more_than_a_week_and_unknown_without_a_time():
    entered = ["2026-04-21 20:00", "2026-04-22 08:00", None]
    assert _marks("late", entered_at=entered) == [False, True, pd.NA]


def test_late_entries_just_before_a_deadline_are_heaped_and_late_ones_of_other_days_are_not():
    entered = ["2026-06-28", "2026-07-01", "2026-07-02", "2026-06-27"]
    assert _marks("heaped", entered_at=entered) == [True, True, False, False]
    assert _marks("heaped", entered_at=["2026-07-01"], date=["2026-06-30"]) == [False]


def test_words_are_copied_when_another_visit_has_them_and_not_on_the_other_child_of_one_line():
    keys = ["k1", "k1", "k2", None]
    assert _marks("copied", note_key=keys, teacher=["T1", "T2", "T1", "T1"]) == [True, True, False, pd.NA]
    assert _marks("copied", note_key=["k1", "k1"], teacher=["T1", "T1"]) == [False, False]
    assert _marks("copied", note_key=["k1", "k1"], teacher=["T1", "T2"], mode=["phone", "phone"]) == [
        pd.NA,
        pd.NA,
    ]


def test_ten_visits_of_an_evening_can_not_be_walked_but_four_can_and_a_saturday_is_longer():
    # 10 x 30 minutes and 9 x 10 minutes of way are 390 of 300 minutes; 4 x 30 + 3 x 10 are 150.
    assert _marks("route", teacher=["T1"] * 10, minutes=[30.0] * 10) == [True] * 10
    assert _marks("route", teacher=["T1"] * 4, minutes=[30.0] * 4) == [False] * 4
    saturday = ["2026-04-18"] * 10
    assert _marks("route", teacher=["T1"] * 10, minutes=[30.0] * 10, date=saturday) == [False] * 10
    assert _marks("route", teacher=["T1"] * 5 + ["T2"] * 5, minutes=[30.0] * 10) == [False] * 10


def test_a_short_visit_without_a_form_may_have_been_a_call_and_one_with_either_may_not():
    minutes, form = [5.0, 5.0, 30.0, 5.0], [False, True, False, None]
    assert _marks("relabelled", minutes=minutes, has_form=form) == [True, False, False, pd.NA]
    assert _marks("no_form", minutes=minutes, has_form=form) == [True, False, True, pd.NA]


def test_the_tail_is_that_of_the_beta_binomial_distribution():
    for k, n, a, b in [(3, 20, 1.0, 19.0), (0, 15, 2.0, 5.0), (40, 400, 0.7, 30.0)]:
        assert _tail(k, n, a, b) == pytest.approx(stats.betabinom.sf(k - 1, n, a, b), rel=1e-9)


def test_holm_is_that_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    p = np.array([0.001, 0.2, 0.03, 0.03, 0.9])
    np.testing.assert_allclose(_holm(p), multipletests(p, method="holm")[1])


def test_made_up_records_are_found_and_hardly_anybody_beside_them_is_named():
    dressers = dict(zip(("S02", "S05", "S07", "S09", "S14"), WAYS, strict=True))
    bystanders = 0
    for i in range(8):
        found = unusual_records(
            draw(np.random.default_rng([3, i]), dressers, n_made_up=80), TERM, open_days()
        )
        found = found[found["unusual"]]
        pairs = set(zip(found["school"], found["sign"], strict=True))
        assert {("S09", "route"), ("S14", "relabelled")} <= pairs
        bystanders += not set(found["school"]) <= set(dressers)
    assert bystanders <= 2  # 2 % of districts were measured over 600


def test_a_district_where_everybody_is_honest_names_nobody():
    # Twelve districts of twenty schools and six signs; the benchmark measures the rate over 200 (about 5 %).
    named = [
        unusual_records(draw(np.random.default_rng([8, i]), {}), TERM, open_days())["unusual"].any()
        for i in range(12)
    ]
    assert sum(named) <= 2


def test_too_few_schools_are_not_compared():
    rows = unusual_records(
        draw(np.random.default_rng(4), {"S01": "route"}, n_schools=LEAST_SCHOOLS - 1), TERM, open_days()
    )
    assert rows["p_value"].isna().all()
    assert not rows["unusual"].any()
    assert set(rows["sign"]) == set(SIGNS)


def test_no_contacts_give_no_rows():
    empty = conform("contacts", pd.DataFrame())
    assert len(unusual_records(empty, TERM, open_days())) == 0
