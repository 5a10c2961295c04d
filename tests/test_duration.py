"""What work will take is told from a piece of it that was timed."""

from collections.abc import Iterable, Sequence

import pytest

from rag_app.duration import foretold, in_words, measured_pace, say_duration, spread


class Ticking:
    """A clock that is at 100 s and goes on by what work says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Lines:
    """Keeps what a progress is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.counts: list[tuple[str, int, int]] = []

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None:
        if total:
            self.counts.append((step, done, total))
        else:
            self.lines.append(step)


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (0.0, "a few seconds"),
        (9.9, "a few seconds"),
        (44.0, "about 40 s"),
        (100.0, "about 2 min"),
        (12.4 * 60, "about 12 min"),
        (100 * 60, "about 1.7 h"),
    ],
)
def test_durations_are_said_as_people_do(seconds: float, says: str) -> None:
    assert in_words(seconds) == says


def test_what_is_short_is_not_announced() -> None:
    told = Lines()
    say_duration(told, "2 documents", 9.0)
    say_duration(told, "900 documents", 130.0)
    assert told.lines == ["900 documents: about 2 min on this machine"]


def test_a_pace_is_that_of_the_last_piece_that_was_timed() -> None:
    clock, worked = Ticking(), list[Sequence[int]]()

    def work(items: Sequence[int]) -> None:
        worked.append(items)
        # The first takes as long as loading a model does, each piece .1 s and .02 s an item.
        clock.now += 0.1 + 0.02 * len(items) if len(worked) > 1 else 30.0

    # Pieces of 4 and 16 take .18 and .42 s, and the second is long enough: 16 items of size 10.
    assert measured_pace(work, range(100), lambda _: 10, clock=clock) == pytest.approx(160 / 0.42)
    assert [len(items) for items in worked] == [1, 4, 16]


def test_a_short_rest_does_not_count_as_a_piece() -> None:
    clock = Ticking()

    def work(items: Sequence[int]) -> None:
        clock.now += 0.1 + 0.02 * len(items)

    # 1 untimed, 4 in .18 s, and a rest of 2.
    assert measured_pace(work, range(7), lambda _: 10, clock=clock) == pytest.approx(40 / 0.18)
    # Two items are all that there is.
    assert measured_pace(work, range(2), lambda _: 10, clock=clock) == pytest.approx(10 / 0.12)


@pytest.mark.parametrize("items", [[], [1]])
def test_of_nothing_there_is_no_pace(items: Sequence[int]) -> None:
    def never(items: Sequence[int]) -> None:
        raise AssertionError(items)

    assert measured_pace(never, items, float) is None


def test_items_are_spread() -> None:
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread("ab", 3) == ["a", "b"]


def run_through(done: Iterable[int], total: int, clock: Ticking, told: Lines) -> list[str]:
    """Each piece takes 2 s, and what comes before the first 50."""
    progress = foretold(told, "train", "30 pairs", after=3, clock=clock)
    clock.now += 50
    for one in done:
        progress("train", one, total)
        progress("embed", 1, 2)
        clock.now += 2
    return told.lines


def test_a_step_is_foretold_from_its_first_pieces() -> None:
    told = Lines()
    # Pieces 2 to 4 take 2 s each; 59 come after the first: 118 s.
    assert run_through(range(1, 61), 60, Ticking(), told) == [
        "30 pairs: about 2 min on this machine"
    ]
    assert [count for count in told.counts if count[0] == "train"][-1] == ("train", 60, 60)


def test_what_goes_on_is_foretold_from_where_it_goes_on() -> None:
    # Of 60 pieces 30 are left: 29 after the first, 58 s.
    assert run_through(range(31, 61), 60, Ticking(), Lines()) == [
        "30 pairs: about 60 s on this machine"
    ]


def test_what_begins_anew_is_timed_anew() -> None:
    # Two pieces of a training that the memory did not hold, then 120 smaller ones: 238 s.
    done = [1, 2, *range(1, 121)]
    assert run_through(done, 120, Ticking(), Lines()) == ["30 pairs: about 4 min on this machine"]


def test_a_short_step_says_nothing() -> None:
    assert run_through(range(1, 6), 5, Ticking(), Lines()) == []
