"""Dates as people and programs write them -> `datetime.date`; what cannot be read is None."""

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rag_app.text.months import month_number

# Where front matter and tables keep a document's date; the first that can be read counts.
DATE_KEYS = (
    *("date", "published", "publish_date", "published_at", "pubdate", "created", "created_at"),
    *("updated", "updated_at", "last_updated", "lastmod", "last_modified", "modified"),
    *("last_changed", "date_last_changed", "datelastchanged", "날짜", "작성일", "등록일", "수정일"),
)

# 2024-03-05, 2024/3/5, 2024. 3. 5., 2024년 3월 5일, 2024年3月5日
_PARTED = re.compile(r"(\d{4})\s*[-/.년年]\s*(\d{1,2})\s*[-/.월月]\s*(\d{1,2})(?!\d)")
# 5.3.2024, 5. 3. 2024: with full stops the day comes first everywhere.
_DAY_FIRST = re.compile(r"(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})(?!\d)")
# 20240305, 20240305120000, PDF's D:20240305120000+09'00'
_COMPACT = re.compile(r"(?:D:)?(\d{4})(\d{2})(\d{2})(?:\d{4}|\d{6})?(?!\d)")
_DAY = r"(?<!\d)(?P<day>\d{1,2})(?:st|nd|rd|th|er|[.º])?"
_MONTH = r"(?P<month>[^\W\d_][^\s\d.,/()-]{2,14})"
_YEAR = r"(?P<year>\d{4})(?!\d)"
_OF = r"(?:(?:de|del|of)\s+|d['’])?"
_WORDED = tuple(
    re.compile(form)
    for form in (
        # 5 March 2024; 5. März 2024; 5-Mar-2024; 1er août 2024; 5 de març del 2024
        rf"{_DAY}[\s/-]+{_OF}{_MONTH}\.?,?[\s/-]+{_OF}{_YEAR}",
        # March 5, 2024; Mar. 5th 2024
        rf"\b{_MONTH}\.?\s+{_DAY},?\s+{_YEAR}",
        # 2024. március 5.; 2024 m. kovo 5 d.
        rf"(?<!\d){_YEAR}\.?\s+(?:m\.\s+)?{_MONTH}\.?\s+{_DAY}(?!\d)",
    )
)
_IN_NAME = re.compile(r"(\d{4})([-_.]?)(\d{2})\2(\d{2})(?!\d)")

# Where a document's date is looked for, in this order.
FIELDS, NAME, FILE = "fields", "file name", "file"

_EPOCH_SECONDS = (10**8, 4_102_444_800)  # 1973 to 2100: an eight-digit 20240305 stays below
_YEARS = (1900, 2100)


@dataclass(frozen=True, slots=True)
class Dated:
    """A date of a document, and where it stands: in its fields, its file's name or its file."""

    day: dt.date
    source: str


def parse_date(value: object) -> dt.date | None:
    """Read a date; of a point in time, its date as written (an epoch's in UTC).

    Arguments:
        value: a date, a datetime, seconds or milliseconds since 1970, or text.
    Returns:
        None where it is no date, or could be two (03/04/2024, 5 listopada 2024).
    """
    if isinstance(value, dt.datetime):
        return value.date()
    if isinstance(value, dt.date):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value).strip()
    return _from_numerals(text) or _from_epoch(text) or _from_words(text)


def date_in_name(name: object) -> dt.date | None:
    """Read the date that a file's name begins with, as in 2024-03-05-news.md."""
    match = _IN_NAME.match(str(name))
    return _date(match[1], match[3], match[4]) if match else None


def without_date(stem: str) -> str:
    """Take the leading date off a file's name, unless nothing else is there."""
    if date_in_name(stem) is None:
        return stem
    return _IN_NAME.sub("", stem, count=1).strip("-_. ") or stem


def date_fields(
    fields: Mapping[str, object], *, file_name: str, others: Sequence[object] = ()
) -> dict[str, str | int]:
    """Make the metadata of a document's date.

    Arguments:
        fields: front matter or table columns by lower-case name, none empty; they come first.
        file_name: comes second, if it begins with a date.
        others: what the file's format says, tried last.
    Returns:
        `date` (ISO) and `date_epoch` (seconds, UTC midnight) where there is a date, and
        `date_raw` where the field meant to give it cannot be read.
    """
    given = _given(fields)
    found: dict[str, str | int] = {}
    if given and parse_date(given[0]) is None:
        found["date_raw"] = str(given[0])
    for dated in dates_of(fields, file_name=file_name, others=others):
        day = dated.day
        midnight = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
        return found | {"date": day.isoformat(), "date_epoch": int(midnight.timestamp())}
    return found


def dates_of(
    fields: Mapping[str, object], *, file_name: str, others: Sequence[object] = ()
) -> Iterator[Dated]:
    """One date of each source that has one, that which counts first; arguments as above."""
    for source, values in ((FIELDS, _given(fields)), (NAME, [file_name]), (FILE, others)):
        read = date_in_name if source == NAME else parse_date
        if day := next(filter(None, map(read, values)), None):
            yield Dated(day, source)


def _given(fields: Mapping[str, object]) -> list[object]:
    return [fields[key] for key in DATE_KEYS if key in fields]


def _from_epoch(text: str) -> dt.date | None:
    if not re.fullmatch(r"\d{9,13}(\.\d+)?", text):
        return None
    low, high = _EPOCH_SECONDS
    for seconds in (float(text), float(text) / 1000):
        if low <= seconds < high:
            return dt.datetime.fromtimestamp(seconds, tz=dt.UTC).date()
    return None


def _from_numerals(text: str) -> dt.date | None:
    if match := _PARTED.match(text) or _COMPACT.match(text):
        return _date(*match.groups())
    if match := _DAY_FIRST.match(text):
        return _date(*reversed(match.groups()))
    return None


def _from_words(text: str) -> dt.date | None:
    for form in _WORDED:
        for match in form.finditer(text):
            if month := month_number(match["month"]):
                return _date(match["year"], str(month), match["day"])
    return None


def _date(year: str, month: str, day: str) -> dt.date | None:
    if not _YEARS[0] <= int(year) <= _YEARS[1]:
        return None
    try:
        return dt.date(int(year), int(month), int(day))
    except ValueError:
        return None
