"""`ticketgate doctor`: is everything as the settings say? Each account and target is tried for real; nothing sent."""

import asyncio
import errno
import os
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from httpx import ConnectError

from connectors.base import Examined, Finding, Helpdesk, Relaying
from connectors.calling import outside
from connectors.calls import Endpoint
from connectors.imported import Imported
from connectors.places import host_and_port
from engine.trial import run_tests
from gateway import mind, settings, wire
from gateway.clock import SystemClock
from gateway.mind import Mind
from gateway.settings import Configured
from normalizer.errors import ConfigError, Refused, TicketgateError, Unavailable

ROOM_WANTED = 1024**3
SLOW_SYNC = 0.05
PATIENCE = 5.0


async def examine(config: Path | None) -> list[Finding]:
    """Everything that can be tried, in the order a message meets it."""
    try:
        configured = settings.read(config)
        known = mind.read(configured)
        targets: dict[str, Helpdesk | Endpoint] = {
            **{f"helpdesk {name}": target for name, target in wire.helpdesks(configured).items()},
            **{f"call {name}": callee for name, callee in wire.calls(configured).items()},
            **{f"events {name}": one for name, one in wire.subscribers(configured).items()},
        }
    except ConfigError as e:
        return [Finding("settings and rules", f"{e.where}: {e.what}", False, e.hint)]
    findings = [
        Finding("settings", str(configured.document.file)),
        *_misspelt(configured),
        _rules(known),
        *_disk(configured),
        *await _store(configured),
        _workers(configured),
        *await _redis(configured),
        *_ways_back(known),
    ]
    if not configured.settings.outbound:
        findings.append(Finding("outbound", "off: nothing leaves the house", hint="outbound: on, when you are ready"))
    ports = [("http", configured.settings.http.listen)]
    for (name, account), connector in known.connectors.items():
        ports.extend(
            (f"{name}/{account}", listen) for listen in getattr(getattr(connector.settings, "door", None), "listen", ())
        )
        relay = getattr(connector.settings, "relay", None)
        if relay is not None:
            findings.append(await _relays(f"{name}/{account} relay", connector, relay))
        findings.extend(
            Finding(f"{name}/{account} DKIM", f"signs; publish TXT {one.place}: {one.record}")
            for one in getattr(connector, "signers", ())
        )
        if name == "webchat" and not configured.settings.http.public_url.startswith("https:"):
            found = "browsers and apps must reach it by https, and http.public_url does not say so"
            findings.append(Finding(f"{name}/{account}", found, hint="http: {public_url: https://support.example.com}"))
        if isinstance(connector, Examined):
            findings.extend(await connector.examine(SystemClock().now()))
    running = _running(configured)
    findings.extend(_port(what, listen, running) for what, listen in ports)
    for name, target in targets.items():
        url = urlsplit(str(getattr(target.settings, "url", "")))
        if url.hostname:
            port = url.port or (443 if url.scheme == "https" else 80)
            inside = getattr(target.settings, "allow_private", True)
            findings.append(await _reaches(name, url.hostname, port, tls=url.scheme == "https", inside=inside))
    return findings


def _misspelt(configured: Configured) -> Iterator[Finding]:
    """Variables that nearly are settings: they do nothing, unless the settings file names them for a secret."""
    named = Path(configured.document.file).read_text(encoding="utf-8")
    known = {name.upper() for name in (*settings.Settings.model_fields, "config", "fault")}
    for name in sorted(os.environ):
        prefix, _, meant = name.upper().partition("__")[0].partition("_")
        if prefix != "TICKETGATE" or meant in known or name in named:
            continue
        for nearest in get_close_matches(meant, known, 1, 0.8):
            yield Finding(f"environment {name}", "no such setting: it does nothing", False, f"TICKETGATE_{nearest}?")


def _rules(known: Mind) -> Finding:
    failures = run_tests(known.ruleset, known.company)
    if failures:
        return Finding(
            "rules", f"{len(failures)} of their tests fail: {failures[0]}", False, "mend the rule or its test"
        )
    return Finding("rules", f"{len(known.ruleset.rules)} rules, set {known.ruleset.sha[:12]}, their tests pass")


def _disk(configured: Configured) -> Iterator[Finding]:
    folder = configured.data
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        free = shutil.disk_usage(folder).free
        took = _sync(folder / ".doctor")
    except OSError as e:
        yield Finding("data folder", f"{folder}: {e.strerror}", False, "make it writable, or set data: FOLDER")
        return
    yield Finding(
        "disk room", f"{free / 1024**3:.1f} GB free", free > ROOM_WANTED, "" if free > ROOM_WANTED else "make room"
    )
    yield Finding(
        "disk sync",
        f"{took * 1000:.1f} ms",
        took < SLOW_SYNC,
        "" if took < SLOW_SYNC else "a slow disk slows every answer",
    )


def _sync(file: Path) -> float:
    """Seconds of one small durable write."""
    started = time.perf_counter()
    try:
        with file.open("wb") as out:
            out.write(b"x" * 50_000)
            out.flush()
            os.fsync(out.fileno())
    finally:
        file.unlink(missing_ok=True)
    return time.perf_counter() - started


