"""What decides, as the texts people wrote: one whole, named by its content.

    rules/*.yaml               rulebooks with their examples; rules/*.xlsx are tables beside them
    rules/tests/*.yaml         examples that stand apart
    rules/templates/*.liquid   acknowledgements, and what other answers are written in
    config/answers/*.md        answers that rules give or suggest
    config/*.yaml              taxonomy, people, calendars, ticket types, word lists, views

The same files have the same name (`sha`) wherever they stand. Settings and accounts belong to the installation.
"""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from engine import company, table, views
from gateway.settings import Configured
from normalizer.errors import ConfigError, Where

RULES, TESTS, TEMPLATES, CONFIG = "rules/", "rules/tests/", "rules/templates/", "config/"
ANSWERS = "config/answers/"
CONFIGURED = ("taxonomy.yaml", *company.FILES, views.FILE)
LARGEST = 32 * 1024 * 1024  # bytes of a whole set
_NAMED = re.compile(
    r"rules/[^/\\\x00-\x1f]{1,100}\.(yaml|xlsx)|rules/tests/[^/\\\x00-\x1f]{1,100}\.yaml"
    rf"|rules/templates/[^/\\\x00-\x1f]{{1,100}}\.liquid|config/({'|'.join(map(re.escape, CONFIGURED))})"
    r"|config/answers/[^/\\\x00-\x1f]{1,100}\.md"
)


@dataclass(frozen=True)
class Bundle:
    """Files by name. `places` tells where each was read, so that findings point there; elsewhere its name does."""

    files: Mapping[str, bytes] = field(repr=False)
    places: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def sha(self) -> str:
        made = hashlib.sha256()
        for name in sorted(self.files):
            made.update(f"{name}\n{len(self.files[name])}\n".encode())
            made.update(self.files[name])
        return made.hexdigest()

    def place(self, name: str) -> str:
        return self.places.get(name, name)

    def text(self, name: str) -> str:
        """Raises ConfigError if there is none, or it is no text."""
        try:
            return self.files[name].decode("utf-8")
        except KeyError:
            raise ConfigError(Where(self.place(name)), "is missing", "put it there") from None
        except UnicodeDecodeError as e:
            raise ConfigError(Where(self.place(name)), "cannot be read: UnicodeDecodeError", "save it as UTF-8") from e

    def texts(self, folder: str, ending: str) -> dict[str, str]:
        """Texts right in a folder, by the place of each."""
        return {self.place(name): self.text(name) for name in self.within(folder, ending)}

    def rulebooks(self) -> dict[str, str]:
        """The rulebooks, and the tables that stand beside them, by the place of each. Raises ConfigError."""
        sheets = {self.place(name): self.files[name] for name in self.within(RULES, table.ENDING)}
        return self.texts(RULES, ".yaml") | {place: table.text(raw, place) for place, raw in sheets.items()}

    def within(self, folder: str, ending: str) -> Iterator[str]:
        for name in sorted(self.files):
            if name.startswith(folder) and name.endswith(ending) and "/" not in name[len(folder) :]:
                yield name

    def with_changes(self, changes: Mapping[str, bytes | None]) -> "Bundle":
        """Some files as they are to be; None takes one away. Raises ConfigError for a name no set can hold."""
        for name in changes:
            _check_name(name)
        kept = {name: content for name, content in self.files.items() if name not in changes}
        return checked(Bundle({**kept, **{name: new for name, new in changes.items() if new is not None}}))

    def pack(self) -> bytes:
        told = {name: _told(content) for name, content in self.files.items()}
        return zlib.compress(json.dumps(told, ensure_ascii=False, sort_keys=True).encode())

    def write(self, folder: Path) -> list[Path]:
        """Write it out. Raises ConfigError if something else stands there already, before anything is written."""
        files = {folder / name: content for name, content in sorted(self.files.items())}
        for file, content in files.items():
            if file.exists() and file.read_bytes() != content:
                raise ConfigError(Where(str(file)), "stands there already, and is different", "name a new folder")
        for file, content in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return list(files)


def unpack(packed: bytes) -> Bundle:
    told = json.loads(zlib.decompress(packed))
    return Bundle(
        {name: base64.b64decode(was["base64"]) if isinstance(was, dict) else was.encode() for name, was in told.items()}
    )


def _told(content: bytes) -> str | dict[str, str]:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:  # a table of a spreadsheet
        return {"base64": base64.b64encode(content).decode()}


