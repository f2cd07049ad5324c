"""What stops a delivery, in words: all problems of its files together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cobench.errors import CobenchError, IngestError
from cobench.ingest import batches
from cobench.ingest.batches import FileCells, RawFile
from cobench.study import Study, Term

MAX_PROBLEMS = 20


def check_unchanged(
    raws: Sequence[RawFile], before: Sequence[object], signs: Callable[[Path], object]
) -> None:
    """Refuse files that changed while they were read.

    Raises
    ------
    IngestError
    """
    changed = [
        raw.label
        for raw, sign in zip(raws, before, strict=True)
        if not raw.path.exists() or signs(raw.path) != sign
    ]
    if changed:
        raise IngestError(
            en=f"{', '.join(changed)} changed while it was read; close it in other programs and ingest again",
            zh=f"{', '.join(changed)} 在读取过程中发生变化；请在其他程序中关闭后重新读入",
        )


def stop(problems: list[CobenchError]) -> None:
    """Raise what was found: one problem as itself, several as one."""
    if not problems:
        return
    if len(problems) == 1:
        raise problems[0]
    n = len(problems)
    more = (
        (f"\n... and {n - MAX_PROBLEMS} more", f"\n……另有 {n - MAX_PROBLEMS} 项")
        if n > MAX_PROBLEMS
        else ("", "")
    )
    raise IngestError(
        en=f"{n} problems, nothing was stored:\n"
        + "\n".join(each.en for each in problems[:MAX_PROBLEMS])
        + more[0],
        zh=f"共 {n} 个问题，未写入任何内容：\n"
        + "\n".join(each.zh for each in problems[:MAX_PROBLEMS])
        + more[1],
    )


def no_schools(study: Study, term: Term) -> IngestError:
    """A delivery without its list of schools."""
    patterns = [each.pattern(term.id) for each in study.sources if each.table == "schools"]
    listed = ", ".join(patterns) or "(no source of table schools)"
    return IngestError(
        en=f"no list of schools for term {term.id}: {listed}; put the file there, or declare the source",
        zh=f"学期 {term.id} 没有学校名录：{listed}；请放入该文件，或在 study.toml 中声明来源",
    )


def unknown_school(label: str, how: str) -> IngestError:
    """A folder, sheet or file name that tells no school."""
    said = {"folder": ("folder", "文件夹"), "sheet": ("name of a sheet", "某个工作表名")}
    where = said.get(how, ("file name", "文件名"))
    return IngestError(
        en=f"{label}: its {where[0]} names no school of the list (code, name or short name); rename it, or mend the list",
        zh=f"{label}：{where[1]}不对应学校名录中的任何学校（代码、名称或简称）；请改名，或修正名录",
    )


def schools_of_files(
    files: Sequence[FileCells], codes: dict[str, str], problems: list[CobenchError]
) -> dict[str, str]:
    """School of each file that a folder, the file name or (``file/sheet``) the name of a sheet tells."""
    homes = {}
    for each in files:
        for place, name in batches.names_of_school(each):
            school = batches.school_in(name, codes)
            if school is None:
                problems.append(unknown_school(each.raw.label, each.raw.source.school))
            else:
                homes[place] = school
    return homes
