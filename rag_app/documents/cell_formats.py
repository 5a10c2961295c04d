"""A number of a spreadsheet as its cell's format shows it: 15.5%, 00123, 2024-03-05.

Of a format what carries meaning is kept: percent, leading zeros, decimals, words and currency signs
around the number. Dates and times are written in ISO 8601, whatever their order in the format.
"""

import operator
import re
from collections.abc import Callable
from datetime import datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

# Quoted words, escaped letters, [$₩-412], other brackets (colours, conditions), and paddings.
_LITERAL = re.compile(r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|\[\$(?P<money>[^\]-]*)[^\]]*\]')
_CONDITION = re.compile(r"\[(<=|>=|<>|<|>|=)\s*(-?[\d.]+)\]")
_NO_TEXT = re.compile(r"\[[^\]]*\]|_.|\*.")
_DIGITS = re.compile(r"[0#?,]*[0#?](?:\.[0#?]*)?|\.[0#?]+")
_SHIELD = "\ue000"
_HOLDS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<>": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}


def formatted(value: str, code: str, *, from_1904: bool = False) -> str:
    """Write a number as a format shows it.

    Arguments:
        value: as the file stores it.
        code: the format, such as 0.0% or [$₩-412]#,##0.
        from_1904: the workbook counts days from 1904.

    >>> formatted("0.155", "0.0%"), formatted("123", "00000"), formatted("45356", "m/d/yy")
    ('15.5%', '00123', '2024-03-05')
    """
    from openpyxl.styles.numbers import is_date_format, is_timedelta_format

    try:
        number = Decimal(value)
    except InvalidOperation:
        return value
    section = _section(code, number)
    if is_date_format(section) or is_timedelta_format(section):
        return _moment(float(number), is_span=is_timedelta_format(section), from_1904=from_1904)
    literals, picture = _parted(section)
    match = _DIGITS.search(picture)
    if match is None or "E+" in picture or "?/" in picture:
        return _plain(number)
    before, after = picture[: match.start()], picture[match.end() :]
    if after.startswith(","):
        # It scales by thousands, which only its words may tell.
        return _plain(number)
    if _DIGITS.search(after):
        text = _spread(number, picture)
        if text is None:
            return _plain(number)
    else:
        text = before + _number(number, match[0], percents=picture.count("%")) + after
    for literal in literals:
        text = text.replace(_SHIELD, literal, 1)
    return f"-{text}".strip() if number < 0 and section == code.split(";")[0] else text.strip()


def _section(code: str, number: Decimal) -> str:
    """A format may have a part of its own for numbers below 0, and for 0, or name conditions."""
    sections = code.split(";")
    conditions = [_CONDITION.search(one) for one in sections]
    if any(conditions):
        fitting = (
            one
            for one, found in zip(sections, conditions, strict=True)
            if found is None or _HOLDS[found[1]](number, Decimal(found[2]))
        )
        return next(fitting, sections[-1])
    if number < 0 and len(sections) > 1 and sections[1]:
        return sections[1]
    return sections[2] if number == 0 and len(sections) > 2 and sections[2] else sections[0]


def _parted(section: str) -> tuple[list[str], str]:
    """The words in a format, and the format with a mark in the place of each."""
    literals: list[str] = []

    def shield(match: re.Match[str]) -> str:
        literals.append(match["quoted"] or match["escaped"] or match["money"] or "")
        return _SHIELD

    return literals, _NO_TEXT.sub("", _LITERAL.sub(shield, section))


def _spread(number: Decimal, picture: str) -> str | None:
    """A whole number over several groups of digits, as of a telephone; None of any other.

    >>> _spread(Decimal(1012345678), "000-0000-0000")
    '010-1234-5678'
    """
    places = [place for place, sign in enumerate(picture) if sign in "0#?"]
    if number != int(number) or any(sign in picture for sign in ".,%"):
        return None
    digits = str(abs(int(number))).rjust(len(places))
    more = len(digits) - len(places)
    shown = list(picture)
    for place, digit in zip(places, digits[more:], strict=True):
        shown[place] = digit if digit != " " else "0" if picture[place] == "0" else ""
    shown[places[0]] = digits[:more] + shown[places[0]]
    return "".join(shown)


def _number(number: Decimal, digits: str, *, percents: int) -> str:
    whole, _, fraction = digits.partition(".")
    number = abs(number) * 100**percents
    rounded = number.quantize(Decimal(1).scaleb(-len(fraction)), ROUND_HALF_UP)
    least = fraction.count("0")
    integer, _, decimals = f"{rounded:f}".partition(".")
    while len(decimals) > least and decimals.endswith("0"):
        decimals = decimals[:-1]
    integer = integer.zfill(whole.count("0")) if whole.count("0") > 1 else integer
    if "," in whole:
        integer = f"{int(integer):,}" if integer.isdigit() else integer
    return f"{integer}.{decimals}" if decimals else integer


def _plain(number: Decimal) -> str:
    """As it is typed: 15 digits, which is what a spreadsheet keeps."""
    value = float(number)
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return format(value, ".15g")


def _moment(days: float, *, is_span: bool, from_1904: bool) -> str:
    from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel

    epoch = CALENDAR_MAC_1904 if from_1904 else CALENDAR_WINDOWS_1900
    try:
        moment = from_excel(days, epoch=epoch, timedelta=is_span)
    except (OverflowError, ValueError):
        return format(days, ".15g")
    if isinstance(moment, datetime):
        at_midnight = moment.time() == time()
        return moment.date().isoformat() if at_midnight else moment.isoformat(sep=" ")
    if isinstance(moment, timedelta):
        return _span(moment)
    return str(moment) if isinstance(moment, time) else ""


def _span(span: timedelta) -> str:
    """Hours, minutes and seconds, however many hours there are.

    >>> _span(timedelta(days=1, hours=12)), _span(timedelta(hours=-1.5))
    ('36:00:00', '-1:30:00')
    """
    seconds = round(abs(span.total_seconds()))
    sign = "-" if span < timedelta() else ""
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
