"""From settings to a house. The only place that chooses what is behind the ports."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from normalizer.enrich import Enricher

from connectors import registry
from connectors.api import Api, ApiSettings
from connectors.base import Connector, Helpdesk, Webhook
from engine import company as companies
from engine import rulebook
from engine.company import Company
from engine.vocabulary import Labels, Vocabulary
from gateway import settings as settings_files
from gateway.acknowledge import Templates, read_templates
from gateway.clock import Clock, SystemClock
from gateway.crypto import KeyRing
from gateway.house import Account, House, Mind
from gateway.log import log
from gateway.settings import Configured
from gateway.store.store import Store
from gateway.store.work import Limits
from normalizer import marked, taxonomy
from normalizer.errors import ConfigError, Where


def mind(configured: Configured) -> Mind:
    """What decides, from files alone: nothing is opened, listened to or sent. Raises ConfigError."""
    cues = read_model(taxonomy.Taxonomy, configured.beside("taxonomy.yaml"))
    settings = configured.settings
    known = companies.company(
        {name: _text(configured.beside(name)) for name in companies.FILES}, settings.time_zone, settings.company
    )
    templates = read_templates(configured.rules / "templates")
    helpdesks = frozenset(str(raw.get("name", "")) for raw in settings.helpdesks)
    vocabulary = vocabulary_of(cues, known, templates, helpdesks)
    return Mind(
        configured=configured,
        connectors=connectors(configured),
        enricher=Enricher(cues),
        company=known,
        vocabulary=vocabulary,
        ruleset=rulebook.load(rulebooks(configured.rules), vocabulary),
        templates=templates,
    )


async def house(configured: Configured, *, clock: Clock | None = None) -> House:
    """A house with its store open (upgraded first, if it is older). Raises ConfigError."""
    made = mind(configured)
    store = await open_store(configured)
    await store.keep_ruleset(made.ruleset.sha, rulebooks(configured.rules))
    return House(made, store, clock or SystemClock(), helpdesks(configured))


async def open_store(configured: Configured) -> Store:
    """The data folder, alone: what the commands need that look into it."""
    folder = configured.data
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret = configured.settings.master_key
    keys, made = KeyRing.load(secret.get_secret_value() if secret else None, folder / "master.key")
    if made:
        log.warning(
            "made a master key; without it the data cannot be read",
            path=str(folder / "master.key"),
            hint="copy it to a safe place and set master_key: {env: NAME} or {file: PATH}",
        )
    return await Store.open(
        folder, keys, zone=configured.settings.zone, limits=Limits(attempts=configured.settings.attempts)
    )


def connectors(configured: Configured) -> Mapping[Account, Connector]:
    """Every configured account, built. Raises ConfigError at the account's place."""
    built: dict[Account, Connector] = {}
    for index, made in enumerate(_built(configured, "connectors", "connector", registry.connector)):
        key = (made.settings.connector, made.settings.account)
        if key in built:
            raise ConfigError(_place(configured, "connectors", index), f"{key[0]}/{key[1]} stands here twice")
        built[key] = made
    if not any(name == "api" for name, _ in built):  # keys are what lets programs in, not settings
        built["api", "api"] = Api(ApiSettings(connector="api", account="api"))
    _check_ways_back(configured, built)
    return built


def helpdesks(configured: Configured) -> Mapping[str, Helpdesk]:
    made = _built(configured, "helpdesks", "helpdesk", registry.helpdesk)
    return {one.settings.name: one for one in made}


def listeners(house: House) -> list[registry.Listening]:
    """What is to be run while the doors are open; accounts that share a door are one."""
    return registry.listeners(list(house.mind.connectors.values()))


def webhook(mind: Mind, connector: str, account: str) -> Webhook | None:
    found = mind.connectors.get((connector, account))
    return found if isinstance(found, Webhook) else None


def vocabulary_of(
    cues: taxonomy.Taxonomy, company: Company, templates: Templates, targets: frozenset[str]
) -> Vocabulary:
    """The words rules may use, from everything operators configured."""
    known = company.labels
    return Vocabulary(
        categories={code: labels(category.label) for code, category in cues.categories.items()},
        subcategories={
            code: {inner: labels(sub.label) for inner, sub in category.subcategories.items()}
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


def labels(label: Any) -> Labels:
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


def read_model(kind: type[marked.M], file: Path) -> marked.M:
    return marked.model(kind, marked.read(_text(file), str(file)))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(Where(str(file)), f"cannot be read: {type(e).__name__}", "save it as UTF-8") from e


def _place(configured: Configured, section: str, index: int) -> Where:
    return configured.document.where(section, index)


def _built(configured: Configured, section: Literal["connectors", "helpdesks"], word: str, find: Any) -> list[Any]:
    made = []
    for index, raw in enumerate(getattr(configured.settings, section)):
        where = _place(configured, section, index)
        kind = find(str(raw.get(word, "")), where)
        settings = settings_files.account(configured, kind.Settings, section, index)
        try:
            made.append(kind(settings))
        except ConfigError as e:
            raise ConfigError(where if not e.where.line else e.where, e.what, e.hint, e.code) from e
    return made


def _check_ways_back(configured: Configured, built: Mapping[Account, Connector]) -> None:
    """Who is to answer for a form or webhook must be there."""
    mail = [account for connector, account in built if connector.startswith("email")]
    for index, one in enumerate(built.values()):
        via: Account | None = getattr(one.settings, "answering", None)
        if via and via not in built:
            where = configured.document.where("connectors", index, "reply_by")
            raise ConfigError(where, f"no account {'/'.join(via)} is configured", "one of " + ", ".join(mail))
