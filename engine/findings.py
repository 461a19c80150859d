"""Findings in two languages: what each code means, and how a finding reads.

What is found is told in English where it is found; here it becomes Chinese, phrase by phrase, so that whoever finds
something new needs to write it once. A phrase that is missing stays English under its code's Chinese title.
"""

# ruff: noqa: E501
# Tables read better a row a line.

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from engine.reading import Finding
from engine.witness import shown


class Code(NamedTuple):
    """What a kind of finding is, in Chinese and English."""

    severity: Literal["error", "warning"]
    zh: str
    en: str


CODES: Mapping[str, Code] = {
    "yaml": Code("error", "不是可用的 YAML", "The file is not YAML as rulebooks use it"),
    "duplicate-key": Code("error", "同一个键写了两次", "One key stands twice in a mapping"),
    "bomb": Code("error", "别名展开后过大", "Aliases that expand to far too much"),
    "too-large": Code("error", "文件过大", "The file is too large"),
    "type": Code("error", "写法或类型不对", "Something of another kind belongs here"),
    "missing": Code("error", "缺了必要的部分", "Something that must be there is not"),
    "duplicate": Code("error", "名称重复", "One name for two things"),
    "unknown-key": Code("error", "未知的键", "A key that there is not"),
    "unknown-field": Code("error", "未知字段", "A field that there is not"),
    "unknown-operator": Code("error", "未知的比较方式", "An operator that there is not"),
    "unknown-value": Code("error", "未知的值", "A code, group, skill, type or other value that there is not"),
    "unknown-verb": Code("error", "未知动作", "An action that there is not"),
    "unknown-list": Code("error", "未知词表", "A word list that there is not"),
    "unknown-layer": Code("error", "未知的层", "A layer that there is not"),
    "unknown-trigger": Code("error", "未知的触发", "A trigger that there is not"),
    "unknown-target": Code("error", "未知的工单系统", "A helpdesk or system that is not configured"),
    "unknown-template": Code("error", "未知模板", "An acknowledgement template that there is not"),
    "unknown-answer": Code("error", "未知的答案", "An answer that there is not in answers/"),
    "missing-language": Code("error", "模板缺一种语言", "A template that lacks a language"),
    "template": Code("error", "模板写错", "A template that cannot be used: not Liquid, or an unknown variable or filter"),
    "fixed-promise": Code("error", "承诺写死在模板里", "A promise written as fixed text in a template"),
    "pattern": Code("error", "正则表达式不可用", "A pattern that RE2 does not take"),
    "written-twice": Code("error", "同一条规则两次写同一字段", "One rule writes a field twice"),
    "example": Code("error", "测试样例读不懂", "An example under `tests:` that cannot be read"),
    "impossible": Code("error", "条件永远不可能成立", "A condition that can never hold"),
    "conflict": Code("error", "同一层、同样的工单，写了不同的值", "Two rules of one layer write different things on the same tickets"),
    "rows-feed": Code("error", "同一个 first 或 table 的行互相依赖", "A row of a `first` or `table` writes what another of its rows looks at"),
    "negation-in-circle": Code("error", "循环中的否定", "Rules that feed each other, and one asks that something is not there"),
    "unknown-file": Code("error", "没有这个文件", "A file that there is not beside the rulebook"),
    "sheet": Code("error", "电子表格读不了", "A spreadsheet that cannot be read"),
    "table": Code("error", "决策表写错", "A decision table that cannot be used"),
    "test-failed": Code("error", "测试样例未通过", "An example that does not come out as expected"),
    "config": Code("error", "配置有误", "The configuration cannot be used"),
    "always-true": Code("warning", "条件总是成立", "A condition that always holds"),
    "unreachable": Code("warning", "永远轮不到的行", "A row that never has its turn"),
    "shadowed": Code("warning", "写了也不算数", "What a rule writes never counts"),
    "contested": Code("warning", "两条规则可能争同一字段", "Two rules may write one field differently, and only their names decide"),
    "read-early": Code("warning", "读得太早，值可能还会变", "A value read while others of its circle may still change it"),
    "unproven": Code("warning", "未验证身份就认 VIP", "A customer known by what anybody may claim"),
    "unknown-timer": Code("warning", "没有规则开始这个等待", "A rule on the end of a wait that no rule begins"),
    "expired": Code("warning", "已过期", "A rule whose time is over"),
    "not-read": Code("warning", "文件不会被读取", "A file beside the rulebooks that is not read"),
    "one-word": Code("warning", "标点把几个词连成了一个", "Marks that make one word of several"),
    "dead": Code("warning", "很久没有触发过", "A rule that did not fire for long"),
    "kernel": Code("warning", "由 native 内核判断", "A rule that `kernel: durable` leaves to the native kernel"),
}  # fmt: skip

