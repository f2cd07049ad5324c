"""When a scheduled run starts and how long it waits: what ``--at`` and ``--wait-until`` may say.

Times are those of a declared zone. systemd knows zones; cron starts by the clock of its machine and GitHub by UTC, so
times are moved there, which is possible only while both clocks stay the same distance apart all year.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cobench.errors import ParameterError

ZONE = "Asia/Shanghai"
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CHINESE = "一二三四五六日"
_DAY = 24 * 60
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


@dataclass(frozen=True)
class When:
    """Starts: every day, on ``weekdays`` (0 is Monday), or on ``month``-``day`` every year or of one ``year``."""

    hour: int
    minute: int
    weekdays: tuple[int, ...] = ()
    month: int | None = None
    day: int | None = None
    year: int | None = None

    def on_calendar(self, zone: str) -> str:
        """As systemd writes it in ``OnCalendar=``."""
        days = ",".join(WEEKDAYS[each] for each in self.weekdays)
        month, day = (f"{each:02d}" if each else "*" for each in (self.month, self.day))
        stamp = f"{self.year or '*'}-{month}-{day} {self.hour:02d}:{self.minute:02d}:00 {zone}"
        return f"{days} {stamp}".lstrip()

    def cron_fields(self, minutes: int) -> str:
        """The five fields of cron, for a clock that is ``minutes`` ahead of this one.

        A day of the year that moves back over the end of February is taken for that of an ordinary year.

        Raises
        ------
        ParameterError
            For a single year, which cron doesn't know.
        """
        if self.year:
            raise ParameterError(
                en=f"cron and GitHub know no year: give --at without {self.year}-, for every year",
                zh=f"cron 与 GitHub 不能指定年份：--at 请去掉 {self.year}-（表示每年）",
            )
        days, minute = divmod(self.hour * 60 + self.minute + minutes, _DAY)
        clock = f"{minute % 60} {minute // 60}"
        if self.month:
            moved = date(2025, self.month, self.day) + timedelta(days=days)
            return f"{clock} {moved.day} {moved.month} *"
        # cron counts from Sunday.
        weekdays = sorted((each + days + 1) % 7 for each in self.weekdays)
        return f"{clock} * * {','.join(map(str, weekdays)) or '*'}"


def parse_when(text: str) -> When:
    """What ``--at`` says: ``06:00``, ``Mon,Thu 06:00`` (or ``周一``), ``07-12 06:00``, ``2026-07-12 06:00``.

    Raises
    ------
    ParameterError
    """
    found = re.fullmatch(r"(?:(?P<days>\S+)\s+)?(?P<hour>\d{1,2}):(?P<minute>\d\d)", text.strip())
    made = found and _when(found["days"] or "", int(found["hour"]), int(found["minute"]))
    if not made:
        raise ParameterError(
            en=f"--at {text!r} is not understood; write 06:00 (every day), 'Mon,Thu 06:00', '07-12 06:00' (every year) "
            "or '2026-07-12 06:00'",
            zh=f"看不懂 --at {text!r}；请写 06:00（每天）、'周一 06:00'、'07-12 06:00'（每年）或 '2026-07-12 06:00'",
        )
    return made


def _when(days: str, hour: int, minute: int) -> When | None:
    if hour > 23 or minute > 59:
        return None
    if not days:
        return When(hour, minute)
    if dated := re.fullmatch(r"(?:(\d{4})-)?(\d\d)-(\d\d)", days):
        year, month, day = (int(each) if each else None for each in dated.groups())
        try:
            date(year or 2025, month, day)
        except ValueError:
            return None
        return When(hour, minute, month=month, day=day, year=year)
    named = [_weekday(each) for each in re.split("[,，]", days)]
    return None if None in named else When(hour, minute, weekdays=tuple(sorted(set(named))))


def _weekday(name: str) -> int | None:
    if name.title() in WEEKDAYS:
        return WEEKDAYS.index(name.title())
    chinese = re.fullmatch("(?:周|星期|礼拜)([一二三四五六日天])", name)
    return _CHINESE.index(chinese[1].replace("天", "日")) if chinese else None


def zone_of(name: str) -> ZoneInfo:
    """The time zone called ``name``.

    Raises
    ------
    ParameterError
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ParameterError(
            en=f"--zone {name!r} is not a time zone; write for example Asia/Shanghai",
            zh=f"--zone {name!r} 不是时区名；例如 Asia/Shanghai",
        ) from None


def minutes_ahead(zone: tzinfo, other: tzinfo | None, today: date) -> int:
    """How far the clock of ``other`` (None: this machine's) is ahead of that of ``zone`` in the year from ``today``.

    Raises
    ------
    ParameterError
        When the distance changes in the year, as summer time begins or ends in one of them.
    """
    noon = datetime.combine(today, time(12), UTC)
    days = [noon + timedelta(days=n) for n in range(366)]
    found = {each.astimezone(other).utcoffset() - each.astimezone(zone).utcoffset() for each in days}
    if len(found) > 1:
        raise ParameterError(
            en=f"the clock that starts the run moves against {zone} in the course of the year (summer time); give "
            "--zone as the zone of that clock (UTC for GitHub), or use systemd, which knows zones",
            zh=f"启动运行的时钟与 {zone} 的时差在一年中会变（夏令时）；请把 --zone 设为该时钟的时区（GitHub 为 UTC），"
            "或改用支持时区的 systemd",
        )
    return round(found.pop() / timedelta(minutes=1))


def parse_deadline(text: str, zone: tzinfo) -> Callable[[datetime], datetime]:
    """What ``--wait-until`` says, as a function of the moment at which the wait begins.

    ``14d``, ``36h``, ``90m`` or ``20s`` from then; the end of the day ``2026-07-20``; or ``2026-07-20 18:00``.

    Raises
    ------
    ParameterError
    """
    if lasting := re.fullmatch(r"(\d+)([dhms])", text.strip()):
        span = timedelta(**{_UNITS[lasting[2]]: int(lasting[1])})
        return lambda began: began + span
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text.strip()):
            end = end_of_day(date.fromisoformat(text.strip()), zone)
        else:
            end = datetime.strptime(text.strip(), "%Y-%m-%d %H:%M").replace(tzinfo=zone)
    except ValueError:
        raise ParameterError(
            en=f"--wait-until {text!r} is not understood; write 14d, 36h, 90m, 2026-07-20 or '2026-07-20 18:00'",
            zh=f"看不懂 --wait-until {text!r}；请写 14d（天）、36h（小时）、90m（分钟）、2026-07-20 或 '2026-07-20 18:00'",
        ) from None
    return lambda began: end


def lasting(text: str) -> timedelta | None:
    """The length of a wait that ``--wait-until`` gives as such; None of a date."""
    zero = datetime(2000, 1, 1, tzinfo=UTC)
    return parse_deadline(text, UTC)(zero) - zero if re.fullmatch(r"\d+[dhms]", text.strip()) else None


def end_of_day(day: date, zone: tzinfo) -> datetime:
    """The last second of ``day``."""
    return datetime.combine(day, time(23, 59, 59), zone)
