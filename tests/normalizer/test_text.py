"""The words of this time, apart from quotations and signatures; HTML as people see it."""

import time
from html import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replies import ATTRIBUTIONS, BLOCKS, SIGNATURES

from normalizer.html import declared_charset, html_to_text
from normalizer.text import split_reply

REPLIES = {
    "gmail": "Still broken.\n\nOn Mon, Jan 5, 2026 at 9:10 AM Support <s@example.com> wrote:\n\n> Restart it.\n",
    "gmail zh": "还是不行。\n\n在 2026年1月5日 上午9:10，客服 <s@example.com>写道：\n\n> 请重启。\n",
    "163": "还是不行。\n\n\n在 2026-01-05 09:10:00，\"客服\" <s@example.com> 写道：\n\n>请重启。\n",
    "qq": "还是不行。\n\n------------------ 原始邮件 ------------------\n发件人: \"客服\"<s@example.com>;\n\n请重启。\n",
    "foxmail": "还是不行。\n\n\nwang@example.cn\n \n发件人： 客服\n发送时间： 2026-01-05 09:10\n收件人： 王\n主题： 工单\n请重启。\n",
    "outlook": "Still broken.\n\nFrom: Support <s@example.com>\nSent: Monday, 5 January 2026 9:10\nTo: Jane\nSubject: Re\n\nRestart.",
    "outlook zh": "还是不行。\n\n________________________________\n发件人: 客服 <s@example.com>\n发送时间: 2026年1月5日\n收件人: 王\n主题: 工单\n\n请重启",
    "outlook tw": "還是不行。\n\n寄件者: 客服 <s@example.com>\n寄件日期: 2026年1月5日\n收件者: 王\n主旨: 工單\n\n請重啟",
    "wecom": "还是不行。\n\n-----原始邮件-----\n发件人：客服\n时间：2026年1月5日\n\n请重启",
    "apple": "Still broken.\n\n> On 5 Jan 2026, at 09:10, Support <s@example.com> wrote:\n> \n> Restart it.\n",
    "139": "还是不行。\n\n----邮件原文----\n发件人：客服 <s@example.com>\n收 件 人：王 <w@example.cn>\n\n请重启",
    "notes zh": "还是不行。\n\n客服/SHOP@SHOP 写于 2026-01-05 09:10:00:\n\n> 请重启",
    "samsung zh": "还是不行。\n\n从我的 Galaxy 手机发送。\n\n-------- 原始信息 --------\n自： 客服 <s@example.com>\n日期： 26/1/5\n\n请重启",
    "phone": "还是不行。\n\n发自我的iPhone\n\n------------------ Original ------------------\nFrom: 客服\n\n请重启",
    "german": "Geht nicht.\n\nAm 05.01.2026 um 09:10 schrieb Support:\n> Neu starten.\n",
    "french": "Toujours en panne.\n\nLe lun. 5 janv. 2026 à 09:10, Support <s@example.com> a écrit :\n\n> Redémarrez.\n",
    "japanese": "直りません。\n\n2026年1月5日(月) 9:10 Support <s@example.com>:\n\n> 再起動してください。\n",
    "above the line": "Still broken.\n\n## Please type your reply above this line ##\n\nRestart it.",
}  # fmt: skip


@pytest.mark.parametrize("client", REPLIES)
def test_the_reply_is_what_stands_above_the_quotation(client: str) -> None:
    split = split_reply(REPLIES[client])
    assert split.visible == REPLIES[client].split("\n")[0]
    assert split.quoted


SAID = "It still leaks.\nI tried twice."


@pytest.mark.parametrize("program", ATTRIBUTIONS)
def test_a_quotation_is_known_by_its_attribution_in_many_languages(program: str) -> None:
    split = split_reply(f"{SAID}\n\n{ATTRIBUTIONS[program]}\n\n> Please restart it.\n> Support\n")
    assert split.visible == SAID
    if program != "gnus":  # without a date only the marks below tell
        assert split_reply(f"{SAID}\n\n{ATTRIBUTIONS[program]}\n\nPlease restart it.\nSupport\n").visible == SAID


@pytest.mark.parametrize("program", BLOCKS)
def test_a_quotation_is_known_by_its_header_block_in_many_languages(program: str) -> None:
    assert split_reply(f"{SAID}\n\n{BLOCKS[program]}\n\nPlease restart it.\nSupport\n").visible == SAID


@pytest.mark.parametrize("program", SIGNATURES)
def test_what_programs_sign_with_is_a_signature(program: str) -> None:
    split = split_reply(f"{SAID}\n\n{SIGNATURES[program]}\n")
    assert (split.visible, bool(split.signature)) == (SAID, True)
    quoted = f"\n\n{ATTRIBUTIONS['gmail en']}\n\n> Please restart it.\n"
    assert split_reply(f"{SAID}\n\n{SIGNATURES[program]}{quoted}").visible == SAID


