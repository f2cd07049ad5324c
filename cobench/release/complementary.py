"""Complementary suppression: a hidden count must not follow from a printed total and the other counts."""

from __future__ import annotations

import math

import numpy as np


def hide_complements(
    counts: np.ndarray, primary: np.ndarray, secondary: np.ndarray, min_cell: int
) -> tuple[np.ndarray, bool]:
    """Which further cells of one margin to hide so that its true total may be printed.

    Parameters
    ----------
    counts : array, shape (k,)
        True counts that add up to the printed total.
    primary, secondary : bool arrays, shape (k,)
        Cells below the threshold, and cells already hidden to protect others.
    min_cell : int
        The threshold; a reader knows that primary cells are below it and the others are not.

    Returns
    -------
    (secondary, safe) : the grown mask, and whether the total may be printed; it may not where hiding every
        cell still pins one down.
    """
    secondary = secondary.copy()
    while _exposed(counts, primary, secondary, min_cell):
        shown = np.flatnonzero(~(primary | secondary))
        if len(shown) == 0:
            return secondary, False
        secondary[shown[np.argmin(counts[shown])]] = True
    return secondary, True


def _exposed(counts: np.ndarray, primary: np.ndarray, secondary: np.ndarray, min_cell: int) -> bool:
    """Whether the sum of the hidden cells is itself small, or fixes one of the primary cells."""
    hidden = primary | secondary
    if not primary.any():
        return bool(hidden.sum() == 1)
    rest = counts[hidden].sum()
    if hidden.sum() == 1 or rest < min_cell:
        return True
    low = np.where(primary, 0, min_cell)[hidden]
    high = np.where(primary, min_cell - 1, math.inf)[hidden]
    for i in np.flatnonzero(primary[hidden]):
        least = max(low[i], rest - (high.sum() - high[i] if math.isfinite(high[i]) else math.inf))
        most = min(high[i], rest - (low.sum() - low[i]))
        if most - least < 1:
            return True
    return False
