"""What a message to a DingTalk bot says (opensource.dingtalk.com/developerpedia/docs/learn/bot/appbot/receive).

The same JSON comes by HTTP and, inside a frame, by Stream.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from mimetypes import guess_type
from typing import Any

import orjson

from connectors.reading import within, word
from normalizer.canon import Attachment
from normalizer.charset import clean

TOPIC = "/v1.0/im/bot/messages/get"
FILES = {"picture": ("image", "image/jpeg"), "audio": ("audio", "audio/amr"), "video": ("video", "video/mp4")}
LABELS = {
    "picture": "图片", "audio": "语音", "video": "视频", "file": "文件", "richText": "富文本", "chatRecord": "聊天记录",
    "interactiveCard": "卡片", "unknownMsgType": "机器人收不到的消息",
}  # fmt: skip

# What a link of ours says when it is clicked: the label, and the code so that we know it again.
CHOSEN = re.compile(r"(?P<label>.{1,200}) ⟦(?P<code>[\w:.-]{1,64})⟧", re.DOTALL)

_NAME = re.compile(r"@\S{1,60}")
_CODE = re.compile(r"[!-~]{1,2048}", re.ASCII)


def chosen(label: str, code: str) -> str:
    return f"{label} ⟦{code}⟧"


@dataclass(frozen=True, slots=True)
class Content:
    """`answers` is the message that is quoted, `quoted` what it said."""

    text: str
    files: tuple[Attachment, ...] = ()
    answers: str = ""
    quoted: str = ""


def unwrapped(said: Any) -> Mapping[str, Any] | None:
    """The message in a frame of Stream, or the message itself; None if it is news of another kind."""
    if not isinstance(said, dict):
        return {}
    if "data" in said and isinstance(said.get("headers"), dict):
        if word(said, "type") != "CALLBACK" or word(said["headers"], "topic") != TOPIC:
            return None
        return _object(said["data"])
    strange = "msgtype" not in said and any(
        name in said for name in ("EventType", "eventType", "encrypt", "outTrackId")
    )
    return None if strange else said


def read(said: Mapping[str, Any], bot: str = "") -> Content:
    """`bot` is what we are called in groups, to be left out of what people say."""
    kind, content, text = word(said, "msgtype"), _object(said.get("content")), within(said, "text")
    robot, bot = word(said, "robotCode"), bot or _called(said, content)
    words, files = clean(_words(kind, text, content, bot)).strip(), tuple(_files(kind, content, robot))
    if bot:
        words = re.sub(rf"@{re.escape(bot)}(?=\s|$)", "", words).strip() or words
    if not (words or files):
        why = word(content, "unknownMsgType") or word(said, "errorMessage")
        words = clean(" ".join(filter(None, [f"[{LABELS.get(kind, kind or '?')}]", why])))
    replied = within(text, "repliedMsg") or within(content, "repliedMsg") or within(said, "repliedMsg")
    answers = word(said, "originalProcessQueryKey") or word(replied, "msgId") or word(said, "originalMsgId")
    return Content(words, files, answers if replied else "", clean(_quoted(replied)))


def _called(said: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    """What we are called, if rich text in a group mentions nobody else: a piece of its own."""
    at = said.get("atUsers")
    if word(said, "conversationType") != "2" or said.get("isInAtList") is not True or (isinstance(at, list) and at[1:]):
        return ""
    names = [name for one in _list(content, "richText") if _NAME.fullmatch(name := word(one, "text").strip())]
    return names[0][1:] if len(names) == 1 else ""


def _words(kind: str, text: Mapping[str, Any], content: Mapping[str, Any], bot: str = "") -> str:
    match kind:
        case "text":
            return word(text, "content") or word(content, "content", "text")
        case "richText":
            said = [word(one, "text", "content") for one in _list(content, "richText")]
            return "".join(one for one in said if one.strip() != f"@{bot}") or "".join(said)
        case "audio":
            return word(content, "recognition")
        case "chatRecord":
            return _record(content)
        case "interactiveCard":
            return _card(content)
        case "picture" | "video" | "file" | "unknownMsgType":
            return ""
        case _:
            return word(content, "text", "content", "title") or word(text, "content")


def _record(content: Mapping[str, Any]) -> str:
    """Messages passed on together, one a line."""
    lines = [word(content, "summary")]
    for one in _list(content, "chatRecord"):
        kind = word(one, "msgType", "msgtype")
        words = word(one, "content", "text") or word(within(one, "content"), "text", "content")
        lines.append(": ".join(filter(None, [word(one, "senderNick"), words or f"[{LABELS.get(kind, kind)}]"])))
    return "\n".join(line for line in lines if line)


def _card(content: Mapping[str, Any]) -> str:
    told = word(within(content, "cardData", "cardParamMap"), "content", "title") or word(content, "title", "text")
    return f"[卡片] {told}" if told else ""


def _files(kind: str, content: Mapping[str, Any], robot: str) -> Iterator[Attachment]:
    if kind == "richText":
        for one in _list(content, "richText"):
            yield from _files(word(one, "type") or "picture", one if isinstance(one, dict) else {}, robot)
    elif kind in FILES or kind == "file":
        code = word(content, "downloadCode", "pictureDownloadCode")
        if _CODE.fullmatch(code) and (_CODE.fullmatch(robot) or not robot):
            called, usual = FILES.get(kind, ("file", ""))
            name = clean(word(content, "fileName")).replace("/", "_").replace("\n", " ")[:255]
            ending = word(content, "videoType")
            name = name or (f"{called}.{ending}" if ending.isalnum() and len(ending) < 6 else called)
            yield Attachment(
                name, guess_type(name)[0] or usual or "application/octet-stream", 0, "", remote=f"{robot} {code}"
            )


def _quoted(replied: Mapping[str, Any]) -> str:
    content = _object(replied.get("content"))
    return _words(word(replied, "msgType", "msgtype") or "text", {}, content).strip()


def _object(said: Any) -> Mapping[str, Any]:
    """An object, or the JSON text of one."""
    if isinstance(said, str):
        try:
            said = orjson.loads(said)
        except orjson.JSONDecodeError:
            return {"text": said}
    return said if isinstance(said, dict) else {}


def _list(said: Mapping[str, Any], name: str) -> list[Any]:
    found = said.get(name)
    if isinstance(found, str):
        try:
            found = orjson.loads(found)
        except orjson.JSONDecodeError:
            return []
    return found if isinstance(found, list) else []
