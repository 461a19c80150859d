"""Inside the image, with its Python: doctor, a mail in and its ticket out, the demo. Exits 1 at the first fault."""

import json
import os
import smtplib
import subprocess
import sys
import time
import urllib.request


def ticketgate(*arguments: str) -> str:
    done = subprocess.run(["ticketgate", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"ticketgate {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def ready(within: float) -> float:
    started = time.monotonic()
    while time.monotonic() < started + within:
        try:
            with urllib.request.urlopen("http://127.0.0.1:8025/readyz", timeout=1):
                return time.monotonic() - started
        except OSError:
            time.sleep(0.1)
    sys.exit(f"not ready within {within:.0f} s")


def ticket(within: float) -> dict[str, str]:
    started = time.monotonic()
    while time.monotonic() < started + within:
        if lines := ticketgate("tickets").splitlines():
            return dict(json.loads(lines[0]))
    sys.exit(f"no ticket within {within:.0f} s")


def check_alone() -> None:
    if os.getuid() == 0:
        sys.exit("runs as root")
    try:
        with open("/opt/ticketgate/written", "w"):
            sys.exit("the root file system can be written to")
    except OSError:
        pass
    for tool in ("pip", "uv", "gcc"):
        if any(os.path.exists(f"{folder}/{tool}") for folder in os.environ["PATH"].split(":")):
            sys.exit(f"{tool} is in the image")


def main() -> None:
    check_alone()
    print(f"  user {os.getuid()}, Python {sys.version.split()[0]}, root read-only, no pip, uv or gcc")
    print(f"  doctor: {len(ticketgate('doctor').splitlines())} findings, all well")
    with subprocess.Popen(["ticketgate", "serve"], stderr=subprocess.DEVNULL) as gateway:
        try:
            print(f"  ready after {ready(60):.1f} s")
            with smtplib.SMTP("127.0.0.1", 2525, timeout=10) as client:
                mail = "From: li@example.cn\r\nTo: support@example.com\r\n\r\nI want a refund for order 123.\r\n"
                client.sendmail("li@example.cn", ["support@example.com"], mail)
            print(f"  a mail in, its ticket out: {ticket(30)['number']}")
        finally:
            gateway.terminate()
    if gateway.returncode:
        sys.exit(f"serve ended with {gateway.returncode}")
    ticketgate("demo", "--once")
    print("  demo --once: as it must be")
    if sys.version_info < (3, 13):  # durable_rules cannot be imported there
        ticketgate("demo", "--once", "--kernel", "durable")
        print("  demo --once --kernel durable: as it must be")


main()
