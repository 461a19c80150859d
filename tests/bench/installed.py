"""The peers that are installed by the harness: into a cache folder, pinned, from the package registries only."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PEERS = Path(__file__).parent / "peers"


class Missing(Exception):
    """A peer cannot be had on this machine; says what would help."""


def cache() -> Path:
    """Where peers are kept between runs; TICKETGATE_BENCH_CACHE names another place."""
    return Path(os.environ.get("TICKETGATE_BENCH_CACHE", "~/.cache/ticketgate-bench")).expanduser()


def helpdesk_python() -> Path:
    """The python of a virtual environment with django-helpdesk."""
    return _environment("helpdesk")


def rules_python() -> Path:
    """The python of a virtual environment with the other rule engines."""
    return _environment("rules")


def _environment(name: str) -> Path:
    folder, wanted = cache() / name, PEERS / f"requirements-{name}.txt"
    python = folder / "venv" / "bin" / "python"
    if not _stands(folder, wanted):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _run([sys.executable, "-m", "venv", str(folder / "venv")])
        _run([str(python), "-m", "pip", "install", "--quiet", "--requirement", str(wanted)])
        _keep(folder, wanted)
    return python


def node_red() -> Path:
    """Node-RED's start script, with its SQLite node compiled here (its install script would fetch a binary else)."""
    folder, wanted = cache() / "node-red", PEERS / "node_red" / "package-lock.json"
    if not _stands(folder, wanted):
        headers = _node_headers()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(wanted.with_name(name), folder)
        build = {"npm_config_build_from_source": "true", "npm_config_nodedir": str(headers)}
        _run(["npm", "ci", "--no-audit", "--no-fund"], folder, build)
        _keep(folder, wanted)
    return folder / "node_modules" / "node-red" / "red.js"


def _node_headers() -> Path:
    """Where node's own headers lie; without them the build would go and fetch some."""
    for program in ("node", "npm", "make", "g++"):
        if shutil.which(program) is None:
            raise Missing(f"{program} is not installed (Debian: nodejs npm libnode-dev build-essential)")
    prefix = Path(shutil.which("node") or "").resolve().parent.parent
    if not (prefix / "include" / "node" / "node.h").exists():
        raise Missing(f"no headers of node in {prefix}/include/node (Debian: libnode-dev)")
    return prefix


def _stands(folder: Path, wanted: Path) -> bool:
    mark = folder / "installed"
    return mark.exists() and mark.read_text() == _digest(wanted)


def _keep(folder: Path, wanted: Path) -> None:
    (folder / "installed").write_text(_digest(wanted))


def _digest(wanted: Path) -> str:
    return hashlib.sha256(wanted.read_bytes()).hexdigest()


def _run(command: Sequence[str], folder: Path | None = None, extra: Mapping[str, str] | None = None) -> None:
    print(f"installing a peer, once: {' '.join(command)}", file=sys.stderr)
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **(extra or {})}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode != 0:
        raise Missing(f"{command[0]} failed: {done.stdout.strip()[-500:]}")
