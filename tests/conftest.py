"""Options and fixtures of all tests."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", default=12, help="how often the storm kills the gateway")
    parser.addoption(
        "--mutations", type=int, default=300, help="how many changed requests each service's door is shown"
    )
    parser.addoption("--flood", default=60, help="mails of one sender that the flood test sends")
