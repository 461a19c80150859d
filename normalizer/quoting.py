"""How programs and people quote, forward and sign, in many languages: what text.py looks for.

Patterns look at one line at a time, of bounded length, and each at a bounded part of it.
"""

import re

# What every quotation or signature found below has in it somewhere. Most mails have none of these, and are done.
MARKS = (
    ">", "--", "__", "==", "##", "**", "wrote", "writes", " sent:", "(sent ", "schr", "crit", "scri", "escre", "skrev",
    "napsal",
    "menulis", "kirjoitti", "pisze", "pisany", "yazd", "a scris", "Sent ", "Outlook ", "endet", "Enviado", "Inviato",
    "this line", "Begin forwarded", "Verstuurd", "Verzonden", "Skickat", "Sendt fra", "etetty ", "Wysłan", "Trimis",
    "Dikirim", "Odesl", "onfidential", "ONFIDENTIAL", "isclaimer", "ertraulich", "egards", "incerely", "Grüße", "Gruß",
    "heers", "truly", "wishes",
)  # fmt: skip
WIDER_MARKS = (
    "—", "napisał", "пис", "пише", "写道", "寫道", "写到", "viết", "yazdı", "írta", "書き", "작성", "メール:", "έγραψε",
    "เขียนว่า", "بواسطة", "מאת", "בתאריך", "من:", "Từ:",
    "Envoyé", "から送信", "보냄", "发自", "發自", "送自", "来自", "來自", "寄自",
    "发送", "傳送", "发来", "此行", "发件", "發件", "寄件", "差出人", "送信者", "보낸", "转发", "轉寄", "Отправлено",
    "Στάλθηκε", "gönderildi", "Đã gửi", "ส่งจาก", "获取", "此致", "祝好", "顺祝", "順祝", "祝您", "敬礼", "商祺",
    "敬上",
    "保密", "声明", "機密", "签名由", "| |",
)  # fmt: skip
ALL_MARKS = MARKS + WIDER_MARKS
BLOCK_LABELS = [
    "from", "von", "de", "van", "da", "fra", "från", "od", "nadawca", "remitente", "от", "отправитель", "expéditeur",
    "mittente", "lähettäjä", "kimden", "від", "feladó", "από", "sender", "expeditor", "dari", "người gửi", "date",
    "sent", "datum", "data", "fecha", "дата",
]  # fmt: skip
# Both cases written out: to ignore case costs the search several times as much.
BLOCK_MARK = re.compile(
    r"\n[ \t*|>]{0,8}(?=[-a-zA-ZА-яёіΑ-ωέäöåàéÄÖÅÀÉ])(?:"
    + "|".join(f"[{word[0].upper()}{word[0]}]{word[1:]}|{word.upper()}" for word in BLOCK_LABELS)
    + r")[ \t*\xa0]{0,3}[:：|]|\n-{1,2} ?[A-Z]"
)
VERB = (
    r"wrote|writes|sent|schrieb|schreef|geschreven|geschrieben|a écrit|écrit|ha scritto|scrisse|escribió|escreveu|"
    r"napisał(?:a|\(a\))?|pisze|skrev|napisal|написал(?:а|\(а\))?|пишет|пише|写道|寫道|写到|đã viết|kirjoitti|"
    r"yazdı|írta|napsal(?:a|\(a\))?|a scris|menulis|のメッセージ|のメール|書きました|작성|έγραψε|เขียนว่า"
)
VERB_END = re.compile(rf"(?:{VERB})\s*[-:：]*\s*$", re.I)
VERB_INSIDE = re.compile(
    r"\b(?:skrev|schreef|schrieb|wrote|escribió|escreveu|írta|napisana przez|odesílatel)\b|写于|寫於|تمت كتابة|מאת",
    re.I,
)
MAIL_END = re.compile(r"[<(\[]\s*(?:mailto:)?\S+@\S+\s*[>)\]]+\s*[:：]?\s*$")
MAIL = re.compile(r"[<(\[]\s*(?:mailto:)?[^\s<>()\[\]]{1,100}@[^\s<>()\[\]]{1,255}\s*[>)\]]")
TIMED = re.compile(r"\d{1,2}[:.]\d{2}")
COLON = re.compile(r"[:：]\s*$")
DATED = re.compile(
    r"\d{1,2}[:.]\d{2}|(?<!\d)\d{4}(?!\d)|\d{1,2}\s?[./年月-]\s?\d{1,2}|"
    r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6} \d{1,2}\b"
)
SPOKEN = (
    r"(?:On|Le|Am|El|Il|Op|Em|No dia|W dniu|Dnia|Den|På|Vào|Dne|Pada|At|În|Στις|Wiadomość)\b|在|于|於|ในวันที่|בתאריך|في "
)
SPOKEN_START = re.compile(rf"[\s>*\u200e\u200f-]*(?:{SPOKEN})", re.I)
STARTS = re.compile(
    rf"[\s>*\u200e\u200f-]*(?:{SPOKEN}|"
    r"(?:\S{2,12}\s)?\d{1,4}(?:[./年 :-]|\b)|"
    r"Sent from\b|[^\W\d_]{2,10}[.,]\s+\d)",
    re.I,
)
DATE = re.compile(r"\d{1,2}[:.]\d{2}|\b(?:19|20)\d\d|\d{1,2}\s?[./月-]\s?\d{1,2}|\d\.? [^\W\d_]{3,}|Sent from", re.I)
WHEN = re.compile(r"\d{1,2}[:.]\d{2}|\b(?:19|20)\d\d\b|\d{1,2}[./月-]\s?\d{1,2}")
SHARED = re.compile(r"(?<=[^\s>*-]) +(?=On [A-Z][a-z]{2},? [^\n]{5,200}\d[^\n]{1,200} wrote:\s*$)")
STARTS_ANYWHERE = re.compile(r"-{2,}\s*(On [A-Z].{5,200}wrote\s*[:-]*)\s*$")

