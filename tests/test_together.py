"""Threads that ask at the same time are answered in one batch, each with its own."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from rag_app.serve.together import MOST, Together


def test_what_waits_is_asked_in_batches() -> None:
    batches: list[list[int]] = []
    begun, go_on = Event(), Event()

    def squares(_: str, numbers: Sequence[int]) -> list[int]:
        batches.append(list(numbers))
        begun.set()
        go_on.wait(10)
        return [number * number for number in numbers]

    with ThreadPoolExecutor(1) as worker, ThreadPoolExecutor(40) as threads:
        together = Together(squares, worker)
        first = threads.submit(together, "a", 0)
        begun.wait(10)
        rest = [threads.submit(together, "a", number) for number in range(1, 40)]
        while len(together._waiting["a"]) < 39:
            pass
        go_on.set()
        assert [one.result() for one in (first, *rest)] == [n * n for n in range(40)]
    assert [len(batch) for batch in batches] == [1, MOST, MOST, 7]


def test_one_mistake_fails_alone() -> None:
    def halves(_: str, numbers: Sequence[int]) -> list[float]:
        return [1 / number for number in numbers]

    go_on = Event()
    with ThreadPoolExecutor(1) as worker, ThreadPoolExecutor(3) as threads:
        worker.submit(go_on.wait)
        together = Together(halves, worker)
        asked = [threads.submit(together, "a", number) for number in (1, 0, 2)]
        while len(together._waiting["a"]) < 3:
            pass
        go_on.set()
        assert (asked[0].result(), asked[2].result()) == (1.0, 0.5)
        with pytest.raises(ZeroDivisionError):
            asked[1].result()