@pytest.mark.parametrize("program", [*ATTRIBUTIONS, *BLOCKS])
def test_a_quotation_is_known_in_html_too(program: str) -> None:
    above = "".join(f"<div>{escape(line)}</div>" for line in {**ATTRIBUTIONS, **BLOCKS}[program].split("\n"))
    body = "<p>Please restart it.</p>" if program in BLOCKS else "<blockquote><p>Please restart it.</p></blockquote>"
    said = html_to_text(
        f"<html><body><div>It still leaks.</div><br><div>I tried twice.</div>{above}{body}</body></html>"
    )
    assert split_reply(said).visible == "It still leaks.\n\nI tried twice."


def test_an_attribution_that_shares_a_line_leaves_what_was_said_before_it() -> None:
    assert (
        split_reply("Yes, do. On Mon, Jan 5, 2026 at 9:10 AM, s@example.com wrote:\n> May we?\n").visible == "Yes, do."
    )


def test_netease_draws_a_card_that_is_no_word_of_anybodys() -> None:
    card = "| |\n张伟\n|\n|\nzhang@customer.example\n|\n"
    assert (
        split_reply(
            f"好的\n\n\n{card}\n签名由 网易邮箱大师 定制\n\n在2026年01月05日 09:10，客服 写道：\n请重启"
        ).visible
        == "好的"
    )


CARDS = (
    "Best regards,\n\nJo Kowalski\nExample Ltd\nTel: +44 20 7946 0018\nwww.customer.example",
    "Mit freundlichen Grüßen\nUwe Brandt\nBrandt GmbH\nTelefon 030 1234567",
    "此致\n敬礼\n\n张伟\n杭州青禾贸易有限公司\n电话：0571-5555 0101",
    "祝好！\n李雷\n手机：138 0013 8000\n地址：上海市浦东新区",
)
DISCLAIMERS = (
    "This e-mail and any attachments are confidential and intended solely for the addressee.\nIf you are not, delete it.",
    "CONFIDENTIALITY NOTICE: the contents may be privileged.",
    "Diese E-Mail enthält vertrauliche Informationen.\nBitte löschen Sie sie.",
    "声明：本邮件及附件仅供收件人使用。",
    "本邮件包含保密信息，如误收请删除。",
)


@pytest.mark.parametrize("below", [*CARDS, *DISCLAIMERS])
def test_cards_and_disclaimers_are_signatures(below: str) -> None:
    split = split_reply(f"{SAID}\n\n{below}\n\n{ATTRIBUTIONS['gmail en']}\n\n> Please restart it.\n")
    assert (split.visible, split.signature.split("\n")[0]) == (SAID, below.split("\n")[0])


def test_a_name_below_a_closing_stays() -> None:
    text = f"{SAID}\n\nBest regards,\nJo"
    assert split_reply(text).visible == text


@pytest.mark.parametrize("quotation", ["gmail en", "outlook en", "thunderbird de"])
@pytest.mark.parametrize(
    "said",
    [
        "Order 1234 is broken.",
        "I want these:\n3 red kettles\n5 blue ones",
        "10:30 works for me",
        "2 January is fine, 3.1.2026 too",
        "On Friday I am away, come on 12 Jan 2026.",
        "Am Montag, 5. Januar 2026, bin ich weg.",
        "手机：138 0013 8000\n地址：上海市浦东新区",
    ],
)
def test_what_looks_like_the_beginning_of_an_attribution_stays(said: str, quotation: str) -> None:
    begins = {**ATTRIBUTIONS, **BLOCKS}[quotation]
    for gap in ("\n", "\n\n"):
        assert split_reply(f"Hello,\n{said}{gap}{begins}\n\n> Please restart it.\n").visible == f"Hello,\n{said}"


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("It leaks.\n\nRegards,\n\nJo\nTel: +44 20 7946 0018\n\nPS: order 77120934", "It leaks.\n\nPS: order 77120934"),
        ("坏了。\n\n祝好\n李雷\n手机：138 0013 8000\n\n另外地址改为上海", "坏了。\n\n另外地址改为上海"),
        ("It leaks.\n\nSent from my iPhone\n\nI moved to 4 High St.", "It leaks.\n\n\nI moved to 4 High St."),
    ],
)
def test_words_below_or_beside_what_programs_add_are_kept(text: str, visible: str) -> None:
    assert split_reply(text).visible == visible


