"""Words: as they are written, bare, and as they are counted.

Keyword search cuts words further, by the language of the collection (`retrieve/keyword/analysis`).
"""

import re

from rag_app.text.scripts import has_hangul

_WORD = re.compile(r"\w+(?:(?:['’-]|(?<=\d)\.(?=\d))\w+)*")
_BARE = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The words of a text as they are written: isn't, two-year and 2.5 are one each."""
    return _WORD.findall(text)


def bare_words(text: str) -> list[str]:
    """Words in lower case without a mark in them, for texts that may differ in marks."""
    return _BARE.findall(text.casefold())


def terms(text: str) -> list[str]:
    """What is counted: words in lower case; of Korean words their pairs of syllables."""
    found = []
    for word in words(text.casefold()):
        found += syllable_pairs(word) if has_hangul(word) else [word]
    return found


def syllable_pairs(word: str) -> list[str]:
    """Neighbouring pairs of syllables; of one or two syllables themselves."""
    return [word] if len(word) <= 2 else [word[i : i + 2] for i in range(len(word) - 1)]
