"""A form on the web: the hosted page at /form/{account}, and the same as JSON for an app's own form.

The gateway draws the page (`page`, `thanks` say with what) and sees to the rate; whatever else a form needs is here.
A form has no way back: replies go by the account named in `reply_by`, to the e-mail address that was filled in.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import orjson
from pydantic import Field

from connectors import forms
from connectors.base import AccountSettings, HttpSettings, Label, Request, Response, enclose
from connectors.form_words import WORDS
from connectors.reading import kept, person
from normalizer.canon import Address, Envelope, Message, Reply, Sent, digest
from normalizer.errors import Refused, Rejected, Unreadable
from normalizer.identity import phone as phone_number

Name = Literal["name", "email", "phone", "order_number", "type", "subject", "message", "attachments"]

TRAP = "website"  # people do not see this field; programs that fill in forms do
LONGEST: Mapping[str, int] = {"message": 50_000, "subject": 300, "email": 254, "phone": 40}
_INTERNAL = frozenset({TRAP, "submission", "lang", "message", "subject", "name", "attachments"})
_CLAIM = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
_SUBMISSION = re.compile(r"[A-Za-z0-9_-]{8,128}", re.ASCII)
_REFERENCE = re.compile(r"[0-9a-f]{8}", re.ASCII)
_EMAIL = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+\.[^@\s<>,;.]{2,}")


class WebformSettings(HttpSettings):
    rate: int = Field(default=20, ge=0)
    channel: Literal["form", "app"] = "form"
    title: Label = Label(zh="联系客服", en="Contact us")
    intro: Label = Label(zh="", en="")
    language: Literal["zh", "en"] = "zh"  # for who prefers neither
    region: str = "CN"  # where phone numbers without + are
    fields: tuple[Name, ...] = ("name", "email", "phone", "order_number", "type", "subject", "message", "attachments")
    required: tuple[Name, ...] = ("message",)  # besides, an e-mail address or a phone number
    types: Mapping[str, Label] = Field(default_factory=dict)  # what may be chosen as type; none: no such field
    attachments: int = Field(default=5, ge=0, le=forms.FILES)
    origins: tuple[str, ...] = ()  # of pages elsewhere that may post: https://www.example.com


class Incomplete(Rejected):
    """A form to be filled in again. `problems` says what is wrong with which field, as keys of the form's words."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(f"to be mended: {', '.join(problems)}", status=422, code="invalid")
        self.problems = problems


