"""What late interaction costs at 100,000 chunks: milliseconds of a question, and bytes.

    python eval/benchmarks/token_speed.py [--chunks 100000]

Token embeddings are drawn, of MiniLM's length; each chunk has 110 tokens, as many as those of the
English corpora have on average. A question of 12 tokens scores the 200 candidates that two searches
of a hybrid find at most, drawn anew for each, from the folder as the next process opens it; the
files are in the page cache, as after the first questions.
The question's tokens come from the pass of the model that makes its vector.
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from corpora import WORK, write_results
from llama_index.core.schema import TextNode
from sentence_speed import CANDIDATES, DIMENSION, QUESTIONS, SEED, percentiles, unit

from rag_app.retrieve.tokens.folder import load_token_embeddings, write_token_embeddings
from rag_app.retrieve.tokens.vectors import PassageTokens
from rag_app.vectors import TokenEmbeddings

TOKENS = 110
ASKED_TOKENS = 12
VOCABULARY = 30_000


class DrawnTokens:
    """Gives every text as many tokens, each somewhere."""

    name, dimension, fingerprint = "drawn", DIMENSION, "drawn"
    gives_tokens = True

    def __init__(self) -> None:
        self.draw = np.random.default_rng(SEED)

    def embed_passage_tokens(self, texts: Sequence[str]) -> list[TokenEmbeddings]:
        """Tokens of passages."""
        return [self.tokens(TOKENS) for _ in texts]

    def embed_query_tokens(self, texts: Sequence[str]) -> list[TokenEmbeddings]:
        """Tokens of questions."""
        return [self.tokens(ASKED_TOKENS) for _ in texts]

    def tokens(self, count: int) -> TokenEmbeddings:
        """So many."""
        ids = self.draw.integers(VOCABULARY, size=count).astype(np.int32)
        return TokenEmbeddings(ids, unit(self.draw, count))

    def embed_queries(self, texts: Sequence[str], **_: Any) -> Any:
        """Vectors, which nobody asks for here."""
        return unit(self.draw, len(texts))

    embed_passages = embed_queries


def main() -> None:
    """Make, keep, open and ask; print the figures and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000)
    chunks = parser.parse_args().chunks
    model = DrawnTokens()
    WORK.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=WORK) as place:
        folder = Path(place)
        write_token_embeddings(folder, drawn(chunks), model)
        size = sum(file.stat().st_size for file in folder.iterdir())
        started = time.perf_counter()
        loaded = load_token_embeddings(folder, model)
        load_seconds = time.perf_counter() - started
        if loaded is None:
            raise SystemExit("the embeddings that were just kept do not load")
        wall, processor = ask(loaded, model)
    values: dict[str, Any] = {
        "chunks": chunks,
        "tokens_a_chunk": TOKENS,
        "dimension": DIMENSION,
        "ms": percentiles(wall),
        "processor_ms": percentiles(processor),
        "load_seconds": round(load_seconds, 2),
        "disk_mb": round(size / 1e6, 1),
        "bytes_a_chunk": round(size / chunks),
        "machine": {"cores": os.cpu_count(), "load_average": round(os.getloadavg()[0], 1)},
    }
    print("  ".join(f"{key} {value}" for key, value in values.items()))
    write_results("token_speed", values)


def drawn(chunks: int) -> Iterator[TextNode]:
    """So many chunks."""
    return (TextNode(id_=f"{number:032x}", text="drawn") for number in range(chunks))


def ask(tokens: PassageTokens, model: DrawnTokens) -> tuple[list[float], list[float]]:
    """Seconds of each question, and those of processors, which other programs do not add to."""
    wall, processor = [], []
    for question in model.embed_query_tokens(["asked"] * QUESTIONS):
        places = model.draw.permutation(len(tokens.chunk_ids))[:CANDIDATES]
        candidates = [tokens.chunk_ids[place] for place in places]
        started, busy = time.perf_counter(), time.process_time()
        tokens.scores(question, candidates)
        wall.append(time.perf_counter() - started)
        processor.append(time.process_time() - busy)
    return wall, processor


if __name__ == "__main__":
    main()
