"""What many threads ask at the same time, asked in one batch."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from threading import Lock, RLock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")

# A small model takes little longer for sixteen questions than for one: it reads its weights once.
MOST = 16


class Together(Generic[Key, Item, Result]):
    """Calls a function with all items that wait for it; whoever comes first asks for the others.

    Arguments:
        ask: a key and items -> a result for each item, in their order.
        guard: held while `ask` works, so that it works for one thread at a time.
    """

    def __init__(
        self, ask: Callable[[Key, Sequence[Item]], Sequence[Result]], guard: RLock
    ) -> None:
        self._ask = ask
        self._guard = guard
        self._lock = Lock()
        self._waiting: dict[Key, list[tuple[Item, Future[Result]]]] = defaultdict(list)

    def __call__(self, key: Key, item: Item) -> Result:
        """The result for one item, which is asked with others of the same key.

        Raises:
            Exception: what `ask` raised for this item.
        """
        mine: Future[Result] = Future()
        with self._lock:
            self._waiting[key].append((item, mine))
        with self._guard:
            while not mine.done():
                self._answer(key, self._taken(key))
        return mine.result()

    def _taken(self, key: Key) -> list[tuple[Item, Future[Result]]]:
        with self._lock:
            waiting = self._waiting.pop(key)
            if waiting[MOST:]:
                self._waiting[key] = waiting[MOST:]
            return waiting[:MOST]

    def _answer(self, key: Key, batch: list[tuple[Item, Future[Result]]]) -> None:
        try:
            results = self._ask(key, [item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - it is raised where it was asked
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            # Nobody pays for the mistake of another.
            for one in batch:
                self._answer(key, [one])
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)
