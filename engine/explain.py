"""A decision in plain sentences, Chinese or English: which rules fired and why, what came of it, what was withheld."""

# ruff: noqa: E501
# Tables read better a row a line.

from collections.abc import Iterable, Iterator, Mapping

from engine.acknowledgement import BOUNCING, MOST, THROTTLES
from engine.company import Company
from engine.conditions import OPERATORS
from engine.decide import TOO_MANY, TOO_MANY_REPLIES
from engine.decision import (
    Acknowledge,
    Answer,
    AskFor,
    AskReview,
    CallOut,
    Case,
    Close,
    Decision,
    Effect,
    Escalate,
    Fact,
    Fired,
    Grade,
    HandOver,
    Human,
    LinkTo,
    Lower,
    Mark,
    Notify,
    OpenTask,
    Promise,
    Raise,
    Route,
    Seen,
    Set,
    Suggest,
    Suppress,
    Tag,
    Untag,
    UseSla,
    WaitFor,
    Written,
    effects_of,
)  # fmt: skip
from engine.facts import FIELDS, WORDS, known, short
from engine.sla import length, promise
from engine.vocabulary import Vocabulary
from normalizer.canon import Pending, Ticket

Words = Mapping[str, str]

_ZH: Words = {
    "set": "{field} 设为 {value}", "raise": "优先级至少 {value}", "raise by": "优先级提 {by} 级", "lower": "优先级至多 {value}",
    "lower by": "优先级降 {by} 级", "tag": "加标签 {value}", "untag": "去标签 {value}", "mark": "标记 {name}={value}",
    "route": "分派到 {group}", "to agent": "交给 {agent}", "least_loaded": "（选待处理最少者）", "round_robin": "（轮流）", "sticky": "（优先上次接待者）", "skills": "（需要技能 {skills}）",
    "acknowledge": "用模板 {value} 回复客户", "review": "请 {group} 预审", "anyone": "人工", "hold": "，暂停 {value}",
    "hand_over": "转交 {value}", "all": "全部工单系统", "sla": "改用 SLA {value}", "escalate": "升 {by} 级", "suppress": "不做 {value}",
    "reply": "用 {value} 答复客户", "ask_for": "请客户补充 {value}", "missing": "缺少的必填项", "suggest": "向客服推荐答案 {value}",
    "suggest text": "向客服推荐一段答复", "notify": "通知 {value}", "call": "调用 {value}", "task": "开任务“{value}”{group}{due}", "task group": "（{value}）",
    "task due": "，期限 {value}", "human": "转人工，规则不再答复和关闭（{value}）", "wait": "等 {time}{unless}，然后{then}", "unless": "（期间若{value}则取消）",
    "or": "或", "customer_speaks": "客户又来信", "agent_replies": "客服已回复", "ticket_updated": "工单有改动", "task_done": "任务完成",
    "link": "关联该客户的{value}", "previous": "上一张工单", "same_category": "上一张同类工单", "same_subcategory": "上一张同标签工单", "close": "关闭（{value}）",
    "quality": "给这条回复打质检标记 {value}", "promise of": "{milestone} 承诺在 {value} 内", "approved": "；同意则{value}", "rejected": "；不同意则{value}",
    "due timer": "等待期满（{name}），规则 {rule} → {effects}", "due review": "预审{verdict}，规则 {rule} → {effects}", "verdict approved": "同意", "verdict rejected": "不同意",
    "due": "规则 {rule} → {effects}", "cancelled": "不再等待 {value}",
    "rule": "规则 {rule}{reason}：{seen} → {effects}", "shadow": "试运行（未执行）：", "reason": "（{because}）", "always": "无条件", "join": "，", "list": "、",
    "written": "{field}：{before} → {after}，由规则 {rule} 决定{over}{contested}", "over": "，胜过 {value}",
    "contested": "（并列，仅按名称取先，请核对）", "withheld": "未执行：{value}", "promise": "首次响应承诺：{text}",
    "by": "首次响应承诺：{text}（最晚 {due}）", "nothing": "无", "none fired": "没有规则触发", "not": "不成立：", "found": "（实为 {value}）",
    "history": "{within} 内{same}{category}工单 {value} 张", "says": "提到 {value}", "said": "“{value}”", "matched": "匹配",
    "true": "是", "false": "否", "exists": "有值", "exists not": "没有值", "bound": "（要求{value}）",
    "by key": "归入本单：收件地址中有本单的密钥", "by in_reply_to": "归入本单：回复或改动了其中一条消息", "by references": "归入本单：属于同一邮件往来",
    "by conversation": "归入本单：属于同一会话", "by number": "归入本单：主题中有工单号，且发件人参与过本单", "by bounce": "归入本单：我们发出的邮件被退回",
    "by ended": "新建工单：所答复的工单已关闭，作为其后续", "by stranger": "新建工单：来件提到的工单，发件人并未参与，只作关联",
}  # fmt: skip
_EN: Words = {
    "set": "set {field} to {value}", "raise": "raise priority to at least {value}", "raise by": "raise priority by {by}",
    "lower": "lower priority to at most {value}", "lower by": "lower priority by {by}", "tag": "tag {value}",
    "untag": "untag {value}", "mark": "mark {name}={value}", "route": "route to {group}", "to agent": "give to {agent}",
    "least_loaded": " (least loaded)", "round_robin": " (in turn)", "sticky": " (to who had the last one)", "skills": " (needs {skills})", "acknowledge": "acknowledge with template {value}",
    "review": "ask {group} to review", "anyone": "a person", "hold": ", holding {value}", "hand_over": "hand over to {value}",
    "all": "every helpdesk", "sla": "use SLA {value}", "escalate": "escalate by {by}", "suppress": "suppress {value}",
    "reply": "answer with {value}", "ask_for": "ask the customer for {value}", "missing": "the required fields that are missing",
    "suggest": "suggest the answer {value}", "suggest text": "suggest an answer", "notify": "notify {value}", "call": "call {value}",
    "task": "open the task \"{value}\"{group}{due}", "task group": " for {value}", "task due": ", due in {value}",
    "human": "leave it to a person ({value})", "wait": "wait {time}{unless}, then {then}", "unless": " (unless {value})", "or": " or ",
    "customer_speaks": "the customer writes again", "agent_replies": "an agent replies", "ticket_updated": "the ticket is changed", "task_done": "a task is done",
    "link": "link {value}", "previous": "the customer's previous ticket", "same_category": "the previous ticket of this category",
    "same_subcategory": "the previous ticket of this subcategory", "close": "close it ({value})", "quality": "mark this reply {value}",
    "promise of": "promise {milestone} within {value}", "approved": "; if approved {value}", "rejected": "; if rejected {value}",
    "due timer": "after the wait {name}, rule {rule} -> {effects}", "due review": "review {verdict}, rule {rule} -> {effects}",
    "verdict approved": "approved", "verdict rejected": "rejected", "due": "rule {rule} -> {effects}", "cancelled": "no longer waiting for {value}",
    "rule": "rule {rule}{reason}: {seen} -> {effects}", "shadow": "in shadow, not done: ", "reason": " ({because})", "always": "always", "join": ", ", "list": ", ",
    "written": "{field}: {before} -> {after}, decided by rule {rule}{over}{contested}", "over": " over {value}",
    "contested": " (contested: only its name came first, please check)", "withheld": "withheld: {value}",
    "promise": "promised first response: {text}", "by": "promised first response: {text} ({due} at the latest)",
    "nothing": "nothing", "none fired": "no rule fired", "not": "not: ", "found": " (found {value})",
    "history": "{value} tickets{same}{category} within {within}", "says": "says {value}", "said": "\"{value}\"", "matched": "matches",
    "true": "yes", "false": "no", "exists": "is there", "exists not": "is not there", "bound": " (wanted: {value})",
    "by key": "joined this ticket: the address it was written to bears its key", "by in_reply_to": "joined this ticket: it answers or changes a message of it",
    "by references": "joined this ticket: it belongs to its thread", "by conversation": "joined this ticket: it belongs to its conversation",
    "by number": "joined this ticket: its subject names it, and its sender takes part", "by bounce": "joined this ticket: mail of ours came back",
    "by ended": "a new ticket: the one it answers is closed, and this follows it",
    "by stranger": "a new ticket: its sender takes no part in the ticket it names, so it is only linked to it",
}  # fmt: skip
_WITHHELD_ZH: Words = {
    "assignee: nobody in ": "分派到人：没有合适的客服，组 ",
    "acknowledge: ": "自动回复——",
    "reply: ": "答复——",
    "ask_for: ": "请客户补充——",
    "suggest: ": "推荐答案——",
    "notify: ": "通知——",
    "call: ": "调用——",
    "task: ": "任务——",
    "wait: ": "等待——",
    "link: ": "关联——",
    "close: ": "关闭——",
    "set: ": "设置——",
    "quality: ": "质检——",
    "a person has it, by ": "已转人工，",
    "nothing is missing": "没有缺少的",
    "nobody of them has a mail address": "他们都没有邮箱地址",
    "no earlier ticket": "没有较早的工单",
    "no agent's reply": "不是客服的回复",
    TOO_MANY_REPLIES: f"一小时内已自动答复该客户 {MOST} 次",
    "hand_over: ": "转交——",
    "suppressed by rule ": "被规则禁止：",
    "held for review by rule ": "等待预审，规则：",
    "held for the review that goes on": "预审还没有结论",
    "not answerable": "该来件不可自动回复",
    "no message to answer": "没有可回复的消息",
    "only once, when the ticket is new": "只在新建工单时回复一次",
    "already acknowledged": "已回复过",
    TOO_MANY: f"一小时内已自动回复该客户 {MOST} 次",
    THROTTLES["address"]: "一小时内对该地址的自动回复已达上限",
    THROTTLES["thread"]: "一天内对该邮件往来的自动回复已达上限",
    THROTTLES["domain"]: "一小时内对该域名的自动回复已达上限",
    THROTTLES["whole"]: "一小时内的自动回复总数已达上限",
    THROTTLES["storm"]: "自动回复风暴，已全部暂停，平息后恢复",
    BOUNCING: "发往该地址的邮件被退回，此后对方未再来信",
    " with ": "，所需技能 ",
    "template ": "模板 ",
    " cannot be rendered": " 无法生成",
}


