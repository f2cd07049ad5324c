"""The files that start a scheduled run: a systemd timer and its service, a line for cron, a workflow of GitHub Actions.

They name this Python and the study by their absolute paths and belong to the machine they were written on; secrets never
stand in them. Each of the three has its own way of reading ``%``, quotes and blanks, hence a way of quoting each.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import sys
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from pathlib import Path

from cobench.errors import ParameterError
from cobench.run.notices import VARIABLES
from cobench.run.schedule_options import Options
from cobench.run.schedule_times import When, lasting, minutes_ahead, zone_of
from cobench.study import Study

# Where systemd and cron find the variables of notices; read if it is there.
SETTINGS = ".config/cobench/notify.env"
# How long a run may take beyond its wait before systemd ends it.
RUN_LIMIT = timedelta(days=1)
GITHUB_LIMIT = timedelta(days=5)
_CRON_LINE = 998  # bytes; cron refuses longer commands
_LANG = {"zh": "zh_CN.UTF-8", "en": "C.UTF-8"}


@dataclass(frozen=True)
class Plan:
    """What is to be started when; ``term`` is empty for the latest one whose exam is over at each start."""

    study: Study
    term: str
    at: tuple[When, ...]
    options: Options
    language: str = "en"
    python: str = sys.executable

    @property
    def name(self) -> str:
        """What the files are called: letters that systemd and file systems allow, of the study and the term."""
        named = "-".join(filter(None, ["cobench", self.study.id, self.term]))
        plain = re.sub(r"[^A-Za-z0-9-]+", "-", named).strip("-")
        if plain == named:
            return plain
        return f"{plain}-{hashlib.sha256(named.encode('utf-8')).hexdigest()[:6]}"

    @property
    def command(self) -> list[str]:
        """The command line that a start runs."""
        term = [self.term] if self.term else []
        study = ["--study", str(self.study.root)]
        return [
            self.python,
            "-m",
            "cobench.cli",
            "schedule",
            *term,
            "--now",
            *study,
            *self.options.arguments(),
        ]

    def check(self) -> None:
        """Refuse paths that one of the three can't carry.

        Raises
        ------
        ParameterError
        """
        for path in (self.python, str(self.study.root)):
            if (
                "\\" in path
                or path != path.strip()
                or any(unicodedata.category(each) in ("Cc", "Zl", "Zp") for each in path)
            ):
                shown = json.dumps(Path(path).name, ensure_ascii=False)
                raise ParameterError(
                    en=f"the path of {shown} holds a backslash, a control character or a blank at its end, which timers "
                    "can't carry; move or rename it (on Windows let the Task Scheduler run `cobench schedule --now`)",
                    zh=f"{shown} 的路径含有反斜杠、控制字符或首尾空格，定时文件无法写入；请移动或改名"
                    "（Windows 请用任务计划程序运行 cobench schedule --now）",
                )


def systemd(plan: Plan) -> dict[str, str]:
    """A timer and a service for ``systemctl --user``, by file name."""
    plan.check()
    if {'"', "'"} & set(plan.python):
        raise ParameterError(
            en="systemd starts no program whose path holds a quotation mark; move or rename the environment of this Python",
            zh="systemd 不能启动路径中含引号的程序；请移动此 Python 环境或改名",
        )
    root = str(plan.study.root)
    due = any(term.files_due for term in plan.study.terms)
    wait = lasting(plan.options.wait_until) if plan.options.wait_until or due else timedelta()
    limit = "infinity" if wait is None else f"{round((wait + RUN_LIMIT).total_seconds())}s"
    arguments = " ".join(_systemd_word(each) for each in plan.command[1:])
    service = f"""\
# Written by `cobench schedule`. Secrets for notices go to ~/{SETTINGS} (chmod 600), never in here.
[Unit]
Description=cobench: scheduled run of {_systemd_text(plan.study.id)}

[Service]
Type=oneshot
WorkingDirectory={_systemd_text(root)}
Environment=LANG={_LANG[plan.language]} PYTHONUTF8=1
EnvironmentFile=-%h/{SETTINGS}
ExecStart={_systemd_word(plan.python, program=True)} {arguments}
# It may wait for files; a run that hangs is ended after this.
TimeoutStartSec={limit}
# Only the run itself is told to end; what is left after that is killed.
KillMode=mixed
TimeoutStopSec=60s
Nice=10
"""
    starts = "\n".join(f"OnCalendar={each.on_calendar(plan.options.zone)}" for each in plan.at)
    timer = f"""\
# Written by `cobench schedule`.
[Unit]
Description=cobench: starts of {_systemd_text(plan.study.id)}

[Timer]
{starts}
# A start that was missed because the machine was off is made up for.
Persistent=true
AccuracySec=1min
Unit={plan.name}.service

