"""Tickets, messages and decisions as people read them: labels for codes, local times, personal data masked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from engine.decision import Decision
from engine.explain import explain_pending
from gateway.console.ticket_words import TICKET
from gateway.console.words import PAGE
from gateway.masking import masked_words
from gateway.mind import Mind
from normalizer.canon import Address, Contact, Derived, Milestone, Pending, Ticket
from normalizer.identity import mask, mask_text

CHANNELS = {
    "email": ("邮件", "Email"), "form": ("表单", "Form"), "chat": ("在线客服", "Chat"), "app": ("App", "App"),
    "api": ("接口", "API"), "import": ("导入", "Import"), "voice": ("电话", "Voice"), "sms": ("短信", "SMS"),
    "wechat": ("公众号", "WeChat"), "wecom": ("企业微信", "WeCom"), "feishu": ("飞书", "Feishu"),
    "dingtalk": ("钉钉", "DingTalk"), "telegram": ("Telegram", "Telegram"), "whatsapp": ("WhatsApp", "WhatsApp"),
    "messenger": ("Messenger", "Messenger"), "instagram": ("Instagram", "Instagram"), "line": ("LINE", "LINE"),
    "slack": ("Slack", "Slack"), "discord": ("Discord", "Discord"),
}  # fmt: skip
MINUTE, HOUR, DAY = 60, 3600, 86400
NEAR = 0.25  # of the time allowed is left


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant, by the deployment's clock and by how long ago; pages let it go on."""

    iso: str
    absolute: str
    relative: str


@dataclass(frozen=True, slots=True)
class Clock:
    """A promise: its name, until when, and how it stands: running, near, over, met, missed."""

    name: str
    due: Moment
    state: str
    words: str
    near: int  # seconds before it is due


@dataclass(frozen=True, slots=True)
class Row:
    """A ticket in a list, in words."""

    number: str
    version: int
    when: Moment
    channel: str
    contact: str
    subject: str
    category: str
    subcategory: str
    priority: str
    priority_code: str
    group: str
    assignee: str
    status: str
    status_code: str
    review: bool
    clock: Clock | None


@dataclass(frozen=True, slots=True)
class Words:
    """Turns values of the canon into words of one language for one reader; `reveal` shows personal data whole."""

    mind: Mind
    language: str
    now: datetime
    reveal: bool = False
    people: Mapping[str, str] = field(default_factory=dict)  # names by user id
    about: Contact | None = None  # whose page it is

    def moment(self, instant: datetime) -> Moment:
        local = instant.astimezone(self.mind.configured.settings.zone)
        iso = instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return Moment(iso, local.strftime("%Y-%m-%d %H:%M:%S"), self.relative(instant))

    def relative(self, instant: datetime) -> str:
        t, seconds = PAGE[self.language], (instant - self.now).total_seconds()
        if abs(seconds) < MINUTE:
            return str(t["now"])
        return str(t["ago" if seconds < 0 else "ahead"]).format(self.span(abs(seconds)))

    def span(self, seconds: float, most: int = 1) -> str:
        """Such as 2 h 10 min; of the largest units `most`."""
        units, whole = PAGE[self.language]["units"], int(max(0, seconds))
        parts = {"day": whole // DAY, "hour": whole // HOUR % 24, "minute": whole // MINUTE % 60}
        said = [units[name].format(count) for name, count in parts.items() if count][:most]
        return " ".join(said) or str(units["minute"].format(0 if most > 1 else 1))

    def label(self, choice: str, derived: Derived | None, category: str = "") -> str:
        return self.code(choice, derived.value, category) if derived else ""

    def code(self, choice: str, code: str, category: str = "") -> str:
        if choice == "agent" and code in self.people:
            return self.people[code]
        return self.mind.vocabulary.label(choice, code, self.language, category)

    def channel(self, code: str) -> str:
        zh, en = CHANNELS.get(code, (code, code))
        return zh if self.language == "zh" else en

    def person(self, source: str) -> str:
        """Who did it: person:ID by name, key:ID, rule:NAME; anything else as it is."""
        kind, _, rest = source.partition(":")
        words = TICKET[self.language]["sources"]
        if kind == "person":
            return words["local"] if rest == "local" else self.code("agent", rest)
        return words[kind].format(rest.partition("@")[0]) if kind in words else source

    def text(self, text: str) -> str:
        """Words as they may be read; what the contact they are about is called is masked in them too."""
        if self.reveal:
            return text
        return masked_words(text, self.about) if self.about else mask_text(text)

    def address(self, address: Address) -> str:
        if self.reveal:
            return f"{address.name} <{address.address}>" if address.name else address.address
        return mask(address)

    def contact(self, contact: Contact | None) -> str:
        """Name and first identity, such as 张*(l***@example.com)."""
        if contact is None:
            return ""
        first = contact.identities[0] if contact.identities else None
        return self.address(Address(first.kind if first else "", first.value if first else "", contact.name))

    def row(self, ticket: Ticket, contact: Contact | None) -> Row:
        category = ticket.category.value if ticket.category else ""
        return Row(
            number=ticket.number,
            version=ticket.version,
            when=self.moment(ticket.created_at),
            channel=self.channel(ticket.source.channel),
            contact=self.contact(contact),
            subject=replace(self, about=contact).text(ticket.subject) or TICKET[self.language]["no_subject"],
            category=self.label("category", ticket.category),
            subcategory=self.label("subcategory", ticket.subcategory, category),
            priority=self.label("priority", ticket.priority),
            priority_code=ticket.priority.value,
            group=self.label("group", ticket.group),
            assignee=self.label("agent", ticket.assignee),
            status=self.label("status", ticket.status),
            status_code=ticket.status.value,
            review=bool(ticket.review and ticket.review.needed),
            clock=next((clock for clock in self.clocks(ticket) if clock.state in ("running", "near", "over")), None),
        )

    def clocks(self, ticket: Ticket) -> Iterator[Clock]:
        """Each promise, the earliest first."""
        promised = ticket.sla.milestones if ticket.sla else {}
        for name, milestone in sorted(promised.items(), key=lambda one: one[1].due):
            yield self._clock(name, milestone, ticket)

    def _clock(self, name: str, milestone: Milestone, ticket: Ticket) -> Clock:
        t, left = PAGE[self.language], (milestone.due - self.now).total_seconds()
        near = int((milestone.due - ticket.captured_at) / timedelta(seconds=1) * NEAR)
        named = TICKET[self.language]["milestones"].get(name, name)
        state = "over" if left < 0 else "near" if left < near else "running"
        words = str(t["over" if left < 0 else "left"]).format(self.span(abs(left), 2))
        if milestone.met_at:
            kept = milestone.met_at <= milestone.due
            state, words = ("met", str(t["met"])) if kept else ("missed", str(t["missed"]))
        elif milestone.missed and ticket.status.value in ("solved", "closed", "merged"):
            state, words = "missed", str(t["missed"])
        return Clock(named, self.moment(milestone.due), state, words, near)

    def later(self, pending: Pending, ticket: Ticket) -> str:
        """What a rule wants done later, in words."""
        return self.text(explain_pending(pending, ticket, self.language, self.mind.vocabulary))

    def why(self, decision: Decision) -> list[str]:
        return [self.text(line) for line in self.mind.explain(decision, self.language)]


def size(octets: int) -> str:
    if octets >= 1024 * 1024:
        return f"{octets / 1024 / 1024:.1f} MB"
    return f"{octets / 1024:.0f} KB" if octets >= 1024 else f"{octets} B"
