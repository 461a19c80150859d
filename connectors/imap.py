"""One folder of a mailbox over one connection of its own (RFC 3501): what is new in it, and waiting for more.

    Server   where the mailbox is, and how we log in
    Folder   a folder, open: newer, batches, fetch, mark, move, wait

Everything here blocks: a thread calls it. Whatever goes wrong on the way is Unavailable, with words for a person.
A folder that is only read is opened by EXAMINE, and every mail by BODY.PEEK: nobody sees that we were here.
"""

import imaplib
import logging
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from typing import Any, Literal, Self

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import CapabilityError, LoginError
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from connectors.oauth import AGAIN_AFTER_REFUSAL, OAuth
from connectors.places import File
from normalizer.errors import Unavailable

# It logs every line of the conversation, customers' mails among them.
logging.getLogger("imapclient").setLevel(logging.ERROR)
# An answer to SEARCH is one line, and a folder may hold a million mails.
imaplib._MAXLINE = 16 * 1024 * 1024  # type: ignore[attr-defined]

_LITERAL8 = re.compile(rb"~(\{\d+\})$")
_PASSING = re.compile(r"\[(?:UNAVAILABLE|INUSE|LIMIT|SERVERBUG)\]", re.I)  # RFC 5530: no fault of name or password

HEAD = 64 * 1024  # of a mail that is too large: what is kept
BATCH_MAILS, BATCH_OCTETS = 50, 8 * 1024 * 1024  # fetched at a time


class Server(BaseModel):
    """The server a mailbox is on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    port: int = Field(default=993, gt=0, lt=65536)
    tls: Literal["implicit", "starttls", "none"] = "implicit"
    ca_file: File | None = None  # of a server with a certificate of the company's own
    username: str
    password: SecretStr = SecretStr("")
    oauth: OAuth | None = None
    timeout: float = Field(default=60, gt=0)  # seconds without an answer

    @model_validator(mode="after")
    def one_way(self) -> Self:
        if bool(self.password.get_secret_value()) == bool(self.oauth):
            raise ValueError("give either password or oauth")
        return self

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Folder:
    """A folder, open. `validity` 0: its UIDs mean nothing after this connection (RFC 3501 2.3.1.1)."""

    def __init__(self, client: IMAPClient, server: Server, name: str, *, read_only: bool) -> None:
        self.client, self.server, self.name = client, server, name
        with told(f"{server} {name}"):
            said = client.select_folder(name, readonly=read_only)
            self.idles = client.has_capability("IDLE")
        self.validity = int(said.get(b"UIDVALIDITY", 0))
        self.next_uid = int(said.get(b"UIDNEXT", 0))

    def newer(self, uid: int) -> list[int]:
        """The UIDs above this one, in order."""
        with told(f"{self.server} {self.name}"):
            self.client._imap.untagged_responses.pop("EXISTS", None)  # whatever is told from now on is newer than this
            found = self.client.search(["UID", f"{uid + 1}:*"])
        return sorted(one for one in found if one > uid)  # `*` names the last mail, however low (RFC 3501 9)

    def since(self, day: date) -> list[int]:
        """Of the mails that came in on this day or later, by the server's calendar."""
        with told(f"{self.server} {self.name}"):
            return sorted(self.client.search(["SINCE", day]))

    def there(self, uid: int) -> bool:
        with told(f"{self.server} {self.name}"):
            return uid in self.client.search(["UID", str(uid)])

    def batches(self, uids: Sequence[int], limit: int) -> Iterator[tuple[list[int], bool]]:
        """UIDs to fetch together; True for one that is larger than `limit`. Some servers are wrong about sizes."""
        with told(f"{self.server} {self.name}"):
            said = self.client.fetch(uids, ["RFC822.SIZE"])
        sizes = {uid: int(said.get(uid, {}).get(b"RFC822.SIZE") or 0) for uid in uids}
        batch: list[int] = []
        for uid in uids:
            full = len(batch) == BATCH_MAILS or sum(sizes[one] for one in batch) + sizes[uid] > BATCH_OCTETS
            if batch and (full or sizes[uid] > limit):
                yield batch, False
                batch = []
            if sizes[uid] > limit:
                yield [uid], True
            else:
                batch.append(uid)
        if batch:
            yield batch, False

    def fetch(self, uids: Sequence[int], first: int = 0) -> dict[int, bytes]:
        """The mails as they are, or only their `first` octets; without those that the server does not give."""
        what = f"BODY.PEEK[]<0.{first}>" if first else "BODY.PEEK[]"
        try:
            with told(f"{self.server} {self.name}", lost_only=True):
                said = self.client.fetch(uids, [what])
        except imaplib.IMAP4.error:  # it says no, or nonsense, and the line stands: let us see to which of them
            return {} if len(uids) == 1 else {k: v for uid in uids for k, v in self.fetch([uid], first).items()}
        found = {uid: next((v for k, v in said.get(uid, {}).items() if k.startswith(b"BODY[]")), None) for uid in uids}
        return {uid: raw for uid, raw in found.items() if isinstance(raw, bytes)}

    def mark(self, uids: Sequence[int], flag: str) -> None:
        with told(f"{self.server} {self.name}, setting {flag}"):
            self.client.add_flags(uids, [flag], silent=True)

    def move(self, uids: Sequence[int], target: str) -> None:
        """In one step (RFC 6851), else by a copy; without UIDPLUS the old ones stay, marked as deleted."""
        with told(f"{self.server} {self.name}, moving to {target}"):
            if not self.client.folder_exists(target):
                self.client.create_folder(target)
            if self.client.has_capability("MOVE"):
                self.client.move(uids, target)
                return
            self.client.copy(uids, target)
            self.client.delete_messages(uids, silent=True)
            if self.client.has_capability("UIDPLUS"):
                self.client.uid_expunge(uids)  # a plain EXPUNGE would take what others marked

    def wait(self, seconds: float) -> None:
        """Until something happens here, or so many seconds have passed (RFC 2177). Only if it `idles`."""
        with told(f"{self.server} {self.name}"):
            self.client.idle()
            if not self._said_already():
                self.client.idle_check(timeout=seconds)
            self.client.idle_done()

    def _said_already(self) -> bool:
        """Whether news came with the server's go-ahead: what has been read from the socket no poll can see."""
        talk, line = self.client._imap, self.client.socket()
        if talk.untagged_responses.get("EXISTS"):
            return True
        line.settimeout(0)
        try:
            return bool(talk.file.peek(1))
        except OSError:  # TLS says so when there is nothing
            return False
        finally:
            line.settimeout(self.server.timeout)

    def wake(self) -> None:
        """End the connection from another thread: who waits on it is told."""
        with suppress(OSError, AttributeError):
            self.client.socket().shutdown(socket.SHUT_RDWR)  # and no more: closing would wait for who reads

    def knock(self) -> None:
        """Let the server tell what is new, and see whether it is still there."""
        with told(f"{self.server} {self.name}"):
            self.client.noop()


