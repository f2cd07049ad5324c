"""One line that tells how far the steps before the reports are."""

from __future__ import annotations

import time

from rich.console import Console

from cobench.run.progress import clock

STEPS = {
    "ingest": {"zh": "读入原始文件", "en": "reading raw files"},
    "scales": {"zh": "量表与面板", "en": "scales and panel"},
    "effects": {"zh": "估计效应", "en": "estimating effects"},
}


class StepLine:
    """Progress of :func:`cobench.workbench.prepare.bring_up_to_date`; call it with step, done, total."""

    def __init__(self, *, console: Console, language: str):
        self.console, self.language = console, language
        self.status = None
        self.started: dict[str, float] = {}

    def __enter__(self) -> StepLine:
        if self.console.is_terminal:
            self.status = self.console.status("")
            self.status.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.status:
            self.status.stop()

    def __call__(self, step: str, done: int, total: int) -> None:
        text = self._text(step, done, total)
        if self.status:
            self.status.update(text)
        else:
            self.console.print(text, highlight=False, soft_wrap=True)

    def _text(self, step: str, done: int, total: int) -> str:
        began = self.started.setdefault(step, time.monotonic())
        label = STEPS[step][self.language]
        if not 0 < done < total:
            return f"{label} {done}/{total}"
        left = (time.monotonic() - began) / done * (total - done)
        word = "剩余约" if self.language == "zh" else "left about"
        return f"{label} {done}/{total}, {word} {clock(left)}"
