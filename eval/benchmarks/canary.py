"""A harmful recipe, and what is left of its gain and of its harm after it was weakened.

    python eval/benchmarks/canary.py [--corpus sample-en --corpus jhu] [--seeds 13,14,15]

The recipe is ten times the usual learning rate on texts of 64 tokens, and all of the tuned weights
instead of half: it is meant to do harm. Out-of-domain questions are XQuAD's. "Before" is the model
as it was trained, held by `guard` where it certainly falls there, as every such model was until it
was weakened; "after" is what `back_off` chose by the out-of-domain questions. Both are judged
on the same test questions. Intervals of one seed are resampled by document; of all seeds together,
a question that several seeds held out counts as one. What is done is kept in
eval/results/canary.json, and every question's rank beside it; a run that was stopped goes on.
`--markdown` prints the table of docs/measured.md.
"""

import argparse
import json
import time
from dataclasses import asdict
from typing import Any

from corpora import RESULTS, load, write_results
from held_out import show
from outcomes import KeptOutcomes, changes, interval
from tuning_quality import LABELLED, TITLES, Bench, Way, open_bench

from rag_app.chunks import passage_text
from rag_app.cli.given import workspace_of
from rag_app.environment import prepare_environment
from rag_app.evaluate.canary import canary_outcomes, changes_on
from rag_app.evaluate.comparison import Comparison, compare_outcomes, exact_outcomes
from rag_app.evaluate.statistics import Difference
from rag_app.evaluate.verdict import guard
from rag_app.finetune.back_off import back_off
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.options import TrainingOptions
from rag_app.finetune.phases import train_phases
from rag_app.finetune.presets import DEFAULT
from rag_app.index import Passages
from rag_app.models import EmbeddingModel

NAME = "canary"
HARMFUL: dict[str, Any] = {
    **DEFAULT,
    "epochs": 3,
    "learning_rate": 5e-4,
    "max_tokens": 64,
    "blend": 1.0,
}
STATES = ("before", "after")
HOME, ELSEWHERE = "home", "elsewhere"


def measure(bench: Bench, kept: KeptOutcomes) -> dict[str, Any]:
    """Train, weaken, and judge both."""
    context = TrainingContext(workspace_of(bench.settings), show)
    options = TrainingOptions(**HARMFUL, seed=bench.seed)
    trained = train_phases(context, bench.base, bench.material, options)

    changes_of = changes_on(bench.canary, bench.base, cache=bench.cache, seed=bench.seed)
    started = time.perf_counter()
    chosen, frontier = back_off(
        context, bench.base, trained, material=bench.material, changes_of=changes_of
    )
    seconds = time.perf_counter() - started
    row: dict[str, Any] = {
        "corpus": bench.corpus.name,
        "seed": bench.seed,
        "n": len(bench.material.test),
        "seconds": round(seconds, 1),
        "frontier": [asdict(candidate) for candidate in frontier],
    }
    for state, model in zip(STATES, (trained.model, chosen.model), strict=True):
        home, elsewhere = _judge(bench, model), _watch(bench, model)
        verdict = guard(home.verdict, elsewhere.differences)
        row[state] = {
            HOME: asdict(home.differences["mrr@10"]),
            ELSEWHERE: asdict(elsewhere.differences["mrr@10"]),
            "verdict": verdict.decision,
        }
        for part, comparison in ((HOME, home), (ELSEWHERE, elsewhere)):
            for name, outcomes in (
                (f"base {part}", comparison.base_outcomes),
                (f"{state} {part}", comparison.tuned_outcomes),
            ):
                kept.put(f"{bench.corpus.name} {bench.seed} {name}", outcomes)
    return row


def _watch(bench: Bench, model: EmbeddingModel) -> Comparison:
    before, after = (
        canary_outcomes(bench.canary, each, cache=bench.cache) for each in (bench.base, model)
    )
    return compare_outcomes(before, after, seed=bench.seed)


def _judge(bench: Bench, model: EmbeddingModel) -> Comparison:
    nodes, test, cache = bench.passages.nodes, bench.material.test, bench.cache
    texts = [passage_text(node) for node in nodes]
    tuned = Passages(nodes, cache.embed_passages(model, texts, progress=show))
    return compare_outcomes(
        exact_outcomes(bench.passages, bench.base, test, cache=cache),
        exact_outcomes(tuned, model, test, cache=cache),
        seed=bench.seed,
    )


def summary(rows: list[dict[str, Any]], kept: KeptOutcomes) -> list[dict[str, Any]]:
    """Each corpus over all its seeds: change of MRR@10 at home and elsewhere, before and after."""
    found = []
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        mine = [row for row in rows if row["corpus"] == corpus]
        seeds = [row["seed"] for row in mine]

        def pooled(name: str, *, of: str = corpus, seeds: list[int] = seeds) -> Any:
            return kept.pooled({seed: f"{of} {seed} {name}" for seed in seeds})

        one: dict[str, Any] = {
            "corpus": corpus,
            "seeds": seeds,
            "chosen": [_chosen(row) for row in mine],
        }
        for state in STATES:
            one[state] = {
                part: asdict(changes(pooled(f"base {part}"), pooled(f"{state} {part}"))["mrr@10"])
                for part in (HOME, ELSEWHERE)
            }
            one[state]["verdicts"] = [row[state]["verdict"] for row in mine]
        found.append(one)
    return found


def _chosen(row: dict[str, Any]) -> str:
    [name] = [one["name"] for one in row["frontier"] if one["chosen"]] or ["as trained"]
    return str(name)


def print_markdown(found: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    """What each seed came to, and each corpus over its seeds."""
    heads = ("documents", "seed", "chosen", "", "held-out questions", "XQuAD", "verdict")
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    for row in rows:
        for state in STATES:
            _print_row(row, state, str(row["seed"]), _chosen(row), row[state]["verdict"])
    for one in found:
        seeds = ", ".join(map(str, one["seeds"]))
        for state in STATES:
            _print_row(one, state, seeds, "", "")


def _print_row(one: dict[str, Any], state: str, seeds: str, chosen: str, verdict: str) -> None:
    moved = (interval(Difference(**one[state][part])) for part in (HOME, ELSEWHERE))
    name = chosen if state == "after" else ""
    cells = [TITLES[one["corpus"]], seeds, name, state, *moved, verdict]
    print("| " + " | ".join(cells).replace("0.", ".") + " |")


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=("sample-en", "jhu"))
    parser.add_argument("--seeds", default="13,14,15")
    parser.add_argument("--markdown", action="store_true", help="print what is there")
    arguments = parser.parse_args()
    prepare_environment()
    path = RESULTS / f"{NAME}.json"
    rows = json.loads(path.read_text("utf-8"))["rows"] if path.is_file() else []
    kept = KeptOutcomes(NAME)
    done = {(row["corpus"], row["seed"]) for row in rows}
    for name in [] if arguments.markdown else arguments.corpus or ["sample-en", "jhu"]:
        corpus = load(name)
        for seed in map(int, arguments.seeds.split(",")):
            if (name, seed) not in done:
                print(f"{name}, seed {seed} ...", flush=True)
                rows.append(measure(open_bench(corpus, LABELLED, seed, Way()), kept))
                found = summary(rows, kept)
                write_results(NAME, {"recipe": HARMFUL, "summary": found, "rows": rows})
    print_markdown(summary(rows, kept), rows)


if __name__ == "__main__":
    main()
