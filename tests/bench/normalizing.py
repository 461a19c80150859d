"""Normalizing mails, against the standard library only decoding them. Both in this process, by its CPU time."""

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

RECEIVED = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)
PARSER = BytesParser(policy=compat32)


@contextmanager
def ours(folder: Path) -> Iterator[Side]:
    """Raw mail to a message that is understood: parsed, visible words found, language, category, numbers."""
    from gateway.settings import shipped
    from normalizer import marked
    from normalizer.enrich import Enricher
    from normalizer.mime import message
    from normalizer.taxonomy import of

    enricher = Enricher(of(marked.read((shipped() / "config" / "taxonomy.yaml").read_text("utf-8"), "taxonomy.yaml")))

    def normalized(raw: bytes) -> object:
        return enricher.enrich(
            message(
                raw, connector="email_smtp", account="support", received_at=RECEIVED, envelope_id="", channel="email"
            )
        )

    yield lambda count, run: timed(normalized, count, run)


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
