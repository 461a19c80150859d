"""Signing in, and what ends a session; on a clock that the test moves."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from statistics import median

import pytest
from people import BETTER, GOOD, HERE, START, People, register

from gateway import passwords
from gateway.register import Browser, TooMany
from gateway.signin import who_is
from gateway.store.sessions import Session
from gateway.users import TERMINAL
from normalizer.errors import Rejected

THERE = Browser("198.51.100.7", "Chrome")


@pytest.fixture
async def people(tmp_path: Path) -> AsyncIterator[People]:
    async with register(tmp_path / "data") as made:
        yield made


async def signed_in(people: People, login: str, password: str) -> Session:
    found = await people.signin.session((await people.signin.sign_in(login, password, HERE)).token)
    assert found
    return found


async def refused(people: People, login: str, password: str, browser: Browser = HERE) -> str:
    with pytest.raises(Rejected) as raised:
        await people.signin.sign_in(login, password, browser)
    return raised.value.code


async def test_the_first_administrator_is_made_once(people: People) -> None:
    assert await people.signin.nobody()
    token = await people.admin()
    found = await people.signin.session(token)
    assert found and found.user.role == "admin"
    assert not await people.signin.nobody()
    with pytest.raises(Rejected) as raised:
        await people.signin.first("other", "", GOOD, HERE)
    assert raised.value.code == "not_first"
    assert len(await people.users.everybody()) == 1


async def test_a_login_name_is_one_whatever_its_capitals(people: People) -> None:
    await people.admin("Li")
    assert (await signed_in(people, " LI ", GOOD)).user.login == "li"
    with pytest.raises(Rejected) as raised:
        await people.users.add("lI", "", "viewer", by=TERMINAL)
    assert raised.value.code == "name_taken"


async def test_a_wrong_password_an_unknown_name_and_a_disabled_user_are_refused_alike(people: People) -> None:
    await people.admin()
    user, password = await people.users.add("li", "李雷", "agent", by=TERMINAL)
    await people.users.disable(user.id, by=TERMINAL)
    assert {
        await refused(people, "root", "not the password"), await refused(people, "nobody", GOOD),
        await refused(people, "li", password),
    } == {"wrong_password"}  # fmt: skip


async def test_an_unknown_name_takes_as_long_as_a_wrong_password(people: People) -> None:
    await people.admin()
    await refused(people, "nobody", GOOD)  # the hash that stands in for nobody's is made once

    async def taken(login: str) -> float:
        start = time.process_time()  # of this process, whatever else the machine is doing
        await refused(people, login, "not the password")
        return time.process_time() - start

    known, unknown = [], []
    for n in range(6):
        known.append(await taken("root"))
        unknown.append(await taken(f"nobody-{n}"))
    assert 0.6 < median(known) / median(unknown) < 1.6


async def test_a_session_ends_after_eight_idle_hours_and_after_seven_days_at_most(people: People) -> None:
    token = await people.admin()
    people.clock.pass_(hours=8)
    assert await people.signin.session(token)
    people.clock.pass_(hours=8, seconds=1)
    assert await people.signin.session(token) is None

    token = (await people.signin.sign_in("root", GOOD, HERE)).token
    for _ in range(24):
        people.clock.pass_(hours=7)
        assert await people.signin.session(token)
    people.clock.pass_(seconds=1)
    assert await people.signin.session(token) is None


async def test_a_changed_password_ends_every_session_and_gives_this_browser_a_new_token(people: People) -> None:
    old, other = await people.admin(), (await people.signin.sign_in("root", GOOD, THERE)).token
    session = await people.signin.session(old)
    assert session
    done = await people.signin.change_password(session, GOOD, BETTER, HERE)
    assert done.token not in (old, other)
    assert await people.signin.session(old) is None
    assert await people.signin.session(other) is None
    assert await people.signin.session(done.token)
    assert await refused(people, "root", GOOD) == "wrong_password"
    assert await signed_in(people, "root", BETTER)


async def test_a_role_a_reset_a_disabling_and_a_removal_end_sessions_at_once(people: People) -> None:
    await people.admin()
    user, password = await people.users.add("li", "李雷", "agent", by=TERMINAL)
    for what in ("role", "password", "totp", "disable"):
        token = (await people.signin.sign_in("li", password, HERE)).token
        match what:
            case "role":
                await people.users.give_role(user.id, "viewer", by=TERMINAL)
            case "password":
                password = await people.users.reset_password("li", by=TERMINAL)
            case "totp":
                await people.users.reset_totp(user.id, by=TERMINAL)
            case "disable":
                await people.users.disable(user.id, by=TERMINAL)
        assert await people.signin.session(token) is None, what
    await people.users.enable(user.id, by=TERMINAL)
    token = (await people.signin.sign_in("li", password, HERE)).token
    await people.users.remove(user.id, by=TERMINAL)
    assert await people.signin.session(token) is None
    assert await refused(people, "li", password) == "wrong_password"


async def test_somebody_can_end_their_other_sessions(people: People) -> None:
    mine, other = await people.admin(), (await people.signin.sign_in("root", GOOD, THERE)).token
    session = await people.signin.session(mine)
    assert session
    assert [one.agent for one in await people.signin.sessions(session.user)] == ["Firefox", "Chrome"]
    assert await people.signin.end_others(session) == 1
    assert await people.signin.session(other) is None
    assert await people.signin.session(mine)
    await people.signin.sign_out(session)
    assert await people.signin.session(mine) is None


async def test_the_last_administrator_can_neither_go_nor_be_made_less(people: People) -> None:
    await people.admin()
    (root,) = await people.users.everybody()
    for undoing in (
        people.users.remove(root.id, by=TERMINAL), people.users.disable(root.id, by=TERMINAL),
        people.users.give_role(root.id, "operator", by=TERMINAL),
    ):  # fmt: skip
        with pytest.raises(Rejected) as raised:
            await undoing
        assert raised.value.code == "last_admin"
    await people.users.add("second", "", "admin", by=TERMINAL)
    await people.users.give_role(root.id, "operator", by=TERMINAL)
    assert [audited.what for audited in await people.users.audited(limit=2)] == ["role_changed", "user_added"]


async def test_a_one_time_password_must_be_changed_first(people: People) -> None:
    await people.admin()
    _, password = await people.users.add("li", "", "agent", by=TERMINAL)
    session = await signed_in(people, "li", password)
    assert session.user.must_change
    done = await people.signin.change_password(session, password, BETTER, HERE)
    assert not done.user.must_change


# ---- how often --------------------------------------------------------------------------------------------------------


async def test_ten_wrong_passwords_close_a_name_for_a_while_even_after_a_restart(tmp_path: Path) -> None:
    async with register(tmp_path / "data") as people:
        await people.admin()
        for _ in range(10):
            assert await refused(people, "root", "not the password") == "wrong_password"
        clock = people.clock
    async with register(tmp_path / "data", clock) as people:
        with pytest.raises(TooMany) as raised:
            await people.signin.sign_in("root", GOOD, THERE)
        assert raised.value.wait == timedelta(minutes=5)
        clock.pass_(minutes=5)
        assert await signed_in(people, "root", GOOD)
        for _ in range(10):  # it was really them: all of it is theirs again
            assert await refused(people, "root", "not the password") == "wrong_password"


async def test_an_address_that_tries_many_names_is_closed_but_no_other(people: People) -> None:
    await people.admin()
    for n in range(30):
        assert await refused(people, f"name-{n}", GOOD, THERE) == "wrong_password"
    assert await refused(people, "name-30", GOOD, THERE) == "too_many"
    assert await refused(people, "root", GOOD, THERE) == "too_many"
    assert await signed_in(people, "root", GOOD)


# ---- the second factor ------------------------------------------------------------------------------------------------


async def enrolled(people: People) -> tuple[str, tuple[str, ...]]:
    """The secret of root's authenticator, and their recovery codes."""
    session = await people.signin.session(await people.admin())
    assert session
    secret = await people.signin.offer_totp(session.user)
    assert await people.signin.offer_totp(session.user) == secret
    codes = await people.signin.enrol_totp(session, people.code(secret), HERE)
    people.clock.pass_(seconds=30)
    return secret, codes


