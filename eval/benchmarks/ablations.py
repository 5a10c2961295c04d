"""What the parts of `--preset quick` bring: the same trained weights with and without each of them.

    python eval/benchmarks/ablations.py --corpus jhu --corpus sample-ko [--kinds labelled]

"quick" is the tuned weights and a query adapter. Each other way changes one thing of it: "no query
adapter" is its weights alone, "half of the tuned weights" takes their average with the base's (and
makes an adapter for it), "half without query adapter" leaves that out besides, and "query adapter
alone" is made for the base's weights. Weights are trained once a split.

Out-of-domain questions are those of tuning_quality.py (XQuAD), and "sample" those that
`rag-app finetune` takes unless told otherwise: the sample data, where the model reads it and is not
tuned on it. What is done is kept in eval/results/ablations.json, and every question's rank beside
it; a run that was stopped goes on. `--markdown` prints the table.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from corpora import CORPORA, RESULTS, load, write_results
from held_out import show
from outcomes import KeptOutcomes, changes, interval, scores
from tuning_quality import LABELLED, Bench, Way, harmless, open_bench

from rag_app.chunks import passage_text
from rag_app.environment import prepare_environment
from rag_app.evaluate.canary import Canary, canary_outcomes, find_canary
from rag_app.evaluate.comparison import exact_outcomes
from rag_app.evaluate.scoring import Outcome
from rag_app.evaluate.statistics import Difference
from rag_app.finetune.back_off import blended
from rag_app.finetune.options import TrainingOptions
from rag_app.finetune.phases import TrainedModel, train_phases, with_map
from rag_app.finetune.presets import DEFAULT, QUICK, as_quick
from rag_app.finetune.train.methods import ADAPTER
from rag_app.index import Passages
from rag_app.models import EmbeddingModel

NAME = "ablations"
NO_MAP = "no query adapter"
HALF = "half of the tuned weights"
HALF_WITHOUT_MAP = "half without query adapter"
MAP_ALONE = "query adapter alone"
WAYS = (QUICK, NO_MAP, HALF, HALF_WITHOUT_MAP, MAP_ALONE)
CANARIES = ("canary", "sample")


@dataclass
class Trainings:
    """The models of one split, each made from what another one left."""

    bench: Bench

    def __post_init__(self) -> None:
        bench = self.bench
        self.context = bench.context
        given = TrainingOptions(**DEFAULT, seed=bench.seed)
        self.options = as_quick(given, bench.material.rows, bench.base)

    def model(self, way: str) -> EmbeddingModel:
        """The way's model."""
        if way == MAP_ALONE:
            return self._train(ADAPTER).model
        if way == NO_MAP:
            return self._train("full").model
        if way == HALF_WITHOUT_MAP:
            return self._half().model
        if way == HALF:
            bench = self.bench
            return with_map(self.context, bench.base, bench.material, self._half()).model
        return harmless(self.bench, self._train()).model

    def _train(self, method: str = DEFAULT["method"]) -> TrainedModel:
        options = replace(self.options, method=method)
        return train_phases(self.context, self.bench.base, self.bench.material, options)

    def _half(self) -> TrainedModel:
        return blended(self.context, self.bench.base, self._train("full"), 0.5)


def measure(bench: Bench, way: str, sample: Canary | None, kept: KeptOutcomes) -> dict[str, Any]:
    """One way of one split, at home and elsewhere."""
    started = time.perf_counter()
    model = Trainings(bench).model(way)
    seconds = time.perf_counter() - started
    texts = [passage_text(node) for node in bench.passages.nodes]
    tuned = Passages(bench.passages.nodes, bench.cache.embed_passages(model, texts, progress=show))
    found = {
        "": (
            exact_outcomes(bench.passages, bench.base, bench.material.test, cache=bench.cache),
            exact_outcomes(tuned, model, bench.material.test, cache=bench.cache),
        )
    }
    for part, canary in zip(CANARIES, (bench.canary, sample), strict=True):
        if canary is not None:
            found[f" {part}"] = (
                canary_outcomes(canary, bench.base, cache=bench.cache),
                canary_outcomes(canary, model, cache=bench.cache),
            )
    for part, outcomes in found.items():
        for name, one in zip(("base", way), outcomes, strict=True):
            kept.put(f"{bench.corpus.name} {bench.kind} {bench.seed} {name}{part}", one)
    return {
        "corpus": bench.corpus.name,
        "kind": bench.kind,
        "way": way,
        "seed": bench.seed,
        "training_pairs": len(bench.material.rows),
        "epochs": Trainings(bench).options.epochs,
        "has_map": model.has_query_map,
        "n": len(bench.material.test),
        "mrr@10": {
            part.strip() or "home": [_mrr(one) for one in outcomes]
            for part, outcomes in found.items()
        },
        "seconds": round(seconds, 1),
    }


