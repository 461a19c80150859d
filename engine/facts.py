"""What rules may look at: one registry of fields, and the facts of one case as a flat, typed mapping.

Every field has a kind (which operators fit), perhaps a closed set of codes, and perhaps a slot: what a rule must
write to change it. The loader checks rulebooks against this registry, and docs/rules.md is generated from it.
"""

# ruff: noqa: E501
# Tables read better a row a line.

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Literal

from engine.calendar import instant, local
from engine.company import Company
from engine.decision import Case, Fact, Past
from engine.vocabulary import WEEKDAYS, Vocabulary
from engine.words import folded
from normalizer.canon import Derived, Message, Milestone, Ticket, digest
from normalizer.identity import country

Kind = Literal[
    "choice", "rank", "text", "number", "flag", "set", "language", "time", "words", "amount", "date", "duration"
]
Reader = Callable[[Case, Company], Fact]
Standing = Callable[[str], Fact]  # the value of a slot as it stands now
Follower = Callable[[Case, Company, Standing], Fact]

OPEN = frozenset({"new", "open", "waiting_customer", "waiting_third"})
_AMOUNT = re.compile(
    r"([A-Za-z]{3}|[¥￥$€£])?\s?([0-9][0-9,]{0,15}(?:\.[0-9]+)?)\s?([A-Za-z]{3}|元|块|人民币|美元|欧元|英镑)?"
)
_SIGNS = {
    "¥": "CNY",
    "￥": "CNY",
    "元": "CNY",
    "块": "CNY",
    "人民币": "CNY",
    "RMB": "CNY",
    "$": "USD",
    "美元": "USD",
    "€": "EUR",
    "欧元": "EUR",
    "£": "GBP",
    "英镑": "GBP",
}
ORDER = "order_number"
FILTERS = ("category", "subcategory", "status", "priority")  # what `history` may ask of the tickets it counts
SAME = ("order", "category", "subcategory")
_SHOWN = {"subcategory": "sub"}
WORDS, MENTIONS = "message.words", "message.mentions"  # filled from the rule set's lexicon


@dataclass(frozen=True, slots=True)
class Field:
    """`slot` is what rules write to change it: empty if none can.

    `follow` gives its value once the slot was written, where that is not simply what was written.
    """

    name: str
    kind: Kind
    zh: str
    en: str
    read: Reader
    choice: str = ""
    slot: str = ""
    follow: Follower | None = None


@dataclass(frozen=True, order=True)
class Window:
    """How many tickets of this contact fall into the last while; the present one counts.

    `same` narrows it to tickets that have this in common with the present one: order, category, subcategory.
    """

    within: int  # seconds
    category: tuple[str, ...] = ()
    subcategory: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    priority: tuple[str, ...] = ()
    same: tuple[str, ...] = ()

    @cached_property
    def name(self) -> str:
        of = [f"same={'/'.join(self.same)}"] if self.same else []
        of += [f"{_SHOWN.get(what, what)}={'/'.join(codes)}" for what, codes in self._asked]
        return f"history({', '.join([*of, f'within={short(self.within)}'])})"

    @cached_property
    def _asked(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What it asks of the tickets it counts."""
        return tuple((what, codes) for what in FILTERS if (codes := getattr(self, what)))

    @cached_property
    def slots(self) -> frozenset[str]:
        """What the present ticket's part, or what others are compared with, depends on."""
        own = {what for what, _ in self._asked} | set(self.same)
        return frozenset(own - {"order"}) | ({f"custom.{ORDER}"} if "order" in own else set())

    def count(self, case: Case, _: Company, standing: Standing) -> int:
        since = case.now - timedelta(seconds=self.within)
        past = 0
        if case.history:
            same = [(what, _order(case, standing) if what == "order" else standing(what)) for what in self.same]
            past = sum(1 for other in case.history if self._counts(other, case, since, same))
        if case.ticket.created_at <= since:
            return past
        return past + all(standing(what) in codes for what, codes in self._asked)

    def _counts(self, other: Past, case: Case, since: datetime, same: Sequence[tuple[str, Fact]]) -> bool:
        return (
            other.ticket != case.ticket.id
            and since < other.at <= case.now
            and all(getattr(other, what) in codes for what, codes in self._asked)
            and all(value not in (None, "") and getattr(other, what) == value for what, value in same)
        )


def _order(case: Case, standing: Standing) -> Fact:
    """The number of the order a ticket is about: as filled in, else as found in the words."""
    return standing(f"custom.{ORDER}") or (found.value if (found := case.ticket.extracted.get(ORDER)) else None)


def order_of(ticket: Ticket) -> str:
    """The same of a ticket as it is kept."""
    found = ticket.extracted.get(ORDER)
    return ticket.custom.get(ORDER) or (found.value if found else "")


def short(seconds: int) -> str:
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


def _campaigns(case: Case, company: Company) -> Fact:
    return company.running(case.now)


def _local(case: Case, company: Company) -> datetime:
    return case.now.astimezone(company.zone)


BUCKETS = 100


def bucket(contact: str) -> int:
    """Which of a hundred equal parts a contact is in, for ever."""
    return int(digest("canary", contact), 16) % BUCKETS


def _country(case: Case, _: Company) -> Fact:
    """As the contact's attributes say, else of his phone number, else of his language's region."""
    contact = case.contact
    if said := contact.attributes.get("country"):
        return said.upper()
    phones = (country(one.value) for one in contact.identities if one.kind == "phone")
    tag = contact.locale.replace("_", "-").rpartition("-")[2]
    return next((code for code in phones if code), tag.upper() if len(tag) == 2 and "-" in contact.locale else None)


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
    Field("sla.left", "duration", "距下一个未兑现的承诺还有多久（已超时为负）；已解决的没有", "Time to the next promise that is not kept yet, negative if it is broken; none once solved", lambda c, _: _left(c)),
    Field("review.needed", "flag", "是否待人工预审", "Whether a person must look", lambda c, _: bool(c.ticket.review and c.ticket.review.needed), "", "review"),
)  # fmt: skip

