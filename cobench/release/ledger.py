"""The ledger of a term: all released tables together, and what earlier editions have told readers.

Every release is recorded: in memory while the term's tables are planned, in a private file while a report runs. A
count is the same count in every table (:mod:`cobench.release.structure`), so what one table hides and another
shows is found, and so is what follows from several tables together.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cobench.release.structure import Key, Registered, Shown, Sum, system
from cobench.release.suppression import Suppression, suppress

VARIABLE = "COBENCH_LEDGER"
_collected: ContextVar[list[Registered] | None] = ContextVar("collected", default=None)
_planning: ContextVar[bool] = ContextVar("planning", default=False)


@contextmanager
def collecting(*, plan: bool = False) -> Iterator[list[Registered]]:
    """Tables released inside the block, in order.

    With ``plan`` they are taken before any secondary suppression, to be decided upon together.
    """
    tables: list[Registered] = []
    tokens = _collected.set(tables), _planning.set(plan)
    try:
        yield tables
    finally:
        _collected.reset(tokens[0])
        _planning.reset(tokens[1])


def planning() -> bool:
    """Whether tables are only collected, to be decided upon together."""
    return _planning.get()


def is_collecting() -> bool:
    """Whether released tables are collected by a block, so that each has to be released anew in it."""
    return _collected.get() is not None


def record(table: Registered) -> None:
    """Note a released table: for the block that collects, and in the file that a run names."""
    collected = _collected.get()
    if collected is not None:
        collected.append(table)
        return
    path = os.environ.get(VARIABLE)
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(table), ensure_ascii=False) + "\n")


def read_tables(path: Path) -> list[Registered]:
    """Tables that a report released, from its file; none where it released none."""
    if not path.exists():
        return []
    return [_table(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def decide(
    tables: Sequence[Registered], min_cell: int, published: Mapping[Key, Sequence[int]] | None = None
) -> Suppression:
    """What to hide so that all ``tables`` together protect every small count."""
    return suppress(system(tables, min_cell, published=published))


def exposed(
    tables: Sequence[Registered], min_cell: int, published: Mapping[Key, Sequence[int]] | None = None
) -> tuple[Key, ...]:
    """Small counts that a reader of all ``tables`` can pin closer than the protection width."""
    counts = system(tables, min_cell, published=published)
    counts.cost = [np.inf] * len(counts.cost)
    return suppress(counts).exposed


@dataclass(frozen=True)
class Find:
    """Why a report may not be published: small counts ``exposed`` with the others, or small ``changes``."""

    report: str
    exposed: tuple[Key, ...] = ()
    changes: tuple[Key, ...] = ()


def audit(
    reports: Mapping[str, Sequence[Registered]],
    min_cell: int,
    published: Mapping[Key, Sequence[int]] | None = None,
) -> list[Find]:
    """Reports that can't be published with the others, in the order of ``reports``.

    A report is withheld where a count of it differs from an earlier edition by less than the threshold (the
    difference is a count of children), or where it lets a reader pin down a small count together with the reports
    before it and with what was published earlier.
    """
    published = published or {}
    finds, kept = [], {}
    for name, tables in reports.items():
        changes = small_changes(tables, min_cell, published)
        if changes:
            finds.append(Find(name, changes=changes))
        else:
            kept[name] = tables
    if not exposed([t for tables in kept.values() for t in tables], min_cell, published):
        return finds
    safe: list[Registered] = []
    for name, tables in kept.items():
        pinned = exposed([*safe, *tables], min_cell, published)
        if pinned:
            finds.append(Find(name, exposed=pinned))
        else:
            safe += tables
    order = list(reports)
    return sorted(finds, key=lambda find: order.index(find.report))


def small_changes(
    tables: Iterable[Registered], min_cell: int, published: Mapping[Key, Sequence[int]]
) -> tuple[Key, ...]:
    """Printed counts that differ from an earlier edition by less than the threshold."""
    return tuple(
        dict.fromkeys(
            each.key
            for table in tables
            for each in table.counts
            if each.known and any(0 < abs(each.value - old) < min_cell for old in published.get(each.key, ()))
        )
    )


def read_published(path: Path) -> dict[Key, tuple[int, ...]]:
    """Counts that readers hold: key to the values printed in editions that were not withdrawn."""
    if not path.exists():
        return {}
    stored = json.loads(path.read_text(encoding="utf-8"))
    return {_key(key): tuple(values) for key, values in stored["counts"]}


def with_edition(
    published: Mapping[Key, Sequence[int]], tables: Iterable[Registered]
) -> dict[Key, tuple[int, ...]]:
    """``published`` with what a new edition prints."""
    joined = {key: tuple(values) for key, values in published.items()}
    for table in tables:
        for each in table.counts:
            if each.known and each.value not in joined.get(each.key, ()):
                joined[each.key] = (*joined.get(each.key, ()), each.value)
    return joined


def published_text(published: Mapping[Key, Sequence[int]]) -> str:
    """The file that :func:`read_published` reads."""
    counts = [[_plain(key), list(values)] for key, values in published.items()]
    return json.dumps({"counts": sorted(counts)}, ensure_ascii=False)


def plan_list(keys: Iterable[Key]) -> list[list]:
    """Keys of hidden counts as JSON can hold them; no value among them."""
    return sorted(_plain(key) for key in keys if key[0] != "rest of")


def plan_keys(stored: Iterable[Sequence]) -> frozenset[Key]:
    """Keys that :func:`plan_list` made plain."""
    return frozenset(map(_key, stored))


def _plain(key: Key) -> list:
    return [key[0], key[1], [list(pair) for pair in key[2]]]


def _key(stored: Sequence) -> Key:
    population, column, cell = stored
    return (population, column, tuple((name, value) for name, value in cell))


def _table(stored: Mapping) -> Registered:
    counts = tuple(Shown(**{**each, "key": _key(each["key"])}) for each in stored["counts"])
    sums = tuple(
        Sum(**{**each, "whole": _key(each["whole"]), "parts": tuple(map(_key, each["parts"]))})
        for each in stored["sums"]
    )
    return Registered(stored["table"], counts, sums)
