"""People's actions by the API, through a real gateway: journalled, decided on, told to the helpdesk."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from serving import Desk, Gateway

from gateway.permissions import ROLES


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with Desk() as made:
        yield made


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, desk: Desk) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("gateway"), desk=desk.port) as running:
        yield running


@pytest.fixture(scope="module")
def api(gateway: Gateway) -> Iterator[httpx.Client]:
    with client(gateway, *sorted(ROLES["agent"])) as made:
        yield made


def client(gateway: Gateway, *scopes: str) -> httpx.Client:
    (row,) = gateway.json("keys", "add", "test", *(part for scope in scopes for part in ("--scope", scope)))
    secret = next(value for name, value in row.items() if name.startswith("secret"))
    return httpx.Client(
        base_url=f"http://127.0.0.1:{gateway.http}/api/v1", headers={"authorization": f"Bearer {secret}"}, timeout=20
    )


def written(api: httpx.Client, text: str = "洗衣机坏了，申请售后维修", sender: str = "13812345678") -> str:
    answer = api.post(
        "/tickets", json={"from": {"phone": sender, "name": "张三"}, "text": text, "channel": "voice"}
    ).raise_for_status()
    (number,) = answer.json()["tickets"]
    return str(number)


def ticket(api: httpx.Client, number: str) -> Any:
    return api.get(f"/tickets/{number}").raise_for_status().json()


def test_a_ticket_made_by_hand_is_decided_like_any_other(api: httpx.Client) -> None:
    made = ticket(api, written(api))
    assert (made["source"]["channel"], made["source"]["connector"]) == ("voice", "person")
    assert made["category"]["value"] == "after_sales"
    assert made["group"]
    (decision,) = api.get(f"/tickets/{made['number']}/decisions").json()["items"]
    assert decision["fired"]


def test_an_update_bears_its_author_and_reaches_the_helpdesk(api: httpx.Client, gateway: Gateway, desk: Desk) -> None:
    number = written(api)
    answer = api.patch(f"/tickets/{number}", json={"priority": "紧急", "assignee": "wang-min", "tags": "+洗衣机"})
    assert answer.status_code == 200, answer.text
    made = ticket(api, number)
    assert made["priority"]["value"] == "urgent"
    assert made["priority"]["source"].startswith("key:")
    assert made["assignee"]["value"] == "wang-min"
    last = api.get(f"/tickets/{number}/decisions").json()["items"][-1]
    assert last["case"]["trigger"] == "ticket.updated"
    assert last["case"]["changed"]["priority"] == ["normal", "urgent"]
    assert last["case"]["by"] == made["priority"]["source"]
    gateway.settle()
    told = [one for one in desk.received if one["data"]["ticket"]["number"] == number]
    assert told[-1]["data"]["ticket"]["priority"]["value"] == "urgent"


def test_an_old_etag_is_412_and_changes_nothing(api: httpx.Client, gateway: Gateway) -> None:
    number = written(api)
    gateway.settle()  # the helpdesk's name for it is news, too
    seen = api.get(f"/tickets/{number}").headers["etag"]
    assert api.patch(f"/tickets/{number}", json={"status": "open"}, headers={"if-match": seen}).status_code == 200
    late = api.patch(f"/tickets/{number}", json={"status": "closed"}, headers={"if-match": seen})
    assert late.status_code == 412
    assert late.headers["content-type"] == "application/problem+json"
    assert ticket(api, number)["status"]["value"] == "open"


def test_of_two_who_claim_at_once_one_has_it(api: httpx.Client, gateway: Gateway) -> None:
    number = written(api)
    with client(gateway, "tickets:write") as other:
        assert api.patch(f"/tickets/{number}", json={"assignee": ""}).status_code == 200
        answers = {api.post(f"/tickets/{number}/claim").status_code, other.post(f"/tickets/{number}/claim").status_code}
    assert answers == {200, 409}


def test_words_for_a_customer_whom_no_account_reaches_are_a_dead_letter(api: httpx.Client, gateway: Gateway) -> None:
    number = written(api)
    api.post(f"/tickets/{number}/comments", json={"text": "师傅明天上门", "public": True}).raise_for_status()
    gateway.settle()
    (dead,) = [one for one in gateway.json("outbox", "list", "--json") if one["ticket"] == number]
    assert (dead["state"], dead["what"]) == ("dead", "reply")
    assert dead["last error"].startswith("no account of ours can send it")


def test_a_comment_is_internal_and_doing_it_twice_does_it_once(api: httpx.Client) -> None:
    number = written(api)
    for _ in range(2):
        said = api.post(
            f"/tickets/{number}/comments", json={"text": "已联系师傅"}, headers={"idempotency-key": f"c-{number}"}
        )
        assert said.status_code == 201, said.text
    other = api.post(f"/tickets/{number}/comments", json={"text": "别的"}, headers={"idempotency-key": f"c-{number}"})
    assert other.status_code == 409
    messages = api.get(f"/tickets/{number}/messages").json()["items"]
    assert [(one["text"], one["visibility"], one["author"]) for one in messages[1:]] == [
        ("已联系师傅", "internal", "agent")
    ]


def test_a_merged_ticket_goes_on_in_the_other(api: httpx.Client) -> None:
    one, two = written(api, "第一次来电", "13800000001"), written(api, "第二次来电", "13800000001")
    assert api.post(f"/tickets/{two}/merge", json={"into": one}).status_code == 200
    merged, target = ticket(api, two), ticket(api, one)
    assert merged["status"]["value"] == "merged"
    assert merged["related"] == [{"kind": "duplicate_of", "id": target["id"]}]
    assert target["related"] == [{"kind": "merged", "id": merged["id"]}]
    assert api.patch(f"/tickets/{two}", json={"status": "open"}).status_code == 422
    assert api.post(f"/tickets/{one}/merge", json={"into": two}).status_code == 422


def test_a_link_is_told_on_both_sides(api: httpx.Client) -> None:
    one, two = written(api), written(api)
    assert api.post(f"/tickets/{one}/links", json={"other": two, "kind": "parent"}).status_code == 201
    assert [r["kind"] for r in ticket(api, one)["related"]] == ["parent"]
    assert [r["kind"] for r in ticket(api, two)["related"]] == ["child"]


def test_a_verdict_ends_the_review(api: httpx.Client) -> None:
    number = written(api, "在吗")
    assert ticket(api, number)["review"]["needed"]
    judged = {"verdict": "approved", "note": "是咨询", "changes": {"category": "咨询"}}
    assert api.post(f"/tickets/{number}/review", json=judged).status_code == 200
    made = ticket(api, number)
    assert (made["review"]["needed"], made["review"]["verdict"], made["category"]["value"]) == (
        False,
        "approved",
        "inquiry",
    )
    assert api.post(f"/tickets/{number}/review", json=judged).status_code == 409


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "gone"},
        {"group": "nowhere"},
        {"number": "1"},
        {"custom.nothing": "x"},
        {"subcategory": "refund-nope"},
    ],
)
def test_what_there_is_not_is_422_and_names_what_there_is(api: httpx.Client, changes: dict[str, str]) -> None:
    answer = api.patch(f"/tickets/{written(api)}", json=changes)
    assert answer.status_code == 422
    assert next(iter(changes)) in answer.json()["detail"]


def test_a_key_does_what_its_scopes_say_and_no_more(api: httpx.Client, gateway: Gateway) -> None:
    number = written(api)
    with client(gateway, "tickets:read") as reader:
        assert reader.get(f"/tickets/{number}").status_code == 200
        assert reader.patch(f"/tickets/{number}", json={"status": "open"}).status_code == 403
        assert reader.post(f"/tickets/{number}/comments", json={"text": "x"}).status_code == 403
        assert reader.post("/tickets", json={}).status_code == 403
    with client(gateway, "tickets:write") as writer:
        assert writer.get(f"/tickets/{number}").status_code == 403
    assert api.get("/tickets/20000101001").status_code == 404


def test_pages_go_through_all_tickets_once(api: httpx.Client) -> None:
    made = {written(api) for _ in range(7)}
    seen: list[str] = []
    after = ""
    while True:
        page = api.get("/tickets", params={"limit": 3, "after": after}).json()
        seen += [one["number"] for one in page["items"]]
        if not (after := page["next"]):
            break
    assert len(seen) == len(set(seen))
    assert made <= set(seen)
    assert json.dumps(seen) == json.dumps(sorted(seen, key=lambda number: (number[:8], int(number[8:])), reverse=True))
