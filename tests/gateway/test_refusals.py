"""What is turned away at the doors of a real gateway: the right status, and kept with its reason."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from serving import Gateway

SAID = {"from": {"email": "li@example.cn"}, "text": "where is my parcel"}
LARGE = b'{"text": "' + b"x" * (300 * 1024) + b'"}'


class Doors:
    """A gateway with a key of its own."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway, self.url = gateway, f"http://127.0.0.1:{gateway.http}"
        (row,) = gateway.json("keys", "add", "test", "--scope", "messages:write", "--scope", "tickets:write")
        secret = next(value for name, value in row.items() if name.startswith("secret"))
        self.key = {"authorization": f"Bearer {secret}"}

    def post(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(self.url + path, content=body, headers=named, timeout=20)

    def hand_in(self, said: Any, **headers: str) -> httpx.Response:
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        return self.post("/api/v1/messages", body, **self.key, **headers)

    def kept(self, origin: str) -> list[tuple[str, int, str]]:
        """Code, size and reason of what was refused of an account, the oldest first."""
        rows = self.gateway.json("quarantine", "list", "--stage", "door")
        return [(row["code"], row["size"], row["reason"]) for row in reversed(rows) if row["from"] == origin]


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with Gateway(tmp_path_factory.mktemp("gateway"), outbound="off") as running:
        yield Doors(running)


def test_who_has_no_key_hears_so_however_much_he_sends_and_its_beginning_is_kept(doors: Doors) -> None:
    answer = doors.post("/api/v1/messages", LARGE, authorization="Bearer guessed")
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:ticketgate:unverified")
    assert ("unverified", 64 * 1024) in [row[:2] for row in doors.kept("api/api")]


def test_a_large_webhook_with_a_wrong_signature_is_unverified_and_kept(doors: Doors) -> None:
    wrong = {"webhook_id": "1", "webhook_timestamp": "1", "webhook_signature": "v1,x"}
    assert doors.post("/in/webhook/shop", LARGE, **wrong).status_code == 401
    assert [code for code, *_ in doors.kept("webhook/shop")] == ["unverified"]


def test_what_a_program_hands_in_and_is_no_message_is_kept_with_its_reason(doors: Doors) -> None:
    assert doors.hand_in(b"{").status_code == 400
    assert doors.hand_in({**SAID, "text": ""}).status_code == 422
    assert doors.hand_in(SAID, idempotency_key="k" * 256).status_code == 422
    once = [doors.hand_in(said, idempotency_key="once").status_code for said in (SAID, SAID, {**SAID, "text": "x"})]
    assert once == [202, 202, 409]

    kept = [(code, reason) for code, _, reason in doors.kept("api/api") if code != "unverified"]
    assert [code for code, _ in kept] == ["malformed", "invalid", "invalid", "conflict"]
    assert "give text or attachments" in kept[1][1]
    assert "Idempotency-Key" in kept[2][1]


def test_asking_whether_the_form_is_there_sends_nothing(doors: Doors) -> None:
    answer = httpx.head(f"{doors.url}/form/contact")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert doors.kept("webform/contact") == []


def test_json_that_does_not_say_so_is_told_what_to_say(doors: Doors) -> None:
    answer = doors.post("/api/v1/tickets/1/comments", b'{"text": "x"}', **doors.key)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "content-type: send JSON, and Content-Type: application/json"


@pytest.mark.parametrize("prefer", ['respond-async, WAIT="20"', "wait=99999"])
def test_who_prefers_to_wait_waits_however_it_is_written(doors: Doors, prefer: str) -> None:
    assert doors.hand_in({**SAID, "text": prefer}, prefer=prefer).json()["state"] == "done"


def test_a_person_whose_file_is_too_large_sees_the_page_again_with_what_was_filled_in(doors: Doors) -> None:
    words = {"email": "li@example.cn", "message": "照片在附件里", "lang": "zh"}
    photo = {"attachments": ("照片.jpg", b"x" * 11_000_000, "image/jpeg")}
    url = f"{doors.url}/form/contact"
    answer = httpx.post(url, data=words, files=photo, headers={"accept": "text/html"}, timeout=20)
    assert answer.status_code == 413
    assert "文件太大" in answer.text
    assert "照片在附件里" in answer.text
    program = httpx.post(url, data=words, files=photo, timeout=20)
    assert (program.status_code, program.json()["type"]) == (413, "urn:ticketgate:oversized")


def test_a_person_who_sends_too_often_sees_the_page_again_with_what_was_filled_in(doors: Doors) -> None:
    url, person = f"{doors.url}/form/contact", {"accept": "text/html", "accept-language": "en"}
    for number in range(21):
        said = {"email": "li@example.cn", "message": f"question {number}"}
        answer = httpx.post(url, data=said, headers=person)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    assert "Send: This was too often." in answer.text
    assert "question 20" in answer.text
