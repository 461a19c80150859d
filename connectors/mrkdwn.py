"""Slack's text (https://docs.slack.dev/messaging/formatting-message-text): what people read of it, and back.

<@U012|li>           @li                 <!subteam^S01|@support>   @support
<#C012|general>      #general            <!date^...|Mar 2>         Mar 2
<https://x.y|here>   here (https://x.y)  &amp; &lt; &gt;           & < >
"""

import re

_LINK = re.compile(r"<([^<>|]+)(?:\|([^<>]*))?>")


def words(text: str) -> str:
    """The text as people read it. Who is mentioned without a name stays their id."""
    return _unescaped(_LINK.sub(_read, text))


def escaped(text: str) -> str:
    """Words of ours as Slack takes them: it needs no more than these three escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _read(found: re.Match[str]) -> str:
    target, label = found[1], found[2] or ""
    match target[:1]:
        case "@" | "#":
            return target[0] + (label or target[1:])
        case "!":
            return label or "@" + target[1:].partition("^")[2 if "^" in target else 0]
    plain = target.removeprefix("mailto:").removeprefix("tel:")
    return f"{label} ({plain})" if label and not plain.endswith(label) else plain
