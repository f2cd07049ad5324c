"""The one type that may be shown or exported: a table whose small cells have been dealt with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from cobench.errors import ReleaseError

SEAL = object()  # known to cobench.release only: a Released can't be made by hand


@dataclass(frozen=True)
class Rules:
    """What was applied: the threshold, and how many cells each rule hid."""

    min_cell: int | None
    hidden_primary: int = 0
    hidden_secondary: int = 0


@dataclass(frozen=True)
class Released:
    """A table, the data of a figure, or a text that may leave the study.

    ``frame`` holds the values with hidden cells missing; ``hidden`` (bool) and ``marks`` (text) have its
    shape. A mark is ``""`` (shown), ``"<"`` (a count below the threshold), ``"n"`` (a value that rests on
    such a count), ``"x"`` (hidden so that another can't be worked out), or a bound such as ``"≥0.925"``.
    ``true_totals`` (``margin, column, total``) are totals over all cells, hidden ones included.
    ``about`` says what is counted: ``people``, or things (``files``, ``rules``, ``events``, ``design``).
    """

    kind: str
    about: str
    frame: pd.DataFrame
    hidden: pd.DataFrame
    marks: pd.DataFrame
    true_totals: pd.DataFrame
    rules: Rules
    title: str = ""
    note: str = ""
    text: str = ""
    seal: object = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not SEAL:
            raise ReleaseError(
                en="a Released object is made by release_table, release_counts, release_estimates, "
                "release_bins, release_aggregate or release_text, never by hand",
                zh="Released 对象只能由 release_table、release_counts、release_estimates、release_bins、"
                "release_aggregate 或 release_text 生成，不能直接构造",
            )

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        rows, columns = self.frame.shape
        return f"Released({self.kind}, {rows} x {columns}, {self.n_hidden} cells hidden)"

    @property
    def n_hidden(self) -> int:
        """Number of hidden cells."""
        return int(self.hidden.to_numpy().sum())

    def where(self, condition: pd.Series | Callable[[pd.DataFrame], pd.Series]) -> Released:
        """The rows for which ``condition`` (a mask, or a function of the frame) holds."""
        mask = condition(self.frame) if callable(condition) else condition
        rows = pd.Series(mask, index=self.frame.index).fillna(False).astype(bool)
        return self._rows(self.frame.index[rows])

    def head(self, n: int) -> Released:
        """The first ``n`` rows."""
        return self._rows(self.frame.index[:n])

    def sorted(self, by: str | Sequence[str], ascending: bool | Sequence[bool] = True) -> Released:
        """The rows in order of ``by``; hidden values come last."""
        return self._rows(self.frame.sort_values(by, ascending=ascending, kind="stable").index)

    def pick(self, columns: Sequence[str]) -> Released:
        """Only ``columns``, in this order."""
        columns = list(columns)
        return replace(
            self, frame=self.frame[columns], hidden=self.hidden[columns], marks=self.marks[columns]
        )

    def rename(self, names: dict[str, str]) -> Released:
        """The same table with columns renamed."""
        return replace(
            self,
            frame=self.frame.rename(columns=names),
            hidden=self.hidden.rename(columns=names),
            marks=self.marks.rename(columns=names),
        )

    def titled(self, title: str | None = None, note: str | None = None) -> Released:
        """The same table under another title or note."""
        return replace(
            self,
            title=self.title if title is None else title,
            note=self.note if note is None else note,
        )

    def cells(self) -> list[list[object]]:
        """Rows of cells for an export: values, ``None`` where missing, a readable mark where hidden."""
        rows = []
        for values, marks in zip(
            self.frame.itertuples(index=False, name=None),
            self.marks.itertuples(index=False, name=None),
            strict=True,
        ):
            rows.append([self._cell(value, mark) for value, mark in zip(values, marks, strict=True)])
        return rows

    def _cell(self, value: object, mark: str) -> object:
        if mark:
            return readable_mark(mark, self.rules.min_cell)
        return None if pd.isna(value) else value

    def _rows(self, index: pd.Index) -> Released:
        return replace(
            self,
            frame=self.frame.loc[index].reset_index(drop=True),
            hidden=self.hidden.loc[index].reset_index(drop=True),
            marks=self.marks.loc[index].reset_index(drop=True),
        )


def readable_mark(mark: str, min_cell: int | None) -> str:
    """A mark as a reader of an export sees it."""
    return {"<": f"<{min_cell}", "n": f"n<{min_cell}", "x": "*"}.get(mark, mark)


def require_released(thing: object) -> Released:
    """``thing`` itself if it is :class:`Released`.

    Raises
    ------
    ReleaseError
        Otherwise, with the way out.
    """
    if isinstance(thing, Released):
        return thing
    what = type(thing).__name__
    raise ReleaseError(
        en=f"a {what} is not released: pass it through cobench.release (release_table, release_counts, "
        "release_estimates, release_bins or release_aggregate) first",
        zh=f"{what} 尚未通过发布检查：请先用 cobench.release 中的 release_table、release_counts、"
        "release_estimates、release_bins 或 release_aggregate 处理",
    )