@pytest.mark.parametrize(
    "quotation",
    [
        "-------- Pranešimas --------\nSubject: kettle\nDate: 5 Jan 2026\nFrom: Support <s@example.com>\n\n",
        "From: Support <s@example.com>\n\nSent: 5 January 2026 09:10\n\nTo: Jo\n\nSubject: Re: kettle\n\n",
        "---\n\n**From:** Support <s@example.com>\n**Sent:** 5 January 2026 09:10\n**To:** Jo\n**Subject:** Re\n\n",
        "In message <1@example.com>, Support <s@example.com> writes\n> ",
    ],
)
def test_a_quotation_is_known_by_its_shape(quotation: str) -> None:
    assert split_reply(f"{SAID}\n\n{quotation}Please restart it.\n").visible == SAID


def test_answers_between_quoted_lines_are_kept() -> None:
    split = split_reply("> 1. 订单号？\n8842\n> 2. 照片？\n见附件\n")
    assert (split.visible, split.quoted) == ("8842\n见附件", "> 1. 订单号？\n> 2. 照片？")


def test_a_sentence_above_quoted_lines_is_the_writers() -> None:
    said = "Refund me for order 77120934, as promised by Support <s@example.com>:"
    assert split_reply(f"Hello,\n\n{said}\n> You get your money back.\n").visible == f"Hello,\n\n{said}"


def test_an_attribution_wrapped_within_a_quotation_belongs_to_it() -> None:
    quoted = "> Restarted?\n> On 3 Jan 2026 Support <\n> s@example.com> wrote:\n>> Hello\n"
    split = split_reply(f"Yes.\n\nOn Wed, Jan 7 Support\n<s@example.com> wrote:\n{quoted}\nTwice.")
    assert (split.visible, split.quoted.count("\n")) == ("Yes.\n\nTwice.", 5)


def test_words_below_the_quotation_are_kept() -> None:
    split = split_reply("On 5 Jan 2026, Support wrote:\n> Restart it.\n\nI did.\n")
    assert split.visible == "I did."


def test_a_signature_is_set_aside() -> None:
    split = split_reply("Please call back.\n\n-- \nJane Doe\nExample Ltd\n")
    assert (split.visible, split.signature) == ("Please call back.", "--\nJane Doe\nExample Ltd")


def test_dashes_above_a_long_text_are_no_signature() -> None:
    text = "First.\n--\n" + "\n".join(f"point {n}" for n in range(60))
    assert split_reply(text).visible == text


@pytest.mark.parametrize(
    "text",
    [
        "你们在邮件里写道：“三天内退款”，现在已经过了一周。",
        "On Monday the parcel was still not there.",
        "From Shanghai to Beijing it took a week: too long.",
        "Sent from my desk, is much easier than my phone.",
        "Use a -- b, not a - b.",
        "5:30 PM is fine.",
        ">>> look here <<<",
        "I wrote to you on 5 January 2026, and again on 9 January, and nobody answered:\nthe kettle leaks.",
        "My address changed: jo@customer.example since 3.1.2026.",
        "Please use these: order 77120934, date 5.1.2026, time 09:10.\nThanks",
        "From: Berlin\nI want to go to: Hamburg",
        "来自上海的客户问的问题，请回复",
        "来自QQ邮箱的邮件你们都没有收到，为什么",
        "发自内心地感谢你们的帮助",
        "发送时间不对，应该是下午",
        "祝好运，也请尽快处理退款",
        "The information on your page is confidential? I doubt it.",
        "This is the confidential part of my file, please give it to Ron.",
        "Sent from the shop in Leeds, arrived broken",
        "Sent from my husband's account because mine is locked.",
        "Regards to your driver, he was very kind.",
        "Enviado el paquete ayer, todavía no llega.",
        "1) yes\n2) no\n--- see above",
        "-----\nThe error is below\n-----\nE-07",
        "Error at 2026-01-05 09:10: disk full",
        "Hello\n\nThis message is confidential. Please cancel order 4711 and tell nobody.",
        "All good.\n\nCheers\nJo\nOrder 4711\nSend it to jo@customer.example instead of the old one",
        "First point.\n----------\nSecond point, could you call 020 7946 0018\nJo",
        "I need:\n- Kettle\n- Pot\n- Lid",
        "Broken are\n==========\nhttps://shop.example/a\nhttps://shop.example/b",
        "Hello,\nDisclaimer: I am no expert.\nThe valve is loose, I think.",
        "您好\n声明：我从来没有收到过这个包裹。\n现在要求退款",
        "Name: Jo\n____________________\nAddress: 4 High St\nPhone: +44 20 7946 0018",
        "Hello,\n--\nplease cancel my order 4711",
        "Two seats:\n\nFrom: Berlin\nTo: Hamburg\nDate: 5 Jan 2026, 9:10",
        "你好\n寄件人：李雷\n收件人：王小明\n时间：2026-01-05 下午\n\n请安排上门取件。",
        "Is this spam?\n\nReceived: from mx\nDate: Mon, 5 Jan 2026 09:10:00 +0000\nFrom: a@b.c\nTo: d@e.f\nSubject: won\n\nHi",
        "Log:\n2026-01-05 09:10 start\n2026-01-05 09:11 user jo@customer.example: denied\n2026-01-05 09:12 stop",
    ],
)
def test_words_that_look_like_a_quotation_are_not_cut(text: str) -> None:
    assert split_reply(text).visible == text


