"""The side of 企业微信: the token, an app's messages, 微信客服 with pages and cursors, media, and signed callbacks.

developer.work.weixin.qq.com/document/path/91039 (gettoken), 90236 (message/send), 94670 (sync_msg), 94677 (send_msg),
95159 (customer/batchget), 90254 (media/get), 90968 (callbacks). Callbacks are sealed by wechatpy, an implementation that is not ours.
"""

from collections import Counter
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import orjson
import xmltodict
from starlette.requests import Request as Asked
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from vendor import Vendor
from wechatpy.crypto import WeChatCrypto

from connectors.base import Request

MOMENT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
TOKEN, KEY, CORP_ID, SECRET = "tok3n-of-wecom", "Zx8mQ1rT5vB9nK3cW7yP0aLdF4hJ6gSeU2iOqRtYwXz", "ww9f8e7d6c5b4a3210", "s3cret-of-wecom"  # fmt: skip
AGENT, COLLEAGUE = 1000002, "LiSi"
KFID, CUSTOMER = "wkAJ2GCAAASSm4_FhToWMFea0xAFfd3Q", "wmAJ2GCAAAme1XQRC-NI-q0_ZM9ukoAw"


class Side(Vendor):
    """`items` are what 微信客服 lists; a cursor is how many of them were read."""

    def __init__(self) -> None:
        super().__init__()
        self.token = "access-0"
        self.asked: Counter[str] = Counter()
        self.answer: dict[str, int] = {}  # errcode for the next calls of a path
        self.items: list[dict[str, Any]] = []
        self.page = 1000
        self.valid = ""  # the last callback's token
        self.polls: list[dict[str, Any]] = []
        self.unseen: set[str] = set()  # colleagues the app may not see
        self.media: dict[str, Response] = {}

    def settings(self) -> dict[str, Any]:
        return {"api": self.url, "allow_private": True}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/cgi-bin/gettoken", self.gettoken),
            Route("/cgi-bin/message/send", self.message_send, methods=["POST"]),
            Route("/cgi-bin/kf/account/list", self.account_list, methods=["POST"]),
            Route("/cgi-bin/kf/customer/batchget", self.batchget, methods=["POST"]),
            Route("/cgi-bin/kf/sync_msg", self.sync_msg, methods=["POST"]),
            Route("/cgi-bin/kf/send_msg", self.kf_send, methods=["POST"]),
            Route("/cgi-bin/agent/get", self.agent_get),
            Route("/cgi-bin/media/get", self.media_get),
        ]

    async def gettoken(self, asked: Asked) -> Response:
        self.asked["token"] += 1
        if code := self.answer.get("token"):
            return failed(code, "not allow to access from your ip, hint: [17], from ip: 203.0.113.9, more info at ...")
        if (asked.query_params["corpid"], asked.query_params["corpsecret"]) != (CORP_ID, SECRET):
            return failed(40001, "invalid credential")
        return JSONResponse({"errcode": 0, "errmsg": "ok", "access_token": self.token, "expires_in": 7200})

    def wrong(self, asked: Asked, path: str) -> Response | None:
        self.asked[path] += 1
        if asked.query_params.get("access_token") != self.token:
            return failed(40014, "invalid access_token")
        return failed(code, "no") if (code := self.answer.get(path, 0)) else None

    async def message_send(self, asked: Asked) -> Response:
        if wrong := self.troubled() or self.wrong(asked, "app"):
            return wrong
        said = orjson.loads(await asked.body())
        assert said["agentid"] == AGENT
        if said["touser"] in self.unseen:
            return JSONResponse({"errcode": 0, "errmsg": "ok", "invaliduser": said["touser"].lower(), "msgid": "x"})
        card = said.get("template_card", {})
        text = said["text"]["content"] if said["msgtype"] == "text" else card.get("sub_title_text", "")
        self.sent.append({"to": said["touser"], "text": text, "buttons": card.get("button_list", [])})
        return JSONResponse({"errcode": 0, "errmsg": "ok", "msgid": f"app-{len(self.sent)}"})

    async def kf_send(self, asked: Asked) -> Response:
        if wrong := self.troubled() or self.wrong(asked, "send"):
            return wrong
        said = orjson.loads(await asked.body())
        text = said["text"]["content"] if said["msgtype"] == "text" else said["msgmenu"]["head_content"]
        limit = 2048 if said["msgtype"] == "text" else 1024
        if len(text.encode()) > limit or len(said["msgid"]) > 32:
            return failed(40058, "invalid parameter")
        told = {"id": said["msgid"], "from": said["open_kfid"], "buttons": said.get("msgmenu", {}).get("list", [])}
        self.sent.append({"to": said["touser"], "text": text, **told})
        return JSONResponse({"errcode": 0, "errmsg": "ok", "msgid": said["msgid"]})

    async def account_list(self, asked: Asked) -> Response:
        listed = [{"open_kfid": KFID, "name": "售后", "avatar": "https://example.com/a.png"}]
        return self.wrong(asked, "list") or JSONResponse({"errcode": 0, "errmsg": "ok", "account_list": listed})

    async def sync_msg(self, asked: Asked) -> Response:
        if wrong := self.wrong(asked, "sync"):
            return wrong
        said = orjson.loads(await asked.body())
        self.polls.append(said)
        if said.get("token") and said["token"] != self.valid:
            return failed(95007, "invalid msg token")
        start = int(said.get("cursor") or 0)
        items = [item for item in self.items if item.get("open_kfid", KFID) == said.get("open_kfid", KFID)]
        end = min(len(items), start + min(self.page, said["limit"]))
        more, listed = int(end < len(items)), items[start:end]
        return JSONResponse(
            {"errcode": 0, "errmsg": "ok", "next_cursor": str(end), "has_more": more, "msg_list": listed}
        )

    async def batchget(self, asked: Asked) -> Response:
        whom = orjson.loads(await asked.body())["external_userid_list"]
        assert len(whom) <= 100
        known = [
            {"external_userid": one, "nickname": "张三", "avatar": "", "gender": 1} for one in whom if one == CUSTOMER
        ]
        others = [one for one in whom if one != CUSTOMER]
        told = {"errcode": 0, "errmsg": "ok", "customer_list": known, "invalid_external_userid": others}
        return self.wrong(asked, "names") or JSONResponse(told)

    async def agent_get(self, asked: Asked) -> Response:
        return self.wrong(asked, "agent") or JSONResponse({"errcode": 0, "errmsg": "ok", "agentid": AGENT})

    async def media_get(self, asked: Asked) -> Response:
        known = self.media.get(asked.query_params["media_id"]) or failed(40007, "invalid media_id")
        return self.wrong(asked, "media") or known

    def signed(self, xml: str, at: datetime = MOMENT, *, nonce: str = "1372623149") -> Request:
        """A callback as the vendor posts it."""
        timestamp = str(int(at.timestamp()))
        sealed = xmltodict.parse(WeChatCrypto(TOKEN, KEY, CORP_ID).encrypt_message(xml, nonce, timestamp))["xml"]
        query = {"msg_signature": sealed["MsgSignature"], "timestamp": timestamp, "nonce": nonce}
        body = (
            f"<xml><ToUserName><![CDATA[{CORP_ID}]]></ToUserName><Encrypt><![CDATA[{sealed['Encrypt']}]]></Encrypt>"
            f"<AgentID><![CDATA[{AGENT}]]></AgentID></xml>"
        )
        url = f"http://127.0.0.1/in/wecom/main?{urlencode(query)}"
        return Request("POST", url, {"content-type": "text/xml"}, body.encode(), query, "192.0.2.7", at)


