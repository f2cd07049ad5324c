"""A zip as questionnaire platforms send it: one data file, and the SPSS syntax that labels its columns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np

from cobench.errors import UnreadableFileError
from cobench.ingest.encoding import decode
from cobench.ingest.packages import members
from cobench.ingest.readers import EMPTY, MISSING, Sheet, Variable, sheets_of
from cobench.ingest.spss_syntax import Declared, read_syntax
from cobench.ingest.text import clean_text

_DATA = (".csv", ".tsv", ".txt", ".xlsx", ".xls", ".sav", ".dta")
_ABOUT = ("readme", "说明", "__macosx")


def read_archive(data: bytes, label: str, encoding: str | None = None) -> list[Sheet]:
    """Sheets of the one data file of a zip; codes become the labels that its SPSS syntax gives them.

    Raises
    ------
    UnreadableFileError
        When there is no data file, or more than one, or one that can't be read.
    """
    files = {name: content for name, content in members(data, label).items() if not _is_about(name)}
    tables = {name: content for name, content in files.items() if _suffix(name) in _DATA}
    if len(tables) != 1:
        raise UnreadableFileError(
            en=f"{label}: a zip must hold one data file ({' '.join(_DATA)}), this one holds {len(tables)}; "
            "unpack it and put the right file into the folder",
            zh=f"{label}：压缩包中应有一个数据文件（{' '.join(_DATA)}），现有 {len(tables)} 个；请解压后放入需要的文件",
        )
    ((name, content),) = tables.items()
    if not content.strip():
        raise UnreadableFileError(
            en=f"{label}: the data file in the zip is empty; export it again",
            zh=f"{label}：压缩包中的数据文件为空；请重新导出",
        )
    syntax = [content for name, content in files.items() if _suffix(name) == ".sps"]
    declared = read_syntax(decode(syntax[0], label)[0]) if len(syntax) == 1 and syntax[0].strip() else {}
    sheets = sheets_of(content, label, _suffix(name), encoding)
    return [_labelled(replace(sheet, how=f"zip, {sheet.how}"), declared) for sheet in sheets]


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _is_about(name: str) -> bool:
    return any(part in name.lower() for part in _ABOUT)


def _labelled(sheet: Sheet, declared: dict[str, Declared]) -> Sheet:
    """The sheet with labels in place of codes, where its first row holds variables of the syntax."""
    if not declared or not sheet.n_rows:
        return sheet
    known = [declared.get(clean_text(name).lower(), Declared()) for name in sheet.text[0]]
    if not any(each.label or each.labels for each in known):
        return sheet
    text, kind = sheet.text.copy(), sheet.kind.copy()
    for column, each in enumerate(known):
        codes = [clean_text(cell) for cell in sheet.text[1:, column]]
        missing = np.array([code != "" and code in each.missing for code in codes], dtype=bool)
        text[1:, column] = [
            each.labels.get(code, cell) for code, cell in zip(codes, text[1:, column], strict=True)
        ]
        kind[1:, column] = np.where(missing & (kind[1:, column] != EMPTY), MISSING, kind[1:, column])
    variables = tuple(
        Variable(
            each.label, tuple((code, shown, code in each.missing) for code, shown in each.labels.items())
        )
        for each in known
    )
    return replace(sheet, text=text, kind=kind, variables=variables, how=f"{sheet.how}, SPSS syntax")
