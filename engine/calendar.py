"""Business time: when the house is open, and when so much open time will have passed.

Hours are wall-clock times of the calendar's zone; instants go in and come out in UTC, so a change to summer time
costs nobody an hour.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

HORIZON = 3 * 366  # days that `after` looks ahead; configuration with no open hour is refused at load
LONGEST = timedelta(days=36_600)  # a hundred years, before and after which there are dates to reckon with

Hours = Sequence[tuple[int, int]]  # minutes of the local day, from and until; (540, 1080) is 09:00-18:00

_PART = re.compile(r"(\d+)\s*(d|h|min|m|s)", re.I)
_DATE = re.compile(
    r"(\d{4})\s?[-/.年]\s?(\d{1,2})\s?[-/.月]\s?(\d{1,2})日?(?:[T\s]\s*(\d{1,2}):(\d{2})(?::\d{2}(?:\.\d+)?)?)?"
)
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "min": 60, "s": 1}


@dataclass(frozen=True, slots=True)
class Calendar:
    """Open hours by weekday (Monday first); None is around the clock. A worked day off has the hours of a Monday."""

    name: str
    zone: ZoneInfo
    weekly: tuple[Hours, ...] | None = None
    holidays: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()  # weekend days worked in exchange (调休)

    def hours(self, day: date) -> Hours:
        if day in self.holidays:
            return ()
        if self.weekly is None:
            return ((0, 1440),)
        if day in self.workdays:
            return next((hours for hours in self.weekly if hours), ())
        return self.weekly[day.weekday()]

    def spans(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        """The open spans of a local day, as instants."""
        for start, end in self.hours(day):
            yield _instant(day, start, self.zone), _instant(day, end, self.zone)

    def is_open(self, moment: datetime) -> bool:
        if self.weekly is None and not self.holidays:
            return True
        return any(start <= moment < end for start, end in self.spans(moment.astimezone(self.zone).date()))

    def is_workday(self, day: date) -> bool:
        if day in self.holidays:
            return False
        return day in self.workdays or (day.weekday() < 5 if self.weekly is None else bool(self.weekly[day.weekday()]))

    def after(self, start: datetime, worked: timedelta) -> datetime:
        """When `worked` of open time will have passed since `start`; in open hours or at their end.

        At most HORIZON days on: a rule that asks for more must not keep a ticket from being decided.
        """
        if self.weekly is None and not self.holidays:
            return start + worked
        left, day = worked, start.astimezone(self.zone).date()
        for _ in range(HORIZON):
            for opens, closes in self.spans(day):
                begin = max(opens, start)
                if begin + left <= closes and begin < closes:
                    return begin + left
                left -= max(timedelta(), closes - begin)
            day += timedelta(days=1)
        return start + timedelta(days=HORIZON)


def _instant(day: date, minute: int, zone: ZoneInfo) -> datetime:
    if minute >= 1440:
        day, minute = day + timedelta(days=1), 0
    return datetime.combine(day, time(minute // 60, minute % 60), zone).astimezone(UTC)


def duration(text: str) -> timedelta | None:
    """`30m`, `4h`, `1h30m`, `7d` as a timedelta; None for anything else, and for more than LONGEST."""
    flat = text.strip().lower()
    parts = _PART.findall(flat) if len(flat) <= 100 else []
    if not parts or _PART.sub("", flat).strip():
        return None
    seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
    return timedelta(seconds=seconds) if seconds <= LONGEST.total_seconds() else None


def minutes(text: str) -> int | None:
    """`09:30` as minutes of the day; `24:00` is its end."""
    found = re.fullmatch(r"(\d{1,2}):(\d{2})", text.strip())
    if not found or int(found[1]) > 24 or int(found[2]) > 59:
        return None
    total = int(found[1]) * 60 + int(found[2])
    return total if total <= 1440 else None


def length(minutes: float) -> str:
    """Minutes as people write a duration: `2d`, `1h30m`, `-5m`."""
    left, sign = round(abs(minutes)), "-" if minutes < 0 else ""
    parts = []
    for unit, size in (("d", 1440), ("h", 60), ("m", 1)):
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return sign + ("".join(parts) or "0m")


@lru_cache(4096)
def local(text: str) -> tuple[float, float] | None:
    """A day, or a day and time, of the local calendar as minutes, from and up to but not with: `2026-11-11`,
    `2026-11-11 20:00`, `2026年11月11日`. None for anything else."""
    found = _DATE.fullmatch(text.strip())
    if not found:
        return None
    try:
        start = date(int(found[1]), int(found[2]), int(found[3])).toordinal() * 1440.0
    except ValueError:
        return None
    if found[4] is None:
        return start, start + 1440
    if (at := minutes(f"{found[4]}:{found[5]}")) is None:
        return None
    return start + at, start + at + 1


def instant(at: float, zone: ZoneInfo) -> datetime:
    """The moment of a minute that `local` gave."""
    return _instant(date.fromordinal(int(at // 1440)), int(at % 1440), zone)
