"""The 2023 experiment, done right: each way to train, scored on what it saw and on what it did not.

    python eval/benchmarks/experiment_2023.py --corpus jhu
    python eval/benchmarks/experiment_2023.py --csv my_faq.csv [--model NAME] [--device cuda]

846 question/answer pairs of one FAQ, split by answer. The published table scored every model on its
training questions; here held-out questions stand beside them. On a CPU each row is trained in a
process of its own, so that its peak memory is its own. What is done is kept in
eval/results/experiment_2023_<name>.json (with --device cuda, experiment_2023_<name>_cuda.json); a
run that was stopped goes on.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora import CORPORA, MINILM, RESULTS, WORK, Corpus, load, write_results
from held_out import open_base

from rag_app.cli.given import index_options_of, workspace_of
from rag_app.config import Settings, load_settings
from rag_app.environment import prepare_environment
from rag_app.finetune.options import NegativeOptions, TrainingOptions

if TYPE_CHECKING:
    from rag_app.index import Workspace

PAIRS = 846
SEED = 13
SHOWN = ("hit_rate@1", "hit_rate@2", "hit_rate@3")


@dataclass(frozen=True)
class Row:
    """One row of the table; `quick` is our preset, the others train as in 2023, to the end."""

    name: str
    loss: str = ""
    epochs: int = 0
    batch_size: int = 8
    negatives: int = 0
    quick: bool = False


ROWS = (
    Row("base"),
    Row("dae, 3 epochs", "dae", 3),
    Row("dae, 10 epochs", "dae", 10),
    *(
        Row(f"triplet x{count}, {epochs} epochs", "triplet", epochs, negatives=count)
        for count in (1, 2)
        for epochs in (1, 3, 10)
    ),
    *(Row(f"mnrl batch 8, {epochs} epochs", "mnrl", epochs) for epochs in (1, 3, 10, 20, 30)),
    Row("mnrl batch 16, 10 epochs", "mnrl", 10, 16),
    Row("ours quick", quick=True),
)


def main() -> None:
    """Measure the rows that are missing, print the table, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", choices=list(CORPORA), default="jhu")
    parser.add_argument("--csv", type=Path, help="a table with the columns question and answer")
    parser.add_argument("--model", default=None)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rows", default="", help="only rows whose name holds this")
    parser.add_argument("--row", help="measure one row and print it as JSON")
    arguments = parser.parse_args()
    prepare_environment()
    corpus = corpus_of(arguments)
    if arguments.row:
        [row] = [row for row in ROWS if row.name == arguments.row]
        print(json.dumps(measure(corpus, row, "cpu")))
        return
    on_cpu = arguments.device == "cpu"
    name = f"experiment_2023_{corpus.name}" + ("" if on_cpu else f"_{arguments.device}")
    path = RESULTS / f"{name}.json"
    done = json.loads(path.read_text("utf-8"))["rows"] if path.is_file() else {}
    for row in ROWS:
        if row.name not in done and arguments.rows in row.name:
            print(f"{row.name} ...", flush=True)
            done[row.name] = in_process(row) if on_cpu else measure(corpus, row, "cuda")
            write_results(name, {"corpus": corpus.name, "model": corpus.model, "rows": done})
    done = {row.name: done[row.name] for row in ROWS if row.name in done}
    print_table(done)
    draw(done, RESULTS / f"{name}.png")


def corpus_of(arguments: argparse.Namespace) -> Corpus:
    """The first 846 pairs with answers of their own, as a table to ingest and to train on."""
    if arguments.csv:
        source = Corpus(arguments.csv.stem, arguments.csv, arguments.csv, MINILM)
    else:
        source = load(arguments.corpus)
    model = arguments.model or source.model
    if source.questions.suffix != ".csv":
        # Answers are paragraphs of articles: documents stay whole, questions are the first 846.
        return replace(source, model=model)
    folder = WORK / f"2023-{source.name}"
    folder.mkdir(parents=True, exist_ok=True)
    with source.questions.open(encoding="utf-8", newline="") as file:
        rows = {row["answer"]: row["question"] for row in csv.DictReader(file)}
    target = folder / "faq.csv"
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer"])
        writer.writerows([question, answer] for answer, question in list(rows.items())[:PAIRS])
    return Corpus(source.name, target, target, model)


def settings_for(corpus: Corpus, device: str) -> Settings:
    """A storage of its own."""
    folder = WORK / f"2023-{corpus.name}"
    return load_settings(
        flags={
            "storage": folder / "storage",
            "results": folder / "results",
            "model": corpus.model,
            "seed": SEED,
            "device": device,
        }
    )