async def pending(people: People) -> Session:
    done = await people.signin.sign_in("root", GOOD, HERE)
    assert done.stage == "code"
    found = await people.signin.session(done.token)
    assert found
    return found


async def test_with_a_second_factor_the_password_alone_lets_nobody_in(people: People) -> None:
    secret, _ = await enrolled(people)
    session = await pending(people)
    assert session.stage == "code"
    done = await people.signin.code(session, people.code(secret), HERE)
    assert done.stage == "in"
    assert await people.signin.session(done.token)


async def test_a_code_counts_once(people: People) -> None:
    secret, _ = await enrolled(people)
    code = people.code(secret)
    await people.signin.code(await pending(people), code, HERE)
    for moment in (0, 30):  # at once, and while clocks may still differ
        people.clock.pass_(seconds=moment)
        with pytest.raises(Rejected, match="used"):
            await people.signin.code(await pending(people), code, HERE)
    assert await people.signin.code(await pending(people), people.code(secret), HERE)


async def test_the_code_that_enrolled_it_does_not_sign_in(people: People) -> None:
    session = await people.signin.session(await people.admin())
    assert session
    secret = await people.signin.offer_totp(session.user)
    code = people.code(secret)
    await people.signin.enrol_totp(session, code, HERE)
    with pytest.raises(Rejected):
        await people.signin.code(await pending(people), code, HERE)


