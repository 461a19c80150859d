"""What counts as said: folding, standing alone, and mentions that are only denied."""

import re
import unicodedata
from pathlib import Path

import opencc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.words import Lexicon, fold

NEGATION = Path(__file__).parent / "negation.txt"

SIMPLIFIED = opencc.OpenCC("t2s")

MEANT = [
    # 没, 未, 不给, 拒绝, 无法: the complaint itself
    ("退款", "都一个月了还没退款"),
    ("退款", "至今未退款"),
    ("退款", "商家不给退款"),
    ("退款", "商家拒绝退款"),
    ("退款", "系统提示无法退款"),
    ("退款", "你们为什么不退款"),
    ("退款", "不能退款吗"),
    ("退款", "一直不肯退款"),
    ("退款", "没有退款给我"),
    ("退款", "不得不退款了"),
    ("退款", "不让我退款"),
    ("退款", "不同意退款"),
    ("退款", "没人理我，退款也不处理"),
    # questions deny nothing
    ("退款", "是不是已经退款了"),
    ("退款", "是不是退款"),
    ("退款", "要不要退款由我决定"),
    ("退款", "需不需要退款申请"),
    ("退款", "想不想退款是我的事"),
    ("退款", "用不用退款申请单"),
    ("退款", "不是退款了吗？怎么还没到账"),
    ("退款", "不是要退款吗"),
    ("退款", "难道不是退款？"),
    ("退货", "不用退货吗"),
    ("退货", "不需要退货就能换吗"),
    # another clause, another word between
    ("退款", "这个我不想要了，退款"),
    ("退款", "不需要了，请退款"),
    ("退款", "不用了退款吧"),
    ("退款", "东西不是我买的，退款"),
    ("退款", "不是不退款，是太慢"),
    ("退款", "不是没退款，是退少了"),
    ("退款", "不是退款就是换货，你们选"),
    ("退款", "不仅仅是退款的问题"),
    ("退款", "不只是退款"),
    ("退款", "更不用说退款了，连人都找不到"),
    ("退款", "不用等退款了我要投诉"),
    ("退款", "不要再拖退款了"),
    ("退款", "不要拒绝退款"),
    ("退款", "不是说好退款的么"),
    ("包裹", "收到的不是我的包裹"),
    ("发票", "不是本人的发票"),
    # denied once, meant once
    ("退款", "上次不是退款，这次要退款"),
    ("退款", "退款，退款，退款，重要的事说三遍"),
    ("refund", "You did not refund me"),
    ("refunded", "I was not refunded"),
    ("refund", "I still have not received a refund"),
    ("refund", "They refuse to give me a refund"),
    ("refund", "Why not a refund?"),
    ("refund", "This is not only a refund matter"),
    ("refund", "Is this not a refund?"),
    ("refund", "I don't want to wait. Refund me"),
    ("refund", "You can't refund me?"),
    ("refund", "no refund yet"),
    ("not received", "I have not received it"),
    ("退款", "我要退款 refund"),
]
DENIED = [
    ("退款", "不是退款"),
    ("退款", "我不是要退款，我想换货"),
    ("退款", "我这边并非退款，是咨询发票"),
    ("退款", "不需要退款"),
    ("退款", "不用退款了，谢谢"),
    ("退款", "我不想退款"),
    ("退款", "不想要退款，只想尽快发货"),
    ("退款", "并不是申请退款"),
    ("退款", "不是来退款的"),
    ("退款", "不是关于退款的咨询"),
    ("退款", "也不是想要退款，就是问一下进度"),
    ("退款", "暂时无需退款"),
    ("退款", "不用给我退款"),
    ("退款", "不需要你们退款"),
    ("退款", "不必退款"),
    ("退货", "我不想退货"),
    ("投诉", "我不是投诉，只是建议"),
    ("投诉", "不是要投诉你们"),
    ("物流", "不是物流问题"),
    ("質量", "不是質量問題，是尺寸不合適"),
    ("质量", "不是質量問題"),
    ("发票", "不需要开发票"),
    ("发票", "不用发票"),
    ("人工", "不需要转人工"),
    ("没收到", "我不是没收到，是少了一件"),
    ("退款", "不 是 退款"),
    ("refund", "This is not a refund request"),
    ("refund", "I don't want a refund, I want it repaired"),
    ("refund", "I do not need a refund"),
    ("refund", "I don’t need any refund"),
    ("refund", "No need to refund me"),
    ("refund", "I'm not asking for a refund"),
    ("refund", "It isn't about the refund, it's the delay"),
    ("refund", "I didn't want to request a refund"),
    ("complaint", "this isn't a complaint"),
]


