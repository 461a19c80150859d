"""A gateway on durable_rules: what it leaves to the native kernel shows, and it starts afresh before it has grown."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruled import ruled
from serving import Gateway

from gateway import kernel, settings
from normalizer.errors import ConfigError

ON_313 = sys.version_info >= (3, 13)
LEFT = 'ticketgate_kernel_fallbacks_total{reason="compiled"} 1.0'


def on_durable(folder: Path) -> Gateway:
    gateway = ruled(folder)
    gateway.config.write_text(gateway.config.read_text() + "kernel: durable\nkernel_reloads: 1\n")
    return gateway


def rules(tag: str) -> str:
    """One rule that comes to more alternatives than the library is given, and one that does not."""
    many = [{"any": [{"tags": f"a{i}"}, {"subject": f"b{i}"}, {"category": "complaint"}]} for i in range(9)]
    made: list[dict[str, Any]] = [
        {"rule": "many", "when": many, "then": {"tag": "never"}},
        {"rule": "zeppelins", "when": {"says": "zeppelin"}, "then": {"tag": tag}},
    ]
    return json.dumps({"rulebook": "lanes", "rules": made})


def until(true: Callable[[], bool], gateway: Gateway, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if true():
                return
        except OSError:
            pass  # between two lives
        time.sleep(0.1)
    raise AssertionError(gateway.log.read_text()[-3000:])


def tags_of(gateway: Gateway, key: str) -> list[str]:
    gateway.mail(f"From: li@example.cn\r\nMessage-ID: <{key}@x>\r\nSubject: {key}\r\n\r\nmy zeppelin is lost".encode())
    gateway.settle()
    return next(list(ticket["tags"]) for ticket in gateway.tickets() if ticket["subject"] == key)


@pytest.mark.skipif(ON_313, reason="durable_rules cannot be imported on Python 3.13")
def test_it_tells_what_it_leaves_and_starts_afresh_after_so_many_reloads(tmp_path: Path) -> None:
    gateway = on_durable(tmp_path)
    lanes = tmp_path / "rules" / "60-lanes.yaml"
    lanes.write_text(rules("airborne"))
    warned = gateway.cli("rules", "check", "--lang", "en")
    assert "kernel 'many' is decided by the native kernel: it comes to" in warned
    with gateway:
        assert gateway.process
        identity = gateway.process.pid
        assert LEFT in gateway.get("/metrics")
        assert "many: it comes to" in gateway.log.read_text()
        assert "airborne" in tags_of(gateway, "first")
        assert gateway.metric("ticketgate_kernel_loads") == 1
        lanes.write_text(rules("adrift"))
        until(lambda: gateway.log.read_text().count("starting afresh") == 1, gateway)
        until(lambda: gateway.metric("ticketgate_kernel_loads") == 1, gateway)
        gateway.wait_ready()
        assert gateway.process.pid == identity
        assert gateway.process.poll() is None
        assert "adrift" in tags_of(gateway, "second")
        assert gateway.stop() == 0


def test_without_the_library_the_start_stops_at_the_line_that_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = on_durable(tmp_path)
    monkeypatch.setenv("TEST_SHOP_SECRET", gateway.shop_secret)
    monkeypatch.setenv("TEST_DESK_SECRET", gateway.desk_secret)
    monkeypatch.setitem(sys.modules, "durable_rules_engine", None)
    from engine.rulebook import load
    from engine.vocabulary import Vocabulary

    ruleset = load(
        {"t.yaml": "rulebook: t\nrules: [{rule: a, then: {tag: x}}]"}, Vocabulary(categories={}, subcategories={})
    )
    with pytest.raises(ConfigError, match="extra `durable`") as raised:
        kernel.running(settings.read(gateway.config), ruleset)
    assert "kernel: durable" in gateway.config.read_text().splitlines()[raised.value.where.line - 1]
