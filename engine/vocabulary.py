"""The words rules may use besides the fields: codes with their labels, word lists, names of templates and targets.

Whoever starts the house fills it from its configuration; the loader checks every rulebook against it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from normalizer.canon import Kind, Priority, Status
from normalizer.proof import RESULTS

Labels = Mapping[str, str]  # by language: {"zh": "售后", "en": "After-sales"}

LAYERS = ("base", "campaign", "customer", "risk")  # a higher layer's write beats a lower one's

PRIORITIES: Mapping[str, Labels] = {
    "low": {"zh": "低", "en": "Low", "code": "P4"},
    "normal": {"zh": "中", "en": "Normal", "code": "P3"},
    "high": {"zh": "高", "en": "High", "code": "P2"},
    "urgent": {"zh": "紧急", "en": "Urgent", "code": "P1"},
}
STATUSES: Mapping[str, Labels] = {
    "new": {"zh": "待处理", "en": "New"},
    "open": {"zh": "处理中", "en": "Open"},
    "waiting_customer": {"zh": "待客户补充", "en": "Waiting for the customer"},
    "waiting_third": {"zh": "待第三方", "en": "Waiting for a third party"},
    "solved": {"zh": "待客户确认", "en": "Solved"},
    "closed": {"zh": "已关闭", "en": "Closed"},
    "merged": {"zh": "已合并", "en": "Merged"},
}
SENTIMENTS: Mapping[str, Labels] = {
    "negative": {"zh": "负面", "en": "Negative"},
    "neutral": {"zh": "中性", "en": "Neutral"},
    "positive": {"zh": "正面", "en": "Positive"},
}
WEEKDAYS: Mapping[str, Labels] = {
    "monday": {"zh": "周一", "en": "Mon"},
    "tuesday": {"zh": "周二", "en": "Tue"},
    "wednesday": {"zh": "周三", "en": "Wed"},
    "thursday": {"zh": "周四", "en": "Thu"},
    "friday": {"zh": "周五", "en": "Fri"},
    "saturday": {"zh": "周六", "en": "Sat"},
    "sunday": {"zh": "周日", "en": "Sun"},
}
CHANNELS = (
    "email", "form", "chat", "app", "api", "import", "telegram", "sms", "whatsapp", "messenger", "instagram",
    "wechat", "wecom", "feishu", "dingtalk", "line", "slack", "discord", "voice",
)  # fmt: skip
TASK_STATUSES = ("open", "doing", "done", "cancelled")
VERDICTS = ("approved", "rejected")
INTENTS = ("urge", "human", "thanks", "cancel")
TRIGGERS = (
    "ticket.created", "message.received", "message.completed", "ticket.updated", "task.updated", "agent.replied",
    "review.decided", "feedback.received", "sla.near", "sla.missed", "outgoing.failed", "contact.bounced",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Vocabulary:
    """What exists in this house. `targets` None leaves names of helpdesks unchecked."""

    categories: Mapping[str, Labels]
    subcategories: Mapping[str, Mapping[str, Labels]]  # category -> code -> labels
    groups: Mapping[str, Labels] = field(default_factory=dict)
    agents: Mapping[str, Labels] = field(default_factory=dict)
    skills: Mapping[str, Labels] = field(default_factory=dict)
    tiers: Mapping[str, Labels] = field(default_factory=lambda: {"normal": {"zh": "普通", "en": "Normal"}})
    types: Mapping[str, Labels] = field(default_factory=dict)
    fields: Mapping[str, Labels] = field(default_factory=dict)  # custom fields of all ticket types
    field_kinds: Mapping[str, str] = field(default_factory=dict)  # of custom fields that are no mere text
    field_choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of custom fields with a closed set
    policies: Mapping[str, Labels] = field(default_factory=dict)
    milestones: frozenset[str] = frozenset()  # of all policies
    campaigns: Mapping[str, Labels] = field(default_factory=dict)
    outside: Mapping[str, str] = field(default_factory=dict)  # look-ups there are, and the kind of their answer
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    templates: Mapping[str, frozenset[str]] = field(default_factory=dict)  # name -> languages it exists in
    targets: frozenset[str] | None = None
    answers: Mapping[str, frozenset[str]] = field(default_factory=dict)  # the same of answers/
    calls: frozenset[str] | None = None  # what `call` and `notify` may call; None leaves it unchecked
    languages: tuple[str, ...] = ("zh", "en")  # an acknowledgement must exist in each
    layers: tuple[str, ...] = LAYERS

    @cached_property
    def choices(self) -> Mapping[str, Mapping[str, Labels]]:
        """Every closed set of codes, by the name that fields refer to it with."""
        return {
            "category": self.categories,
            "subcategory": self.all_subcategories,
            "group": self.groups,
            "agent": self.agents,
            "skill": self.skills,
            "tier": self.tiers,
            "type": self.types,
            "policy": self.policies,
            "campaign": self.campaigns,
            "milestone": _unlabelled(sorted(self.milestones)),
            "task_status": _unlabelled(TASK_STATUSES),
            "verdict": _unlabelled(VERDICTS),
            "priority": PRIORITIES,
            "status": STATUSES,
            "sentiment": SENTIMENTS,
            "weekday": WEEKDAYS,
            "channel": _unlabelled(CHANNELS),
            "kind": _unlabelled(Kind),
            "intent": _unlabelled(INTENTS),
            "authentication": _unlabelled(RESULTS),
            "direction": _unlabelled(("in", "out")),
            "author": _unlabelled(("customer", "agent", "system", "bot")),
        } | {f"custom.{name}": _unlabelled(codes) for name, codes in self.field_choices.items()}

    @cached_property
    def all_subcategories(self) -> Mapping[str, Labels]:
        return {code: labels for inner in self.subcategories.values() for code, labels in inner.items()}

    @cached_property
    def _codes(self) -> Mapping[str, Mapping[str, str]]:
        known = {name: _by_word(choices) for name, choices in self.choices.items()}
        for inner in self.subcategories.values():  # one code may bear another label in each category
            for word, code in _by_word(inner).items():
                known["subcategory"].setdefault(word, code)
        return known

    def code(self, choice: str, word: str) -> str | None:
        """The code that a code or a label in any language stands for."""
        return self._codes[choice].get(word.strip().casefold())

    def words(self, choice: str) -> list[str]:
        """Everything that may be written for this choice, to find what was meant."""
        return list(self._codes[choice])

    def label(self, choice: str, code: str, language: str, category: str = "") -> str:
        """What people call this code; the code itself if nobody named it."""
        inner = self.subcategories.get(category, {}) if choice == "subcategory" else {}
        labels = inner.get(code) or self.choices.get(choice, {}).get(code, {})
        return labels.get(language[:2]) or labels.get("en") or code

    def field_label(self, name: str, language: str) -> str:
        """What people call a field of a ticket type."""
        labels = self.fields.get(name, {})
        return labels.get(language[:2]) or labels.get("en") or name


def templates(file_names: Iterable[str]) -> dict[str, frozenset[str]]:
    """Names and languages of template files: `received.zh.liquid` is `received` in `zh`."""
    found: dict[str, set[str]] = {}
    for file_name in file_names:
        name, _, rest = file_name.rpartition("/")[2].partition(".")
        language, _, ending = rest.partition(".")
        if ending == "liquid":
            found.setdefault(name, set()).add(language)
    return {name: frozenset(languages) for name, languages in found.items()}


def answers(file_names: Iterable[str]) -> dict[str, frozenset[str]]:
    """Names and languages of files with answers: `course-faq.zh.md` is `course-faq` in `zh`."""
    found: dict[str, set[str]] = {}
    for file_name in file_names:
        name, _, language = file_name.rpartition("/")[2].removesuffix(".md").rpartition(".")
        if name and file_name.endswith(".md"):
            found.setdefault(name, set()).add(language)
    return {name: frozenset(languages) for name, languages in found.items()}


def _unlabelled(codes: Iterable[str]) -> dict[str, Labels]:
    return {str(code): {} for code in codes}


def _by_word(choices: Mapping[str, Labels]) -> dict[str, str]:
    words = {code.casefold(): code for code in choices}
    for code, labels in choices.items():
        for label in labels.values():
            words.setdefault(label.casefold(), code)
    return words


assert list(PRIORITIES) == [str(p) for p in Priority]
assert set(STATUSES) == {str(s) for s in Status}
