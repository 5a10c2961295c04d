"""What MiniLM's 384 dimensions cut to 256, 128 and 64 lose, untuned and tuned, and what they save.

    python eval/benchmarks/dimensions.py --corpus sample-en --corpus jhu --seeds 13,14,15

"plain" are the weights that `--preset quick` trains without a cut, whose vectors are then cut;
"matryoshka" those that it trains from the cut model, with MatryoshkaLoss at the full and the cut
dimensions. The map on questions is left out: it is fitted to what it finds. Every question's rank
is kept, and a run that was stopped goes on. `--markdown` prints the tables.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from corpora import CORPORA, MINILM, RESULTS, WORK, load, write_results
from held_out import show
from outcomes import KeptOutcomes, changes, interval, scores
from tuning_quality import LABELLED, Bench, open_bench
from tuning_quality import Way as Training

from rag_app.chunks import passage_text
from rag_app.cli.given import workspace_of
from rag_app.environment import prepare_environment
from rag_app.evaluate.comparison import exact_outcomes
from rag_app.evaluate.statistics import Difference
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.options import TrainingOptions
from rag_app.finetune.phases import train_phases
from rag_app.finetune.presets import as_quick
from rag_app.index import Passages, Workspace
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.models import EmbeddingModel
from rag_app.models.derived import cut_name
from rag_app.progress import silent
from rag_app.vectors import Vectors

NAME = "dimensions"
FULL, CUTS = 384, (256, 128, 64)
UNTUNED, PLAIN, MATRYOSHKA = "untuned", "plain", "matryoshka"


class FirstOf:
    """The first numbers of a model's vectors, from those that the cache has of all."""

    def __init__(self, model: EmbeddingModel, bench: Bench, dimension: int) -> None:
        self._model, self._cache = model, bench.cache
        self.dimension = dimension
        self.name = f"{model.name}-first-{dimension}"
        self.fingerprint = f"{model.fingerprint[:10]}-{dimension}"
        self.tokenizer, self.max_tokens = model.tokenizer, model.max_tokens
        self.overhead_tokens = model.overhead_tokens

    def embed_queries(self, texts: Sequence[str], *, progress: Any = silent) -> Vectors:
        """As the model, cut and of unit length."""
        return self._cut(self._cache.embed_queries(self._model, texts, progress=progress))

    def embed_passages(self, texts: Sequence[str], *, progress: Any = silent) -> Vectors:
        """As the model, cut and of unit length."""
        return self._cut(self._cache.embed_passages(self._model, texts, progress=progress))

    def _cut(self, vectors: Vectors) -> Vectors:
        first = vectors[:, : self.dimension]
        return np.asarray(first / np.linalg.norm(first, axis=1, keepdims=True), np.float32)


def measure(bench: Bench, way: str, cuts: Sequence[int], kept: KeptOutcomes) -> Iterator[str]:
    """Score one way at each number of dimensions; yields what is done."""
    model = bench.base if way == UNTUNED else None
    for dimension in (FULL, *cuts):
        name = row_name(bench.corpus.name, bench.seed, way, dimension)
        if name in kept or (way == MATRYOSHKA and dimension == FULL):
            continue
        if way == MATRYOSHKA:
            base = workspace_of(bench.settings).load_model(cut_name(MINILM, dimension))
            model = _train(bench, base)
        model = model or _train(bench, bench.base)
        embedder = FirstOf(model, bench, dimension)
        texts = [passage_text(node) for node in bench.passages.nodes]
        passages = Passages(bench.passages.nodes, embedder.embed_passages(texts))
        kept.put(name, exact_outcomes(passages, embedder, bench.material.test))
        yield name


def row_name(corpus: str, seed: int, way: str, dimension: int) -> str:
    """Of the outcomes."""
    return f"{corpus} {seed} {way} {dimension}"


def _train(bench: Bench, base: EmbeddingModel) -> EmbeddingModel:
    scale = round(1 / bench.base.temperature)
    options = TrainingOptions(method="full", seed=bench.seed, scale=scale)
    options = as_quick(options, bench.material.rows, bench.base)
    context = TrainingContext(workspace_of(bench.settings), show)
    return train_phases(context, base, bench.material, options).model


