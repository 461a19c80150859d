"""compose.scale.yaml names what exists: settings, roles, commands, volumes. Its commands run in tests/gateway/test_several.py."""

import tomllib
from typing import Any

import pytest
from composed import FILE, Missing, environment, interpolated, told
from pydantic import BaseModel

from gateway.alone import ROLES
from gateway.settings import Settings

GATEWAYS = ("accept", "process", "console")
SECRETS = {"POSTGRES_PASSWORD": "p", "REDIS_PASSWORD": "r", "TICKETGATE_MASTER_KEY": "m"}


@pytest.mark.parametrize("service", [*GATEWAYS, "backup"])
def test_every_variable_given_to_a_gateway_is_a_setting(service: str) -> None:
    for name in environment(told()["services"][service], SECRETS):
        assert name.startswith("TICKETGATE_")
        model: Any = Settings
        for part in name.removeprefix("TICKETGATE_").lower().split("__"):
            assert issubclass(model, BaseModel) and part in model.model_fields, name
            model = model.model_fields[part].annotation


def test_between_them_they_have_every_role_once() -> None:
    roles = [role for service in GATEWAYS for role in told()["services"][service]["command"][-1].split(",")]
    assert sorted(roles) == sorted(ROLES)


@pytest.mark.parametrize("secret", SECRETS)
def test_nothing_starts_without_a_secret_of_its_own(secret: str) -> None:
    given = {name: value for name, value in SECRETS.items() if name != secret}
    with pytest.raises(Missing, match="openssl rand"):
        interpolated(told(), given)


def test_no_service_can_write_but_in_its_volumes_or_is_root() -> None:
    for name, service in told()["services"].items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert "user" in service or service["image"].startswith("ticketgate:"), name  # our image has one


def test_what_keeps_the_data_is_seen_from_inside_only_and_looked_at() -> None:
    whole = told()
    assert whole["networks"]["inside"]["internal"]
    for name in ("postgres", "redis"):
        service = whole["services"][name]
        assert service["networks"] == ["inside"] and "ports" not in service and service["healthcheck"]["test"]


def test_volumes_and_what_is_waited_for_exist() -> None:
    whole = told()
    for name, service in whole["services"].items():
        named = {volume.partition(":")[0] for volume in service.get("volumes", ())}
        assert named - {"./backups"} <= whole["volumes"].keys(), name
        assert set(service.get("depends_on", ())) <= whole["services"].keys(), name
    assert whole["services"]["accept"]["volumes"] == whole["services"]["process"]["volumes"] == ["data:/data"]


def test_the_image_holds_what_they_need() -> None:
    recipe = (FILE.parent / "Dockerfile").read_text()
    assert "--extra scale" in recipe
    project = tomllib.loads((FILE.parent / "pyproject.toml").read_text())["project"]
    assert {"redis", "psycopg"} <= {
        one.partition("[")[0].partition(">")[0] for one in project["optional-dependencies"]["scale"]
    }
