"""What the console's pages take the server, with many tickets: the middle and the worst of several, by Server-Timing.

    python tests/bench/console.py 100000 [FOLDER]     fill a data folder (kept if FOLDER is named) and ask for every page

Requests come one after another over HTTP from a real gateway with a session's cookie. The bar is 100 ms a page.
"""

import argparse
import asyncio
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import httpx
from many import fill
from serving import Gateway

from gateway import settings, wire

BAR = 100.0  # milliseconds
TIMES = 9


async def filled(gateway: Gateway, many: int) -> tuple[str, str]:
    """Number of a new ticket and its contact's id."""
    store = await wire.open_store(settings.read(gateway.config))
    try:
        if not (await store.counts()).tickets:
            await fill(store, many, progress=lambda n: print(n, end="\r", file=sys.stderr))
        (ticket, contact), *_ = await store.tickets(limit=1)
        return ticket.number, contact.id
    finally:
        await store.close()


def measure(gateway: Gateway, number: str, contact: str) -> bool:
    with httpx.Client(base_url=f"http://127.0.0.1:{gateway.http}", timeout=60) as browser:
        browser.get("/console/")
        listed = browser.get("/console/").text
        views = re.findall(r'href="(/console/\?view=[^"]+)"', listed)
        far = browser.get("/console/?status=closed").text
        older = re.search(r'href="([^"]+)" rel="next"', far)
        pages = [
            "/console/", *views, "/console/?status=closed", older[1].replace("&amp;", "&") if older else "/console/",
            "/console/?q=退款", "/console/?q=王芳", f"/console/?q={number}", "/console/?priority=urgent&status=new",
            f"/console/tickets/{number}", f"/console/contacts/{contact}", "/console/new", "/console/quarantine",
            "/console/outbox", "/console/outbox?state=sent", "/console/journal", "/console/journal?state=waiting",
            "/console/health",
        ]  # fmt: skip
        slow = [page for page in dict.fromkeys(pages) if not told(browser, page)]
        return not slow


def told(browser: httpx.Client, page: str) -> bool:
    """Print what it took; False if its middle is over the bar."""
    taken = sorted(_server(browser.get(page)) for _ in range(TIMES))
    middle = taken[TIMES // 2]
    print(f"{middle:8.1f} ms  worst {taken[-1]:7.1f}  {page}{'   OVER' if middle > BAR else ''}")
    return middle <= BAR


def _server(answer: httpx.Response) -> float:
    answer.raise_for_status()
    return float(answer.headers["server-timing"].partition("dur=")[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("many", type=int)
    parser.add_argument("folder", type=Path, nargs="?")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as fresh:
        gateway = Gateway(asked.folder or Path(fresh), outbound="off")
        number, contact = asyncio.run(filled(gateway, asked.many))
        with gateway.start():
            sys.exit(not measure(gateway, number, contact))


if __name__ == "__main__":
    main()
