"""What every connector must do, asked of each in the same words.

A folder each: settings.json, arrivals (*.http, *.eml), and beside each arrival a golden *.json of the messages in it,
rewritten with GOLDEN=1.
"""

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson
import pytest
from pydantic import BaseModel, SecretStr, ValidationError
from vendor import side, speaking

from connectors.base import Request, enclose
from connectors.registry import connector
from connectors.smtp import Arrival
from normalizer.canon import Envelope, Message, Reply, Sent, load, public
from normalizer.errors import ConfigError, Refused, Rejected, Unavailable, Unreadable, Where

HERE = Path(__file__).parent
MOMENT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)  # the captured signatures are of this minute
FOLDERS = sorted(path.parent for path in HERE.glob("*/settings.json"))
ARRIVALS = sorted(path for path in HERE.glob("*/*") if path.suffix in (".http", ".eml"))  # STEM.settings.json: its own
KEYED = ("api", "person", "webchat")  # the gateway knows who calls, by key or session
REQUESTS = [path for path in ARRIVALS if path.suffix == ".http" and path.parent.name not in KEYED]
# proof.json: what of a request its signature covers: {"headers": [...], "query": [...], "body": true, "window": 300}.
# Where it covers only part of the body, `body` is an expression whose group is that part.
SIGNED = [path for path in REQUESTS if (path.parent / "proof.json").is_file()]
SPEAKING = [folder for folder in FOLDERS if (HERE.parent / "support" / "vendors" / f"{folder.name}.py").is_file()]
SILENT = [folder for folder in FOLDERS if folder not in SPEAKING]


