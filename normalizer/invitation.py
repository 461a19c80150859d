"""What an invitation says (iCalendar, RFC 5545), for mails that are nothing but one."""

import re

_FOLD = re.compile(r"\n[ \t]")
_SAID = re.compile(r"^(?:SUMMARY|LOCATION|DESCRIPTION)(?:;[^:\n]{0,200})?:(.+)", re.M | re.I)
_ESCAPED = re.compile(r"\\([nN,;\\])")


def invitation_to_text(text: str) -> str:
    """Title, place and description of the first event, a line each, in their order."""
    event = _FOLD.sub("", text).partition("BEGIN:VEVENT")[2].partition("END:VEVENT")[0].partition("BEGIN:VALARM")[0]
    said = [_ESCAPED.sub(lambda mark: "\n" if mark[1] in "nN" else mark[1], line) for line in _SAID.findall(event)]
    return "\n".join(said)
