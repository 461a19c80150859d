"""What people do at the console, by a real browser at a real gateway: in Chinese on a desk, in English on a phone."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import Size, Visit, send, visiting
from playwright.sync_api import Browser, Page, expect
from serving import Desk, Gateway, MailSink

from gateway.console.desk_words import DESK
from gateway.console.signin_words import SIGNIN
from gateway.console.ticket_words import TICKET
from gateway.console.words import PAGE

pytestmark = pytest.mark.xdist_group("browser")
MACHINES = Path(__file__).parents[1] / "takes_people_for_machines.py"
EVERYWHERE = [("zh", "desktop"), ("en", "phone")]


@pytest.fixture(params=EVERYWHERE, ids=lambda one: "-".join(one))
def visit(request: pytest.FixtureRequest, browser: Browser, busy: Gateway) -> Iterator[Visit]:
    language, size = request.param
    with visiting(browser, busy, language, size) as made:
        yield made


def opened(visit: Visit, subject: str) -> Page:
    """The page of the ticket with this subject, by way of the list."""
    page = visit.open()
    page.get_by_role("link", name=subject, exact=True).first.click()
    expect(page.locator("h1")).to_have_text(subject)
    return page


def number(page: Page) -> str:
    return page.locator(".meta strong").inner_text()


def told(page: Page, words: str) -> None:
    expect(page.locator("#flash")).to_have_text(words)


@pytest.mark.parametrize(("language", "size"), EVERYWHERE)
def test_the_first_who_comes_becomes_administrator_and_signs_in_again(
    browser: Browser, tmp_path: Path, language: str, size: Size
) -> None:
    words, (secret, login) = SIGNIN[language], ("correct horse battery", "li")
    with Gateway(tmp_path, local="null") as gateway, visiting(browser, gateway, language, size) as visit:
        page = visit.open()
        expect(page.locator("h1")).to_have_text(words["first_title"])
        page.fill("#login", login)
        page.fill("#new", secret)
        page.fill("#again", secret)
        page.get_by_role("button", name=words["make"]).click()
        expect(page.locator("#live .empty")).to_contain_text(TICKET[language]["none"])
        page.get_by_role("button", name=PAGE[language]["sign_out"]).click()
        page.fill("#login", login)
        page.fill("#password", secret)
        page.get_by_role("button", name=words["sign_in"]).click()
        expect(page.locator("h1")).to_have_text(TICKET[language]["back"])


def test_a_mail_that_arrives_shows_by_itself_and_keeps_the_readers_place(visit: Visit) -> None:
    page = visit.open()
    subject = f"刚到的信 {visit.size}"
    expect(page.locator("#live [data-row]").first).to_be_visible()
    send(visit.gateway, "new@example.cn", "新人", subject, "请问营业时间？", f"live-{visit.size}")
    news = page.locator("#news button")
    expect(news).to_have_text(TICKET[visit.language]["news"].format(1))
    expect(page.get_by_role("link", name=subject)).to_have_count(0)
    news.click()
    expect(page.get_by_role("link", name=subject)).to_be_visible()


def test_a_ticket_tells_what_was_said_and_why_it_is_so(visit: Visit) -> None:
    page = opened(visit, "包裹显示签收但没收到")
    expect(page.locator(".said")).to_have_count(2)
    expect(page.locator(".said").nth(1)).to_contain_text("还没有收到")
    expect(page.locator(".said").nth(1).locator("details .words")).to_be_hidden()
    why = page.locator("section", has=page.locator("#why"))
    expect(why).to_contain_text(TICKET[visit.language]["triggers"]["ticket.created"])
    expect(why.locator("ol.why li").first).to_contain_text(re.compile("归入|joined"))
    expect(why.locator("ol.why").last).to_contain_text(re.compile("规则|rule"))
    expect(page.locator("aside .clock").first).to_have_attribute("data-state", re.compile("running|near"))


def test_filters_and_the_search_box_choose(visit: Visit) -> None:
    page = visit.open()
    page.select_option("select[name=priority]", "urgent")
    expect(page).to_have_url(re.compile("priority=urgent"))
    expect(page.locator("#live [data-row] .chip.urgent").first).to_be_visible()
    expect(page.locator("#live [data-row]:not(:has(.chip.urgent))")).to_have_count(0)
    wanted = page.locator("#live [data-row]").first.get_attribute("data-row") or ""
    page.get_by_role("link", name=TICKET[visit.language]["unfilter"]).click()
    page.fill("#q", wanted)
    page.press("#q", "Enter")
    expect(page.locator("#live [data-row]")).to_have_count(1)
    page.fill("#q", "没有这样的词句")
    page.press("#q", "Enter")
    expect(page.locator(".empty")).to_contain_text(TICKET[visit.language]["no_match"])


def test_a_view_is_a_tab_with_its_count(visit: Visit) -> None:
    page = visit.open()
    tab = page.locator(".tabs a[href*=urgent]")
    count = tab.locator(".count").inner_text()
    tab.click()
    expect(page.locator(".tabs a[aria-current]")).to_contain_text(count)
    expect(page.locator("#live [data-row]")).to_have_count(int(count))
    expect(page.locator("#live .chip.urgent")).to_have_count(int(count))


def test_personal_data_shows_only_with_a_reason_and_the_audit_knows(visit: Visit) -> None:
    page = opened(visit, "包裹显示签收但没收到")
    body = page.locator("#main")
    expect(body).not_to_contain_text("13812345678")
    expect(body).not_to_contain_text("li@example.cn")
    expect(page.locator(".files a")).to_have_count(0)
    page.locator("#reveal summary").click()
    page.fill("#reason", f"客户来电核对 {visit.size}")
    page.locator("#reveal button").click()
    told(page, PAGE[visit.language]["done"]["revealed"])
    expect(body).to_contain_text("13812345678")
    expect(body).to_contain_text("li@example.cn")
    with page.expect_download() as download:
        page.locator(".files a").click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")
    audit = visit.gateway.json("audit", "list")
    about = [row for row in audit if f"客户来电核对 {visit.size}" in str(row)]
    assert about
    assert any("downloaded" in str(row) for row in audit)


@pytest.mark.parametrize(("language", "size"), EVERYWHERE)
def test_a_mail_in_quarantine_becomes_a_ticket_when_it_is_tried_again(
    browser: Browser, tmp_path: Path, language: str, size: Size
) -> None:
    with MailSink() as sink, Desk() as desk:
        gateway = Gateway(tmp_path, mail_sink=sink.port, desk=desk.port)
        with gateway.start(command=(sys.executable, str(MACHINES))):
            send(gateway, "li@example.cn", "李雷", "被误认的信", "请问发票抬头怎么改？", "mistaken")
            gateway.settle()
        with gateway.start(), visiting(browser, gateway, language, size) as visit:
            page = visit.open("/console/quarantine")
            page.locator("#live [data-row] a").first.click()
            expect(page.locator("h1")).to_contain_text(DESK[language]["codes"]["auto_reply"][0])
            expect(page.locator("pre")).to_contain_text("请问发票抬头怎么改")
            expect(page.locator("#main")).to_contain_text("被误认的信")
            expect(page.locator("#main")).not_to_contain_text("li@example.cn")
            page.get_by_role("button", name=DESK[language]["retry"]).click()
            told(page, PAGE[language]["done"]["retried"])
            gateway.settle()
            visit.open()
            expect(page.get_by_role("link", name="被误认的信")).to_be_visible()


def test_a_ticket_is_made_by_hand_with_the_fields_of_its_type(visit: Visit) -> None:
    page = visit.open("/console/new")
    page.select_option("#kind", "repair")
    expect(page.locator("#field-model")).to_be_visible()
    page.fill("#text", "空调不制冷，请上门维修")
    visit.refused.add(422)
    page.get_by_role("button", name=TICKET[visit.language]["new_make"]).click()
    expect(page.locator("#field-model[aria-invalid=true]")).to_be_visible()
    expect(page.locator("#text")).to_have_value("空调不制冷，请上门维修")
    page.fill("#name", "孙悦")
    page.fill("#phone", "13900001111")
    page.fill("#field-model", "KF-35")
    page.fill("#field-address", "和平路 8 号")
    page.fill("#subject", f"空调报修 {visit.size}")
    page.get_by_role("button", name=TICKET[visit.language]["new_make"]).click()
    told(page, PAGE[visit.language]["done"]["created"])
    expect(page.locator("h1")).to_have_text(f"空调报修 {visit.size}")
    expect(page.locator("aside")).to_contain_text("KF-35")
    expect(page.locator("#main")).not_to_contain_text("13900001111")


def test_a_reviewer_gives_a_verdict_and_puts_right(browser: Browser, visit: Visit) -> None:
    subject = f"你好呀 {visit.size}"
    send(visit.gateway, "sun@example.cn", "孙悦", subject, "那个东西今天又那样了", f"review-{visit.size}")
    visit.gateway.settle()
    page = opened(visit, subject)
    page.select_option("select[name=fix-category]", index=1)
    page.fill("input[name=note]", "电话里确认过")
    page.get_by_role("button", name=TICKET[visit.language]["approve"], exact=True).click()
    told(page, PAGE[visit.language]["done"]["reviewed"])
    expect(page.locator("#review-title")).to_have_count(0)
    acts = page.locator("section", has=page.locator("#acts"))
    expect(acts).to_contain_text("电话里确认过")
    expect(acts).to_contain_text(TICKET[visit.language]["verdicts"]["approved"])
    expect(page.locator("#category")).not_to_have_value("")


def test_who_saves_over_somebody_elses_change_is_shown_it_and_keeps_what_was_typed(visit: Visit) -> None:
    page = opened(visit, "要求退款")
    other = visit.another()
    other.goto(page.url)
    page.fill("#comment-text", "半句话")
    now = page.locator("#priority").input_value()
    first, second = [one for one in ("low", "normal", "high") if one != now][:2]
    other.select_option("#priority", first)
    other.locator("aside button").click()
    told(other, PAGE[visit.language]["done"]["saved"])
    visit.refused.add(409)
    page.select_option("#priority", second)
    page.locator("aside button").first.click()
    expect(page.locator("#fault")).to_contain_text(TICKET[visit.language]["conflict"])
    expect(page.locator("#priority")).to_have_value(second)
    page.locator("aside button").first.click()
    told(page, PAGE[visit.language]["done"]["saved"])
    expect(page.locator("#priority")).to_have_value(second)


def test_a_ticket_is_commented_linked_and_merged_and_tells_who_did_it(visit: Visit) -> None:
    for which in ("a", "b"):
        send(
            visit.gateway,
            "m@example.cn",
            "马力",
            f"并单 {which} {visit.size}",
            f"请问发票 {which}",
            f"m-{which}-{visit.size}",
        )
    visit.gateway.settle()
    goes_on = number(opened(visit, f"并单 a {visit.size}"))
    page = opened(visit, f"并单 b {visit.size}")
    ended = number(page)
    page.fill("#comment-text", "两张是一回事")
    page.get_by_role("button", name=TICKET[visit.language]["add"], exact=True).click()
    told(page, PAGE[visit.language]["done"]["commented"])
    expect(page.locator(".said.internal")).to_contain_text("两张是一回事")
    page.get_by_text(TICKET[visit.language]["link"], exact=True).first.click()
    visit.refused.add(404)
    page.fill("#link-other", "19990101001")
    page.locator("#link-other").press("Enter")
    expect(page.locator("#fault")).to_contain_text("19990101001")
    page.fill("#link-other", goes_on)
    page.locator("#link-other").press("Enter")
    told(page, PAGE[visit.language]["done"]["linked"])
    page.get_by_text(TICKET[visit.language]["merge"], exact=True).first.click()
    page.fill("#merge-into", goes_on)
    page.locator("#merge-into").press("Enter")
    told(page, PAGE[visit.language]["done"]["merged"])
    expect(page.locator("aside")).to_contain_text(ended)
    send(visit.gateway, "n@example.cn", "牛力", f"另一张 {visit.size}", "请问发票", f"n-{visit.size}")
    page.wait_for_timeout(1000)  # it happened, and the page has looked
    expect(page.locator(".meta strong")).to_have_text(goes_on)


def test_several_tickets_are_changed_at_once(visit: Visit) -> None:
    page = visit.open("/console/?status=new")
    boxes = page.locator("input.pick")
    numbers = [str(page.locator("#live [data-row]").nth(at).get_attribute("data-row")) for at in (0, 1)]
    for at in (0, 1):
        boxes.nth(at).check()
    expect(page.locator("#bulk")).to_contain_text(TICKET[visit.language]["picked"].format(2))
    page.select_option("#bulk select[name=group]", "senior")
    page.locator("#bulk button").click()
    told(page, TICKET[visit.language]["bulk_done"].format(2))
    changed = {one["number"]: one["group"] for one in visit.gateway.json("tickets")}
    assert all("senior" in str(changed[one]) for one in numbers)


def test_the_keyboard_leads(browser: Browser, busy: Gateway) -> None:
    with visiting(browser, busy) as visit:
        page = visit.open()
        page.keyboard.press("j")
        page.keyboard.press("j")
        second = page.locator("#live [data-row]").nth(1)
        expect(second).to_have_class(re.compile("current"))
        wanted = second.get_attribute("data-row")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(f"/console/tickets/{wanted}$"))
        page.keyboard.press("g")
        page.keyboard.press("t")
        expect(page).to_have_url(re.compile("/console/$"))
        page.keyboard.press("?")
        expect(page.locator("#help")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#help")).to_be_hidden()
        page.keyboard.press("/")
        expect(page.locator("#q")).to_be_focused()
        page.keyboard.press("Escape")
        page.reload()
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()


def test_everything_works_without_scripts(browser: Browser, busy: Gateway) -> None:
    with visiting(browser, busy, "en", scripts=False) as visit:
        page = visit.open()
        page.select_option("select[name=priority]", "urgent")
        page.get_by_role("button", name=TICKET["en"]["apply"]).click()
        page.locator("#live [data-row] a").first.click()
        page.fill("#comment-text", "written without scripts")
        page.get_by_role("button", name=TICKET["en"]["add"], exact=True).click()
        told(page, PAGE["en"]["done"]["commented"])
        expect(page.locator(".said.internal").last).to_contain_text("written without scripts")


def test_the_language_stays_as_it_was_switched(browser: Browser, busy: Gateway) -> None:
    with visiting(browser, busy, "zh") as visit:
        page = visit.open("/console/?priority=urgent")
        page.get_by_role("link", name="English").click()
        expect(page.locator("h1")).to_have_text(TICKET["en"]["back"])
        expect(page).to_have_url(re.compile("priority=urgent"))
        page = visit.open("/console/quarantine")
        expect(page.locator("h1")).to_have_text(DESK["en"]["quarantine"])


def test_a_dead_letter_says_why_and_is_mended_by_who_was_shown_it(browser: Browser, tmp_path: Path) -> None:
    with MailSink() as sink, Desk() as desk:
        sink.refusing = "550 no such user here"
        gateway = Gateway(tmp_path, mail_sink=sink.port, desk=desk.port)
        with gateway.start(), visiting(browser, gateway, "zh") as visit:
            send(gateway, "li@example.cn", "李雷", "发票", "请问发票抬头怎么改？", "dead")
            gateway.settle()
            page = visit.open("/console/outbox?state=dead")
            page.locator("#live [data-row] a").first.click()
            expect(page.locator("#main")).to_contain_text("550")
            at = page.url
            page.get_by_role("button", name=DESK["zh"]["resend"]).click()
            told(page, PAGE["zh"]["done"]["resent"])
            gateway.settle()
            page.goto(at)
            expect(page.locator("#text")).to_have_count(0)  # masked: not to be edited
            page.locator("dl.facts a").first.click()
            page.locator("#reveal summary").click()
            page.fill("#reason", "改错的地址")
            page.locator("#reveal button").click()
            told(page, PAGE["zh"]["done"]["revealed"])
            page.goto(at)
            sink.refusing = ""
            page.fill("#subject", "mended")
            page.get_by_role("button", name=DESK["zh"]["edit"]).click()
            told(page, PAGE["zh"]["done"]["edited"])
            gateway.settle()
            (sent,) = sink.mails
            assert b"Subject: mended" in sent
