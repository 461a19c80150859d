"""One gateway with a day's mail in it, for all tests of the console."""

from collections.abc import Iterator

import pytest
from browsing import a_days_mail
from serving import Desk, Gateway, MailSink


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """With seven tickets, one of them doubtful, and something in the quarantine."""
    with MailSink() as sink, Desk() as desk:
        made = Gateway(tmp_path_factory.mktemp("busy"), mail_sink=sink.port, desk=desk.port)
        with made.start() as gateway:
            a_days_mail(gateway)
            yield gateway
