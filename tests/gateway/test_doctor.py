"""`ticketgate doctor` tries every account for real."""

import json
from pathlib import Path

from redis_server import RedisServer
from serving import Desk, Gateway, MailSink


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
    gateway.config.write_text(f"redis: {{file: redis}}\n{gateway.config.read_text()}")
    with RedisServer("open-sesame") as server:
        (tmp_path / "redis").write_text(server.url)
        well = findings(gateway)["redis"]
        (tmp_path / "redis").write_text(server.url.replace("sesame", "sesam"))
        wrong = findings(gateway)["redis"]
    (tmp_path / "redis").write_text(server.url)
    gone = findings(gateway)["redis"]
    assert well["well"] == "ok" and f"localhost:{server.port} rings" in well["found"]
    assert wrong["well"] == gone["well"] == "BAD"
    assert "invalid username-password" in wrong["found"] and "Error 111" in gone["found"]
    assert "sesam" not in str((well, wrong, gone))


def test_a_password_of_redis_in_clear_is_refused(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    text = gateway.config.read_text()
    for url, told in (
        ("redis://:sesame@localhost:6379/0", "a secret stands here in clear"),
        ("{file: redis}", "must be redis://HOST"),
        ("localhost:6379", "must be redis://HOST"),
    ):
        (tmp_path / "redis").write_text("redis://:ses/ame@localhost:6379/0")
        gateway.config.write_text(f"redis: {url}\n{text}")
        (row,) = findings(gateway).values()
        assert told in row["found"] and "ame" not in row["found"].replace("%2F", "").replace("name", "")
