"""Units, compose file and image recipe say what they must; where systemd is there, it is asked."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
UNITS = [ROOT / "packaging" / name for name in ("ticketgate.service", "ticketgate-backup.service")]
TIMER = ROOT / "packaging" / "ticketgate-backup.timer"
LARGEST_EXPOSURE = 1.5


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """The units with a program that exists."""
    program = tmp_path / "ticketgate"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    made = []
    for unit in [*UNITS, TIMER]:
        made.append(tmp_path / unit.name)
        made[-1].write_text(unit.read_text().replace("/opt/ticketgate/bin/ticketgate", str(program)))
    return made


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_finds_nothing_to_mend(installed: list[Path]) -> None:
    done = subprocess.run(["systemd-analyze", "verify", *installed], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "ticketgate" in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_calls_them_little_exposed(unit: Path) -> None:
    asked = ["systemd-analyze", "security", "--offline=true", unit]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found and float(found[1]) <= LARGEST_EXPOSURE


def test_the_compose_file_starts_one_gateway_that_can_write_only_its_volume() -> None:
    told: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    gateway = told["services"]["ticketgate"]
    assert gateway["read_only"] and gateway["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in gateway["security_opt"]
    assert gateway["volumes"] == ["data:/data"] and "data" in told["volumes"]
    assert "profiles" not in gateway  # `up` starts it, and nothing else
    others = {name: service for name, service in told["services"].items() if name != "ticketgate"}
    assert all(service["profiles"] for service in others.values())


def test_the_image_is_not_root_and_its_tools_are_the_makefiles() -> None:
    recipe = (ROOT / "Dockerfile").read_text()
    final = recipe.rpartition("\nFROM ")[2]
    assert "USER 10001" in final and "HEALTHCHECK" in final and "VOLUME /data" in final
    (uv,) = re.findall(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"UV_VERSION={uv}" in recipe
    assert "--require-hashes" in recipe
