"""Things with a form of their own in what a customer writes: order numbers, phones, addresses, amounts, parcels.

Full-width digits and letters count like narrow ones. Of each kind the first is taken; its span are characters of the
text as it stands. Everything but addresses has digits, so digits are looked for, and then what stands before them.
"""

import re
from itertools import islice

from normalizer.canon import Extracted
from normalizer.fold import fold
from normalizer.identity import phone

MAX_CHARACTERS = 20_000
MAX_NUMBERS = 40  # looked at in one text
_BEFORE = 28  # characters before a number in which its name stands

# The last two characters of the names below: a look at them spares the pattern for dates, prices and sizes.
_NAME_ENDS = frozenset(
    "订单 单号 编号 号码 运单 快递 物流 包裹 电话 手机 方式 系我 型号 代码 误码 报错 工单 票号 er um no o. id de wb ll se po el ne le pp me at on or is as"
    " et ce ng rs".split()
)
_NAME_TAIL = " \t\n:：#=(（[【是为"
_NUMBER = re.compile(r"[0-9][0-9a-z-]*")
_CODE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_NAME = re.compile(
    r"(?:(?P<tracking_number>(?:运单|快递|物流|包裹)(?:单?(?:编?号码?)?)|tracking(?: *(?:number|num|no\.?|id|code|#))*|awb|waybill(?: *(?:number|no\.?))?)"
    r"|(?P<other>(?:服务|退款|退货|维修|工)单号?|ticket|invoice|bill|version)"
    r"|(?P<order_number>订单(?:编?号码?)?|单号|(?<![a-z])(?:order|purchase|po)(?: *(?:number|num|no\.?|id))*)"
    r"|(?P<phone>(?:电话|手机|联系方式|联系我|号码|(?<![a-z])(?:tel|phone|mobile|cell|whatsapp|call me(?: at| on)?))(?:号码?|number)?)"
    r"|(?P<product>型号|(?<![a-z])model(?: *(?:number|no\.?))?)"
    r"|(?P<error_code>错误代?码|报错|(?<![a-z])error(?: *code)?))"
    r"(?:'s|s)?\s{0,2}(?:是|为|is|was)?\s{0,2}[(（\[【]?[:：#=]{0,2}\s{0,2}#?$"
)
_LEAST = {"order_number": 1, "tracking_number": 6, "product": 2, "error_code": 2}  # characters a code must have
_CARRIER = re.compile(r"(?:sf|jt|jd[a-z]{0,3}|yt|zto|sto|ems)\d{10,18}|1z[0-9a-z]{16}|[a-z]{2}\d{9}[a-z]{2}")
_LONG = re.compile(r"[0-9(][0-9() -]{4,18}[0-9]")
_MOBILE = re.compile(r"(?:(?:00)?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}")
_EMAIL = re.compile(r"[a-z0-9][a-z0-9._%+-]{0,63}@(?:[a-z0-9-]{1,63}\.){1,5}[a-z]{2,24}(?![a-z0-9-])")
_LOCAL = re.compile(r"[a-z0-9._%+-]{1,64}$")
_AMOUNT = re.compile(r"(\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d{1,9}(?:\.\d{1,2})?)(?![\d,]*\d)(?!\.\d)")
_SIGN = re.compile(r"(hk\$|us\$|[¥￥$€£]|(?<![a-z])(?:rmb|cny|usd|eur|gbp))\s?$")
_SIGN_ENDS = frozenset("¥￥$€£ ydrbp")
_UNIT = re.compile(r"\s?(元|块钱|块|人民币|万元|rmb|cny|usd|dollars?|eur|euros?|pounds?|gbp|美元|欧元|港币|hkd|jpy|日元|円)(?![a-z])")
_CURRENCY = {
    "¥": "CNY", "￥": "CNY", "rmb": "CNY", "元": "CNY", "块": "CNY", "块钱": "CNY", "人民币": "CNY", "万元": "CNY", "cny": "CNY",
    "$": "USD", "us$": "USD", "usd": "USD", "dollar": "USD", "dollars": "USD", "美元": "USD",
    "€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR", "欧元": "EUR",
    "£": "GBP", "gbp": "GBP", "pound": "GBP", "pounds": "GBP",
    "hk$": "HKD", "hkd": "HKD", "港币": "HKD", "jpy": "JPY", "日元": "JPY", "円": "JPY",
}  # fmt: skip
_WIDE = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}

