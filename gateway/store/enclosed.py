"""An envelope as it lies in its row: a head of JSON (key, lane, transport) and the body, sealed under its own key."""

import json
from typing import Any

import orjson

from gateway.crypto import KeyRing, SealedError, Vault
from gateway.store.blobs import Blobs
from gateway.store.dialect import Record
from normalizer.canon import Envelope

ERASED = "erased"


def sealed_row(vault: Vault, envelope: Envelope, identity: str, blob: tuple[str, bytes] | None) -> dict[str, Any]:
    """The row of `envelopes`. `blob` is the file's name and the content's hash, if the body lies in a file."""
    key, wrapped = vault.ring.new_data_key(key_place(identity))
    head = {"key": envelope.key, "lane": envelope.lane, "transport": dict(envelope.transport)}
    if blob:
        head["content"] = blob[1].hex()
    words = _json(head) + b"\n" + (b"" if blob else envelope.body)
    return {
        "id": identity,
        "connector": envelope.connector,
        "account": envelope.account,
        "received_at": envelope.received_at,
        "size": len(envelope.body),
        "blob": blob[0] if blob else None,
        "wrapped_key": wrapped,
        "sealed": key.seal(words, place(identity)),
    }


def opened(ring: KeyRing, blobs: Blobs, row: Record) -> Envelope:
    """The envelope again; body and key say `erased` if its key was destroyed. Raises SealedError or OSError."""
    if row.wrapped_key is None or row.sealed is None:
        return Envelope(row.connector, row.account, ERASED, ERASED, row.received_at, ERASED.encode())
    words = ring.data_key(row.wrapped_key, key_place(row.id)).open(row.sealed, place(row.id))
    first, found, body = words.partition(b"\n")
    if not found:
        raise SealedError(place(row.id))
    head = json.loads(first)
    if row.blob:
        body = blobs.read(row.blob, bytes.fromhex(head["content"]))
    return Envelope(row.connector, row.account, head["key"], head["lane"], row.received_at, body, head["transport"])


def _json(head: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(head)
    except TypeError:  # a lone surrogate: what a channel sent must be kept all the same
        return json.dumps(head).encode()


def key_place(identity: str) -> str:
    return f"envelopes.wrapped_key:{identity}"


def place(identity: str) -> str:
    return f"envelopes.sealed:{identity}"
