"""What is wrong in the settings is said in words of who writes them, at its place."""

import re
from pathlib import Path

import pytest

from connectors.email_smtp import EmailSmtp
from gateway import settings
from normalizer.errors import ConfigError

ROOT = Path(__file__).parent.parent.parent
ACCOUNT = "connectors: [{connector: email_smtp, account: a, addresses: [a@example.com], "


def refused(folder: Path, text: str) -> ConfigError:
    file = folder / "ticketgate.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as told:
        settings.account(settings.read(file), EmailSmtp.Settings, "connectors", 0)
    return told.value


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("outbound: maybe", "outbound must be on or off"),
        ("workers: 1.5", "workers must be a whole number"),
        ("http: often", "http must be a mapping, name: value"),
        ("connectors: 5", "connectors must be a list"),
        ("time_zone: 8", "time_zone must be text"),
        ("time_zone: Mars", "time_zone: no time zone is called 'Mars'; write one such as Asia/Shanghai"),
        ("data:", "data must be a path"),
        ("connectors: [{connector: email_smtp, account: a}]", "addresses is missing"),
        (ACCOUNT + "trusted_relays: [127.0.0.1/8]}]", "trusted_relays.0: Input is not a valid IPv4 network"),
        (ACCOUNT + "relay: {host: x, prot: 25}}]", "relay.prot is not known here"),
    ],
)
def test_a_mistake_is_told_in_plain_words(tmp_path: Path, text: str, what: str) -> None:
    told = refused(tmp_path, text)
    assert (told.what, told.where.line) == (what, 1)


def test_a_secret_whose_way_is_misspelt_is_told_how_to_write_it(tmp_path: Path) -> None:
    told = refused(tmp_path, ACCOUNT + "relay: {host: x, password: {evn: NAME}}}]")
    assert told.hint == "if it is a secret: {env: NAME} or {file: PATH}"


@pytest.mark.parametrize("name", ["TICKETGATE_HTTP__LISTEN", "TICKETGATE_WORKERS"])
def test_a_mistake_in_the_environment_is_told_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "nowhere")
    assert str(refused(tmp_path, "http: {listen: '127.0.0.1:8025'}\nworkers: 1").where) == f"environment {name}"


def test_what_the_environment_cannot_hold_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKETGATE_CONNECTORS", "email")
    assert "connectors" in refused(tmp_path, "company: x").what


def test_a_file_that_is_no_utf_8_is_told(tmp_path: Path) -> None:
    (tmp_path / "gbk.yaml").write_bytes("company: 示例公司".encode("gbk"))
    with pytest.raises(ConfigError, match="it is not UTF-8"):
        settings.read(tmp_path / "gbk.yaml")


def test_every_setting_stands_in_the_table_of_the_documentation() -> None:
    told = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8").partition("| setting |")[2].partition("\n\n")[0]
    named = {name.partition(".")[0] for name in re.findall(r"`([a-z_.]+)`", told)}
    assert set(settings.Settings.model_fields) - named == set()
