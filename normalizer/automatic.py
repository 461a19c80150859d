"""Whether a person wrote a mail, or a machine: what RFC 3834 forbids us to answer, and what it is instead.

Headers decide first, since software that is honest says so; then who sent it, then subject and words, for software
that is not. A machine's mail is kept with its kind and never answered; one that speaks first, as alarms do, may want
something done all the same. `X-Auto-Response-Suppress` is only a wish (sisimai#491): the mail is a person's, and gets
no acknowledgement.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache

import ahocorasick_rs

from normalizer.canon import Kind
from normalizer.parts import Fields

GENERATED = "auto-generated"  # RFC 3834 5.2: not in answer to anything
LOOP_HEADER = "x-ticketgate-loop"  # ours, on everything we send by ourselves

_BEGINNING = 4000  # characters of the text that are looked at
_BRIEF = 1500  # characters machines make do with

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
    r"недоставленное|не доставлено|邮件(?:发送|传输)失败|returned:|message \S{1,40} delayed)",
    re.I,
)
_BOUNCE_WORDS = re.compile(
    r"(?:this is the (?:qmail-send|mail system|postfix|mail transfer)|i'?m (?:sorry|afraid i (?:wasn't|was not)|not) |"
    r"could not be delivered|"
    r"unable to deliver|undeliverable|delivery (?:to the following|has failed|failed|status notification)|"
    r"user unknown|unknown user|no such user|mailbox (?:is )?(?:full|unavailable|not found)|"
    r"permanent(?: fatal)? error|does not exist|returned to sender|your (?:message|mail) (?:to|was not|cannot|"
    r"could not|did not)|"
    r"not yet been delivered|has been returned (?:because|to)|delivery attempts|\b[45]\.\d\.\d{1,2}\b|\b55[0-4][ -]|"
    r"退信原因|无法投递|邮件被退回|退回|不存在|宛先|配信|notificationtype.{0,8}bounce|transcript of session|"
    r"delivery-status)",
    re.I | re.S,
)
# How the report of a mail system begins that sends under an ordinary address. People write of parcels not delivered.
_OPENS = re.compile(
    r"[\W_]{0,80}(?:this (?:message|e-?mail) was (?:created|generated) automatically by (?:the )?mail|"
    r"this is an automatically (?:created|generated) (?:delivery status|non-?delivery)|failed recipients?\b|"
    r"non-?delivery (?:report|notification)|delivery to the following (?:recipient|address)|"
    r"(?:your|the following) (?:mail |e-?mail )?(?:message|mail|e-?mail)"
    r"(?: to\b[^?!]{0,100}?(?:@|following)[^?!]{0,100}?| with subject\b[^?!]{0,200}?)?\s(?:could ?n[o']t|can ?not|"
    r"was not|has not|not yet) (?:be(?:en)? )?delivered|the (?:message|mail|e-?mail) below could not|"
    r"(?:could not|unable to|failed to) deliver (?:your |the |this |a )?(?:message|mail|e-?mail)|"
    r"votre message n.a pas pu [eê]tre|(?:ihre|die) (?:nachricht|e-?mail) [^?\n]{0,80}konnte nicht|"
    r"(?:su|tu) mensaje no (?:se )?(?:ha podido|pudo)|il (?:tuo|suo|vostro) messaggio non|"
    r"(?:ваше )?(?:сообщение|письмо) не (?:было |может быть )?доставлено|(?:抱歉，)?您的邮件(?:被退回|未能|无法))",
    re.I,
)
_QUESTION = re.compile(r"[?？](?:\s|$)")
_TRANSCRIPT = re.compile(
    r"(?:this is the (?:qmail-send|mail system)|退信原因|抱歉，您的邮件被退回|transcript of session follows|"
    r"final-recipient:|reporting-mta:|"
    r'notificationtype\\{0,3}"?\s*:\s*\\{0,3}"?(?:bounce|complaint))',
    re.I,
)
# Every subject that the patterns below take has one of these in it.
_SUBJECT_HINTS = (
    "auto", "авто", "otomat", "abwesen", "absen", "fuori", "afwezig", "frånvaro", "fravær", "poissa", "tự động",
    "vacation", "ooo", "office", "away", "leave", "holiday", "currently", "urlaub", "verif", "confirm", "spam",
    "trapper", "自动", "自動", "不在", "休假", "外出", "出差", "请假", "年假", "产假", "放假", "离职", "假期", "办公室",
    "辦公室", "验证", "驗證", "부재", "자동",
    "oficina", "ausen", "ausên", "assente", "ufficio", "escritório", "frånvar", "til stede", "nieobec", "biurem",
    "nepřítom", "kancelář", "kívül", "офис", "отсутств", "отпуск", "dışında", "γραφείου", "αυτόματ", "samodejn",
    "אוטומטי", "למשרד", "تلقائي", "المكتب", "อัตโนมัติ", "аутомат",
)  # fmt: skip
# Patterns of subjects are for lower case: to ignore case costs several times as much.
# What a subject must begin with, whole, before the subject it answers: people write about automatic replies too.
_AUTO_SUBJECT = re.compile(
    r"^\s*(?:\[[^\]]{1,30}\]\s*){0,3}[【\[(（<]?\s*(?:"
    r"(?:自动|自動)(?:回复|回覆|回復|答复|答覆|返信|应答)(?:邮件|信|通知)?|休假(?:期间)?(?:自动|自動)(?:回复|回覆|答复)|"
    r"(?:假期|外出|离职|出差|节假日)自动(?:回复|答复)|系统自动回复|"
    r"auto(?:matic|mated|mail)?[- ]?(?:reply|response|responder|answer|antwort)(?: message)?|autoreply|"
    r"abwesenheits(?:notiz|meldung|nachricht|assistent|benachrichtigung|info)|automatische (?:antwort|reply)|"
    r"(?:réponse|message) automatique|(?:message|réponse) d['’]absence|respuesta automática|"
    r"(?:risposta|messaggio) automatic[ao]|fuori sede|resposta automática|automatisch(?:e)? (?:antwoord|beantwoording)|"
    r"afwezigheidsbericht|autosvar|automatisk svar|frånvaromeddelande|fraværsmelding|automaattinen vastaus|"
    r"poissaoloviesti|(?:odpowiedź automatyczna|automatyczna odpowiedź)|"
    r"автоответ(?:чик)?|автоматический ответ|automatická odpověď|automatikus válasz|otomatik yanıt|"
    r"balasan otomatis|tự động trả lời|(?:thư )?trả lời tự động|automatiskt svar|automatická odpoveď|răspuns automat|"
    r"автоматичен отговор|автоматична відповідь|аутоматски одговор|automatski odgovor|"
    r"samodejni odgovor|automaatvastus|automātiskā atbilde|automatinis atsakymas|resposta automàtica|"
    r"αυτόματη απάντηση|(?:תשובה|מענה) אוטומטית?י?|(?:ال)?رد (?:ال)?تلقائي|(?:การ)?ตอบกลับอัตโนมัติ|自動応答|"
    r"부재중(?: 자동 ?응답)?|자동 ?(?:응답|회신)|不在通知|"
    r"vacation (?:reply|response|auto-?reply|message|notice|responder)|ooo(?: auto-?reply)?|"
    r"out[- ]of[- ](?:the[- ])?office(?: auto-?reply| (?:auto(?:matic|mated)? )?(?:reply|message|notice|notification|"
    r"response))?"
    r")\s*(?:[:：\]】)）>|｜—–-]|$|(?=\bre\b)|(?=回复[:：])|\b(?=(?:from|to|for|re)\b))",
)
# The same, said less clearly: a sign only if the words speak of absence and ask nothing.
_AWAY_SUBJECT = re.compile(
    r"^\s*(?:\[[^\]]{1,30}\]\s*){0,3}(?:auto\s*[:：]\s*|automat|out[- ]of[- ](?:the[- ])?office\b|"
    r"ooo\b|away (?:from (?:the|my) (?:office|mail|desk)|until|from \d)|(?:on )?(?:vacation|holiday|annual leave|leave|"
    r"maternity leave|paternity leave|parental leave)\b|currently (?:out|away)|"
    r"[\w .,'-]{2,60} (?:is|am) (?:currently )?(?:out of (?:the )?office|on (?:vacation|leave)|away)\b|abwesen|"
    r"(?:离开|不在|離開)(?:办公室|辦公室)|(?:休假|外出|出差|请假|年假|产假|放假|离职|假期)(?:中|期间|通知|提醒|公告)?|"
    r"[\u4e00-\u9fff]{0,8}(?:休假|放假|假期)(?:通知|安排|公告|提醒)\s*$|"
    r"(?:fuera de (?:la )?oficina|fuori ufficio|assente|ausente|fora do escritório|ausência|afwezig(?:heid)?|"
    r"frånvarande|fraværende|ikke til stede|poissa(?: toimistosta)?|nieobecność|poza biurem|nepřítomnost|mimo kancelář|"
    r"(?:irodán|házon) kívül|вне офиса|отсутствую|в отпуске|ofis dışında|εκτός γραφείου|מחוץ למשרד|خارج المكتب|"
    r"absent? du bureau)\s*(?:[:：-]|$)|"
    r"不在\b|outof office|absence\b|absent\b|urlaub|im urlaub)",
)
_AUTO_SUFFIX = re.compile(
    r"[(（【\[]\s*(?:自动回复|自動回覆|auto-?(?:reply|response)|automatic (?:reply|response)|"
    r"out of office)\s*[)）】\]]\s*$"
)
_AWAY_WORDS = re.compile(
    r"\b(?:(?:out of (?:the )?office|on (?:annual |sick |parental |maternity |paternity )?(?:leave|vacation|holiday)|"
    r"away|absent)\b.{0,30}\b(?:until|till|from|on|at)\b|(?:limited|no) access to (?:my )?e-?mail|"
    r"will (?:be (?:back|out)|return|respond|reply|get back|answer|read your)|back (?:on|in) \w|returning|"
    r"received your (?:message|e-?mail)|no longer (?:with|work)|(?:please|kindly) contact|"
    r"in (?:urgent cases|my absence)|abwesend|nicht im büro|im urlaub|je (?:suis|serai) (?:absent|en congé|de retour)|"
    r"de retour le|estaré (?:fuera|ausente|de)|estoy (?:fuera|ausente|de vacaciones)|sarò (?:assente|fuori)|"
    r"sono (?:assente|fuori|in ferie)|est(?:arei|ou) (?:ausente|fora|de férias)|ben (?:ik )?(?:afwezig|met vakantie)|"
    r"weer (?:terug|aanwezig)|är (?:borta|ledig|tillbaka|på semester)|er (?:tilbake|tilbage|fraværende|på ferie)|"
    r"jestem (?:nieobecn|na urlopie)|olen (?:poissa|lomalla)|вернусь|в отпуске|отсутствую|izinde|ofiste olmayac)|"
    r"(?:返回|回来|恢复上班|上班后|收假|节后)|(?:尽快|及时|稍后|儘快|盡快)(?:给您|為您|为您|与您)?(?:回复|答复|回覆|处理|联系|聯繫)|"
    r"(?:已|已经)(?:收到|收悉)|(?:请|請|可)(?:联系|聯繫|致电)",
    re.I | re.S,
)
_ASKS = re.compile(
    r"[?？]|吗[。！!]?|"
    r"\b(?:please|pls)\b(?! (?:contact|e-?mail|write|call (?!me\b)|reach|do not|note|be |allow|ping|send urgent))|"
    r"[请請](?!联系|聯繫|致电|见谅|谅解|耐心|拨打|勿|稍|注意|知悉|放心|假)|麻烦|帮忙|幫忙|为什么|害我|"
    r"我的(?:订单|包裹|退款|账号)",
    re.I,
)
# A machine that says itself what it is, at the beginning of a sentence.
_AUTO_WORDS = re.compile(
    r"(?:^|\n|[。.!！，,]\s{0,3})[ \t*【\[(（]*(?:(?:这|此|本)[^。\n]{0,20}?"
    r"(?:自动(?:回复|答复|发送|发出|生成|回覆)|自動(?:回覆|回復|發送|產生))|此郵件為系統自動|自动回复[】\])）]|"
    r"this (?:is|was) an? (?:automatic(?:ally)?|automated|auto)[- ]?(?:generated |sent )?(?:reply|response|message|"
    r"e-?mail|notification|acknowledg\w+)\b(?! (?:that|which|is|i)\b)|"
    r"(?:automatic|automated|auto)[- ](?:reply|response|generated)\b(?=\s*[:：.\]\n-])|"
    r"dies(?:es)? ist eine (?:automatische|automatisch)|ceci est (?:une réponse|un message) automatique|"
    r"este es un mensaje automático|esta é uma (?:resposta|mensagem) automática)",
    re.I,
)
_CHALLENGE = re.compile(
    r"^\s*(?:re:\s*)?(?:your (?:e-?mail|message) (?:requires|needs) (?:verification|confirmation)|verify#|"
    r"\[?boxtrapper\]?|(?:spam ?arrest|sender verification|sender address verification)\b|"
    r"please confirm your (?:message|e-?mail) (?:to|for)\b|"
    r"confirm (?:delivery|your (?:message|e-?mail)) \(?conf#|发件人(?:身份)?验证(?:请求)?[:：]|寄件者驗證|"
    r"action required: (?:verify|confirm) (?:your|that you))",
)
_FORWARDS = re.compile(r"^\s*(?:fwd?|wg|tr|rv|转发|轉寄|轉發)\s*[:：]")
_PREFIX = re.compile(
    r"^\s*(?:(?:re|aw|sv|antw|fwd?|wg|tr|rv|回复|答复|回覆|回復|转发|轉寄|轉發)(?:\[\d+\])?\s*[:：]\s*)+"
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
)  # fmt: skip
_AUTO_FIELDS = (
    "x-autoreply", "x-autorespond", "x-autoresponder", "x-autoreply-from", "x-mail-autoreply", "x-vacation",
    "x-yahoo-vacation", "x-apple-action", "x-auto-reply-to", "x-autogenerated", "delivered-to-autoresponder",
)  # fmt: skip
_DENIED = frozenset({"", "no", "none", "false", "0", "off"})
_ANY_ADDRESS = re.compile(r"[\w.+=-]{1,64}@[\w.-]{1,253}")
_LIST_ID = re.compile(r"<([\w+-]{1,64})\.([\w.-]{1,253})>")
_RETURNED = re.compile(r"^[ >]*(?:final-recipient|reporting-mta):", re.I | re.M)

_FEEDBACK = re.compile(r"^feedback-type:|\babuse report for (?:an )?e-?mail|received from (?:ip|\d+\.\d+)", re.I | re.M)
_GIVEN_BACK = frozenset({"message/rfc822", "text/rfc822-headers"})

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
    text: str  # the whole body
    visible: str  # of it, what was said this time
    calendar: str  # METHOD of an iTIP part (RFC 6047), upper case; empty if there is none
    report_type: str  # of multipart/report
    media_types: Collection[str]  # of all parts
    return_path: str | None  # None: not known; empty: null
    ours: Callable[[str], bool]  # whether an address is one of our own


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
    if signs.calendar:
        return Kind.INVITATION
    submitted = _submitted(fields)
    if _says_automatic(fields, submitted):
        if signs.ours(signs.sender):
            return Kind.LOOP  # we answered, and it came back
        return Kind.READ_RECEIPT if _READ_SUBJECT.match(signs.subject) else Kind.AUTO_REPLY
    if _speaks_as_machine(signs):
        return Kind.AUTO_REPLY
    if submitted == GENERATED:
        return _generated(signs)
    if _from_list(signs):
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
    if signs.subject[:1].isalpha() and _answers_machine(signs.subject[:200].lower()):
        return False  # two machines would go on for ever
    return not _NO_REPLY.match(signs.sender) and not _DAEMON.match(signs.sender)


def _value(fields: Fields, name: str) -> str:
    values = fields.get(name)
    return values[0].decode("latin-1").strip() if values else ""


def _speaks_as_machine(signs: Signs) -> bool:
    """By subject and words alone, which people use as well: in answers to such mail, about it, of themselves."""
    subject, beginning = signs.subject[:200].lower(), signs.visible[:_BEGINNING]
    hint = bool(_hints().find_matches_as_indexes(subject))
    if hint and (_AUTO_SUBJECT.match(subject) or _CHALLENGE.match(subject)):
        return True
    away = hint and bool(_AWAY_SUBJECT.match(subject) or _AUTO_SUFFIX.search(subject))
    answers = hint and _answers_machine(subject)
    # Cheap looks first: nearly all mail is a person's.
    hinted = "uto" in beginning or "自动" in beginning or "自動" in beginning or "AUTO" in beginning
    if not (away or answers or hinted):
        return False
    if len(signs.visible) >= _BRIEF or _FORWARDS.match(subject) or _ASKS.search(beginning):
        return False
    if (away or answers) and _AWAY_WORDS.search(beginning):
        return True
    return not away and bool(_AUTO_WORDS.search(beginning))


@cache
def _hints() -> ahocorasick_rs.AhoCorasick:
    return ahocorasick_rs.AhoCorasick(_SUBJECT_HINTS)


def _answers_machine(subject: str) -> bool:
    """`Re: Automatic reply: ...`: a person's answer to such mail, or a machine's that answers machines."""
    prefix = _PREFIX.match(subject)
    return prefix is not None and bool(_AUTO_SUBJECT.match(subject[prefix.end() :]))


def _reported(signs: Signs) -> Kind | None:
    kind = next(filter(None, map(_REPORTS.get, signs.media_types)), None)
    kind = kind or _REPORT_TYPES.get(signs.report_type.strip().lower())
    # RFC 5429 2.2: a filter that rejects a mail says so by a disposition.
    return Kind.BOUNCE if kind is Kind.READ_RECEIPT and _rejects(signs) else kind


def _rejects(signs: Signs) -> bool:
    said = f"{_value(signs.fields, 'auto-submitted')} {'' if _READ_SUBJECT.match(signs.subject) else signs.subject}"
    return "reject" in said.lower()


def _is_bounce(signs: Signs) -> bool:
    if "x-failed-recipients" in signs.fields:
        return True
    machine, null = _machine(signs), signs.return_path == ""
    if not (machine or null or _NO_REPLY.match(signs.sender)):
        return _reads_as_bounce(signs)
    beginning = signs.text[:_BEGINNING]
    if (machine or null or _ROBOTS.match(signs.sender)) and _TRANSCRIPT.search(beginning):
        return True
    if machine:
        named = _BOUNCE_SUBJECT.search(signs.subject)
        if not _DAEMON.match(signs.sender) and not _from_daemon(signs):  # people are called System Administrator
            return null or bool(named and _BOUNCE_WORDS.search(beginning))
        return null or bool(named or _BOUNCE_WORDS.search(beginning))
    if null and _BOUNCE_SUBJECT.search(signs.subject):
        return True
    return "message/rfc822" in signs.media_types and bool(_BOUNCE_WORDS.search(beginning))


def _reads_as_bounce(signs: Signs) -> bool:
    """By subject and opening words, under whatever address; a person has something to ask, or forwards it."""
    said = signs.visible[:_BEGINNING]
    if not _OPENS.match(said) or _QUESTION.search(said) or _FORWARDS.match(signs.subject.lower()):
        return False
    names = "@" in said or "message/rfc822" in signs.media_types  # whom it did not reach, or what it was
    return names and _BOUNCE_SUBJECT.search(signs.subject) is not None


def _machine(signs: Signs) -> bool:
    """Whether the sender is a mail system, by address or name, or by sending from one."""
    return bool(_DAEMON.match(signs.sender) or _DAEMON_NAME.search(signs.sender_name) or _from_daemon(signs))


def _from_daemon(signs: Signs) -> bool:
    return bool(signs.return_path and _DAEMON.match(signs.return_path.lower()))


def _abuse_report(signs: Signs) -> bool:
    if any(name in signs.fields for name in ("x-hmxmroriginalrecipient", "x-apple-unsubscribe")):
        return True
    named = signs.subject.lower().startswith(("complaint about message from", "abuse report", "email feedback report"))
    return named and bool(_GIVEN_BACK.intersection(signs.media_types) or _FEEDBACK.search(signs.text[:_BEGINNING]))


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
    if any(_value(fields, name).lower() not in _DENIED for name in _AUTO_FIELDS if name in fields):
        return True
    return _value(fields, "precedence").lower() in ("auto_reply", "auto-reply")


def _from_list(signs: Signs) -> bool:
    fields, precedence = signs.fields, _value(signs.fields, "precedence").lower()
    if precedence in ("bulk", "junk"):
        return True
    listed = precedence == "list" or any(name in fields for name in _LIST_FIELDS)
    return listed and not _own_list(signs)


def _own_list(signs: Signs) -> bool:
    """Whether the list is one of our own addresses, made a group: who posts to it writes to us."""
    names = [_value(signs.fields, name)[:1000] for name in ("list-post", "mailing-list", "x-beenthere")]
    listed = _LIST_ID.search(_value(signs.fields, "list-id")[:1000])
    addresses = [address for name in names for address in _ANY_ADDRESS.findall(name)[:3]]
    return any(map(signs.ours, [*addresses, *([f"{listed[1]}@{listed[2]}"] if listed else [])]))
