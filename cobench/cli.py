"""The command line. Heavy imports happen inside the commands, so that ``--help`` is quick."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from cobench.declared import Text
from cobench.errors import CobenchError
from cobench.run import published, schedule_command

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Evaluate a school district's work with families, term by term. 学区家校协同工作的学期评估。",
)
StudyOption = Annotated[Path, typer.Option("--study", help="Study folder (holds study.toml). 研究文件夹。")]
TermArgument = Annotated[str, typer.Argument(help="Term id; the newest one if absent. 学期，默认最新。")]
JobsOption = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Worker processes. 并行进程数。")]
OfOption = Annotated[str, typer.Option("--of", help="Only this school or class. 只写某校或某班。")]
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
    pdf: Annotated[bool, typer.Option("--pdf", help="Also a PDF of each page. 另存 PDF。")] = False,
    docx: Annotated[
        bool, typer.Option("--docx", help="Also summary and school reports in Word. 另存 Word 与附表。")
    ] = False,
    kernel: Annotated[
        Literal["warm", "ordinary"] | None,
        typer.Option(help="warm is faster and the default on Linux; pages are the same. 内核启动方式。"),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="tcp://HOST:PORT of a dask scheduler to run reports on. 集群调度器。")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Make all reports anew, changed or not. 全部重做。")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Only those that failed or were withheld. 只重做未生成的。")
    ] = False,
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
        kernels=kernel,
        scheduler=scheduler,
        redo="failed" if retry_failed else "all" if force else "changed",
    )
    console.print(result.summary(speak), highlight=False, soft_wrap=True)
    if pdf or docx:
        from cobench.run.annexes import add_annexes

        with console.status("") as status:
            add_annexes(opened, term_id, pdf=pdf, word=docx, tell=lambda name: status.update(name))
    index = os.path.relpath(result.index)
    console.print(
        f"报告目录：{index}" if speak == "zh" else f"index: {index}", highlight=False, soft_wrap=True
    )
    raise typer.Exit(result.exit_code)


@app.command()
def ingest(term: TermArgument = "", study: StudyOption = HERE) -> None:
    """Read a term's raw files into tables; say what came in and what was put aside. 读入原始文件。"""
    from rich.console import Console

    from cobench.ingest.ingest import ingest_term
    from cobench.ingest.keys import study_key
    from cobench.run.progress import ui_language
    from cobench.run.school_quality import hand_out
    from cobench.run.steps import StepLine
    from cobench.workbench.handouts import corrections_dir

    opened, term_id = _open(study, term)
    speak = ui_language()
    with StepLine(console=Console(), language=speak) as steps:
        result = ingest_term(opened, term_id, key=study_key(opened), on_progress=steps)
    if not result.changed:
        same = ("文件与上次读入时相同，无需更新", "no file has changed since they were read: nothing to do")
        print(same[0] if speak == "zh" else same[1])
    columns = ["file", "rows_in", "accepted", "quarantined", "non_data"]
    print(result.files[columns].to_string(index=False))
    if len(result.rules):
        print()
        print(result.rules.to_string(index=False))
    handed = hand_out(opened, term_id)
    folder = os.path.relpath(corrections_dir(opened, term_id))
    said = Text(
        f"退改清单 {len(handed.lists)} 份：{folder}", f"{len(handed.lists)} correction lists: {folder}"
    )
    print(said[ui_language()])


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
    from cobench.ingest.keys import study_key
    from cobench.run.doctor import checks
    from cobench.run.progress import ui_language
    from cobench.study import find_study, load_study

    speak = ui_language()
    opened = load_study(find_study(study))
    found = checks(opened, key=study_key)
    for name, fine, message in found:
        print(f"{'✓' if fine else '✗'} {name[speak]}: {message[speak]}")
    raise typer.Exit(0 if all(fine for _, fine, _ in found) else 1)


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(help="Folder to make. 新建的文件夹。")],
    from_files: Annotated[
        Path | None, typer.Option(help="Draft study.toml and code books from these files. 据此起草。")
    ] = None,
) -> None:
    """Lay out a study: folders, notebooks and a commented or drafted study.toml. 新建研究。"""
    from cobench.new_study import lay_out
    from cobench.run.progress import ui_language

    print(lay_out(folder, from_files)[ui_language()])


@app.command()
def key(
    study: StudyOption = HERE,
    backup: Annotated[Path | None, typer.Option("--backup", help="Copy it to this new file. 备份。")] = None,
    restore: Annotated[Path | None, typer.Option("--restore", help="Take it from a copy. 恢复。")] = None,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="A new key; every pseudonym changes, no estimate. 更换。")
    ] = False,
) -> None:
    """Make the study's pseudonym key if there is none; copy, bring back or replace it. 假名密钥。"""
    from cobench.ingest import identities, keys
    from cobench.run.progress import ui_language
    from cobench.study import find_study, load_study

    opened = load_study(find_study(study))
    if restore is not None:
        said = keys.restore_key(opened, restore)
    elif backup is not None:
        said = keys.backup_key(opened, backup)
    elif rotate:
        said = keys.rotate_key(opened).told()
    else:
        said = identities.ensure_key(opened.id, opened.root)
    print(said[ui_language()])


