"""What keeps customers' words from whoever finds the disk.

    KeyRing   the master keys: they only wrap other keys, so changing them is cheap
    DataKey   the key of one contact or envelope: seals its words; destroying it erases them
    Vault     what a store works with: the ring, the house's own data key, and keyed digests to look things up by

AES-256-GCM throughout. The associated data names table, column and row, so that no sealed value can be moved to
another place. Digests are HMAC-SHA256 under an index key that is itself wrapped by the master, so they survive a
change of master.
"""

import base64
import hashlib
import hmac
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from isal import isal_zlib

from normalizer.errors import ConfigError, Where

KEY_BYTES = 32
NONCE_BYTES = 12
BLOCK, TERM_BYTES = 16, 5
NAME_BYTES = 4  # of a master key, in front of what it wraps
DEFLATE_OVER = 1024  # below, squeezing takes longer than writing what it would save
PLAIN, DEFLATED = b"\0", b"\1"


class SealedError(Exception):
    """This key does not open that: a wrong key, a changed byte, or a value moved to another place."""


@dataclass(frozen=True, slots=True)
class Squeezed:
    """Words, and what is sealed of them: the work of sealing that needs no key."""

    words: bytes
    squeezed: bytes

    @classmethod
    def of(cls, words: bytes) -> "Squeezed":
        # ISA-L takes a third of zlib's time: less than writing the bytes it saves. Each opens the other's.
        return cls(words, DEFLATED + isal_zlib.compress(words, 1) if len(words) > DEFLATE_OVER else PLAIN + words)


