"""Mail and webhooks pour in, each sent until it is accepted; the gateway is killed again and again; then we count.

A sender here is like every sender outside: it repeats what was not answered, and forgets what was.
"""

import contextlib
import itertools
import json
import random
import shutil
import smtplib
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from serving import START_WITHIN, Gateway, sign

FAULTS = (
    "journal.before_commit", "journal.after_commit", "blob.before_sync", "blob.before_rename", "blob.after_rename",
    "blob.after_sync", "claim.before_commit", "claim.after_commit", "process.after_read", "process.after_find",
    "number.before_commit", "number.after_commit", "commit.before_commit", "commit.after_commit", "due.before_commit",
    "due.after_commit", "settle.before_commit", "settle.after_commit", "refuse.before_commit", "refuse.after_commit",
    "set_aside.before_commit", "set_aside.after_commit", "ring.before_commit", "ring.after_commit", "call.before",
    "call.after",
)  # fmt: skip
OF_WORKERS = (
    "process.after_read", "commit.before_commit", "claim.after_commit", "commit.after_commit", "number.after_commit",
    "process.after_find", "set_aside.before_commit", "claim.before_commit",
)  # fmt: skip
WORDS = (
    "订单号{n}，物流显示已签收但未收到货",
    "要求退款，订单号 {n}，质量太差",
    "Where is my order #{n}? It is late.",
    "请问发票怎么开？{n}",
)
WORKED = """
rulebook: storm
rules:
  - rule: invoice
    when: {says: 发票怎么开}
    then:
      task: {title: 开票, group: billing, due: 4h}
      call: {target: erp, with: {what: invoice}}
      wait: {for: 1s, unless: customer_speaks, then: {tag: quiet}}
"""


def with_work(gateway: Gateway) -> None:
    """The rules that come along, and one that opens a task, calls the desk and waits, for every fourth message."""
    rules = gateway.folder / "rules"
    shutil.copytree(Path(__file__).parents[2] / "rules", rules, ignore=shutil.ignore_patterns("examples"))
    (rules / "90-storm.yaml").write_text(WORKED)
    url = f"http://127.0.0.1:{gateway.desk}/calls"
    call = f'calls:\n  - {{name: erp, url: "{url}", secret: {{env: TEST_DESK_SECRET}}, allow_private: true}}\n'
    gateway.config.write_text(f"rules: rules\n{call}" + gateway.config.read_text())


@dataclass
class Sender:
    """Sends one thing after another, each until it is accepted. `accepted` is what the gateway promised to keep."""

    gateway: Gateway
    send: Callable[[Gateway, str, int], bool]
    name: str
    accepted: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    pause: float = 0.0  # seconds between two

    def run(self) -> None:
        for n in itertools.count():
            identity = f"{self.name}-{n}"
            while not self._sent(identity, n):
                if self.stop.is_set():
                    return
                time.sleep(0.02)
            self.accepted.append(identity)
            time.sleep(self.pause)
            if self.stop.is_set():
                return

    def _sent(self, identity: str, n: int) -> bool:
        try:
            return self.send(self.gateway, identity, n)
        except (OSError, smtplib.SMTPException, HTTPException):
            return False


def mail(gateway: Gateway, identity: str, n: int) -> bool:
    """One mail, every tenth with 300 KB of attachment so that blob files are written too."""
    made = EmailMessage()
    made["From"] = f"客户 {identity} <{identity}@example.cn>"
    made["To"] = "support@example.com"
    made["Subject"] = f"问题 {n}"
    made["Message-ID"] = f"<{identity}@example.cn>"
    made.set_content(WORDS[n % len(WORDS)].format(n=n))
    if n % 10 == 9:
        made.add_attachment(
            random.Random(identity).randbytes(300_000), maintype="image", subtype="jpeg", filename="照片.jpg"
        )
    gateway.mail(made.as_bytes(), sender=f"{identity}@example.cn")
    return True


def chat(gateway: Gateway, identity: str, n: int) -> bool:
    """A webhook with one new message, and the one before it again, as channels do that retry in other batches."""
    prefix = identity.rpartition("-")[0]
    numbers = [n - 1, n] if n % 3 == 2 else [n]
    said = [
        {
            "id": f"{prefix}-{k}",
            "text": WORDS[k % len(WORDS)].format(n=k),
            "from": f"{prefix}-{k}@example.cn",
            "name": "客户",
        }
        for k in numbers
    ]
    body = json.dumps({"messages": said}, ensure_ascii=False).encode()
    connection = HTTPConnection("127.0.0.1", gateway.http, timeout=10)
    try:
        connection.request("POST", "/in/webhook/shop", body, sign(gateway.shop_secret, f"hook-{identity}", body))
        return connection.getresponse().status < 300
    finally:
        connection.close()


