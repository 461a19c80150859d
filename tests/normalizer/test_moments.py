"""Dates that no clock says: the calendar has ends, and an offset leads beyond them."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from normalizer.dates import date
from normalizer.mime import message
from normalizer.moments import utc

FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
DAYS = st.timedeltas(timedelta(), timedelta(days=800))
NEAR_THE_ENDS = st.builds(
    lambda day, offset: day.replace(tzinfo=offset), DAYS.map(FIRST.__add__) | DAYS.map(LAST.__sub__), OFFSETS
)
CLAIMED = st.datetimes(timezones=OFFSETS) | NEAR_THE_ENDS
ZONES = [ZoneInfo(name) for name in ("Asia/Shanghai", "America/New_York", "Pacific/Kiritimati", "Etc/GMT+12", "UTC")]


@given(claimed=CLAIMED)
@example(claimed=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=8))))
@example(claimed=datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-8))))
def test_what_passes_as_an_instant_is_the_same_one_and_can_be_told_in_every_zone(claimed: datetime) -> None:
    moment = utc(claimed)
    if moment is None:
        assert claimed.year in (1, 2, 9998, 9999)
        return
    assert moment == claimed
    for zone in ZONES:
        assert moment.astimezone(zone).astimezone(UTC) == moment  # an hour told twice a year equals nothing elsewhere


@given(claimed=CLAIMED)
def test_a_mail_of_any_date_can_be_read_and_told(claimed: datetime) -> None:
    minutes = int((claimed.utcoffset() or timedelta()).total_seconds()) // 60
    offset = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"
    said = f"{claimed.day} {claimed:%b} {claimed.year:04} {claimed:%H:%M:%S} {offset}"
    for written in (said, f"{claimed:%a}, {said} (X)", claimed.isoformat()):
        if moment := date(written):
            for zone in ZONES:
                moment.astimezone(zone)
    raw = f"From: a@example.cn\r\nDate: {said}\r\n\r\nhello\r\n".encode()
    made = message(raw, connector="email_smtp", account="t", received_at=datetime(2026, 3, 2, tzinfo=UTC))
    assert (made.sent_at is None) == ("bad_date" in made.defects)


def test_dates_at_the_ends_of_the_calendar_are_no_dates() -> None:
    for said in ("31 Dec 9999 23:59:59 -0800", "1 Jan 0001 00:00:00 +0800", "31 Dec 9999 12:00:00 +0000",
                 "9999-12-31T23:59:59-08:00", "0001-01-01T00:00:00+08:00"):  # fmt: skip
        assert date(said) is None, said
