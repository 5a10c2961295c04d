"""Words as they are counted: by the question writer, and by keyword search."""

import re

_WORD = re.compile(r"\w+(?:(?:['’-]|(?<=\d)\.(?=\d))\w+)*")
_HANGUL = re.compile("[가-힣]")


def has_hangul(text: str) -> bool:
    """Whether a text holds a Korean syllable."""
    return bool(_HANGUL.search(text))


def words(text: str) -> list[str]:
    """The words of a text as they are written."""
    return _WORD.findall(text)


def terms(text: str) -> list[str]:
    """What is counted: words in lower case; of Korean words their pairs of syllables."""
    found = []
    for word in words(text.casefold()):
        if has_hangul(word) and len(word) > 2:
            found += [word[i : i + 2] for i in range(len(word) - 1)]
        else:
            found.append(word)
    return found
