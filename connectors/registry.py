"""Which code is which class. Others join by the entry points `ticketgate.connectors` and `ticketgate.helpdesks`."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, cast

from connectors.base import Accept, Clock, Connector, Helpdesk, Listener, Refuse
from normalizer.errors import ConfigError, Where

# Written as entry points are, and loaded as late: what nobody configured costs nothing.
CONNECTORS = {
    "api": "connectors.api:Api",
    "dingtalk": "connectors.dingtalk:Dingtalk",
    "discord": "connectors.discord:Discord",
    "email_imap": "connectors.email_imap:EmailImap",
    "email_service": "connectors.email_service:EmailService",
    "email_smtp": "connectors.email_smtp:EmailSmtp",
    "feishu": "connectors.feishu:Feishu",
    "import": "connectors.imported:Imported",
    "line": "connectors.line:Line",
    "meta": "connectors.meta:Meta",
    "person": "connectors.person:Person",
    "slack": "connectors.slack:Slack",
    "telegram": "connectors.telegram:Telegram",
    "twilio": "connectors.twilio:Twilio",
    "webchat": "connectors.webchat:Webchat",
    "webform": "connectors.webform:Webform",
    "webhook": "connectors.webhook:InboundWebhook",
    "wechat": "connectors.wechat:Wechat",
    "wecom": "connectors.wecom:Wecom",
}
HELPDESKS = {
    "webhook": "connectors.helpdesks.webhook:WebhookHelpdesk",
}


class Listening(Protocol):
    """Something to be run as long as the house is open: a listener, or a door that several accounts share."""

    async def listen(self, accept: Accept, refuse: Refuse, clock: Clock) -> None: ...


def connector(code: str, where: Where) -> type[Connector]:
    """The connector of this code. Raises ConfigError at `where`, with the nearest code there is."""
    return cast(type[Connector], _load(known("ticketgate.connectors"), code, where, "connector"))


def helpdesk(code: str, where: Where) -> type[Helpdesk]:
    return cast(type[Helpdesk], _load(known("ticketgate.helpdesks"), code, where, "helpdesk"))


@cache
def known(group: str) -> Mapping[str, EntryPoint]:
    """Every code, ours and those installed beside us; ours cannot be replaced."""
    ours = CONNECTORS if group == "ticketgate.connectors" else HELPDESKS
    here = {code: EntryPoint(code, value, group) for code, value in ours.items()}
    return {entry.name: entry for entry in entry_points(group=group)} | here


def _load(codes: Mapping[str, EntryPoint], code: str, where: Where, kind: str) -> object:
    if code not in codes:
        nearest = get_close_matches(code, codes, 1, 0.5)
        hint = f"{nearest[0]}?" if nearest else f"one of {', '.join(sorted(codes))}"
        raise ConfigError(where, f"unknown {kind} {code!r}", hint)
    try:
        return codes[code].load()
    except ImportError as error:
        raise ConfigError(where, f"{kind} {code!r} cannot be loaded: {error}", "install what it needs") from error


def listeners(connectors: Sequence[Connector]) -> list[Listening]:
    """What to run: each listener itself, but one for all accounts that share a door."""
    kinds = dict.fromkeys(type(connector) for connector in connectors if isinstance(connector, Listener))
    found: list[Listening] = []
    for kind in kinds:
        accounts = [connector for connector in connectors if type(connector) is kind]
        doors = getattr(kind, "doors", None)
        found.extend(doors(accounts) if doors else cast(Sequence[Listening], accounts))
    return found
