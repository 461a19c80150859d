"""Mail arrives in a mailbox while its server and the gateway are killed: each exactly one message."""

import random
import time
from collections import Counter
from pathlib import Path

import pytest
from dovecot import Dovecot, letter, read_by
from serving import Gateway
from storm import died_within, up_or_dead

POINTS = ("journal.before_commit:3", "journal.after_commit:3", "")


@pytest.mark.timeout(3600)
def test_every_mail_is_one_message_however_often_the_server_and_the_gateway_are_killed(
    tmp_path: Path, certificate: tuple[Path, Path], request: pytest.FixtureRequest
) -> None:
    kills, mails = (int(request.config.getoption(name)) for name in ("--imap-kills", "--imap-mails"))
    dice, sent = random.Random(1), 0
    with Dovecot(certificate) as dovecot:
        gateway = read_by(Gateway(tmp_path / "gateway", outbound="off", attempts=10), dovecot, mark=r"\Seen")
        with gateway:
            for n in range(kills):
                while sent < mails * (n + 1) // kills:
                    dovecot.mail(letter(f"k{sent}", f"订单 {sent} 还没有收到"))
                    sent += 1
                    if sent % 20 == 0:  # in the middle of things
                        time.sleep(dice.uniform(0, 0.3))
                dovecot.kill()
                dovecot.mail(letter(f"down{n}"))
                time.sleep(dice.uniform(0, 0.5))
                dovecot.start()
                if n % 3 == 2:
                    gateway.kill()
                    point = POINTS[n // 3 % len(POINTS)]
                    gateway.start(wait=False, environment={"TICKETGATE_FAULT": point})
                    if up_or_dead(gateway):
                        died_within(gateway, 2 if point else 0.3)
                    gateway.kill()
                    gateway.start()
            for n in range(0, mails, max(1, mails // 20)):  # and some of them by SMTP as well
                gateway.mail(letter(f"k{n}", f"订单 {n} 还没有收到"))
            expected = {f"k{n}@example.cn" for n in range(mails)} | {f"down{n}@example.cn" for n in range(kills)}
            deadline = time.monotonic() + 120
            while gateway.metric("ticketgate_tickets") < len(expected) and time.monotonic() < deadline:
                time.sleep(0.2)
            gateway.settle(120)
            deadline = time.monotonic() + 20
            while not all(rb"\Seen" in flags for flags in dovecot.flags()) and time.monotonic() < deadline:
                time.sleep(0.2)
            unmarked = [flags for flags in dovecot.flags() if rb"\Seen" not in flags]
            gateway.stop()
    said = Counter(message["external_id"] for ticket in gateway.tickets() for message in ticket["messages"])
    assert said == Counter(expected)
    assert unmarked == []
    assert gateway.json("quarantine", "list") == []


@pytest.mark.timeout(300)
def test_days_without_the_gateway_are_caught_up(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    day, now = 24 * 3600, time.time()
    with Dovecot(certificate) as dovecot:
        gateway = read_by(Gateway(tmp_path / "gateway", outbound="off"), dovecot, since="1")
        dovecot.mail(letter("first"), arrived=now - 5 * day)
        dovecot.mail(letter("second"))
        with gateway:
            wait_for(gateway, 1)
        for n in range(100):  # while it is down
            dovecot.mail(letter(f"day{n}"), arrived=now - (4 - n % 4) * day)
        gateway.process = None
        with gateway:
            wait_for(gateway, 101)
            gateway.settle()
        said = Counter(message["external_id"] for ticket in gateway.tickets() for message in ticket["messages"])
    assert said == Counter({"second@example.cn", *(f"day{n}@example.cn" for n in range(100))})


def wait_for(gateway: Gateway, tickets: int) -> None:
    deadline = time.monotonic() + 60
    while gateway.metric("ticketgate_tickets") < tickets:
        assert time.monotonic() < deadline
        time.sleep(0.1)
