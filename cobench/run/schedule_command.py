"""``cobench schedule``: write the files that start runs by the clock, or be such a run. Heavy imports happen inside."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from cobench.run.schedule_files import Plan
    from cobench.run.schedule_options import Options


def add_to(app: typer.Typer) -> None:
    """Make the command known to the command line."""
    app.command()(schedule)


def schedule(
    term: Annotated[
        str,
        typer.Argument(
            help="Term id; at each start the latest whose exam is over. 学期，默认考试已过的最近学期。"
        ),
    ] = "",
    study: Annotated[Path, typer.Option("--study", help="Study folder. 研究文件夹。")] = Path("."),
    kind: Annotated[
        Literal["systemd", "cron", "github"] | None, typer.Option("--as", help="What to write. 写成哪一种。")
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            help="'06:00', 'Mon,Thu 06:00', '07-12 06:00', '2026-07-12 06:00'; may repeat. 何时启动。"
        ),
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="Folder for the files; private/schedule if absent. 写到此文件夹。")
    ] = None,
    now: Annotated[
        bool, typer.Option("--now", help="Be the run that the files start. 立即按定时方式运行。")
    ] = False,
    wait_until: Annotated[
        str,
        typer.Option(help="Wait for files: 14d, 36h, 90m, 2026-07-20; files_due if absent. 等材料到何时。"),
    ] = "",
    every: Annotated[
        float, typer.Option(min=0.001, help="Minutes between two looks. 每隔几分钟查看。")
    ] = 30.0,
    if_missing: Annotated[
        Literal["stop", "go-on"], typer.Option(help="At the deadline stop, or go on without. 到期仍缺时。")
    ] = "stop",
    retries: Annotated[
        int, typer.Option(min=0, help="Try failed reports again, at most so often. 重试次数。")
    ] = 2,
    pause: Annotated[
        float,
        typer.Option(min=0, help="Seconds before the first; then twice as long each. 首次重试前等待秒数。"),
    ] = 60.0,
    keep: Annotated[int, typer.Option(min=1, help="Logs to keep in private/logs. 保留日志数。")] = 20,
    zone: Annotated[str, typer.Option(help="Time zone of all times here. 时区。")] = "Asia/Shanghai",
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=0, help="Worker processes; 0: one a core. 并行数。")
    ] = 0,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also a PDF of each page. 另存 PDF。")] = False,
    docx: Annotated[
        bool, typer.Option("--docx", help="Also Word files and annexes. 另存 Word 与附表。")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print counts only, no school. 只显示数目，不显示学校。")
    ] = False,
) -> None:
    """Write a timer for a term's run (--as, --at), or be that run: wait, evaluate, retry, tell (--now). 定时运行。

    Exit codes of the run: 0 all published, or another scheduled run is at it; 1 some report failed or was withheld; 2 bad
    input or locked; 3 files missing at the deadline; 4 an error of the program; 130, 143 ended from outside.
    """
    from cobench.errors import ParameterError
    from cobench.run.schedule_options import Options
    from cobench.study import find_study

    options = Options(
        wait_until=wait_until, every=every, if_missing=if_missing, retries=retries, pause=pause, keep=keep, zone=zone,
        jobs=jobs, pdf=pdf, docx=docx, quiet=quiet or kind == "github",
    )  # fmt: skip
    if now and not (kind or at or write):
        raise typer.Exit(_run(find_study(study), term, options))
    if now or not (kind and at):
        raise ParameterError(
            en="give --as systemd, cron or github with at least one --at to write the files, or --now alone to run",
            zh="写定时文件请给出 --as（systemd、cron、github）与至少一个 --at；立即运行请只用 --now",
        )
    _write(find_study(study), term, kind, at, options, write)


def _run(root: Path, term: str, options: Options) -> int:
    from cobench.run.progress import ui_language
    from cobench.run.scheduled import end_on_signals, run_scheduled

    end_on_signals()
    shown = sys.stdout
    try:
        return run_scheduled(
            root,
            term,
            options,
            language=ui_language(),
            show=lambda text: print(text, file=shown, flush=True),
            watched=shown.isatty() and not options.quiet,
        )
    except KeyboardInterrupt as ended:
        return 128 + (ended.args[0] if ended.args else 2)


def _write(root: Path, term: str, kind: str, at: list[str], options: Options, folder: Path | None) -> None:
    from datetime import datetime

    from cobench.files import write_text
    from cobench.run.kernels import private_folder
    from cobench.run.progress import ui_language
    from cobench.run.schedule_files import Plan, writers
    from cobench.run.schedule_times import parse_deadline, parse_when, zone_of
    from cobench.run.words import phrase
    from cobench.study import load_study

    zone, speak = zone_of(options.zone), ui_language()
    if options.wait_until:
        parse_deadline(options.wait_until, zone)
    opened = load_study(root)
    if term:
        opened.term(term)
    plan = Plan(opened, term, tuple(map(parse_when, at)), options, speak)
    files = writers(datetime.now(zone).date())[kind](plan)
    if folder is None:
        private_folder(root / "private")
        folder = private_folder(root / "private" / "schedule")
    for name, text in files.items():
        write_text(folder / name, text)
    listed = "、" if speak == "zh" else ", "
    print(
        phrase("schedule.written", files=listed.join(os.path.relpath(folder / name) for name in files))[speak]
    )
    _say_what_is_next(plan, kind)


def _say_what_is_next(plan: Plan, kind: str) -> None:
    from cobench.run.notices import VARIABLES
    from cobench.run.schedule_files import SETTINGS
    from cobench.run.words import phrase

    speak = plan.language
    print(phrase(f"schedule.next_{kind}", name=plan.name)[speak])
    if kind != "github":
        print(phrase("schedule.next_secrets", settings=SETTINGS, names=" ".join(VARIABLES))[speak])
    if os.environ.get("COBENCH_KEY"):
        print(phrase("schedule.next_key")[speak])
