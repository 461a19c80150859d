"""Who may use a chat: which pages may ask, whose key or token that is, and how often.

A visitor's key is a random number and its MAC under this data folder's own key: it cannot be made up, and nothing is
kept of it. No cookie is used, so there is nothing that another site could misuse.
"""

import re
import secrets
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request

from connectors.webchat import Speaker, Webchat
from gateway import http
from gateway.house import House
from gateway.limit import Limiter
from normalizer.canon import digest
from normalizer.errors import Rejected

LOOKS_A_MINUTE = 120  # by one visitor or user, without a WebSocket
FRAMES_A_MINUTE = 600  # from one visitor or user, whatever is in them
_KEY = re.compile(r"([A-Za-z0-9_-]{32})([0-9a-f]{32})", re.ASCII)


class Access:
    """Raises Rejected at whoever may not: 401 unknown, 403 not from there, 429 too often."""

    def __init__(self, house: House, limiter: Limiter) -> None:
        self.house, self.limiter = house, limiter
        self.settings = house.configured.settings.http

    def account(self, asked: HTTPConnection) -> Webchat | None:
        found = self.house.mind.connectors.get((Webchat.name, asked.path_params["account"]))
        return found if isinstance(found, Webchat) else None

    def welcome(self, asked: HTTPConnection, connector: Webchat) -> bool:
        """Our own pages and those of `origins`. An app has no origin, and no cookie of ours is of use to anybody."""
        origin = asked.headers.get("origin")
        if origin is None or origin in connector.settings.origins:
            return True
        ours = {asked.headers.get("host", ""), urlsplit(self.settings.public_url).netloc}
        return urlsplit(origin).netloc in ours - {""}  # by host alone: a proxy in front may speak TLS for us

    def remote(self, asked: HTTPConnection) -> str:
        return http.remote(asked, self.settings.trusted_proxies)

    def knocked(self, asked: HTTPConnection, connector: Webchat) -> None:
        """One more from this address. Raises Rejected (429)."""
        told, now = connector.settings, self.house.clock.now()
        source = (Webchat.name, told.account, self.remote(asked))
        if told.rate and not self.limiter.allows(source, told.rate, now):
            raise too_many("too many from this address")

    def often(self, connector: Webchat, speaker: Speaker, what: str, most: int) -> None:
        """One more of these from this visitor or user. Raises Rejected (429)."""
        source = (Webchat.name, connector.settings.account, what, speaker.thread)
        if not self.limiter.allows(source, most, self.house.clock.now()):
            raise too_many(f"too many {what}; it may be tried again in a minute")

    def speaker(self, connector: Webchat, credential: str) -> Speaker:
        """Who that is. Raises Rejected."""
        if "." in credential:
            return connector.user(credential, self.house.clock.now())
        found = _KEY.fullmatch(credential)
        proof = self._proof(connector, found[1]) if found else ""
        if not (found and secrets.compare_digest(proof, found[2]) and connector.anonymous):
            raise Rejected("no key of this chat; ask for one, or sign a token")
        return connector.visitor(digest("visitor", connector.settings.account, found[1]))

    def fresh(self, connector: Webchat) -> str:
        """A key for somebody nobody knows yet."""
        chance = secrets.token_urlsafe(24)
        return chance + self._proof(connector, chance)

    def _proof(self, connector: Webchat, chance: str) -> str:
        """That the gateway made this key, for this account."""
        return self.house.store.proof("chat visitor", connector.settings.account, chance)

    def bearer(self, asked: Request, connector: Webchat) -> Speaker:
        kind, _, credential = asked.headers.get("authorization", "").partition(" ")
        return self.speaker(connector, credential.strip() if kind.lower() == "bearer" else "")

    def reader(self, asked: Request, connector: Webchat) -> Speaker:
        """The same, who looks into their conversation; not too often."""
        speaker = self.bearer(asked, connector)
        self.often(connector, speaker, "looks", LOOKS_A_MINUTE)
        return speaker


def cors(asked: Request) -> dict[str, str]:
    """For who was let in: this origin and no other, without cookies."""
    origin = asked.headers.get("origin")
    if origin is None:
        return {}
    told = {"Access-Control-Allow-Origin": origin, "Vary": "Accept-Encoding, Origin"}
    if asked.method == "OPTIONS":
        told |= {
            "Access-Control-Allow-Methods": "GET, POST", "Access-Control-Allow-Headers": "authorization, content-type",
            "Access-Control-Max-Age": "600",
        }  # fmt: skip
    return told


def too_many(reason: str) -> Rejected:
    return Rejected(reason, status=429, code="rate_limited")
