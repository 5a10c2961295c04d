"""Ways to tune, on the same splits: what each brings on held-out questions, and costs elsewhere.

    python eval/benchmarks/tuning_quality.py --corpus jhu [--kinds labelled] [--ways quick,default]

Every way gets the same pairs and is asked the same questions. Each seed splits anew; the intervals
are of all seeds together, resampled by document, so that a question which several seeds held out
counts as one. "llama_index" is that library's engine with its defaults; "sentence_transformers"
that library's trainer, with the prompts, temperature, batch size, learning rate and epochs of
"quick". With "quick" three more are measured over vector search of the untuned model: hybrid:equal
and hybrid:learned without tuning, and hybrid:learned with it. The last ways are "three epochs of
128 tokens" but for what their names say, "passages apart" two epochs of whole texts, like "quick";
what the parts of "quick" bring is in ablations.py.
What is done is kept in
eval/results/tuning_quality.json (with --device cuda in tuning_quality_cuda.json), and every
question's rank beside it; a run that was stopped goes on. `--markdown` and `--pool WAY` print the
tables of docs/measured.md.
"""

import argparse
import json
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from corpora import CORPORA, RESULTS, WORK, Corpus, canary_folder, load, write_results
from held_out import open_base, ready, settings_for, show
from outcomes import KeptOutcomes, changes, interval, scores
from stock_engine import train_llama_index
from stock_trainer import train_stock

from rag_app.cli.given import language_model_of, workspace_of
from rag_app.config import Settings
from rag_app.environment import prepare_environment
from rag_app.evaluate.canary import Canary, canary_outcomes, changes_on, read_canary
from rag_app.evaluate.comparison import compare_outcomes, exact_outcomes, scores_json
from rag_app.evaluate.scoring import Outcome
from rag_app.evaluate.statistics import Difference
from rag_app.evaluate.verdict import guard
from rag_app.finetune.back_off import back_off
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.data.material import (
    Material,
    prepare_materials,
    read_labelled,
)
from rag_app.finetune.options import NegativeOptions, TrainingOptions, TrainOn
from rag_app.finetune.phases import TrainedModel, train_phases
from rag_app.finetune.prepare import Prepared
from rag_app.finetune.presets import DEFAULT, QUICK, as_quick
from rag_app.finetune.retrieval import learn_retrieval, retrieval_outcomes
from rag_app.finetune.trial import BaseAndTuned, embedded
from rag_app.index import OpenIndex, Passages, VectorCache
from rag_app.models import EmbeddingModel
from rag_app.models.device import has_bf16
from rag_app.pairs import Pair, SplitOptions
from rag_app.questions.own_examples import MOST
from rag_app.retrieve import RetrievalOptions, Searched

NAME = "tuning_quality"
STOCK = "llama_index"
TRAINER = "sentence_transformers"
# All against vector search of the untuned model; the last over the vectors of "quick".
UNTUNED_EQUAL = "hybrid:equal, untuned"
UNTUNED_LEARNED = "hybrid:learned, untuned"
QUICK_LEARNED = "quick, hybrid:learned"
# What one thing is changed of at a time.
PLAIN = "three epochs of 128 tokens"
LABELLED: TrainOn = "labelled"


@dataclass(frozen=True)
class Way:
    """How to train: what differs from our defaults.

    Fields:
        mined: hard negatives, besides those of the batch.
        apart: what never meets in a batch: rows of one "document", near-duplicates counted as one
            (unless batches get too small), of one "passage", or "nothing".
        filters: of written questions only those that pass the filters.
        per_chunk: written questions, before the filters.
        own_examples: the writer of questions is shown eight of the training pairs.
    """

    options: dict[str, Any] = field(default_factory=dict)
    mined: bool = False
    apart: Literal["document", "passage", "nothing"] = "document"
    filters: bool = True
    per_chunk: int = 1
    own_examples: bool = False


