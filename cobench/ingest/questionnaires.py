"""Questionnaires of any platform: answers by code book, in one form; free text goes no further than declared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from cobench.errors import CobenchError, UnknownLevelError
from cobench.ingest.answers import decoder
from cobench.ingest.codebook import Codebook, Item, Stored
from cobench.ingest.context import Context, redact
from cobench.ingest.headers import Located, place, split_rows
from cobench.ingest.platforms import LABELS, find_layout, kobo
from cobench.ingest.platforms.layout import REASONS, USER_MISSING, Layout
from cobench.ingest.quarantine import faults
from cobench.ingest.questions import IDENTIFYING, Places, find_places
from cobench.ingest.readers import MISSING, Sheet
from cobench.ingest.text import clean_text, map_unique
from cobench.study import Source

RAW_OF_REASON = {"blank": "(空)", "skipped": "(跳过)", "not_ranked": "(未排序)"}
RECODES = ["item", "raw", "recoded", "value", "missing_reason", "n"]
_FILLED = "〖…〗"


def locate(sheet: Sheet, codebook: Codebook, label: str, source: Source) -> Located:
    """Columns ``submitted, school, class, student_name`` and one for everything that is stored of each item.

    Raises
    ------
    UnreadableFileError
        When platform or mode are not recognised, or not as declared.
    MissingColumnError
        On a question of the code book that is absent, worded otherwise or there twice.
    UnknownLevelError
        On a question that the code book doesn't list, or questions in another order.
    """
    layout = find_layout(sheet, label, platform=source.platform, mode=source.mode)
    places = find_places(sheet, layout, codebook, label)
    raw = {name: column for name, column in places.identifying.items() if name in IDENTIFYING}
    raw |= {f"={item}": column for item, column in places.whole.items()}
    for item, options in places.options.items():
        raw |= {f"={item}={option}": column for option, column in options.items()}
    split = split_rows(_without_tests(sheet, layout), raw, layout.first, layout.last, tuple(raw))
    split = _with_tests(split, sheet, layout)
    marked = _mark_missing(split)
    answered, recodes = _decode(marked, layout, places, codebook)
    known = {name: marked[name] for name in IDENTIFYING if name in marked}
    if "submitted" not in known:
        known["submitted"] = pd.Series(str(source.answered_on or ""), index=marked.index, dtype="object")
    known["submitted"] = map_unique(known["submitted"], _plain_time)
    cells = pd.DataFrame({**marked[["sheet", "row"]], **known, **answered})
    kinds = pd.DataFrame(np.uint8(0), index=cells.index, columns=[*known, *answered])
    for name in known:
        if name in split.kinds:
            kinds[name] = split.kinds[name].to_numpy()
    shown = {name: split.headers[name] for name in known if name in split.headers}
    shown |= {stored.id: stored.item.header for stored in codebook.stored}
    how = f"{LABELS[layout.platform]} by {layout.mode}, {split.how}, {len(codebook.coded)} items"
    return Located(cells, kinds, split.non_data, shown, how, recodes)


def is_other_sheet(sheet: Sheet) -> str | None:
    """Rule under which a whole sheet holds no answers, None where it may."""
    if kobo.is_repeat_group(sheet):
        return "repeat_group"
    return "notes_sheet" if not sheet.n_rows or int((sheet.text != "").sum(axis=1).max()) <= 2 else None


def unknown_options(cells: pd.DataFrame, codebook: Codebook) -> list[CobenchError]:
    """An error for each file and question with an option that the code book doesn't list."""
    errors = []
    for item in codebook.coded:
        for (file, sheet), rows in _unlisted(cells, item, codebook).groupby(["file", "sheet"], sort=True):
            en, zh = place(file, sheet)
            listed = ", ".join(map(str, rows["row"].head(10))) + (", …" if len(rows) > 10 else "")
            labels = " | ".join([*codebook.values(item), *codebook.missing])
            errors.append(
                UnknownLevelError(
                    en=f"{en}, column {item.header}, row {listed}: an option that code book {codebook.instrument} "
                    f"doesn't list for {item.id}; allowed: {labels}; mend the cell, or add the option to a new version "
                    f"(a code goes under codes.{item.options})",
                    zh=f"{zh} 列「{item.header}」第 {listed} 行：编码表 {codebook.instrument} 的 {item.id} 没有此选项；"
                    f"可用：{labels}；请修正单元格，或在新版编码表中加入（代码写在 codes.{item.options}）",
                )
            )
    return errors


