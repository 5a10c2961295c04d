"""Dates in `--where`: a day, a month, a year, or so long before today."""

import calendar
import datetime as dt
import re
from dataclasses import dataclass

from rag_app.text.dates import parse_date

# 2023, 2023년, 2023-06, 2023/6, 2023년 6월
_YEAR_OR_MONTH = re.compile(r"([0-9]{4})\s*(?:[-/.년]\s*([0-9]{1,2})\s*월?|년)?")
_RELATIVE = re.compile(r"today(?:\s*-\s*([0-9]{1,6})\s*([dwy]))?", re.IGNORECASE)
_YEARS = range(1900, 2101)
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """Days from the first to the last, both within."""

    first: dt.date
    last: dt.date

    @property
    def starts(self) -> int:
        """Midnight that it begins with, in seconds since 1970, UTC: a chunk's `date_epoch`."""
        return _epoch(self.first)

    @property
    def ends(self) -> int:
        """Midnight that follows it, in seconds since 1970, UTC."""
        return _epoch(self.last + _DAY)

    @property
    def days(self) -> list[int]:
        """The `date_epoch` of each of its days."""
        return list(range(self.starts, self.ends, int(_DAY.total_seconds())))


def read_period(text: str, *, today: dt.date) -> Period | None:
    """Read a date as people write it, `2023-06`, `2023`, `today` or `today-30d` (or w, y).

    Returns:
        None where it is no date.
    """
    text = text.strip()
    if match := _YEAR_OR_MONTH.fullmatch(text):
        return _year_or_month(int(match[1]), match[2])
    match = _RELATIVE.fullmatch(text)
    day = _before(today, int(match[1] or 0), match[2]) if match else parse_date(text)
    return Period(day, day) if day else None


def _year_or_month(year: int, month: str | None) -> Period | None:
    if year not in _YEARS:
        return None
    if month is None:
        return Period(dt.date(year, 1, 1), dt.date(year, 12, 31))
    if not 1 <= int(month) <= 12:
        return None
    _, length = calendar.monthrange(year, int(month))
    return Period(dt.date(year, int(month), 1), dt.date(year, int(month), length))


def _before(today: dt.date, count: int, unit: str | None) -> dt.date | None:
    """The day so many days, weeks or years ago; February 29 becomes 28 where there is none."""
    if unit and unit.lower() == "y":
        year = today.year - count
        if year not in _YEARS:
            return None
        _, length = calendar.monthrange(year, today.month)
        return today.replace(year=year, day=min(today.day, length))
    days = count * (7 if unit and unit.lower() == "w" else 1)
    return today - days * _DAY if days < today.toordinal() else None


def _epoch(day: dt.date) -> int:
    return calendar.timegm(day.timetuple())