def explain(decision: Decision, language: str, vocabulary: Vocabulary, company: Company | None = None) -> list[str]:
    """One sentence for each rule that fired, each field that was written, each thing withheld, and the promise.

    `language` is zh or en. With `company` the promise tells the due time in local time.
    """
    tell = Teller(language, vocabulary, decision.ticket, decision.case)
    sentences = [tell.words[f"by {decision.case.placed_by}"]] if decision.case.placed_by else []
    sentences += [tell.fired(fired) for fired in decision.fired] or [tell.words["none fired"]]
    if decision.case.cancelled:
        sentences.append(tell.words["cancelled"].format(value=tell.words["list"].join(decision.case.cancelled)))
    sentences += [tell.written(written) for written in decision.written if written.field in _TOLD]
    sentences += [tell.words["withheld"].format(value=tell.withheld(reason)) for reason in decision.withheld]
    return [*sentences, *tell.promise(company)]


def explain_pending(pending: Pending, ticket: Ticket, language: str, vocabulary: Vocabulary) -> str:
    """What a rule wants done later, in words."""
    return Teller(language, vocabulary, ticket).all_of(effects_of(pending))


_TOLD = frozenset(("category", "subcategory", "priority", "status", "type", "group", "assignee", "sla", "acknowledge"))
_CHOICES = {"assignee": "agent", "sla": "policy"}
_SLOTS = {"acknowledge": "自动回复", "sla": "SLA 策略"}  # what is written and is no field


