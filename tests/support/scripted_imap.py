"""A small IMAP server that can be told to misbehave in ways no real one can be made to."""

import asyncio
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

SELECTED = "* FLAGS (\\Seen)\r\n* {n} EXISTS\r\n* 0 RECENT\r\n"


@dataclass
class ScriptedImap:
    mails: dict[int, bytes]
    breaks: Collection[int] = ()  # UIDs at whose fetching the line is cut
    refuses: Collection[int] = ()  # UIDs whose fetching gets a NO
    void: Collection[int] = ()  # UIDs that are there, and have no body
    validity: int = 7
    literal8: bool = False
    sizes: int = 0  # what it says every mail's size is
    silent_first: bool = False  # the first connection hears nothing after a while
    port: int = 0
    polls: int = 0
    connections: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def __aenter__(self) -> "ScriptedImap":
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()

    def mend(self) -> None:
        self.breaks, self.refuses, self.void = (), (), ()
        for writer in self._writers:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.connections += 1
        silent = self.silent_first and self.connections == 1
        writer.write(b"* OK scripted\r\n")
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                tag, _, said = line.decode().strip().partition(" ")
                if silent and "SEARCH" in said:
                    await asyncio.sleep(5)
                answer = self._answer(said)
                if answer is None:
                    break
                writer.write(answer + tag.encode() + (b" NO cannot\r\n" if answer == b"" else b" OK done\r\n"))
        writer.close()

    def _answer(self, said: str) -> bytes | None:
        """Untagged lines; nothing for a refusal, None to hang up."""
        word = said.upper()
        uids = self._uids(said)
        if word.startswith("CAPABILITY"):
            return b"* CAPABILITY IMAP4rev1\r\n"
        if word.startswith(("LOGIN", "NOOP")):
            self.polls += word.startswith("NOOP")
            return b"* OK yes\r\n"
        if word.startswith(("SELECT", "EXAMINE")):
            validity = f"* OK [UIDVALIDITY {self.validity}] x\r\n" if self.validity else ""
            return (SELECTED.format(n=len(self.mails)) + validity).encode()
        if word.startswith("UID SEARCH"):
            return b"* SEARCH " + " ".join(map(str, uids)).encode() + b"\r\n"
        if word.startswith("UID FETCH") and "SIZE" in word:
            return b"".join(
                b"* %d FETCH (UID %d RFC822.SIZE %d)\r\n" % (u, u, self.sizes or len(self.mails[u])) for u in uids
            )
        if word.startswith("UID FETCH"):
            return self._fetched(uids)
        return b""

    def _fetched(self, uids: Iterable[int]) -> bytes | None:
        uids = list(uids)
        if set(uids) & set(self.breaks):
            return None
        if set(uids) & set(self.refuses):
            return b""
        mark = b"~" if self.literal8 else b""
        lines = []
        for uid in uids:
            raw = self.mails[uid]
            body = b"NIL" if uid in self.void else b"%b{%d}\r\n%b" % (mark, len(raw), raw)
            lines.append(b"* %d FETCH (UID %d BODY[] %b FLAGS (\\Seen))\r\n" % (uid, uid, body))
        return b"".join(lines) or b"* OK nothing\r\n"

    def _uids(self, said: str) -> list[int]:
        asked: set[int] = set()
        found = re.search(r"(?i)UID (?:SEARCH (?:UID )?|FETCH )([\d:,*]+|ALL)", said)
        for part in (found[1] if found else "").split(","):
            low, _, high = part.partition(":")
            if low.isdigit():
                last = max(self.mails, default=0)
                end = last if high == "*" else int(high or low)
                asked.update(range(int(low), end + 1))
                if high == "*" and last:
                    asked.add(last)
        return sorted(asked & self.mails.keys())
