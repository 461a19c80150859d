"""Whole conversations and large batches that wait together, and ids that name nothing, through a real gateway."""

import json
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from serving import Gateway


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that takes in and does not work on anything yet."""
    with Gateway(tmp_path, outbound="off").start(roles="accept") as gateway:
        yield gateway


def worked_on(gateway: Gateway) -> list[list[str]]:
    """The texts of each ticket, once everything that waited is done."""
    gateway.stop()
    gateway.start().settle()
    return sorted([message["text"].strip() for message in one["messages"]] for one in gateway.tickets())


def mail(text: str, sender: str, identity: str, **headers: str) -> bytes:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = sender, "support@example.com", "合同"
    made["Message-ID"] = f"<{identity}>"
    for name, value in headers.items():
        made[name.replace("_", "-")] = f"<{value}>"
    made.set_content(text)
    return made.as_bytes()


def test_a_conversation_of_several_people_that_waited_together_is_one_ticket(waiting: Gateway) -> None:
    waiting.mail(mail("甲：合同丢了", "jia@example.cn", "a@x", Cc="yi@example.cn"))
    waiting.mail(
        mail("乙：补充一下", "yi@example.cn", "b@x", In_Reply_To="a@x", References="a@x", Cc="bing@example.cn")
    )
    waiting.mail(mail("丙：我也是", "bing@example.cn", "c@x", In_Reply_To="b@x"))
    waiting.mail(mail("丁：别的事", "ding@example.cn", "d@x"))

    assert worked_on(waiting) == [["丁：别的事"], ["甲：合同丢了", "乙：补充一下", "丙：我也是"]]


def test_an_answer_that_overtakes_its_question_is_in_one_ticket_with_it(waiting: Gateway) -> None:
    waiting.mail(mail("乙：补充一下", "yi@example.cn", "b@x", In_Reply_To="a@x", Cc="jia@example.cn"))
    waiting.mail(mail("甲：合同丢了", "jia@example.cn", "a@x"))

    assert worked_on(waiting) == [["乙：补充一下", "甲：合同丢了"]]


def test_a_message_id_that_broken_senders_repeat_joins_no_strangers(waiting: Gateway) -> None:
    for name in ("jia", "yi"):
        waiting.mail(mail(f"{name}: 打印机坏了", f"{name}@example.cn", "scanner@localhost"))
    waiting.mail(mail("jia: 又坏了", "jia@example.cn", "scanner@localhost"))
    waiting.mail(mail("yi: 还没修", "yi@example.cn", "n@x", In_Reply_To="scanner@localhost"))
    waiting.mail(mail("bing: 我也坏了", "bing@example.cn", "m@x", In_Reply_To="scanner@localhost"))

    assert worked_on(waiting) == [
        ["bing: 我也坏了"], ["jia: 打印机坏了", "jia: 又坏了"], ["yi: 打印机坏了", "yi: 还没修"],
    ]  # fmt: skip


def test_a_batch_of_hundreds_keeps_nobody_waiting_and_loses_nothing(waiting: Gateway) -> None:
    said = [{"id": f"m{n}", "text": f"订单{n}没收到", "from": f"c{n}@example.cn"} for n in range(600)]
    assert waiting.webhook(json.dumps({"messages": said}).encode(), identity="batch") == 204
    waiting.mail(mail("急事", "urgent@example.cn", "u@x"))

    tickets = worked_on(waiting)
    assert len(tickets) == 601
    numbers = {one["messages"][0]["text"].strip(): one["number"] for one in waiting.tickets()}
    served_before = sum(number < numbers["急事"] for number in numbers.values())
    assert served_before < 200  # it came last, and went along with the first rounds


def test_messages_of_one_batch_stay_in_their_order(waiting: Gateway) -> None:
    said = [
        {"id": f"m{n}", "text": f"第{n}句", "from": f"c{n % 2}@example.cn", "thread": f"room {n % 2}"}
        for n in range(20)
    ]
    assert waiting.webhook(json.dumps({"messages": said}).encode(), identity="batch") == 204

    assert worked_on(waiting) == [[f"第{n}句" for n in range(0, 20, 2)], [f"第{n}句" for n in range(1, 20, 2)]]


def test_what_is_readable_of_a_batch_goes_on_and_the_rest_is_set_aside_by_name(waiting: Gateway) -> None:
    said = [{"id": f"m{n}", "text": f"第{n}件", "from": f"c{n}@example.cn"} for n in range(4)]
    del said[2]["from"]
    assert waiting.webhook(json.dumps({"messages": said}).encode(), identity="batch") == 204

    assert worked_on(waiting) == [["第0件"], ["第1件"], ["第3件"]]
    (row,) = waiting.json("quarantine", "list", "--json")
    assert row["reason"] == "message 3 of 4: no sender"
    waiting.cli("quarantine", "retry", row["id"])
    waiting.settle()
    assert len(waiting.tickets()) == 3  # what was placed is not placed again
    assert [again["reason"] for again in waiting.json("quarantine", "list", "--json")] == [row["reason"]]
