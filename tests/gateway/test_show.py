"""What commands print of people: masked unless somebody asks for it. And how what was set aside came."""

import base64
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from serving import Gateway

from gateway.masking import masked, masked_words
from normalizer.canon import Contact, Identity

WORDS = "my parcel is lost, call 13812345678"
MAIL = (
    "From: Wang Xiaoming <wang.xiaoming@example.cn>\r\nTo: support@example.com\r\nMessage-ID: <show@x>\r\n"
    f"Subject: parcel\r\n\r\n{WORDS}\r\n"
).encode()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path, outbound="off").start() as running:
        yield running


def test_explain_masks_people_unless_they_are_revealed(gateway: Gateway) -> None:
    gateway.mail(MAIL)
    gateway.settle()
    (row,) = gateway.json("tickets")

    told = gateway.cli("explain", row["number"])
    for secret in ("wang.xiaoming", "Wang Xiaoming", "13812345678"):
        assert secret not in told
    assert json.loads(told)["fired"]
    revealed = gateway.cli("explain", row["number"], "--reveal")
    assert "wang.xiaoming@example.cn" in revealed
    assert WORDS in revealed


def test_what_was_set_aside_is_shown_with_how_it_came(gateway: Gateway) -> None:
    body = b'{"messages": [{"id": "x", "text": "give me money", "from": "evil@example.net"}]}'
    assert gateway.webhook(body, identity="evil", signed="whsec_" + "A" * 32) == 401
    (row,) = gateway.json("quarantine", "list")

    (whole,) = gateway.json("quarantine", "show", row["id"], "--json")
    assert base64.b64decode(whole["body"]) == body
    assert whole["facts"]["remote"] == "127.0.0.1"
    shown = gateway._run("quarantine", "show", row["id"])
    assert shown.stdout == body
    for line in ("code: unverified", "from: webhook/shop", "remote: 127.0.0.1"):
        assert line in shown.stderr.decode().splitlines()


def test_a_mail_is_followed_by_its_message_id_and_by_the_id_in_our_answer(gateway: Gateway) -> None:
    gateway.mail(MAIL)
    gateway.mail(MAIL.replace(b"<show@x>", b"<auto@x>\r\nAuto-Submitted: auto-replied"))
    gateway.settle()
    (ticket,) = gateway.json("tickets")

    (told,) = gateway.json("journal", "<show@x>")
    assert (told["state"], told["tickets"]) == ("done", ticket["number"])
    assert {(one["what"], one["state"]) for one in told["outgoing"]} == {("reply", "held"), ("handover", "held")}
    assert gateway.json("journal", told["id"]) == gateway.json("journal", "show@x") == [told]
    (noted,) = gateway.json("journal", "auto@x")
    assert (noted["code"], noted["tickets"], noted["outgoing"]) == ("auto_reply", "", [])
    assert {row["id"] for row in gateway.json("journal", "--account", "email_smtp/support")} == {
        told["id"],
        noted["id"],
    }
    assert "nothing journalled has the id" in gateway.refused("journal", "<other@x>")


def test_times_are_told_in_the_zone_in_which_they_are_asked_for(gateway: Gateway) -> None:
    gateway.webhook(b"{}", identity="evil", signed="whsec_" + "A" * 32)
    (row,) = gateway.json("quarantine", "list")
    assert gateway.json("quarantine", "list", "--since", row["when"]) == [row]
    later = datetime.fromisoformat(row["when"]) + timedelta(seconds=1)
    assert gateway.json("quarantine", "list", "--until", later.isoformat()) == [row]
    assert gateway.json("quarantine", "list", "--since", later.isoformat()) == []


def test_whatever_somebody_is_known_by_is_masked() -> None:
    decision = {
        "contact": {"name": "李雷", "identities": [{"kind": "telegram", "value": "4711884422", "proven_by": ""}]},
        "from": {"kind": "user", "address": "4711884422", "name": "李雷"},
        "seen": [{"field": "contact.name", "found": "李雷"}, {"field": "contact.identities", "found": ["4711884422"]}],
        "effects": [{"verb": "mark", "name": "campaign", "value": "double11"}],
    }
    assert masked(decision) == {
        "contact": {"name": "李*", "identities": [{"kind": "telegram", "value": "***4422", "proven_by": ""}]},
        "from": {"kind": "user", "address": "***4422", "name": "李*"},
        "seen": [{"field": "contact.name", "found": "李*"}, {"field": "contact.identities", "found": ["***4422"]}],
        "effects": [{"verb": "mark", "name": "campaign", "value": "double11"}],
    }
    whose = Contact("c", (Identity("telegram", "4711884422"),), "李雷")
    assert masked_words("李雷 (4711884422) wrote", whose) == "李* (***4422) wrote"


def test_what_stands_in_a_tuple_is_masked_too() -> None:
    assert masked({"headers": (("from", "li@example.cn"),)}) == {"headers": [["from", "l***@example.cn"]]}
