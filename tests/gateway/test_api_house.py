"""The house by its API: what came, what was set aside, what is owed, how it is, who may and who did."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from serving import Desk, Gateway, MailSink

from gateway.permissions import PERMISSIONS


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with Desk() as made:
        yield made


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, desk: Desk) -> Iterator[Gateway]:
    with MailSink() as sink, Gateway(tmp_path_factory.mktemp("house"), mail_sink=sink.port, desk=desk.port) as running:
        yield running


def client(gateway: Gateway, *scopes: str) -> httpx.Client:
    (row,) = gateway.json("keys", "add", "test", *(part for scope in scopes for part in ("--scope", scope)))
    secret = next(value for name, value in row.items() if name.startswith("secret"))
    url = f"http://127.0.0.1:{gateway.http}/api/v1"
    return httpx.Client(base_url=url, headers={"authorization": f"Bearer {secret}"}, timeout=20)


@pytest.fixture(scope="module")
def api(gateway: Gateway) -> Iterator[httpx.Client]:
    with client(gateway, *PERMISSIONS) as made:
        yield made


def said(gateway: Gateway, sender: str, text: str, identity: str) -> None:
    body = json.dumps({"messages": [{"id": identity, "text": text, "from": sender, "name": "张三"}]}).encode()
    assert gateway.webhook(body, identity=f"hook-{identity}") == 204
    gateway.settle()


def items(api: httpx.Client, path: str, **query: Any) -> list[Any]:
    return list(api.get(path, params=query).raise_for_status().json()["items"])


def test_a_contacts_trail_is_masked_unless_the_key_may_see_it(gateway: Gateway, api: httpx.Client) -> None:
    said(gateway, "trail@example.cn", "我的电话是 13812345678", "t1")
    contact = items(api, "/tickets")[0]["contact"]
    (message,) = items(api, f"/contacts/{contact}/messages")
    assert message["text"] == "我的电话是 13812345678"
    assert message["ticket"]
    with client(gateway, "tickets:read") as reader:
        (hidden,) = items(reader, f"/contacts/{contact}/messages")
        assert "13812345678" not in hidden["text"]
        assert "trail@example.cn" not in reader.get(f"/contacts/{contact}").text
    assert api.get("/contacts/nobody").status_code == 404


def test_what_was_set_aside_is_shown_masked_and_retried_by_who_may(gateway: Gateway, api: httpx.Client) -> None:
    body = json.dumps({"messages": [{"id": "q1", "text": "call 13812345678"}]}).encode()
    assert gateway.webhook(body, identity="hook-q1") == 204
    gateway.settle()
    row = next(one for one in items(api, "/quarantine", stage="journal"))
    shown = api.get(f"/quarantine/{row['id']}").json()
    assert shown["preview"]["kind"] == "json"
    assert "13812345678" not in json.dumps(shown)
    with client(gateway, "quarantine:read") as reader:
        assert reader.post(f"/quarantine/{row['id']}/retry").status_code == 403
    assert api.post(f"/quarantine/{row['id']}/retry").json() == {"retried": 1}
    assert api.post("/quarantine/nothing/retry").status_code == 404
    assert {"quarantine.retry"} <= {one["what"] for one in items(api, "/audit")}


def test_a_dead_letter_is_owed_again_and_only_replies_can_be_mended(
    gateway: Gateway, api: httpx.Client, desk: Desk
) -> None:
    desk.answers.append((422, {}))
    said(gateway, "dead@example.cn", "发票", "d1")
    (dead,) = items(api, "/outbox", state="dead")
    assert (dead["kind"], dead["target"]) == ("handover", "desk")
    assert api.patch(f"/outbox/{dead['id']}", json={"text": "x"}).status_code == 404
    with client(gateway, "outbox:read") as reader:
        assert reader.post(f"/outbox/{dead['id']}/retry").status_code == 403
    assert api.post(f"/outbox/{dead['id']}/retry").json() == {"retried": 1}
    gateway.settle()
    assert items(api, "/outbox", state="dead") == []
    assert api.patch("/outbox/nothing", json={"unknown": "x"}).status_code == 422


def test_the_journal_tells_what_came_and_how_it_looks(gateway: Gateway, api: httpx.Client) -> None:
    said(gateway, "journal@example.cn", "订单没收到", "j1")
    newest = items(api, "/journal", connector="webhook")[0]
    assert newest["state"] == "done"
    assert newest["tickets"]
    whole = api.get(f"/journal/{newest['id']}").json()
    assert whole["transport"]["method"] == "POST"
    assert whole["preview"]["kind"] == "json"
    assert "journal@example.cn" not in json.dumps(whole)
    assert api.get("/journal/nothing").status_code == 404
    seen: list[str] = []
    after = ""
    while True:
        page = api.get("/journal", params={"limit": 2, "after": after}).json()
        seen += [one["id"] for one in page["items"]]
        if not (after := page["next"]):
            break
    assert len(seen) == len(set(seen)) == len(items(api, "/journal", limit=200))


def test_tickets_are_found_by_words_and_by_view(gateway: Gateway, api: httpx.Client) -> None:
    said(gateway, "find.me@example.cn", "长颈鹿玩具的发票抬头错了", "f1")
    (found,) = items(api, "/tickets", q="长颈鹿 发票")
    assert [one["number"] for one in items(api, "/tickets", q="find.me@example.cn")] == [found["number"]]
    assert items(api, "/tickets", q="长颈鹿 退款") == []
    views = {one["view"]: one for one in api.get("/views").json()}
    assert views["closed"]["count"] == 0
    assert api.patch(f"/tickets/{found['number']}", json={"status": "closed"}).status_code == 200
    assert [one["number"] for one in items(api, "/tickets", view="closed")] == [found["number"]]
    assert api.get("/tickets", params={"view": "nothing"}).status_code == 422
    assert api.get("/tickets", params={"view": "closed", "q": "x"}).status_code == 422


def test_a_mail_in_the_journal_shows_nobody_by_name_or_address(gateway: Gateway, api: httpx.Client) -> None:
    raw = "From: 欧阳娜 <ouyang.na@example.cn>\r\nTo: support@example.com\r\nSubject: 退款\r\n\r\n请退款\r\n"
    gateway.mail(raw.encode(), sender="ouyang.na@example.cn")
    gateway.settle()
    with client(gateway, "journal:read") as reader:
        newest = items(reader, "/journal", connector="email_smtp")[0]
        shown = reader.get(f"/journal/{newest['id']}").raise_for_status()
    assert dict(shown.json()["preview"]["headers"])["from"] == "欧**(o***@example.cn)"
    assert "ouyang" not in shown.text
    assert "欧阳娜" not in shown.text


def test_health_names_every_account_and_target(api: httpx.Client) -> None:
    signs = {(one["kind"], one["name"]): one for one in api.get("/health").json()}
    assert signs["account", "webhook/shop"]["code"] in ("heard", "failed")
    assert signs["account", "webform/contact"]["code"] == "nothing_yet"
    assert signs["target", "desk"]["code"] == "taking"
    assert signs["rules", next(name for kind, name in signs if kind == "rules")]["facts"]["rules"] > 10
    assert signs["disk", "data"]["facts"]["free_bytes"] > 0


def test_a_key_gives_no_more_than_its_maker_has(gateway: Gateway, api: httpx.Client) -> None:
    made = api.post("/keys", json={"label": "crm", "scopes": ["tickets:read"]})
    assert made.status_code == 201
    assert made.json()["secret"].startswith("tgk_")
    assert api.post("/keys", json={"label": "x", "scopes": ["nothing"]}).status_code == 403
    with client(gateway, "keys:write") as narrow:
        assert narrow.post("/keys", json={"label": "x", "scopes": ["tickets:read"]}).status_code == 403
    assert api.delete(f"/keys/{made.json()['id']}").status_code == 204
    assert api.delete(f"/keys/{made.json()['id']}").status_code == 404
    assert made.json()["secret"] not in api.get("/keys").text