_Q = r"('(?:[^'\\]|\\.)*'|\"[^\"]*\")"  # a quoted word, as Python shows it

_PHRASES: Sequence[tuple[str, str]] = (
    (rf"no rule waits under the name {_Q}", r"没有规则以 \1 为名等待"),
    (r"raise by (\S+) would be to lower it", r"raise \1 是降级"),
    (r"is no text from character (\d+) on", r"从第 \1 个字符起不是文本"),
    (r"is missing", "缺少这个文件"),
    (rf"{_Q} is decided by the native kernel: it comes to (\d+) alternatives", r"\1 展开成 \2 种情况，由 native 内核判断"),
    (rf"{_Q} is decided by the native kernel: an alternative has more than (\d+) comparisons", r"\1 的一种情况超过 \2 个比较，由 native 内核判断"),
    (rf"the promise {_Q} is written as fixed text", r"承诺 \1 写死在模板里"),
    (rf"unknown field {_Q}", r"没有字段 \1"),
    (rf"unknown field to set {_Q}", r"没有可设置的字段 \1"),
    (rf"unknown operator {_Q}", r"没有比较方式 \1"),
    (rf"unknown action {_Q}", r"没有动作 \1"),
    (rf"unknown word list {_Q}", r"没有词表 \1"),
    (rf"unknown layer {_Q}", r"没有层 \1"),
    (rf"unknown trigger {_Q}", r"没有触发 \1"),
    (rf"unknown helpdesk {_Q}", r"没有工单系统 \1"),
    (rf"unknown template {_Q}", r"没有模板 \1"),
    (rf"unknown answer {_Q}", r"没有答案 \1"),
    (rf"answer {_Q} lacks a language", r"答案 \1 缺一种语言"),
    (r"notify whom\?", "notify 要写通知谁"),
    (rf"{_Q} is no mail address", r"\1 不是邮箱地址"),
    (rf"no ticket type has a field {_Q}", r"没有工单类型有字段 \1"),
    (rf"nothing to call is named {_Q}", r"calls: 里没有 \1"),
    (rf"no group or agent is called {_Q}", r"没有叫 \1 的组或客服"),
    (rf"nothing ends a wait that is called {_Q}", r"没有能结束等待的 \1"),
    (rf"(.+) cannot be {_Q}", r"\1 不能是 \2"),
    (rf"(.+): {_Q} is no duration", r"\1：\2 不是时长"),
    (rf"unknown (variable|filter) {_Q}", r"模板里没有变量或过滤器 \2"),
    (rf"unknown mark: no rule makes {_Q}", r"没有规则作标记 \1"),
    (rf"unknown key in a rule {_Q}", r"规则里没有键 \1"),
    (rf"unknown key in a rulebook {_Q}", r"规则集里没有键 \1"),
    (rf"unknown key in a table {_Q}", r"决策表里没有键 \1"),
    (rf"unknown key in a row of first {_Q}", r"first 的一行里没有键 \1"),
    (rf"unknown key in a first {_Q}", r"first 里没有键 \1"),
    (rf"unknown key in (.+) {_Q}", r"\1 里没有键 \2"),
    (rf"unknown (.+) {_Q}", r"\1 没有 \2"),
    (rf"template {_Q} lacks a language", r"模板 \1 缺一种语言"),
    (rf"(.+) has no {_Q}", r"\1 没有 \2"),
    (rf"rulebook {_Q} stands in (.+) too", r"规则集 \1 在 \2 里也有"),
    (rf"rule {_Q} stands at (.+) too", r"规则 \1 在 \2 也有"),
    (r"this rule writes (.+) twice", r"这条规则两次写 \1"),
    (rf"{_Q} stands here twice", r"\1 在这里写了两次"),
    (r"rules is a list", "rules 是一个列表"),
    (r"first has a list of rules", "first 要有规则列表"),
    (r"a rulebook is written as `key: value`", "规则集写成 `键: 值`"),
    (r"a rule is written as `key: value`", "规则写成 `键: 值`"),
    (r"a row is written as `key: value`", "行写成 `键: 值`"),
    (r"actions are written as `verb: value`", "动作写成 `动作: 值`"),
    (r"conditions are written as `field: value`", "条件写成 `字段: 值`"),
    (r"a rule needs a `then`", "规则要有 `then`"),
    (r"(.+) must be a word", r"\1 要是一个词"),
    (r"(.+) needs words", r"\1 要有词"),
    (r"(.+) needs a value here", r"\1 这里要有一个值"),
    (r"a table has (columns|rows)", r"决策表要有 \1"),
    (r"a row is a list of cells", "行是一列单元格"),
    (r"a row of (\d+) cells under (\d+) columns", r"这一行有 \1 格，而表头有 \2 列"),
    (r"(columns|rows) stand in the file", r"\1 写在表格文件里"),
    (rf"there is no {_Q} beside it", r"规则集旁边没有文件 \1"),
    (r"the sheet holds no table", "这张表是空的"),
    (rf"{_Q} is no duration", r"\1 不是时长"),
    (r"(\w+): (\S+) is no duration", r"\1：\2 不是时长"),
    (r"(\S+) is no duration", r"\1 不是时长"),
    (rf"{_Q} is no day", r"\1 不是日期"),
    (r"(\S+) is no day", r"\1 不是日期"),
    (rf"(.+) is a sum with its currency, not {_Q}", r"\1 是带货币的金额，不是 \2"),
    (r"(.+) is a sum with its currency, not (.+)", r"\1 是带货币的金额，不是 \2"),
    (r"both sums are of one currency", "两个金额要是同一种货币"),
    (r"a list needs values", "列表里要有值"),
    (rf"nobody can change {_Q}", r"没有人能改 \1"),
    (r"valid needs a day", "valid 要写日期"),
    (r"it ends before it begins", "结束早于开始"),
    (rf"there is no mode {_Q}", r"没有 \1 这种 mode"),
    (r"share belongs to a canary", "share 只用于 canary"),
    (r"a canary needs a share of the contacts, 1% to 99%", "canary 要写客户占比，1% 到 99%"),
    (r"history needs a (window|count)", "history 要写 within 和 count"),
    (r"(.+) takes one value", r"\1 只接一个值"),
    (r"between takes two values", "between 要两个值"),
    (rf"(.+) is a number, not {_Q}", r"\1 是数字，不是 \2"),
    (rf"true or false, not {_Q}", r"只能是 true 或 false，不是 \1"),
    (rf"{_Q} is no time of day", r"\1 不是时刻"),
    (r"(\w+) does not fit (\S+) \((\w+)\)", r"\1 不适用于 \2（\3）"),
    (r"not a pattern of RE2: (.+)", r"不是 RE2 的正则表达式：\1"),
    (r"denied is 'include' or left out", "denied 只能写 include，或不写"),
    (r"same can only be contact", "same 只能是 contact"),
    (rf"override can only be person, not {_Q}", r"override 只能是 person，不是 \1"),
    (r"override can only be person, not (.+)", r"override 只能是 person，不是 \1"),
    (r"(\w+) by one to three steps, not (.+)", r"\1 一到三级，不是 \2"),
    (r"escalate by a number of levels, not (.+)", r"升级要写级数，不是 \1"),
    (rf"unknown answer {_Q}", r"没有答案 \1"),
    (rf"answer {_Q} lacks a language", r"答案 \1 缺一种语言"),
    (rf"(\w+): {_Q} is no duration", r"\1：\2 不是时长"),
    (r"(\w+): None is no duration", r"\1 缺时长"),
    (rf"nothing ends a wait that is called {_Q}", r"没有 \1 这样的事可以结束等待"),
    (rf"no ticket type has a field {_Q}", r"没有工单类型有字段 \1"),
    (rf"no group or agent is called {_Q}", r"没有叫 \1 的组或客服"),
    (rf"nothing to call is named {_Q}", r"calls 中没有 \1"),
    (rf"{_Q} is no mail address", r"\1 不是邮箱地址"),
    (r"notify whom\?", "没有写通知谁"),
    (r"with is written as \{name: value\}", "with 写成 {名: 值}"),
    (r"milestones are written as \{name: time\}", "milestones 写成 {名: 时长}"),
    (rf"(\w+) cannot be {_Q}", r"\1 不能是 \2"),
    (rf"cannot route by {_Q}", r"不能按 \1 分派"),
    (r"`by` chooses among the agents of a group", "`by` 是在组内选人，要写 group"),
    (rf"{_Q} cannot be held", r"\1 不能暂缓"),
    (r"not YAML: a tab where spaces belong", "缩进里有制表符（Tab）"),
    (r"not YAML: a blank that is no space, (U\+\w+)", r"这里的空白不是半角空格（\1）"),
    (r"not YAML: a full-width colon (.)", r"冒号是全角的 \1"),
    (r"not YAML: a full-width (.) between entries", r"两项之间是全角的 \1"),
    (r"not YAML: a full-width bracket (.)", r"括号是全角的 \1"),
    (r"not YAML: a ([\]}]) that nothing began", r"多出一个 \1"),
    (r"not YAML: (.) before an entry of a list", r"列表项前面是 \1，不是半角减号"),
    (r"not YAML: no space after the hyphen", "减号后面缺空格"),
    (r"not YAML: no space after the colon", "冒号后面缺空格"),
    (r"not YAML: a value cannot begin with (.)", r"值不能以 \1 开头"),
    (r"not YAML: the ([\[{]) of line (\d+) is not closed, or a comma is missing", r"第 \2 行的 \1 没有收尾，或者中间缺逗号"),
    (r"not YAML: the quotation mark of line (\d+) is not closed", r"第 \1 行的引号没有收尾"),
    (r"not YAML: a second `: ` in one line", "一行里有两个 `: `"),
    (r"not YAML: this line begins with (\d+) spaces, like none above", r"这一行缩进 \1 格，和上面各行都对不齐"),
    (r"not YAML: the character (U\+\w+) cannot be read", r"有读不了的字符 \1"),
    (r"(\S+): Input should be (.+)", r"\1：应为 \2"),
    (r"(\S+): Extra inputs are not permitted", r"没有 \1 这个键"),
    (r"(\S+): Field required", r"缺少 \1"),
    (r"only files that end in \.yaml are read", "只读取以 .yaml 结尾的文件"),
    (rf"{_Q} is one word, with its marks", r"\1 连同标点是一个词，客户原样写出才算"),
    (r"not YAML: (.+)", r"不是 YAML：\1"),
    (r"a second document in one file", "一个文件里有两份文档"),
    (r"\*(\w+) stands for nothing", r"*\1 没有所指"),
    (r"nested deeper than (\d+)", r"嵌套超过 \1 层"),
    (r"more than (\d+) values once aliases are expanded", r"别名展开后超过 \1 个值"),
    (r"larger than (\d+) characters", r"超过 \1 个字符"),
    (r"merge keys \(<<\) are not part of YAML 1.2", "YAML 1.2 没有合并键（<<）"),
    (r"a key must be a word", "键要是一个词"),
    (r"tags such as (.+) are not used here", r"这里不用 \1 这样的标签"),
    (r"cannot be read: (.+)", r"读不了：\1"),
    (r"cannot be used: (.+)", r"用不了：\1"),
    (r"cannot be rendered: (.+)", r"无法套用：\1"),
    (r"not a Liquid template: (.+)", r"不是 Liquid 模板：\1"),
    (rf"{_Q} can never hold: (.+)", r"\1 永远不可能成立：\2"),
    (rf"a branch of {_Q} can never hold: (.+)", r"\1 的一个分支永远不可能成立：\2"),
    (rf"{_Q} can never hold", r"\1 永远不可能成立"),
    (rf"the condition of {_Q} always holds", r"\1 的条件总是成立"),
    (rf"{_Q} never has its turn: (.+) above it takes? all of its tickets", r"\1 永远轮不到：上面的 \2 已拿走它的全部工单"),
    (rf"{_Q} writes (.+), which {_Q} of the same {_Q} looks at", r"\1 写 \2，而同一个 \4 里的 \3 要看它"),
    (rf"{_Q} asks for (.+), and {_Q} of its circle writes (.+)", r"\1 要求 \2，而同一循环里的 \3 会写 \4"),
    (rf"{_Q} reads (.+), which {_Q} of its circle may still change", r"\1 读 \2，而同一循环里的 \3 还可能改变它"),
    (rf"{_Q} and {_Q} \((.+)\) write different things to (.+) on the same tickets", r"\1 和 \2（\3）在同样的工单上给 \4 写不同的值"),
    (rf"{_Q} and {_Q} \((.+)\) may both write (.+), and only their names decide", r"\1 和 \2（\3）可能都写 \4，而且只能按名称先后决定"),
    (rf"what {_Q} writes to (.+) never counts: {_Q} \((.+)\) always beats it", r"\1 写的 \2 从不算数：\3（\4）总会盖过它"),
    (r"(\d+) tickets were tried; further pairs of rules were not looked at", r"已试过 \1 张工单，其余的规则对没有再看"),
    (rf"{_Q} knows a customer by (\S+), which anybody may claim", r"\1 凭 \2 认客户，而这谁都可以自称"),
    (rf"{_Q} did not fire once in (.+)", r"\1 在 \2 内一次也没有触发"),
    (rf"the time of {_Q} is over", r"\1 的时间已过"),
    (r"a (table|row|list) has (rows|columns)", r"\1 要有 \2"),
    (r"a row is a list of cells", "一行是一个列表"),
    (r"a list needs values", "列表里要有值"),
    (r"both sums are of one currency", "两个金额要同一币种"),
    (r"share belongs to a canary", "share 只用于 mode: canary"),
    (r"a canary needs a share of the contacts, 1% to 99%", "canary 要写客户比例，1% 到 99%"),
    (r"valid needs a day", "valid 要有日期"),
    (r"it ends before it begins", "结束早于开始"),
    (rf"{_Q} is no day", r"\1 不是日期"),
    (rf"{_Q} is no duration", r"\1 不是时长"),
    (rf"(.+) is a sum with its currency, not {_Q}", r"\1 是带币种的金额，不是 \2"),
    (r"(.+) is a sum with its currency, not (.+)", r"\1 是带币种的金额，不是 \2"),
    (rf"there is no mode {_Q}", r"没有模式 \1"),
    (rf"there is no role {_Q}", r"没有角色 \1"),
    (rf"there is no {_Q} beside it", r"旁边没有文件 \1"),
    (rf"nobody can change {_Q}", r"没有人能改 \1"),
    (rf"(.+) has no sheet {_Q}", r"\1 没有工作表 \2"),
    (r"the sheet holds no table", "工作表里没有表"),
    (r"(.+) stand in the file", r"\1 写在文件里"),
    (r"cannot be read as a spreadsheet: (.+)", r"不是可读的电子表格：\1"),
    (r"more than (\d+) rows or (\d+) columns", r"超过 \1 行或 \2 列"),
    (r"larger than (\d+) bytes( altogether)?", r"超过 \1 字节"),
    (r"(.+) is a number, not (.+)", r"\1 是数字，不是 \2"),
    (r"true or false, not (.+)", r"只能是 true 或 false，不是 \1"),
    (r"(\w+) are written as (.+)", r"\1 写成 \2"),
    (r"(.+) is written as (.+)", r"\1 写成 \2"),
    (r"(.+): (\S+) is (.+), not (.+)", r"\1：\2 是 \3，应为 \4"),
    (r"(.+) is no (.+)", r"\1 不是 \2"),
)  # fmt: skip