@pytest.mark.parametrize(("late", "taken"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
async def test_clocks_may_differ_by_one_step(people: People, late: int, taken: bool) -> None:
    secret, _ = await enrolled(people)
    people.clock.pass_(minutes=5)
    session = await pending(people)
    people.clock.pass_(seconds=late)
    code = people.code(secret)
    people.clock.pass_(seconds=-late)
    if taken:
        assert await people.signin.code(session, code, HERE)
    else:
        with pytest.raises(Rejected):
            await people.signin.code(session, code, HERE)


async def test_a_recovery_code_stands_in_once(people: People) -> None:
    _, codes = await enrolled(people)
    assert len(set(codes)) == 10
    assert await people.signin.code(await pending(people), codes[3].upper(), HERE)
    with pytest.raises(Rejected):
        await people.signin.code(await pending(people), codes[3], HERE)
    assert await people.signin.code(await pending(people), codes[4].replace("-", " "), HERE)


async def test_codes_cannot_be_guessed_by_trying_the_password_anew(people: People) -> None:
    secret, _ = await enrolled(people)
    for _ in range(5):
        with pytest.raises(Rejected, match="this code"):
            await people.signin.code(await pending(people), "000000", HERE)
    with pytest.raises(TooMany):
        await people.signin.code(await pending(people), people.code(secret), HERE)


async def test_ten_minutes_after_the_password_it_is_asked_for_again(people: People) -> None:
    await enrolled(people)
    token = (await people.signin.sign_in("root", GOOD, HERE)).token
    people.clock.pass_(minutes=10, seconds=1)
    assert await people.signin.session(token) is None


async def test_a_second_factor_can_be_given_up_with_the_password_and_reset_by_others(people: People) -> None:
    secret, _ = await enrolled(people)
    done = await people.signin.code(await pending(people), people.code(secret), HERE)
    session = await people.signin.session(done.token)
    assert session
    with pytest.raises(Rejected):
        await people.signin.drop_totp(session, "not the password", HERE)
    await people.signin.drop_totp(session, GOOD, HERE)
    assert await people.signin.session(done.token)
    assert (await people.signin.sign_in("root", GOOD, HERE)).stage == "in"


# ---- passwords --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("elevenchars", "short"), ("x" * 257, "long"), ("password1234", "common"), ("PassWord 1234", "common"),
        ("123456789012", "common"), ("abcabcabcabc", "common"), ("aaaaaaaaaaaa", "common"), ("zyxwvutsrqpon", "common"),
        ("qwertyuiop[]", "common"), ("lilei12345678", "own_name"), ("Ticketgate123!", "own_name"), ("１２３４５６７８９０１２", "common"),
    ],
)  # fmt: skip
def test_passwords_everybody_tries_first_are_refused(password: str, code: str) -> None:
    with pytest.raises(Rejected) as raised:
        passwords.check(password, "lilei")
    assert raised.value.code == f"weak_password_{code}"


