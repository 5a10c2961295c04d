"""Every retrieval option on every corpus, beside LlamaIndex's own parts on the same indexes.

    python eval/benchmarks/retrieval_matrix.py [--corpus jhu] [--tuned] [--times]

Half of the questions of each corpus, by document, choose the hybrid's weight, and the other half is
scored; both are in a row of its own, and of a tuned model, which saw most of them. Times are
medians of single questions, asked of the index as the REPL asks it. What asks a language model is
scored on the first questions only. What is done is kept in eval/results/retrieval_matrix.json, and
every question's rank beside it; a run that was stopped goes on.
"""

import argparse
import contextlib
import datetime as dt
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from corpora import CORPORA, RESULTS, Corpus, load, write_results
from held_out import settings_for, show
from outcomes import SHOWN, KeptOutcomes, changes, interval
from stock_retrievers import STOCK, Stock

from rag_app.cli.given import index_options_of, language_model_of, workspace_of
from rag_app.config import Settings
from rag_app.environment import prepare_environment
from rag_app.evaluate.comparison import scores_json
from rag_app.evaluate.scoring import Outcome, score_questions
from rag_app.evaluate.statistics import summarise
from rag_app.index import Catalog, Passages
from rag_app.llm.chat import ChatModel
from rag_app.llm.choose import open_language_model
from rag_app.pairs import (
    Pair,
    Question,
    build_questions,
    document_texts,
    match_questions,
    read_questions,
    split_pairs,
    training_documents,
)
from rag_app.retrieve import RetrievalOptions, Searched, Tools, Trace, build_retriever
from rag_app.retrieve.pipeline import Pipeline
from rag_app.retrieve.recency import date_of
from rag_app.retrieve.versions import Wording
from rag_app.sweep.weight import tune_weight

NAME = "retrieval_matrix"
SEED = 13
TOP_K = 10
TIMED = 30
WARM_UP = 3
# Questions for what asks a language model: on two cores each costs seconds.
ASKED = 40
# After the newest document of the sample data, whenever the benchmark runs.
TODAY = dt.date(2026, 5, 15)

PLAIN = ("vector", "keyword", "hybrid:auto", "ranks:0.5")
STEPS = ("window:1", "parent:4", "latest", "cutoff 365d", "half-life 365d")
MODEL_STEPS = ("multi_query", "hyde")
FILTERED = "hybrid:auto, where product = ..."
# All questions, each half with the weight that the other chose.
BOTH_HALVES = "hybrid:auto, both halves"
# Not asked what the other rows are asked.
APART = (FILTERED, BOTH_HALVES)


@dataclass
class Bench:
    """One corpus: its index in memory and on disk, dev and test questions."""

    corpus: Corpus
    settings: Settings
    searched: Searched
    dev: list[Question]
    test: list[Question]
    depends_on: dict[str, str]
    llm: ChatModel | None
    kept: KeptOutcomes

    @cached_property
    def tools(self) -> Tools:
        """What retrieval needs besides."""
        return Tools.of(workspace_of(self.settings), self.llm, today=TODAY)

    @cached_property
    def weight(self) -> float:
        """The hybrid's weight, by dev."""
        options = RetrievalOptions().with_spec("hybrid:auto")
        return tune_weight(self.searched, options, self.dev, self.tools)

    def in_memory(self, options: RetrievalOptions) -> Pipeline:
        """The retriever over the passages in memory, whose search is exact."""
        return build_retriever(self.searched, options, top_k=TOP_K, tools=self.tools)

    def live(self, options: RetrievalOptions) -> Pipeline:
        """The retriever as the REPL has it, over the index's own search."""
        searched = Searched(self.searched.index, self.searched.model)
        return build_retriever(searched, options, top_k=TOP_K, tools=self.tools)

    def options(self, spec: str) -> RetrievalOptions:
        """Options of a spec; where a weight is to be tuned, the tuned one."""
        options = RetrievalOptions().with_spec(spec)
        if options.hybrid_weight is None:
            options = replace(options, hybrid_weight=self.weight)
        return options


