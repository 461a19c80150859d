"""Signing in at an OpenID provider, from a browser through a real gateway to a real provider and back."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import RSAKey
from people import Visitor, csrf
from provider import Provider
from serving import Gateway

SIGNIN = """\
signin:
  oidc:
    issuer: {issuer}
    client_id: ticketgate
    client_secret: {{env: TEST_OIDC_SECRET}}
    label: 测试单位
    roles: {{claim: groups, map: {{support: agent, bosses: admin, lookers: viewer}}}}
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("oidc"), outbound="off")
    text = made.config.read_text().replace("signin: {local: admin}\n", SIGNIN.format(issuer=provider.issuer))
    made.config.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_OIDC_SECRET", provider.secret)
        with made.start():
            yield made


@pytest.fixture(autouse=True)
def honest(provider: Provider) -> Iterator[None]:
    claims, userinfo = dict(provider.claims), dict(provider.userinfo)
    provider.claims["groups"] = ["support"]
    yield
    provider.claims, provider.userinfo, provider.twist, provider.signing = claims, userinfo, {}, None


@pytest.fixture
def visitor(gateway: Gateway) -> Iterator[Visitor]:
    with Visitor(f"http://127.0.0.1:{gateway.http}") as made:
        yield made


def come_in(visitor: Visitor, path: str = "/console/signin/oidc") -> httpx.Response:
    """Through the provider and back, as a browser goes."""
    return visitor.get(path)


def way_back(visitor: Visitor) -> str:
    """As far as the address the provider sends the browser back to, not opened yet."""
    away = visitor.client.get("/console/signin/oidc", follow_redirects=False)
    return str(httpx.get(away.headers["location"]).headers["location"])


def names(gateway: Gateway) -> dict[str, dict[str, Any]]:
    return {one["login"]: one for one in gateway.json("users", "list")}


def test_the_whole_way_makes_a_user_with_the_role_of_their_group(
    provider: Provider, gateway: Gateway, visitor: Visitor
) -> None:
    shown = visitor.get("/console/account")
    assert shown.url.path == "/console/signin"
    assert "Sign in with 测试单位" in shown.text
    done = come_in(visitor, "/console/signin/oidc?next=/console/account")
    assert (done.status_code, done.url.path) == (200, "/console/account")
    assert "李雷" in done.text
    assert "password and second factor are managed there" in done.text
    known = names(gateway)["li"]
    assert (known["role"], known["by way of"]) == ("agent", "openid")
    visitor.post("/console/signout", csrf=csrf(done.text))
    come_in(visitor)
    assert len(names(gateway)) == 1


@pytest.mark.parametrize(
    ("groups", "role"),
    [(["support", "bosses", "lookers"], "admin"), (["lookers", "unknown"], "viewer"), ("support", "agent")],
)
def test_the_highest_role_of_the_claim_counts_at_every_sign_in(
    provider: Provider, gateway: Gateway, visitor: Visitor, groups: Any, role: str
) -> None:
    provider.claims["groups"] = groups
    assert come_in(visitor).url.path == "/console/"
    assert names(gateway)["li"]["role"] == role


@pytest.mark.parametrize("groups", [["strangers"], [], None, 7])
def test_who_has_no_role_there_has_none_here(provider: Provider, visitor: Visitor, groups: Any) -> None:
    provider.claims |= {"sub": "stranger", "groups": groups}
    refused = come_in(visitor)
    assert refused.status_code == 403
    assert "gives you no role here" in refused.text
    assert visitor.get("/console/").url.path == "/console/signin"


def test_the_claim_may_stand_in_userinfo(provider: Provider, gateway: Gateway, visitor: Visitor) -> None:
    del provider.claims["groups"]
    provider.claims |= {"sub": "u-info", "preferred_username": "info"}
    provider.userinfo = {"groups": ["lookers"], "sub": "u-info"}
    assert come_in(visitor).url.path == "/console/"
    assert names(gateway)["info"]["role"] == "viewer"
    provider.userinfo = {"groups": ["bosses"], "sub": "somebody else"}  # Core 5.3.2: not about who signed in
    assert come_in(visitor, "/console/signin/oidc").status_code == 401