@pytest.mark.parametrize(("word", "text"), MEANT, ids=lambda value: str(value)[:24])
def test_a_mention_counts(word: str, text: str) -> None:
    assert Lexicon([word]).said(text).meant


@pytest.mark.parametrize(("word", "text"), DENIED, ids=lambda value: str(value)[:24])
def test_a_denied_mention_is_only_mentioned(word: str, text: str) -> None:
    said = Lexicon([word]).said(text)
    assert said.mentioned
    assert not said.meant


def test_hundreds_of_denials_and_complaints_are_told_apart() -> None:
    lines = [line.split("\t") for line in NEGATION.read_text().splitlines() if line and not line.startswith("#")]
    wrong = []
    for wanted, word, text in lines:
        said = Lexicon([word]).said(text)
        if {"+": bool(said.meant), "-": bool(said.mentioned) and not said.meant}[wanted] is False:
            wrong.append(f"{wanted} {word}: {text}")
    assert wrong == []
    assert sum(not text.isascii() for _, _, text in lines) >= 250
    assert len({(word, text) for _, word, text in lines}) == len(lines)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("refund", "REFUND please"),
        ("refund", "ＲＥＦＵＮＤ"),
        ("refund", "退款refund吧"),
        ("退款", "請幫我退款"),
        ("订单", "訂單"),
        ("台湾", "臺灣"),
        ("vip", "我是VIP会员"),
        ("not received", "not\n  received"),
        ("haven't received", "I haven’t received it"),
        ("12315", "打12315了"),
        ("退款", "退\u200b款"),
        ("straße", "STRASSE"),
    ],
)
def test_case_width_script_and_spaces_are_folded(word: str, text: str) -> None:
    assert Lexicon([word]).said(text).meant


@pytest.mark.parametrize(
    ("word", "text"),
    [("fund", "refund"), ("refund", "refunds"), ("log in", "blog in"), ("123", "订单91234"), ("app", "happy")],
)
def test_a_latin_word_stands_alone(word: str, text: str) -> None:
    assert not Lexicon([word]).said(text).mentioned


def test_words_that_overlap_are_all_found() -> None:
    assert Lexicon(["退款", "款", "申请退款"]).said("申请退款").meant == {"退款", "款", "申请退款"}


@given(st.text(max_size=200))
def test_any_text_can_be_searched_and_folding_twice_changes_nothing(text: str) -> None:
    assert Lexicon(["退款", "refund"]).said(text).meant <= {"退款", "refund"}
    assert fold(fold(text)) == fold(text)


@given(
    st.text(st.sampled_from("aB ß9，！？：；（）％～\u3000\u00a0\u200b\t\n\r\x1c\x85’´退款漢語後ｶﾞﬁⅣ…\u0301"))
    | st.text(st.characters(max_codepoint=127))
)
def test_folding_in_shortcuts_is_folding_step_by_step(text: str) -> None:
    flat = unicodedata.normalize("NFKC", re.sub("[\u00ad\u200b-\u200f\u2060\ufeff]", "", text)).casefold()
    flat = re.sub("[’‘´]", "'", flat)
    assert fold(text) == re.sub(r"\s+", " ", SIMPLIFIED.convert(flat)).strip()