def open_bench(
    corpus: Corpus, llm: ChatModel | None, kept: KeptOutcomes, *, model: str | None = None
) -> Bench:
    """Ingest if need be, and match the questions; with a tuned model, those it never saw."""
    from rag_app.ingest.request import IngestRequest
    from rag_app.ingest.stage import ingest

    settings = settings_for(corpus, SEED)
    workspace, options = workspace_of(settings), index_options_of(settings)
    name = ingest(
        workspace, IngestRequest([corpus.documents], options=options), progress=show
    ).index
    catalog = workspace.catalog
    wanted = model or corpus.model
    if wanted != corpus.model:
        name = next(name for name in catalog.names() if catalog.open(name).info.model == wanted)
    index = catalog.open(name)
    loaded = workspace.load_model(wanted)
    passages = index.passages()
    labelled = read_questions(corpus.questions)
    pairs = match_questions(labelled, passages.nodes).pairs
    seen = training_documents(loaded)
    if wanted != corpus.model and not seen:
        raise SystemExit(f"nobody knows what {wanted} was trained on; tune it again")
    fresh = [pair for pair in pairs if pair.document_id not in seen]
    split = split_pairs(
        fresh, document_texts(passages.nodes), seed=SEED, dev_share=0.0, test_share=0.5
    )

    def questions(part: Sequence[Pair]) -> list[Question]:
        return build_questions(part, passages.nodes, split.clusters)

    return Bench(
        corpus=corpus,
        settings=settings,
        searched=Searched(index, loaded, passages, workspace.cache),
        dev=questions(split.train),
        test=questions(split.test),
        depends_on=_depends_on(corpus, passages),
        llm=llm,
        kept=kept,
    )


def _depends_on(corpus: Corpus, passages: Passages) -> dict[str, str]:
    """Question -> "product", "date, newer" or "date, older": which version answers it."""
    if corpus.questions.suffix != ".jsonl":
        return {}
    rows = [json.loads(line) for line in corpus.questions.read_text("utf-8").splitlines()]
    kinds = {row["question"]: row for row in rows if "depends_on" in row}
    old = _older_documents(passages)
    return {
        question: "product"
        if row["depends_on"] == "product"
        else f"date, {'older' if any(o.endswith(row['document']) for o in old) else 'newer'}"
        for question, row in kinds.items()
    }


def _older_documents(passages: Passages) -> set[str]:
    """Documents of which there is a newer version."""
    dated = [
        (day, Wording.of(node), node.ref_doc_id)
        for node in passages.nodes
        if (day := date_of(node)) is not None
    ]
    return {
        document
        for day, wording, document in dated
        if any(other > day and wording.is_version_of(version) for other, version, _ in dated)
    }


def measure(bench: Bench, spec: str) -> dict[str, Any]:
    """One of our retrievers: scores, milliseconds and model calls per question."""
    options = bench.options(spec)
    questions = bench.test[:ASKED] if options.asks_model else bench.test
    retriever = bench.in_memory(options)
    calls, seconds = [], 0.0
    if options.asks_model:
        # Once for the calls; the answers are cached for the scoring.
        started = time.perf_counter()
        traces = [Trace(question.text) for question in questions]
        retriever.rank(traces)
        calls = [trace.model_calls for trace in traces]
        seconds = time.perf_counter() - started
    row = _row(bench, spec, score_questions(retriever, questions))
    row["spec"] = options.spec
    row["model_calls"] = statistics.fmean(calls) if calls else 0.0
    if seconds:
        row["milliseconds_with_model"] = 1000 * seconds / len(questions)
    return row


def measure_both_halves(bench: Bench, spec: str, name: str) -> dict[str, Any]:
    """As `measure`, all questions, each half by the weight that the other half chose."""
    halves = [bench, replace(bench, dev=bench.test, test=bench.dev)]
    outcomes: list[Outcome] = []
    specs = []
    for half in halves:
        options = half.options(spec)
        outcomes += score_questions(half.in_memory(options), half.test)
        specs.append(options.spec)
    row = _row(bench, name, outcomes)
    return {**row, "spec": " and ".join(dict.fromkeys(specs))}


def measure_filtered(bench: Bench) -> dict[str, Any]:
    """The hybrid on questions about one of several products, each filtered by its product."""
    passages = bench.searched.passages
    product = {n.node_id: n.metadata.get("product") for n in passages.nodes} if passages else {}
    asked = [one for one in bench.test if bench.depends_on.get(one.text) == "product"]
    outcomes = []
    for question in asked:
        [wanted, *_] = [product[chunk] for gold in question.gold for chunk in gold]
        options = replace(bench.options("hybrid:auto"), where=f'product = "{wanted}"')
        outcomes += score_questions(bench.in_memory(options), [question])
    return {**_row(bench, FILTERED, outcomes), "spec": FILTERED}


