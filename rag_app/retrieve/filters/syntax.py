"""The grammar of `--where`: text -> comparisons joined by and / or, with `not` worked in.

    either     = both { "or" both }
    both       = single { "and" single }
    single     = "not" single | "(" either ")" | key comparison
    comparison = ( "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=" ) value
               | [ "not" ] "in" "(" value { "," value } ")"

Words are known in any case; a key or a value with blanks or signs stands in quotes.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from rag_app.errors import ConfigError
from rag_app.text.normalise import normalise
from rag_app.text.width import columns

Operator = Literal["in", "not in", "<", "<=", ">", ">="]

# Chroma refuses what is nested about 60 deep; a parenthesis can nest by two.
DEEPEST = 20
# Characters of a filter on each side of the place where it cannot be read.
SHOWN = 100

# Of a word that needs no quotes.
LETTERS = r"[\w\-./:@]"
_WORD = re.compile(f"{LETTERS}+")
_TOKEN = re.compile(
    r"""(?P<quoted>"[^"]*"|'[^']*'|“[^”]*”|‘[^’]*’)"""
    r"|(?P<sign><=|>=|<>|!=|==|[=<>(),])"
    rf"|(?P<word>{LETTERS}+)"
    r"|(?P<other>\S)"
)
QUOTES = "\"'“‘"
_RESERVED = {"and", "or", "not", "in"}
_EQUAL: dict[str, Operator] = {"=": "in", "==": "in", "!=": "not in", "<>": "not in"}
_ORDER: dict[str, Operator] = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}
SIGNS = _EQUAL | _ORDER
_PAIRS: tuple[tuple[Operator, Operator], ...] = (("in", "not in"), ("<", ">="), (">", "<="))
_OPPOSITE = dict(_PAIRS) | {second: first for first, second in _PAIRS}


@dataclass(frozen=True, slots=True)
class Comparison:
    """`key = value` is "in" with one value, `key != value` is "not in"; others have one value."""

    key: str
    operator: Operator
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Junction:
    """Two or more parts, of which all or any must hold."""

    condition: Literal["and", "or"]
    parts: tuple["Expression", ...]


Expression = Comparison | Junction


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a quotation, a sign, or what is none of these."""

    kind: str
    text: str
    at: int

    @property
    def reserved(self) -> str:
        """The word in lower case if it is one of the grammar's own, or the sign; else nothing."""
        if self.kind == "word" and self.text.lower() in _RESERVED:
            return self.text.lower()
        return self.text if self.kind == "sign" else ""

    @property
    def name(self) -> str:
        """What it names, without its quotes."""
        return self.text[1:-1] if self.kind == "quoted" else self.text


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a filter, in their order."""
    for match in _TOKEN.finditer(text):
        yield Token(str(match.lastgroup), match[0], match.start())


def in_quotes(name: str) -> str:
    """A key or value as a filter takes it: in quotes where it is not one plain word."""
    if _WORD.fullmatch(name) and name.lower() not in _RESERVED:
        return name
    return f"'{name}'" if '"' in name else f'"{name}"'


def parse_expression(text: str) -> Expression:
    """Read a filter; whether its keys and values make sense is not asked here.

    Raises:
        ConfigError: it breaks the grammar; shows the place, and what was expected there.
    """
    return _Parser(text).expression()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = re.sub(r"\s", " ", normalise(text))
        self._tokens = [*tokens(self._text), Token("end", "", len(self._text))]
        self._index = 0
        self._depth = 0

    def expression(self) -> Expression:
        if self._next.kind == "end":
            raise ConfigError("--where is empty; write for instance: category = billing")
        found = self._either(negated=False)
        if self._next.kind != "end":
            raise self._error("and, or, or the end; put a value with blanks or signs in quotes")
        return found

    @property
    def _next(self) -> Token:
        return self._tokens[self._index]

    def _take(self) -> Token:
        self._index += 1
        return self._tokens[self._index - 1]

    def _took(self, reserved: str) -> bool:
        """Step over a word or sign of the grammar, if it is the next."""
        if self._next.reserved != reserved:
            return False
        self._index += 1
        return True

    def _either(self, *, negated: bool) -> Expression:
        return self._joined("or", self._both, negated=negated)

    def _both(self, *, negated: bool) -> Expression:
        return self._joined("and", self._single, negated=negated)

    def _joined(
        self, word: Literal["and", "or"], part: Callable[..., Expression], *, negated: bool
    ) -> Expression:
        """Parts with a word between them; De Morgan turns the word round with its parts."""
        parts = [part(negated=negated)]
        while self._took(word):
            parts.append(part(negated=negated))
        if len(parts) == 1:
            return parts[0]
        opposite: Literal["and", "or"] = "or" if word == "and" else "and"
        return Junction(opposite if negated else word, tuple(parts))

    def _single(self, *, negated: bool) -> Expression:
        if self._next.reserved not in ("not", "("):
            return self._comparison(negated=negated)
        if self._depth == DEEPEST:
            raise self._error(f"no more than {DEEPEST} parentheses inside each other")
        self._depth += 1
        if self._took("not"):
            found = self._single(negated=not negated)
        else:
            self._take()
            found = self._either(negated=negated)
            if not self._took(")"):
                raise self._error("and, or, or )")
        self._depth -= 1
        return found

    def _comparison(self, *, negated: bool) -> Expression:
        key = self._name("a key")
        sign = self._next.reserved
        values: tuple[str, ...]
        if sign in SIGNS:
            self._take()
            operator, values = SIGNS[sign], (self._value(),)
        else:
            operator = "not in" if self._took("not") else "in"
            if not self._took("in"):
                raise self._error("in" if operator == "not in" else "= != < <= > >=, in or not in")
            values = self._values()
        return Comparison(key, _OPPOSITE[operator] if negated else operator, values)

    def _values(self) -> tuple[str, ...]:
        if not self._took("("):
            raise self._error("( and values, as in (ko, en)")
        values = [self._value()]
        while self._took(","):
            values.append(self._value())
        if not self._took(")"):
            raise self._error(", or )")
        return tuple(values)

    def _value(self) -> str:
        value = self._name("a value")
        if value.lower().startswith("today"):
            # "today - 30d" is one value, however it is spaced.
            while self._next.kind == "word" and (
                value.endswith("-") or self._next.text.startswith("-")
            ):
                value += self._take().text
        return value

    def _name(self, what: str) -> str:
        token = self._next
        if token.kind not in ("word", "quoted"):
            raise self._error(what)
        if token.reserved:
            raise self._error(f"{what}; to use the word {token.text}, put it in quotes")
        self._take()
        return token.name

    def _error(self, expected: str) -> ConfigError:
        token = self._next
        if token.kind == "other" and token.text in QUOTES:
            expected = "a closing quote for this one"
        first = max(token.at - SHOWN, 0)
        before, after = self._text[first : token.at], self._text[token.at : token.at + SHOWN]
        before = f"... {before}" if first else before
        after = f"{after} ..." if token.at + SHOWN < len(self._text) else after
        blanks = " " * columns(before)
        return ConfigError(
            f"--where cannot be read; expected {expected}\n  {before}{after}\n  {blanks}^"
        )
