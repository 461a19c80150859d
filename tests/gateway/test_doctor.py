"""`ticketgate doctor` tries every account for real."""

import json
import socket
from pathlib import Path

import pytest
from redis_server import RedisServer
from serving import Desk, Gateway, MailSink

from gateway import settings
from normalizer.errors import ConfigError


def findings(gateway: Gateway) -> dict[str, dict[str, str]]:
    done = gateway._run("doctor", "--json")
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return {row["what"]: row for row in map(json.loads, done.stdout.splitlines())}


def test_what_is_well_is_said_to_be_and_nothing_is_sent(tmp_path: Path) -> None:
    with MailSink() as sink, Desk() as desk:
        seen = findings(Gateway(tmp_path, mail_sink=sink.port, desk=desk.port))
        assert {row["well"] for row in seen.values()} == {"ok"}
        assert "answers" in seen["email_smtp/support relay"]["found"]
        assert "answers" in seen["helpdesk desk"]["found"]
        assert "tests pass" in seen["rules"]["found"]
        assert (sink.mails, desk.received) == ([], [])


def test_a_relay_that_is_down_is_named(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    seen = findings(gateway)
    assert seen["email_smtp/support relay"]["well"] == "BAD"
    assert seen["helpdesk desk"]["well"] == "BAD"
    assert gateway._run("doctor").returncode == 1


def test_a_socket_in_the_file_system_is_looked_at_too(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    text = gateway.config.read_text()
    for path, sign in (("lmtp.sock", "ok"), ("missing/lmtp.sock", "BAD")):
        gateway.config.write_text(text.replace(f"127.0.0.1:{gateway.smtp}", f"unix:{path}"))
        rows = [row for what, row in findings(gateway).items() if what.startswith("email_smtp/support unix:")]
        assert [row["well"] for row in rows] == [sign]


def test_settings_that_cannot_be_read_are_told_with_their_place(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    gateway.config.write_text(gateway.config.read_text().replace("outbound: on", "outbund: on"))
    (row,) = findings(gateway).values()
    assert (row["well"], row["what"]) == ("BAD", "settings and rules")
    assert "ticketgate.yaml:4:" in row["found"]


def test_redis_is_tried_and_its_password_stays_out_of_sight(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    assert "redis" not in findings(gateway)
    with RedisServer("open/sesame") as server:
        url = f"redis://localhost:{server.port}"
        told = f"redis: {{url: {url}, password: {{file: word}}}}\n{gateway.config.read_text()}"
        gateway.config.write_text(told)
        (tmp_path / "word").write_text("open/sesame")
        well = findings(gateway)["redis"]
        (tmp_path / "word").write_text("open/sesam")
        wrong = findings(gateway)["redis"]
    gone = findings(gateway)["redis"]
    assert well["well"] == "ok" and f"localhost:{server.port} rings" in well["found"]
    assert wrong["well"] == gone["well"] == "BAD"
    assert "invalid username-password" in wrong["found"] and "Error 111" in gone["found"]
    assert "sesam" not in str((well, wrong, gone))


@pytest.mark.parametrize("clear", ["redis://:sesame@localhost:6379/0", "{url: redis://localhost, password: sesame}"])
def test_a_password_of_redis_in_clear_is_refused(tmp_path: Path, clear: str) -> None:
    (tmp_path / "ticketgate.yaml").write_text(f"redis: {clear}\n")
    with pytest.raises(ConfigError, match="a secret stands here in clear") as refused:
        settings.read(tmp_path / "ticketgate.yaml")
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize("url", ["localhost:6379", "redis://", "redis://:ses/ame@localhost/0", "http://localhost:6379"])
def test_what_is_no_address_of_redis_is_refused(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ticketgate.yaml").write_text("company: x\n")
    monkeypatch.setenv("TICKETGATE_REDIS__URL", url)
    with pytest.raises(ConfigError, match="must be redis://HOST") as refused:
        settings.read(tmp_path / "ticketgate.yaml")
    assert "ses/" not in str(refused.value)


def test_redis_may_come_from_the_environment_whole_or_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ticketgate.yaml").write_text("redis: redis://localhost:6379/3\n")
    assert settings.read(tmp_path / "ticketgate.yaml").settings.redis.password is None
    monkeypatch.setenv("TICKETGATE_REDIS__PASSWORD", "sesame")
    told = settings.read(tmp_path / "ticketgate.yaml").settings.redis
    assert told.url.get_secret_value() == "redis://localhost:6379/3" and told.password is not None
    monkeypatch.delenv("TICKETGATE_REDIS__PASSWORD")
    monkeypatch.setenv("TICKETGATE_REDIS", "rediss://:a@b.example:6380/0")
    assert settings.read(tmp_path / "ticketgate.yaml").settings.redis.url.get_secret_value().startswith("rediss:")


def test_a_relay_is_greeted_and_logged_in_to(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    text = gateway.config.read_text()
    with MailSink() as sink:
        for way, said in (
            ("tls: starttls", "cannot talk to the relay"),
            ("tls: none, username: li, password: {file: word}", "AUTH"),
        ):
            (tmp_path / "word").write_text("sesame")
            gateway.config.write_text(text.replace("port: 1, tls: none", f"port: {sink.port}, {way}"))
            told = findings(gateway)["email_smtp/support relay"]
            assert told["well"] == "BAD" and said in told["found"], told
            assert "sesame" not in str(told)


def test_a_port_that_somebody_else_holds_is_not_well_and_that_of_our_gateway_is(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    port = f"http 127.0.0.1:{gateway.http}"
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", gateway.http))
        squatter.listen()
        assert findings(gateway)[port]["well"] == "BAD"
    with gateway.start():
        assert findings(gateway)[port] == {
            "well": "ok", "what": port, "found": "in use: a gateway works on this data folder", "hint": "",
        }  # fmt: skip


def test_a_helpdesk_inside_that_is_not_let_in_is_not_well(tmp_path: Path) -> None:
    with Desk() as desk:
        gateway = Gateway(tmp_path, desk=desk.port)
        gateway.config.write_text(gateway.config.read_text().replace(", allow_private: true", ""))
        told = findings(gateway)["helpdesk desk"]
    assert (told["well"], told["hint"]) == ("BAD", "allow_private: true")


def test_a_variable_that_sets_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKETGATE_OUTBOND", "off")
    monkeypatch.setenv("TICKETGATE_HTTP__MAX_BODY", "1000000")
    told = {what: row for what, row in findings(Gateway(tmp_path)).items() if what.startswith("environment")}
    assert list(told) == ["environment TICKETGATE_OUTBOND"]
    assert told["environment TICKETGATE_OUTBOND"]["hint"] == "TICKETGATE_OUTBOUND?"
