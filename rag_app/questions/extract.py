"""Questions without a language model: what the text itself asks, announces or stresses.

They share their words with the passage, so they teach a model less than questions that people or
a language model word; they cost nothing and are always the same.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag_app.chunks import BEGINS_IN_CODE, EMBEDDED_KEY
from rag_app.pairs import question_key
from rag_app.questions.rarity import Rarity, plain
from rag_app.text.layout import without_code
from rag_app.text.words import words

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

HEADINGS = "headings"
EXTRACT_VERSION = "v1"

_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t#]*$", re.M)
_FAQ_LINE = re.compile(
    r"^[\s>*_#-]*(?:Q(?:uestion)?\s*\d*|질문\s*\d*|문)\s*[.:)][\s*_]*(.+?)[\s*_]*$", re.M | re.I
)
MOST_KEYWORDS = 8
LEAST_KEYWORDS = 4
# Half of a sentence's words is a query; all of them would be the sentence.
KEYWORD_SHARE = 0.5


def extract_questions(node: "TextNode", rarity: Rarity, count: int) -> list[str]:
    """At most `count` questions from a chunk's own text, always the same ones.

    First the questions that an FAQ asks, then its headings under its title, then its weightiest
    sentences as the few rare words that someone would search for.
    """
    chosen: dict[str, str] = {}
    for question in _candidates(node, rarity):
        if len(chosen) == count:
            break
        chosen.setdefault(question_key(question), question)
    return list(chosen.values())


def _candidates(node: "TextNode", rarity: Rarity) -> Iterator[str]:
    title = plain(str(node.metadata.get(EMBEDDED_KEY, "")))
    # Of a program, comments look like headings and commands like sentences.
    begins_in_code = bool(node.metadata.get(BEGINS_IN_CODE))
    prose = without_code(node.text, begins_in_code=begins_in_code)
    for match in _FAQ_LINE.finditer(prose):
        yield plain(match[1])
    for match in _HEADING.finditer(prose):
        heading = plain(match[1])
        yield heading if heading.endswith(("?", "？")) else f"{title} {heading}".strip()
    for sentence in rarity.key_sentences(prose):
        # What an FAQ asks has been taken as it is.
        if not sentence.endswith(("?", "？")) and (query := _query(sentence, rarity)):
            yield query


def _query(sentence: str, rarity: Rarity) -> str:
    length = round(KEYWORD_SHARE * len(words(sentence)))
    count = min(MOST_KEYWORDS, max(LEAST_KEYWORDS, length))
    return " ".join(rarity.keywords(sentence, count))
