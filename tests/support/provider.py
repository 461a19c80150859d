"""A small OpenID provider: discovery, authorization with PKCE, single-use codes, signed id tokens, userinfo.

It lets everybody in at once as `claims` says; `twist` changes the id token's claims, so that a client can be told lies.
"""

import asyncio
import secrets
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from serving import free_port
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route


@dataclass
class Asked:
    """What an authorization request brought, kept with its code until it is used."""

    redirect_uri: str
    challenge: str
    nonce: str


@dataclass
class Provider:
    """Run it by `with`."""

    client_id: str = "ticketgate"
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "u-1", "preferred_username": "li", "name": "李雷"})
    userinfo: dict[str, Any] = field(default_factory=dict)
    twist: dict[str, Any] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    codes: dict[str, Asked] = field(default_factory=dict)
    key: Any = field(default_factory=lambda: RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True))
    signing: Any = None  # another key than the published one

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Provider":
        routes = [
            Route("/.well-known/openid-configuration", self._discovery), Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]), Route("/jwks", self._jwks), Route("/userinfo", self._userinfo),
        ]  # fmt: skip
        self._server = uvicorn.Server(
            uvicorn.Config(Starlette(routes=routes), port=self.port, log_config=None, lifespan="off")
        )
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve()), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    async def _discovery(self, _: Request) -> Response:
        ends = {f"{name}_endpoint": f"{self.issuer}/{path}" for name, path in
                (("authorization", "authorize"), ("token", "token"), ("userinfo", "userinfo"))}  # fmt: skip
        return JSONResponse({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks", **ends})

    async def _jwks(self, _: Request) -> Response:
        return JSONResponse(KeySet([self.key]).as_dict(private=False))

    async def _authorize(self, asked: Request) -> Response:
        given = asked.query_params
        right = (
            given["response_type"] == "code" and given["client_id"] == self.client_id
            and given["code_challenge_method"] == "S256" and "openid" in given["scope"].split()
        )  # fmt: skip
        if not right:
            return Response("not as it must be", 400)
        code = secrets.token_urlsafe(16)
        self.codes[code] = Asked(given["redirect_uri"], given["code_challenge"], given["nonce"])
        back = {"code": code, "state": given["state"], "iss": self.issuer}
        return RedirectResponse(f"{given['redirect_uri']}?{urlencode(back)}", 302)

    async def _token(self, asked: Request) -> Response:
        kind, _, credentials = asked.headers.get("authorization", "").partition(" ")
        if kind != "Basic" or b64decode(credentials).decode() != f"{self.client_id}:{self.secret}":
            return JSONResponse({"error": "invalid_client"}, 401)
        given = await asked.form()
        kept = self.codes.pop(str(given.get("code")), None)
        verifier = sha256(str(given.get("code_verifier")).encode()).digest()
        challenge = urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if kept is None or challenge != kept.challenge or given.get("redirect_uri") != kept.redirect_uri:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": self.client_id, "iat": now, "exp": now + 300, "nonce": kept.nonce,
                  **self.claims, **self.twist}  # fmt: skip
        signing = self.signing or self.key
        token = jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, signing)
        return JSONResponse({"access_token": "at", "token_type": "Bearer", "expires_in": 300, "id_token": token})

    async def _userinfo(self, asked: Request) -> Response:
        if asked.headers.get("authorization") != "Bearer at":
            return Response(status_code=401)
        return JSONResponse({"sub": self.claims["sub"], **self.userinfo})
