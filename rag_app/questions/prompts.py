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

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.chunks import EMBEDDED_KEY, passage_text
from rag_app.questions.examples import EXAMPLES, LABELS, LABELS_BY_LANGUAGE, Example
from rag_app.questions.rarity import Rarity, plain, telling
from rag_app.questions.styles import OTHER, QUESTION, STYLES, WORDINGS
from rag_app.text.language import guess_language
from rag_app.text.scripts import is_cjk
from rag_app.text.sentences import split_by_rules

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

PROMPT_VERSION = "v3"
# Of a model that follows instructions; a base model's prompts are those of v3 still.
INSTRUCTED_VERSION = "v4"
JSON_KEY = "text"
MAX_TOKENS = 48
# With braces and quotes around it.
JSON_TOKENS = 96
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

_NUMBERED = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+")
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)
_QUOTES = "\"'“”‘’「」*` "


@dataclass(frozen=True, slots=True)
class _About:
    """What one question is about: a sentence, and how often it has been asked about before."""

    node: "TextNode"
    title: str
    sentence: str
    turn: int


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
        # Languages and styles without examples of the user's own have ours.
        self._prefixes = {
            (key, style): _prefix(key, style, shown, instructed=follows_instructions)
            for key, ours in EXAMPLES.items()
            for style in STYLES
            for shown in [(examples or {}).get(key, ours) if style == QUESTION else ours]
        }

    @property
    def stop(self) -> tuple[str, ...]:
        """Where answers end: a base model goes on with a next example; others may begin empty."""
        return () if self._instructed else ("\n",)

    def grammar(self, node: "TextNode", style: str) -> str:
        """What an answer about a chunk must read like; empty where anything goes."""
        return "" if self._instructed else WORDINGS[question_language(node)][style].grammar

    def prompts(self, node: "TextNode", numbers: Sequence[int], styles: Sequence[str]) -> list[str]:
        """The prompts for a chunk's questions of these numbers, counted from 0.

        Each is about another sentence; when there are no more, about other words of them.

        Arguments:
            styles: of each question.
        """
        key = question_language(node)
        sentences = self._rarity.key_sentences(node.text) or [plain(node.text)]
        # A small model takes a number for the subject.
        title = telling(plain(str(node.metadata.get(EMBEDDED_KEY, ""))))
        return [
            self._prefixes[key, style]
            + self._last(
                _About(node, title, sentences[number % len(sentences)], number // len(sentences)),
                key,
                style,
            )
            for number, style in zip(numbers, styles, strict=True)
        ]

    def _last(self, about: "_About", key: str, style: str) -> str:
        shown = window(about.node.text, about.sentence, limit=self._limit(about.node.text))
        passage = f"{about.title}{_after(about.title)} {shown}" if about.title else shown
        example = Example(passage, self._topic(about.title, about.sentence, about.turn), "", ())
        return _shown(example, key, style, instructed=self._instructed).rstrip()

    def _topic(self, title: str, sentence: str, turn: int) -> str:
        about = " ".join(self._rarity.keywords(title, TOPIC_WORDS))
        count = TOPIC_WORDS - 1 if about else TOPIC_WORDS
        own = self._rarity.keywords(sentence, count, skip=turn * count)
        return ", ".join([about, *own] if about else own)

    def _limit(self, text: str) -> int:
        if is_cjk(text):
            return INSTRUCTED_SYLLABLES if self._instructed else BASE_SYLLABLES
        return INSTRUCTED_LETTERS if self._instructed else BASE_LETTERS


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


def read_answer(answer: str, style: str = QUESTION) -> str:
    """The question in a model's answer: one line, without labels, numbers, quotes or an answer.

    A JSON object with the key `text` is read; any other answer is taken for plain text.
    """
    answer = _text_of_json(answer).strip()
    if answer.startswith(("{", "```")):
        # An object with another key, or one that was cut: no question.
        return ""
    lines = [line.strip() for line in answer.splitlines() if line.strip(_QUOTES)]
    text = _NUMBERED.sub("", lines[0]) if lines else ""
    for label in LABELS:
        text = text.removeprefix(label)
    # A model that answers its own question has said enough at the question mark.
    end = max(text.rfind("?"), text.rfind("？")) + 1
    text = " ".join((text[:end] if end else text).strip(_QUOTES).split())
    # Nobody ends a search with a full stop; of a question it tells that it is none.
    return text if style == QUESTION else text.rstrip(".。 ")


def _text_of_json(answer: str) -> str:
    found = _OBJECT.search(answer)
    try:
        value = json.loads(found[0]) if found else None
    except ValueError:
        return answer
    text = value.get(JSON_KEY) if isinstance(value, dict) else None
    return text if isinstance(text, str) else answer


def _prefix(key: str, style: str, examples: Sequence[Example], *, instructed: bool) -> str:
    shown = "".join(
        _shown(example, key, style, instructed=instructed) + "\n\n" for example in examples
    )
    told = f"{WORDINGS[key][style].instruction} {LABELS_BY_LANGUAGE[key].as_json}"
    return f"{told}\n\n{shown}" if instructed else shown


def _shown(example: Example, key: str, style: str, *, instructed: bool) -> str:
    labels = LABELS_BY_LANGUAGE[key]
    topic = [f"{labels.topic} {example.topic}"] if instructed or key not in WITHOUT_TOPIC else []
    text = example.asked(style)
    if instructed and text:
        text = json.dumps({JSON_KEY: text}, ensure_ascii=False)
    asked = f"{WORDINGS[key][style].label} {text}"
    return "\n".join([f"{labels.passage} {example.passage}", *topic, asked])
