"""What tests start without its imports is from the outside what operators start."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import warm
from serving import Gateway

COLD = (sys.executable, "-m", "gateway")


def seen(pid: int) -> dict[str, object]:
    """A process as the system shows it."""
    proc = Path(f"/proc/{pid}")
    status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
    files = {entry.name: os.readlink(entry) for entry in (proc / "fd").iterdir()}
    return {
        "signals": [status[name] for name in ("SigBlk", "SigIgn", "SigCgt")],
        "session": os.getsid(pid) == os.getpgid(pid) == pid,
        "folder": os.readlink(proc / "cwd"),
        "standard": [Path(files[number]).name for number in "012"],
        "open": {re.sub(r"(socket|pipe|holder)[:-].*", r"\1", Path(where).name) for where in files.values()},
    }


def test_a_gateway_is_the_same_process_started_either_way(tmp_path: Path) -> None:
    cold, first, fork = (Gateway(tmp_path / name, outbound="off") for name in ("cold", "first", "fork"))
    with cold.start(command=COLD), first.start(), fork.start():
        assert cold.process and fork.process
        assert seen(fork.process.pid) == seen(cold.process.pid)
        assert fork.process.poll() is None
        assert cold.stop() == fork.stop() == 0
    fork.start().kill()
    assert fork.process.poll() == -signal.SIGKILL


def test_a_command_says_and_returns_the_same_either_way(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    for arguments in (["normalize", "--what"], ["normalize", "api", "-"]):
        done = gateway._run(*arguments, stdin=b"[]")
        with warm.ready(cold=True):
            cold = gateway._run(*arguments, stdin=b"[]")
        assert done.stdout + done.stderr
        assert (done.returncode, done.stdout, done.stderr) == (cold.returncode, cold.stdout, cold.stderr)


def test_with_what_forks_them_the_gateways_end(tmp_path: Path) -> None:
    with warm.ready():
        process = Gateway(tmp_path).start().process
        assert process and process.poll() is None
    deadline = time.monotonic() + 10
    while Path(f"/proc/{process.pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
