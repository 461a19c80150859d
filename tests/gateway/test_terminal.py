"""What commands print on a terminal, however wide, and what they answer to a word they do not know."""

import fcntl
import os
import pty
import struct
import termios
import tomllib
from pathlib import Path

import pytest
import warm
from serving import Gateway


def on_a_terminal(gateway: Gateway, columns: int, *arguments: str) -> str:
    """What the command prints on a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with os.fdopen(theirs, "wb") as terminal, open(os.devnull, "rb") as nothing:
        process = warm.start(
            [*arguments, "--config", str(gateway.config)], environment={**os.environ, **gateway.environment},
            stdin=nothing, stdout=terminal, stderr=terminal,
        )  # fmt: skip
        ended = process.wait(30)
        shown = os.read(ours, 100_000).decode()
    assert ended == 0, shown
    return shown


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_secret_that_is_shown_once_is_shown_whole(tmp_path: Path, columns: int) -> None:
    gateway = Gateway(tmp_path)
    shown = on_a_terminal(
        gateway, columns, "keys", "add", "shop", "--scope", "messages:write", "--scope", "tickets:read"
    )
    secret = next(word for word in shown.split() if word.startswith("tgk_"))
    assert len(secret) == 47
    assert gateway.json("keys", "list")[0]["id"] in shown.split()


@pytest.mark.parametrize(
    "asked",
    [
        ("outbox", "list", "--state", "failed"), ("quarantine", "list", "--code", "spam"),
        ("quarantine", "list", "--account", "email_stmp/support"), ("quarantine", "retry", "--code", "spam"),
        ("tickets", "--status", "done"), ("journal", "--account", "email"),
    ],
)  # fmt: skip
def test_a_word_nobody_knows_is_refused_and_not_taken_for_nothing_found(tmp_path: Path, asked: tuple[str, ...]) -> None:
    assert f"'{asked[-1].partition('/')[0]}'" in Gateway(tmp_path).refused(*asked)


@pytest.mark.parametrize("asked", [("outbox", "retry", "nobody"), ("quarantine", "retry", "nobody")])
def test_to_retry_what_is_not_there_fails(tmp_path: Path, asked: tuple[str, ...]) -> None:
    assert "error: the others" in Gateway(tmp_path).refused(*asked)


def test_a_terminal_of_another_charset_shows_what_it_can(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    done = warm.run(["--help"], environment={**os.environ, **gateway.environment, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert b"\\u6f14\\u793a" in done.stdout


def test_output_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    gateway.cli("keys", "add", "shop")
    with open("/dev/full", "wb") as full, open(os.devnull, "rb") as nothing, (tmp_path / "said").open("wb") as said:
        process = warm.start(
            ["keys", "list", "--config", str(gateway.config)], environment={**os.environ, **gateway.environment},
            stdin=nothing, stdout=full, stderr=said,
        )  # fmt: skip
        assert process.wait(30) == 1
    assert (tmp_path / "said").read_text() == "error: [Errno 28] No space left on device\n"


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    done = warm.run(["--version"], environment=os.environ)
    assert (done.returncode, done.stdout.decode()) == (0, f"ticketgate {project['version']}\n")