@dataclass(frozen=True, slots=True)
class DataKey:
    """Seals and opens the words of one contact or envelope."""

    raw: bytes
    cipher: AESGCM

    @classmethod
    def of(cls, raw: bytes) -> "DataKey":
        return cls(raw, AESGCM(raw))

    def seal(self, words: bytes | Squeezed, place: str) -> bytes:
        """`place` is table.column:row; only there can it be opened again."""
        made = words if isinstance(words, Squeezed) else Squeezed.of(words)
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self.cipher.encrypt(nonce, made.squeezed, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """The words again. Raises SealedError."""
        squeezed = _decrypt(self.cipher, sealed, place.encode())
        return isal_zlib.decompress(squeezed[1:]) if squeezed[:1] == DEFLATED else squeezed[1:]


@dataclass(frozen=True, slots=True)
class Master:
    name: bytes
    cipher: AESGCM

    @classmethod
    def of(cls, raw: bytes) -> "Master":
        # Both are derived, so that the name in front of wrapped keys says nothing about the key itself.
        return cls(derived(raw, "master name")[:NAME_BYTES], AESGCM(derived(raw, "master wrap")))


class KeyRing:
    """Master keys, the current one first; the others still open what they wrapped until `rotate` has been through."""

    def __init__(self, *masters: bytes) -> None:
        if not masters or any(len(raw) != KEY_BYTES for raw in masters):
            raise ValueError(f"a master key has {KEY_BYTES} bytes")
        self._masters = {master.name: master for master in map(Master.of, masters)}
        self._current = Master.of(masters[0])

    @classmethod
    def load(cls, value: str | None, file: Path) -> tuple["KeyRing", bool]:
        """From the setting's value, else from a file, else made now and kept in that file.

        Either holds one base64 key a line (or comma), the current one first. The flag says that the key was made just
        now: then tell a person to keep a copy elsewhere. Raises ConfigError.
        """
        if value:
            return cls(*_decoded(value, Where("master_key"))), False
        made = not file.exists()
        if made:
            write_key(file, [new_key()])
        return cls(*_decoded(_read(file), Where(str(file)))), made

    @staticmethod
    def known(value: str | None, file: Path) -> list[bytes]:
        """The master keys themselves, from the setting's value, else from a file; none is made. Raises ConfigError."""
        return _decoded(value, Where("master_key")) if value else _decoded(_read(file), Where(str(file)))

    def wrap(self, key: bytes, place: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return self._current.name + nonce + self._current.cipher.encrypt(nonce, key, place.encode())

    def unwrap(self, wrapped: bytes, place: str) -> bytes:
        """Raises SealedError if none of our masters wrapped it, or not for this place."""
        master = self._masters.get(wrapped[:NAME_BYTES])
        if master is None:
            raise SealedError(place)
        return _decrypt(master.cipher, wrapped[NAME_BYTES:], place.encode())

    def data_key(self, wrapped: bytes, place: str) -> DataKey:
        return DataKey.of(self.unwrap(wrapped, place))

    def new_data_key(self, place: str) -> tuple[DataKey, bytes]:
        """A fresh key, and the same wrapped for its row."""
        raw = os.urandom(KEY_BYTES)
        return DataKey.of(raw), self.wrap(raw, place)


class Vault:
    """The keys of one store. `ring` changes when the master is rotated; the others never do.

    `house` seals what belongs to no contact: what was refused at the door, what helpdesks called things.
    """

    def __init__(self, ring: KeyRing, house: DataKey, index: bytes) -> None:
        self.ring, self.house, self._index = ring, house, index
        # Equal words shall be equal digests, and no two words share a block: what ECB is for.
        self._words = Cipher(AES(hmac.digest(index, b"words", "sha256")), ECB())  # noqa: S305
        # RFC 2104, with the key's own blocks hashed once: OpenSSL's one-shot HMAC takes four times as long.
        padded = index.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(b ^ 0x36 for b in padded))
        self._outer = hashlib.sha256(bytes(b ^ 0x5C for b in padded))

    def digest(self, kind: str, *parts: str | bytes) -> str:
        """32 hex digits to look something up by; without the index key nobody can tell what stands behind them."""
        named = [kind.encode(), *[p if isinstance(p, bytes) else p.encode("utf-8", "surrogatepass") for p in parts]]
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(b"".join([b"%d:%b" % (len(p), p) for p in named]))
        outer.update(inner.digest())
        return outer.hexdigest()[:32]

    def terms(self, words: Sequence[str]) -> list[str]:
        """Each word as 10 hex digits to search by; words hold no blanks. A fifth of what `digest` takes.

        AES as a keyed permutation of one block a word, cut to 40 bits: without the index key it cannot be told from
        chance, and no dictionary helps. Longer words are hashed to a block first.
        """
        blocks = [w if len(w) <= BLOCK else hashlib.blake2b(w, digest_size=BLOCK).digest() for w in _encoded(words)]
        permuted = self._words.encryptor().update(struct.pack(f"{BLOCK}s" * len(blocks), *blocks))
        return [permuted[at : at + TERM_BYTES].hex() for at in range(0, len(permuted), BLOCK)]

    def blob_key(self, content_sha256: bytes) -> DataKey:
        """A blob's key follows from its content, so equal bodies share a file; each envelope keeps the hash sealed."""
        return DataKey.of(hmac.digest(self._index, b"blob key:" + content_sha256, "sha256"))


def _encoded(words: Sequence[str]) -> list[bytes]:
    return " ".join(words).encode("utf-8", "surrogatepass").split(b" ") if words else []


def derived(raw: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, None, f"ticketgate {purpose}".encode()).derive(raw)


def sha256(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


def new_key() -> bytes:
    return os.urandom(KEY_BYTES)


def write_key(file: Path, masters: Sequence[bytes]) -> None:
    """Keep master keys in a file only its owner may read; whole or not at all, even if the power fails."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(file.name + ".new")
    descriptor = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(b"".join(base64.b64encode(raw) + b"\n" for raw in masters))
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _decrypt(cipher: AESGCM, sealed: bytes, place: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
    except (InvalidTag, ValueError) as e:
        raise SealedError(place.decode()) from e


def _decoded(text: str, where: Where) -> list[bytes]:
    keys = [_one_key(line, where) for line in text.replace(",", "\n").split()]
    if not keys:
        raise ConfigError(where, "no master key in it", "32 random bytes in base64")
    return keys


def _one_key(text: str, where: Where) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ConfigError(where, "this is not a master key", "32 random bytes in base64: openssl rand -base64 32")
    return raw


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii")
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(Where(str(file)), f"the master key cannot be read: {type(e).__name__}") from None
