"""Normalizing mails, and understanding them too, against the standard library only decoding them.

All in this process, by its CPU time.
"""

import email.header
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from pathlib import Path

import corpus
from sides import Side, Took

from normalizer.canon import Message as CanonicalMessage
from normalizer.mime import message

RECEIVED = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)
PARSER = BytesParser(policy=compat32)


@contextmanager
def ours(folder: Path) -> Iterator[Side]:
    """Raw mail to the canonical message: parsed, decoded, what it is, visible words and quotes apart."""
    yield lambda count, run: timed(normalized, count, run)


@contextmanager
def understood(folder: Path) -> Iterator[Side]:
    """The same, and then its language, category, mood and numbers."""
    from gateway.settings import shipped
    from normalizer import marked
    from normalizer.enrich import Enricher
    from normalizer.taxonomy import of

    enricher = Enricher(of(marked.read((shipped() / "config" / "taxonomy.yaml").read_text("utf-8"), "taxonomy.yaml")))
    yield lambda count, run: timed(lambda raw: enricher.enrich(normalized(raw)), count, run)


def normalized(raw: bytes) -> CanonicalMessage:
    return message(raw, connector="email_smtp", account="support", received_at=RECEIVED)


@contextmanager
def stdlib(folder: Path) -> Iterator[Side]:
    yield lambda count, run: timed(decoded, count, run)


def decoded(raw: bytes) -> list[str]:
    """What anybody needs who wants to read a mail: who, what about, and the text of each part."""
    mail = PARSER.parsebytes(raw)
    heads = [
        str(email.header.make_header(email.header.decode_header(mail[name]))) for name in ("From", "To", "Subject")
    ]
    return heads + list(texts(mail))


def texts(mail: Message) -> Iterable[str]:
    for part in mail.walk():
        if not part.is_multipart():
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            if part.get_content_maintype() == "text":
                yield content.decode(part.get_content_charset("utf-8"), "replace")


def timed(each: Callable[[bytes], object], count: int, run: int) -> Took:
    raws = [mail.raw for mail in corpus.mails(count, run)]
    since = time.process_time()
    for raw in raws:
        each(raw)
    return Took(count, time.process_time() - since)
