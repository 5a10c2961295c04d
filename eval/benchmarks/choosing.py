"""Retrieval alone, a tuned embedding model, a tuned language model: what each knows, at what price.

    python eval/benchmarks/choosing.py              # about half an hour on two idle cores
    python eval/benchmarks/choosing.py --markdown   # the table of docs/choosing.md

The English sample data, split by document. An answer is right if it holds half of the words of the
evidence and all of its numbers; where no language model answers, the first passage is the answer.
In training the language model reads every article, those of the test questions too, as it would if
somebody trained it on their documents; of the questions it sees the training ones only. It is Gemma
3 270M, for which this needs the extras local-llm and dev.

Each part has a process of its own, so that its peak memory is its own. What is done is kept in
eval/results/choosing.json; a run that was stopped goes on. `--quick` tries all of it on a few
questions and a few steps, and keeps that in eval/work.
"""

import argparse
import datetime as dt
import functools
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora import RESULTS, WORK, load, write_results
from gemma import (
    EPOCHS,
    GEMMA,
    LEARNING_RATE,
    RANK,
    SEED,
    closed_book,
    convert_gemma,
    fit,
    open_gemma,
    training_texts,
    write_answers,
)
from held_out import show

from rag_app.answer.answer import answer, answer_prompt
from rag_app.answer.citations import SUPPORT, check_citations, support
from rag_app.environment import prepare_environment
from rag_app.evaluate.comparison import scores_json
from rag_app.evaluate.scoring import Outcome, score_questions
from rag_app.evaluate.statistics import estimate, summarise
from rag_app.index import VectorIndex, Workspace
from rag_app.pairs import (
    Pair,
    Split,
    build_questions,
    document_texts,
    match_questions,
    read_questions,
    split_pairs,
)
from rag_app.retrieve import RetrievalOptions, Searched, Tools, Trace, build_retriever
from rag_app.text.numbers import missing_numbers

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

NAME = "choosing"
SPECS = ("vector", "hybrid:0.7")
# What the language model is shown: passages, and by which search they are found.
SHOWN, SHOWN_BY = 3, "hybrid:0.7"
SHOWN_METRICS = ("hit_rate@1", "hit_rate@5", "mrr@10")
TODAY = dt.date(2026, 5, 15)
# A price that changes, to see what it takes until the index knows.
EDITED = (
    "orders/free-shipping-from-september-2022.md",
    "| Standard | $5.90 |",
    "| Standard | $6.40 |",
)

# Other questions whose evidence an answer is held against, to see what is right by chance.
OTHERS = 10


@dataclass(frozen=True)
class Size:
    """How much is measured, and where its files lie."""

    folder: Path
    results: Path
    training_questions: int
    test_questions: int | None = None
    steps: int | None = None
    epochs: int = 5

    @property
    def documents(self) -> Path:
        """A copy of the articles, since one of them is edited."""
        return self.folder / "documents"

    @property
    def material(self) -> Path:
        """What the language model is trained on and asked."""
        return self.folder / "material.json"

    @property
    def adapter(self) -> Path:
        """The tuned language model."""
        return self.folder / "adapter"


FULL = Size(WORK / NAME, RESULTS / f"{NAME}.json", 60)
_QUICK = WORK / f"{NAME}-quick"
QUICK = Size(_QUICK, _QUICK / "results.json", 8, test_questions=8, steps=3, epochs=1)


@dataclass(frozen=True)
class Asked:
    """A question and what its answer must hold; `prompt` has the passages that were found."""

    question: str
    evidence: str
    cluster: str
    dated: bool
    passages: list[str]
    prompt: str


@dataclass(frozen=True)
class Bench:
    """An index in memory, and the same pairs asked of each."""

    searched: Searched
    nodes: "Sequence[TextNode]"
    split: Split
    texts: dict[str, str]
    asked: dict[str, list[Pair]]

    def retrieve(self, spec: str, depth: int) -> Any:
        """The retriever of a spec."""
        tools = Tools(storage=Path(), today=TODAY, llm=None, load_encoder=_no_encoder)
        options = RetrievalOptions().with_spec(spec)
        return build_retriever(self.searched, options, top_k=depth, tools=tools)

    def evidence(self, pair: Pair) -> str:
        """The words that answer a pair's question."""
        return " ".join(self.texts[pair.document_id][pair.start : pair.end].split())


def _no_encoder(name: str) -> Any:
    raise NotImplementedError(name)


def workspace_of(size: Size) -> Workspace:
    """A storage of its own."""
    return Workspace(size.folder / "storage")


