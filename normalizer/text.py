"""The words a customer wrote this time, apart from what is quoted below and the signature.

    visible     the reply; between quoted lines too
    quoted      attribution lines, `>` lines, Outlook's header blocks, and what follows them
    signature   from `-- `, "Sent from my ...", and the like

Line by line, each line looked at a bounded number of times. A forwarded mail is the message itself and is not cut.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import ahocorasick_rs

MAX_LINE = 500  # characters of a line that are looked at
MAX_ATTRIBUTION = 6  # lines an attribution may be wrapped into
MAX_BLOCK = 10  # lines a header block may have
MAX_SIGNATURE = 25  # lines below `-- `; more is text
MAX_CARD = 12  # lines of name and address below a closing
MAX_FOOTER = 60  # lines below a rule; lists and lawyers fill some
MAX_HEADERS = 30  # header fields above one that are looked at
MAX_BLANKS = 10  # blank lines between an attribution and its quotation
MAX_NAMES = 7  # words that name a sender and nothing else
MAX_TRIES = 500  # how often something that may begin a quotation is looked at closely; hostile text has thousands

# What every quotation or signature found below has in it somewhere. Most mails have none of these, and are done.
_MARKS = (
    ">", "--", "__", "==", "##", "**", "wrote", "writes", " sent:", "(sent ", "schr", "crit", "scri", "escre", "skrev",
    "napsal",
    "menulis", "kirjoitti", "pisze", "pisany", "yazd", "a scris", "Sent ", "Outlook ", "endet", "Enviado", "Inviato",
    "this line", "Begin forwarded", "Verstuurd", "Verzonden", "Skickat", "Sendt fra", "etetty ", "Wysłan", "Trimis",
    "Dikirim", "Odesl", "onfidential", "ONFIDENTIAL", "isclaimer", "ertraulich", "egards", "incerely", "Grüße", "Gruß",
    "heers", "truly", "wishes",
)  # fmt: skip
_WIDER_MARKS = (
    "—", "napisał", "пис", "пише", "写道", "寫道", "写到", "viết", "yazdı", "írta", "書き", "작성", "メール:", "έγραψε",
    "เขียนว่า", "بواسطة", "מאת", "בתאריך", "من:", "Từ:",
    "Envoyé", "から送信", "보냄", "发自", "發自", "送自", "来自", "來自", "寄自",
    "发送", "傳送", "发来", "此行", "发件", "發件", "寄件", "差出人", "送信者", "보낸", "转发", "轉寄", "Отправлено",
    "Στάλθηκε", "gönderildi", "Đã gửi", "ส่งจาก", "获取", "此致", "祝好", "顺祝", "順祝", "祝您", "敬礼", "商祺",
    "敬上",
    "保密", "声明", "機密", "签名由", "| |",
)  # fmt: skip
_ALL_MARKS = _MARKS + _WIDER_MARKS
_BLOCK_LABELS = [
    "from", "von", "de", "van", "da", "fra", "från", "od", "nadawca", "remitente", "от", "отправитель", "expéditeur",
    "mittente", "lähettäjä", "kimden", "від", "feladó", "από", "sender", "expeditor", "dari", "người gửi", "date",
    "sent", "datum", "data", "fecha", "дата",
]  # fmt: skip
# Both cases written out: to ignore case costs the search several times as much.
_BLOCK_MARK = re.compile(
    r"\n[ \t*|>]{0,8}(?=[-a-zA-ZА-яёіΑ-ωέäöåàéÄÖÅÀÉ])(?:"
    + "|".join(f"[{word[0].upper()}{word[0]}]{word[1:]}|{word.upper()}" for word in _BLOCK_LABELS)
    + r")[ \t*\xa0]{0,3}[:：|]|\n-{1,2} ?[A-Z]"
)
_VERB = (
    r"wrote|writes|sent|schrieb|schreef|geschreven|geschrieben|a écrit|écrit|ha scritto|scrisse|escribió|escreveu|"
    r"napisał(?:a|\(a\))?|pisze|skrev|napisal|написал(?:а|\(а\))?|пишет|пише|写道|寫道|写到|đã viết|kirjoitti|"
    r"yazdı|írta|napsal(?:a|\(a\))?|a scris|menulis|のメッセージ|のメール|書きました|작성|έγραψε|เขียนว่า"
)
_VERB_END = re.compile(rf"(?:{_VERB})\s*[-:：]*\s*$", re.I)
_VERB_INSIDE = re.compile(
    r"\b(?:skrev|schreef|schrieb|wrote|escribió|escreveu|írta|napisana przez|odesílatel)\b|写于|寫於|تمت كتابة|מאת",
    re.I,
)
_MAIL_END = re.compile(r"[<(\[]\s*(?:mailto:)?\S+@\S+\s*[>)\]]+\s*[:：]?\s*$")
_MAIL = re.compile(r"[<(\[]\s*(?:mailto:)?[^\s<>()\[\]]{1,100}@[^\s<>()\[\]]{1,255}\s*[>)\]]")
_TIMED = re.compile(r"\d{1,2}[:.]\d{2}")
_COLON = re.compile(r"[:：]\s*$")
_DATED = re.compile(
    r"\d{1,2}[:.]\d{2}|(?<!\d)\d{4}(?!\d)|\d{1,2}\s?[./年月-]\s?\d{1,2}|"
    r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6} \d{1,2}\b"
)
_SPOKEN = (
    r"(?:On|Le|Am|El|Il|Op|Em|No dia|W dniu|Dnia|Den|På|Vào|Dne|Pada|At|În|Στις|Wiadomość)\b|在|于|於|ในวันที่|בתאריך|في "
)
_SPOKEN_START = re.compile(rf"[\s>*\u200e\u200f-]*(?:{_SPOKEN})", re.I)
_STARTS = re.compile(
    rf"[\s>*\u200e\u200f-]*(?:{_SPOKEN}|"
    r"(?:\S{2,12}\s)?\d{1,4}(?:[./年 :-]|\b)|"
    r"Sent from\b|[^\W\d_]{2,10}[.,]\s+\d)",
    re.I,
)
_DATE = re.compile(r"\d{1,2}[:.]\d{2}|\b(?:19|20)\d\d|\d{1,2}\s?[./月-]\s?\d{1,2}|\d\.? [^\W\d_]{3,}|Sent from", re.I)
_WHEN = re.compile(r"\d{1,2}[:.]\d{2}|\b(?:19|20)\d\d\b|\d{1,2}[./月-]\s?\d{1,2}")
_SHARED = re.compile(r"(?<=[^\s>*-]) +(?=On [A-Z][a-z]{2},? [^\n]{5,200}\d[^\n]{1,200} wrote:\s*$)")
_STARTS_ANYWHERE = re.compile(r"-{2,}\s*(On [A-Z].{5,200}wrote\s*[:-]*)\s*$")

_STAMP = re.compile(r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}")  # RFC 5322: people write dates otherwise

_FULL_STOPS = (".", "!", "?", "。", "！", "？")
_SIGNS = frozenset(">-_=*#|—")
_SIGNATURE_STARTS = (
    "Sent ", "(Sent ", "(sent ", "Get ", "Von ", "Gesendet", "Diese ", "Envoyé", "Enviado", "Inviato", "Verstuurd",
    "Verzonden", "Skickat",
    "Sendt ", "Lähetetty", "Wysłan", "Trimis", "Dikirim", "Odesl", "Отправлено", "Στάλθηκε", "Đã gửi", "ส่งจาก",
    "Holen", "Outlook",
    "Obten", "Télé", "Ottieni", "发", "發", "来", "來", "从", "從", "寄", "获取", "下載", "나의", "Begin ", "开始",
    "以下", "Forwarded ", "Anfang ", "Début ", "Inizio ", "Inicio ", "Início ", "Vidarebefordrat ", "Start ",
    "Początek ", "Начало ", "Začátek ", "転送された",
    "此致", "签名由", "祝", "顺祝", "順祝", "敬", "Best", "Kind", "Warm", "With ", "Regards", "Sincerely", "Yours",
    "Cheers", "Mit ", "Viele", "Freundliche", "Beste", "Many thanks", "Thanks and", "Cordialement", "Bien ",
    "Atentamente", "Saludos", "Cordiali", "Met vriendelijke", "Med vän", "CONFIDENTIAL", "Confidential", "DISCLAIMER",
    "Disclaimer", "This e", "This m", "This c", "This t", "The info", "The cont", "【", "声明", "保密", "本邮件",
    "本電郵", "本郵件", "免责", "Ce ", "Este ",
)  # fmt: skip
_SIGNATURE_ENDS = ("から送信", "보냄", "gönderildi", "gesendet.", "gesendet", "Outlook を入手")

_LABELS = {
    "from": (
        "from|von|de|van|da|fra|från|od|nadawca|remitente|od kogo|发件人|發件人|寄件者|寄件人|差出人|送信者|보낸 사람|"
        "от|отправитель|від|expéditeur|mittente|lähettäjä|kimden|feladó|από|sender|de la|expeditor|dari|người gửi|"
        "보낸이|自|מאת|من|từ"
    ),
    "sent": (  # nobody writes these in a form
        "sent|gesendet|envoyé|envoyé le|verzonden|inviato|sendt|skickat|enviado|enviado el|wysłano|发送时间|發送時間|"
        "发送日期|送信日時|送信日|보낸 날짜|отправлено|lähetetty|gönderilme|gönderildi|odesláno|elküldve|στάλθηκε|"
        "enviada em|enviada|sent at|发件时间|發件時間|надіслано|trimis|dikirim|đã gửi|נשלח|"
        "تم الإرسال|تاريخ الإرسال"
    ),
    "date": ("date|datum|data|fecha|寄件日期|日期|时间|時間|日付|날짜|дата|tarih|dátum|ημερομηνία|תאריך|التاريخ|ngày"),
    "to": (
        "to|an|à|aan|a|til|till|para|do|destinatário|收件人|收件者|宛先|받는 사람|кому|vastaanottaja|kime|"
        "destinataire|destinatario|komu|címzett|προς|recipient|către|kepada|đến|받는이|אל|إلى"
    ),
    "subject": (
        "subject|betreff|objet|onderwerp|oggetto|emne|ämne|asunto|assunto|temat|主题|主題|主旨|标题|標題|件名|제목|"
        "тема|aihe|konu|předmět|predmet|tárgy|θέμα|subiect|subjek|chủ đề|נושא|الموضوع"
    ),
    "cc": "cc|kopie|抄送|副本|kopia|копия|참조",
}
_WHOLE = frozenset(("from", "date", "to"))  # what every program says of what it quotes
_KIND_OF = {label.replace(" ", ""): kind for kind, labels in _LABELS.items() for label in labels.split("|")}
_TRANSPORT = re.compile(
    r"(?:message-id|received|return-path|delivered-to|mime-version|content-type|dkim-signature|references|in-reply-to|"
    r"authentication-results|arc-[\w-]{1,40}|x-[\w-]{1,60}):",
    re.I,
)
_FIELD = re.compile(r"[A-Za-z][\w-]{1,60}:|[ \t]+\S")
_LABEL_LINE = re.compile(r"[\s>*|]{0,12}([^\W\d_]{1,20}(?:[ \u3000\xa0][^\W\d_]{1,12})?)[\s*]{0,3}[:：|]", re.I)

_ORIGINAL = re.compile(
    r"[\s>*]*[-_=]{3,}(?:\s|&nbsp;)*(?:Original(?: Message)?|Original Appointment|Repl(?:y|ied) message|"
    r"Ursprüngliche Nachricht|"
    r"Message d.origine|"
    r"Mensaje original|Mensagem original|Messaggio originale|(?:Oorspronkelijk|Origineel) bericht|"
    r"Oprindelig (?:meddelelse|besked)|Opprinnelig melding|Alkuperäinen viesti|Původní (?:zpráva|e-mail)|"
    r"Original-Nachricht|Pôvodná správa|"
    r"Oryginalna wiadomość|Wiadomość oryginalna|Eredeti üzenet|Mesaj(?:ul)? original|Orijinal (?:mesaj|ileti)|"
    r"Αρχικό μήνυμα|Вихідне повідомлення|Pesan asli|Thư gốc|"
    r"Ursprungligt meddelande|原始(?:邮件|信息)|邮件原[件文]|原邮件(?:信息)?|回复的(?:原)?邮件|原始(?:郵件|訊息|信件)|"
    r"元のメッセージ|원본 메시지|"
    r"Исходное сообщение|(?:On )?[^-_=\n]{2,120} wrote)(?:\s|&nbsp;)*:?\s*[-_=]{2,}\s*$",
    re.I,
)
_TITLED = re.compile(r"[\s>*]*[-_=]{3,} ?\w[^_=\n]{1,58}[^-_=\s] ?[-_=]{3,}\s*$")
_GROUPWISE = re.compile(r">>> ?[^>\n]{1,200}>?[^>\n]{0,60}\d[:.]\d{2}[^>\n]{0,8}>>>\s*$")
_NOTES = re.compile(r"[^\n]{1,80}-{2,3} ?\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4} \d{1,2}:\d{2}(?::\d{2})?(?: [AP]M)? ?-{2,3}")
_FORWARDED = re.compile(
    r"[\s>*]*(?:-{2,}\s*(?:Forwarded message|Forwarded by|Weitergeleitete Nachricht|Message (?:transféré|transmis)|"
    r"Mensaje reenviado|Messaggio inoltrato|Mensagem (?:encaminhada|reencaminhada)|Doorgestuurd bericht|"
    r"Vidarebefordrat meddelande|Videresendt (?:meddelelse|melding)|Przekazana wiadomość|Пересылаемое сообщение|"
    r"Перенаправленное сообщение|Přeposlaná zpráva|İletilen ileti|転送(?:された)?メッセージ|전달된 메시지|"
    r"转发的?(?:邮件|消息)|"
    r"转发邮件信息|转发的原邮件|轉寄(?:的?郵件)?|轉發的?(?:郵件|訊息))[^\n]{0,60}|"
    r"Begin forwarded message:|Forwarded message:\s*$|"
    r"Anfang der weitergeleiteten (?:E-Mail|Nachricht):|Début du message (?:réexpédié|transféré)\s?:|"
    r"Inizio messaggio inoltrato:|Inicio del mensaje reenviado:|Início da mensagem (?:re)?encaminhada:|"
    r"Begin doorgestuurd bericht:|Vidarebefordrat brev:|Start på videresendt (?:besked|melding):|"
    r"Początek przekazywanej wiadomości:|Начало переадресованного сообщения:|Začátek přeposílané zprávy:|"
    r"(?:开始转发的邮件|以下为转发邮件|开始转发邮件|以下是轉寄的郵件|転送されたメッセージ)[:：])",
    re.I,
)
_ABOVE = re.compile(
    r"[\s#*=_-]*(?:请在此行(?:以|之)?上方?回复|請在此行(?:以|之)?上方?回覆|(?:Please )?(?:type|write|"
    r"enter)? ?(?:your )?reply (?:above|ABOVE) this line)|\s*##- ?[^\n]{10,120} ?-##\s*$",
    re.I,
)  # fmt: skip
_RULE = re.compile(r"\s*(?:_{20,}|[-=*]{10,}|—{5,})\s*$")
_DRAWN = re.compile(r"\s*(?:[-_=*—] ?){3,}\s*$")
_LONG_RULE = re.compile(r"\s*_{20,}\s*$")
_DELIMITED = _ALL_MARKS.index("--")
# Marks with which something begins in their own line.
_BELOW = frozenset(
    _ALL_MARKS.index(mark)
    for mark in ("--", "egards", "incerely", "Grüße", "Gruß", "heers", "truly", "wishes", "此致", "祝好")
)
_DELIMITER = re.compile(r"\n--[ \xa0\t]*\n")
_DASHES = re.compile(r"\s{0,3}(?:--|—|——)[ \xa0\t]*$")
_MOBILE = re.compile(
    r"\s*(?:\(?(?:[Ss]ent|Written|Composed) (?:from|with|via|using|by)(?: (?:my|a|an|the))?"
    r"(?: (?:i?[A-Z0-9][\w+®™./'’-]*|phone|mobile|smartphone|tablet|device|cell))"
    r"(?: (?:for|on|by|with|via|and|the|my|a|secure|powered|e-?mail|phone|device|tablet|smartphone|mobile|network|app|"
    r"[a-hj-z]{1,3}\d{1,3}|i?[A-Z0-9(][\w+®™./)'’-]*)){0,9}"
    r"(?:[,.;]? {0,2}(?:[Pp]lease )?(?:[Ee]xcuse|[Pp]ardon|[Ff]orgive) [^,.?!\n]{1,60})?[.)]{0,2}(?: ?[(<\[]https?://[^\s)>\]]*[)>\]])?|"
    r"(?:(?:Get|Holen Sie sich|Obtenez|Télécharger|Obtener|Obtenga|Ottieni|Obter|获取|取得|下載適用於) ?(?:iOS 的 )?|"
    r"\S{0,12} ?)"
    r"Outlook (?:for|für|pour|para|per|voor|för|til|dla|для) (?:iOS|Android|Mac|\w+)(?: ?[<(\[][^>]*[>)\]])?|"
    r"Outlook for \w+ を入手.{0,60}|下載適用於 iOS 的 Outlook.{0,60}|"
    r"(?:Von meinem|Gesendet (?:von|mit|aus)|Diese Nachricht wurde von) [^,?!]{2,70}|Envoyé (?:de|depuis|à partir|"
    r"par|via|avec) "
    r"[^,?!]{2,50}|Enviad[oa] (?:desde|de|do|da|a partir|con|com|por) [^,?!]{2,50}|"
    r"Inviat[oa] (?:da|dal|dall|con|tramite)\b[^,?!]{2,50}|(?:Verstuurd|Verzonden) (?:vanaf|met|via|"
    r"vanuit) [^,?!]{2,40}|"
    r"(?:Skickat från|Sendt fra|Lähetetty|Wysłan[eoy] (?:z|za)|Trimis de|Dikirim dari|Odesláno z|Отправлено (?:с|из|"
    r"от|со)|"
    r"Надіслано з|Στάλθηκε από|Đã gửi từ|ส่งจาก) ?[^,?!]{2,50}|\S{2,30} (?:cihazımdan )?gönderildi|"
    r"(?:发|發|来|來|寄)(?:送)?自 ?(?:我的?|我的手机)? ?[^，,。？?！!]{0,20}(?:手机|手機|iPhone|iPad|Mac|邮箱|郵箱|"
    r"邮件|客户端|客戶端|"
    r"Mail|Outlook|Android|安卓|华为|荣耀|小米|红米|魅族|三星|OPPO|vivo|HUAWEI|Xiaomi|Windows|Phone|平板|大师|版|"
    r"企业微信|钉钉|飞书|"
    r"[A-Za-z0-9+]{3,})|"
    r"(?:从|從) ?(?:Windows|我的|网易|網易|QQ|Android|iPhone|iPad|Outlook).{0,24}(?:发送|傳送|寄出|发来的手机邮件)。?|"
    r"寄自.{1,20}|"
    r"签名由 ?.{2,20} ?定制|[^，,。]{2,20}から送信|[^,.]{1,20}에서 보냄)\s*$"
)
_FRAME = re.compile(r"\s*\|\s*\|\s*$")  # of the card NetEase's program draws
_CLOSING = re.compile(
    r"(?:(?:best|kind|warm|many|with (?:best|kind|warm))(?:est)? (?:regards|wishes|thanks)|regards|"
    r"(?:yours )?sincerely(?: yours)?|"
    r"yours (?:truly|faithfully)|cheers|thanks and regards|mit (?:freundlichen|besten|herzlichen) gr(?:ü|ue)(?:ß|ss)en|"
    r"(?:viele|beste|freundliche|herzliche) gr(?:ü|ue)(?:ß|ss)e|(?:bien )?cordialement|atentamente|"
    r"saludos(?: cordiales)?|"
    r"cordiali saluti|met vriendelijke groet(?:en)?|med vänliga? hälsning(?:ar)?|此致|敬礼|祝(?:好|商祺|工作顺利|"
    r"您?生活愉快)|"
    r"顺祝(?:商祺|安康)?|順頌商祺|敬上)\s*[,，.。!！~～]{0,2}",
    re.I,
)
_CONTACT = re.compile(
    r"https?://|www\.|[\w.+-]{1,64}@[\w.-]+\.\w|(?:tel|phone|mobile|fax|cell|电话|電話|手机|传真|邮箱|地址|"
    r"网址)\s*[.:：]|\+?\d[\d ()/-]{7,}|"
    r"\b(?:Ltd|Inc|GmbH|LLC|AG|S\.A\.|B\.V\.|Corp)\b|(?:公司|集团|有限|大厦)",
    re.I,
)
_DISCLAIMER = re.compile(
    r"[\s*_【\[（(-]{0,6}(?:confidentiality notice|confidential(?:ity)?\s*[:：]|(?:legal )?disclaimer\b|"
    r"(?:this (?:e-?mail|message|communication|transmission|correspondence)|the (?:information|content)s?\b)"
    r"[^.\n]{0,120}\b(?:confidential|privileged|intended (?:only|solely))|"
    r"diese (?:e-?mail|nachricht)[^.\n]{0,60}vertraulich|ce (?:message|courriel|mail)[^.\n]{0,60}confidentiel|"
    r"este (?:mensaje|correo|e-?mail)[^.\n]{0,60}confidencia|(?:保密|免责|法律)?声明[】\]）)]?\s*[:：]|保密(?:提示|"
    r"通知)|"
    r"(?:本|此)(?:电子)?(?:邮件|郵件|電郵)[^。\n]{0,40}(?:保密|机密|機密|仅(?:限|供)|僅供))",
    re.I,
)
_ASKS = re.compile(
    r"[?？](?:\s|$)|\b(?:please|kindly|(?:could|can|would) you)\b(?! (?:consider|think|don.t print|do not print))|"
    r"\bI(?:['’](?:m|ve|d|ll))? (?:am|have|need|want|would|did|was|can|will)\b|"
    r"\bmy (?:order|account|address|number|ticket|money)\b|\bbitte\b|请(?!勿)|請(?!勿)|麻烦|我的|我要|订单",
    re.I,
)
_TALKS = re.compile(r"\b(?:(?-i:it|is)|are|not|you|me|this|that|will|instead)\b", re.I)
_POSTSCRIPT = re.compile(r"(?:P\.? ?){1,2}S\.?(?:[:：.,—-]|\s|$)|N\.?B\.?[:：]|又及|附言|另外|补充[：:]")
_LAW = re.compile(
    r"recipient|addressee|intended|privileged|notify|unauthori[sz]ed|disclos|solely|virus|legal|copied|distribut|"
    r"vertraulich|confidentiel|confidencia|收件人|保密|机密|機密|误收|誤收|删除|刪除|仅供|僅供|仅限|法律|泄露|未经授权",
    re.I,
)
_LISTED = re.compile(r"mailing list|unsubscribe|listinfo|退订|退訂|取消订阅", re.I)
_PERSON = re.compile(
    r"[A-ZÀ-ÖØ-Þ][\w.'’-]{1,30}(?:,? [A-ZÀ-ÖØ-Þ][\w.'’-]{0,30}){1,4}(?: \(.{1,30}\))?|[\u4e00-\u9fff]{2,4}"
)
_NAMED = re.compile(r"-{1,2} ?[A-Z][\w.]*(?: [A-Z][\w.]*){0,3}\s*$")
_BARE_ADDRESS = re.compile(r"\s*[\w.+-]{1,64}@[\w.-]{1,255}\s*$")
_CUT_LINK = re.compile(r"[(<]https?://[^\s)>]*$")


@dataclass(frozen=True, slots=True)
class Split:
    """A body taken apart; each piece without blank lines at its ends."""

    visible: str
    quoted: str = ""
    signature: str = ""


def split_reply(full: str, forwarded: bool = False, answers: bool = True) -> Split:
    """The visible reply of a mail body with "\\n" line ends. `forwarded`: the subject says it is a forwarded mail.

    `answers`: it may answer one. If it does not, lines like From: and Subject: are likelier a form that was filled in.
    If nothing would be visible, everything but `>` lines is: somebody forwarded without a word of their own.
    """
    marks = _finder().find_matches_as_indexes(full)
    block = _block_mark(full)
    if block is None and not marks:
        return Split(full.strip())
    if block is None and all(mark[0] == _DELIMITED for mark in marks) and "---" not in full:
        return _signed(full)
    first = min(len(full) if block is None else block, marks[0][1] if marks else len(full))
    above = 0 if block is None and all(mark[0] in _BELOW for mark in marks) else MAX_ATTRIBUTION + 1
    cutter = _Cutter(full.split("\n"), forwarded, answers, full.count("\n", 0, first) - above)
    cutter.run()
    visible = _joined(cutter.visible)
    if not visible:
        return Split(full.strip())
    return Split(visible, _joined(cutter.quoted), _joined(cutter.signature))


def _block_mark(full: str) -> int | None:
    """Where a quoted header may begin."""
    if not (":" in full or "：" in full or "|" in full or "\n-" in full):
        return None
    if _BLOCK_MARK.match(f"\n{full[:100]}"):
        return 0
    found = _BLOCK_MARK.search(full)
    return found.start() if found else None


@cache
def _finder() -> ahocorasick_rs.AhoCorasick:
    return ahocorasick_rs.AhoCorasick(_ALL_MARKS, implementation=ahocorasick_rs.Implementation.DFA)


def _signed(full: str) -> Split:
    """A text with nothing but a signature below it, if that."""
    delimiter = _DELIMITER.search(full)
    if not delimiter or not full[: delimiter.start()].strip() or full.count("\n", delimiter.end()) > MAX_SIGNATURE:
        return Split(full.strip())
    signature = full[delimiter.start() :].split("\n")
    if not (delimiter[0][3] == " " or _is_silent([line[:MAX_LINE] for line in signature])):
        return Split(full.strip())
    return Split(_joined(full[: delimiter.start()].split("\n")), signature=_joined(signature))


def _joined(lines: list[str]) -> str:
    return "\n".join(line.rstrip() for line in lines).strip()


class _Cutter:
    def __init__(self, lines: list[str], forwarded: bool, answers: bool, begin: int) -> None:
        self.lines = lines
        self.forwarded, self.answers = forwarded, answers
        self.at = max(0, begin)  # nothing is cut above
        self.tries = MAX_TRIES
        self.visible: list[str] = lines[: self.at]
        self.quoted: list[str] = []
        self.signature: list[str] = []

    def run(self) -> None:
        while self.at < len(self.lines):
            line = self.lines[self.at]
            bare = line[:MAX_LINE].strip()
            if not (bare and _may_begin(bare) and self._step(line[:MAX_LINE], bare)):
                self.visible.append(line)
                self.at += 1

    def _step(self, line: str, bare: str) -> bool:
        """Deal with what begins at this line, if anything does."""
        if _FORWARDED.match(line):
            return self._take(self.visible, len(self.lines))
        if bare.startswith(">>>") and _GROUPWISE.match(line):
            return self._take_rest()
        if _is_quote(bare):
            return self._quote()
        if bare.endswith("wrote:") and (shared := _SHARED.search(line)) and self._next_is_quote(self.at + 1):
            self.visible.append(line[: shared.start()])
            self.lines[self.at] = self.lines[self.at][shared.end() :]
            return self._quote(1)
        if _ORIGINAL.match(line) or _ABOVE.match(line) or self._header_block(self.at) or self._titled(line):
            return self._take_rest()
        if "--" in bare and _NOTES.match(line):
            return self._take_rest()
        if length := self._attribution(line):
            return self._quote(length) if self._next_is_quote(self.at + length) else self._take_rest()
        return self._signature(line, bare)

    def _take(self, pile: list[str], end: int) -> bool:
        pile.extend(self.lines[self.at : end])
        self.at = end
        return True

    def _take_rest(self) -> bool:
        if _BARE_ADDRESS.match(next((line for line in reversed(self.visible) if line.strip()), "")):
            self._move_last_shown()  # Foxmail signs with the address
        self._take_rule_above()
        return self._take(self.quoted, len(self.lines))

    def _take_rule_above(self) -> None:
        end = len(self.visible)
        while end and not self.visible[end - 1].strip():
            end -= 1
        if end and _DRAWN.match(self.visible[end - 1][:MAX_LINE]):
            self.quoted.extend(self.visible[end - 1 :])
            del self.visible[end - 1 :]

    def _move_last_shown(self) -> None:
        while self.visible and not self.visible[-1].strip():
            self.visible.pop()
        if len(self.visible) > 1:
            self.signature.append(self.visible.pop())

    def _quote(self, length: int = 0) -> bool:
        """Attribution, `>` lines and the blanks among and after them."""
        if not length:
            self._take_attribution_above()
        end = self.at + length
        while end < len(self.lines):
            bare = self.lines[end].strip()
            if bare and not _goes_on(bare) and not (end and _CUT_LINK.search(self.lines[end - 1][-MAX_LINE:])):
                break
            end += 1
        return self._take(self.quoted, end)

    def _take_attribution_above(self) -> None:
        """Who is quoted stands right above the quotation, in languages and forms that nobody has listed."""
        at = len(self.visible)
        while at and not self.visible[at - 1].strip() and len(self.visible) - at < 2:
            at -= 1
        end = at
        while at and end - at < 3 and self.visible[at - 1].strip():
            at -= 1
            text = " ".join(line[:MAX_LINE].strip() for line in self.visible[at:end])
            if not (_COLON.search(text[-3:]) or _VERB_END.search(text[-40:])):
                return
            if _MAIL.search(text) and len(text) < MAX_LINE and not _is_sentence(text):
                self.quoted.extend(self.visible[at:])
                del self.visible[at:]
                return

    def _next_is_quote(self, at: int) -> bool:
        return any(_is_quote(line.strip()) for line in self._next_words(at))

    def _next_words(self, at: int) -> list[str]:
        """The next line that is not blank, as a list of none or one."""
        end = min(len(self.lines), at + MAX_BLANKS)
        while at < end and not self.lines[at].strip():
            at += 1
        return self.lines[at : at + 1]

    def _attribution(self, line: str) -> int:
        """How many lines an attribution beginning here takes; 0 if none does."""
        if "--" in line and _STARTS_ANYWHERE.search(line):
            return 1
        starts = _STARTS.match(line) is not None
        if not (starts or ("@" in line and _DATED.search(line))) or not self._try():
            return 0
        firm = _SPOKEN_START.match(line) is not None
        text, torn = "", False
        for length, added in enumerate(self.lines[self.at : self.at + MAX_ATTRIBUTION], 1):
            said = added[:MAX_LINE].strip()
            torn = torn or not said
            if len(text) > MAX_LINE or (torn and not firm) or (not said and text.endswith(_FULL_STOPS)):
                return 0
            text = f"{text} {said}".strip()
            quoted = self._next_is_quote(self.at + length)
            if length > 1 and self._begins_anew(said, firm and not torn, quoted):
                return 0
            if _is_attribution(text, quoted):
                return length
            if not firm and not _DATE.search(text):
                return 0
        return 0

    def _begins_anew(self, line: str, wrapped: bool, quoted: bool) -> bool:
        """Whether a line is an attribution by itself, so that the lines above it are the writer's."""
        starts = _SPOKEN_START.match(line) if wrapped else _STARTS.match(line) or ("@" in line and _DATED.search(line))
        return bool(starts) and _is_attribution(line, quoted)

    def _header_block(self, at: int) -> bool:
        """Whether lines like From:, Sent:, To:, Subject: begin here (after a rule, perhaps)."""
        if self.forwarded:
            return False
        if _RULE.match(self.lines[at]):
            at += 1
            while at < len(self.lines) and not self.lines[at].strip() and self._try():
                at += 1
        if at >= len(self.lines) or _label(self.lines[at]) not in ("from", "date", "sent"):
            return False
        return self._try() and self._is_header_block(at) and not self._is_pasted(at)

    def _is_pasted(self, at: int) -> bool:
        """Whether the field here is one of a whole header that somebody shows us: programs quote no Received: lines."""
        above = at
        while above and at - above < MAX_HEADERS and _FIELD.match(self.lines[above - 1][:MAX_LINE]):
            above -= 1
            if _TRANSPORT.match(self.lines[above]):
                return True
        return False

    def _titled(self, line: str) -> bool:
        """A title between dashes, in whatever language, and a quoted header right below it."""
        if self.forwarded or not _TITLED.match(line):
            return False
        at = self.at + 1
        while at < len(self.lines) and at < self.at + 3 and not self.lines[at].strip():
            at += 1
        return at < len(self.lines) and bool(_label(self.lines[at])) and self._try() and self._is_header_block(at)

    def _try(self) -> bool:
        self.tries -= 1
        return self.tries >= 0

    def _is_header_block(self, at: int) -> bool:
        kinds: set[str] = set()
        dated = addressed = stamped = False
        for below, line in enumerate(self.lines[at : at + MAX_BLOCK], at + 1):
            if not line.strip(" >*|\t\xa0"):
                if below < len(self.lines) and _label(self.lines[below]):
                    continue  # each field a paragraph of its own
                break
            kind = _label(line)
            kinds.add(kind)
            dated = dated or _DATED.search(line[:MAX_LINE]) is not None
            stamped = stamped or _STAMP.search(line[:MAX_LINE]) is not None
            addressed = addressed or ("@" in line[:MAX_LINE] and (kind != "" or not _LABEL_LINE.match(line)))
        # People fill in forms: from Berlin to Hamburg on this date, who sends a parcel and to whom.
        if not addressed and kinds.isdisjoint(("sent", "subject")):
            return False
        fields = {"date" if kind == "sent" else kind for kind in kinds if kind}
        if not (self.answers or stamped or fields >= _WHOLE):
            return False
        return len(fields) >= 3 or (len(fields) == 2 and dated and (addressed or "sent" in kinds))

    def _signature(self, line: str, bare: str) -> bool:
        signs = bare.startswith(_SIGNATURE_STARTS) or bare.endswith(_SIGNATURE_ENDS)
        if signs and _MOBILE.match(line):
            return self._take(self.signature, self.at + 1)  # people write below what their telephone adds
        if bare[0] == "|" and _FRAME.match(line):
            return self._sign(8)
        if not any(shown.strip() for shown in self.visible[-3:]):
            return False
        return self._words_below(line, bare) if signs else self._rule(line, bare)

    def _words_below(self, line: str, bare: str) -> bool:
        """Closings with a card below, and what lawyers add."""
        if _DISCLAIMER.match(line) and len(bare) > 12:
            return self._is_law() and self._sign(40)
        return bool(_CLOSING.fullmatch(bare)) and self._sign(MAX_CARD, _is_card)

    def _is_law(self) -> bool:
        """Customers call their mail confidential too: lawyers say what follows from it."""
        below = self.lines[self.at : self.at + MAX_CARD]
        return self._try() and any(_LAW.search(line[:MAX_LINE]) for line in below)

    def _rule(self, line: str, bare: str) -> bool:
        if bare[0] not in _SIGNS:
            return False
        if _LONG_RULE.match(line):
            return self._sign(MAX_FOOTER, _is_footer)
        if _DASHES.match(line):
            return self._sign(MAX_SIGNATURE, None if line.startswith("-- ") else _is_silent)
        if _RULE.match(line):
            return self._sign(6, _is_footer)
        above = next((line.strip() for line in reversed(self.visible) if line.strip()), "")
        return (
            not above.startswith("-") and above[-1:] not in (":", "：") and bool(_NAMED.match(bare)) and self._sign(0)
        )

    def _sign(self, most: int, fits: Callable[[list[str]], bool] | None = None) -> bool:
        """A signature up to the next quotation or postscript, unless it has more than `most` lines of text below its
        first, or these do not fit."""
        if not self._try():
            return False
        end, below = self.at + 1, list[str]()
        while end < len(self.lines) and not self._quotation_begins(end):
            line = self.lines[end][:MAX_LINE].strip()
            if _POSTSCRIPT.match(line):
                break
            below += [line] if line else []
            end += 1
            if len(below) > most:
                return False
        return (fits is None or fits(below)) and self._take(self.signature, end)

    def _quotation_begins(self, at: int) -> bool:
        line = self.lines[at][:MAX_LINE]
        if not line.strip():
            return False
        if _is_quote(line.strip()) or _ORIGINAL.match(line) or _LONG_RULE.match(line) or self._header_block(at):
            return True
        here, self.at = self.at, at
        found = self._attribution(line)
        self.at = here
        return bool(found)


