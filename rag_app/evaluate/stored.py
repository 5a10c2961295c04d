"""A run as it lies on disk: the outcome of each question, and what they were asked of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rag_app.errors import ConfigError, StorageError
from rag_app.evaluate.folds import each_once
from rag_app.evaluate.kept_passages import names_of, read_passages
from rag_app.evaluate.scoring import Outcome, read_outcomes

# The command that made a run.
RunKind = Literal["finetune", "sweep", "evaluate"]
MEND = "`rag-app evaluate FILE` writes one"


def summary_of(folder: Path, kind: RunKind) -> Path:
    """The file with a run's summary, in the run's folder."""
    return folder / f"{kind}.json"


@dataclass(frozen=True, slots=True)
class RunSetting:
    """What questions were asked of; None where it is not known.

    Fields:
        trained_on: questions about documents that the model was trained on.
    """

    index: str | None = None
    model: str | None = None
    fingerprint: str | None = None
    chunk_size: int | None = None
    chunk_overlap: int | None = None
    retriever: str | None = None
    trained_on: int = 0

    @classmethod
    def of_run(cls, values: Mapping[str, Any]) -> "RunSetting":
        """From one of the `runs` that `evaluate --json` prints."""
        known = ("model", "fingerprint", "chunk_size", "chunk_overlap", "retriever")
        return cls(
            index=values.get("name"),
            **{name: values.get(name) for name in known},
            trained_on=values.get("trained_on") or 0,
        )

    def apart(self, before: "RunSetting") -> list[str]:
        """What differs from an earlier run, as far as both are known: "chunk size 128, was 256"."""
        named = {
            "index": (self.index, before.index),
            "model": (_last(self.model), _last(before.model)),
            "chunk size": (self.chunk_size, before.chunk_size),
            "chunk overlap": (self.chunk_overlap, before.chunk_overlap),
            "retriever": (self.retriever, before.retriever),
        }
        said = [
            f"{name} {now}, was {then}"
            for name, (now, then) in named.items()
            if None not in (now, then) and now != then
        ]
        same_name = named["model"][0] == named["model"][1] is not None
        known = None not in (self.fingerprint, before.fingerprint)
        if same_name and known and self.fingerprint != before.fingerprint:
            said.append(f"other weights of {named['model'][0]}")
        return said


@dataclass(frozen=True)
class RetrievalRun:
    """One retriever on one list of questions.

    Fields:
        place: file of the outcomes, for messages.
        outcomes: of each question, once.
        names: what passages are called, by chunk id, as far as it is known.
    """

    place: Path
    setting: RunSetting
    outcomes: list[Outcome]
    names: Mapping[str, str] = field(default_factory=dict, hash=False)


def read_run(place: Path, *, like: RunSetting | None = None) -> RetrievalRun:
    """Read a run that `evaluate` or `finetune` wrote.

    Of a tuning it is the model that went into service: the tuned one if it was promoted.

    Arguments:
        place: the folder, the JSON file in it, what `evaluate --json` printed, or one file of
            outcomes.
        like: of several runs, the one with the same index and retriever, or the same retriever.
    Raises:
        StorageError: there is no run, or it cannot be read.
        ConfigError: there are several, and none is meant.
    """
    path, setting = _meant(_runs_at(place), like, place)
    names = names_of(read_passages(path.parent))
    return RetrievalRun(path, setting, each_once(read_outcomes(path)), names)


def read_runs(place: Path) -> list[RetrievalRun]:
    """Every run at a place that `read_run` takes; of a tuning both sides.

    Raises:
        StorageError: there is none, or it cannot be read.
    """
    return [
        RetrievalRun(path, setting, each_once(read_outcomes(path)))
        for path, setting in _runs_at(place, every=True)
    ]


Listed = list[tuple[Path, RunSetting]]


def _runs_at(place: Path, *, every: bool = False) -> Listed:
    """Files of outcomes, with what they were asked of.

    Arguments:
        every: also the side of a tuning that did not go into service.
    """
    if place.is_dir():
        summary = _summary_in(place)
        files = sorted(place.glob("*.jsonl"))
        plain = [(path, RunSetting()) for path in files]
        found = _listed(summary, every=every) if summary else plain
    elif not place.is_file():
        raise StorageError(f"{place} is no run: there is no such file or folder; {MEND}")
    elif place.suffix == ".jsonl":
        summary = _summary_in(place.parent)
        beside = _listed(summary, every=True) if summary else []
        found = [one for one in beside if one[0].name == place.name] or [(place, RunSetting())]
    else:
        found = _listed(place, every=every)
    if not found:
        raise StorageError(f"{place} holds no outcomes of questions; {MEND}")
    return found


def _summary_in(folder: Path) -> Path | None:
    paths = (summary_of(folder, "evaluate"), summary_of(folder, "finetune"))
    return next((path for path in paths if path.is_file()), None)


def _listed(summary: Path, *, every: bool) -> Listed:
    """Those that a JSON file speaks of."""
    try:
        values = json.loads(summary.read_text("utf-8"))
        names = _of_evaluate(values) if "runs" in values else _of_tuning(values, every=every)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            f"{summary} is no result of `rag-app evaluate` or `rag-app finetune` ({error!r}); "
            f"{MEND}"
        ) from None
    folders = [summary.parent, *([Path(values["results"])] if values.get("results") else [])]
    return [(_file(folders, name), setting) for name, setting in names]


def _file(folders: Sequence[Path], name: str) -> Path:
    """Beside the JSON file, where a folder was carried elsewhere; else where it was written."""
    paths = [folder / Path(name).name for folder in folders]
    return next((path for path in paths if path.is_file()), paths[0])


def _of_evaluate(values: dict[str, Any]) -> list[tuple[str, RunSetting]]:
    return [(run["outcomes"], RunSetting.of_run(run)) for run in values["runs"] if run["outcomes"]]


def _of_tuning(values: dict[str, Any], *, every: bool) -> list[tuple[str, RunSetting]]:
    tuned = RunSetting(
        index=values["index"], model=values["model"], retriever=values.get("retriever")
    )
    base = RunSetting(index=values.get("base_index"), model=values["base_model"], retriever="exact")
    sides = [("tuned.jsonl", tuned), ("base.jsonl", base)]
    promoted = values.get("promoted", values["verdict"] == "promote")
    if promoted is None and not every:
        raise StorageError(
            "a tuning ended while its index was put into service, so that its summary does not say "
            "which side is: run the same `rag-app finetune` again, or name one of its .jsonl files"
        )
    return sides if every else [sides[0 if promoted else 1]]


def _meant(runs: Listed, like: RunSetting | None, place: Path) -> tuple[Path, RunSetting]:
    """The only run, or the one that was asked alike."""
    alike = [one for one in runs if like and one[1].retriever == like.retriever]
    same = [one for one in alike if like and one[1].index == like.index]
    for found in (runs, same, alike):
        if len(found) == 1:
            return found[0]
    files = ", ".join(path.name for path, _ in runs)
    raise ConfigError(f"{place} holds {len(runs)} runs ({files}); name the file of one of them")


def _last(model: str | None) -> str | None:
    """Of a folder its name: the same model lies elsewhere on another machine."""
    return model.rstrip("/").rpartition("/")[2] if model else model
