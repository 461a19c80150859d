"""Keys and what they seal."""

import base64
import hmac
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.crypto import DataKey, KeyRing, SealedError, Vault, write_key
from normalizer.errors import ConfigError

A, B = b"a" * 32, b"b" * 32
KEY = DataKey.of(A)


@given(st.binary(max_size=5000), st.text(max_size=20))
def test_what_is_sealed_opens_only_in_its_place(words: bytes, place: str) -> None:
    sealed = KEY.seal(words, place)
    assert KEY.open(sealed, place) == words
    with pytest.raises(SealedError):
        KEY.open(sealed, place + "x")


@given(st.data())
def test_a_changed_or_shortened_byte_is_seen(data: st.DataObject) -> None:
    sealed = KEY.seal(b"words " * 300, "here")
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = bytearray(sealed)
    changed[at] ^= data.draw(st.integers(1, 255))
    for bad in (bytes(changed), sealed[:at]):
        with pytest.raises(SealedError):
            KEY.open(bad, "here")


def test_long_words_are_squeezed_and_never_sealed_alike_twice() -> None:
    assert len(KEY.seal(b"again " * 1000, "here")) < 300
    assert KEY.seal(b"x", "here") != KEY.seal(b"x", "here")


def test_a_wrapped_key_needs_its_master_and_its_place() -> None:
    key, wrapped = KeyRing(A).new_data_key("row 1")
    assert KeyRing(B, A).data_key(wrapped, "row 1").raw == key.raw
    for ring, place in ((KeyRing(B), "row 1"), (KeyRing(A), "row 2")):
        with pytest.raises(SealedError):
            ring.unwrap(wrapped, place)


def test_the_first_of_a_ring_wraps() -> None:
    wrapped = KeyRing(B, A).wrap(b"k" * 32, "row")
    assert KeyRing(B).unwrap(wrapped, "row") == b"k" * 32


def test_digests_depend_on_key_kind_and_the_cut_between_parts() -> None:
    one, other = Vault(KeyRing(A), KEY, A), Vault(KeyRing(A), KEY, B)
    shown = {
        one.digest("k", "ab", "c"),
        one.digest("k", "a", "bc"),
        one.digest("l", "ab", "c"),
        other.digest("k", "ab", "c"),
    }
    assert len(shown) == 4
    assert one.digest("k", "ab", "c") == one.digest("k", "ab", b"c")


def test_a_digest_is_an_hmac() -> None:
    shown = Vault(KeyRing(A), KEY, A).digest("k", "ab", "c")
    assert shown == hmac.digest(A, b"1:k2:ab1:c", "sha256").hex()[:32]


def test_a_key_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "data" / "master.key"
    first, made = KeyRing.load(None, file)
    again, remade = KeyRing.load(None, file)
    assert (made, remade) == (True, False)
    assert again.unwrap(first.wrap(A, "row"), "row") == A
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["master.key"]


def test_a_value_comes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    ring, made = KeyRing.load(base64.b64encode(A).decode() + "\n", file)
    assert not made
    assert not file.exists()
    assert KeyRing(A).unwrap(ring.wrap(B, "row"), "row") == B


def test_a_file_may_hold_the_new_key_and_the_old(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    write_key(file, [B, A])
    ring, _ = KeyRing.load(None, file)
    assert ring.unwrap(KeyRing(A).wrap(b"k" * 32, "row"), "row") == b"k" * 32
    assert KeyRing(B).unwrap(ring.wrap(b"k" * 32, "row"), "row") == b"k" * 32


@pytest.mark.parametrize("text", ["secret", base64.b64encode(b"short").decode(), "\n \n", "ключ"])
def test_what_is_no_key_is_refused_in_words(text: str, tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    file.write_text(text, encoding="utf-8")
    for value in (text if text.strip() else None, None):
        with pytest.raises(ConfigError) as refused:
            KeyRing.load(value, file)
        assert text.strip() not in str(refused.value).replace(str(file), "") or not text.strip()
