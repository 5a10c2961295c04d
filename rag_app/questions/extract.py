"""Questions without a language model: what the text itself asks, announces or stresses.

They share their words with the passage, so they teach a model less than questions that people
word; they cost nothing and are always the same. Where passages neither ask nor announce anything,
their sentences stand for questions; training takes each out of its passage
(`TrainingRow.positive`).
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.chunks import BEGINS_IN_CODE, EMBEDDED_KEY
from rag_app.pairs import question_key
from rag_app.questions.rarity import Rarity, plain, telling
from rag_app.questions.styles import KEYWORDS, QUESTION, SENTENCE, TITLE
from rag_app.text.layout import without_code
from rag_app.text.words import words

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

HEADINGS = "headings"
EXTRACT_VERSION = "v1"
# What a text asks, announces, states and stresses; problems it does not word as people do.
EXTRACTED = (QUESTION, TITLE, SENTENCE, KEYWORDS)
# What is taken unless somebody says: where most passages have a title or a heading or ask
# something, and where they do not. Sentences beside key words did harm (docs/measured.md).
OF_HEADED = (QUESTION, TITLE, KEYWORDS)
OF_BARE = (QUESTION, SENTENCE)

_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t#]*$", re.M)
_FAQ_LINE = re.compile(
    r"^[\s>*_#-]*(?:Q(?:uestion)?\s*\d*|질문\s*\d*|문)\s*[.:)][\s*_]*(.+?)[\s*_]*$", re.M | re.I
)
MOST_KEYWORDS = 8
LEAST_KEYWORDS = 4
# Half of a sentence's words is a query; all of them would be the sentence.
KEYWORD_SHARE = 0.5
# Of fewer, nothing is left of a passage without one of them.
LEAST_SENTENCES = 2


@dataclass(frozen=True, slots=True)
class Worded:
    """A text that asks, and the style in which it does."""

    text: str
    style: str


def usual_styles(nodes: Sequence["TextNode"]) -> tuple[str, ...]:
    """The styles that are taken from the chunks of an index where nobody names any."""
    bare = sum(not (telling(_title(node)) or _announced(_prose(node), "")) for node in nodes)
    return OF_BARE if 2 * bare > len(nodes) else OF_HEADED


def extract_questions(
    node: "TextNode", rarity: Rarity, count: int, *, styles: Collection[str]
) -> list[Worded]:
    """At most `count` questions of these styles from a chunk's own text, always the same ones.

    First the questions that an FAQ asks, then its headings under its title, then its weightiest
    sentences: as they are, and as the few rare words that someone would search for.
    """
    chosen: dict[str, Worded] = {}
    for candidate in _candidates(node, rarity):
        if len(chosen) == count:
            break
        if candidate.style in styles:
            chosen.setdefault(question_key(candidate.text), candidate)
    return list(chosen.values())


def _candidates(node: "TextNode", rarity: Rarity) -> Iterator[Worded]:
    prose = _prose(node)
    yield from _announced(prose, _title(node))
    # What an FAQ asks has been taken as it is.
    stated = [one for one in rarity.key_sentences(prose) if not one.endswith(("?", "？"))]
    if len(stated) >= LEAST_SENTENCES:
        yield from (Worded(one, SENTENCE) for one in stated)
    yield from (Worded(query, KEYWORDS) for one in stated if (query := _query(one, rarity)))


def _announced(prose: str, title: str) -> list[Worded]:
    """What a text asks, and its headings under its title."""
    found = [Worded(plain(match[1]), QUESTION) for match in _FAQ_LINE.finditer(prose)]
    for match in _HEADING.finditer(prose):
        heading = plain(match[1])
        asks = heading.endswith(("?", "？"))
        titled = f"{title} {heading}".strip()
        found.append(Worded(heading, QUESTION) if asks else Worded(titled, TITLE))
    return found


def _prose(node: "TextNode") -> str:
    """The text without code: there comments look like headings and commands like sentences."""
    return without_code(node.text, begins_in_code=bool(node.metadata.get(BEGINS_IN_CODE)))


def _title(node: "TextNode") -> str:
    return plain(str(node.metadata.get(EMBEDDED_KEY, "")))


def _query(sentence: str, rarity: Rarity) -> str:
    length = round(KEYWORD_SHARE * len(words(sentence)))
    count = min(MOST_KEYWORDS, max(LEAST_KEYWORDS, length))
    return " ".join(rarity.keywords(sentence, count))