STAMP = re.compile(r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}")  # RFC 5322: people write dates otherwise

FULL_STOPS = (".", "!", "?", "。", "！", "？")
SIGNS = frozenset(">-_=*#|—")
SIGNATURE_STARTS = (
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
SIGNATURE_ENDS = ("から送信", "보냄", "gönderildi", "gesendet.", "gesendet", "Outlook を入手")
ENDS = (*SIGNATURE_ENDS, " wrote:")

LABELS = {
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
WHOLE = frozenset(("from", "date", "to"))  # what every program says of what it quotes
KIND_OF = {label.replace(" ", ""): kind for kind, labels in LABELS.items() for label in labels.split("|")}
TRANSPORT = re.compile(
    r"(?:message-id|received|return-path|delivered-to|mime-version|content-type|dkim-signature|references|in-reply-to|"
    r"authentication-results|arc-[\w-]{1,40}|x-[\w-]{1,60}):",
    re.I,
)
FIELD = re.compile(r"[A-Za-z][\w-]{1,60}:|[ \t]+\S")
LABEL_LINE = re.compile(r"[\s>*|]{0,12}([^\W\d_]{1,20}(?:[ \u3000\xa0][^\W\d_]{1,12})?)[\s*]{0,3}[:：|]", re.I)

ORIGINAL = re.compile(
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
TITLED = re.compile(r"[\s>*]*[-_=]{3,} ?\w[^_=\n]{1,58}[^-_=\s] ?[-_=]{3,}\s*$")
GROUPWISE = re.compile(r">>> ?[^>\n]{1,200}>?[^>\n]{0,60}\d[:.]\d{2}[^>\n]{0,8}>>>\s*$")
NOTES = re.compile(r"[^\n]{1,80}-{2,3} ?\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4} \d{1,2}:\d{2}(?::\d{2})?(?: [AP]M)? ?-{2,3}")
FORWARDED = re.compile(
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
ABOVE = re.compile(
    r"[\s#*=_-]*(?:请在此行(?:以|之)?上方?回复|請在此行(?:以|之)?上方?回覆|(?:Please )?(?:type|write|"
    r"enter)? ?(?:your )?reply (?:above|ABOVE) this line)|\s*##- ?[^\n]{10,120} ?-##\s*$",
    re.I,
)  # fmt: skip
RULE = re.compile(r"\s*(?:_{20,}|[-=*]{10,}|—{5,})\s*$")
DRAWN = re.compile(r"\s*(?:[-_=*—] ?){3,}\s*$")
LONG_RULE = re.compile(r"\s*_{20,}\s*$")
DELIMITED = ALL_MARKS.index("--")
# Marks with which something begins in their own line.
BELOW = frozenset(
    ALL_MARKS.index(mark)
    for mark in ("--", "egards", "incerely", "Grüße", "Gruß", "heers", "truly", "wishes", "此致", "祝好")
)
DELIMITER = re.compile(r"\n--[ \xa0\t]*\n")
DASHES = re.compile(r"\s{0,3}(?:--|—|——)[ \xa0\t]*$")
MOBILE = re.compile(
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
FRAME = re.compile(r"\s*\|\s*\|\s*$")  # of the card NetEase's program draws
CLOSING = re.compile(
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
CONTACT = re.compile(
    r"https?://|www\.|[\w.+-]{1,64}@[\w.-]+\.\w|(?:tel|phone|mobile|fax|cell|电话|電話|手机|传真|邮箱|地址|"
    r"网址)\s*[.:：]|\+?\d[\d ()/-]{7,}|"
    r"\b(?:Ltd|Inc|GmbH|LLC|AG|S\.A\.|B\.V\.|Corp)\b|(?:公司|集团|有限|大厦)",
    re.I,
)
DISCLAIMER = re.compile(
    r"[\s*_【\[（(-]{0,6}(?:confidentiality notice|confidential(?:ity)?\s*[:：]|(?:legal )?disclaimer\b|"
    r"(?:this (?:e-?mail|message|communication|transmission|correspondence)|the (?:information|content)s?\b)"
    r"[^.\n]{0,120}\b(?:confidential|privileged|intended (?:only|solely))|"
    r"diese (?:e-?mail|nachricht)[^.\n]{0,60}vertraulich|ce (?:message|courriel|mail)[^.\n]{0,60}confidentiel|"
    r"este (?:mensaje|correo|e-?mail)[^.\n]{0,60}confidencia|(?:保密|免责|法律)?声明[】\]）)]?\s*[:：]|保密(?:提示|"
    r"通知)|"
    r"(?:本|此)(?:电子)?(?:邮件|郵件|電郵)[^。\n]{0,40}(?:保密|机密|機密|仅(?:限|供)|僅供))",
    re.I,
)
ASKS = re.compile(
    r"[?？](?:\s|$)|\b(?:please|kindly|(?:could|can|would) you)\b(?! (?:consider|think|don.t print|do not print))|"
    r"\bI(?:['’](?:m|ve|d|ll))? (?:am|have|need|want|would|did|was|can|will)\b|"
    r"\bmy (?:order|account|address|number|ticket|money)\b|\bbitte\b|请(?!勿)|請(?!勿)|麻烦|我的|我要|订单",
    re.I,
)
TALKS = re.compile(r"\b(?:(?-i:it|is)|are|not|you|me|this|that|will|instead)\b", re.I)
POSTSCRIPT = re.compile(r"(?:P\.? ?){1,2}S\.?(?:[:：.,—-]|\s|$)|N\.?B\.?[:：]|又及|附言|另外|补充[：:]")
LAW = re.compile(
    r"recipient|addressee|intended|privileged|notify|unauthori[sz]ed|disclos|solely|virus|legal|copied|distribut|"
    r"vertraulich|confidentiel|confidencia|收件人|保密|机密|機密|误收|誤收|删除|刪除|仅供|僅供|仅限|法律|泄露|未经授权",
    re.I,
)
LISTED = re.compile(r"mailing list|unsubscribe|listinfo|退订|退訂|取消订阅", re.I)
PERSON = re.compile(
    r"[A-ZÀ-ÖØ-Þ][\w.'’-]{1,30}(?:,? [A-ZÀ-ÖØ-Þ][\w.'’-]{0,30}){1,4}(?: \(.{1,30}\))?|[\u4e00-\u9fff]{2,4}"
)
NAMED = re.compile(r"-{1,2} ?[A-Z][\w.]*(?: [A-Z][\w.]*){0,3}\s*$")
BARE_ADDRESS = re.compile(r"\s*[\w.+-]{1,64}@[\w.-]{1,255}\s*$")
CUT_LINK = re.compile(r"[(<]https?://[^\s)>]*$")
