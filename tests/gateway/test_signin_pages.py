"""The way into the console, with a real gateway and a browser that fills in forms."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyotp
import pytest
from people import BETTER, GOOD, Visitor, csrf, recovery_codes
from serving import Gateway

ROOT = ("root", GOOD)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("gateway"), outbound="off", local="null") as running:
        yield running


@pytest.fixture
def visitor(gateway: Gateway) -> Iterator[Visitor]:
    with Visitor(f"http://127.0.0.1:{gateway.http}") as made:
        yield made


@pytest.fixture
def root(gateway: Gateway, visitor: Visitor) -> Visitor:
    """Signed in as the administrator, whom the first test that needs them makes."""
    if not gateway.json("users", "list"):
        visitor.send("/console/first", login=ROOT[0], name="Root", new=ROOT[1], again=ROOT[1])
    else:
        visitor.sign_in(*ROOT)
    assert visitor.get("/console/account").url.path == "/console/account"
    return visitor


def user(gateway: Gateway, visitor: Visitor, login: str, role: str, password: str = BETTER) -> None:
    """A user of that role, signed in with a password of their own."""
    (made,) = gateway.json("users", "add", login, "--role", role)
    assert visitor.sign_in(login, made["one-time password (shown once)"]).url.path == "/console/account"
    shown = visitor.send("/console/account", "/console/account/password", old=made["one-time password (shown once)"],
                         new=password, again=password)  # fmt: skip
    assert shown.status_code == 200, shown.text


def test_a_fresh_console_asks_this_machine_for_its_administrator_and_nobody_else(
    tmp_path: Path,
) -> None:
    with Gateway(tmp_path, outbound="off", local="null") as fresh, Visitor(f"http://127.0.0.1:{fresh.http}") as visitor:
        elsewhere = httpx.get(visitor.base + "/console/", headers={"x-forwarded-for": "203.0.113.9"})
        assert elsewhere.status_code == 403
        assert "ticketgate users add" in elsewhere.text
        renamed = httpx.get(visitor.base + "/console/first", headers={"host": "evil.example"})
        assert (renamed.status_code, "<form" in renamed.text) == (403, False)

        shown = visitor.get("/console/")
        assert shown.url.path == "/console/first"
        weak = visitor.send("/console/first", login="root", name="", new="password1234", again="password1234")
        assert weak.status_code == 422
        assert "everybody tries first" in weak.text
        differing = visitor.send("/console/first", login="root", name="", new=GOOD, again=BETTER)
        assert differing.status_code == 422
        assert fresh.json("users", "list") == []

        front = visitor.send("/console/first", login="root", name="Root", new=GOOD, again=GOOD)
        assert (front.status_code, front.url.path) == (200, "/console/")
        assert "Sign out" in front.text
        assert visitor.get("/console/first").url.path == "/console/"
        with Visitor(visitor.base) as other:  # on this machine too, from now on
            assert other.get("/console/").url.path == "/console/signin"
            again = other.post("/console/first", csrf="x", login="other", name="", new=GOOD, again=GOOD)
            assert again.url.path == "/console/signin"
        assert [one["login"] for one in fresh.json("users", "list")] == ["root"]


def test_signing_in_leads_where_one_wanted_to_go_and_never_elsewhere(root: Visitor, gateway: Gateway) -> None:
    with Visitor(root.base) as visitor:
        shown = visitor.get("/console/account")
        assert shown.url.path == "/console/signin"
        onward = re.search(r'name="next" value="([^"]+)"', shown.text)
        assert onward and onward[1] == "/console/account"
        done = visitor.post(str(shown.url), csrf=csrf(shown.text), next=onward[1], login="root", password=GOOD)
        assert done.url.path == "/console/account"
    for trap in ("https://evil.example/", "//evil.example/", "/console/..//evil.example", "/console/\\evil.example"):
        with Visitor(root.base) as visitor:
            done = visitor.send("/console/signin", login="root", password=GOOD, next=trap)
            assert str(done.url) == root.base + "/console/"


def test_a_wrong_password_and_an_unknown_name_look_the_same(root: Visitor) -> None:
    with Visitor(root.base) as visitor:
        answers = [visitor.sign_in("root", "not the password"), visitor.sign_in("nobody", "not the password")]
        assert [answer.status_code for answer in answers] == [401, 401]
        faults = [re.search(r'role="alert">(.*?)<', answer.text) for answer in answers]
        assert faults[0] and faults[1] and faults[0][1] == faults[1][1] == "User name or password is wrong."


def test_the_cookie_is_for_this_host_and_no_script(gateway: Gateway, root: Visitor) -> None:
    answer = httpx.get(root.base + "/console/signin")
    kept = answer.headers["set-cookie"].lower()
    assert "httponly" in kept and "samesite=lax" in kept and "path=/" in kept
    assert "secure" not in kept and "domain" not in kept
    assert "script" not in answer.headers["content-security-policy"]
    assert "<script>" not in answer.text


def test_a_token_known_before_signing_in_is_worth_nothing_after(root: Visitor) -> None:
    with Visitor(root.base) as victim:
        victim.client.cookies.set("ticketgate", "planted-by-somebody-else", domain="127.0.0.1")
        victim.sign_in(*ROOT)
        assert victim.get("/console/").url.path == "/console/"
        assert victim.token != "planted-by-somebody-else"
    planted = {"cookie": "ticketgate=planted-by-somebody-else"}
    assert httpx.get(root.base + "/console/", headers=planted).status_code == 303


def test_without_the_token_of_the_page_or_from_another_site_nothing_changes(root: Visitor, gateway: Gateway) -> None:
    shown = root.get("/console/account").text
    good = {"csrf": csrf(shown), "language": "zh"}
    ours = {"origin": root.base, "sec-fetch-site": "same-origin"}
    with Visitor(root.base) as other:
        foreign = csrf(other.get("/console/signin").text)
    for fields, headers in [
        ({"language": "zh"}, ours), ({**good, "csrf": foreign}, ours), (good, {**ours, "origin": "https://evil.example"}),
        (good, {**ours, "origin": "null"}), (good, {**ours, "sec-fetch-site": "cross-site"}),
        (good, {**ours, "sec-fetch-site": "same-site"}),
    ]:  # fmt: skip
        answer = root.client.post("/console/account/language", data=fields, headers=headers)
        assert answer.status_code == 403, (fields, headers)
    assert '<option value="zh" lang="zh" selected>' not in root.get("/console/account").text
    answer = root.client.post("/console/account/language", data=good, headers=ours)
    assert answer.status_code == 200
    assert '<option value="zh" lang="zh" selected>' in answer.text
    assert "我的账号" in answer.text


def test_signing_out_ends_the_session_itself(root: Visitor) -> None:
    token = root.token
    shown = root.get("/console/account").text
    assert root.client.get("/console/signout").status_code == 404  # a picture or a link ends nothing
    assert root.get("/console/").url.path == "/console/"
    out = root.post("/console/signout", csrf=csrf(shown))
    assert out.url.path == "/console/signin"
    assert httpx.get(root.base + "/console/", headers={"cookie": f"ticketgate={token}"}).status_code == 303


def test_who_has_a_one_time_password_can_do_nothing_but_change_it(root: Visitor, gateway: Gateway) -> None:
    (made,) = gateway.json("users", "add", "newcomer", "--role", "viewer")
    password = made["one-time password (shown once)"]
    with Visitor(root.base) as visitor:
        shown = visitor.sign_in("newcomer", password)
        assert "one-time password" in shown.text
        for path in ("/console/", "/console/account/totp"):
            assert visitor.get(path).url.path == "/console/account"
        assert visitor.client.get("/api/v1/tickets/20260101001").status_code == 401
        same = visitor.send("/console/account", "/console/account/password", old=password, new=password, again=password)
        assert same.status_code == 422
        token = visitor.token
        visitor.send("/console/account", "/console/account/password", old=password, new=BETTER, again=BETTER)
        assert visitor.token != token
        assert visitor.get("/console/").url.path == "/console/"


def test_a_second_factor_from_its_picture_to_its_loss(root: Visitor, gateway: Gateway) -> None:
    with Visitor(root.base) as visitor:
        user(gateway, visitor, "careful", "agent")
        shown = visitor.get("/console/account/totp").text
        assert re.search(r"<svg[^>]* viewBox=", shown)  # so that it shrinks whole on a phone, and is not cut
        found = re.search(r"<code>([A-Z2-7 ]+)</code>", shown)
        assert found
        authenticator = pyotp.TOTP(found[1].replace(" ", ""))
        wrong = visitor.send("/console/account/totp", code="000000")
        assert wrong.status_code == 422
        codes = list(recovery_codes(visitor.send("/console/account/totp", code=authenticator.now()).text))
        assert len(codes) == 10
        visitor.post("/console/signout", csrf=csrf(visitor.get("/console/account").text))

        asked = visitor.sign_in("careful", BETTER)
        assert asked.url.path == "/console/signin/code"
        assert visitor.get("/console/").url.path == "/console/signin/code"
        assert visitor.send("/console/signin/code", code="000000").status_code == 401
        before = visitor.token
        assert visitor.send("/console/signin/code", code=codes[0]).url.path == "/console/"
        assert visitor.token != before
        visitor.post("/console/signout", csrf=csrf(visitor.get("/console/account").text))
        visitor.sign_in("careful", BETTER)
        assert visitor.send("/console/signin/code", code=codes[0]).status_code == 401

        gateway.cli("users", "totp-reset", "careful")
        assert visitor.sign_in("careful", BETTER).url.path == "/console/"


def test_trying_too_often_is_told_with_the_time_to_wait(root: Visitor, gateway: Gateway) -> None:
    gateway.cli("users", "add", "victim", "--role", "viewer", "--password-stdin", stdin=GOOD.encode() + b"\n")
    with Visitor(root.base) as visitor:
        answers = [visitor.sign_in("victim", "not the password") for _ in range(11)]
        assert [answer.status_code for answer in answers] == [401] * 10 + [429]
        assert 0 < int(answers[-1].headers["retry-after"]) <= 300
        assert visitor.sign_in("victim", GOOD).status_code == 429
        gateway.cli("users", "password", "victim", "--password-stdin", stdin=BETTER.encode() + b"\n")  # frees the name
        assert visitor.sign_in("victim", BETTER).url.path == "/console/account"


def test_roles_and_disabling_at_the_terminal_reach_a_running_gateway_at_once(root: Visitor, gateway: Gateway) -> None:
    with Visitor(root.base) as visitor:
        user(gateway, visitor, "moved", "viewer")
        assert visitor.get("/console/").url.path == "/console/"
        gateway.cli("users", "role", "moved", "agent")
        assert visitor.get("/console/").url.path == "/console/signin"
        visitor.sign_in("moved", BETTER)
        gateway.cli("users", "disable", "moved")
        assert visitor.get("/console/").url.path == "/console/signin"
        assert visitor.sign_in("moved", BETTER).status_code == 401
        gateway.cli("users", "enable", "moved")
        assert visitor.sign_in("moved", BETTER).url.path == "/console/"
        gateway.cli("users", "remove", "moved")
        assert visitor.get("/console/").url.path == "/console/signin"
    assert "last administrator" in gateway.refused("users", "remove", "root")
    assert "users list" in gateway.refused("users", "role", "nobody", "admin")


def test_personal_data_is_shown_with_a_reason_for_that_session_and_kept_in_the_audit(
    root: Visitor, gateway: Gateway
) -> None:
    gateway.mail(b"From: Li Lei <li.lei@example.cn>\r\nTo: support@example.com\r\nMessage-ID: <r@x>\r\n"
                 b"Subject: parcel\r\n\r\nmy parcel is lost, call 13812345678\r\n")  # fmt: skip
    gateway.settle()
    (ticket,) = gateway.tickets()
    page = f"/console/tickets/{ticket['number']}"
    assert "13812345678" not in root.get(page).text
    assert root.send(page, f"{page}/reveal", reason=" ").status_code == 422
    assert "13812345678" not in root.get(page).text
    shown = root.send(page, f"{page}/reveal", reason="the customer wants a call")
    assert "13812345678" in shown.text
    assert "li.lei@example.cn" in shown.text
    assert (
        root.client.get(f"/api/v1/tickets/{ticket['number']}/messages")
        .json()["items"][0]["text"]
        .endswith("13812345678")
    )
    with Visitor(root.base) as again:
        again.sign_in(*ROOT)
        assert "13812345678" not in again.get(page).text
        assert "13812345678" not in again.client.get(f"/api/v1/tickets/{ticket['number']}/messages").text
    with Visitor(root.base) as viewer:
        user(gateway, viewer, "looker", "viewer")
        text = viewer.get(page).text
        assert "13812345678" not in text
        assert "/reveal" not in text
        forged = viewer.post(f"{page}/reveal", csrf=csrf(text), reason="curious")
        assert forged.status_code == 403
    (kept,) = [row for row in gateway.json("audit", "list") if row["what"] == "revealed"]
    assert "(root)" in kept["who"]
    assert kept["about"] == ticket["id"]
    assert "the customer wants a call" in kept["detail"]
    assert "whole" in gateway.cli("audit", "verify")


def test_what_the_terminal_shows_unmasked_is_in_the_audit_too(root: Visitor, gateway: Gateway) -> None:
    gateway.cli("tickets", "--reveal")
    assert any(
        row["what"] == "revealed" and row["who"].startswith("terminal:") for row in gateway.json("audit", "list")
    )


def test_no_secret_is_in_the_log(root: Visitor, gateway: Gateway) -> None:
    log = gateway.log.read_text()
    for secret in (GOOD, BETTER, root.token, csrf(root.get("/console/account").text), "not the password", "argon2"):
        assert secret not in log


def test_with_https_the_cookie_keeps_its_promises(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, outbound="off", local="null")
    gateway.config.write_text(
        gateway.config.read_text().replace("http: {", 'http: {public_url: "https://tickets.example.cn", ')
    )
    with gateway.start():
        kept = httpx.get(f"http://127.0.0.1:{gateway.http}/console/first").headers["set-cookie"]
        assert kept.startswith("__Host-ticketgate=")
        assert "secure" in kept.lower()
