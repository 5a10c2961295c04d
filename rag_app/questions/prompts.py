"""Prompts for one question each: the same examples first, so that a server evaluates them once.

A small base model needs a short piece of the passage rather than all of it, and a line that says
which words to ask about; the line also gives each question of a chunk a subject of its own. Of 40
questions by Gemma 3 270M about data/en, one run each at temperature 0.2, these found their passage
first / among ten (MiniLM): whole passage .25 / .53, piece .38 / .62, piece and topic .60 / .90.
That was with six longer examples. Part of the gain is that such questions share more words with
the passage (.68 of theirs, against .50).

In Korean the same model repeats the topic instead of asking about it (15 of 16 answers); shown
passages alone, it asks, or goes on with the passage. A grammar that lets an answer end only as
questions end, and examples with question words, changed how many of 1,432 passages of KorQuAD got
a question that passes the filters from 171 to 827 (`python eval/benchmarks/held_out.py --corpus
korquad --kinds synthetic` prints it).
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rag_app.chunks import EMBEDDED_KEY, passage_text
from rag_app.questions.examples import EXAMPLES, LABELS, LABELS_BY_LANGUAGE, OTHER, Example
from rag_app.questions.rarity import Rarity, plain
from rag_app.text.language import guess_language
from rag_app.text.scripts import is_cjk
from rag_app.text.sentences import split_by_rules

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

PROMPT_VERSION = "v3"
MAX_TOKENS = 48
# Low for a model of this size: what it samples less readily is seldom about the passage.
TEMPERATURE = 0.2
# Characters of a passage that a base model is shown; syllables say more than letters.
BASE_LETTERS = 280
BASE_SYLLABLES = 130
# A model that follows instructions reads all of an ordinary chunk; this fits 4,096 tokens.
INSTRUCTED_LETTERS = 6000
INSTRUCTED_SYLLABLES = 2000
TOPIC_WORDS = 3
# Languages in which a base model is shown no topic.
WITHOUT_TOPIC = frozenset({"ko"})
# How a base model's answer must read in a language, in llama.cpp's GBNF.
GRAMMARS = {
    "ko": (
        r'root ::= [^\n.?!"0-9] [^\n.?!"]{3,45} '
        '("나요?" | "까?" | "가?" | "가요?" | "죠?" | "어요?" | "돼요?")'
    )
}

_NUMBERED = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+")
_QUOTES = "\"'“”‘’「」*` "


class PromptWriter:
    """Writes the prompts for the chunks of one index."""

    def __init__(
        self,
        rarity: Rarity,
        *,
        follows_instructions: bool,
        examples: Mapping[str, Sequence[Example]] | None = None,
    ) -> None:
        self._rarity = rarity
        self._instructed = follows_instructions
        # Languages without examples of the user's own have ours.
        self._prefixes = {
            key: _prefix(key, shown, instructed=follows_instructions)
            for key, shown in {**EXAMPLES, **(examples or {})}.items()
        }

    @property
    def stop(self) -> tuple[str, ...]:
        """Where answers end: a base model goes on with a next example; others may begin empty."""
        return () if self._instructed else ("\n",)

    def grammar(self, node: "TextNode") -> str:
        """What the answers about a chunk must read like; empty where anything goes."""
        return "" if self._instructed else GRAMMARS.get(question_language(node), "")

    def prompts(self, node: "TextNode", numbers: Sequence[int]) -> list[str]:
        """The prompts for a chunk's questions of these numbers, counted from 0.

        Each is about another sentence; when there are no more, about other words of them.
        """
        key = question_language(node)
        sentences = self._rarity.key_sentences(node.text) or [plain(node.text)]
        title = _saying_something(plain(str(node.metadata.get(EMBEDDED_KEY, ""))))
        return [
            self._prefixes[key]
            + self._last(
                node, title, sentences[number % len(sentences)], key, number // len(sentences)
            )
            for number in numbers
        ]

    def _last(self, node: "TextNode", title: str, sentence: str, key: str, turn: int) -> str:
        shown = window(node.text, sentence, limit=self._limit(node.text))
        passage = f"{title}{_after(title)} {shown}" if title else shown
        topic = self._topic(title, sentence, turn)
        return _shown(passage, topic, "", key, instructed=self._instructed).rstrip()

    def _topic(self, title: str, sentence: str, turn: int) -> str:
        about = " ".join(self._rarity.keywords(title, TOPIC_WORDS))
        count = TOPIC_WORDS - 1 if about else TOPIC_WORDS
        own = self._rarity.keywords(sentence, count, skip=turn * count)
        return ", ".join([about, *own] if about else own)

    def _limit(self, text: str) -> int:
        if is_cjk(text):
            return INSTRUCTED_SYLLABLES if self._instructed else BASE_SYLLABLES
        return INSTRUCTED_LETTERS if self._instructed else BASE_LETTERS


def _saying_something(title: str) -> str:
    """The title, unless it is a number: a small model takes it for the subject."""
    return title if any(letter.isalpha() for letter in title) else ""


def _after(title: str) -> str:
    return "" if title.endswith((".", "?", "!", ":", "。", "？")) else "."


def question_language(node: "TextNode") -> str:
    """The key of the examples for a chunk: "en", "ko" or "other"."""
    named = str(node.metadata.get("language", "")) or guess_language(passage_text(node))
    return named if named in EXAMPLES else OTHER


def window(text: str, sentence: str, *, limit: int) -> str:
    """As many whole sentences around this one as fit into `limit` characters, on one line."""
    lines = [plain(text[start:end]) for start, end in split_by_rules(text)]
    lines = [line for line in lines if line]
    if sentence not in lines:
        return sentence[:limit]
    first = lines.index(sentence)
    after = first + 1
    room = limit - len(sentence)
    while True:
        if first > 0 and len(lines[first - 1]) < room:
            first -= 1
            room -= len(lines[first]) + 1
        elif after < len(lines) and len(lines[after]) < room:
            room -= len(lines[after]) + 1
            after += 1
        else:
            return " ".join(lines[first:after])[:limit]


def read_answer(answer: str) -> str:
    """The question in a model's answer: one line, without labels, numbers, quotes or an answer."""
    lines = [line.strip() for line in answer.splitlines() if line.strip(_QUOTES)]
    text = _NUMBERED.sub("", lines[0]) if lines else ""
    for label in LABELS:
        text = text.removeprefix(label)
    # A model that answers its own question has said enough at the question mark.
    end = max(text.rfind("?"), text.rfind("？")) + 1
    return " ".join((text[:end] if end else text).strip(_QUOTES).split())


def _prefix(key: str, examples: Sequence[Example], *, instructed: bool) -> str:
    shown = "".join(
        _shown(example.passage, example.topic, example.question, key, instructed=instructed)
        + "\n\n"
        for example in examples
    )
    return f"{LABELS_BY_LANGUAGE[key].instruction}\n\n{shown}" if instructed else shown


def _shown(passage: str, topic: str, question: str, key: str, *, instructed: bool) -> str:
    labels = LABELS_BY_LANGUAGE[key]
    about = [f"{labels.topic} {topic}"] if instructed or key not in WITHOUT_TOPIC else []
    lines = [f"{labels.passage} {passage}", *about, f"{labels.question} {question}"]
    return "\n".join(lines)
