"""A model as GGUF: how near llama.cpp's vectors and tokens are to the model's.

    python eval/benchmarks/gguf_export.py --corpus sample-en --corpus sample-ko

The file that `rag-app export gguf` writes is loaded by llama.cpp (package xllamacpp), which embeds
200 passages and 200 labelled questions of the corpus; their cosines to the model's own vectors are
counted. All passages and questions are also cut into tokens by both. Then the same model with
a query adapter of random numbers. Written to
eval/results/gguf_export.json; what is done is kept.
"""

import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from corpora import WORK, Corpus
from held_out import measure_exports, open_labelled

from rag_app.chunks import passage_text
from rag_app.export.gguf import export_gguf
from rag_app.models import EmbeddingModel
from rag_app.models.gguf import GGUF
from rag_app.models.gguf_engine import GgufModel
from rag_app.models.query_map import QueryMap, add_query_map

NAME = "gguf_export"
COMPARED = 200


def measure(corpus: Corpus) -> list[dict[str, Any]]:
    """The corpus's model, and the same with a query adapter."""
    bench = open_labelled(corpus, 13)
    model = bench.base.model
    texts = [passage_text(node) for node in bench.passages.nodes]
    asked = [pair.question for pair in bench.pairs]
    return [
        {"corpus": corpus.name, "adapter": one is not model, **compare(one, corpus, texts, asked)}
        for one in (model, adapted(model, corpus))
    ]


def adapted(model: EmbeddingModel, corpus: Corpus) -> EmbeddingModel:
    """The model with an adapter that moves questions by some .1."""
    random = np.random.default_rng(13)
    dim = model.dimension
    change = random.normal(0, 0.15 / np.sqrt(dim), (dim, dim)).astype(np.float32)
    folder = WORK / f"gguf-{corpus.name}-adapted-model"
    shutil.rmtree(folder, ignore_errors=True)
    add_query_map(model.folder, folder, QueryMap(change), prompts=model.prompts.by_task())
    return EmbeddingModel(f"{model.name} with an adapter", folder, device="cpu")


def compare(
    model: EmbeddingModel, corpus: Corpus, texts: list[str], asked: list[str]
) -> dict[str, Any]:
    """Cosines and tokens of one model."""
    folder = WORK / f"gguf-{corpus.name}{'-adapted' if model.has_query_map else ''}"
    exported = export_gguf(model, folder, texts, asked)
    engine = GgufModel(folder)
    some, questions = texts[:COMPARED], asked[:COMPARED]
    passages = (model.embed_passages(some) * engine.embed_passages(some)).sum(axis=1)
    queries = (model.embed_queries(questions) * engine.embed_queries(questions)).sum(axis=1)
    return {
        "model": model.name,
        "bytes": exported.bytes,
        "passages": cosines(passages),
        "questions": cosines(queries),
        "tokenized": len(texts) + len(asked),
        "other_tokens": other_tokens(model, folder / GGUF, [*texts, *asked]),
    }


def cosines(found: Any) -> dict[str, float]:
    """How many, their mean and the least."""
    return {"n": len(found), "mean": float(found.mean()), "min": float(found.min())}


def other_tokens(model: EmbeddingModel, file: Path, texts: list[str]) -> int:
    """Texts that llama.cpp's own server cuts into other tokens than the model's tokenizer does."""
    from rag_app.llm.llama_cpp import import_llama_cpp, listen_here

    llama = import_llama_cpp()
    params = llama.CommonParams()
    listen_here(params)
    params.model.path, params.embedding = str(file), True
    server = llama.Server(params)
    ours = model.tokenizer.encode_batch(texts)
    return sum(
        tokens(server.listening_address, text) != one.ids
        for text, one in zip(texts, ours, strict=True)
    )


def tokens(address: str, text: str) -> list[int]:
    """The tokens of a text, special ones included."""
    body = json.dumps({"content": text, "add_special": True}).encode()
    head = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/tokenize", body, head)  # noqa: S310 - loopback
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        found: list[int] = json.load(answer)["tokens"]
    return found


def print_table(rows: list[dict[str, Any]]) -> None:
    """The table of docs/measured.md."""
    heads = ("model", "corpus", "adapter", "MB", "passages", "questions", "other tokens")
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    for row in rows:
        cells = [
            row["model"].removesuffix(" with an adapter"),
            row["corpus"],
            "yes" if row["adapter"] else "no",
            f"{row['bytes'] / 1e6:.0f}",
            *(f"{row[part]['mean']:.6f}, {row[part]['min']:.6f}" for part in PARTS),
            f"{row['other_tokens']} of {row['tokenized']}",
        ]
        print("| " + " | ".join(cells).replace(" 0.", " .") + " |")


PARTS = ("passages", "questions")


def main() -> None:
    """Measure what is not measured yet."""
    measure_exports(NAME, str(__doc__), measure, print_table)


if __name__ == "__main__":
    main()
