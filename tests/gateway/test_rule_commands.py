"""`ticketgate rules check | test | schema | graph | bench` on folders of rulebooks, as an operator calls them."""

import asyncio
import json
import tracemalloc
from pathlib import Path
from xml.etree import ElementTree

import pytest
import structlog
from click.testing import Result
from ruled import drain, house_of, ruled, said
from typer.testing import CliRunner

from gateway.cli import app

BOOK = """rulebook: shop
rules:
  - rule: complaints
    when: {category: complaint}
    then: {route: complaints, set: {priority: high}}
  - rule: vip
    layer: customer
    when: {contact.tier: vip, any: [{channel: email}, {channel: sms}]}
    then: {route: senior}
tests:
  - name: a complaint goes to the desk for it
    given: {category: complaint}
    expect: {group: complaints, fired: [complaints], fired_exactly: [complaints]}
"""
MAIL = "From: a@example.org\nTo: support@example.com\nSubject: Complaint\nMessage-ID: <1@example.org>\n\nI want to complain about you.\n"


def rules(*arguments: str) -> Result:
    try:
        return CliRunner().invoke(app, ["rules", *arguments], env={"LANG": "en"})
    finally:
        structlog.reset_defaults()  # what it logs to is closed by now, and other tests log in this process


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(BOOK)
    return tmp_path


def test_rulebooks_without_a_fault_exit_0(shop: Path) -> None:
    done = rules("check", str(shop))
    assert (done.exit_code, done.stdout) == (0, ""), done.output
    assert "nothing is wrong" in done.stderr


def test_an_error_is_one_line_at_its_place_and_exits_1(shop: Path) -> None:
    (shop / "bad.yaml").write_text("rulebook: bad\nrules:\n  - rule: x\n    when: {categry: y}\n    then: {tag: z}\n")
    done = rules("check", str(shop))
    assert done.exit_code == 1
    assert done.stdout == (f"{shop}/bad.yaml:4:12: unknown-field unknown field 'categry' (did you mean 'category'?)\n")
    assert "1 error" in done.stderr
    assert "没有字段 'categry' (是不是 'category'？)" in rules("check", str(shop), "--lang", "zh").stdout


def test_a_warning_exits_0_and_is_told_to_programs_in_both_languages(shop: Path) -> None:
    (shop / "more.yaml").write_text(
        "rulebook: more\nrules:\n  - rule: sms\n    when: {channel: sms}\n    then: {route: english}\n"
    )
    done = rules("check", str(shop), "--json")
    assert done.exit_code == 0
    (told,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (told["code"], told["severity"], told["line"]) == ("contested", "warning", 5)
    assert told["given"] == {"trigger": "ticket.created", "channel": "sms", "category": "complaint"}
    assert "争" not in told["message"]["en"] and "名称" in told["message"]["zh"]


@pytest.mark.parametrize("name", ["more.yml", "more.yaml.txt", "More.YAML"])
def test_a_rulebook_that_is_not_read_for_its_name_is_a_warning(shop: Path, name: str) -> None:
    (shop / name).write_text(BOOK.replace("shop", "more"))
    done = rules("check", str(shop))
    assert done.exit_code == 0
    assert done.stdout == f"{shop}/{name}: not-read only files that end in .yaml are read (name it more.yaml)\n"


def test_a_promise_in_a_template_is_an_error(shop: Path) -> None:
    (shop / "templates").mkdir()
    (shop / "templates" / "late.zh.liquid").write_text("subject: x\n\n我们会在 4 小时内回复\n")
    (shop / "templates" / "late.en.liquid").write_text("subject: x\n\nWe answer {{ promise }}\n")
    done = rules("check", str(shop))
    assert done.exit_code == 1
    assert "late.zh.liquid:3:6: fixed-promise" in done.stdout


def test_a_template_with_an_unknown_variable_is_told_at_its_place(shop: Path) -> None:
    (shop / "templates").mkdir()
    (shop / "templates" / "odd.zh.liquid").write_text("subject: x\n\n{{ nummer }}\n")
    done = rules("check", str(shop))
    assert done.exit_code == 1
    assert "odd.zh.liquid:3:" in done.stdout and "template unknown variable 'nummer'" in done.stdout


def test_examples_that_hold_exit_0(shop: Path) -> None:
    done = rules("test", str(shop))
    assert (done.exit_code, done.stdout) == (0, "")
    assert "1 examples, 0 failed" in done.stderr


def test_what_fails_is_told_with_place_expected_found_and_who_wrote_it(shop: Path) -> None:
    (shop / "tests").mkdir()
    (shop / "tests" / "more.yaml").write_text(
        "tests:\n  - name: wrong\n    given: {category: complaint, channel: sms, contact: {tier: vip}}\n"
        "    expect: {group: complaints, priority: high, fired_exactly: [vip]}\n"
    )
    done = rules("test", str(shop))
    assert done.exit_code == 1
    place = f"{shop}/tests/more.yaml:4"
    assert done.stdout.splitlines() == [
        f"{place}:14: wrong: group is senior, not complaints (written by vip, over complaints)",
        f"{place}:49: wrong: fired_exactly is [complaints, vip], not [vip]",
    ]
    assert "2 examples, 1 failed" in done.stderr
    told = [json.loads(line) for line in rules("test", str(shop), "--json").stdout.splitlines()]
    assert [(one["name"], one["well"], one.get("by")) for one in told] == [
        ("a complaint goes to the desk for it", True, None), ("wrong", False, "vip"), ("wrong", False, ""),
    ]  # fmt: skip


def test_coverage_names_rules_and_conditions_that_no_example_tries(shop: Path) -> None:
    done = rules("test", str(shop), "--coverage")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        f"{shop}/shop.yaml:3:5: complaints: never fails: category: complaint",
        f"{shop}/shop.yaml:6:5: vip: never fires; never holds: contact.tier: vip; never holds: channel: sms; "
        "never fails: channel: email",
    ]
    assert "1 of 2 rules fire, 4 of 8 sides of conditions are tried" in done.stderr


