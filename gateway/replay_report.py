"""A replay as one page that needs nothing else: to be read by who decides whether a rule set goes live."""

# ruff: noqa: E501
# Markup reads better a line an element.

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jinja2 import Environment, StrictUndefined

from engine.facts import FIELDS
from engine.vocabulary import Vocabulary
from gateway.replay import Change, Replayed
from normalizer.identity import mask_text

WORDS: Mapping[str, Mapping[str, str]] = {
    "zh": {
        "title": "规则回放", "same": "没有差别：这些规则的处理结果与当时完全一样。", "differ": "张工单会有不同的处理结果",
        "of": "共回放", "decisions": "次决定", "identical": "逐字节相同", "erased": "已按要求删除，无法回放",
        "damaged": "记录损坏", "failed": "出错", "from": "从", "to": "到", "ruleset": "规则集", "by_field": "按字段",
        "field": "字段", "count": "决定数", "before": "原来", "after": "将会", "by_rule": "按规则", "rule": "规则",
        "gained": "新触发", "lost": "不再触发", "moves": "怎样改变", "samples": "例子", "number": "工单", "trigger": "触发",
        "simulated": "模拟", "note": "标有“模拟”的列按假设的待办数计算：改变后的分派会改变后续工单看到的待办数。", "nothing": "（无）",
    },
    "en": {
        "title": "Rules replayed", "same": "No difference: these rules decide exactly as it was decided.", "differ": "tickets would come out differently",
        "of": "Decided again:", "decisions": "decisions", "identical": "byte for byte the same", "erased": "erased, cannot be replayed",
        "damaged": "damaged records", "failed": "failed", "from": "from", "to": "to", "ruleset": "rule set", "by_field": "By field",
        "field": "Field", "count": "Decisions", "before": "Before", "after": "After", "by_rule": "By rule", "rule": "Rule",
        "gained": "Fires now", "lost": "Fires no more", "moves": "From what to what", "samples": "Samples", "number": "Ticket", "trigger": "Trigger",
        "simulated": "simulated", "note": "What is marked `simulated` follows a load that was not there: changed routing changes what later tickets see.", "nothing": "(nothing)",
    },
}  # fmt: skip

PAGE = """<!doctype html>
<html lang="{{ language }}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{ w.title }}</title>
<style>
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,"Noto Sans CJK SC",sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}th,td{text-align:left;padding:.3rem .8rem;border-bottom:1px solid #8886;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.soft{opacity:.7}.big{font-size:1.3rem}.mark{font-size:.8em;border:1px solid #8889;border-radius:.6em;padding:0 .4em}
</style></head><body>
<h1>{{ w.title }}</h1>
<p class="big">{% if r.changed %}<strong>{{ r.changed_tickets|length }}</strong> / {{ r.tickets|length }} {{ w.differ }}{% else %}{{ w.same }}{% endif %}</p>
<p class="soft">{{ w.from }} {{ moment(r.since) }} {{ w.to }} {{ moment(r.until) }} · {{ w.ruleset }} {{ r.ruleset[:12] }}<br>
{{ w.of }} {{ r.decisions }} {{ w.decisions }} · {{ r.identical }} {{ w.identical }}
{%- if r.erased %} · {{ r.erased }} {{ w.erased }}{% endif %}{% if r.damaged %} · {{ r.damaged }} {{ w.damaged }}{% endif %}{% if r.failed %} · <strong>{{ r.failed }} {{ w.failed }}</strong>{% endif %}</p>
{% if r.simulated %}<p class="soft"><span class="mark">{{ w.simulated }}</span> {{ w.note }}</p>{% endif %}
{% if r.fields %}<h2>{{ w.by_field }}</h2><table><tr><th>{{ w.field }}</th><th class="n">{{ w.count }}</th></tr>
{% for name, n in r.fields.items() %}<tr><td>{{ names.field(name) }}{{ marked(name) }}</td><td class="n">{{ n }}</td></tr>{% endfor %}</table>{% endif %}
{% if moves %}<h2>{{ w.moves }}</h2><table><tr><th>{{ w.field }}</th><th>{{ w.before }}</th><th>{{ w.after }}</th><th class="n">{{ w.count }}</th></tr>
{% for (name, was, now), n in moves %}<tr><td>{{ names.field(name) }}{{ marked(name) }}</td><td>{{ shown(name, was) or w.nothing }}</td><td>{{ shown(name, now) or w.nothing }}</td><td class="n">{{ n }}</td></tr>{% endfor %}</table>{% endif %}
{% if rules %}<h2>{{ w.by_rule }}</h2><table><tr><th>{{ w.rule }}</th><th class="n">{{ w.before }}</th><th class="n">{{ w.after }}</th><th class="n">{{ w.gained }}</th><th class="n">{{ w.lost }}</th></tr>
{% for name, one in rules.items() %}<tr><td>{{ name }}</td><td class="n">{{ one.before }}</td><td class="n">{{ one.after }}</td><td class="n">{{ one.gained }}</td><td class="n">{{ one.lost }}</td></tr>{% endfor %}</table>{% endif %}
{% if r.changes %}<h2>{{ w.samples }}</h2><table><tr><th>{{ w.number }}</th><th>{{ w.trigger }}</th><th>{{ w.field }}</th><th>{{ w.before }}</th><th>{{ w.after }}</th></tr>
{% for change in r.changes %}{% for name, was, now in rows(change) %}<tr><td>{{ change.number if loop.first }}</td><td>{{ change.trigger if loop.first }}</td><td>{{ names.field(name) }}{{ marked(name) }}</td><td>{{ was or w.nothing }}</td><td>{{ now or w.nothing }}</td></tr>{% endfor %}{% endfor %}</table>{% endif %}
</body></html>
"""


