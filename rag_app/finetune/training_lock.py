"""One process at a time trains a model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rag_app.errors import TrainingError
from rag_app.index.holder import Held, Holder
from rag_app.index.locks import named_lock


@contextmanager
def training_lock(models: Path, name: str) -> Iterator[None]:
    """Hold the lock of a training, `<models>/<name>.lock`, which a killed process gives back.

    Raises:
        TrainingError: another process holds it.
    """
    models.mkdir(parents=True, exist_ok=True)
    path = models / f"{name}.lock"
    held = Held(
        f"this model in {models}",
        "wait for it to end, then run the same command again: it takes up what is there",
        doing="is being trained by another process",
    )

    def refusal(holder: Holder | None) -> TrainingError:
        return TrainingError(held.message(holder))

    with named_lock(path, models / f"{name}.holder.json", refusal):
        try:
            yield
        finally:
            # Before it is given back: nobody waits for it, so nobody holds the old file.
            path.unlink(missing_ok=True)
