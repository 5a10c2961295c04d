"""`--where`: only chunks whose metadata fit, as in category = billing and date >= 2023-06-01."""

import datetime as dt
import difflib
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

from rag_app.documents.content import NUMBER_SUFFIX, field_key
from rag_app.errors import ConfigError
from rag_app.retrieve.filters.conditions import (
    Part,
    Scalar,
    WrittenNumber,
    as_whole,
    combined,
    date_filter,
    path_filter,
    value_filter,
)
from rag_app.retrieve.filters.syntax import Comparison, Expression, parse_expression

# Beyond, SQLite below Chroma refuses, and far beyond Chroma crashes.
MOST_COMPARISONS = 300
MOST_VALUES = 10_000

# In the metadata for the program, not for people: they work in a filter and are not offered.
INTERNAL = frozenset({"chunk_count", "chunk_index", "date_epoch", "document_hash", "page_starts"})

Metadata = Mapping[str, Any]
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Where:
    """A filter on metadata.

    Fields:
        text: as it was typed.
        filters: for a vector store; only what Chroma supports and gets right.
    """

    text: str
    filters: MetadataFilters

    def matches_node(self, node: BaseNode) -> bool:
        """Whether Chroma would find this chunk, which has its document's id beside its metadata.

        A value of None is no value.
        """
        return self._test({**node.metadata, "document_id": node.ref_doc_id})

    @cached_property
    def _test(self) -> Callable[[Metadata], bool]:
        return _test(self.filters)


def parse_where(text: str, known: Mapping[str, set[type]], *, today: dt.date) -> Where:
    """Read a filter.

    `!=`, `not in` and `not` of `=` or `in` hold for chunks without the key; an order does not, nor
    does `not` of one. `lang` is `language`; a date may be a year or a month, or `today-30d`.

    Arguments:
        text: see rag_app/retrieve/filters/syntax.py for the grammar.
        known: the keys that chunks have, and the types of their values.
        today: what `today` means.
    Raises:
        ConfigError: a mistake in grammar, a key that no chunk has, a date or number that cannot be
            read, an order of text, or more than Chroma can take.
    """
    part = _part(parse_expression(text), known, today)
    filters = part if isinstance(part, MetadataFilters) else MetadataFilters(filters=[part])
    _check_size(filters)
    return Where(text.strip(), filters)


def _part(expression: Expression, known: Mapping[str, set[type]], today: dt.date) -> Part:
    if isinstance(expression, Comparison):
        key = _known_key(expression.key, known)
        if key == "date":
            return date_filter(expression, today=today)
        if key == "path" and "document_id" in known:
            return path_filter(expression)
        beside = {WrittenNumber} if f"{key}{NUMBER_SUFFIX}" in known else set()
        return value_filter(expression, key, known[key] | beside)
    parts = [_part(part, known, today) for part in expression.parts]
    return combined(expression.condition, parts)


def _known_key(name: str, known: Mapping[str, set[type]]) -> str:
    """The index's way to write a key: lower case, blanks as underscores."""
    key = field_key(name)
    if key == "lang" and "language" in known:
        return "language"
    for spelled in (name, key):
        if spelled in known:
            return spelled
    offered = sorted(name for name in set(known) - INTERNAL if not name.endswith(NUMBER_SUFFIX))
    near = difflib.get_close_matches(key, offered, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigError(
        f"--where: no chunk has the key {name!r}; {hint}known keys: {', '.join(offered)}"
    )


def _check_size(filters: MetadataFilters) -> None:
    leaves = _leaves(filters)
    values = sum(len(leaf.value) for leaf in leaves if isinstance(leaf.value, list))
    if len(leaves) > MOST_COMPARISONS:
        raise ConfigError(
            f"--where comes to {len(leaves)} comparisons; Chroma takes {MOST_COMPARISONS}: "
            "write in (a, b) for many values of one key"
        )
    if values > MOST_VALUES:
        raise ConfigError(
            f"--where comes to {values:,} values, a date's != being one a day; Chroma takes "
            f"{MOST_VALUES:,}: name fewer"
        )


def _leaves(part: Part) -> list[MetadataFilter]:
    if isinstance(part, MetadataFilters):
        return [leaf for inner in part.filters for leaf in _leaves(inner)]
    return [part]


def _test(part: Part) -> Callable[[Metadata], bool]:
    """What a filter means to Chroma, as a function."""
    if isinstance(part, MetadataFilters):
        tests = [_test(inner) for inner in part.filters]
        if part.condition == "not":
            return lambda metadata: not any(test(metadata) for test in tests)
        quantifier = any if part.condition == "or" else all
        return lambda metadata: quantifier(test(metadata) for test in tests)
    key, sign = part.key, part.operator.value
    if sign == "contains":
        return _contains_test(key, part.value)
    if sign in _ORDERS:
        return _order_test(key, _ORDERS[sign], part.value)
    equal = _equal_test(key, part.value if isinstance(part.value, list) else [part.value])
    return (lambda metadata: not equal(metadata)) if sign in ("!=", "nin") else equal


def _contains_test(key: str, value: Scalar) -> Callable[[Metadata], bool]:
    def test(metadata: Metadata) -> bool:
        found = metadata.get(key)
        return isinstance(found, list) and value in found

    return test


def _equal_test(key: str, values: Sequence[Scalar]) -> Callable[[Metadata], bool]:
    numbers = [value for value in values if isinstance(value, int | float)]
    equals: dict[type, set[Any]] = {
        str: {value for value in values if isinstance(value, str)},
        bool: {value for value in values if isinstance(value, bool)},
        int: {as_whole(value) for value in numbers if not isinstance(value, bool)},
        float: {_digits(value) for value in numbers if not isinstance(value, bool)},
    }

    def test(metadata: Metadata) -> bool:
        found = metadata.get(key)
        if isinstance(found, float):
            found = _digits(found)
        return not isinstance(found, list) and found in equals.get(type(found), ())

    return test


def _order_test(
    key: str, compare: Callable[[Any, Any], bool], value: int | float
) -> Callable[[Metadata], bool]:
    bounds: dict[type, int | float] = {int: as_whole(value), float: _digits(value)}

    def test(metadata: Metadata) -> bool:
        found = metadata.get(key)
        if isinstance(found, float):
            found = _digits(found)
        return type(found) in bounds and compare(found, bounds[type(found)])

    return test


def _digits(number: int | float) -> float:
    """A number by the digits that Chroma compares."""
    return float(format(number, ".15g"))