def failed(code: int, words: str) -> Response:
    return JSONResponse({"errcode": code, "errmsg": words})


def message(kind: str = "text", *, id: str = "7312894501283746112", **more: str) -> str:
    """The XML of what a colleague writes to the app."""
    own = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in more.items())
    return (
        f"<xml><ToUserName><![CDATA[{CORP_ID}]]></ToUserName><FromUserName><![CDATA[{COLLEAGUE}]]></FromUserName>"
        f"<CreateTime>1772443798</CreateTime><MsgType><![CDATA[{kind}]]></MsgType>{own}"
        f"{f'<MsgId>{id}</MsgId>' if id else ''}<AgentID>{AGENT}</AgentID></xml>"
    )


def callback(token: str = "ENCApHxnGDNAVNY4AaSJKj4Tb5mwsEMzxhFmHVGcra996NR", kfid: str = KFID) -> str:
    """There is something new in 微信客服."""
    return (
        f"<xml><ToUserName><![CDATA[{CORP_ID}]]></ToUserName><CreateTime>1772443798</CreateTime>"
        "<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[kf_msg_or_event]]></Event>"
        f"<Token><![CDATA[{token}]]></Token><OpenKfId><![CDATA[{kfid}]]></OpenKfId></xml>"
    )


def item(kind: str = "text", *, id: str = "4Jc1", origin: int = 3, at: int = 1772443798, **part: Any) -> dict[str, Any]:
    """A message as sync_msg lists it."""
    colleague = {"servicer_userid": COLLEAGUE} if origin == 5 else {}
    whom = {"open_kfid": KFID, "external_userid": CUSTOMER}
    return {"msgid": id, **whom, "send_time": at, "origin": origin, **colleague, "msgtype": kind, kind: part}


def event(kind: str, *, id: str = "4Jc2", at: int = 1772443798, **part: Any) -> dict[str, Any]:
    inside = {"event_type": kind, "open_kfid": KFID, "external_userid": CUSTOMER, **part}
    return {"msgid": id, "send_time": at, "origin": 4, "msgtype": "event", "event": inside}
