"""Requests that nobody means well with: answered as what they are, and a real gateway goes on without a word of alarm."""

import json
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx
import pytest
from serving import Gateway, sign

MESSAGE = b'{"from": {"email": "a@b.example"}, "text": "x"%b}'
BODIES: Mapping[str, bytes] = {
    "nothing": b"",
    "half": b'{"from"',
    "null": b"null",
    "a number of a million digits": b"9" * 1_000_000,
    "a field of a million digits": MESSAGE % (b', "sent_at": ' + b"9" * 1_000_000),
    "an infinite number": MESSAGE % b', "sent_at": 1e999',
    "a hundred thousand lists": b"[" * 100_000 + b"]" * 100_000,
    "objects in objects": b'{"a":' * 500 + b"1" + b"}" * 500,
    "lone surrogates": b'{"from": {"email": "\\ud800@b.example", "name": "\\udfff"}, "text": "\\ud800", "external_id": "\\udc00"}',
    "NUL": b'{"from": {"email": "\\u0000"}, "text": "a\\u0000b", "thread_key": "\\u0000"}',
    "duplicate keys": MESSAGE % b', "text": "y", "from": {"user": "u"}',
    "no UTF-8": MESSAGE % b', "subject": "\xff\xfe"',
    "UTF-16": (MESSAGE % b"").decode().encode("utf-16"),
    "a mark of byte order": b"\xef\xbb\xbf" + MESSAGE % b"",
    "a header in a subject": MESSAGE % b', "subject": "a\\r\\nBcc: everybody@b.example"',
    "a path for a name": MESSAGE % b', "attachments": [{"name": "../../\\u0000/etc", "media_type": "a/b\\r\\nX: y", "content": "===="}]',
    "a domain that is none": b'{"from": {"email": "a@xn--\\u200d.\\u4e2d"}, "text": "x"}',
    "only line ends": MESSAGE % (b', "subject": "' + b"\\n" * 100 + b'"'),
    "quotes in quotes": b'{"from": {"email": "a@b.example"}, "text": "' + b"> " * 50_000 + b'"}',
    "accents on accents": b'{"from": {"email": "a@b.example"}, "text": "a' + b"\\u0301" * 50_000 + b'"}',
}  # fmt: skip
CONTENT_TYPES = (
    "application/json", "application/json; charset=utf-16", "text/plain; charset=utf-7",
    "application/x-www-form-urlencoded; charset=nonsense", "multipart/form-data", "multipart/form-data; boundary=" + "x" * 200,
)  # fmt: skip


@dataclass
class Target:
    gateway: Gateway
    key: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.http}"

    def said(self, octets: bytes) -> int:
        """The status answered to exactly these octets; 0 if the line ends without a word or none comes."""
        with socket.create_connection(("127.0.0.1", self.gateway.http), timeout=1) as line:
            line.sendall(octets)
            try:
                first = line.recv(100)
            except TimeoutError:
                return 0
        return int(first.split()[1]) if first.startswith(b"HTTP/1.1 ") else 0

    def unharmed(self) -> None:
        """Everything is worked on, nothing was said of an error, and a good message is taken."""
        self.gateway.settle()
        lines = [json.loads(line) for line in self.gateway.log.read_text().splitlines()]
        assert [line for line in lines if line["level"] in ("error", "critical")] == []
        headers = {"authorization": f"Bearer {self.key}"}
        assert httpx.post(f"{self.url}/api/v1/messages", content=MESSAGE % b"", headers=headers).status_code == 202


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), outbound="off")
    gateway.config.write_text(gateway.config.read_text().replace("account: contact", "account: contact\n    rate: 0"))
    with gateway:
        (row,) = gateway.json("keys", "add", "all", "--scope", "messages:write", "--scope", "tickets:write")
        yield Target(gateway, next(value for name, value in row.items() if name.startswith("secret")))


