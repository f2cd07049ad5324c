"""Qualtrics: three header rows (name, question text, ImportId), test entries among the answers."""

from __future__ import annotations

import re

from cobench.ingest.platforms.layout import Field, Layout, column_of, field_of, header_cells
from cobench.ingest.readers import Sheet
from cobench.ingest.text import clean_text, header_key

LABEL = "Qualtrics"
SIGNATURE = ("ResponseId", "RecordedDate", '{"ImportId": ...}')
_OWN = {
    header_key(name)
    for name in (
        *("StartDate", "EndDate", "Status", "IPAddress", "Progress", "Duration (in seconds)", "Finished"),
        *("RecordedDate", "ResponseId", "RecipientLastName", "RecipientFirstName", "RecipientEmail"),
        *("ExternalReference", "ExternalDataReference", "LocationLatitude", "LocationLongitude"),
        *("DistributionChannel", "UserLanguage"),
    )
}
_TESTS = ("survey preview", "survey test", "1", "2", "9", "17")
_CHOICE = re.compile(r"\s+-\s+selected choice", re.IGNORECASE)


def seen(sheet: Sheet) -> bool:
    """Whether the third row holds ImportIds under the platform's columns."""
    if sheet.n_rows < 3 or not any("ImportId" in cell for cell in sheet.text[2]):
        return False
    keys = header_cells(sheet, 0)
    return header_key("ResponseId") in keys or header_key("RecordedDate") in keys


def modes(sheet: Sheet, file_name: str) -> tuple[str, ...]:
    """By text, or by number where no answer is a word (choice values were exported, not choice texts)."""
    layout = lay_out(sheet, "text")
    cells = sheet.text[3:, [each.index for each in layout.fields if not _is_text_entry(each)]]
    known = [cell for cell in cells.ravel().tolist() if cell.strip()]
    numeric = [bool(re.fullmatch(r"-?[\d,]+", cell.strip())) for cell in known]
    return ("number",) if known and all(numeric) else ("text",)


def lay_out(sheet: Sheet, mode: str) -> Layout:
    """Questions by name and by text; previews and tests are no answers."""
    keys = header_cells(sheet, 0)
    fields = tuple(_field(sheet, index) for index, key in enumerate(keys) if key and not _is_own(key))
    status = column_of(keys, "Status")
    tests = {} if status is None else _tests(sheet, status)
    return Layout(
        "qualtrics",
        mode,
        0,
        2,
        fields,
        submitted=column_of(keys, "RecordedDate", "EndDate"),
        missing={"-99": "(空)"},
        separators=(",",),
        other_rows=tests,
    )


def _field(sheet: Sheet, index: int) -> Field:
    name, text = clean_text(sheet.text[0, index]), clean_text(sheet.text[1, index])
    plain = _CHOICE.sub("", text)
    found = field_of(index, name, plain)
    return Field(index, tuple(dict.fromkeys([*found.keys, header_key(text)])), found.parts, found.number)


def _is_own(key: str) -> bool:
    return key in _OWN or key.startswith("Q_")


def _is_text_entry(field: Field) -> bool:
    return any(key.endswith("_TEXT") for key in field.keys)


def _tests(sheet: Sheet, status: int) -> dict[int, str]:
    return {
        row: "test_entry"
        for row in range(3, sheet.n_rows)
        if clean_text(sheet.text[row, status]).lower() in _TESTS
    }
