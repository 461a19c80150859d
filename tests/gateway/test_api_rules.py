"""Rules over HTTP: look, check, try, see the effect, put live, take back; each by who may."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruled import rulebook, ruled
from serving import Gateway

LANES = "rules/60-lanes.yaml"
MAIL = b"From: a%d@example.cn\r\nTo: support@example.com\r\nMessage-ID: <a%d@x>\r\nSubject: lost\r\n\r\nmy zeppelin is lost\r\n"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with ruled(tmp_path_factory.mktemp("rules"), "store").start() as running:
        for n in range(3):
            running.mail(MAIL % (n, n))
        running.settle()
        yield running


def client(gateway: Gateway, *scopes: str) -> httpx.Client:
    asked = [part for scope in scopes for part in ("--scope", scope)]
    (made,) = gateway.json("keys", "add", "test", *asked)
    bearer = {"authorization": f"Bearer {made['secret (shown once)']}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{gateway.http}/api/v1", headers=bearer, timeout=30)


@pytest.fixture(scope="module")
def viewer(gateway: Gateway) -> httpx.Client:
    return client(gateway, "journal:read", "tickets:read")


@pytest.fixture(scope="module")
def operator(gateway: Gateway) -> httpx.Client:
    return client(gateway, "journal:read", "tickets:read", "rules:write")


def draft(rules: str, **more: Any) -> dict[str, Any]:
    return {"files": {LANES: rules}, **more}


def test_what_is_live_is_told_with_its_files(viewer: httpx.Client) -> None:
    live = viewer.get("/rules").json()
    assert (live["source"], live["refused"], live["live"]["why"]) == ("store", None, "start")
    assert LANES in live["files"]
    files = viewer.get("/rules/sets/live").json()["files"]
    assert files[LANES] == rulebook()
    assert "config/people.yaml" in files


def test_a_draft_is_checked_and_tried_on_a_sentence_and_on_a_mail(viewer: httpx.Client) -> None:
    wrong, *_ = viewer.post("/rules/check", json=draft(rulebook("urgnt"))).json()
    assert (wrong["file"], wrong["line"], wrong["code"]) == (LANES, 5, "unknown-value")
    assert "urgent" in wrong["hint"]["zh"]
    found = viewer.post("/rules/check", json=draft(rulebook("urgent", expected="low"))).json()
    (fails,) = [one for one in found if one["severity"] == "error"]
    assert "a lost zeppelin: priority is 'urgent', not 'low'" in fails["message"]["en"]

    for text in ("my zeppelin is lost", (MAIL % (7, 7)).decode()):
        tried = viewer.post("/rules/try", json=draft(rulebook("urgent"), text=text)).json()
        assert tried["ticket"]["priority"]["value"] == "urgent"
        assert any("zeppelins" in line for line in tried["zh"])
        assert tried["acknowledgement"]["text"]
    assert viewer.post("/rules/try", json=draft("rules: [", text="hello")).status_code == 422
    half = rb'{"files": {"rules/60-lanes.yaml": "rulebook: \udfff"}}'
    json = {"content-type": "application/json"}
    assert viewer.post("/rules/check", content=half, headers=json).status_code == 422


def test_the_effect_on_recorded_tickets_is_told_one_by_one(viewer: httpx.Client) -> None:
    same = viewer.post("/rules/effect", json={}).json()
    assert (same["decisions"], same["identical"], same["changed"]) == (3, 3, 0)
    told = viewer.post("/rules/effect", json=draft(rulebook("low"))).json()
    assert (told["changed_tickets"], told["tickets"], told["more"]) == (3, 3, 0)
    assert {one["fields"]["priority"]["after"] for one in told["changes"]} == {"low"}
    assert all(one["number"] for one in told["changes"])


def test_only_operators_put_rules_live(viewer: httpx.Client) -> None:
    for path, body in (("/live", draft(rulebook("low"), why="x")), ("/rollback", {"why": "x"})):
        refused = viewer.post(f"/rules{path}", json=body)
        assert (refused.status_code, refused.json()["title"]) == (403, "forbidden")


def test_a_draft_goes_live_decides_and_is_taken_back(gateway: Gateway, operator: httpx.Client) -> None:
    first = operator.get("/rules").json()
    wrong = operator.post("/rules/live", json=draft(rulebook("urgent", expected="low"), why="hm"))
    assert (wrong.status_code, wrong.json()["title"]) == (422, "unfit")
    assert "not 'low'" in wrong.json()["detail"]

    put = operator.post(
        "/rules/live", json=draft(rulebook("urgent"), why="zeppelins matter", after=first["live"]["seq"])
    )
    assert (put.status_code, put.json()["why"]) == (200, "zeppelins matter")
    gateway.mail(MAIL % (8, 8))
    gateway.settle()
    assert gateway.json("tickets", "--limit", "1")[0]["priority"] == "urgent"
    assert (
        operator.post("/rules/live", json=draft(rulebook("low"), why="late", after=first["live"]["seq"])).status_code
        == 409
    )
    changed = operator.get("/rules/diff").json()
    assert [(one["name"], one["kind"]) for one in changed if one["what"] == "rule"] == [("zeppelins", "changed")]

    back = operator.post("/rules/rollback", json={"why": "too loud"}).json()
    assert back["sha"] == first["sha"]
    assert [one["why"] for one in operator.get("/rules/history").json()] == ["too loud", "zeppelins matter", "start"]
    assert gateway.get("/readyz") == "ready\n"
    assert gateway.metric('ticketgate_rules_reloaded_total{outcome="live"}') == 2


def test_the_command_puts_live_what_a_running_gateway_follows(
    gateway: Gateway, operator: httpx.Client, tmp_path: Path
) -> None:
    gateway.cli("rules", "export", str(tmp_path / "out"))
    (tmp_path / "out" / LANES).write_text(rulebook("urgent", expected="low"))
    assert "not 'low'" in gateway.refused("rules", "put", str(tmp_path / "out"), "--why", "hm")
    (tmp_path / "out" / LANES).write_text(rulebook("low"))
    assert "is live" in gateway.cli("rules", "put", str(tmp_path / "out"), "--why", "calm")
    live = operator.get("/rules").json()
    deadline = time.monotonic() + 20
    while live["sha"] != live["live"]["sha"] and time.monotonic() < deadline:
        time.sleep(0.1)
        live = operator.get("/rules").json()
    assert (live["sha"], live["live"]["why"]) == (live["live"]["sha"], "calm")
    (row, *_) = gateway.json("rules", "history")
    assert (row["why"], row["changed"]) == ("calm", "changed zeppelins, rules/60-lanes.yaml")
    assert row["who"].startswith("terminal:")
