"""One line that tells how far a run is: live on a terminal, a line per report elsewhere."""

from __future__ import annotations

import locale
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cobench.run.execute import Event
from cobench.run.words import phrase

if TYPE_CHECKING:
    from cobench.run.cache import Judged

_ACTIONS = {"reused": "reuse", "rendered": "render"}


def ui_language(environment: Mapping[str, str] = os.environ) -> str:
    """``zh`` where the user's locale is Chinese, else ``en``."""
    names = [environment.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG")]
    chosen = next((name for name in names if name), None) or locale.getlocale()[0] or ""
    return "zh" if chosen.lower().startswith(("zh", "chinese")) else "en"


def clock(seconds: float) -> str:
    """Seconds as ``m:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


class ProgressLine:
    """Follow the events of a run; use as a context manager around it."""

    def __init__(
        self,
        total: int,
        *,
        console: Console | None = None,
        language: str = "en",
        judged: Mapping[str, Judged] | None = None,
    ):
        self.total, self.language, self.judged = total, language, judged or {}
        self.console = console or Console()
        self.done = self.failed = 0
        self.started = time.monotonic()
        self.running: list[str] = []
        self.live: Progress | None = None

    def __enter__(self) -> ProgressLine:
        for key in ("reused", "rendered"):
            n = sum(each.action == _ACTIONS[key] for each in self.judged.values())
            if n:
                self._say(phrase(f"progress.{key}", n=n)[self.language])
        if self.console.is_terminal:
            columns = [
                "{task.description}",
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                "{task.fields[note]}",
            ]
            self.live = Progress(
                *(TextColumn(each) if isinstance(each, str) else each for each in columns),
                console=self.console,
                transient=True,
            )
            self.live.start()
            self.task = self.live.add_task(
                phrase("progress.running")[self.language], total=self.total, note=""
            )
        return self

    def __exit__(self, *exc: object) -> None:
        if self.live:
            self.live.stop()

    def __call__(self, event: Event) -> None:
        name = f"{event.report.id} ({event.report.language})"
        if event.kind == "started":
            self.running.append(name)
        else:
            self.running.remove(name)
            self.done += 1
            self.failed += event.outcome.state != "ok"
            if not self.live:
                self._print_line(event, name)
        if self.live:
            self.live.update(self.task, completed=self.done, note=self._note())

    def eta(self) -> float | None:
        """Seconds still to go, from the pace so far; ``None`` before the first report."""
        if not self.done:
            return None
        return (time.monotonic() - self.started) / self.done * (self.total - self.done)

    def _note(self) -> str:
        left = self.eta()
        parts = [
            phrase("progress.left", eta=clock(left))[self.language] if left is not None else "",
            phrase("progress.failed", n=self.failed)[self.language] if self.failed else "",
            ", ".join(self.running[-2:]),
        ]
        return " · ".join(part for part in parts if part)

    def _print_line(self, event: Event, name: str) -> None:
        outcome = event.outcome
        state = phrase("progress.ok" if outcome.state == "ok" else "progress.state_failed")
        line = phrase(
            "progress.line",
            done=self.done,
            total=self.total,
            report=name,
            state=state,
            seconds=f"{outcome.seconds:.1f}",
            eta=clock(self.eta() or 0),
        )
        judged = self.judged.get(event.report.path)
        if judged and judged.why:
            line = phrase("progress.because", line=line, why=judged.why)
        self._say(line[self.language])

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
