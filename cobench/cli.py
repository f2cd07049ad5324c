"""The command line. Heavy imports happen inside the commands, so that ``--help`` is quick."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from cobench.errors import CobenchError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Evaluate a school district's work with families, term by term. 学区家校协同工作的学期评估。",
)
StudyOption = Annotated[Path, typer.Option("--study", help="Study folder (holds study.toml). 研究文件夹。")]
TermArgument = Annotated[str, typer.Argument(help="Term id; the newest one if absent. 学期，默认最新。")]
JobsOption = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Worker processes. 并行进程数。")]
HERE = Path(".")
CORES = os.cpu_count() or 1


def main() -> None:
    """Entry point: errors made for users are printed in their language and end with exit code 2."""
    try:
        app()
    except CobenchError as error:
        from cobench.run.progress import ui_language

        print(error.in_language(ui_language()), file=sys.stderr)
        sys.exit(2)


@app.command()
def run(
    term: TermArgument = "",
    study: StudyOption = HERE,
    jobs: JobsOption = CORES,
    only: Annotated[
        list[str] | None, typer.Option(help="Notebook or report; may repeat. 只运行某报告。")
    ] = None,
    school: Annotated[str | None, typer.Option(help="Only this school's report. 只运行某校。")] = None,
    language: Annotated[str, typer.Option(help="zh, en or both. 语言。")] = "both",
) -> None:
    """Evaluate a term: read what changed, compute, write all reports and their index. 评估一个学期。"""
    from rich.console import Console

    from cobench.run.evaluate import evaluate_term
    from cobench.run.progress import ui_language

    opened, term_id = _open(study, term)
    console, speak = Console(), ui_language()
    result = evaluate_term(
        opened,
        term_id,
        languages=None if language == "both" else (language,),
        only=tuple(only or ()),
        school=school,
        jobs=jobs,
        console=console,
        language=speak,
    )
    console.print(result.summary(speak), highlight=False, soft_wrap=True)
    index = os.path.relpath(result.index)
    console.print(
        f"报告目录：{index}" if speak == "zh" else f"index: {index}", highlight=False, soft_wrap=True
    )
    raise typer.Exit(result.exit_code)


@app.command()
def ingest(term: TermArgument = "", study: StudyOption = HERE) -> None:
    """Read a term's raw files into tables; say what came in and what was put aside. 读入原始文件。"""
    from cobench.ingest.identities import load_key
    from cobench.ingest.ingest import ingest_term

    opened, term_id = _open(study, term)
    result = ingest_term(opened, term_id, key=load_key(opened.id, opened.root))
    columns = ["file", "rows_in", "accepted", "quarantined", "non_data"]
    print(result.files[columns].to_string(index=False))
    if len(result.rules):
        print()
        print(result.rules.to_string(index=False))


@app.command()
def prepare(term: TermArgument = "", study: StudyOption = HERE, jobs: JobsOption = CORES) -> None:
    """Read what changed and compute a term's tables and estimates, without reports. 只计算，不出报告。"""
    from rich.console import Console

    from cobench.run.progress import ui_language
    from cobench.run.steps import StepLine
    from cobench.workbench.prepare import bring_up_to_date

    opened, term_id = _open(study, term)
    with StepLine(console=Console(), language=ui_language()) as steps:
        bring_up_to_date(opened, term_id, jobs=jobs, on_progress=steps)


@app.command()
def check(term: TermArgument = "", study: StudyOption = HERE) -> None:
    """Check study file, code books, notebooks, parameters and raw files of a term; run nothing. 只检查。"""
    from cobench.run.check import check_term
    from cobench.run.progress import ui_language

    opened, term_id = _open(study, term)
    for line in check_term(opened, term_id):
        print(line[ui_language()])


@app.command()
def doctor(study: StudyOption = HERE) -> None:
    """Can this machine run the study: font, key, kernel, files, disk. 检查运行环境。"""
    from cobench.ingest.identities import load_key
    from cobench.run.doctor import checks
    from cobench.run.progress import ui_language
    from cobench.study import find_study, load_study

    speak = ui_language()
    opened = load_study(find_study(study))
    found = checks(opened, key=lambda each: load_key(each.id, each.root))
    for name, fine, message in found:
        print(f"{'✓' if fine else '✗'} {name[speak]}: {message[speak]}")
    raise typer.Exit(0 if all(fine for _, fine, _ in found) else 1)


@app.command()
def new(folder: Annotated[Path, typer.Argument(help="Folder to make. 新建的文件夹。")]) -> None:
    """Lay out an empty study: folders, notebooks and a commented study.toml. 新建研究。"""
    from cobench.new_study import lay_out
    from cobench.run.progress import ui_language

    print(lay_out(folder)[ui_language()])


@app.command()
def key(study: StudyOption = HERE) -> None:
    """Make the study's pseudonym key, outside the study folder, if there is none. 生成假名密钥。"""
    from cobench.ingest.identities import ensure_key
    from cobench.run.progress import ui_language
    from cobench.study import find_study, load_study

    opened = load_study(find_study(study))
    print(ensure_key(opened.id, opened.root)[ui_language()])


@app.command()
def demo(
    study: StudyOption = HERE,
    seed: Annotated[
        int | None, typer.Option(help="Random seed; the study's own if absent. 随机种子。")
    ] = None,
    if_empty: Annotated[
        bool, typer.Option("--if-empty", help="Only if data/raw is empty. 仅在没有数据时。")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace demo files. 覆盖。")] = False,
) -> None:
    """Write the raw files of the invented demo district. 生成模拟学区的原始文件。"""
    from cobench.demo import write_demo
    from cobench.errors import StudyFileError
    from cobench.ingest.identities import ensure_key
    from cobench.run.progress import ui_language
    from cobench.study import find_study, load_study

    opened = load_study(find_study(study))
    if not opened.simulated:
        raise StudyFileError(
            en="this study is not simulated (study.simulated is not true); demo files would mix with real ones",
            zh="本研究不是模拟研究（study.simulated 不为 true）；模拟文件会与真实文件混在一起",
        )
    speak = ui_language()
    print(ensure_key(opened.id, opened.root)[speak])
    if if_empty and any((opened.root / "data" / "raw").glob("*/*")):
        return
    paths = write_demo(opened.root, seed=opened.seed if seed is None else seed, force=force)
    print(
        f"已生成 {len(paths)} 个模拟原始文件" if speak == "zh" else f"wrote {len(paths)} simulated raw files"
    )


@app.command()
def withdraw(term: TermArgument = "", study: StudyOption = HERE) -> None:
    """Declare that nobody holds earlier editions of a term's reports any more. 声明旧版报告已收回作废。"""
    from cobench.run.progress import ui_language
    from cobench.workbench.term_release import withdraw as forget

    opened, term_id = _open(study, term)
    n = forget(opened, term_id)
    print(
        f"学期 {term_id}：旧版报告已作废（{n} 个数目）；下次运行不再与之对照"
        if ui_language() == "zh"
        else f"term {term_id}: earlier editions withdrawn ({n} numbers); the next run is not held against them"
    )


def _open(folder: Path, term: str):
    """The study at or above ``folder`` and the id of ``term`` (the newest where empty)."""
    from cobench.study import find_study, load_study

    opened = load_study(find_study(folder))
    return opened, opened.term(term).id if term else opened.newest_term().id


if __name__ == "__main__":
    main()
