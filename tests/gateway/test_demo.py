"""The demo is the README's first command: what it shows must be so."""

import os
import subprocess
import sys
from pathlib import Path


def test_the_demo_keeps_out_of_the_real_data_folder(tmp_path: Path) -> None:
    real = {"TICKETGATE_DATA": str(tmp_path), "TICKETGATE_HTTP__LISTEN": "127.0.0.1:1", "TICKETGATE_OUTBOUND": "off"}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--once"], env={**os.environ, **real}, timeout=90, check=False,
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert list(tmp_path.iterdir()) == []


def played(*options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--once", *options], text=True, capture_output=True, timeout=90,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_demo_checks_itself_in_both_languages_and_is_the_same_on_both_kernels() -> None:
    tables = [played("--lang", "zh"), played("--lang", "en")]
    for table in tables:
        assert len(table.splitlines()) >= 13
        assert "parcel-signed-not-received" in table
    if sys.version_info < (3, 13):  # durable_rules cannot be imported there
        assert played("--lang", "en", "--kernel", "durable") == tables[1]
