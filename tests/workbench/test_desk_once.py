"""What several parts of a page ask for is released once, and anew only where tables are collected."""

import pandas as pd
import pytest

from cobench.release import ledger, release_aggregate
from cobench.workbench.desk import Desk


@pytest.fixture
def desk():
    return object.__new__(Desk)


def releasing(calls: list):
    def release():
        calls.append(len(calls))
        return release_aggregate(pd.DataFrame({"n": [len(calls)]}), about="files")

    return release


@pytest.fixture
def calls(desk):
    object.__setattr__(desk, "_tables", {})
    return []


def test_the_same_table_is_released_once_and_another_for_itself(desk, calls):
    first = desk.once(("standards", "S01"), releasing(calls))
    assert desk.once(("standards", "S01"), releasing(calls)) is first and calls == [0]
    other = desk.once(("standards", "S02"), releasing(calls))
    assert other is not first and calls == [0, 1]


def test_desks_share_no_table(desk, calls):
    other = object.__new__(Desk)
    object.__setattr__(other, "_tables", {})
    desk.once("reach", releasing(calls))
    other.once("reach", releasing(calls))
    assert calls == [0, 1]


def test_a_failed_release_is_not_kept(desk, calls):
    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        desk.once("reach", broken)
    desk.once("reach", releasing(calls))
    assert calls == [0]


def test_where_tables_are_collected_each_is_released_every_time(desk, calls, monkeypatch):
    monkeypatch.setattr(ledger, "is_collecting", lambda: True)
    desk.once("reach", releasing(calls))
    desk.once("reach", releasing(calls))
    assert calls == [0, 1]
