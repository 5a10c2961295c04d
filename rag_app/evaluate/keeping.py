"""What `evaluate` found, kept in a folder: outcomes, what a report shows of them, the summary."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rag_app.disk import whole_folder, write_json
from rag_app.evaluate.evidence import keep_evidence
from rag_app.evaluate.file_names import file_names
from rag_app.evaluate.result import Evaluated
from rag_app.evaluate.scoring import write_outcomes
from rag_app.evaluate.stored import summary_of


@dataclass(frozen=True)
class Keeping:
    """Where runs of `evaluate` are kept.

    Fields:
        results: folder of all runs; each has one of its own there, which the same run replaces.
        out: a folder that the user named for this one; what else lies there stays.
    """

    results: Path
    out: Path | None = None

    def keep(self, found: Evaluated) -> dict[str, Any]:
        """Write all files of it.

        Returns:
            what `--json` prints, and `evaluate.json` keeps.
        Raises:
            StorageError, OSError: it cannot be written.
        """
        if self.out is not None:
            return _write(self.out, found, place=self.out)
        place = self.results / found.name
        with whole_folder(place, hidden=True) as folder:
            return _write(folder, found, place=place)


def _write(folder: Path, found: Evaluated, *, place: Path) -> dict[str, Any]:
    names = file_names([f"{run.name}-{run.retriever}" for run in found.runs])
    runs = [replace(run, kept=f"{name}.jsonl") for name, run in zip(names, found.runs, strict=True)]
    for run in runs:
        write_outcomes(folder / str(run.kept), run.outcomes)
    others = [outcome for run in runs[:-1] for outcome in run.outcomes]
    keep_evidence(folder, found.indexes, runs[-1].outcomes, others=others)
    values = {
        "runs": [one.to_json() for one in runs],
        "unmatched": found.unmatched.count,
        "unmatched_example": found.unmatched.example,
        "results": str(place),
    }
    write_json(summary_of(folder, "evaluate"), values)
    return values
