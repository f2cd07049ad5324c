"""SPSS .sav and Stata .dta: variables with labels; values declared missing stay typed."""

from __future__ import annotations

from cobench.ingest.platforms.layout import Layout, field_of
from cobench.ingest.readers import Sheet

SIGNATURE = ("variables",)


def modes(sheet: Sheet, file_name: str) -> tuple[str, ...]:
    """Values come as their labels; values without one go through ``codes`` of the code book."""
    return ("text",)


def lay_out(sheet: Sheet, mode: str) -> Layout:
    """Every variable is a question; which one tells the time is said by ``identify.submitted``."""
    fields = tuple(field_of(index, *sheet.names(0, index)) for index in range(sheet.text.shape[1]))
    return Layout(sheet.how.split(",")[0].lower(), mode, 0, 0, fields)
