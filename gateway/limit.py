"""How often one source may knock."""

from collections import OrderedDict
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=1)
SOURCES = 50_000  # remembered at most; the longest quiet is forgotten first


class Limiter:
    """A sliding count per source: the share of the last window still in sight, plus this one."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, ...], tuple[datetime, int, int]] = OrderedDict()

    def allows(self, source: tuple[str, ...], per_minute: int, now: datetime) -> bool:
        """Count this knock; False if the source has used up its minute. What is refused does not count."""
        start, count, before = self._seen.pop(source, (now, 0, 0))
        passed = now - start
        if passed >= 2 * WINDOW:
            start, count, before = now, 0, 0
        elif passed >= WINDOW:
            start, count, before = start + WINDOW, 0, count
        share = 1 - (now - start) / WINDOW
        allowed = count + before * share < per_minute
        self._seen[source] = (start, count + allowed, before)
        if len(self._seen) > SOURCES:
            self._seen.popitem(last=False)
        return allowed
