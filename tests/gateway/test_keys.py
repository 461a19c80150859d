"""The master key can be changed, and everything still opens; only with the new one."""

from pathlib import Path

import pytest
from serving import Gateway


def test_a_rotated_master_key_opens_everything_and_the_old_one_nothing(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, outbound="off").start()
    gateway.mail(b"From: a@example.cn\r\nTo: support@example.com\r\nMessage-ID: <k@x>\r\n\r\nmy parcel is lost\r\n")
    gateway.settle()
    gateway.stop()
    file = tmp_path / "data" / "master.key"
    old = file.read_text()

    assert "wrapped anew" in gateway.cli("keys", "rotate")
    new = file.read_text()
    assert new != old
    assert len(new.split()) == 1
    (ticket,) = gateway.tickets()
    assert ticket["messages"][0]["text"] == "my parcel is lost"
    file.write_text(old)
    assert "master" in gateway.refused("tickets")


def test_an_api_key_is_shown_once_and_can_be_revoked(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    (made,) = gateway.json("keys", "add", "shop system", "--scope", "messages:write", "--scope", "tickets:read")
    (listed,) = gateway.json("keys", "list")
    assert listed["scopes"] == "messages:write tickets:read"
    assert made["secret (shown once)"] not in str(listed)
    gateway.cli("keys", "revoke", made["id"])
    assert gateway.json("keys", "list")[0]["state"] == "revoked"
    assert "scopes are" in gateway.refused("keys", "add", "x", "--scope", "everything")


@pytest.mark.parametrize("point", ["rotate.before_commit", "rotate.after_commit"])
def test_a_rotation_killed_anywhere_is_finished_by_the_next_one(tmp_path: Path, point: str) -> None:
    gateway = Gateway(tmp_path)
    gateway.cli("keys", "add", "somebody")
    gateway.refused("keys", "rotate", fault=point)
    assert len(gateway.json("keys", "list")) == 1
    gateway.cli("keys", "rotate")
    assert len(gateway.json("keys", "list")) == 1
    assert len((tmp_path / "data" / "master.key").read_text().split()) == 1


@pytest.mark.parametrize("role", ["accept", "process", "dispatch", "console"])
def test_a_rotation_is_refused_while_a_gateway_runs_in_any_role(tmp_path: Path, role: str) -> None:
    gateway = Gateway(tmp_path).start(roles=role)
    key = (tmp_path / "data" / "master.key").read_text()
    assert "a gateway is running on it" in gateway.refused("keys", "rotate")
    assert (tmp_path / "data" / "master.key").read_text() == key
    gateway.stop()
    gateway.cli("keys", "rotate")
