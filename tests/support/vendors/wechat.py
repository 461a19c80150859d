"""The side of 微信公众平台: the token, customer-service messages with window and quota, media, and signed callbacks.

developers.weixin.qq.com/doc/offiaccount: getStableAccessToken, Service_Center_messages, Get_temporary_materials,
Message_encryption_and_decryption_instructions. Callbacks are sealed by wechatpy, an implementation that is not ours.
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
from wechatpy.utils import WeChatSigner

from connectors.base import Request

MOMENT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
TOKEN, KEY, APP_ID, SECRET = "tok3n-of-wechat", "kMR7f0aXQ2v9LrT4yBnE8sWcUdJpHq1ZxGoA6iYbNm5", "wx1f2e3d4c5b6a7980", "s3cret-of-wechat"  # fmt: skip
OURS, CUSTOMER = "gh_5ad0c1b2e3f4", "oX9k2uD7wQe4rT1yU8iOpLmN3bVc"


class Side(Vendor):
    """`tokens` lists those it gave; only the last one is good, until `expire`."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []
        self.forced = 0
        self.asked: Counter[str] = Counter()
        self.answer: dict[str, int] = {}  # errcode for the next calls of a path
        self.quota = 5
        self.media: dict[str, Response] = {}

    def settings(self) -> dict[str, Any]:
        return {"api": self.url, "allow_private": True}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/cgi-bin/stable_token", self.token, methods=["POST"]),
            Route("/cgi-bin/message/custom/send", self.custom, methods=["POST"]),
            Route("/cgi-bin/media/get", self.media_get),
            Route("/cgi-bin/getcallbackip", self.plain),
            Route("/cgi-bin/openapi/quota/get", self.plain, methods=["POST"]),
        ]

    async def token(self, asked: Asked) -> Response:
        said = await asked.json()
        self.asked["token"] += 1
        if code := self.answer.get("token"):
            return JSONResponse({"errcode": code, "errmsg": "invalid ip 203.0.113.9 ipv6 ::ffff:203.0.113.9, not in whitelist"})  # fmt: skip
        if said["grant_type"] != "client_credential" or said["appid"] != APP_ID:
            return JSONResponse({"errcode": 40013, "errmsg": "invalid appid"})
        if said["secret"] != SECRET:
            return JSONResponse({"errcode": 40125, "errmsg": "invalid appsecret"})
        if said["force_refresh"] or not self.tokens or not self.tokens[-1]:
            self.forced += said["force_refresh"]
            self.tokens.append(f"token-{len(self.tokens)}")
        return JSONResponse({"access_token": self.tokens[-1], "expires_in": 7200})

    def wrong(self, asked: Asked, path: str) -> Response | None:
        self.asked[path] += 1
        given = asked.query_params.get("access_token", "")
        if not self.tokens or given != self.tokens[-1]:
            code = 42001 if given in self.tokens else 40001
            return JSONResponse(
                {"errcode": code, "errmsg": "invalid credential, access_token is invalid or not latest"}
            )
        if code := self.answer.get(path, 0):
            return JSONResponse({"errcode": code, "errmsg": "no hint: [Xa7r]"})
        return None

    async def custom(self, asked: Asked) -> Response:
        if trouble := self.troubled():
            return trouble
        if wrong := self.wrong(asked, "send"):
            return wrong
        said = orjson.loads(await asked.body())
        if not self.quota:
            return JSONResponse({"errcode": 45047, "errmsg": "out of response count limit"})
        text = said["text"]["content"] if said["msgtype"] == "text" else said["msgmenu"]["head_content"]
        if not text:
            return JSONResponse({"errcode": 44004, "errmsg": "empty content"})
        if len(text.encode()) > 2048:
            return JSONResponse({"errcode": 45002, "errmsg": "content size out of limit"})
        self.quota -= 1
        self.sent.append({"to": said["touser"], "text": text, "buttons": said.get("msgmenu", {}).get("list", [])})
        return JSONResponse({"errcode": 0, "errmsg": "ok"})

    async def media_get(self, asked: Asked) -> Response:
        if wrong := self.wrong(asked, "media"):
            return wrong
        known = self.media.get(asked.query_params["media_id"])
        return known or JSONResponse({"errcode": 40007, "errmsg": "invalid media_id"})

    async def plain(self, asked: Asked) -> Response:
        path = asked.url.path.rpartition("/")[2]
        return self.wrong(asked, path) or JSONResponse({"errcode": 0, "errmsg": "ok", "ip_list": ["203.0.113.1"]})

    def signed(self, xml: str, at: datetime = MOMENT, *, nonce: str = "640118265", plain: bool = False) -> Request:
        """A message as the vendor posts it, in 安全模式 unless it is to be plain (明文模式)."""
        timestamp = str(int(at.timestamp()))
        query = {
            "signature": signed(TOKEN, timestamp, nonce),
            "timestamp": timestamp,
            "nonce": nonce,
            "openid": CUSTOMER,
        }
        body = xml
        if not plain:
            sealed = xmltodict.parse(WeChatCrypto(TOKEN, KEY, APP_ID).encrypt_message(xml, nonce, timestamp))["xml"]
            query |= {"encrypt_type": "aes", "msg_signature": sealed["MsgSignature"]}
            body = (
                f"<xml>\n    <ToUserName><![CDATA[{OURS}]]></ToUserName>\n"
                f"    <Encrypt><![CDATA[{sealed['Encrypt']}]]></Encrypt>\n</xml>\n"
            )
        url = f"http://127.0.0.1/in/wechat/main?{urlencode(query)}"
        return Request("POST", url, {"content-type": "text/xml"}, body.encode(), query, "192.0.2.7", at)

    def opened(self, body: bytes, nonce: str = "640118265") -> dict[str, str]:
        """A sealed passive reply, as the vendor reads it."""
        said = xmltodict.parse(body)["xml"]
        crypto = WeChatCrypto(TOKEN, KEY, APP_ID)
        xml = crypto.decrypt_message(body.decode(), said["MsgSignature"], said["TimeStamp"], said["Nonce"])
        assert said["Nonce"] == nonce
        return dict(xmltodict.parse(xml)["xml"])


def signed(*parts: str) -> str:
    signer = WeChatSigner()
    signer.add_data(*parts)
    return str(signer.signature)


def message(kind: str = "text", *, id: str = "25077140392348167", at: int = 1772443798, **more: str) -> str:
    """The XML of a message; `more` are its own fields."""
    own = "".join(f"<{name}><![CDATA[{value}]]></{name}>\n" for name, value in more.items())
    named = f"<MsgId>{id}</MsgId>\n" if id else ""
    return (
        f"<xml>\n<ToUserName><![CDATA[{OURS}]]></ToUserName>\n<FromUserName><![CDATA[{CUSTOMER}]]></FromUserName>\n"
        f"<CreateTime>{at}</CreateTime>\n<MsgType><![CDATA[{kind}]]></MsgType>\n{own}{named}</xml>"
    )
