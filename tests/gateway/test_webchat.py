"""A conversation on a web page or in an app, through a real gateway: everything once, and nothing of anybody else's."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatting import SECRET, Customer, agent_of, kinds, with_chat
from joserfc import jwt
from joserfc.jwk import OctKey
from serving import Gateway
from websockets.exceptions import InvalidStatus

from gateway import settings
from gateway.attempt import Reader

pytestmark = pytest.mark.xdist_group("chat")
CHAT = Path(__file__).parents[2] / "gateway" / "chat_widget"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000" "1f15c4890000000d49444154789c6360606060000000050001a5f6"
    "45400000000049454e44ae426082"
)  # fmt: skip


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = with_chat(tmp_path_factory.mktemp("chat"))
    with made.start() as running:
        yield running


@pytest.fixture(scope="module")
def agent(gateway: Gateway) -> httpx.Client:
    return agent_of(gateway)


def answer(agent: httpx.Client, number: str, text: str, *, public: bool = True) -> None:
    agent.post(f"/tickets/{number}/comments", json={"text": text, "public": public}).raise_for_status()


def signed(user: str, lasts: float = 600, **claims: Any) -> str:
    said = {"sub": user, "exp": int(datetime.now(UTC).timestamp() + lasts), **claims}
    return jwt.encode({"alg": "HS256"}, said, OctKey.import_key(SECRET))


def test_a_visitor_is_acknowledged_answered_and_told_how_it_stands(gateway: Gateway, agent: httpx.Client) -> None:
    visitor = Customer(gateway).come()
    with visitor.socket() as line:
        assert line.hear("welcome")["entries"] == []
        line.tell(type="message", id="m-00000001", text="订单号 10023，物流显示已签收但没收到货", lang="zh")
        assert line.hear("sent")["id"] == "m-00000001"
        told = line.entry("notice", "工单")
        number = told["number"]
        assert number in told["text"]
        answer(agent, number, "她说的是真的吗？", public=False)
        answer(agent, number, "我们正在核实，请稍候。")
        assert line.entry("answer")["text"] == "我们正在核实，请稍候。"
        agent.patch(f"/tickets/{number}", json={"status": "solved"}).raise_for_status()
        assert line.entry("status", "solved")["number"] == number

    again = visitor.seen()["entries"]
    said = [(one["kind"], one.get("text") or one["status"]) for one in again if one["kind"] != "notice"]
    assert said == [("said", "订单号 10023，物流显示已签收但没收到货"), ("status", "new"),
                    ("answer", "我们正在核实，请稍候。"), ("status", "solved")]  # fmt: skip
    assert [one["number"] for one in again] == [number] * 5


def test_whoever_comes_back_hears_exactly_what_is_missing(gateway: Gateway, agent: httpx.Client) -> None:
    visitor = Customer(gateway).come()
    visitor.say("请问发票抬头怎么改？", "m-00000002")
    number = visitor.until(lambda entries: "notice" in kinds(entries))[0]["number"]
    cursor = visitor.seen()["cursor"]
    assert visitor.seen(cursor)["entries"] == []

    answer(agent, number, "请提供订单号。")
    visitor.until(lambda entries: "answer" in kinds(entries))
    with visitor.socket(cursor) as line:
        assert kinds(line.hear("welcome")["entries"]) == ["answer"]
    started = time.monotonic()
    assert kinds(visitor.seen(cursor, wait=20)["entries"]) == ["answer"]
    assert time.monotonic() - started < 5
    assert kinds(visitor.seen(10**9)["entries"])[0] == "said"  # no event is called so: everything anew


def test_a_long_poll_ends_once_there_is_something(gateway: Gateway) -> None:
    visitor = Customer(gateway).come()
    visitor.say("How do I change my phone number?", "m-00000003", lang="en")
    entries = visitor.until(lambda entries: "notice" in kinds(entries))
    cursor = visitor.seen()["cursor"]
    with visitor.socket() as line:
        line.tell(type="message", id="m-00000004", text="It is urgent.")
        line.hear("sent")
        found = visitor.seen(cursor, wait=20)["entries"]
    assert [one["client"] for one in found if one["kind"] == "said"] == ["m-00000004"]
    assert entries[0]["number"] == found[0]["number"]


def test_what_is_sent_again_is_there_once(gateway: Gateway) -> None:
    visitor = Customer(gateway).come()
    for _ in range(3):
        assert visitor.say("洗衣机坏了，显示 E21", "m-00000005").json() == {"id": "m-00000005"}
    with visitor.socket() as line:
        line.tell(type="message", id="m-00000005", text="洗衣机坏了，显示 E21")
        assert line.hear("sent")["id"] == "m-00000005"
    entries = visitor.until(lambda entries: "notice" in kinds(entries))
    assert kinds(entries).count("said") == kinds(entries).count("notice") == 1


def test_pictures_come_along_and_back_to_their_owner_alone(gateway: Gateway) -> None:
    visitor, stranger = Customer(gateway).come(), Customer(gateway).come()
    files = [("files", ("坏了.png", PIXEL, "image/png")), ("files", ("说明.html", b"<b>x</b>", "text/html"))]
    posted = visitor.ask("POST", "/messages", data={"id": "m-00000006", "text": "见图"}, files=files)
    assert posted.status_code == 202, posted.text
    entry = visitor.until(lambda entries: "said" in kinds(entries))[0]
    assert [(one["name"], one["type"]) for one in entry["files"]] == [
        ("坏了.png", "image/png"),
        ("说明.html", "text/html"),
    ]

    picture, page = (visitor.ask("GET", f"/files/{entry['id']}/{n}") for n in (0, 1))
    assert (picture.content, picture.headers["content-type"]) == (PIXEL, "image/png")
    assert page.headers["content-type"] == "application/octet-stream"
    assert page.headers["content-disposition"].startswith("attachment")
    for path in (f"/files/{entry['id']}/2", f"/files/{entry['id']}/-1", "/files/nothing/0"):
        assert visitor.ask("GET", path).status_code == 404
    assert stranger.ask("GET", f"/files/{entry['id']}/0").status_code == 404


def test_nobody_sees_anothers_conversation(gateway: Gateway) -> None:
    visitor, stranger = Customer(gateway).come(), Customer(gateway).come()
    visitor.say("我的手机号是 13812345678", "m-00000007")
    visitor.until(lambda entries: "notice" in kinds(entries))
    stranger.say("你好", "m-00000007")
    assert [
        one["text"] for one in stranger.until(lambda entries: "said" in kinds(entries)) if one["kind"] == "said"
    ] == ["你好"]
    key = visitor.credential
    made_up = [key[:-1] + ("0" if key[-1] != "0" else "1"), key[1:] + "0", key[:32], "x" * 64, "", "a.b.c", key.upper()]
    for credential in made_up:
        forger = Customer(gateway, credential=credential)
        assert forger.ask("GET", "/messages").status_code == 401
        assert forger.say("x", "m-00000008").status_code == 401
        with forger.socket() as line:
            assert line.ends() == (4401, "unverified")


def test_a_ticket_that_ends_in_somebody_elses_shows_neither_to_the_other(gateway: Gateway, agent: httpx.Client) -> None:
    one, other = Customer(gateway).come(), Customer(gateway).come()
    numbers = []
    for who, text, identity in ((one, "充电器冒烟了", "m-00000009"), (other, "充电器也冒烟了", "m-00000010")):
        who.say(text, identity)
        numbers.append(who.until(lambda entries: "notice" in kinds(entries))[0]["number"])
    agent.post(f"/tickets/{numbers[0]}/merge", json={"into": numbers[1]}).raise_for_status()
    answer(agent, numbers[1], "给第二位客户的回答")
    one.say("有进展吗？", "m-00000011")
    one.until(lambda entries: kinds(entries).count("said") == 2)
    answer(agent, numbers[1], "给第一位客户的回答")

    told = one.until(lambda entries: "answer" in kinds(entries))
    assert [e["text"] for e in told if e["kind"] == "answer"] == ["给第一位客户的回答"]
    assert not [e for e in told if "第二位" in e.get("text", "") or "也冒烟" in e.get("text", "")]
    assert not [e for e in other.seen()["entries"] if "进展" in e.get("text", "")]


def test_only_pages_that_are_named_may_ask(gateway: Gateway) -> None:
    for origin in ("https://evil.example.net", "null", "https://www.example.com.evil.net", "http://www.example.com"):
        stranger = Customer(gateway, origin=origin)
        assert stranger.ask("POST", "/visitors").status_code == 403
        refused = stranger.ask("OPTIONS", "/messages")
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers
        with pytest.raises(InvalidStatus), stranger.socket():
            pass
    welcome = Customer(gateway).ask("OPTIONS", "/messages")
    assert welcome.headers["access-control-allow-origin"] == "https://www.example.com"
    assert "authorization" in welcome.headers["access-control-allow-headers"]
    assert Customer(gateway, origin=f"http://127.0.0.1:{gateway.http}").come().credential
    assert Customer(gateway, account="nowhere").ask("GET", "/").status_code == 404


def test_a_user_of_the_app_goes_on_on_another_device(gateway: Gateway) -> None:
    token = signed("u-7", name="王芳", phone_number="13900001111")
    phone = Customer(gateway, "app", token, origin="")
    phone.say("登录不了", "m-00000012", lang="zh")
    phone.until(lambda entries: "notice" in kinds(entries))
    tablet = Customer(gateway, "app", signed("u-7", 60, phone_number="13900001111"), origin="")
    with tablet.socket() as line:
        assert "登录不了" in [one.get("text") for one in line.hear("welcome")["entries"]]
        phone.say("急", "m-00000013")
        assert line.entry("said")["text"] == "急"
    (ticket,) = [one for one in gateway.tickets() if one["source"]["account"] == "app"]
    message = ticket["messages"][0]
    assert (message["proven"], message["channel"]) == (True, "app")
    assert (message["from"]["kind"], message["from"]["address"]) == ("phone", "+8613900001111")
    assert Customer(gateway, "app", signed("u-8"), origin="").seen()["entries"] == []


def test_a_token_that_is_over_or_not_ours_opens_nothing(gateway: Gateway) -> None:
    other = jwt.encode({"alg": "HS256"}, {"sub": "u-7", "exp": 4102444800}, OctKey.import_key("x" * 32))
    for token in (signed("u-7", -1), other, signed("u-7", 90_000)):
        assert Customer(gateway, "app", token, origin="").ask("GET", "/messages").status_code == 401
    key = Customer(gateway).come().credential
    assert Customer(gateway, "app", key, origin="").ask("GET", "/messages").status_code == 401
    assert Customer(gateway, "app", origin="").ask("POST", "/visitors").status_code == 403
    assert Customer(gateway, "web", signed("u-7")).ask("GET", "/messages").status_code == 401
    with Customer(gateway, "app", signed("u-7", 2), origin="").socket() as line:
        assert line.ends() == (4401, "expired")


def test_a_flood_is_held_back(gateway: Gateway) -> None:
    visitor = Customer(gateway).come()
    statuses = [visitor.say("x", f"m-flood{n:04}").status_code for n in range(15)]
    assert statuses == [202] * 12 + [429] * 3
    with visitor.socket() as line:
        line.hear("welcome")
        line.tell(type="message", id="m-flood-ws", text="x")
        assert (line.hear("refused"))["code"] == "rate_limited"
    with ExitStack() as open_ones:
        lines = [open_ones.enter_context(visitor.socket()) for _ in range(11)]
        for one in lines[:10]:
            one.hear("welcome")
        assert lines[10].ends() == (4429, "rate_limited")


def test_what_makes_no_sense_is_refused_and_kept(gateway: Gateway) -> None:
    visitor = Customer(gateway).come()
    assert visitor.ask("POST", "/messages", content=b"{").status_code == 400
    assert visitor.say("x" * 5001, "m-00000014").status_code == 422
    with visitor.socket() as line:
        line.hear("welcome")
        line.socket.send("[]")
        line.socket.send(b"\x00\xff")
        line.socket.send("{")
        line.tell(type="message", id=["x"], text="x")
        assert line.hear("refused")["code"] == "malformed"
        line.socket.send("x" * 70_000)
        assert line.ends()[1] == "oversized"
    kept = gateway.json("quarantine", "list")
    assert {"malformed", "invalid"} <= {one["code"] for one in kept}


def test_the_script_knows_its_account_and_no_secret(gateway: Gateway) -> None:
    script = Customer(gateway, "app", origin="https://anywhere.example.net").ask("GET", "/widget.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert '"account":"app"' in script.text
    assert SECRET not in script.text
    assert len(script.content) < 20 * 1024
    with httpx.stream("GET", str(script.url)) as squeezed:
        assert sum(map(len, squeezed.iter_raw())) < 10 * 1024
    page = Customer(gateway).ask("GET", "/")
    assert "script-src 'self'" in page.headers["content-security-policy"]


def test_the_squeezed_script_is_of_this_source() -> None:
    """`make vendor` makes it again."""
    source, made = ((CHAT / name).read_bytes() for name in ("widget.js", "widget.min.js"))
    assert hashlib.sha256(source).hexdigest()[:16] in made[:60].decode()


def test_what_was_posted_can_be_read_again_and_no_secret_is_logged(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in gateway.environment.items():
        monkeypatch.setenv(name, value)
    posted = json.dumps({"id": "m-00000015", "text": "洗衣机坏了"}).encode()
    for channel in ("chat", "app"):
        (message,) = Reader(settings.read(gateway.config), channel).messages("-", posted)
        assert (message.text, message.external_id, message.channel) == ("洗衣机坏了", "m-00000015", channel)
    assert SECRET not in gateway.log.read_text()
