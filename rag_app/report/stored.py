"""The files of a finished run, read back and checked."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from rag_app.errors import RunError
from rag_app.evaluate.evidence import COLLECTION_FILE
from rag_app.evaluate.kept_passages import KeptPassage, read_passages
from rag_app.evaluate.scoring import METRICS, Outcome, read_outcomes
from rag_app.evaluate.stored import RunKind, summary_of
from rag_app.report.values import Collection, EvaluateValues, FinetuneValues, SweepValues, Values

# The summary of each kind of run.
SUMMARIES: dict[RunKind, type[Values]] = {
    "finetune": FinetuneValues,
    "sweep": SweepValues,
    "evaluate": EvaluateValues,
}
COMMAND_FILE = "command.txt"

V = TypeVar("V", bound=Values)


@dataclass(frozen=True)
class StoredRun:
    """A run's folder.

    Fields:
        kind: finetune, sweep or evaluate.
        values: its summary, checked.
        raw: the summary as it stands in the file.
    """

    folder: Path
    kind: RunKind
    values: Values
    raw: dict[str, Any]

    @property
    def name(self) -> str:
        """Its folder's."""
        return self.folder.resolve().name

    @property
    def made(self) -> float:
        """When its summary was written, seconds since 1970."""
        return summary_of(self.folder, self.kind).stat().st_mtime

    @cached_property
    def command(self) -> str:
        """The command line that made it; empty where a program did."""
        path = self.folder / COMMAND_FILE
        return path.read_text("utf-8").strip() if path.is_file() else ""

    @cached_property
    def passages(self) -> dict[str, KeptPassage]:
        """Beginnings of the passages that outcomes name, by chunk id."""
        return read_passages(self.folder)

    @cached_property
    def collection(self) -> Collection:
        """What made the indexes, and where the documents are at fault; empty of an old run."""
        path = self.folder / COLLECTION_FILE
        return _read(path, Collection)[0] if path.is_file() else Collection()

    def outcomes(self, file_name: str) -> list[Outcome]:
        """What became of each question.

        Raises:
            RunError: the file is not there, or holds nothing that can be shown.
            StorageError: a line of it is damaged.
        """
        path = self.folder / file_name
        if not path.is_file():
            raise RunError(
                f"{self.folder} has no {file_name}, which a report needs; run "
                f"`{self.command or f'rag-app {self.kind}'}` again"
            )
        found = read_outcomes(path)
        whole = all(one.values.keys() >= set(METRICS) for one in found)
        if not found or not whole:
            reason = "a question lacks a metric" if found else "it holds no question"
            raise RunError(f"{path} is damaged ({reason}); run again what wrote it")
        return found


def read_run(folder: Path) -> StoredRun:
    """Read the summary of a run.

    Raises:
        RunError: the folder holds none, or a damaged one.
    """
    for kind, values in SUMMARIES.items():
        path = summary_of(folder, kind)
        if path.is_file():
            return StoredRun(folder, kind, *_read(path, values))
    found = "holds no finished run" if folder.is_dir() else "is not there"
    raise RunError(
        f"{folder} {found}; a run's folder has one of {_file_names()}: `rag-app runs list` "
        "shows those of the storage"
    )


def find_run(results: Path, name: str | None) -> StoredRun:
    """A run by its folder, its name in the results, its kind, or a beginning that no other has.

    Arguments:
        name: None: the newest; a kind: the newest of that.
    Raises:
        RunError: none, or several.
    """
    folders = list(run_folders(results))
    if name is None:
        if not folders:
            raise RunError(
                f"{results} holds no finished run; run `rag-app finetune`, `rag-app sweep`, or "
                "`rag-app evaluate FILE` first"
            )
        return read_run(folders[0])
    found = [one for one in folders if one.name.startswith(name)]
    exact = [one for one in found if one.name == name]
    if not exact and Path(name).is_dir():
        return read_run(Path(name))
    if not exact and name in SUMMARIES:
        found = [one for one in folders if summary_of(one, name).is_file()][:1]
    if len(exact or found) == 1:
        return read_run((exact or found)[0])
    if found:
        begin = ", ".join(one.name for one in found)
        raise RunError(f"{len(found)} runs begin with {name!r}: {begin}; write more of the name")
    names = ", ".join(one.name for one in folders)
    known = f"known runs: {names}" if names else "there is none yet"
    raise RunError(f"there is no run {name!r} in {results}; {known}")


def run_folders(results: Path) -> Iterator[Path]:
    """Folders of the results that hold a summary, the newest first."""
    found = {
        path.parent: path.stat().st_mtime
        for kind in SUMMARIES
        for path in results.glob(str(summary_of(Path("*"), kind)))
        # A hidden folder is a run's that was killed while it was written.
        if not path.parent.name.startswith(".")
    }
    yield from sorted(found, key=lambda folder: (-found[folder], folder.name))


def _read(path: Path, kind: type[V]) -> tuple[V, dict[str, Any]]:
    try:
        raw = json.loads(path.read_text("utf-8"))
        return kind.model_validate(raw), raw
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        reason = f"{where}: {problem['msg']}" if where else str(problem["msg"])
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error)
    raise RunError(
        f"{path} is damaged or of another version ({reason}); run the command that wrote it again"
    )


def _file_names() -> str:
    return ", ".join(summary_of(Path(), kind).name for kind in SUMMARIES)