SHORT: dict[str, Any] = {**DEFAULT, "epochs": 3, "max_tokens": 128}
WAYS = {
    STOCK: Way(),
    TRAINER: Way(),
    "default": Way(),
    QUICK: Way(),
    PLAIN: Way(SHORT),
    "stock batches": Way(SHORT, apart="nothing"),
    "mined negatives": Way(SHORT, mined=True),
    "no filters": Way(SHORT, filters=False),
    "three questions a chunk": Way(SHORT, per_chunk=3),
    "own examples": Way(SHORT, own_examples=True),
    "passages apart": Way({**DEFAULT, "epochs": 2}, apart="passage"),
    "dae first": Way({**SHORT, "loss": "dae,mnrl"}),
}
MAIN = (STOCK, QUICK)
# As docs/measured.md calls them.
TITLES = {
    "jhu": "English FAQ, MiniLM",
    "jhu-de": "German FAQ, e5-small-q4",
    "jhu-pl": "Polish FAQ, e5-small-q4",
    "korquad": "KorQuAD, e5-small-q4",
    "medquad": "MedQuAD, MiniLM",
    "pubmedqa": "PubMedQA, MiniLM",
    "sample-en": "English sample, MiniLM",
    "sample-ko": "Korean sample, e5-small-q4",
    "synthetic": "written",
    STOCK: "LlamaIndex",
    TRAINER: "sentence-transformers",
    "default": "`rag-app finetune`",
    QUICK: "`--preset quick`",
    UNTUNED_EQUAL: "`hybrid:equal`, untuned",
    UNTUNED_LEARNED: "`hybrid:learned`, untuned",
    QUICK_LEARNED: "`--preset quick --retriever hybrid:learned`",
}
# What other ways are held against, question by question.
AGAINST = (STOCK, TRAINER, PLAIN, QUICK, UNTUNED_EQUAL, UNTUNED_LEARNED)
# What the tables show, in their order.
SHOWN_WAYS = (*WAYS, UNTUNED_EQUAL, UNTUNED_LEARNED, QUICK_LEARNED)


@dataclass
class Bench:
    """One corpus with one split: what is trained on, and what it is judged by."""

    corpus: Corpus
    kind: TrainOn
    seed: int
    settings: Settings
    context: TrainingContext
    prepared: Prepared
    canary: Canary

    @property
    def base(self) -> EmbeddingModel:
        """The untuned model."""
        return self.prepared.base.model

    @property
    def passages(self) -> Passages:
        """All chunks, with the untuned model's vectors."""
        return self.prepared.passages

    @property
    def material(self) -> Material:
        """Training rows, dev and test questions."""
        return self.prepared.materials[0]

    @property
    def cache(self) -> VectorCache:
        """Vectors that were computed before."""
        return self.context.cache


@dataclass(frozen=True)
class Untuned:
    """The untuned model's index, and all of its chunks with that model's vectors."""

    opened: OpenIndex[EmbeddingModel]
    passages: Passages
    searched: Searched


_untuned: dict[Path, Untuned] = {}


def open_untuned(settings: Settings, cache: VectorCache) -> Untuned:
    """Opened once, so that all splits share the vectors of its sentences and tokens."""
    if settings.storage not in _untuned:
        index, base = open_base(settings)
        passages = index.passages()
        searched = Searched(index, base, passages, cache)
        _untuned[settings.storage] = Untuned(OpenIndex(index, base), passages, searched)
    return _untuned[settings.storage]