def in_process(row: Row) -> Any:
    """One row in a process of its own."""
    command = [sys.executable, *sys.argv, "--row", row.name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{row.name} failed")
    return json.loads(done.stdout.splitlines()[-1])


def measure(corpus: Corpus, row: Row, device: str) -> dict[str, Any]:
    """Train as the row says, and score it on training and on held-out questions."""
    from rag_app.evaluate.comparison import exact_outcomes, scores_json
    from rag_app.evaluate.statistics import summarise
    from rag_app.finetune.data.material import prepare_materials, read_labelled
    from rag_app.finetune.train.memory import peak_memory_mb
    from rag_app.index import Passages
    from rag_app.ingest.request import IngestRequest
    from rag_app.ingest.stage import ingest
    from rag_app.pairs import SplitOptions

    settings = settings_for(corpus, device)
    workspace, options = workspace_of(settings), index_options_of(settings)
    ingest(workspace, IngestRequest([corpus.documents], options=options))
    index, base = open_base(settings)
    passages = index.passages()
    labelled, _ = read_labelled(corpus.questions, passages.nodes)
    [material] = prepare_materials(
        labelled[:PAIRS],
        [],
        train_on="labelled",
        passages=passages,
        embed=base.embed_queries,
        options=SplitOptions(held_out="documents"),
        batch_size=row.batch_size,
        seed=SEED,
    )
    cache = workspace.cache
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    model = train(base, material, row, workspace)
    seconds = time.perf_counter() - started if row.loss or row.quick else 0.0
    peak = peak_memory_mb(device)
    texts = Passages(passages.nodes, cache.embed_passages(model, _texts(passages.nodes)))
    return {
        **asdict(row),
        "train": scores_json(
            summarise(exact_outcomes(texts, model, material.train, cache=cache), seed=SEED)
        ),
        "held_out": scores_json(
            summarise(exact_outcomes(texts, model, material.test, cache=cache), seed=SEED)
        ),
        "n_train": len(material.train),
        "n_held_out": len(material.test),
        "seconds": round(seconds, 1),
        "peak_memory_mb": peak,
    }


def train(base: Any, material: Any, row: Row, workspace: "Workspace") -> Any:
    """The row's model."""
    from rag_app.finetune.context import TrainingContext
    from rag_app.finetune.phases import train_phases
    from rag_app.finetune.presets import DEFAULT, as_quick

    context, options = TrainingContext(workspace), TrainingOptions(seed=SEED)
    if row.quick:
        options = as_quick(replace(options, **DEFAULT), material.rows, base)
        return train_phases(context, base, material, options).model
    if not row.loss:
        return base
    as_then = replace(
        options,
        loss=row.loss,
        epochs=row.epochs,
        batch_size=row.batch_size,
        learning_rate=2e-5,
        max_tokens=128,
        blend=1.0,
        negatives=NegativeOptions(per_pair=max(1, row.negatives)),
    )
    return train_phases(context, base, replace(material, dev=None), as_then).model


def _texts(nodes: Sequence[Any]) -> list[str]:
    from rag_app.chunks import passage_text

    return [passage_text(node) for node in nodes]


def print_table(rows: dict[str, Any]) -> None:
    """hit@1/2/3 on training and on held-out questions, time and memory."""
    print(f"{'':<26}{'training questions':^22}{'held-out questions':^36}{'s':>7}{'MB':>7}")
    for name, row in rows.items():
        seen = " ".join(f"{row['train'][metric]['mean']:.3f}" for metric in SHOWN)
        first = row["held_out"]["hit_rate@1"]
        new = " ".join(f"{row['held_out'][metric]['mean']:.3f}" for metric in SHOWN)
        interval = f"[{first['low']:.3f}, {first['high']:.3f}]"
        print(
            f"{name:<26}{seen:^22}{new:>18} {interval:<17}"
            f"{row['seconds']:7.0f}{row['peak_memory_mb']:7d}"
        )


def draw(rows: dict[str, Any], path: Path) -> None:
    """Score over epochs of mnrl with batch 8: what it saw against what it did not."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    runs = [row for row in rows.values() if row["loss"] == "mnrl" and row["batch_size"] == 8]
    if "base" not in rows or not runs:
        return
    points = [{**rows["base"], "epochs": 0}, *sorted(runs, key=lambda row: row["epochs"])]
    epochs = [point["epochs"] for point in points]
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for part, label, colour in (
        ("train", "the questions it was trained on", "#c0504d"),
        ("held_out", "questions it never saw", "#1f5fa8"),
    ):
        scores = [point[part]["hit_rate@1"] for point in points]
        axes.plot(epochs, [s["mean"] for s in scores], "o-", color=colour, label=label)
        axes.fill_between(
            epochs,
            [s["low"] for s in scores],
            [s["high"] for s in scores],
            color=colour,
            alpha=0.15,
            linewidth=0,
        )
    axes.set_xlabel("epochs (MultipleNegativesRanking, batch 8)")
    axes.set_ylabel("hit@1, with 95 % interval")
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
