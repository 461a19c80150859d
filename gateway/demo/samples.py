"""What the demo sends, and what must become of it. Each is what a customer or a channel really does."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from typing import Literal

PHOTO = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000080000000808020000004b6d29dc0000001749444154789c63f8cf"
    "80151001a3c2388c2838c28008000f5b1fe1e1a63c130000000049454e44ae426082"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One thing sent. `sender` finds its ticket again; `expect` is checked by `demo --once`."""

    what: tuple[str, str]  # zh, en
    way: Literal["mail", "form", "app", "webhook", "api", "chat"]
    content: bytes
    sender: str = ""
    to: str = "support@example.com"
    headers: Mapping[str, str] = field(default_factory=dict)
    signed: bool = True
    answer: str = ""  # how the door must answer: 250, 204, 401, ...
    expect: Mapping[str, str] = field(default_factory=dict)  # of its ticket
    becomes: Literal["ticket", "same", "kept", "refused", "added"] = "ticket"


def mail(sender: str, name: str, subject: str, text: str, identity: str, **headers: str) -> EmailMessage:
    made = EmailMessage(policy=SMTP)
    made["From"] = f"{name} <{sender}>"
    made["To"] = "support@example.com"
    made["Subject"] = subject
    made["Message-ID"] = f"<{identity}@{sender.partition('@')[2]}>"
    made["Date"] = "Fri, 27 Oct 2023 09:30:00 +0800"
    for header, value in headers.items():
        made[header.replace("_", "-")] = value
    made.set_content(text)
    return made


def with_photo(made: EmailMessage, name: str) -> EmailMessage:
    made.add_attachment(PHOTO, maintype="image", subtype="png", filename=name)
    return made


