"""What many threads ask at the same time, asked in one batch."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor, Future
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")

# A small model takes little longer for sixteen questions than for one: it reads its weights once.
MOST = 16


class Together(Generic[Key, Item, Result]):
    """Calls a function with all items that wait for it.

    Arguments:
        ask: a key and items -> a result for each item, in their order.
        worker: the one thread in which it is called.
    """

    def __init__(
        self, ask: Callable[[Key, Sequence[Item]], Sequence[Result]], worker: Executor
    ) -> None:
        self._ask = ask
        self._worker = worker
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
        self._worker.submit(self._answer_until, key, mine)
        return mine.result()

    def _answer_until(self, key: Key, wanted: "Future[Result]") -> None:
        """Answer in batches until this one is answered, which an earlier batch may have done."""
        while not wanted.done():
            self._answer(key, self._taken(key))

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
