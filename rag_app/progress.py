"""How long work tells whoever watches how far it is; the core never prints."""

from typing import Protocol


class Progress(Protocol):
    """Called with the step's name, what is done, what there is in all, and a short note."""

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None: ...


def silent(step: str, done: int, total: int, note: str = "") -> None:
    """Nobody watches."""
