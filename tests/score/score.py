"""How well mail and customers' words are understood, on the public corpora: `make score`.

    python tests/score/score.py [--corpora DIR] [--misses] [email_parse email_reply email_auto classification webhooks]

Prints one table per set. Measured is what `ticketgate normalize` prints, nothing inside it. The corpora are not part
of the project; without them there is nothing to measure, and that is said.
"""

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from email.mime.text import MIMEText
from pathlib import Path
from typing import Any

from normalizer.html import html_to_text
from normalizer.marked import read
from normalizer.mime import message
from normalizer.printed import printed

HERE = Path(__file__).resolve()
CHECKOUT = HERE.parents[2]
DEFAULT = CHECKOUT.parent / "shared" / "corpora"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)

META = re.compile(r"charset=[\"']?[\w-]+", re.I)

Case = dict[str, Any]


class Table:
    """Right and total for each aspect, and the names of the misses."""

    def __init__(self) -> None:
        self.right: dict[str, int] = defaultdict(int)
        self.total: dict[str, int] = defaultdict(int)
        self.misses: list[str] = []

    def count(self, aspect: str, right: bool, miss: str = "") -> None:
        self.total[aspect] += 1
        self.right[aspect] += right
        if not right:
            self.misses.append(f"{aspect}: {miss}")

    def show(self, title: str, misses: bool) -> None:
        print(f"\n{title}")
        for aspect, total in self.total.items():
            print(f"  {aspect:32} {self.right[aspect]:5} / {total:<5} {100 * self.right[aspect] / total:6.1f} %")
        for miss in self.misses if misses else ():
            print(f"    {miss[:400]}")


def normalize(raw: bytes, file: str) -> Case:
    """What `ticketgate normalize email FILE` prints."""
    return printed(message(raw, connector="email_smtp", account="score", received_at=NOON), file)


def cases(folder: Path, name: str) -> Iterator[Case]:
    with (folder / name).open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


# email_parse


