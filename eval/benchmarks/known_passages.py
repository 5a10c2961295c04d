"""Does a held-out question gain because its passage was held out, too? The same split, both ways.

    python eval/benchmarks/known_passages.py --corpus sample-en --corpus jhu [--method adapter]

Whitening turns questions away from passages that it has read. Here each split is trained twice on
the same questions: whitening and gate read the passages of the training documents alone ("held
out"), as up to November 2026, or those of all documents ("known"), as `rag-app finetune` does
since; they hold no label. The same questions are asked of both. Three splits; intervals are of all
together, resampled by document. What is done is kept in eval/results/known_passages.json; a run
that was stopped goes on.
"""

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from corpora import CORPORA, RESULTS, Corpus, load, write_results
from held_out import open_labelled
from outcomes import KeptOutcomes, changes, interval, scores

from rag_app.environment import prepare_environment
from rag_app.evaluate.comparison import exact_outcomes
from rag_app.finetune.data.material import prepare_materials
from rag_app.finetune.options import TrainingOptions
from rag_app.finetune.phases import train_phases
from rag_app.finetune.trial import embedded
from rag_app.pairs import SplitOptions

NAME = "known_passages"
WAYS = ("held out", "known")


def measure(corpus: Corpus, seed: int, method: str, kept: KeptOutcomes) -> dict[str, Any]:
    """One split, trained both ways."""
    started = time.perf_counter()
    bench = open_labelled(corpus, seed)
    context, passages, base = bench.context, bench.passages, bench.base.model
    options = TrainingOptions(method=method, seed=seed)
    [material] = prepare_materials(
        bench.pairs,
        [],
        train_on="labelled",
        passages=passages,
        embed=partial(context.cache.embed_queries, base),
        options=SplitOptions(held_out="documents"),
        batch_size=options.batch_size,
        seed=seed,
    )
    corpora = {"held out": list(material.pool.texts), "known": material.corpus}
    row = f"{corpus.name} {method} {seed}"
    asked = partial(exact_outcomes, cache=context.cache)
    kept.put(f"{row} base", asked(passages, base, material.test))
    for way in WAYS:
        trained = train_phases(context, base, replace(material, corpus=corpora[way]), options)
        tuned = trained.model
        kept.put(f"{row} {way}", asked(embedded(context, passages, tuned), tuned, material.test))
        shutil.rmtree(tuned.folder)
    return {
        "corpus": corpus.name,
        "method": method,
        "seed": seed,
        "asked": len(material.test),
        "passages": {way: len(corpora[way]) for way in WAYS},
        "seconds": round(time.perf_counter() - started, 1),
    }


def summary(rows: Sequence[dict[str, Any]], kept: KeptOutcomes) -> list[dict[str, Any]]:
    """Each corpus and method over all its seeds."""
    found = []
    for corpus, method in dict.fromkeys((row["corpus"], row["method"]) for row in rows):
        seeds = [r["seed"] for r in rows if (r["corpus"], r["method"]) == (corpus, method)]
        base, *tuned = (
            kept.pooled({seed: f"{corpus} {method} {seed} {part}" for seed in seeds})
            for part in ("base", *WAYS)
        )
        found.append(
            {
                "corpus": corpus,
                "method": method,
                "seeds": seeds,
                "base": asdict(scores(base)["mrr@10"]),
                "change": {
                    way: asdict(changes(base, each)["mrr@10"])
                    for way, each in zip(WAYS, tuned, strict=True)
                },
                "known_over_held_out": asdict(changes(*tuned)["mrr@10"]),
            }
        )
    return found


def print_table(rows: Sequence[dict[str, Any]], kept: KeptOutcomes) -> None:
    """The table of docs/measured.md."""
    print(
        "| documents | method | splits | base | passages held out | passages known | difference |"
    )
    print("|---|---|---|---|---|---|---|")
    for corpus, method in dict.fromkeys((row["corpus"], row["method"]) for row in rows):
        seeds = [r["seed"] for r in rows if (r["corpus"], r["method"]) == (corpus, method)]
        base, held_out, known = (
            kept.pooled({seed: f"{corpus} {method} {seed} {part}" for seed in seeds})
            for part in ("base", *WAYS)
        )
        cells = [
            f"{scores(base)['mrr@10'].mean:.3f}",
            *(
                interval(changes(one, other)["mrr@10"])
                for one, other in ((base, held_out), (base, known), (held_out, known))
            ),
        ]
        line = f"| {corpus} | {method} | {len(seeds)} | {' | '.join(cells)} |"
        print(line.replace("0.", "."))


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA))
    parser.add_argument("--method", default="adapter")
    parser.add_argument("--seeds", default="13,14,15")
    arguments = parser.parse_args()
    prepare_environment()
    path = RESULTS / f"{NAME}.json"
    rows = json.loads(path.read_text("utf-8"))["rows"] if path.is_file() else []
    kept = KeptOutcomes(NAME)
    done = {(row["corpus"], row["method"], row["seed"]) for row in rows}
    for corpus in map(load, arguments.corpus or ["sample-en", "jhu", "sample-ko", "korquad"]):
        for seed in map(int, arguments.seeds.split(",")):
            if (corpus.name, arguments.method, seed) not in done:
                rows.append(measure(corpus, seed, arguments.method, kept))
                write_results(NAME, {"summary": summary(rows, kept), "rows": rows})
    print_table(rows, kept)


if __name__ == "__main__":
    main()
