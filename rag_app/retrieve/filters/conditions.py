"""Comparisons of `--where` -> LlamaIndex's MetadataFilters, in the part that Chroma gets right.

Chroma (1.5) compares a number with a fraction to a whole number in the metadata by cutting the
fraction off: `= 17.5` finds 17. What is written here means the same there as in arithmetic, to the
15 digits that Chroma compares. Of a list of values it wants one type, and of a truth value that it
be one, which LlamaIndex refuses. A list in the metadata is equal to a value if it contains it.
"""

import datetime as dt
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from rag_app.documents.content import NUMBER_SUFFIX
from rag_app.errors import ConfigError
from rag_app.retrieve.filters.dates import Period, read_period
from rag_app.retrieve.filters.syntax import Comparison
from rag_app.text.written import as_written

Scalar: TypeAlias = str | bool | int | float
Part: TypeAlias = MetadataFilter | MetadataFilters

LEAST_INT, GREATEST_INT = -(2**63), 2**63 - 1
_NUMBER = re.compile(r"[+-]?[0-9]{1,400}(?P<part>(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,3})?)")
_TRUTH = {"true": True, "false": False}


class WrittenNumber:
    """As a type of a key: it has texts that are numbers, whose values stand beside them."""


ORDERED = {int, float, WrittenNumber}


class TruthFilter(MetadataFilter):
    """A filter on true or false."""

    value: bool | list[bool]


def value_filter(comparison: Comparison, key: str, types: set[type]) -> Part:
    """Compare values of the types that a key has.

    Arguments:
        key: as the index knows it.
        types: str, int, float or bool, of the values that chunks have.
    Raises:
        ConfigError: an order is asked for, of text, or by something that is no number.
    """
    if comparison.operator == "in":
        return combined("or", _among(key, comparison.values, types, negated=False))
    if comparison.operator == "not in":
        return combined("and", _among(key, comparison.values, types, negated=True))
    if not types & ORDERED:
        raise ConfigError(
            f"--where: {key!r} holds no numbers, and only numbers and 'date' have an order; "
            "compare it with = != in or not in"
        )
    (text,) = comparison.values
    number = read_number(text)
    if number is None:
        raise ConfigError(
            f"--where: {key!r} is put in order by numbers, and {text!r} is none; write for "
            f"instance {key} {comparison.operator} 10"
        )
    parts = [_ordered(key, comparison.operator, number)] if types & {int, float} else []
    if WrittenNumber in types:
        parts.append(_ordered(f"{key}{NUMBER_SUFFIX}", comparison.operator, number))
    return combined("or", parts)


def date_filter(comparison: Comparison, *, today: dt.date) -> Part:
    """Compare `date` by `date_epoch`, as Chroma orders only numbers.

    Raises:
        ConfigError: a value is no date.
    """
    key, operator = "date_epoch", comparison.operator
    periods = [_period(text, today) for text in comparison.values]
    if operator == "in":
        return _within(key, periods)
    if operator == "not in":
        # Day by day: an order would leave out chunks without a date.
        return _one_of(key, [day for period in periods for day in period.days], negated=True)
    (period,) = periods
    return {
        "<": _filter(key, "<", period.starts),
        "<=": _filter(key, "<", period.ends),
        ">": _filter(key, ">=", period.ends),
        ">=": _filter(key, ">=", period.starts),
    }[operator]


def path_filter(comparison: Comparison) -> Part:
    """Compare paths; one that is not absolute is a document's id, as citations show it.

    Raises:
        ConfigError: an order is asked for.
    """
    by_path = value_filter(comparison, "path", {str})
    shown = [text for text in comparison.values if not Path(text).is_absolute()]
    if not shown:
        return by_path
    negated = comparison.operator == "not in"
    by_id = _one_of("document_id", shown, negated=negated)
    return combined("and" if negated else "or", [by_path, by_id])


def combined(condition: Literal["and", "or"], parts: Iterable[Part]) -> Part:
    """One filter of one or more; parts joined by the same word come up a level."""
    flat: list[Part] = []
    for part in parts:
        same = isinstance(part, MetadataFilters) and part.condition == condition
        flat += part.filters if same else [part]
    return flat[0] if len(flat) == 1 else MetadataFilters(filters=flat, condition=condition)


