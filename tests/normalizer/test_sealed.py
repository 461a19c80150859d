"""winmail.dat is unwrapped; what is encrypted or signed is kept byte for byte, and said to be."""

import random
import struct

import pytest

from normalizer.cms import signed_content
from normalizer.mime import parse_mail
from normalizer.tnef import SIGNATURE, unwrap

HEAD = b"From: jo@c.example\r\nSubject: files\r\nMessage-ID: <1@c>\r\n"


def attribute(name: int, said: bytes, level: int = 2) -> bytes:
    return struct.pack("<BHHI", level, name, 6, len(said)) + said + struct.pack("<H", sum(said) & 0xFFFF)


def text_property(name: int, said: str) -> bytes:
    raw = f"{said}\0".encode("utf-16-le")
    return struct.pack("<HHII", 0x1F, name, 1, len(raw)) + raw + bytes(-len(raw) % 4)


def winmail(*files: tuple[str, bytes], body: bytes = b"") -> bytes:
    raw = SIGNATURE + b"\1\0" + attribute(0x9007, struct.pack("<II", 936, 0), 1)
    if body:
        raw += attribute(0x800C, body + b"\0", 1)
    for name, content in files:
        named = struct.pack("<HHi", 0x03, 0x3705, 1) + text_property(0x3707, name) + text_property(0x370E, "image/png")
        raw += attribute(0x9002, bytes(14)) + attribute(0x8010, b"SHORT~1.PNG\0") + attribute(0x800F, content)
        raw += attribute(0x9005, struct.pack("<I", 3) + named)
    return raw


def mail(content: bytes, text: bytes = b"see files") -> bytes:
    return (
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + text + b"\r\n--b\r\n"
        b"Content-Type: application/ms-tnef; name=winmail.dat\r\n\r\n" + content + b"\r\n--b--\r\n"
    )


def test_files_come_out_of_winmail_dat_with_their_names() -> None:
    read = parse_mail(mail(winmail(("发票 一月.png", b"one"), ("b.png", b"two"))))
    assert [(one.name, one.media_type, one.content) for one in read.attachments] == [
        ("发票 一月.png", "image/png", b"one"),
        ("b.png", "image/png", b"two"),
    ]
    assert (read.text, read.defects) == ("see files", ())


def test_the_text_in_winmail_dat_is_read_where_there_is_no_other() -> None:
    assert parse_mail(mail(winmail(("a", b"x"), body="水壶漏水".encode("gbk")), b"")).text == "水壶漏水"


def test_winmail_dat_without_files_stays_and_is_noted() -> None:
    read = parse_mail(mail(winmail()))
    assert [one.name for one in read.attachments] == ["winmail.dat"]
    assert "tnef" in read.defects


def test_broken_winmail_dat_raises_nothing() -> None:
    dice, whole = random.Random(1), winmail(("a.png", b"x" * 100), body=b"hello")
    for _ in range(500):
        spoilt = bytearray(whole[: dice.randrange(4, len(whole))])
        for _ in range(4):
            spoilt[dice.randrange(4, len(spoilt)) if len(spoilt) > 4 else 0] = dice.randrange(256)
        unwrap(bytes(spoilt))
    assert unwrap(b"not TNEF") is None


@pytest.mark.parametrize(
    ("fields", "body", "defect", "files"),
    [
        (b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m", b"0\x82", "encrypted", ["smime.p7m"]),
        (b"Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m", b"0\x82", "opaque_signed", ["smime.p7m"]),
        (b"Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b",
         b"--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b\r\n"
         b"Content-Type: application/octet-stream; name=encrypted.asc\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n--b--",
         "encrypted", ["", "encrypted.asc"]),
        (b"Content-Type: text/plain", b"-----BEGIN PGP MESSAGE-----\r\n\r\nhQEM\r\n-----END PGP MESSAGE-----", "encrypted", []),
    ],
)  # fmt: skip
def test_what_is_sealed_is_kept_and_said_to_be(fields: bytes, body: bytes, defect: str, files: list[str]) -> None:
    read = parse_mail(HEAD + fields + b"\r\n\r\n" + body)
    assert defect in read.defects
    assert [one.name for one in read.attachments] == files


def der(tag: int, *contents: bytes, indefinite: bool = False) -> bytes:
    said = b"".join(contents)
    if indefinite:
        return bytes([tag, 0x80]) + said + b"\0\0"
    return bytes([tag, 0x84]) + len(said).to_bytes(4) + said


def opaque(entity: bytes, *, chunks: bool = False, kind: int = 2) -> bytes:
    """Signed data without certificates and signers, as DER or in chunks of 100 bytes as streams are written."""
    pieces = [der(0x04, entity[at : at + 100]) for at in range(0, len(entity), 100)]
    octets = der(0x24, *pieces, indefinite=True) if chunks else der(0x04, entity)
    inner = der(
        0x30, der(0x06, bytes.fromhex("2a864886f70d010701")), der(0xA0, octets, indefinite=chunks), indefinite=chunks
    )
    signed = der(0x30, der(0x02, b"\1"), der(0x31), inner, der(0x31), indefinite=chunks)
    named = der(0x06, bytes.fromhex("2a864886f70d0107") + bytes([kind]))
    return der(0x30, named, der(0xA0, signed, indefinite=chunks), indefinite=chunks)


ENTITY = (
    b"Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\nContent-Type: text/plain; charset=gbk\r\n\r\n"
    + "水壶漏水".encode("gbk")
    + b"\r\n--i\r\nContent-Type: application/pdf; name=bill.pdf\r\n\r\n%PDF\r\n--i--\r\n"
)
SEALED = HEAD + b"Content-Type: application/pkcs7-mime; name=smime.p7m\r\n\r\n"


@pytest.mark.parametrize("chunks", [False, True])
def test_what_was_signed_in_one_piece_is_read(chunks: bool) -> None:
    read = parse_mail(SEALED + opaque(ENTITY, chunks=chunks))
    assert (read.text, read.defects) == ("水壶漏水", ("opaque_signed",))
    assert [one.name for one in read.attachments] == ["smime.p7m", "bill.pdf"]


def test_what_is_not_signed_data_or_broken_gives_nothing() -> None:
    assert signed_content(opaque(ENTITY, kind=3)) == b""
    assert parse_mail(SEALED + opaque(ENTITY, kind=3)).defects == ("encrypted",)
    whole = opaque(ENTITY, chunks=True)
    assert [signed_content(whole[:length]) for length in range(len(whole) - 20) if signed_content(whole[:length])] == []
    assert signed_content(b"\x30\x80" * 5000) == b""
    assert signed_content(opaque(b"")[:-8] + b"\x04\0" * 500_000) == b""


def test_a_signed_mail_is_read_like_any_other() -> None:
    signed = (
        b'Content-Type: multipart/signed; protocol="application/pgp-signature"; boundary=b\r\n\r\n--b\r\n\r\nthe kettle\r\n'
        b"--b\r\nContent-Type: application/pgp-signature\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n--b--\r\n"
    )
    read = parse_mail(HEAD + signed)
    assert (read.text, read.attachments, read.defects) == ("the kettle", (), ())
