"""Things with a form of their own in what a customer writes: order numbers, phones, addresses, amounts, parcels.

Full-width digits and letters count like narrow ones. Each is found once, the first of its kind; its span are
characters of the text as it stands.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from normalizer.canon import Extracted
from normalizer.fold import fold
from normalizer.identity import phone

MAX_CHARACTERS = 20_000

_DIGIT = re.compile("[0-9]")

_ORDER = re.compile(
    r"(?:订单(?:编?号码?)?|单号|order(?: *(?:number|num|no\.?|id|#))*|purchase(?: *(?:number|no\.?|id))?|po)\s{0,2}(?:是|为|is)?\s{0,2}[:：#]{0,2}\s{0,2}"
    r"(#?(?=[a-z-]{0,12}\d)[a-z0-9][a-z0-9-]{0,31})(?![a-z0-9])"
)
_ORDER_BEFORE = re.compile(r"(?:运|快递|物流|服务|退款|退货|维修|工)$")
_TRACKING = re.compile(
    r"(?:(?:运|快递|物流|包裹)单?(?:编?号码?)?|tracking(?: *(?:number|num|no\.?|id|code|#))*|awb|waybill(?: *(?:number|no\.?))?)\s{0,2}(?:是|为|is)?\s{0,2}[:：#]{0,2}\s{0,2}"
    r"((?=[a-z]{0,6}\d)[a-z0-9][a-z0-9-]{6,31})(?![a-z0-9])"
)
_CARRIER = re.compile(r"(?<![a-z0-9])((?:sf|jt|jd[a-z]{0,3}|yt|zto|sto|ems)\d{10,18}|1z[0-9a-z]{16}|[a-z]{2}\d{9}[a-z]{2})(?![a-z0-9])")
_MOBILE = re.compile(r"(?<![\d.])((?:(?:\+|00)?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4})(?![\d.]?\d)")
_PHONE = re.compile(
    r"(?:电话|手机|联系方式|联系我|号码|tel|phone|mobile|call me(?: at| on)?|whatsapp)[a-z号码 ]{0,8}(?:是|为|is)?\s{0,2}[:：.]?\s{0,2}(\+?[0-9(][0-9() -]{5,18}[0-9])(?!\d)"
)
_INTERNATIONAL = re.compile(r"(?<![\w+])(\+[1-9][0-9() -]{6,17}[0-9])(?!\d)")
_EMAIL = re.compile(r"(?<![a-z0-9._%+-])([a-z0-9][a-z0-9._%+-]{0,63}@(?:[a-z0-9-]{1,63}\.){1,5}[a-z]{2,24})(?![a-z0-9-])")
_AMOUNT = re.compile(
    r"(?P<sign>[¥￥$€£]|rmb|cny|usd|eur|gbp|hk\$|us\$)\s?(?P<after>\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d{1,9}(?:\.\d{1,2})?)(?![\d])(?!\.\d)"
    r"|(?<![\d.a-z])(?P<before>\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d{1,9}(?:\.\d{1,2})?)\s?(?P<unit>元|块钱|块|人民币|万元|rmb|cny|usd|dollars?|eur|euros?|pounds?|gbp|美元|欧元|港币|hkd|jpy|日元|円)(?![a-z])"
)
_CURRENCY = {
    "¥": "CNY", "￥": "CNY", "rmb": "CNY", "元": "CNY", "块": "CNY", "块钱": "CNY", "人民币": "CNY", "万元": "CNY", "cny": "CNY",
    "$": "USD", "us$": "USD", "usd": "USD", "dollar": "USD", "dollars": "USD", "美元": "USD",
    "€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR", "欧元": "EUR",
    "£": "GBP", "gbp": "GBP", "pound": "GBP", "pounds": "GBP",
    "hk$": "HKD", "hkd": "HKD", "港币": "HKD", "jpy": "JPY", "日元": "JPY", "円": "JPY",
}  # fmt: skip
_PRODUCT = re.compile(r"(?:型号|model(?: *(?:number|no\.?))?)\s{0,2}(?:是|为|is)?\s{0,2}[:：#]?\s{0,2}((?=[a-z0-9-]{0,12}\d)[a-z0-9][a-z0-9-]{1,30})(?![a-z0-9])")
_ERROR = re.compile(r"(?:错误代?码|报错|error(?: *code)?)\s{0,2}(?:是|为|is)?\s{0,2}[:：#]?\s{0,2}((?=[a-z]{0,8}[-_]?(?:0x)?\d)[a-z0-9][a-z0-9_-]{1,24})(?![a-z0-9])")

Found = tuple[str, tuple[int, int], float]


def extract(text: str) -> dict[str, Extracted]:
    """What is found, by kind: order_number, tracking_number, phone, email, amount, product, error_code.

    Values: phones as E.164, amounts as `129.00 CNY`, others as written but in narrow characters.
    """
    folded = fold(text[:MAX_CHARACTERS])
    if not _DIGIT.search(folded) and "@" not in folded:
        return {}
    narrow = _narrow(text[:MAX_CHARACTERS])
    found: dict[str, Extracted] = {}
    for kind, finder in _FINDERS.items():
        if (first := next(finder(folded, narrow), None)) is not None:
            value, span, sure = first
            found[kind] = Extracted(value, span, sure)
    return found


def _narrow(text: str) -> str:
    return text if text.isascii() else text.translate(_WIDE)


_WIDE = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}


def _plain(pattern: re.Pattern[str], sure: float) -> Callable[[str, str], Iterator[Found]]:
    def find(folded: str, narrow: str) -> Iterator[Found]:
        for found in pattern.finditer(folded):
            start, end = found.span(1)
            yield narrow[start:end], (start, end), sure

    return find


def _orders(folded: str, narrow: str) -> Iterator[Found]:
    for found in _ORDER.finditer(folded):
        start, end = found.span(1)
        if _ORDER_BEFORE.search(folded[max(0, found.start() - 3) : found.start()]):
            continue  # 快递单号 and the like number something else
        start += folded[start] == "#"
        yield narrow[start:end].rstrip("-"), (start, start + len(narrow[start:end].rstrip("-"))), 0.95


def _parcels(folded: str, narrow: str) -> Iterator[Found]:
    yield from _plain(_TRACKING, 0.95)(folded, narrow)
    yield from _plain(_CARRIER, 0.8)(folded, narrow)


def _phones(folded: str, narrow: str) -> Iterator[Found]:
    for pattern, sure in ((_PHONE, 0.95), (_MOBILE, 0.9), (_INTERNATIONAL, 0.85)):
        for found in pattern.finditer(folded):
            if number := phone(found[1].strip()):
                yield number, found.span(1), sure


def _addresses(folded: str, narrow: str) -> Iterator[Found]:
    if "@" in folded:
        for found in _EMAIL.finditer(folded):
            yield found[1], found.span(1), 0.95


def _amounts(folded: str, narrow: str) -> Iterator[Found]:
    for found in _AMOUNT.finditer(folded):
        number = float((found["after"] or found["before"]).replace(",", ""))
        unit = found["sign"] or found["unit"]
        value = number * 10_000 if unit == "万元" else number
        yield f"{value:.2f} {_CURRENCY[unit]}", found.span(), 0.9


_FINDERS: Mapping[str, Callable[[str, str], Iterator[Found]]] = {
    "order_number": _orders,
    "tracking_number": _parcels,
    "phone": _phones,
    "email": _addresses,
    "amount": _amounts,
    "product": _plain(_PRODUCT, 0.8),
    "error_code": _plain(_ERROR, 0.85),
}
