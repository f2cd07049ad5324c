"""Strict decoding of csv bytes: UTF-8 (with or without BOM), UTF-16 with BOM, GB18030; never a replacement."""

from __future__ import annotations

import numpy as np

from cobench.errors import UnreadableFileError

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig", "UTF-8 BOM"),
    (b"\xff\xfe", "utf-16", "UTF-16"),
    (b"\xfe\xff", "utf-16", "UTF-16"),
)
_COMMON_SHARE = 0.6


def decode(data: bytes, label: str) -> tuple[str, str]:
    """Text of a csv file and the name of its encoding.

    Bytes that are not valid UTF-8 are read as GB18030 only if what comes out looks like Chinese: most of its
    characters are of the 3,755 common ones (GB 2312, level 1). UTF-8 cut short or Big5 fail that test.

    Raises
    ------
    UnreadableFileError
        Naming the file, line and byte.
    """
    for bom, codec, name in _BOMS:
        if data.startswith(bom):
            try:
                return _checked(data.decode(codec), label), name
            except UnicodeDecodeError as error:
                raise _undecodable(label, data, error.start, name) from None
    if b"\0" in data:
        raise _undecodable(label, data, data.index(b"\0"), "UTF-8")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _checked(_gb18030(data, label, error), label), "GB18030"
    if _also_chinese(data, text):
        raise UnreadableFileError(
            en=f"{label}: the encoding is ambiguous (both UTF-8 and GB18030 fit); "
            "open it in WPS and save as xlsx, or as csv in UTF-8 with BOM",
            zh=f"{label}：编码无法确定（UTF-8 与 GB18030 均可）；请在 WPS 中打开后另存为 xlsx，或带 BOM 的 UTF-8 csv",
        )
    return _checked(text, label), "UTF-8"


def _gb18030(data: bytes, label: str, failed: UnicodeDecodeError) -> str:
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError as error:
        start = failed.start if _common_share(data[: failed.start].decode("utf-8")) else error.start
        raise _undecodable(label, data, start, "UTF-8 / GB18030") from None
    if _common_share(text) < _COMMON_SHARE:
        raise _undecodable(label, data, failed.start, "UTF-8 / GB18030")
    return text


def _common_share(text: str) -> float:
    """Share of level-1 characters of GB 2312 among what is not ASCII; 0 where there is nothing but ASCII."""
    points, counts = np.unique(np.frombuffer(text.encode("utf-32-le"), dtype="<u4"), return_counts=True)
    characters = zip(map(chr, points), counts.tolist(), strict=True)
    letters = [(each, n) for each, n in characters if each > "\x7f" and each.isalpha()]
    common = sum(n for each, n in letters if _is_common(each))
    return common / sum(n for _, n in letters) if letters else 0.0


def _is_common(character: str) -> bool:
    encoded = character.encode("gb2312", errors="ignore")
    return len(encoded) == 2 and 0xB0 <= encoded[0] <= 0xD7


def _also_chinese(data: bytes, text: str) -> bool:
    """Valid UTF-8 without one Chinese character, that reads as Chinese in GB18030."""
    if text.isascii() or any("\u2e80" <= character <= "\U0003ffff" for character in text):
        return False
    try:
        return _common_share(data.decode("gb18030")) > 0.9
    except UnicodeDecodeError:
        return False


def _checked(text: str, label: str) -> str:
    """Refuse text that was damaged before it came here (replacement characters)."""
    if "\ufffd" not in text:
        return text
    line = text.count("\n", 0, text.index("\ufffd")) + 1
    raise UnreadableFileError(
        en=f"{label}, line {line}: holds replacement characters, so an earlier conversion has lost text; "
        "export it again from the source",
        zh=f"{label} 第 {line} 行：含有替换字符，说明先前转换时已丢失文字；请从原系统重新导出",
    )


def _undecodable(label: str, data: bytes, start: int, tried: str) -> UnreadableFileError:
    line = data.count(b"\n", 0, start) + 1
    return UnreadableFileError(
        en=f"{label}, line {line}, byte {start + 1}: can't be decoded as {tried}; "
        "open the original in WPS and save as UTF-8 or GB18030 csv, or as xlsx",
        zh=f"{label} 第 {line} 行、第 {start + 1} 字节：无法按 {tried} 解码；请在 WPS 中打开原文件，另存为 UTF-8 或 GB18030 的 csv，或 xlsx",
    )
