"""Released tables as small accessible HTML: caption, scoped heads, units in the head, marks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from cobench.release.escape import escape_html
from cobench.release.released import Released, readable_mark, require_released
from cobench.show.carried import carried_as, carried_estimates, carried_table
from cobench.show.displayed import Displayed
from cobench.show.labels import Labels
from cobench.show.lines import breadth
from cobench.show.sentences import reason_text
from cobench.show.wording import decimals, number, p_text, say, typeset

Format = str | Callable[[object], str]

# :where() has no weight, so the page's own style sheet wins over these.
STYLE = (
    "<style>:where(.cobench-table){overflow-x:auto;margin:1em 0}"
    ":where(.cobench-table table){border-collapse:collapse;font-size:.92em;line-height:1.5}"
    ":where(.cobench-table caption){text-align:left;font-weight:600;padding:0 0 .4em}"
    ":where(.cobench-table th,.cobench-table td){padding:.3em .8em .3em 0;text-align:left;"
    "vertical-align:top;border-bottom:1px solid #d9dee3;font-weight:400}"
    ":where(.cobench-table thead th){font-weight:600;border-bottom:1.5px solid #5f6b76;vertical-align:bottom}"
    ":where(.cobench-table .long){min-width:14em}:where(.cobench-table .short){white-space:nowrap}"
    ":where(.cobench-table .num){text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    ":where(.cobench-table .note){font-size:.9em;margin:.4em 0 0}</style>"
)
P_VALUES = {"p_value", "p_adjusted"}
TEXT_ROWS = 12
SHORT, LONG = 16, 24  # half-widths: cells up to SHORT are not broken, those beyond LONG not squeezed


def table(
    released: Released,
    *,
    language: str,
    labels: Labels | None = None,
    caption: str | None = None,
    columns: Sequence[str] | None = None,
    formats: Mapping[str, Format] | None = None,
    units: Mapping[str, str] | None = None,
    note: str | None = None,
    style: bool = True,
) -> Displayed:
    """A released table for a report.

    Parameters
    ----------
    released : Released
        Anything else is refused.
    labels : Labels, optional
        Head of column ``c``: ``labels.text("column", c)``; text cells: ``labels.text(c, value)``.
    columns : sequence of str, optional
        Which columns, in which order; by default all.
    formats : ``{column: format}``, optional
        ``"count"``, ``"percent"`` and ``"percent1"`` (a share as per cent, sign in the head; so are
        ``share`` and ``share_...`` by themselves), ``"p"``, ``"signed"``, a format such as ``".2f"``, or a
        function of the value.
    units : ``{column: unit}``, optional
        Printed in the head, in brackets.
    note : str, optional
        Under the table; the meaning of each mark that occurs is added.

    Raises
    ------
    ReleaseError
        If ``released`` isn't a :class:`~cobench.release.Released`.
    """
    released = require_released(released)
    whole, labels = released.frame, labels or Labels()
    estimates = carried_estimates(released, labels, language)
    released = released if columns is None else released.pick(columns)
    formats = {c: "percent" for c in map(str, released.frame) if c.startswith("share")} | dict(formats or {})
    units = dict(units or {})
    for column, form in formats.items():
        if form in ("percent", "percent1") and column in released.frame:
            units.setdefault(column, "%")
    names = [str(column) for column in released.frame.columns]
    heads = [_head(name, units.get(name), labels, language) for name in names]
    numeric = [_is_number_column(released.frame[column]) for column in released.frame.columns]
    cells = _cells(released, whole, names, formats, labels, language)
    caption = released.title if caption is None else caption
    notes = [line for line in (released.note if note is None else note, *_legend(released, language)) if line]
    printed = [_printed(name, formats.get(name), numeric[j]) for j, name in enumerate(names)]
    carried = carried_table(released, heads, caption, printed)
    html = _html(heads, numeric, cells, names, caption, notes, language, carried["id"])
    text = _plain(caption, heads, cells, language)
    return Displayed((STYLE if style else "") + html, text, (*estimates, carried))


def crossed(
    released: Released,
    *,
    rows: tuple[str, Sequence[str]],
    columns: tuple[str, Sequence[str]],
    cell: Callable[[Mapping[str, object]], str],
    language: str,
    labels: Labels,
    note: str = "",
) -> Displayed:
    """A released long table as one of two ways: a line for each of ``rows``, a cell for each of ``columns``.

    Parameters
    ----------
    rows, columns : a column of ``released`` and its values, in order
    cell : what stands in a cell, from its row of released cells (values, or readable marks where hidden)

    The long table is carried beside it, for whoever computes with it.
    """
    released = require_released(released)
    names = [str(name) for name in released.frame.columns]
    held = [dict(zip(names, values, strict=True)) for values in released.cells()]
    texts = {(str(each[rows[0]]), str(each[columns[0]])): cell(each) for each in held}
    heads = [_head(rows[0], None, labels, language)]
    heads += [labels.text(columns[0], each, language) for each in columns[1]]
    lines = [
        [labels.text(rows[0], line, language), *(texts.get((line, each), "") for each in columns[1])]
        for line in rows[1]
    ]
    caption = released.title
    notes = [each for each in (note, *_legend(released, language)) if each]
    shown = {
        "kind": "table",
        "caption": caption,
        "columns": [rows[0], *columns[1]],
        "heads": heads,
        "rows": lines,
    }
    carried = carried_as({**shown, "printed": ["text", *["exact"] * len(columns[1])]})
    long_heads = [_head(name, None, labels, language) for name in names]
    whole = carried_table(released, long_heads, caption, ["text"] * len(names))
    cells = [[(text, "", "") for text in line] for line in lines]
    html = _html(heads, [False] * len(heads), cells, heads, caption, notes, language, carried["id"])
    return Displayed(STYLE + html, _plain(caption, heads, cells, language), (carried, whole))


def _printed(name: str, form: Format | None, is_number: bool) -> str:
    """How the numbers of a column are printed: ``percent``, ``number``, or ``text`` where a function words them."""
    if callable(form) or not is_number or name == "at":
        return "text"
    return "percent" if form in ("percent", "percent1") else "number"


def _is_number_column(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _cells(
    released: Released, whole: pd.DataFrame, names: list[str], formats: dict, labels: Labels, language: str
) -> list[list[tuple[str, str, str]]]:
    """Rows of ``(text, css class, key)``; key is the raw value of text cells.

    ``whole`` has the same rows and may have more columns: a contrast is named by its treatment, decimals
    follow the standard error.
    """
    treatments = [str(each) for each in whole["treatment"]] if "treatment" in whole else [""] * len(whole)
    errors = pd.to_numeric(whole["std_error"]) if "std_error" in whole else [math.nan] * len(whole)
    digits = [2 if pd.isna(error) else decimals(float(error)) for error in errors]

    def cell(i: int, name: str, mark: str, value: object) -> tuple[str, str, str]:
        form = formats.get(name) or _default_format(name, value, digits[i])
        if mark:
            return _mark(mark, form, released.rules.min_cell), "suppressed", ""
        if _missing(value):
            return "–", "no-data", ""
        text = _formatted(value, form, name, labels, language, treatments[i])
        return text, _width_class(text), str(value)

    columns = [
        [
            cell(i, name, mark, value)
            for i, (mark, value) in enumerate(zip(released.marks[name], released.frame[name], strict=True))
        ]
        for name in names
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _width_class(text: str) -> str:
    size = breadth(text)
    return "short" if size <= SHORT else "long" if size > LONG else ""


def _default_format(name: str, value: object, digits: int) -> Format:
    if name in P_VALUES:
        return "p"
    if name == "n" or name.startswith("n_") or isinstance(value, int) or pd.api.types.is_integer(value):
        return "count"
    return f".{digits}f"


def _formatted(value: object, form: Format, name: str, labels: Labels, language: str, treatment: str) -> str:
    if callable(form):
        return str(form(value))
    if isinstance(value, bool) or pd.api.types.is_bool(value):
        return "✓" if value else "✗"
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    if name == "contrast":
        return labels.contrast(treatment, value, language)
    if name in ("subgroup", "population"):
        return getattr(labels, name)(value, language) or say("figure.everybody", language)
    if name == "reason":
        return reason_text(value, language)
    if not pd.api.types.is_number(value):
        return labels.text(name, value, language)
    if form == "p":
        return p_text(float(value))
    if form in ("percent", "percent1"):
        return number(100 * float(value), 1 if form == "percent1" else 0)
    if form in ("count", "signed"):
        return number(float(value), 0 if form == "count" else 2, signed=form == "signed")
    return typeset(format(float(value), form))


def _mark(mark: str, form: Format, min_cell: int | None) -> str:
    if mark[0] in "≥≤":
        bound = float(mark[1:])
        percent = form in ("percent", "percent1")
        bound = (math.floor if mark[0] == "≥" else math.ceil)(100 * bound) / (1 if percent else 100)
        return f"{mark[0]}{bound:g}"
    return readable_mark(mark, min_cell)


def _missing(value: object) -> bool:
    return value is None or value is pd.NA or value != value


def _head(name: str, unit: str | None, labels: Labels, language: str) -> str:
    text = labels.text("column", name, language)
    if not unit:
        return text
    return f"{text}（{unit}）" if language == "zh" else f"{text} ({unit})"


def _legend(released: Released, language: str) -> list[str]:
    marks = set(released.marks.to_numpy().ravel())
    n = released.rules.min_cell
    lines = []
    if "<" in marks:
        lines.append(say("table.mark_count", language, n=n))
    if "n" in marks:
        lines.append(say("table.mark_value", language, n=n))
    if any(str(mark)[:1] in ("≥", "≤") for mark in marks):
        lines.append(say("table.mark_bound", language, n=n))
    if "x" in marks:
        lines.append(say("table.mark_other", language))
    return lines


def _html(
    heads: list[str],
    numeric: list[bool],
    cells: list,
    names: list[str],
    caption: str,
    notes: list[str],
    language: str,
    identity: str,
) -> str:
    def css(j: int, extra: str = "") -> str:
        classes = " ".join(part for part in ("num" if numeric[j] else "", extra) if part)
        return f' class="{classes}"' if classes else ""

    head = "".join(f'<th scope="col"{css(j)}>{escape_html(text)}</th>' for j, text in enumerate(heads))
    body = []
    for row in cells:
        parts = []
        for j, (text, kind, key) in enumerate(row):
            inner = escape_html(text)
            if names[j] == "evidence" and key:
                inner = f'<span class="badge" data-evidence="{escape_html(key)}">{inner}</span>'
            label = {"suppressed": "table.hidden_cell", "no-data": "table.missing_cell"}.get(kind)
            title = f' title="{escape_html(say(label, language))}"' if label else ""
            tag, scope = ("th", ' scope="row"') if j == 0 else ("td", "")
            kind = "" if kind == "short" and numeric[j] else kind
            parts.append(f"<{tag}{scope}{css(j, kind)}{title}>{inner}</{tag}>")
        body.append(f"<tr>{''.join(parts)}</tr>")
    if not cells:
        body = [
            f'<tr><td colspan="{max(len(heads), 1)}">{escape_html(say("table.no_rows", language))}</td></tr>'
        ]
    top = f"<caption>{escape_html(caption)}</caption>" if caption else ""
    foot = f'<p class="note">{escape_html(" ".join(notes))}</p>' if notes else ""
    label = escape_html(caption or say("table.scroll", language))
    return (
        f'<div class="cobench-table table-scroll" role="region" tabindex="0" aria-label="{label}">'
        f'<table data-carried="{identity}">{top}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>{foot}</div>"
    )


def _plain(caption: str, heads: list[str], cells: list, language: str) -> str:
    """A few rows as text, columns divided by bars; long tables end with the number of rows left out."""
    lines = [caption] if caption else []
    lines.append(" | ".join(heads))
    lines += [" | ".join(text for text, _, _ in row) for row in cells[:TEXT_ROWS]]
    if not cells:
        lines.append(say("table.no_rows", language))
    if len(cells) > TEXT_ROWS:
        lines.append(f"… +{len(cells) - TEXT_ROWS}")
    return "\n".join(lines)
