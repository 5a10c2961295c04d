"""The process in which Ray runs: it takes work from a line and sends the outcomes back.

No other module knows Ray.
"""

import logging
import os
import secrets
import signal
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rag_app.environment import prepare_environment
from rag_app.errors import first_line
from rag_app.ingest.spread.workers import VALUE

# What is sent back: one of these words, and a value.
OUTCOME, DONE, UNUSABLE, ENDED, FAULT = "outcome", "done", "unusable", "ended", "fault"
_LONGEST_REASON = 200


@dataclass(frozen=True)
class Work:
    """Pieces for workers of one class, as `RayCluster.map` takes them."""

    worker: type
    arguments: dict[str, Any]
    pieces: list[Any]
    gpus: bool


def drive(line: Connection, address: str | None, workers: int | None) -> None:
    """Do what comes along the line, until it ends.

    Arguments:
        address: of a running cluster; None: this machine alone.
        workers: processes; None: as many as there are cores, or GPUs.
    """
    # Ctrl-C is for the parent to handle, which then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _say_nothing()
    prepare_environment()
    try:
        if not _join(line, address, workers):
            return
        while True:
            _do(line, line.recv(), workers)
    except (EOFError, ConnectionError):
        # The parent has what it wanted, or is gone.
        return
    finally:
        _end()


def _end() -> None:
    import ray

    # The parent asks but once, and this is what it asks for.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ray.shutdown()


def _say_nothing() -> None:
    """Neither Ray nor what it starts writes among the results and errors of a command."""
    with Path(os.devnull).open("ab") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)


def _join(line: Connection, address: str | None, workers: int | None) -> bool:
    """Start Ray, or join a cluster; False, and the reason is sent, where that fails."""
    if address is None:
        _keep_to_this_machine()
    import ray

    own = {"num_cpus": workers, "include_dashboard": False} if address is None else {}
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
    # Ray raises whatever its parts do.
    except Exception as error:  # noqa: BLE001
        line.send((UNUSABLE, _reason(error)))
        return False
    return True


def _keep_to_this_machine() -> None:
    """Before Ray is imported: it listens to no other machine, and to no other user of this one."""
    # Ray's name for a computer that is to be no part of a cluster: it uses the loopback address.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _do(line: Connection, work: Work, workers: int | None) -> None:
    from ray.exceptions import RayError, RayTaskError

    try:
        for outcome in _outcomes(work, workers):
            line.send((OUTCOME, outcome))
        line.send((DONE, None))
    except RayTaskError:
        line.send((FAULT, traceback.format_exc()))
    except RayError as error:
        line.send((ENDED, _reason(error)))


def _outcomes(work: Work, workers: int | None) -> Iterator[Any]:
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    gpus = int(ray.cluster_resources().get("GPU", 0)) if work.gpus else 0
    cores = int(ray.cluster_resources().get("CPU", 1))
    count = min(workers or gpus or cores, cores, len(work.pieces))
    rows = ray.data.from_items(
        [{VALUE: piece} for piece in work.pieces], override_num_blocks=len(work.pieces)
    )
    outcomes = rows.map(
        work.worker,
        fn_constructor_kwargs=work.arguments,
        compute=ray.data.ActorPoolStrategy(size=count),
        num_cpus=1,
        num_gpus=share(gpus, count),
    )
    return (row[VALUE] for row in outcomes.iter_rows())


def share(gpus: int, workers: int) -> float:
    """The part of a GPU that each worker has, so that all of them find room.

    >>> share(0, 4), share(4, 2), share(2, 3)
    (0, 1.0, 0.5)
    """
    return 1 / ceil(workers / gpus) if gpus else 0


def _reason(error: Exception) -> str:
    return first_line(error)[:_LONGEST_REASON].rstrip(".:")
