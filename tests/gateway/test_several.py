"""Roles as processes of their own: what one does the others hear of; what only one may do, one does."""

import time
from collections.abc import Callable
from pathlib import Path

from dovecot import Dovecot, letter, read_by
from serving import Gateway


def until(true: Callable[[], object], within: float = 20) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_mailbox_is_asked_by_one_of_them_and_by_the_next_when_that_one_dies(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    with Dovecot(certificate) as dovecot:
        gateway = Gateway(tmp_path / "gateway", outbound="off")
        text = gateway.config.read_text()
        door = f'    door: {{listen: ["127.0.0.1:{gateway.smtp}"]}}\n'
        assert door in text
        gateway.config.write_text(text.replace(door, ""))  # a port cannot be had twice
        read_by(gateway, dovecot)

        def logins() -> int:
            return (dovecot.folder / "dovecot.log").read_text().count("Login: user=<support>")

        with gateway.start(roles="accept"), gateway.beside("accept,process") as second:
            until(logins)
            dovecot.mail(letter("one"))
            until(lambda: second.metric("ticketgate_tickets") == 1)
            time.sleep(1.5)
            assert logins() == 1
            gateway.kill()
            dovecot.mail(letter("two"))
            until(lambda: second.metric("ticketgate_tickets") == 2)
            assert logins() == 2
