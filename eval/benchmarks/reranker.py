"""A cross-encoder tuned from MiniLM's own weights: vector search without and with it.

    OMP_NUM_THREADS=1 python eval/benchmarks/reranker.py --corpus sample-en --corpus jhu

Of each corpus 500 questions at most are taken, evenly drawn; seeds 13, 14 and 15 split and train
anew. Training and scoring run in bfloat16, three times as fast on a CPU that knows it; the
milliseconds a question are those of one thread in float32, as `rag-app query` has them. What is
done is kept in eval/results/reranker.json, so that a stopped run goes on.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from corpora import CORPORA, RESULTS, WORK, Corpus, load, write_results
from held_out import settings_for, show

from rag_app.cli.given import index_options_of, workspace_of
from rag_app.environment import prepare_environment

NAME = "reranker"
SEEDS = (13, 14, 15)
CANDIDATES = 20
MOST_QUESTIONS = 500
TIMED = 10


def some_questions(corpus: Corpus) -> Path:
    """Evenly drawn lines of a table or of JSONL, under the head of the table."""
    suffix = corpus.questions.suffix
    if suffix == ".csv":
        return _some_rows(corpus)
    lines = corpus.questions.read_text("utf-8").splitlines(keepends=True)
    step = max(1, len(lines) // MOST_QUESTIONS)
    target = WORK / corpus.name / f"some{suffix}"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(lines[::step][:MOST_QUESTIONS]), "utf-8")
    return target


def _some_rows(corpus: Corpus) -> Path:
    import csv

    with corpus.questions.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    step = max(1, len(rows) // MOST_QUESTIONS)
    target = WORK / corpus.name / "some.csv"
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows[::step][:MOST_QUESTIONS]])
    return target


def measure(corpus: Corpus, seed: int) -> dict[str, Any]:
    """Tune once and return what was measured."""
    import torch

    from rag_app.finetune.options import NegativeOptions, TrainingOptions
    from rag_app.finetune.presets import RERANKER_DEFAULT, RERANKER_NEGATIVES
    from rag_app.finetune.request import FinetuneRequest
    from rag_app.finetune.reranker import RerankerOptions, tune_reranker
    from rag_app.ingest.request import IngestRequest
    from rag_app.ingest.stage import ingest

    settings = settings_for(corpus, seed)
    workspace = workspace_of(settings)
    ingest(
        workspace,
        IngestRequest([corpus.documents], options=index_options_of(settings)),
        progress=show,
    )
    options = TrainingOptions(
        **RERANKER_DEFAULT, negatives=NegativeOptions("mined", RERANKER_NEGATIVES), seed=seed
    )
    request = FinetuneRequest(
        pairs=some_questions(corpus), options=options, results=settings.results
    )
    with torch.autocast("cpu", torch.bfloat16):
        result = tune_reranker(
            workspace, request, RerankerOptions(candidates=CANDIDATES), progress=show
        )
    values = result.to_json()
    texts = [row.passage for row in result.material.rows[:CANDIDATES]]
    values["ms_per_question"] = milliseconds(workspace, result.model.name, texts)
    for absolute in ("model", "results"):
        values[absolute] = Path(values[absolute]).name
    return {"corpus": corpus.name, "seed": seed, **values}


def milliseconds(workspace: Any, name: str, texts: list[str]) -> float:
    """CPU time of one thread to read these passages for a question."""
    import torch

    torch.set_num_threads(1)
    encoder = workspace.load_cross_encoder(name)
    encoder.score("warm up", texts)
    started = time.process_time()
    for number in range(TIMED):
        encoder.score(f"question {number}", texts)
    return 1000 * (time.process_time() - started) / TIMED


def table(done: list[dict[str, Any]]) -> str:
    """A row for each corpus and seed."""
    lines = [
        "| documents | seed | questions | vector | with reranker | change | verdict | ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in done:
        before, after, change = (one[side]["mrr@10"] for side in ("base", "tuned", "differences"))
        lines.append(
            f"| {one['corpus']} | {one['seed']} | {one['n']} | {before['mean']:.3f} | "
            f"{after['mean']:.3f} | {change['mean']:+.3f} [{change['low']:+.3f}, "
            f"{change['high']:+.3f}] | {one['verdict']} | {one['ms_per_question']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=sorted(CORPORA))
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    given = parser.parse_args()
    prepare_environment()
    for seed in map(int, given.seeds.split(",")):
        for name in given.corpus or ("sample-en", "jhu"):
            if (name, seed) not in {(one["corpus"], one["seed"]) for one in kept()}:
                measured = measure(load(name), seed)
                # Read again: another process may have measured another corpus.
                write_results(NAME, [*kept(), measured])
    print(table(kept()))


def kept() -> list[dict[str, Any]]:
    """What was measured."""
    path = RESULTS / f"{NAME}.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else []


if __name__ == "__main__":
    main()
