"""What a refit on all pairs brings over the model that was judged, on questions neither has seen.

    python eval/benchmarks/refit.py --corpus sample-en --corpus sample-ko --corpus korquad-several

Three tenths of the questions are put aside, of passages whose other questions stay. On the rest
`finetune --held-out questions --preset quick` trains a model and judges it, holding out its own
dev and test questions; the refit trains on all of that rest. Base, judged model and refit are then
asked what was put aside. Intervals are of all seeds together, resampled by document.
What is done is kept in eval/results/refit.json; a run that was stopped goes on.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from corpora import CORPORA, RESULTS, Corpus, canary_folder, load, write_results
from held_out import open_labelled
from outcomes import KeptOutcomes, changes, interval, scores

from rag_app.environment import prepare_environment
from rag_app.evaluate.canary import read_canary
from rag_app.evaluate.comparison import exact_outcomes
from rag_app.finetune.data.material import passage_of, prepare_materials
from rag_app.finetune.options import TrainingOptions
from rag_app.finetune.prepare import Prepared
from rag_app.finetune.presets import DEFAULT, QUICK
from rag_app.finetune.refit import refit
from rag_app.finetune.request import FinetuneRequest
from rag_app.finetune.trial import embedded, score_trial, train_one
from rag_app.pairs import (
    SplitInput,
    SplitOptions,
    build_questions,
    document_texts,
    split_as_asked,
    without_self_answering,
)
from rag_app.retrieve import Searched

NAME = "refit"
MODELS = ("base", "judged", "refit")


def measure(corpus: Corpus, seed: int, kept: KeptOutcomes) -> dict[str, Any]:
    """One split: train, judge, refit, and ask all three models what was put aside."""
    started = time.perf_counter()
    bench = open_labelled(corpus, seed)
    context, passages, base = bench.context, bench.passages, bench.base.model
    texts = document_texts(passages.nodes)
    given = SplitInput(
        without_self_answering(bench.pairs, texts), texts, passage_of(passages.nodes)
    )
    [outer] = split_as_asked(given, SplitOptions(held_out="questions", dev_share=0.0), seed=seed)
    options = TrainingOptions(**DEFAULT, seed=seed)
    materials = prepare_materials(
        outer.train,
        [],
        train_on="labelled",
        passages=passages,
        embed=base.embed_queries,
        options=SplitOptions(held_out="questions"),
        batch_size=options.batch_size,
        seed=seed,
    )
    canary = read_canary(canary_folder(), base, bench.base.index.info.chunking)
    prepared = Prepared(
        bench.base.index,
        bench.base,
        passages,
        Searched(bench.base.index, bench.base.model, passages),
        materials,
        canary,
    )
    request = FinetuneRequest(options=options, preset=QUICK)
    trained, _ = train_one(context, request, prepared, materials[0])
    trial = score_trial(context, prepared, materials[0], trained)
    again = refit(context, prepared, [trial], batch_size=options.batch_size)
    questions = build_questions(outer.known, passages.nodes, outer.clusters)
    for name, model in zip(MODELS, (base, trained.model, again.trained.model), strict=True):
        held = passages if model is base else embedded(context, passages, model)
        kept.put(
            f"{corpus.name} {seed} {name}",
            exact_outcomes(held, model, questions, cache=context.cache),
        )
    return {
        "corpus": corpus.name,
        "seed": seed,
        "asked": len(questions),
        "judged_pairs": len(materials[0].rows),
        "refit_pairs": again.pairs,
        "refused": again.refused,
        "agreement": again.agreement,
        "seconds": round(time.perf_counter() - started, 1),
    }


def summary(rows: Sequence[dict[str, Any]], kept: KeptOutcomes) -> list[dict[str, Any]]:
    """Each corpus over all its seeds."""
    found = []
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        seeds = [row["seed"] for row in rows if row["corpus"] == corpus]
        pooled = {
            name: kept.pooled({seed: f"{corpus} {seed} {name}" for seed in seeds})
            for name in MODELS
        }
        found.append(
            {
                "corpus": corpus,
                "seeds": seeds,
                **{
                    name: {metric: asdict(one) for metric, one in scores(pooled[name]).items()}
                    for name in MODELS
                },
                "judged_over_base": _plain(changes(pooled["base"], pooled["judged"])),
                "refit_over_judged": _plain(changes(pooled["judged"], pooled["refit"])),
                "refit_over_base": _plain(changes(pooled["base"], pooled["refit"])),
            }
        )
    return found


def _plain(changed: dict[str, Any]) -> dict[str, Any]:
    return {metric: asdict(change) for metric, change in changed.items()}


def print_table(rows: Sequence[dict[str, Any]], kept: KeptOutcomes) -> None:
    """The table of docs/measured.md: MRR@10."""
    print("| documents | seeds | base | judged | refit | refit over judged |")
    print("|---|---|---|---|---|---|")
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        seeds = [row["seed"] for row in rows if row["corpus"] == corpus]
        pooled = [
            kept.pooled({seed: f"{corpus} {seed} {name}" for seed in seeds}) for name in MODELS
        ]
        means = " | ".join(f"{scores(one)['mrr@10'].mean:.3f}" for one in pooled)
        change = interval(changes(pooled[1], pooled[2])["mrr@10"])
        print(f"| {corpus} | {len(seeds)} | {means} | {change} |".replace("0.", "."))


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA))
    parser.add_argument("--seeds", default="13,14,15")
    arguments = parser.parse_args()
    prepare_environment()
    path = RESULTS / f"{NAME}.json"
    rows = json.loads(path.read_text("utf-8"))["rows"] if path.is_file() else []
    kept = KeptOutcomes(NAME)
    done = {(row["corpus"], row["seed"]) for row in rows}
    for corpus in map(load, arguments.corpus or ["sample-en", "sample-ko", "korquad-several"]):
        for seed in map(int, arguments.seeds.split(",")):
            if (corpus.name, seed) not in done:
                rows.append(measure(corpus, seed, kept))
                write_results(NAME, {"summary": summary(rows, kept), "rows": rows})
    print_table(rows, kept)


if __name__ == "__main__":
    main()
