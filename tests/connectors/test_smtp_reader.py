"""The end of DATA: found wherever the network cuts, and nowhere else."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.smtp import END, KEPT, read_content

pieces = st.lists(
    st.one_of(
        st.sampled_from(
            [b"\r\n", b"\r", b"\n", b".", b"..", b"\r\n.", b"\r\n..", b"\n.\n", b"\n.\r\n", b"\r.\r", b"x"]
        ),
        st.binary(max_size=6),
    ),
    max_size=40,
).map(b"".join)


def reference(sent: bytes) -> tuple[bytes, bytes]:
    """RFC 5321 4.5.2, line by line: the mail, and what comes after it."""
    lines: list[bytes] = []
    while True:
        line, _, sent = sent.partition(b"\r\n")
        if line == b".":
            return b"".join(line + b"\r\n" for line in lines), sent
        lines.append(line.removeprefix(b"."))


async def received(
    sent: bytes, cuts: Sequence[int], *, limit: int = 10**6, buffer: int = 16
) -> tuple[int, bytes, bytes]:
    reader = asyncio.StreamReader(limit=buffer)

    async def feed() -> None:
        for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
            reader.feed_data(sent[start:end])
            await asyncio.sleep(0)
        reader.feed_eof()

    feeding = asyncio.create_task(feed())
    size, content = await read_content(reader, limit)
    await feeding
    return size, content, await reader.read()


@settings(max_examples=2000, deadline=None)
@example(mail=b"", cuts=[], after=b"")
@example(mail=b".", cuts=[1, 2, 3], after=b"MAIL FROM:<a@b>\r\n")
@example(mail=b"\r\n", cuts=[], after=b"")
@given(mail=pieces, cuts=st.lists(st.integers(0, 300)), after=pieces)
def test_it_reads_what_line_by_line_reading_reads(mail: bytes, cuts: list[int], after: bytes) -> None:
    sent = mail + b"\r\n.\r\n" + after
    wanted, left = reference(sent)
    places = sorted({cut for cut in cuts if cut < len(sent)})

    size, content, rest = asyncio.run(received(sent, places))

    assert (content, rest) == (wanted, left)
    assert size >= len(content) - len(END)


@pytest.mark.parametrize(
    "false_end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\n.\r", b"\r.\r\n", b"\0\r\n.\0\r\n"]
)
async def test_nothing_but_crlf_dot_crlf_ends_a_mail(false_end: bytes) -> None:
    smuggled = b"one" + false_end + b"MAIL FROM:<evil@example.com>\r\ntwo"

    _, content, rest = await received(smuggled + b"\r\n.\r\n", [])

    assert b"evil@example.com" in content
    assert rest == b""


@pytest.mark.parametrize("cut", range(1, 22))
async def test_the_end_is_found_wherever_it_is_cut(cut: int) -> None:
    _, content, rest = await received(b"a\r\n..b\r\n\r\n.\r\nNOOP\r\n", [cut], buffer=4)

    assert (content, rest) == (b"a\r\n.b\r\n\r\n", b"NOOP\r\n")


async def test_of_a_mail_over_the_limit_the_beginning_is_kept_and_the_rest_read_to_its_end() -> None:
    mail = b"0123456789abcde\r\n" * 20_000

    size, content, rest = await received(mail + b".\r\nNOOP\r\n", [100_000, 200_000], limit=1000, buffer=4096)

    assert size > 1000
    assert content == mail[: len(content)]
    assert KEPT - 2 <= len(content) <= KEPT
    assert rest == b"NOOP\r\n"


async def test_a_mail_of_many_empty_lines_costs_no_more_than_another() -> None:
    _, content, _ = await received(b"\r\n" * 500_000 + b".\r\n", [], buffer=2**18)

    assert len(content) == 1_000_000
