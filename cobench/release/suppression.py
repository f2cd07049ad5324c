"""Secondary suppression: hide further counts until no small one can be pinned down.

For every small count the search asks for two tables of whole counts that fit all that stays printed and in which
it differs by the protection width. What has to be hidden for such a table to exist is found at least cost by a
linear programme (Kelly, Golden and Assad 1992, *Networks* 22, 397-417); printed counts are never changed, so the
totals stay true ones. The tables found are the proof: any attacker must count them as possible.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from cobench.release.attacker import WHOLE, Puzzle

NEAR = 12  # cheapest shown counts of a sum that are tried first


def protection_width(min_cell: int) -> int:
    """How far apart the least and the greatest possible value of a hidden small count must lie."""
    return max(1, math.ceil(min_cell / 2))


def hiding_cost(value: float) -> float:
    """What hiding a count loses, rising more slowly than its size."""
    return 1 + math.sqrt(max(value, 0))


@dataclass
class Counts:
    """Counts of children, which of them are printed, and which add up to which.

    ``truth`` are whole numbers of at least zero. ``known`` ones are printed somewhere. ``low`` and ``high`` is what
    the mark of a hidden one says. ``secret`` ones are to be protected. ``cost`` is what hiding one loses, infinite
    where it can't be hidden any more.
    """

    min_cell: int
    keys: list[Hashable] = field(default_factory=list)
    truth: list[int] = field(default_factory=list)
    known: list[bool] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    secret: list[bool] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)
    sums: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    place: dict[Hashable, int] = field(default_factory=dict)

    def add(
        self,
        key: Hashable,
        truth: float,
        *,
        known: bool,
        low: float = 0,
        high: float = math.inf,
        secret: bool = False,
    ) -> int:
        """A count; one that is there already is known where either is, and its bounds are the tighter ones."""
        if key in self.place:
            i = self.place[key]
            self.known[i] |= known
            self.low[i], self.high[i] = max(self.low[i], low), min(self.high[i], high)
            self.secret[i] |= secret
            return i
        self.place[key] = len(self.keys)
        self.keys.append(key)
        self.truth.append(round(truth))
        self.known.append(known)
        self.low.append(low)
        self.high.append(high)
        self.secret.append(secret)
        self.cost.append(hiding_cost(truth))
        return len(self.keys) - 1

    def add_sum(
        self, whole: int, parts: Sequence[int], rest: Hashable, *, all_of_it: bool, told: bool = False
    ) -> None:
        """``whole`` is the sum of ``parts`` and of a ``rest``, a count that is nowhere printed.

        The rest is secret where it is small. With ``all_of_it`` a rest of zero is none; with ``told`` readers know
        whether it is small.
        """
        left = self.truth[whole] - sum(self.truth[part] for part in parts)
        parts = list(parts)
        if left > 0 or not all_of_it:
            small = left < self.min_cell
            low, high = (0.0, self.min_cell - 1.0) if small else (float(self.min_cell), math.inf)
            bounds = {"low": low, "high": high} if told else {}
            parts.append(self.add(rest, left, known=False, secret=small, **bounds))
        cells = np.array([whole, *parts])
        self.sums.append((cells, np.array([1.0] + [-1.0] * len(parts))))

    def puzzle(self) -> Puzzle:
        """What an attacker sees."""
        known = np.array(self.known, dtype=bool)
        truth = np.array(self.truth, dtype=float)
        return Puzzle(
            np.where(known, truth, np.nan), np.array(self.low, float), np.array(self.high, float), self.sums
        )


@dataclass(frozen=True)
class Suppression:
    """Keys of counts to hide, and of small counts that can't be protected whatever is hidden."""

    hide: tuple[Hashable, ...]
    exposed: tuple[Hashable, ...]


def suppress(counts: Counts) -> Suppression:
    """Which printed counts to hide so that no secret one can be pinned closer than the protection width.

    Cells are tried from the smallest up. Counts that are hidden already cost nothing; a newly hidden one stays at
    or above the threshold in every table that serves as proof, because its mark says so.
    """
    search = _Search(counts)
    exposed = {i for i in search.targets() if not search.protect(i)}
    exposed |= search.small_groups()
    return Suppression(
        tuple(counts.keys[i] for i in sorted(search.newly)), tuple(counts.keys[i] for i in sorted(exposed))
    )


