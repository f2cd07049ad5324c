"""Cross-fitting: which groups are held out together, and what the models may know about their cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cobench.effects.inference import dense_codes
from cobench.effects.reasons import not_estimable


def choose_adjustment(
    cell: np.ndarray | None, cluster: np.ndarray, d: np.ndarray, estimand: str, wanted: str | None = None
) -> str:
    """``none`` without cells; ``effects`` where every cell keeps groups to learn its level from; else ``means``.

    ``effects`` holds out clusters and fits cell effects on the cell's other clusters. It needs clusters that
    lie within cells, and in every cell two clusters with unexposed students (for the ATE also two with
    exposed ones): otherwise a held-out cell would have no estimated effect. The model of exposure uses cell
    means either way. ``means`` holds out whole cells
    and uses cell means of covariates, lagged outcome and exposure instead (Mundlak 1978).

    Raises
    ------
    NotEstimableError
        When ``effects`` is wanted where it can't be had.
    """
    if cell is None:
        return "none"
    possible = is_nested(cluster, cell) and _clusters_an_arm(cell, cluster, d == 0) >= 2
    if estimand == "ATE":
        possible = possible and _clusters_an_arm(cell, cluster, d == 1) >= 2
    if wanted == "effects" and not possible:
        raise not_estimable("held_out_effects", within="the declared cells")
    return wanted or ("effects" if possible else "means")


def make_folds(
    cell: np.ndarray | None,
    cluster: np.ndarray,
    d: np.ndarray,
    adjustment: str,
    n_folds: int,
    seed: int | Sequence[int],
) -> np.ndarray:
    """Fold of each row, (n,).

    A cluster is never split. ``effects``: the clusters of each cell are dealt out in turn, those with
    unexposed students first. ``means``: whole cells (with every cluster they share). Deterministic in the
    sorted codes and ``seed``. With ``n_folds`` 1 nothing is held out: all rows are in fold 0.

    Raises
    ------
    NotEstimableError
        With fewer than two groups to hold out.
    """
    if n_folds == 1:
        return np.zeros(len(d), dtype=int)
    generator = np.random.default_rng(seed)
    if adjustment == "effects":
        return _deal_within(cell, cluster, d, n_folds, generator)
    units = cluster if adjustment == "none" else connected(cell, cluster)
    codes, places, sizes = np.unique(units, return_inverse=True, return_counts=True)
    n_folds = min(n_folds, len(codes))
    if n_folds < 2:
        raise not_estimable("few_folds")
    filled = np.zeros(n_folds)
    fold_of = np.zeros(len(codes), dtype=int)
    for unit in generator.permutation(len(codes)):
        fold_of[unit] = int(np.argmin(filled))
        filled[fold_of[unit]] += sizes[unit]
    return fold_of[places]


def is_nested(inner: np.ndarray, outer: np.ndarray) -> bool:
    """Whether each ``inner`` group lies within one ``outer`` group."""
    pairs = np.unique(np.column_stack([inner, outer]), axis=0)
    return len(pairs) == len(np.unique(inner))


def connected(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Code of the connected component of each row, when rows that share either code are linked."""
    component = np.unique(first, return_inverse=True)[1]
    places = np.unique(second, return_inverse=True)[1]
    while True:
        lowest = np.full(places.max() + 1, component.max() + 1)
        np.minimum.at(lowest, places, component)
        joined = lowest[places]
        by_component = np.full(component.max() + 1, joined.max() + 1)
        np.minimum.at(by_component, component, joined)
        merged = by_component[component]
        if np.array_equal(merged, component):
            return component
        component = merged


def cell_means(values: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Mean over each row's cell of the columns of ``values`` (n, p)."""
    places = dense_codes(cell)
    counts = np.bincount(places)
    return np.column_stack([np.bincount(places, weights=column) / counts for column in values.T])[places]


def _clusters_an_arm(cell: np.ndarray, cluster: np.ndarray, arm: np.ndarray) -> int:
    """Smallest number of clusters with students of an arm over all cells."""
    places = np.unique(cell, return_inverse=True)[1]
    pairs = np.unique(np.column_stack([places[arm], cluster[arm]]), axis=0)
    return int(np.bincount(pairs[:, 0], minlength=places.max() + 1).min())


def _deal_within(
    cell: np.ndarray, cluster: np.ndarray, d: np.ndarray, n_folds: int, generator: np.random.Generator
) -> np.ndarray:
    groups, first, places = np.unique(cluster, return_index=True, return_inverse=True)
    cells = cell[first]
    exposed_only = np.bincount(places, weights=1 - d) == 0
    drawn = generator.permutation(len(groups))
    order = np.lexsort((drawn, exposed_only, cells))
    starts = np.flatnonzero(np.r_[True, np.diff(cells[order]) != 0])
    turn = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    offset = np.repeat(generator.integers(n_folds, size=len(starts)), np.diff(np.r_[starts, len(order)]))
    fold_of = np.empty(len(groups), dtype=int)
    fold_of[order] = (offset + turn) % n_folds
    return fold_of[places]
