"""How many columns of a terminal a text takes."""

import unicodedata

# Vowels and final consonants of decomposed Hangul stand in the columns of the first consonant.
_JOINED = range(0x1160, 0x1200)


def columns(text: str) -> int:
    """Columns of a terminal: two for a Korean letter, none for an accent by itself.

    >>> columns("faq"), columns("반품")
    (3, 4)
    """
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"} or ord(character) in _JOINED:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
