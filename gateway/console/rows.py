"""Tickets, messages and decisions as people read them: labels for codes, local times, personal data masked."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.decision import Decision
from gateway.mind import Mind
from normalizer.canon import Address, Contact, Derived, Message, Ticket
from normalizer.identity import mask, mask_text

CHANNELS = {
    "email": ("邮件", "Email"), "form": ("表单", "Form"), "chat": ("在线客服", "Chat"), "app": ("App", "App"),
    "api": ("接口", "API"), "import": ("导入", "Import"), "voice": ("电话", "Voice"), "sms": ("短信", "SMS"),
    "wechat": ("公众号", "WeChat"), "wecom": ("企业微信", "WeCom"), "feishu": ("飞书", "Feishu"),
    "dingtalk": ("钉钉", "DingTalk"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A ticket in a list, in words."""

    number: str
    when: str
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
    review: bool


@dataclass(frozen=True, slots=True)
class Words:
    """Turns values of the canon into words of one language for one reader; `reveal` shows personal data whole."""

    mind: Mind
    language: str
    reveal: bool = False

    def when(self, instant: datetime | None) -> str:
        return instant.astimezone(self.mind.configured.settings.zone).strftime("%m-%d %H:%M:%S") if instant else ""

    def label(self, choice: str, derived: Derived | None, category: str = "") -> str:
        return self.mind.vocabulary.label(choice, derived.value, self.language, category) if derived else ""

    def channel(self, code: str) -> str:
        zh, en = CHANNELS.get(code, (code, code))
        return zh if self.language == "zh" else en

    def text(self, text: str) -> str:
        return text if self.reveal else mask_text(text)

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
            when=self.when(ticket.created_at),
            channel=self.channel(ticket.source.channel),
            contact=self.contact(contact),
            subject=self.text(ticket.subject),
            category=self.label("category", ticket.category),
            subcategory=self.label("subcategory", ticket.subcategory, category),
            priority=self.label("priority", ticket.priority),
            priority_code=ticket.priority.value,
            group=self.label("group", ticket.group),
            assignee=self.label("agent", ticket.assignee),
            status=self.label("status", ticket.status),
            review=bool(ticket.review and ticket.review.needed),
        )

    def why(self, decision: Decision) -> list[str]:
        return [self.text(line) for line in self.mind.explain(decision, self.language)]

    def attachments(self, message: Message) -> str:
        return ", ".join(f"{self.text(a.name)} ({size(a.size)})" for a in message.attachments)

    def promises(self, ticket: Ticket) -> str:
        """Each milestone with its due time, and the time allowed."""
        milestones = ticket.sla.milestones.items() if ticket.sla else ()
        return " · ".join(f"{name} {self.when(m.due)} ({span(m.due - ticket.captured_at)})" for name, m in milestones)


def span(time: timedelta) -> str:
    minutes = round(time / timedelta(minutes=1))
    return f"{minutes // 60} h {minutes % 60:02d}" if minutes >= 60 else f"{minutes} min"


def size(octets: int) -> str:
    return f"{octets / 1024:.0f} KB" if octets >= 1024 else f"{octets} B"
