"""A passage seen several ways: whole, by words, best sentence, tokens, by the untuned model.

    python eval/benchmarks/views.py [--corpus jhu] [--tuned FOLDER]

All questions of each corpus are scored, each with weights from the other four fifths of the
clusters: the hybrid's one weight, those of a logistic regression, and `hybrid:learned`, which takes
fixed weights instead where these four fifths show that they are certainly better (folds within
folds); "learned where certain" takes the regression only where it is certainly better itself.
With `--tuned` the same with a model that `rag-app finetune` made of the corpus, on questions about
documents that training never saw, and the base model's cosines as a fifth view. What is done is
kept in eval/results/views.json, and every question's rank beside it; a stopped run goes on.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from corpora import RESULTS, Corpus, load, write_results
from held_out import settings_for, show
from llama_index.core.schema import NodeWithScore
from outcomes import KeptOutcomes, changes, interval, scores

from rag_app.chunks import passage_text
from rag_app.cli.given import index_options_of, workspace_of
from rag_app.environment import prepare_environment
from rag_app.evaluate.comparison import scores_json
from rag_app.evaluate.learning import (
    Asked,
    Floats,
    asked_of,
    best_fixed,
    cross_validated,
    learned_or_fixed,
    ordered,
    regression,
)
from rag_app.evaluate.verdict import certainly_rose
from rag_app.index import Passages, VectorIndex, Workspace
from rag_app.ingest.request import IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.pairs import (
    Question,
    build_questions,
    document_texts,
    match_questions,
    read_questions,
    split_pairs,
    training_documents,
)
from rag_app.retrieve import RetrievalOptions, Searched, Tools, Trace, rank_views
from rag_app.retrieve.exact import embed_questions
from rag_app.retrieve.sentences.vectors import SentenceVectors, sentence_texts
from rag_app.retrieve.trace import Ranking
from rag_app.vectors import Embedder, Vectors

NAME = "views"
SEED = 13
CORPORA = (
    *("sample-en", "sample-ko", "jhu", "korquad", "xquad-en"),
    *("jhu-de", "jhu-pl", "medquad", "pubmedqa"),
)
BASE, EXACT = "base", "sentence, four bytes a number"
HYBRID = "hybrid"
Weigh = Callable[[Sequence[Asked]], Floats]


@dataclass(frozen=True)
class Bench:
    """One corpus, in memory.

    Fields:
        base: the untuned model, where `model` is a tuned one.
    """

    workspace: Workspace
    index: VectorIndex
    model: Embedder
    passages: Passages
    base: Embedder | None

    @property
    def splitter(self) -> str:
        """How sentences are found."""
        return self.index.info.sentences


def open_bench(corpus: Corpus, tuned: Path | None) -> Bench:
    """Ingest if need be; embed the chunks with the tuned model where there is one."""
    settings = settings_for(corpus, SEED)
    workspace = workspace_of(settings)
    options = index_options_of(settings)
    opened = workspace.open(
        ingest(workspace, IngestRequest([corpus.documents], options=options), progress=show).index
    )
    passages = opened.index.passages()
    if tuned is None:
        return Bench(workspace, opened.index, opened.model, passages, None)
    model = workspace.load_model(str(tuned))
    texts = [passage_text(node) for node in passages.nodes]
    moved = Passages(passages.nodes, workspace.cache.embed_passages(model, texts))
    return Bench(workspace, opened.index, model, moved, opened.model)


def questions_of(corpus: Corpus, bench: Bench) -> list[Question]:
    """All that the model was not trained on the documents of."""
    nodes = bench.passages.nodes
    seen = training_documents(bench.model)
    pairs = match_questions(read_questions(corpus.questions), nodes).pairs
    fresh = [pair for pair in pairs if pair.document_id not in seen]
    clusters = split_pairs(
        fresh, document_texts(nodes), seed=SEED, dev_share=0.0, test_share=0.5
    ).clusters
    return build_questions(fresh, nodes, clusters)


def every_view(bench: Bench, asked: Sequence[Question]) -> dict[str, list[Ranking]]:
    """The rankings of all views, with those that only this benchmark looks at."""
    cache = bench.workspace.cache
    searched = Searched(bench.index, bench.model, bench.passages, cache)
    traces = [Trace(question.text) for question in asked]
    tools = Tools.of(bench.workspace)
    views = rank_views(searched, RetrievalOptions("hybrid"), traces, tools=tools)
    candidates = list(zip(views["vector"], views["keyword"], strict=True))
    questions = embed_questions(traces, bench.model, cache)
    views[EXACT] = rescored(candidates, questions, exact_sentences(bench))
    if bench.base is not None:
        questions = embed_questions(traces, bench.base, cache)
        views[BASE] = rescored(candidates, questions, whole_passages(bench, bench.base))
    return views


def exact_sentences(bench: Bench) -> SentenceVectors:
    """The sentence vectors as the model gives them."""
    texts = [sentence_texts(node, bench.splitter) for node in bench.passages.nodes]
    rows = bench.workspace.cache.embed_passages(
        bench.model, [one for some in texts for one in some]
    )
    return as_floats(bench.passages, [len(some) for some in texts], rows)


def whole_passages(bench: Bench, model: Embedder) -> SentenceVectors:
    """Another model's vectors of the passages: each a single sentence."""
    texts = [passage_text(node) for node in bench.passages.nodes]
    rows = bench.workspace.cache.embed_passages(model, texts)
    return as_floats(bench.passages, [1] * len(texts), rows)


