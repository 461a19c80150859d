"""One browser, and one gateway with a day's mail in it, for all tests of the console."""

from collections.abc import Iterator

import pytest
from browsing import a_days_mail, launch
from playwright.sync_api import Browser, sync_playwright
from serving import Desk, Gateway, MailSink


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For a module and no longer: as long as it is open, no other test may run a loop of its own in this process."""
    with sync_playwright() as playwright:
        made = launch(playwright)
        yield made
        made.close()


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """With seven tickets, one of them doubtful, and something in the quarantine."""
    with MailSink() as sink, Desk() as desk:
        made = Gateway(tmp_path_factory.mktemp("busy"), mail_sink=sink.port, desk=desk.port)
        with made.start() as gateway:
            a_days_mail(gateway)
            yield gateway
