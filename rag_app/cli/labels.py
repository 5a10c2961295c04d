"""Short labels for runs that differ in their index, their model or their retriever."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag_app.evaluate.result import EvaluatedRun

# Beside four metrics with their intervals, on 80 columns.
LONGEST = 11


@dataclass(frozen=True)
class Label:
    """What stands for a run in a table, and what it stands for."""

    short: str
    meaning: str


def run_labels(runs: "Sequence[EvaluatedRun]", *, longest: int = LONGEST) -> list[Label]:
    """A label for each run, no two alike: base, tuned, or the parts in which the runs differ.

    Where one of them is longer than `longest` characters, all are numbered instead.
    """
    subjects = _subjects(runs)
    retrievers = _alike(tuple(run.retriever for run in runs))
    parts = [
        " ".join(filter(None, pair)) or run.name
        for run, *pair in zip(runs, subjects, retrievers, strict=True)
    ]
    unclear = len(set(parts)) < len(parts) or max(map(len, parts)) > longest
    shorts = [f"run {n}" for n in range(1, len(runs) + 1)] if unclear else parts
    return [
        Label(short, f"{run.name}, {run.retriever}")
        for short, run in zip(shorts, runs, strict=True)
    ]


def _subjects(runs: "Sequence[EvaluatedRun]") -> list[str]:
    tuned = {(run.name, run.model): run.tuned for run in runs}
    if sorted(tuned.values()) == [False, True]:
        return ["tuned" if run.tuned else "base" for run in runs]
    return _differing(tuple(run.name for run in runs))


def _alike(values: Sequence[str]) -> list[str]:
    """The values; nothing where all are the same."""
    return [""] * len(values) if len(set(values)) == 1 else list(values)


def _differing(names: Sequence[str]) -> list[str]:
    """Names without the parts that all begin and end with."""
    split = [re.split(r"[-_/]", name) for name in names]
    while len(set(names)) > 1 and all(len(parts) > 1 for parts in split):
        if len({parts[0] for parts in split}) == 1:
            split = [parts[1:] for parts in split]
        elif len({parts[-1] for parts in split}) == 1:
            split = [parts[:-1] for parts in split]
        else:
            break
    return _alike(["-".join(parts) for parts in split])
