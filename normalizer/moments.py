"""Instants as others claim them."""

from datetime import MAXYEAR, MINYEAR, UTC, datetime


def utc(claimed: datetime) -> datetime | None:
    """The instant in UTC; None for one in the first or last year there is.

    No clock says so, and there are zones in which such an instant cannot be told.
    """
    try:
        moment = claimed.astimezone(UTC)
    except OverflowError:
        return None
    return moment if MINYEAR < moment.year < MAXYEAR else None
