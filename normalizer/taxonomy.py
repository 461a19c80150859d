"""The taxonomy operators write (config/taxonomy.yaml): categories, subcategories, intents, sentiment, and their cues.

A topic (logistics, refund, ...) holds words that tell what is spoken of; a category lists the topics that can be its
subcategories and how much of a topic's evidence speaks for it.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from normalizer.canon import digest
from normalizer.errors import ConfigError
from normalizer.marked import Document, model

Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Word = Annotated[str, Field(min_length=1, max_length=80)]
Share = Annotated[float, Field(ge=0, le=2)]
Felt = Annotated[float, Field(ge=-2, le=2)]

STRENGTH: Mapping[str, float] = {"decisive": 6.0, "strong": 3.0, "fair": 1.5, "weak": 0.6}


class Entry(BaseModel):
    """Unknown words are an error, so that a typo is seen."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)  # 12315 is a word too


class Label(Entry):
    """What people read for a code. A language left out shows the other one."""

    zh: str = ""
    en: str = ""

    def text(self, language: str) -> str:
        return (self.zh or self.en) if language.startswith("zh") else (self.en or self.zh)


class Cues(Entry):
    """Words by how surely they tell. A `*` at the end of a Latin word stands for any ending."""

    decisive: list[Word] = []
    strong: list[Word] = []
    fair: list[Word] = []
    weak: list[Word] = []

    def weights(self) -> list[tuple[str, float]]:
        return [(word, weight) for strength, weight in STRENGTH.items() for word in getattr(self, strength)]


class Subcategory(Entry):
    """A topic within a category. `share` is how much of the topic's evidence speaks for the category."""

    label: Label
    share: Share = 1.0
    tags: list[str] = []
    cues: Cues = Cues()


class Category(Entry):
    label: Label
    cues: Cues = Cues()
    feeling: dict[str, Felt] = {}  # how much of a sentiment's evidence speaks for it, or below zero against it
    subcategories: dict[Code, Subcategory] = {}


class Intent(Entry):
    label: Label
    cues: list[Word]


class Taxonomy(Entry):
    """Everything in config/taxonomy.yaml."""

    version: str = "1"
    topics: dict[Code, Cues] = {}
    categories: dict[Code, Category]
    intents: dict[Code, Intent] = {}
    sentiment: dict[str, Cues] = {}

    @property
    def sha(self) -> str:
        """What names these words in decisions: eight hex digits."""
        return digest("taxonomy", self.model_dump_json())[:8]


def of(document: Document) -> Taxonomy:
    """The taxonomy a file holds. Raises ConfigError at file:line:column."""
    taxonomy = model(Taxonomy, document)
    for code, category in taxonomy.categories.items():
        for feeling in category.feeling:
            if feeling not in taxonomy.sentiment:
                known = ", ".join(taxonomy.sentiment)
                where = document.where("categories", code, "feeling", feeling)
                raise ConfigError(where, f"{feeling!r} is no sentiment", f"known: {known}")
    return taxonomy
