"""Values that files write without quotes: a number only where nothing of it is lost by that."""

import math
import re
from decimal import Decimal

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,30})")
_FRACTION = re.compile(r"-?(?:0|[1-9][0-9]{0,30})\.[0-9]{1,30}")
_POWER = r"(?:[eE][-+]?[0-9]{1,3})?"
_NUMBER = re.compile(rf"[-+]?(?:[0-9]{{1,400}}(?:\.[0-9]{{0,400}})?|\.[0-9]{{1,400}}){_POWER}")


def as_written(text: str) -> int | float | str:
    """A number if writing it gives the same text again, else the text.

    Versions, postal codes and prices keep their zeros: 1.10, 01234.

    >>> as_written("1.5"), as_written("1.10"), as_written("01234"), as_written("12")
    (1.5, '1.10', '01234', 12)
    """
    number: int | float | None = None
    if _WHOLE.fullmatch(text):
        number = int(text)
    elif _FRACTION.fullmatch(text):
        number = float(text)
    return text if number is None or str(number) != text else number


class JsonNumber(float):
    """A number of JSON, which is shown as it is written.

    >>> JsonNumber("1.10") == 1.1, str(JsonNumber("1.10"))
    (True, '1.10')
    """

    _written: str

    def __new__(cls, written: str) -> "JsonNumber":
        """Read it."""
        number = super().__new__(cls, written)
        number._written = written
        return number

    def __str__(self) -> str:
        return self._written


def json_number(written: str) -> float | str:
    """A number of JSON with a fraction or an exponent; its text where a float loses digits of it.

    >>> json_number("1.10") == 1.1, json_number("0.12345678901234567891")
    (True, '0.12345678901234567891')
    """
    number = written_number(written)
    is_whole = number is not None and Decimal(repr(number)) == Decimal(written)
    return JsonNumber(written) if is_whole else written


def written_number(value: object) -> float | None:
    """The value of a text that is a number and nothing else; None of everything else.

    >>> written_number("1.10"), written_number("1e-7"), written_number("1.2.3"), written_number(1.5)
    (1.1, 1e-07, None, None)
    """
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return None
    number = float(value)
    return number if math.isfinite(number) else None