_HINTS: Sequence[tuple[str, str]] = (
    (r"write it as several rules", "拆成几条规则"),
    (rf"did you mean {_Q}\?", r"是不是 \1？"),
    (r"known: (.+)", r"可用：\1"),
    (r"there are none", "一个也没有"),
    (r"make it readable", "改成可读"),
    (r"name it (.+\.yaml)", r"改名为 \1"),
    (r"mend the rule or its example", "改规则，或改这个样例"),
    (r"replace it with spaces", "换成半角空格"),
    (r"write `: `, narrow and with a space after it", "写半角冒号，后面加一个空格：`: `"),
    (r"write `, `, narrow and with a space after it", "写半角逗号，后面加一个空格：`, `"),
    (r"write a narrow one, \[ or \{, and close it so", "写半角的 [ 或 {，并用对应的半角括号收尾"),
    (r"take it away, or write its beginning", "去掉它，或补上前面的括号"),
    (r"write `- `, a hyphen and a space", "写半角减号，后面加一个空格：`- `"),
    (r"put it in quotes", "给这个值加上半角引号"),
    (r"put what follows the first in quotes", "第一个冒号后面的内容加上半角引号"),
    (r"close it in its line", "在那一行补上引号"),
    (r"close it with ([\]}]), in its line", r"在那一行补上 \1"),
    (r"begin it with (\d+) spaces like (`[^`]+`) in line (\d+)", r"缩进 \1 格，与第 \3 行的 \2 对齐"),
    (
        r"begin it with (\d+) spaces like (`[^`]+`) in line (\d+) or with (\d+) spaces like (`[^`]+`) in line (\d+)",
        r"缩进 \1 格，与第 \3 行的 \2 对齐；或缩进 \4 格，与第 \6 行的 \5 对齐",
    ),
    (r"delete it; save it as UTF-8 text", "删掉它，存成 UTF-8 文本"),
    (r"write \[A, B\]: narrow comma, a space after it", "写成 [甲, 乙]：半角逗号，后面加一个空格"),
    (r"write \[A, B\]: narrow commas, narrow quotation marks or none", "写成 [甲, 乙]：半角逗号；引号用半角，或不用"),
    (r"it is a subcategory: write (.+)", r"这是二级标签，写 \1"),
    (r"it is a category: write (.+)", r"这是一级分类，写 \1"),
    (r"it is an agent: write (.+)", r"这是客服，写 \1"),
    (r"write set: (.+)", r"写 set: \1"),
    (r"write true, without quotes", "写 true，不加引号"),
    (r"write false, without quotes", "写 false，不加引号"),
    (r"add it to calls: in ticketgate.yaml", "在 ticketgate.yaml 的 calls: 里加上它"),
    (r"by: (\w+) or (\w+) or (\w+)", r"by: \1、\2 或 \3"),
    (r"2026-11-11 or 2026-11-11 20:00", "写 2026-11-11，或 2026-11-11 20:00"),
    (r"(.*)15m, 4h or 2d", r"\g<1>写 15m、4h 或 2d"),
    (r"30m, 4h or 2d", "写 30m、4h 或 2d"),
    (r"use (.+)", r"请用 \1"),
    (r"one for each", "每列一格"),
    (r"leave out (.+) or file", r"\1 与 file 只写一个"),
    (r"columns in its first line, rows below", "第一行写列名，下面是各行"),
    (r"until is the last day", "until 是最后一天"),
    (r"rename one", "改其中一个的名称"),
    (r"keep one", "只留一个"),
    (r"leave it out", "去掉它"),
    (r"add (.+)", r"请加上 \1"),
    (r"quote it", "加引号"),
    (r"write one word or number", "写一个词或数字"),
    (r"write a number", "写一个数字"),
    (r"write true or false", "写 true 或 false"),
    (r"write rules or a `first`", "写成规则或 `first`"),
    (r"write &name before it is used", "先写 &名称 再引用"),
    (r"write (it|the values) out", "把值写出来"),
    (r"no look-around, no back-references", "不支持环视和反向引用"),
    (r"check indentation and quotes", "检查缩进和引号"),
    (r"save it as UTF-8( text)?", "存成 UTF-8 文本"),
    (r"split it", "拆成几个文件"),
    (r"flatten it", "减少嵌套"),
    (r"remove it", "去掉它"),
    (r"remove the line ---", "去掉 --- 这一行"),
    (r"one of these must go", "其中一条要去掉"),
    (r"leave `when` out, or write what was meant", "去掉 `when`，或写出真正的条件"),
    (r"move it up, or make the one above narrower", "往上移，或把上面那条写窄"),
    (r"only one row fires: make them rules of their own", "只会触发一行：请写成单独的规则"),
    (r"ask for something that is there", "改为要求某样东西存在"),
    (r"read what the other reads instead, or a mark", "改读对方所读的字段，或读标记"),
    (r"keep one, or put one into a higher layer", "只留一条，或把一条放到更高的层"),
    (r"put one into a higher layer, or give it more conditions", "把一条放到更高的层，或给它多加条件"),
    (r"mend those found first", "先改已发现的"),
    (r"take one away, or make the other narrower", "去掉一条，或把另一条写窄"),
    (r"ask contact.tier, or also message.proven: true", "改用 contact.tier，或加上 message.proven: true"),
    (r"is it still wanted\? .+", "还需要它吗？`rules test` 能看出它会不会触发"),
    (r"take it away, or give it a later day", "去掉它，或改成更晚的日期"),
    (r"write \{\{ promise \}\}: it is computed from the SLA", "写 {{ promise }}，它由 SLA 算出"),
    (r"see docs/rules.md", "见 docs/rules.md"),
)  # fmt: skip

