import io
import time

import pytest
from rich.console import Console
from test_render import report

from cobench.run.execute import Event, Outcome
from cobench.run.progress import ProgressLine, clock, ui_language


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LC_ALL": "zh_TW", "LANG": "en_US"}, "zh"),
        ({"LC_ALL": "C.UTF-8", "LANG": "zh_CN"}, "en"),
    ],
)
def test_the_language_of_messages_follows_the_locale(environment, language):
    assert ui_language(environment) == language


def test_seconds_are_told_as_minutes():
    assert [clock(each) for each in (0, 59.4, 61, 3600)] == ["0:00", "0:59", "1:01", "60:00"]


def _run(console: Console, language: str) -> ProgressLine:
    with ProgressLine(2, console=console, language=language) as line:
        line(Event("started", report("zh")))
        line(Event("finished", report("zh"), Outcome(report("zh"), "ok", 2.0)))
        line(Event("started", report("en")))
        line.eta()
        line(Event("finished", report("en"), Outcome(report("en"), "failed", 1.0)))
    return line


def test_lines_are_in_the_readers_language():
    said = io.StringIO()
    line = _run(Console(file=said, width=120), "zh")
    assert said.getvalue().splitlines()[0].startswith("[1/2] 04_effect-home_visit (zh)：完成（2.0 秒；剩余约")
    assert "未生成" in said.getvalue().splitlines()[1]
    assert (line.done, line.failed) == (2, 1)


def test_a_terminal_gets_one_live_line_and_no_lines_that_stay():
    said = io.StringIO()
    _run(Console(file=said, width=120, force_terminal=True), "en")
    assert "1 failed" in said.getvalue() and "2/2" in said.getvalue()
    assert "[2/2]" not in said.getvalue()


def test_the_remaining_time_follows_the_pace_so_far():
    line = ProgressLine(4)
    assert line.eta() is None
    line.started, line.done = time.monotonic() - 10, 1
    assert line.eta() == pytest.approx(30, abs=1)
