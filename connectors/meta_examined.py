"""What `ticketgate doctor` asks Meta: does each token speak for what it should, is the app told of messages?"""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from pydantic import SecretStr

from connectors.base import Finding
from connectors.graph import Graph
from connectors.nested import inside, listed, said
from connectors.reading import moment
from normalizer.errors import SendingError

SOON = timedelta(days=7)  # a token that ends so soon is told of
# settings' word -> channel, fields that name it, permission a token needs, object and field of the webhook
FAMILIES = {
    "pages": ("messenger", "name", "pages_messaging", "page", ("messages", "messaging_postbacks")),
    "instagram": ("instagram", "username", "manage_messages", "instagram", ("messages", "messaging_postbacks")),
    "phone_numbers": (
        "whatsapp", "display_phone_number,verified_name,quality_rating", "whatsapp_business_messaging",
        "whatsapp_business_account", ("messages",),
    ),
}  # fmt: skip

Asked = Callable[[str], Graph]


class Settings(Protocol):
    """As far as it matters here."""

    @property
    def app_id(self) -> str: ...
    @property
    def app_secrets(self) -> tuple[SecretStr, ...]: ...


async def findings(settings: Settings, graph: Asked, now: datetime) -> AsyncIterator[Finding]:
    app = f"{settings.app_id}|{settings.app_secrets[0].get_secret_value()}" if settings.app_id else ""
    for where, (channel, fields, permission, _, _) in FAMILIES.items():
        tokens: Mapping[str, SecretStr] = getattr(settings, where)
        for ours, token in tokens.items():
            secret = token.get_secret_value()
            yield await _named(graph(channel), where, ours, fields, secret, now)
            if where == "pages":
                yield await _subscribed(graph(channel), ours, secret, now)
            if app:
                yield await _token(graph("whatsapp"), f"{where} {ours}", permission, secret, app, now)
    if app:
        async for finding in _webhooks(settings, graph("whatsapp"), app, now):
            yield finding
    else:
        yield Finding("app_id", "not set: what the app is subscribed to cannot be asked", hint="write app_id")


async def _named(graph: Graph, where: str, ours: str, fields: str, token: str, now: datetime) -> Finding:
    what = f"{where} {ours}"
    try:
        found = await graph.ask("GET", f"/{ours}", token, now, params={"fields": f"id,{fields}"})
    except SendingError as error:
        return Finding(what, error.reason, False, "is the id right, and does the token belong to it?")
    name = ", ".join(filter(None, (said(found, field) for field in fields.split(","))))
    return Finding(what, name or "answers", said(found, "quality_rating") != "RED", "the number's quality is rated low")


async def _subscribed(graph: Graph, page: str, token: str, now: datetime) -> Finding:
    what = f"pages {page}: subscribed apps"
    try:
        found = await graph.ask("GET", f"/{page}/subscribed_apps", token, now)
    except SendingError as error:
        return Finding(what, error.reason, False, "the token needs pages_manage_metadata")
    told = {
        field for app in listed(found, "data") for field in listed(app, "subscribed_fields") if isinstance(field, str)
    }
    missing = [field for field in FAMILIES["pages"][4] if field not in told]
    return Finding(what, ", ".join(sorted(told)) or "none", not missing, f"subscribe the page to {', '.join(missing)}")


async def _token(graph: Graph, what: str, permission: str, token: str, app: str, now: datetime) -> Finding:
    try:
        found = inside(await graph.ask("GET", "/debug_token", app, now, params={"input_token": token}), "data")
    except SendingError as error:
        # Its words may quote the token that was asked about.
        return Finding(f"{what}: token", error.reason.replace(token, "..."), False, "are app_id and app_secrets right?")
    ends = moment(found.get("expires_at")) if found.get("expires_at") else None
    until = f"valid until {ends.astimezone(UTC):%Y-%m-%d}" if ends else "valid without end"
    if found.get("is_valid") is not True:
        return Finding(f"{what}: token", "not valid", False, "make a new one")
    if ends and ends - now < SOON:
        return Finding(f"{what}: token", until, False, "make one of a system user, which does not end")
    allowed = [scope for scope in listed(found, "scopes") if isinstance(scope, str)]
    granted = any(scope.endswith(permission) for scope in allowed)
    return Finding(f"{what}: token", until, granted, f"it lacks the permission {permission}")


async def _webhooks(settings: Any, graph: Graph, app: str, now: datetime) -> AsyncIterator[Finding]:
    try:
        found = listed(await graph.ask("GET", f"/{settings.app_id}/subscriptions", app, now), "data")
    except SendingError as error:
        yield Finding("webhook", error.reason, False, "are app_id and app_secrets right?")
        return
    for where, (_, _, _, kind, fields) in FAMILIES.items():
        if not getattr(settings, where):
            continue
        mine: Any = next(
            (one for one in found if said(one, "object") == kind and inside({"": one}, "").get("active")), {}
        )
        told = {said(field, "name") for field in listed(mine, "fields")}
        missing = [field for field in fields if field not in told]
        what = said(mine, "callback_url") or "not set"
        yield Finding(
            f"webhook {kind}", what, not missing, f"subscribe it to {', '.join(missing)} in the app's dashboard"
        )
