"""Redis is killed and started again under load. Nothing is lost, and within ten seconds it wakes everybody again."""

import random
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from postgres import Postgres
from redis_server import RedisServer
from serving import Desk, Gateway, MailSink
from storm import Sender, chat, mail

LONGEST = 10.0
WORKERS = {"TICKETGATE_WORKERS": "2"}
PROCESSES = 6  # those two among them


class Probe:
    """A message handed in and waited for: how long until it is a ticket."""

    def __init__(self, gateway: Gateway) -> None:
        (row,) = gateway.json("keys", "add", "probe", "--scope", "messages:write")
        secret = next(value for name, value in row.items() if name.startswith("secret"))
        self.url = f"http://127.0.0.1:{gateway.http}/api/v1/messages"
        self.headers = {"authorization": f"Bearer {secret}", "prefer": "wait=10"}
        self.count = 0

    def __call__(self) -> float:
        self.count += 1
        said = {"text": "在吗", "from": {"email": f"probe{self.count}@example.cn"}}
        started = time.monotonic()
        answer = httpx.post(self.url, json=said, headers=self.headers, timeout=20)
        assert answer.status_code == 202 and answer.json()["state"] == "done", answer.text
        return time.monotonic() - started


@pytest.mark.timeout(3600)
def test_nothing_is_lost_however_often_redis_is_killed(
    tmp_path: Path, postgres: Postgres, request: pytest.FixtureRequest
) -> None:
    kills, dice = int(request.config.getoption("--redis-kills")), random.Random(1)
    away, back, woken = [], [], []
    with RedisServer() as redis, MailSink() as sink, Desk() as desk, ExitStack() as running:
        gateway = Gateway(tmp_path, mail_sink=sink.port, desk=desk.port)
        (tmp_path / "store").write_text(postgres.url(postgres.database()))
        gateway.config.write_text(f"redis: {redis.url}\nstore: {{url: {{file: store}}}}\n{gateway.config.read_text()}")
        running.enter_context(gateway.start(roles="accept"))
        everybody = [gateway]
        for roles, more in (("process", WORKERS), ("process", {}), ("dispatch,console", {})):
            everybody.append(running.enter_context(gateway.beside(roles, more)))
        probe = Probe(gateway)
        senders = [Sender(gateway, send, send.__name__, pause=0.1) for send in (mail, chat)]
        threads = [threading.Thread(target=sender.run, daemon=True) for sender in senders]
        for thread in threads:
            thread.start()

        name = f'ticketgate_redis_connected{{server="localhost:{redis.port}"}}'

        def connected() -> bool:
            return all(one.metric(name) == 1 for one in everybody)

        for n in range(kills):
            redis.kill()
            away.append(probe())
            time.sleep(dice.uniform(0, 1))
            away.append(probe())
            assert all(one.get("/readyz") == "ready\n" for one in everybody)
            assert gateway.metric(name) == 0
            redis.start()
            started = time.monotonic()
            while not connected():
                assert time.monotonic() - started < LONGEST
                time.sleep(0.05)
            back.append(time.monotonic() - started)
            woken.append(probe())
            if n % 3 == 2:  # a worker too: what it had in hand another one takes up, once its lease is over
                everybody[1].kill()
                everybody[1] = running.enter_context(gateway.beside("process", WORKERS))
        for sender in senders:
            sender.stop.set()
        for thread in threads:
            thread.join(30)
        gateway.settle(120)
        said = gateway.log.read_text()
    accepted = [identity for sender in senders for identity in sender.accepted]
    tickets = gateway.tickets()
    kept = Counter(message["external_id"].removesuffix("@example.cn") for one in tickets for message in one["messages"])
    print(f"\n{kills} kills, {len(accepted)} accepted; back within {max(back):.1f} s; "
          f"a ticket after {max(away):.2f} s without, {max(woken):.2f} s with")  # fmt: skip
    assert [identity for identity in accepted if identity not in kept] == []
    assert [identity for identity, times in kept.items() if times > 1] == []
    assert len(sink.mails) == len(tickets) - probe.count == len(accepted)  # by the API nobody is answered here
    assert max(away + woken) < LONGEST
    assert 0 < said.count("redis is away") == said.count("redis is back") <= 2 * kills * PROCESSES
    assert '"level": "error"' not in said
