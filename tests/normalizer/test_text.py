"""The words of this time, apart from quotations and signatures; HTML as people see it."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_answers_between_quoted_lines_are_kept() -> None:
    split = split_reply("> 1. 订单号？\n8842\n> 2. 照片？\n见附件\n")
    assert (split.visible, split.quoted) == ("8842\n见附件", "> 1. 订单号？\n> 2. 照片？")


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
    ],
)
def test_words_that_look_like_a_quotation_are_not_cut(text: str) -> None:
    assert split_reply(text).visible == text


def test_a_forwarded_mail_is_the_message() -> None:
    text = (
        "FYI\n\n---------- Forwarded message ---------\nFrom: a@b.c\nDate: Mon\nSubject: x\nTo: d\n\nThe kettle leaks."
    )
    assert split_reply(text).visible == text
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
    "line", ["On 2020 x", "> a\nb", "From: a", "2020-01-01 <", "-- ", "_" * 20, "| a |", "x wrote:"]
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