# Facts of the ticket that no saved view can look at.
_BESIDE: tuple[Field, ...] = (
    Field("tier", "choice", "工单的客户等级（上次决策时）", "Tier of the customer, as it counted at the last decision", lambda c, _: c.ticket.tier, "tier"),
    Field("acknowledged", "flag", "是否已自动回复", "Whether it was acknowledged", lambda c, _: c.ticket.acked_at is not None),
    Field("required_skills", "set", "所需技能", "Skills that are needed", lambda c, _: c.ticket.required_skills, "skill"),
    Field("related.kinds", "set", "关联方式（follow_up_of、duplicate_of……）", "How it is linked to others: follow_up_of, duplicate_of, ...", lambda c, _: tuple(sorted({one.kind for one in c.ticket.related}))),
    Field("helpdesks", "set", "已在哪些工单系统中", "Helpdesks that have it", lambda c, _: tuple(sorted(one.system for one in c.ticket.external))),
    Field("review.verdict", "choice", "预审结论", "Verdict of the review", lambda c, _: (c.ticket.review.verdict or None) if c.ticket.review else None, "verdict"),
    Field("review.group", "choice", "预审的组", "Who reviews", lambda c, _: (c.ticket.review.group or None) if c.ticket.review else None, "group"),
    Field("review.reasons", "set", "预审的原因", "Why a person should look", lambda c, _: c.ticket.review.reasons if c.ticket.review else ()),
    Field("sla.policy", "choice", "SLA 策略（决策前的）", "SLA policy, as it was before", lambda c, _: c.ticket.sla.policy if c.ticket.sla else None, "policy"),
    Field("sla.milestone", "choice", "本次将超时或已超时的承诺", "The promise that is near or was missed just now", lambda c, _: c.milestone or None, "milestone"),
    Field("task.open", "number", "未完成任务数", "Tasks that are not done", lambda c, _: _open_tasks(c)),
    Field("task.count", "number", "任务数", "Tasks, done or not", lambda c, _: len(c.tasks)),
    Field("task.type", "text", "刚有变化的任务的类型", "Type of the task that changed just now", lambda c, _: c.task.type if c.task else None),
    Field("task.status", "choice", "刚有变化的任务的状态", "Status of the task that changed just now", lambda c, _: c.task.status if c.task else None, "task_status"),
    Field("task.group", "choice", "刚有变化的任务的组", "Group of the task that changed just now", lambda c, _: (c.task.group or None) if c.task else None, "group"),
    Field("task.assignee", "choice", "刚有变化的任务的处理人", "Who has the task that changed just now", lambda c, _: (c.task.assignee or None) if c.task else None, "agent"),
    Field("feedback.score", "number", "评分（1 到 5）", "Score that the customer gave, 1 to 5", lambda c, _: c.feedback.score if c.feedback else None),
    Field("feedback.satisfied", "flag", "是否满意（4 分及以上）", "Whether he is satisfied: 4 or more", lambda c, _: c.feedback.score >= 4 if c.feedback else None),
    Field("feedback.comment", "text", "评价内容", "What he says of it", lambda c, _: c.feedback.comment if c.feedback else None),
    Field("by", "text", "是谁所为（person:li）", "Who did what set the rules off: person:li, key:ab12", lambda c, _: c.by or None),
)  # fmt: skip