class _Search:
    """The state of a search: what is hidden by now, and how far each count is known to reach."""

    def __init__(self, counts: Counts):
        self.counts = counts
        self.width = protection_width(counts.min_cell)
        self.truth = np.array(counts.truth, dtype=float)
        self.known = np.array(counts.known, dtype=bool)
        self.low, self.high = np.array(counts.low, float), np.array(counts.high, float)
        self.cost = np.array(counts.cost, float)
        self.least, self.most = self.truth.copy(), self.truth.copy()
        self.newly: set[int] = set()
        self.of_cell: dict[int, list[int]] = {}
        for row, (cells, _) in enumerate(counts.sums):
            for cell in cells:
                self.of_cell.setdefault(int(cell), []).append(row)
        self.matrix = _matrix(counts.sums, len(counts.truth))

    def targets(self) -> list[int]:
        secret = np.flatnonzero(np.array(self.counts.secret, dtype=bool))
        return sorted((int(i) for i in secret), key=lambda i: (self.truth[i], i))

    def protect(self, i: int) -> bool:
        """Make room for count ``i``; whether it has room now."""
        if self.known[i]:
            return False
        if i not in self.of_cell:
            return True
        for width in range(self.width, 0, -1):
            if self.most[i] - self.least[i] >= width:
                return width == self.width
            up = min(width, self._top(i) - self.truth[i])
            down = min(width, self.truth[i] - self.low[i])
            choices = {(up, width - up), (width - down, down)}
            found = [moves for pair in sorted(choices) if (moves := self._room(i, *pair)) is not None]
            if found:
                self._accept(min(found, key=self._loss))
                return width == self.width
        return False

    def small_groups(self) -> set[int]:
        """Hide one more where the hidden parts of a printed whole are small together; those that can't be helped."""
        left = set()
        for cells, signs in self.counts.sums:
            whole, parts = int(cells[0]), cells[signs < 0]
            hidden = parts[~self.known[parts]]
            if not self.known[whole] or not len(hidden) or self.truth[hidden].sum() >= self.counts.min_cell:
                continue
            movable = [int(j) for j in cells if self.known[j] and np.isfinite(self.cost[j])]
            if movable:
                cheapest = min(movable, key=lambda j: (self.cost[j], j))
                self.known[cheapest] = False
                self.newly.add(cheapest)
            else:
                left |= {int(j) for j in hidden}
        return left

    def _top(self, i: int) -> float:
        return min(self.high[i], max(self.counts.min_cell - 1, self.truth[i]))

    def _room(self, i: int, up: float, down: float) -> list[np.ndarray] | None:
        moves = []
        for step in (up, -down):
            if step == 0 or (
                self.most[i] >= self.truth[i] + step if step > 0 else self.least[i] <= self.truth[i] + step
            ):
                continue
            move = self._move(i, step)
            if move is None:
                return None
            moves.append(move)
        return moves

    def _loss(self, moves: Iterable[np.ndarray]) -> float:
        touched = {int(j) for move in moves for j in np.flatnonzero(move) if self.known[j]}
        return sum(self.cost[j] for j in touched)

    def _accept(self, moves: Iterable[np.ndarray]) -> None:
        for move in moves:
            for j in np.flatnonzero(move):
                if self.known[j]:
                    self.known[j] = False
                    self.newly.add(int(j))
                    self.low[j] = max(self.low[j], min(self.counts.min_cell, self.truth[j]))
            self._witness(move)
            self._witness(-move)

    def _witness(self, move: np.ndarray) -> None:
        """Remember a table that an attacker can't rule out, if it is one."""
        at = np.flatnonzero(move)
        there = self.truth[at] + move[at]
        if (there >= self.low[at]).all() and (there <= self.high[at]).all():
            self.least[at] = np.minimum(self.least[at], there)
            self.most[at] = np.maximum(self.most[at], there)

    def _move(self, i: int, step: float) -> np.ndarray | None:
        """The cheapest whole change of the table in which count ``i`` moves by ``step``, or None.

        Looked for among the counts nearby first; a change found there is as good a proof as any.
        """
        tried = -1
        for hops, near in ((2, NEAR), (4, NEAR), (None, None)):
            cells, rows = self._around(i, hops, near)
            if len(cells) == tried:
                continue
            tried = len(cells)
            move = self._solve(i, step, cells, rows)
            if move is not None:
                return move
        return None

    def _around(self, i: int, hops: int | None, near: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Counts that may move, and the sums they stand in.

        At most ``hops`` sums away from count ``i``, and of each sum at most ``near`` hidden and ``near`` shown
        counts, the cheapest, beside its whole.
        """
        reached, rows, ring = {i}, set(), {i}
        while ring and (hops is None or hops > 0):
            fresh = {row for cell in ring for row in self.of_cell.get(cell, ())} - rows
            rows |= fresh
            ring = {int(j) for row in fresh for j in self._movable(row, near)} - reached
            reached |= ring
            hops = None if hops is None else hops - 1
        cells = [j for j in reached if all(row in rows for row in self.of_cell.get(j, ()))]
        return np.array(sorted({i, *cells})), np.array(sorted(rows))

    def _movable(self, row: int, near: int | None) -> np.ndarray:
        inside = self.counts.sums[row][0]
        shown = self.known[inside]
        hidden, movable = inside[~shown], inside[shown & np.isfinite(self.cost[inside])]
        if near is None:
            return np.concatenate([hidden, movable])
        room = self.high[hidden] - self.low[hidden]
        hidden = hidden[np.argsort(-room, kind="stable")[:near]]
        cheap = movable[np.argsort(self.cost[movable], kind="stable")[:near]]
        whole = inside[:1][~shown[:1] | np.isfinite(self.cost[inside[:1]])]
        return np.concatenate([hidden, cheap, whole])

    def _solve(self, i: int, step: float, cells: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import hstack

        matrix = self.matrix[rows][:, cells]
        shown = self.known[cells]
        price = np.where(shown, self.cost[cells], 1e-3)
        floor = np.where(shown, np.minimum(self.counts.min_cell, self.truth[cells]), self.low[cells])
        fall = np.maximum(self.truth[cells] - floor, 0)
        rise = np.where(shown, np.inf, np.maximum(self.high[cells] - self.truth[cells], 0))
        fixed = shown & ~np.isfinite(price)
        price, fall, rise = (np.where(fixed, 0, each) for each in (price, fall, rise))
        n, target = len(cells), int(np.searchsorted(cells, i))
        low, high = np.zeros(2 * n), np.append(rise, fall)
        for position, amount in ((target, max(step, 0.0)), (n + target, max(-step, 0.0))):
            low[position] = high[position] = amount
        zero = np.zeros(len(rows))
        for whole in (False, True):
            found = milp(
                np.append(price, price),
                integrality=np.full(2 * n, int(whole)),
                bounds=Bounds(low, high),
                constraints=LinearConstraint(hstack([matrix, -matrix]), zero, zero),
                options={"time_limit": 20.0},
            )
            if found.x is None:
                return None
            change = found.x[:n] - found.x[n:]
            if np.abs(change - np.round(change)).max() <= WHOLE:
                move = np.zeros(len(self.truth))
                move[cells] = np.round(change)
                return move
        return None


def _matrix(sums: Sequence[tuple[np.ndarray, np.ndarray]], n: int):
    """The signs of counts in sums, a row a sum."""
    from scipy.sparse import csr_array

    rows = np.repeat(np.arange(len(sums)), [len(cells) for cells, _ in sums])
    cells = np.concatenate([cells for cells, _ in sums] or [np.empty(0, dtype=int)])
    signs = np.concatenate([signs for _, signs in sums] or [np.empty(0)])
    return csr_array((signs, (rows, cells)), shape=(len(sums), n))
