"""How long work tells whoever watches how far it is; the core never prints."""

from typing import Protocol


class Progress(Protocol):
    """Called with the step's name, what is done, what there is in all, and a short note.

    A total of 0 counts nothing: name and note are a line for whoever watches.
    """

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None: ...


def silent(step: str, done: int, total: int, note: str = "") -> None:
    """Nobody watches."""


def announce(progress: Progress, number: int, of: int, name: str) -> None:
    """Begin one of several steps of a stage."""
    progress(f"{number}/{of} {name}", 0, 0)


def renamed(progress: Progress, known: str, name: str) -> Progress:
    """Tell of step `known` under another name: a second training in turn is no retry."""

    def told(step: str, done: int, total: int, note: str = "") -> None:
        progress(name if step == known else step, done, total, note)

    return told
