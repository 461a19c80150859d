"""The wheel, in an environment of its own that knows no checkout: it brings what it needs, and starts from anywhere."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAIL = "From: li@example.cn\nTo: support@example.com\nSubject: refund\nMessage-ID: <w@x>\n\nI want a refund.\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    uv = next((path for path in UVS if path.exists()), None)
    if uv is None:
        pytest.fail("uv is needed: make install puts it into build/uv")
    subprocess.run([uv, "build", "--quiet", "--wheel", "-o", folder], cwd=ROOT, check=True)
    (made,) = folder.glob("*.whl")
    return made


UVS = (ROOT / "build/uv/bin/uv", Path(sys.executable).parents[2] / "build/uv/bin/uv")


def test_it_holds_all_that_is_not_python_too(wheel: Path) -> None:
    inside = {name.partition(".data/data/")[2] or name for name in zipfile.ZipFile(wheel).namelist()}
    for folder in ("rules", "config"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file():
                assert f"share/ticketgate/{path.relative_to(ROOT)}" in inside
    for package in ("connectors", "engine", "gateway", "normalizer"):
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert str(path.relative_to(ROOT)) in inside
    assert not [name for name in inside if name.startswith(("tests/", "docs/"))]


@pytest.mark.timeout(300)
def test_installed_it_normalizes_examines_itself_and_plays_the_demo_from_an_empty_folder(
    wheel: Path, tmp_path: Path
) -> None:
    """The locked dependencies are those of the environment the tests run in; only the wheel is installed anew."""
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", installed], check=True)
    (site,) = (installed / "lib").glob("python*/site-packages")
    uv = next(path for path in UVS if path.exists())
    target = ["--python", installed / "bin/python", "--no-deps", "--offline"]
    subprocess.run([uv, "pip", "install", "--quiet", *target, wheel], check=True)
    here = next(Path(p) for p in sys.path if p.endswith("site-packages"))
    (site / "locked.pth").write_text("\n".join([str(here), ""]))  # behind its own

    def ticketgate(*arguments: str, stdin: str = "") -> str:
        clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        done = subprocess.run(
            [installed / "bin/ticketgate", *arguments], input=stdin, capture_output=True, text=True, check=False,
            cwd=empty, env={**clean, "HOME": str(empty), "TICKETGATE_DATA": str(empty / "data")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    (said,) = ticketgate("normalize", "email", stdin=MAIL).splitlines()
    assert json.loads(said)["subject"] == "refund"
    findings = [json.loads(line) for line in ticketgate("doctor").splitlines()]
    assert findings[0]["found"].startswith(str(installed / "share/ticketgate/config"))
    ticketgate("demo", "--once")
