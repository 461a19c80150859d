"""What was refused at the door, and who may call."""

from datetime import timedelta

from stored import NOW, opened

from gateway.store.store import Store
from gateway.store.work import Limits


async def refuse(
    store: Store, *, remote: str = "192.0.2.1", body: bytes = b"{}", after: timedelta = timedelta()
) -> bool:
    facts = {"remote": remote, "method": "POST"}
    return await store.refuse("webhook", "main", "unverified", "signature of 李雷 is wrong", body, facts, NOW + after)


async def test_what_was_refused_is_kept_with_its_reason(store: Store) -> None:
    assert await refuse(store, body=b"x" * 100_000) is True
    (shown,) = await store.quarantine()
    assert (shown.stage, shown.code, shown.reason, shown.size) == (
        "door", "unverified", "signature of 李雷 is wrong", 100_000,
    )  # fmt: skip
    assert shown.body == b""
    whole = await store.quarantined(shown.id)
    assert whole is not None
    assert whole.body == b"x" * 65_536
    assert whole.facts == {"remote": "192.0.2.1", "method": "POST"}


async def test_one_source_cannot_fill_the_disk(folder: object) -> None:
    from pathlib import Path

    store = await opened(Path(str(folder)), limits=Limits(refused_per_source_an_hour=3))
    assert [await refuse(store) for _ in range(5)] == [True, True, True, False, False]
    assert await refuse(store, remote="192.0.2.2") is True
    assert await refuse(store, after=timedelta(hours=1)) is True
    assert len(await store.quarantine()) == 5
    await store.close()


async def test_the_list_is_newest_first_by_code_a_page_at_a_time(store: Store) -> None:
    for code in ("unverified", "expired", "unverified"):
        await store.refuse("webhook", "main", code, code, b"", {}, NOW)
    assert [aside.code for aside in await store.quarantine()] == ["unverified", "expired", "unverified"]
    first = await store.quarantine(limit=1)
    assert [aside.code for aside in await store.quarantine(after=first[0].id)] == ["expired", "unverified"]
    assert len(await store.quarantine(code="unverified")) == 2


async def test_an_api_key_is_known_by_its_secret_until_it_is_revoked(store: Store) -> None:
    identity, secret = await store.add_key("shop", ["messages:write", "tickets:read"], NOW)
    key = await store.key(secret)
    assert key is not None
    assert (key.id, key.scopes) == (identity, ("messages:write", "tickets:read"))
    assert await store.key(secret + "x") is None
    assert await store.revoke_key(identity) is True
    assert await store.revoke_key(identity) is False
    assert await store.key(secret) is None
    assert [(one.label, one.revoked) for one in await store.list_keys()] == [("shop", True)]


async def test_a_rule_set_is_kept_as_it_was(store: Store) -> None:
    files = {"rules/core.yaml": "rules: []\n", "rules/企业.yaml": "规则: []\n"}
    await store.keep_ruleset("ab" * 32, files)
    await store.keep_ruleset("ab" * 32, {})
    assert await store.ruleset("ab" * 32) == files
    assert await store.ruleset("cd" * 32) is None
