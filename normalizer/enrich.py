"""What machines can tell of a message: its language, what it is about, what it names. Made again at will."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from normalizer.canon import Extracted, Kind, Message, Understanding, altered
from normalizer.classify import Classified, Classifier
from normalizer.extract import MAX_CHARACTERS, extract
from normalizer.fold import fold
from normalizer.language import language
from normalizer.taxonomy import Taxonomy

MAX_SUBJECT = 500
_NOTHING = Classified()
SPOKEN = frozenset({Kind.MESSAGE, Kind.EDIT, Kind.POSTBACK, Kind.CALL, Kind.RECORDING})  # a customer speaking


class Enricher:
    """Fills `Message.understanding`. Pure; one instance serves all workers."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.classifier = Classifier(taxonomy)

    @cached_property
    def version(self) -> str:
        """Names the taxonomy: the source of what is derived is `cues:<version>`."""
        return self.classifier.source.removeprefix("cues:")

    def enrich(self, message: Message) -> Message:
        """The message with its understanding. What a machine wrote gets its language only."""
        return self.enrich_all([message])[0]

    def enrich_all(self, messages: Sequence[Message]) -> list[Message]:
        """The same of many, step by step: what each step works with stays in the processor's cache."""
        folded = [fold(one.text[:MAX_CHARACTERS]) if one.kind in SPOKEN else None for one in messages]
        told = list(zip(messages, folded, strict=True))
        about = [_NOTHING if f is None else self.classifier.classify_folded(f"{_opening(m)}{f}") for m, f in told]
        found = [{} if f is None else _titled(m, extract(m.text, f)) for m, f in told]
        understood = [
            Understanding(_language(m), a.category, a.subcategory, a.tags, a.intents, a.sentiment, extracted)
            for m, a, extracted in zip(messages, about, found, strict=True)
        ]
        return [altered(one, understanding=of) for one, of in zip(messages, understood, strict=True)]


def _language(message: Message) -> str:
    if message.kind not in SPOKEN:
        return language(message.text or message.subject)
    return language(message.text) or language(message.subject)


def _titled(message: Message, found: dict[str, Extracted]) -> dict[str, Extracted]:
    """What the words hold, and of what they do not, what the subject does where it opens a conversation."""
    if not message.subject or message.in_reply_to or message.references:
        return found
    titled = extract(message.subject[:MAX_SUBJECT])
    return {kind: replace(of, span=(0, 0)) for kind, of in titled.items()} | found if titled else found


def _opening(message: Message) -> str:
    """The subject, where it opens a conversation: that of an answer is an old one."""
    if not message.subject or message.in_reply_to or message.references:
        return ""
    return f"{fold(message.subject[:MAX_SUBJECT])}\n"
