"""Which children a table counts, and how its counts hang together with those of other tables.

A count is known by its population, its column and its cell (``school=S01``), so that the same count in two tables
is one count. From the tables registered follow the sums: parts of a row, shares of a group, groups within groups,
classes within schools within the district.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from cobench.release.suppression import Counts, hiding_cost

COARSER = 4.0  # how much dearer a count is to hide for every dimension that it sums over
Key = tuple[str, str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Counted:
    """What the rows of a table count.

    Parameters
    ----------
    population : str
        Name under which the same children are counted in other tables (``reach``, ``lectures``).
    by : column names
        Columns that tell the rows apart; each row is one cell of the population.
    at : mapping
        What all rows share (``{"school": "S01"}``).
    within : ``{column: (population, column, dimensions)}``
        Columns that count some (or all) of the children of another table's column in the same cell, told by these
        dimensions; the difference is a count too.
    around : ``{column: (population, column, dimensions)}``
        The other way round: columns that count all the children of another table's column, and more.
    planned : keys of counts that were decided to be hidden over the whole term (:mod:`cobench.release.ledger`).
    """

    population: str
    by: tuple[str, ...] = ()
    at: Mapping[str, str] = field(default_factory=dict)
    within: Mapping[str, tuple[str, str, tuple[str, ...]]] = field(default_factory=dict)
    around: Mapping[str, tuple[str, str, tuple[str, ...]]] = field(default_factory=dict)
    planned: frozenset[Key] = frozenset()

    def cell(self, row: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
        """The cell of a row, its dimensions in order of their names."""
        named = {**self.at, **{name: row[name] for name in self.by}}
        return tuple(sorted((name, str(value)) for name, value in named.items()))


@dataclass(frozen=True)
class Shown:
    """One count of a registered table: its key, true value, and whether readers see it or what its mark says.

    ``weight`` is how much dearer than another of its size it is to hide.
    """

    key: Key
    value: int
    known: bool
    low: float = 0
    high: float = math.inf
    secret: bool = False
    weight: float = 1.0


@dataclass(frozen=True)
class Sum:
    """``whole`` is the sum of ``parts`` and of a rest.

    ``rest`` names what is left over. A rest of zero is a small count like any other, unless ``all_of_it``: then there
    is no rest. With ``told`` a mark tells readers whether the rest is small.
    """

    whole: Key
    parts: tuple[Key, ...]
    rest: str
    all_of_it: bool = False
    told: bool = False


@dataclass(frozen=True)
class Registered:
    """A table as the ledger knows it: its counts and the sums within it."""

    table: str
    counts: tuple[Shown, ...]
    sums: tuple[Sum, ...]


def system(
    tables: Iterable[Registered], min_cell: int, *, published: Mapping[Key, Sequence[int]] | None = None
) -> Counts:
    """All counts of ``tables`` with their sums, those across tables included.

    Parameters
    ----------
    published : ``{key: values}``
        Counts that readers hold from earlier editions; where still true they are known and can't be hidden.
    """
    counts = Counts(min_cell)
    sums: dict[Sum, None] = {}
    for table in tables:
        for each in table.counts:
            i = counts.add(
                each.key, each.value, known=each.known, low=each.low, high=each.high, secret=each.secret
            )
            counts.cost[i] = max(counts.cost[i], each.weight * hiding_cost(each.value))
        sums.update(dict.fromkeys(table.sums))
    for key, values in (published or {}).items():
        i = counts.place.get(key)
        if i is not None and counts.truth[i] in values:
            counts.known[i], counts.cost[i] = True, math.inf
    for each in sums:
        if each.whole not in counts.place:
            continue  # the other table isn't among these
        if any(part not in counts.place for part in each.parts):
            continue
        parts = [counts.place[part] for part in each.parts]
        whole = counts.place[each.whole]
        if counts.truth[whole] >= sum(counts.truth[part] for part in parts):
            rest = ("rest of", each.whole, (each.rest, each.parts))
            counts.add_sum(whole, parts, rest, all_of_it=each.all_of_it, told=each.told)
    _make_coarse_dear(counts)
    for whole, parts in _across(counts):
        rest = ("rest of", counts.keys[whole], _names(counts.keys[parts[0]]))
        counts.add_sum(whole, parts, rest, all_of_it=True)
    return counts


def _across(counts: Counts) -> list[tuple[int, list[int]]]:
    """Coarser counts with the finer ones that they are made of.

    What the finer ones don't cover is a rest of its own; where they make more than the coarser count, the two count
    different children and there is no sum.
    """
    families: dict[tuple[str, str], dict[tuple[str, ...], list[int]]] = {}
    for i, key in enumerate(counts.keys):
        if _is_count(key):
            families.setdefault(key[:2], {}).setdefault(_names(key), []).append(i)
    found = []
    for levels in families.values():
        for coarse, fine in _nested_levels(levels):
            groups: dict[tuple, list[int]] = {}
            for i in levels[fine]:
                groups.setdefault(_at(counts.keys[i], coarse), []).append(i)
            for whole in levels[coarse]:
                parts = groups.get(_at(counts.keys[whole], coarse), [])
                if parts and sum(counts.truth[part] for part in parts) <= counts.truth[whole]:
                    found.append((whole, parts))
    return found


def _make_coarse_dear(counts: Counts) -> None:
    """A count of the district is worth more to readers than one of a class, so it is hidden later."""
    depth: dict[tuple[str, str], int] = {}
    for key in filter(_is_count, counts.keys):
        depth[key[:2]] = max(depth.get(key[:2], 0), len(key[2]))
    for i, key in enumerate(counts.keys):
        if _is_count(key):
            counts.cost[i] *= COARSER ** (depth[key[:2]] - len(key[2]))


def _nested_levels(levels: Mapping[tuple[str, ...], object]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Pairs of levels of which the second says more than the first."""
    ordered = sorted(levels, key=lambda names: (len(names), names))
    return [(coarse, fine) for coarse, fine in combinations(ordered, 2) if set(coarse) < set(fine)]


def _is_count(key: Hashable) -> bool:
    return isinstance(key, tuple) and len(key) == 3 and isinstance(key[2], tuple) and key[0] != "rest of"


def _names(key: Key) -> tuple[str, ...]:
    return tuple(name for name, _ in key[2])


def _at(key: Key, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in key[2] if pair[0] in names)
