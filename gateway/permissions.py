"""Who may do what. Roles are for people, scopes for programs with an API key; both are made of the same permissions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Role = Literal["viewer", "agent", "operator", "admin"]

PERMISSIONS: Mapping[str, tuple[str, str]] = {
    # permission: zh, en
    "tickets:read": ("查看工单（个人信息打码）", "see tickets, personal data masked"),
    "journal:read": ("查看收件日志和各接入的状态", "see the journal and how every connector, rule set and target is"),
    "quarantine:read": ("查看隔离区", "see what was set aside"),
    "outbox:read": ("查看发件箱", "see what is owed to the outside"),
    "events:read": ("接收实时事件", "follow events as they happen"),
    "messages:write": ("提交消息", "hand in customers' messages"),
    "tickets:write": ("建单、分派、备注、改状态等", "create, assign, comment, change and judge tickets"),
    "personal:read": ("查看个人信息原文", "see personal data unmasked, with a reason that is kept"),
    "quarantine:write": ("重试隔离的消息", "let what was set aside be processed again"),
    "outbox:write": ("修改并重发", "mend and resend what was refused"),
    "rules:write": ("上线和撤回规则", "put rules live and take them back"),
    "users:write": ("管理用户", "add, change and remove users"),
    "keys:write": ("管理 API 密钥", "make and end API keys"),
    "audit:read": ("查看审计记录", "see who did what"),
}

_VIEWER = frozenset(("tickets:read", "journal:read", "quarantine:read", "outbox:read", "events:read"))
_AGENT = _VIEWER | {"messages:write", "tickets:write", "personal:read"}
_OPERATOR = _AGENT | {"quarantine:write", "outbox:write", "rules:write"}

ROLES: Mapping[Role, frozenset[str]] = {
    "viewer": _VIEWER,
    "agent": _AGENT,
    "operator": _OPERATOR,
    "admin": frozenset(PERMISSIONS),
}


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks: a person signed in, or a program with a key. `source` is how what they did is signed."""

    kind: Literal["person", "key"]
    id: str
    name: str
    permissions: frozenset[str]
    session: str = ""  # a person's session: what they were shown, they were shown in it

    @property
    def source(self) -> str:
        return f"{self.kind}:{self.id}"

    def may(self, permission: str) -> bool:
        return permission in self.permissions
