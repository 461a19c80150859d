"""The demo's table, and whether it is as it must be."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.console.rows import Row
from gateway.demo.samples import Sample
from normalizer.canon import Reply, Ticket

BECAME = {
    "ticket": ("新工单", "ticket"), "same": ("同一条，未重复", "the same, not doubled"), "added": ("加入原工单", "added to its ticket"),
    "kept": ("保留，不建单", "kept, no ticket"), "refused": ("拒收并留底", "refused, kept aside"),
}  # fmt: skip
HEADS = {
    "zh": ("发来的内容", "回应", "结果", "编号", "分类", "优先级", "处理组", "确认", "原因：触发的规则"),
    "en": ("What was sent", "Answer", "Became", "Number", "Category", "Priority", "Group", "Acknowledged", "Why: rules that fired"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One sample and what became of it."""

    sample: Sample
    answer: str
    language: str
    became: str = ""
    why: str = ""
    changed: str = ""
    messages: int = 0
    attachments: int = 0
    handed: bool = False
    row: Row | None = None
    ticket: Ticket | None = None
    reply: Any = None  # canon.Reply, if one was sent

    def cells(self) -> list[str]:
        at = 0 if self.language == "zh" else 1
        start = [self.sample.what[at], self.answer, BECAME[self.became][at] if self.became else "?"]
        if self.row is None:
            return [*start, "", "", "", "", "", self.why]
        category = " / ".join(part for part in (self.row.category, self.row.subcategory) if part)
        group = " · ".join(part for part in (self.row.group, self.row.assignee) if part)
        return [*start, self.row.number, category, self.row.priority, group, self.acknowledged, self.why]

    @property
    def acknowledged(self) -> str:
        if not isinstance(self.reply, Reply) or self.sample.becomes in ("added", "same"):
            return ""
        return f"{self.reply.language} {self.promise}".strip()

    @property
    def promise(self) -> str:
        """The words of the promise, as they stand in the sent acknowledgement."""
        import re

        found = re.search(r"\d+ (?:小时|分钟)内|within \d+ (?:hours?|minutes)", self.reply.text) if self.reply else None
        return found[0] if found else ""


def show(lines: Sequence[Line], language: str) -> None:
    """Print the table; to something that is no terminal, wide enough for every word."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        *HEADS[language], header_style="bold", show_lines=False, pad_edge=False, box=None, padding=(0, 2, 0, 0)
    )
    table.columns[-1].overflow = "fold"  # names of rules are told whole, however narrow the terminal
    for line in lines:
        table.add_row(*map(Text, line.cells()))
    Console(width=None if sys.stdout.isatty() else 250).print(table)


def disagreements(lines: Sequence[Line]) -> list[str]:
    """What is not as the samples say it must be, in sentences."""
    wrong = []
    for line in lines:
        sample = line.sample
        name = sample.what[1]
        if line.answer != sample.answer:
            wrong.append(f"{name}: answered {line.answer}, not {sample.answer}")
        if line.became != sample.becomes:
            wrong.append(f"{name}: became {line.became!r}, not {sample.becomes!r}")
        seen = _seen(line)
        wrong.extend(
            f"{name}: {field} is {seen.get(field)!r}, not {wanted!r}"
            for field, wanted in sample.expect.items()
            if seen.get(field) != wanted
        )
        if line.ticket and not line.handed:
            wrong.append(f"{name}: was not handed over")
    numbers = [line.ticket.number for line in lines if line.ticket and line.sample.becomes == "ticket"]
    if len(set(numbers)) != len(numbers):
        wrong.append("numbers repeat")
    return wrong


def _seen(line: Line) -> dict[str, str]:
    ticket = line.ticket
    if ticket is None:
        return {}
    return {
        "category": ticket.category.value if ticket.category else "",
        "subcategory": ticket.subcategory.value if ticket.subcategory else "",
        "priority": ticket.priority.value,
        "group": ticket.group.value if ticket.group else "",
        "acknowledged": line.reply.language if line.reply else "",
        "promise": line.promise,
        "attachments": str(line.attachments),
        "review": "yes" if ticket.review and ticket.review.needed else "no",
    }