_MESSAGE: tuple[Field, ...] = (
    Field("message.text", "text", "消息正文", "The visible words", _of_message(lambda m: m.text)),
    Field("message.subject", "text", "消息标题", "The message's subject", _of_message(lambda m: m.subject)),
    Field("message.length", "number", "正文字数", "Characters of the text", _of_message(lambda m: len(m.text))),
    Field("message.kind", "choice", "消息种类", "What the message is", _of_message(lambda m: str(m.kind)), "kind"),
    Field("message.answerable", "flag", "可否自动回复", "Whether it may be acknowledged", _of_message(lambda m: m.answerable)),
    Field("message.proven", "flag", "发件人身份是否已验证", "Whether the sender's identity is proven", _of_message(lambda m: m.proven)),
    Field("message.spf", "choice", "收信服务器的 SPF 结论；没有说就没有", "What our mail server found by SPF; none if it did not say", _of_message(lambda m: m.authentication.get("spf")), "authentication"),
    Field("message.dkim", "choice", "收信服务器的 DKIM 结论（任一签名通过即 pass）", "The same by DKIM; pass if any signature holds, whoever signed", _of_message(lambda m: m.authentication.get("dkim")), "authentication"),
    Field("message.dmarc", "choice", "收信服务器的 DMARC 结论", "The same by DMARC", _of_message(lambda m: m.authentication.get("dmarc")), "authentication"),
    Field("message.channel", "choice", "本条消息的渠道", "Channel of this message", _of_message(lambda m: m.channel), "channel"),
    Field("message.author", "choice", "谁说的", "Who speaks", _of_message(lambda m: m.author), "author"),
    Field("message.language", "language", "本条消息的语言", "Language of this message", _of_message(lambda m: m.understanding.language or None)),
    Field("message.sentiment", "choice", "本条消息的情绪", "Mood of this message", _of_message(lambda m: _value(m.understanding.sentiment)), "sentiment"),
    Field("message.intents", "set", "意图：urge 催单、human 转人工、thanks、cancel", "Intents: urge, human, thanks, cancel", _of_message(lambda m: m.understanding.intents), "intent"),
    Field("message.from", "text", "发件地址", "The sender's address", _of_message(lambda m: m.sender.address)),
    Field("message.from.domain", "text", "发件域名", "Domain of the sender's mail address", _of_message(lambda m: m.sender.address.rpartition("@")[2].lower())),
    Field("message.to", "set", "收件地址", "Addresses it was sent to", _of_message(lambda m: tuple(a.address for a in m.to))),
    Field("message.cc", "set", "抄送地址", "Addresses it was copied to", _of_message(lambda m: tuple(a.address for a in m.cc))),
    Field("message.direction", "choice", "方向：in 来、out 去", "in from a customer, out from us", _of_message(lambda m: m.direction), "direction"),
    Field("message.attachments.names", "set", "附件名", "Names of the attachments", _of_message(lambda m: tuple(a.name for a in m.attachments))),
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
    Field("contact.country", "text", "国家或地区代码（CN、US……）：客户属性，否则按电话、语言", "Country code: an attribute of the contact, else of the phone number or locale", _country),
    Field("contact.bucket", "number", "客户所在的百分位（0 到 99，固定不变）", "Which hundredth of all contacts this one is in, 0 to 99, for ever", lambda c, _: bucket(c.contact.id)),
    Field("contact.identities", "set", "客户的各种身份", "Addresses, numbers and ids", lambda c, _: tuple(i.value for i in c.contact.identities)),
)  # fmt: skip

