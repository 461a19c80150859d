"""What a Feishu message says: its text, and the files it leaves behind.

Every kind of message has a JSON string of its own as `content`
(open.feishu.cn/document/server-docs/im-v1/message-content-description/message_content). What holds no words becomes a
short line, so that nobody's message is empty.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from mimetypes import guess_type
from typing import Any

import orjson

from connectors.reading import within, word
from normalizer.canon import Attachment
from normalizer.charset import clean

EVERYBODY = "@_all"
LABELS = {
    "sticker": "表情", "folder": "文件夹", "share_chat": "群名片", "share_user": "名片", "hongbao": "红包",
    "share_calendar_event": "日程", "calendar": "日程", "general_calendar": "日程", "video_chat": "视频通话",
    "merge_forward": "合并转发", "interactive": "卡片", "location": "位置", "vote": "投票", "todo": "任务",
}  # fmt: skip
# Kinds with a file: how it is asked for, the field of its key, what it is called and usually is.
FILES = {
    "image": ("image", "image_key", "image", "image/jpeg"),
    "img": ("image", "image_key", "image", "image/jpeg"),
    "file": ("file", "file_key", "file", ""),
    "audio": ("file", "file_key", "audio", "audio/ogg"),
    "media": ("file", "file_key", "video", "video/mp4"),
}

_MENTION = re.compile(r"@_user_[0-9]+|@_all\b", re.ASCII)
_KEY = re.compile(r"\w[\w.=-]{0,255}", re.ASCII)  # of a file; it becomes part of a URL


@dataclass(frozen=True, slots=True)
class Mention:
    """Somebody who is named with @ in a message."""

    name: str
    ours: bool | None  # whether it is our bot; None if that cannot be told

    @property
    def said(self) -> str:
        return "" if self.ours else f"@{self.name}"


def mentions(said: Any, bot: str, group: bool = True) -> dict[str, Mention]:
    """Who is mentioned, by the key that stands for them in texts, and by their ids. `bot`: our open_id or name.

    If that is not known: as a rule Feishu passes on of a group only what mentions us, so a single mention is ours.
    """
    found = {EVERYBODY: Mention("所有人", False), "all": Mention("所有人", False)}
    listed = said if isinstance(said, list) else []
    for one in listed:
        name, ids = word(one, "name"), within(one, "id") or {"open_id": word(one, "id")}
        kind = word(one, "mentioned_type")
        ours: bool | None = {"self": True, "bot": True, "app": True, "user": False}.get(kind)
        if bot and kind != "self":
            ours = bot in (name, *ids.values())
        if ours is None and group and len(listed) == 1:
            ours = True
        for key in (word(one, "key"), *(id for id in ids.values() if isinstance(id, str))):
            if key and key not in found:
                found[key] = Mention(name or key, ours)
    return found


def addressed(said: Any, bot: str) -> bool:
    """Whether our bot is mentioned, or might be."""
    return any(one.ours is not False for one in mentions(said, bot).values())


def read(kind: str, content: Any, known: Mapping[str, Mention], message: str) -> tuple[str, tuple[Attachment, ...]]:
    """The text of a message of this kind, and its files."""
    said = _content(content)
    if kind == "text":
        return _text(word(said, "text"), known), ()
    if kind == "post":
        post = _Post(known, message)
        return post.text(said), tuple(post.files)
    if file := _file(kind, said, message):
        return "", (file,)
    return _line(kind, said, known), ()


def _content(content: Any) -> Any:
    if isinstance(content, str):
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:
            return {"text": content}
    return content if isinstance(content, dict) else {}


def _text(text: str, known: Mapping[str, Mention]) -> str:
    """Names in place of keys; our own is left out, unless there is nothing else."""
    text = clean(text)
    said = _MENTION.sub(lambda found: known[found[0]].said if found[0] in known else found[0], text).strip()
    return (
        said or _MENTION.sub(lambda found: f"@{known[found[0]].name}" if found[0] in known else found[0], text).strip()
    )


class _Post:
    """Rich text: lines of elements. Links are written as Feishu writes them in plain text."""

    def __init__(self, known: Mapping[str, Mention], message: str) -> None:
        self.known, self.message = known, message
        self.files: list[Attachment] = []

    def text(self, said: Any) -> str:
        post = _language(within(said, "post") or said)
        lines = ["".join(self._element(one) for one in line).strip() for line in _lines(post)]
        return clean("\n".join(line for line in [word(post, "title").strip(), *lines] if line))

    def _element(self, said: Any) -> str:
        kind, text = word(said, "tag"), word(said, "text", "content")
        if kind == "a":
            href = word(said, "href")
            return f"[{text}]({href})" if href and href != text else text or href
        if kind == "at":
            one = self.known.get(word(said, "user_id"))
            return one.said if one else "@" + word(said, "user_name", "user_id")
        if kind == "emotion":
            return f"[{word(said, 'emoji_type')}]"
        if kind == "hr":
            return "---"
        if file := _file(kind, said, self.message):
            self.files.append(file)
        return text


def _language(post: Any) -> Any:
    """Of a post in several languages the first there is."""
    if isinstance(post, dict) and "content" not in post and "elements" not in post:
        for language in ("zh_cn", "en_us", *post):
            if isinstance(post.get(language), dict):
                return post[language]
    return post


def _lines(post: Any) -> Iterator[Sequence[Any]]:
    lines = post.get("content", post.get("elements")) if isinstance(post, dict) else None
    for line in lines if isinstance(lines, list) else ():
        yield line if isinstance(line, list) else [line]


def _file(kind: str, said: Any, message: str) -> Attachment | None:
    way, field, called, usual = FILES.get(kind, ("", "", "", ""))
    key = word(said, field) if field else ""
    if not (_KEY.fullmatch(key) and _KEY.fullmatch(message)):
        return None
    name = clean(word(said, "file_name")).replace("/", "_").replace("\n", " ")[:255]
    media_type = guess_type(name)[0] or usual or "application/octet-stream"
    return Attachment(name or called, media_type, _number(said, "file_size"), "", remote=f"{message}/{key}/{way}")


def _number(said: Any, name: str) -> int:
    found = word(said, name)
    return int(found) if found.isascii() and found.isdecimal() and len(found) < 16 else 0


def _line(kind: str, said: Any, known: Mapping[str, Mention]) -> str:
    """A few plain words in place of what a text cannot show."""
    label = LABELS.get(kind, kind or "?")
    match kind:
        case "location":
            place = ",".join(filter(None, (word(said, "latitude"), word(said, "longitude"))))
            told = [word(said, "name"), place or _coordinates(said)]
        case "vote":
            options = said.get("options") if isinstance(said, dict) else None
            told = [word(said, "topic"), *(one for one in options or () if isinstance(one, str))]
        case "todo" | "interactive":
            told = [_Post(known, "").text(within(said, "summary") or said)]
        case "hongbao" | "merge_forward":
            told = []
        case _:
            names = ("summary", "topic", "file_name", "title", "text", "content", "chat_id", "user_id")
            told = [word(said, *names)]
    return clean(" ".join([f"[{label}]", *filter(None, told)]))


def _coordinates(said: Any) -> str:
    """As numbers, should they come so."""
    found = [said.get(name) for name in ("latitude", "longitude")] if isinstance(said, dict) else []
    return ",".join(str(one) for one in found if isinstance(one, float))
