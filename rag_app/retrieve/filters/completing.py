"""What may follow in a filter that is half typed; the grammar is that of syntax.py."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rag_app.retrieve.filters.syntax import LETTERS, QUOTES, SIGNS, in_quotes, tokens

_BEGUN = re.compile(f"{LETTERS}*$")
_JOINS = ("and", "or")
_EQUAL = ("=", "!=", "in (", "not in (")
_ORDER = ("<", "<=", ">", ">=")

_NAME = "name"
# What is expected after each token: a word or sign of the grammar, or a name.
_NEXT = {
    "key": {"not": "key", "(": "key", _NAME: "sign"},
    "sign": {"not": "in", "in": "list"} | dict.fromkeys(SIGNS, "value"),
    "in": {"in": "list"},
    "list": {"(": "item"},
    "item": {_NAME: "next"},
    "next": {",": "item", ")": "join"},
    "value": {_NAME: "join"},
    "join": {"and": "key", "or": "key", ")": "join"},
}

Filters = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Begun:
    """The word that is being typed, and what it may become.

    Fields:
        typed: characters before the cursor that a choice takes the place of.
    """

    typed: int
    choices: tuple[str, ...]


def complete_where(text: str, filters: Filters) -> Begun:
    """What the last word of a half-typed filter may become.

    Arguments:
        text: from the filter's beginning to the cursor.
        filters: metadata keys, each with the values to offer.
    """
    at = _begins(text)
    begun = _plain(text[at:])
    offered = _offered(text[:at], filters)
    return Begun(len(text) - at, tuple(o for o in offered if _plain(o).startswith(begun)))


def _begins(text: str) -> int:
    """Where the last word begins, or the quotation that is still open."""
    opened = (token.at for token in tokens(text) if token.kind == "other" and token.text in QUOTES)
    begun = _BEGUN.search(text)
    return next(opened, begun.start() if begun else len(text))


def _plain(word: str) -> str:
    return word.strip(QUOTES).casefold()


def _offered(before: str, filters: Filters) -> Iterator[str]:
    """What the grammar takes after these words."""
    expected, key = _expected(before)
    if expected == "key":
        yield from (in_quotes(name) for name in filters)
        yield "not"
    elif expected == "sign":
        yield from _EQUAL
        # Text has no order.
        yield from _ORDER if key == "date" or not filters.get(key) else ()
    elif expected == "in":
        yield "in ("
    elif expected in ("value", "item"):
        yield from (in_quotes(value) for value in filters.get(key, ()))
    elif expected == "list":
        yield "("
    elif expected == "join":
        yield from _JOINS


def _expected(before: str) -> tuple[str, str]:
    """What is to come, one of _NEXT, and the key before it."""
    expected, key = "key", ""
    for token in tokens(before):
        if expected == "key" and not token.reserved:
            key = token.name
        expected = _NEXT[expected].get(token.reserved or _NAME, expected)
    return expected, key
