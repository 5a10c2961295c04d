"""An event loop in a thread of its own, for a caller that waits and may be interrupted."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
Work = Callable[[Callable[[T], None]], Coroutine[object, object, None]]


class LoopThread:
    """Runs coroutines while the calling thread waits for what they report.

    Ctrl-C reaches the caller at once, and takes the work with it. A loop that runs in the calling
    thread already, as in Jupyter, is not in the way.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def reports(self, work: Work[T]) -> Generator[T, None, None]:
        """Run `work`, and yield in this thread what it hands to its argument, in that order.

        When the iterator is closed or interrupted the work is cancelled.

        Raises:
            Exception: what `work` raised, after everything that it reported.
        """
        reported: SimpleQueue[T | None] = SimpleQueue()
        running = asyncio.run_coroutine_threadsafe(work(reported.put), self._loop)
        running.add_done_callback(lambda _: reported.put(None))
        try:
            while (report := reported.get()) is not None:
                yield report
            running.result()
        finally:
            running.cancel()

    def close(self, *, last: Callable[[], Awaitable[None]]) -> None:
        """Cancel all work, await `last`, and end the thread; twice is harmless."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(_wind_up(last), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _wind_up(last: Callable[[], Awaitable[None]]) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
    await last()
    await asyncio.sleep(0)  # a transport is rid of its socket one turn after it was closed
