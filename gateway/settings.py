"""Settings: config/ticketgate.yaml, environment variables over it, secrets only by environment or file reference.

    http:
      listen: 127.0.0.1:8025          TICKETGATE_HTTP__LISTEN=0.0.0.0:8025 wins over the file
    connectors:
      - {connector: webhook, account: shop, auth: {bearer: {env: SHOP_TOKEN}}}

Relative paths are relative to the settings file. What stands beside it (taxonomy.yaml, people.yaml, ...) is used;
what does not is taken from the set that comes with Ticketgate.
"""

import os
import re
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from connectors.places import host_and_port
from gateway.permissions import Role
from normalizer import marked
from normalizer.errors import ConfigError, Where

Section = Literal["connectors", "helpdesks", "calls", "events"]  # accounts and targets, each with a model of its own

_REDIS = re.compile(
    r"rediss?://([^@/?#]*@)?([^@/?#:]+|\[[0-9a-f:]+\])(:\d{1,5})?(/\d*)?(\?[^@#]*)?|unix://([^@/?#]*@)?/[^@#]+"
)
MOST_WORKERS = 2  # unless more are asked for: an idle gateway stays below 150 MB
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds it may use of so many
MACHINES = Path("/etc/ticketgate/ticketgate.yaml")


# In the address of a server: after a colon, alone before the @ of Redis, or as one of libpq's parameters.
_PASSWORD = re.compile(r"://[^/@]*:[^/@]*@|^(redis|rediss|unix)://[^/?#]*@|[?&]password=")


class Http(BaseModel):
    """The HTTP door. `public_url` is how others reach it: signatures of URLs and links depend on it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: str = "127.0.0.1:8025"
    public_url: str = ""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    max_body: int = Field(default=25 * 1024 * 1024, gt=0)

    @property
    def host(self) -> str:
        return host_and_port(self.listen)[0]

    @property
    def port(self) -> int:
        return host_and_port(self.listen)[1]

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str) -> str:
        host, port = host_and_port(value)
        if not host:
            raise ValueError(f"{value!r} names no host; write 127.0.0.1:{port}, or 0.0.0.0:{port} for everywhere")
        return value


class OidcRoles(BaseModel):
    """Which role a claim gives: the highest of those `map` has for its values, else `default`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: str = "groups"
    map: dict[str, Role] = Field(default_factory=dict)
    default: Role | Literal["none"] = "none"


class Oidc(BaseModel):
    """An OpenID provider people sign in at. Its addresses are read from the issuer's discovery document."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str
    client_id: str
    client_secret: SecretStr | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    label: str = ""  # of the link on the sign-in page
    roles: OidcRoles = OidcRoles()

    @field_validator("issuer")
    @classmethod
    def _safe(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")):
            return value
        raise ValueError("must be an https address, such as https://login.example.cn/realms/staff")


class Signin(BaseModel):
    """How people come in. `local`: what a browser on this machine may do while there is no user; for demos."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    local: Role | None = None
    oidc: Oidc | None = None