_COMPILED = tuple((re.compile(pattern, re.S), zh) for pattern, zh in _PHRASES)
_COMPILED_HINTS = tuple((re.compile(pattern, re.S), zh) for pattern, zh in _HINTS)


class Told(NamedTuple):
    """A finding in one language."""

    what: str
    hint: str


def told(finding: Finding, language: str) -> Told:
    """What is wrong and what to write instead, in `zh` or `en`."""
    if not language.startswith("zh"):
        return Told(finding.what, finding.hint)
    what = _turned(finding.what, _COMPILED)
    if what is None:
        title = CODES[finding.code].zh if finding.code in CODES else finding.code
        what = f"{title}：{finding.what}"
    return Told(what, _turned(finding.hint, _COMPILED_HINTS) or finding.hint)


def _turned(text: str, phrases: Sequence[tuple[re.Pattern[str], str]]) -> str | None:
    for pattern, zh in phrases:
        if found := pattern.fullmatch(text):
            return found.expand(zh)
    return None


def line(finding: Finding, language: str) -> str:
    """`file:line:column: CODE message (hint)`, with the ticket that shows it if there is one."""
    what, hint = told(finding, language)
    behind = "; ".join(part for part in (hint, shown(finding.given) if finding.given else "") if part)
    return f"{finding.where}: {finding.code} {what}" + (f" ({behind})" if behind else "")


def plain(finding: Finding) -> dict[str, object]:
    """A finding for programs: its place, and its words in both languages."""
    zh, en = told(finding, "zh"), told(finding, "en")
    return {
        "file": finding.where.file,
        "line": finding.where.line,
        "column": finding.where.column,
        "severity": finding.severity,
        "code": finding.code,
        "message": {"zh": zh.what, "en": en.what},
        "hint": {"zh": zh.hint, "en": en.hint},
        "given": dict(finding.given) or None,
    }
