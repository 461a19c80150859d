"""What a backup is wrapped in: one stream, sealed in chunks, so that neither side ever holds it whole.

    ticketgate backup 1\n                          what it is
    {"by": ..., "name": ..., "salt": ...} HASH\n   who can open it; its own hash tells damage from a foreign key
    chunk, chunk, ..., last chunk                  AES-256-GCM under a key of this file alone

A chunk's nonce is its place, and says whether it is the last: none can be left out, moved or added, and a file that was
cut short is told from one that was changed. The first two lines are bound to every chunk.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.crypto import KEY_BYTES, Master
from normalizer.errors import ConfigError, Where

MAGIC = b"ticketgate backup 1\n"
CHUNK = 1024 * 1024
TAG = 16
SALT_BYTES = 32
LONGEST_HEAD = 1024
INSTEAD = "take another copy of this backup, or an older one"
SYNC_EVERY = 4  # chunks: one large sync at the end would hold up a gateway on the same disk

More = Callable[[int], None]  # so many bytes more are done


@dataclass(frozen=True, slots=True)
class Keys:
    """What seals and opens backups: a passphrase if there is one, else the master keys, the current one first."""

    masters: tuple[bytes, ...]
    passphrase: bytes = b""

    def fresh(self) -> tuple[bytes, AESGCM]:
        """The first two lines of a new backup, and its key."""
        salt = os.urandom(SALT_BYTES)
        by: Literal["passphrase", "master"] = "passphrase" if self.passphrase else "master"
        name = "" if self.passphrase else Master.of(self.masters[0]).name.hex()
        said = json.dumps({"by": by, "name": name, "salt": salt.hex()}).encode()
        key = _stretched(self.passphrase, salt) if self.passphrase else _derived(self.masters[0], salt)
        return MAGIC + said + b" " + _check(said) + b"\n", AESGCM(key)

    def opening(self, head: bytes, file: Path) -> AESGCM:
        """The key of the backup that begins with these two lines. Raises ConfigError."""
        said = _whole_head(head, file)
        salt = bytes.fromhex(said["salt"])
        if said["by"] == "passphrase":
            if not self.passphrase:
                raise ConfigError(Where(str(file)), "sealed with a passphrase", "name its file: --passphrase-file FILE")
            return AESGCM(_stretched(self.passphrase, salt))
        masters = {Master.of(raw).name.hex(): raw for raw in self.masters}
        if said["name"] not in masters:
            raise ConfigError(
                Where(str(file)),
                f"sealed with another master key ({said['name']}); known here: {', '.join(masters) or 'none'}",
                "name the file that holds the key of that time: --key-file FILE",
                code="master-key",
            )
        return AESGCM(_derived(masters[said["name"]], salt))


class Sealing:
    """A file to write to; what arrives is sealed chunk by chunk. Nothing is promised before `finish` has returned."""

    def __init__(self, out: BinaryIO, keys: Keys) -> None:
        head, self._cipher = keys.fresh()
        self._out, self._bound, self._chunks, self._waiting = out, hashlib.sha256(head).digest(), 0, bytearray()
        out.write(head)

    def write(self, words: bytes) -> int:
        self._waiting += words
        while len(self._waiting) > CHUNK:  # the last chunk is known only at the end
            self._seal(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]
        return len(words)

    def finish(self) -> None:
        self._seal(bytes(self._waiting), last=True)
        self._out.flush()
        os.fsync(self._out.fileno())

    def _seal(self, words: bytes, *, last: bool) -> None:
        self._out.write(self._cipher.encrypt(_nonce(self._chunks, last), words, self._bound))
        self._chunks += 1
        if self._chunks % SYNC_EVERY == 0:
            self._out.flush()
            os.fdatasync(self._out.fileno())


class Opening:
    """A file to read from; no byte is handed on that was not sealed at this place. Raises ConfigError."""

    def __init__(self, source: BinaryIO, file: Path, keys: Keys, more: More = lambda _: None) -> None:
        self._source, self._file, self._more = source, file, more
        head = _head(source, file)
        self._cipher, self._bound = keys.opening(head, file), hashlib.sha256(head).digest()
        self._keys, self._place, self._chunks = keys, len(head), 0
        self._ready, self._next = bytearray(), source.read(CHUNK + TAG)
        if not self._next:
            raise ConfigError(Where(str(file)), f"cut short after byte {self._place}", INSTEAD)

    def read(self, size: int) -> bytes:
        """At most `size` bytes; nothing at the end, and only once the last chunk was found to be the last."""
        while len(self._ready) < size and self._next:
            self._ready += self._opened()
        words = bytes(self._ready[:size])
        del self._ready[:size]
        return words

    def drain(self) -> None:
        """Read what is left, so that the end is seen."""
        while self.read(CHUNK):
            pass

    def _opened(self) -> bytes:
        chunk, self._next = self._next, self._source.read(CHUNK + TAG)
        last = not self._next
        words = self._try(chunk, last=last)
        if words is None:
            raise self._fault(chunk, last=last)
        self._more(len(chunk))
        self._place += len(chunk)
        self._chunks += 1
        return words

    def _try(self, chunk: bytes, *, last: bool) -> bytes | None:
        try:
            return self._cipher.decrypt(_nonce(self._chunks, last), chunk, self._bound)
        except (InvalidTag, ValueError):
            return None

    def _fault(self, chunk: bytes, *, last: bool) -> ConfigError:
        """What is wrong with it, as far as it can be told."""
        where, hint = Where(str(self._file)), INSTEAD
        if last and self._try(chunk, last=False) is not None:
            return ConfigError(where, f"cut short after byte {self._place + len(chunk)}", hint)
        if not last and self._try(chunk, last=True) is not None:
            return ConfigError(where, f"something was added after byte {self._place + len(chunk)}", hint)
        if self._chunks == 0 and self._keys.passphrase:
            return ConfigError(where, "the passphrase is wrong, or the file is damaged at its beginning", hint)
        until = self._place + len(chunk)
        cut = " or cut short" if last else ""
        return ConfigError(where, f"damaged{cut} between byte {self._place} and {until}", hint)


def _head(source: BinaryIO, file: Path) -> bytes:
    first = source.read(len(MAGIC))
    if first != MAGIC:
        raise ConfigError(Where(str(file)), "not a backup of Ticketgate, or damaged in its first bytes", "see its name")
    return first + source.readline(LONGEST_HEAD)


def _whole_head(head: bytes, file: Path) -> dict[str, str]:
    said, _, check = head.removeprefix(MAGIC).rstrip(b"\n").rpartition(b" ")
    if not head.endswith(b"\n") or not hmac.compare_digest(check, _check(said)):
        raise ConfigError(Where(str(file)), "damaged or cut short in its second line", INSTEAD)
    return dict(json.loads(said))


def _check(said: bytes) -> bytes:
    return hashlib.sha256(MAGIC + said).hexdigest()[:16].encode()


def _nonce(place: int, last: bool) -> bytes:
    return place.to_bytes(11, "big") + (b"\1" if last else b"\0")


def _derived(master: bytes, salt: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt, b"ticketgate backup").derive(master)


def _stretched(passphrase: bytes, salt: bytes) -> bytes:
    """RFC 9106's second recommendation: 64 MB, three passes."""
    from argon2.low_level import Type, hash_secret_raw

    return hash_secret_raw(passphrase, salt, 3, 64 * 1024, 4, KEY_BYTES, Type.ID)
