"""What was refused at the door, and who may call."""

from datetime import timedelta

from stored import NOW, SECOND, arrive, message, opened, outcome

from gateway.store.store import Store
from gateway.store.work import Limits, Outcome


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


async def noted(store: Store, code: str = "auto_reply", *, done: bool = True) -> str:
    """What waits is understood and asks for nothing. Returns the id of its envelope."""
    (claim,) = await store.claim(NOW, 1)
    said = message(claim, subject="back on Monday, write to wang@example.cn")
    assert await store.commit([Outcome(claim, messages=((said, ""),), noted=code, done=done)], NOW) == [True]
    return claim.envelope.id


async def test_what_asks_for_nothing_is_shown_with_its_bytes_and_is_no_failure(store: Store) -> None:
    await arrive(store, "a")
    identity = await noted(store)
    (shown,) = await store.quarantine()
    assert (shown.id, shown.stage, shown.code, shown.attempts) == (identity, "noted", "auto_reply", 1)
    assert shown.reason == "李*(l***@example.cn): back on Monday, write to w***@example.cn"
    whole = await store.quarantined(identity)
    assert whole is not None
    assert (whole.body, whole.facts) == (b"hello", {"remote": "192.0.2.1"})
    assert (await store.counts()).set_aside == 0
    assert await store.quarantine(stage="journal") == []
    assert await store.quarantine(stage="noted", code="auto_reply") == [shown]
    progress = await store.status_of(identity)
    assert progress is not None
    assert progress.state == "done"


async def test_what_was_noted_and_is_processed_again_is_noted_once(store: Store) -> None:
    await arrive(store, "a")
    identity = await noted(store)
    assert await store.retry_quarantined([identity], NOW) == 1
    assert await store.quarantine() == []
    assert await noted(store) == identity
    assert [one.id for one in await store.quarantine()] == [identity]


async def test_what_was_noted_can_become_a_ticket_once_it_is_understood_otherwise(store: Store) -> None:
    await arrive(store, "a", "b", "c")
    for code in ("bounce", "auto_reply", "auto_reply"):
        await noted(store, code)
    assert await store.retry_code("auto_reply") == 2
    for n in range(2):
        (claim,) = await store.claim(NOW, 1)
        assert await store.commit([outcome(claim, f"2026112300{n}", sender=f"{n}@example.cn")], NOW) == [True]
    assert len(await store.tickets()) == 2
    assert [one.code for one in await store.quarantine()] == ["bounce"]


async def test_a_message_in_a_ticket_stays_there_when_the_rest_of_its_envelope_is_processed_again(store: Store) -> None:
    await arrive(store, "a")
    identity = await noted(store, done=False)
    (claim,) = await store.claim(NOW + Limits().lease, 1)
    made = outcome(claim, "20261123001", external_id="<second@example.cn>")
    assert await store.retry_quarantined([identity], NOW) == 0  # somebody works on it
    assert await store.commit([made], NOW + Limits().lease) == [True]
    assert await store.retry_quarantined([identity], NOW) == 1
    assert await store.messages(made.tickets[0].id) == [made.messages[0][0]]


async def test_a_failure_takes_the_place_of_what_was_noted_of_the_same_envelope(store: Store) -> None:
    await arrive(store, "a")
    await noted(store, done=False)
    (claim,) = await store.claim(NOW + Limits().lease, 1)
    assert await store.set_aside(claim, "unreadable", "the second one is broken", NOW) is True
    (shown,) = await store.quarantine()
    assert (shown.stage, shown.code, shown.reason) == ("journal", "unreadable", "the second one is broken")
    assert (await store.counts()).set_aside == 1


async def test_what_was_noted_goes_with_its_envelope_when_the_journal_is_pruned(store: Store) -> None:
    await arrive(store, "a")
    identity = await noted(store)
    assert await store.prune(NOW + SECOND, NOW + SECOND) == 1
    assert await store.quarantine() == []
    assert await store.retry_quarantined([identity], NOW) == 0


async def test_it_is_searched_by_account_time_and_words_of_what_is_kept(store: Store) -> None:
    await refuse(store, body="退款，订单 5".encode())
    await store.refuse(
        "webform", "contact", "invalid", "no message", b"name=Han", {"remote": "192.0.2.7"}, NOW + SECOND
    )

    async def codes(**chosen: object) -> list[str]:
        return [aside.code for aside in await store.quarantine(**chosen)]  # type: ignore[arg-type]

    assert (
        await codes(connector="webform")
        == await codes(account="contact")
        == await codes(since=NOW + SECOND)
        == ["invalid"]
    )
    assert await codes(until=NOW + SECOND) == ["unverified"]
    for words in ("李雷", "退款", "订单 wrong", "192.0.2.1", "SIGNATURE"):
        assert await codes(words=words) == ["unverified"], words
    assert await codes(words="han name") == await codes(words="192.0.2.7") == ["invalid"]
    assert await codes(words="192.0.2", limit=1) == ["invalid"]
    assert await codes(words="退款 han") == await codes(words="退款", connector="webform") == []
    assert [one.body for one in await store.quarantine(words="退款")] == [b""]


async def test_an_envelope_without_any_message_is_noted(store: Store) -> None:
    await arrive(store, "a")
    (claim,) = await store.claim(NOW, 1)
    assert await store.commit([Outcome(claim, noted="nothing")], NOW) == [True]
    (row,) = await store.quarantine()
    assert (row.stage, row.code, row.id) == ("noted", "nothing", claim.envelope.id)
    assert await store.retry_quarantined([row.id], NOW) == 1
    assert len(await store.claim(NOW, 1)) == 1
