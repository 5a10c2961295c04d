"""JSON, one object a line."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any


class BadLine(ValueError):
    """A line that holds no JSON object; who reads the file says so in its own words.

    Fields:
        number: of the line, from 1.
        reason: what JSON's reader said; None where the line is JSON, but no object.
    """

    def __init__(self, number: int, reason: Exception | None) -> None:
        super().__init__(number, reason)
        self.number = number
        self.reason = reason


def json_lines(
    lines: Iterable[str], *, parse_float: Callable[[str], Any] = float
) -> Iterator[tuple[int, dict[str, Any]]]:
    r"""Yield the object of each line that is not blank, after the line's number from 1.

    Arguments:
        parse_float: what becomes of a number with a fraction.
        lines: split at \n, not by splitlines(), which knows line ends that JSON may hold.
    Raises:
        BadLine: a line that holds no object.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, _object(line, number, parse_float)


def _object(line: str, number: int, parse_float: Callable[[str], Any]) -> dict[str, Any]:
    try:
        value = json.loads(line, parse_float=parse_float)
    except (ValueError, RecursionError) as error:
        raise BadLine(number, error) from None
    if not isinstance(value, dict):
        raise BadLine(number, None)
    return value