def test_a_scenario_runs_from_the_raw_mail_to_the_decision(shop: Path) -> None:
    (shop / "tests" / "mails").mkdir(parents=True)
    (shop / "tests" / "mails" / "complaint.eml").write_text(MAIL)
    raw = json.dumps(MAIL)
    (shop / "tests" / "mails.yaml").write_text(
        "tests:\n  - name: by file\n    end_to_end: {channel: email, file: mails/complaint.eml}\n"
        "    expect: {category: complaint, group: complaints, fired: [complaints]}\n"
        f"  - name: in place\n    end_to_end: {{raw: {raw}}}\n    expect: {{category: 投诉, priority: low}}\n"
    )
    done = rules("test", str(shop))
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"{shop}/tests/mails.yaml:7:28: in place: priority is high, not low (written by complaints)"
    ]
    assert "3 examples, 1 failed" in done.stderr


def test_a_scenario_without_its_file_says_where(shop: Path) -> None:
    (shop / "tests").mkdir()
    (shop / "tests" / "mails.yaml").write_text(
        "tests:\n  - name: x\n    end_to_end: {file: no.eml}\n    expect: {category: complaint}\n"
    )
    done = rules("test", str(shop))
    assert done.exit_code == 1
    assert str(done.exception).startswith(f"{shop}/tests/mails.yaml:3:24: {shop}/tests/no.eml cannot be read")


def test_the_schema_is_that_of_this_deployment(shop: Path) -> None:
    done = rules("schema", str(shop))
    assert done.exit_code == 0
    made = json.loads(done.stdout)
    assert "complaints" in made["$defs"]["of.group"]["enum"]
    assert "received-vip" in made["$defs"]["actions"]["properties"]["acknowledge"]["enum"]


def test_the_graph_is_drawn_as_mermaid_and_as_svg(shop: Path) -> None:
    (shop / "more.yaml").write_text(
        "rulebook: more\nrules:\n  - rule: <late>\n    when: {group: senior}\n    then: {tag: late}\n"
    )
    drawn = rules("graph", str(shop)).stdout
    assert drawn.startswith("flowchart LR\n")
    assert '-->|"group"| r2' in drawn and 'r2["&lt;late>"]' in drawn
    root = ElementTree.fromstring(rules("graph", str(shop), "--as", "svg").stdout)
    named = {node.text for node in root.iter("{http://www.w3.org/2000/svg}text")}
    assert named == {"1", "2", "complaints", "vip", "<late>"}
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) == 3  # two arrows and their head


def test_bench_tells_how_quick_and_what_is_slow(shop: Path) -> None:
    done = rules("bench", str(shop), "--tickets", "20", "--slowest", "1", "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert (told["tickets"], told["rules"], told["kernel"]) == (20, 2, "native")
    assert told["per_second"] > 10 and told["worst"] > 0
    assert [set(one) for one in told["slow"]] == [{"rule", "where", "conditions", "microseconds"}]


def test_a_file_of_100_megabytes_is_not_even_read(shop: Path) -> None:
    with (shop / "large.yaml").open("wb") as large:
        large.truncate(100_000_000)
    tracemalloc.start()
    done = rules("check", str(shop))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert done.exit_code == 1
    assert done.stdout.startswith(f"{shop}/large.yaml: too-large larger than 33554432 bytes (split it)")
    assert peak < 60_000_000


@pytest.mark.parametrize("encoding", ["utf-16", "gb18030", "latin-1"])
def test_a_file_that_is_no_utf_8_is_told(shop: Path, encoding: str) -> None:
    (shop / "other.yaml").write_text("rulebook: x\nabout: ¡é÷¨\nrules: []\n", encoding=encoding)
    done = rules("check", str(shop))
    assert done.exit_code == 1
    assert "other.yaml" in done.stdout and "(save it as UTF-8)" in done.stdout


def test_a_byte_order_mark_hurts_nobody(shop: Path) -> None:
    (shop / "shop.yaml").write_text(BOOK, encoding="utf-8-sig")
    assert rules("check", str(shop)).exit_code == 0


def test_rules_that_did_not_fire_are_told_from_what_was_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_SHOP_SECRET", "whsec_" + "A" * 32)
    monkeypatch.setenv("TEST_DESK_SECRET", "whsec_" + "A" * 32)
    gateway = ruled(tmp_path)
    house = ("--config", str(gateway.config))
    assert "nothing was decided" in str(rules("bench", "--recorded", "7d", *house).exception)

    async def one_mail() -> None:
        async with house_of(gateway) as opened:
            await said(opened, "my zeppelin is lost")
            await drain(opened)

    asyncio.run(one_mail())
    done = rules("check", "--since", "30d", "--json", *house)
    assert done.exit_code == 0, done.output
    dead = {
        told["message"]["en"].split("'")[1]
        for told in map(json.loads, done.stdout.splitlines())
        if told["code"] == "dead"
    }
    assert "seniors-for-vips" in dead and not dead & {"zeppelins", "received"}
    assert json.loads(rules("bench", "--recorded", "7d", "--json", *house).stdout)["tickets"] == 1
    assert rules("check", "--since", "long", *house).exit_code == 2