def as_floats(passages: Passages, counts: list[int], rows: Any) -> SentenceVectors:
    """Rows that are no bytes, each with a scale of one."""
    ids = [node.node_id for node in passages.nodes]
    of_each = np.array(counts, np.int64)
    starts, scales = np.cumsum(of_each) - of_each, np.ones(len(rows), np.float32)
    return SentenceVectors(ids, starts, of_each, rows, scales)


def rescored(
    candidates: Sequence[Sequence[Ranking]], questions: Vectors, vectors: SentenceVectors
) -> list[Ranking]:
    """What two searches found, by the best cosine of these vectors."""
    rankings = []
    for found, question in zip(candidates, questions, strict=True):
        nodes = {hit.node.node_id: hit.node for hits in found for hit in hits}
        best = vectors.best(question, list(nodes))
        order = sorted(best, key=lambda chunk_id: -best[chunk_id])
        rankings.append([NodeWithScore(node=nodes[one], score=best[one]) for one in order])
    return rankings


def rows_of(*, tuned: bool) -> dict[str, tuple[tuple[str, ...], Weigh]]:
    """Row -> the views that take part, and how they are weighed by the questions of other folds."""
    finders = "vector", "keyword"
    three, four = (*finders, "sentence"), (*finders, "sentence", "token")

    def only(*weights: float) -> Weigh:
        return lambda _: np.array(weights)

    def learned(asked: Sequence[Asked]) -> Floats:
        return learned_or_fixed(asked, seed=SEED)[0]

    def where_certain(asked: Sequence[Asked]) -> Floats:
        _, change = learned_or_fixed(asked, seed=SEED)
        return (regression if certainly_rose(change) else best_fixed)(asked)

    rows: dict[str, tuple[tuple[str, ...], Weigh]] = {
        "vector": (finders, only(1, 0)),
        "keyword": (finders, only(0, 1)),
        "sentence": (three, only(0, 0, 1)),
        EXACT: ((*finders, EXACT), only(0, 0, 1)),
        "token": ((*finders, "token"), only(0, 0, 1)),
        HYBRID: (finders, best_fixed),
        "vector and sentence, equal": (three, only(1, 0, 1)),
        "all three, equal": (three, only(1, 1, 1)),
        "regression: vector, keyword": (finders, regression),
        "regression: all three": (three, regression),
        "regression: vector, keyword, token": ((*finders, "token"), regression),
        "regression: all four": (four, regression),
        "hybrid:equal": (four, only(1, 1, 1, 1)),
        "learned where certain": (four, where_certain),
        "hybrid:learned": (four, learned),
    }
    if tuned:
        rows |= {
            BASE: ((*finders, BASE), only(0, 0, 1)),
            "regression: vector, keyword, base": ((*finders, BASE), regression),
            "regression: all four, base": ((*four, BASE), regression),
        }
    return rows


