"""Values that metadata write without quotes: a number only where nothing of it is lost by that."""

import re

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,30})")
_FRACTION = re.compile(r"-?(?:0|[1-9][0-9]{0,30})\.[0-9]{1,30}")

_NUMBER = re.compile(r"[-+]?[0-9]{1,15}(?:\.[0-9]{1,15})?")


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


def written_number(value: object) -> float | None:
    """The value of a text that is a number and nothing else; None of everything else.

    >>> written_number("1.10"), written_number("1.2.3"), written_number(1.5)
    (1.1, None, None)
    """
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return None
    return float(value)
