"""Somebody who never wrote a rule: tries one, mends it by what is found, sees its effect, puts it live, takes it back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import Size, a_days_mail, send, visiting
from playwright.sync_api import Browser, Page, expect
from ruled import ruled
from serving import Gateway

from gateway.console.rules_words import RULES

pytestmark = pytest.mark.xdist_group("browser")
SAID = "洗衣机冒烟了，差点烫伤孩子"
WRONG = """\
rulebook: smoke
rules:
  - rule: smoke-is-urgent
    because: 冒烟的一律紧急
    when:
      sayz: [冒烟]
    then:
      set: {priority: urgentt}
      tag: smoke
"""
PASTE = """(editor, text) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  editor.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}"""
MENDED = WRONG.replace("sayz", "says").replace("urgentt", "urgent")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Its rules are in its store, so that people put them live here."""
    with ruled(tmp_path_factory.mktemp("kept"), "store").start() as gateway:
        a_days_mail(gateway)
        yield gateway


def write(page: Page, text: str) -> None:
    """Paste it over what is in the editor."""
    editor = page.locator(".editor .cm-content")
    editor.click()
    page.keyboard.press("Control+a")
    editor.evaluate(PASTE, text)


@pytest.mark.parametrize(("language", "size"), [("zh", "desktop"), ("en", "phone")])
def test_a_newcomer_mends_a_rule_by_its_findings_puts_it_live_and_takes_it_back(
    browser: Browser, kept: Gateway, language: str, size: Size
) -> None:
    r = RULES[language]
    with visiting(browser, kept, language, size) as visit:
        visit.refused = {422}
        page = visit.open("/console/rules")
        page.fill("#file", f"60-smoke-{language}.yaml")
        page.get_by_role("button", name=r["new"]).click()
        wrong, mended = (text.replace("smoke", f"smoke-{language}") for text in (WRONG, MENDED))

        write(page, wrong)
        found = page.locator("#findings li")
        expect(found.filter(has_text="sayz")).to_be_visible()
        expect(found.filter(has_text="urgentt")).to_be_visible()
        expect(page.locator(".editor .cm-lintRange-error").first).to_be_visible()
        page.get_by_role("button", name=r["go_live"], exact=True).click()
        expect(page.locator("#fault")).to_have_text(r["why_needed"])
        page.locator("[name=why]").fill("试试")
        page.get_by_role("button", name=r["go_live"], exact=True).click()
        expect(page.locator("#fault")).to_contain_text("sayz")
        expect(page.locator(".editor .cm-content")).to_contain_text("urgentt")  # what was typed is not lost

        write(page, mended)
        expect(page.locator("#findings .chip.bad")).to_have_count(0)
        page.fill("#said", SAID)
        page.locator("#go").click()
        expect(page.locator("#tried")).to_contain_text(f"smoke-{language}-is-urgent")
        expect(page.locator("#tried article")).to_contain_text("00000000001")
        page.get_by_role("button", name=r["measure"]).click()
        expect(page.locator("#would")).to_contain_text("1")
        expect(page.locator("#changes tbody tr")).to_have_count(1)

        page.locator("[name=why]").fill("冒烟不能等")
        page.get_by_role("button", name=r["go_live"], exact=True).click()
        expect(page.locator("#flash")).to_contain_text(r["live_done"].split("{")[0])
        expect(page.locator("ol.acts li").first).to_contain_text(f"smoke-{language}-is-urgent")

        earlier = page.locator("ol.acts li").nth(1)
        earlier.get_by_text(r["take_back"]).first.click()
        earlier.locator("[name=why]").fill("先退回")
        earlier.get_by_role("button", name=r["take_back"]).click()
        expect(page.locator("#flash")).to_contain_text(r["back_done"].split("{")[0])
        expect(page.get_by_role("link", name=f"rules/60-smoke-{language}.yaml")).to_have_count(0)


def test_what_went_live_decides_the_next_mail(browser: Browser, kept: Gateway) -> None:
    with visiting(browser, kept) as visit:
        page = visit.open("/console/rules/edit?file=60-balloon.yaml")
        write(page, MENDED.replace("冒烟", "热气球").replace("smoke", "balloon"))
        page.locator("[name=why]").fill("热气球不能等")
        page.get_by_role("button", name=RULES["zh"]["go_live"], exact=True).click()
        expect(page.locator("#flash")).to_be_visible()
        send(kept, "qian@example.cn", "钱多", "热气球", "热气球落在院子里", "balloon-1")
        kept.settle()
        visit.open("/console/")
        expect(page.locator("#live tr", has_text="热气球").locator(".chip.urgent")).to_be_visible()


def test_the_editor_offers_what_may_stand_there(browser: Browser, kept: Gateway) -> None:
    with visiting(browser, kept) as visit:
        page = visit.open("/console/rules/edit?file=60-new.yaml")
        write(page, "rulebook: new\nrules:\n  - rule: a\n    then:\n      route: senio")
        page.keyboard.type("r")
        offered = page.locator(".editor .cm-tooltip-autocomplete")
        expect(offered).to_contain_text("senior")


def test_it_works_without_scripts(browser: Browser, kept: Gateway) -> None:
    with visiting(browser, kept, scripts=False) as visit:
        page = visit.open("/console/rules/edit?file=60-plain.yaml")
        page.locator("textarea#text").fill(WRONG)
        page.fill("#said", SAID)
        page.locator("#go").click()
        expect(page.locator("#findings")).to_contain_text("sayz")
        expect(page.locator("#tried")).to_contain_text("sayz")


def test_where_files_are_the_truth_it_says_so_and_puts_nothing_live(browser: Browser, tmp_path: Path) -> None:
    with ruled(tmp_path, "files").start() as gateway, visiting(browser, gateway) as visit:
        page = visit.open("/console/rules/edit?file=rules/60-lanes.yaml")
        expect(page.locator(".note")).to_contain_text("rules.source: files")
        expect(page.get_by_role("button", name=RULES["zh"]["go_live"], exact=True)).to_have_count(0)


def test_a_viewer_tries_and_puts_nothing_live(browser: Browser, tmp_path: Path) -> None:
    gateway = ruled(tmp_path, "store")
    gateway.local = "viewer"
    gateway.__post_init__()
    gateway.config.write_text(gateway.config.read_text() + "rules: {source: store, folder: ./rules}\n")
    with gateway.start(), visiting(browser, gateway) as visit:
        page = visit.open("/console/rules/edit?file=rules/60-lanes.yaml")
        expect(page.locator(".note")).to_contain_text(RULES["zh"]["no_right"])
        visit.refused = {404}
        visit.open("/console/rules/edit?file=config/people.yaml")
        expect(page.locator("textarea")).to_have_count(0)
