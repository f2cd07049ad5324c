"""A look into a zip before it is read: its size, and of a workbook its used area and cells that hold an error."""

from __future__ import annotations

import html
import io
import lzma
import posixpath
import re
import struct
import zipfile
import zlib

from cobench.errors import UnreadableFileError

MAX_UNPACKED = 600_000_000
MAX_RATIO = 200
MAX_CELLS = 20_000_000
_SMALL = 20_000_000

_SHEET_PART = re.compile(r"xl/worksheets/[^/]+\.xml", re.IGNORECASE)
_CELL = re.compile(rb'<(?:\w+:)?c [^>]*?r="([A-Z]{1,5})(\d{1,9})"')
# Up to column ZZ and row 9999 a sheet is small enough whatever it holds.
_FAR_CELL = re.compile(rb' r="(?:[A-Z]{3,5}\d|[A-Z]{1,2}\d{5,})')
_ERROR_CELL = re.compile(
    rb'<(?:\w+:)?c [^>]*?r="([A-Z]{1,5})(\d{1,9})"[^>]*? t="e"[^>]*>(.*?)</(?:\w+:)?c>', re.S
)
_VALUE = re.compile(rb"<(?:\w+:)?v>([^<]*)<")
_ATTRIBUTE = r'{}="([^"]*)"'

_DAMAGES = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(KeyError, ValueError, RuntimeError, struct.error),
)

ErrorCells = dict[str, list[tuple[int, int, str]]]


def is_workbook(data: bytes) -> bool:
    """Whether a zip is a workbook, or too damaged to be anything else."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, RuntimeError, NotImplementedError):
        return True
    return any(name.lower().startswith(("xl/", "[content_types]")) for name in names) or not names


def members(data: bytes, label: str) -> dict[str, bytes]:
    """Files of a zip by name, in order.

    Raises
    ------
    UnreadableFileError
        On a damaged, encrypted or outsized archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            _check_size(infos, data, label)
            return {info.filename: archive.read(info) for info in infos}
    except _DAMAGES as error:
        raise refused(label, "is cut off or damaged", "不完整或已损坏") from error


def look_into(data: bytes, label: str) -> ErrorCells:
    """Error cells (#REF!, #N/A) by sheet name as (row, column, text), zero-based: calamine reads them as blanks.

    Raises
    ------
    UnreadableFileError
        On a damaged, encrypted or outsized package.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check_size(infos, data, label)
            found = {}
            for info in infos:
                if _SHEET_PART.fullmatch(info.filename):
                    xml = archive.read(info)
                    _check_area(xml, label)
                    broken = _error_cells(xml)
                    if broken:
                        found[info.filename] = broken
            names = _sheet_names(archive) if found else {}
            return {names.get(part, ""): cells for part, cells in found.items()}
    except _DAMAGES as error:
        raise refused(label, "is cut off or damaged", "不完整或已损坏") from error


def _check_size(infos: list[zipfile.ZipInfo], data: bytes, label: str) -> None:
    unpacked = sum(info.file_size for info in infos)
    if unpacked > MAX_UNPACKED or (unpacked > _SMALL and unpacked > MAX_RATIO * len(data)):
        raise too_large(label)
    if any(info.flag_bits & 1 for info in infos):
        raise refused(label, "is encrypted", "已加密", remove_password=True)


def refused(label: str, en: str, zh: str, *, remove_password: bool = False) -> UnreadableFileError:
    """A file that can't be read as it is, with the way out."""
    password = (" and no password", "，且不设密码") if remove_password else ("", "")
    return UnreadableFileError(
        en=f"{label}: {en}; open it in WPS and save as xlsx{password[0]}",
        zh=f"{label}：{zh}；请在 WPS 中打开后另存为 xlsx{password[1]}",
    )


def too_large(label: str) -> UnreadableFileError:
    """A file that would not fit into memory."""
    return UnreadableFileError(
        en=f"{label}: unpacks to far more than a school's file holds; save only the used rows and columns as xlsx",
        zh=f"{label}：解压后的数据量远超正常范围；请只保留有内容的行列，另存为 xlsx",
    )


def _check_area(xml: bytes, label: str) -> None:
    if not _FAR_CELL.search(xml):
        return
    n_rows = n_columns = 0
    for match in _CELL.finditer(xml):
        n_columns = max(n_columns, _column(match.group(1)) + 1)
        n_rows = max(n_rows, int(match.group(2)))
    if n_rows * n_columns > MAX_CELLS:
        raise too_large(label)


def _error_cells(xml: bytes) -> list[tuple[int, int, str]]:
    if b't="e"' not in xml:
        return []
    cells = []
    for match in _ERROR_CELL.finditer(xml):
        value = _VALUE.search(match.group(3))
        text = value.group(1).decode("utf-8", errors="ignore") if value else "#ERROR"
        cells.append((int(match.group(2)) - 1, _column(match.group(1)), text))
    return cells


def _sheet_names(archive: zipfile.ZipFile) -> dict[str, str]:
    """Name of the sheet that each part of the package holds."""
    book = archive.read("xl/workbook.xml").decode("utf-8")
    relations = archive.read("xl/_rels/workbook.xml.rels").decode("utf-8")
    parts = {
        _attribute(each, "Id"): posixpath.normpath(posixpath.join("xl", _attribute(each, "Target")))
        for each in re.findall(r"<(?:\w+:)?Relationship [^>]*>", relations)
    }
    return {
        parts.get(_attribute(each, r"\w+:id"), "").lstrip("/"): html.unescape(_attribute(each, "name"))
        for each in re.findall(r"<(?:\w+:)?sheet [^>]*>", book)
    }


def _attribute(element: str, name: str) -> str:
    match = re.search(rf"(?<![\w:]){_ATTRIBUTE.format(name)}", element)
    return match.group(1) if match else ""


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1
