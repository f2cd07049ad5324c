"""``cobench choose``: of files sent again, which one counts."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from cobench.declared import Text
from cobench.errors import ResentFileError
from cobench.ingest.batches import find_files
from cobench.ingest.receive import open_groups
from cobench.ingest.resent import find_group, record_choice, superseded
from cobench.run.listings import print_groups
from cobench.study import Study


def choose_file(study: Study, file: Path, term_id: str = "") -> Text:
    """Record in ``choices.toml`` that ``file`` counts; says what it replaces.

    ``file`` is a path, also one relative to the study; its term is that of its folder, unless given.

    Raises
    ------
    ResentFileError
        When it is no file of the study, or wasn't sent twice.
    """
    path = file if file.exists() else study.root / file
    inside = path.resolve().relative_to(study.root).parts if path.resolve().is_relative_to(study.root) else ()
    term = term_id or (
        inside[2] if inside[:2] == ("data", "raw") and len(inside) > 3 else study.newest_term().id
    )
    found = find_group(open_groups(study, study.term(term).id), path)
    if found is None:
        raise ResentFileError(
            en=f"{file.name} is not one of files sent twice in term {term}; `cobench choose` lists them",
            zh=f"{file.name} 不在学期 {term} 重复报送的文件之列；可用 `cobench choose` 查看",
        )
    chosen, group = found
    choice = record_choice(study, term, chosen, group)
    others = "；".join(each.file for each in choice.over)
    return Text(
        f"以 {chosen.label} 为准；已被替代（原件保留，行数照计）：{others}。决定记在 choices.toml，请重新读入",
        f"{chosen.label} counts; superseded (kept, its rows counted): {others}. Recorded in choices.toml; ingest again",
    )


def list_groups(study: Study, term_id: str, console: Console, language: str) -> None:
    """Print files sent again and what has been chosen."""
    raws = find_files(study, study.term(term_id))
    print_groups(open_groups(study, term_id), superseded(study, term_id, raws), console, language)