@app.command()
def forget(
    student: Annotated[
        str, typer.Argument(help="Number or pseudonym; asked for if absent. 学籍号或假名。")
    ] = "",
    study: StudyOption = HERE,
    keep_out: Annotated[
        bool, typer.Option("--keep-out", help="Also if not in the data yet. 尚未进入数据也登记。")
    ] = False,
) -> None:
    """Take a child out for good: consent withdrawn. The number is best asked for or piped in. 撤回同意，删除一名学生。"""
    from datetime import date

    from cobench.ingest.forget import forget_student
    from cobench.run.progress import ui_language
    from cobench.study import find_study, load_study

    opened = load_study(find_study(study))
    asked = "学籍号（不显示）" if ui_language() == "zh" else "student number (not shown)"
    typed = student or (typer.prompt(asked, hide_input=True) if sys.stdin.isatty() else sys.stdin.readline())
    print(forget_student(opened, typed, date.today(), keep_out=keep_out).told(opened)[ui_language()])


@app.command()
def aliases(
    study: StudyOption = HERE,
    declare: Annotated[
        Path | None, typer.Option("--declare", help="File with 原学籍号, 现学籍号. 学籍号变更表。")
    ] = None,
) -> None:
    """Numbers that may be one child's (L or J became G), to be confirmed; or declare them. 学籍号变更。"""
    from datetime import date

    from cobench.ingest.declare import declare_aliases, list_proposals
    from cobench.run.progress import ui_language
    from cobench.study import find_study, load_study

    opened = load_study(find_study(study))
    said = list_proposals(opened) if declare is None else declare_aliases(opened, declare, date.today())
    print(said[ui_language()])


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
    jobs: JobsOption = CORES,
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
    paths = write_demo(opened.root, seed=opened.seed if seed is None else seed, force=force, jobs=jobs)
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


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A raw file. 原始文件。")],
    codebook: Annotated[
        Path | None, typer.Option(help="Write the code book draft here. 生成编码表草稿。")
    ] = None,
    platform: Annotated[str | None, typer.Option(help="If it isn't recognised. 指定平台。")] = None,
    mode: Annotated[str | None, typer.Option(help="text or number. 按文本或按序号。")] = None,
    encoding: Annotated[str | None, typer.Option(help="utf-8, gbk, gb18030, utf-16. 编码。")] = None,
) -> None:
    """Say what a file is and how it would be read; never shows a person. 查看文件将如何读取。"""
    from cobench.ingest.inspect_command import inspect_for_user
    from cobench.run.progress import ui_language

    given = {"platform": platform, "mode": mode, "encoding": encoding}
    print(inspect_for_user(file, codebook, **given)[ui_language()])


@app.command()
def receive(term: TermArgument = "", study: StudyOption = HERE) -> None:
    """Who has sent what; writes the reminder list. 谁报了什么，并生成催报名单。"""
    from rich.console import Console

    from cobench.ingest.receive import receive as receive_term
    from cobench.run.listings import print_received
    from cobench.run.progress import ui_language
    from cobench.workbench.handouts import write_reminders

    opened, term_id = _open(study, term)
    console, speak = Console(), ui_language()
    received = receive_term(opened, term_id)
    print_received(received, console, speak)
    path = os.path.relpath(write_reminders(opened, received, speak))
    console.print(f"催报名单：{path}" if speak == "zh" else f"reminder list: {path}", soft_wrap=True)


@app.command()
def choose(
    file: Annotated[Path | None, typer.Argument(help="The file that counts. 以哪一份为准。")] = None,
    term: Annotated[str, typer.Option(help="Term id; the newest one if absent. 学期，默认最新。")] = "",
    study: StudyOption = HERE,
) -> None:
    """Of files sent again, say which one counts; without FILE list them. 重复报送时指定以哪一份为准。"""
    from rich.console import Console

    from cobench.run.choosing import choose_file, list_groups
    from cobench.run.progress import ui_language

    if file is None:
        opened, term_id = _open(study, term)
        list_groups(opened, term_id, Console(), ui_language())
    else:
        opened, _ = _open(study, "")
        print(choose_file(opened, file, term)[ui_language()])


@app.command()
def quarantine(
    term: TermArgument = "",
    study: StudyOption = HERE,
    school: Annotated[str | None, typer.Option(help="Only this school's rows. 只看某校。")] = None,
    rule: Annotated[str | None, typer.Option(help="Only this rule. 只看某规则。")] = None,
    values: Annotated[
        bool, typer.Option("--values", help="Show what the rows hold, on a terminal only. 显示内容。")
    ] = False,
) -> None:
    """What was put aside, by file and rule; writes each school's correction list and page. 搁置的行与退改清单。"""
    from rich.console import Console

    from cobench.run.progress import ui_language
    from cobench.run.school_quality import list_quarantine

    opened, term_id = _open(study, term)
    list_quarantine(opened, term_id, Console(), ui_language(), school=school, rule=rule, values=values)


@app.command()
def class_page(term: TermArgument = "", study: StudyOption = HERE, of: OfOption = "") -> None:
    """Pages for class teachers, with names, below private/: whom to visit next. 班主任家访安排（含姓名，仅限本机）。"""
    from cobench.run.progress import ui_language
    from cobench.workbench.class_page import told_class_pages

    print(told_class_pages(*_open(study, term), ui_language(), of))


def _open(folder: Path, term: str):
    """The study at or above ``folder`` and the id of ``term`` (the newest where empty)."""
    from cobench.study import find_study, load_study

    opened = load_study(find_study(folder))
    return opened, opened.term(term).id if term else opened.newest_term().id


# Commands on what was published, and on runs by the clock, stand in modules of their own.
published.add_to(app)
schedule_command.add_to(app)

if __name__ == "__main__":
    main()
