"""REDCap csv: raw names and codes, or labels; one column ``field___code`` for each box of a checkbox field."""

from __future__ import annotations

from cobench.ingest.platforms.layout import Layout, field_of, header_cells
from cobench.ingest.readers import Sheet
from cobench.ingest.text import header_key

LABEL = "REDCap"
SIGNATURE = ("record_id", "..._complete")
_OWN = ("redcap_event_name", "redcap_repeat_instrument", "redcap_repeat_instance", "redcap_survey_identifier")
_OWN_LABELS = ("Event Name", "Repeat Instrument", "Repeat Instance", "Survey Identifier", "Survey Timestamp")
_FIRST = tuple(map(header_key, ("record_id", "Record ID", "study_id", "Study ID")))


def seen(sheet: Sheet) -> bool:
    """Whether the first row begins with a record and has a form's state or a box of a checkbox field."""
    if not sheet.n_rows or not sheet.text.shape[1]:
        return False
    keys = header_cells(sheet, 0)
    states = [key for key in keys if key.endswith("_complete") or key == "Complete?" or "___" in key]
    return keys[0] in _FIRST and bool(states)


def modes(sheet: Sheet, file_name: str) -> tuple[str, ...]:
    """Raw where fields go by their names, else labels."""
    keys = header_cells(sheet, 0)
    return ("number",) if keys[0] in (header_key("record_id"), header_key("study_id")) else ("text",)


def lay_out(sheet: Sheet, mode: str) -> Layout:
    """Fields by name or label; the time is the survey's timestamp."""
    keys = header_cells(sheet, 0)
    own = {keys[0], *map(header_key, (*_OWN, *_OWN_LABELS))}
    times = [
        index
        for index, key in enumerate(keys)
        if key.endswith("_timestamp") or key == header_key("Survey Timestamp")
    ]
    fields = tuple(
        field_of(index, key)
        for index, key in enumerate(keys)
        if key and key not in own and index not in times and not _is_state(key)
    )
    return Layout("redcap", mode, 0, 0, fields, submitted=times[0] if times else None)


def _is_state(key: str) -> bool:
    return key.endswith("_complete") or key in ("Complete?", "Complete?.1")
