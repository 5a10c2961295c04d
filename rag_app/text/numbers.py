"""The numbers that a text states, however they are written: "2,000", "2천", "five", "May 3"."""

import re
import unicodedata
from decimal import Decimal

from rag_app.text.months import ENGLISH_MONTH, month_number
from rag_app.text.scripts import HANGUL
from rag_app.text.words import bare_words

_DIGITS = r"(?:\d+(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
_NUMBER = re.compile(_DIGITS)
_FULL_HOUR = re.compile(r"(?<=\d):00\b")
# 1억 2천만, 3만 5천, 1만 2000
_KOREAN_UNIT = r"[백천]?[만억]|[백천]"
_KOREAN = re.compile(rf"(?:{_DIGITS}\s?(?:{_KOREAN_UNIT})\s?)+(?:\d{{1,4}}(?![\d,.]))?")
_KOREAN_PART = re.compile(rf"({_DIGITS})\s?({_KOREAN_UNIT})?")
_POWERS = {"백": 100, "천": 1000, "만": 10**4, "억": 10**8}

_ONES = dict(zip("one two three four five six seven eight nine".split(), range(1, 10), strict=True))  # noqa: SIM905
_TEENS = {"ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15}
_TENS = {
    word: 10 * n
    for n, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)  # noqa: SIM905
}
_WORDS = {**_ONES, **_TEENS, **_TENS}
_SPELLED = {*_WORDS, *_TENS} - {"one"}
_DIGIT = frozenset("0123456789")
_WORD = re.compile(rf"\b(?:({'|'.join(_TENS)})[- ])?({'|'.join(_WORDS)})\b")

_NATIVE = dict(zip("한 두 세 네 다섯 여섯 일곱 여덟 아홉 열".split(), range(1, 11), strict=True))  # noqa: SIM905
_COUNTED = re.compile(rf"(?<![{HANGUL}])({'|'.join(_NATIVE)})\s?(?=시|달|개|번|명|가지)")

_MONTH = re.compile(
    rf"\b({ENGLISH_MONTH})(?=\.? \d)|(?<=\d )({ENGLISH_MONTH})"
    rf"|(?<=\d(?:st|nd|rd|th) )({ENGLISH_MONTH})"
)


def missing_numbers(sentence: str, passage: str) -> set[Decimal]:
    """Numbers that the sentence states and the passage does not.

    "2,000" is 2000 and 2천, "five" is 5, "May 3" and "5월 3일" are 5 and 3. "one" in words claims
    nothing, as in "one of them". What a number counts is not compared: 5 days and 5 dollars are
    both 5. A number that was computed from the passage's is missing as well.
    """
    stated = _numbers(passage) | _in_words(passage)
    return (_numbers(sentence) | (_in_words(sentence) - {Decimal(1)})) - stated


def number_words(text: str) -> set[str]:
    """The words of a text that are numbers or hold a digit, as they are written, in lower case.

    >>> sorted(number_words("Within 14 days, at most five. Form B2."))
    ['14', 'b2', 'five']
    """
    return {word for word in bare_words(text) if word in _SPELLED or not _DIGIT.isdisjoint(word)}


def _numbers(text: str) -> set[Decimal]:
    text = _FULL_HOUR.sub("", unicodedata.normalize("NFKC", text))
    found = {_korean_value(match[0]) for match in _KOREAN.finditer(text)}
    plain = _KOREAN.sub(" ", text)
    return found | {_value(match[0]) for match in _NUMBER.finditer(plain)}


def _value(digits: str) -> Decimal:
    return Decimal(digits.replace(",", ""))


def _korean_value(amount: str) -> Decimal:
    total = Decimal(0)
    for digits, units in _KOREAN_PART.findall(amount):
        part = _value(digits)
        for unit in units:
            part *= _POWERS[unit]
        total += part
    return total


def _in_words(text: str) -> set[Decimal]:
    text = text.casefold()
    words = {_WORDS[last] + _TENS.get(tens, 0) for tens, last in _WORD.findall(text)}
    counted = {_NATIVE[word] for word in _COUNTED.findall(text)}
    months = (month_number("".join(names)) for names in _MONTH.findall(text))
    return {Decimal(n) for n in words | counted | set(filter(None, months))}
