"""What the customer is told: a Liquid template in the customer's language, with the promise the SLA computed.

What a template may say is the engine's (`engine/acknowledgement.py`); rendering it is ours. Templates are what
operators write, so they run within limits: no other files, bounded loops and output. `gateway/rehearse.py` renders
each of them before any customer is answered.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from liquid import BoundTemplate, Environment, StrictUndefined
from liquid.exceptions import LiquidError
from liquid.span import Span

from engine import acknowledgement
from engine.acknowledgement import Words
from engine.company import Company
from engine.vocabulary import Vocabulary
from normalizer.canon import Address, Contact, Message, Reply, Ticket
from normalizer.errors import ConfigError, Where

REFERENCES = 20  # of the thread's ids, the nearest


class _Bounded(Environment):
    """Liquid with an end: what an operator writes cannot stall or flood the gateway."""

    loop_iteration_limit = 1_000
    output_stream_limit = 20_000
    local_namespace_limit = 20_000
    context_depth_limit = 10

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for of_other_files in ("include", "render"):
            del self.tags[of_other_files]


@dataclass(frozen=True, slots=True)
class Templates:
    """Acknowledgement templates by name and language."""

    parsed: Mapping[tuple[str, str], BoundTemplate] = field(repr=False)

    @property
    def languages(self) -> Mapping[str, frozenset[str]]:
        """Each template's name with the languages it is there in; what stands for it on one channel is not told of."""
        names = {acknowledgement.plain(name) for name, _ in self.parsed}
        return {name: frozenset(of for named, of in self.parsed if named == name) for name in names}

    def render(
        self,
        name: str,
        ticket: Ticket,
        contact: Contact,
        company: Company,
        vocabulary: Vocabulary,
        fields: Sequence[str] = (),
        answer: str = "",
    ) -> Words:
        """What the template says, by the variant for the ticket's channel if there is one in that language.

        Raises ConfigError at the place of what cannot be rendered.
        """
        language = acknowledgement.language(ticket, contact, [of for named, of in self.parsed if named == name])
        values = acknowledgement.variables(ticket, contact, company, vocabulary, language, fields, answer)
        variants = acknowledgement.variants(name, ticket.source.channel)
        nearest = next(one for one in variants if (one, language) in self.parsed)
        return rendered(self.parsed[nearest, language], values, language)


def rendered(template: BoundTemplate, values: Mapping[str, str | bool], language: str) -> Words:
    """Raises ConfigError at the place of what cannot be rendered."""
    try:
        return acknowledgement.parts(template.render(**values), language)
    except Exception as e:  # filters raise what they like: decimal.InvalidOperation, for one
        told = e.message if isinstance(e, LiquidError) else type(e).__name__
        raise ConfigError(_fault(template, e), f"cannot be rendered: {told}", code="template") from e


def _fault(template: BoundTemplate, e: Exception) -> Where:
    if isinstance(e, LiquidError) and e.token:
        return _place(Path(template.path or ""), e.token.source, e.token.start_index)
    return Where(str(template.path))


def read_templates(texts: Mapping[str, str]) -> Templates:
    """Templates by the path of their file: NAME.LANGUAGE.liquid. Raises ConfigError at the place of what is wrong."""
    environment = _Bounded(undefined=StrictUndefined)
    parsed = {}
    for path, text in sorted(texts.items()):
        file = Path(path)
        name, _, language = file.name.removesuffix(".liquid").rpartition(".")
        if not name:
            raise ConfigError(Where(path), "a template is named NAME.LANGUAGE.liquid", "received.zh.liquid")
        parsed[name, language] = _parsed(environment, file, text)
    for name, language in parsed:
        if (plain := acknowledgement.plain(name)) != name and (plain, language) not in parsed:
            what = f"{name}.{language} stands for a template that is not there"
            raise ConfigError(Where(_path(texts, name, language)), what, f"write {plain}.{language}.liquid too")
    return Templates(parsed)


def _path(texts: Mapping[str, str], name: str, language: str) -> str:
    return next(path for path in texts if Path(path).name == f"{name}.{language}.liquid")


def _parsed(environment: Environment, file: Path, text: str) -> BoundTemplate:
    try:
        template = environment.from_string(text, path=file)
    except LiquidError as e:
        index = e.token.start_index if e.token else 0
        hint = "{{ number }}, and the tags " + ", ".join(sorted(filter(str.isalpha, environment.tags)))
        raise ConfigError(_place(file, text, index), f"not a Liquid template: {e.message}", hint, "template") from e
    used = template.analyze(include_partials=False)
    variables = {name: uses[0].span for name, uses in used.globals.items()}
    _known("variable", variables, acknowledgement.VARIABLES, file, text)
    _known("filter", {name: uses[0] for name, uses in used.filters.items()}, environment.filters, file, text)
    return template


def _known(word: str, used: Mapping[str, Span], known: Iterable[str], file: Path, text: str) -> None:
    for name, span in used.items():
        if name not in known:
            where = _place(file, text, span.index)
            raise ConfigError(where, f"unknown {word} {name!r}", "known: " + ", ".join(known), "template")


def _place(file: Path, text: str, index: int) -> Where:
    before = text[:index]
    return Where(str(file), before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1)


def reply(
    words: Words,
    ticket: Ticket,
    message: Message,
    via: tuple[str, str],
    to: Address,
    identity: str = "",
    made_at: datetime | None = None,
) -> Reply:
    """Words for the customer, in answer to this message.

    The id of an acknowledgement is the ticket's, so there can be only one; others have one of their own.
    """
    mail = message.channel == "email"
    chat = not mail and via == (message.connector, message.account)
    return Reply(
        id=identity or acknowledgement.identity(ticket.id),
        channel=message.channel,
        connector=via[0],
        account=via[1],
        ticket=ticket.id,
        number=ticket.number,
        to=to,
        subject=words.subject,
        text=words.text,
        language=words.language,
        in_reply_to=message.external_id if mail or chat else "",
        references=(*message.references[-REFERENCES:], message.external_id) if mail else (),
        thread_key=message.thread_key,
        made_at=made_at,
        choices=words.choices,
        answering=message.received_at,
        written_to=message.to[0].address if chat and message.to else "",
        reply_token=message.reply_token if chat else "",
    )
