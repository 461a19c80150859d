"""What a backup costs: time and size for many tickets, and what those notice who send meanwhile.

    python tests/bench/backing_up.py [TICKETS]

A gateway is filled over HTTP; then one sender posts webhooks one after the other, with and without a backup running
beside it, in turns, so that what else the machine does strikes both alike.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from serving import Gateway, sign
from storm import WORDS

BATCH = 50
TURNS = 6


def send(gateway: Gateway, name: str, many: int) -> float:
    """Seconds until that many new messages, in one request, were durably ours."""
    said = [
        {
            "id": f"{name}-{n}",
            "text": WORDS[n % len(WORDS)].format(n=n),
            "from": f"{name}-{n}@example.cn",
            "name": "客户",
        }
        for n in range(many)
    ]
    body = json.dumps({"messages": said}, ensure_ascii=False).encode()
    headers = sign(gateway.shop_secret, name, body)
    started = time.perf_counter()
    connection = HTTPConnection("127.0.0.1", gateway.http, timeout=60)
    connection.request("POST", "/in/webhook/shop", body, headers)
    assert connection.getresponse().status < 300
    connection.close()
    return time.perf_counter() - started


def alone(gateway: Gateway, name: str, seconds: float) -> list[float]:
    until, took = time.monotonic() + seconds, []
    while time.monotonic() < until:
        took.append(send(gateway, f"{name}-{len(took)}", 1))
        time.sleep(0.02)
    return took


def beside(gateway: Gateway, name: str, file: Path) -> tuple[list[float], dict[str, object]]:
    command = [sys.executable, "-m", "gateway", "backup", str(file), "--config", str(gateway.config)]
    with subprocess.Popen(command, env={**os.environ, **gateway.environment}, stdout=subprocess.PIPE) as run:
        took: list[float] = []
        while run.poll() is None:
            took.append(send(gateway, f"{name}-{len(took)}", 1))
            time.sleep(0.02)
        assert run.stdout
        return took, json.loads(run.stdout.read())


def told(what: str, took: list[float]) -> None:
    ordered = sorted(took)
    p99 = ordered[int(len(ordered) * 0.99)]
    print(
        f"{what:16} {len(took):5} requests  p50 {statistics.median(took) * 1000:6.1f} ms  "
        f"p99 {p99 * 1000:6.1f} ms  max {ordered[-1] * 1000:6.1f} ms"
    )


def main(tickets: int) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        gateway = Gateway(Path(folder) / "house", outbound="off")
        with gateway.start():
            for n in range(tickets // BATCH):
                send(gateway, f"fill{n}", BATCH)
            gateway.settle(1800)
            without: list[float] = []
            within: list[float] = []
            for turn in range(TURNS):
                file = Path(folder) / f"{turn}.backup"
                took, made = beside(gateway, f"beside{turn}", file)
                within += took
                without += alone(gateway, f"alone{turn}", 4)
                print(f"{made['tickets']} tickets: {made['bytes']} bytes in {made['seconds']} s")
            told("without a backup", without)
            told("beside a backup", within)
            started = time.perf_counter()
            gateway.cli("restore", str(file), "--into", f"{folder}/again")
            print(f"restored in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
