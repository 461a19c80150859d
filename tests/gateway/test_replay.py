"""Recorded traffic decided again: the same rules change nothing, others show what they would."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ruled import drain, house_of, rulebook, ruled, said
from stored import NOW, contact, decided, ticket

from engine.decision import Case, Decision
from gateway import criterion
from gateway.house import House
from gateway.replay import Load, Replayed, replay
from gateway.replay_report import Names, html
from normalizer.canon import Address, Derived, Message
from normalizer.errors import ConfigError

LANES = "rules/60-lanes.yaml"
DAY = timedelta(days=1)
SENTENCES = (
    "my zeppelin is lost", "物流显示已签收但未收到货", "我要投诉，服务太差了", "How do I get an invoice?", "还没退款",
    "课程打不开", "where is my parcel SF1234567890", "谢谢",
)  # fmt: skip


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SHOP_SECRET", "whsec_" + "A" * 32)
    monkeypatch.setenv("TEST_DESK_SECRET", "whsec_" + "A" * 32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recorded")


@pytest.fixture
async def recorded(folder: Path) -> AsyncIterator[House]:
    """A thousand recorded messages."""
    gateway = ruled(folder)
    async with house_of(gateway) as house:
        if not (await house.store.counts()).tickets:
            await said(house, *(SENTENCES[n % len(SENTENCES)] for n in range(1000)))
            await drain(house)
        yield house


async def replayed(house: House, text: str = "", **how: Any) -> Replayed:
    """By these rules in place of the lane's; by those that decided it without."""
    now = house.clock.now()
    mind = house.mind.with_bundle(house.mind.bundle.with_changes({LANES: text.encode()})) if text else house.mind
    return await replay(house.store, mind, now - DAY, now + DAY, **how)


async def test_the_same_rules_decide_a_thousand_messages_byte_for_byte_the_same(recorded: House) -> None:
    done = await replayed(recorded)
    assert (done.decisions, done.identical, done.changed, done.failed) == (1000, 1000, 0, 0)
    assert (done.fields, done.changes, done.moves) == ({}, [], {})
    assert len(done.tickets) == 1000


async def test_other_rules_show_what_they_would_change(recorded: House) -> None:
    done = await replayed(recorded, rulebook("low"))
    assert (done.changed, len(done.changed_tickets), done.identical) == (125, 125, 0)
    assert done.moves["priority", "high", "low"] == 125
    assert done.counts["priority_lowered"] == 125
    assert done.counts["due.first_response_later"] == 125
    assert set(done.fields) >= {"priority", "due.first_response"}
    assert done.rules["zeppelins"] == {"before": 125, "after": 125, "gained": 0, "lost": 0}
    (change, *_) = done.changes
    assert change.fields["priority"] == ("high", "low")


async def test_what_fires_now_and_what_no_longer_does_is_counted(recorded: House) -> None:
    done = await replayed(recorded, rulebook().replace("rule: zeppelins", "rule: airships"))
    assert done.changed == 0  # nobody would notice
    assert done.rules["zeppelins"]["lost"] == done.rules["airships"]["gained"] == 125


async def test_of_too_many_the_newest_are_replayed(recorded: House) -> None:
    done = await replayed(recorded, most=100)
    assert (done.decisions, done.skipped) == (100, 900)
    newest = {ticket.number for ticket, _ in await recorded.store.tickets(limit=100)}
    assert done.tickets == newest


async def test_replaying_changes_nothing_in_the_data_folder(recorded: House) -> None:
    def everything(connection: Any) -> list[Any]:
        tables = ("decisions", "tickets", "outgoing", "messages", "audit", "lives", "bundles", "events", "work")
        return [list(connection.exec_driver_sql(f"SELECT * FROM {table}").all()) for table in tables]

    before = await recorded.store.database.read(everything)
    await replayed(recorded, rulebook("low"), simulated_load=True)
    assert await recorded.store.database.read(everything) == before


async def test_erased_people_are_counted_and_left_alone(recorded: House) -> None:
    ((_, contact),) = await recorded.store.tickets(limit=1)
    await recorded.store.erase_contact(contact.id, recorded.clock.now())
    done = await replayed(recorded, rulebook("low"))
    assert (done.erased, done.decisions) == (1, 999)


def routed(number: str, was: str, now: str, status: str = "open") -> tuple[Decision, Decision]:
    """A decision that routed a ticket to the one group, and that it is made again with the other."""
    said = Message("email", "email_smtp", "main", number, Address("email", "li@example.cn"), NOW, text="hello")
    new = ticket(said, contact(), number)
    groups = [replace(new, group=Derived(group, "rule:x"), status=Derived(status, "rule:x")) for group in (was, now)]
    before, after = [decided(new, contact(), said, group=one.group, status=one.status) for one in groups]
    return before, after


def test_a_simulated_load_follows_the_changed_routing_as_long_as_the_ticket_is_open() -> None:
    load, case = Load(), Case("ticket.created", NOW, routed("0", "a", "a")[0].ticket, contact(), load={"group:a": 5})
    assert load.case(case).load == {"group:a": 5}
    load.move(*routed("1", "a", "b"))
    load.move(*routed("2", "a", "a"))
    assert load.case(case).load == {"group:a": 4, "group:b": 1}
    was = routed("1", "a", "b")[0]
    later = replace(was.case, ticket=was.ticket)  # a later message, by which neither set routes it
    load.move(replace(was, case=later), replace(was, case=later))
    assert load.case(case).load == {"group:a": 4, "group:b": 1}
    load.move(*routed("1", "a", "b", status="closed"))
    assert load.case(case).load == {"group:a": 5, "group:b": 0}


