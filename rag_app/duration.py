"""How long work will take, from a short piece of it that was timed on this machine."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from rag_app.progress import Progress

T = TypeVar("T")
Clock = Callable[[], float]
# What is over sooner is not announced.
WORTH_SAYING_SECONDS = 10.0
# A piece of work that takes so long tells how fast it goes; until then pieces grow.
MEASURED_SECONDS = 0.4
GROWTH = 4
# Items for three pieces: one to begin with, 4, 16 and 64.
ITEMS = 85


def in_words(seconds: float) -> str:
    """A duration as one says it: "about 40 s", "about 12 min", "about 2.5 h".

    >>> in_words(3), in_words(41), in_words(700), in_words(9000)
    ('a few seconds', 'about 40 s', 'about 12 min', 'about 2.5 h')
    """
    if seconds < WORTH_SAYING_SECONDS:
        return "a few seconds"
    if seconds < 90:
        return f"about {round(seconds, -1):.0f} s"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"


def say_duration(progress: Progress, what: str, seconds: float) -> None:
    """A line that says what work will take, unless it is short."""
    if seconds >= WORTH_SAYING_SECONDS:
        progress(f"{what}: {in_words(seconds)} on this machine", 0, 0)


def measured_pace(
    work: Callable[[Sequence[T]], object],
    items: Sequence[T],
    size: Callable[[T], float],
    *,
    clock: Clock = time.perf_counter,
) -> float | None:
    """Sizes that are worked through in a second; None where there is nothing to time.

    The first item is worked on untimed, which loads a model. Of the pieces after it the last
    counts: what each costs by itself, such as weights that are converted, weighs least there.

    Arguments:
        work: done on some of the items, for the time alone.
        items: pieces of them are taken in their order.
        size: of an item, in the unit of the pace.
    """
    if len(items) < 2:
        return None
    work(items[:1])
    start, count, pace = 1, GROWTH, None
    while start < len(items):
        piece = items[start : start + count]
        started = clock()
        work(piece)
        seconds = clock() - started
        # A rest of few items would tell less than the piece before.
        if seconds > 0 and (pace is None or len(piece) == count):
            pace = sum(map(size, piece)) / seconds
        if seconds >= MEASURED_SECONDS:
            break
        start, count = start + count, count * GROWTH
    return pace


def spread(items: Sequence[T], count: int) -> list[T]:
    """So many of the items, at equal distances."""
    if len(items) <= count:
        return list(items)
    return [items[number * len(items) // count] for number in range(count)]


def foretold(
    progress: Progress, watched: str, what: str, *, after: int, clock: Clock = time.monotonic
) -> Progress:
    """A progress that says how long a step will take, once some of its pieces were timed.

    The first piece is not timed: it begins with what is done only once.

    Arguments:
        watched: the step that is timed; where its count begins anew, so does the timing.
        what: the work, such as "120 pairs, 5 epochs".
        after: pieces that are timed.
    """
    first: tuple[int, float] | None = None
    said = False
    last = 0

    def told(step: str, done: int, total: int, note: str = "") -> None:
        nonlocal first, said, last
        progress(step, done, total, note)
        if step != watched or not total or said:
            return
        if first is None or done < last:
            first = (done, clock())
        elif done - first[0] >= after:
            each = (clock() - first[1]) / (done - first[0])
            say_duration(progress, what, each * (total - first[0]))
            said = True
        last = done

    return told
