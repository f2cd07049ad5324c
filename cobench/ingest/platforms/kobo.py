"""KoboToolbox: groups and options joined by "/", ticked options by blanks or ";"."""

from __future__ import annotations

from cobench.ingest.platforms.layout import Field, Layout, column_of, field_of, header_cells, rows_with
from cobench.ingest.readers import Sheet
from cobench.ingest.text import header_key

LABEL = "KoboToolbox"
SIGNATURE = ("_uuid", "_submission_time")
_OWN = {
    header_key(name) for name in ("start", "end", "today", "deviceid", "username", "phonenumber", "simserial")
}
_OWN |= {
    header_key(name)
    for name in ("subscriberid", "audit", "instanceID", "meta/instanceID", "meta/instanceName")
}


def seen(sheet: Sheet) -> bool:
    """Whether the sheet has the platform's id and time."""
    return rows_with(sheet, SIGNATURE) is not None


def is_repeat_group(sheet: Sheet) -> bool:
    """Whether the sheet holds the rows of a repeat group, which belong to another sheet's answers."""
    return rows_with(sheet, ("_parent_index",)) is not None


def modes(sheet: Sheet, file_name: str) -> tuple[str, ...]:
    """Labels or XML values alike are texts; ``codes`` of the code book translates values."""
    return ("text",)


def lay_out(sheet: Sheet, mode: str) -> Layout:
    """Questions by path and by last part; the local time ``end`` before the one of the server, which is UTC."""
    row = rows_with(sheet, SIGNATURE)
    keys = header_cells(sheet, row)
    fields = tuple(
        _field(index, key)
        for index, key in enumerate(keys)
        if key and key not in _OWN and not key.startswith(("_", "__"))
    )
    return Layout(
        "kobo",
        mode,
        row,
        row,
        fields,
        submitted=column_of(keys, "end", "_submission_time"),
        separators=(";", " ", ",", "\n"),
    )


def _field(index: int, key: str) -> Field:
    """Groups may or may not be part of the header: every tail of the path names the question too."""
    steps = key.split("/")
    tails = ["/".join(steps[start:]) for start in range(len(steps))]
    found = field_of(index, *tails)
    pairs = [("/".join(steps[start:-1]), steps[-1]) for start in range(len(steps) - 1)]
    return Field(index, found.keys, tuple(dict.fromkeys([*pairs, *found.parts])), found.number)
