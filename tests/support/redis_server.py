"""A real Redis on a port of its own, that keeps nothing: it is killed, paused, emptied, and started again."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from serving import free_port


@dataclass
class RedisServer:
    """`certificate` and its key: it speaks TLS alone."""

    password: str = ""
    certificate: tuple[Path, Path] | None = None
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="redis-")))

    @property
    def url(self) -> str:
        scheme = "rediss" if self.certificate else "redis"
        secret = f":{self.password}@" if self.password else ""
        trust = f"?ssl_ca_certs={self.certificate[0]}" if self.certificate else ""
        return f"{scheme}://{secret}localhost:{self.port}/0{trust}"

    def start(self) -> "RedisServer":
        said: list[str] = ["--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        if self.certificate:
            said += ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            for name, file in zip(("cert-file", "key-file"), self.certificate, strict=True):
                said += [f"--tls-{name}", str(file)]
            said += ["--tls-ca-cert-file", str(self.certificate[0])]
        else:
            said += ["--port", str(self.port)]
        if self.password:
            said += ["--requirepass", self.password]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(["redis-server", *said], stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.01)
        raise AssertionError(f"Redis did not start:\n{(self.folder / 'redis.log').read_text()[-2000:]}")

    def kill(self) -> None:
        """kill -9: with it goes all it knew."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        assert self.process
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process
        os.kill(self.process.pid, signal.SIGCONT)

    def say(self, *words: str) -> str:
        """One command without an answer of many lines, as redis-cli gives it."""
        asked = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        with socket.create_connection(("127.0.0.1", self.port), 5) as line:
            line.sendall(asked.encode())
            return line.recv(65536).decode().strip()

    def __enter__(self) -> "RedisServer":
        return self if self.process else self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()
