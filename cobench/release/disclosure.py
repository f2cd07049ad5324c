"""The release gate: no cell that rests on fewer than ``min_cell`` children, in any arm, is shown.

The rule is a threshold with complementary suppression (Hundepool et al., *Statistical Disclosure Control*,
2012, ch. 4): small cells are hidden first, then further ones wherever a printed total would give them away.
Zero is a small count too.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from cobench.errors import IdentifierFoundError, ReleaseError
from cobench.release.complementary import hide_complements
from cobench.release.identifiers import scan_text
from cobench.release.released import SEAL, Released, Rules

__all__ = [
    "Released",
    "Rules",
    "release_aggregate",
    "release_counts",
    "release_estimates",
    "release_table",
    "release_text",
]

THINGS = ("files", "rules", "events", "design")
PERSONAL_COLUMNS = {"student", "student_name", "student_number", "name_key", "guardian", "phone", "openid"}
ESTIMATE_NUMBERS = (
    "estimate",
    "std_error",
    "df",
    "p_value",
    "p_adjusted",
    "conf_low",
    "conf_high",
    "effect_size",
    "n_obs",
    "n_treated",
    "n_clusters",
    "n_treated_clusters",
    "ess",
)


def release_table(
    frame: pd.DataFrame,
    *,
    counts: str | Sequence[str],
    values: Sequence[str] | None = None,
    shares: Mapping[str, tuple[str | None, str]] | None = None,
    adds_up: Mapping[str, Sequence[str]] | None = None,
    margins: Sequence[Sequence[str]] = (),
    min_cell: int = 10,
    title: str = "",
    note: str = "",
    kind: str = "table",
) -> Released:
    """Release a table whose rows rest on counts of people.

    Parameters
    ----------
    frame : DataFrame
        One row a group.
    counts : column or columns
        Number of people a row rests on, or of each arm. A row with one of them below ``min_cell`` (zero and
        missing included) loses these counts and its ``values``.
    values : columns, optional
        What is hidden in such a row; by default every numeric column.
    shares : ``{share: (numerator, denominator)}``, optional
        Where the numerator or its complement is small, the numerator and the share are hidden and the share
        carries the bound that "fewer than ``min_cell``" implies. ``numerator`` None: taken from the share.
    adds_up : ``{whole: parts}``, optional
        Parts that add up to a printed whole in each row.
    margins : sequence of column tuples
        Totals of ``counts`` that are printed, ``()`` being the grand total; kept in ``true_totals``.
    min_cell : int
        The threshold.

    Raises
    ------
    ReleaseError
        If a named column is absent.
    IdentifierFoundError
        If the frame holds identifiers of people.
    """
    draft = _Draft(frame, min_cell)
    counts = [counts] if isinstance(counts, str) else list(counts)
    shares = dict(shares or {})
    adds_up = {whole: list(parts) for whole, parts in (adds_up or {}).items()}
    draft.require([*counts, *(values or []), *shares, *adds_up])
    small = draft.below(counts).any(axis=1)
    numeric = [c for c in frame if pd.api.types.is_numeric_dtype(frame[c]) and c not in counts]
    for column in numeric if values is None else values:
        draft.hide(column, small, "n")
    for column in counts:
        draft.hide(column, draft.below([column])[column], "<")
    for share, (numerator, denominator) in shares.items():
        draft.hide_share(share, numerator, denominator)
    draft.complement(counts, margins, adds_up, other_values=list(shares))
    return draft.released(kind=kind, title=title, note=note)


def release_counts(
    frame: pd.DataFrame,
    *,
    counts: str | Sequence[str],
    margins: Sequence[Sequence[str]] = ((),),
    adds_up: Mapping[str, Sequence[str]] | None = None,
    min_cell: int = 10,
    title: str = "",
    note: str = "",
    kind: str = "table",
) -> Released:
    """Release a table of counts of people: each count cell stands or is hidden by itself.

    Parameters are those of :func:`release_table`; by default the grand total is printed and protected.
    """
    draft = _Draft(frame, min_cell)
    counts = [counts] if isinstance(counts, str) else list(counts)
    adds_up = {whole: list(parts) for whole, parts in (adds_up or {}).items()}
    draft.require([*counts, *adds_up])
    for column in counts:
        draft.hide(column, draft.below([column])[column], "<")
    draft.complement(counts, margins, adds_up, other_values=[])
    return draft.released(kind=kind, title=title, note=note)


def release_estimates(
    estimates: pd.DataFrame, *, min_cell: int = 10, title: str = "", note: str = ""
) -> Released:
    """Release a frame of estimates: a row with a small arm keeps what was asked and loses every number.

    A row is small where ``n_obs``, ``n_treated`` or ``n_obs - n_treated`` is below ``min_cell``. Subgroup
    families (``sex=f``, ``sex=m``) of which one level is hidden lose a second one.
    """
    draft = _Draft(estimates, min_cell)
    draft.require(["n_obs", "n_treated"])
    n_obs = pd.to_numeric(estimates["n_obs"]).astype("float64")
    n_treated = pd.to_numeric(estimates["n_treated"]).astype("float64")
    answered = ~_column(estimates, "status", "ok").eq("not_estimable") | n_obs.notna()
    small = ~(n_obs >= min_cell) | (n_treated < min_cell) | (n_obs - n_treated < min_cell)
    small &= answered
    beside = _complementary_subgroups(estimates, small, n_obs) & ~small
    for column in [c for c in ESTIMATE_NUMBERS if c in estimates]:
        draft.hide(column, small & estimates[column].notna(), "n")
        draft.hide(column, beside & estimates[column].notna(), "x")
    return draft.released(kind="table", title=title, note=note)


def release_aggregate(frame: pd.DataFrame, *, about: str, title: str = "", note: str = "") -> Released:
    """Release counts of things (``files``, ``rules``, ``events``) or properties of the ``design``.

    The threshold protects people, so it does not apply; columns that identify people are refused.
    """
    if about not in THINGS:
        raise ReleaseError(
            en=f"about={about!r}: release_aggregate takes {', '.join(THINGS)}; tables about people "
            "go through release_table or release_counts",
            zh=f"about={about!r}：release_aggregate 只接受 {'、'.join(THINGS)}；涉及人的表请用 release_table "
            "或 release_counts",
        )
    return _Draft(frame, None).released(kind="table", title=title, note=note, about=about)


def release_text(text: str, *, names: Collection[str] = (), exclude: Collection[str] = ()) -> Released:
    """Release a text in which no identifier is found."""
    _refuse(scan_text(text, names=names, exclude=exclude), where="the text", where_zh="文本")
    none = pd.DataFrame()
    return Released("text", "people", none, none, none, _no_totals(), Rules(None), text=text, seal=SEAL)


class _Draft:
    """A table on its way through the gate: the true frame beside what of it is hidden, and why."""

    def __init__(self, frame: pd.DataFrame, min_cell: int | None):
        self.true = frame.reset_index(drop=True)
        self.min_cell = min_cell
        self.marks = pd.DataFrame("", index=self.true.index, columns=self.true.columns, dtype=object)
        self.totals: list[dict] = []
        _refuse_personal(self.true)

    def require(self, columns: Sequence[str]) -> None:
        absent = [column for column in columns if column not in self.true]
        if absent:
            raise ReleaseError(
                en=f"no column {', '.join(absent)} in the table; it has {', '.join(map(str, self.true))}",
                zh=f"表中没有列 {'、'.join(absent)}；现有列：{'、'.join(map(str, self.true))}",
            )

    def below(self, columns: Sequence[str]) -> pd.DataFrame:
        numbers = self.true[list(columns)].apply(pd.to_numeric).astype("float64")
        return ~(numbers >= self.min_cell)

    def hide(self, column: str, rows: pd.Series | np.ndarray, mark: str) -> None:
        rows = np.asarray(rows, dtype=bool) & (self.marks[column] == "").to_numpy()
        self.marks[column] = self.marks[column].mask(rows, mark)

    def hide_share(self, share: str, numerator: str | None, denominator: str) -> None:
        """Hide a share (and its numerator) next to 0 or 1, leaving the bound that readers may know."""
        self.require([denominator, *([numerator] if numerator else [])])
        whole = pd.to_numeric(self.true[denominator]).astype("float64")
        ratio = pd.to_numeric(self.true[share]).astype("float64")
        part = pd.to_numeric(self.true[numerator]).astype("float64") if numerator else ratio * whole
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

    def complement(
        self,
        counts: Sequence[str],
        margins: Sequence[Sequence[str]],
        adds_up: Mapping[str, Sequence[str]],
        other_values: Sequence[str],
    ) -> None:
        """Repeat complementary suppression over all margins until nothing more has to go."""
        for _ in range(len(self.true) * max(len(self.true.columns), 1) + 1):
            before = (self.marks != "").to_numpy().sum()
            for whole, parts in adds_up.items():
                self._in_rows(whole, parts)
            self.totals = [
                total
                for column in counts
                for margin in margins
                for total in self._in_column(column, list(margin), other_values)
            ]
            if (self.marks != "").to_numpy().sum() == before:
                return

    def _in_column(self, column: str, margin: list[str], values: Sequence[str]) -> list[dict]:
        groups = self.true.groupby(margin, sort=False, dropna=False).indices if margin else {"": None}
        totals = []
        for key, rows in groups.items():
            rows = np.arange(len(self.true)) if rows is None else rows
            numbers = pd.to_numeric(self.true[column].iloc[rows]).fillna(0).to_numpy(dtype=float)
            marks = self.marks[column].iloc[rows].to_numpy()
            secondary, safe = hide_complements(numbers, marks == "<", marks == "x", self.min_cell)
            hidden = np.zeros(len(self.true), dtype=bool)
            hidden[rows[secondary]] = True
            self.hide(column, hidden, "x")
            for value in values:
                self.hide(value, hidden, "x")
            if safe and numbers.sum() >= self.min_cell:
                name = " ".join(f"{c}={k}" for c, k in zip(margin, np.atleast_1d(key), strict=False))
                totals.append({"margin": name or "all", "column": column, "total": numbers.sum()})
        return totals

    def _in_rows(self, whole: str, parts: Sequence[str]) -> None:
        self.require(parts)
        for row in self.true.index:
            if self.marks.loc[row, whole]:
                for part in parts:
                    self.hide(part, self.true.index == row, "x")
                continue
            for part in parts:
                self.hide(part, (self.true.index == row) & self.below([part])[part], "<")
            listed = pd.to_numeric(self.true.loc[row, list(parts)]).fillna(0).to_numpy(dtype=float)
            marks = self.marks.loc[row, list(parts)].to_numpy()
            rest = float(self.true.loc[row, whole]) - listed.sum()
            numbers = np.append(listed, rest) if rest > 0 or len(parts) == 1 else listed
            primary = np.append(marks == "<", rest < self.min_cell)[: len(numbers)]
            done = np.append(marks == "x", False)[: len(numbers)]
            secondary, safe = hide_complements(numbers, primary, done, self.min_cell)
            for i, part in enumerate(parts):
                if secondary[i]:
                    self.hide(part, self.true.index == row, "x")
            if not safe:
                self.hide(whole, self.true.index == row, "x")

    def released(self, *, kind: str, title: str, note: str, about: str = "people") -> Released:
        hidden = self.marks != ""
        secondary = int((self.marks == "x").to_numpy().sum())
        rules = Rules(self.min_cell, int(hidden.to_numpy().sum()) - secondary, secondary)
        frame = pd.DataFrame({c: _blank(self.true[c], hidden[c]) for c in self.true.columns})
        totals = pd.DataFrame(self.totals) if self.totals else _no_totals()
        return Released(kind, about, frame, hidden, self.marks, totals, rules, title, note, seal=SEAL)


def _blank(column: pd.Series, hidden: pd.Series) -> pd.Series:
    if not hidden.any():
        return column
    if pd.api.types.is_bool_dtype(column.dtype):
        column = column.astype("boolean")
    elif pd.api.types.is_integer_dtype(column.dtype):
        column = column.astype("Int64")
    return column.mask(hidden)


def _no_totals() -> pd.DataFrame:
    return pd.DataFrame({"margin": [], "column": [], "total": []})


def _column(frame: pd.DataFrame, name: str, default: object) -> pd.Series:
    return frame[name] if name in frame else pd.Series(default, index=frame.index)


def _complementary_subgroups(estimates: pd.DataFrame, small: pd.Series, n_obs: pd.Series) -> pd.Series:
    """Rows to hide because exactly one other level of their subgroup family is hidden."""
    beside = pd.Series(False, index=estimates.index)
    subgroup = _column(estimates, "subgroup", "").fillna("").astype(str)
    family = subgroup.str.extract(r"^(.*?)\s*(?:=|==)[^=]*$")[0]
    question = ["term", "population", "treatment", "contrast", "at", "outcome", "estimand", "method"]
    keys = [_column(estimates, name, "").astype(str).fillna("") for name in question]
    for rows in estimates.index.to_series().groupby([family, *keys], dropna=True).groups.values():
        if small[rows].sum() == 1 and len(rows) > 1:
            beside[n_obs[rows][~small[rows]].idxmin()] = True
    return beside


def _refuse_personal(frame: pd.DataFrame) -> None:
    personal = sorted(PERSONAL_COLUMNS & {str(column) for column in frame.columns})
    if personal:
        raise IdentifierFoundError(
            en=f"column {', '.join(personal)} identifies people and can't be released; aggregate first",
            zh=f"列 {'、'.join(personal)} 会识别到个人，不能发布；请先汇总",
        )
    for column in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[column]):
            found = scan_text("\n".join(map(str, frame[column].dropna().unique())))
            _refuse(found, where=f"column {column}", where_zh=f"列 {column}")


def _refuse(found: list, *, where: str, where_zh: str) -> None:
    if found:
        kinds = ", ".join(sorted({each.kind for each in found}))
        raise IdentifierFoundError(
            en=f"{where} holds {len(found)} identifiers ({kinds}) and can't be released",
            zh=f"{where_zh}含有 {len(found)} 处个人标识（{kinds}），不能发布",
        )
