"""What a web chat takes, and which tokens prove who an app's user is; signed as an app would."""

import base64
import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from connectors.webchat import Webchat, WebchatSettings
from normalizer.canon import Envelope, Kind
from normalizer.errors import Rejected

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SECRET, NEXT = "9f8b1f6c2d7e4a5b9f8b1f6c2d7e4a5b", "0123456789abcdef0123456789abcdef"
LI = {"sub": "u-1001", "exp": int(NOW.timestamp()) + 600, "name": "李雷", "phone_number": "138 1234 5678"}


def chat(**more: Any) -> Webchat:
    said = {"connector": "webchat", "account": "app", "channel": "app", "secrets": [SECRET], **more}
    return Webchat(WebchatSettings.model_validate(said))


def token(claims: dict[str, Any] = LI, secret: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode({"alg": algorithm}, claims, OctKey.import_key(secret), algorithms=[algorithm])


def test_a_signed_user_is_known_by_what_the_app_says_of_them() -> None:
    speaker = chat().user(token(), NOW)
    assert (speaker.thread, speaker.proven) == ("user:u-1001", True)
    assert (speaker.sender.kind, speaker.sender.address, speaker.sender.name) == ("phone", "+8613812345678", "李雷")
    assert chat().user(token({"sub": "u-1", "exp": LI["exp"]}), NOW).sender.kind == "user"
    assert chat().user(token({**LI, "email": "Li@Example.cn"}), NOW).sender.address == "li@example.cn"


def test_several_secrets_live_while_one_is_changed() -> None:
    for secret in (SECRET, NEXT):
        assert chat(secrets=[NEXT, SECRET]).user(token(secret=secret), NOW).thread == "user:u-1001"
    with pytest.raises(Rejected):
        chat(secrets=[NEXT]).user(token(), NOW)


@pytest.mark.parametrize(("claims", "code"), [
    ({**LI, "exp": int(NOW.timestamp())}, "expired"),
    ({**LI, "exp": -1}, "expired"),
    ({**LI, "exp": 1e300}, "expired"),
    ({**LI, "nbf": int(NOW.timestamp()) + 60}, "expired"),
    ({**LI, "exp": int((NOW + timedelta(hours=25)).timestamp())}, "unverified"),
    ({"sub": "u-1001"}, "unverified"),
    ({"exp": LI["exp"]}, "unverified"),
    ({**LI, "sub": " "}, "unverified"),
    ({**LI, "sub": "undefined"}, "unverified"),
    ({**LI, "sub": ["u-1001"]}, "unverified"),
    ({**LI, "name": {"x": 1}}, "unverified"),
])  # fmt: skip
def test_a_token_that_says_too_little_or_too_much_is_refused(claims: dict[str, Any], code: str) -> None:
    with pytest.raises(Rejected) as refused:
        chat().user(token(claims), NOW)
    assert refused.value.code == code


def test_no_other_algorithm_and_no_other_form_counts() -> None:
    head, claims, mac = token().split(".")
    none = f"eyJhbGciOiJub25lIn0.{claims}.{mac}"
    forged = ["", ".", "..", f"{head}.{claims}.", f"{head}.{claims}", f"{head}.{claims}.{mac}=", f"{head}.{claims}.{mac}.x",
              f" {token()}", none, token(algorithm="HS384"), token(secret="x" * 32), "\ud800.a.b", "a" * 5000]  # fmt: skip
    for one in forged:
        with pytest.raises(Rejected):
            chat().user(one, NOW)
    with pytest.raises(Rejected):
        chat(channel="chat", secrets=[]).user(token(), NOW)


@pytest.mark.parametrize(
    "head",
    [b"[" * 3000, b'{"a":' * 580, b'{"alg":' + b"9" * 2900 + b"}", b'{"alg":NaN}', b'{"alg":{}}', b"5", b"null", b"[0]", b'"x"',
     b'{"alg":"HS256","crit":5}', b'{"alg":"HS256","b64":false,"crit":["b64"]}', b'{"alg":"HS256","zip":"DEF"}', b"\xff"],
)  # fmt: skip
def test_whatever_a_stranger_writes_into_a_tokens_head_is_refused(head: bytes) -> None:
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (head, b'{"sub":"u"}', b"x" * 32)]
    with pytest.raises(Rejected):
        chat().user(".".join(parts), NOW)


def test_no_mutated_token_is_accepted(request: pytest.FixtureRequest) -> None:
    """`--mutations 10000` for the long form."""
    dice, whole, account = Random("webchat"), token(), chat()
    for _ in range(request.config.getoption("--mutations")):
        with pytest.raises(Rejected):
            account.user(mutated(whole, dice), NOW)


