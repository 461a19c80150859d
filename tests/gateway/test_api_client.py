"""A client generated from the API's own description, used against a real gateway."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Gateway

from gateway.permissions import PERMISSIONS


def test_a_generated_client_makes_reads_and_changes_a_ticket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gateway(tmp_path / "gateway", outbound="off") as gateway:
        url = f"http://127.0.0.1:{gateway.http}"
        client = generated(httpx.get(f"{url}/api/openapi.json").json(), tmp_path)
        monkeypatch.syspath_prepend(str(client.parent))
        (row,) = gateway.json("keys", "add", "all", *(part for scope in PERMISSIONS for part in ("--scope", scope)))
        secret = next(value for name, value in row.items() if name.startswith("secret"))
        api = module("client").AuthenticatedClient(base_url=url, token=secret)

        with httpx.Client(base_url=url, headers={"authorization": f"Bearer {secret}"}) as plain:
            made = plain.post("/api/v1/tickets", json={"from": {"email": "li@example.cn"}, "text": "退款"}).json()
        number = made["tickets"][0]
        words = models("Words").from_dict({"text": "先查一下"})
        said = call("tickets", "tickets_comment", number, client=api, body=words)
        assert said.status_code == 201
        assert said.parsed.tickets == [number]
        changes = call("tickets", "tickets_claim", number, client=api)
        assert changes.status_code in (200, 409)
        page = call("tickets", "tickets_listed", client=api)
        assert [one.to_dict()["number"] for one in page.parsed.items] == [number]
        gone = call("tickets", "tickets_one", "20000101001", client=api)
        assert (gone.status_code, gone.parsed.to_dict()["title"]) == (404, "not found")


def generated(document: Any, folder: Path) -> Path:
    """The client's package, as developers would make it."""
    (folder / "openapi.json").write_text(json.dumps(document))
    (folder / "config.yaml").write_text(
        "package_name_override: client\nproject_name_override: client\npost_hooks: []\n"
    )
    subprocess.run(
        [Path(sys.executable).with_name("openapi-python-client"), "generate", "--path", folder / "openapi.json",
         "--config", folder / "config.yaml", "--output-path", folder / "made", "--fail-on-warning"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "made" / "client"


def module(name: str) -> Any:
    return importlib.import_module(name)


def models(name: str) -> Any:
    return getattr(module("client.models"), name)


def call(tag: str, name: str, *arguments: Any, **named: Any) -> Any:
    return module(f"client.api.{tag}.{name}").sync_detailed(*arguments, **named)
