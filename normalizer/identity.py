"""Who somebody is: addresses and phone numbers in the one form they are compared in, and masked for showing."""

import re
from functools import lru_cache

from normalizer.canon import Address, Identity

MASK = "*"
_PHONE_CHARACTERS = re.compile(r"[+＋]?[\d()（）\s.·/-]{5,30}(?:(?:转|ext\.?|x|#)\s*\d{1,6})?", re.I)
# The numbers most customers have need no tables: +86, three digits from 130 to 199, eight more.
_CHINESE_MOBILE = re.compile(r"(?:(?:\+|00)?86[ -]?)?(1[3-9][0-9])[ -]?([0-9]{4})[ -]?([0-9]{4})")
_MAIL_IN_TEXT = re.compile(r"(?<![\w.+-])([\w.+-]{1,64})@((?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24})")
# With +, Chinese mobile and fixed, North American: any other run of digits is more likely an order number.
_PHONE_IN_TEXT = re.compile(
    r"(?<![\w.+-])(?:\+\d[\d -]{6,16}\d|(?:86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}|0\d{2,3}[ -]?\d{7,8}"
    r"|\(?\d{3}\)?[ -]\d{3}[ -]\d{4})(?![\w-])",
    re.ASCII,
)


@lru_cache(maxsize=4096)
def email_address(raw: str) -> str:
    """An e-mail address for comparing: lower case, the domain in its ASCII form (IDNA). Never raises.

    What has no @ comes back lower-cased, since broken mail must have a sender too.
    """
    local, at, domain = raw.strip().strip("<>").rpartition("@")
    return f"{local.lower()}@{_domain(domain)}" if at else domain.lower()


def _domain(raw: str) -> str:
    domain = raw.strip().rstrip(".").lower()
    return domain if domain.isascii() else _ascii_domain(domain)


@lru_cache(maxsize=1024)
def _ascii_domain(domain: str) -> str:
    import idna

    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return domain


def phone(raw: str, region: str = "CN") -> str | None:
    """A phone number as E.164 (+8613812345678), or None if it cannot be one. `region` is where no + is written."""
    if mobile := _CHINESE_MOBILE.fullmatch(raw.strip()) if region == "CN" else None:
        return f"+86{mobile[1]}{mobile[2]}{mobile[3]}"
    if not _PHONE_CHARACTERS.fullmatch(raw.strip()):
        return None
    return _phone(raw.strip(), region)


@lru_cache(maxsize=4096)
def _phone(raw: str, region: str) -> str | None:
    import phonenumbers  # 120 ms to load

    try:
        number = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


@lru_cache(maxsize=4096)
def country(number: str) -> str | None:
    """The country of a phone number in its international form (+86...): CN, US, ...; None if that cannot be told."""
    import phonenumbers  # 120 ms to load

    try:
        code = phonenumbers.region_code_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return None
    return str(code) if code else None


def identity(address: Address, proven_by: str = "") -> Identity:
    """What a contact is known by: the address in its form for comparing."""
    match address.kind:
        case "email":
            return Identity("email", email_address(address.address), proven_by)
        case "phone":
            return Identity("phone", phone(address.address) or address.address, proven_by)
        case kind:
            return Identity(kind, address.address, proven_by)


def mask_name(name: str) -> str:
    """张三 -> 张*; John Smith -> J***."""
    name = name.strip()
    if not name:
        return ""
    return name[0] + MASK * (3 if name[0].isascii() else max(1, min(2, len(name) - 1)))


def mask_phone(number: str) -> str:
    """The last four digits stay: *******5678."""
    digits = sum(c.isdigit() for c in number)
    keep = 4 if digits > 6 else 1
    return MASK * max(digits - keep, 0) + "".join(c for c in number if c.isdigit())[-keep:]


def mask_email(address: str) -> str:
    """li.lei@example.com -> l***@example.com."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}***@{domain}" if at else f"{address[:1]}***"


def mask(address: Address) -> str:
    """An address with its name as people may see it: 张*(5678), 张*(l***@example.com)."""
    match address.kind:
        case "phone":
            shown = mask_phone(address.address).lstrip(MASK)
        case "email":
            shown = mask_email(address.address)
        case _:
            shown = f"***{address.address[-4:]}" if len(address.address) > 8 else "***"
    name = mask_name(address.name)
    return f"{name}({shown})" if name else shown


def mask_text(text: str) -> str:
    """A text with the mail addresses and phone numbers in it masked."""
    text = _MAIL_IN_TEXT.sub(lambda m: f"{m[1][:1]}***@{m[2]}", text)
    return _PHONE_IN_TEXT.sub(lambda m: mask_phone(m[0]), text)
