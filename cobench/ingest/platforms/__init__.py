"""Questionnaire platforms: a module each, recognised by what only its exports hold."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from cobench.errors import UnreadableFileError
from cobench.ingest.headers import place
from cobench.ingest.platforms import (
    jinshuju,
    kobo,
    qualtrics,
    redcap,
    statistical,
    table,
    tencent,
    wenjuanxing,
)
from cobench.ingest.platforms.layout import Layout
from cobench.ingest.readers import Sheet

PLATFORMS: dict[str, ModuleType] = {
    "wenjuanxing": wenjuanxing,
    "tencent": tencent,
    "jinshuju": jinshuju,
    "qualtrics": qualtrics,
    "kobo": kobo,
    "redcap": redcap,
    "spss": statistical,
    "stata": statistical,
    "table": table,
}
LABELS = {
    "spss": "SPSS",
    "stata": "Stata",
    **{name: each.LABEL for name, each in PLATFORMS.items() if hasattr(each, "LABEL")},
}
_BY_CONTENT = ("wenjuanxing", "tencent", "jinshuju", "qualtrics", "kobo", "redcap")


@dataclass(frozen=True)
class Recognised:
    """Platforms and modes that fit a sheet; a file can be read where there is one of each."""

    platforms: tuple[str, ...]
    modes: tuple[str, ...] = ()


def recognise(sheet: Sheet, file_name: str) -> Recognised:
    """Platforms whose signature the sheet holds, and the modes that fit the only one."""
    found = candidates(sheet)
    return Recognised(found, PLATFORMS[found[0]].modes(sheet, file_name) if len(found) == 1 else ())


def candidates(sheet: Sheet) -> tuple[str, ...]:
    """Platforms whose signature the sheet holds."""
    form = sheet.how.split(",")[0].lower()
    if form in ("spss", "stata"):
        return (form,)
    return tuple(name for name in _BY_CONTENT if PLATFORMS[name].seen(sheet))


def find_layout(sheet: Sheet, label: str, *, platform: str | None = None, mode: str | None = None) -> Layout:
    """How ``sheet`` is laid out.

    Parameters
    ----------
    platform, mode : str, optional
        What the study file declares; the file must bear it out.

    Raises
    ------
    UnreadableFileError
        When nothing fits, or more than one thing does: says what was seen and the candidates.
    """
    found = candidates(sheet)
    chosen = platform or (found[0] if len(found) == 1 else None)
    if chosen is None or (chosen != "table" and chosen not in found):
        raise _not_recognised(sheet, label, platform, found)
    modes = (mode,) if mode else PLATFORMS[chosen].modes(sheet, label.rsplit("/", 1)[-1])
    if len(modes) != 1:
        raise _mode_unknown(sheet, label, chosen, modes)
    return PLATFORMS[chosen].lay_out(sheet, modes[0])


def _not_recognised(
    sheet: Sheet, label: str, platform: str | None, found: tuple[str, ...]
) -> UnreadableFileError:
    en, zh = place(label, sheet.name)
    seen = ", ".join(LABELS[each] for each in found)
    if platform is not None:
        needs = ", ".join(PLATFORMS[platform].SIGNATURE)
        return UnreadableFileError(
            en=f"{en}: not recognised as a {LABELS[platform]} export (needs {needs}); "
            + (
                f"it looks like {seen}; mend platform in study.toml" if found else "export it again unchanged"
            ),
            zh=f"{zh}：无法识别为 {LABELS[platform]} 导出文件（需有 {needs}）；"
            + (f"看起来像 {seen}，请修正 study.toml 的 platform" if found else "请重新导出且不要改动列"),
        )
    if found:
        return UnreadableFileError(
            en=f"{en}: ambiguous, it fits {seen}; write platform = ... in study.toml (one of {', '.join(found)})",
            zh=f"{zh}：无法确定平台，同时符合 {seen}；请在 study.toml 中写明 platform（{', '.join(found)} 之一）",
        )
    known = "; ".join(f"{LABELS[each]}: {', '.join(PLATFORMS[each].SIGNATURE)}" for each in _BY_CONTENT)
    return UnreadableFileError(
        en=f"{en}: no questionnaire platform recognised (looked for {known}); export it again unchanged, "
        'or write platform = "table" in study.toml if it is a plain table',
        zh=f"{zh}：无法识别问卷平台（查找了 {known}）；请重新导出且不要改动列；若为普通表格，请在 study.toml 中写 "
        'platform = "table"',
    )


def _mode_unknown(sheet: Sheet, label: str, platform: str, modes: tuple[str, ...]) -> UnreadableFileError:
    en, zh = place(label, sheet.name)
    if not modes:
        return UnreadableFileError(
            en=f"{en}: exported by score; export it again from 问卷星 by option text (按选项文本)",
            zh=f"{zh}：该文件是按分数导出的；请在问卷星中重新选择“按选项文本下载”",
        )
    return UnreadableFileError(
        en=f"{en}: {LABELS[platform]}, but by option text or by option number? The file name doesn't say and the "
        'answers fit both; keep the name that the platform gave, or write mode = "text" or "number" in study.toml',
        zh=f"{zh}：是 {LABELS[platform]} 文件，但无法确定按文本还是按序号导出（文件名未注明，内容两者皆可）；"
        '请保留平台给出的文件名，或在 study.toml 中写 mode = "text" 或 "number"',
    )