def _may_begin(bare: str) -> bool:
    """Whether a quotation or a signature may begin with this line: a cheap look, since it is taken at every line."""
    return (
        bare[0] in _SIGNS
        or ((":" in bare or "：" in bare or "|" in bare) and _LABEL_LINE.match(bare) is not None)
        or _STARTS.match(bare) is not None
        or bare.startswith(_SIGNATURE_STARTS)
        or bare.endswith(_SIGNATURE_ENDS)
        or bare.endswith(" wrote:")
        or ("@" in bare and _DATED.search(bare) is not None)
        or "---" in bare
        or "此行" in bare
        or "this line" in bare
    )


def _is_quote(bare: str) -> bool:
    return bare[:1] == ">" and not bare.endswith(("<<", "wrote:"))


def _is_sentence(text: str) -> bool:
    """`Refund me, as promised by Support <s@example.com>:`, and not who wrote when."""
    return text.count(" ") > MAX_NAMES and not (_WHEN.search(text) or _VERB_END.search(text))


def _goes_on(bare: str) -> bool:
    """Whether a quotation has this line too: the end of a wrapped attribution, for one."""
    return bare[:1] == ">" and not bare.endswith("<<")


def _is_attribution(text: str, quote_follows: bool) -> bool:
    if not _DATED.search(text):
        return text.lower().startswith("sent from") and bool(_VERB_END.search(text)) and text[-1] in ":：-"
    ends = text[-1:] in (":", "：")
    if _VERB_END.search(text):
        return ends or text[-1] == "-" or quote_follows
    if _MAIL_END.search(text) and not _is_sentence(text):
        return quote_follows or (ends and ("<" in text or bool(_VERB_INSIDE.search(text))))
    if not ends:
        return False
    if _MAIL.search(text) and _TIMED.search(text):
        return True  # who, when, and a colon, in whatever language
    return bool(_VERB_INSIDE.search(text)) and ("@" in text or quote_follows or bool(_TIMED.search(text)))


