"""A decision in plain sentences, Chinese or English: which rules fired and why, what came of it, what was withheld."""

# ruff: noqa: E501
# Tables read better a row a line.

from collections.abc import Iterator, Mapping

from engine.acknowledgement import MOST
from engine.company import Company
from engine.conditions import OPERATORS
from engine.decide import TOO_MANY
from engine.decision import (
    Acknowledge,
    AskReview,
    Decision,
    Effect,
    Escalate,
    Fact,
    Fired,
    HandOver,
    Lower,
    Mark,
    Raise,
    Route,
    Seen,
    Set,
    Suppress,
    Tag,
    Untag,
    UseSla,
    Written,
)  # fmt: skip
from engine.facts import FIELDS, known
from engine.sla import length, promise
from engine.vocabulary import Vocabulary

Words = Mapping[str, str]

_ZH: Words = {
    "set": "{field} 设为 {value}", "raise": "优先级至少 {value}", "raise by": "优先级提 {by} 级", "lower": "优先级至多 {value}",
    "lower by": "优先级降 {by} 级", "tag": "加标签 {value}", "untag": "去标签 {value}", "mark": "标记 {name}={value}",
    "route": "分派到 {group}", "to agent": "交给 {agent}", "least": "（选待处理最少者）", "skills": "（需要技能 {skills}）",
    "acknowledge": "用模板 {value} 回复客户", "review": "请 {group} 预审", "anyone": "人工", "hold": "，暂停 {value}",
    "hand_over": "转交 {value}", "all": "全部工单系统", "sla": "改用 SLA {value}", "escalate": "升 {by} 级", "suppress": "不做 {value}",
    "rule": "规则 {rule}{reason}：{seen} → {effects}", "shadow": "试运行（未执行）：", "reason": "（{because}）", "always": "无条件", "join": "，", "list": "、",
    "written": "{field}：{before} → {after}，由规则 {rule} 决定{over}{contested}", "over": "，胜过 {value}",
    "contested": "（并列，仅按名称取先，请核对）", "withheld": "未执行：{value}", "promise": "首次响应承诺：{text}",
    "by": "首次响应承诺：{text}（最晚 {due}）", "nothing": "无", "none fired": "没有规则触发", "not": "不成立：", "found": "（实为 {value}）",
    "history": "{within} 内{category}工单 {value} 张", "says": "提到 {value}", "said": "“{value}”", "matched": "匹配",
    "true": "是", "false": "否",
    "by key": "归入本单：收件地址中有本单的密钥", "by in_reply_to": "归入本单：回复了本单的邮件", "by references": "归入本单：属于同一邮件往来",
    "by conversation": "归入本单：属于同一会话", "by number": "归入本单：主题中有工单号，且发件人参与过本单", "by bounce": "归入本单：我们发出的邮件被退回",
    "by ended": "新建工单：所答复的工单已关闭，作为其后续", "by stranger": "新建工单：来件提到的工单，发件人并未参与，只作关联",
}  # fmt: skip
_EN: Words = {
    "set": "set {field} to {value}", "raise": "raise priority to at least {value}", "raise by": "raise priority by {by}",
    "lower": "lower priority to at most {value}", "lower by": "lower priority by {by}", "tag": "tag {value}",
    "untag": "untag {value}", "mark": "mark {name}={value}", "route": "route to {group}", "to agent": "give to {agent}",
    "least": " (least loaded)", "skills": " (needs {skills})", "acknowledge": "acknowledge with template {value}",
    "review": "ask {group} to review", "anyone": "a person", "hold": ", holding {value}", "hand_over": "hand over to {value}",
    "all": "every helpdesk", "sla": "use SLA {value}", "escalate": "escalate by {by}", "suppress": "suppress {value}",
    "rule": "rule {rule}{reason}: {seen} -> {effects}", "shadow": "in shadow, not done: ", "reason": " ({because})", "always": "always", "join": ", ", "list": ", ",
    "written": "{field}: {before} -> {after}, decided by rule {rule}{over}{contested}", "over": " over {value}",
    "contested": " (contested: only its name came first, please check)", "withheld": "withheld: {value}",
    "promise": "promised first response: {text}", "by": "promised first response: {text} ({due} at the latest)",
    "nothing": "nothing", "none fired": "no rule fired", "not": "not: ", "found": " (found {value})",
    "history": "{value} tickets{category} within {within}", "says": "says {value}", "said": "\"{value}\"", "matched": "matches",
    "true": "yes", "false": "no",
    "by key": "joined this ticket: the address it was written to bears its key", "by in_reply_to": "joined this ticket: it answers a mail of it",
    "by references": "joined this ticket: it belongs to its thread", "by conversation": "joined this ticket: it belongs to its conversation",
    "by number": "joined this ticket: its subject names it, and its sender takes part", "by bounce": "joined this ticket: mail of ours came back",
    "by ended": "a new ticket: the one it answers is closed, and this follows it",
    "by stranger": "a new ticket: its sender takes no part in the ticket it names, so it is only linked to it",
}  # fmt: skip
_WITHHELD_ZH: Words = {
    "assignee: nobody in ": "分派到人：没有合适的客服，组 ",
    "acknowledge: ": "自动回复——",
    "hand_over: ": "转交——",
    "suppressed by rule ": "被规则禁止：",
    "held for review by rule ": "等待预审，规则：",
    "not answerable": "该来件不可自动回复",
    "no message to answer": "没有可回复的消息",
    "only once, when the ticket is new": "只在新建工单时回复一次",
    "already acknowledged": "已回复过",
    TOO_MANY: f"一小时内已自动回复该客户 {MOST} 次",
    " with ": "，所需技能 ",
    "template ": "模板 ",
    " cannot be rendered": " 无法生成",
}


