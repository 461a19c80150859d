import sys
from pathlib import Path

import pytest

from engine.company import FILES, Company, company
from engine.kernels.choice import Name, run_on
from engine.rulebook import load
from engine.ruleset import RuleSet
from engine.vocabulary import Vocabulary, answers, templates

ROOT = Path(__file__).parents[2]
# durable_rules cannot be imported on Python 3.13; everywhere else it must be there
KERNELS = ("native",) if sys.version_info >= (3, 13) else ("native", "durable")

CATEGORIES = {
    "inquiry": {"zh": "咨询", "en": "Inquiry"},
    "complaint": {"zh": "投诉", "en": "Complaint"},
    "suggestion": {"zh": "建议", "en": "Suggestion"},
    "after_sales": {"zh": "售后", "en": "After-sales"},
}
SUBCATEGORIES = {
    "logistics": {"zh": "物流异常", "en": "Logistics"},
    "refund": {"zh": "退款", "en": "Refund"},
    "return_exchange": {"zh": "退换货", "en": "Return or exchange"},
    "malfunction": {"zh": "功能故障", "en": "Malfunction"},
    "invoice": {"zh": "发票", "en": "Invoice"},
    "account": {"zh": "账号", "en": "Account"},
    "quality": {"zh": "质量", "en": "Quality"},
    "missing_item": {"zh": "少发漏发", "en": "Missing items"},
}


@pytest.fixture(scope="session")
def house() -> Company:
    said = {path.name: path.read_text() for path in (ROOT / "config" / "answers").glob("*.md")}
    return company({file: (ROOT / "config" / file).read_text() for file in FILES}, name="示例商城", answers=said)


@pytest.fixture(scope="session")
def vocabulary(house: Company) -> Vocabulary:
    return Vocabulary(
        categories=CATEGORIES,
        subcategories={"inquiry": {"account": {"zh": "账户咨询", "en": "Account"}}, "complaint": SUBCATEGORIES, "after_sales": SUBCATEGORIES},
        lists=house.lists,
        templates=templates(path.name for path in (ROOT / "rules" / "templates").iterdir()),
        targets=frozenset(["crm"]),
        answers=answers(path.name for path in (ROOT / "config" / "answers").iterdir()),
        calls=frozenset(["erp"]),
        **dict(house.labels),  # type: ignore[arg-type]
        **dict(house.kinds),
    )  # fmt: skip


@pytest.fixture(scope="session")
def rulebooks() -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((ROOT / "rules").glob("*.yaml"))}


@pytest.fixture(scope="session", params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> Name:
    """What a scenario is decided by; each must come out alike."""
    name: Name = request.param
    return name


@pytest.fixture(scope="session")
def rules(rulebooks: dict[str, str], vocabulary: Vocabulary, kernel: Name) -> RuleSet:
    return run_on(load(rulebooks, vocabulary), kernel)
