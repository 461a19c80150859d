"""What rules may look at: one registry of fields, and the facts of one case as a flat, typed mapping.

Every field has a kind (which operators fit), perhaps a closed set of codes, and perhaps a slot: what a rule must
write to change it. The loader checks rulebooks against this registry, and docs/rules.md is generated from it.
"""

# ruff: noqa: E501
# Tables read better a row a line.

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal

from engine.company import Company
from engine.decision import Case, Fact
from engine.vocabulary import WEEKDAYS, Vocabulary
from engine.words import folded
from normalizer.canon import Derived, Message, Ticket

Kind = Literal["choice", "rank", "text", "number", "flag", "set", "language", "time", "words"]
Reader = Callable[[Case, Company], Fact]

OPEN = frozenset({"new", "open", "waiting_customer", "waiting_third"})
WORDS, MENTIONS = "message.words", "message.mentions"  # filled from the rule set's lexicon


@dataclass(frozen=True, slots=True)
class Field:
    """`slot` is what rules write to change it: empty if none can."""

    name: str
    kind: Kind
    zh: str
    en: str
    read: Reader
    choice: str = ""
    slot: str = ""


@dataclass(frozen=True, order=True)
class Window:
    """How many tickets of this contact fall into the last while; the present one counts."""

    within: int  # seconds
    category: tuple[str, ...] = ()
    subcategory: tuple[str, ...] = ()

    @cached_property
    def name(self) -> str:
        of = [f"{what}={'/'.join(c)}" for what, c in (("category", self.category), ("sub", self.subcategory)) if c]
        return f"history({', '.join([*of, f'within={_short(self.within)}'])})"

    @cached_property
    def slots(self) -> frozenset[str]:
        """What the present ticket's part depends on."""
        return frozenset(({"category"} if self.category else set()) | ({"subcategory"} if self.subcategory else set()))

    def count(self, case: Case, category: Fact, subcategory: Fact) -> int:
        since = case.now - timedelta(seconds=self.within)
        past = sum(
            1
            for other in case.history
            if other.ticket != case.ticket.id
            and since < other.at <= case.now
            and self._fits(other.category, other.subcategory)
        )
        return past + (case.ticket.created_at > since and self._fits(category, subcategory))

    def _fits(self, category: Fact, subcategory: Fact) -> bool:
        return (not self.category or category in self.category) and (
            not self.subcategory or subcategory in self.subcategory
        )


