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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from corpora import write_results

from rag_app.retrieve.chunk_rows import quantise
from rag_app.retrieve.sentences.folder import load_sentence_vectors, save_sentence_vectors
from rag_app.retrieve.sentences.vectors import SentenceVectors

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
        size = sum(file.stat().st_size for file in place.iterdir())
        del vectors
        started = time.perf_counter()
        loaded = load_sentence_vectors(place, "stamp")
        load_seconds = time.perf_counter() - started
        if loaded is None:
            raise SystemExit("the vectors that were just kept do not load")
        wall, processor = ask(loaded, draw)
    values: dict[str, Any] = {
        "chunks": chunks,
        "sentences_a_chunk": SENTENCES,
        "dimension": DIMENSION,
        "ms": percentiles(wall),
        "processor_ms": percentiles(processor),
        "load_seconds": round(load_seconds, 2),
        "disk_mb": round(size / 1e6, 1),
        "bytes_a_chunk": round(size / chunks),
        "cosine_error": float(f"{error:.2g}"),
        "machine": {"cores": os.cpu_count(), "load_average": round(os.getloadavg()[0], 1)},
    }
    print("  ".join(f"{key} {value}" for key, value in values.items()))
    write_results("sentence_speed", values)


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


def ask(vectors: SentenceVectors, draw: np.random.Generator) -> tuple[list[float], list[float]]:
    """Seconds of each question, and those of processors, which other programs do not add to."""
    wall, processor = [], []
    for question in unit(draw, QUESTIONS):
        candidates = [vectors.chunk_ids[n] for n in draw.integers(len(vectors.chunk_ids), size=200)]
        candidates = list(dict.fromkeys(candidates))[:CANDIDATES]
        started, busy = time.perf_counter(), time.process_time()
        vectors.best(question, candidates)
        wall.append(time.perf_counter() - started)
        processor.append(time.process_time() - busy)
    return wall, processor


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Milliseconds, the median and the 95th percentile."""
    p50, p95 = np.percentile(1000 * np.array(seconds), [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


if __name__ == "__main__":
    main()