def called(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def opened(place: Path, more: dict[str, Any] | None = None) -> Any:
    """The account of a folder, or of an arrival in it that has settings of its own."""
    folder = place if place.is_dir() else place.parent
    own = place.with_suffix(".settings.json")
    kind: Any = connector(folder.name, Where(str(folder)))
    said = json.loads((own if own.is_file() else folder / "settings.json").read_bytes())
    return kind(kind.Settings.model_validate({**said, **(more or {})}))


def captured(path: Path, at: datetime = MOMENT) -> Request:
    """A request as written down: first line, headers, an empty line, the body. Multipart bodies have CRLF line ends."""
    head, _, body = path.read_bytes().partition(b"\n\n")
    first, *lines = head.decode().splitlines()
    method, url = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "multipart" in headers.get("content-type", ""):
        body = body.replace(b"\n", b"\r\n")
    query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    return Request(method, url, headers, body, query, "192.0.2.7", at)


def envelope_of(house: Any, path: Path, at: datetime = MOMENT) -> Envelope:
    made: Envelope
    if path.suffix == ".eml" and house.name == "email_imap":
        made = house.envelope(path.read_bytes(), "INBOX", 7, at)
    elif path.suffix == ".eml" and house.name == "import":
        made = house.envelope(path.read_bytes(), path.name, MOMENT)
    elif path.suffix == ".eml":
        route = ("zhang.san@example.net", ("support@example.com",), "mail.example.net", "192.0.2.25", "TLSv1.3", "")
        arrival = Arrival(path.read_bytes(), *route)
        made = house.envelope(arrival, at)
    elif path.parent.name == "webchat":
        body, kind = captured(path).body, captured(path).headers["content-type"]
        made = house.enclose(house.visitor("0c" * 16), house.check(kind, body), kind, body, at, "192.0.2.7")
    elif path.parent.name in KEYED:
        made = house.enclose(captured(path).body, key="key-1", key_label="shop", received_at=at, remote="192.0.2.7")
    else:
        made = enclose(house, captured(path, at))
    return made


@pytest.mark.parametrize("path", ARRIVALS, ids=called)
def test_nothing_is_lost_against_the_golden(path: Path) -> None:
    house = opened(path)
    messages = house.parse(envelope_of(house, path))
    said = json.dumps([public(message) for message in messages], ensure_ascii=False, indent=2, sort_keys=True) + "\n"

    golden = path.with_suffix(".json")
    if os.environ.get("GOLDEN"):
        golden.write_text(said)
    assert said == golden.read_text()


@pytest.mark.parametrize("path", REQUESTS, ids=called)
def test_a_captured_request_is_let_in(path: Path) -> None:
    house, request = opened(path), captured(path)
    assert house.greet(request) is None
    house.verify(request)
    assert house.answer(request).status in (200, 202, 204, 303)


@pytest.mark.parametrize("path", SIGNED, ids=called)
def test_unsigned_and_tampered_requests_are_rejected(path: Path) -> None:
    house, request = opened(path), captured(path)
    for forged in forgeries(path, request):
        with pytest.raises(Rejected):
            house.verify(forged)


@pytest.mark.parametrize("folder", sorted({path.parent for path in SIGNED}), ids=lambda folder: folder.name)
def test_an_empty_secret_among_those_that_are_changed_is_refused(folder: Path) -> None:
    """With it anybody could sign."""
    settings: Any = opened(folder).settings
    for name, field in type(settings).model_fields.items():
        if "tuple[" in str(field.annotation) and "SecretStr" in str(field.annotation):
            said = getattr(settings, name)
            known = [one.get_secret_value() for one in (said if isinstance(said, tuple) else (said,))]
            with pytest.raises((ValidationError, ConfigError)):
                opened(folder, {name: [*known, ""]})


def forgeries(path: Path, request: Request) -> Iterator[Request]:
    """The request with one thing changed, or gone, of everything its signature covers; and come too late or early."""
    proof = json.loads((path.parent / "proof.json").read_text())
    for part in ("headers", "query"):
        said = dict(getattr(request, part))
        for name in (name for name in proof.get(part, ()) if name in said):
            without = {k: v for k, v in said.items() if k != name}
            for changed in (without, {**said, name: "x" + said[name]}, {**said, name: ""}):
                yield asked(request, part, changed)
    for place in range(*covered(proof, request.body), 7):
        yield replace(request, body=spoilt(request.body, place, 1))
    for way in (1, -1) if proof.get("window") else ():
        yield replace(request, received_at=MOMENT + way * timedelta(seconds=proof["window"] + 60))


def covered(proof: dict[str, Any], body: bytes) -> tuple[int, int]:
    """From where to where its signature covers a body."""
    said = proof.get("body")
    if not isinstance(said, str):
        return (0, len(body) if said else 0)
    found = re.search(said.encode(), body)
    assert found
    return found.span(1)


def asked(request: Request, part: str, changed: dict[str, str]) -> Request:
    if part == "headers":
        return replace(request, headers=changed)
    return replace(request, query=changed, url=request.url.partition("?")[0] + "?" + urlencode(changed))


def spoilt(body: bytes, place: int, by: int) -> bytes:
    return body[:place] + bytes([body[place] ^ by]) + body[place + 1 :]


@pytest.mark.parametrize("folder", sorted({path.parent for path in SIGNED}), ids=lambda folder: folder.name)
def test_no_mutated_request_is_accepted(folder: Path, request: pytest.FixtureRequest) -> None:
    """`--mutations 10000` for the long form."""
    paths = [path for path in SIGNED if path.parent == folder]
    proof, dice = json.loads((folder / "proof.json").read_text()), Random(folder.name)
    houses, requests = {path: opened(path) for path in paths}, {path: captured(path) for path in paths}
    many: int = request.config.getoption("--mutations")
    for _ in range(many):
        path = dice.choice(paths)
        forged = mutated(requests[path], proof, dice)
        with pytest.raises(Rejected):
            houses[path].verify(forged)


def mutated(request: Request, proof: dict[str, Any], dice: Random) -> Request:
    """One to three changes somewhere in what the signature covers; never the request itself."""
    forged = request
    places = [(part, name) for part in ("headers", "query") for name in proof.get(part, ())]
    places = [(part, name) for part, name in places if name in getattr(request, part)]
    if proof.get("body") and request.body:
        places += [("body", "")] * max(1, len(places))
    while forged == request:
        for _ in range(dice.randint(1, 3)):
            part, name = dice.choice(places)
            if part == "body":
                start, end = covered(proof, request.body)
                start, end = start, len(forged.body) - (len(request.body) - end)  # others of its changes are within
                inside = mutated_octets(forged.body[start:end], dice)
                forged = replace(forged, body=forged.body[:start] + inside + forged.body[end:])
            else:
                said = dict(getattr(forged, part))
                octets = mutated_octets(said.get(name, "").encode("utf-8", "surrogateescape"), dice)
                forged = asked(forged, part, {**said, name: octets.decode("latin-1").strip()})
    return forged


def mutated_octets(octets: bytes, dice: Random) -> bytes:
    """A bit flipped, octets lost, doubled, added or exchanged."""
    at = dice.randrange(len(octets) + 1)
    match dice.randrange(5):
        case 0 if at < len(octets):
            return spoilt(octets, at, 1 << dice.randrange(8))
        case 1:
            return octets[:at] + octets[at + dice.randint(1, 9) :]
        case 2:
            return octets[:at] + dice.randbytes(dice.randint(1, 9)) + octets[at:]
        case 3:
            return octets[:at] + octets[at : at + 5] + octets[at:]
        case _:
            return octets[at:] + octets[:at]


@pytest.mark.parametrize("path", ARRIVALS, ids=called)
def test_a_redelivery_is_recognised(path: Path) -> None:
    house = opened(path)
    first, again = envelope_of(house, path), envelope_of(house, path, MOMENT + timedelta(hours=2))
    ids = [[message.id for message in house.parse(envelope)] for envelope in (first, again)]

    assert (first.key, first.lane, first.id) == (again.key, again.lane, again.id)
    assert ids[0] == ids[1]


@pytest.mark.parametrize("path", ARRIVALS, ids=called)
def test_a_maimed_arrival_is_unreadable_or_a_message_never_a_crash(path: Path) -> None:
    house = opened(path)
    whole = envelope_of(house, path)
    for body in maimed(whole):
        with suppress(Unreadable):
            assert all(isinstance(message, Message) for message in house.parse(replace(whole, body=body)))
    for transport in ({}, dict.fromkeys(whole.transport, "")):
        with suppress(Unreadable):
            house.parse(replace(whole, transport=transport))


@pytest.mark.parametrize("path", REQUESTS, ids=called)
def test_a_maimed_request_is_rejected_or_let_in_never_a_crash(path: Path) -> None:
    house, request = opened(path), captured(path)
    for body in maimed(enclose(house, request)):
        with suppress(Rejected):
            house.verify(replace(request, body=body))
        with suppress(Rejected):
            house.key(replace(request, body=body))
            house.lane(replace(request, body=body))


def maimed(envelope: Envelope) -> Iterator[bytes]:
    """The body cut short, and each field in turn gone, null, and of every wrong kind."""
    body = envelope.body
    yield from (body[:cut] for cut in range(0, len(body), max(1, len(body) // 40)))
    if body.startswith(b"{"):
        for change in json_changes(orjson.loads(body)):
            yield orjson.dumps(change)
    else:
        lines = body.split(b"\r\n")
        for n in range(len(lines)):
            for line in (b"", lines[n][:5], lines[n] + b"\xff\x00\xfe", b"\x80" * 50):
                yield b"\r\n".join([*lines[:n], line, *lines[n + 1 :]])
            yield b"\r\n".join(lines[:n] + lines[n + 1 :])


WRONG: tuple[Any, ...] = (None, True, -1, 1e308, "", "x" * 300, "\0", [], [[]], {}, {"x": None}, [None], [1])


def json_changes(said: Any) -> Iterator[Any]:
    """Every way to spoil one place in a JSON value."""
    yield from WRONG
    places = list(said) if isinstance(said, dict) else range(len(said)) if isinstance(said, list) else ()
    for place in places:
        for change in json_changes(said[place]):
            yield {**said, place: change} if isinstance(said, dict) else [*said[:place], change, *said[place + 1 :]]
        yield (
            {k: v for k, v in said.items() if k != place}
            if isinstance(said, dict)
            else [*said[:place], *said[place + 1 :]]
        )


# Sending


OUTCOMES = {
    "250 OK": Sent,
    "550 5.1.1 no": Refused,
    "451 4.7.1 slow down": Unavailable,
    "421 4.3.2 bye": Unavailable,
    "DROP": Unavailable,
}


@pytest.mark.parametrize("said", OUTCOMES)
@pytest.mark.parametrize("folder", SILENT, ids=lambda folder: folder.name)
async def test_sending_ends_as_the_other_side_says(
    folder: Path, said: str, relay: Any, certificate: tuple[Path, Path], reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    kind: Any = connector(folder.name, Where(str(folder)))
    settings = json.loads((folder / "settings.json").read_text())
    if "relay" in settings:
        settings["relay"] |= {"port": relay.port, "ca_file": str(certificate[0]), "password": "open sesame"}
        relay.answers |= {} if said.startswith("250") else {"RCPT": said}
    house = kind(kind.Settings.model_validate(settings))
    # The words of a chat are shown from the store; the others have no way back.
    wanted = OUTCOMES[said] if "relay" in settings else Sent if folder.name == "webchat" else Refused
    try:
        outcome: Any = await house.send(reply, MOMENT)
    except (Refused, Unavailable) as error:
        outcome = error
    assert isinstance(outcome, wanted)
    for secret in secrets(house.settings):
        assert secret not in caplog.text + str(outcome) + repr(outcome)


TROUBLES = {"": Sent, "400": Refused, "429": Unavailable, "500": Unavailable, "drop": Unavailable}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("folder", SPEAKING, ids=lambda folder: folder.name)
async def test_sending_by_a_vendor_ends_as_the_vendor_says(
    folder: Path, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    """`reply.json` in the folder: the Reply that is sent, as far as it differs from a plain one."""
    caplog.set_level(logging.DEBUG)
    vendor = side(folder.name)
    async with speaking(vendor):
        house: Any = opened(folder, vendor.settings())
        vendor.trouble = trouble
        reply = load(Reply, orjson.dumps({**PLAIN, **json.loads((folder / "reply.json").read_text())}))
        try:
            outcome: Any = await house.send(reply, MOMENT)
        except (Refused, Unavailable) as error:
            outcome = error
        await house.close()
    assert isinstance(outcome, TROUBLES[trouble])
    assert [one["text"] for one in vendor.sent] == ([reply.text.strip()] if trouble == "" else [])
    if trouble == "429":
        assert outcome.wait is not None
    for secret in secrets(house.settings):
        assert secret not in caplog.text + str(outcome) + repr(outcome)


PLAIN = {
    "id": "0f" * 16, "ticket": "1f" * 16, "number": "20260302001", "subject": "您的需求已收到", "language": "zh",
    "text": "我们已收到您的需求，工单编号为 20260302001。", "made_at": "2026-03-02T09:30:00Z", "answering": "2026-03-02T09:29:00Z",
}  # fmt: skip


def secrets(settings: Any) -> Iterator[str]:
    """Every secret in some settings, however deep."""
    match settings:
        case SecretStr():
            yield settings.get_secret_value()
        case BaseModel():
            for name in type(settings).model_fields:
                yield from secrets(getattr(settings, name))
        case dict():
            for value in settings.values():
                yield from secrets(value)
        case tuple() | list():
            for value in settings:
                yield from secrets(value)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_secret_is_shown_by_settings_errors_or_logs(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    house = opened(folder)
    seen = repr(house.settings) + str(house.settings) + repr(house) + house.settings.model_dump_json()
    for path in (path for path in REQUESTS if path.parent == folder):
        request, house = captured(path), opened(path)
        for headers in ({}, {**request.headers, "webhook-signature": "v1,x"}, {"authorization": "Bearer x"}):
            try:
                house.verify(replace(request, headers=headers))
            except Rejected as error:
                seen += str(error) + repr(error)
    assert not [secret for secret in secrets(house.settings) if secret in seen + caplog.text]


def test_every_connector_of_ours_is_asked() -> None:
    from connectors.registry import CONNECTORS

    assert {folder.name for folder in FOLDERS} == set(CONNECTORS)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_misspelt_setting_is_an_error(folder: Path) -> None:
    kind: Any = connector(folder.name, Where(str(folder)))
    settings = json.loads((folder / "settings.json").read_text())
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        kind.Settings.model_validate({**settings, "adresses": []})


def test_connectors_read_no_clock_and_no_chance() -> None:
    """The moment is an argument and ids are digests; see connectors/base.py."""
    forbidden = re.compile(
        r"datetime\.now|utcnow|time\.time|\brandom\b|import uuid|\buuid[.1-8]|secrets\.token|os\.environ"
    )
    sources = (Path(__file__).parents[2] / "connectors").rglob("*.py")
    assert [path.name for path in sources if forbidden.search(path.read_text())] == []
