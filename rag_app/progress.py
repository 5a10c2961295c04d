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


def renamed(progress: Progress, step: str, name: str) -> Progress:
    """Progress that tells of `step` under another name: two trainings in turn are no retry."""

    def told(called: str, done: int, total: int, note: str = "") -> None:
        progress(name if called == step else called, done, total, note)

    return told
