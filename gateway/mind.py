"""What decides: everything `ticketgate decide` needs, read from files; nothing is opened, listened to or sent."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from connectors import registry
from connectors.api import Api, ApiSettings
from connectors.base import Connector, Mailbox
from connectors.person import Person
from engine import company as companies
from engine import rulebook, views
from engine.company import Company
from engine.decide import decide, unacknowledged
from engine.decision import Acknowledge, Case, Decision
from engine.explain import explain
from engine.ruleset import RuleSet
from engine.views import View
from engine.vocabulary import Labels, Vocabulary
from gateway import kernel, rehearse
from gateway import settings as settings_files
from gateway.acknowledge import Templates, read_templates
from gateway.permissions import ROLES
from gateway.settings import Configured
from normalizer import marked, taxonomy
from normalizer.canon import Address, Contact, Message, Ticket
from normalizer.enrich import Enricher
from normalizer.errors import ConfigError, Where

Account = tuple[str, str]  # connector, account
Words = tuple[str, str, str]  # of an acknowledgement: language, subject, text

UNRENDERED = "template "  # how the reason begins for which such an acknowledgement was withheld


@dataclass(frozen=True, slots=True)
class Mind:
    """What decides: everything `ticketgate decide` needs, and nothing that is stored or sent."""

    configured: Configured
    views: Mapping[str, View]  # by name, in their file's order
    connectors: Mapping[Account, Connector]
    mailboxes: Mapping[Account, Mailbox]  # those of them that speak by mail
    enricher: Enricher
    company: Company
    vocabulary: Vocabulary
    ruleset: RuleSet
    templates: Templates

    def decide(self, case: Case) -> tuple[Decision, Words | None]:
        """What the rules decide, and the words of the acknowledgement if there is to be one.

        A template that cannot be rendered costs the acknowledgement, not the ticket: the decision says so.
        """
        made = decide(self.ruleset, self.company, case)
        template = next((effect.template for effect in made.effects if isinstance(effect, Acknowledge)), "")
        if not template:
            return made, None
        try:
            return made, self.words(template, made.ticket, case.contact)
        except ConfigError as e:
            where = replace(e.where, file=Path(e.where.file).name)  # the same wherever the rules stand
            return unacknowledged(made, f"{UNRENDERED}{where} cannot be rendered"), None

    def explain(self, decision: Decision, language: str) -> list[str]:
        """A decision in plain sentences, Chinese or English."""
        return explain(decision, language, self.vocabulary, self.company)

    def words(self, template: str, ticket: Ticket, contact: Contact) -> Words:
        """Language, subject and text of an acknowledgement. Raises ConfigError."""
        return self.templates.render(template, ticket, contact, self.company, self.vocabulary)

    def way_back(self, message: Message) -> tuple[Account, Address] | None:
        """Which account speaks to this sender, and at what address; None if nobody can, or it would be to ourselves."""
        own = (message.connector, message.account)
        connector = self.connectors.get(own)
        via = connector.settings.answering if connector and hasattr(connector.settings, "answering") else own
        to = message.reply_to[0] if message.reply_to else message.sender
        if via is None or via not in self.connectors or not to.address:
            return None
        if (mailbox := self.mailboxes.get(via)) and (to.kind != "email" or not mailbox.sends):
            return None
        if to.kind == "email" and any(one.owns(to.address) for one in self.mailboxes.values()):
            return None
        return via, to


@dataclass(frozen=True, slots=True)
class Ground:
    """What rulebooks stand on: the company, the words rules may use, and the templates they name."""

    cues: taxonomy.Taxonomy
    company: Company
    vocabulary: Vocabulary
    templates: Templates


def ground(configured: Configured, rules: Path | None = None) -> Ground:
    """What the rulebooks of a folder (the deployment's own without) are checked against. Raises ConfigError."""
    file = configured.beside("taxonomy.yaml")
    cues = taxonomy.of(marked.read(_text(file), str(file)))
    settings = configured.settings
    known = companies.company(
        {name: _text(configured.beside(name)) for name in companies.FILES}, settings.time_zone, settings.company
    )
    beside = (rules or configured.rules) / "templates"
    templates = read_templates(beside if beside.is_dir() else configured.rules / "templates")
    helpdesks = frozenset(str(raw.get("name", "")) for raw in settings.helpdesks)
    vocabulary = _vocabulary(cues, known, templates, helpdesks)
    rehearse.templates(templates, known, vocabulary)
    return Ground(cues, known, vocabulary, templates)


def read(configured: Configured) -> Mind:
    """What decides, from files alone: nothing is opened, listened to or sent. Raises ConfigError."""
    base = ground(configured)
    accounts = connectors(configured)
    return Mind(
        configured=configured,
        views=_views(configured, base.vocabulary),
        connectors=accounts,
        mailboxes={account: one for account, one in accounts.items() if isinstance(one, Mailbox)},
        enricher=Enricher(base.cues),
        company=base.company,
        vocabulary=base.vocabulary,
        ruleset=kernel.running(configured, rulebook.load(rulebooks(configured.rules), base.vocabulary)),
        templates=base.templates,
    )


def _views(configured: Configured, vocabulary: Vocabulary) -> Mapping[str, View]:
    file = configured.beside(views.FILE)
    return {view.name: view for view in views.load(_text(file), str(file), vocabulary, tuple(ROLES))}


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
    )


def _labels(label: Any) -> Labels:
    return {language: text for language, text in (("zh", label.zh), ("en", label.en)) if text}


def rulebooks(folder: Path) -> dict[str, str]:
    """Every rulebook of a folder by its path from there. Raises ConfigError if there is none."""
    if not folder.is_dir():
        raise ConfigError(Where(str(folder)), "is no folder with rulebooks", "rules: ../rules")
    texts = {}
    for file in sorted(folder.glob("*.yaml")):
        try:
            texts[str(file)] = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as e:
            raise ConfigError(Where(str(file)), f"cannot be read: {type(e).__name__}", "save it as UTF-8") from e
    if not texts:
        raise ConfigError(Where(str(folder)), "holds no rulebook (*.yaml)", "rules: ../rules")
    return texts


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(Where(str(file)), f"cannot be read: {type(e).__name__}", "save it as UTF-8") from e


def _place(configured: Configured, section: str, index: int) -> Where:
    return configured.document.where(section, index)


def built(configured: Configured, section: Literal["connectors", "helpdesks"], word: str, find: Any) -> list[Any]:
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