_CLOCK: tuple[Field, ...] = (
    Field("clock.business_hours", "flag", "是否营业时间", "Whether we are open", lambda c, company: company.calendars[company.business].is_open(c.now)),
    Field("clock.weekday", "choice", "星期几", "Day of the week", lambda c, company: list(WEEKDAYS)[c.now.astimezone(company.zone).weekday()], "weekday"),
    Field("clock.date", "date", "日期（2026-11-11）", "Date, 2026-11-11", lambda c, company: _local(c, company).date().isoformat()),
    Field("clock.now", "date", "日期和时刻（2026-11-11 20:00）", "Day and time, 2026-11-11 20:00", lambda c, company: _local(c, company).strftime("%Y-%m-%d %H:%M")),
    Field("clock.campaigns", "set", "正在进行的活动（calendars.yaml）", "Campaigns that run now (calendars.yaml)", _campaigns, "campaign"),
    Field("clock.time", "time", "时刻（09:30）", "Time of day, 09:30", _minute),
    Field("clock.workday", "flag", "是否工作日", "Whether it is a working day", lambda c, company: company.calendars[company.business].is_workday(c.now.astimezone(company.zone).date())),
    Field("clock.holiday", "flag", "是否节假日", "Whether it is a holiday", lambda c, company: c.now.astimezone(company.zone).date() in company.calendars[company.business].holidays),
    Field("trigger", "text", "触发", "What set the rules off", lambda c, _: c.trigger),
)  # fmt: skip

OF_TICKET = frozenset(field.name for field in _TICKET)
FIELDS: Mapping[str, Field] = {f.name: f for f in (*_TICKET, *_BESIDE, *_MESSAGE, *_CONTACT, *_CLOCK)}


@dataclass(frozen=True, slots=True)
class Open:
    """Fields of one prefix: what may stand behind it, an example, and which of them there are (None: not these)."""

    prefix: str
    kind: str
    key: str  # an example
    zh: str
    en: str
    make: Callable[[str, "Open", Vocabulary], Field | None]

    def field(self, key: str, vocabulary: Vocabulary) -> Field | None:
        return self.make(key, self, vocabulary)

    def made(self, key: str, kind: Kind, read: Reader, choice: str = "", slot: str = "") -> Field:
        return Field(self.prefix + key, kind, f"{self.called} {_EVENTS_ZH.get(key, key)}", self.en, read, choice, slot)

    @property
    def called(self) -> str:
        """What it is called in Chinese, without what may stand behind it."""
        return self.zh.partition("：")[0].partition("（")[0]


EVENTS: Mapping[str, Callable[[Ticket], datetime | None]] = {
    "last_customer_message": lambda t: t.last_customer_at,
    "last_agent_reply": lambda t: t.last_agent_at,
    "created": lambda t: t.created_at,
    "received": lambda t: t.captured_at,
    "acknowledged": lambda t: t.acked_at,
    "first_response": lambda t: t.first_response_at,
    "last_urged": lambda t: t.last_urged_at,
    "solved": lambda t: t.solved_at,
    "closed": lambda t: t.closed_at,
}
_EVENTS_ZH = {
    "last_customer_message": "客户上次发言", "last_agent_reply": "客服上次回复", "created": "建单", "received": "收件",
    "acknowledged": "自动回复", "first_response": "首次响应", "last_urged": "上次催单", "solved": "解决", "closed": "关闭",
}  # fmt: skip
_KEPT_KINDS: Mapping[str, Kind] = {"number": "number", "date": "date", "amount": "amount"}


def _mark(key: str, of: Open, _: Vocabulary) -> Field | None:
    return of.made(key, "text", lambda c, _: c.ticket.marks.get(key), slot=f"mark.{key}")


def _custom(key: str, of: Open, vocabulary: Vocabulary) -> Field | None:
    if key not in vocabulary.fields:
        return None
    kind = _KEPT_KINDS.get(vocabulary.field_kinds.get(key, ""), "text")
    name = f"custom.{key}"
    choice = name if key in vocabulary.field_choices else ""
    if kind != "number":
        return of.made(key, kind, lambda c, _: c.ticket.custom.get(key), choice, name)
    made = of.made(key, kind, lambda c, _: number(c.ticket.custom.get(key)), choice, name)
    return replace(made, follow=lambda _c, _h, standing: number(standing(name)))


def _extracted(key: str, of: Open, _: Vocabulary) -> Field | None:
    kind: Kind = "amount" if key == "amount" else "text"
    return of.made(key, kind, lambda c, _: e.value if (e := c.ticket.extracted.get(key)) else None)


def _attribute(key: str, of: Open, _: Vocabulary) -> Field | None:
    return of.made(key, "text", lambda c, _: c.contact.attributes.get(key))


def _group_load(key: str, of: Open, vocabulary: Vocabulary) -> Field | None:
    return of.made(key, "number", lambda c, _: c.load.get(f"group:{key}", 0)) if key in vocabulary.groups else None


def _agent_load(key: str, of: Open, vocabulary: Vocabulary) -> Field | None:
    return of.made(key, "number", lambda c, _: c.load.get(f"agent:{key}", 0)) if key in vocabulary.agents else None


