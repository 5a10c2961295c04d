"""What OpenVINO makes of our ONNX files, in float32 and with 8-bit weights: cosines and MRR@10.

    pip install openvino
    python eval/benchmarks/onnx_openvino.py --corpus sample-en --corpus sample-ko

Each graph of `rag-app export onnx` is loaded by OpenVINO as it comes, on the processor, and held
against the model that it was made of, as onnx_export.py does with onnxruntime: cosines of 200
passages and 200 questions, MRR@10 on all labelled questions with the interval of the difference.
Written to eval/results/onnx_openvino.json; what is done is kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np
import openvino
from corpora import WORK, Corpus
from held_out import measure_exports, open_labelled
from outcomes import interval

from rag_app.chunks import passage_text
from rag_app.evaluate.comparison import compare_outcomes, exact_outcomes
from rag_app.evaluate.statistics import Difference
from rag_app.export.likeness import MOST_COMPARED
from rag_app.export.onnx import export_onnx
from rag_app.index import Passages
from rag_app.models.onnx import GRAPH, OnnxModel
from rag_app.pairs import build_questions, cluster_documents, document_texts
from rag_app.vectors import Vectors, row_cosines

NAME = "onnx_openvino"
KINDS = ("float32", "int8")


class Session:
    """OpenVINO with the two calls of onnxruntime that `OnnxModel` makes."""

    def __init__(self, path: str) -> None:
        self._compiled = openvino.Core().compile_model(path, "CPU")

    def get_outputs(self) -> list[SimpleNamespace]:
        """Outputs, each with its name."""
        return [SimpleNamespace(name=output.any_name) for output in self._compiled.outputs]

    def run(self, names: Sequence[str], given: Mapping[str, Vectors]) -> list[Vectors]:
        """The outputs of these names."""
        found = self._compiled(dict(given))
        return [np.array(found[name]) for name in names]


class OpenVinoModel(OnnxModel):
    """An exported graph, run by OpenVINO."""

    @cached_property
    def _session(self) -> Session:
        return Session(str(self.folder / GRAPH))


def measure(corpus: Corpus) -> dict[str, Any]:
    """Both graphs of the corpus's model."""
    bench = open_labelled(corpus, 13)
    nodes, model, cache = bench.passages.nodes, bench.base.model, bench.context.cache
    questions = build_questions(bench.pairs, nodes, cluster_documents(document_texts(nodes)))
    texts = [passage_text(node) for node in nodes]
    asked = [question.text for question in questions[:MOST_COMPARED]]
    own = Passages(nodes, cache.embed_passages(model, texts))
    before = exact_outcomes(own, model, questions, cache=cache)
    row: dict[str, Any] = {
        "corpus": corpus.name,
        "model": model.name,
        "openvino": openvino.__version__,
        "passages": len(nodes),
        "n": len(questions),
    }
    for kind in KINDS:
        folder = WORK / f"onnx-{corpus.name}-{kind}"
        if not (folder / GRAPH).is_file():
            labelled = questions if kind == "int8" else []
            int8 = kind == "int8"
            export_onnx(model, folder, bench.passages, labelled, int8=int8, cache=cache)
        graph = OpenVinoModel(folder)
        theirs = Passages(nodes, graph.embed_passages(texts))
        cosines = np.concatenate(
            [
                row_cosines(own.vectors[:MOST_COMPARED], theirs.vectors[:MOST_COMPARED]),
                row_cosines(model.embed_queries(asked), graph.embed_queries(asked)),
            ]
        )
        compared = compare_outcomes(before, exact_outcomes(theirs, graph, questions), seed=13)
        row[kind] = {
            "cosine_mean": float(cosines.mean()),
            "cosine_min": float(cosines.min()),
            "mrr@10": asdict(compared.differences["mrr@10"]),
        }
    return row


def print_table(rows: list[dict[str, Any]]) -> None:
    """The table of docs/measured.md."""
    heads = ("model", "", "cosine, mean and least", "change of MRR@10")
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    for row in rows:
        for kind in KINDS:
            one = row[kind]
            cells = [
                row["model"],
                kind,
                f"{one['cosine_mean']:.4f}, {one['cosine_min']:.4f}",
                interval(Difference(**one["mrr@10"])),
            ]
            print("| " + " | ".join(cells).replace(" 0.", " .") + " |")


def main() -> None:
    """Measure what is not measured yet."""
    measure_exports(NAME, str(__doc__), lambda corpus: [measure(corpus)], print_table)


if __name__ == "__main__":
    main()