def read_number(text: str) -> int | float | None:
    """Read a number: a whole one as int where 64 bits hold it."""
    match = _NUMBER.fullmatch(text)
    if not match or not math.isfinite(number := float(text)):
        return None
    if match["part"] and not number.is_integer():
        return number
    whole = int(number) if match["part"] else int(text)
    return whole if LEAST_INT <= whole <= GREATEST_INT else number


def as_whole(number: int | float) -> int:
    """The whole number that Chroma compares a whole number in the metadata with."""
    return number if isinstance(number, int) else int(min(max(number, LEAST_INT), GREATEST_INT))


def _among(key: str, texts: Sequence[str], types: set[type], *, negated: bool) -> list[Part]:
    by_type: dict[type, list[Scalar]] = {}
    for value in [value for text in texts for value in _readings(text, types)]:
        by_type.setdefault(type(value), []).append(value)
    fractions = by_type.pop(float, [])
    parts = [_one_of(key, alike, negated=negated) for alike in by_type.values()]
    parts += [_fraction(key, float(value), negated=negated) for value in fractions]
    if list in types:
        parts += [_contains(key, text, negated=negated) for text in dict.fromkeys(texts)]
    return parts


def _readings(text: str, types: set[type]) -> list[Scalar]:
    """What a value may mean: 17 is text, a number or both, as the key has it; else text.

    1.10 is the number 1.1 only where no text is a number that is written in such a way.
    """
    readings: list[Scalar] = [text] if str in types else []
    may_be_text = WrittenNumber in types and isinstance(as_written(text), str)
    is_number = types & {int, float} and not (readings and may_be_text)
    number = read_number(text) if is_number else None
    if number is not None:
        readings.append(number)
    if bool in types and text.lower() in _TRUTH:
        readings.append(_TRUTH[text.lower()])
    return readings if readings or types == {list} else [text]


def _contains(key: str, text: str, *, negated: bool) -> Part:
    contains = _filter(key, "contains", text)
    if not negated:
        return contains
    return MetadataFilters(filters=[contains], condition=FilterCondition.NOT)


def _one_of(key: str, values: Sequence[Scalar], *, negated: bool) -> Part:
    """Values of one type; `negated` holds for chunks without the key too."""
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1:
        return _filter(key, "!=" if negated else "==", distinct[0])
    return _filter(key, "nin" if negated else "in", distinct)


def _fraction(key: str, value: float, *, negated: bool) -> Part:
    whole = as_whole(value)
    if negated:
        return combined("or", [_filter(key, "!=", value), _filter(key, "==", whole)])
    return combined("and", [_filter(key, "==", value), _filter(key, "!=", whole)])


def _ordered(key: str, order: str, value: int | float) -> Part:
    """Of 17.5 Chroma makes 17 and of -17.5 -17, for whole numbers in the metadata.

    So that one whole number is found where it should not be, or the other way round.
    """
    plain = _filter(key, order, value)
    if isinstance(value, int):
        return plain
    whole = as_whole(value)
    if order in ((">=", "<") if value > 0 else ("<=", ">")):
        if order in ("<", ">"):
            return combined("or", [plain, _filter(key, "==", whole)])
        return combined("and", [plain, _filter(key, "!=", whole)])
    return plain


def _filter(key: str, operator: str, value: Scalar | list[Scalar]) -> Part:
    first = value[0] if isinstance(value, list) else value
    kind = TruthFilter if isinstance(first, bool) else MetadataFilter
    return kind(key=key, value=value, operator=FilterOperator(operator))


def _within(key: str, periods: Sequence[Period]) -> Part:
    """In one of the periods; single days are looked up together."""
    days = [period.starts for period in periods if period.first == period.last]
    parts = [_one_of(key, days, negated=False)] if days else []
    for period in periods:
        if period.first != period.last:
            bounds = (_filter(key, ">=", period.starts), _filter(key, "<", period.ends))
            parts.append(combined("and", bounds))
    return combined("or", parts)


def _period(text: str, today: dt.date) -> Period:
    period = read_period(text, today=today)
    if period is None:
        raise ConfigError(
            f"--where: {text!r} is no date; write 2023-06-01, 2023-06, 2023, 'March 5, 2024', "
            "today or today-30d (d, w or y)"
        )
    return period
