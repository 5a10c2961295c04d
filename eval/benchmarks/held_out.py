"""Base, tuned on synthetic questions, tuned on labelled pairs: scores on held-out human questions.

    python eval/benchmarks/held_out.py --corpus jhu --corpus korquad --seeds 13,14,15

Each seed splits and trains anew. What is done is kept in eval/results/held_out.json, so a run that
was stopped goes on. Questions are written once by the local language model and used by every seed.
"""

import argparse
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora import CORPORA, RESULTS, WORK, Corpus, load, write_results

from rag_app.cli.given import index_options_of, language_model_of, workspace_of
from rag_app.config import Settings, load_settings
from rag_app.environment import prepare_environment

if TYPE_CHECKING:
    from rag_app.finetune.context import TrainingContext
    from rag_app.index import OpenIndex, Passages, VectorIndex
    from rag_app.models import EmbeddingModel
    from rag_app.pairs import Pair

SHOWN = ("hit_rate@1", "hit_rate@2", "hit_rate@3", "hit_rate@5", "mrr@10")
NAME = "held_out"


def settings_for(corpus: Corpus, seed: int) -> Settings:
    """A storage of its own for each corpus, and the default chunk size."""
    from rag_app.chunks import Chunking

    folder = WORK / corpus.name
    settings = load_settings(
        flags={
            "storage": folder / "storage",
            "results": folder / "results",
            "model": corpus.model,
            "seed": seed,
        }
    )
    # Named, it is meant: another size may be in service.
    return settings.model_copy(update={"chunk_size": settings.chunk_size or Chunking.chunk_size})


def open_base(settings: Settings) -> "tuple[VectorIndex, EmbeddingModel]":
    """The index that the settings mean, and its model with its weights."""
    from rag_app.ingest.target import open_target
    from rag_app.models import EmbeddingModel

    opened = open_target(workspace_of(settings), index_options_of(settings))
    if not isinstance(opened.model, EmbeddingModel):
        raise TypeError(f"{opened.model.name} has no weights")
    return opened.index, opened.model


def measure_exports(
    name: str,
    description: str,
    measure: Callable[[Corpus], list[dict[str, Any]]],
    show: Callable[[list[dict[str, Any]]], None],
) -> None:
    """The program of a benchmark of exported models: each corpus that was not measured, kept."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA))
    arguments = parser.parse_args()
    prepare_environment()
    path: Path = RESULTS / f"{name}.json"
    rows = json.loads(path.read_text("utf-8"))["rows"] if path.is_file() else []
    for corpus in map(load, arguments.corpus or ["sample-en", "sample-ko"]):
        if corpus.name not in {row["corpus"] for row in rows}:
            rows += measure(corpus)
            write_results(name, {"rows": rows})
    show(rows)


@dataclass(frozen=True)
class Labelled:
    """A corpus in its index, in memory, with its labelled pairs."""

    context: "TrainingContext"
    base: "OpenIndex[EmbeddingModel]"
    passages: "Passages"
    pairs: "list[Pair]"


def open_labelled(corpus: Corpus, seed: int) -> Labelled:
    """Ingest a corpus unless that is done, and read its labelled pairs."""
    from rag_app.finetune.context import TrainingContext
    from rag_app.finetune.data.material import read_labelled
    from rag_app.index import OpenIndex

    settings = settings_for(corpus, seed)
    ready(corpus, settings, "labelled")
    index, base = open_base(settings)
    passages = index.passages()
    pairs, _ = read_labelled(corpus.questions, passages.nodes)
    context = TrainingContext(workspace_of(settings), show)
    return Labelled(context, OpenIndex(index, base), passages, pairs)


def ready(
    corpus: Corpus,
    settings: Settings,
    kind: str,
    *,
    per_chunk: int = 1,
    examples: Path | None = None,
) -> None:
    """Ingest the documents and, if they are trained on, write questions, unless that is done."""
    from rag_app.ingest.request import IngestRequest
    from rag_app.ingest.stage import ingest

    workspace, options = workspace_of(settings), index_options_of(settings)
    report = ingest(workspace, IngestRequest([corpus.documents], options=options), progress=show)
    print(f"{corpus.name}: {report.chunks} chunks in {report.seconds:.0f} s")
    if kind == "labelled":
        return
    from rag_app.pairs import read_questions
    from rag_app.questions import WritingOptions, write_questions

    written = write_questions(
        workspace.open(),
        storage=settings.storage,
        llm=language_model_of(settings),
        per_chunk=per_chunk,
        writing=WritingOptions(read_questions(examples) if examples else ()),
        seed=settings.seed,
        progress=show,
    )
    print(f"{corpus.name}: {written.kept} questions kept, dropped {written.dropped}")


def measure(corpus: Corpus, kind: str, seed: int, epochs: int) -> dict[str, Any]:
    """Tune once and return what was measured."""
    from rag_app.finetune.options import TrainingOptions
    from rag_app.finetune.presets import DEFAULT
    from rag_app.finetune.request import FinetuneRequest
    from rag_app.finetune.stage import finetune

    settings = settings_for(corpus, seed)
    request = FinetuneRequest(
        pairs=corpus.questions,
        train_on=kind,  # type: ignore[arg-type]
        options=TrainingOptions(**DEFAULT, seed=seed, epochs=epochs),
        promote=False,
        llm=language_model_of(settings),
        results=settings.results,
    )
    result = finetune(workspace_of(settings), request, progress=show)
    values = result.to_json()
    for absolute in ("model", "results"):
        values[absolute] = Path(values[absolute]).name
    return {"corpus": corpus.name, "kind": kind, "seed": seed, "epochs": epochs, **values}


def show(step: str, done: int, total: int, note: str = "") -> None:
    """A line at each tenth."""
    if total and done % max(1, total // 10) == 0:
        print(f"  {step} {done}/{total} {note}", flush=True)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Every run: base -> tuned, with intervals."""
    for row in rows:
        print(
            f"\n{row['corpus']}, trained on {row['kind']} ({row['training_pairs']} pairs), "
            f"seed {row['seed']}, {row['n']} held-out questions: {row['verdict']}, p {row['p']:.4f}"
        )
        for metric in SHOWN:
            base, tuned = row["base"][metric], row["tuned"][metric]
            change = row["differences"][metric]
            print(
                f"  {metric:<11} {base['mean']:.3f} [{base['low']:.3f}, {base['high']:.3f}] -> "
                f"{tuned['mean']:.3f} [{tuned['low']:.3f}, {tuned['high']:.3f}]  "
                f"{change['mean']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]"
            )


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA))
    parser.add_argument("--seeds", default="13,14,15")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--kinds", default="labelled,synthetic")
    arguments = parser.parse_args()
    prepare_environment()
    path = RESULTS / f"{NAME}.json"
    rows: list[dict[str, Any]] = (
        json.loads(path.read_text("utf-8"))["rows"] if path.is_file() else []
    )
    done = {(row["corpus"], row["kind"], row["seed"]) for row in rows}
    for name in arguments.corpus or ["jhu", "korquad"]:
        corpus = load(name)
        for seed in map(int, arguments.seeds.split(",")):
            for kind in arguments.kinds.split(","):
                if (name, kind, seed) in done:
                    continue
                ready(corpus, settings_for(corpus, seed), kind)
                rows.append(measure(corpus, kind, seed, arguments.epochs))
                write_results(NAME, {"machine": platform.processor(), "rows": rows})
    print_table(rows)


if __name__ == "__main__":
    main()
