"""A table on its way through the gate: the true frame beside what of it is hidden, and why."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from cobench.errors import IdentifierFoundError, ReleaseError
from cobench.release import ledger
from cobench.release.identifiers import scan_text
from cobench.release.released import SEAL, Released, Rules
from cobench.release.structure import Counted, Key, Registered, Shown, Sum, system
from cobench.release.suppression import suppress

PERSONAL_COLUMNS = {"student", "student_name", "student_number", "name_key", "guardian", "phone", "openid"}
Shares = Mapping[str, tuple[str | None, str]]


class Draft:
    """The true frame, the marks of what is hidden, and the counts and sums that readers may reckon with."""

    def __init__(
        self, frame: pd.DataFrame, min_cell: int | None, counted: Counted | None = None, title: str = ""
    ):
        self.true = frame.reset_index(drop=True)
        self.min_cell = min_cell
        self.marks = pd.DataFrame("", index=self.true.index, columns=self.true.columns, dtype=object)
        self.totals: list[dict] = []
        self.counted, self.title = counted, title
        refuse_personal(self.true)
        if counted is not None:
            self.require([name for name in counted.by])

    def require(self, columns: Iterable[str]) -> None:
        absent = [column for column in columns if column not in self.true]
        if absent:
            raise ReleaseError(
                en=f"no column {', '.join(absent)} in the table; it has {', '.join(map(str, self.true))}",
                zh=f"表中没有列 {'、'.join(absent)}；现有列：{'、'.join(map(str, self.true))}",
            )

    def numbers(self, column: str) -> pd.Series:
        """A column as float."""
        return pd.to_numeric(self.true[column]).astype("float64")

    def below(self, columns: Sequence[str]) -> pd.DataFrame:
        return pd.DataFrame({column: ~(self.numbers(column) >= self.min_cell) for column in columns})

    def hide(self, column: str, rows: pd.Series | np.ndarray, mark: str) -> None:
        rows = np.asarray(rows, dtype=bool) & (self.marks[column] == "").to_numpy()
        self.marks[column] = self.marks[column].mask(rows, mark)

    def hide_share(self, share: str, numerator: str | None, denominator: str) -> None:
        """Hide a share (and its numerator) next to 0 or 1, leaving the bound that readers may know."""
        self.require([share, denominator, *([numerator] if numerator else [])])
        whole, part = self.numbers(denominator), self._part(share, numerator, denominator)
        enough = whole >= self.min_cell
        few, rest_few = part < self.min_cell - 0.5, whole - part < self.min_cell - 0.5
        reach = (self.min_cell - 1) / whole.where(enough)
        for row in self.true.index[enough & (few | rest_few)]:
            both = few[row] and rest_few[row]
            top = math.floor(1000 * (1 - reach[row])) / 1000
            mark = "n" if both else (f"≤{math.ceil(1000 * reach[row]) / 1000}" if few[row] else f"≥{top}")
            self.marks.loc[row, share] = self.marks.loc[row, share] or mark
        self.hide(share, ~enough, "n")
        if numerator:
            self.hide(numerator, few | ~enough, "<")
            self.hide(numerator, rest_few, "x")

    def _part(self, share: str, numerator: str | None, denominator: str) -> pd.Series:
        if numerator:
            return self.numbers(numerator)
        return self.numbers(share) * self.numbers(denominator)

    def hide_parts(self, adds_up: Mapping[str, Sequence[str]]) -> None:
        """Hide the small ones among parts that add up to a whole."""
        parts = [part for each in adds_up.values() for part in each]
        self.require(parts)
        for part in parts:
            self.hide(part, self.below([part])[part], "<")

    def protect(
        self,
        counts: Sequence[str],
        *,
        shares: Shares | None = None,
        adds_up: Mapping[str, Sequence[str]] | None = None,
        nested: Sequence[tuple[str, str]] = (),
        margins: Sequence[Sequence[str]] = (),
        falling: bool = False,
    ) -> None:
        """Hide further counts until no small one can be worked out; keep the totals that may be printed."""
        book = _Book(self, shares or {}, adds_up or {}, nested, margins, falling)
        if ledger.planning():  # an earlier plan must not enter a new one
            ledger.record(book.registered(counts))
            return
        book.hide(book.planned())
        found = suppress(system([book.registered(counts)], self.min_cell))
        if found.exposed:
            raise ReleaseError(
                en=f"{len(found.exposed)} small counts of the table can be worked out whatever else is hidden; merge "
                "rows or leave a column out",
                zh=f"表中有 {len(found.exposed)} 个小数目无论隐去什么都能被推算出来；请合并行或去掉某列",
            )
        book.hide(found.hide)
        self.totals = book.totals(counts)
        ledger.record(book.registered(counts))

    def released(self, *, kind: str, title: str, note: str, about: str = "people") -> Released:
        hidden = self.marks != ""
        secondary = int((self.marks == "x").to_numpy().sum())
        rules = Rules(self.min_cell, int(hidden.to_numpy().sum()) - secondary, secondary)
        frame = pd.DataFrame({c: blank(self.true[c], hidden[c]) for c in self.true.columns})
        totals = pd.DataFrame(self.totals) if self.totals else no_totals()
        return Released(kind, about, frame, hidden, self.marks, totals, rules, title, note, seal=SEAL)


class _Book:
    """The counts of a draft under their keys, and back."""

    def __init__(
        self,
        draft: Draft,
        shares: Shares,
        adds_up: Mapping[str, Sequence[str]],
        nested: Sequence[tuple[str, str]],
        margins: Sequence[Sequence[str]],
        falling: bool,
    ):
        self.draft, self.shares, self.adds_up = draft, shares, adds_up
        self.nested, self.margins, self.falling = nested, margins, falling
        self.hidden_margins: set[Key] = set()
        self.cells = self._cells()
        self.population = draft.counted.population if draft.counted else self._own_population()
        draft.require([name for margin in margins for name in margin])

    def _cells(self) -> list[tuple[tuple[str, str], ...]]:
        draft = self.draft
        records = draft.true.to_dict("records")
        if draft.counted is not None:
            cells = [draft.counted.cell(row) for row in records]
            if len(set(cells)) < len(cells):
                raise ReleaseError(
                    en=f"rows of the table are not told apart by {', '.join(draft.counted.by) or 'anything'}",
                    zh=f"表中的行不能由 {'、'.join(draft.counted.by) or '任何列'} 区分",
                )
            return cells
        names = sorted({name for margin in self.margins for name in margin})
        return [
            tuple(sorted([*((name, str(row[name])) for name in names), ("row", str(i))]))
            for i, row in enumerate(records)
        ]

    def _own_population(self) -> str:
        content = self.draft.true.to_csv(index=False) + repr((self.margins, self.adds_up, self.nested))
        return "table " + hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:16]

    def registered(self, counts: Sequence[str]) -> Registered:
        """The table's counts as they stand now."""
        shown, sums = {}, []
        for column in dict.fromkeys([*counts, *self.adds_up, *(p for ps in self.adds_up.values() for p in ps),
                                     *(c for pair in self.nested for c in pair)]):  # fmt: skip
            shown |= self._column(column)
        for share, (numerator, denominator) in self.shares.items():
            column = numerator or f"{share} of {denominator}"
            shown = self._column(denominator) | shown
            shown |= self._numerator(share, numerator, denominator, column, shown)
            sums += self._sums(denominator, (column,), shown, rest=f"not {column}", told=True)
        for whole, parts in self.adds_up.items():
            sums += self._sums(whole, tuple(parts), shown, rest="rest", all_of_it=len(parts) > 1)
        for part, whole in self.nested:
            sums += self._sums(whole, (part,), shown, rest=f"only without {part}", all_of_it=True)
        if self.falling:
            sums += [each for column in counts for each in self._falls(column, shown)]
        sums += self._within(shown)
        for column in counts:
            shown |= self._margins(column)
        return Registered(self.draft.title, tuple(shown.values()), tuple(sums))

    def _key(self, column: str, row: int) -> Key:
        return (self.population, column, self.cells[row])

    def _column(self, column: str) -> dict[Key, Shown]:
        numbers, marks = self.draft.numbers(column), self.draft.marks[column]
        return {
            (key := self._key(column, row)): self._shown(key, numbers[row], marks[row] == "")
            for row in self.draft.true.index
            if numbers[row] == numbers[row]
        }

    def _shown(self, key: Key, value: float, known: bool) -> Shown:
        small = round(value) < self.draft.min_cell
        low, high = (0.0, self.draft.min_cell - 1.0) if small else (float(self.draft.min_cell), math.inf)
        return Shown(key, round(value), known and not small, low, high, small)

    def _numerator(
        self, share: str, numerator: str | None, denominator: str, column: str, shown: dict
    ) -> dict[Key, Shown]:
        """A numerator is known where it is printed or where its share is, beside a printed denominator."""
        numbers, marks = self.draft._part(share, numerator, denominator), self.draft.marks
        found = {}
        for row in self.draft.true.index:
            if numbers[row] != numbers[row]:
                continue
            key = self._key(column, row)
            printed = bool(numerator) and marks.loc[row, numerator] == ""
            told = marks.loc[row, share] == "" and marks.loc[row, denominator] == ""
            found[key] = self._shown(
                key, numbers[row], printed or told or (key in shown and shown[key].known)
            )
        return found

    def _sums(self, whole: str, parts: tuple[str, ...], shown: dict, *, rest: str, **how: bool) -> list[Sum]:
        return [
            Sum(key, known, rest, **how)
            for row in self.draft.true.index
            if (key := self._key(whole, row)) in shown
            and (known := tuple(each for part in parts if (each := self._key(part, row)) in shown))
        ]

    def _falls(self, column: str, shown: dict) -> list[Sum]:
        """Every row holds all children of the rows below it."""
        keys = [key for row in self.draft.true.index if (key := self._key(column, row)) in shown]
        return [
            Sum(before, (after,), f"lost before {i}", all_of_it=True)
            for i, (before, after) in enumerate(combinations(keys, 2))
            if shown[before].value >= shown[after].value
        ]

    def _within(self, shown: dict) -> list[Sum]:
        """Columns that lie within those of other tables."""
        counted, found = self.draft.counted, []
        for inside, links in ((True, counted.within), (False, counted.around)) if counted else ():
            for column, (population, other, names) in links.items():
                for row in self.draft.true.index:
                    key = self._key(column, row)
                    there = (population, other, tuple(pair for pair in self.cells[row] if pair[0] in names))
                    if key in shown:
                        whole, part = (there, key) if inside else (key, there)
                        found.append(Sum(whole, (part,), "rest", all_of_it=True))
        return found

    def _margins(self, column: str) -> dict[Key, Shown]:
        found: dict[Key, Shown] = {}
        numbers = self.draft.numbers(column).fillna(0)
        for margin in self.margins:
            groups: dict[tuple, float] = {}
            fixed = dict(self.draft.counted.at) if self.draft.counted else {}
            for row, cell in enumerate(self.cells):
                at = tuple(pair for pair in cell if pair[0] in margin or pair[0] in fixed)
                groups[at] = groups.get(at, 0) + numbers[row]
            for at, total in groups.items():
                key = (self.population, column, at)
                found[key] = self._shown(key, total, key not in self.hidden_margins)
        return found

    def planned(self) -> list[Key]:
        """What was decided to be hidden over the whole term, of the counts of this table."""
        plan = self.draft.counted.planned if self.draft.counted else frozenset()
        return [key for key in plan if key[0] == self.population]

    def hide(self, keys: Iterable[Key]) -> None:
        """Hide counts by their keys, with the shares that would give them away."""
        row_of = {cell: row for row, cell in enumerate(self.cells)}
        virtual = {f"{share} of {d}": share for share, (numerator, d) in self.shares.items() if not numerator}
        for _, column, cell in keys:
            row = row_of.get(cell)
            if row is None:
                self.hidden_margins.add((self.population, column, cell))
                continue
            at = self.draft.true.index == row
            if column in self.draft.marks:
                self.draft.hide(column, at, "x")
            for share, (numerator, denominator) in self.shares.items():
                if column in (numerator, denominator) or virtual.get(column) == share:
                    self._close(share, at, bound_too=column == denominator)

    def _close(self, share: str, at: np.ndarray, *, bound_too: bool) -> None:
        """Hide a share; its bound too where it would tell the size of its group."""
        if bound_too:
            marks = self.draft.marks[share]
            self.draft.marks[share] = marks.mask(at & marks.str[:1].isin(["≥", "≤"]).to_numpy(), "x")
        self.draft.hide(share, at, "x")

    def totals(self, counts: Sequence[str]) -> list[dict]:
        """Margins that may be printed."""
        return [
            {
                "margin": " ".join(f"{n}={v}" for n, v in cell) or "all",
                "column": column,
                "total": float(each.value),
            }
            for column in counts
            for (_, _, cell), each in self._margins(column).items()
            if each.known
        ]