def open_bench(corpus: Corpus, kind: TrainOn, seed: int, way: Way, device: str = "cpu") -> Bench:
    """The split that `rag-app finetune` makes with this seed."""
    settings = settings_for(corpus, seed).model_copy(update={"device": device})
    examples = None
    if way.own_examples:
        examples = _examples(open_bench(corpus, LABELLED, seed, Way(), device))
        # Questions of one writer share a file, and the last ones count.
        settings = settings.model_copy(update={"storage": examples.parent / "storage"})
    ready(corpus, settings, kind, per_chunk=way.per_chunk, examples=examples)
    context = TrainingContext(workspace_of(settings), show)
    untuned = open_untuned(settings, context.cache)
    opened, passages = untuned.opened, untuned.passages
    index, base = opened.index, opened.model
    labelled, _ = read_labelled(corpus.questions, passages.nodes)
    written: Sequence[Pair] = []
    if kind != LABELLED:
        from rag_app.questions import filter_questions, stored_questions, to_pairs

        stored = stored_questions(settings.storage, language_model_of(settings), passages)
        questions = _first_of_each_chunk(stored, way.per_chunk)
        if way.filters:
            questions = filter_questions(questions, passages, base).kept
        written = to_pairs(questions)
    [material] = prepare_materials(
        labelled,
        written,
        train_on=kind,
        passages=passages,
        embed=base.embed_queries,
        options=SplitOptions(held_out="documents"),
        batch_size=TrainingOptions().batch_size,
        seed=seed,
    )
    canary = read_canary(canary_folder(), base, index.info.chunking)
    prepared = Prepared(index, opened, passages, untuned.searched, [material], canary)
    return Bench(corpus, kind, seed, settings, context, prepared, canary)


