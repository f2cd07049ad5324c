"""An attacker with a solver: what do printed tables say about the counts that were hidden in them?

The attacker knows every printed count, which counts add up to which, what a mark means (``<10`` is 0 to 9), and
that counts are whole and not negative. For a hidden count the feasible interval is found by two linear
programmes over the hidden counts of its connected component (Hundepool et al., *Statistical Disclosure Control*,
2012, sec. 4.4); where a vertex isn't whole, an integer programme decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

WHOLE = 1e-6


@dataclass(frozen=True)
class Puzzle:
    """What was printed: some counts, and sums that hold among counts.

    Parameters
    ----------
    value : float array, shape (k,)
        Printed counts; nan where hidden.
    low, high : float arrays, shape (k,)
        What a reader knows of a hidden count from its mark; ``inf`` where there is no upper bound.
    sums : sequence of ``(indices, signs)``
        Each says that the signed sum of these counts is zero.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    sums: Sequence[tuple[np.ndarray, np.ndarray]]


class ImpossibleError(ValueError):
    """The printed counts contradict one another: no table of whole counts fits them."""


def feasible(puzzle: Puzzle, targets: Sequence[int] | None = None) -> pd.DataFrame:
    """Smallest and largest value that each hidden count can have.

    Returns
    -------
    DataFrame
        ``cell`` (index into the puzzle), ``low``, ``high`` (``inf`` where nothing bounds it), a row a target.

    Raises
    ------
    ImpossibleError
        If no whole counts fit what was printed.
    """
    hidden = np.isnan(puzzle.value)
    wanted = set(np.flatnonzero(hidden) if targets is None else targets)
    rows = []
    for part in components(puzzle):
        asked = [cell for cell in part.cells if cell in wanted]
        rows += [(cell, *part.interval(cell)) for cell in asked]
    return pd.DataFrame(rows, columns=["cell", "low", "high"]).sort_values("cell", ignore_index=True)


def components(puzzle: Puzzle) -> Iterator[Component]:
    """The hidden counts in groups that no sum connects."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    hidden = np.isnan(puzzle.value)
    open_sums = [
        (cells[inside], signs[inside], -float(signs[~inside] @ puzzle.value[cells[~inside]]))
        for cells, signs in puzzle.sums
        if (inside := hidden[cells]).any()
    ]
    k, m = len(hidden), len(open_sums)
    rows = np.concatenate([np.full(len(cells), i) for i, (cells, _, _) in enumerate(open_sums)] or [[]])
    cols = np.concatenate([cells for cells, _, _ in open_sums] or [[]])
    links = coo_array((np.ones(len(rows)), (rows.astype(int) + k, cols.astype(int))), shape=(k + m, k + m))
    _, label = connected_components(links, directed=False)
    members: dict[int, list[int]] = {}
    for cell in np.flatnonzero(hidden):
        members.setdefault(label[cell], []).append(int(cell))
    belonging: dict[int, list] = {}
    for i, each in enumerate(open_sums):
        belonging.setdefault(label[k + i], []).append(each)
    for name, cells in members.items():
        yield Component(np.asarray(cells), belonging.get(name, []), puzzle)


class Component:
    """Hidden counts that hang together, as a linear programme."""

    def __init__(self, cells: np.ndarray, sums: list, puzzle: Puzzle):
        from scipy.sparse import csr_array

        self.cells = cells
        place = {cell: i for i, cell in enumerate(cells)}
        rows = [i for i, (inside, _, _) in enumerate(sums) for _ in inside]
        cols = [place[cell] for inside, _, _ in sums for cell in inside]
        signs = [sign for _, each, _ in sums for sign in each]
        self.matrix = csr_array((signs, (rows, cols)), shape=(len(sums), len(cells)))
        self.right = np.array([right for _, _, right in sums])
        self.low, self.high = np.ceil(puzzle.low[cells]), np.floor(puzzle.high[cells])
        self.place = place

    def interval(self, cell: int) -> tuple[float, float]:
        """The least and the greatest whole value of ``cell``."""
        if not len(self.right):
            return float(self.low[self.place[cell]]), float(self.high[self.place[cell]])
        return self._end(cell, 1), self._end(cell, -1)

    def _end(self, cell: int, sign: int) -> float:
        point = self._solve(cell, sign, whole=False)
        if point is None:
            return -sign * math.inf
        if np.abs(point - np.round(point)).max() > WHOLE:
            point = self._solve(cell, sign, whole=True)
        return float(np.round(point[self.place[cell]]))

    def _solve(self, cell: int, sign: int, *, whole: bool) -> np.ndarray | None:
        from scipy.optimize import Bounds, LinearConstraint, milp

        aim = np.zeros(len(self.cells))
        aim[self.place[cell]] = sign
        found = milp(
            aim,
            integrality=np.full(len(aim), int(whole)),
            bounds=Bounds(self.low, self.high),
            constraints=LinearConstraint(self.matrix, self.right, self.right),
        )
        if found.status == 3 or (found.status == 4 and sign < 0):  # unbounded, or unbounded or infeasible
            return None
        if found.x is None:
            raise ImpossibleError("no whole counts fit what was printed")
        return found.x
