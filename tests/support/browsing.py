"""A real browser on a real gateway: what it asks for, what it complains of, and the fills of a day's mail."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request, expect
from serving import Gateway

from gateway.demo.samples import mail, with_photo

CHROMIUM = "/usr/bin/chromium"
QUIET = (
    "--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}

Size = Literal["desktop", "phone"]
Light = Literal["light", "dark"]

expect.set_options(timeout=20_000)  # a whole rule set is checked before it goes live, and machines are loaded


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))


@dataclass
class Visit:
    """Somebody at the console. `wrong` gathers what must not happen: other hosts asked, errors, broken policies."""

    context: BrowserContext
    page: Page
    gateway: Gateway
    language: str
    size: Size = "desktop"
    wrong: list[str] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)  # statuses that are to come; a browser tells of each as an error

    def open(self, path: str = "/console/") -> Page:
        self.page.goto(f"http://127.0.0.1:{self.gateway.http}{path}")
        return self.page

    def watch(self, page: Page) -> Page:
        page.on("request", self._asked)
        page.on("pageerror", lambda e: self.wrong.append(f"script: {e}"))
        page.on("console", self._complained)
        return page

    def another(self) -> Page:
        """A second tab of the same person."""
        return self.watch(self.context.new_page())

    def _complained(self, message: ConsoleMessage) -> None:
        at = message.location["url"]
        if message.type == "error" and not any(f"status of {status} " in message.text for status in self.refused):
            self.wrong.append(f"console: {message.text} {at}")

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url).netloc != f"127.0.0.1:{self.gateway.http}":
            self.wrong.append(f"asked {request.url}")


@contextmanager
def visiting(
    browser: Browser, gateway: Gateway, language: str = "zh", size: Size = "desktop", light: Light = "light", *,
    scripts: bool = True,
) -> Iterator[Visit]:  # fmt: skip
    """A browser of its own for one visit; what went wrong in it fails the test."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, locale="zh-CN" if language == "zh" else "en-GB",
        timezone_id="Asia/Shanghai", color_scheme=light, java_script_enabled=scripts, accept_downloads=True,
    )  # fmt: skip
    context.set_default_timeout(15_000)
    visit = Visit(context, context.new_page(), gateway, language, size)
    visit.watch(visit.page)
    try:
        yield visit
    finally:
        context.close()
    assert not visit.wrong, visit.wrong


def send(
    gateway: Gateway, sender: str, name: str, subject: str, text: str, identity: str, *, photo: bool = False
) -> None:
    made = mail(sender, name, subject, text, identity)
    gateway.mail((with_photo(made, "现场照片.png") if photo else made).as_bytes(), sender=sender)


def a_days_mail(gateway: Gateway) -> None:
    """A few of each: urgent and not, clear and doubtful, one with a picture and a second mail, one refused."""
    send(
        gateway, "li@example.cn", "李雷", "包裹显示签收但没收到",
        "订单号 10023，物流显示已签收，但我没有收到货，请尽快核实。我的电话 13812345678。\n\n李雷", "day-1", photo=True,
    )  # fmt: skip
    send(gateway, "wang@example.cn", "王芳", "洗衣机坏了", "洗衣机打不开，显示 E21。请安排上门维修。", "day-2")
    send(gateway, "john@example.com", "John Smith", "Invoice for order 10023", "Please send me an invoice.", "day-3")
    send(gateway, "vip@example.com", "赵总", "全公司都无法登录", "系统瘫痪，所有用户都无法登录，请立即处理！", "day-4")
    send(gateway, "chen@example.cn", "陈静", "要求退款", "我要退款，再不处理我就去 12315 投诉你们。", "day-5")
    send(gateway, "zhou@example.cn", "周明", "咨询发票抬头", "请问发票抬头怎么改？", "day-6")
    send(gateway, "qian@example.cn", "钱多", "充电器冒烟", "充电器冒烟起火了，差点烫伤孩子！", "day-7")
    gateway.settle()
    again = mail("li@example.cn", "李雷", "Re: 包裹显示签收但没收到", "还没有收到，请快一点！\n\n> 订单号 10023",
                 "day-8", In_Reply_To="<day-1@example.cn>")  # fmt: skip
    gateway.mail(again.as_bytes(), sender="li@example.cn")
    gateway.webhook(
        b'{"messages":[{"id":"1","text":"hi","from":"a@b.cn"}]}', identity="day-9", signed="whsec_" + "A" * 32
    )
    gateway.settle()
