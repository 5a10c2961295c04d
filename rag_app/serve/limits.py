"""How much a client may send, and how often."""

import math
from collections import OrderedDict
from dataclasses import dataclass

# A client may send its share of so many seconds at once.
BURST_SECONDS = 10
MOST_CLIENTS = 10_000


@dataclass(frozen=True)
class Limits:
    """What a server takes.

    Fields:
        body_bytes: of one request.
        body_seconds: that a client may take to send it.
        per_minute: requests of one address.
        at_once: requests under way.
    """

    body_bytes: int = 1_000_000
    body_seconds: float = 30.0
    per_minute: int = 1200
    at_once: int = 200


class RateLimit:
    """A bucket of requests for each address, which fills up with time.

    >>> limit = RateLimit(per_minute=6)
    >>> [limit.wait("a", now=now) for now in (0, 1, 10, 10)]
    [0, 9, 0, 10]
    """

    def __init__(self, *, per_minute: int) -> None:
        self._per_second = per_minute / 60
        self._most = max(1.0, self._per_second * BURST_SECONDS)
        # Address -> what was left in its bucket, and when.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str, *, now: float) -> int:
        """Seconds until the address may ask again; 0: it may now, and this request is counted."""
        left, before = self._left.pop(address, (self._most, now))
        left = min(self._most, left + (now - before) * self._per_second)
        allowed = left >= 1
        self._left[address] = (left - 1 if allowed else left, now)
        if len(self._left) > MOST_CLIENTS:
            self._left.popitem(last=False)
        return 0 if allowed else math.ceil((1 - left) / self._per_second)