def index_sizes(bench: Bench) -> dict[str, Any]:
    """Megabytes of the index on disk, and of the vectors alone, by number of dimensions."""
    found: dict[str, Any] = {"chunks": len(bench.passages.nodes)}
    for dimension in (FULL, *CUTS):
        embedder = FirstOf(bench.base, bench, dimension)
        storage = WORK / bench.corpus.name / f"first-{dimension}"
        workspace = Workspace(storage, embedder=embedder)
        options = IndexOptions(embedder.name)
        report = ingest(
            workspace, IngestRequest([bench.corpus.documents], options=options), progress=show
        )
        folder = workspace.catalog.open(report.index).folder / "chroma"
        files = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        found[str(dimension)] = {
            "index_mb": round(sum(files) / 2**20, 2),
            "vectors_mb": round(4 * dimension * report.chunks / 2**20, 2),
        }
    return found


def summary(kept: KeptOutcomes, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Each way and number of dimensions over its seeds: against all dimensions, and plain."""
    found = []
    for corpus in CORPORA:
        for way in (UNTUNED, PLAIN, MATRYOSHKA):
            for dimension in (FULL, *CUTS):
                mine = [s for s in seeds if row_name(corpus, s, way, dimension) in kept]
                if mine:
                    found.append(_summary(kept, corpus, way, dimension, mine))
    return found


def _summary(
    kept: KeptOutcomes, corpus: str, way: str, dimension: int, seeds: Sequence[int]
) -> dict[str, Any]:
    def pooled(way: str, dimension: int) -> Any:
        return kept.pooled({seed: row_name(corpus, seed, way, dimension) for seed in seeds})

    mine = pooled(way, dimension)
    one: dict[str, Any] = {"corpus": corpus, "way": way, "dimensions": dimension, "seeds": seeds}
    one["scores"] = {metric: asdict(value) for metric, value in scores(mine).items()}
    if dimension != FULL:
        whole = pooled(UNTUNED if way == UNTUNED else PLAIN, FULL)
        one["over all dimensions"] = _plain(changes(whole, mine))
    if way == MATRYOSHKA:
        one["over plain"] = _plain(changes(pooled(PLAIN, dimension), mine))
    if way != UNTUNED:
        one["over untuned"] = _plain(changes(pooled(UNTUNED, dimension), mine))
    return one


def _plain(changed: dict[str, Difference]) -> dict[str, Any]:
    return {metric: asdict(value) for metric, value in changed.items()}


def print_markdown(found: Sequence[dict[str, Any]], sizes: dict[str, Any]) -> None:
    """MRR@10, what cutting changes, what MatryoshkaLoss brings; then sizes."""
    shown = ("over all dimensions", "over untuned", "over plain")
    heads = ["documents", "way", "dimensions", "seeds", "MRR@10", *shown]
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    for one in found:
        moved = (interval(Difference(**one[k]["mrr@10"])) if k in one else "" for k in shown)
        seeds = ", ".join(map(str, one["seeds"]))
        mean = f"{one['scores']['mrr@10']['mean']:.3f}"
        cells = [one["corpus"], one["way"], str(one["dimensions"]), seeds, mean, *moved]
        print("| " + " | ".join(cells).replace("0.", ".") + " |")
    for corpus, size in sizes.items():
        print(f"\n{corpus}: {size}")


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA))
    parser.add_argument("--ways", default=f"{UNTUNED},{PLAIN},{MATRYOSHKA}")
    parser.add_argument("--cuts", default=",".join(map(str, CUTS)))
    parser.add_argument("--seeds", default="13,14,15")
    parser.add_argument("--markdown", action="store_true", help="print what is there")
    arguments = parser.parse_args()
    prepare_environment()
    seeds, cuts = (list(map(int, text.split(","))) for text in (arguments.seeds, arguments.cuts))
    kept = KeptOutcomes(NAME)
    path = RESULTS / f"{NAME}.json"
    sizes = json.loads(path.read_text("utf-8"))["sizes"] if path.is_file() else {}
    if not arguments.markdown:
        for corpus in map(load, arguments.corpus or ["sample-en", "jhu"]):
            for seed in seeds:
                bench = open_bench(corpus, LABELLED, seed, Training())
                if corpus.name not in sizes:
                    sizes[corpus.name] = index_sizes(bench)
                for way in arguments.ways.split(","):
                    for name in measure(bench, way, cuts, kept):
                        print(name, flush=True)
                        found = summary(kept, seeds)
                        write_results(NAME, {"summary": found, "sizes": sizes})
    print_markdown(summary(kept, seeds), sizes)


if __name__ == "__main__":
    main()
