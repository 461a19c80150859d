"""Whether the sender of a mail is who the From field says, as the receiving mail server found out (RFC 8601).

Anybody can write an Authentication-Results field; only one that bears our own server's name (authserv-id) counts, and
only the topmost of those: whatever stands below came with the mail.
"""

import re
from collections.abc import Collection, Iterator, Sequence

_COMMENT = re.compile(r"\([^()]*\)")
_SPACES = re.compile(r"\s+")


METHODS = ("spf", "dkim", "dmarc")
RESULTS = ("pass", "fail", "softfail", "neutral", "none", "policy", "temperror", "permerror")  # RFC 8601 2.7


def proven(results: Sequence[bytes], sender: str, trusted: Collection[str]) -> bool:
    """True if a trusted server saw DMARC pass, or a DKIM signature of the sender's own domain pass."""
    domain = sender.rpartition("@")[2].lower()
    return bool(domain) and any(_proves(verdict, domain) for verdict in _ours(results, trusted))


def verdicts(results: Sequence[bytes], trusted: Collection[str]) -> dict[str, str]:
    """What a trusted server found by SPF, DKIM and DMARC, each by its name; what it does not say is not there.

    A mail with many signatures passes DKIM by one that holds, whoever signed; `proven` asks whose it is.
    """
    found: dict[str, str] = {}
    for verdict in _ours(results, trusted):
        method, _, result = verdict.partition(" ")[0].partition("=")
        if method in METHODS and result in RESULTS and (method not in found or result == "pass"):
            found[method] = result
    return found


def _ours(results: Sequence[bytes], trusted: Collection[str]) -> list[str]:
    """What the topmost field of a trusted server says."""
    if not trusted:
        return []
    return next((said for host, said in map(_read, results) if host in trusted), [])


def _read(raw: bytes) -> tuple[str, list[str]]:
    """The server that speaks, and what it says of each method."""
    text = raw[:16_384].decode("utf-8", "replace")
    for _ in range(3):  # comments nest; deeper is nobody's honest writing
        text = _COMMENT.sub(" ", text)
    host, *verdicts = text.split(";")
    words = host.split()
    return (words[0].lower() if words else ""), [_SPACES.sub(" ", verdict).strip().lower() for verdict in verdicts]


def _proves(verdict: str, domain: str) -> bool:
    method, *properties = verdict.split(" ")
    said = dict(_pairs(properties))
    if method == "dmarc=pass":
        return aligned(said.get("header.from", ""), domain)
    if method == "dkim=pass":
        return aligned(said.get("header.d") or said.get("header.i", "").rpartition("@")[2], domain)
    return False


def _pairs(properties: list[str]) -> Iterator[tuple[str, str]]:
    for one in properties:
        name, equals, value = one.partition("=")
        if equals:
            yield name, value.strip('"')


def aligned(signer: str, domain: str) -> bool:
    """RFC 7489 3.1.1, without a public suffix list: the same domain, or the sender's is below the signer's.

    A signer with a single label below the root (`cn`, `com.cn`) signs for nobody.
    """
    signer = signer.strip(".").lower()
    if not signer or signer == domain:
        return bool(signer)
    public = signer.count(".") < 1 or signer.split(".")[0] in ("com", "net", "org", "gov", "edu", "co", "ac")
    return not public and domain.endswith(f".{signer}")
