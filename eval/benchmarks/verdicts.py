"""Are verdicts right? Folds against one split, over resamplings of 150 pairs whose truth is known.

    python eval/benchmarks/verdicts.py [--resamples 50] [--method adapter]

Each resampling draws 150 of the English FAQ's pairs and tunes on them, once with one split and once
with five folds. Three recipes: "right" (the defaults on the labels as they are, where tuning helps:
on all other pairs of the FAQ it gains), "shuffled" (each question is given the answer of another,
so that there is nothing to learn and "promote" would be wrong) and "harmful" (a learning rate of
a thousand times the default, on the right labels: "promote" would be wrong again). The truth is
measured on 300 of the pairs that were not drawn. With --method adapter only the query adapter is
trained, which takes seconds; with "full,adapter" the weights are, too.

What is done is kept in eval/results/verdicts.json; a run that was stopped goes on.
"""

import argparse
import json
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from corpora import RESULTS, jhu_faq, write_results
from held_out import Labelled, open_labelled, show

from rag_app.environment import prepare_environment
from rag_app.evaluate.comparison import exact_outcomes
from rag_app.evaluate.statistics import difference
from rag_app.finetune.data.material import prepare_materials
from rag_app.finetune.judge import judge
from rag_app.finetune.options import TrainingOptions
from rag_app.finetune.prepare import Prepared
from rag_app.finetune.request import FinetuneRequest
from rag_app.finetune.trial import embedded, score_trial, train_one
from rag_app.pairs import Pair, SplitOptions, build_questions
from rag_app.retrieve import Searched

NAME = "verdicts"
PAIRS = 150
FOLDS = 5
TRUTH = 300
RECIPES = ("right", "shuffled", "harmful")
WAYS = {
    "one split": SplitOptions(held_out="documents"),
    "folds": SplitOptions(held_out="documents", folds=FOLDS),
}
HARMFUL_RATE = 5e-2


def drawn(bench: Labelled, recipe: str, number: int) -> tuple[list[Pair], list[Pair]]:
    """The pairs of a resampling as the recipe labels them, and others that were not drawn."""
    chance = random.Random(number)  # noqa: S311
    taken = chance.sample(list(bench.pairs), PAIRS)
    ids = {pair.id for pair in taken}
    if recipe == "shuffled":
        answers = taken[1:] + taken[:1]
        taken = [
            replace(pair, document_id=other.document_id, start=other.start, end=other.end)
            for pair, other in zip(taken, answers, strict=True)
        ]
    others = [pair for pair in bench.pairs if pair.id not in ids]
    return taken, chance.sample(others, TRUTH)


def measure(bench: Labelled, recipe: str, way: str, number: int, method: str) -> dict[str, Any]:
    """Tune as the way says and read the verdict; beside it, the truth."""
    started = time.perf_counter()
    pairs, others = drawn(bench, recipe, number)
    options = TrainingOptions(method=method, seed=number)
    if recipe == "harmful":
        options = replace(options, learning_rate=HARMFUL_RATE, whitening=0.0)
    materials = prepare_materials(
        pairs,
        [],
        train_on="labelled",
        passages=bench.passages,
        embed=partial(bench.context.cache.embed_queries, bench.base.model),
        options=WAYS[way],
        batch_size=options.batch_size,
        seed=number,
    )
    prepared = Prepared(
        bench.base.index,
        bench.base,
        bench.passages,
        Searched(bench.base.index, bench.base.model, bench.passages),
        materials,
        None,
    )
    request = FinetuneRequest(options=options)
    trials = []
    for material in materials:
        trained, _ = train_one(bench.context, request, prepared, material)
        trials.append(score_trial(bench.context, prepared, material, trained))
    judgement = judge(trials, seed=number)
    gain = truth(bench, trials[0].trained.model, others)
    for trial in trials:  # Nine hundred models would fill the disk.
        shutil.rmtree(trial.trained.model.folder)
    change = judgement.comparison.differences["mrr@10"]
    return {
        "recipe": recipe,
        "way": way,
        "number": number,
        "method": method,
        "n": judgement.comparison.n,
        "decision": judgement.verdict.decision,
        "mean": round(change.mean, 5),
        "low": round(change.low, 5),
        "high": round(change.high, 5),
        "p": change.p,
        "truth": round(gain, 5),
        "seconds": round(time.perf_counter() - started, 1),
    }


def truth(bench: Labelled, tuned: Any, others: Sequence[Pair]) -> float:
    """The change of MRR@10 on the pairs that were not drawn."""
    questions = build_questions(others, bench.passages.nodes, {})
    cache = bench.context.cache
    before = exact_outcomes(bench.passages, bench.base.model, questions, cache=cache)
    after = exact_outcomes(
        embedded(bench.context, bench.passages, tuned), tuned, questions, cache=cache
    )
    return difference(before, after, "mrr@10", seed=0).mean


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By recipe and way: decisions, mean width of the interval, how often it holds the truth."""
    found = []
    for method, recipe, way in dict.fromkeys((r["method"], r["recipe"], r["way"]) for r in rows):
        mine = [r for r in rows if (r["method"], r["recipe"], r["way"]) == (method, recipe, way)]
        wanted = "promote" if recipe == "right" else "not promote"
        promoted = sum(r["decision"] == "promote" for r in mine)
        found.append(
            {
                "method": method,
                "recipe": recipe,
                "way": way,
                "resamples": len(mine),
                "promoted": promoted,
                "rejected": sum(r["decision"] == "reject" for r in mine),
                "right": promoted if wanted == "promote" else len(mine) - promoted,
                "width": round(float(np.mean([r["high"] - r["low"] for r in mine])), 4),
                "mean": round(float(np.mean([r["mean"] for r in mine])), 4),
                "truth": round(float(np.mean([r["truth"] for r in mine])), 4),
                "holds_truth": sum(r["low"] <= r["truth"] <= r["high"] for r in mine),
                "seconds": round(float(np.median([r["seconds"] for r in mine])), 1),
            }
        )
    return found


def print_table(found: Sequence[dict[str, Any]]) -> None:
    """The table of docs/measured.md."""
    heads = ["method", "recipe", "way", "resamples", "promoted", "rejected", "width", "truth"]
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    for one in found:
        print("| " + " | ".join(str(one[head]) for head in heads) + " |")


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resamples", type=int, default=50)
    parser.add_argument("--method", default="adapter")
    parser.add_argument("--recipes", default=",".join(RECIPES))
    arguments = parser.parse_args()
    prepare_environment()
    path = RESULTS / f"{NAME}.json"
    rows = json.loads(path.read_text("utf-8"))["rows"] if path.is_file() else []
    done = {(r["method"], r["recipe"], r["way"], r["number"]) for r in rows}
    bench = open_labelled(jhu_faq(), 13)
    for number in range(arguments.resamples):
        for recipe in arguments.recipes.split(","):
            for way in WAYS:
                if (arguments.method, recipe, way, number) in done:
                    continue
                rows.append(measure(bench, recipe, way, number, arguments.method))
                write_results(NAME, {"summary": summary(rows), "rows": rows})
        show("resamples", number + 1, arguments.resamples)
    print_table(summary(rows))


if __name__ == "__main__":
    main()
