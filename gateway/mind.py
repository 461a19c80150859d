"""What decides: everything `ticketgate decide` needs; nothing is opened, listened to or sent.

A mind is read from the files of a deployment, or from a bundle of the store. What its bundle holds can be exchanged as
one whole while it works (`with_bundle`); accounts, which hold connections, stay.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from connectors import registry
from connectors.api import Api, ApiSettings
from connectors.base import AnsweredSettings, ChatSettings, Connector, Mailbox
from connectors.imported import Imported
from connectors.person import Person
from engine import company as companies
from engine import facts, rulebook, views
from engine.acknowledgement import Words, is_nobody
from engine.company import Company
from engine.decide import weighed, without
from engine.decision import Acknowledge, Answer, AskFor, Case, Decision, Effect, sealed
from engine.effects import ANSWERING, ASKING
from engine.explain import explain
from engine.reading import suggestion
from engine.ruleset import RuleSet
from engine.views import View
from engine.vocabulary import Labels, Vocabulary, answers
from engine.words import Said
from gateway import bundle as bundles
from gateway import kernel, rehearse
from gateway import settings as settings_files
from gateway.acknowledge import Templates, read_templates
from gateway.bundle import Bundle
from gateway.permissions import ROLES
from gateway.settings import Configured
from normalizer import marked, taxonomy
from normalizer.canon import Address, Contact, Message, Ticket
from normalizer.enrich import Enricher
from normalizer.errors import ConfigError, Where

Account = tuple[str, str]  # connector, account
Spoken = Mapping[str, Words]  # by what they are: acknowledge, reply, ask_for

UNRENDERED = "template "  # how the reason begins for which words were withheld


@dataclass(frozen=True, slots=True)
class Mind:
    """What decides: everything `ticketgate decide` needs, and nothing that is stored or sent."""

    configured: Configured
    bundle: Bundle  # the texts it is made of
    views: Mapping[str, View]  # by name, in their file's order
    connectors: Mapping[Account, Connector]
    answering: Mapping[Account, Account | None]  # which account speaks to whom each of them brings
    mailboxes: Mapping[Account, Mailbox]  # those of them that speak by mail
    enricher: Enricher
    company: Company
    vocabulary: Vocabulary
    ruleset: RuleSet
    templates: Templates

    def decide(self, case: Case) -> tuple[Decision, Spoken]:
        """What the rules decide, and the words for the customer that come of it."""
        made, fired = self.weighed(case)
        made, spoken = self.spoken(made)
        return sealed(made, fired), spoken

    def weighed(self, case: Case, said: Said | None = None) -> tuple[Decision, list[bytes]]:
        """What the rules decide, before it is put into words and sealed. `said`: see `engine.decide.weighed`."""
        return weighed(self.ruleset, self.company, case, said)

    def spoken(self, made: Decision) -> tuple[Decision, Spoken]:
        """A decision that is not sealed yet, with the words for the customer that come of it.

        A template that cannot be rendered costs these words, not the ticket: the decision says so.
        """
        spoken: dict[str, Words] = {}
        for effect in made.effects:
            try:
                if words := self._spoken(effect, made.ticket, made.case.contact):
                    spoken[effect.verb] = words
            except ConfigError as e:
                where = replace(e.where, file=Path(e.where.file).name)  # the same wherever the rules stand
                made = without(made, effect.verb, f"{UNRENDERED}{where} cannot be rendered")
        return made, spoken

    def _spoken(self, effect: Effect, ticket: Ticket, contact: Contact) -> Words | None:
        """What an effect says to the customer, if it says anything. Raises ConfigError."""
        match effect:
            case Acknowledge(template):
                return self.words(template, ticket, contact)
            case Answer(name) if name in self.vocabulary.templates:
                return self.words(name, ticket, contact)
            case Answer(name):
                return self.words(ANSWERING, ticket, contact, answer=name)
            case AskFor(fields):
                return self.words(ASKING, ticket, contact, fields)
        return None

    def with_bundle(self, bundle: Bundle) -> "Mind":
        """The same accounts, deciding by these texts, on the native kernel: to be tried. Raises ConfigError."""
        return _made(self.configured, bundle, self.connectors)

    def running(self) -> "Mind":
        """The same on the kernel that the settings choose: to be live. Raises ConfigError if it cannot be had here."""
        return replace(self, ruleset=kernel.running(self.configured, self.ruleset))

    def explain(self, decision: Decision, language: str) -> list[str]:
        """A decision in plain sentences, Chinese or English."""
        return explain(decision, language, self.vocabulary, self.company)

    def words(
        self, template: str, ticket: Ticket, contact: Contact, fields: Sequence[str] = (), answer: str = ""
    ) -> Words:
        """What a template says. Raises ConfigError."""
        return self.templates.render(template, ticket, contact, self.company, self.vocabulary, fields, answer)

    def way_back(self, message: Message, *, automatic: bool = True) -> tuple[Account, Address] | None:
        """Which account speaks to this sender, and at what address; None if nobody can, or it would be to ourselves.

        What is sent automatically goes to From (RFC 3834 4), unless that is ours, as of a form that writes in our name;
        and to nobody whose address is a machine's. What people write goes to Reply-To.
        """
        own = (message.connector, message.account)
        via = self.answering.get(own, own)
        to = self._addressee(message, automatic)
        if via is None or via not in self.connectors or not to.address:
            return None
        if (mailbox := self.mailboxes.get(via)) and (to.kind != "email" or not mailbox.sends):
            return None
        if to.kind == "email" and (self.is_ours(to.address) or (automatic and is_nobody(to.address))):
            return None
        return via, to

    def silence(self, message: Message) -> timedelta | None:
        """After how long a silence of a conversation on this account its next words are another one."""
        connector = self.connectors.get((message.connector, message.account))
        settings = connector.settings if connector else None
        return timedelta(hours=settings.conversation_hours) if isinstance(settings, ChatSettings) else None

    def _addressee(self, message: Message, automatic: bool) -> Address:
        asked = message.reply_to[0] if message.reply_to else message.sender
        return asked if not automatic or self.is_ours(message.sender.address) else message.sender

    def is_ours(self, address: str) -> bool:
        """Whether mail to this address is mail to us."""
        return any(one.owns(address) for one in self.mailboxes.values())


@dataclass(frozen=True, slots=True)
class Ground:
    """What rulebooks stand on: the company, the words rules may use, and the templates they name."""

    cues: taxonomy.Taxonomy
    company: Company
    vocabulary: Vocabulary
    templates: Templates


def ground(configured: Configured, rules: Path | None = None) -> Ground:
    """What the rulebooks of a folder (the deployment's own without) are checked against. Raises ConfigError."""
    bundle = bundles.read(configured)
    return stood_on(configured, bundles.of_folder(rules, bundle) if rules else bundle)


def stood_on(configured: Configured, bundle: Bundle) -> Ground:
    """What the rulebooks of a bundle are checked against. Raises ConfigError."""
    settings = configured.settings
    cues = taxonomy.of(marked.read(*_config(bundle, "taxonomy.yaml")))
    files = {name: _config(bundle, name) for name in companies.FILES if bundles.CONFIG + name in bundle.files}
    texts = {name: text for name, (text, _) in files.items()}
    places = {name: place for name, (_, place) in files.items()}
    said = {name.removeprefix(bundles.ANSWERS): bundle.text(name) for name in bundle.within(bundles.ANSWERS, ".md")}
    known = companies.company(texts, settings.time_zone, settings.company, said, places)
    templates = read_templates(bundle.texts(bundles.TEMPLATES, ".liquid"))
    helpdesks = frozenset(str(raw.get("name", "")) for raw in settings.helpdesks)
    calls = frozenset(str(raw.get("name", "")) for raw in settings.calls)
    vocabulary = replace(_vocabulary(cues, known, templates, helpdesks), answers=answers(said), calls=calls)
    _check_look_ups(known, vocabulary, bundle)
    rehearse.templates(templates, known, vocabulary)
    return Ground(cues, known, vocabulary, templates)


def _check_look_ups(company: Company, vocabulary: Vocabulary, bundle: Bundle) -> None:
    """What a look-up needs must be facts there are."""
    for name, lookup in company.lookups.items():
        for part, fact in lookup.of.items():
            if facts.known(fact, vocabulary) is None:
                where = marked.read(*_config(bundle, "outside.yaml")).where("outside", name, "of", part)
                raise ConfigError(where, f"there is no fact {fact!r}", suggestion(fact, facts.names(vocabulary)))


def read(configured: Configured, bundle: Bundle | None = None) -> Mind:
    """What decides: the files of this deployment, or this bundle instead. Nothing is opened. Raises ConfigError."""
    return _made(configured, bundle or bundles.read(configured), None).running()


def _made(configured: Configured, bundle: Bundle, known: Mapping[Account, Connector] | None) -> Mind:
    base = stood_on(configured, bundle)
    accounts = connectors(configured) if known is None else known
    shown = views.load(*_config(bundle, views.FILE), base.vocabulary, tuple(ROLES))
    ruleset = rulebook.load(bundle.rulebooks(), base.vocabulary)
    return Mind(
        configured=configured,
        bundle=bundle,
        views={view.name: view for view in shown},
        connectors=accounts,
        answering={account: getattr(one.settings, "answering", account) for account, one in accounts.items()},
        mailboxes={account: one for account, one in accounts.items() if isinstance(one, Mailbox)},
        enricher=Enricher(base.cues),
        company=base.company,
        vocabulary=base.vocabulary,
        ruleset=replace(ruleset, sha=bundle.sha),  # a decision names everything that made it, people and words too
        templates=base.templates,
    )


def _config(bundle: Bundle, name: str) -> tuple[str, str]:
    """A file's text and its place."""
    return bundle.text(bundles.CONFIG + name), bundle.place(bundles.CONFIG + name)


def rulebooks(folder: Path) -> dict[str, str]:
    """Every rulebook of a folder, and the tables beside them, by path. Raises ConfigError if there is none."""
    return bundles.of_rules(folder).rulebooks()


def connectors(configured: Configured) -> Mapping[Account, Connector]:
    """Every configured account, built. Raises ConfigError at the account's place."""
    known: dict[Account, Connector] = {}
    for index, one in enumerate(built(configured, "connectors", "connector", registry.connector)):
        key = (one.settings.connector, one.settings.account)
        if key in known:
            raise ConfigError(configured.document.where("connectors", index), f"{key[0]}/{key[1]} stands here twice")
        known[key] = one
    for kind in (Api, Person):  # keys and users are what lets these in, not settings
        if not any(name == kind.name for name, _ in known):
            known[kind.name, kind.name] = kind(ApiSettings(connector=kind.name, account=kind.name))
    own = AnsweredSettings(connector=Imported.name, account=Imported.name)  # whoever has the data folder
    known.setdefault((Imported.name, Imported.name), Imported(own))
    _check_ways_back(configured, known)
    return known


def _vocabulary(cues: taxonomy.Taxonomy, company: Company, templates: Templates, targets: frozenset[str]) -> Vocabulary:
    """The words rules may use, from everything operators configured."""
    known = company.labels
    return Vocabulary(
        categories={code: _labels(category.label) for code, category in cues.categories.items()},
        subcategories={
            code: {inner: _labels(sub.label) for inner, sub in category.subcategories.items()}
            for code, category in cues.categories.items()
        },
        lists=company.lists,
        templates=templates.languages,
        targets=targets,
        groups=known["groups"],
        agents=known["agents"],
        skills=known["skills"],
        tiers=known["tiers"],
        types=known["types"],
        fields=known["fields"],
        policies=known["policies"],
        campaigns=known["campaigns"],
        **company.kinds,
    )


def _labels(label: Any) -> Labels:
    return {language: text for language, text in (("zh", label.zh), ("en", label.en)) if text}


def _place(configured: Configured, section: str, index: int) -> Where:
    return configured.document.where(section, index)


def built(configured: Configured, section: settings_files.Section, word: str, find: Any) -> list[Any]:
    made = []
    for index, raw in enumerate(getattr(configured.settings, section)):
        where = configured.document.where(section, index)
        kind = find(str(raw.get(word, "")), where)
        settings = settings_files.account(configured, kind.Settings, section, index)
        try:
            made.append(kind(settings))
        except ConfigError as e:
            raise ConfigError(where if not e.where.line else e.where, e.what, e.hint, e.code) from e
    return made


def _check_ways_back(configured: Configured, accounts: Mapping[Account, Connector]) -> None:
    """Who is to answer for a form or webhook must be there."""
    mail = [account for connector, account in accounts if connector.startswith("email")]
    for index, one in enumerate(accounts.values()):
        via: Account | None = getattr(one.settings, "answering", None)
        if via and via not in accounts:
            where = configured.document.where("connectors", index, "reply_by")
            raise ConfigError(where, f"no account {'/'.join(via)} is configured", "one of " + ", ".join(mail))
