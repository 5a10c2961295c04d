"""Scripts: which writing a letter is of, and what is counted by syllables instead of words."""

import re
import unicodedata
from collections import Counter

# For character classes. Korean syllables; Kana and Han, which are written without blanks.
HANGUL = "가-힣"
UNSPACED = "ぁ-ヿ㐀-鿿"

_HANGUL = re.compile(f"[{HANGUL}]")
_OF_SYLLABLES = frozenset({"HANGUL", "CJK", "HIRAGANA", "KATAKANA"})


def has_hangul(text: str) -> bool:
    """Whether a text holds a Korean syllable."""
    return bool(_HANGUL.search(text))


def scripts(text: str) -> Counter[str]:
    """Letters by script, as Unicode names it: LATIN, HANGUL, CJK, CYRILLIC, ..."""
    return Counter(
        unicodedata.name(letter, "NONE").split()[0] for letter in text if letter.isalpha()
    )


def is_cjk(text: str) -> bool:
    """Whether syllables or ideographs make up a third of the letters or more."""
    counts = scripts(text)
    return 3 * sum(counts[name] for name in _OF_SYLLABLES) >= max(1, counts.total())