def open_bench(size: Size, index: VectorIndex) -> Bench:
    """Split as `finetune` does, and draw the questions to ask."""
    workspace = workspace_of(size)
    passages = index.passages()
    texts = document_texts(passages.nodes)
    labelled = read_questions(load("sample-en").questions)
    split = split_pairs(match_questions(labelled, passages.nodes).pairs, texts, seed=SEED)
    model = workspace.load_model(index.info.model)
    searched = Searched(index, model, passages, workspace.cache)
    asked = {
        "training": _drawn(split.train, size.training_questions),
        "test": _drawn(split.test, size.test_questions),
    }
    return Bench(searched, passages.nodes, split, texts, asked)


def _drawn(pairs: Sequence[Pair], most: int | None) -> list[Pair]:
    most = min(most or len(pairs), len(pairs))
    return [pairs[place * len(pairs) // most] for place in range(most)]


def measure_retrieval(size: Size) -> dict[str, Any]:
    """Ingest, ask, edit an article; leaves what the language model is trained on and asked."""
    from rag_app.ingest.request import IngestRequest
    from rag_app.ingest.stage import ingest

    shutil.rmtree(size.folder / "storage", ignore_errors=True)
    shutil.copytree(load("sample-en").documents, size.documents, dirs_exist_ok=True)
    workspace = workspace_of(size)
    report = ingest(workspace, IngestRequest([size.documents]), progress=show)
    index = workspace.catalog.open(report.index)
    bench = open_bench(size, index)
    size.material.write_text(json.dumps(material(bench)), "utf-8")
    return {
        "build_seconds": report.seconds,
        "chunks": report.chunks,
        "documents": len(bench.texts),
        "split": {part: len(getattr(bench.split, part)) for part in ("train", "dev", "test")},
        "scores": scores(bench),
        "change_seconds": take_in_change(size, report.index),
    }


def measure_embedding(size: Size) -> dict[str, Any]:
    """Tune the embedding model, ask the tuned index, edit an article."""
    from rag_app.finetune.options import TrainingOptions
    from rag_app.finetune.presets import DEFAULT
    from rag_app.finetune.request import FinetuneRequest
    from rag_app.finetune.stage import finetune

    workspace = workspace_of(size)
    request = FinetuneRequest(
        pairs=load("sample-en").questions,
        options=TrainingOptions(**DEFAULT, seed=SEED, epochs=size.epochs),
        promote=False,
        results=size.folder / "results",
    )
    result = finetune(workspace, request, progress=show)
    index = workspace.catalog.open(result.index)
    return {
        "build_seconds": result.seconds,
        "training_seconds": result.training.seconds,
        "pairs": result.data.training_pairs,
        "verdict": result.verdict.decision,
        "scores": scores(open_bench(size, index)),
        "change_seconds": take_in_change(size, result.index),
    }


def take_in_change(size: Size, index_name: str) -> float:
    """Seconds from an edited article to an index that holds the edit; then all is as before."""
    from rag_app.ingest.request import IngestRequest
    from rag_app.ingest.stage import ingest

    workspace = workspace_of(size)
    name, before, after = EDITED
    article = size.documents / name
    # Not the copy's, which a run that was stopped may have left edited.
    text = (load("sample-en").documents / name).read_text("utf-8")
    article.write_text(text.replace(before, after), "utf-8")
    report = ingest(workspace, IngestRequest([size.documents], index=index_name))
    article.write_text(text, "utf-8")
    nodes = workspace.catalog.open(index_name).passages().nodes
    if not any(after in node.text for node in nodes):
        raise SystemExit(f"{article} was edited, and index {index_name} does not hold the edit")
    ingest(workspace, IngestRequest([size.documents], index=index_name))
    return report.seconds


def scores(bench: Bench) -> dict[str, Any]:
    """Hit rates on the test questions, and how often the first passage holds the evidence."""
    found: dict[str, Any] = {}
    questions = build_questions(bench.asked["test"], bench.nodes, bench.split.clusters)
    for spec in SPECS:
        outcomes = score_questions(bench.retrieve(spec, 10), questions)
        values: dict[str, Any] = {"retrieval": scores_json(summarise(outcomes, seed=SEED))}
        for part in bench.asked:
            asked = list(ask(bench, spec, part))
            values[part] = judge(asked, [one.passages[0] for one in asked])
        found[spec] = values
    return found


def ask(bench: Bench, spec: str, part: str) -> Iterator[Asked]:
    """Each question with the passages that it finds."""
    rows = map(json.loads, load("sample-en").questions.read_text("utf-8").splitlines())
    dated = {row["question"] for row in rows if row.get("depends_on") == "date"}
    traces = [Trace(pair.question) for pair in bench.asked[part]]
    rankings = bench.retrieve(spec, SHOWN).rank(traces)
    for pair, hits in zip(bench.asked[part], rankings, strict=True):
        citations = answer(pair.question, hits, None).citations
        yield Asked(
            question=pair.question,
            evidence=bench.evidence(pair),
            cluster=bench.split.clusters[pair.document_id],
            dated=pair.question in dated,
            passages=[citation.shown for citation in citations],
            prompt=answer_prompt(pair.question, citations, instruct=False),
        )


def judge(asked: Sequence[Asked], answers: Sequence[str]) -> dict[str, Any]:
    """Share of right answers with its interval, on dated questions, and by chance."""
    right = [holds(one.evidence, text) for one, text in zip(asked, answers, strict=True)]
    outcomes = [
        Outcome(one.question, one.question, one.cluster, [], [], [], None, {"right": float(good)})
        for one, good in zip(asked, right, strict=True)
    ]
    dated = [good for one, good in zip(asked, right, strict=True) if one.dated]
    return {
        "n": len(asked),
        **asdict(estimate(outcomes, "right", seed=SEED)),
        "n_dated": len(dated),
        "dated": statistics.fmean(dated) if dated else None,
        "by_chance": _by_chance(asked, answers),
    }


def holds(evidence: str, text: str) -> bool:
    """Whether a text has half of the evidence's words and all of its numbers."""
    return not missing_numbers(evidence, text) and support(evidence, text) >= SUPPORT


def _by_chance(asked: Sequence[Asked], answers: Sequence[str]) -> float:
    """Share of answers that are "right" for other questions: what long answers hold anyway."""
    drawn = random.Random(SEED)  # noqa: S311
    right = []
    for one, text in zip(asked, answers, strict=True):
        others = [other.evidence for other in asked if other.cluster != one.cluster]
        chosen = drawn.sample(others, min(OTHERS, len(others)))
        right += [holds(evidence, text) for evidence in chosen]
    return statistics.fmean(right)


def material(bench: Bench) -> dict[str, Any]:
    """Articles and training pairs to train a language model on, and what it is asked."""
    titles = {node.ref_doc_id: node.metadata.get("title", "") for node in bench.nodes}
    return {
        "articles": [f"{titles[name]}\n{text}".strip() for name, text in bench.texts.items()],
        "pairs": [(pair.question, bench.evidence(pair)) for pair in bench.split.train],
        **{part: [asdict(one) for one in ask(bench, SHOWN_BY, part)] for part in bench.asked},
    }


def prepare_gemma(_: Size) -> dict[str, Any]:
    """Its files, once; nothing is measured."""
    convert_gemma()
    return {}


def train_language_model(size: Size) -> dict[str, Any]:
    """LoRA on all articles and the training pairs; leaves the adapter."""
    import torch
    from peft import LoraConfig, get_peft_model

    model, tokenizer = open_gemma()
    given = json.loads(size.material.read_text("utf-8"))
    texts = training_texts(tokenizer, given)
    torch.manual_seed(SEED)
    config = LoraConfig(
        r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    model = get_peft_model(model, config)
    started = time.perf_counter()
    losses = fit(model, texts, size.steps)
    seconds = time.perf_counter() - started
    model.save_pretrained(str(size.adapter))
    return {
        "build_seconds": seconds,
        "articles": len(given["articles"]),
        "pairs": len(given["pairs"]),
        "tokens_an_epoch": sum(len(ids) for ids, _ in texts),
        "epochs": EPOCHS,
        "rank": RANK,
        "learning_rate": LEARNING_RATE,
        "losses": losses,
    }


def answer_questions(size: Size, *, tuned: bool, shown: bool) -> dict[str, Any]:
    """Ask the language model, with or without passages."""
    model, tokenizer = open_gemma(size.adapter if tuned else None)
    given = json.loads(size.material.read_text("utf-8"))
    values: dict[str, Any] = {}
    started = time.perf_counter()
    for part in ("training", "test"):
        asked = [Asked(**one) for one in given[part]]
        prompts = [one.prompt if shown else closed_book(one.question) for one in asked]
        passages = [one.passages if shown else [] for one in asked]
        written = write_answers(model, tokenizer, prompts)
        checked = list(map(check_citations, written, passages))
        answers = [" ".join(sentence.text for sentence in one.sentences) for one in checked]
        ratios = [one.support_ratio for one in checked if one.support_ratio is not None]
        values[part] = {
            **judge(asked, answers),
            "supported": statistics.fmean(ratios) if shown and ratios else None,
            "empty": sum(not text for text in answers),
            "answers": answers,
        }
    return {**values, "answering_seconds": time.perf_counter() - started}


@dataclass(frozen=True)
class Part:
    """What is measured in one process, and the file that later parts need of it."""

    measure: Callable[[Size], dict[str, Any]]
    leaves: Callable[[Size], Path] | None = None

    def is_done(self, name: str, size: Size) -> bool:
        """Whether its values are kept and its file is there."""
        return name in read_parts(size) and (self.leaves is None or self.leaves(size).is_file())


# The language model's rows: tuned, and shown passages?
ANSWERING = {
    "language model, closed book": (False, False),
    "language model tuned, closed book": (True, False),
    "language model, with passages": (False, True),
    "language model tuned, with passages": (True, True),
}
PARTS = {
    "retrieval": Part(measure_retrieval, lambda size: size.material),
    "embedding": Part(measure_embedding),
    "gemma": Part(prepare_gemma, lambda _: GEMMA / "tokenizer.json"),
    "training": Part(train_language_model, lambda size: size.adapter / "adapter_model.safetensors"),
    **{
        name: Part(functools.partial(answer_questions, tuned=tuned, shown=shown))
        for name, (tuned, shown) in ANSWERING.items()
    },
}


def read_parts(size: Size) -> dict[str, Any]:
    """What has been measured, by part."""
    if not size.results.is_file():
        return {}
    return dict(json.loads(size.results.read_text("utf-8"))["parts"])


def run_part(size: Size, name: str) -> None:
    """Measure one part, in this process, and keep it."""
    started = time.perf_counter()
    values = PARTS[name].measure(size)
    values["wall_seconds"] = time.perf_counter() - started
    values["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 10**6
    results = {"cores": os.cpu_count(), "parts": {**read_parts(size), name: values}}
    if size == FULL:
        write_results(NAME, results)
    else:
        size.results.write_text(json.dumps(results, indent=2), "utf-8")


COLUMNS = (
    "",
    "right, training questions",
    "right, test questions",
    "of these, on what changed",
    "right by chance",
    "hit_rate@1, @5, MRR@10",
    "sentences supported",
    "built in",
    "takes in a change in",
    "peak memory",
)


def table(parts: dict[str, Any]) -> Iterator[str]:
    """The rows as Markdown, and what they were measured on."""
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    retrieval, embedding, training = (parts[n] for n in ("retrieval", "embedding", "training"))
    ingested, changed = retrieval["build_seconds"], retrieval["change_seconds"]
    for what, part, more in (
        ("retrieval", retrieval, 0.0),
        ("embeddings tuned", embedding, ingested),
    ):
        for spec, values in part["scores"].items():
            build = part["build_seconds"] + more
            memory = part["peak_memory_mb"]
            yield _line(f"{what}, `{spec}`", values, build, part["change_seconds"], memory)
    for name, (tuned, shown) in ANSWERING.items():
        trained = training["build_seconds"] if tuned else None
        build = (ingested if shown else 0.0) + (trained or 0.0)
        memory = max(parts[name]["peak_memory_mb"], training["peak_memory_mb"] if tuned else 0)
        yield _line(name, parts[name], build, changed if shown else trained, memory)
    asked = retrieval["scores"][SPECS[0]]
    yield (
        f"\n{asked['training']['n']} training and {asked['test']['n']} test questions, "
        f"{asked['test']['n_dated']} of these on what changed with time; "
        f"{retrieval['documents']} articles; Gemma 3 270M, LoRA of rank {training['rank']}, "
        f"{training['epochs']} epochs."
    )


def _line(
    what: str, values: dict[str, Any], build: float, change: float | None, memory: int
) -> str:
    found = values.get("retrieval")
    test = values["test"]
    cells = (
        what,
        _share(values["training"]["mean"]),
        f"{_share(test['mean'])} [{_share(test['low'])}, {_share(test['high'])}]",
        _share(test["dated"]),
        _share(test["by_chance"]),
        ", ".join(_share(found[metric]["mean"]) for metric in SHOWN_METRICS) if found else "",
        _share(test.get("supported")),
        _seconds(build),
        _seconds(change) if change is not None else "never",
        f"{memory:,} MB",
    )
    return f"| {' | '.join(cells)} |"


def _share(value: float | None) -> str:
    """As in the README: .527, 1.000; nothing where there is nothing."""
    return "" if value is None else f"{value:.3f}".removeprefix("0")


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if 0 < value < 10 else f"{value:,.0f} s"


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="8 questions, 3 steps of training")
    parser.add_argument("--markdown", action="store_true", help="print the table, measure nothing")
    parser.add_argument("--run", choices=list(PARTS), help="one part, in this process")
    arguments = parser.parse_args()
    prepare_environment()
    size = QUICK if arguments.quick else FULL
    size.folder.mkdir(parents=True, exist_ok=True)
    if arguments.run:
        run_part(size, arguments.run)
        return
    for name, part in PARTS.items():
        if arguments.markdown or part.is_done(name, size):
            continue
        print(f"{name} ...", flush=True)
        quick = ["--quick"] if arguments.quick else []
        subprocess.run([sys.executable, __file__, "--run", name, *quick], check=True)
    parts = read_parts(size)
    if missing := PARTS.keys() - parts.keys():
        raise SystemExit(
            f"not measured yet: {', '.join(sorted(missing))}; run this command without --markdown"
        )
    print("\n".join(table(parts)))


if __name__ == "__main__":
    main()