def _shift(key: str, of: Open, vocabulary: Vocabulary) -> Field | None:
    if key not in vocabulary.groups:
        return None
    return of.made(key, "number", lambda c, company: len(company.on_shift(key, c.now)))


def _since(key: str, of: Open, _: Vocabulary) -> Field | None:
    moment = EVENTS.get(key)
    return of.made(key, "duration", lambda c, _: _minutes(c.now, moment(c.ticket))) if moment else None


def _minutes(now: datetime, then: datetime | None) -> Fact:
    return (now - then) / timedelta(minutes=1) if then else None


def _age(key: str, of: Open, vocabulary: Vocabulary) -> Field | None:
    """How long ago the day that a field names began; negative before it."""
    inner = known(key, vocabulary)
    if inner is None or inner.kind != "date":
        return None
    read = inner.read

    def age(case: Case, company: Company, value: Fact) -> Fact:
        at = local(str(value)) if value else None
        return _minutes(case.now, instant(at[0], company.zone)) if at else None

    made = of.made(key, "duration", lambda c, company: age(c, company, read(c, company)), slot=inner.slot)
    return replace(made, follow=lambda c, company, standing: age(c, company, standing(inner.slot)))


def _changed(key: str, of: Open, vocabulary: Vocabulary) -> Field | None:
    """Whether a field changed, and (with .from and .to) what it was and is."""
    field, _, side = key.rpartition(".")
    if side not in ("from", "to"):
        return of.made(key, "flag", lambda c, _: key in c.changed) if _changeable(key, vocabulary) else None
    inner = _changeable(field, vocabulary)
    if inner is None:
        return None
    at = 0 if side == "from" else 1
    return of.made(key, inner.kind, lambda c, _: c.changed[field][at] if field in c.changed else None, inner.choice)


def _changeable(name: str, vocabulary: Vocabulary) -> Field | None:
    return known(name, vocabulary) if name in CHANGES or name.startswith("custom.") else None


def _milestone(key: str, of: Open, vocabulary: Vocabulary) -> Field | None:
    name, _, what = key.rpartition(".")
    if name not in vocabulary.milestones:
        return None
    match what:
        case "left":
            return of.made(
                key, "duration", lambda c, _: _minutes(m.due, c.now) if (m := _of(c, name)) and not m.met_at else None
            )
        case "missed":
            return of.made(
                key, "flag", lambda c, _: (m.missed or (m.met_at or c.now) > m.due) if (m := _of(c, name)) else None
            )
        case "met":
            return of.made(key, "flag", lambda c, _: m.met_at is not None if (m := _of(c, name)) else None)
        case _:
            return None


def _of(case: Case, milestone: str) -> Milestone | None:
    return case.ticket.sla.milestones.get(milestone) if case.ticket.sla else None


def _open_tasks(case: Case, type: str = "", group: str = "") -> int:
    return sum(
        1
        for task in case.tasks
        if task.status in ("open", "doing") and type in ("", task.type) and group in ("", task.group)
    )


def _tasks_of_type(key: str, of: Open, _: Vocabulary) -> Field | None:
    return of.made(key, "number", lambda c, _: _open_tasks(c, type=key))


def _tasks_of_group(key: str, of: Open, vocabulary: Vocabulary) -> Field | None:
    return of.made(key, "number", lambda c, _: _open_tasks(c, group=key)) if key in vocabulary.groups else None


def _result(key: str, of: Open, _: Vocabulary) -> Field | None:
    return of.made(key, "text", lambda c, _: c.task.result.get(key) if c.task else None)


def _outside(key: str, of: Open, vocabulary: Vocabulary) -> Field | None:
    kinds: Mapping[str, Kind] = {"text": "text", "number": "number", "flag": "flag"}
    kind = kinds.get(vocabulary.outside.get(key, ""))
    return of.made(key, kind, lambda c, company: _answer(key, c, company)) if kind else None


def _answer(name: str, case: Case, company: Company) -> Fact:
    """What was looked up; where nobody was asked, as for an example that says nothing, the default."""
    if name in case.outside:
        return case.outside[name]
    lookup = company.lookups.get(name)
    return lookup.default if lookup else None