def explain(decision: Decision, language: str, vocabulary: Vocabulary, company: Company | None = None) -> list[str]:
    """One sentence for each rule that fired, each field that was written, each thing withheld, and the promise.

    `language` is zh or en. With `company` the promise tells the due time in local time.
    """
    tell = _Teller("zh" if language.startswith("zh") else "en", vocabulary, decision)
    sentences = [tell.words[f"by {decision.case.placed_by}"]] if decision.case.placed_by else []
    sentences += [tell.fired(fired) for fired in decision.fired] or [tell.words["none fired"]]
    sentences += [tell.written(written) for written in decision.written if written.field in _TOLD]
    sentences += [tell.words["withheld"].format(value=tell.withheld(reason)) for reason in decision.withheld]
    return [*sentences, *tell.promise(company)]


_TOLD = frozenset(("category", "subcategory", "priority", "status", "type", "group", "assignee", "sla", "acknowledge"))
_CHOICES = {"assignee": "agent", "sla": "policy"}


class _Teller:
    def __init__(self, language: str, vocabulary: Vocabulary, decision: Decision) -> None:
        self.language, self.vocabulary, self.decision = language, vocabulary, decision
        self.words = _ZH if language == "zh" else _EN

    def fired(self, fired: Fired) -> str:
        shadow = self.words["shadow"] if fired.mode == "shadow" else ""
        return shadow + self.words["rule"].format(
            rule=fired.rule,
            reason=self.words["reason"].format(because=fired.because) if fired.because else "",
            seen=self.words["join"].join(map(self.seen, fired.seen)) or self.words["always"],
            effects=self.words["join"].join(map(self.effect, fired.effects)),
        )

    def seen(self, seen: Seen) -> str:
        negated, operator = seen.operator.startswith("not "), seen.operator.removeprefix("not ")
        prefix = self.words["not"] if negated else ""
        if operator == "says" and seen.found:
            return prefix + self.words["says"].format(value=self._listed(seen.found))
        if seen.field.startswith("history("):
            return prefix + self._history(seen)
        named = OPERATORS[operator].zh if self.language == "zh" else OPERATORS[operator].en
        said = f"{self.field(seen.field)} {named} {self.value(seen.field, seen.wanted)}"
        same = seen.found == seen.wanted or operator in ("exists", "matches")
        found = "" if same else self.words["found"].format(value=self.value(seen.field, seen.found))
        return prefix + said + found

    def _history(self, seen: Seen) -> str:
        parts = dict(part.split("=") for part in seen.field[len("history(") : -1].split(", "))
        names = [self.vocabulary.label("category", c, self.language) for c in parts.get("category", "").split("/") if c]
        category = "/".join(names)
        spaced = f" ({category})" if category and self.language == "en" else category
        return self.words["history"].format(within=parts["within"], category=spaced, value=seen.found)

    def field(self, name: str) -> str:
        found = FIELDS.get(name) or known(name, self.vocabulary)
        return found.zh.partition("（")[0] if found and self.language == "zh" else name

    def value(self, field: str, value: Fact) -> str:
        """A value by its label; several as a list."""
        if value is None or value == ():
            return self.words["nothing"]
        if isinstance(value, tuple):
            return self.words["list"].join(self.value(field, item) for item in value)
        if isinstance(value, bool):
            return self.words[str(value).lower()]
        if isinstance(value, float):
            return f"{value:g}"
        found = FIELDS.get(field)
        choice = _CHOICES.get(field) or (found.choice if found else "")
        category = self.decision.ticket.category
        return self.vocabulary.label(choice, str(value), self.language, category.value if category else "")

    def _listed(self, value: Fact) -> str:
        said = value if isinstance(value, tuple) else (str(value),)
        return self.words["list"].join(self.words["said"].format(value=word) for word in said)

    def effect(self, effect: Effect) -> str:
        return self.words["join"].join(self._effect(effect))

    def _effect(self, effect: Effect) -> Iterator[str]:
        words, listed = self.words, self.words["list"]
        match effect:
            case Set(field, value):
                yield words["set"].format(field=self.field(field), value=self.value(field, value))
            case Raise(_, value, by) | Lower(_, value, by):
                key = f"{effect.verb} by" if by else effect.verb
                yield words[key].format(value=self.value("priority", value), by=by)
            case Tag(tags) | Untag(tags):
                yield words[effect.verb].format(value=listed.join(tags))
            case Mark(name, value):
                yield words["mark"].format(name=name, value=value)
            case Route():
                yield self._route(effect)
            case Acknowledge(template):
                yield words["acknowledge"].format(value=template)
            case AskReview(_, group, hold):
                who = self.value("group", group) if group else words["anyone"]
                held = words["hold"].format(value=listed.join(hold)) if hold else ""
                yield words["review"].format(group=who) + held
            case HandOver(targets):
                yield words["hand_over"].format(value=words["all"] if targets == ("all",) else listed.join(targets))
            case UseSla(policy):
                yield words["sla"].format(value=self.value("sla", policy))
            case Escalate(by):
                yield words["escalate"].format(by=by)
            case Suppress(what):
                yield words["suppress"].format(value=listed.join(what))

    def _route(self, route: Route) -> str:
        words = self.words
        said = words["route"].format(group=self.value("group", route.group)) if route.group else ""
        if route.assignee:
            agent = words["to agent"].format(agent=self.value("assignee", route.assignee))
            said = f"{said}{words['join']}{agent}" if said else agent
        skills = [self.vocabulary.label("skill", skill, self.language) for skill in route.skills]
        needs = words["skills"].format(skills=words["list"].join(skills)) if skills else ""
        return (said + (words["least"] if route.by else "") + needs).strip()

    def written(self, written: Written) -> str:
        return self.words["written"].format(
            field=self.field(written.field),
            before=self.value(written.field, written.before),
            after=self.value(written.field, written.value),
            rule=written.rule,
            over=self.words["over"].format(value=self.words["list"].join(written.over)) if written.over else "",
            contested=self.words["contested"] if written.contested else "",
        )

    def withheld(self, reason: str) -> str:
        if self.language == "zh":
            for english, chinese in _WITHHELD_ZH.items():
                reason = reason.replace(english, chinese)
        return reason

    def promise(self, company: Company | None) -> list[str]:
        ticket = self.decision.ticket
        if company and (told := promise(ticket, company, self.language)):
            key = "by" if told.is_length else "promise"
            return [self.words[key].format(text=told.text, due=told.due)]
        milestone = ticket.sla.milestones.get("first_response") if ticket.sla else None
        if milestone is None or company:
            return []
        return [self.words["promise"].format(text=length(milestone.due - ticket.captured_at, self.language))]