def stored_texts(
    cells: pd.DataFrame, codebook: Codebook, ctx: Context, school: pd.Series
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stored columns with names and numbers taken out of free text, and the faults ``redacted`` of those rows.

    ``school`` of each row: its children's names are looked for.
    """
    columns, hidden = {}, []
    for each in codebook.stored:
        columns[each.id] = cells[each.id]
        if each.kind == "text":
            columns[each.id], found = redact(ctx, cells[each.id], school)
            hidden += [(rid, each.id, "redacted") for rid in cells.index[found]]
    return pd.DataFrame(columns, index=cells.index), faults(hidden)


def answers(texts: pd.Series, stored: Stored, codebook: Codebook) -> pd.DataFrame:
    """Answers as stored: ``raw`` (option text as in the code book, 0/1, rank), ``value`` and ``missing_reason``."""

    def raw(text: str) -> str:
        reason = reason_of(text, codebook)
        if stored.kind == "choice" and reason is None:
            return codebook.wordings(stored.item)[text]
        return RAW_OF_REASON.get(reason or "", text.removeprefix(USER_MISSING))

    return pd.DataFrame(
        {
            "raw": map_unique(texts, raw),
            "value": map_unique(texts, lambda text: _value(text, stored, codebook)).astype("float64"),
            "missing_reason": map_unique(texts, lambda text: reason_of(text, codebook)),
        }
    )


def reason_of(text: str, codebook: Codebook) -> str | None:
    """Why an answer is missing, None where it isn't."""
    if text.startswith(USER_MISSING):
        return codebook.missing.get(text.removeprefix(USER_MISSING), "user_missing")
    return REASONS.get(text) or codebook.missing.get(text)


def _value(text: str, stored: Stored, codebook: Codebook) -> float | None:
    if stored.kind == "text" or reason_of(text, codebook) is not None:
        return None
    if stored.kind == "choice":
        return codebook.values(stored.item)[codebook.wordings(stored.item)[text]]
    return float(text)


def _unlisted(cells: pd.DataFrame, item: Item, codebook: Codebook) -> pd.DataFrame:
    wrong = pd.Series(False, index=cells.index)
    for stored in codebook.stored_of(item):
        if stored.kind == "choice":
            known = codebook.wordings(item)
        elif stored.kind == "text":
            continue
        else:
            known = {f"{n}" for n in range(len(codebook.values(item)) + 1)}

        def is_wrong(text: str, known=known) -> bool:
            return text not in known and reason_of(text, codebook) is None

        wrong |= map_unique(cells[stored.id], is_wrong).astype(bool)
    return cells[wrong]


def _without_tests(sheet: Sheet, layout: Layout) -> Sheet:
    """Test entries blanked, so that nothing of them is read; :func:`_with_tests` names their rule."""
    if not layout.other_rows:
        return sheet
    text = sheet.text.copy()
    text[list(layout.other_rows)] = ""
    return replace(sheet, text=text)


def _with_tests(split: Located, sheet: Sheet, layout: Layout) -> Located:
    rules = {row + sheet.first_row: rule for row, rule in layout.other_rows.items()}
    named = split.non_data["row"].map(rules)
    return replace(split, non_data=split.non_data.assign(rule=named.fillna(split.non_data["rule"])))


def _mark_missing(split: Located) -> pd.DataFrame:
    """Cells with a mark before those that the file itself declares missing."""
    cells = split.cells.copy()
    for name in split.kinds:
        declared = split.kinds[name].to_numpy() == MISSING
        if declared.any() and name.startswith("="):
            cells[name] = cells[name].mask(declared, USER_MISSING + cells[name])
    return cells


def _decode(
    cells: pd.DataFrame, layout: Layout, places: Places, codebook: Codebook
) -> tuple[dict[str, pd.Series], pd.DataFrame]:
    """Every stored column, and the counts of what became what."""
    answered: dict[str, pd.Series] = {}
    recodes = []
    for item in codebook.items:
        stored = codebook.stored_of(item)
        if item.id in places.whole:
            texts = cells[f"={item.id}"]
        elif item.id in places.options:
            names = [f"={item.id}={option}" for option in places.options[item.id]]
            texts = pd.Series(
                list(zip(*(cells[name] for name in names), strict=True)), index=cells.index, dtype="object"
            )
        else:
            continue
        if not stored:
            continue
        options = tuple(places.options.get(item.id, ()))
        decode = decoder(item, codebook, layout, options)
        codes, distinct = pd.factorize(texts, use_na_sentinel=False)
        tokens = [decode(cell) for cell in distinct]
        for position, each in enumerate(stored):
            values = np.array([token[position] for token in tokens], dtype=object)
            answered[each.id] = pd.Series(values[codes], index=cells.index, dtype="object")
        if item.kind != "text":
            counts = np.bincount(codes, minlength=len(tokens)).tolist()
            recodes.append(_recodes(zip(distinct, tokens, counts, strict=True), item, codebook))
    frame = pd.concat(recodes, ignore_index=True) if recodes else pd.DataFrame(columns=RECODES)
    return answered, frame


def _recodes(
    counted: Iterable[tuple[object, tuple[str, ...], int]], item: Item, codebook: Codebook
) -> pd.DataFrame:
    """Counts by what the file held and what it became; typed-in text is not repeated."""
    kinds = [stored.kind for stored in codebook.stored_of(item)]
    rows = []
    for raw, tokens, n in counted:
        coded = [token for token, kind in zip(tokens, kinds, strict=True) if kind != "text"]
        reason = reason_of(coded[0], codebook)
        single = item.kind == "choice" and reason is None and coded[0] in codebook.wordings(item)
        value = codebook.values(item)[codebook.wordings(item)[coded[0]]] if single else None
        recoded = " ".join(each.removeprefix(USER_MISSING) for each in coded)
        rows.append((item.id, _shown(raw), recoded, value, reason, n))
    frame = pd.DataFrame(rows, columns=RECODES).astype({"value": "float64"})
    keys = [name for name in RECODES if name != "n"]
    return frame.groupby(keys, sort=True, dropna=False)["n"].sum().reset_index()[RECODES]


def _shown(raw: object) -> str:
    """What the file held, without what was typed in beside an option."""
    if isinstance(raw, tuple):
        return " ".join(_shown(each) or "·" for each in raw)
    text = str(raw).removeprefix(USER_MISSING)
    start, end = text.find("〖"), text.rfind("〗")
    return text if start < 0 or text == "〖跳过〗" else text[:start] + _FILLED + text[max(end, start) + 1 :]


def _plain_time(text: str) -> str:
    """A time without fractions of seconds and without offset: the clock where it was filled in."""
    head, _, clock = clean_text(text).replace("T", " ").partition(" ")
    for mark in (".", "+", "Z"):
        clock = clock.partition(mark)[0]
    if clock.count("-"):
        clock = clock.partition("-")[0]
    return f"{head} {clock}".strip()