def _examples(bench: Bench) -> Path:
    """The first training pairs as a file; no answer of a test question is among them."""
    folder = WORK / f"{bench.corpus.name}-examples-{bench.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "examples.jsonl"
    rows = [{"question": r.question, "answer": r.passage} for r in bench.material.rows[:MOST]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def _first_of_each_chunk(questions: Sequence[Any], most: int) -> list[Any]:
    """As they would be, had no other way asked for more."""
    asked: Counter[str] = Counter()
    first = []
    for question in questions:
        asked[question.chunk_id] += 1
        if asked[question.chunk_id] <= most:
            first.append(question)
    return first


def train(bench: Bench, name: str) -> EmbeddingModel:
    """The way's model."""
    way, material = WAYS[name], bench.material
    if name == STOCK:
        return _train_llama_index(bench)
    if name == TRAINER:
        return _train_stock(bench)
    options = TrainingOptions(
        **{**DEFAULT, **way.options},
        negatives=NegativeOptions("mined" if way.mined else "none"),
        seed=bench.seed,
    )
    if name == QUICK:
        options = as_quick(options, material.rows, bench.base)
    if way.apart != "document":
        rows = [
            replace(row, group=row.passage if way.apart == "passage" else str(place))
            for place, row in enumerate(material.rows)
        ]
        material = replace(material, rows=rows)
    trained = train_phases(bench.context, bench.base, material, options)
    return harmless(bench, trained).model


def harmless(bench: Bench, trained: TrainedModel) -> TrainedModel:
    """Weakened as `rag-app finetune` does, by the bench's out-of-domain questions."""
    changes_of = changes_on(bench.canary, bench.base, cache=bench.cache, seed=bench.seed)
    material = bench.material
    context, base = bench.context, bench.base
    return back_off(context, base, trained, material=material, changes_of=changes_of)[0]


def _train_llama_index(bench: Bench) -> EmbeddingModel:
    device = bench.settings.device
    target = bench.settings.storage / "models" / f"stock-{bench.kind}-{bench.seed}"
    pairs = [(row.question, row.passage) for row in bench.material.rows]
    train_llama_index(bench.base, pairs, target.resolve(), device=device)
    return EmbeddingModel(target.name, target, device=device)


def _train_stock(bench: Bench) -> EmbeddingModel:
    """sentence-transformers' trainer with what "quick" shares with it."""
    device, material = bench.settings.device, bench.material
    options = as_quick(TrainingOptions(seed=bench.seed), material.rows, bench.base)
    target = bench.settings.storage / "models" / f"stock-trainer-{bench.kind}-{bench.seed}"
    shutil.rmtree(target, ignore_errors=True)
    train_stock(
        bench.base,
        [(row.question, row.passage) for row in material.rows],
        target,
        dev=material.dev,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        warmup_share=options.warmup_share,
        bf16=has_bf16(device),
        seed=bench.seed,
        device=device,
    )
    shutil.rmtree(f"{target}.training")
    return EmbeddingModel(target.name, target, device=device)


def measure(bench: Bench, name: str, kept: KeptOutcomes) -> list[dict[str, Any]]:
    """Train one way and score it at home and elsewhere; with "quick" also hybrid:learned."""
    started = time.perf_counter()
    model = train(bench, name)
    seconds = round(time.perf_counter() - started, 1)
    test, cache = bench.material.test, bench.cache
    passages = embedded(bench.context, bench.passages, model)
    base = exact_outcomes(bench.passages, bench.base, test, cache=cache)
    tuned = exact_outcomes(passages, model, test, cache=cache)
    before, after = (canary_outcomes(bench.canary, m, cache=cache) for m in (bench.base, model))
    rows = [score(bench, name, kept, BaseAndTuned(base, tuned), BaseAndTuned(before, after))]
    if name == QUICK:
        unchanged = BaseAndTuned(before, before)
        for way, outcomes, canary in zip(
            (UNTUNED_EQUAL, UNTUNED_LEARNED, QUICK_LEARNED),
            hybrid_outcomes(bench, passages, model),
            (unchanged, unchanged, BaseAndTuned(before, after)),
            strict=True,
        ):
            rows.append(score(bench, way, kept, BaseAndTuned(base, outcomes), canary))
    return [{**row, "seconds": seconds} for row in rows]


def hybrid_outcomes(bench: Bench, passages: Passages, model: EmbeddingModel) -> list[list[Outcome]]:
    """hybrid:equal and hybrid:learned over the untuned model, hybrid:learned over the tuned one.

    The weights are those that `finetune` learns.
    """
    context, prepared, material = bench.context, bench.prepared, bench.material
    equal, asked = map(RetrievalOptions.parse, ("hybrid:equal", "hybrid:learned"))
    untuned = prepared.searched
    judged = learn_retrieval(context, untuned, asked, material.train, seed=bench.seed)
    print(f"  {judged.learned}", flush=True)
    tuned = Searched(untuned.index, model, passages, context.cache)
    return [
        retrieval_outcomes(context, searched, retrieval, material.test)
        for searched, retrieval in (
            (untuned, equal),
            (untuned, judged.options),
            (tuned, judged.options),
        )
    ]


def score(
    bench: Bench, name: str, kept: KeptOutcomes, home: BaseAndTuned, canary: BaseAndTuned
) -> dict[str, Any]:
    """A row of the results, and its questions' ranks kept.

    Arguments:
        canary: with vector search, whatever is searched with at home.
    """
    compared = compare_outcomes(home.base, home.tuned, seed=bench.seed)
    elsewhere = compare_outcomes(canary.base, canary.tuned, seed=bench.seed).differences
    for part, outcomes in (
        ("base", home.base),
        (name, home.tuned),
        ("base canary", canary.base),
        (f"{name} canary", canary.tuned),
    ):
        row = _name(bench.corpus.name, bench.kind, bench.seed, part)
        # One base for all ways: from one version of torch to another a few ranks change by one.
        if not (part.startswith("base") and row in kept):
            kept.put(row, outcomes)
    return {
        "corpus": bench.corpus.name,
        "kind": bench.kind,
        "way": name,
        "seed": bench.seed,
        "training_pairs": len(bench.material.rows),
        "n": compared.n,
        "base": scores_json(compared.base),
        "tuned": scores_json(compared.tuned),
        "differences": {key: asdict(value) for key, value in compared.differences.items()},
        "canary": asdict(elsewhere["mrr@10"]),
        "verdict": guard(compared.verdict, elsewhere).decision,
    }


def summary(rows: list[dict[str, Any]], kept: KeptOutcomes) -> list[dict[str, Any]]:
    """Each way over all its seeds: against base, against others, on the canary."""
    found = []
    for corpus, kind, way in dict.fromkeys((r["corpus"], r["kind"], r["way"]) for r in rows):
        here = [r for r in rows if (r["corpus"], r["kind"]) == (corpus, kind)]
        mine = [r for r in here if r["way"] == way]
        seeds = [r["seed"] for r in mine]
        against = {}
        for other in AGAINST:
            both = [s for s in seeds if any((r["way"], r["seed"]) == (other, s) for r in here)]
            if both and other != way:
                theirs = _pooled(kept, corpus, kind, both, other)
                changed = changes(theirs, _pooled(kept, corpus, kind, both, way))
                against[other] = {"seeds": both, **_plain(changed)}
        base, tuned, before, after = (
            _pooled(kept, corpus, kind, seeds, part)
            for part in ("base", way, "base canary", f"{way} canary")
        )
        found.append(
            {
                "corpus": corpus,
                "kind": kind,
                "way": way,
                "seeds": seeds,
                "base": _plain(scores(base)),
                "tuned": _plain(scores(tuned)),
                "change": _plain(changes(base, tuned)),
                "against": against,
                "canary": _plain(changes(before, after)),
                "verdicts": [r["verdict"] for r in mine],
                "seconds": [r["seconds"] for r in mine],
            }
        )
    return found


def summed_anew(
    found: list[dict[str, Any]], rows: list[dict[str, Any]], kept: KeptOutcomes
) -> list[dict[str, Any]]:
    """The summary after a row was added: only what its corpus and kind have is summed again."""
    corpus, kind = rows[-1]["corpus"], rows[-1]["kind"]
    here = [row for row in rows if (row["corpus"], row["kind"]) == (corpus, kind)]
    others = [one for one in found if (one["corpus"], one["kind"]) != (corpus, kind)]
    order = list(dict.fromkeys((row["corpus"], row["kind"], row["way"]) for row in rows))
    return sorted(
        others + summary(here, kept),
        key=lambda one: order.index((one["corpus"], one["kind"], one["way"])),
    )


def _name(corpus: str, kind: str, seed: int, part: str) -> str:
    """Under which a row's outcomes are kept; `part` is a way or "base", of the canary or not."""
    return f"{corpus} {kind} {seed} {part}"


def _pooled(
    kept: KeptOutcomes, corpus: str, kind: str, seeds: Sequence[int], part: str
) -> list[Outcome]:
    return kept.pooled({seed: _name(corpus, kind, seed, part) for seed in seeds})


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {metric: asdict(value) for metric, value in values.items()}


def print_table(found: list[dict[str, Any]]) -> None:
    """Three lines for each way, hit@1 and MRR@10 with intervals."""
    for one in found:
        first, mrr = (
            f"{one['base'][metric]['mean']:.3f} -> {one['tuned'][metric]['mean']:.3f} "
            f"{interval(Difference(**one['change'][metric]))}"
            for metric in ("hit_rate@1", "mrr@10")
        )
        print(f"{one['corpus']}, {one['kind']}, {one['way']}: {', '.join(one['verdicts'])}")
        print(f"  hit@1 {first}  MRR@10 {mrr}  {sum(one['seconds']) / len(one['seconds']):.0f} s")
        others = [("canary", one["canary"]), *one["against"].items()]
        shown = (f"{k} {interval(Difference(**v['mrr@10']))}" for k, v in others)
        print(f"  MRR@10: {', over '.join(shown)}")


def _rows_of(name: str) -> list[dict[str, Any]]:
    """What one device has measured."""
    return _read(name, "rows")


def _read(name: str, part: str) -> list[dict[str, Any]]:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text("utf-8"))[part] if path.is_file() else []


