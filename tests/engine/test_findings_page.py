"""docs/reference/findings.md: every code with an example, made of the wrong rulebooks that the tests try."""

import os
from pathlib import Path

from wrongs import WRONG, found_in, wrong

from engine.company import Company
from engine.findings import CODES, told
from engine.vocabulary import Vocabulary
from engine.witness import shown

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "findings.md"
WITHOUT = {
    "too-large",
    "sheet",
    "test-failed",
    "config",
    "kernel",
    "not-read",
}  # codes whose example would be no text of a few lines
HEAD = """# Findings of `ticketgate rules check` 检查结果

Errors keep a rule set from going live; warnings are what somebody should look at. What is said never to happen cannot
happen, and of two rules that contest a field a ticket is shown on which they do. What is not understood (a pattern, say)
is taken to be possible.

错误会阻止规则上线；警告需要有人看一看。凡说“永远不可能”的，确实不可能；说两条规则争同一字段时，会给出一张真能触发两者的工单。
看不透的条件（例如正则表达式）一律当作可能成立。

| code | | means | 含义 |
| --- | --- | --- | --- |
"""


def example(code: str) -> Path | None:
    """The file that shows it: the one of its name, else the first of its code."""
    files = [file for file in WRONG if wrong(file)[1] == code]
    return next((file for file in files if file.stem == code), files[0] if files else None)


def page(vocabulary: Vocabulary, company: Company) -> str:
    rows = [
        f"| {f'[`{code}`](#{code})' if example(code) else f'`{code}`'} | {of.severity} | {of.en} | {of.zh} |"
        for code, of in CODES.items()
    ]
    shown = [section(code, vocabulary, company) for code in CODES if example(code)]
    return HEAD + "\n".join(rows) + "\n\n" + "\n".join(shown)


def section(code: str, vocabulary: Vocabulary, company: Company) -> str:
    file = example(code)
    assert file
    text = wrong(file)[0]
    (found,) = found_in(file, text, vocabulary, company)
    en, zh = found, told(found, "zh")
    body = text.strip("\n")
    line = found.where.line - (len(text) - len(text.lstrip("\n")))  # a template has a blank line for its code
    hints = [f" ({hint})" if hint else "" for hint in (en.hint, zh.hint)]
    kind = "liquid" if file.suffix == ".liquid" else "yaml"
    return "\n".join([
        f"### {code}", "", f"{CODES[code].en}. {CODES[code].zh}。", "", f"```{kind}", body, "```", "",
        f"- line {line}: {en.what}{hints[0]}", f"- 第 {line} 行：{zh.what}{hints[1]}",
        *([f"- `{shown(found.given)}`"] if found.given else []), "",
    ])  # fmt: skip


def test_every_code_has_an_example(vocabulary: Vocabulary) -> None:
    assert {code for code in CODES if not example(code)} == WITHOUT


def test_the_page_is_current(vocabulary: Vocabulary, house: Company) -> None:
    text = page(vocabulary, house)
    if os.environ.get("GOLDEN"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text, "make golden"
