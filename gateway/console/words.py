"""The words on every page's frame, in Chinese and English; each page has its own beside them."""

from collections.abc import Mapping
from typing import Any

PAGE: Mapping[str, Mapping[str, Any]] = {
    "zh": {
        "skip": "跳到正文", "navigation": "导航", "sign_out": "退出", "local": "本机", "shortcuts": "快捷键", "close": "关闭",
        "nav": {"tickets": "工单", "new": "新建工单", "quarantine": "隔离区", "outbox": "发件箱", "rules": "规则", "journal": "收件日志", "health": "运行状态"},
        "key_list": [("/", "搜索"), ("j", "下一条"), ("k", "上一条"), ("Enter", "打开"), ("x", "选中"), ("c", "写备注"),
                     ("g t", "工单"), ("g n", "新建工单"), ("g q", "隔离区"), ("g o", "发件箱"), ("g r", "规则"), ("g j", "收件日志"),
                     ("g h", "运行状态"), ("?", "本页"), ("Esc", "关闭")],
        "filter": "筛选", "picked": "已选 {} 件", "news": "{} 件新的：显示", "pages": "翻页", "first": "回到最新", "older": "更早", "newer": "更新",
        "not_found": "没有这一页。", "not_found_hint": "地址可能写错了，或者它已不在这里。",
        "failed": "这里出了错，没有做成。", "failed_hint": "已经记入日志，请再试一次；还不行就告诉管理员。",
        "unavailable": "暂时存不进去。", "unavailable_hint": "什么都没有改变。请稍等片刻再试。",
        "cannot": "做不成。", "to_tickets": "回到工单列表",
        "done": {
            "saved": "已保存。", "claimed": "这张工单归您了。", "commented": "备注已加上。", "merged": "已并入那张工单。", "linked": "已关联。",
            "reviewed": "复核结论已记下。", "created": "工单已建立。", "revealed": "正在显示原文，15 分钟后重新打码。", "retried": "已重新排队处理。",
            "resent": "已重新排队发送。", "edited": "已改好并重新排队发送。", "waiting": "已收下，正在处理；刷新即可看到结果。", "nothing": "没有改动。",
            "erased": "已抹除。",
        },
        "now": "刚刚", "ago": "{}前", "ahead": "{}后", "left": "还剩 {}", "over": "超时 {}", "met": "已完成", "missed": "未按时",
        "units": {"day": "{} 天", "hour": "{} 小时", "minute": "{} 分", "second": "{} 秒"},
    },
    "en": {
        "skip": "Skip to the page", "navigation": "Navigation", "sign_out": "Sign out", "local": "this machine", "shortcuts": "Keyboard", "close": "Close",
        "nav": {"tickets": "Tickets", "new": "New ticket", "quarantine": "Quarantine", "outbox": "Outbox", "rules": "Rules", "journal": "Journal", "health": "Health"},
        "key_list": [("/", "search"), ("j", "next"), ("k", "previous"), ("Enter", "open"), ("x", "select"), ("c", "comment"),
                     ("g t", "tickets"), ("g n", "new ticket"), ("g q", "quarantine"), ("g o", "outbox"), ("g r", "rules"), ("g j", "journal"),
                     ("g h", "health"), ("?", "this help"), ("Esc", "close")],
        "filter": "Filter", "picked": "{} selected", "news": "New: {}. Show", "pages": "Pages", "first": "Newest", "older": "Older", "newer": "Newer",
        "not_found": "There is no such page.", "not_found_hint": "The address may be wrong, or it is not here any more.",
        "failed": "Something went wrong here; it was not done.", "failed_hint": "It is in the log. Try once more, and tell an administrator if it stays so.",
        "unavailable": "It could not be stored just now.", "unavailable_hint": "Nothing was changed. Wait a moment and try again.",
        "cannot": "That cannot be done.", "to_tickets": "Back to the tickets",
        "done": {
            "saved": "Saved.", "claimed": "This ticket is yours.", "commented": "The comment is added.", "merged": "It goes on in that ticket.", "linked": "Linked.",
            "reviewed": "The verdict is kept.", "created": "The ticket is made.", "revealed": "Shown unmasked for 15 minutes.", "retried": "It is processed again.",
            "resent": "It is sent again.", "edited": "Changed, and sent again.", "waiting": "Taken, and being worked on; reload to see what became of it.", "nothing": "Nothing was changed.",
            "erased": "Erased.",
        },
        "now": "just now", "ago": "{} ago", "ahead": "in {}", "left": "{} left", "over": "{} over", "met": "done", "missed": "missed",
        "units": {"day": "{} d", "hour": "{} h", "minute": "{} min", "second": "{} s"},
    },
}  # fmt: skip
