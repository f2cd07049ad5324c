"""The release gate: no cell that rests on fewer than ``min_cell`` children, in any arm, is shown.

The rule is a threshold with secondary suppression (Hundepool et al., *Statistical Disclosure Control*, 2012,
ch. 4): small cells are hidden first, then further ones until no printed total, share or difference pins a small
one closer than the protection width (:mod:`cobench.release.suppression`). Zero is a small count too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from cobench.errors import ReleaseError
from cobench.release import estimated, ledger
from cobench.release.draft import Draft, Shares, no_totals, refuse
from cobench.release.identifiers import scan_text
from cobench.release.released import SEAL, Released, Rules
from cobench.release.structure import Counted, Key, system
from cobench.release.suppression import suppress

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
ESTIMATE_NUMBERS = (
    "estimate",
    "std_error",
    "df",
    "p_value",
    "p_adjusted",
    "conf_low",
    "conf_high",
    "band_low",
    "band_high",
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
    shares: Shares | None = None,
    adds_up: Mapping[str, Sequence[str]] | None = None,
    nested: Sequence[tuple[str, str]] = (),
    margins: Sequence[Sequence[str]] = (),
    counted: Counted | None = None,
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
    nested : pairs ``(part, whole)``
        Columns of which the first counts some of the children of the second: their difference is a count too.
    margins : sequence of column tuples
        Totals of ``counts`` that are printed, ``()`` being the grand total; kept in ``true_totals``.
    counted : Counted, optional
        Which children these are, so that the table is seen together with the term's other tables.
    min_cell : int
        The threshold.

    Raises
    ------
    ReleaseError
        If a named column is absent, or a small count can't be protected.
    IdentifierFoundError
        If the frame holds identifiers of people.
    """
    draft = Draft(frame, min_cell, counted, title)
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
    draft.hide_parts(adds_up)
    draft.protect(counts, shares=shares, adds_up=adds_up, nested=nested, margins=margins)
    return draft.released(kind=kind, title=title, note=note)


def release_counts(
    frame: pd.DataFrame,
    *,
    counts: str | Sequence[str],
    margins: Sequence[Sequence[str]] = ((),),
    adds_up: Mapping[str, Sequence[str]] | None = None,
    falling: bool = False,
    counted: Counted | None = None,
    min_cell: int = 10,
    title: str = "",
    note: str = "",
    kind: str = "table",
) -> Released:
    """Release a table of counts of people: each count cell stands or is hidden by itself.

    Parameters are those of :func:`release_table`; by default the grand total is printed and protected. With
    ``falling`` each row counts some of the children of the rows above it, so their differences are counts too.
    """
    draft = Draft(frame, min_cell, counted, title)
    counts = [counts] if isinstance(counts, str) else list(counts)
    adds_up = {whole: list(parts) for whole, parts in (adds_up or {}).items()}
    draft.require([*counts, *adds_up])
    for column in counts:
        draft.hide(column, draft.below([column])[column], "<")
    draft.hide_parts(adds_up)
    draft.protect(counts, adds_up=adds_up, margins=margins, falling=falling)
    return draft.released(kind=kind, title=title, note=note)


def release_estimates(
    estimates: pd.DataFrame,
    *,
    min_cell: int = 10,
    planned: Collection[Key] = (),
    title: str = "",
    note: str = "",
) -> Released:
    """Release a frame of estimates: a row with a small arm keeps what was asked and loses every number.

    A row is small where ``n_obs``, ``n_treated`` or ``n_obs - n_treated`` is below ``min_cell``. Subgroup
    families (``sex=f``, ``sex=m``) of which one level is hidden lose a second one. Where sizes would give a small
    group away (everybody less the subgroups, one method's sample less another's), a row loses its sizes only.

    Parameters
    ----------
    planned : keys of counts that were decided to be hidden over the whole term.
    """
    draft = Draft(estimates, min_cell, title=title)
    draft.require(["n_obs", "n_treated"])
    true = draft.true
    n_obs, n_treated = draft.numbers("n_obs"), draft.numbers("n_treated")
    answered = ~estimated.column(true, "status", "ok").eq("not_estimable") | n_obs.notna()
    small = ~(n_obs >= min_cell) | (n_treated < min_cell) | (n_obs - n_treated < min_cell)
    small &= answered
    beside = estimated.beside(true, small) & ~small
    for column in [c for c in ESTIMATE_NUMBERS if c in true]:
        draft.hide(column, small & true[column].notna(), "n")
        draft.hide(column, beside & true[column].notna(), "x")
    known = ~small & ~beside
    if not ledger.planning():
        known &= ~estimated.rows_of(true, tuple(planned))
        found = suppress(system([estimated.registered(true, known, min_cell, title)], min_cell))
        known &= ~estimated.rows_of(true, found.hide)
    for column in [c for c in estimated.SIZES if c in true]:
        draft.hide(column, ~known & true[column].notna(), "x")
    ledger.record(estimated.registered(true, known, min_cell, title))
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
    return Draft(frame, None).released(kind="table", title=title, note=note, about=about)


def release_text(text: str, *, names: Collection[str] = (), exclude: Collection[str] = ()) -> Released:
    """Release a text in which no identifier is found."""
    refuse(scan_text(text, names=names, exclude=exclude), where="the text", where_zh="文本")
    none = pd.DataFrame()
    return Released("text", "people", none, none, none, no_totals(), Rules(None), text=text, seal=SEAL)
