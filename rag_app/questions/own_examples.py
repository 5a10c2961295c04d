"""The user's own questions as examples: what is written then reads as their users ask."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rag_app.errors import PairsError
from rag_app.pairs import LabelledQuestion
from rag_app.questions.examples import EXAMPLES, Example
from rag_app.questions.prompts import TOPIC_WORDS, window
from rag_app.questions.rarity import Rarity, plain
from rag_app.questions.styles import OTHER
from rag_app.text.language import guess_language
from rag_app.text.scripts import is_cjk
from rag_app.text.words import terms

Examples = Mapping[str, Sequence[Example]]

# Of each language. More would leave a small model little room for the passage itself.
MOST = 8
# Characters of an example's passage; syllables say more than letters.
LETTERS = 200
SYLLABLES = 100


def read_examples(questions: Sequence[LabelledQuestion], rarity: Rarity) -> Examples:
    """The first questions that come with the text that answers them, by language.

    Raises:
        PairsError: no question has its answer beside it.
    """
    found: dict[str, list[Example]] = defaultdict(list)
    for question in questions:
        text = plain(question.passage or question.evidence or "")
        language = examples_language(question.question, text)
        if text and len(found[language]) < MOST:
            found[language].append(make_example(question.question, text, rarity))
    if not any(found.values()):
        raise PairsError(
            "none of the examples has the text that answers it beside it; "
            "give a table with questions and answers, or JSONL with `evidence`"
        )
    return {language: tuple(examples) for language, examples in found.items()}


def examples_key(examples: Examples) -> str:
    """Hash of examples, 8 hex digits."""
    parts = {key: [asdict(example) for example in examples[key]] for key in sorted(examples)}
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]


def examples_language(question: str, text: str) -> str:
    """The key of the examples that a question with its passage belongs to."""
    named = guess_language(f"{question} {text}")
    return named if named in EXAMPLES else OTHER


def make_example(question: str, text: str, rarity: Rarity) -> Example:
    """A question with the part of its passage that says most of what it asks."""
    asked = set(terms(question))
    sentences = rarity.key_sentences(text) or [text]
    key = max(sentences, key=lambda sentence: len(asked & set(terms(sentence))))
    shown = window(text, key, limit=SYLLABLES if is_cjk(text) else LETTERS)
    said = [word for word in rarity.keywords(shown, len(shown)) if asked & set(terms(word))]
    topic = said[:TOPIC_WORDS] or rarity.keywords(shown, TOPIC_WORDS)
    return Example(shown, ", ".join(topic), " ".join(question.split()), ())