def extract(text: str, folded: str = "") -> dict[str, Extracted]:
    """What is found, by kind: order_number, tracking_number, phone, email, amount, product, error_code.

    Values: phones as E.164, amounts as `129.00 CNY`, others as written but in narrow characters. `folded` is the
    folded text, if the caller has it.
    """
    said = _Said(text[:MAX_CHARACTERS], folded[:MAX_CHARACTERS])
    said.look()
    return said.found


class _Said:
    """A text in two forms of equal length: as written, and as compared."""

    def __init__(self, text: str, folded: str = "") -> None:
        self.text = text
        self.folded = folded or fold(text)
        self.found: dict[str, Extracted] = {}

    def look(self) -> None:
        self._address()
        end = 0
        for number in islice(_NUMBER.finditer(self.folded), MAX_NUMBERS):
            if number.start() >= end:  # not within what the last one was part of
                end = self._about(*number.span())

    def _about(self, at: int, stop: int) -> int:
        """Keep what the number that begins here is, or is part of; where it ends."""
        start = self._begin(at)
        kind = self._name(start)
        if kind in _LEAST:
            return self._code(kind, start, stop, 0.95)
        if stop - start >= 10 and _CARRIER.fullmatch(self.folded, start, stop):
            return self._code("tracking_number", start, stop, 0.8)
        return self._phone(at, kind == "phone") or self._amount(at) or (at + 1 if stop - at > 32 else self._digits(at, stop))

    def _begin(self, at: int) -> int:
        """Where the letters and dashes before a digit begin."""
        start = at
        while start and self.folded[start - 1] in _CODE and at - start < 32:
            start -= 1
        while start < at and self.folded[start] == "-":
            start += 1
        return start

    def _digits(self, at: int, stop: int) -> int:
        while at < stop and self.folded[at].isdigit():
            at += 1
        return at

    def _code(self, kind: str, start: int, stop: int, sure: float) -> int:
        written = self.text[start:stop].translate(_WIDE).rstrip("-")[:32]
        if len(written) < _LEAST[kind]:
            return stop
        return self._keep(kind, written, (start, start + len(written)), sure)

    def _keep(self, kind: str, value: str, span: tuple[int, int], sure: float) -> int:
        """The first of its kind stays, unless a later one is surer."""
        known = self.found.get(kind)
        if known is None or sure > known.confidence:
            self.found[kind] = Extracted(value, span, sure)
        return span[1]

    def _name(self, at: int) -> str | None:
        """What the text calls the number that begins here."""
        before = self.folded[max(0, at - _BEFORE) : at]
        if before.rstrip(_NAME_TAIL)[-2:] not in _NAME_ENDS:
            return None
        named = _NAME.search(before)
        return named.lastgroup if named else None

    def _phone(self, at: int, named: bool) -> int:
        """Keep a phone number whose digits begin here; where it ends, 0 if there is none."""
        known = self.found.get("phone")
        before = self.folded[at - 1] if at else ""
        plus, paren = before == "+", before == "("
        if (known and (known.confidence > 0.9 or not named)) or not (named or plus or paren or self.folded[at] in "10"):
            return 0
        long = _LONG.match(self.folded, at - paren)
        mobile = _MOBILE.match(self.folded, at)
        if not long or not (named or plus or mobile):
            return 0
        start, stop = at - plus - paren, mobile.end() if mobile and not named else long.end()
        if (start and (self.folded[start - 1] in _CODE or self.folded[start - 1] == ".")) or self.folded[stop : stop + 1].isdigit():
            return 0
        number = phone(self.folded[start:stop])
        return self._keep("phone", number, (start, stop), 0.95 if named else 0.9) if number else 0

    def _amount(self, at: int) -> int:
        if "amount" in self.found or (at and self.folded[at - 1] in ".,0123456789"):
            return 0
        amount = _AMOUNT.match(self.folded, at)
        if not amount:
            return 0
        sign = _SIGN.search(self.folded, max(0, at - 5), at) if self.folded[at - 1 : at] in _SIGN_ENDS else None
        unit = None if sign else _UNIT.match(self.folded, amount.end())
        if not (word := sign or unit):
            return 0
        value = float(amount[1].replace(",", "")) * (10_000 if word[1] == "万元" else 1)
        span = (sign.start() if sign else at, unit.end() if unit else amount.end())
        return self._keep("amount", f"{value:.2f} {_CURRENCY[word[1]]}", span, 0.9)

    def _address(self) -> None:
        at = self.folded.find("@")
        if at < 0 or not (local := _LOCAL.search(self.folded, max(0, at - 64), at)):
            return
        if found := _EMAIL.match(self.folded, local.start()):
            self._keep("email", found[0], found.span(), 0.95)
