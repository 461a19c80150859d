"""What rules do, through a real gateway: waits, reviews with holds, tasks, signed calls and answers, once each."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Desk, Gateway, MailSink
from standardwebhooks.webhooks import Webhook

from gateway.permissions import ROLES

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 60.0
RULES = """
rulebook: verbs
rules:
  - rule: received
    then: {acknowledge: received}
  - rule: course-quiet
    when: {says: 课程打不开}
    then:
      reply: course-faq
      wait: {for: 1s, unless: [customer_speaks, agent_replies], then: {close: 安静了}}
  - rule: course-long
    when: {says: 直播打不开}
    then: {suggest: course-faq, wait: {for: 90s, unless: customer_speaks, then: {close: 安静了}}}
  - rule: fraud-is-checked-twice
    layer: risk
    when: {says: 盗刷}
    then: {review: {group: senior, hold: [acknowledge, task], approved: {tag: checked}, rejected: {close: 误报}}}
  - rule: fraud-task
    when: {says: 盗刷}
    then: {task: {title: 冻结账户, type: freeze, group: billing, due: 4h}}
  - rule: done
    on: task.updated
    when: {task.status: done, task.type: freeze}
    then: {tag: frozen}
  - rule: tell-erp
    when: {says: 丢件}
    then:
      call: {target: erp, with: {reason: lost}}
      notify: {addresses: duty@example.com, text: 丢件}
  - rule: repair
    when: {says: 报修}
    then: {set: {type: repair}, ask_for: [model, address]}
  - rule: bounced
    on: contact.bounced
    then: {tag: no-such-address}
  - rule: soon
    when: {says: 立刻定位}
    then: {sla: {milestones: {located: 2s}}}
  - rule: near
    on: sla.near
    when: {sla.milestone: located}
    then: {tag: nearly}
  - rule: missed
    on: sla.missed
    when: {sla.milestone: located}
    then: {tag: too-late}
  - rule: in-turn
    when: {says: 轮流}
    then: {route: {group: logistics, by: round_robin}}
