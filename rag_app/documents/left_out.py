"""What a reader leaves out of a file: counted, with its place."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

# Numbers, or runs of them, that are written out.
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A part of a file that is in no document.

    Fields:
        part: what it is, a plural at its beginning: "pages without text".
        count: how many.
        place: where: "pages 2-5", "sheet Notes", names; empty where that tells nothing.

    >>> str(LeftOut("pages without text", 4, "pages 2-5"))
    '4 pages without text (pages 2-5)'
    """

    part: str
    count: int
    place: str = ""

    def __str__(self) -> str:
        noun, blank, rest = self.part.partition(" ")
        noun = noun.removesuffix("s") if self.count == 1 else noun
        place = f" ({self.place})" if self.place else ""
        return f"{self.count:,} {noun}{blank}{rest}{place}"


def left_out(part: str, noun: str, numbers: Iterable[int]) -> list[LeftOut]:
    """One entry for the numbered things that were left out; none where there are none.

    >>> left_out("rows without an answer", "row", [7])
    [LeftOut(part='rows without an answer', count=1, place='row 7')]
    """
    found = sorted(set(numbers))
    return [LeftOut(part, len(found), numbered(noun, found))] if found else []


def counted(counts: Mapping[str, int]) -> list[LeftOut]:
    """An entry for each part of which something was left out.

    >>> counted({"pictures": 2, "charts": 0})
    [LeftOut(part='pictures', count=2, place='')]
    """
    return [LeftOut(part, count) for part, count in counts.items() if count]


def numbered(noun: str, numbers: Iterable[int]) -> str:
    """Name things by their numbers, runs as ranges.

    >>> numbered("page", [2, 3, 4, 9])
    'pages 2-4, 9'
    """
    ordered = sorted(numbers)
    runs = [
        [number for _, number in run]
        for _, run in groupby(enumerate(ordered), lambda pair: pair[1] - pair[0])
    ]
    shown = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:_SHOWN]]
    more = ", ..." if len(runs) > _SHOWN else ""
    return f"{noun}{'s' if len(ordered) > 1 else ''} {', '.join(shown)}{more}"


def named(names: Iterable[str]) -> str:
    """Name things by their names, the first of many."""
    listed = list(names)
    return ", ".join(listed[:_SHOWN]) + (", ..." if len(listed) > _SHOWN else "")
