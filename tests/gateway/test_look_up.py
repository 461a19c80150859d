"""What rules want to know from elsewhere: asked of a real HTTP server, once, in time, and never in our own network."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from ruled import drain, house_of, ruled

from connectors.calling import Outside, get, public
from engine.decision import Case
from engine.trial import case
from gateway import mind as minds
from gateway import settings as settings_files
from gateway.look_up import LookUps
from gateway.mind import Mind
from normalizer.canon import Envelope
from normalizer.errors import ConfigError, Refused, Unavailable

ROOT = Path(__file__).parents[2]
RULES = """\
rulebook: weather
rules:
  - rule: red-alert
    on: [ticket.created]
    when: {outside.weather: red}
    then: {raise: {priority: high}, tag: storm}
  - rule: many-parcels
    on: [message.received]
    when: {outside.parcels: {more_than: 3}}
    then: {tag: many}
"""


class Elsewhere(BaseHTTPRequestHandler):
    """Answers by the path, and keeps what it was asked."""

    asked: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        if self.path.startswith("/slow"):
            time.sleep(8)
        if self.path.startswith("/away"):
            self.send_response(302)
            self.send_header("Location", "/alerts?city=x")
            self.end_headers()
            return
        answer = {"alerts": [{"level": "red"}], "count": "5", "state": "delayed"}
        body = b"<html>" if self.path.startswith("/html") else json.dumps(answer).encode()
        self.send_response(500 if self.path.startswith("/broken") else 200)
        with suppress(OSError):  # who asked has gone
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    Elsewhere.asked.clear()


def mind(
    folder: Path,
    base: str,
    path: str = "/alerts?city={city}",
    more: str = "private: true",
    of: str = "extracted.city",
    timeout: str = "5s",
) -> Mind:
    """A mind with these look-ups; the rest is what comes with Ticketgate."""
    rules = folder / "rules"
    (rules / "templates").mkdir(parents=True)
    (rules / "weather.yaml").write_text(RULES)
    for template in (ROOT / "rules" / "templates").glob("*"):
        (rules / "templates" / template.name).write_text(template.read_text())
    (folder / "token").write_text("Bearer abc")
    (folder / "outside.yaml").write_text(
        f"""\
outside:
  weather:
    url: {base}{path}
    of: {{city: {of}}}
    pick: alerts[0].level
    default: calm
    timeout: {timeout}
    headers: {{Authorization: {{file: token}}}}
    {more}
  parcels: {{url: "{base}/parcels", pick: count, kind: number, default: 0, timeout: 5s, private: true}}
