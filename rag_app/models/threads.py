"""How many threads linear algebra takes."""

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


@cache
def _threads() -> ThreadpoolController:
    """The libraries of linear algebra that are loaded."""
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """One thread: two wait for each other where the machine is busy.

    Seen once, before this limit, on two cores at a load of some ten: 148 ms a question with one
    thread, 817 with two. On an idle machine they take the same.
    """
    limited: AbstractContextManager[object] = _threads().limit(limits=1, user_api="blas")
    return limited