def measure_stock(bench: Bench, name: str, stock: Stock) -> dict[str, Any]:
    """One of LlamaIndex's, on the same index."""
    questions = bench.test[:ASKED] if stock.asks_model else bench.test
    retriever = stock.make(bench.searched, bench.llm, TOP_K)
    started = time.perf_counter()
    outcomes = score_questions(retriever, questions)
    seconds = time.perf_counter() - started
    row = _row(bench, name, outcomes)
    if stock.asks_model:
        row["milliseconds_with_model"] = 1000 * seconds / len(questions)
        row["model_calls"] = 1.0
    return {**row, "spec": name}


def take_times(bench: Bench, name: str) -> dict[str, float]:
    """Median milliseconds of a row, the language model's left out; theirs and ours in turns."""
    if name in APART or (name in STOCK and STOCK[name].asks_model):
        return {}
    if name not in STOCK:
        return {"milliseconds": _milliseconds(bench.live(bench.options(name)), bench.test)}
    theirs = STOCK[name].make(bench.searched, bench.llm, TOP_K)
    ours = bench.live(bench.options(STOCK[name].ours))
    # Questions that ours was not asked before: it remembers the words of those.
    first, second = _in_turns(theirs.retrieve, ours.retrieve, bench.test[WARM_UP + TIMED :])
    return {"milliseconds": first, "ours_beside": second}


def _in_turns(
    theirs: Callable[[str], Any], ours: Callable[[str], Any], questions: Sequence[Question]
) -> tuple[float, float]:
    """Median milliseconds of both, each question asked of one right after the other."""
    seconds: dict[str, list[float]] = {"theirs": [], "ours": []}
    for number, question in enumerate(questions[: WARM_UP + TIMED]):
        turns = [("theirs", theirs), ("ours", ours)]
        for name, ask in turns if number % 2 else turns[::-1]:
            started = time.perf_counter()
            ask(question.text)
            seconds[name].append(time.perf_counter() - started)
    first, second = (1000 * statistics.median(one[WARM_UP:]) for one in seconds.values())
    return first, second


def _kept_name(corpus: str, model: str, name: str) -> str:
    """Under which a row's outcomes are kept."""
    return f"{corpus} {model} {name}"


def _row(bench: Bench, name: str, outcomes: list[Outcome]) -> dict[str, Any]:
    bench.kept.put(_kept_name(bench.corpus.name, bench.searched.model.name, name), outcomes)
    parts = {}
    for kind in sorted(set(bench.depends_on.values())):
        chosen = [one for one in outcomes if bench.depends_on.get(one.question) == kind]
        if chosen:
            parts[kind] = {"n": len(chosen), **scores_json(summarise(chosen, seed=SEED))}
    return {
        "n": len(outcomes),
        **scores_json(summarise(outcomes, seed=SEED)),
        "depends_on": parts,
    }


def _milliseconds(retriever: Pipeline, questions: Sequence[Question]) -> float:
    seconds = []
    for question in questions[: WARM_UP + TIMED]:
        started = time.perf_counter()
        retriever.retrieve(question.text)
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds[WARM_UP:])


def rows_of(corpus: Corpus, model: str, *, with_llm: bool) -> list[str]:
    """Names of the rows: searches, then each step on the hybrid, then LlamaIndex's."""
    if model != corpus.model:
        return ["vector", "hybrid:auto"]
    return [
        *PLAIN,
        BOTH_HALVES,
        *(f"hybrid:auto+{step}" for step in STEPS),
        "vector+latest",
        *(f"vector+{step}" for step in MODEL_STEPS if with_llm),
        *([FILTERED] if corpus.name.startswith("sample") else []),
        *(name for name, stock in STOCK.items() if with_llm or not stock.asks_model),
    ]


@dataclass(frozen=True)
class Wanted:
    """What to measure: also on the tuned model, also what asks a language model, also times."""

    tuned: bool
    llm: bool
    times: bool


def run(
    corpus: Corpus,
    done: dict[str, Any],
    save: Callable[[], None],
    kept: KeptOutcomes,
    wanted: Wanted,
) -> None:
    """Measure what is missing of one corpus."""
    with contextlib.ExitStack() as stack:
        llm = None
        writer = language_model_of(settings_for(corpus, SEED))
        if wanted.llm and (opened := open_language_model(writer)):
            llm = stack.enter_context(opened)
        for model in [corpus.model, *(_tuned_model(corpus) if wanted.tuned else [])]:
            rows = done.setdefault(model, {})
            names = rows_of(corpus, model, with_llm=wanted.llm)
            bench = open_bench(corpus, llm, kept, model=model)
            for name in names:
                print(f"{corpus.name} {model} {name} ...", flush=True)
                if name not in rows or _kept_name(corpus.name, model, name) not in kept:
                    rows[name] = _measure(bench, name)
                if wanted.times and "milliseconds" not in rows[name]:
                    rows[name] |= take_times(bench, name)
                save()