class RulesFrom(BaseModel):
    """Where the live rule set is: in the folder (files), or in the store, which begins with what the folder holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["files", "store"] = "files"
    folder: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _folder_alone(cls, value: Any) -> Any:
        return {"folder": value} if isinstance(value, str | Path) else value


class StoreIn(BaseModel):
    """Where everything is kept: nothing set, a SQLite file in the data folder; `url`, a PostgreSQL database.

    Blob files and the master key stay in the data folder either way; several machines share it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr = SecretStr("")  # postgresql://USER@HOST/DATABASE, as libpq takes it
    password: SecretStr | None = None

    @model_validator(mode="before")
    @classmethod
    def _url_alone(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    @field_validator("url")
    @classmethod
    def _address(cls, value: SecretStr) -> SecretStr:
        if value and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must be postgresql://USER@HOST/DATABASE; leave it out for a SQLite file in `data`")
        return value


class RedisAt(BaseModel):
    """By which processes wake each other. Without `url` each looks by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr = SecretStr("")  # redis://HOST:6379/0, rediss:// for TLS, unix:///run/redis.sock
    password: SecretStr | None = None

    @model_validator(mode="before")
    @classmethod
    def _url_alone(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    @field_validator("url")
    @classmethod
    def _address(cls, value: SecretStr) -> SecretStr:
        if value and not _REDIS.fullmatch(value.get_secret_value()):
            raise ValueError("must be redis://HOST:6379/0, rediss:// for TLS, or unix:///run/redis.sock")
        return value


class Acknowledgements(BaseModel):
    """How many acknowledgements may go out before something must be wrong. 0: as many as there are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address_an_hour: int = Field(default=3, ge=0)
    thread_a_day: int = Field(default=3, ge=0)
    domain_an_hour: int = Field(default=500, ge=0)
    whole_an_hour: int = Field(default=5000, ge=0)
    storm_a_minute: int = Field(default=500, ge=0)  # more stop all of them
    storm_quiet: int = Field(default=10, ge=1)  # minutes at less than half of that, before they go again


class Settings(BaseSettings):
    """Everything a deployment chooses."""

    model_config = SettingsConfigDict(env_prefix="TICKETGATE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    company: str = "Ticketgate"
    time_zone: str = "Asia/Shanghai"
    language: Literal["zh", "en"] = "zh"  # where the customer's own is neither
    data: Path = Path("../data")
    rules: Annotated[RulesFrom, NoDecode] = RulesFrom()
    outbound: bool = True
    http: Http = Http()
    signin: Signin = Signin()
    master_key: SecretStr | None = None
    store: Annotated[StoreIn, NoDecode] = StoreIn()
    redis: Annotated[RedisAt, NoDecode] = RedisAt()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    connectors: tuple[dict[str, Any], ...] = ()
    helpdesks: tuple[dict[str, Any], ...] = ()
    calls: tuple[dict[str, Any], ...] = ()
    events: tuple[dict[str, Any], ...] = ()
    workers: int | None = Field(default=None, ge=0, le=64)  # processes that make tickets; by the cores without
    attempts: int = Field(default=3, ge=1, le=10)
    outgoing_attempts: int = Field(default=24, ge=1, le=100)
    acknowledgements: Acknowledgements = Acknowledgements()
    reopen_within: int = Field(default=7, ge=0)  # days after it was closed that an answer opens a ticket again
    kernel: Literal["native", "durable"] = "native"
    kernel_reloads: int = Field(default=20, ge=1)  # then a process with durable_rules starts afresh

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def worker_count(self) -> int:
        """On one core they would only be in each other's way."""
        if self.workers is not None:
            return self.workers
        cores = usable_cores()
        return min(cores, MOST_WORKERS) if cores > 1 else 0

    @field_validator("master_key")
    @classmethod
    def _empty_is_none(cls, value: SecretStr | None) -> SecretStr | None:
        """A container's environment names it even where nobody set it."""
        return value or None

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as e:
            raise ValueError(f"no time zone is called {value!r}; write one such as Asia/Shanghai") from e
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings, file_secret_settings


def usable_cores() -> int:
    """How many this process may keep busy."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        most, of = QUOTA.read_text().split()
        return cores if most == "max" else min(cores, max(1, round(int(most) / int(of))))
    except (OSError, ValueError):  # no such container, or no such system
        return cores


@dataclass(frozen=True, slots=True)
class Configured:
    """The settings, where each came from, and the folder they stand in."""

    settings: Settings
    document: marked.Document
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / self.settings.data

    def beside(self, name: str) -> Path:
        """A file of operators' data: the one beside the settings, else the one that comes with Ticketgate."""
        own = self.folder / name
        return own if own.exists() else shipped() / "config" / name

    @property
    def rules(self) -> Path:
        """The rulebooks: as set, else the folder `rules/` beside that of the settings, else those that come along."""
        if self.settings.rules.folder:
            return self.folder / self.settings.rules.folder
        own = self.folder.parent / "rules"
        return own if own.is_dir() else shipped() / "rules"


def shipped() -> Path:
    """The folder with the `rules/` and `config/` that come with Ticketgate: the checkout's, or the wheel's."""
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "rules").is_dir():
        return checkout
    return Path(sysconfig.get_path("data")) / "share" / "ticketgate"


def find(path: Path | None = None) -> Path:
    """The settings file: the one named, TICKETGATE_CONFIG, ./config/ticketgate.yaml, the machine's, or the shipped."""
    if path is not None:
        return path
    if named := os.environ.get("TICKETGATE_CONFIG"):
        return Path(named)
    usual = (Path("config/ticketgate.yaml"), MACHINES)
    return next((file for file in usual if file.exists()), shipped() / "config" / "ticketgate.yaml")


def handed() -> list[Path]:
    """Folders with secrets in files of their own (`ticketgate_master_key`), from systemd or a container."""
    named = (os.environ.get("CREDENTIALS_DIRECTORY", ""), "/run/secrets")
    return [Path(folder) for folder in named if folder and Path(folder).is_dir()]


def read(path: Path | None = None) -> Configured:
    """The settings of this deployment. Raises ConfigError at file:line:column."""
    file = find(path)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as e:
        raise ConfigError(Where(str(file)), f"cannot be read: {e.strerror}", "name it by --config FILE") from e
    except UnicodeDecodeError as e:
        raise ConfigError(Where(str(file)), "cannot be read: it is not UTF-8", "save it as UTF-8") from e
    document = marked.read(text, str(file))
    value = document.value if document.value is not None else {}
    if not isinstance(value, dict):
        raise ConfigError(document.where(), "settings are a mapping", "company: ...")
    folder = file.resolve().parent
    value = {name: _top(name, part, document, folder) for name, part in value.items()}
    try:
        settings = Settings(_secrets_dir=handed(), **value)
    except ValidationError as e:
        raise _fault(document, e, (), Settings) from e
    except SettingsError as e:
        raise ConfigError(Where("environment"), str(e), "as JSON, or in the settings file") from e
    return Configured(settings, document, folder)


def account(configured: Configured, kind: type[BaseModel], section: Section, index: int) -> BaseModel:
    """One account's settings by its connector's own model, secrets resolved. Raises ConfigError at its place."""
    raw = getattr(configured.settings, section)[index]
    _refuse_plain_secrets(kind, raw, configured.document, (section, index))
    try:
        plain = resolve(raw, configured.document, configured.folder, (section, index))
        return kind.model_validate(plain, context={"folder": configured.folder})
    except ValidationError as e:
        raise _fault(configured.document, e, (section, index), kind) from e


def resolve(value: Any, document: marked.Document, folder: Path, path: marked.Path) -> Any:
    """The value with each `{env: NAME}` and `{file: PATH}` replaced by what it names."""
    if isinstance(value, dict):
        if len(value) == 1 and (only := next(iter(value))) in ("env", "file") and isinstance(value[only], str):
            return _secret(only, value[only], document.where(*path), folder)
        return {name: resolve(part, document, folder, (*path, name)) for name, part in value.items()}
    if isinstance(value, list):
        return [resolve(part, document, folder, (*path, n)) for n, part in enumerate(value)]
    return value


def _top(name: str, part: Any, document: marked.Document, folder: Path) -> Any:
    if name in get_args(Section):  # resolved one account at a time, by its own model
        return part
    if name == "master_key" and isinstance(part, str):
        raise ConfigError(document.where(name), "a secret stands here in clear", "{env: NAME} or {file: PATH}")
    if name == "signin":
        _refuse_plain_secrets(Signin, part, document, (name,))
    if name in ("store", "redis"):
        part = {"url": part} if isinstance(part, str) else part  # the environment may add the password
        _refuse_plain_password(name, part, document)
    return resolve(part, document, folder, (name,))


def _refuse_plain_password(name: str, part: Any, document: marked.Document) -> None:
    """The address of a server may stand in the settings file, a password not."""
    url, password = (part.get("url"), part.get("password")) if isinstance(part, dict) else (None, None)
    if isinstance(password, str) or (isinstance(url, str) and _PASSWORD.search(url)):
        hint = "password: {env: NAME} or {file: PATH}"
        raise ConfigError(document.where(name), "a secret stands here in clear", hint)


def _secret(how: str, name: str, where: Where, folder: Path) -> str:
    if how == "env":
        if name not in os.environ:
            raise ConfigError(where, f"environment variable {name} is not set", "set it, or use {file: PATH}")
        return os.environ[name]
    try:
        return (folder / name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(
            where, f"file {name} cannot be read: {type(e).__name__}", "make it, or use {env: NAME}"
        ) from e


def _refuse_plain_secrets(annotation: Any, raw: Any, document: marked.Document, path: marked.Path) -> None:
    """Secrets stand in the environment or in files of their own, never in the settings file."""
    if annotation is SecretStr:
        if isinstance(raw, str):
            raise ConfigError(document.where(*path), "a secret stands here in clear", "{env: NAME} or {file: PATH}")
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel) and isinstance(raw, dict):
        for name, field in annotation.model_fields.items():
            if name in raw:
                _refuse_plain_secrets(field.annotation, raw[name], document, (*path, name))
    elif isinstance(raw, list):
        for n, part in enumerate(raw):
            for inner in get_args(annotation):
                _refuse_plain_secrets(inner, part, document, (*path, n))
    elif isinstance(raw, dict) and get_args(annotation) and _is_mapping(annotation):
        for name, part in raw.items():
            _refuse_plain_secrets(get_args(annotation)[-1], part, document, (*path, name))
    else:
        for inner in get_args(annotation):
            _refuse_plain_secrets(inner, raw, document, path)


def _is_mapping(annotation: Any) -> bool:
    origin = getattr(annotation, "__origin__", None)
    return isinstance(origin, type) and issubclass(origin, Mapping)


# What pydantic tells programmers, in words of who writes settings.
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "string_type": "must be text",
    "path_type": "must be a path",
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be on or off"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "must be a mapping, name: value"),
    **dict.fromkeys(("tuple_type", "list_type"), "must be a list"),
}
_NAME = re.compile(r"[a-z_][\w-]*")  # pydantic puts classes and functions of its own between the names


