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


def test_the_demo_checks_itself_in_both_languages() -> None:
    for language in ("zh", "en"):
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "demo", "--once", "--lang", language], text=True, capture_output=True,
            timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) >= 13
        assert "parcel-signed-not-received" in done.stdout