def score_parse(folder: Path) -> Table:
    table = Table()
    for path in sorted(folder.glob("*/*.expected.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        raw = (path.parent / case["input"]).read_bytes()
        try:
            mail = normalize(raw, path.name)
        except Exception as e:  # a failure is a figure here, not the end
            table.count("survives", False, f"{case['id']}: {e!r}")
            continue
        table.count("survives", True)
        for aspect, right, got in parse_facts(case, mail):
            table.count(aspect, right, f"{case['id']}: got {got}")
    return table


def parse_facts(case: Case, mail: Case) -> Iterator[tuple[str, bool, object]]:
    """(aspect, right or not, what we said) for everything the case has an expectation of."""
    if "subject" in case and case.get("expect") != "no_exception":
        yield "subject", same(case["subject"] or "", mail["subject"], squeezed), (mail["subject"], case["subject"])
    yield from sender_facts(case, mail)
    for field in ("to", "cc", "reply_to"):
        if field in case:
            wanted = {address(one) for one in listed(case[field]) if "@" in address(one)}
            got = {one["address"].lower() for one in mail[field]}
            # One source states the first recipient only.
            yield "recipients", wanted <= got if isinstance(case[field], dict) else wanted == got, (field, got, wanted)
    yield from text_facts(case, mail)
    yield from attachment_facts(case, mail)
    if "message_id" in case:
        yield "message_id", case["message_id"].strip("<>") == mail["message_id"], mail["message_id"]
    if case.get("date_utc") or case.get("date"):
        yield (
            "date",
            same_moment(case.get("date_utc") or case["date"], mail["sent_at"]),
            (mail["sent_at"], case.get("date")),
        )


def sender_facts(case: Case, mail: Case) -> Iterator[tuple[str, bool, object]]:
    wanted = case.get("from_email")
    if wanted is None and case.get("from"):
        wanted = address(listed(case["from"])[0])
    if wanted and "@" in wanted:
        yield "sender", wanted.lower() == mail["from"]["address"].lower(), (mail["from"], wanted)
    name = case.get("from_name") or (listed(case["from"])[0].get("name") if case.get("from") else None)
    if name and name != wanted:
        yield "sender name", squeezed(name) == squeezed(mail["from"]["name"]), (mail["from"], name)


def text_facts(case: Case, mail: Case) -> Iterator[tuple[str, bool, object]]:
    got = mail["full_text"]
    if case.get("text") and case["text"].strip():
        yield "text", same(case["text"], got, solid), (got[:150], case["text"][:150])
    if case.get("text_parts") and all(kind == "Text" for kind in case["text_part_kinds"]):
        wanted = "".join(case["text_parts"])
        if solid(wanted):
            yield "text", same(wanted, got, solid), (got[:150], wanted[:150])
    for word in case.get("text_contains", ()):
        yield "text", word in got and "\0" not in got, got
    if "text_prefix" in case:
        yield "text", got.startswith(case["text_prefix"]), got
    if html := case.get("html"):
        wanted = html if isinstance(html, str) else "".join(html)
        if case["source"] == "mail_mime_parser_php":  # states what the page says
            yield (
                "html",
                same(wanted, html_to_text(mail["html"]), solid),
                (html_to_text(mail["html"])[:150], wanted[:150]),
            )
        else:  # imap_tools rewrites the charset in <meta>
            yield (
                "html",
                solid(META.sub("", wanted)) == solid(META.sub("", mail["html"])),
                (mail["html"][:150], wanted[:150]),
            )


def attachment_facts(case: Case, mail: Case) -> Iterator[tuple[str, bool, object]]:
    got = mail["attachments"]
    if "attachments_count" in case:
        names = [one["name"] for one in got]
        yield "attachments", len(got) == case["attachments_count"], (names, case["attachments_count"])
    for wanted, one in zip(case.get("attachments", ()), got, strict=False):
        if wanted.get("filename"):
            yield (
                "attachment name",
                squeezed(wanted["filename"]) == squeezed(one["name"]),
                (one["name"], wanted["filename"]),
            )
        if wanted.get("sha256"):
            yield "attachment content", wanted["sha256"] == one["sha256"], (one["name"], one["size"], wanted["size"])


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def address(one: Any) -> str:
    found = one.get("email", "") if isinstance(one, dict) else str(one)
    return str(found or "").strip().lower()


def squeezed(text: str | None) -> str:
    return " ".join((text or "").split())


def same(wanted: str, got: str, form: Callable[[str], str]) -> bool:
    """Equal in this form. Where the source's own decoder gave up (U+FFFD) a better one may have any character."""
    if "\ufffd" not in wanted:
        return form(wanted) == form(got)
    return bool(re.fullmatch(re.escape(form(wanted)).replace("\ufffd", "."), form(got), re.S))


def solid(text: str) -> str:
    return re.sub(r"\s+", "", text)


def same_moment(wanted: str, got: str | None) -> bool:
    if not got:
        return False
    try:
        moment = datetime.fromisoformat(wanted.replace(" ", "T", 1))
    except ValueError:
        return False
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) == datetime.fromisoformat(got)


# email_reply


def score_reply(folder: Path) -> Table:
    table = Table()
    for case in cases(folder, "cases.jsonl"):
        mail = normalize(reply_mail(folder, case), case["id"])
        got = mail["text"]
        wanted, right = reply_verdict(case, got)
        table.count("visible reply", right, f"{case['id']}: got {got[-200:]!r} wanted {wanted!r:.300}")
    return table


def reply_mail(folder: Path, case: Case) -> bytes:
    """The case as a mail: some are files, the others are the text of one."""
    if "input_file" in case:
        named = folder / case["input_file"]
        path = named if named.exists() else folder / "talon_standard_replies" / Path(case["input_file"]).name
        return path.read_bytes()
    mail = MIMEText(case["input"].replace("\r\n", "\n"), "plain", "utf-8")
    mail["From"], mail["To"], mail["Subject"] = "customer@example.com", "support@example.com", "Re: your ticket"
    return mail.as_bytes()


def reply_verdict(case: Case, got: str) -> tuple[Any, bool]:
    if patterns := case.get("first_fragment_regex"):
        flags = re.M if "MULTILINE" in case["match"] and "OFF" not in case["match"].upper().replace(" ", "")[-3:] else 0
        return patterns, all(re.search(pattern, got, flags) for pattern in patterns)
    if (fragment := case.get("expected_first_fragment")) is not None:
        return fragment, lines(got).startswith(lines(fragment))
    wanted = case["expected_reply"]
    accepted = {lines(wanted), lines(case.get("alt_reply") or wanted)}
    if case.get("match_start"):
        return wanted, lines(got).startswith(lines(wanted))
    return wanted, lines(got) in accepted


def lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").strip().split("\n"))


# email_auto


def score_auto(folder: Path) -> Table:
    table = Table()
    for case in cases(folder, "labels.jsonl"):
        mail = normalize((folder / case["input"]).read_bytes(), case["id"])
        said = f"{case['id']}: {mail['kind']} answerable={mail['answerable']} {mail['subject'][:60]!r} wanted {case['kind']}"
        if case["is_auto"]:
            table.count("automatic recognised", mail["kind"] != "message", said)
        else:
            table.count("human not automatic", mail["kind"] == "message", said)
        wanted = {"self_loop": "loop", "human": "message"}.get(case["kind"], case["kind"])
        table.count("kind", wanted == mail["kind"], said)
        if case["must_not_autoreply"]:
            table.count("never answered", not mail["answerable"], said)
    return table


# classification

# Labels of the corpus that our second level says otherwise.
ALSO: dict[str, set[str]] = {
    "service": {"service_attitude"},
    "packaging": {"quality"},
    "return_exchange": {"refund"},
    "missing_item": {"logistics"},
}


def score_classification(folder: Path) -> Table:
    from normalizer.classify import Classifier
    from normalizer.taxonomy import of

    path = CHECKOUT / "config" / "taxonomy.yaml"
    classifier = Classifier(of(read(path.read_text(encoding="utf-8"), str(path))))
    table = Table()
    for case in cases(folder, "tickets.jsonl"):
        found = classifier.classify(case["text"])
        got = found.category.value if found.category else "none"
        sure = found.category.confidence if found.category else 0.0
        said = f"{case['id']} {case['text'][:90]!r} got {got} {sure:.2f} wanted {case['level1_ok']}"
        right = got in case["level1_ok"] or (got == "none" and "other" in case["level1_ok"])
        table.count(f"category {case['lang']}", right, said)
        if sure >= 0.6:
            table.count("category where sure (>= 0.6)", right, said)
        elif sure >= 0.4:
            table.count("category where fair (0.4-0.6)", right, said)
        if case.get("score_level2") and case["level2"]:
            accepted = set(case["level2"]).union(*(ALSO.get(one, set()) for one in case["level2"]))
            sub = found.subcategory.value if found.subcategory else "none"
            table.count(
                f"subcategory {case['lang']}", sub in accepted, f"{said[:130]} sub {sub} wanted {case['level2']}"
            )
    return table


# webhooks


def score_webhooks(folder: Path) -> Table:
    import webhooks

    table = Table()
    for case in cases(folder, "expected.jsonl"):
        if case["channel"] in webhooks.VENDORS:
            for verdict in webhooks.verdicts(case, folder):
                table.count(*verdict)
    for verdict in webhooks.signatures(folder / "signatures"):
        table.count(*verdict)
    return table


SETS: dict[str, Callable[[Path], Table]] = {
    "email_parse": score_parse,
    "email_reply": score_reply,
    "email_auto": score_auto,
    "classification": score_classification,
    "webhooks": score_webhooks,
}


def main(arguments: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=[], help=", ".join(SETS))
    parser.add_argument("--corpora", type=Path, default=DEFAULT)
    parser.add_argument("--misses", action="store_true", help="name every miss")
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    if not chosen.corpora.is_dir():
        print(f"no corpora in {chosen.corpora}: nothing to measure (say where with --corpora)")
        return 0
    for name in chosen.sets or SETS:
        if (folder := chosen.corpora / name).is_dir():
            SETS[name](folder).show(name, chosen.misses)
    return 0


if __name__ == "__main__":
    sys.exit(main())
