"""Claims about logs: one a run, for its owner only, without secrets or messages of errors, and no more than are kept."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cobench.run.run_log import RunLog, secrets_of


def clock():
    moments = iter(datetime(2026, 7, 12, 6, tzinfo=UTC) + timedelta(seconds=n) for n in range(1000))
    return lambda: next(moments)


def test_lines_carry_the_time_and_secrets_are_masked_even_across_writes(tmp_path):
    with RunLog(tmp_path, clock(), 3, ("s3cret-part", "s3cret", "abc")) as log:
        log.say("学校 a\nb abc")
        log.write("one s3c")
        log.write("ret-part two\nhalf a line")
    lines = log.path.read_text(encoding="utf-8").splitlines()
    assert [line[:19] for line in lines] == [f"2026-07-12T06:00:0{n}" for n in (1, 2, 3, 4)]
    said = [line.split(" ", 1)[1] for line in lines]
    assert said == ["学校 a", "b abc", "one *** two", "half a line"], "what is too short to be a secret stays"


def test_only_the_owner_reads_logs_and_the_newest_are_kept(tmp_path):
    now = clock()
    for _ in range(5):
        with RunLog(tmp_path, now, 3) as log:
            log.say("x")
    folder = tmp_path / "private" / "logs"
    assert len(list(folder.iterdir())) == 3 and log.path.exists()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and stat.S_IMODE(log.path.stat().st_mode) == 0o600
    with RunLog(tmp_path, now, 1) as log:
        assert list(folder.iterdir()) == [log.path]


def test_an_unexpected_error_is_told_by_kind_and_place_and_never_by_its_message(tmp_path):
    with RunLog(tmp_path, clock(), 3) as log:
        try:
            {}["赵一"]
        except KeyError as error:
            log.say_error(error)
    said = log.path.read_text(encoding="utf-8")
    assert (
        "KeyError" in said and "test_run_log.py:" in said and "赵一" not in said and str(tmp_path) not in said
    )


def test_what_is_secret_by_its_name_is_known():
    given = {
        "COBENCH_KEY": "key1", "COBENCH_WEBHOOK": "hook", "COBENCH_SMTP_PASSWORD": "pass", "COBENCH_SMTP_HOST": "host",
        "DISTRICT_DB": "dbpass", "HOME": "home",
    }  # fmt: skip
    assert set(secrets_of(given, ("DISTRICT_DB", "ABSENT"))) == {"key1", "hook", "pass", "dbpass"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_disk_that_fills_up_costs_lines_of_the_log_and_not_the_run(tmp_path):
    told = []
    with RunLog(tmp_path, clock(), 3, ("s3cret",), told.append) as log:
        log.file.close()
        log.file = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")
        log.say("one s3cret")
        log.say("two")
    assert told == ["one ***", "two"]
