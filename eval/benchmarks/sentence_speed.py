"""What sentence vectors cost at 100,000 chunks: milliseconds of a question, and bytes.

    python eval/benchmarks/sentence_speed.py [--chunks 100000]

Vectors are drawn, of MiniLM's length; each chunk has 8 sentences, as many as those of the sample
corpora have on average. A question scores the 200 candidates that two searches of a hybrid find at
most, drawn anew for each, from the folder as the next process opens it. `cosine_error` is the
largest difference of a cosine from that of the vectors as they were.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
from corpora import write_results

from rag_app.retrieve.chunk_rows import quantise
from rag_app.retrieve.sentences.folder import load_sentence_vectors, save_sentence_vectors
from rag_app.retrieve.sentences.vectors import SentenceVectors

T = TypeVar("T")

SEED = 13
DIMENSION = 384
SENTENCES = 8
CANDIDATES = 200
QUESTIONS = 200
SLAB = 10_000


def main() -> None:
    """Make, keep, open and ask; print the figures and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000)
    chunks = parser.parse_args().chunks
    draw = np.random.default_rng(SEED)
    vectors, error = drawn(draw, chunks)
    with TemporaryDirectory() as folder:
        place = Path(folder) / "sentences"
        save_sentence_vectors(vectors, place, "stamp")
        del vectors
        measured = measure(
            place,
            chunks,
            load=lambda: load_sentence_vectors(place, "stamp"),
            ask=lambda loaded: asking(loaded, draw),
        )
    report(
        "sentence_speed",
        {
            **measured,
            "sentences_a_chunk": SENTENCES,
            "cosine_error": float(f"{error:.2g}"),
        },
    )


def measure(
    folder: Path,
    chunks: int,
    *,
    load: Callable[[], T | None],
    ask: Callable[[T], Iterable[Callable[[], object]]],
) -> dict[str, Any]:
    """Bytes of a folder, seconds to open it, and milliseconds of each question.

    Arguments:
        load: what the next process opens.
        ask: of that, one call for each question; what is made between them is not timed.
    """
    size = sum(file.stat().st_size for file in folder.iterdir())
    started = time.perf_counter()
    loaded = load()
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


def drawn(draw: np.random.Generator, chunks: int) -> tuple[SentenceVectors, float]:
    """Vectors of so many chunks, and the largest error of a cosine of the first of them."""
    parts, error = [], 0.0
    for done in range(0, chunks * SENTENCES, SLAB):
        exact = unit(draw, min(SLAB, chunks * SENTENCES - done))
        rows, scales = quantise(exact)
        if not done:
            questions = unit(draw, 100)
            kept = rows.astype(np.float32) * scales[:, np.newaxis]
            error = float(np.abs((exact - kept) @ questions.T).max())
        parts.append((rows, scales))
    rows, scales = (np.concatenate(column) for column in zip(*parts, strict=True))
    ids = [f"{number:032x}" for number in range(chunks)]
    return SentenceVectors(ids, np.arange(chunks + 1) * SENTENCES, rows, scales), error


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