def _fault(document: marked.Document, e: ValidationError, path: marked.Path, kind: type[BaseModel]) -> ConfigError:
    first = e.errors(include_url=False)[0]
    inner = tuple(part for part in first["loc"] if isinstance(part, int) or _NAME.fullmatch(part))
    name = ".".join(str(part) for part in inner) or "these settings"
    said = _WORDS.get(first["type"], f": {first['msg'].removeprefix('Value error, ')}")
    where = document.where(*path, *inner)
    if not path and (variable := _variable(inner)):  # it came from the environment
        where = Where(f"environment {variable}")
    return ConfigError(where, name + (said if said.startswith(":") else f" {said}"), _hint(first, inner, kind))


def _hint(first: ErrorDetails, inner: marked.Path, kind: type[BaseModel]) -> str:
    if first["type"] == "extra_forbidden" and len(inner) == 1:
        return "known: " + ", ".join(kind.model_fields)
    if first["type"] == "string_type" and isinstance(first["input"], dict):
        return "if it is a secret: {env: NAME} or {file: PATH}"
    return ""


def _variable(path: marked.Path) -> str:
    """The environment variable that sets this, or something it is in; it wins over the file."""
    known = {name.upper(): name for name in os.environ}
    names = ["TICKETGATE_" + "__".join(str(part) for part in path[:n]).upper() for n in range(len(path), 0, -1)]
    return next((known[name] for name in names if name in known), "")
