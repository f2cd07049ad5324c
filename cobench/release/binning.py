"""Distributions as binned counts: neighbouring bins are merged until none is below the threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cobench.errors import ReleaseError
from cobench.release.disclosure import release_table
from cobench.release.released import Released


def release_bins(
    values: pd.Series,
    *,
    edges: Sequence[float],
    by: pd.Series | None = None,
    min_cell: int = 10,
    title: str = "",
    note: str = "",
) -> Released:
    """Release the distribution of ``values`` (of each group of ``by``) as bins of at least ``min_cell``.

    Parameters
    ----------
    values : Series of float
        One value a person; missing ones are left out.
    edges : sequence of float
        Bin edges chosen without looking at the data, so that no edge is somebody's value.
    by : Series, optional
        Group of each person, same index; a group smaller than ``min_cell`` is left out and named in the note.

    Returns
    -------
    Released
        ``kind="figure-data"`` with columns ``[by.name], low, high, n, density``; densities of a group
        integrate to one.

    Raises
    ------
    ReleaseError
        If a value lies outside the edges.
    """
    edges = np.asarray(edges, dtype=float)
    known = values.notna()
    if known.any() and (values[known].min() < edges[0] or values[known].max() > edges[-1]):
        raise ReleaseError(
            en=f"values lie outside the bin edges {edges[0]:g} to {edges[-1]:g}",
            zh=f"有数值落在分组区间 {edges[0]:g} 至 {edges[-1]:g} 之外",
        )
    groups = pd.Series("", index=values.index) if by is None else by
    name = (groups.name or "group") if by is not None else None
    bins = [
        table.assign(**({name: group} if name else {}))
        for group, part in values[known].groupby(groups[known], sort=True)
        if len(table := _merged(part.to_numpy(dtype=float), edges, min_cell))
    ]
    columns = [*([name] if name else []), "low", "high", "n", "density"]
    frame = pd.concat(bins, ignore_index=True)[columns] if bins else pd.DataFrame(columns=columns)
    return release_table(frame, counts="n", min_cell=min_cell, kind="figure-data", title=title, note=note)


def release_histogram(
    bins: pd.DataFrame, *, by: str, min_cell: int = 10, title: str = "", note: str = ""
) -> Released:
    """Release counted bins: those of each group of ``by`` are merged until none is below ``min_cell``.

    Hiding single bins would not do: the densities of a group integrate to one.

    Parameters
    ----------
    bins : DataFrame
        ``low, high, n`` and ``by``, the bins of a group adjoining and in order.
    """
    parts = [
        merged_bins(own["n"].to_numpy(), np.append(own["low"], own["high"].iloc[-1]), min_cell).assign(
            **{by: group}
        )
        for group, own in bins.groupby(by, sort=False)
    ]
    columns = [by, "low", "high", "n", "density"]
    filled = [part for part in parts if len(part)]
    frame = pd.concat(filled, ignore_index=True)[columns] if filled else pd.DataFrame(columns=columns)
    return release_table(frame, counts="n", min_cell=min_cell, kind="figure-data", title=title, note=note)


def _merged(values: np.ndarray, edges: np.ndarray, min_cell: int) -> pd.DataFrame:
    """Histogram of one group, see :func:`merged_bins`."""
    return merged_bins(np.histogram(values, edges)[0], edges, min_cell)


def merged_bins(counts: np.ndarray, edges: np.ndarray, min_cell: int) -> pd.DataFrame:
    """Bins of at least ``min_cell``: a small bin joins the next one up, a small last bin the one before.

    Parameters
    ----------
    counts : int array, shape (k,)
    edges : float array, shape (k + 1,)

    Returns
    -------
    DataFrame
        ``low, high, n, density``; empty where all bins together are below ``min_cell``.
    """
    lows, highs, numbers = [], [], []
    low, waiting = None, 0
    for i, count in enumerate(counts):
        if count == 0 and waiting == 0:
            continue
        low = edges[i] if low is None else low
        waiting += count
        if waiting >= min_cell:
            lows.append(low)
            highs.append(edges[i + 1])
            numbers.append(waiting)
            low, waiting = None, 0
    if waiting and numbers:
        numbers[-1] += waiting
        highs[-1] = edges[np.flatnonzero(counts).max() + 1]
    n = np.asarray(numbers, dtype=float)
    width = np.asarray(highs) - np.asarray(lows)
    density = n / n.sum() / width if len(n) else n
    return pd.DataFrame({"low": lows, "high": highs, "n": n.astype(int), "density": density})
