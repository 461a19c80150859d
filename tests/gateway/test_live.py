"""Rules go live whole and tested or not at all, are followed by every process, and can be taken back."""

import asyncio
import json
import shutil
import sqlite3
import zlib
from pathlib import Path

import pytest
from ruled import drain, house_of, rulebook, ruled, said
from serving import Gateway

from engine import findings
from gateway import bundle as bundles
from gateway import live, mind, process, settings, vet
from gateway.health import signs
from gateway.house import House
from gateway.reasons import Reasons
from gateway.vet import Unfit
from normalizer.errors import ConfigError, Rejected, Unavailable

LANES = "rules/60-lanes.yaml"


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "EVERY", 0.02)
    monkeypatch.setenv("TEST_SHOP_SECRET", "whsec_" + "A" * 32)
    monkeypatch.setenv("TEST_DESK_SECRET", "whsec_" + "A" * 32)


@pytest.fixture
def by_files(tmp_path: Path) -> Gateway:
    return ruled(tmp_path)


@pytest.fixture
def by_store(tmp_path: Path) -> Gateway:
    return ruled(tmp_path, "store")


async def priority(house: House, text: str = "my zeppelin is lost", key: str = "m") -> str:
    """Of the ticket that becomes of this mail."""
    await said(house, text, key=key)
    await drain(house)
    ((ticket, _),) = await house.store.tickets(limit=1)
    return ticket.priority.value


async def audited(house: House) -> list[tuple[str, str]]:
    return [(one.who, one.what) for one in await house.users.audited()]


async def test_a_file_that_is_saved_goes_live(by_files: Gateway) -> None:
    async with house_of(by_files) as house:
        first = house.mind.ruleset.sha
        assert await priority(house) == "high"
        (by_files.folder / LANES).write_text(rulebook("urgent"))
        await house.rules.look()
        assert await priority(house, key="n") == "urgent"
        assert house.mind.ruleset.sha != first
        assert [one.why for one in await house.rules.sets.history()] == ["changed", "start"]


async def test_a_file_saved_while_the_store_is_full_goes_live_once_it_is_not(
    by_files: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise Unavailable("the disk is full")

    async with house_of(by_files) as house:
        (by_files.folder / LANES).write_text(rulebook("urgent"))
        with monkeypatch.context() as patched:
            patched.setattr(house.rules.sets, "put_live", full)
            with pytest.raises(Unavailable):
                await house.rules.look()
        assert await priority(house) == "high"
        await house.rules.look()
        assert await priority(house, key="n") == "urgent"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (rulebook("urgnt"), "urgent"),
        (rulebook("urgent", expected="low"), "a lost zeppelin: priority is 'urgent', not 'low'"),
        ("rules: [", "not YAML"),
    ],
    ids=["a mistake", "an example that fails", "half a file"],
)
async def test_a_set_that_does_not_pass_is_refused_and_everybody_can_see_why(
    by_files: Gateway, text: str, says: str
) -> None:
    async with house_of(by_files) as house:
        (by_files.folder / LANES).write_text(text)
        await house.rules.look()

        assert await priority(house) == "high"  # the old one goes on
        sign = next(one for one in await signs(house) if one.kind == "rules")
        assert (sign.state, sign.code) == ("bad", "refused")
        assert says in str(sign.facts["trouble"])
        assert str(by_files.folder / LANES) in str(sign.facts["trouble"])
        assert ("files", "rules.refused") in await audited(house)

        (by_files.folder / LANES).write_text(rulebook("low"))
        await house.rules.look()
        assert await priority(house, key="n") == "low"
        assert house.rules.refusal is None


async def test_what_does_not_pass_is_not_live_after_a_restart_either(by_files: Gateway) -> None:
    async with house_of(by_files) as house:
        first = house.mind.ruleset.sha
    (by_files.folder / LANES).write_text(rulebook("urgent", expected="low"))
    async with house_of(by_files) as house:
        assert house.mind.ruleset.sha == first
        assert house.rules.refusal
        assert await priority(house) == "high"
        assert ("files", "rules.refused") in await audited(house)
        await house.rules.look()
        assert house.mind.ruleset.sha == first
        (by_files.folder / LANES).write_text(rulebook("urgent"))
        await house.rules.look()
        assert house.rules.refusal is None
        assert await priority(house, key="n") == "urgent"


async def test_people_lists_and_templates_go_live_with_the_rules_as_one(by_files: Gateway) -> None:
    async with house_of(by_files) as house:
        people = by_files.folder / "people.yaml"
        people.write_text(people.read_text().replace("groups:\n", "groups:\n  night: {label: {en: Night}}\n", 1))
        text = rulebook().replace("tag: airborne}", "tag: airborne, route: night}")
        (by_files.folder / LANES).write_text(text)
        await house.rules.look()

        assert "night" in house.mind.company.people.groups
        assert "night" in house.mind.vocabulary.groups
        people.write_text(people.read_text().replace("  night: {label: {en: Night}}\n", ""))
        await house.rules.look()  # a rule still names the group
        assert house.rules.refusal is not None
        assert "night" in house.mind.company.people.groups


