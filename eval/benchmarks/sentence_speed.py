"""What sentence vectors cost at 100,000 chunks: milliseconds of a question, and bytes.

    python eval/benchmarks/sentence_speed.py [--chunks 100000]

Vectors are drawn, of MiniLM's length; each chunk has 8 sentences, as many as those of the sample
corpora have on average. A question scores the 200 candidates that two searches of a hybrid find at
most, drawn anew for each, from the folder as the next process opens it. `cosine_error` is the
largest difference of a cosine from that of the vectors as they were. Then a hundredth of the chunks
is added, once by appending, as an ingest does, and once by writing all anew.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from corpora import write_results
from llama_index.core.schema import TextNode

from rag_app.retrieve.chunk_rows import ChunkRows, Columns, quantise
from rag_app.retrieve.rows_folder import RowsFolder
from rag_app.retrieve.sentences.vectors import SLAB, SentenceVectors

if TYPE_CHECKING:
    from rag_app.index import VectorIndex

R = TypeVar("R", bound=ChunkRows)

SEED = 13
DIMENSION = 384
SENTENCES = 8
CANDIDATES = 200
QUESTIONS = 200


def main() -> None:
    """Make, keep, open and ask; print the figures and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000)
    chunks = parser.parse_args().chunks
    draw = np.random.default_rng(SEED)
    error = cosine_error(draw)
    with TemporaryDirectory() as folder:
        rows_of = partial(drawn_rows, draw)
        kept = RowsFolder(Path(folder), SentenceVectors, "drawn", rows_of, slab=SLAB, step="")
        kept.write(drawn(range(chunks)))
        measured = measure(kept, chunks, ask=lambda loaded: asking(loaded, draw))
        measured |= added(kept, chunks)
    report(
        "sentence_speed",
        {
            **measured,
            "sentences_a_chunk": SENTENCES,
            "cosine_error": float(f"{error:.2g}"),
        },
    )


def measure(
    kept: RowsFolder[R], chunks: int, *, ask: Callable[[R], Iterable[Callable[[], object]]]
) -> dict[str, Any]:
    """Bytes of a folder, seconds to open it, and milliseconds of each question.

    Arguments:
        ask: of what the next process opens, one call for each question; what is made between them
            is not timed.
    """
    size = sum(file.stat().st_size for file in kept.folder.iterdir())
    started = time.perf_counter()
    loaded = kept.load()
    load_seconds = time.perf_counter() - started
    if loaded is None:
        raise SystemExit("what was just kept does not load")
    wall, processor = [], []
    for question in ask(loaded):
        started, busy = time.perf_counter(), time.process_time()
        question()
        wall.append(time.perf_counter() - started)
        # Other programs do not add to this.
        processor.append(time.process_time() - busy)
    return {
        "chunks": chunks,
        "dimension": DIMENSION,
        "ms": percentiles(wall),
        "processor_ms": percentiles(processor),
        "load_seconds": round(load_seconds, 2),
        "disk_mb": round(size / 1e6, 1),
        "bytes_a_chunk": round(size / chunks),
        "machine": {"cores": os.cpu_count(), "load_average": round(os.getloadavg()[0], 1)},
    }


def report(name: str, values: dict[str, Any]) -> None:
    """Print the figures and write the JSON."""
    print("  ".join(f"{key} {value}" for key, value in values.items()))
    write_results(name, values)


class DrawnIndex:
    """As much of an index as its rows are made of: chunks of these numbers."""

    def __init__(self, numbers: range) -> None:
        self.numbers = numbers

    def chunk_ids(self) -> list[str]:
        """Ids of all chunks."""
        return [node.node_id for node in self.nodes()]

    def nodes(self, chunk_ids: Sequence[str] | None = None) -> Iterator[TextNode]:
        """All chunks, or these."""
        return drawn(self.numbers) if chunk_ids is None else map(drawn_node, chunk_ids)

    def count(self) -> int:
        """Of all chunks."""
        return len(self.numbers)

    def refresh(self) -> None:
        """Nobody else writes it."""


def added(kept: RowsFolder[Any], chunks: int) -> dict[str, Any]:
    """Seconds to add a hundredth of the chunks, as an ingest does, and to write all anew."""
    index = cast("VectorIndex", DrawnIndex(range(chunks + chunks // 100)))
    seconds = {}
    started = time.perf_counter()
    rows = kept.open(index)
    seconds["appended"] = round(time.perf_counter() - started, 2)
    started = time.perf_counter()
    kept.write(index.nodes(), kept=rows)
    seconds["written_anew"] = round(time.perf_counter() - started, 2)
    return {"added_chunks": chunks // 100, "added_seconds": seconds}


def drawn(numbers: range) -> Iterator[TextNode]:
    """Chunks of these numbers."""
    return (drawn_node(f"{number:032x}") for number in numbers)


def drawn_node(chunk_id: str) -> TextNode:
    """One that nobody reads."""
    return TextNode(id_=chunk_id, text="drawn")


def drawn_rows(draw: np.random.Generator, nodes: Sequence[TextNode]) -> list[Columns]:
    """Vectors of the sentences of chunks."""
    rows, scales = quantise(unit(draw, len(nodes) * SENTENCES))
    parts = zip(np.split(rows, len(nodes)), np.split(scales, len(nodes)), strict=True)
    return [{"rows": some, "scales": its} for some, its in parts]


def cosine_error(draw: np.random.Generator) -> float:
    """The largest that a byte a number makes, of many vectors and questions."""
    exact, questions = unit(draw, 10_000), unit(draw, 100)
    rows, scales = quantise(exact)
    kept = rows.astype(np.float32) * scales[:, np.newaxis]
    return float(np.abs((exact - kept) @ questions.T).max())


def unit(draw: np.random.Generator, count: int) -> Any:
    """(count, DIMENSION) float32 of unit length."""
    vectors = draw.standard_normal((count, DIMENSION), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def asking(
    vectors: SentenceVectors, draw: np.random.Generator
) -> Iterator[Callable[[], dict[str, float]]]:
    """Each question, to be asked of candidates of its own."""
    for question in unit(draw, QUESTIONS):
        candidates = [vectors.chunk_ids[n] for n in draw.integers(len(vectors.chunk_ids), size=200)]
        yield partial(vectors.best, question, list(dict.fromkeys(candidates))[:CANDIDATES])


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Milliseconds, the median and the 95th percentile."""
    p50, p95 = np.percentile(1000 * np.array(seconds), [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


if __name__ == "__main__":
    main()