def _mrr(outcomes: list[Outcome]) -> float:
    return sum(outcome.values["mrr@10"] for outcome in outcomes) / len(outcomes)


def summary(rows: list[dict[str, Any]], kept: KeptOutcomes) -> list[dict[str, Any]]:
    """Each way over all its seeds: at home over the base and over quick, and elsewhere."""
    found = []
    for corpus, kind, way in dict.fromkeys((r["corpus"], r["kind"], r["way"]) for r in rows):
        mine = [r for r in rows if (r["corpus"], r["kind"], r["way"]) == (corpus, kind, way)]
        seeds = [r["seed"] for r in mine]

        def pooled(part: str, *, seeds: list[int] = seeds, of: str = f"{corpus} {kind}") -> Any:
            return kept.pooled({seed: f"{of} {seed} {part}" for seed in seeds})

        base, tuned = pooled("base"), pooled(way)
        one: dict[str, Any] = {
            "corpus": corpus,
            "kind": kind,
            "way": way,
            "seeds": seeds,
            "base": {metric: asdict(value) for metric, value in scores(base).items()},
            "tuned": {metric: asdict(value) for metric, value in scores(tuned).items()},
            "change": _plain(base, tuned),
        }
        measured = [
            r["seed"] for r in rows if (r["corpus"], r["kind"], r["way"]) == (corpus, kind, QUICK)
        ]
        if way != QUICK and set(seeds) <= set(measured):
            one["over quick"] = _plain(pooled(QUICK), tuned)
        for part in CANARIES:
            if all(part in r["mrr@10"] for r in mine):
                one[part] = _plain(pooled(f"base {part}"), pooled(f"{way} {part}"))
        found.append(one)
    return found


def _plain(before: list[Outcome], after: list[Outcome]) -> dict[str, Any]:
    return {metric: asdict(value) for metric, value in changes(before, after).items()}


def print_markdown(found: list[dict[str, Any]]) -> None:
    """Change of MRR@10 over the base, over quick, and elsewhere."""
    heads = ["documents", "trained on", "way", "seeds", "over the base", "over quick", *CANARIES]
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    for one in found:
        shown = ("change", "over quick", *CANARIES)
        moved = (interval(Difference(**one[k]["mrr@10"])) if k in one else "" for k in shown)
        seeds = ", ".join(map(str, one["seeds"]))
        cells = [one["corpus"], one["kind"], one["way"], seeds, *moved]
        print("| " + " | ".join(cells).replace("0.", ".") + " |")


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA))
    parser.add_argument("--kinds", default=LABELLED)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--seeds", default="13,14,15")
    parser.add_argument("--markdown", action="store_true", help="print what is there")
    arguments = parser.parse_args()
    prepare_environment()
    path = RESULTS / f"{NAME}.json"
    rows = json.loads(path.read_text("utf-8"))["rows"] if path.is_file() else []
    kept = KeptOutcomes(NAME)
    if arguments.markdown:
        print_markdown(summary(rows, kept))
        return
    done = {(row["corpus"], row["kind"], row["way"], row["seed"]) for row in rows}
    for corpus in map(load, arguments.corpus or ["jhu", "sample-ko", "sample-en"]):
        for kind in arguments.kinds.split(","):
            for seed in map(int, arguments.seeds.split(",")):
                ways = [
                    way
                    for way in arguments.ways.split(",")
                    if (corpus.name, kind, way, seed) not in done
                ]
                if not ways:
                    continue
                bench = open_bench(corpus, kind, seed, Way())
                nodes = bench.passages.nodes
                sample = find_canary(bench.base, bench.prepared.source.info.chunking, nodes)
                for way in ways:
                    print(f"{corpus.name} {kind} {way}, seed {seed} ...", flush=True)
                    rows.append(measure(bench, way, sample, kept))
                    write_results(NAME, {"summary": summary(rows, kept), "rows": rows})
    print_markdown(summary(rows, kept))


if __name__ == "__main__":
    main()