def read(configured: Configured) -> Bundle:
    """The files of this deployment. Raises ConfigError."""
    config = {CONFIG + name: configured.beside(name) for name in CONFIGURED}
    files = {**_rules(configured.rules), **config, **_answers(configured.beside("answers"))}
    return checked(_read(files), configured.rules)


def of_rules(folder: Path) -> Bundle:
    """A folder of rulebooks alone. Raises ConfigError."""
    return checked(_read(_rules(folder)), folder)


def of_folder(folder: Path, base: Bundle) -> Bundle:
    """A folder of rulebooks, or one that `rules export` wrote; what it has no file of is taken from `base`.

    A folder of rulebooks brings its templates too, if it has any. Raises ConfigError.
    """
    rules = folder / "rules" if (folder / "rules").is_dir() else folder
    config = {CONFIG + name: folder / "config" / name for name in CONFIGURED if (folder / "config" / name).exists()}
    found = _read({**_rules(rules), **config, **_answers(folder / "config" / "answers")})
    has_templates = any(name.startswith(TEMPLATES) for name in found.files)
    kept = {
        name: content
        for name, content in base.files.items()
        if not name.startswith(RULES) or (name.startswith(TEMPLATES) and not has_templates)
    }
    return checked(Bundle({**kept, **found.files}, {**base.places, **found.places}), rules)


def of_rulebooks(texts: Mapping[str, str], base: Bundle) -> Bundle:
    """Rulebooks as they were kept before whole sets were; the rest is from `base`."""
    kept = {name: content for name, content in base.files.items() if name not in set(base.within(RULES, ".yaml"))}
    return Bundle({**kept, **{RULES + Path(name).name: text.encode() for name, text in texts.items()}})


def stamp(configured: Configured) -> tuple[tuple[str, int, int], ...]:
    """Changes whenever a file of the deployment does: cheap to ask often."""
    files = [*_rules(configured.rules).values(), *(configured.beside(name) for name in CONFIGURED)]
    files += _answers(configured.beside("answers")).values()
    told = []
    for file in files:
        try:
            of = file.stat()
        except OSError:
            told.append((str(file), 0, 0))
        else:
            told.append((str(file), of.st_mtime_ns, of.st_size))
    return tuple(told)


def checked(bundle: Bundle, folder: Path = Path("rules")) -> Bundle:
    """Raises ConfigError if it is too large, or holds no rulebook."""
    where = Where(str(folder))
    if sum(map(len, bundle.files.values())) > LARGEST:
        raise ConfigError(where, f"larger than {LARGEST} bytes altogether", "are there files that are no rules?")
    if not any(bundle.within(RULES, ".yaml")):
        what = "holds no rulebook (*.yaml)" if folder.is_dir() else "is no folder with rulebooks"
        raise ConfigError(where, what, "rules: ../rules")
    return bundle


def _rules(folder: Path) -> dict[str, Path]:
    kinds = ((RULES, "*.yaml"), (RULES, "*.xlsx"), (TESTS, "*.yaml"), (TEMPLATES, "*.liquid"))
    return {
        prefix + file.name: file
        for prefix, pattern in kinds
        for file in sorted((folder / prefix.removeprefix(RULES)).glob(pattern))
        if not file.name.startswith((".", "~"))
    }


def _answers(folder: Path) -> dict[str, Path]:
    return {ANSWERS + file.name: file for file in sorted(folder.glob("*.md")) if not file.name.startswith((".", "~"))}


def _read(files: Mapping[str, Path]) -> Bundle:
    content = {}
    for name, file in files.items():
        _check_name(name)
        try:
            if file.stat().st_size > LARGEST:  # not even read
                raise ConfigError(Where(str(file)), f"larger than {LARGEST} bytes", "split it", "too-large")
            content[name] = file.read_bytes()
        except OSError as e:
            raise ConfigError(Where(str(file)), f"cannot be read: {type(e).__name__}", "make it readable") from e
    return Bundle(content, {name: str(file) for name, file in files.items()})


def is_named(name: str) -> bool:
    """Whether a set can hold a file of this name."""
    return _NAMED.fullmatch(name) is not None


def _check_name(name: str) -> None:
    if not is_named(name):
        known = "rules/NAME.yaml, rules/templates/NAME.LANGUAGE.liquid, " + _listed(CONFIG + one for one in CONFIGURED)
        raise ConfigError(Where(name), "no rule set holds a file of this name", known)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
