"""SPSS .sav and Stata .dta as cells: labels in place of codes, declared missing values kept apart."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from cobench.errors import UnreadableFileError
from cobench.ingest.encoding import checked, common_share
from cobench.ingest.packages import MAX_CELLS, too_large
from cobench.ingest.readers import DATE, EMPTY, MISSING, NUMBER, TEXT, Sheet, Variable

_WORKER = Path(__file__).with_name("labelled_worker.py")
_KINDS = {"empty": EMPTY, "text": TEXT, "number": NUMBER, "date": DATE, "missing": MISSING}
_SECONDS = 600
_LOOKS_CHINESE = 0.6
_SINGLE_BYTE = ("WINDOWS-125", "ISO-8859", "ISO8859", "LATIN", "CP125", "US-ASCII")
_NAMES = {"CP936": "GBK", "EUC-CN": "GBK", "GB2312": "GBK", "UTF8": "UTF-8"}


def read_labelled(data: bytes, label: str, form: str, encoding: str | None = None) -> Sheet:
    """The one table of a .sav or .dta file: variables in the first row, cases below.

    Files of Chinese SPSS and Stata often name a wrong encoding or none; what can't be read as named is read as
    GB18030 and taken if it then looks like Chinese.

    Parameters
    ----------
    form : {"SPSS", "Stata"}

    Raises
    ------
    UnreadableFileError
        Also where pyreadstat isn't installed.
    """
    if importlib.util.find_spec("pyreadstat") is None:
        raise UnreadableFileError(
            en=f"{label}: {form} files need pyreadstat: pip install cobench[sources]; or save the file as xlsx",
            zh=f"{label}：读取 {form} 文件需要 pyreadstat：pip install cobench[sources]；或将文件另存为 xlsx",
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("data.sav" if form == "SPSS" else "data.dta")
        path.write_bytes(data)
        found = _read(path, form, encoding)
        named = str(found.get("encoding", "")).upper()
        if encoding is None and (_is_encoding_trouble(found) or _may_be_misread(found, named)):
            again = _read(path, form, "GB18030")
            if "columns" in again and common_share(_texts(again)) >= _LOOKS_CHINESE:
                found, named = again, "GB18030"
            elif _is_encoding_trouble(found):
                raise _undecodable(label, form)
    if "columns" not in found:
        if _is_encoding_trouble(found):
            raise _undecodable(label, form)
        raise UnreadableFileError(
            en=f"{label}: is cut off, damaged or no {form} file; export it again, or save it as xlsx",
            zh=f"{label}：不完整、已损坏或不是 {form} 文件；请重新导出，或另存为 xlsx",
        )
    shown = (encoding or _NAMES.get(named, named) or "UTF-8").upper()
    return _sheet(found["columns"], label, f"{form}, {shown}")


def _read(path: Path, form: str, encoding: str | None) -> dict:
    """What the worker says of the file; a crash or a hang of the library is a damaged file."""
    command = [sys.executable, "-P", str(_WORKER), str(path), form, *([encoding.upper()] if encoding else [])]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
        return json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError, UnicodeDecodeError):
        return {"error": "crash", "says": ""}


def _is_encoding_trouble(found: dict) -> bool:
    said = str(found.get("says", "")).lower()
    return "error" in found and ("encoding" in said or "codec" in said or "byte sequence" in said)


def _may_be_misread(found: dict, named: str) -> bool:
    """Letters outside ASCII in a file that names a Western encoding, or none."""
    western = not named or named.startswith(_SINGLE_BYTE)
    if "columns" not in found or not western or _texts(found).isascii():
        return False
    return bool(named) or common_share(_texts(found)) < _LOOKS_CHINESE


def _texts(found: dict) -> str:
    parts = []
    for column in found["columns"]:
        parts += [column["name"], column["label"], *(shown for _, shown, _ in column["options"])]
        parts += [text for kind, text in column["values"] if kind in ("text", "missing")]
    return "\n".join(dict.fromkeys(parts))


def _sheet(columns: list[dict], label: str, how: str) -> Sheet:
    n_rows = max((len(column["values"]) for column in columns), default=0) + 1
    if n_rows * len(columns) > MAX_CELLS:
        raise too_large(label)
    text = np.full((n_rows, len(columns)), "", dtype=object)
    kind = np.zeros((n_rows, len(columns)), dtype=np.uint8)
    for place, column in enumerate(columns):
        text[0, place], kind[0, place] = column["name"], TEXT
        for row, (name, shown) in enumerate(column["values"], 1):
            text[row, place], kind[row, place] = shown, _KINDS[name]
    checked("\n".join(dict.fromkeys(text.ravel().tolist())), label)
    variables = tuple(
        Variable(column["label"], tuple((code, shown, missing) for code, shown, missing in column["options"]))
        for column in columns
    )
    return Sheet("", text, kind, first_row=0, how=how, variables=variables, records=True)


def _undecodable(label: str, form: str) -> UnreadableFileError:
    return UnreadableFileError(
        en=f"{label}: the text of this {form} file fits neither the encoding that it names nor GB18030; "
        "write encoding in study.toml, or save the file as xlsx",
        zh=f"{label}：该 {form} 文件的文字既不符合其声明的编码，也不是 GB18030；"
        "请在 study.toml 中写明 encoding，或另存为 xlsx",
    )