def print_markdown(rows: list[dict[str, Any]]) -> None:
    """The table of docs/measured.md: a line for each seed; ways that are gone are left out."""
    rows = [row for row in rows if row["way"] in SHOWN_WAYS]
    shown = ("hit_rate@1", "hit_rate@5", "mrr@10")
    heads = ["documents", "trained on", "way", "seed", "questions", *shown]
    heads += ["change of mrr@10", "canary", "verdict"]
    _print_heads(heads)
    places = {place: n for n, place in enumerate(dict.fromkeys(r["corpus"] for r in rows))}
    for row in sorted(
        rows, key=lambda r: (places[r["corpus"]], r["kind"], SHOWN_WAYS.index(r["way"]), r["seed"])
    ):
        cells = [
            _title(row["corpus"]),
            f"{row['training_pairs']} {_title(row['kind'])}",
            _title(row["way"]),
            str(row["seed"]),
            str(row["n"]),
            *(f"{row['base'][m]['mean']:.3f} → {row['tuned'][m]['mean']:.3f}" for m in shown),
            interval(Difference(**row["differences"]["mrr@10"])),
            f"{row['canary']['mean']:+z.3f}",
            row["verdict"],
        ]
        _print_line(cells)


def print_pooled(way: str) -> None:
    """One way over all its splits, wherever they were tuned: those of the CPU before the others."""
    splits: dict[tuple[str, str], dict[int, tuple[KeptOutcomes, str]]] = {}
    for name in (f"{NAME}_cuda", NAME):
        kept = KeptOutcomes(name)
        for row in _rows_of(name):
            if row["way"] == way:
                seeds = splits.setdefault((row["corpus"], row["kind"]), {})
                seeds[row["seed"]] = kept, row["verdict"]
    heads = ["documents", "trained on", "seeds", "hit_rate@1", "change of mrr@10", "canary"]
    _print_heads([*heads, "promoted"])
    for (corpus, kind), seeds in splits.items():
        base, tuned, before, after = (
            [
                outcome
                for seed, (kept, _) in sorted(seeds.items())
                for outcome in _pooled(kept, corpus, kind, [seed], part)
            ]
            for part in ("base", way, "base canary", f"{way} canary")
        )
        hits = [scores(outcomes)["hit_rate@1"].mean for outcomes in (base, tuned)]
        cells = [
            _title(corpus),
            _title(kind),
            ", ".join(map(str, sorted(seeds))),
            f"{hits[0]:.3f} → {hits[1]:.3f}",
            interval(changes(base, tuned)["mrr@10"]),
            f"{changes(before, after)['mrr@10'].mean:+z.3f}",
            str([verdict for _, verdict in seeds.values()].count("promote")),
        ]
        _print_line(cells)


