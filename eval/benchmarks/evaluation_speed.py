"""Scoring a question file: LlamaIndex's evaluator asking one by one, against ours, in one run.

    python eval/benchmarks/evaluation_speed.py [--rounds 3] [--corpus jhu]

Same index, same model, same questions, ten passages each; the numbers must agree. Ours is timed
twice: with questions that were never embedded, and with their vectors in the cache, as when the
same questions are scored again.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from corpora import CORPORA, load, write_results
from held_out import open_base, settings_for

from rag_app.environment import prepare_environment
from rag_app.index import VectorCache

DEPTH = 10
STOCK_METRICS = ("hit_rate", "mrr")


def main() -> None:
    """Time both in turns, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", default="jhu", choices=list(CORPORA))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    prepare_environment()
    stock, ours, n = contestants(arguments.corpus)
    rounds = []
    for _ in range(arguments.rounds):
        stock_seconds, stock_scores = timed(stock)
        with TemporaryDirectory() as folder:
            cache = VectorCache(Path(folder))
            first_seconds, our_scores = timed(lambda c=cache: ours(c))  # type: ignore[misc]
            again_seconds, our_scores = timed(lambda c=cache: ours(c))  # type: ignore[misc]
        rounds.append({"stock": stock_seconds, "first": first_seconds, "again": again_seconds})
        print(
            f"stock {stock_seconds:.2f} s {stock_scores}   ours {our_scores}: first time "
            f"{first_seconds:.2f} s, ratio {stock_seconds / first_seconds:.1f}; questions embedded "
            f"before {again_seconds:.2f} s, ratio {stock_seconds / again_seconds:.1f}",
            flush=True,
        )
    ratios = {
        kind: statistics.median(r["stock"] / r[kind] for r in rounds) for kind in ("first", "again")
    }
    print(f"{n} questions, median ratios: {ratios}")
    write_results(
        "evaluation_speed",
        {
            "corpus": arguments.corpus,
            "questions": n,
            "rounds": rounds,
            "median_ratios": ratios,
            "stock": stock_scores,
            "ours": our_scores,
        },
    )


def contestants(name: str) -> tuple[Callable[[], Any], Callable[[VectorCache], Any], int]:
    """Two functions that score the same questions, and how many there are."""
    from llama_index.core import VectorStoreIndex
    from llama_index.core.evaluation import RetrieverEvaluator
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding
    from llama_index.vector_stores.chroma import ChromaVectorStore

    from rag_app.cli.given import index_options_of, workspace_of
    from rag_app.evaluate.comparison import exact_outcomes
    from rag_app.ingest.request import IngestRequest
    from rag_app.ingest.stage import ingest
    from rag_app.pairs import build_questions, match_questions, read_questions

    corpus = load(name)
    settings = settings_for(corpus, 13)
    workspace, options = workspace_of(settings), index_options_of(settings)
    ingest(workspace, IngestRequest([corpus.documents], options=options))
    index, model = open_base(settings)
    nodes = index.passages().nodes
    pairs = match_questions(read_questions(corpus.questions), nodes).pairs
    questions = build_questions(pairs, nodes, {})
    embedding = HuggingFaceEmbedding(
        model_name=str(model.folder),
        query_instruction=model.prompts.query,
        text_instruction=model.prompts.passage,
        device="cpu",
    )
    store = VectorStoreIndex.from_vector_store(
        ChromaVectorStore(chroma_collection=index.store.client), embed_model=embedding
    )
    evaluator = RetrieverEvaluator.from_metric_names(
        list(STOCK_METRICS), retriever=store.as_retriever(similarity_top_k=DEPTH)
    )

    def stock() -> dict[str, float]:
        results = [
            evaluator.evaluate(q.text, sorted(frozenset().union(*q.gold))) for q in questions
        ]
        return {
            metric: round(sum(r.metric_vals_dict[metric] for r in results) / len(results), 4)
            for metric in STOCK_METRICS
        }

    def ours(cache: VectorCache) -> dict[str, float]:
        outcomes = exact_outcomes(index.passages(), model, questions, cache=cache)
        return {
            metric: round(sum(o.values[f"{metric}@{DEPTH}"] for o in outcomes) / len(outcomes), 4)
            for metric in STOCK_METRICS
        }

    return stock, ours, len(questions)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result of one call."""
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


if __name__ == "__main__":
    main()