@pytest.mark.parametrize("password", [GOOD, "correct horse", "我的密码是一句很长的话呀", "uyjcn-8jsx9-m2weu-mxxsx"])
def test_length_is_enough(password: str) -> None:
    passwords.check(password, "lilei", "李雷")


async def test_a_password_is_the_same_however_a_keyboard_composed_it(people: People) -> None:
    await people.signin.first("root", "", "cafe\u0301 au lait, please", HERE)
    assert await signed_in(people, "root", "caf\u00e9 au lait, please")


# ---- personal data, and the audit -------------------------------------------------------------------------------------


async def test_revealing_needs_the_permission_and_a_reason_and_lasts_fifteen_minutes_in_that_session(
    people: People,
) -> None:
    mine, other = await people.admin(), (await people.signin.sign_in("root", GOOD, THERE)).token
    sessions = [await people.signin.session(token) for token in (mine, other)]
    here, there = [who_is(one) for one in sessions if one]
    with pytest.raises(Rejected) as raised:
        await people.users.reveal(here, "ticket-1", "  ")
    assert raised.value.code == "reason_missing"
    assert not await people.users.revealed(here, "ticket-1")

    await people.users.reveal(here, "ticket-1", "the customer asks us to call back", "20261123001")
    assert await people.users.revealed(here, "ticket-1", "contact-9")
    assert not await people.users.revealed(here, "ticket-2")
    assert not await people.users.revealed(there, "ticket-1")
    assert not await people.users.revealed(None, "ticket-1")
    (kept, *_) = await people.users.audited(about="ticket-1")
    assert (kept.who, kept.what, kept.detail) == (
        here.source,
        "revealed",
        {"reason": "the customer asks us to call back", "number": "20261123001"},
    )
    people.clock.pass_(minutes=15)
    assert not await people.users.revealed(here, "ticket-1")

    await people.users.add("li", "", "viewer", by=TERMINAL, password=BETTER)
    viewer = who_is(await signed_in(people, "li", BETTER))
    with pytest.raises(Rejected) as raised:
        await people.users.reveal(viewer, "ticket-1", "curious")
    assert raised.value.status == 403


async def test_the_audit_tells_who_did_what_and_never_what_was_typed(people: People) -> None:
    await people.admin()
    await refused(people, "my password in the wrong field", GOOD)
    rows = await people.users.audited()
    assert [(row.seq, row.what) for row in rows] == [(2, "sign_in_failed"), (1, "first_administrator")]
    assert "wrong field" not in str(rows)
    assert rows[0].at == START


async def test_names_secrets_and_reasons_do_not_stand_in_the_data_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with register(folder) as people:
        token = (
            await people.signin.first("purple.giraffe", "Violet Giraffe", GOOD, Browser("203.0.113.77", "Zebra"))
        ).token
        session = await people.signin.session(token)
        assert session
        secret = await people.signin.offer_totp(session.user)
        codes = await people.signin.enrol_totp(session, people.code(secret), HERE)
        await people.users.reveal(who_is(session), "t", "okapi called")
    kept = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.name != "master.key")
    for word in ("giraffe", "Violet", GOOD, "203.0.113.77", "Zebra", "okapi", token, secret, codes[0], "argon2"):
        assert word.encode() not in kept, word