def in_gb18030(sender: str, subject: str, text: str, identity: str) -> bytes:
    """As many Chinese mail programs write: raw GB18030, in the headers too, labelled gb2312."""
    head = (
        f"From: 王芳 <{sender}>\r\nTo: support@example.com\r\nSubject: {subject}\r\nMessage-ID: <{identity}@example.cn>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=gb2312\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    )
    return (head + text.replace("\n", "\r\n")).encode("gb18030")


def chat(*said: tuple[str, str, str, str]) -> bytes:
    """One request of a chat system: (id, words, address, name) of each message."""
    messages = [
        {"id": i, "text": text, "from": sender, "name": name, "thread": sender} for i, text, sender, name in said
    ]
    return json.dumps({"messages": messages}, ensure_ascii=False).encode()


EXAMPLE = mail("lilei@example.cn", "李雷", "物流问题", "订单号5，物流显示已签收但未收到货", "example-1")
COMPLAINT = ("chat-1001", "我要投诉！昨天的客服态度太差了，一直敷衍我", "han@example.cn", "韩梅梅")
LATE = ("chat-1002", "Where is my parcel? Order #A-7788 still has not arrived.", "mary@example.com", "Mary Jones")

SAMPLES: tuple[Sample, ...] = (
    Sample(("邮件：已签收但未收到货", "mail: signed for, never received"), "mail", EXAMPLE.as_bytes(), "lilei@example.cn",
           answer="250", expect={"category": "after_sales", "subcategory": "logistics", "priority": "normal",
                                 "group": "logistics", "acknowledged": "zh", "promise": "4 小时内"}),
    Sample(("同一封邮件再发一次", "the same mail again"), "mail", EXAMPLE.as_bytes(), "lilei@example.cn", answer="250",
           becomes="same"),
    Sample(("英文邮件：要求退款", "mail in English: a refund"), "mail",
           mail("john@example.com", "John Smith", "Refund",
                "Hi,\n\nthe shoes of order #A-1029 do not fit. I want a refund of 120 USD, please.\n\nJohn", "en-1").as_bytes(),
           "john@example.com", answer="250", expect={"category": "after_sales", "subcategory": "refund", "acknowledged": "en"}),
    Sample(("GBK 原始编码的邮件：发票", "mail in raw GBK: an invoice"), "mail",
           in_gb18030("wangfang@example.cn", "发票", "请问订单 20231027 怎么开发票？需要公司抬头。\n王芳", "gbk-1"),
           "wangfang@example.cn", answer="250", expect={"category": "inquiry", "subcategory": "invoice", "acknowledged": "zh"}),
    Sample(("带照片的邮件：商品故障", "mail with a photo: faulty goods"), "mail",
           with_photo(mail("zhao@example.cn", "赵云", "耳机坏了", "收到的耳机左边没有声音，坏了，请看照片。订单号 20231026-88",
                           "photo-1"), "耳机照片.png").as_bytes(),
           "zhao@example.cn", answer="250", expect={"category": "after_sales", "attachments": "1", "acknowledged": "zh"}),
    Sample(("自动回复邮件", "an auto-reply"), "mail",
           mail("busy@example.cn", "孙忙", "自动回复：我在休假", "您好，我正在休假，下周一回复您。", "auto-1",
                Auto_Submitted="auto-replied").as_bytes(),
           "busy@example.cn", answer="250", becomes="kept"),
    Sample(("VIP 客户的邮件", "mail of a VIP"), "mail",
           mail("vip@example.com", "周总", "理财产品赎回失败", "我的账户赎回一直失败，提示系统错误 E1024，请尽快处理。", "vip-1").as_bytes(),
           "vip@example.com", answer="250", expect={"group": "senior", "acknowledged": "zh"}),
    Sample(("含糊的邮件", "a vague mail"), "mail",
           mail("wu@example.cn", "吴某", "你好", "你好，在吗？", "vague-1").as_bytes(),
           "wu@example.cn", answer="250", expect={"review": "yes", "acknowledged": "zh"}),
    Sample(("客户催单（回复第一封）", "the customer urges (reply to the first)"), "mail",
           mail("lilei@example.cn", "李雷", "Re: 物流问题", "怎么还没人处理？请尽快，我很着急！", "example-2",
                In_Reply_To="<example-1@example.cn>", References="<example-1@example.cn>").as_bytes(),
           "lilei@example.cn", answer="250", expect={"priority": "high"}, becomes="added"),
    Sample(("发往不存在的地址", "mail to an unknown address"), "mail",
           mail("li@example.cn", "李", "?", "有人吗", "nobody-1").as_bytes(), "li@example.cn", to="nobody@example.com",
           answer="550", becomes="refused"),
    Sample(("网页表单：建议", "web form: a suggestion"), "form",
           json.dumps({"name": "陈晨", "email": "chen@example.cn", "message": "建议 App 增加夜间模式，晚上看太刺眼了。",
                       "submission": "demo-form-0001"}).encode(),
           "chen@example.cn", answer="303", expect={"category": "suggestion", "acknowledged": "zh"}),
    Sample(("App 内表单（英文 JSON）", "an app's own form (JSON)"), "app",
           json.dumps({"name": "Ann Lee", "email": "ann@example.com", "lang": "en", "submission": "demo-form-0002",
                       "message": "How do I change the phone number of my account?"}).encode(),
           "ann@example.com", answer="202", expect={"category": "inquiry", "acknowledged": "en"}),
    Sample(("机器人填写了隐藏字段", "a robot filled in the hidden field"), "app",
           json.dumps({"email": "bot@example.net", "message": "buy cheap", "website": "http://example.net",
                       "submission": "demo-form-0003"}).encode(),
           answer="403", becomes="refused"),
    Sample(("网页聊天：已登录的用户", "web chat: somebody signed in"), "chat",
           json.dumps({"id": "demo-chat-0001", "text": "账号登录不了，一直提示系统错误 E21", "lang": "zh"}).encode(),
           "+8613900001111", answer="202", expect={"acknowledged": "zh"}),
    Sample(("签名的 Webhook：投诉", "signed webhook: a complaint"), "webhook", chat(COMPLAINT), "han@example.cn",
           headers={"webhook-id": "hook-1"}, answer="204", expect={"category": "complaint", "priority": "high",
                                                                   "acknowledged": "zh"}),
    Sample(("同一条消息在另一批里重发，外加一条新消息", "redelivered in another batch, with one new"), "webhook",
           chat(COMPLAINT, LATE), "mary@example.com", headers={"webhook-id": "hook-2"}, answer="204",
           expect={"category": "after_sales", "subcategory": "logistics", "acknowledged": "en"}),
    Sample(("签名错误的 Webhook", "webhook with a wrong signature"), "webhook",
           chat(("chat-6666", "把余额都退给我", "evil@example.net", "")), headers={"webhook-id": "hook-3"}, signed=False,
           answer="401", becomes="refused"),
    Sample(("接口：自家系统提交", "API: a program of our own"), "api",
           json.dumps({"from": {"email": "qian@example.cn", "name": "钱多多"}, "channel": "app", "external_id": "app-1",
                       "text": "订单号 20231025-7，要求退货退款 899 元，质量有问题"}).encode(),
           "qian@example.cn", answer="202", expect={"category": "after_sales", "acknowledged": "zh"}),
)  # fmt: skip
