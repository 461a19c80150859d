"""The widget on a page of another site, in a real browser: one script tag, and a policy as strict as sites have."""

import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import SIZES, Light, Size
from chatting import SECRET, SITE, agent_of, with_chat
from joserfc import jwt
from joserfc.jwk import OctKey
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from serving import Gateway

pytestmark = pytest.mark.xdist_group("browser")
RULES = Path(__file__).parents[2] / "rules"
PHOTO = Path(__file__).parents[2] / "docs" / "pictures" / "ticket-phone-zh.png"
POLICY = "default-src 'none'; script-src {at}; connect-src 'self' {at} {socket}; img-src blob:"
PAGE = '<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>Shop</title>{}</html>'


@pytest.fixture(scope="module")
def site() -> Iterator["Site"]:
    with Site() as made:
        yield made


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, site: "Site") -> Iterator[Gateway]:
    """With buttons under the acknowledgement, and a page of another site that may hold the widget."""
    folder = tmp_path_factory.mktemp("widget")
    shutil.copytree(RULES, folder / "rules")
    template = folder / "rules" / "templates" / "received.chat.zh.liquid"
    head, _, words = template.read_text().partition("\n")
    template.write_text(f"{head}\nchoices: solved=已经解决, human=转人工\n{words}")
    made = with_chat(folder)
    text = made.config.read_text().replace(f'["{SITE}"]', f'["{site.at}"], secrets: [{{file: chat.secret}}]')
    made.config.write_text("rules: rules\n" + text)
    with made.start() as running:
        site.gateway = running
        yield running


@pytest.fixture(scope="module")
def agent(gateway: Gateway) -> httpx.Client:
    return agent_of(gateway)


class Site(ThreadingHTTPServer):
    """The company's own website: every page holds the widget and allows what the docs say it needs, no more."""

    gateway: Gateway

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Home)

    @property
    def at(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> "Site":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Home(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        at = f"http://127.0.0.1:{self.server.gateway.http}"
        who = ' data-token-url="/my/token"' if self.path == "/signed-in" else ""
        body = PAGE.format(f'<h1>Shop</h1><script src="{at}/chat/web/widget.js" async{who}></script>').encode()
        if self.path == "/my/token":
            claims = {"sub": "u-2002", "name": "王芳", "email": "wang@example.cn", "exp": int(time.time()) + 60}
            body = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET)).encode()
        self.send_response(200 if self.path in ("/", "/signed-in", "/my/token") else 404)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-security-policy", POLICY.format(at=at, socket=at.replace("http", "ws")))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Visit:
    """Somebody on the site. `wrong` gathers scripts that fail and policies that are broken."""

    context: BrowserContext
    site: Site
    wrong: list[str] = field(default_factory=list)

    def page(self, path: str = "/", *, sockets: bool = True) -> Page:
        page = self.context.new_page()
        page.on("pageerror", lambda e: self.wrong.append(str(e)))
        page.on("console", lambda m: self.wrong.append(m.text) if "Content Security" in m.text else None)
        if not sockets:
            page.route_web_socket(re.compile("/socket"), lambda line: line.close())
        page.goto(self.site.at + path)
        page.locator(".launch").click()
        return page


@contextmanager
def visiting(
    browser: Browser, site: Site, language: str = "zh", size: Size = "desktop", light: Light = "light"
) -> Iterator[Visit]:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, locale="zh-CN" if language == "zh" else "en-GB", color_scheme=light
    )
    visit = Visit(context, site)
    try:
        yield visit
    finally:
        context.close()
    assert not visit.wrong


def said(page: Page, text: str) -> Locator:
    return page.locator(".said", has_text=text)


def write(page: Page, text: str) -> None:
    page.locator("textarea").fill(text)
    page.locator("textarea").press("Enter")


def number_of(page: Page) -> str:
    """Of the ticket, once it stands in the head."""
    expect(page.locator(".under")).to_contain_text(re.compile(r"\d{11}"), timeout=15_000)
    found = re.search(r"\d{11}", page.locator(".under").inner_text())
    assert found
    return found[0]