def _is_silent(below: list[str]) -> bool:
    """Whether nobody asks anything of us in a would-be signature: better one shown than a wish hidden."""
    return not any(_ASKS.search(line) for line in below)


def _is_card(below: list[str]) -> bool:
    """Whether below a closing there is more than a name: a company, a number, an address. No sentences, though."""
    if any(_TALKS.search(line) or _VERB_END.search(line) for line in below):
        return False
    return len(below) >= 2 and any(_CONTACT.search(line) for line in below[1:]) and _is_silent(below)


def _is_footer(below: list[str]) -> bool:
    """Whether a mailing list, a lawyer, a program or a card speaks below a rule, and not the writer."""
    if not below or _DISCLAIMER.match(below[0]):
        return bool(below)
    if not _is_silent(below):
        return False
    card = _PERSON.fullmatch(below[0]) and any(_CONTACT.search(line) for line in below[1:])
    return bool(card or _BARE_ADDRESS.match(below[0])) or any(
        _LISTED.search(line) or _MOBILE.match(line) for line in below
    )


def _label(line: str) -> str:
    """Which field of a quoted header a line is, or an empty string."""
    found = _LABEL_LINE.match(line)
    if not found:
        return ""
    word = found[1].lower()
    return _KIND_OF.get(word.replace(" ", "").replace("\u3000", "").replace("\xa0", ""), "")
