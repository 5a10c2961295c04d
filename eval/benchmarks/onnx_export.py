"""A model as ONNX, in float32 and with 8-bit weights: cosines, MRR@10, size, time.

    python eval/benchmarks/onnx_export.py --corpus sample-en --corpus sample-ko

Each graph is held against the model it was made of: cosines of 200 passages and 200 questions,
MRR@10 on all labelled questions with the interval of the difference. Then all passages of the
corpus, and one question at a time, pass through model and graphs in turns, three times; the least
time of each counts. The model embeds passages in bfloat16 where the processor multiplies it.
Written
to eval/results/onnx_export.json; what is done is kept.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from corpora import WORK, Corpus
from held_out import measure_exports, open_labelled
from outcomes import interval

from rag_app.chunks import passage_text
from rag_app.evaluate.statistics import Difference
from rag_app.export.onnx import export_onnx
from rag_app.models.device import has_bf16
from rag_app.models.onnx import OnnxModel
from rag_app.pairs import build_questions, cluster_documents, document_texts
from rag_app.vectors import Embedder

NAME = "onnx_export"
KINDS = ("float32", "int8")
TURNS = 3
QUESTIONS = 30


def measure(corpus: Corpus) -> dict[str, Any]:
    """Both graphs of the corpus's model."""
    bench = open_labelled(corpus, 13)
    nodes, model = bench.passages.nodes, bench.base.model
    questions = build_questions(bench.pairs, nodes, cluster_documents(document_texts(nodes)))
    row: dict[str, Any] = {
        "corpus": corpus.name,
        "model": model.name,
        "passages": len(nodes),
        "n": len(questions),
        "bf16": has_bf16("cpu"),
    }
    graphs: dict[str, OnnxModel] = {}
    for kind in KINDS:
        folder = WORK / f"onnx-{corpus.name}-{kind}"
        exported = export_onnx(
            model,
            folder,
            bench.passages,
            questions,
            int8=kind == "int8",
            cache=bench.context.cache,
        )
        graphs[kind] = OnnxModel(folder)
        compared = exported.comparison
        row[kind] = {
            "bytes": exported.bytes,
            "cosine_mean": exported.cosine_mean,
            "cosine_min": exported.cosine_min,
            "mrr@10": compared and asdict(compared.differences["mrr@10"]),
        }
    texts = [passage_text(node) for node in nodes]
    asked = [question.text for question in questions[:QUESTIONS]]
    embedders: dict[str, Embedder] = {"model": model, **graphs}
    times: dict[str, dict[str, float]] = {name: {} for name in embedders}
    for _ in range(TURNS):
        for name, embedder in embedders.items():
            _least(times[name], "passages_s", embedder.embed_passages, [texts])
            _least(times[name], "question_ms", embedder.embed_queries, [[one] for one in asked])
    return {**row, "times": times}


def _least(
    times: dict[str, float],
    part: str,
    embed: Callable[[Sequence[str]], Any],
    batches: Sequence[Sequence[str]],
) -> None:
    started = time.perf_counter()
    for batch in batches:
        embed(batch)
    seconds = (time.perf_counter() - started) / len(batches)
    found = seconds * 1000 if part.endswith("_ms") else seconds
    times[part] = round(min(times.get(part, found), found), 3)


def print_table(rows: list[dict[str, Any]]) -> None:
    """The table of docs/measured.md."""
    heads = (
        "model",
        "",
        "MB",
        "cosine, mean and least",
        "change of MRR@10",
        "passages",
        "question",
    )
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    for row in rows:
        for kind in KINDS:
            one, times = row[kind], row["times"]
            ratios = (
                f"{times['model'][part] / times[kind][part]:.2f}"
                for part in ("passages_s", "question_ms")
            )
            cells = [
                row["model"],
                kind,
                f"{one['bytes'] / 1e6:.0f}",
                f"{one['cosine_mean']:.4f}, {one['cosine_min']:.4f}",
                interval(Difference(**one["mrr@10"])),
                *ratios,
            ]
            print("| " + " | ".join(cells).replace(" 0.", " .") + " |")


def main() -> None:
    """Measure what is not measured yet."""
    measure_exports(NAME, str(__doc__), lambda corpus: [measure(corpus)], print_table)


if __name__ == "__main__":
    main()
