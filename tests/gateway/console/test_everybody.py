"""The console is for everybody: axe finds no serious fault on any page, light or dark, wide or narrow, zh or en."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import Light, Size, Visit, visiting
from playwright.sync_api import Browser, Page
from serving import Gateway

pytestmark = pytest.mark.xdist_group("browser")
LISTS = ("/console/", "/console/?q=没有", "/console/new?type=repair", "/console/quarantine", "/console/outbox?state=sent",
         "/console/outbox?state=dead", "/console/rules", "/console/rules/edit?file=rules/40-customers.yaml",
         "/console/journal", "/console/health", "/console/nowhere")  # fmt: skip
INNER = {"/console/": "td.first a", "/console/quarantine": "td.first a", "/console/journal": "td.first a",
         "/console/outbox?state=sent": "td.first a"}  # fmt: skip
GRAVE = ("serious", "critical")
BOTH: list[tuple[str, Size, Light]] = [("zh", "desktop", "light"), ("en", "phone", "dark")]


@pytest.mark.parametrize(("language", "size", "light"), BOTH)
def test_axe_finds_no_serious_fault_on_any_page(
    browser: Browser, busy: Gateway, language: str, size: Size, light: Light
) -> None:
    with visiting(browser, busy, language, size, light) as visit:
        visit.refused.add(404)
        found = {path: faults(visit.open(path)) for path in every_page(visit)}
    assert not {path: wrong for path, wrong in found.items() if wrong}


def every_page(visit: Visit) -> list[str]:
    """The lists, and the first thing in each of them; a ticket's customer; a ticket with all its menus open."""
    inner = [href(visit.open(path), where) for path, where in INNER.items()]
    ticket = inner[0]
    return [*LISTS, *inner, href(visit.open(ticket), "aside a[href*=contacts]")]


def href(page: Page, where: str) -> str:
    return str(page.locator(where).first.get_attribute("href"))


def faults(page: Page) -> list[str]:
    if not re.search("/contacts/", page.url):
        for one in page.locator("main details").all():
            one.evaluate("at => { at.open = true; }")
    told = Axe().run(page)
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0].get('failureSummary', '')[:300]}"
        for one in told.response["violations"] if one["impact"] in GRAVE
    ]  # fmt: skip


@pytest.mark.parametrize(("language", "size", "light"), BOTH[1:])
def test_the_way_in_has_no_serious_fault_either(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, language: str, size: Size, light: Light
) -> None:
    fresh = Gateway(tmp_path_factory.mktemp("fresh"), local="null")
    with fresh.start(), visiting(browser, fresh, language, size, light) as visit:
        found = {"first": faults(visit.open("/console/first"))}
        page = visit.page
        for name, value in (("login", "li"), ("new", "correct horse battery"), ("again", "correct horse battery")):
            page.fill(f"#{name}", value)
        page.locator("form.ask button").click()
        page.wait_for_selector(".empty")
        found |= {path: faults(visit.open(path)) for path in ("/console/", "/console/account", "/console/account/totp")}
    assert not {path: wrong for path, wrong in found.items() if wrong}


def test_no_page_is_wider_than_a_phone(browser: Browser, busy: Gateway) -> None:
    with visiting(browser, busy, "en", "phone") as visit:
        width = "document.documentElement.scrollWidth"
        wide = {path: visit.open(path).evaluate(width) for path in LISTS[:-1]}
    assert {path: found for path, found in wide.items() if found > 390} == {}


@pytest.mark.parametrize(("language", "size", "light"), BOTH)
def test_the_hosted_form_is_drawn_as_it_should_be_and_has_no_serious_fault(
    browser: Browser, busy: Gateway, language: str, size: Size, light: Light
) -> None:
    with visiting(browser, busy, language, size, light) as visit:
        page = visit.open("/form/contact")
        found = faults(page)
        assert page.locator("button").evaluate("at => getComputedStyle(at).borderRadius") != "0px"
    assert not found


def test_axe_would_find_words_too_pale_to_read(browser: Browser, busy: Gateway) -> None:
    with visiting(browser, busy, "en") as visit:
        page = visit.open()
        page.locator("h1").evaluate("at => { at.style.color = '#ddd'; at.style.background = '#fff'; }")
        assert any("color-contrast" in one for one in faults(page))
