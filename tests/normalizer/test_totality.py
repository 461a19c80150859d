"""No mail, however broken or hostile, raises, takes long or takes much room. `make mails` tries 20,000."""

import json
import random
import resource
import time
from datetime import UTC, datetime

import pytest
from mailmill import BOMBS, mails

from normalizer.canon import dump
from normalizer.mime import message
from normalizer.text import split_reply

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
SLOWEST = 2.0  # seconds
ROOM = 200 * 1024 * 1024


def read(raw: bytes) -> float:
    """Read a mail as the door does, to the JSON that is kept; the seconds it took."""
    begun = time.process_time()
    said = dump(message(raw, connector="email_smtp", account="t", received_at=NOON, trusted=("mx.example",)))
    taken = time.process_time() - begun
    assert json.loads(said)["channel"] == "email"
    assert b"\\u0000" not in said
    return taken


def test_no_mail_raises_or_takes_long_or_much_room(pytestconfig: pytest.Config) -> None:
    read(b"Subject: warm\n\nup")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    slowest = max(map(read, mails(int(pytestconfig.getoption("--mails")), seed=20260105)))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    print(f"slowest {slowest:.2f} s, grown by {grown >> 20} MB")
    assert slowest < SLOWEST
    assert grown < ROOM


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__.strip("_"))
def test_bombs_do_not_go_off(bomb: object) -> None:
    assert callable(bomb)
    assert read(bomb(random.Random(1))) < SLOWEST


@pytest.mark.parametrize(
    "line",
    [
        "> a",
        "On 5 Jan 2026 9:10 x",
        "<a@b> 9:10 2026:",
        "From: a\nDate: 2026",
        "-- \nx",
        "Best regards,\nx\ny",
        "| |",
        "发自我的",
    ],
)
def test_the_quote_splitter_takes_time_in_proportion_to_length(line: str) -> None:
    def taken(times: int) -> float:
        text = f"words\n{line}\n" * times
        begun = time.process_time()
        split_reply(text)
        return time.process_time() - begun

    taken(100)
    small, large = min(taken(2_000) for _ in range(3)), min(taken(16_000) for _ in range(2))
    assert large < 0.05 + 24 * small  # eight times the length; thrice that for the machine's moods
