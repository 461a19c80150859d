"""Signing in at an OpenID provider: authorization code with PKCE (OpenID Connect Core 3.1, RFC 7636).

    begin    where to send the browser, and what to remember of it meanwhile
    finish   from what it came back with: who they are and which role they get, or Rejected

authlib and joserfc are imported only by who signs in there. What a provider says is believed only after its signature,
issuer, audience, nonce and time were checked; why it was not believed goes to the log as a word, never as a value.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.util import find_spec
from typing import Any

import httpx

from gateway.log import log
from gateway.permissions import ROLES, Role
from gateway.settings import Oidc
from normalizer.errors import ConfigError, Rejected, Where

DISCOVERY = "/.well-known/openid-configuration"
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519", "RS384", "RS512", "ES384", "ES512"]  # never none, never HS
LEEWAY = 60  # seconds their clock may differ
WITHIN = timedelta(minutes=10)  # from leaving to coming back
TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Pending:
    """What is remembered, sealed in the browser, of who went to the provider."""

    state: str
    nonce: str
    verifier: str
    onward: str
    began: float


@dataclass(frozen=True, slots=True)
class Known:
    """Who somebody is, by their provider."""

    subject: tuple[str, str]  # issuer and subject: the only name that never changes hands
    login: str
    name: str
    role: Role | None


class Provider:
    """One provider, as configured."""

    def __init__(self, settings: Oidc) -> None:
        self.settings = settings

    async def begin(self, back: str, onward: str, now: datetime) -> tuple[str, Pending]:
        """Raises Rejected (502 `openid`) if the provider cannot be asked."""
        found = await self._discovered()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        pending = Pending(state, nonce, verifier, onward, now.timestamp())
        async with self._client(back) as client:
            url, _ = client.create_authorization_url(
                found["authorization_endpoint"], state=pending.state, nonce=pending.nonce,
                code_verifier=pending.verifier,
            )  # fmt: skip
        return str(url), pending

    async def finish(self, pending: Pending | None, given: Mapping[str, str], back: str, now: datetime) -> Known:
        """Raises Rejected (401 `openid`) unless all of it is right."""
        if pending is None or now.timestamp() - pending.began > WITHIN.total_seconds():
            raise _refused("pending_gone")
        if not secrets.compare_digest(given.get("state", "").encode(), pending.state.encode()):
            raise _refused("state")
        if given.get("iss", self.settings.issuer) != self.settings.issuer:  # RFC 9207: an answer of another provider
            raise _refused("issuer")
        if not given.get("code"):
            raise _refused("provider_refused")
        found = await self._discovered()
        token = await self._token(found, pending, given["code"], back)
        claims = await self._claims(found, pending, token, now)
        if self.settings.roles.claim not in claims and "userinfo_endpoint" in found:
            claims = await self._more(found, token, claims["sub"]) | claims
        return self._known(claims)

    async def _discovered(self) -> dict[str, Any]:
        """The provider's own addresses. That they are this issuer's is for them to say (Discovery 4.3)."""
        found = await self._fetched(self.settings.issuer.rstrip("/") + DISCOVERY)
        if found.get("issuer") != self.settings.issuer:
            raise _refused("discovery_issuer", 502)
        return found

    async def _fetched(self, url: str, bearer: str = "") -> dict[str, Any]:
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT) as client:
                answer = await client.get(url, headers=headers)
                answer.raise_for_status()
                found: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as e:
            log.warning("the OpenID provider did not answer", error_type=type(e).__name__)
            raise _refused("unreachable", 502) from None
        return found

    async def _token(self, found: Mapping[str, Any], pending: Pending, code: str, back: str) -> dict[str, Any]:
        from authlib.integrations.base_client import OAuthError

        try:
            async with self._client(back) as client:
                token: dict[str, Any] = await client.fetch_token(
                    found["token_endpoint"], code=code, code_verifier=pending.verifier, grant_type="authorization_code"
                )
        except (OAuthError, httpx.HTTPError, ValueError) as e:
            log.warning("the OpenID provider gave no token", error_type=type(e).__name__)
            raise _refused("code") from None
        return token

    async def _claims(
        self, found: Mapping[str, Any], pending: Pending, token: Mapping[str, Any], now: datetime
    ) -> dict[str, Any]:
        from authlib.oidc.core import CodeIDToken
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        keys = KeySet.import_key_set(await self._fetched(found["jwks_uri"]))  # type: ignore[arg-type]
        ours = {
            "iss": {"essential": True, "value": self.settings.issuer},
            "aud": {"essential": True, "value": self.settings.client_id},
        }
        checked = {
            "nonce": pending.nonce, "client_id": self.settings.client_id, "access_token": token.get("access_token"),
        }  # fmt: skip
        try:
            decoded = jwt.decode(str(token.get("id_token", "")), keys, algorithms=ALGORITHMS)
            claims = CodeIDToken(decoded.claims, decoded.header, ours, checked)
            claims.validate(now=int(now.timestamp()), leeway=LEEWAY)
            if not isinstance(claims["sub"], str) or not claims["sub"]:
                raise ValueError("no subject")
        except (JoseError, ValueError, KeyError, TypeError) as e:
            log.warning("the OpenID provider's word is not believed", error_type=type(e).__name__)
            raise _refused("id_token") from None
        return dict(claims)

    async def _more(self, found: Mapping[str, Any], token: Mapping[str, Any], subject: str) -> dict[str, Any]:
        """Userinfo, if it is about the same (Core 5.3.2)."""
        more = await self._fetched(found["userinfo_endpoint"], str(token.get("access_token", "")))
        if more.get("sub") != subject:
            raise _refused("userinfo_subject")
        return more

    def _known(self, claims: Mapping[str, Any]) -> Known:
        """By subject, never by mail address or name, which change hands."""
        names = [str(claims[name]) for name in ("preferred_username", "email", "sub") if claims.get(name)]
        shown = str(claims.get("name") or names[0])
        return Known((self.settings.issuer, str(claims["sub"])), names[0][:200], shown[:200], self._role(claims))

    def _role(self, claims: Mapping[str, Any]) -> Role | None:
        roles = self.settings.roles
        said = claims.get(roles.claim, ())
        values = said if isinstance(said, list) else [said]
        given = {roles.map[value] for value in values if isinstance(value, str) and value in roles.map}
        if not given:
            return None if roles.default == "none" else roles.default
        return max(given, key=list(ROLES).index)

    def _client(self, back: str) -> Any:
        from authlib.integrations.httpx_client import AsyncOAuth2Client

        secret = self.settings.client_secret
        return AsyncOAuth2Client(
            self.settings.client_id, secret.get_secret_value() if secret else None, redirect_uri=back,
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            scope=" ".join(self.settings.scopes), code_challenge_method="S256", timeout=TIMEOUT,
        )  # fmt: skip


def provider(settings: Oidc | None, where: Where) -> Provider | None:
    """Raises ConfigError without the libraries it takes."""
    if settings is None:
        return None
    if find_spec("authlib") is None:
        raise ConfigError(where, "signing in by OpenID Connect needs authlib", "pip install 'ticketgate[oidc]'")
    return Provider(settings)


def _refused(code: str, status: int = 401) -> Rejected:
    log.warning("sign-in by OpenID refused", reason_code=code)
    return Rejected("signing in at the provider did not work", status=status, code="openid")