def test_a_visitor_writes_with_a_picture_is_answered_live_and_comes_back(
    browser: Browser, site: Site, gateway: Gateway, agent: httpx.Client
) -> None:
    with visiting(browser, site) as visit:
        page = visit.page()
        page.locator("input[type=file]").set_input_files(PHOTO)
        write(page, "洗衣机漏水，见照片 <b>急</b>")
        number = number_of(page)
        expect(said(page, "工单编号")).to_contain_text(number)
        expect(said(page, "洗衣机漏水，见照片 <b>急</b>")).to_contain_text("已送达")

        agent.post(f"/tickets/{number}/comments", json={"text": "师傅明天上门。", "public": True}).raise_for_status()
        expect(said(page, "师傅明天上门。")).to_be_visible()

        page.reload()
        page.locator(".launch").click()
        expect(page.locator(".said.own")).to_have_count(1)
        expect(said(page, "师傅明天上门。")).to_have_count(1)
        picture = page.locator(".said.own img")
        expect(picture).to_have_js_property("complete", value=True)
        assert picture.evaluate("at => at.naturalWidth") > 100
    messages = agent.get(f"/tickets/{number}/messages").json()["items"]
    assert [len(one["attachments"]) for one in messages if one["direction"] == "in"] == [1]


def test_a_button_is_an_answer(browser: Browser, site: Site, gateway: Gateway) -> None:
    with visiting(browser, site) as visit:
        page = visit.page()
        write(page, "怎么开发票？")
        page.get_by_role("button", name="已经解决").click()
        expect(page.locator(".under")).to_contain_text("已解决", timeout=15_000)
        expect(page.get_by_role("button", name="已经解决")).to_have_count(0)


def test_where_websockets_are_blocked_it_goes_on_by_requests(
    browser: Browser, site: Site, gateway: Gateway, agent: httpx.Client
) -> None:
    with visiting(browser, site, "en") as visit:
        page = visit.page(sockets=False)
        write(page, "Where is my parcel?")
        number = number_of(page)
        agent.post(f"/tickets/{number}/comments", json={"text": "On its way.", "public": True}).raise_for_status()
        expect(said(page, "On its way.")).to_be_visible(timeout=15_000)
        expect(said(page, "Where is my parcel?")).to_have_count(1)


def test_what_is_written_while_the_line_is_down_goes_out_once_afterwards(
    browser: Browser, site: Site, gateway: Gateway, agent: httpx.Client
) -> None:
    with visiting(browser, site, "en") as visit:
        page = visit.page()
        write(page, "First words")
        number = number_of(page)
        visit.context.set_offline(True)
        expect(page.locator(".banner")).to_contain_text("offline")
        gateway.kill()
        write(page, "Second words")
        expect(said(page, "Second words")).to_contain_text("Sending")
        gateway.start()
        visit.context.set_offline(False)
        expect(said(page, "Second words")).to_contain_text("Sent", timeout=20_000)
    while gateway.metric("ticketgate_waiting"):
        time.sleep(0.05)
    messages = agent.get(f"/tickets/{number}/messages").json()["items"]
    assert [one["text"] for one in messages] == ["First words", "Second words"]


def test_two_tabs_are_one_conversation(browser: Browser, site: Site, gateway: Gateway) -> None:
    with visiting(browser, site) as visit:
        one = visit.page()
        write(one, "第一个窗口")
        number_of(one)
        other = visit.page()
        write(other, "第二个窗口")
        for page in (one, other):
            for text in ("第一个窗口", "第二个窗口"):
                expect(said(page, text)).to_have_count(1)
                expect(said(page, text)).to_contain_text("已送达")


def test_who_is_signed_in_on_the_site_is_known_and_finds_the_conversation_on_another_device(
    browser: Browser, site: Site, gateway: Gateway, agent: httpx.Client
) -> None:
    with visiting(browser, site) as visit:
        page = visit.page("/signed-in")
        write(page, "登录后的问题")
        number = number_of(page)
    with visiting(browser, site, size="phone") as visit:
        expect(said(visit.page("/signed-in"), "登录后的问题")).to_contain_text("已送达")
    (message, *_) = agent.get(f"/tickets/{number}/messages").json()["items"]
    assert (message["proven"], message["from"]["kind"]) == (True, "email")


@pytest.mark.parametrize(("language", "size", "light"), [("zh", "desktop", "light"), ("en", "phone", "dark")])
def test_it_is_for_everybody(
    browser: Browser, site: Site, gateway: Gateway, language: str, size: Size, light: Light
) -> None:
    """By keyboard, no wider than a phone, and axe finds no serious fault."""
    with visiting(browser, site, language, size, light) as visit:
        page = visit.page()
        expect(page.locator("textarea")).to_be_focused()
        write(page, "包裹没收到" if language == "zh" else "No parcel")
        number_of(page)
        expect(page.locator(".said.ours")).to_have_count(2)
        grave = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
        assert not [(one["id"], one["nodes"][0]["html"][:300]) for one in grave]
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
        page.keyboard.press("Escape")
        expect(page.locator(".panel")).to_be_hidden()
        expect(page.locator(".launch")).to_be_focused()