async def test_work_in_flight_ends_with_the_set_it_began_with(by_files: Gateway) -> None:
    async with house_of(by_files) as house:
        await said(house, "my zeppelin is lost")
        readings = await process.take_in(house, 10)
        began_with = house.mind.ruleset.sha
        (by_files.folder / LANES).write_text(rulebook("urgent"))
        await house.rules.look()
        assert house.mind.ruleset.sha != began_with

        await process.one_round(house, readings)
        ((ticket, _),) = await house.store.tickets()
        assert (ticket.priority.value, ticket.ruleset) == ("high", began_with)


async def test_where_files_are_the_truth_nobody_else_puts_anything_live(by_files: Gateway) -> None:
    async with house_of(by_files) as house:
        changed = house.mind.bundle.with_changes({LANES: rulebook("low").encode()})
        with pytest.raises(Rejected, match="read from files"):
            await house.rules.put_live(changed, "person:li", "try")
        with pytest.raises(Rejected, match="read from files"):
            await house.rules.take_back("person:li", "no")


async def test_a_store_begins_with_the_files_and_goes_on_without_them(by_store: Gateway) -> None:
    async with house_of(by_store) as house:
        assert await priority(house) == "high"
        (by_store.folder / LANES).write_text(rulebook("low"))
        await house.rules.look()
        assert await priority(house, key="n") == "high"
    async with house_of(by_store) as house:  # started again
        assert await priority(house, key="o") == "high"


async def test_what_is_put_live_every_process_follows_and_it_can_be_taken_back(by_store: Gateway) -> None:
    async with house_of(by_store) as house, house_of(by_store) as other:
        first = house.mind.bundle
        changed = first.with_changes({LANES: rulebook("urgent").encode()})
        put = await house.rules.put_live(changed, "person:li", "zeppelins matter")
        assert await priority(house) == "urgent"
        await other.rules.look()
        assert await priority(other, key="n") == "urgent"

        await other.rules.take_back("person:wang", "it flooded the night shift")
        assert other.mind.bundle == first
        await house.rules.look()
        assert await priority(house, key="o") == "high"
        told = [(one.who, one.why, one.sha) for one in await house.rules.sets.history()]
        assert told == [
            ("person:wang", "it flooded the night shift", first.sha),
            ("person:li", "zeppelins matter", changed.sha),
            ("files", "start", first.sha),
        ]
        assert ("person:li", "rules.live") in await audited(house)
        with pytest.raises(Rejected, match="meanwhile"):
            await house.rules.put_live(changed, "person:li", "again", after=put.seq)


async def test_taking_back_twice_goes_back_by_two_and_what_is_put_live_then_can_be_taken_back(
    by_store: Gateway,
) -> None:
    async with house_of(by_store) as house:
        first = house.mind.bundle
        second, third = (first.with_changes({LANES: rulebook(level).encode()}) for level in ("urgent", "low"))
        for one in (second, third):
            await house.rules.put_live(one, "person:li", "more")

        for expected in (second, first):
            await house.rules.take_back("person:li", "less")
            assert house.mind.bundle == expected
        with pytest.raises(Rejected, match="no other rule set"):
            await house.rules.take_back("person:li", "less")

        await house.rules.put_live(third, "person:li", "after all")
        await house.rules.take_back("person:li", "no")
        assert house.mind.bundle == first


async def test_what_does_not_pass_is_never_put_live(by_store: Gateway) -> None:
    async with house_of(by_store) as house:
        wrong = house.mind.bundle.with_changes({LANES: rulebook("urgent", expected="low").encode()})
        with pytest.raises(Unfit, match="not 'low'"):
            await house.rules.put_live(wrong, "person:li", "hm")
        assert len(await house.rules.sets.history()) == 1
        assert ("person:li", "rules.refused") in await audited(house)
        with pytest.raises(Rejected, match="no other rule set"):
            await house.rules.take_back("person:li", "hm")


async def test_examples_that_stand_apart_must_pass_too(by_store: Gateway) -> None:
    apart = b"tests:\n  - {name: apart, given: {text: my zeppelin is lost}, expect: {priority: low}}\n"
    async with house_of(by_store) as house:
        with pytest.raises(Unfit, match=r"rules/tests/lanes.yaml:2:.*apart: priority is 'high', not 'low'"):
            await house.rules.put_live(
                house.mind.bundle.with_changes({"rules/tests/lanes.yaml": apart}), "person:li", "hm"
            )


async def test_a_large_set_is_examined_in_a_process_of_its_own(
    by_store: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vet, "LARGE", 0)
    async with house_of(by_store) as house:
        wrong = house.mind.bundle.with_changes({LANES: rulebook("urgent", expected="low").encode()})
        with pytest.raises(Unfit, match=r"rules/60-lanes.yaml:\d+:\d+: test-failed"):
            await house.rules.put_live(wrong, "person:li", "hm")
        live = await house.rules.put_live(
            house.mind.bundle.with_changes({LANES: rulebook("urgent").encode()}), "person:li", "loud"
        )
        assert house.mind.bundle.sha == live.sha