def _short(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % size == 0 and (unit != "d" or seconds > size):
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _value(derived: Derived | None) -> Fact:
    return derived.value if derived else None


def _confidence(derived: Derived | None) -> Fact:
    return derived.confidence if derived else None


def _of_message(read: Callable[[Message], Fact]) -> Reader:
    return lambda case, _: read(case.message) if case.message else None


def _minute(case: Case, company: Company) -> Fact:
    local = case.now.astimezone(company.zone)
    return local.hour * 60 + local.minute


def _left(case: Case) -> Fact:
    due = next_due(case.ticket)
    return (due - case.now) / timedelta(minutes=1) if due else None


def next_due(ticket: Ticket) -> datetime | None:
    """The first promise of an open ticket that is not kept yet, broken ones too."""
    if ticket.sla is None or ticket.status.value not in OPEN:
        return None
    return min((one.due for one in ticket.sla.milestones.values() if one.met_at is None), default=None)


def _tier(case: Case, company: Company) -> Fact:
    return tier(case, company)


def tier(case: Case, company: Company) -> str:
    """The tier that counts: nobody borrows one, so an unproven identity has none. What is not said by the customer
    changes nothing."""
    if case.message is None or case.message.author == "agent":
        return case.ticket.tier
    return company.tier(case.contact) if case.proven else "normal"


def spoken(message: Message) -> str:
    """The words that `says` looks at: the subject and what is visible of the text."""
    return f"{message.subject}\n{message.text}" if message.subject else message.text


_TICKET: tuple[Field, ...] = (
    Field("category", "choice", "一级分类", "First-level category", lambda c, _: _value(c.ticket.category), "category", "category"),
    Field("category.confidence", "number", "一级分类的置信度（0 到 1）", "How sure the category is, 0 to 1", lambda c, _: _confidence(c.ticket.category), "", "category"),
    Field("subcategory", "choice", "二级标签", "Second-level category", lambda c, _: _value(c.ticket.subcategory), "subcategory", "subcategory"),
    Field("subcategory.confidence", "number", "二级标签的置信度", "How sure the subcategory is, 0 to 1", lambda c, _: _confidence(c.ticket.subcategory), "", "subcategory"),
    Field("tags", "set", "标签", "Tags", lambda c, _: c.ticket.tags, "", "tags"),
    Field("priority", "rank", "优先级", "Priority", lambda c, _: c.ticket.priority.value, "priority", "priority"),
    Field("status", "choice", "处理状态", "Status", lambda c, _: c.ticket.status.value, "status", "status"),
    Field("type", "choice", "工单类型", "Ticket type", lambda c, _: c.ticket.type, "type", "type"),
    Field("subject", "text", "标题", "Subject", lambda c, _: c.ticket.subject, "", "subject"),
    Field("description", "text", "问题描述（原话）", "The customer's first words", lambda c, _: c.ticket.description),
    Field("language", "language", "客户的语言（zh、en……）", "The customer's language", lambda c, _: c.ticket.language or None),
    Field("channel", "choice", "来源渠道", "Channel", lambda c, _: c.ticket.source.channel, "channel"),
    Field("connector", "text", "接入方式", "Connector", lambda c, _: c.ticket.source.connector),
    Field("account", "text", "接入账号", "Account", lambda c, _: c.ticket.source.account),
    Field("sentiment", "choice", "情绪", "Mood", lambda c, _: _value(c.ticket.sentiment), "sentiment"),
    Field("group", "choice", "技能组", "Group", lambda c, _: _value(c.ticket.group), "group", "group"),
    Field("assignee", "choice", "处理人", "Assignee", lambda c, _: _value(c.ticket.assignee), "agent", "group"),
    Field("escalation_level", "number", "升级级别", "Escalation level", lambda c, _: c.ticket.escalation_level, "", "escalation_level"),
    Field("urge_count", "number", "催单次数", "How often the customer urged", lambda c, _: c.ticket.urge_count),
    Field("reopen_count", "number", "重新打开次数", "How often it was reopened", lambda c, _: c.ticket.reopen_count),
    Field("sla.left", "number", "距下一个未兑现的承诺还有几分钟（已超时为负）；已解决的没有", "Minutes to the next promise that is not kept yet, negative if it is broken; none once solved", lambda c, _: _left(c)),
    Field("review.needed", "flag", "是否待人工预审", "Whether a person must look", lambda c, _: bool(c.ticket.review and c.ticket.review.needed), "", "review"),
)  # fmt: skip

_MESSAGE: tuple[Field, ...] = (
    Field("message.text", "text", "消息正文", "The visible words", _of_message(lambda m: m.text)),
    Field("message.subject", "text", "消息标题", "The message's subject", _of_message(lambda m: m.subject)),
    Field("message.length", "number", "正文字数", "Characters of the text", _of_message(lambda m: len(m.text))),
    Field("message.kind", "choice", "消息种类", "What the message is", _of_message(lambda m: str(m.kind)), "kind"),
    Field("message.answerable", "flag", "可否自动回复", "Whether it may be acknowledged", _of_message(lambda m: m.answerable)),
    Field("message.proven", "flag", "发件人身份是否已验证", "Whether the sender's identity is proven", _of_message(lambda m: m.proven)),
    Field("message.channel", "choice", "本条消息的渠道", "Channel of this message", _of_message(lambda m: m.channel), "channel"),
    Field("message.author", "choice", "谁说的", "Who speaks", _of_message(lambda m: m.author), "author"),
    Field("message.language", "language", "本条消息的语言", "Language of this message", _of_message(lambda m: m.understanding.language or None)),
    Field("message.sentiment", "choice", "本条消息的情绪", "Mood of this message", _of_message(lambda m: _value(m.understanding.sentiment)), "sentiment"),
    Field("message.intents", "set", "意图：urge 催单、human 转人工、thanks、cancel", "Intents: urge, human, thanks, cancel", _of_message(lambda m: m.understanding.intents), "intent"),
    Field("message.from", "text", "发件地址", "The sender's address", _of_message(lambda m: m.sender.address)),
    Field("message.from.domain", "text", "发件域名", "Domain of the sender's mail address", _of_message(lambda m: m.sender.address.rpartition("@")[2].lower())),
    Field("message.to", "set", "收件地址", "Addresses it was sent to", _of_message(lambda m: tuple(a.address for a in m.to))),
    Field("message.attachments.count", "number", "附件数", "How many attachments", _of_message(lambda m: len(m.attachments))),
    Field("message.attachments.types", "set", "附件类型", "Media types of the attachments", _of_message(lambda m: tuple(a.media_type for a in m.attachments))),
    Field("message.defects", "set", "来件缺陷", "What was broken in the input", _of_message(lambda m: m.defects)),
)  # fmt: skip

_CONTACT: tuple[Field, ...] = (
    Field("contact.tier", "choice", "客户等级（身份已验证才算）", "Tier; counts only if the identity is proven", _tier, "tier"),
    Field("contact.claimed_tier", "choice", "未经验证的客户等级", "Tier as claimed, proven or not", lambda c, company: company.tier(c.contact), "tier"),
    Field("contact.proven", "flag", "客户身份是否已验证", "Whether the identity is proven", lambda c, _: c.proven),
    Field("contact.name", "text", "客户姓名", "Name", lambda c, _: c.contact.name),
    Field("contact.locale", "language", "客户的语言偏好", "Locale", lambda c, _: c.contact.locale or None),
    Field("contact.identities", "set", "客户的各种身份", "Addresses, numbers and ids", lambda c, _: tuple(i.value for i in c.contact.identities)),
)  # fmt: skip

_CLOCK: tuple[Field, ...] = (
    Field("clock.business_hours", "flag", "是否营业时间", "Whether we are open", lambda c, company: company.calendars[company.business].is_open(c.now)),
    Field("clock.weekday", "choice", "星期几", "Day of the week", lambda c, company: list(WEEKDAYS)[c.now.astimezone(company.zone).weekday()], "weekday"),
    Field("clock.date", "text", "日期（2026-11-11）", "Date, 2026-11-11", lambda c, company: c.now.astimezone(company.zone).date().isoformat()),
    Field("clock.time", "time", "时刻（09:30）", "Time of day, 09:30", _minute),
    Field("clock.workday", "flag", "是否工作日", "Whether it is a working day", lambda c, company: company.calendars[company.business].is_workday(c.now.astimezone(company.zone).date())),
    Field("clock.holiday", "flag", "是否节假日", "Whether it is a holiday", lambda c, company: c.now.astimezone(company.zone).date() in company.calendars[company.business].holidays),
    Field("trigger", "text", "触发", "What set the rules off", lambda c, _: c.trigger),
)  # fmt: skip

OF_TICKET = frozenset(field.name for field in _TICKET)
FIELDS: Mapping[str, Field] = {f.name: f for f in (*_TICKET, *_MESSAGE, *_CONTACT, *_CLOCK)}

OPEN_FIELDS: Mapping[str, tuple[str, str]] = {  # prefix -> what stands behind it, zh and en
    "mark.": ("规则所作的标记", "A mark that a rule made"),
    "custom.": ("工单类型的自定义字段", "A custom field of the ticket type"),
    "extracted.": ("从正文中提取的内容（order_number、phone……）", "Found in the words: order_number, phone, ..."),
    "contact.attributes.": ("客户属性", "An attribute of the contact"),
    "load.group.": ("该组未完成工单数", "Open tickets of the group"),
    "load.agent.": ("该客服未完成工单数", "Open tickets of the agent"),
}


def known(name: str, vocabulary: Vocabulary) -> Field | None:
    """The field of this name; `ticket.` before one of the ticket's own may be left out."""
    name = name.removeprefix("ticket.")
    if found := FIELDS.get(name):
        return found
    prefix = next((p for p in sorted(OPEN_FIELDS, reverse=True) if name.startswith(p) and len(name) > len(p)), "")
    return _open(name, prefix, name[len(prefix) :], vocabulary) if prefix else None


def _open(name: str, prefix: str, key: str, vocabulary: Vocabulary) -> Field | None:
    zh, en = OPEN_FIELDS[prefix]
    match prefix:
        case "mark.":
            return Field(name, "text", zh, en, lambda c, _: c.ticket.marks.get(key), "", name)
        case "custom.":
            return (
                Field(name, "text", zh, en, lambda c, _: c.ticket.custom.get(key), "", name)
                if key in vocabulary.fields
                else None
            )
        case "extracted.":
            return Field(name, "text", zh, en, lambda c, _: e.value if (e := c.ticket.extracted.get(key)) else None)
        case "contact.attributes.":
            return Field(name, "text", zh, en, lambda c, _: c.contact.attributes.get(key))
        case "load.group.":
            return (
                Field(name, "number", zh, en, lambda c, _: c.load.get(f"group:{key}", 0))
                if key in vocabulary.groups
                else None
            )
        case _:
            return (
                Field(name, "number", zh, en, lambda c, _: c.load.get(f"agent:{key}", 0))
                if key in vocabulary.agents
                else None
            )


def names(vocabulary: Vocabulary) -> list[str]:
    """Every field that can be written out, to find what was meant."""
    return [
        *FIELDS,
        *(f"custom.{name}" for name in vocabulary.fields),
        *(f"load.group.{name}" for name in vocabulary.groups),
        *(f"load.agent.{name}" for name in vocabulary.agents),
    ]


def keys(kind: Kind, value: Fact | frozenset[str]) -> Iterable[str | bool | int | float]:
    """What a value is known by in an index: equal keys are equal values, for this kind."""
    if value is None:
        return ()
    if isinstance(value, tuple | frozenset):
        return value if kind == "words" else [folded(item) for item in value]
    if not isinstance(value, str):
        return (value,)
    match kind:
        case "text" | "words" | "set":
            return (folded(value),)
        case "language":
            tag = value.lower()
            return (tag, tag.partition("-")[0]) if "-" in tag else (tag,)
        case _:
            return (value,)
