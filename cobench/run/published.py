"""Commands on published terms: verify, bundle, diff; and the laboratory. Heavy imports happen inside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

StudyOption = Annotated[Path, typer.Option("--study", help="Study folder (holds study.toml). 研究文件夹。")]
TermArgument = Annotated[str, typer.Argument(help="Term id; the newest one if absent. 学期，默认最新。")]
HERE = Path(".")


def add_to(app: typer.Typer) -> None:
    """Make the commands known to the command line."""
    for command in (verify, bundle, diff, lab):
        app.command()(command)


def verify(
    term: TermArgument = "",
    study: StudyOption = HERE,
    html: Annotated[
        list[Path] | None,
        typer.Option("--html", help="Pages, or a folder of them, to check without data. 只核对这些页面。"),
    ] = None,
) -> None:
    """Hold pages against the data they carry (--html), or a term against its raw files. 核对报告。"""
    from cobench.run.progress import ui_language
    from cobench.run.verify import verify_pages, verify_term

    if html:
        fine = verify_pages(html, print, ui_language())
    else:
        opened, term_id = _open(study, term)
        fine = verify_term(opened, term_id, print, ui_language())
    raise typer.Exit(0 if fine else 1)


def bundle(
    term: TermArgument = "",
    study: StudyOption = HERE,
    to: Annotated[Path | None, typer.Option("--to", help="File to write. 写到此文件。")] = None,
) -> None:
    """A published term as one zip file to send, with hashes. 把一个学期的报告打包成一个文件。"""
    from cobench.run.bundle import bundle_term
    from cobench.run.progress import ui_language
    from cobench.run.words import phrase

    opened, term_id = _open(study, term)
    path = os.path.relpath(bundle_term(opened, term_id, to))
    print(phrase("bundle.written", path=path)[ui_language()])


def diff(
    first: Annotated[str, typer.Argument(help="Earlier term. 前一学期。")],
    second: Annotated[str, typer.Argument(help="Later term. 后一学期。")],
    study: StudyOption = HERE,
) -> None:
    """What changed between two terms: data revised, specification changed, or the world. 两学期有何变化。"""
    from cobench.run.diff import diff_terms, told
    from cobench.run.progress import ui_language

    opened, first_id = _open(study, first)
    for line in told(diff_terms(opened, first_id, opened.term(second).id), ui_language()):
        print(line)


def lab(
    study: StudyOption = HERE,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only the server. 不打开浏览器。")] = False,
) -> None:
    """Open the study in JupyterLab, at a page with its terms, notebooks and last runs. 在 JupyterLab 中打开。"""
    from cobench.run.lab import open_lab
    from cobench.run.progress import ui_language
    from cobench.study import find_study, load_study

    opened = load_study(find_study(study))
    raise typer.Exit(open_lab(opened, ui_language(), ["--no-browser"] if no_browser else []))


def _open(folder: Path, term: str):
    """The study at or above ``folder`` and the id of ``term`` (the newest where empty)."""
    from cobench.study import find_study, load_study

    opened = load_study(find_study(folder))
    return opened, opened.term(term).id if term else opened.newest_term().id