async def test_two_put_live_at_once_end_with_one_of_them(by_store: Gateway) -> None:
    async with house_of(by_store) as house:
        sets = [house.mind.bundle.with_changes({LANES: rulebook(p).encode()}) for p in ("low", "urgent")]
        done = await asyncio.gather(
            *(house.rules.put_live(one, "person:li", "race", after=1) for one in sets), return_exceptions=True
        )
        assert sorted(type(one).__name__ for one in done) == ["Live", "Rejected"]
        newest = await house.rules.sets.live()
        assert newest is not None
        assert house.mind.bundle.sha == newest.sha


async def test_rulebooks_that_decided_before_whole_sets_were_kept_are_found(by_files: Gateway) -> None:
    async with house_of(by_files) as house:
        base = house.mind.bundle
    old = zlib.compress(json.dumps({"/srv/rules/old.yaml": rulebook("low")}).encode())
    with sqlite3.connect(by_files.folder / "data" / "ticketgate.db") as connection:
        connection.execute("INSERT INTO rulesets VALUES (?, ?)", ("ab" * 32, old))
    async with house_of(by_files) as house:
        found = await house.rules.sets.bundle(await house.rules.sets.named("abab"), base)
        assert found is not None
        assert [*found.within(bundles.RULES, ".yaml")] == ["rules/old.yaml"]
        assert house.mind.with_bundle(found).company.sha == house.mind.company.sha


def test_a_fault_of_the_configuration_is_told_where_its_file_stands(by_files: Gateway) -> None:
    lists = by_files.folder / "lists.yaml"
    lists.write_text(lists.read_text().replace("refund-words:", "refund-words：", 1))
    with pytest.raises(ConfigError) as told:
        mind.read(settings.read(by_files.config))
    assert (told.value.where.file, told.value.what) == (str(lists), "not YAML: a full-width colon ：")


def test_an_example_that_fails_is_told_in_chinese_too(by_files: Gateway) -> None:
    (by_files.folder / LANES).write_text(rulebook("urgent", expected="low"))
    configured = settings.read(by_files.config)
    (found,) = vet.examine(configured, bundles.read(configured)).wrong
    said = findings.told(found, "zh")
    assert said.what.endswith("priority 是 'urgent'，应为 'low'")
    assert said.hint == "改规则，或改这个样例"


def test_a_set_has_one_name_wherever_it_stands(by_files: Gateway, tmp_path: Path) -> None:
    rules = bundles.of_rules(by_files.folder / "rules")
    shutil.copytree(by_files.folder / "rules", tmp_path / "elsewhere")
    assert bundles.of_rules(tmp_path / "elsewhere").sha == rules.sha
    assert bundles.unpack(rules.pack()) == rules
    rules.write(tmp_path / "out")
    assert bundles.of_rules(tmp_path / "out" / "rules").sha == rules.sha
    (tmp_path / "out" / LANES).write_text("rules: []")
    with pytest.raises(ConfigError, match="stands there already"):
        rules.write(tmp_path / "out")


@pytest.mark.parametrize(
    "name", ["../evil.yaml", "rules/../../x.yaml", "config/ticketgate.yaml", "rules/a/b.yaml", "/etc/x"]
)
def test_no_set_holds_a_file_of_another_name(by_files: Gateway, name: str) -> None:
    with pytest.raises(ConfigError, match="no rule set holds"):
        bundles.of_rules(by_files.folder / "rules").with_changes({name: b"rules: []"})


async def test_why_not_is_answered_by_the_rules_that_decided(by_store: Gateway) -> None:
    async with house_of(by_store) as house:
        await priority(house, "a parcel, no airship")
        ((ticket, _),) = await house.store.tickets()
        (made,) = await house.store.decisions(ticket.id)
        renamed = rulebook().replace("rule: zeppelins", "rule: airships").encode()
        await house.rules.put_live(house.mind.bundle.with_changes({LANES: renamed}), "person:li", "rename")

        reasons = Reasons(house.rules)
        first, condition, *_ = await reasons.why_not(made, "zeppelins", "en")
        assert first == "rule zeppelins did not fire."
        assert condition.startswith(("  ✗ says", "  ✗ 提到"))
        (later,) = await reasons.why_not(made, "airships", "zh")
        assert later.startswith("作此决定的规则集里没有规则 airships，它是后来才有的")


async def test_a_check_that_fails_itself_is_a_refusal_that_everybody_sees(
    by_files: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async with house_of(by_files) as house:
        monkeypatch.setattr(live, "vet", broken)
        (by_files.folder / LANES).write_text(rulebook("urgent"))
        await house.rules.look()
        assert house.rules.refusal is not None
        assert "ZeroDivisionError" in house.rules.refusal.findings[0].what
        assert await priority(house) == "high"  # the old set goes on