def mutated(whole: str, dice: Random) -> str:
    """A character exchanged, lost, added or doubled, or two parts of two tokens put together; never the token itself."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.="
    forged = whole
    while forged == whole:
        at = dice.randrange(len(whole))
        match dice.randrange(5):
            case 0:
                forged = whole[:at] + dice.choice(letters) + whole[at + 1 :]
            case 1:
                forged = whole[:at] + whole[at + dice.randint(1, 4) :]
            case 2:
                forged = whole[:at] + dice.choice(letters) + whole[at:]
            case 3:  # the last character of a signature has bits that nobody reads
                forged = whole[:-1] + dice.choice(letters)
            case _:
                other = token({**LI, "sub": f"u-{dice.randrange(10**6)}"}, secret=dice.choice((SECRET, NEXT)))
                forged = ".".join([*whole.split(".")[:1], *other.split(".")[1:2], whole.split(".")[2]])
    return forged


@pytest.mark.parametrize(("said", "code"), [
    ({"id": "short", "text": "x"}, "invalid"),
    ({"text": "no id"}, "invalid"),
    ({"id": "m-00000001"}, "invalid"),
    ({"id": "m-00000001", "text": " \n "}, "invalid"),
    ({"id": "m-00000001", "text": "x" * 5001}, "invalid"),
    ({"id": "m-00000001", "text": "x", "page": "x" * 501}, "invalid"),
    ({"id": "m-00000001", "text": ["x"]}, "malformed"),
    ({"id": "m-00000001", "attachments": [{"name": "a.exe", "media_type": "application/x-msdownload", "content": "QQ=="}]},
     "invalid"),
    ({"id": "m-00000001", "attachments": [{"name": "a.txt", "media_type": "text/plain", "content": "QUFBQUE="}]}, "oversized"),
    ({"id": "m-00000001", "attachments": [{"name": "a", "media_type": "text/plain", "content": ""}] * 6}, "invalid"),
])  # fmt: skip
def test_what_will_never_be_taken_is_refused_at_once(said: dict[str, Any], code: str) -> None:
    account = chat(media={"size_limit": 4, "types": ["image/*", "text/plain"]})
    with pytest.raises(Rejected) as refused:
        account.check("application/json", json.dumps(said).encode())
    assert refused.value.code == code


def test_a_visitor_proves_nothing_by_what_they_fill_in() -> None:
    account = chat(channel="chat")
    said = {"id": "m-00000001", "text": "hi", "email": "boss@example.com", "thread": "user:u-1001", "proven": "yes"}
    body = json.dumps(said).encode()
    (message,) = account.parse(account.enclose(account.visitor("0c" * 16), "m-00000001", "application/json", body, NOW))
    assert (message.proven, message.thread_key, message.sender.address) == (False, "0c" * 16, "0c" * 16)
    assert message.claims["email"] == "boss@example.com"


def test_a_button_comes_back_as_a_choice() -> None:
    account = chat(channel="chat")
    body = b'{"id": "m-00000001", "text": "\xe5\xb7\xb2\xe8\xa7\xa3\xe5\x86\xb3", "choice": "solved"}'
    envelope = account.enclose(account.visitor("0c" * 16), "m-00000001", "application/json", body, NOW)
    (message,) = account.parse(envelope)
    assert (message.kind, message.text, message.claims["choice"]) == (Kind.POSTBACK, "已解决", "solved")


def test_one_client_id_of_two_people_is_two_messages() -> None:
    account = chat(channel="chat")
    body = b'{"id": "m-00000001", "text": "hi"}'
    envelopes = [
        account.enclose(account.visitor(of * 16), "m-00000001", "application/json", body, NOW) for of in ("0c", "0d")
    ]
    assert len({envelope.id for envelope in envelopes}) == 2
    assert len({message.id for envelope in envelopes for message in account.parse(envelope)}) == 2


def test_a_posted_file_is_read_without_an_account() -> None:
    bare = Envelope(
        "webchat", "try", "k", "", NOW, b'{"text": "hi", "name": "Ann"}', {"content-type": "application/json"}
    )
    (message,) = Webchat(WebchatSettings(connector="webchat", account="try")).parse(bare)
    assert (message.text, message.sender.name, message.channel) == ("hi", "Ann", "chat")
    with pytest.raises(ValueError, match="write scheme and host alone"):
        chat(origins=["https://www.example.com/"])
    with pytest.raises(ValueError, match="shorter than 32"):
        chat(secrets=["short"])


async def test_doctor_tells_what_is_missing() -> None:
    told = [one.found for one in await chat(secrets=[]).examine(NOW)]
    assert "no app can prove its users" in told
    account = chat(channel="chat", origins=["http://www.example.com"])
    assert [one.well for one in await account.examine(NOW)] == [True, False]
