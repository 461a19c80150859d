"""Access tokens of OAuth 2, as mail servers take them in place of a password: fetched anew before they end."""

import threading
from datetime import UTC, datetime, timedelta

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from normalizer.errors import Unavailable

AGAIN_AFTER_REFUSAL = timedelta(minutes=1)  # the first wait; many servers lock who tries a wrong password too often


class OAuth(BaseModel):
    """How access tokens are had: with a refresh token of the mailbox's owner, else by the program's own right."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token_url: str = Field(pattern=r"^https://|^http://(127\.0\.0\.1|localhost)[:/]")
    client_id: str
    client_secret: SecretStr = SecretStr("")
    refresh_token: SecretStr = SecretStr("")
    scope: str = ""


class Tokens:
    """An access token for as long as it lives; shared by the threads of one account."""

    def __init__(self, oauth: OAuth, timeout: float) -> None:
        self.oauth, self.timeout = oauth, timeout
        self._token, self._until = "", datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()

    def token(self, now: datetime) -> str:
        """Raises Unavailable."""
        with self._lock:
            if not self._token or now >= self._until:
                said = self._ask()
                self._token = str(said["access_token"])
                self._until = now + timedelta(seconds=max(30, _seconds(said.get("expires_in")) - 60))
            return self._token

    def forget(self) -> None:
        """The server did not like it."""
        with self._lock:
            self._token = ""

    def _ask(self) -> dict[str, object]:
        oauth = self.oauth
        refresh = oauth.refresh_token.get_secret_value()
        form = {
            "grant_type": "refresh_token" if refresh else "client_credentials", "refresh_token": refresh,
            "client_id": oauth.client_id, "client_secret": oauth.client_secret.get_secret_value(), "scope": oauth.scope,
        }  # fmt: skip
        try:
            answer = httpx.post(oauth.token_url, data={k: v for k, v in form.items() if v}, timeout=self.timeout)
            said = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(f"no access token from {oauth.token_url}: {type(error).__name__}") from None
        if not isinstance(said, dict) or not isinstance(said.get("access_token"), str):
            why = said.get("error") if isinstance(said, dict) else ""
            raise Unavailable(
                f"no access token from {oauth.token_url}: {answer.status_code} {why}", wait=AGAIN_AFTER_REFUSAL
            )
        return said


def _seconds(said: object) -> int:
    try:
        return int(str(said))
    except ValueError:
        return 300
