"""Codes and the classes behind them."""

import subprocess
import sys

import pytest

from connectors.base import Closable, Connector, Helpdesk, Listener, Webhook
from connectors.email_smtp import EmailSmtp
from connectors.registry import CONNECTORS, HELPDESKS, connector, helpdesk, listeners
from normalizer.errors import ConfigError, Where

HERE = Where("config/ticketgate.yaml", 4, 3)


@pytest.mark.parametrize("code", CONNECTORS)
def test_every_code_names_a_connector_of_that_name(code: str) -> None:
    kind = connector(code, HERE)

    assert kind.name == code
    assert kind.Settings.model_fields["account"]


@pytest.mark.parametrize("code", HELPDESKS)
def test_every_helpdesk_code_names_one(code: str) -> None:
    assert helpdesk(code, HERE).name == code


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("email_smpt", "email_smtp?"),
        ("web_form", "webform?"),
        ("zzz", f"one of {', '.join(sorted(CONNECTORS))}"),
    ],
)
def test_an_unknown_code_is_answered_with_the_nearest(written: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        connector(written, HERE)
    assert str(caught.value) == f"config/ticketgate.yaml:4:3: unknown connector {written!r} ({hint})"


def test_accounts_that_share_a_door_are_one_listener(account: type[EmailSmtp]) -> None:
    accounts = [
        account(account="a", door={"listen": ["127.0.0.1:0"]}),
        account(account="b", door="a"),
        account(account="c", door={"listen": ["127.0.0.1:0"]}),
        account(account="d"),
    ]
    assert [listener.name for listener in listeners(accounts)] == ["email_smtp:a,b", "email_smtp:c"]  # type: ignore[attr-defined]


def test_the_classes_keep_their_protocols(account: type[EmailSmtp]) -> None:
    mail = account()
    assert isinstance(mail, Connector) and isinstance(mail, Listener) and isinstance(mail, Closable)
    for code in ("webform", "webhook"):
        assert issubclass_by_methods(
            connector(code, HERE), ("greet", "verify", "key", "lane", "answer", "parse", "send")
        )
    assert issubclass_by_methods(helpdesk("webhook", HERE), ("file", "close"))
    assert Helpdesk and Webhook


def issubclass_by_methods(kind: type, names: tuple[str, ...]) -> bool:
    return all(callable(getattr(kind, name, None)) for name in names)


def test_the_registry_loads_nothing_before_it_is_asked() -> None:
    loaded = (
        "import sys, connectors.registry; print([m for m in sys.modules if m in ('aiosmtpd', 'httpx', 'jmespath')])"
    )
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout == "[]\n"