_CHOICES = {"assignee": "agent", "policy": "policy", "required_skills": "skill"}


@dataclass(frozen=True, slots=True)
class Names:
    """Fields and values as people call them."""

    vocabulary: Vocabulary
    language: str

    def field(self, name: str) -> str:
        found, zh = FIELDS.get(name), self.language.startswith("zh")
        if name.startswith("due."):
            return f"{'承诺 ' if zh else ''}{name.removeprefix('due.')}{'' if zh else ' due'}"
        return found.zh.partition("（")[0] if found and zh else name

    def value(self, field: str, value: Any) -> str:
        if isinstance(value, tuple):
            return ", ".join(self.value(field, one) for one in value)
        found = FIELDS.get(field)
        choice = _CHOICES.get(field) or (found.choice if found else "")
        return "" if value is None else self.vocabulary.label(choice, str(value), self.language)


def html(replayed: Replayed, names: Names, moment: Callable[[datetime], str], *, reveal: bool = False) -> str:
    """The page, in Chinese or English; `moment` writes an instant. Personal data is masked unless revealed."""
    language = names.language
    words = WORDS["zh" if language.startswith("zh") else "en"]
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(PAGE)

    def shown(field: str, value: object) -> str:
        text = names.value(field, value)
        if field.startswith("due.") and text:
            return moment(datetime.fromisoformat(text))
        return text if reveal else mask_text(text)

    def rows(change: Change) -> Sequence[tuple[str, str, str]]:
        told = [(name, shown(name, was), shown(name, now)) for name, (was, now) in change.fields.items()]
        told += [(words["gained"], "", rule) for rule in change.gained]
        return told + [(words["lost"], rule, "") for rule in change.lost]

    def marked(name: str) -> str:
        simulated = "*" in replayed.simulated or name in replayed.simulated
        return f" ({words['simulated']})" if simulated else ""

    moves = sorted(replayed.moves.items(), key=lambda item: (-item[1], item[0]))[:100]
    rules = {name: one for name, one in replayed.rules.items() if one["gained"] or one["lost"]}
    return page.render(
        language=language[:2],
        w=words,
        r=replayed,
        moves=moves,
        rules=rules,
        rows=rows,
        marked=marked,
        moment=moment,
        names=names,
        shown=shown,
    )
