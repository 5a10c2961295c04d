"""One process at a time trains a model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from rag_app.errors import TrainingError


@contextmanager
def training_lock(models: Path, name: str) -> Iterator[None]:
    """Hold the lock of a training, `<models>/<name>.lock`, which a killed process gives back.

    Raises:
        TrainingError: another process holds it.
    """
    models.mkdir(parents=True, exist_ok=True)
    path = models / f"{name}.lock"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise TrainingError(
            f"another process is training this model in {models}; wait for it to end, then run the "
            "same command again: it takes up what is there"
        ) from None
    try:
        yield
    finally:
        # Before it is given back: nobody waits for it, so nobody holds the old file.
        path.unlink(missing_ok=True)
        lock.release()
