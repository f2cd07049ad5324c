"""An attacker with a solver pins what naive suppression leaves open, and not what ours does."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobench.release.attacker import ImpossibleError, Puzzle, feasible
from cobench.release.suppression import Counts, protection_width, suppress

MIN_CELL = 10
WIDTH = protection_width(MIN_CELL)
LARGE = st.integers(0, 120)


def count(counts, key, value):
    small = value < MIN_CELL
    low, high = (0, MIN_CELL - 1) if small else (MIN_CELL, math.inf)
    return counts.add(key, value, known=not small, low=low, high=high, secret=small)


def two_way(table):
    """A table with both margins and its grand total, small counts hidden and nothing else."""
    counts = Counts(MIN_CELL)
    rows, columns = table.shape
    cell = [[count(counts, ("cell", i, j), table[i, j]) for j in range(columns)] for i in range(rows)]
    row = [count(counts, ("row", i), table[i].sum()) for i in range(rows)]
    column = [count(counts, ("column", j), table[:, j].sum()) for j in range(columns)]
    total = count(counts, "total", table.sum())
    for i in range(rows):
        counts.add_sum(row[i], cell[i], "", all_of_it=True)
    for j in range(columns):
        counts.add_sum(column[j], [cell[i][j] for i in range(rows)], "", all_of_it=True)
    counts.add_sum(total, row, "", all_of_it=True)
    counts.add_sum(total, column, "", all_of_it=True)
    return counts


def hierarchy(schools):
    """Classes in schools in a district; ``schools`` is a list of lists of class sizes."""
    counts = Counts(MIN_CELL)
    district = count(counts, "district", sum(map(sum, schools)))
    tops = []
    for i, classes in enumerate(schools):
        top = count(counts, ("school", i), sum(classes))
        parts = [count(counts, ("class", i, j), size) for j, size in enumerate(classes)]
        counts.add_sum(top, parts, "", all_of_it=True)
        tops.append(top)
    counts.add_sum(district, tops, "", all_of_it=True)
    return counts


def linked(boys, girls):
    """Two two-way tables over the same rows and columns, and the table of everybody."""
    both = two_way(boys + girls)
    for name, table in (("boys", boys), ("girls", girls)):
        for place, value in np.ndenumerate(table):
            count(both, (name, *place), value)
    for place in np.ndindex(boys.shape):
        parts = [both.place[(name, *place)] for name in ("boys", "girls")]
        both.add_sum(both.place[("cell", *place)], parts, "", all_of_it=True)
    return both


def with_suppression(counts):
    found = suppress(counts)
    assert not found.exposed
    for key in found.hide:
        i = counts.place[key]
        assert counts.truth[i] >= MIN_CELL
        counts.known[i], counts.low[i] = False, MIN_CELL
    return counts


def closest(counts):
    """The narrowest interval that the attacker finds for a small count; the true count is always inside."""
    secret = [i for i, each in enumerate(counts.secret) if each]
    found = feasible(counts.puzzle(), secret)
    for row in found.itertuples():
        assert row.low <= counts.truth[row.cell] <= row.high
    return (found["high"] - found["low"]).min() if len(found) else math.inf


def test_the_attacker_pins_a_small_count_beside_printed_margins():
    table = np.array([[40, 12, 4], [30, 25, 20]])
    counts = two_way(table)
    naive = feasible(counts.puzzle())
    assert naive[["low", "high"]].to_numpy().tolist() == [[4, 4]]


def test_a_hidden_rectangle_is_not_enough_for_an_attacker_who_knows_the_rule_and_ours_is():
    """The textbook remedy hides the corners of a rectangle; but a mark says that 10 is not below 10."""
    table = np.array([[40, 10, 0], [30, 25, 20], [15, 21, 30]])
    naive = two_way(table)
    for corner in ((0, 1), (1, 2), (1, 1)):
        i = naive.place[("cell", *corner)]
        naive.known[i], naive.low[i] = False, MIN_CELL
    assert closest(naive) == 0
    assert closest(with_suppression(two_way(table))) >= WIDTH


def test_two_small_counts_that_their_sum_fixes_are_pinned_although_both_are_hidden():
    counts = Counts(MIN_CELL)
    parts = [count(counts, name, value) for name, value in (("a", 9), ("b", 9), ("c", 50))]
    counts.add_sum(count(counts, "all", 68), parts, "", all_of_it=True)
    assert closest(counts) == 0
    assert closest(with_suppression(counts)) >= WIDTH


def test_true_totals_are_kept_whenever_cells_can_be_hidden_instead():
    table = np.array([[40, 12, 4], [30, 25, 20], [22, 31, 45]])
    hidden = suppress(two_way(table)).hide
    assert hidden and all(key[0] == "cell" for key in hidden)


def test_a_rest_that_no_table_lists_is_protected_like_a_cell():
    counts = Counts(MIN_CELL)
    parts = [count(counts, sex, n) for sex, n in (("f", 100), ("m", 97))]
    counts.add_sum(count(counts, "all", 200), parts, "sex unknown", all_of_it=True)
    assert closest(counts) == 0
    assert closest(with_suppression(counts)) >= WIDTH


def test_a_small_count_that_nothing_can_protect_is_reported():
    counts = two_way(np.array([[40, 12, 4], [30, 25, 20]]))
    counts.cost = [math.inf] * len(counts.cost)
    assert ("cell", 0, 2) in suppress(counts).exposed


def test_printed_counts_that_contradict_one_another_are_an_error():
    sums = [(np.array([0, 1, 2]), np.array([1.0, -1.0, -1.0]))]
    puzzle = Puzzle(np.array([5.0, 9.0, np.nan]), np.zeros(3), np.full(3, 9.0), sums)
    with pytest.raises(ImpossibleError):
        feasible(puzzle)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=4, max_size=4))
def test_the_attacker_finds_what_trying_every_table_finds(values):
    counts = two_way(np.array(values).reshape(2, 2))
    found = feasible(counts.puzzle())
    open_to = [range(MIN_CELL) if value < MIN_CELL else [value] for value in values]
    cells = np.array(list(itertools.product(*open_to)))
    a, b, c, d = cells.T
    tables = np.column_stack([cells, a + b, c + d, a + c, b + d, a + b + c + d])
    truth, known = np.array(counts.truth), np.array(counts.known)
    fits = (tables == truth)[:, known].all(axis=1)
    fits &= ((tables >= counts.low) & (tables <= counts.high)).all(axis=1)
    for row in found.itertuples():
        tried = tables[fits, row.cell]
        assert (row.low, row.high) == (tried.min(), tried.max())


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.integers(2, 5), st.data())
def test_no_small_count_of_a_two_way_table_can_be_pinned(rows, columns, data):
    values = data.draw(st.lists(LARGE, min_size=rows * columns, max_size=rows * columns))
    assert closest(with_suppression(two_way(np.array(values).reshape(rows, columns)))) >= WIDTH


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=6), min_size=1, max_size=5))
def test_no_small_class_or_school_of_a_district_can_be_pinned(schools):
    assert closest(with_suppression(hierarchy(schools))) >= WIDTH


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 3), st.integers(2, 3), st.data())
def test_no_small_count_of_linked_tables_can_be_pinned(rows, columns, data):
    size = rows * columns
    boys, girls = (
        np.array(data.draw(st.lists(st.integers(0, 60), min_size=size, max_size=size))).reshape(rows, columns)
        for _ in range(2)
    )
    assert closest(with_suppression(linked(boys, girls))) >= WIDTH
