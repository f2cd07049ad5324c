"""Claims about when runs start: the same moments whichever clock starts them, or a refusal that names the way out."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobench.errors import ParameterError
from cobench.run.schedule_times import (
    WEEKDAYS,
    ZONE,
    When,
    lasting,
    minutes_ahead,
    parse_deadline,
    parse_when,
    zone_of,
)

SHANGHAI = ZoneInfo(ZONE)


@pytest.mark.parametrize(
    ("text", "when", "calendar", "utc"),
    [
        ("06:00", When(6, 0), "*-*-* 06:00:00 Asia/Shanghai", "0 22 * * *"),
        ("Mon,thu 9:05", When(9, 5, (0, 3)), "Mon,Thu *-*-* 09:05:00 Asia/Shanghai", "5 1 * * 1,4"),
        ("周一，周日 06:00", When(6, 0, (0, 6)), "Mon,Sun *-*-* 06:00:00 Asia/Shanghai", "0 22 * * 0,6"),
        ("01-01 06:30", When(6, 30, month=1, day=1), "*-01-01 06:30:00 Asia/Shanghai", "30 22 31 12 *"),
        ("07-12 20:00", When(20, 0, month=7, day=12), "*-07-12 20:00:00 Asia/Shanghai", "0 12 12 7 *"),
    ],
)
def test_what_people_write_is_understood_and_moved_to_utc(text, when, calendar, utc):
    assert parse_when(text) == when
    assert when.on_calendar(ZONE) == calendar
    assert when.cron_fields(minutes_ahead(SHANGHAI, UTC, date(2026, 1, 1))) == utc


@pytest.mark.parametrize(
    "text",
    [
        "",
        "6",
        "24:00",
        "06:60",
        "Mon",
        "Foo 06:00",
        "13-01 06:00",
        "02-30 06:00",
        "2026-02-29 06:00",
        "06:00 Mon",
    ],
)
def test_what_is_not_understood_is_refused_with_examples(text):
    with pytest.raises(ParameterError, match="Mon,Thu 06:00") as caught:
        parse_when(text)
    assert "周一" in caught.value.zh


def test_a_year_is_for_systemd_only():
    once = parse_when("2026-07-12 06:00")
    assert once.on_calendar(ZONE) == "2026-07-12 06:00:00 Asia/Shanghai"
    with pytest.raises(ParameterError, match="without 2026-"):
        once.cron_fields(0)


def _fires(fields: str, moment: datetime) -> bool:
    """Whether cron starts a line at ``moment`` of its clock: crontab(5), of plain numbers, lists and stars."""
    minute, hour, day, month, weekday = fields.split()
    clock = (moment.minute, moment.hour, moment.day, moment.month, moment.isoweekday() % 7)
    return all(
        field == "*" or value in map(int, field.split(","))
        for field, value in zip((minute, hour, day, month, weekday), clock, strict=True)
    )


def _is_meant(when: When, moment: datetime) -> bool:
    if (moment.hour, moment.minute) != (when.hour, when.minute):
        return False
    dated = when.month is None or (moment.month, moment.day) == (when.month, when.day)
    return dated and (not when.weekdays or moment.weekday() in when.weekdays)


starts = st.one_of(
    st.builds(When, st.integers(0, 23), st.integers(0, 59)),
    st.builds(
        When,
        st.integers(0, 23),
        st.integers(0, 59),
        st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    ),
    st.builds(
        lambda h, m, d: When(h, m, month=d.month, day=d.day),
        st.integers(0, 23),
        st.integers(0, 59),
        st.dates(date(2025, 1, 1), date(2025, 12, 31)),
    ),
)


@given(
    starts, st.sampled_from(["UTC", "Asia/Tokyo", "America/Panama", "Asia/Kathmandu", "Pacific/Kiritimati"])
)
def test_cron_on_another_clock_starts_at_the_moments_that_are_meant(when, other):
    ahead = minutes_ahead(SHANGHAI, ZoneInfo(other), date(2026, 1, 1))
    fields = when.cron_fields(ahead)
    first = datetime(2026, 1, 1, when.hour, when.minute, tzinfo=SHANGHAI)
    here = [first + timedelta(days=n) for n in range(365)]
    assert [_fires(fields, each.astimezone(ZoneInfo(other))) for each in here] == [
        _is_meant(when, each) for each in here
    ]
    assert any(_is_meant(when, each) for each in here)


def test_clocks_that_move_against_each_other_are_refused():
    with pytest.raises(ParameterError, match="summer time"):
        minutes_ahead(SHANGHAI, ZoneInfo("Europe/Berlin"), date(2026, 1, 1))
    assert minutes_ahead(ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/Paris"), date(2026, 1, 1)) == 0


def test_the_clock_of_this_machine_is_read_from_the_machine(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert minutes_ahead(SHANGHAI, None, date(2026, 1, 1)) == 60
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize(
    ("text", "next_start"),
    [
        ("06:00", "2026-07-01 22:00:00"),
        ("Mon,Thu 06:00", "2026-07-01 22:00:00"),
        ("周五 06:00", "2026-07-02 22:00:00"),
        ("07-12 06:00", "2026-07-11 22:00:00"),
        ("2027-02-28 23:59", "2027-02-28 15:59:00"),
    ],
)
def test_systemd_itself_starts_at_the_moment_that_is_meant(text, next_start):
    said = subprocess.run(
        ["systemd-analyze", "calendar", "--base-time=2026-07-01 12:00:00 UTC", parse_when(text).on_calendar(ZONE)],
        capture_output=True, text=True, env={"TZ": "UTC", "LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    found = re.search(r"Next elapse: \w+ (\S+ \S+) UTC", said.stdout)
    assert found and found[1] == next_start, said.stdout


def test_a_deadline_is_a_length_or_a_moment_of_the_zone():
    began = datetime(2026, 7, 1, 6, 0, tzinfo=SHANGHAI)
    assert parse_deadline("14d", SHANGHAI)(began) == began + timedelta(days=14)
    assert parse_deadline("2026-07-20", SHANGHAI)(began) == datetime(2026, 7, 20, 15, 59, 59, tzinfo=UTC)
    assert parse_deadline("2026-07-20 18:00", SHANGHAI)(began) == datetime(2026, 7, 20, 10, 0, tzinfo=UTC)
    assert lasting("36h") == timedelta(hours=36) and lasting("2026-07-20") is None
    with pytest.raises(ParameterError, match="14d"):
        parse_deadline("soon", SHANGHAI)
    with pytest.raises(ParameterError, match="Asia/Shanghai"):
        zone_of("Asia/Peking")


def test_weekdays_are_those_of_systemd_whatever_the_locale():
    assert WEEKDAYS == ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