class Teller:
    """Parts of a decision in words: fields, values, conditions, effects."""

    def __init__(self, language: str, vocabulary: Vocabulary, ticket: Ticket, case: Case | None = None) -> None:
        self.language = "zh" if language.startswith("zh") else "en"
        self.vocabulary, self.ticket, self.case = vocabulary, ticket, case
        self.words = _ZH if self.language == "zh" else _EN

    def fired(self, fired: Fired) -> str:
        if not fired.stage:
            return self._due(fired)
        shadow = self.words["shadow"] if fired.mode == "shadow" else ""
        return shadow + self.words["rule"].format(
            rule=fired.rule,
            reason=self.words["reason"].format(because=fired.because) if fired.because else "",
            seen=self.words["join"].join(map(self.seen, fired.seen)) or self.words["always"],
            effects=self.all_of(fired.effects),
        )

    def _due(self, fired: Fired) -> str:
        """What a rule wanted done earlier, once this would happen."""
        trigger, review = (self.case.trigger, self.case.ticket.review) if self.case else ("", None)
        effects = self.all_of(fired.effects)
        if trigger.startswith("timer."):
            return self.words["due timer"].format(name=trigger.removeprefix("timer."), rule=fired.rule, effects=effects)
        if trigger == "review.decided" and review and review.verdict:
            verdict = self.words[f"verdict {review.verdict}"]
            return self.words["due review"].format(verdict=verdict, rule=fired.rule, effects=effects)
        return self.words["due"].format(rule=fired.rule, effects=effects)

    def all_of(self, effects: Iterable[Effect]) -> str:
        return self.words["join"].join(map(self.effect, effects))

    def seen(self, seen: Seen, wanted: bool = False) -> str:
        """A condition with what was there; of a count also what it was `wanted` to be."""
        negated, operator = seen.operator.startswith("not "), seen.operator.removeprefix("not ")
        prefix = self.words["not"] if negated else ""
        if operator == "says" and seen.found:
            return prefix + self.words["says"].format(value=self._listed(seen.found))
        if seen.field.startswith("history("):
            return prefix + self._history(seen) + (self._bound(seen, operator) if wanted else "")
        if operator == "exists":
            there = "exists" if seen.wanted else "exists not"
            return prefix + f"{self.field(seen.field)} {self.words[there]}"
        said = f"{self._named(operator)} {self.value(seen.field, seen.wanted)}"
        if seen.field != WORDS:
            said = f"{self.field(seen.field)} {said}"
        same = seen.found == seen.wanted or operator == "matches"
        found = "" if same else self.words["found"].format(value=self.value(seen.field, seen.found))
        return prefix + said + found

    def _named(self, operator: str) -> str:
        return OPERATORS[operator].zh if self.language == "zh" else OPERATORS[operator].en

    def _bound(self, seen: Seen, operator: str) -> str:
        return self.words["bound"].format(value=f"{self._named(operator)} {self.value(seen.field, seen.wanted)}")

    def _history(self, seen: Seen) -> str:
        parts = dict(part.split("=") for part in seen.field[len("history(") : -1].split(", "))
        names = [self.vocabulary.label("category", c, self.language) for c in parts.get("category", "").split("/") if c]
        category = "/".join(names)
        spaced = f" ({category})" if category and self.language == "en" else category
        same = self._same(parts.get("same", ""))
        return self.words["history"].format(within=parts["within"], same=same, category=spaced, value=seen.found)

    def _same(self, what: str) -> str:
        if not what:
            return ""
        zh = {"order": "订单", "category": "分类", "subcategory": "二级标签"}
        named = [zh[one] if self.language == "zh" else one for one in what.split("/")]
        return f"同{'、'.join(named)}的" if self.language == "zh" else f" of the same {' and '.join(named)}"

    def field(self, name: str) -> str:
        found = FIELDS.get(name) or known(name, self.vocabulary)
        if self.language == "zh":
            return found.zh.partition("（")[0] if found else _SLOTS.get(name, name)
        return name

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
        category = self.ticket.category
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
            case AskReview():
                yield self._review(effect)
            case HandOver(targets):
                yield words["hand_over"].format(value=words["all"] if targets == ("all",) else listed.join(targets))
            case UseSla(policy):
                yield words["sla"].format(value=self.value("sla", policy))
            case Escalate(by):
                yield words["escalate"].format(by=by)
            case Suppress(what):
                yield words["suppress"].format(value=listed.join(what))
            case Promise(milestone, within):
                yield words["promise of"].format(milestone=milestone, value=within)
            case AskFor(fields):
                yield words["ask_for"].format(value=listed.join(map(self._asked, fields)))
            case OpenTask():
                yield self._task(effect)
            case WaitFor():
                yield self._wait(effect)
            case Suggest(answer):
                yield words["suggest"].format(value=answer) if answer else words["suggest text"]
            case Notify():
                whom = [self.value("group", name) for name in effect.groups]
                whom += [self.value("assignee", name) for name in effect.agents]
                own = () if whom else effect.addresses
                yield words["notify"].format(value=listed.join([*whom, *own, *effect.calls]))
            case Answer(said) | CallOut(said) | Human(said) | Close(said) | Grade(said):
                yield words[effect.verb].format(value=said)
            case LinkTo(to):
                yield words["link"].format(value=words[to])

    def _review(self, review: AskReview) -> str:
        words = self.words
        who = self.value("group", review.group) if review.group else words["anyone"]
        said = words["review"].format(group=who)
        if review.hold:
            said += words["hold"].format(value=words["list"].join(review.hold))
        for name, effects in (("approved", review.approved), ("rejected", review.rejected)):
            said += words[name].format(value=self.all_of(effects)) if effects else ""
        return said

    def _asked(self, field: str) -> str:
        return self.words["missing"] if field == "missing" else self.vocabulary.field_label(field, self.language)

    def _task(self, task: OpenTask) -> str:
        words = self.words
        whom = self.value("assignee", task.assignee) if task.assignee else ""
        whom = whom or (self.value("group", task.group) if task.group else "")
        return words["task"].format(
            value=task.title,
            group=words["task group"].format(value=whom) if whom else "",
            due=words["task due"].format(value=task.due) if task.due else "",
        )

    def _wait(self, wait: WaitFor) -> str:
        words = self.words
        ends = words["or"].join(words[name] for name in wait.unless)
        return words["wait"].format(
            time=short(wait.seconds),
            unless=words["unless"].format(value=ends) if ends else "",
            then=self.all_of(wait.then),
        )

    def _route(self, route: Route) -> str:
        words = self.words
        said = words["route"].format(group=self.value("group", route.group)) if route.group else ""
        if route.assignee:
            agent = words["to agent"].format(agent=self.value("assignee", route.assignee))
            said = f"{said}{words['join']}{agent}" if said else agent
        skills = [self.vocabulary.label("skill", skill, self.language) for skill in route.skills]
        needs = words["skills"].format(skills=words["list"].join(skills)) if skills else ""
        return (said + (words[route.by] if route.by else "") + needs).strip()

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
        ticket = self.ticket
        if company and (told := promise(ticket, company, self.language)):
            key = "by" if told.is_length else "promise"
            return [self.words[key].format(text=told.text, due=told.due)]
        milestone = ticket.sla.milestones.get("first_response") if ticket.sla else None
        if milestone is None or company:
            return []
        return [self.words["promise"].format(text=length(milestone.due - ticket.captured_at, self.language))]