class Webform:
    name: ClassVar[str] = "webform"
    Settings: ClassVar[type[AccountSettings]] = WebformSettings

    def __init__(self, settings: WebformSettings) -> None:
        self.settings = settings

    # At the door

    def greet(self, request: Request) -> Response | None:
        """A browser asking whether a page elsewhere may post (CORS)."""
        if request.method != "OPTIONS":
            return None
        return Response(
            headers={**self._cors(request), "access-control-allow-headers": "content-type, idempotency-key"}
        )

    def verify(self, request: Request) -> None:
        if len(request.body) > self.settings.size_limit:
            raise Rejected(f"larger than {self.settings.size_limit} octets", status=413, code="oversized")
        if not self._welcome(request):
            raise Rejected("posted from a page that may not", status=403, code="forbidden")
        posted = self._posted(request)
        if posted.values.get(TRAP):
            raise Rejected("the hidden field was filled in", status=403, code="spam_trap")
        if problems := self._problems(posted):
            raise Incomplete(problems)

    def key(self, request: Request) -> str:
        """One sending of one form. A changed text is a new one, even from the same page."""
        posted = self._posted(request)
        once = posted.values.get("submission") or request.headers.get("idempotency-key", "")
        if not _SUBMISSION.fullmatch(once):
            once = request.received_at.strftime("%Y%m%d%H%M")
        filled = [f"{name}={value}" for name, value in sorted(posted.values.items())]
        return digest(once, *filled, *(file.sha256 for file in posted.files))

    def lane(self, request: Request) -> str:
        sender = self._sender(self._posted(request))
        return sender.address if sender else ""

    def answer(self, request: Request) -> Response:
        """202 and a reference as JSON; a browser is sent on to its page of thanks, so that reloading posts nothing."""
        envelope = enclose(self, request).id
        if self.by_browser(request):
            return Response(303, headers={"location": f"?sent={envelope[:8]}&lang={self.language(request)}"})
        body = orjson.dumps({"envelope": envelope, "reference": envelope[:8]})
        return Response(202, body, "application/json", self._cors(request))

    def _posted(self, request: Request) -> forms.Posted:
        try:
            return forms.read(request.headers.get("content-type", ""), request.body)
        except Unreadable as error:
            raise Rejected(error.reason, status=400, code="malformed") from None

    def _welcome(self, request: Request) -> bool:
        """A page elsewhere may not post, unless named. No Origin: no page, or none that could be misused."""
        origin = request.headers.get("origin")
        if origin is None or origin in self.settings.origins or request.headers.get("sec-fetch-site") == "same-origin":
            return True
        # By host alone: a proxy in front may speak TLS for us.
        return origin.partition("://")[2] == urlsplit(request.url).netloc

    def _cors(self, request: Request) -> dict[str, str]:
        origin = request.headers.get("origin", "")
        return {"access-control-allow-origin": origin, "vary": "origin"} if origin in self.settings.origins else {}

    def _problems(self, posted: forms.Posted) -> dict[str, str]:
        values = {name: value.strip() for name, value in posted.values.items()}
        filled = {**values, "attachments": "yes" if posted.files else ""}
        problems = {name: "too_long" for name, value in values.items() if len(value) > LONGEST.get(name, 1000)}
        problems |= {name: "required" for name in self.settings.required if not filled.get(name)}
        if values.get("email") and not _EMAIL.fullmatch(values["email"]):
            problems["email"] = "email"
        elif not values.get("email"):
            problems |= self._without_email(values.get("phone", ""))
        if values.get("type") and self.settings.types and values["type"] not in self.settings.types:
            problems["type"] = "type"
        if len(posted.files) > self.settings.attachments:
            problems["attachments"] = "too_many"
        return problems

    def _without_email(self, phone: str) -> dict[str, str]:
        if phone:
            return {} if phone_number(phone, self.settings.region) else {"phone": "phone"}
        return {"email" if "email" in self.settings.fields else "phone": "contact"}

    def _sender(self, posted: forms.Posted) -> Address | None:
        return person(posted.values, self.settings.region)

    # Behind the journal

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        posted = forms.read(envelope.transport.get("content-type", ""), envelope.body)
        sender = self._sender(posted)
        if sender is None:
            raise Unreadable("neither e-mail address nor phone number")
        text = posted.values.get("message", "").strip()
        return [
            Message(
                channel=self.settings.channel,
                connector=envelope.connector,
                account=envelope.account,
                scope=envelope.account,
                external_id=envelope.key,
                envelope=envelope.id,
                sender=sender,
                received_at=envelope.received_at,
                subject=posted.values.get("subject", "").strip(),
                text=text,
                full_text=text,
                attachments=posted.files,
                claims=self._claims(posted.values),
            )
        ]

    def _claims(self, values: Mapping[str, str]) -> dict[str, str]:
        said = kept((name, value.strip()) for name, value in values.items() if name not in _INTERNAL)
        if values.get("lang") in WORDS:
            said["language"] = values["lang"]
        return {name: value for name, value in said.items() if _CLAIM.fullmatch(name)}

    async def send(self, reply: Reply, now: datetime) -> Sent:
        raise Refused("a form has no way back: name a mail account in reply_by")

    # The page

    def by_browser(self, request: Request) -> bool:
        """Whether a person is looking, rather than an app calling."""
        return "text/html" in request.headers.get("accept", "") and "json" not in request.headers.get(
            "content-type", ""
        )

    def language(self, request: Request) -> Literal["zh", "en"]:
        """What was chosen on the page, else the first of Accept-Language that we speak."""
        with_choice = f"{self._chosen(request)},{request.headers.get('accept-language', '')}"
        for wish in with_choice.lower().split(","):
            match wish.strip()[:2]:
                case "zh":
                    return "zh"
                case "en":
                    return "en"
        return self.settings.language

    def _chosen(self, request: Request) -> str:
        if "lang" in request.query or request.method == "GET":
            return request.query.get("lang", "")
        return self._filled(request).get("lang", "")

    def _filled(self, request: Request) -> Mapping[str, str]:
        """What was filled in, as far as it can be read."""
        try:
            return self._posted(request).values
        except Rejected:
            return forms.begun(request.headers.get("content-type", ""), request.body)

    def page(self, request: Request, submission: str, problems: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What form.html is drawn with. `submission` is fresh for every page; a form to be mended keeps its values."""
        language = self.language(request)
        fields = [name for name in self.settings.fields if self._offered(name)]
        values = self._filled(request) if problems else {}
        return {
            **self._frame(language),
            "submission": submission,
            "fields": fields,
            "required": self._marked(),
            "types": [(code, label[language]) for code, label in self.settings.types.items()],
            "files": self.settings.attachments,
            "megabytes": self.settings.size_limit // (1024 * 1024),
            "longest": {name: LONGEST.get(name, 1000) for name in fields},
            "values": {name: values.get(name, "") for name in fields},
            "problems": problems or {},
        }

    def _offered(self, name: Name) -> bool:
        return {"type": bool(self.settings.types), "attachments": self.settings.attachments > 0}.get(name, True)

    def _marked(self) -> tuple[str, ...]:
        """The fields to be marked as required: those that are, and the only way to be reached if there is one."""
        ways = [name for name in ("email", "phone") if name in self.settings.fields]
        return (*self.settings.required, *(ways if len(ways) == 1 else ()))

    def thanks(self, request: Request) -> dict[str, Any] | None:
        """What form_thanks.html is drawn with, if this asks for the page after sending."""
        reference = request.query.get("sent", "")
        return (
            self._frame(self.language(request)) | {"reference": reference} if _REFERENCE.fullmatch(reference) else None
        )

    def _frame(self, language: Literal["zh", "en"]) -> dict[str, Any]:
        return {
            "account": self.settings.account,
            "language": language,
            "title": self.settings.title[language],
            "intro": self.settings.intro[language],
            "t": WORDS[language],
        }
