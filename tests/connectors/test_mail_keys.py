"""Keys in mail addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mail_keys import bare, keyed, keys

KEY = "20260302001-0123456789abcdef0123"


@pytest.mark.parametrize("separator", ["+", "-", "=", "--", "_"])
@pytest.mark.parametrize("local", ["support", "my-support_team"])
def test_a_key_goes_in_and_comes_out_again(separator: str, local: str) -> None:
    address = f"{local}@example.com"
    made = keyed(address, KEY, separator)
    assert made == f"{local}{separator}{KEY}@example.com"
    for written in (made, made.upper(), f"<{made}>"):
        assert keys([written], separator) == (KEY,)
        assert bare(written, separator) == address


def test_without_separator_key_or_room_the_address_stays_as_it_is() -> None:
    assert keyed("support@example.com", KEY, "") == keyed("support@example.com", "", "+") == "support@example.com"
    assert keyed("s" * 40 + "@example.com", KEY, "+") == "s" * 40 + "@example.com"
    assert keys([f"support+{KEY}@example.com"], "") == ()
    assert keys(["support@example.com", "support+x@example.com", f"{KEY}@example.com", f"support{KEY}@x.cn"], "+") == ()


@given(st.lists(st.text(max_size=120), max_size=10), st.sampled_from(["", "+", "-", "=="]))
def test_whatever_an_address_holds_is_no_trouble(addresses: list[str], separator: str) -> None:
    assert len(keys(addresses, separator)) <= 4
    for one in addresses:
        bare(one, separator)
