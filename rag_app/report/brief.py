"""What a run comes to in one line, its settings in a flat table, and what two of them differ in."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rag_app.errors import RunError
from rag_app.evaluate.statistics import Difference, Estimate
from rag_app.evaluate.stored import summary_of
from rag_app.evaluate.verdict import PRIMARY_METRIC
from rag_app.report.origin import flattened
from rag_app.report.stored import StoredRun, read_run, run_folders
from rag_app.report.values import EvaluateValues, FinetuneValues, SweepValues, Values


@dataclass(frozen=True)
class Brief:
    """A run in one line.

    Fields:
        verdict: promote, hold or reject; empty where nothing was judged.
        sentence: why.
        n: questions that gave the scores.
        scores: of the tuned model, the best setting, or the last that was asked.
        settings: by whole name: options.epochs.
    """

    verdict: str
    sentence: str
    n: int
    scores: dict[str, Estimate]
    settings: dict[str, str]


def brief(run: StoredRun) -> Brief:
    """What a run comes to."""
    verdict, sentence, n, scores = _judged(run.values)
    return Brief(verdict, sentence, n, scores, _settings(run))


def made_at(run: StoredRun) -> str:
    """When its summary was written: 2026-11-29 06:07."""
    return dt.datetime.fromtimestamp(run.made, tz=dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def summary_line(run: StoredRun) -> dict[str, Any]:
    """A run as lists show it: name, kind, made, n, mrr@10 and verdict."""
    said = brief(run)
    score = said.scores.get(PRIMARY_METRIC)
    return {
        "name": run.name,
        "kind": run.kind,
        "made": made_at(run),
        "n": said.n,
        PRIMARY_METRIC: score.mean if score else None,
        "verdict": said.verdict or None,
    }


def summary_lines(results: Path) -> Iterator[tuple[Path, dict[str, Any] | RunError]]:
    """Every finished run, the newest first: its folder, and its line or its error."""
    for folder in run_folders(results):
        try:
            line = summary_line(read_run(folder))
        except RunError as error:
            yield folder, error
        else:
            yield folder, line


@dataclass(frozen=True)
class Tuning:
    """What a tuning came to.

    Fields:
        run: its name.
        verdict: promote, hold or reject.
        difference: of the primary metric, tuned minus base, on the held-out questions.
    """

    run: str
    verdict: str
    difference: Difference

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"run": self.run, "verdict": self.verdict, PRIMARY_METRIC: asdict(self.difference)}


def last_tuning(results: Path) -> Tuning | None:
    """The newest tuning that can be read; what cannot be is named by `summary_lines`."""
    for folder in run_folders(results):
        if not summary_of(folder, "finetune").is_file():
            continue
        try:
            run = read_run(folder)
        except RunError:
            continue
        if isinstance(run.values, FinetuneValues):
            compared = next(iter(run.values.held_out.values()))
            return Tuning(run.name, run.values.verdict, compared.differences[PRIMARY_METRIC])
    return None


def settings_apart(first: StoredRun, second: StoredRun) -> list[tuple[str, str, str]]:
    """Name, first and second value of each setting that two runs do not share."""
    one, other = brief(first).settings, brief(second).settings
    names = list(dict.fromkeys([*one, *other]))
    pairs = ((name, one.get(name, ""), other.get(name, "")) for name in names)
    return [(name, before, after) for name, before, after in pairs if before != after]


def _judged(values: Values) -> tuple[str, str, int, dict[str, Estimate]]:
    if isinstance(values, FinetuneValues):
        first = next(iter(values.held_out.values()))
        return values.verdict, values.reason, first.n, first.tuned
    if isinstance(values, SweepValues):
        best = values.best
        verdict = "promote" if values.recommended.wins else "hold"
        return verdict, values.recommended.reason, best.n, best.scores
    if isinstance(values, EvaluateValues):
        last = values.runs[-1]
        against = last.against_first
        said = (against.verdict or "", against.reason) if against else ("", "")
        return *said, last.n, last.scores
    return "", "", 0, {}


def _settings(run: StoredRun) -> dict[str, str]:
    values = run.values
    given: dict[str, Any] = {"kind": run.kind}
    if isinstance(values, FinetuneValues):
        given |= {
            "base_model": values.base_model,
            "retriever": values.retriever,
            "folds": values.folds,
            "split": values.split,
            "training_pairs": values.training_pairs,
            "options": values.options,
        }
    elif isinstance(values, SweepValues):
        given |= {"metric": values.metric, "split": values.split, "best": values.best.name}
    elif isinstance(values, EvaluateValues):
        last = values.runs[-1]
        given |= {"index": last.name, "model": last.model, "retriever": last.retriever}
    indexes: list[Mapping[str, Any]] = list(run.collection.indexes)
    if indexes:
        given["asked"] = indexes[-1]
    return {name: str(value) for name, value in flattened(given) if value is not None}
