"""Slips of people who are no programmers: each is told as they see it, where it is, with what mends it."""

from pathlib import Path

import pytest

from engine.check import check
from engine.company import FILES, company
from engine.findings import told
from engine.rulebook import findings
from engine.vocabulary import Vocabulary

CONFIG = Path(__file__).parents[2] / "config"
RIGHT = """rulebook: test
rules:
  - rule: big
    because: 大客户
    when:
      says: [大客户, VIP]
    then:
      tag: big
"""

# What is put wrong, how, the place that must be told, and words of the finding and of its hint, in Chinese.
SLIPS = {
    "a tab": ("      says", "\tsays", "6:1", "制表符", "空格"),
    "a wide blank": ("      says", "　　　says", "6:1", "U+3000", "空格"),
    "a full-width colon": ("rule: big", "rule：big", "3:9", "全角", "半角冒号"),
    "a full-width colon, noticed a line later": ("when:", "when：", "5:9", "全角", "半角冒号"),
    "a full-width colon that makes a word of a condition": ("says: [大客户, VIP]", "says： 大客户", "6:7", "条件", "半角冒号"),
    "no space after the colon": ("says: [大客户, VIP]", "says:大客户", "6:7", "条件", "半角冒号"),
    "a full-width colon within brackets": ("says: [大客户, VIP]", "any: {says：大客户, category: 投诉}", "6:13", "没有字段", "半角冒号"),
    "a full-width comma between entries": ("says: [大客户, VIP]", "any: {says: 大客户，category: 投诉}", "6:22", "全角的 ，", "半角逗号"),
    "a full-width bracket": ("says: [大客户, VIP]", "any: ｛says: 大客户｝", "6:12", "全角的 ｛", "半角"),
    "a bracket too many": ("VIP]", "VIP]]", "6:23", "多出一个 ]", "去掉"),
    "no space after the hyphen": ("- rule", "-rule", "3:3", "减号", "空格"),
    "another dash": ("- rule", "— rule", "3:3", "列表项", "半角减号"),
    "a line a little to the left": ("    then", "   then", "7:4", "缩进 3 格", "缩进 4 格，与第 5 行的 `when` 对齐"),
    "a line between two columns": ("    then", "     then", "7:6", "缩进 5 格", "或缩进 6 格，与第 6 行的 `says` 对齐"),
    "a list without its end": ("VIP]", "VIP", "7:9", "第 6 行的 [", "]"),
    "a quotation without its end": ("大客户, VIP]", '"大客户]', "9:1", "第 6 行的引号", "引号"),
    "two colons": ("because: 大客户", "because: 注意: 大客户", "4:14", "两个", "引号"),
    "a sign at the beginning": ("because: 大客户", "because: @大客户", "4:14", "@", "引号"),
    "a character nobody sees": ("because: 大客户", "because: 大\x07客户", "4:15", "U+0007", "删掉"),
    "a key in Chinese": ("when:", "如果:", "5:5", "规则里没有键", "'when'"),
    "a field in Chinese": ("says: [大客户, VIP]", "分类: 投诉", "6:7", "没有字段", "'category'"),
    "an action in Chinese": ("tag: big", "标签: big", "8:7", "没有动作", "'tag'"),
    "a key in wide letters": ("tag: big", "ｔａｇ: big", "8:7", "没有动作", "'tag'"),
    "an action of another system": ("tag: big", "assign: senior", "8:7", "没有动作", "'route'"),
    "an operator of another system": ("says: [大客户, VIP]", "subject: {contains: a}", "6:17", "比较方式", "'matches'"),
    "an operator as a sign": ("says: [大客户, VIP]", 'message.length: {">": 9}', "6:24", "比较方式", "'more_than'"),
    "a comparison as text": ("says: [大客户, VIP]", 'message.length: "> 9"', "6:23", "是数字", "{more_than: 100}"),
    "a field as an action": ("tag: big", "priority: high", "8:7", "没有动作", "set: {priority"),
    "a subcategory as a category": ("says: [大客户, VIP]", "category: 退款", "6:17", "没有 '退款'", "subcategory: refund"),
    "a flag in quotes": ("says: [大客户, VIP]", 'message.answerable: "true"', "6:27", "true", "不加引号"),
    "a flag in Chinese": ("says: [大客户, VIP]", "message.answerable: 否", "6:27", "true", "写 false"),
    "a wide comma in a list": ("says: [大客户, VIP]", "category: [投诉，咨询]", "6:18", "没有", "半角逗号"),
    "a list that is another but for its end": ("says: [大客户, VIP]", "says: {list: big-words}", "6:20", "没有词表", "可用"),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_told_where_it_is_with_what_mends_it(slip: str, vocabulary: Vocabulary) -> None:
    before, after, place, what, hint = SLIPS[slip]
    assert before in RIGHT
    found = findings({"my.yaml": RIGHT.replace(before, after)}, vocabulary)
    said = {f"{f.where.line}:{f.where.column}": told(f, "zh") for f in found}
    assert place in said, found
    assert what in said[place].what
    assert hint in said[place].hint


def test_what_has_no_slip_has_no_findings(vocabulary: Vocabulary) -> None:
    assert findings({"my.yaml": RIGHT}, vocabulary) == []


def test_a_wide_comma_in_a_word_list_is_a_warning_at_its_place(vocabulary: Vocabulary) -> None:
    texts = {file: (CONFIG / file).read_text(encoding="utf-8") for file in FILES}
    house = company({**texts, "lists.yaml": "lists:\n  refund-words: [退款，退钱, 退费]\n"})
    (found,) = check({"my.yaml": RIGHT}, vocabulary, house)
    assert (str(found.where), found.code, found.severity) == ("lists.yaml:2:18", "one-word", "warning")