def _workers(configured: Configured) -> Finding:
    many, cores = configured.settings.worker_count, settings.usable_cores()
    said = f"{many}, on {cores} cores" if many else f"none: the gateway works alone, on {cores} cores"
    hint = "each takes about 16 MB, and they take turns at the cores" if many > cores else ""
    return Finding("worker processes", said, hint=hint)


async def _store(configured: Configured) -> list[Finding]:
    try:
        store = await wire.open_store(configured)
    except TicketgateError as e:
        return [Finding("data folder", str(e), False)]
    try:
        counts, held = await store.counts(), await store.outbox_held()
        which, wrong = await store.database.about()
    finally:
        await store.close()
    said = (
        f"{counts.tickets} tickets, {counts.waiting} waiting, {counts.set_aside} set aside, "
        f"{counts.outbox_dead} dead letters, {counts.outbox_held} held"
    )
    hint = "ticketgate outbox list" if counts.outbox_dead else ""
    findings = [Finding("data folder", said, counts.outbox_dead == 0, hint), Finding("store", which, not wrong, wrong)]
    if held:
        findings.append(Finding("outbox", "held: nothing goes out, no timer rings", False, "ticketgate outbox release"))
    return findings


async def _redis(configured: Configured) -> list[Finding]:
    """All that bells do there, tried. Without Redis a gateway works too, but not at once."""
    line = wire.bells(configured).line
    if line is None:
        return []
    started = time.perf_counter()
    try:
        where = await line.try_out()
    except Unavailable as e:
        hint = "is it running, and may we use streams under ticketgate:*? until then who waits looks once a second"
        return [Finding("redis", e.reason, False, hint)]
    finally:
        await line.close()
    return [Finding("redis", f"{where} rings, in {(time.perf_counter() - started) * 1000:.0f} ms")]


def _ways_back(known: Mind) -> Iterator[Finding]:
    """Customers of an account without a way back are never acknowledged; say so before they complain."""
    for (name, account), connector in known.connectors.items():
        told = connector.settings
        if name != Imported.name and hasattr(told, "answering") and told.answering is None:
            yield Finding(
                f"{name}/{account}", "no way back: nobody is acknowledged", hint="reply_by: ACCOUNT of email_smtp"
            )
        if hasattr(told, "relay") and told.relay is None:
            yield Finding(f"{name}/{account}", "no relay: cannot send", hint="relay: {host: ...}")


async def _relays(what: str, connector: object, relay: Any) -> Finding:
    """Greeted, in the way of TLS that is set, and logged in, as if there were mail."""
    place = f"{relay.host}:{relay.port}"
    if not isinstance(connector, Relaying):
        return await _reaches(what, relay.host, relay.port)
    try:
        async with asyncio.timeout(PATIENCE):
            await connector.try_relay(SystemClock().now())
    except TimeoutError:
        return Finding(what, f"{place} says nothing for {PATIENCE:.0f} s", False, "is that its port, and its `tls`?")
    except Unavailable as e:
        return Finding(what, f"{place}: {e.reason}", False, "mend host, port, tls, username or password; mail waits")
    return Finding(what, f"{place} answers" + (f", and lets {relay.username} in" if relay.username else ""))


async def _reaches(what: str, host: str, port: int, *, tls: bool = False, inside: bool = True) -> Finding:
    try:
        async with asyncio.timeout(PATIENCE):
            if not inside:
                await outside(host, port)
            _, writer = await asyncio.open_connection(host, port, ssl=ssl.create_default_context() if tls else None)
        writer.close()
    except Refused as e:
        return Finding(what, f"nothing is sent there: {e.reason}", False, "allow_private: true")
    except (OSError, TimeoutError, ConnectError) as e:
        return Finding(
            what, f"{host}:{port}: {e or type(e).__name__}", False, "is it running, and reachable from here?"
        )
    return Finding(what, f"{host}:{port} answers")


def _running(configured: Configured) -> bool:
    """Whether a gateway works on this data folder."""
    try:
        with closing(wire.locks(configured)) as locks, locks.nobody() as alone:
            return not alone
    except TicketgateError:
        return False


def _port(what: str, listen: str, running: bool) -> Finding:
    """A port or socket is well if it is free, or ours is already on it."""
    taken = f"{what} {listen}"
    if listen.startswith("unix:"):
        folder = Path(listen.removeprefix("unix:")).parent
        if not os.access(folder, os.W_OK | os.X_OK):
            return Finding(
                taken, f"no socket can be made in {folder}", False, "make the folder, and let us write there"
            )
        return Finding(taken, "its folder is there")
    host, port = host_and_port(listen)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as e:
            if e.errno == errno.EADDRINUSE and running:
                return Finding(taken, "in use: a gateway works on this data folder")
            hint = "end what holds it, or listen elsewhere: an address of this machine; below 1024 as root alone"
            return Finding(taken, f"cannot listen there: {e.strerror}", False, hint)
    return Finding(taken, "free")
