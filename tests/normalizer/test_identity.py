"""Addresses and numbers in one form, and hidden from those who need not see them."""

import pytest

from normalizer.canon import Address, Identity
from normalizer.identity import email_address, identity, mask, mask_email, mask_name, mask_phone, mask_text, phone


@pytest.mark.parametrize(
    ("raw", "same"),
    [
        (" Jane.Doe@Example.COM ", "jane.doe@example.com"),
        ("wang@例子.CN", "wang@xn--fsqu00a.cn"),
        ("<a@b.c.>", "a@b.c"),
        ("nobody", "nobody"),
        ("", ""),
        ("a@-bad-..example", "a@-bad-..example"),
    ],
)
def test_one_address_has_one_form(raw: str, same: str) -> None:
    assert email_address(raw) == same


@pytest.mark.parametrize(
    ("raw", "same"),
    [
        ("13800138000", "+8613800138000"),
        ("138 0013 8000", "+8613800138000"),
        ("+86-138-0013-8000", "+8613800138000"),
        ("010-62345678", "+861062345678"),
        ("+1 415 555 2671", "+14155552671"),
        ("+49 170 1234567", "+491701234567"),
        ("12345", None),
        ("order 5", None),
        ("", None),
    ],
)
def test_one_phone_has_one_form(raw: str, same: str | None) -> None:
    assert phone(raw) == same


def test_a_contact_is_known_by_the_form_for_comparing() -> None:
    assert identity(Address("email", "Wang@例子.cn", "王")) == Identity("email", "wang@xn--fsqu00a.cn")
    assert identity(Address("phone", "13800138000")) == Identity("phone", "+8613800138000")
    assert identity(Address("phone", "call me"), "sms") == Identity("phone", "call me", "sms")
    assert identity(Address("openid", "oA_b")) == Identity("openid", "oA_b")


def test_what_identifies_is_masked() -> None:
    assert mask_name("张三") == "张*"
    assert mask_name("欧阳锋") == "欧**"
    assert mask_name("Jane Doe") == "J***"
    assert mask_phone("+8613800135678") == "*********5678"
    assert mask_email("jane@example.com") == "j***@example.com"
    assert mask(Address("phone", "+8613800135678", "张三")) == "张*(5678)"
    assert mask(Address("email", "jane@example.com", "")) == "j***@example.com"
    assert mask(Address("openid", "oABCDEFGHIJ", "")) == "***GHIJ"
    assert "13800135678" not in mask_text("电话 13800135678，邮箱 jane@example.com")
    assert mask_text("jane@example.com") == "j***@example.com"
