"""The words on our pages, in Chinese and English."""

from collections.abc import Mapping
from typing import Any

PAGE: Mapping[str, Mapping[str, Any]] = {
    "zh": {
        "tickets": "工单", "review": "待复核", "pages": "翻页", "first": "最新", "older": "更早", "why": "为什么是这样",
        "messages": "消息", "attachments": "附件", "ruleset": "规则集", "no_decision": "还没有决策。",
        "counts": "{} 张工单；{} 封待处理；待发送 {}，失败 {}；隔离 {}",
        "no_tickets": "还没有工单。",
        "what_next": "给已配置的邮箱发一封信，或打开 /form/账户 提交表单；`ticketgate doctor` 会逐项检查配置。",
        "heads": ["编号", "时间", "渠道", "客户", "主题", "分类", "优先级", "处理组", "状态"],
        "sign_out": "退出",
        "not_found": "没有这张工单。", "not_found_hint": "回到列表看看。",
        "facts": {"contact": "客户", "channel": "渠道", "category": "分类", "priority": "优先级", "status": "状态",
                  "group": "处理组", "tags": "标签", "sla": "承诺", "acked": "已告知客户", "external": "下游系统",
                  "extracted": "提取", "review": "复核", "related": "关联"},
    },
    "en": {
        "tickets": "Tickets", "review": "review", "pages": "Pages", "first": "Newest", "older": "Older", "why": "Why it is so",
        "messages": "Messages", "attachments": "Attachments", "ruleset": "rule set", "no_decision": "No decision yet.",
        "counts": "{} tickets; {} waiting; to send {}, dead {}; set aside {}",
        "no_tickets": "No tickets yet.",
        "what_next": "Send a mail to a configured address or open /form/ACCOUNT; `ticketgate doctor` checks the settings.",
        "heads": ["Number", "When", "Channel", "Customer", "Subject", "Category", "Priority", "Group", "Status"],
        "sign_out": "Sign out",
        "not_found": "There is no such ticket.", "not_found_hint": "Go back to the list.",
        "facts": {"contact": "Customer", "channel": "Channel", "category": "Category", "priority": "Priority",
                  "status": "Status", "group": "Group", "tags": "Tags", "sla": "Promised", "acked": "Acknowledged",
                  "external": "Handed over", "extracted": "Found in the words", "review": "Review", "related": "Related"},
    },
}  # fmt: skip