CHANGES = ("subject", "type", "status", "priority", "category", "subcategory", "group", "assignee", "tags")
OUTSIDE = "outside."
OPEN_FIELDS: Mapping[str, Open] = {
    of.prefix: of
    for of in (
        Open("mark.", "text", "churn_risk", "规则所作的标记", "A mark that a rule made", _mark),
        Open("custom.", "as its type says", "model", "工单类型的自定义字段", "A custom field of the ticket type", _custom),
        Open("extracted.", "text; amount: amount", "order_number", "从正文中提取的内容（order_number、phone、amount……）", "Found in the words: order_number, phone, amount, ...", _extracted),
        Open("contact.attributes.", "text", "plan", "客户属性", "An attribute of the contact", _attribute),
        Open("load.group.", "number", "refund", "该组未完成工单数", "Open tickets of the group", _group_load),
        Open("load.agent.", "number", "xu-na", "该客服未完成工单数", "Open tickets of the agent", _agent_load),
        Open("load.on_shift.", "number", "refund", "该组当班人数（people.yaml）", "Agents of the group who are at work now (people.yaml)", _shift),
        Open("since.", "duration", "last_customer_message", "距离：last_customer_message、last_agent_reply、created……", f"Time since that: {', '.join(EVENTS)}", _since),
        Open("age.", "duration", "custom.purchased_on", "距某日期字段多久（未到为负）", "How long ago the date in that field is; negative before it", _age),
        Open("changed.", "flag; .from and .to as the field", "status", "该字段是否刚被改动；.from 为原值，.to 为新值", "Whether a person changed the field just now; .from what it was, .to what it is", _changed),
        Open("sla.", "duration; .missed and .met: flag", "first_response.left", "该承诺还剩多久（.left）、是否超时（.missed）、是否兑现（.met）", "Of a promise by its name: time left (.left), whether it is broken (.missed), whether it is kept (.met)", _milestone),
        Open("task.open.type.", "number", "refund-check", "该类型的未完成任务数", "Tasks of this type that are not done", _tasks_of_type),
        Open("task.open.group.", "number", "billing", "该组的未完成任务数", "Tasks of this group that are not done", _tasks_of_group),
        Open("task.result.", "text", "approved", "刚有变化的任务的回单内容", "What the task that changed just now came to", _result),
        Open(OUTSIDE, "as declared", "weather", "外部查询的结果（outside.yaml）", "What was looked up elsewhere (outside.yaml)", _outside),
    )
}  # fmt: skip
_PREFIXES = sorted(OPEN_FIELDS, reverse=True)


def known(name: str, vocabulary: Vocabulary) -> Field | None:
    """The field of this name; `ticket.` before one of the ticket's own may be left out."""
    name = name.removeprefix("ticket.")
    if found := FIELDS.get(name):
        return found
    prefix = next((p for p in _PREFIXES if name.startswith(p) and len(name) > len(p)), "")
    return OPEN_FIELDS[prefix].field(name[len(prefix) :], vocabulary) if prefix else None


def number(value: Fact) -> Fact:
    """What a custom field of numbers holds; None if somebody wrote something else."""
    try:
        found = float(value) if isinstance(value, str | int | float) else None
    except ValueError:
        return None
    return found if found is not None and abs(found) != float("inf") and found == found else None


def names(vocabulary: Vocabulary) -> list[str]:
    """Every field that can be written out, to find what was meant."""
    return [
        *FIELDS,
        *(f"custom.{name}" for name in vocabulary.fields),
        *(f"load.group.{name}" for name in vocabulary.groups),
        *(f"load.agent.{name}" for name in vocabulary.agents),
        *(f"load.on_shift.{name}" for name in vocabulary.groups),
        *(f"since.{name}" for name in EVENTS),
        *(f"changed.{name}" for name in CHANGES),
        *(f"sla.{name}.{what}" for name in sorted(vocabulary.milestones) for what in ("left", "missed", "met")),
        *(f"outside.{name}" for name in vocabulary.outside),
    ]


@lru_cache(4096)
def amount(text: str) -> tuple[float, str] | None:
    """A sum and its currency: `1000 CNY`, `CNY 1,000.00`, `¥1000`. None for anything else; no currency is any."""
    found = _AMOUNT.fullmatch(text.strip())
    if not found:
        return None
    said = (found[1] or found[3] or "").upper()
    return float(found[2].replace(",", "")), _SIGNS.get(said, said)


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
        case "amount":
            return (f"{at[0]:.2f} {at[1]}",) if (at := amount(value)) else ()
        case "date":
            return (value[:10],) if (span := local(value)) and span[1] - span[0] >= 1440 else (value,)
        case "language":
            tag = value.lower()
            return (tag, tag.partition("-")[0]) if "-" in tag else (tag,)
        case _:
            return (value,)
