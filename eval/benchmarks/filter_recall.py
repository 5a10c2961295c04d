"""Recall of filtered search against exact search, by how few of the chunks fit.

    python eval/benchmarks/filter_recall.py [--chunks 20000] [--queries 50]

Random unit vectors (the hardest for an approximate index), each chunk with metadata fields that
10, 1, .1 and .01 % of the chunks share; and k close to the size of the collection.
"""

import argparse
import datetime as dt
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from corpora import write_results
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

from rag_app.chunking import Chunking
from rag_app.environment import prepare_environment
from rag_app.index import IndexInfo, VectorIndex
from rag_app.index.catalog import Catalog
from rag_app.retrieve.filters.where import Where, parse_where

DIMENSION, TOP_K = 384, 10
SHARES = (0.1, 0.01, 0.001, 0.0001)


def main() -> None:
    """Measure, print the rows, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=50)
    arguments = parser.parse_args()
    prepare_environment()
    draw = np.random.default_rng(0)
    vectors = unit(draw.normal(size=(arguments.chunks, DIMENSION)))
    queries = unit(draw.normal(size=(arguments.queries, DIMENSION)))
    with TemporaryDirectory() as name:
        index = make_index(Path(name), vectors)
        rows = [measured(index, vectors, queries, share) for share in (None, *SHARES)]
        everything = measured(index, vectors, queries[:3], None, top_k=arguments.chunks - 1)
    values = {"chunks": arguments.chunks, "queries": arguments.queries}
    write_results("filter_recall", {**values, "rows": [*rows, everything]})


def unit(vectors: Any) -> Any:
    """At unit length, float32."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def make_index(storage: Path, vectors: Any) -> VectorIndex:
    """An index of chunks whose field `every_N` is 1 in each Nth of them."""
    chunking = Chunking()
    info = IndexInfo("m", "m", "f" * 16, DIMENSION, chunking.chunk_size, 32, "rules")
    index = Catalog(storage).make("filters", info)
    nodes = []
    for number in range(len(vectors)):
        fields = {field(share): int(number % round(1 / share) == 0) for share in SHARES}
        own = {"document_hash": "h", "chunk_index": 0, "chunk_count": 1, "path": f"/{number}"}
        source = RelatedNodeInfo(node_id=f"d{number}")
        nodes.append(
            TextNode(
                id_=str(number),
                text="x",
                metadata={**own, **fields},
                relationships={NodeRelationship.SOURCE: source},
            )
        )
    with index.writing():
        index.records()
        index.write(nodes, vectors)
    return index


def field(share: float) -> str:
    """The field that such a share of the chunks has."""
    return f"every_{round(1 / share)}"


def where_of(share: float) -> Where:
    """The filter that such a share of the chunks fits."""
    return parse_where(f"{field(share)} = 1", {field(share): {int}}, today=dt.date(2026, 1, 1))


def measured(
    index: VectorIndex, vectors: Any, queries: Any, share: float | None, top_k: int = TOP_K
) -> dict[str, Any]:
    """Recall of the index's own search, and how long it takes."""
    step = 1 if share is None else round(1 / share)
    fitting = np.arange(0, len(vectors), step)
    where = None if share is None else where_of(share)
    recalls, seconds = [], []
    for query in queries:
        scores = vectors[fitting] @ query
        best = {str(one) for one in fitting[np.argsort(-scores)[:top_k]]}
        started = perf_counter()
        found = index.search_ids(query, top_k=top_k, filters=where.filters if where else None)
        seconds.append(perf_counter() - started)
        recalls.append(len(best & found.keys()) / len(best))
    row = {
        "share": share,
        "top_k": top_k,
        "fit": len(fitting),
        "recall": round(float(np.mean(recalls)), 4),
        "median_ms": round(float(np.median(seconds)) * 1000, 1),
    }
    print(json.dumps(row), flush=True)
    return row


if __name__ == "__main__":
    main()
