"""What machines can tell of a message: its language, what it is about, what it names. Made again at will."""

from functools import cached_property

from normalizer.canon import Kind, Message, Understanding, altered
from normalizer.classify import Classifier
from normalizer.extract import MAX_CHARACTERS, extract
from normalizer.fold import fold
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
            return altered(message, understanding=Understanding(language=language(message.text or message.subject)))
        folded = fold(message.text[:MAX_CHARACTERS])
        about = self.classifier.classify_folded(f"{_opening(message)}{folded}")
        understanding = Understanding(
            language=language(message.text) or language(message.subject),
            category=about.category,
            subcategory=about.subcategory,
            tags=about.tags,
            intents=about.intents,
            sentiment=about.sentiment,
            extracted=extract(message.text, folded),
        )
        return altered(message, understanding=understanding)


def _opening(message: Message) -> str:
    """The subject, where it opens a conversation: that of an answer is an old one."""
    if not message.subject or message.in_reply_to or message.references:
        return ""
    return f"{fold(message.subject[:500])}\n"