def test_a_forwarded_mail_is_the_message() -> None:
    text = (
        "FYI\n\n---------- Forwarded message ---------\nFrom: a@b.c\nDate: Mon\nSubject: x\nTo: d\n\nThe kettle leaks."
    )
    assert split_reply(text).visible == text
    unquoted = "FYI\n\nDébut du message réexpédié :\n\nDe: a@b.c\nDate: 5 janv. 2026\nObjet: x\n\nThe kettle leaks."
    assert split_reply(unquoted).visible == unquoted
    block = "See below.\n\nFrom: a@b.c\nSent: 5 Jan 2026\nTo: d\nSubject: x\n\nThe kettle leaks."
    assert split_reply(block, forwarded=True).visible == block


def test_nothing_but_a_quotation_is_shown_whole() -> None:
    assert split_reply("> only\n> this\n").visible == "> only\n> this"


@settings(deadline=None)  # what a first text loads takes longer
@given(st.text(alphabet="ab>:-_\n 写道：On2026/ From@<>.wrote", max_size=400))
def test_no_word_is_lost(text: str) -> None:
    split = split_reply(text)
    kept = "".join((split.visible + split.quoted + split.signature).split())
    assert sorted(kept) == sorted("".join(text.split()))


@pytest.mark.parametrize(
    "line",
    [
        "On 2020 x",
        "> a\nb",
        "From: a",
        "2020-01-01 <",
        "-- ",
        "_" * 20,
        "| a |",
        "x wrote:",
        "Best regards,",
        "a@b 2020",
        "<a@b> 9:10 2020:",
        "Sent from A" + " A" * 200,
        "this e-mail " + "x" * 400,
        "发自" + "我" * 200,
        "> a\nx <a@b>:",
        "Outlook for " + "x" * 400,
        "CONFIDENTIAL:",
        "祝好",
        "9:10 " * 90,
        "(a@b " * 90,
        "---1/1/2020 1:1",
        "Order 1 x\nOn 2020",
        "Sent from A1" + " a1 A1" * 30,
        "--- x ---\nTo: a",
        ">>> " + "1:10 " * 60,
        "_" * 20 + "\n" + "A" * 150,
        "_" * 20 + "\n" + "Ab, " * 40,
        "--- " + "x " * 200,
        "X-a: b\nFrom: a@b\nTo: c\nDate: d",
        "From: a\n\nTo: b\n",
    ],
)
def test_hostile_lines_are_read_in_linear_time(line: str) -> None:
    def taken(times: int) -> float:
        begun = time.process_time()
        split_reply(f"{line}\n" * times)
        return time.process_time() - begun

    taken(1000)
    assert taken(40_000) < 2


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("a<br>b&nbsp;&amp; c", "a\nb & c"),
        ("<style>p{}</style><script>x</script><title>t</title>seen", "seen"),
        ('<div style="display:none">preheader<div>x</div></div>seen', "seen"),
        ("<!-- no --><![if mso]>seen<![endif]-->", "seen"),
        ("<ul><li>a<li>b</ul>", "- a\n- b"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<blockquote>old<blockquote>older</blockquote></blockquote>new", "> old\n>\n> > older\n\nnew"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("plain &lt;text&gt;", "plain <text>"),
        ("unclosed <b>bold", "unclosed bold"),
        ("", ""),
    ],
)
def test_html_reads_as_a_browser_shows_it(html: str, text: str) -> None:
    assert html_to_text(html) == text


@settings(deadline=None)  # what a first text loads takes longer
@given(st.text(alphabet="<>/!-abp \"'=&;\n", max_size=300))
def test_no_markup_raises(html: str) -> None:
    html_to_text(html)


def test_a_page_may_name_its_charset() -> None:
    assert declared_charset(b'<html><meta http-equiv="Content-Type" content="text/html; charset=gb2312">') == "gb2312"
    assert declared_charset(b"<p>none</p>") == ""
