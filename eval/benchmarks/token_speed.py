"""What late interaction costs at 100,000 chunks: milliseconds of a question, and bytes.

    python eval/benchmarks/token_speed.py [--chunks 100000]

Token embeddings are drawn, of MiniLM's length; each chunk has 110 tokens, as many as those of the
English corpora have on average. A question of 12 tokens scores the 200 candidates that two searches
of a hybrid find at most, drawn anew for each, from the folder as the next process opens it; the
files are in the page cache, as after the first questions. The question's own tokens are not timed:
they come from the pass of the model that makes its vector. Then a hundredth of the chunks is added,
once by appending, as an ingest does, and once by writing all anew.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from corpora import WORK
from sentence_speed import (
    CANDIDATES,
    DIMENSION,
    QUESTIONS,
    SEED,
    added,
    drawn,
    measure,
    report,
    unit,
)

from rag_app.retrieve.tokens.folder import token_folder
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
        kept = token_folder(Path(place), model)
        kept.write(drawn(range(chunks)))
        measured = measure(kept, chunks, ask=lambda loaded: asking(loaded, model))
        measured |= added(kept, chunks)
    report("token_speed", {**measured, "tokens_a_chunk": TOKENS})


def asking(tokens: PassageTokens, model: DrawnTokens) -> Iterator[Callable[[], dict[str, float]]]:
    """Each question, to be asked of candidates of its own."""
    for question in model.embed_query_tokens(["asked"] * QUESTIONS):
        places = model.draw.permutation(len(tokens.chunk_ids))[:CANDIDATES]
        yield partial(tokens.scores, question, [tokens.chunk_ids[place] for place in places])


if __name__ == "__main__":
    main()
