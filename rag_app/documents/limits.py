"""Bounds of the process that reads files: memory, and processor time for each piece of work."""

import sys
from collections.abc import Callable

# A page of a PDF, or a file that cannot be read piece by piece.
SECONDS = 15
# A table of a hundred megabytes is no attack.
SECONDS_PER_MEGABYTE = 0.25
MEMORY_BYTES = 1_400 * 1024**2


class _Allowance:
    """The seconds that each piece may take; None in a process that is not bounded.

    Fields:
        tell: called where another program begins, for whoever waits for this process by the clock.
    """

    seconds: int | None = None
    tell: Callable[[], None] = staticmethod(lambda: None)


def bound_memory() -> None:
    """Let this process have so much memory and no more."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def bound_time(size_bytes: int) -> None:
    """Give this process the time that a file of this size may take, from now on.

    What goes beyond ends the process: a regular expression or a parser in C sees no exception.
    """
    _Allowance.seconds = SECONDS + round(SECONDS_PER_MEGABYTE * size_bytes / 1024**2)
    renew_time()


def renew_time() -> None:
    """Begin another piece of the same file; nothing happens in a process that is not bounded."""
    if _Allowance.seconds is not None:
        _allow(_Allowance.seconds)


def allow_program(seconds: int) -> None:
    """Let a program that is started now take so much time; it inherits this process's bounds.

    Nothing happens in a process that is not bounded.
    """
    if _Allowance.seconds is not None:
        _Allowance.tell()
        _allow(seconds)


def tell_of_programs(tell: Callable[[], None]) -> None:
    """Have something called each time before another program begins."""
    _Allowance.tell = staticmethod(tell)


def _allow(seconds: int) -> None:
    if sys.platform != "win32":
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        until = round(used.ru_utime + used.ru_stime) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))