def _print_heads(heads: Sequence[str]) -> None:
    _print_line(heads)
    print("|---" * len(heads) + "|")


def _print_line(cells: Sequence[str]) -> None:
    print("| " + " | ".join(cells).replace("0.", ".") + " |")


def _title(name: str) -> str:
    return TITLES.get(name, name)


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA))
    parser.add_argument("--kinds", default="labelled,synthetic", help="or both, together")
    parser.add_argument("--ways", default=",".join(MAIN), help=f"of {', '.join(WAYS)}")
    parser.add_argument("--seeds", default="13,14,15")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--markdown", action="store_true", help="print what is there, by seed")
    parser.add_argument("--pool", choices=SHOWN_WAYS, help="print a way over all devices' splits")
    arguments = parser.parse_args()
    prepare_environment()
    name = NAME if arguments.device == "cpu" else f"{NAME}_{arguments.device}"
    rows = _rows_of(name)
    if arguments.pool:
        print_pooled(arguments.pool)
        return
    if arguments.markdown:
        print_markdown(rows)
        return
    kept = KeptOutcomes(name)
    found = _read(name, "summary")
    done = {(row["corpus"], row["kind"], row["way"], row["seed"]) for row in rows}
    for corpus in map(load, arguments.corpus or ["sample-en", "sample-ko", "jhu", "korquad"]):
        for kind in arguments.kinds.split(","):
            for seed in map(int, arguments.seeds.split(",")):
                for way in arguments.ways.split(","):
                    if (corpus.name, kind, way, seed) in done:
                        continue
                    print(f"{corpus.name} {kind} {way}, seed {seed} ...", flush=True)
                    bench = open_bench(corpus, kind, seed, WAYS[way], arguments.device)
                    rows += measure(bench, way, kept)
                    found = summed_anew(found, rows, kept)
                    write_results(name, {"summary": found, "rows": rows})
    print_table(found)


if __name__ == "__main__":
    main()
