"""A stranger who knows everything that leaks, in every mixture: what the store finds for them never lets them in."""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from stored import NOW, arrive, outcome

from engine.thread import Found, lookups, place
from gateway.store.find import find
from gateway.store.store import Store
from normalizer.canon import Address, Kind, Message, Returned, Ticket

NUMBERS = ("20261123001", "20261123002")


async def opened(store: Store, key: str, number: str) -> tuple[Ticket, str]:
    """A ticket of li@, who wrote to us and to han@; and the id of our acknowledgement."""
    await arrive(store, key)
    (claim,) = await store.claim(NOW, 1)
    plain = outcome(claim, number, sender="li@example.cn" if key == "a" else "wang@example.cn")
    (said, ticket) = plain.messages[0]
    written = replace(said, to=(Address("email", "support@example.com"),), cc=(Address("email", "han@example.cn"),))
    assert await store.commit([replace(plain, messages=((written, ticket),))], NOW) == [True]
    return plain.tickets[0], plain.outgoing[0].id


async def test_a_stranger_never_gets_into_a_ticket(store: Store) -> None:
    (one, reply), (two, other) = [await opened(store, key, number) for key, number in zip("ab", NUMBERS, strict=True)]
    right, foreign = store.reply_key(one.id, one.number), store.reply_key(two.id, two.number)
    leaked = st.sampled_from(
        ["<a@example.cn>", "<b@example.cn>", f"{reply}@example.com", f"{other}@example.com", "never@seen.cn"]
    )
    keys = st.sampled_from(
        [f"{one.number}-{foreign[-20:]}", f"{two.number}-{right[-20:]}", f"{one.number}-{'0' * 20}", right[:-1] + "g"]
    )
    senders = st.sampled_from(
        ["eve@evil.cn", "li@example.cn.evil.cn", "mailer-daemon@example.cn", "support@example.com", ""]
    )

    def all_of_it(connection: Connection) -> None:
        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(
            sender=senders, answers=st.one_of(st.just(""), leaked), references=st.lists(leaked, max_size=5),
            own=leaked, thread=st.one_of(st.just(""), leaked), key=st.lists(keys, max_size=3),
            subject=st.sampled_from(["", *NUMBERS, f"Re: {NUMBERS[0]} and {NUMBERS[1]}"]),
            kind=st.sampled_from([kind for kind in Kind if kind is not Kind.BOUNCE]),
            of=st.lists(leaked, max_size=2),
        )  # fmt: skip
        def tried(
            sender: str, answers: str, references: list[str], own: str, thread: str, key: list[str], subject: str,
            kind: Kind, of: list[str],
        ) -> None:  # fmt: skip
            said = Message(
                "email", "email_smtp", "main", own, Address("email", sender, "李雷"), NOW, revision="evil",
                in_reply_to=answers, references=tuple(references), thread_key=thread, reply_keys=tuple(key),
                subject=subject, kind=kind, returned=Returned((Address("email", "li@example.cn"),), of=tuple(of)),
                to=(Address("email", "support@example.com"),), cc=(Address("email", "li@example.cn"),),
            )  # fmt: skip
            wanted = replace(lookups(said), ours=sender == "support@example.com")
            (found,) = find(connection, store.vault, [wanted], NOW)
            assert isinstance(found, Found)
            placed = place(said, found, NOW)
            assert placed.is_new
            assert placed.ticket.id not in (one.id, two.id)

        tried()

    await store.database.read(all_of_it)


async def test_who_takes_part_gets_in_by_each_of_them(store: Store) -> None:
    """The same search with somebody who may: so the test above is one that can fail."""
    one, reply = await opened(store, "a", NUMBERS[0])
    for sender in ("li@example.cn", "han@example.cn"):
        for told in (
            {"in_reply_to": "<a@example.cn>"}, {"references": ("never@seen.cn", f"{reply}@example.com")},
            {"subject": f"Re: {NUMBERS[0]}"}, {"reply_keys": (store.reply_key(one.id, one.number),)},
        ):  # fmt: skip
            said = Message("email", "email_smtp", "main", "new@x", Address("email", sender), NOW)
            said = replace(said, **told)
            (found,) = await store.find([lookups(said)], NOW)
            assert isinstance(found, Found)
            assert place(said, found, NOW).ticket.id == one.id, (sender, told)
