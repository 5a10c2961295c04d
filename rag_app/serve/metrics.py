"""Counts of requests in Prometheus' text format."""

from collections import Counter, defaultdict
from pathlib import Path

# Seconds; a passage takes some 20 ms, an answer as long as its language model.
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
Labels = tuple[str, str, int]


class Metrics:
    """What was asked since the server started; only the event loop's thread counts."""

    def __init__(self) -> None:
        self.under_way = 0
        self._requests: Counter[Labels] = Counter()
        self._within: dict[str, Counter[float]] = defaultdict(Counter)
        self._seconds: Counter[str] = Counter()
        self._count: Counter[str] = Counter()

    def count(self, method: str, path: str, status: int, seconds: float) -> None:
        """Add a request; its path must be one of few."""
        self._requests[method, path, status] += 1
        self._count[path] += 1
        self._seconds[path] += seconds  # type: ignore[assignment]
        for bound in BOUNDS:
            if seconds <= bound:
                self._within[path][bound] += 1

    def text(self) -> str:
        """All of it, as Prometheus reads it."""
        lines = [
            *_head("requests_total", "counter", "Requests by method, path and status."),
            *(
                f'rag_app_requests_total{{method="{m}",path="{p}",status="{s}"}} {n}'
                for (m, p, s), n in sorted(self._requests.items())
            ),
            *_head("request_seconds", "histogram", "Seconds until a response was complete."),
            *(line for path in sorted(self._count) for line in self._histogram(path)),
            *_head("requests_under_way", "gauge", "Requests that are not answered yet."),
            f"rag_app_requests_under_way {self.under_way}",
        ]
        if (resident := resident_bytes()) is not None:
            lines += _head("resident_memory_bytes", "gauge", "Memory of the process.")
            lines.append(f"rag_app_resident_memory_bytes {resident}")
        return "\n".join(lines) + "\n"

    def _histogram(self, path: str) -> list[str]:
        name, total = "rag_app_request_seconds", self._count[path]
        within = [(f"{bound:g}", self._within[path][bound]) for bound in BOUNDS]
        return [
            *(
                f'{name}_bucket{{path="{path}",le="{le}"}} {n}'
                for le, n in [*within, ("+Inf", total)]
            ),
            f'{name}_sum{{path="{path}"}} {self._seconds[path]:.6f}',
            f'{name}_count{{path="{path}"}} {total}',
        ]


def resident_bytes(process: int | str = "self") -> int | None:
    """Memory of a process that is in use; None where the system does not tell."""
    try:
        status = Path(f"/proc/{process}/status").read_text("ascii")
    except OSError:
        return None
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def _head(name: str, kind: str, meaning: str) -> list[str]:
    return [f"# HELP rag_app_{name} {meaning}", f"# TYPE rag_app_{name} {kind}"]
