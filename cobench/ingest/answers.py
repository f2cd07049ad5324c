"""What one cell of a questionnaire says, as tokens: an option text, 0 or 1, a rank, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cobench.ingest.codebook import Codebook, Item
from cobench.ingest.options import CLOSE, OPEN, split_options
from cobench.ingest.platforms.layout import BLANK, NOT_RANKED, REASONS, UNKNOWN, USER_MISSING, Layout
from cobench.ingest.text import clean_text

_TICKED = frozenset({"1", "true", "checked", "yes", "是", "选中", "已选", "√"})
_NOT_TICKED = frozenset({"0", "false", "unchecked", "no", "否", "未选中", "未选", "", "-2", BLANK})
_NOT_RANKED = frozenset({"", "0", "-2", BLANK, NOT_RANKED})

Tokens = tuple[str, ...]


def decoder(
    item: Item, codebook: Codebook, layout: Layout, columns: tuple[str, ...] = ()
) -> Callable[[object], Tokens]:
    """A function from the cell of an item to one token for each thing stored of it.

    Parameters
    ----------
    columns : tuple of str
        Option texts in the order of their columns, where each option has its own; cells are then tuples.
    """
    texts = _by_text(item, codebook, layout) if item.kind != "text" else {}
    n_stored = len(codebook.stored_of(item))
    keeps_text = item.kind != "text" and item.free_text == "redacted"
    reader = {
        "text": lambda cell: ((layout.missing.get(cell, cell),), ""),
        "choice": lambda cell: _choice(cell, texts, layout, codebook),
        "multiple": lambda cell: _ticked(cell, texts, item, layout, codebook, columns),
        "ranking": lambda cell: _ranked(cell, texts, item, layout, codebook, columns),
    }[item.kind]

    def decode(cell: object) -> Tokens:
        tokens, filled = reader(cell)
        if len(tokens) == 1 and n_stored - keeps_text > 1:
            tokens = tokens * (n_stored - keeps_text)
        return (*tokens, filled) if keeps_text else tuple(tokens)

    return decode


def _by_text(item: Item, codebook: Codebook, layout: Layout) -> dict[str, str]:
    """Cleaned option text by whatever a cell may hold for it."""
    wordings = {text: text for text in codebook.wordings(item)}
    codes = {clean_text(c): clean_text(t) for c, t in codebook.codes.get(item.options or "", {}).items()}
    if layout.mode == "number" and layout.positional and not codes:
        codes = {str(place): text for place, text in enumerate(wordings, 1)}
    # Numbers go by place even where an option is a number itself: the option "0" of 0-10 is number 1.
    return codes if layout.mode == "number" and layout.positional else {**codes, **wordings}


def _reason(cell: str, layout: Layout, codebook: Codebook) -> str | None:
    """The token of a cell that is missing as a whole."""
    token = layout.missing.get(cell, cell)
    if cell == "":
        return BLANK
    is_missing = token in REASONS or token in codebook.missing or token.startswith(USER_MISSING)
    return token if is_missing else None


def _choice(cell: str, texts: Mapping[str, str], layout: Layout, codebook: Codebook) -> tuple[Tokens, str]:
    reason = _reason(cell, layout, codebook)
    if reason is not None and cell not in texts:
        return (reason,), ""
    if cell in texts:
        return (texts[cell],), ""
    filled = split_options(cell, texts, ())
    if not filled or not cell.endswith(CLOSE) or OPEN not in cell:
        return (UNKNOWN,), ""
    return (texts[filled[0][0]],), filled[0][1]


def _ticked(
    cell: object,
    texts: Mapping[str, str],
    item: Item,
    layout: Layout,
    codebook: Codebook,
    columns: tuple[str, ...],
) -> tuple[Tokens, str]:
    options = [*codebook.wordings(item)]
    if isinstance(cell, tuple):
        return _ticked_columns(cell, options, item, layout, codebook, columns)
    reason = _reason(cell, layout, codebook)
    if reason is not None and cell not in texts:
        return (_nothing(item) if reason == BLANK else reason,), ""
    found = split_options(cell, texts, layout.separators)
    if found is None:
        return (UNKNOWN,), ""
    chosen = [texts[text] for text, _ in found]
    # A code list may give the token of a missing answer ("99" = "不知道").
    if any(text in codebook.missing for text in chosen):
        return ((chosen[0],) if len(chosen) == 1 else (UNKNOWN,)), ""
    filled = ";".join(text for _, text in found if text)
    if len(set(chosen)) != len(chosen):
        return (UNKNOWN,), ""
    return tuple("1" if option in chosen else "0" for option in options), filled


def _ticked_columns(
    cells: Tokens,
    options: list[str],
    item: Item,
    layout: Layout,
    codebook: Codebook,
    columns: tuple[str, ...],
) -> tuple[Tokens, str]:
    reasons = [_reason(each, layout, codebook) for each in cells]
    whole = [each for each in reasons if each not in (None, BLANK)]
    if whole:
        return (whole[0],) if len(whole) == len(cells) else (UNKNOWN,), ""
    ticks, filled = {}, []
    for option, cell in zip(columns, cells, strict=True):
        text, _, typed = cell.partition(OPEN)
        same = (
            text.strip() in (clean_text(option), *_codes_of(option, item, codebook)) and text.strip() != "0"
        )
        if text.strip().lower() in _TICKED or same:
            ticks[clean_text(option)] = "1"
            filled.append(typed.removesuffix(CLOSE))
        elif cell.lower() in _NOT_TICKED:
            ticks[clean_text(option)] = "0"
        else:
            return (UNKNOWN,), ""
    if "1" not in ticks.values():
        return (_nothing(item),), ""
    return tuple(ticks[option] for option in options), ";".join(filter(None, filled))


def _codes_of(option: str, item: Item, codebook: Codebook) -> list[str]:
    codes = codebook.codes.get(item.options or "", {})
    return [clean_text(code) for code, text in codes.items() if text == option]


def _nothing(item: Item) -> str:
    return "0" if item.nothing_ticked == "zero" else BLANK


def _ranked(
    cell: object,
    texts: Mapping[str, str],
    item: Item,
    layout: Layout,
    codebook: Codebook,
    columns: tuple[str, ...],
) -> tuple[Tokens, str]:
    options = [*codebook.wordings(item)]
    if isinstance(cell, tuple):
        ranks = _ranks_of_columns(cell, layout, codebook, columns)
        return (ranks,) if isinstance(ranks, str) else _ranks(ranks, options), ""
    reason = _reason(cell, layout, codebook)
    if reason is not None:
        return (reason,), ""
    found = split_options(cell, texts, layout.arrows)
    if found is None:
        return (UNKNOWN,), ""
    ranked = {texts[text]: place for place, (text, _) in enumerate(found, 1)}
    filled = ";".join(text for _, text in found if text)
    return (_ranks(ranked, options) if len(ranked) == len(found) else (UNKNOWN,)), filled


def _ranks_of_columns(
    cells: Tokens, layout: Layout, codebook: Codebook, columns: tuple[str, ...]
) -> dict[str, int] | str:
    """Rank of each ranked option, or the token of the whole answer."""
    reasons = [_reason(each, layout, codebook) for each in cells]
    whole = [each for each in reasons if each not in (None, BLANK)]
    if whole:
        return whole[0] if len(whole) == len(cells) else UNKNOWN
    ranked = {}
    for option, cell in zip(columns, cells, strict=True):
        if cell in _NOT_RANKED:
            continue
        if not cell.isdecimal():
            return UNKNOWN
        ranked[clean_text(option)] = int(cell)
    return ranked if ranked else BLANK


def _ranks(ranked: Mapping[str, int], options: list[str]) -> Tokens:
    """One rank an option; ranks must run from 1 without a gap."""
    if sorted(ranked.values()) != list(range(1, len(ranked) + 1)):
        return (UNKNOWN,)
    return tuple(str(ranked[option]) if option in ranked else NOT_RANKED for option in options)