"""
    )
    (folder / "ticketgate.yaml").write_text("company: x\ndata: data\nrules: rules\n")
    return minds.read(settings_files.read(folder / "ticketgate.yaml"))


def about(of: Mind, trigger: str = "ticket.created", **given: Any) -> Case:
    return case({"text": "hi", "trigger": trigger, "extracted": {"city": "上 海"}, **given}, of.vocabulary)


def answers(of: Mind, *cases: Case, ups: LookUps | None = None, outbound: bool = True) -> list[dict[str, Any]]:
    async def asked() -> list[dict[str, Any]]:
        looking = ups or LookUps(budget=30)
        try:
            return await looking.answers(of, cases, outbound)
        finally:
            await looking.close()

    return asyncio.run(asked())


def test_the_answer_is_what_the_rule_reads(tmp_path: Path, elsewhere: str) -> None:
    of = mind(tmp_path, elsewhere)
    assert answers(of, about(of)) == [{"weather": "red"}]
    assert Elsewhere.asked == [("/alerts?city=%E4%B8%8A%20%E6%B5%B7", "Bearer abc")]


def test_only_what_rules_of_the_trigger_read_is_asked(tmp_path: Path, elsewhere: str) -> None:
    of = mind(tmp_path, elsewhere)
    assert answers(of, about(of, "message.received"), about(of, "ticket.updated")) == [{"parcels": 5}, {}]
    assert [path for path, _ in Elsewhere.asked] == ["/parcels"]


def test_one_question_is_asked_once_and_its_answer_kept(tmp_path: Path, elsewhere: str) -> None:
    of, ups = mind(tmp_path, elsewhere), LookUps(budget=30)
    assert answers(of, about(of), about(of), ups=ups) == [{"weather": "red"}] * 2
    with_loop_time_going_on = answers(of, about(of), ups=ups)
    assert with_loop_time_going_on == [{"weather": "red"}]
    assert len(Elsewhere.asked) == 1


def test_without_the_fact_it_needs_nobody_is_asked(tmp_path: Path, elsewhere: str) -> None:
    of = mind(tmp_path, elsewhere)
    assert answers(of, about(of, extracted={})) == [{"weather": "calm"}]
    assert Elsewhere.asked == []


def test_while_nothing_may_leave_the_house_nobody_is_asked(tmp_path: Path, elsewhere: str) -> None:
    of = mind(tmp_path, elsewhere)
    assert answers(of, about(of), outbound=False) == [{"weather": "calm"}]
    assert Elsewhere.asked == []


@pytest.mark.parametrize("path", ["/broken?c={city}", "/html?c={city}", "/away?c={city}"])
def test_what_is_no_answer_is_the_default(tmp_path: Path, elsewhere: str, path: str) -> None:
    of = mind(tmp_path, elsewhere, path)
    assert answers(of, about(of)) == [{"weather": "calm"}]
    assert len(Elsewhere.asked) == 1  # a redirect is not followed


def test_who_is_slow_has_not_answered_and_is_left_alone_for_a_while(tmp_path: Path, elsewhere: str) -> None:
    of, ups = mind(tmp_path, elsewhere, "/slow?c={city}", timeout="300ms"), LookUps(budget=30)
    began = time.monotonic()
    assert answers(of, about(of), ups=ups) == [{"weather": "calm"}]
    assert answers(of, about(of), ups=ups) == [{"weather": "calm"}]
    assert time.monotonic() - began < 5
    assert len(Elsewhere.asked) == 1


def test_all_questions_of_a_round_share_one_budget(tmp_path: Path, elsewhere: str) -> None:
    of = mind(tmp_path, elsewhere, "/slow?c={city}")
    began = time.monotonic()
    many = [about(of, extracted={"city": f"c{n}"}) for n in range(20)]
    assert answers(of, *many, ups=LookUps(budget=0.1)) == [{"weather": "calm"}] * 20
    assert time.monotonic() - began < 4.5


def test_our_own_network_is_not_asked_unless_that_is_said(tmp_path: Path, elsewhere: str) -> None:
    of = mind(tmp_path, elsewhere, more="private: false")
    assert answers(of, about(of)) == [{"weather": "calm"}]
    assert Elsewhere.asked == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "172.16.0.1", "100.64.0.1", "0.0.0.0", "::1", "fe80::1",
     "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "224.0.0.1", "255.255.255.255"],
)  # fmt: skip
def test_an_address_within_is_none_of_the_open_internet(address: str) -> None:
    assert not public(ip_address(address))


def test_a_fact_there_is_not_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"outside\.yaml:4:16.*extractd"):
        mind(tmp_path, "http://example.com", of="extractd.city")


def test_an_address_outside_is_one() -> None:
    assert public(ip_address("223.5.5.5"))
    assert public(ip_address("2400:3200::1"))


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "2130706433", "localhost"])
def test_other_spellings_of_our_own_machine_are_refused(host: str) -> None:
    with pytest.raises((Refused, Unavailable)):
        asyncio.run(got(f"http://{host}/"))


async def got(url: str) -> bytes:
    async with httpx.AsyncClient(transport=Outside()) as client:
        return await get(client, url, {}, 100)


def test_what_was_looked_up_is_recorded_so_that_it_is_never_asked_again(tmp_path: Path, elsewhere: str) -> None:
    of = mind(tmp_path, elsewhere)
    (known,) = answers(of, about(of))
    decided, _ = of.decide(replace(about(of), outside=known))
    assert [one.rule for one in decided.fired] == ["red-alert"]
    assert b'"outside":{"weather":"red"}' in decided.raw
    assert of.decide(decided.case)[0].hash == decided.hash
    assert len(Elsewhere.asked) == 1


STORM = """\
rulebook: storm
rules:
  - rule: storm
    when: {outside.parcel: delayed}
    then: {tag: storm}
  - rule: again-about-this-order
    when: {history: {same: order, within: 1d, count: {at_least: 2}}}
    then: {tag: again}
"""


async def test_a_message_is_decided_on_what_was_looked_up_before(
    tmp_path: Path, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SHOP", "DESK"):
        monkeypatch.setenv(f"TEST_{name}_SECRET", "whsec_" + "A" * 32)
    gateway = ruled(tmp_path)
    gateway.config.write_text(gateway.config.read_text().replace("outbound: off", "outbound: on"))
    (tmp_path / "rules" / "storm.yaml").write_text(STORM)
    (tmp_path / "outside.yaml").write_text(
        f'outside:\n  parcel: {{url: "{elsewhere}/orders/{{n}}", of: {{n: extracted.order_number}}, pick: state, timeout: 5s, private: true}}\n'
    )
    async with house_of(gateway) as house:
        house.look_ups.budget = 30
        now = house.clock.now()
        for n, order in enumerate(("JD123456789", "JD123456789", "JD999999999")):
            raw = f"From: li@example.cn\r\nTo: support@example.com\r\nMessage-ID: <{n}@x>\r\nSubject: s{n}\r\n\r\norder number {order}\r\n"
            mail = Envelope(
                "email_smtp", "support", f"m{n}", f"lane {n}", now, raw.encode(), {"to": "support@example.com"}
            )
            await house.store.journal([mail], now)
            await drain(house)
        tags = [set(ticket.tags) & {"storm", "again"} for ticket, _ in await house.store.tickets(limit=3)]
        assert tags == [{"storm"}, {"storm", "again"}, {"storm"}]  # the latest first
        assert [path for path, _ in Elsewhere.asked] == ["/orders/JD123456789", "/orders/JD999999999"]
        await house.look_ups.close()