async def test_what_follows_a_simulated_load_is_marked(recorded: House) -> None:
    text = rulebook().replace("tag: airborne}", "tag: airborne, route: {group: senior, by: least_loaded}}")
    simulated = await replayed(recorded, text.replace("lanes\n", "lanes\nlayer: risk\n"), simulated_load=True)
    assert simulated.simulated == ("assignee", "group")
    assert "(simulated)" in html(simulated, Names(recorded.mind.vocabulary, "en"), str)


async def test_the_report_stands_alone_and_is_read_in_two_languages(recorded: House) -> None:
    done = await replayed(recorded, rulebook("low"))
    for language, says in (("zh", "张工单会有不同的处理结果"), ("en", "tickets would come out differently")):
        page = html(done, Names(recorded.mind.vocabulary, language), str)
        assert says in page
        assert {"zh": "<td>优先级</td><td>高</td><td>低</td>", "en": "<td>priority</td><td>High</td><td>Low</td>"}[
            language
        ] in page
        assert "<script" not in page
        assert "http" not in page
    assert "完全一样" in html(await replayed(recorded), Names(recorded.mind.vocabulary, "zh"), str)


async def test_the_command_tells_json_and_fails_if_it_is_told_to(tmp_path: Path) -> None:
    gateway = ruled(tmp_path)
    async with house_of(gateway) as house:
        await said(house, *SENTENCES, *SENTENCES)
        await drain(house)
    (tmp_path / "other").mkdir()
    for file in (tmp_path / "rules").glob("*.yaml"):
        (tmp_path / "other" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "other" / "60-lanes.yaml").write_text(rulebook("low"))
    asked = ("rules", "replay", "--since", "1d", "--rules", str(tmp_path / "other"))
    criteria = ("--fail-if", "priority_raised > 0", "--fail-if", "priority_lowered > 0")
    ended = gateway._run(*asked, "--html", str(tmp_path / "report.html"), *criteria)
    told = json.loads(ended.stdout)
    assert told["counts"]["priority_lowered"] == 2
    assert "<table>" in (tmp_path / "report.html").read_text()
    assert ended.returncode == 1
    assert ended.stderr.decode().splitlines()[-1] == "--fail-if priority_lowered > 0: it is so"
    (row,) = gateway.json("rules", "history")
    assert (row["who"], row["why"]) == ("files", "start")
    changed = [json.loads(line) for line in gateway.cli("rules", "diff", "live", str(tmp_path / "other")).splitlines()]
    assert [(one["what"], one["name"], one["kind"]) for one in changed] == [
        ("rule", "zeppelins", "changed"), ("file", LANES, "changed"),
    ]  # fmt: skip
    assert any(line.startswith("+") and "priority: low" in line for line in changed[0]["lines"])


COUNTED = Replayed("ab", None, None, frozenset({"vip-lane"}))  # type: ignore[arg-type]
COUNTED.decisions, COUNTED.changed = 200, 5
COUNTED.counts.update({"priority_lowered": 3, "group_changed": 2})
COUNTED.fired["快递/1", "lost"] = 4


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("priority_lowered > 0", True),
        ("priority_lowered > 3", False),
        ("changed > 2%", True),
        ("changed > 2.5%", False),
        ("changed>=2.5% and not priority_raised > 0", True),
        ("priority_raised > 0 or (group_changed == 2 and changed < 10)", True),
        ("priority_lowered + group_changed > changed - 1", True),
        ("rule.快递/1.lost > 3", True),
        ("rule.vip-lane.gained != 0", False),
        ("mark.churn_risk_changed > 0", False),
        ("not (changed > 0 or failed > 0)", False),
    ],
)
def test_a_criterion_means_what_it_says(text: str, holds: bool) -> None:
    assert criterion.read(text).holds(COUNTED) is holds


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("priority_lowred > 0", 1, "'priority_lowred' is no count"),
        ("colour_changed > 0", 1, "is no count"),
        ("changed", 8, "'the end' stands where"),
        ("changed > 0 failed", 13, "'failed' is left over"),
        ("(changed > 0", 13, "a ) is missing"),
        ("changed > __import__('os')", 11, "is no count"),
        ("changed ! 0", 9, "is no part of a condition"),
        ("", 1, "'the end' is no count"),
        ("not " * 50 + "changed > 0", 0, "nested deeper"),
        ("(" * 50 + "changed > 0", 0, "nested deeper"),
    ],
)
def test_what_is_no_criterion_is_told_at_its_column(text: str, column: int, says: str) -> None:
    with pytest.raises(ConfigError) as told:
        criterion.read(text)
    assert says in told.value.what
    assert column in (0, told.value.where.column)


def test_a_rule_that_neither_set_has_is_told() -> None:
    with pytest.raises(ConfigError, match="no rule 'vip'"):
        criterion.read("rule.vip.lost > 0").holds(COUNTED)
