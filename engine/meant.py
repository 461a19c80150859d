"""Words that people write who think in Chinese or in another system, and what they are called here.

Only hints are made of them: a rulebook has one word for a thing.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

_CALLED: Mapping[str, str] = {
    "rule": "规则 名称 name id",
    "when": "如果 当 条件 if condition conditions",
    "then": "那么 则 动作 action actions do",
    "because": "原因 说明 reason description",
    "about": "说明 description",
    "on": "触发 trigger event",
    "layer": "层",
    "rulebook": "规则集",
    "during": "期间 活动",
    "valid": "有效期",
    "mode": "模式",
    "tests": "测试 test",
    "given": "给定",
    "expect": "期望 预期",
    "all": "并且 且 and",
    "any": "或 或者 or",
    "none": "非 not",
    "says": "提到 包含 关键词 关键字 contains contain includes keyword keywords",
    "has": "包含 contains contain includes",
    "matches": "包含 contains contain includes regex 正则 like",
    "category": "分类 一级分类 类别",
    "subcategory": "二级标签 二级分类 子分类",
    "priority": "优先级",
    "status": "状态",
    "type": "类型",
    "subject": "标题 主题",
    "channel": "渠道",
    "language": "语言",
    "contact.tier": "客户等级 等级 tier vip",
    "extracted.order_number": "订单号 order_number",
    "extracted.amount": "金额 amount",
    "message.text": "正文 内容 text body",
    "message.from": "发件人 from sender",
    "clock.time": "时间 time",
    "clock.weekday": "星期 weekday",
    "clock.business_hours": "营业时间 business_hours",
    "tag": "标签 打标签 加标签 add_tag",
    "tags": "标签",
    "untag": "去标签 remove_tag",
    "set": "设置 设为",
    "raise": "提高 提升",
    "lower": "降低",
    "mark": "标记",
    "route": "分派 分配 派单 转给 组 assign assignee assign_to group",
    "acknowledge": "自动回复",
    "reply": "回复 answer",
    "notify": "通知 email send_email sms",
    "call": "webhook",
    "task": "任务",
    "review": "审核 预审",
    "human": "转人工",
    "escalate": "升级",
    "wait": "等待 delay",
    "close": "关闭",
    "hand_over": "转交",
    "more_than": "> gt 大于 超过",
    "less_than": "< lt 小于",
    "at_least": ">= gte 不少于 不低于 至少",
    "at_most": "<= lte 不超过 至多",
    "is": "= == equals eq 等于 是",
    "is_not": "!= <> ne 不等于 不是",
}


def _inverted() -> Mapping[str, Sequence[str]]:
    meant: dict[str, list[str]] = defaultdict(list)
    for word, called in _CALLED.items():
        for other in called.split():
            meant[other].append(word)
    return dict(meant)


MEANT = _inverted()  # the first that is known where the word stands is meant