class Commenting:
    """Words of colleagues beside tickets that are there, by the API, with a key that makes each of them once."""

    def __init__(self, gateway: Gateway) -> None:
        (row,) = gateway.json("keys", "add", "storm", "--scope", "tickets:read", "--scope", "tickets:write")
        self.headers = {"authorization": "Bearer " + next(v for name, v in row.items() if name.startswith("secret"))}
        self.about: dict[str, str] = {}  # ticket by comment: said again, it is said of the same one

    def __call__(self, gateway: Gateway, identity: str, n: int) -> bool:
        connection = HTTPConnection("127.0.0.1", gateway.http, timeout=20)
        try:
            if identity not in self.about:
                connection.request("GET", "/api/v1/tickets?limit=1", headers=self.headers)
                self.about[identity] = json.load(connection.getresponse())["items"][0]["number"]
            said, once = (
                json.dumps({"text": identity}),
                {"idempotency-key": identity, "content-type": "application/json"},
            )
            path = f"/api/v1/tickets/{self.about[identity]}/comments"
            connection.request("POST", path, said, {**self.headers, **once})
            return connection.getresponse().status in (201, 202)
        except (IndexError, KeyError):  # no ticket yet
            return False
        finally:
            connection.close()


def rubbish(gateway: Gateway, identity: str, n: int) -> bool:
    """What is refused at the door, and what is taken in but cannot be read: both must be kept."""
    body = json.dumps({"messages": [{"id": identity, "text": "?"}]}).encode()  # nobody said it
    connection = HTTPConnection("127.0.0.1", gateway.http, timeout=10)
    try:
        key = gateway.shop_secret if n % 2 else gateway.desk_secret
        connection.request("POST", "/in/webhook/shop", body, sign(key, f"hook-{identity}", body))
        return connection.getresponse().status in (204, 401)
    finally:
        connection.close()


@dataclass
class Storm:
    """What was accepted over all lives of the gateway, and how often it died."""

    kills: int = 0
    points: Counter[str] = field(default_factory=Counter)
    accepted: set[str] = field(default_factory=set)
    commented: set[str] = field(default_factory=set)
    kept_aside: int = 0  # rubbish that was answered: it must be in quarantine


def up_or_dead(gateway: Gateway) -> bool:
    """Wait until it takes messages; False if a fault killed it on the way there."""
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline:
        if died_within(gateway, 0.02):
            return False
        with contextlib.suppress(OSError):
            return gateway.get("/readyz") == "ready\n"
    raise AssertionError("the gateway did not start")


def died_within(gateway: Gateway, seconds: float) -> bool:
    assert gateway.process
    with contextlib.suppress(subprocess.TimeoutExpired):
        gateway.process.wait(seconds)
        return True
    return False


def storm(
    gateway: Gateway, kills: int, *, seed: int = 1, command: tuple[str, ...] = (), senders: int = 2,
    points: Sequence[str] = FAULTS,
) -> Storm:  # fmt: skip
    """Kill the gateway `kills` times, every other time at a fault point, while senders pour in; leave it stopped.

    Of a gateway with workers a fault point ends the process that comes by; it is killed as a whole a little later.
    """
    dice = random.Random(seed)
    seen = Storm()
    pouring = [
        Sender(gateway, send, f"{send.__name__}{seed}x{n}") for n in range(senders) for send in (mail, chat)
    ]  # fmt: skip
    aside = Sender(gateway, rubbish, f"rubbish{seed}", pause=0.2)
    colleague = Sender(gateway, Commenting(gateway), f"comment{seed}", pause=0.1)
    everybody = [*pouring, aside, colleague]
    threads = [threading.Thread(target=sender.run, daemon=True) for sender in everybody]
    for thread in threads:
        thread.start()
    try:
        for n in range(kills):
            point = points[(n // 2) % len(points)] if n % 2 == 0 else ""
            fault = {"TICKETGATE_FAULT": f"{point}:{dice.randint(1, 4)}"} if point else {}
            gateway.start(command=command, wait=False, environment=fault)
            assert gateway.process
            if up_or_dead(gateway) and not died_within(gateway, 3 if point else dice.uniform(0.1, 1.5)):
                gateway.kill()
                seen.points["at random"] += 1
            else:
                seen.points[point] += 1
            seen.kills += 1
    finally:
        gateway.start(command=command)
        patience = time.monotonic() + 5  # a short storm may leave nobody the time for a comment
        while not colleague.accepted and time.monotonic() < patience:
            time.sleep(0.05)
        for sender in everybody:
            sender.stop.set()
        for thread in threads:
            thread.join(30)
    for sender in pouring:
        seen.accepted.update(sender.accepted)
    seen.commented = set(colleague.accepted)
    seen.kept_aside = len(aside.accepted)
    return seen
