"""What machines can tell of a message: its language, what it is about, and what it names. Derived, made again at will."""

from dataclasses import replace
from functools import cached_property

from normalizer.canon import Kind, Message, Understanding
from normalizer.classify import Classifier
from normalizer.extract import extract
from normalizer.language import language
from normalizer.taxonomy import Taxonomy

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
        if message.kind not in SPOKEN:
            return replace(message, understanding=Understanding(language=language(message.text or message.subject)))
        words = _words(message)
        about = self.classifier.classify(words)
        understanding = Understanding(
            language=language(message.text) or language(message.subject),
            category=about.category,
            subcategory=about.subcategory,
            tags=about.tags,
            intents=about.intents,
            sentiment=about.sentiment,
            extracted=extract(message.text),
        )
        return replace(message, understanding=understanding)


def _words(message: Message) -> str:
    """What is classified: the visible words, and the subject of a mail that opens a conversation."""
    if not message.subject or message.in_reply_to or message.references:
        return message.text
    return f"{message.subject}\n{message.text}"
