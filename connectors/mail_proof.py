"""Our own check of DKIM signatures (RFC 6376), where no mail server in front of us writes what it found.

It asks the DNS, so it is made at the door: the domains whose signatures hold become a fact of the envelope (`dkim`),
and reading the mail again, years later, needs no DNS. Who is not answered in time proves nothing, and delays nobody.
"""

import asyncio
import logging
import re
from collections.abc import Callable

from connectors.mail_account import head_of
from normalizer.identity import email_address

MAX_SIGNATURES = 5  # RFC 6376 6.1 lets a verifier stop somewhere
PATIENCE = 5.0  # seconds for all of them together

Txt = Callable[[bytes, float], bytes | None]  # a TXT record by name, within so many seconds

_SIGNED = re.compile(rb"^dkim-signature:", re.I | re.M)
_log = logging.getLogger("ticketgate.dkim")
_log.disabled = True  # the library tells us all we need, and its log would name senders


def dns(name: bytes, timeout: float = PATIENCE) -> bytes | None:
    """As the machine's resolver says."""
    from dkim.dnsplug import get_txt

    found: bytes | None = get_txt(name, timeout=timeout)
    return found


def signers(raw: bytes, txt: Txt = dns) -> tuple[str, ...]:
    """The domains that signed the mail and whose signatures hold. Never raises.

    A signature over a part of the body (`l=`) holds for whatever somebody adds below, so it does not count.
    """
    count = len(_SIGNED.findall(head_of(raw)))
    if not count:
        return ()
    from dkim import DKIM, DKIMException
    from dns.exception import DNSException

    found: dict[str, None] = {}
    for index in range(min(count, MAX_SIGNATURES)):
        try:
            mail = DKIM(raw, logger=_log, minkey=1024, timeout=int(PATIENCE))
            holds = mail.verify(index, dnsfunc=lambda name, timeout=PATIENCE: txt(name, timeout))
        except (
            DKIMException,
            DNSException,
            ArithmeticError,
            AttributeError,
            LookupError,
            OSError,
            TypeError,
            ValueError,
        ):
            continue  # the library trusts its input more than we do
        if holds and b"l" not in mail.signature_fields:
            found[email_address(f"x@{mail.domain.decode('ascii', 'replace')}").rpartition("@")[2]] = None
    return tuple(found)


async def proof(raw: bytes, txt: Txt = dns) -> dict[str, str]:
    """The fact for the envelope: `dkim`, the domains with spaces between; nothing if there are none."""
    try:
        domains = await asyncio.wait_for(asyncio.to_thread(signers, raw, txt), PATIENCE)
    except TimeoutError:
        return {}
    return {"dkim": " ".join(domains)} if domains else {}
