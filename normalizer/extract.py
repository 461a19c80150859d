"""Things with a form of their own in what a customer writes: order numbers, phones, addresses, amounts, parcels.

Full-width digits and letters count like narrow ones. Of each kind the first is taken; its span are characters of the
text as it stands. Everything but addresses has digits, so digits are looked for, and then what stands before them.
"""

import re
from collections.abc import Mapping
from itertools import islice

from normalizer.canon import Extracted
from normalizer.fold import fold
from normalizer.identity import phone

MAX_CHARACTERS = 20_000
MAX_NUMBERS = 12  # looked at in one text
_BEFORE = 28  # characters before a number in which its name stands

_NUMBER = re.compile(r"[0-9][0-9a-z-]*")
_SLASHED = re.compile(r"(?:/(?=[a-z-]{0,7}[0-9])[0-9a-z-]{1,8}(?![0-9a-z-])){1,4}")
_WHOLE = 6  # from so many characters on a number has no more parts: 88120934/88120935 are two
_DIGITS = re.compile(r"[0-9]+")
_CODE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")

# What stands before a number and says what it is. The longest name counts: 快递单号 is no order number, though 单号 is.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "tracking_number": (
        "运单", "运单号", "运单号码", "运单编号", "快递", "快递号", "快递单", "快递单号", "物流单号", "物流编号",
        "物流号", "物流单", "包裹号", "包裹单号",
        "tracking", "tracking number", "tracking num", "tracking no", "tracking no.", "tracking id", "tracking code",
        "awb",
        "waybill", "waybill number", "waybill no", "waybill no.",
    ),
    "": (
        "服务单", "服务单号", "退款单号", "退货单号", "维修单号", "工单", "工单号", "ticket", "ticket number",
        "invoice", "invoice number", "bill",
        "version",
    ),
    "order_number": (
        "订单", "订单号", "订单号码", "订单编号", "订单编码", "单号", "order", "orders", "order number", "order num",
        "order no", "order no.", "order nr", "order nr.", "order ref", "order ref.", "order reference",
        "order id", "purchase", "purchase number", "purchase no", "purchase no.", "purchase id", "po", "po number",
    ),
    "phone": (
        "电话", "电话号码", "手机", "手机号", "手机号码", "联系方式", "联系我", "号码", "tel", "phone",
        "phone number", "telephone", "mobile",
        "mobile number", "cell", "whatsapp", "call me", "call me at", "call me on", "contact number", "number",
    ),
    "product": ("型号", "model", "model number", "model no", "model no."),
    "error_code": ("错误代码", "错误码", "错误编码", "报错", "报错代码", "error", "error code"),
}  # fmt: skip
_LEAST = {"order_number": 1, "tracking_number": 6, "product": 2, "error_code": 2}  # characters a code must have
_KIND_OF = {name: kind for kind, names in _NAMES.items() for name in names}
_LAST = frozenset(name[-1] for name in _KIND_OF)  # spares a closer look at most numbers
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_NAME_TAIL = " \t\n:：#=(（[【是为"
_NAME_HEAD = "([{\"'*_-/"  # what a Latin name may stand behind: (order #5)
# The character before a number of which anything can be said but that it is an amount.
_TELLING = frozenset(" \t\n:：#=(（[【是为单号码递流裹话机式我错+-$¥￥€£,，。/abcdefghijklmnopqrstuvwxyz")
_CARRIER = re.compile(r"(?:sf|jt|jd[a-z]{0,3}|yt|zto|sto|ems)\d{10,18}|1z[0-9a-z]{16}|[a-z]{2}\d{9}[a-z]{2}")
_LONG = re.compile(r"[0-9(][0-9() -]{4,18}[0-9]")
_MOBILE = re.compile(r"(?:(?:00)?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}")
_EMAIL = re.compile(r"[a-z0-9][a-z0-9._%+-]{0,63}@(?:[a-z0-9-]{1,63}\.){1,5}[a-z]{2,24}(?![a-z0-9-])")
_LOCAL = re.compile(r"[a-z0-9._%+-]{1,64}$")
_AMOUNT = re.compile(r"(\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d{1,9}(?:\.\d{1,2})?)(?![\d,]*\d)(?!\.\d)")
_SIGNS = ("hk$", "us$", "¥", "￥", "$", "€", "£", "rmb", "cny", "usd", "eur", "gbp")
_UNIT = re.compile(
    r"\s?(元|块钱|块|人民币|万元|rmb|cny|usd|dollars?|eur|euros?|pounds?|gbp|美元|欧元|港币|hkd|jpy|日元|円)(?![a-z])"
)
_CURRENCY = {
    "¥": "CNY", "￥": "CNY", "rmb": "CNY", "元": "CNY", "块": "CNY", "块钱": "CNY", "人民币": "CNY", "万元": "CNY",
    "cny": "CNY",
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
        folded, end = self.folded, 0
        for number in islice(_NUMBER.finditer(folded), MAX_NUMBERS):
            at, stop = number.span()
            if at < end:
                continue  # within what the last one was part of
            if at == 0 or folded[at - 1] in _TELLING or folded[at] == "1":
                end = self._about(at, stop)
            elif "amount" not in self.found:
                end = self._amount(at) or stop

    def _about(self, at: int, stop: int) -> int:
        """Keep what the number that begins here is, or is part of; where it ends."""
        start = self._begin(at)
        kind = self._name(start)
        if not kind and start and self.folded[start - 1] == "/":
            start = self._begin_slashed(start)
            kind = self._name(start)
        if kind in _LEAST:
            return self._code(kind, start, stop if stop - at >= _WHOLE else _end_slashed(self.folded, stop), 0.95)
        if stop - start >= 10 and _CARRIER.fullmatch(self.folded, start, stop):
            return self._code("tracking_number", start, stop, 0.8)
        return self._phone(at, kind == "phone") or self._amount(at) or _end_of_digits(self.folded, at)

    def _begin(self, at: int) -> int:
        """Where the letters and dashes before a digit begin."""
        start = at
        while start and self.folded[start - 1] in _CODE and at - start < 32:
            start -= 1
        while start < at and self.folded[start] == "-":
            start += 1
        return start

    def _begin_slashed(self, start: int) -> int:
        """The same for a number of several parts, UK/2026/77810, whose last ones begin here."""
        while start > 1 and self.folded[start - 1] == "/" and self.folded[start - 2] in _CODE:
            start = self._begin(start - 1)
        return start

    def _code(self, kind: str, start: int, stop: int, sure: float) -> int:
        if kind in self.found and self.found[kind].confidence >= sure:
            return stop
        written = _narrow(self.text[start:stop]).rstrip("-")[:32]
        if len(written) < _LEAST[kind]:
            return stop
        return self._keep(kind, written, (start, start + len(written)), sure)

    def _keep(self, kind: str, value: str, span: tuple[int, int], sure: float) -> int:
        """The first of its kind stays, unless a later one is surer."""
        known = self.found.get(kind)
        if known is None or sure > known.confidence:
            self.found[kind] = Extracted(value, span, sure)
        return span[1]

    def _name(self, at: int) -> str:
        """What the text calls the number that begins here, or an empty string."""
        tail = self.folded[max(0, at - _BEFORE) : at].rstrip(_NAME_TAIL)
        if tail.endswith((" is", " was")):
            tail = tail.rpartition(" ")[0]
        if tail[-1:] not in _LAST:
            return ""
        for name in _endings(tail):
            if (kind := _KIND_OF.get(name)) is not None:
                return kind
        return ""

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
        if (start and (self.folded[start - 1] in _CODE or self.folded[start - 1] == ".")) or self.folded[
            stop : stop + 1
        ].isdigit():
            return 0
        number = phone(self.folded[start:stop])
        return self._keep("phone", number, (start, stop), 0.95 if named else 0.9) if number else 0

    def _amount(self, at: int) -> int:
        if "amount" in self.found:
            return 0
        amount = _AMOUNT.match(self.folded, at)
        if not amount or (at and self.folded[at - 1] in ".,0123456789"):
            return 0
        before = self.folded[max(0, at - 5) : at].rstrip(" ")
        sign = next((sign for sign in _SIGNS if before.endswith(sign)), "") if before.endswith(_SIGNS) else ""
        unit = None if sign else _UNIT.match(self.folded, amount.end())
        if not (word := sign or (unit[1] if unit else "")):
            return 0
        value = float(amount[1].replace(",", "")) * (10_000 if word == "万元" else 1)
        span = (self.folded.rindex(sign, 0, at) if sign else at, unit.end() if unit else amount.end())
        return self._keep("amount", f"{value:.2f} {_CURRENCY[word]}", span, 0.9)

    def _address(self) -> None:
        at = self.folded.find("@")
        if at < 0 or not (local := _LOCAL.search(self.folded, max(0, at - 64), at)):
            return
        if found := _EMAIL.match(self.folded, local.start()):
            self._keep("email", found[0], found.span(), 0.95)


def _endings(tail: str) -> list[str]:
    """What a name at the end of this may be, longest first: the last words, or the last Chinese characters."""
    if tail[-1:] >= "\u2e80":
        return [tail[-length:] for length in (5, 4, 3, 2)]
    words = [word.lstrip(_NAME_HEAD) for word in (tail if tail.isascii() else _NOT_ASCII.sub(" ", tail)).split()]
    return [" ".join(words[-3:]), " ".join(words[-2:]), words[-1]] if words else []


def _end_slashed(folded: str, stop: int) -> int:
    """Where a number of several parts ends, UK/2026/77810, of which one ends here."""
    more = _SLASHED.match(folded, stop)
    return more.end() if more else stop


def _end_of_digits(folded: str, at: int) -> int:
    found = _DIGITS.match(folded, at)
    return found.end() if found else at + 1


def _narrow(written: str) -> str:
    return written if written.isascii() else written.translate(_WIDE)