def _measure(bench: Bench, name: str) -> dict[str, Any]:
    if name == FILTERED:
        return measure_filtered(bench)
    if name in STOCK:
        return measure_stock(bench, name, STOCK[name])
    if name == BOTH_HALVES:
        return measure_both_halves(bench, "hybrid:auto", name)
    if bench.searched.model.name != bench.corpus.model:
        return measure_both_halves(bench, name, name)
    return measure(bench, name)


def _tuned_model(corpus: Corpus) -> list[str]:
    """The model that held_out.py tuned on this corpus's labelled pairs, if it has."""
    catalog = Catalog(settings_for(corpus, SEED).storage)
    path = RESULTS / "held_out.json"
    rows = json.loads(path.read_text("utf-8"))["rows"] if path.is_file() else []
    wanted = (corpus.name, "labelled", SEED)
    made = [row["index"] for row in rows if (row["corpus"], row["kind"], row["seed"]) == wanted]
    return [catalog.open(name).info.model for name in catalog.names() if name in made][:1]


def print_table(results: dict[str, dict[str, Any]], kept: KeptOutcomes) -> None:
    """Rows of each corpus, each against plain vector search, and stock against ours."""
    for corpus, models in results.items():
        for model, rows in models.items():
            print(f"\n{corpus}, {model.rsplit('/', 1)[-1]}, {rows['vector']['n']} questions")
            names = {row: _kept_name(corpus, model, row) for row in rows}
            for name, row in rows.items():
                apart = name in APART
                changed = "" if apart else _change(kept, names["vector"], names[name])
                print(_line(name, row, changed))
                for kind, part in row["depends_on"].items():
                    scores = " ".join(f"{part[metric]['mean']:.3f}" for metric in SHOWN)
                    label = f"{kind} ({part['n']})"
                    print(f"      {label:<30} {scores}")
            for name, stock in STOCK.items():
                if name in rows and stock.ours in rows:
                    changed = _change(kept, names[name], names[stock.ours])
                    print(f"  {stock.ours} against {name}: MRR@10 {changed}{_ratio(rows[name])}")


def _line(name: str, row: dict[str, Any], change: str) -> str:
    scores = " ".join(f"{row[metric]['mean']:.3f}" for metric in SHOWN)
    time_ = row.get("milliseconds_with_model") or row.get("milliseconds") or 0.0
    shown = row["spec"] if row["spec"] != name else name
    return (
        f"  {shown:<34} {scores}  {change}  {time_:7.1f} ms  {row.get('model_calls', 0):.1f} calls"
    )


def _change(kept: KeptOutcomes, before: str, after: str) -> str:
    """Change of MRR@10 on the questions that both rows were asked; nothing where one is missing."""
    if before not in kept or after not in kept:
        return ""
    return interval(changes(*kept.both(before, after), seed=SEED)["mrr@10"])


def _ratio(stock: dict[str, Any]) -> str:
    if "ours_beside" not in stock:
        return ""
    return f", {stock['milliseconds'] / stock['ours_beside']:.2f} times as fast"


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA))
    parser.add_argument("--tuned", action="store_true", help="also on held_out.py's tuned model")
    parser.add_argument(
        "--no-llm", action="store_true", help="leave out for now what asks a language model"
    )
    parser.add_argument(
        "--times", action="store_true", help="also milliseconds: on an idle machine"
    )
    arguments = parser.parse_args()
    prepare_environment()
    path = RESULTS / f"{NAME}.json"
    results: dict[str, dict[str, Any]] = (
        json.loads(path.read_text("utf-8"))["corpora"] if path.is_file() else {}
    )
    kept = KeptOutcomes(NAME)
    for name in arguments.corpus or list(CORPORA):
        run(
            load(name),
            results.setdefault(name, {}),
            lambda: write_results(NAME, {"corpora": results}),
            kept,
            Wanted(arguments.tuned, not arguments.no_llm, arguments.times),
        )
    print_table(results, kept)


if __name__ == "__main__":
    main()
