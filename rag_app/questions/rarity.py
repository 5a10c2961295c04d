"""Which words and sentences tell a passage from the others: inverse document frequency."""

import math
import re
from collections import Counter
from collections.abc import Iterable

from rag_app.text.scripts import has_hangul
from rag_app.text.sentences import split_by_rules
from rag_app.text.words import terms, words

_NO_SENTENCE = re.compile(r"\s*(?:#|\||[-=*_]{3,}\s*$|`{3})")
# Markdown that is no part of what a line says.
_MARKS = re.compile(r"^\s*(?:#+|[-*+>]|\d+[.)])\s+|\*\*|__|`|\|", re.M)
_LEAST_LETTERS = 12
# What keeps a sentence of three rare words from outweighing every longer one.
_SMOOTHING = 6


class Rarity:
    """How rare words are in a set of texts, in any language that puts blanks between words.

    Korean words carry their particles with them, so they are counted by pairs of syllables.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        counts = [Counter(set(terms(text))) for text in texts]
        self.texts = len(counts)
        self.document_frequency: Counter[str] = Counter()
        for count in counts:
            self.document_frequency.update(count)

    def weight(self, word: str) -> float:
        """Mean inverse document frequency of the word's terms; 0 for no word."""
        of_terms = [self._idf(term) for term in terms(word)]
        return sum(of_terms) / len(of_terms) if of_terms else 0.0

    def keywords(self, text: str, count: int, *, skip: int = 0) -> list[str]:
        """The rarest words of a text after the `skip` rarest, in the order of the text.

        Numbers say little by themselves; where nothing is left, it begins again with the rarest.
        """
        found = list(dict.fromkeys(filter(_is_content, words(text))))
        rarest = sorted(found, key=lambda word: (-self.weight(word), word))
        chosen = rarest[skip : skip + count] or rarest[:count]
        return [word for word in found if word in chosen]

    def key_sentences(self, text: str) -> list[str]:
        """The sentences of a text as plain prose, the weightiest for their length first."""
        spans = split_by_rules(text)
        raw = [text[start:end] for start, end in spans]
        prose = [plain(line) for line in raw if not _NO_SENTENCE.match(line)]
        full = [line for line in prose if sum(map(str.isalpha, line)) >= _LEAST_LETTERS]
        return sorted(dict.fromkeys(full), key=lambda line: (-self._sentence_weight(line), line))

    def _sentence_weight(self, sentence: str) -> float:
        found = terms(sentence)
        return sum(self._idf(term) for term in sorted(set(found))) / (len(found) + _SMOOTHING)

    def _idf(self, term: str) -> float:
        return math.log((self.texts + 1) / (self.document_frequency[term] + 0.5))


def _is_content(word: str) -> bool:
    return any(map(str.isalpha, word)) and len(word) > (1 if has_hangul(word) else 2)


def telling(title: str) -> str:
    """The title, unless it is a number, as of a file that is one of many."""
    return title if any(map(str.isalpha, title)) else ""


def plain(text: str) -> str:
    """A text on one line, without the marks of Markdown."""
    return " ".join(_MARKS.sub(" ", text).split())
