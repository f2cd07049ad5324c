"""Read one .sav or .dta file and print it as JSON: run as a process of its own, as pyreadstat may crash on damage.

Usage: ``python labelled_worker.py FILE {SPSS,Stata} [ENCODING]``. Imports nothing of cobench.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import sys

MAX_MEMORY = 8_000_000_000


def main(path: str, form: str, encoding: str | None = None) -> dict:
    """Columns with name, label, options, missing and values as [kind, text]; or the library's complaint."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    import pyreadstat

    read = pyreadstat.read_sav if form == "SPSS" else pyreadstat.read_dta
    try:
        columns, meta = read(path, user_missing=True, output_format="dict", encoding=encoding)
    except Exception as error:
        return {"error": type(error).__name__, "says": str(error)[:200]}
    return {
        "encoding": meta.file_encoding or "",
        "columns": [_column(name, values, meta) for name, values in columns.items()],
    }


def _column(name: str, values: list, meta: object) -> dict:
    options = meta.variable_value_labels.get(name, {})
    ranges = meta.missing_ranges.get(name, [])
    lettered = meta.missing_user_values.get(name, [])

    def is_missing(value: object) -> bool:
        if isinstance(value, str) and value in lettered:
            return True
        return any(
            type(each["lo"]) is type(value) and each["lo"] <= value <= each["hi"]
            for each in ranges
            if isinstance(value, str | float)
        )

    def shown(value: object) -> list:
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            return ["empty", ""]
        kind = "missing" if is_missing(value) else _kind(value)
        label = options.get(value)
        # Stata's extended missing values are .a to .z.
        plain = f".{value}" if value in lettered and isinstance(value, str) else _text(value)
        return [
            kind if label is None or kind == "missing" else "text",
            plain if label is None else str(label),
        ]

    listed = [[_text(code), str(label), is_missing(code)] for code, label in options.items()]
    label = meta.column_names_to_labels.get(name) or ""
    return {"name": name, "label": label, "options": listed, "values": [shown(value) for value in values]}


def _kind(value: object) -> str:
    if isinstance(value, bool | str):
        return "text"
    return "date" if isinstance(value, dt.date | dt.time | dt.timedelta) else "number"


def _text(value: object) -> str:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, dt.datetime):
        midnight = (value.hour, value.minute, value.second) == (0, 0, 0)
        return f"{value:%Y-%m-%d}" if midnight else f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)


if __name__ == "__main__":
    sys.stdout.buffer.write(json.dumps(main(*sys.argv[1:])).encode("ascii"))
