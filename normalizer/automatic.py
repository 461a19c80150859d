"""Whether a person wrote a mail, or a machine: what RFC 3834 forbids us to answer, and what it is instead.

Headers decide first, since software that is honest says so; then who sent it, then subject and words, for software
that is not. A machine's mail is kept with its kind and never answered; one that speaks first, as alarms do, may want
something done all the same. `X-Auto-Response-Suppress` is only a wish (sisimai#491): the mail is a person's, and gets
no acknowledgement.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from normalizer.canon import Kind
from normalizer.parts import Fields

GENERATED = "auto-generated"  # RFC 3834 5.2: not in answer to anything
LOOP_HEADER = "x-ticketgate-loop"  # ours, on everything we send by ourselves

_BEGINNING = 4000  # characters of the text that are looked at

_DAEMON = re.compile(
    r"^(?:mailer[-_.]?daemon|postmaster|mail\.?delivery[\w.]*|mdaemon|(?:smtp|mail)-?daemon|bounces?(?:[+=-].*)?|"
    r"double-bounce|mail-?system)@?|<>$",
    re.I,
)
_DAEMON_NAME = re.compile(
    r"mail(?:er)?[ -]?(?:delivery|daemon)|delivery (?:sub)?system|mail system|postmaster|system administrator|"
    r"mail administrator|邮件系统|系统退信|退信",
    re.I,
)
_BOUNCE_SUBJECT = re.compile(
    r"(?:undeliver(?:able|ed)|non[- ]?(?:remis|recapitabile|delivery)|returned (?:mail|to sender)|delivery (?:status|"
    r"failure|failed|notification|problem|report|has failed)|"
    r"(?:mail|message)[\w ]{0,20} (?:delivery|not delivered|returned|failed|undeliverable|blocked)|failure (?:notice|"
    r"delivery)|failed (?:delivery|mail)|"
    r"could not (?:be delivered|send)|nondeliverable|unzustellbar|mail failure|rejected mail|user unknown|"
    r"系统退信|退信|邮件被退回|投递失败|无法投递|未能送达|未送达|无法传递|傳遞失敗|退回的?邮件|配信不能|配信エラー|"
    r"недоставленное|не доставлено|邮件发送失败|returned:)",
    re.I,
)
_BOUNCE_WORDS = re.compile(
    r"(?:this is the (?:qmail-send|mail system|postfix|mail transfer)|i'?m (?:sorry|afraid i (?:wasn't|was not)|not) |"
    r"could not be delivered|"
    r"unable to deliver|undeliverable|delivery (?:to the following|has failed|failed|status notification)|"
    r"user unknown|unknown user|no such user|mailbox (?:is )?(?:full|unavailable|not found)|"
    r"permanent(?: fatal)? error|does not exist|returned to sender|your (?:message|mail) (?:to|was not|cannot|"
    r"could not|did not)|\b[45]\.\d\.\d{1,2}\b|\b55[0-4][ -]|"
    r"退信原因|无法投递|邮件被退回|退回|不存在|宛先|配信|notificationtype.{0,8}bounce|transcript of session|"
    r"delivery-status)",
    re.I | re.S,
)
_TRANSCRIPT = re.compile(
    r"(?:this is the (?:qmail-send|mail system)|退信原因|抱歉，您的邮件被退回|transcript of session follows|"
    r"final-recipient:|reporting-mta:|"
    r'notificationtype\\{0,3}"?\s*:\s*\\{0,3}"?(?:bounce|complaint))',
    re.I,
)
_AUTO_SUBJECT = re.compile(
    r"^\s*(?:\[[^\]]{1,30}\]\s*|(?:re|aw|sv|回复|答复|回覆)\s*[:：]\s*)*(?:自动回复|自动回覆|自动答复|自動回覆|"
    r"自動回复|自動返信|休假自动|休假自動|"
    r"假期自动|离开办公室|不在办公室|不在辦公室|外出自动|外出期间|auto(?:matic)?[- ]?(?:reply|response|responder|"
    r"antwort)|autoreply|auto[: ]\s*re:|automatische? (?:antwort|reply)|"
    r"out[- ]of[- ](?:the[- ])?office(?: (?:auto|reply|re:|message|notice|notification|response|until|from|:|$)|"
    r"\s*[:：-]|\s*$)|ooo\s*[:：]|abwesenheits|abwesend\b|réponse automatique|respuesta automática|"
    r"risposta automatica|resposta automática|"
    r"automatisch antwoord|autosvar|automatisk svar|automaattinen vastaus|odpowiedź automatyczna|автоответ|부재중|"
    r"자동 ?응답|vacation (?:reply|response|auto|message|notice)|(?:on )?(?:vacation|holiday|leave)\s*[:：]\s*re\b|"
    r"away from (?:the|my) (?:office|mail)|away until\b)",
    re.I,
)
_AUTO_WORDS = re.compile(
    r"^\s*(?:这是来自.{0,12}的?(?:假期)?自动回复|此邮件(?:为|是)系统自动|这是一封自动回复|本邮件(?:为|是|"
    r"由)系统?自动(?:回复|发送|发出)|【自动回复】|\[自动回复\]|(?:this is an? )?(?:automatic|automated|"
    r"auto)[- ](?:reply|response|generated)\b)",
    re.I,
)
_READ_SUBJECT = re.compile(
    r"^\s*(?:已读|已讀|read|gelesen|lu|not read|未读(?:就)?已?删除|disposition notification|return receipt)\s*[:：(]",
    re.I,
)
_NO_REPLY = re.compile(
    r"^(?:no|do)[-_.]?(?:not)?[-_.]?reply(?:[-_.+].*)?@|^(?:noreply|donotreply|no_reply|unattended)\b", re.I
)
_ROBOTS = re.compile(r"^(?:sns-?no-?reply|no-?reply)@(?:sns\.amazonaws\.com|amazonses\.com)$", re.I)

_LIST_FIELDS = (
    "list-id", "list-post", "list-unsubscribe", "list-subscribe", "list-help", "mailing-list", "x-mailing-list",
    "x-mlserver", "x-ml-name",
    "feedback-id",
)  # fmt: skip
_RETURNED = re.compile(r"^[ >]*(?:final-recipient|reporting-mta):", re.I | re.M)

_REPORTS = {
    "message/delivery-status": Kind.BOUNCE,
    "message/global-delivery-status": Kind.BOUNCE,
    "message/feedback-report": Kind.FEEDBACK_LOOP,
    "message/disposition-notification": Kind.READ_RECEIPT,
}
_REPORT_TYPES = {
    "delivery-status": Kind.BOUNCE,
    "feedback-report": Kind.FEEDBACK_LOOP,
    "disposition-notification": Kind.READ_RECEIPT,
}


@dataclass(frozen=True, slots=True)
class Signs:
    """What of a mail tells who wrote it."""

    fields: Fields
    sender: str  # address, lower case; may be empty
    sender_name: str
    subject: str
    text: str
    report_type: str  # of multipart/report
    media_types: Collection[str]  # of all parts
    return_path: str | None  # None: not known; empty: null


def kind_of(signs: Signs) -> Kind:
    """What a mail is: a MESSAGE if a person wrote it."""
    fields = signs.fields
    if LOOP_HEADER in fields:
        return Kind.LOOP
    if reported := _reported(signs):
        return reported
    if _is_bounce(signs):
        return Kind.BOUNCE
    if _abuse_report(signs):
        return Kind.FEEDBACK_LOOP
    submitted = _submitted(fields)
    if _says_automatic(fields, submitted):
        return Kind.READ_RECEIPT if _READ_SUBJECT.match(signs.subject) else Kind.AUTO_REPLY
    if _AUTO_SUBJECT.match(signs.subject) or _AUTO_WORDS.match(signs.text[:200]):
        return Kind.AUTO_REPLY
    if submitted == GENERATED:
        return _generated(signs)
    if _from_list(fields):
        return Kind.LIST
    if signs.return_path == "":
        return Kind.AUTO_REPLY
    return Kind.MESSAGE


def answerable(kind: Kind, signs: Signs) -> bool:
    """Whether a person who waits for an answer wrote this."""
    if kind is not Kind.MESSAGE or "@" not in signs.sender:
        return False
    wish = _value(signs.fields, "x-auto-response-suppress").lower()
    if any(word in wish for word in ("all", "oof", "autoreply")):
        return False
    # One field of RFC 3464 in the text, and a subject to match: the costly looks come last.
    if "inal-" in signs.text and _RETURNED.search(signs.text) and _BOUNCE_SUBJECT.search(signs.subject):
        return False  # somebody forwards us a bounce, by hand or by rule: a rule would make a loop
    return not _NO_REPLY.match(signs.sender) and not _DAEMON.match(signs.sender)


def _value(fields: Fields, name: str) -> str:
    values = fields.get(name)
    return values[0].decode("latin-1").strip() if values else ""


def _reported(signs: Signs) -> Kind | None:
    for media_type in signs.media_types:
        if kind := _REPORTS.get(media_type):
            return kind
    return _REPORT_TYPES.get(signs.report_type.strip().lower())


def _is_bounce(signs: Signs) -> bool:
    if "x-failed-recipients" in signs.fields:
        return True
    machine, null = _machine(signs), signs.return_path == ""
    if not (machine or null or _NO_REPLY.match(signs.sender)):
        return False
    beginning = signs.text[:_BEGINNING]
    if (machine or null or _ROBOTS.match(signs.sender)) and _TRANSCRIPT.search(beginning):
        return True
    if machine:
        return null or bool(_BOUNCE_SUBJECT.search(signs.subject) or _BOUNCE_WORDS.search(beginning))
    if null and _BOUNCE_SUBJECT.search(signs.subject):
        return True
    return "message/rfc822" in signs.media_types and bool(_BOUNCE_WORDS.search(beginning))


def _machine(signs: Signs) -> bool:
    """Whether the sender is a mail system, by address or name, or by sending from one."""
    return bool(
        _DAEMON.match(signs.sender)
        or _DAEMON_NAME.search(signs.sender_name)
        or (signs.return_path and _DAEMON.match(signs.return_path.lower()))
    )


def _abuse_report(signs: Signs) -> bool:
    return any(
        name in signs.fields for name in ("x-hmxmroriginalrecipient", "x-apple-unsubscribe")
    ) or signs.subject.lower().startswith(
        ("complaint about message from", "abuse report", "email feedback report for ip")
    )


def _submitted(fields: Fields) -> str:
    return _value(fields, "auto-submitted").split(";")[0].split("(")[0].strip().lower()


def _generated(signs: Signs) -> Kind:
    """Whoever reports or replies by machine may say this too, so the report's subject and the null sender go first."""
    if _READ_SUBJECT.match(signs.subject):
        return Kind.READ_RECEIPT
    return Kind.AUTO_REPLY if signs.return_path == "" else Kind.AUTO_GENERATED


def _says_automatic(fields: Fields, submitted: str) -> bool:
    """RFC 3834 5: Auto-Submitted says it replies (or what we do not know); and what others invented before it."""
    if submitted not in ("", "no", GENERATED):
        return True
    if any(
        name in fields
        for name in ("x-autoreply", "x-autorespond", "x-autoresponder", "x-autoreply-from", "x-mail-autoreply")
    ):
        return _value(fields, "x-autoreply").lower() != "no"
    return _value(fields, "precedence").lower() in ("auto_reply", "auto-reply")


def _from_list(fields: Fields) -> bool:
    if any(name in fields for name in _LIST_FIELDS):
        return True
    return _value(fields, "precedence").lower() in ("bulk", "junk", "list")
