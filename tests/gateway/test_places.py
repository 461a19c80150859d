"""Where settings say something is: what cannot be is told at its place, and paths go from the settings file."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.places import host_and_port
from gateway import mind, settings
from normalizer.errors import ConfigError

CONFIG = """\
http: {listen: "%(http)s"}
connectors:
  - connector: email_smtp
    account: support
    addresses: [support@example.com]
    door: {listen: ["%(smtp)s"], tls: {certificate: %(certificate)s, key: tls/key.pem}}
    relay: {host: localhost, ca_file: tls/ca.pem}
"""
GOOD = {"http": "127.0.0.1:8025", "smtp": "127.0.0.1:2525", "certificate": "tls/chain.pem"}


def configured(folder: Path, **said: str) -> Any:
    """The one account of these settings; its TLS files stand beside them."""
    (folder / "tls").mkdir(exist_ok=True)
    for name in ("chain.pem", "key.pem", "ca.pem"):
        (folder / "tls" / name).touch()
    file = folder / "ticketgate.yaml"
    file.write_text(CONFIG % {**GOOD, **said})
    known = settings.read(file)
    return next(iter(mind.built(known, "connectors", "connector", lambda name, where: Told)))


class Told:
    """Keeps the settings it is given, as the mail connector reads them."""

    from connectors.email_smtp import EmailSmtpSettings as Settings

    def __init__(self, settings: Any) -> None:
        self.settings = settings


def test_files_are_looked_for_beside_the_settings_wherever_it_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(os.sep)
    told = configured(tmp_path, smtp="unix:run/lmtp").settings
    assert told.door.tls.certificate == tmp_path / "tls/chain.pem"
    assert told.door.tls.key == tmp_path / "tls/key.pem"
    assert told.relay.ca_file == tmp_path / "tls/ca.pem"
    assert told.door.listen == (f"unix:{tmp_path}/run/lmtp",)
    absolute = tmp_path / "tls/ca.pem"
    assert configured(tmp_path, certificate=str(absolute)).settings.door.tls.certificate == absolute


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"http": "127.0.0.1:65536"}, 1), ({"http": "127.0.0.1"}, 1), ({"http": ":8025"}, 1),
        ({"http": "300.1.1.1:80"}, 1), ({"http": "a b:80"}, 1), ({"http": "127.0.0.1:²"}, 1),
        ({"smtp": "127.0.0.1:70000"}, 6), ({"smtp": "::1:25"}, 6), ({"smtp": "[127.0.0.1]:25"}, 6),
        ({"smtp": "http://x:25"}, 6), ({"smtp": "25"}, 6), ({"smtp": f"{'x' * 70}.example:25"}, 6),
        ({"certificate": "tls/missing.pem"}, 6), ({"certificate": "tls"}, 6),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_with_file_line_column_and_what_to_write(
    tmp_path: Path, said: dict[str, str], line: int
) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, **said)
    assert caught.value.where.line == line
    assert caught.value.where.column > 1
    assert "write" in caught.value.what or "relative to the settings file" in caught.value.what


@pytest.mark.parametrize(
    ("listen", "is_at"),
    [
        ("127.0.0.1:25", ("127.0.0.1", 25)), ("[::1]:25", ("::1", 25)), (":25", ("", 25)), ("[::]:0", ("::", 0)),
        ("localhost:65535", ("localhost", 65535)), ("mx-1.example.com.:25", ("mx-1.example.com.", 25)),
    ],
)  # fmt: skip
def test_an_address_to_listen_on_is_host_and_port(listen: str, is_at: tuple[str, int]) -> None:
    assert host_and_port(listen) == is_at


@given(st.text(st.sampled_from("0123456789:.[]ax-%² "), max_size=20))
def test_whatever_is_written_is_an_address_or_refused(listen: str) -> None:
    with suppress(ValueError):
        assert 0 <= host_and_port(listen)[1] <= 65535
