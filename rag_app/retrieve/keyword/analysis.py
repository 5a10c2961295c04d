"""How text becomes the terms of keyword search, by the languages of the collection.

Korean words carry their particles and endings with them. Pairs of syllables find them however they
end; the morphemes of Kiwi, where it is installed, find them by what they mean. Both together
measured best, on Wikipedia's Korean and on that of customers.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import metadata
from typing import Any, Literal

from rag_app.retrieve.keyword.stems import STEMMERS, UNKNOWN, normalise, stems
from rag_app.text.scripts import HANGUL, UNSPACED, has_hangul
from rag_app.text.words import syllable_pairs, words

Korean = Literal["none", "pairs", "kiwi"]

# To be raised when the same text gives other terms than before, so that saved indexes are rebuilt.
_VERSION = "v1"
_KOREAN = "ko"
# The Latin words of Korean text are mostly English.
_LATIN_OF_KOREAN = "en"
_RUN = re.compile(f"[{HANGUL}]+|[{UNSPACED}]+|[^{HANGUL}{UNSPACED}]+")
_IS_SYLLABLES = re.compile(f"[{HANGUL}{UNSPACED}]").match
# Kiwi's tags of what carries content: nouns (bound ones too), numerals, roots, stems.
_CONTENT = frozenset({"NNG", "NNP", "NNB", "NR", "XR", "VV", "VA"})
# So many different words are taken for a question's, which may be asked again.
_OF_A_QUESTION = 40


@dataclass(frozen=True, slots=True)
class Analysis:
    """One way to take texts apart, for passages and questions alike.

    Fields:
        language: code of the language whose stemmer and stop words serve words of letters; "und"
            leaves them as they are.
        korean: "none" for a collection without Korean text; "pairs" of syllables; "kiwi" adds
            morphemes (needs kiwipiepy). What little Korean is in the first goes by pairs too.
    """

    language: str = UNKNOWN
    korean: Korean = "none"

    @classmethod
    def for_languages(cls, languages: Iterable[str]) -> "Analysis":
        """What serves texts of these languages ("en", "de-AT", "ko"; others have no stemmer).

        Of several languages with a stemmer the commonest has it: a question does not say which
        language it is in.
        """
        counts = Counter(re.split("[-_]", language.lower())[0] for language in languages)
        korean = counts.pop(_KOREAN, 0)
        counts[_LATIN_OF_KOREAN] += korean
        known = sorted(code for code, count in counts.items() if count and code in STEMMERS)
        language = max(known, key=lambda code: counts[code], default=UNKNOWN)
        return cls(language, "pairs" if korean else "none").current()

    def current(self) -> "Analysis":
        """The same with what is installed now: Korean by morphemes if Kiwi is there."""
        if self.korean == "none":
            return self
        return Analysis(self.language, "kiwi" if _installed("kiwipiepy") else "pairs")

    @property
    def name(self) -> str:
        """Says all that the terms depend on, such as "en-stemmer2.2.0.3+ko-kiwi0.24.1/v1"."""
        parts = [self.language]
        if self.language in STEMMERS:
            parts[0] += f"-stemmer{_installed('PyStemmer')}"
        if self.korean == "pairs":
            parts.append("ko-pairs")
        elif self.korean == "kiwi":
            parts.append(f"ko-kiwi{_installed('kiwipiepy')}")
        return "+".join(parts) + f"/{_VERSION}"

    def terms(self, text: str) -> list[str]:
        """The terms of one text, those of a repeated word again; none if it has no word."""
        [numbers], vocabulary = self.term_numbers([text])
        known = list(vocabulary)
        return [known[number] for number in numbers]

    def term_numbers(self, texts: Iterable[str]) -> tuple[list[list[int]], dict[str, int]]:
        """The terms of many texts as numbers, and the number of each term, from 0.

        Every distinct run is taken apart once, which is what makes morphemes affordable.
        """
        distinct: dict[str, int] = {}
        texts_runs = [
            array("I", [distinct.setdefault(run, len(distinct)) for run in _runs(text)])
            for text in texts
        ]
        vocabulary: dict[str, int] = {}
        once = [
            [vocabulary.setdefault(term, len(vocabulary)) for term in terms]
            for terms in self._terms_of(list(distinct))
        ]
        if self.korean != "kiwi":
            return [[n for run in row for n in once[run]] for row in texts_runs], vocabulary
        # Korean runs count twice, as pairs and as morphemes; so does what stands between them.
        korean = [has_hangul(run) for run in distinct]
        twice = [n if is_korean else n * 2 for n, is_korean in zip(once, korean, strict=True)]
        tables = [twice if any(korean[run] for run in row) else once for row in texts_runs]
        rows = zip(texts_runs, tables, strict=True)
        return [[n for run in row for n in table[run]] for row, table in rows], vocabulary

    def _terms_of(self, runs: Sequence[str]) -> list[list[str]]:
        morphemes: dict[str, list[str]] = {}
        if self.korean == "kiwi":
            morphemes = _morphemes([run for run in runs if has_hangul(run)])
        return [
            syllable_pairs(run) + morphemes.get(run, [])
            if _IS_SYLLABLES(run)
            else stems(run, self.language)
            for run in runs
        ]


def _runs(text: str) -> list[str]:
    """Words, cut where Korean meets other writing, as in a product's name with a particle."""
    found = []
    for word in words(normalise(text)):
        if word.isascii():
            found.append(word)
        else:
            found += _RUN.findall(word)
    return found


def _morphemes(runs: Sequence[str]) -> dict[str, list[str]]:
    """Each Korean run with its morphemes that carry content."""
    if len(runs) <= _OF_A_QUESTION:
        return {run: _morphemes_of(run) for run in runs}
    # Several at once, on all processors.
    analysed = _kiwi().tokenize(runs)
    return {run: _content(tokens) for run, tokens in zip(runs, analysed, strict=True)}


@lru_cache(maxsize=20_000)
def _morphemes_of(run: str) -> list[str]:
    """Remembered: questions have words in common, and Kiwi takes 60 microseconds for one."""
    return _content(_kiwi().tokenize(run))


def _content(tokens: Iterable[Any]) -> list[str]:
    return [token.form for token in tokens if token.tag.partition("-")[0] in _CONTENT]


@cache
def _kiwi() -> Any:
    from kiwipiepy import Kiwi

    # Of single words these dictionaries change next to nothing; together they take 190 MB.
    return Kiwi(load_multi_dict=False, load_typo_dict=False)


@cache
def _installed(package: str) -> str:
    """A package's version, or nothing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