def measure(
    views: Mapping[str, list[Ranking]],
    asked: Sequence[Question],
    row: tuple[tuple[str, ...], Weigh],
    kept: KeptOutcomes,
    name: str,
) -> dict[str, Any]:
    """One row: its scores, and the weights that all questions together would give."""
    names, weigh = row
    candidates = asked_of({view: views[view] for view in names}, asked, RetrievalOptions().fetch_k)
    outcomes = cross_validated(candidates, weigh)
    kept.put(name, outcomes)
    weights = dict(zip(ordered(names), weigh(candidates).round(3).tolist(), strict=True))
    return {"n": len(outcomes), "weights": weights, **scores_json(scores(outcomes, seed=SEED))}


def run(
    corpus: Corpus,
    tuned: Path | None,
    done: dict[str, Any],
    kept: KeptOutcomes,
    save: Callable[[], None],
) -> None:
    """Measure what is missing of one corpus."""
    rows = rows_of(tuned=tuned is not None)
    start = f"{row_name(corpus.name, tuned)}: "
    if all(name in done and start + name in kept for name in rows):
        return
    bench = open_bench(corpus, tuned)
    asked = questions_of(corpus, bench)
    views = every_view(bench, asked)
    counts = [len(sentence_texts(node, bench.splitter)) for node in bench.passages.nodes]
    done["chunks"], done["sentences_a_chunk"] = len(counts), round(float(np.mean(counts)), 2)
    for name, row in rows.items():
        print(f"{start}{name} ...", flush=True)
        done[name] = measure(views, asked, row, kept, start + name)
        save()


def row_name(corpus: str, tuned: Path | None) -> str:
    """What a corpus is called in the results."""
    return f"{corpus}, tuned" if tuned else corpus


def print_table(results: Mapping[str, Any], kept: KeptOutcomes) -> None:
    """Each row with what it changes against the hybrid; the learned ones against single parts."""
    for name, rows in results.items():
        start = f"{name}: "
        if "hybrid:learned" not in rows:
            continue
        print(f"\n{name}, {rows[HYBRID]['n']} questions, {rows['chunks']} chunks")
        for row in (one for one in rows if isinstance(rows[one], dict)):
            own = rows[row]
            change = changes(*kept.both(start + HYBRID, start + row), seed=SEED)["mrr@10"]
            mrr, hit = own["mrr@10"], own["hit_rate@1"]
            print(
                f"  {row:<34} MRR@10 {mrr['mean']:.3f} [{mrr['low']:.3f}, {mrr['high']:.3f}]  "
                f"hit@1 {hit['mean']:.3f} [{hit['low']:.3f}, {hit['high']:.3f}]  "
                f"over {HYBRID} {interval(change)}  {own['weights']}"
            )
        best = max(
            ("vector", "keyword", "sentence", "token"), key=lambda one: rows[one]["mrr@10"]["mean"]
        )
        for other, row in (
            (best, "hybrid:learned"),
            ("regression: all three", "regression: all four"),
            ("regression: vector, keyword, token", "regression: all four"),
            ("learned where certain", "hybrid:learned"),
            ("hybrid:equal", "hybrid:learned"),
        ):
            change = changes(*kept.both(start + other, start + row), seed=SEED)["mrr@10"]
            print(f"  {row} over {other}: {interval(change)}")
        lost = changes(*kept.both(start + EXACT, start + "sentence"), seed=SEED)["mrr@10"]
        print(f"  what bytes lose: {interval(lost)}")


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA))
    parser.add_argument("--tuned", type=Path, help="folder of a model tuned on the one corpus")
    arguments = parser.parse_args()
    prepare_environment()
    path = RESULTS / f"{NAME}.json"
    results: dict[str, Any] = (
        json.loads(path.read_text("utf-8"))["corpora"] if path.is_file() else {}
    )
    kept = KeptOutcomes(NAME)
    for name in arguments.corpus or list(CORPORA):
        done = results.setdefault(row_name(name, arguments.tuned), {})
        save = partial(write_results, NAME, {"corpora": results})
        run(load(name), arguments.tuned, done, kept, save)
    print_table(results, kept)


if __name__ == "__main__":
    main()