"""


@pytest.fixture(scope="module")
def erp() -> Iterator[Desk]:
    with Desk() as made:
        yield made


@pytest.fixture(scope="module")
def sink() -> Iterator[MailSink]:
    with MailSink() as made:
        yield made


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, erp: Desk, sink: MailSink) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("verbs")
    (folder / "rules").mkdir()
    (folder / "rules" / "verbs.yaml").write_text(RULES)
    shutil.copytree(ROOT / "rules" / "templates", folder / "rules" / "templates")
    made = Gateway(folder, mail_sink=sink.port)
    url, at = f"http://127.0.0.1:{erp.port}/hook", folder / "erp.secret"
    at.write_text(made.desk_secret)
    called = f'calls:\n  - {{name: erp, url: "{url}", secret: {{file: {at}}}, allow_private: true}}\n'
    made.config.write_text("rules: rules\n" + called + made.config.read_text().partition("helpdesks:")[0])
    with made as running:
        yield running


@pytest.fixture(scope="module")
def api(gateway: Gateway) -> Iterator[httpx.Client]:
    scopes = [part for scope in sorted(ROLES["agent"] | {"personal:read"}) for part in ("--scope", scope)]
    (row,) = gateway.json("keys", "add", "test", *scopes)
    key = next(value for name, value in row.items() if name.startswith("secret"))
    url = f"http://127.0.0.1:{gateway.http}/api/v1"
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=30) as made:
        yield made


@pytest.fixture
def write(gateway: Gateway, api: httpx.Client) -> Callable[..., dict[str, Any]]:
    """A mail, and the ticket it becomes part of."""

    def written(name: str, text: str, answers: str = "") -> dict[str, Any]:
        extra = f"In-Reply-To: <{answers}@example.cn>\r\n" if answers else ""
        head = f"From: <{name.partition('-')[0]}@example.cn>\r\nTo: support@example.com\r\nMessage-ID: <{name}@example.cn>\r\n"
        head += f"{extra}Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        gateway.mail((head + text + "\r\n").encode(), sender=f"{name.partition('-')[0]}@example.cn")
        return until(api, lambda one: text in one["description"] or bool(answers), name.partition("-")[0])

    return written


def until(api: httpx.Client, good: Callable[[dict[str, Any]], bool], who: str) -> dict[str, Any]:
    """The latest ticket of this sender, once it is as it should be."""
    deadline = time.monotonic() + PATIENCE
    found: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        found = [one for one in api.get("/tickets").json()["items"] if one["contact"] == _contact(who)]
        if found and good(found[0]):
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"not so within {PATIENCE} s: {found[:1]}")


def _contact(who: str) -> str:
    from normalizer.canon import digest

    return digest("contact", "email", f"{who}@example.cn")


def mails(sink: MailSink, to: str) -> list[str]:
    """Subject and text of what was sent to an address."""
    made = [message_from_bytes(raw, policy=policy.default) for raw in sink.mails]
    bodies = [(one, one.get_body(("plain",))) for one in made if to in str(one["To"])]
    return [f"{one['Subject']}\n{body.get_content() if body else ''}" for one, body in bodies]


def decisions(api: httpx.Client, number: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = api.get(f"/tickets/{number}/decisions").json()["items"]
    return items


def test_a_course_that_will_not_open_is_answered_and_closed_after_a_quiet_while(
    api: httpx.Client, write: Any, sink: MailSink, gateway: Gateway
) -> None:
    write("quiet", "课程打不开")
    closed = until(api, lambda one: one["status"]["value"] == "closed", "quiet")
    assert closed["solution"] == "安静了"
    *_, last = decisions(api, closed["number"])
    assert (last["case"]["trigger"], [one["rule"] for one in last["fired"]]) == ("timer.course-quiet", ["course-quiet"])
    gateway.settle()
    received, answer = sorted(mails(sink, "quiet@"), key=lambda mail: "多数情况" in mail)
    assert closed["number"] in received and "多数情况" in answer


def test_a_customer_who_speaks_ends_the_wait(api: httpx.Client, write: Any) -> None:
    made = write("speaks", "直播打不开")
    assert [one["name"] for one in made["waits"]] == ["course-long"]
    write("speaks-2", "还是不行", answers="speaks")
    after = until(api, lambda one: one["waits"] == [], "speaks")
    assert after["status"]["value"] != "closed"
    *_, last = decisions(api, after["number"])
    assert last["case"]["cancelled"] == ["course-long"]


def test_a_fraud_is_answered_and_worked_on_only_once_a_person_approved(
    api: httpx.Client, write: Any, sink: MailSink, gateway: Gateway
) -> None:
    made = write("fraud", "银行卡被盗刷")
    gateway.settle()
    assert (made["tasks"], mails(sink, "fraud@")) == ([], [])
    assert made["review"]["needed"]
    api.post(f"/tickets/{made['number']}/review", json={"verdict": "approved"}).raise_for_status()
    approved = until(api, lambda one: bool(one["acked_at"]), "fraud")
    assert "checked" in approved["tags"]
    assert len(mails(sink, "fraud@")) == 1
    (task,) = approved["tasks"]
    assert (task["title"], task["status"]) == ("冻结账户", "open")

    path = f"/tickets/{made['number']}/tasks/{task['id']}"
    api.patch(path, json={"status": "done", "result.frozen": "yes"}).raise_for_status()
    done = until(api, lambda one: "frozen" in one["tags"], "fraud")
    assert (done["tasks"][0]["status"], done["tasks"][0]["result"]) == ("done", {"frozen": "yes"})
    assert api.patch(path, json={"status": "open"}).status_code == 409


def test_a_rejected_fraud_is_closed_and_nobody_is_answered(api: httpx.Client, write: Any, sink: MailSink) -> None:
    made = write("alarm", "没有被盗刷？盗刷！")
    api.post(f"/tickets/{made['number']}/review", json={"verdict": "rejected"}).raise_for_status()
    closed = until(api, lambda one: one["status"]["value"] == "closed", "alarm")
    assert (closed["solution"], closed["tasks"], mails(sink, "alarm@")) == ("误报", [], [])


def test_a_call_is_signed_and_tried_again_under_the_same_id(
    api: httpx.Client, write: Any, erp: Desk, gateway: Gateway, sink: MailSink
) -> None:
    erp.answers.append((503, {"retry-after": "0"}))
    made = write("lost", "快递丢件")
    gateway.settle()
    ((identity, attempts),) = erp.attempts.items()
    assert attempts == 2
    (call,) = erp.received
    assert (call["id"], call["data"]["with"], call["data"]["ticket"]["number"]) == (
        identity, {"reason": "lost"}, made["number"],
    )  # fmt: skip
    Webhook(gateway.desk_secret).verify(erp.headers[0]["body"], erp.headers[0])
    (told,) = mails(sink, "duty@example.com")
    assert made["number"] in told and "丢件" in told


def test_missing_fields_are_asked_for_by_the_way_that_spoke(
    api: httpx.Client, write: Any, sink: MailSink, gateway: Gateway
) -> None:
    made = write("repair", "我要报修")
    assert made["status"]["value"] == "waiting_customer"
    gateway.settle()
    asked = next(mail for mail in mails(sink, "repair@") if "请补充信息" in mail)
    assert "设备型号" in asked and "报修地址" in asked


def test_what_a_customer_thinks_is_kept(api: httpx.Client, write: Any) -> None:
    made = write("happy", "谢谢，问题解决了")
    path = f"/tickets/{made['number']}/feedback"
    assert api.post(path, json={"score": 9}).status_code == 422
    api.post(path, json={"score": 5, "comment": "很好"}, headers={"idempotency-key": "once"}).raise_for_status()
    assert until(api, lambda one: bool(one["feedback"]), "happy")["feedback"]["score"] == 5
    *_, last = decisions(api, made["number"])
    assert last["case"]["trigger"] == "feedback.received"


def test_the_page_of_a_ticket_shows_tasks_waits_and_suggestions_and_lets_people_act(
    api: httpx.Client, write: Any, gateway: Gateway
) -> None:
    """As a browser on this machine, which may do everything as long as there is no user."""
    write("page", "直播打不开，银行卡被盗刷")
    made = until(api, lambda one: bool(one["waits"]), "page")
    api.post(f"/tickets/{made['number']}/review", json={"verdict": "approved"}).raise_for_status()
    made = until(api, lambda one: bool(one["tasks"]), "page")
    with httpx.Client(base_url=f"http://127.0.0.1:{gateway.http}", follow_redirects=True, timeout=20) as browser:
        page = browser.get(f"/console/tickets/{made['number']}?lang=zh").text
        for words in ("冻结账户", "course-long", "客户又来信", "关闭（安静了）", "预审同意", "推荐答复", "课程打不开"):
            assert words in page, words
        token = re.search(r'name="csrf" value="([^"]+)"', page)
        assert token
        given = {"csrf": token[1], "task": made["tasks"][0]["id"], "status": "done"}
        after = browser.post(f"/console/tickets/{made['number']}/task", data=given)
        assert after.status_code == 200
    assert until(api, lambda one: "frozen" in one["tags"], "page")["tasks"][0]["status"] == "done"


def test_an_address_nobody_has_is_told_to_rules(api: httpx.Client, write: Any, sink: MailSink) -> None:
    sink.refusing_recipients = "550 5.1.1 nobody of that name"
    write("gone", "请问怎么开发票")
    until(api, lambda one: "no-such-address" in one["tags"], "gone")
    sink.refusing_recipients = ""


def test_a_promise_is_near_before_it_is_broken(api: httpx.Client, write: Any) -> None:
    write("soon", "请立刻定位")
    late = until(api, lambda one: "too-late" in one["tags"], "soon")
    assert "nearly" in late["tags"]
    told = [one["case"] for one in decisions(api, late["number"]) if one["case"]["trigger"].startswith("sla.")]
    assert [(one["trigger"], one["milestone"]) for one in told] == [("sla.near", "located"), ("sla.missed", "located")]


def test_tickets_that_come_together_are_given_in_turn(api: httpx.Client, gateway: Gateway, write: Any) -> None:
    gateway.kill()
    gateway.start(roles="accept")
    for n in range(4):
        gateway.mail(f"From: <turn{n}@example.cn>\r\nTo: support@example.com\r\nMessage-ID: <turn{n}@example.cn>\r\n"
                     "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n轮流\r\n".encode())  # fmt: skip
    gateway.kill()
    gateway.start()
    given = [until(api, lambda one: bool(one["assignee"]), f"turn{n}")["assignee"]["value"] for n in range(4)]
    assert sorted(given) == ["chen-jie", "chen-jie", "liu-yang", "liu-yang"]
