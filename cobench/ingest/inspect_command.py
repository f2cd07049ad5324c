"""``cobench inspect``: look at a file, write the draft of its code book where asked."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from cobench.declared import Text, not_allowed
from cobench.errors import StudyFileError
from cobench.files import write_text
from cobench.ingest.codebook_draft import draft_codebook
from cobench.ingest.draft_study import draft_source
from cobench.ingest.inspect_report import describe
from cobench.ingest.inspection import inspect_file
from cobench.sources import Encoding, Platform

_ALLOWED = {"platform": get_args(Platform), "mode": ("text", "number"), "encoding": get_args(Encoding)}


def inspect_for_user(path: Path, codebook: Path | None = None, **given: str | None) -> Text:
    """What to print; writes the draft to ``codebook`` where given, never over a file that is there.

    Raises
    ------
    StudyFileError
        On an option that isn't one, or a code book that exists.
    UnreadableFileError
        On a file that can't be read, or is ambiguous.
    """
    for name, value in given.items():
        if value is not None and value not in _ALLOWED[name]:
            raise not_allowed(f"--{name}", value, _ALLOWED[name])
    if codebook is not None and codebook.exists():
        raise StudyFileError(
            en=f"{codebook.name} is there already; name another file, or delete it",
            zh=f"{codebook.name} 已存在；请换一个文件名，或先删除",
        )
    found = inspect_file(path, **given)
    drafts = [
        draft_source(reading.sheet, path) if reading.layout is None else None for reading in found.readings
    ]
    said = describe(found, drafts)
    if codebook is None:
        return said
    write_text(codebook, draft_codebook(found, codebook.stem))
    return Text(
        f"{said.zh}\n已写入编码表草稿 {codebook.name}；请核对标有 # confirm 的各行并填写取值和方向，之后才能使用",
        f"{said.en}\nwrote the draft {codebook.name}; check the lines marked # confirm and fill in values and "
        "directions, it is refused until then",
    )
