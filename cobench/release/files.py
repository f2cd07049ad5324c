"""The text of a data file, for the identifier scan: whatever a reader of the file could read in it."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pandas as pd

CELL_END = re.compile(r"</(?:c|row|si)>")
LONG_NUMBER = 10**9  # whole numbers from here on may be phones or identity numbers


def text_of(path: Path) -> str:
    """All texts (and long whole numbers) of a parquet, xlsx, csv, json, notebook, html or log file.

    A workbook gives the XML of all its parts, names of sheets and properties included, a line a cell: digits of
    neighbouring cells are no phone. A file of another kind is
    decoded as UTF-8, or GB18030 where it isn't; what can't be decoded is replaced.
    """
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == b"PAR1":
        return _frame_text(pd.read_parquet(path))
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as parts:
            named = [f"{name}\n{_decoded(parts.read(name))}" for name in parts.namelist()]
        return CELL_END.sub("\\g<0>\n", "\n".join(named))
    return _decoded(path.read_bytes())


def _frame_text(frame: pd.DataFrame) -> str:
    parts = ["\n".join(map(str, frame.columns))]
    for column in frame.columns:
        values = frame[column].dropna()
        if pd.api.types.is_bool_dtype(values):
            continue
        if pd.api.types.is_numeric_dtype(values):
            whole = values[(values.abs() >= LONG_NUMBER) & (values % 1 == 0)]
            values = whole.map(lambda value: str(int(value)))
        parts.append("\n".join(map(str, values.unique())))
    return "\n".join(parts)


def _decoded(data: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", errors="replace")
