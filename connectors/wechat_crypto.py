"""What 微信 and 企业微信 prove and seal their callbacks with (BizMsgCrypt), and their XML, read without entities.

    signature   SHA-1 over the sorted token, timestamp, nonce, and the sealed text if there is one
    sealed      AES-256-CBC of 16 octets, the length, the words and the receiver's id, padded to 32 octets
    Seal        the tokens and keys of one account: who called, and what was said

developers.weixin.qq.com/doc/offiaccount/Message_Management/Message_encryption_and_decryption_instructions.html,
developer.work.weixin.qq.com/document/path/90968. Pure. Several tokens and keys may live at once, so that they can be
changed without an outage.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from defusedxml import ElementTree
from pydantic import SecretStr

from connectors.signatures import SECONDS, WINDOW
from normalizer.errors import ConfigError, Rejected, Unreadable, Where

BLOCK = 32  # octets that padding fills up to; AES itself would need 16
HEAD, LENGTH = 16, 4  # octets before the words
UNOPENED = "what is in it cannot be opened"  # one reason for all, so that nobody learns from it what was nearly right


def signature(token: str, timestamp: str, nonce: str, *more: str) -> str:
    """In hexadecimal; `more` is the sealed text, if there is one."""
    said = "".join(sorted((token, timestamp, nonce, *more))).encode("utf-8", "surrogatepass")
    return hashlib.sha1(said, usedforsecurity=False).hexdigest()  # theirs to choose


def aes_key(encoding_aes_key: str) -> bytes:
    """The 32 octets of an EncodingAESKey, which is base64 without its last `=`. Raises ValueError for anything else."""
    if len(encoding_aes_key) != 43:
        raise ValueError("not 43 characters")
    return base64.b64decode(encoding_aes_key + "=", validate=True)


def encrypt(key: bytes, said: bytes, receiver: str, head: bytes) -> str:
    """Sealed for the receiver (appid, corpid), in base64. `head` are 16 octets, others for all other words."""
    whole = head + len(said).to_bytes(LENGTH, "big") + said + receiver.encode()
    fill = BLOCK - len(whole) % BLOCK
    sealing = Cipher(AES(key), CBC(key[:16])).encryptor()
    return base64.b64encode(sealing.update(whole + bytes([fill]) * fill) + sealing.finalize()).decode()


def decrypt(key: bytes, sealed: str, receiver: str) -> bytes:
    """The words sealed for this receiver. Raises Unreadable, with one reason whatever is wrong."""
    try:
        octets = base64.b64decode(sealed, validate=True)
        opening = Cipher(AES(key), CBC(key[:16])).decryptor()
        whole = opening.update(octets) + opening.finalize()
    except (binascii.Error, ValueError):
        raise Unreadable(UNOPENED, code="malformed") from None
    fill = whole[-1] if whole else 0
    end = len(whole) - fill
    length = int.from_bytes(whole[HEAD : HEAD + LENGTH], "big")
    said, owner = whole[HEAD + LENGTH : HEAD + LENGTH + length], whole[HEAD + LENGTH + length : end]
    padded = 1 <= fill <= BLOCK and whole[end:] == bytes([fill]) * fill and HEAD + LENGTH + length <= end
    if not padded or not hmac.compare_digest(owner, receiver.encode()):
        raise Unreadable(UNOPENED, code="malformed")
    return said


def fields(xml: bytes) -> dict[str, str]:
    """The text of each element below the root, as it stands. Raises Unreadable; no DTD or entity is ever read."""
    try:
        root = ElementTree.fromstring(xml, forbid_dtd=True)
    except (SyntaxError, ValueError, LookupError):  # not XML, a DTD or an entity, an encoding nobody knows
        raise Unreadable("not the XML of a message", code="malformed") from None
    return {child.tag: child.text or "" for child in root if isinstance(child.tag, str)}


def element(said: Mapping[str, str | int]) -> str:
    """The XML of a reply."""
    return "<xml>" + "".join(f"<{name}>{_inside(value)}</{name}>" for name, value in said.items()) + "</xml>"


def _inside(value: str | int) -> str:
    return str(value) if isinstance(value, int) else f"<![CDATA[{value.replace(']]>', ']]]]><![CDATA[>')}]]>"


class Seal:
    """An account's tokens and keys. Raises ConfigError at `place` if a key is none."""

    def __init__(self, tokens: Sequence[SecretStr], keys: Sequence[SecretStr], receiver: str, place: Where) -> None:
        self.receiver = receiver
        self._tokens = [token.get_secret_value() for token in tokens]
        try:
            self._keys = [aes_key(key.get_secret_value()) for key in keys]
        except ValueError:  # binascii.Error is one
            hint = "the 43 characters shown beside the callback's URL"
            raise ConfigError(place, "not an EncodingAESKey", hint) from None

    def verify(self, query: Mapping[str, str], now: datetime, *more: str, name: str = "signature") -> None:
        """Raise Rejected unless the query's signature of this name is by one of our tokens, and of about `now`."""
        timestamp, nonce, offered = query.get("timestamp", ""), query.get("nonce", ""), query.get(name, "")
        if not (SECONDS.fullmatch(timestamp) and nonce and offered):
            raise Rejected(f"{name}, timestamp or nonce missing or malformed")
        theirs = offered.encode("utf-8", "surrogatepass")
        expected = [signature(token, timestamp, nonce, *more).encode() for token in self._tokens]
        if not sum(hmac.compare_digest(ours, theirs) for ours in expected):
            raise Rejected("no signature matches")
        # It is signed anew for each of the three attempts, which end after 15 seconds.
        if abs(datetime.fromtimestamp(int(timestamp), UTC) - now) > WINDOW:
            raise Rejected("signed too long ago, or in the future", code="expired")

    def open(self, sealed: str) -> bytes:
        """What is in it, by whichever of our keys. Raises Unreadable."""
        for key in self._keys[:-1]:
            try:
                return decrypt(key, sealed, self.receiver)
            except Unreadable:
                continue
        if not self._keys:
            raise Unreadable("sealed, but no encoding_aes_keys are set", code="malformed")
        return decrypt(self._keys[-1], sealed, self.receiver)

    def answer(self, xml: str, timestamp: str, nonce: str) -> str:
        """A passive reply, sealed and signed."""
        # The same words to the same request are sealed alike, others otherwise, and nobody can tell the 16 octets.
        head = hmac.digest(self._keys[0], f"{nonce} {xml}".encode(), hashlib.sha256)[:HEAD]
        sealed = encrypt(self._keys[0], xml.encode(), self.receiver, head)
        mac = signature(self._tokens[0], timestamp, nonce, sealed)
        return element({"Encrypt": sealed, "MsgSignature": mac, "TimeStamp": int(timestamp), "Nonce": nonce})
