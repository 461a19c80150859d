"""compose.scale.yaml as Docker would read it, as far as it goes there: `${NAME:-else}`, `${NAME:?why}`, `$$`."""

import os
import re
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import warm
import yaml
from serving import START_WITHIN, free_port

FILE = Path(__file__).parents[2] / "compose.scale.yaml"
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::([-?])([^}]*))?\})")


class Missing(Exception):
    """A variable that must be set."""


def told() -> Any:
    """The file, merges resolved and variables as they stand there."""
    return yaml.safe_load(FILE.read_text())


def interpolated(value: Any, given: Mapping[str, str]) -> Any:
    """With the variables in it replaced. Raises Missing."""

    def one(found: re.Match[str]) -> str:
        dollar, name, how, more = found.groups()
        if dollar:
            return "$"
        if not given.get(name) and how == "?":
            raise Missing(f"{name}: {more}")
        return given.get(name) or (more if how == "-" else "")

    if isinstance(value, dict):
        return {name: interpolated(part, given) for name, part in value.items()}
    if isinstance(value, list):
        return [interpolated(part, given) for part in value]
    return _VARIABLE.sub(one, value) if isinstance(value, str) else value


def environment(service: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """What a container of this service finds in its environment."""
    return {name: str(value) for name, value in interpolated(service["environment"], given).items()}


@dataclass
class Containers:
    """The gateway's services of that file as processes: their commands and environments, with our servers' addresses.

    Settings are those of the image (Dockerfile), ports free ones; every service has an HTTP port of its own.
    """

    folder: Path
    given: Mapping[str, str]
    hosts: Mapping[str, str]  # what stands for `postgres:5432` and the like
    more: Mapping[str, str] = field(default_factory=dict)
    smtp: int = field(default_factory=free_port)
    running: list[subprocess.Popen[bytes] | warm.Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        text = (FILE.parent / "config" / "ticketgate.yaml").read_text()
        text = re.sub(r"^(data: ).*", rf"\1{self.folder}/data", text, flags=re.MULTILINE)
        text = re.sub(r"^rules: .*\n", "", text, flags=re.MULTILINE).replace("127.0.0.1:2525", f"127.0.0.1:{self.smtp}")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "ticketgate.yaml").write_text(text)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def environment(self, service: str) -> dict[str, str]:
        found = environment(told()["services"][service], self.given)
        for host, ours in self.hosts.items():
            found = {name: value.replace(host, ours) for name, value in found.items()}
        return {**found, "TICKETGATE_CONFIG": str(self.folder / "ticketgate.yaml"), **self.more}

    def start(self, service: str) -> int:
        """One container of it. Returns its HTTP port, which is ready."""
        http, command = free_port(), told()["services"][service]["command"]
        whole = {**os.environ, **self.environment(service), "TICKETGATE_HTTP__LISTEN": f"127.0.0.1:{http}"}
        with (self.folder / "log").open("ab") as log, open(os.devnull, "rb") as nothing:
            self.running.append(warm.start(command, environment=whole, stdin=nothing, stdout=log, stderr=log))
        deadline = time.monotonic() + START_WITHIN
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{http}/readyz").status_code == 200:
                    return http
            time.sleep(0.05)
        raise AssertionError(f"{service} did not start:\n{self.log[-4000:]}")

    def __enter__(self) -> "Containers":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running:
            process.kill()
            process.wait()
