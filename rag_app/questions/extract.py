"""Questions without a language model: what the text itself asks, announces or stresses.

They share their words with the passage, so they teach a model less than questions that people or
a language model word; they cost nothing and are always the same.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.chunks import BEGINS_IN_CODE, EMBEDDED_KEY
from rag_app.pairs import question_key
from rag_app.questions.rarity import Rarity, plain
from rag_app.questions.styles import KEYWORDS, QUESTION, TITLE
from rag_app.text.layout import without_code
from rag_app.text.words import words

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

HEADINGS = "headings"
EXTRACT_VERSION = "v1"
# What a text asks, announces and stresses; claims and problems it does not word as people do.
EXTRACTED = (QUESTION, TITLE, KEYWORDS)

_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t#]*$", re.M)
_FAQ_LINE = re.compile(
    r"^[\s>*_#-]*(?:Q(?:uestion)?\s*\d*|질문\s*\d*|문)\s*[.:)][\s*_]*(.+?)[\s*_]*$", re.M | re.I
)
MOST_KEYWORDS = 8
LEAST_KEYWORDS = 4
# Half of a sentence's words is a query; all of them would be the sentence.
KEYWORD_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Worded:
    """A text that asks, and the style in which it does."""

    text: str
    style: str


def extract_questions(
    node: "TextNode", rarity: Rarity, count: int, *, styles: Collection[str] = EXTRACTED
) -> list[Worded]:
    """At most `count` questions of these styles from a chunk's own text, always the same ones.

    First the questions that an FAQ asks, then its headings under its title, then its weightiest
    sentences as the few rare words that someone would search for.
    """
    chosen: dict[str, Worded] = {}
    for candidate in _candidates(node, rarity):
        if len(chosen) == count:
            break
        if candidate.style in styles:
            chosen.setdefault(question_key(candidate.text), candidate)
    return list(chosen.values())


def _candidates(node: "TextNode", rarity: Rarity) -> Iterator[Worded]:
    title = plain(str(node.metadata.get(EMBEDDED_KEY, "")))
    # Of a program, comments look like headings and commands like sentences.
    begins_in_code = bool(node.metadata.get(BEGINS_IN_CODE))
    prose = without_code(node.text, begins_in_code=begins_in_code)
    for match in _FAQ_LINE.finditer(prose):
        yield Worded(plain(match[1]), QUESTION)
    for match in _HEADING.finditer(prose):
        heading = plain(match[1])
        asks = heading.endswith(("?", "？"))
        yield Worded(heading, QUESTION) if asks else Worded(f"{title} {heading}".strip(), TITLE)
    for sentence in rarity.key_sentences(prose):
        # What an FAQ asks has been taken as it is.
        if not sentence.endswith(("?", "？")) and (query := _query(sentence, rarity)):
            yield Worded(query, KEYWORDS)


def _query(sentence: str, rarity: Rarity) -> str:
    length = round(KEYWORD_SHARE * len(words(sentence)))
    count = min(MOST_KEYWORDS, max(LEAST_KEYWORDS, length))
    return " ".join(rarity.keywords(sentence, count))
