"""Text that a thread writes, sent while it is written."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import suppress
from threading import Event
from typing import Any

from starlette.responses import StreamingResponse

from rag_app.serve.problems import as_event

Emit = Callable[[str], None]


class ClientGoneError(Exception):
    """Nobody reads any more: ends the thread that writes."""


def server_sent(work: Callable[[Emit], None], executor: Executor) -> StreamingResponse:
    """What `work` emits, event by event; an error of it is the last event."""
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(
        emitted(work, executor), media_type="text/event-stream", headers=headers
    )


def event(data: Any, *, name: str = "") -> str:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"{f'event: {name}' + chr(10) if name else ''}data: {text}\n\n"


async def emitted(work: Callable[[Emit], None], executor: Executor) -> AsyncIterator[str]:
    """What `work` hands to its argument in a thread; when nobody reads on, the thread ends."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[str | None] = asyncio.Queue()
    gone = Event()

    def put(text: str | None) -> None:
        # The loop of a server that ends is closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(waiting.put_nowait, text)

    def emit(text: str) -> None:
        if gone.is_set():
            raise ClientGoneError
        put(text)

    def run() -> None:
        try:
            work(emit)
        except ClientGoneError:
            pass
        except Exception as error:  # noqa: BLE001 - it is told, and logged where it is a bug
            put(event(as_event(error), name="error"))
        finally:
            put(None)

    running = loop.run_in_executor(executor, run)
    try:
        while (text := await waiting.get()) is not None:
            yield text
        await running
    finally:
        gone.set()
