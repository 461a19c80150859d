"""Roles as processes of their own: what one does the others hear of; what only one may do, one does."""

import os
import smtplib
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import warm
from composed import Containers, interpolated, told
from dovecot import Dovecot, letter, read_by
from postgres import PASSWORD, Postgres
from redis_server import RedisServer
from serving import Gateway


def until(true: Callable[[], object], within: float = 20) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_mailbox_is_asked_by_one_of_them_and_by_the_next_when_that_one_dies(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    with Dovecot(certificate) as dovecot:
        gateway = Gateway(tmp_path / "gateway", outbound="off")
        text = gateway.config.read_text()
        door = f'    door: {{listen: ["127.0.0.1:{gateway.smtp}"]}}\n'
        assert door in text
        gateway.config.write_text(text.replace(door, ""))  # a port cannot be had twice
        read_by(gateway, dovecot)

        def logins() -> int:
            return (dovecot.folder / "dovecot.log").read_text().count("Login: user=<support>")

        with gateway.start(roles="accept"), gateway.beside("accept,process") as second:
            until(logins)
            dovecot.mail(letter("one"))
            until(lambda: second.metric("ticketgate_tickets") == 1)
            time.sleep(1.5)
            assert logins() == 1
            gateway.kill()
            dovecot.mail(letter("two"))
            until(lambda: second.metric("ticketgate_tickets") == 2)
            assert logins() == 2


def test_what_compose_would_run_makes_a_ticket_of_a_mail_and_shows_it_in_another_process(
    tmp_path: Path, postgres: Postgres
) -> None:
    with RedisServer("for us/alone") as redis:
        given = {
            "POSTGRES_PASSWORD": PASSWORD, "REDIS_PASSWORD": redis.password, "TICKETGATE_PROCESSES": "2",
            "TICKETGATE_MASTER_KEY": b64encode(b"m" * 32).decode(),
        }  # fmt: skip
        hosts = {
            "postgres:5432/ticketgate": f"127.0.0.1:{postgres.port}/{postgres.database()}",
            "redis:6379": f"localhost:{redis.port}",
        }
        with Containers(tmp_path, given, hosts, {"TICKETGATE_SIGNIN__LOCAL": "agent"}) as containers:
            workers = int(interpolated(told()["services"]["process"]["deploy"]["replicas"], given))
            services = ["accept", *["process"] * workers, "console"]
            with ThreadPoolExecutor() as at_once:  # as Docker does: one of them sets the database up
                *_, console = at_once.map(containers.start, services)
            with httpx.Client(base_url=f"http://127.0.0.1:{console}") as browser:
                assert "问题 compose" not in browser.get("/console/").text  # which gives it a cookie
                with browser.stream("GET", "/api/v1/events") as feed:
                    heard = feed.iter_lines()
                    next(heard)
                    with smtplib.SMTP("127.0.0.1", containers.smtp) as sender:
                        sender.sendmail("li@example.cn", ["support@example.com"], letter("compose"))
                    kind = next(line for line in heard if line.startswith("event:"))
                assert kind == "event: ticket.created"
                assert "问题 compose" in browser.get("/console/").text
                connected = f'ticketgate_redis_connected{{server="localhost:{redis.port}"}} 1.0'
                assert connected in browser.get("/metrics").text
                assert "各进程之间即时唤醒" in browser.get("/console/health").text
            kept = tmp_path / "backups"
            kept.mkdir()
            command = [part.replace("/backups", str(kept)) for part in told()["services"]["backup"]["command"]]
            done = warm.run(command, environment={**os.environ, **containers.environment("backup")})
            assert done.returncode == 0 and len(list(kept.iterdir())) == 1, done.stderr.decode()
        assert not (tmp_path / "data" / "ticketgate.db").exists()
        assert '"level": "error"' not in containers.log and "redis is away" not in containers.log