def test_whatever_is_in_a_body_is_taken_or_refused(target: Target) -> None:
    key = {"authorization": f"Bearer {target.key}"}
    with httpx.Client(base_url=target.url, timeout=20) as client:
        for name, body in BODIES.items():
            signed = sign(target.gateway.shop_secret, name, b"") | {"webhook-id": name.encode().hex()}
            answers = [client.post(path, content=body, headers=key) for path in ("/api/v1/messages", "/api/v1/tickets")]
            answers += [client.post("/form/contact", content=body, headers={"content-type": t}) for t in CONTENT_TYPES]
            answers.append(client.post("/in/webhook/shop", content=body, headers=signed))
            assert all(answer.status_code < 500 for answer in answers), name
    target.unharmed()


def test_whatever_a_signed_batch_says_is_kept_and_the_sound_messages_become_tickets(target: Target) -> None:
    long = "a" * 1_000_000
    odd = [
        None, 5, "x", [], {}, {"text": ["x"], "from": "a@b.example"}, {"text": "x", "from": {"a": 1}},
        {"id": 10**20, "text": "big number", "from": "n@b.example"}, {"id": long, "text": "long id", "from": "i@b.example"},
        {"id": "t", "text": "long thread", "from": "t@b.example", "thread": long},
        {"id": "n", "text": "long name", "from": "long@b.example", "name": long}, {"id": "f", "text": "long sender", "from": long},
        {"id": "\0", "text": "NUL\0", "from": "\0@b.example", "thread": "\0", "name": "\0"},
    ]  # fmt: skip
    before = len(target.gateway.tickets())
    assert target.gateway.webhook(json.dumps({"messages": odd}).encode(), identity="odd batch") == 204
    for n in range(2):  # the second time the name is known
        more = {"messages": [{"id": f"again {n}", "text": "and again", "from": "long@b.example"}]}
        assert target.gateway.webhook(json.dumps(more).encode(), identity=f"again {n}") == 204
    target.unharmed()
    assert len(target.gateway.tickets()) >= before + 8
    reasons = [row["reason"] for row in target.gateway.json("quarantine", "list", "--stage", "journal")]
    assert any("message 6 of 13: text is list" in reason for reason in reasons)


@pytest.mark.parametrize("path", ["/api/v1/messages", "/in/webhook/shop", "/form/contact"])
def test_whatever_frames_a_body_the_door_stays_open(target: Target, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {target.key}\r\n".encode()
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    answered = {
        "cut short": target.said(head + b"Content-Length: 1000\r\n\r\n{}"),
        "cut short in a chunk": target.said(chunked + b"ff\r\n{}"),
        "negative": target.said(head + b"Content-Length: -1\r\n\r\n{}"),
        "beyond counting": target.said(head + b"Content-Length: 99999999999999999999\r\n\r\n{}"),
        "two lengths": target.said(head + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} "),
        "no size": target.said(chunked + b"zz\r\n{}\r\n0\r\n\r\n"),
        "length and chunks": target.said(
            head + b"Content-Length: 2\r\n" + chunked[len(head) :] + b"2\r\n{}\r\n0\r\n\r\n"
        ),
        "packed": target.said(head + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
        "no host": target.said(head.replace(b"Host: x\r\n", b"") + b"Content-Length: 2\r\n\r\n{}"),
        "a header without end": target.said(head + b"X: " + b"y" * 200_000 + b"\r\n\r\n"),
        "thousands of headers": target.said(head + b"X: y\r\n" * 3000 + b"Content-Length: 2\r\n\r\n{}"),
    }
    assert {name: status for name, status in answered.items() if status >= 500} == {}
    target.unharmed()


def test_who_asks_twice_in_one_go_and_hangs_up_alarms_nobody(target: Target) -> None:
    first = f"POST /api/v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {target.key}\r\nContent-Length: "
    body = MESSAGE % b""
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", target.gateway.http)) as line:
            line.sendall(f"{first}{len(body)}\r\n\r\n".encode() + body + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # by RST
    target.unharmed()
