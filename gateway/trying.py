"""Trying rules before they are live: on a sentence or a mail, and on what was recorded. Nothing is stored or sent."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from engine.decision import Decision
from engine.reading import Finding
from gateway.attempt import Acknowledgement, acknowledgement, first
from gateway.bundle import Bundle
from gateway.house import House
from gateway.mind import Mind
from gateway.replay import Replayed, replay
from gateway.vet import examine
from normalizer import mime
from normalizer.canon import Address, Message, digest
from normalizer.errors import ConfigError, Rejected, Where

SOMEBODY = Address("email", "customer@example.org")
LONGEST = 200_000  # characters of a sentence or a mail
MOST = 20_000  # decisions that are made again while somebody waits


@dataclass(frozen=True, slots=True)
class Tried:
    """What the rules make of a message nobody has seen before: decision, in sentences, and the acknowledgement."""

    decision: Decision
    zh: tuple[str, ...]
    en: tuple[str, ...]
    acknowledgement: Acknowledgement | None


async def findings(house: House, bundle: Bundle) -> tuple[Finding, ...]:
    """Everything wrong in a draft, its failing examples included, and what should be looked at."""
    today = house.clock.now().date().isoformat()
    return (await asyncio.to_thread(examine, house.configured, bundle, today)).findings


async def attempt(house: House, bundle: Bundle, words: str, tier: str = "") -> Tried:
    """By this bundle, on a sentence or a whole mail (it begins with header fields). Raises ConfigError, Rejected.

    With a `tier` it is as if a customer of that tier had said it, and proven who he is.
    """
    if not words.strip() or len(words) > LONGEST:
        raise Rejected("text: a sentence, or a mail with its header", status=422, code="invalid")
    return await asyncio.to_thread(_attempt, house.mind, bundle, words, tier, house.clock.now())


async def effect(house: House, bundle: Bundle, since: datetime, *, simulated_load: bool = False) -> Replayed:
    """What this bundle would have changed since then, every change of the newest MOST decisions. Raises ConfigError."""
    mind = await asyncio.to_thread(_mind, house.mind, bundle)
    now = house.clock.now()
    return await replay(house.store, mind, since, now, simulated_load=simulated_load, keep_all=True, most=MOST)


def _attempt(present: Mind, bundle: Bundle, words: str, tier: str, now: datetime) -> Tried:
    mind = _mind(present, bundle)
    message = mind.enricher.enrich(replace(_message(words, now), proven=bool(tier)))
    decision, letter = mind.decide(first(message, now, tier))
    told = {language: tuple(mind.explain(decision, language)) for language in ("zh", "en")}
    return Tried(decision, told["zh"], told["en"], acknowledgement(mind, decision) if letter else None)


def _message(words: str, now: datetime) -> Message:
    key = digest("try", words)
    head = words.lstrip().partition("\n")[0].partition(":")[0]
    if head and " " not in head and head.isascii() and "\n\n" in words.replace("\r\n", "\n"):
        raw = words.lstrip().encode()
        return mime.message(raw, connector="email_smtp", account="", received_at=now, envelope_id=key)
    return Message("form", "webform", "", key, SOMEBODY, now, envelope=key, text=words, full_text=words)


def _mind(present: Mind, bundle: Bundle) -> Mind:
    return present if bundle.sha == present.bundle.sha else present.with_bundle(bundle)


def draft(present: Bundle, changes: Mapping[str, str | None]) -> Bundle:
    """The live set with some files as they are to be; None takes one away. Raises ConfigError."""
    return present.with_changes(
        {name: None if text is None else _encoded(name, text) for name, text in changes.items()}
    )


def _encoded(name: str, text: str | None) -> bytes | None:
    """Half a surrogate is a string in JSON, and no text."""
    try:
        return None if text is None else text.encode()
    except UnicodeEncodeError as e:
        raise ConfigError(Where(name), f"is no text from character {e.start} on", "save it as UTF-8") from None