[Install]
WantedBy=timers.target
"""
    return {f"{plan.name}.service": service, f"{plan.name}.timer": timer}


def cron(plan: Plan, today: date) -> dict[str, str]:
    """Lines for a user's crontab, by file name; times are by the clock of this machine.

    Raises
    ------
    ParameterError
        For a year, a clock that moves against the zone, or a command longer than cron takes.
    """
    plan.check()
    ahead = minutes_ahead(zone_of(plan.options.zone), None, today)
    settings = f'"$HOME/{SETTINGS}"'
    command = (
        f"export LANG={_LANG[plan.language]} PYTHONUTF8=1 PATH=/usr/local/bin:/usr/bin:/bin; set -a; "
        f"[ ! -r {settings} ] || . {settings}; set +a; "
        f"cd {shlex.quote(str(plan.study.root))} && exec nice -n 10 {shlex.join(plan.command)}"
    ).replace("%", r"\%")
    lines = [f"{each.cron_fields(ahead)} {command}" for each in plan.at]
    if max(len(line.encode("utf-8")) for line in lines) > _CRON_LINE:
        raise ParameterError(
            en=f"the command is longer than the {_CRON_LINE} bytes that cron takes; move the study to a shorter path",
            zh=f"命令超过 cron 允许的 {_CRON_LINE} 字节；请把研究放到较短的路径下",
        )
    head = f"""\
# Written by `cobench schedule`. Times are by this machine's clock, for {plan.options.zone}. Secrets for notices go to
# ~/{SETTINGS} (chmod 600), never in here. cobench locks the study itself: starts that overlap do no harm.
"""
    return {f"{plan.name}.cron": head + "\n".join(lines) + "\n"}


def github(plan: Plan) -> dict[str, str]:
    """A workflow for a runner of one's own, by file name; times in UTC.

    Raises
    ------
    ParameterError
        For a year, a zone with summer time, a wait longer than a job may take, or a path that would be an expression.
    """
    plan.check()
    options = plan.options
    ahead = minutes_ahead(zone_of(options.zone), UTC, date(2026, 1, 1))
    wait = lasting(options.wait_until) if options.wait_until else None
    if wait and wait > GITHUB_LIMIT - RUN_LIMIT:
        raise ParameterError(
            en="GitHub ends a job after five days: wait 4d at most and start it more often",
            zh="GitHub 的任务最长五天：请最多等待 4d，并提高启动频率",
        )
    if any("${{" in each for each in plan.command):
        raise ParameterError(
            en="a path holds '${{', which GitHub would compute; move or rename it",
            zh="路径中含有 '${{'，会被 GitHub 当作表达式；请移动或改名",
        )
    starts = "\n".join(f"    - cron: {json.dumps(each.cron_fields(ahead))}" for each in plan.at)
    secrets = "\n".join(f"          {name}: ${{{{ secrets.{name} }}}}" for name in VARIABLES)
    run = json.dumps(shlex.join(plan.command), ensure_ascii=False)
    text = f"""\
# Written by `cobench schedule`. Put it into .github/workflows of a private repository.
#
# It runs on a runner of your own (self-hosted), on the machine where the study lies: the raw files hold names of minors,
# which must never reach a machine of GitHub's. For the same reason nothing is checked out, uploaded or printed but
# counts, and the job gets no permission at all. No action of others is used, so there is none to pin.
name: {json.dumps(plan.name)}
on:
  schedule:  # UTC
{starts}
  workflow_dispatch: {{}}
permissions: {{}}
concurrency:
  group: {json.dumps(plan.name)}
  cancel-in-progress: false
jobs:
  evaluate:
    runs-on: [self-hosted]
    timeout-minutes: {round(GITHUB_LIMIT / timedelta(minutes=1))}
    steps:
      - name: Wait for files, evaluate, tell
        shell: sh
        env:
          LANG: {_LANG[plan.language]}
          PYTHONUTF8: "1"
{secrets}
        run: {run}
"""
    return {f"{plan.name}.yml": text}


def writers(today: date) -> Mapping[str, Callable[[Plan], dict[str, str]]]:
    """The functions above by the name of what they write for."""
    return {"systemd": systemd, "cron": lambda plan: cron(plan, today), "github": github}


def _systemd_text(text: str) -> str:
    """Text of a setting that systemd takes whole; only its specifiers are doubled."""
    return text.replace("%", "%%")


def _systemd_word(word: str, *, program: bool = False) -> str:
    """A word of ``ExecStart=``; variables aren't looked for in the program itself."""
    escaped = word.replace('"', '\\"').replace("%", "%%")
    escaped = escaped if program else escaped.replace("$", "$$")
    return escaped if re.fullmatch(r"[\w@%+=:,./$-]+", escaped) else f'"{escaped}"'
