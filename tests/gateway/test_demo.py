"""The demo is the README's first command: what it shows must be so."""

import subprocess
import sys


def test_the_demo_checks_itself_in_both_languages() -> None:
    for language in ("zh", "en"):
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "demo", "--once", "--lang", language], text=True, capture_output=True,
            timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) >= 13
        assert "parcel-signed-not-received" in done.stdout