def connect(server: Server, token: str = "") -> IMAPClient:
    """A connection, logged in. Raises Unavailable; with a `wait` if it was our name or password that is refused."""
    with told(str(server)):
        trust = ssl.create_default_context(cafile=server.ca_file)
        client = IMAPClient(
            server.host, server.port, ssl=server.tls == "implicit", ssl_context=trust,
            timeout=SocketTimeout(min(30, server.timeout), server.timeout),
        )  # fmt: skip
        _read_binary(client)
        client.socket().setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    try:
        with told(str(server)):
            if server.tls == "starttls":
                client.starttls(trust)
            _log_in(client, server, token)
            if client.has_capability("ID"):
                # RFC 2971. 163.com and 126.com open no folder for who does not say a name.
                with suppress(imaplib.IMAP4.error):
                    client.id_({"name": "Ticketgate", "vendor": "Ticketgate", "version": "1"})
    except BaseException:
        hang_up(client)
        raise
    return client


def _read_binary(client: IMAPClient) -> None:
    """Some servers write a body as literal8, `~{12}` (RFC 3516), which the library does not know."""
    talk = client._imap
    append = talk._append_untagged

    def plain(kind: str, said: Any) -> None:
        append(kind, (_LITERAL8.sub(rb"\1", said[0]), said[1]) if isinstance(said, tuple) else said)

    talk._append_untagged = plain


def _log_in(client: IMAPClient, server: Server, token: str) -> None:
    password = server.password.get_secret_value()
    if token and client.has_capability("AUTH=OAUTHBEARER") and not client.has_capability("AUTH=XOAUTH2"):
        client.oauthbearer_login(server.username, token)
    elif token:
        client.oauth2_login(server.username, token)
    elif client.has_capability("AUTH=PLAIN") and not (server.username + password).isascii():
        client.plain_login(server.username, password)
    elif client.has_capability("LOGINDISABLED"):
        raise LoginError("it takes no password on a line without TLS; set tls: starttls or implicit")
    else:
        client.login(server.username, password)


def hang_up(client: IMAPClient) -> None:
    """Without a word: it would have to be waited for."""
    with suppress(OSError, AttributeError, imaplib.IMAP4.error):
        client.shutdown()


@contextmanager
def told(where: str, *, lost_only: bool = False) -> Iterator[None]:
    """Every kind of trouble with a server as Unavailable, in words; `lost_only`: but not that it said no."""
    try:
        yield
    except LoginError as error:
        if _PASSING.search(str(error)):
            raise Unavailable(f"{where} lets nobody in just now: {_words(error)}") from None
        raise Unavailable(f"{where} refuses the login: {_words(error)}", wait=AGAIN_AFTER_REFUSAL) from None
    except ssl.SSLCertVerificationError as error:
        why = f"{where}: its certificate is not trusted: {error.verify_message}; ca_file: PEM of who issued it"
        raise Unavailable(why, wait=AGAIN_AFTER_REFUSAL) from None
    except CapabilityError as error:
        raise Unavailable(f"{where}: {_words(error)}", wait=AGAIN_AFTER_REFUSAL) from None
    except (OSError, EOFError, imaplib.IMAP4.abort) as error:
        raise Unavailable(f"{where}: {_words(error)}") from None
    except imaplib.IMAP4.error as error:
        if lost_only:
            raise
        raise Unavailable(f"{where}: {_words(error)}") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError) as error:
        # The library trips over answers no RFC knows, and over a connection that was ended under it.
        raise Unavailable(f"{where}: it answers what cannot be read ({type(error).__name__})") from None


def _words(error: BaseException) -> str:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if said.startswith(("b'", 'b"')):
        said = said[2:-1]
    return " ".join(said.split())[:200]
