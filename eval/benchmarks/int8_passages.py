"""Passages in 8 bits, by OpenVINO: time, cosines and MRR@10 against bfloat16 and float32.

    taskset -c 0 python eval/benchmarks/int8_passages.py --corpus sample-en --corpus sample-ko

What `rag-app export openvino` writes, calibrated on the corpus's passages, is judged on all
labelled questions, which pass the float weights. Then 150 passages pass the model in bfloat16 (only
where the processor multiplies it), in float32 and in 8 bits, in turns, three times. Seconds are
those of the processor, and how many times as fast the graph is, is taken within each turn, so that
other work on the machine weighs on all alike; on one core no thread waits for another. Written to
eval/results/int8_passages.json; what is done is kept.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from unittest.mock import patch

import openvino
import torch
from corpora import WORK, Corpus
from held_out import measure_exports, open_labelled
from outcomes import interval

from rag_app.chunks import passage_text
from rag_app.evaluate.statistics import Difference
from rag_app.export.openvino import export_openvino
from rag_app.models import EmbeddingModel
from rag_app.models.device import has_bf16
from rag_app.pairs import build_questions, cluster_documents, document_texts

NAME = "int8_passages"
TURNS = 3
MOST_TIMED = 150
METRICS = ("hit_rate@1", "hit_rate@3", "mrr@10")


def measure(corpus: Corpus) -> list[dict[str, Any]]:
    """The graph of the corpus's model."""
    bench = open_labelled(corpus, 13)
    nodes, base = bench.passages.nodes, bench.base.model
    model = EmbeddingModel(base.name, base.folder, device="cpu")
    questions = build_questions(bench.pairs, nodes, cluster_documents(document_texts(nodes)))
    folder = WORK / f"{model.name.rpartition('/')[2]}-{corpus.name}-int8"
    started = time.perf_counter()
    exported = export_openvino(
        model, folder, bench.passages, questions, cache=bench.context.cache, seed=13
    )
    seconds = time.perf_counter() - started
    graph = EmbeddingModel(model.name, folder, device="cpu")
    texts = [passage_text(node) for node in nodes[:: -(-len(nodes) // MOST_TIMED)]]
    runs: dict[str, Callable[[], Any]] = {
        "float32": lambda: model.embed_passages(texts),
        "int8": lambda: graph.embed_passages(texts),
    }
    if has_bf16("cpu"):
        runs["bf16"] = lambda: model.embed_passages(texts)
    for run in runs.values():
        run()  # What is loaded and compiled once is not counted.
    turns = [
        {name: _seconds(run, float32=name == "float32") for name, run in runs.items()}
        for _ in range(TURNS)
    ]
    if exported.comparison is None:
        raise ValueError(f"{corpus.name} has no questions")
    return [
        {
            "corpus": corpus.name,
            "model": model.name,
            "openvino": openvino.__version__,
            "threads": torch.get_num_threads(),
            "passages": len(nodes),
            "timed": len(texts),
            "n": len(questions),
            "bytes": exported.bytes,
            "cosine_mean": exported.cosine_mean,
            "cosine_min": exported.cosine_min,
            "differences": {
                metric: asdict(exported.comparison.differences[metric]) for metric in METRICS
            },
            "export_s": round(seconds, 1),
            "turns_cpu_s": turns,
        }
    ]


def _seconds(run: Callable[[], Any], *, float32: bool) -> float:
    """Of one run; with `float32` as on a processor that does not multiply bfloat16."""
    started = time.process_time()
    with patch(
        "rag_app.models.embedding.has_bf16", lambda device: not float32 and has_bf16(device)
    ):
        run()
    return round(time.process_time() - started, 3)


def print_table(rows: list[dict[str, Any]]) -> None:
    """The table of docs/measured.md."""
    heads = ("corpus, model", "questions", "cosine, mean and least", *METRICS, "bf16", "float32")
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    for row in rows:
        cells = [
            f"{row['corpus']}, {row['model'].rpartition('/')[2]}",
            str(row["n"]),
            f"{row['cosine_mean']:.4f}, {row['cosine_min']:.4f}",
            *(interval(Difference(**row["differences"][metric])) for metric in METRICS),
            *(ratios(row["turns_cpu_s"], name) for name in ("bf16", "float32")),
        ]
        print("| " + " | ".join(cells).replace(" 0.", " .") + " |")


def ratios(turns: list[dict[str, float]], name: str) -> str:
    """How many times as fast as this one the graph is: the median of the turns, and their range."""
    found = [turn[name] / turn["int8"] for turn in turns if name in turn]
    if not found:
        return ""
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def main() -> None:
    """Measure what is not measured yet."""
    measure_exports(NAME, str(__doc__), measure, print_table)


if __name__ == "__main__":
    main()
