"""Claims about cross-fitting: what is held out is held out whole."""

import numpy as np
import pytest

from cobench.effects.folds import cell_means, choose_adjustment, connected, make_folds
from cobench.errors import NotEstimableError

CELL = np.repeat([0, 1, 2], 40)
CLUSTER = np.repeat(np.arange(12), 10)
D = np.tile([0, 0, 1, 0, 1], 24).astype(float)


def test_no_cluster_is_split_whatever_the_adjustment():
    for adjustment, cell in (("none", None), ("effects", CELL), ("means", CELL)):
        folds = make_folds(cell, CLUSTER, D, adjustment, 3, 1)
        assert all(len(np.unique(folds[code == CLUSTER])) == 1 for code in range(12))


def test_whole_cells_are_held_out_with_means_and_never_with_effects():
    means = make_folds(CELL, CLUSTER, D, "means", 5, 1)
    assert all(len(np.unique(means[code == CELL])) == 1 for code in range(3))
    effects = make_folds(CELL, CLUSTER, D, "effects", 5, 1)
    for held_out in np.unique(effects):
        assert set(CELL[effects != held_out]) == {0, 1, 2}


def test_effects_need_two_clusters_with_unexposed_students_in_every_cell():
    assert choose_adjustment(CELL, CLUSTER, D, "ATT") == "effects"
    single = np.where(CELL == 2, 99, CLUSTER)  # one class in cell 2
    assert choose_adjustment(CELL, single, D, "ATT") == "means"
    exposed = np.where((CLUSTER > 0) & (CELL == 0), 1.0, D)  # unexposed students in one class only
    assert choose_adjustment(CELL, CLUSTER, exposed, "ATT") == "means"
    assert choose_adjustment(None, CLUSTER, D, "ATT") == "none"


def test_effects_of_a_held_out_cell_are_refused():
    with pytest.raises(NotEstimableError, match="held out"):
        choose_adjustment(CELL, CELL, D, "ATT", wanted="effects")


def test_clusters_across_cells_are_held_out_with_all_they_touch():
    across = np.where(CLUSTER == 4, 3, CLUSTER)  # a class with students in cells 0 and 1
    folds = make_folds(CELL, across, D, "means", 5, 1)
    assert len(np.unique(folds[CELL <= 1])) == 1
    assert connected(np.array([0, 0, 1, 2, 3]), np.array([5, 6, 6, 7, 7])).tolist() == [0, 0, 0, 2, 2]


def test_folds_are_the_same_for_the_same_seed_and_differ_between_seeds():
    first, again, other = (make_folds(None, CLUSTER, D, "none", 5, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_one_group_can_not_be_held_out():
    with pytest.raises(NotEstimableError, match="too few groups"):
        make_folds(None, np.zeros(10, dtype=int), np.ones(10), "none", 5, 1)


def test_cell_means_by_hand():
    values = np.array([[1.0, 2.0], [3.0, 4.0], [10.0, 0.0]])
    assert cell_means(values, np.array([7, 7, 9])).tolist() == [[2, 3], [2, 3], [10, 0]]