def blank(column: pd.Series, hidden: pd.Series) -> pd.Series:
    """A column whose hidden cells are missing."""
    if not hidden.any():
        return column
    if pd.api.types.is_bool_dtype(column.dtype):
        column = column.astype("boolean")
    elif pd.api.types.is_integer_dtype(column.dtype):
        column = column.astype("Int64")
    return column.mask(hidden)


def no_totals() -> pd.DataFrame:
    """An empty frame of totals."""
    return pd.DataFrame({"margin": [], "column": [], "total": []})


def refuse_personal(frame: pd.DataFrame) -> None:
    """Raise where a column, or a text in one, identifies people."""
    personal = sorted(PERSONAL_COLUMNS & {str(column) for column in frame.columns})
    if personal:
        raise IdentifierFoundError(
            en=f"column {', '.join(personal)} identifies people and can't be released; aggregate first",
            zh=f"列 {'、'.join(personal)} 会识别到个人，不能发布；请先汇总",
        )
    for column in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[column]):
            found = scan_text("\n".join(map(str, frame[column].dropna().unique())))
            refuse(found, where=f"column {column}", where_zh=f"列 {column}")


def refuse(found: list, *, where: str, where_zh: str) -> None:
    """Raise if identifiers were found."""
    if found:
        kinds = ", ".join(sorted({each.kind for each in found}))
        raise IdentifierFoundError(
            en=f"{where} holds {len(found)} identifiers ({kinds}) and can't be released",
            zh=f"{where_zh}含有 {len(found)} 处个人标识（{kinds}），不能发布",
        )