LIES: dict[str, dict[str, Any]] = {
    "wrong nonce": {"nonce": "another"}, "wrong audience": {"aud": "another-client"},
    "expired": {"exp": int(time.time()) - 3600}, "wrong issuer": {"iss": "https://evil.example"},
    "issued to another": {"azp": "another-client"}, "no subject": {"sub": None}, "an empty subject": {"sub": ""},
    "two audiences, not for us": {"aud": ["a", "b"]},
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_an_id_token_that_is_not_right_lets_nobody_in(provider: Provider, visitor: Visitor, lie: str) -> None:
    provider.twist = LIES[lie]
    refused = come_in(visitor)
    assert refused.status_code == 401
    assert "did not work" in refused.text
    assert visitor.get("/console/").url.path == "/console/signin"


def test_an_id_token_of_another_key_lets_nobody_in(provider: Provider, visitor: Visitor) -> None:
    provider.signing = RSAKey.generate_key(2048)
    assert come_in(visitor).status_code == 401


def test_a_state_of_somebody_else_lets_nobody_in(visitor: Visitor, gateway: Gateway) -> None:
    """Otherwise somebody could sign a victim in as themselves."""
    with Visitor(visitor.base) as attacker:
        theirs = way_back(attacker)
    way_back(visitor)
    assert visitor.client.get(theirs).status_code == 401
    with Visitor(visitor.base) as other:  # who never left
        assert other.client.get(theirs).status_code == 401
        assert other.get("/console/").url.path == "/console/signin"


def test_a_code_counts_once(visitor: Visitor) -> None:
    back = way_back(visitor)
    kept = dict(visitor.client.cookies)
    assert visitor.client.get(back).url.path == "/console/"
    again = httpx.get(back, headers={"cookie": "; ".join(f"{name}={value}" for name, value in kept.items())})
    assert again.status_code == 401


def test_an_answer_of_another_provider_is_not_taken(visitor: Visitor, provider: Provider) -> None:
    back = way_back(visitor).replace("iss=http%3A%2F%2F127.0.0.1", "iss=http%3A%2F%2F127.0.0.2")
    assert visitor.client.get(back).status_code == 401


def test_who_gave_up_at_the_provider_can_try_again(visitor: Visitor) -> None:
    state = way_back(visitor).partition("state=")[2].partition("&")[0]
    refused = visitor.client.get(f"/console/signin/oidc/back?error=access_denied&state={state}")
    assert refused.status_code == 401
    assert "try once more" in refused.text
    assert come_in(visitor).url.path == "/console/"


def test_a_disabled_user_is_not_let_in_by_their_provider(
    gateway: Gateway, visitor: Visitor, provider: Provider
) -> None:
    provider.claims |= {"sub": "u-gone", "preferred_username": "gone"}
    come_in(visitor)
    gateway.cli("users", "disable", "gone")
    assert visitor.get("/console/").url.path == "/console/signin"
    refused = come_in(visitor)
    assert refused.status_code == 403
    assert "disabled" in refused.text
    assert {row["what"] for row in gateway.json("audit", "list", "--limit", "3")} >= {"sign_in_failed", "user_disabled"}


def test_a_local_name_is_not_taken_over_by_the_same_name_elsewhere(
    gateway: Gateway, visitor: Visitor, provider: Provider
) -> None:
    (made,) = gateway.json("users", "add", "same", "--role", "admin")
    provider.claims |= {"sub": "u-same", "preferred_username": "same"}
    shown = come_in(visitor, "/console/signin/oidc?next=/console/account").text
    assert made["id"] not in shown
    roles = sorted(one["role"] for one in gateway.json("users", "list") if one["login"] == "same")
    assert roles == ["admin", "agent"]


def test_neither_secret_nor_code_nor_token_is_in_the_log(gateway: Gateway, provider: Provider) -> None:
    log = gateway.log.read_text()
    assert "reason_code" in log
    for secret in (provider.secret, "code=", "id_token=", "eyJ"):
        assert secret not in log


def test_an_issuer_without_https_is_refused_at_the_start(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    text = gateway.config.read_text().replace(
        "signin: {local: admin}\n", "signin: {oidc: {issuer: 'http://login.example.cn', client_id: x}}\n"
    )
    gateway.config.write_text(text)
    assert "https" in gateway.refused("users", "list")


def test_without_it_nothing_of_authlib_is_imported() -> None:
    code = "import sys, gateway.app; assert not {'authlib', 'joserfc'} & set(sys.modules)"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
